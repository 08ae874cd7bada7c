//! Whether the time can be believed. A clock that is ahead would make every row one that is past its time.
//!
//! The time is the server's. It has to agree with this machine's, and the rows of each table have to confirm it: with a
//! row that is one to two days older. Where no row does, nothing goes that only a later clock makes past its time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Timestamptz};

use super::error::Error;
use crate::catalog::HotTable;
use crate::error::{Doing, Result};
use crate::raw::{raw, sql_query};

/// How far the two clocks may be apart.
const APART: TimeDelta = TimeDelta::minutes(5);
/// Rows of the last day confirm nothing: they may have been written under a clock that went wrong since.
const LAST_DAY: TimeDelta = TimeDelta::days(1);
/// How much older than the clock a row may be that confirms it.
const CONFIRMS: TimeDelta = TimeDelta::days(2);
/// The first time that the server knows, in the year 4714 before Christ.
const FIRST: DateTime<Utc> = match DateTime::from_timestamp(-210_866_803_200, 0) {
    Some(first) => first,
    None => DateTime::UNIX_EPOCH,
};

/// Fails where the clocks of the server and of this machine differ.
pub(super) fn compare(server: DateTime<Utc>, here: DateTime<Utc>) -> Result<(), Error> {
    if (server - here).abs() > APART { Err(Error::ClocksDiffer { server, here }) } else { Ok(()) }
}

/// Fails where rows before the cutoff are past their time by the server's clock alone.
pub(super) fn confirm(
    conn: &mut PgConnection,
    hot: &'static HotTable,
    now: DateTime<Utc>,
    keep: Duration,
) -> Result<()> {
    #[derive(QueryableByName)]
    struct Newest {
        #[diesel(sql_type = Nullable<Timestamptz>)]
        newest: Option<DateTime<Utc>>,
    }
    #[derive(QueryableByName)]
    struct Unconfirmed {
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    let (table, time) = (hot.name, hot.time_in_sql());
    let newest = raw!("SELECT max({time}) AS newest FROM {table} WHERE {time} <= $1 AND isfinite({time})", time, table);
    let newest: Newest = sql_query(newest)
        .bind::<Timestamptz, _>(now - LAST_DAY)
        .get_result(conn)
        .doing(format!("look for the newest row of {table}"))?;
    let Some(newest) = newest.newest.filter(|newest| *newest + CONFIRMS < now) else { return Ok(()) };
    let query = raw!("SELECT count(*) AS rows FROM {table} WHERE {time} >= $1 AND {time} < $2", table, time);
    let Unconfirmed { rows } = sql_query(query)
        .bind::<Timestamptz, _>(before(newest + CONFIRMS, keep))
        .bind::<Timestamptz, _>(before(now, keep))
        .get_result(conn)
        .doing(format!("count the rows of {table}"))?;
    if rows > 0 { Err(Error::ClockUnconfirmed { table, now, newest, rows }.into()) } else { Ok(()) }
}

/// So long before a time, or the first time that the server knows.
pub(super) fn before(time: DateTime<Utc>, long: Duration) -> DateTime<Utc> {
    let before = TimeDelta::from_std(long).ok().and_then(|long| time.checked_sub_signed(long));
    before.map_or(FIRST, |before| before.max(FIRST))
}
