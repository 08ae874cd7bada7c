//! Since when the server has counted scans, blocks and rows.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Double, Timestamptz};
use serde::Serialize;

use super::observation::{Observation, Unavailable, observe};
use crate::error::{Doing, Result};
use crate::raw::{raw, sql};

/// Since when the server has counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistics {
    /// Last reset of the statistics; where there was none, the first migration.
    pub since: DateTime<Utc>,
    /// How long ago, in seconds.
    pub age_seconds: f64,
}

/// The server does not say when it began to count before the first reset: then it is not later than our first table.
pub(super) fn read(conn: &mut PgConnection) -> Result<Observation<Statistics>> {
    let is_counted: bool = diesel::select(sql::<Bool>("current_setting('track_counts')::boolean"))
        .get_result(conn)
        .doing("ask whether the server counts")?;
    if !is_counted {
        return Ok(Observation::Skipped { reason: Unavailable::NotCounted });
    }
    let since = "coalesce(
        (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()),
        (SELECT min(run_on) AT TIME ZONE 'UTC' FROM __diesel_schema_migrations),
        pg_postmaster_start_time())";
    observe(conn, |conn| {
        let (since, age_seconds) = diesel::select((
            sql::<Timestamptz>(since),
            sql::<Double>(raw!("extract(epoch FROM clock_timestamp() - {since})::float8", since)),
        ))
        .get_result(conn)
        .doing("ask since when the statistics are kept")?;
        Ok(Statistics { since, age_seconds })
    })
}
