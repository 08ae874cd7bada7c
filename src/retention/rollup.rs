//! Sums of an hour, which stay when the samples go.
//!
//! An hour is summed once it is over, and again where more samples came. Where samples may have gone, its rows are final: what
//! is left of the hour never takes the place of the whole.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;

use crate::catalog::HotTable;
use crate::deadline::Deadline;
use crate::error::{Doing, Result};
use crate::layer;
use crate::raw::{Sql, raw, sql_query};

/// A table whose samples are summed, and where.
#[derive(Debug)]
pub(super) struct Rollup {
    table: &'static str,
    hourly: &'static str,
    /// The columns that samples of one sum share, beside the hour.
    key: &'static str,
    value: &'static str,
}

const ROLLUPS: [Rollup; 2] = [
    Rollup {
        table: "resource_metrics",
        hourly: "resource_metrics_hourly",
        key: "customer_id, instance_id, resource_type, metric_name, unit",
        value: "metric_value",
    },
    Rollup {
        table: "quality_metrics",
        hourly: "quality_metrics_hourly",
        key: "customer_id, model_name, model_version",
        value: "overall_quality_score",
    },
];

impl Rollup {
    /// That of a table, where it has one.
    pub fn of(hot: &HotTable) -> Option<&'static Self> {
        ROLLUPS.iter().find(|rollup| rollup.table == hot.name)
    }

    /// Sums the hours that have other samples than their sums say, the oldest first. Returns how many rows it wrote, and
    /// whether all is done or the time was up before.
    pub fn write(&self, conn: &mut PgConnection, deadline: Deadline) -> Result<(i64, bool)> {
        let doing = || format!("sum the hours of {}", self.table);
        let mut written = 0;
        for hour in self.hours(conn).doing(doing())? {
            if deadline.has_passed() {
                return Ok((written, false));
            }
            written += self.sum(conn, hour).doing(doing())?;
        }
        Ok((written, true))
    }

    fn hours(&self, conn: &mut PgConnection) -> QueryResult<Vec<DateTime<Utc>>> {
        #[derive(QueryableByName)]
        struct Hour {
            #[diesel(sql_type = Timestamptz)]
            hour: DateTime<Utc>,
        }
        let query = raw!(
            "SELECT hour
             FROM (SELECT date_trunc('hour', \"timestamp\", 'UTC') AS hour, count(*) AS samples FROM {table}
                   WHERE \"timestamp\" < date_trunc('hour', now(), 'UTC') AND isfinite(\"timestamp\") GROUP BY 1) found
             LEFT JOIN (SELECT hour, sum(sample_count) AS samples FROM {hourly} WHERE NOT is_final GROUP BY 1) summed
                 USING (hour)
             WHERE found.samples IS DISTINCT FROM summed.samples
             ORDER BY hour",
            table = self.table,
            hourly = self.hourly
        );
        let hours: Vec<Hour> = sql_query(query).load(conn)?;
        Ok(hours.into_iter().map(|Hour { hour }| hour).collect())
    }

    /// Fewer samples than were summed are a part of them: the others went.
    fn sum(&self, conn: &mut PgConnection, hour: DateTime<Utc>) -> QueryResult<i64> {
        let sums = "sample_count, min_value, avg_value, max_value, p95_value, last_value, last_at";
        let query = raw!(
            "INSERT INTO {hourly} AS h ({key}, hour, {sums})
             SELECT {key}, $1, count(*), min({value}), avg({value}), max({value}),
                 percentile_cont(0.95) WITHIN GROUP (ORDER BY {value}),
                 (array_agg({value} ORDER BY \"timestamp\" DESC, id DESC))[1], max(\"timestamp\")
             FROM {table} WHERE \"timestamp\" >= $1 AND \"timestamp\" < $1 + interval '1 hour'
             GROUP BY {key}
             ON CONFLICT ({key}, hour) DO UPDATE
             SET ({sums}, created_at) =
                 ROW (excluded.sample_count, excluded.min_value, excluded.avg_value, excluded.max_value, excluded.p95_value,
                      excluded.last_value, excluded.last_at, now())
             WHERE NOT h.is_final AND excluded.sample_count > h.sample_count",
            hourly = self.hourly,
            key = self.key,
            sums,
            value = self.value,
            table = self.table
        );
        let written = sql_query(query).bind::<Timestamptz, _>(hour).execute(conn)?;
        Ok(i64::try_from(written).unwrap_or(i64::MAX))
    }

    /// Marks the sums of the hours of which a table or partition has samples before a time, because these will go.
    pub fn finish(&self, conn: &mut PgConnection, part: &str, before: DateTime<Utc>) -> Result<()> {
        let doing = || format!("mark the sums of {} as final", self.table);
        if !layer::is_there(conn, self.hourly).doing(doing())? {
            return Ok(());
        }
        let query = raw!(
            "UPDATE {hourly} SET is_final = true WHERE NOT is_final AND hour IN (
                 SELECT DISTINCT date_trunc('hour', \"timestamp\", 'UTC') FROM {part} WHERE \"timestamp\" < $1
             )",
            hourly = self.hourly,
            part = Sql::identifier(part)
        );
        sql_query(query).bind::<Timestamptz, _>(before).execute(conn).doing(doing()).map(drop)
    }
}
