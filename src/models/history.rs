//! The average over all history of a metric, from the sums of its hours and the samples since.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::{avg, count_star};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Text, Timestamptz, Uuid};

use super::resource::ResourceMetric;
use crate::enums::ResourceType;
use crate::id::CustomerId;
use crate::raw::sql_query;
use crate::schema::{resource_metrics, sql_types};

/// Samples that are summed.
#[derive(Debug, Clone, Copy, QueryableByName)]
struct Summed {
    /// When the last of their hours begins.
    #[diesel(sql_type = Timestamptz)]
    hour: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    samples: i64,
    #[diesel(sql_type = Double)]
    average: f64,
}

impl ResourceMetric {
    /// The average of one metric of an instance of a customer over all its history, also of samples that `retention` has
    /// removed after it summed their hours; `None` without a sample.
    ///
    /// It reads a few rows, however long the history is. Samples that came late for an hour that is summed count from the next
    /// run of `retention` on.
    ///
    /// # Errors
    ///
    /// Fails when a query does.
    pub fn average_of_history(
        conn: &mut PgConnection,
        customer: CustomerId,
        instance_id: &str,
        resource_type: ResourceType,
        metric_name: &str,
    ) -> QueryResult<Option<f64>> {
        let summed: Vec<Summed> = sql_query(include_str!("history.sql"))
            .bind::<Uuid, _>(customer)
            .bind::<Text, _>(instance_id)
            .bind::<sql_types::ResourceType, _>(resource_type)
            .bind::<Text, _>(metric_name)
            .load(conn)?;
        // A query of its own, so that the server plans it for the time that it is.
        let mut newer = Self::of_metric(customer, instance_id, resource_type, metric_name);
        if let Some(last) = summed.iter().map(|summed| summed.hour).max() {
            newer = newer.filter(resource_metrics::timestamp.ge(last + TimeDelta::hours(1)));
        }
        let (samples, average): (i64, Option<f64>) =
            newer.select((count_star(), avg(resource_metrics::metric_value))).first(conn)?;
        let parts = summed
            .iter()
            .map(|summed| (summed.samples, summed.average))
            .chain(average.map(|average| (samples, average)));
        Ok(average_of(&parts.collect::<Vec<_>>()))
    }
}

/// The average of samples of which some averages are known. Each average counts by its share, so that no sum is too great for
/// a number.
#[expect(clippy::cast_precision_loss, reason = "an average is no exact number")]
fn average_of(parts: &[(i64, f64)]) -> Option<f64> {
    let all: i64 = parts.iter().map(|(samples, _)| samples).sum();
    (all > 0).then(|| parts.iter().map(|(samples, average)| average * (*samples as f64 / all as f64)).sum())
}
