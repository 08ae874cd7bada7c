//! Deletes the rows of a table that are past their time, in small batches that nobody has to wait for.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};

use super::error::Error;
use crate::catalog::HotTable;
use crate::deadline::Deadline;
use crate::migrate::{Failure, bounded, limit, until_unlocked};
use crate::raw::{RunSql, Sql, raw, sql_query};

/// How long a batch should take: a writer that wants one of its rows waits no longer.
const BATCH: Duration = Duration::from_millis(150);
const FIRST_BATCH: u32 = 2000;
const MOST_ROWS: u32 = 50_000;
const FEWEST_ROWS: u32 = 100;
/// How long a batch waits for a lock on the table.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// How rows are deleted.
pub(super) struct Trim<'a> {
    pub hot: &'static HotTable,
    pub table: &'a str,
    pub cutoff: DateTime<Utc>,
    pub deadline: Deadline,
    pub lock_wait: Duration,
}

#[derive(QueryableByName)]
struct Deleted {
    #[diesel(sql_type = BigInt)]
    rows: i64,
    #[diesel(sql_type = Nullable<Text>)]
    newest: Option<String>,
}

impl Trim<'_> {
    /// Deletes until no row is left that is past its time and that nobody has locked, or the time is up. Returns how many
    /// rows went. After each batch it pauses for as long as the batch took.
    pub fn run(&self, conn: &mut PgConnection, mut observer: impl FnMut(i64)) -> Result<i64, Error> {
        let mut deleted = 0;
        let mut of_pass = 0;
        let mut batch = FIRST_BATCH;
        // Behind the rows that went already: their entries in the index stay until a vacuum.
        let mut from = "-infinity".to_owned();
        while !self.deadline.has_passed() {
            let begun = Instant::now();
            let Deleted { rows, newest } = self.delete(conn, &from, batch)?;
            let took = begun.elapsed();
            deleted += rows;
            of_pass += rows;
            match newest {
                Some(newest) => from = newest,
                // Rows that came late are behind; one pass that finds nothing is the last.
                None if of_pass > 0 => (from, of_pass) = ("-infinity".to_owned(), 0),
                None => break,
            }
            observer(deleted);
            let factor = BATCH.as_secs_f64() / took.as_secs_f64().max(0.001);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a number of rows within bounds"
            )]
            let next = (f64::from(batch) * factor.clamp(0.5, 2.0)) as u32;
            batch = next.clamp(FEWEST_ROWS, MOST_ROWS);
            std::thread::sleep(took.min(self.deadline.left()));
        }
        if deleted > 0 {
            // Nothing is cut off at the end, for which others would have to wait.
            let vacuum = raw!("VACUUM (TRUNCATE false) {table}", table = Sql::identifier(self.table));
            self.until_unlocked(|left| {
                conn.batch(limit("SESSION", left, Duration::ZERO))?;
                let begin = Instant::now();
                conn.batch(&vacuum).map_err(|source| Failure::of_statement(source, left, begin.elapsed()))
            })?;
        }
        Ok(deleted)
    }

    fn delete(&self, conn: &mut PgConnection, from: &str, batch: u32) -> Result<Deleted, Error> {
        // The time once more: under the name there may be another table by now.
        let query = raw!(
            "WITH deleted AS (
                 DELETE FROM {table} WHERE ctid = ANY (ARRAY(
                     SELECT ctid FROM {table} WHERE {time} >= $1::timestamptz AND {time} < $2
                     ORDER BY {time} LIMIT {batch} FOR UPDATE SKIP LOCKED
                 )) AND {time} < $2 RETURNING {time}
             )
             SELECT count(*) AS rows, max({time})::text AS newest FROM deleted",
            table = Sql::identifier(self.table),
            time = self.hot.time_in_sql(),
            batch
        );
        let mut deleted = Deleted { rows: 0, newest: None };
        self.until_unlocked(|left| {
            deleted = conn.transaction(|conn| {
                conn.batch(limit("LOCAL", left.min(LOCK_TIMEOUT), Duration::ZERO))?;
                let begin = Instant::now();
                let query = sql_query(query.clone()).bind::<Text, _>(from).bind::<Timestamptz, _>(self.cutoff);
                query.get_result(conn).map_err(|source| Failure::of_statement(source, LOCK_TIMEOUT, begin.elapsed()))
            })?;
            Ok(())
        })?;
        Ok(deleted)
    }

    /// Does something, again and again where it meets a lock, as long as the run may wait.
    fn until_unlocked(&self, mut run: impl FnMut(Duration) -> Result<(), Failure>) -> Result<(), Error> {
        let table = || self.table.to_owned();
        let on_lock = |error: &diesel::result::Error| {
            tracing::info!(table = self.table, %error, "a table is locked: trying again");
        };
        let ran = until_unlocked(self.lock_wait, on_lock, |deadline| run(bounded(Duration::ZERO, deadline.left())));
        ran.map_err(|failure| match failure {
            Failure::Locked(source) => Error::Locked { table: table(), waited: self.lock_wait, source },
            Failure::Other(source) => Error::Refused { table: table(), source },
        })
    }
}
