//! Deletes the rows of a table that are past their time, in small batches that nobody has to wait for.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::error::Error;
use super::rows;
use crate::catalog::HotTable;
use crate::deadline::Deadline;
use crate::migrate::{Failure, bounded, limit, until_unlocked};
use crate::raw::{RunSql, Sql, raw, sql_query};
use crate::transfer;

/// How long a batch should take: a writer that wants one of its rows waits no longer.
const BATCH: Duration = Duration::from_millis(150);
const FIRST_BATCH: u32 = 2000;
const MOST_ROWS: u32 = 50_000;
const FEWEST_ROWS: u32 = 100;
/// How long a batch waits for a lock.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// How rows are deleted.
pub(super) struct Trim<'a> {
    pub hot: &'static HotTable,
    pub table: &'a str,
    /// Over the nodes of a cluster.
    pub is_distributed: bool,
    pub cutoff: DateTime<Utc>,
    pub deadline: Deadline,
    pub lock_wait: Duration,
}

/// How many rows a batch has.
pub(super) struct Pace(u32);

impl Pace {
    pub const fn new() -> Self {
        Self(FIRST_BATCH)
    }

    pub const fn batch(&self) -> u32 {
        self.0
    }

    /// Pauses for as long as a batch took, and makes the next one one that takes as long as it should.
    pub fn pause(&mut self, took: Duration, deadline: Deadline) {
        let factor = BATCH.as_secs_f64() / took.as_secs_f64().max(0.001);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of rows within bounds")]
        let next = (f64::from(self.0) * factor.clamp(0.5, 2.0)) as u32;
        self.0 = next.clamp(FEWEST_ROWS, MOST_ROWS);
        std::thread::sleep(took.min(deadline.left()));
    }
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
    /// rows went.
    pub fn run(&self, conn: &mut PgConnection, mut observer: impl FnMut(i64)) -> Result<i64, Error> {
        let (mut deleted, mut of_pass, mut pace) = (0, 0, Pace::new());
        // Behind the rows that went already: their entries in the index stay until a vacuum.
        let mut from = "-infinity".to_owned();
        while !self.deadline.has_passed() {
            let begun = Instant::now();
            let Deleted { rows, newest } = match self.is_distributed {
                true => self.delete_up_to_a_time(conn, &from, pace.batch())?,
                false => self.delete(conn, &from, pace.batch())?,
            };
            deleted += rows;
            of_pass += rows;
            match newest {
                Some(newest) => from = newest,
                // Rows that came late are behind; one pass that finds nothing is the last.
                None if of_pass > 0 => (from, of_pass) = ("-infinity".to_owned(), 0),
                None => break,
            }
            observer(deleted);
            pace.pause(begun.elapsed(), self.deadline);
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
        self.in_transaction(conn, |conn| {
            sql_query(query.clone()).bind::<Text, _>(from).bind::<Timestamptz, _>(self.cutoff).get_result(conn)
        })
    }

    /// Where a row has no place by which it is found: those of one time go together, and locked ones are waited for.
    fn delete_up_to_a_time(&self, conn: &mut PgConnection, from: &str, batch: u32) -> Result<Deleted, Error> {
        let (table, time) = (Sql::identifier(self.table), self.hot.time_in_sql());
        let newest = raw!(
            "SELECT 0::bigint AS rows, max({time})::text AS newest
             FROM (SELECT {time} FROM {table} WHERE {time} >= $1::timestamptz AND {time} < $2 ORDER BY {time} LIMIT {batch}) AS batch",
            table = &table,
            time,
            batch
        );
        let delete = raw!(
            "DELETE FROM {table} WHERE {time} >= $1::timestamptz AND {time} <= $3::timestamptz AND {time} < $2",
            table,
            time
        );
        self.in_transaction(conn, |conn| {
            let mut found: Deleted =
                sql_query(newest.clone()).bind::<Text, _>(from).bind::<Timestamptz, _>(self.cutoff).get_result(conn)?;
            if let Some(newest) = &found.newest {
                let delete = sql_query(delete.clone()).bind::<Text, _>(from).bind::<Timestamptz, _>(self.cutoff);
                found.rows = i64::try_from(delete.bind::<Text, _>(newest).execute(conn)?).unwrap_or(i64::MAX);
            }
            Ok(found)
        })
    }

    /// Deletes those of these rows that are still what they were when their hashes were made.
    pub fn delete_archived(
        &self,
        conn: &mut PgConnection,
        table: transfer::Table,
        ids: &[Uuid],
        hashes: &[Vec<u8>],
    ) -> Result<i64, Error> {
        let query = raw!(
            "DELETE FROM {table} USING unnest($1::uuid[], $2::bytea[]) AS archived (archived_id, archived_hash)
             WHERE id = archived_id AND {time} < $3 AND {hash} = archived_hash",
            table = Sql::identifier(self.table),
            time = self.hot.time_in_sql(),
            hash = rows::hash(table)
        );
        let deleted = self.in_transaction(conn, |conn| {
            sql_query(query.clone())
                .bind::<Array<SqlUuid>, _>(ids)
                .bind::<Array<Binary>, _>(hashes)
                .bind::<Timestamptz, _>(self.cutoff)
                .execute(conn)
        })?;
        Ok(i64::try_from(deleted).unwrap_or(i64::MAX))
    }

    /// Makes room for new rows. Nothing is cut off at the end, for which others would have to wait.
    pub fn vacuum(&self, conn: &mut PgConnection) -> Result<(), Error> {
        let vacuum = raw!("VACUUM (TRUNCATE false) {table}", table = Sql::identifier(self.table));
        self.until_unlocked(|left| {
            conn.batch(limit("SESSION", left, Duration::ZERO))?;
            let begin = Instant::now();
            conn.batch(&vacuum).map_err(|source| Failure::of_statement(source, left, begin.elapsed()))
        })
    }

    /// Does something in a transaction that waits for a lock only shortly, and again where it meets one.
    pub fn in_transaction<T>(
        &self,
        conn: &mut PgConnection,
        mut run: impl FnMut(&mut PgConnection) -> QueryResult<T>,
    ) -> Result<T, Error> {
        self.until_unlocked(|left| {
            conn.transaction(|conn| {
                let short = left.min(LOCK_TIMEOUT);
                conn.batch(limit("LOCAL", short, Duration::ZERO))?;
                let begin = Instant::now();
                run(conn).map_err(|source| Failure::of_statement(source, short, begin.elapsed()))
            })
        })
    }

    /// Does something, again and again where it meets a lock, as long as the run may wait.
    fn until_unlocked<T>(&self, mut run: impl FnMut(Duration) -> Result<T, Failure>) -> Result<T, Error> {
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
