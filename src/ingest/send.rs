//! One batch of rows to the server, within one transaction: by COPY into the table, or by COPY into a temporary table
//! and INSERT from there, where COPY may not or cannot do what is wanted.
//!
//! When the server refuses a batch it does not say which row it means, so the row is searched for, in a transaction
//! that is rolled back.

use std::collections::HashSet;

use chrono::Utc;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as Diesel};
use diesel::sql_types::{Bool, Text, Uuid as SqlUuid};
use serde::Serialize;
use uuid::Uuid;

use super::binary::Batch;
use super::{Ingest, Place};
use crate::error::{Doing, Error, Result};
use crate::id::CustomerId;
use crate::raw::{RunSql as _, Sql, raw, sql_query};
use crate::tenant::SET_CUSTOMER;

/// Rows that are sent together behind one that the server did not take; twice as many each time that it takes them.
const FIRST_STEP: usize = 64;

/// What becomes of a row whose id, or other unique value, is there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnConflict {
    /// It is an error that names the row. The fastest, for it is plain COPY.
    #[default]
    Refuse,
    /// It is left out and counted as skipped, so that the same rows may be written again after a crash.
    Skip,
}

/// How rows got into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Through {
    /// By COPY into the table itself.
    Copy,
    /// By COPY into a temporary table and INSERT from there: to skip rows, and where row security forbids COPY.
    Staging,
}

/// Writes rows in the caller's transaction, by one COPY where that is allowed, and returns how many these were.
///
/// The rows are held twice in memory while that lasts; for more than some 100,000 use [`super::BulkWriter`]. The
/// caller's transaction must be one of Diesel's; without one the rows are a transaction of their own.
///
/// # Errors
///
/// [`Error::RowRefused`] names the first row that the server does not take, for instance because its id is there
/// already; [`Error::ChunkFailed`] where no row is to blame. Nothing is written then, and the caller's transaction
/// can go on.
pub fn copy<R: Ingest>(conn: &mut PgConnection, rows: &[R]) -> Result<u64> {
    write(conn, OnConflict::Refuse, rows)
}

/// Writes those rows that are not there yet, in the caller's transaction, and returns how many these were.
///
/// A row is there when its id is, or another value that must be unique, as is `request_id`. The rows go through a
/// temporary table that the session keeps. Otherwise as [`copy`].
///
/// # Errors
///
/// As [`copy`], but never for a row that is there.
pub fn insert_missing<R: Ingest>(conn: &mut PgConnection, rows: &[R]) -> Result<u64> {
    write(conn, OnConflict::Skip, rows)
}

/// As [`insert_missing`], and says of each row whether it was written. Of rows that contradict each other it is the first.
pub(crate) fn insert_new<R: Ingest>(conn: &mut PgConnection, rows: &[R]) -> Result<Vec<bool>> {
    let batch = batch_of(rows)?;
    let way = Way::find::<R>(conn, OnConflict::Skip, None)?;
    match conn.transaction(|conn| way.send_to_know::<R>(conn, batch.rows(0..batch.len()))) {
        Ok(mut written) => Ok((0..batch.len()).map(|row| written.remove(&batch.id(row))).collect()),
        Err(source) => Err(way.refused::<R>(conn, &batch, source)),
    }
}

fn write<R: Ingest>(conn: &mut PgConnection, on_conflict: OnConflict, rows: &[R]) -> Result<u64> {
    let batch = batch_of(rows)?;
    let way = Way::find::<R>(conn, on_conflict, None)?;
    let sent = conn.transaction(|conn| way.send::<R>(conn, batch.rows(0..batch.len())));
    sent.map_err(|source| way.refused::<R>(conn, &batch, source))
}

fn batch_of<R: Ingest>(rows: &[R]) -> Result<Batch> {
    let now = Utc::now();
    let mut batch = Batch::default();
    for (row, position) in rows.iter().zip(1..) {
        let id = row.id().unwrap_or_else(|| row.new_id(now));
        if let Err(error) = row.put(id, now, &mut batch) {
            let source = Diesel::SerializationError(Box::new(error));
            return Err(Error::RowRefused { table: R::TABLE, row: position, id, written: 0, in_doubt: 0, source });
        }
    }
    Ok(batch)
}

/// A row's place as a number that outlives this machine's word size.
pub(super) fn position(index: usize) -> u64 {
    u64::try_from(index).unwrap_or(u64::MAX)
}

/// A row that the server does not take.
pub(super) struct Culprit {
    /// Its index in the batch.
    pub(super) row: usize,
    pub(super) id: Uuid,
    /// What the server says of it.
    pub(super) source: Diesel,
}

/// Who is to blame for a refused batch.
pub(super) enum Blame {
    /// Rows, in their order: the first, and those behind it.
    Rows(Culprit, Vec<Culprit>),
    /// No row, as far as one can tell; what the server said.
    Nobody(Diesel),
    /// Nobody any more: the same rows are taken now.
    Past(Diesel),
}

/// How rows get into a table on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    through: Through,
    on_conflict: OnConflict,
    /// For whom the session works, where that is to be said.
    customer: Option<CustomerId>,
}

#[derive(QueryableByName)]
struct Probe {
    #[diesel(sql_type = Bool)]
    secured: bool,
    #[diesel(sql_type = Bool)]
    staged: bool,
    #[diesel(sql_type = Bool)]
    fits: bool,
}

impl Way {
    /// Asks the server, and makes the temporary table where it takes one.
    pub(super) fn find<R: Ingest>(
        conn: &mut PgConnection,
        on_conflict: OnConflict,
        customer: Option<CustomerId>,
    ) -> Result<Self> {
        let probe: Probe = sql_query(include_str!("probe.sql"))
            .bind::<Text, _>(R::TABLE)
            .bind::<Text, _>(format!("pg_temp.{}", R::STAGING))
            .get_result(conn)
            .doing(format!("see how rows get into {}", R::TABLE))?;
        if !probe.secured && on_conflict == OnConflict::Refuse {
            return Ok(Self { through: Through::Copy, on_conflict, customer });
        }
        if !(probe.staged && probe.fits) {
            make_staging::<R>(conn, probe.staged).doing(format!("make a temporary table for {}", R::TABLE))?;
        }
        Ok(Self { through: Through::Staging, on_conflict, customer })
    }

    pub(super) fn through(self) -> Through {
        self.through
    }

    /// Sends rows of a batch and returns how many were written. To be called in a transaction.
    pub(super) fn send<R: Ingest>(self, conn: &mut PgConnection, rows: &[u8]) -> QueryResult<u64> {
        if let Some(customer) = self.customer {
            sql_query(SET_CUSTOMER).bind::<Text, _>(customer.to_string()).execute(conn)?;
        }
        let written = match self.through {
            Through::Copy => R::copy(conn, Place::Table, rows)?,
            Through::Staging => {
                self.stage::<R>(conn, rows)?;
                sql_query(self.insert::<R>("")).execute(conn)?
            }
        };
        Ok(position(written))
    }

    /// Sends rows of a batch through the temporary table, and returns the ids of those that were written.
    fn send_to_know<R: Ingest>(self, conn: &mut PgConnection, rows: &[u8]) -> QueryResult<HashSet<Uuid>> {
        #[derive(QueryableByName)]
        struct Written {
            #[diesel(sql_type = SqlUuid)]
            id: Uuid,
        }
        self.stage::<R>(conn, rows)?;
        let written: Vec<Written> =
            sql_query(raw!("{insert} RETURNING id", insert = self.insert::<R>(""))).load(conn)?;
        Ok(written.into_iter().map(|written| written.id).collect())
    }

    /// Fills the temporary table with rows of a batch.
    fn stage<R: Ingest>(self, conn: &mut PgConnection, rows: &[u8]) -> QueryResult<()> {
        empty_staging::<R>(conn)?;
        R::copy(conn, Place::Staging, rows).map(drop)
    }

    /// The statement that moves rows from the temporary table into the table, in the order in which they came: all, or
    /// those of a condition.
    fn insert<R: Ingest>(self, only: &'static str) -> Sql {
        let columns = Sql::join(R::COLUMNS.iter().map(|column| Sql::identifier(column)), ", ");
        let skip = match self.on_conflict {
            OnConflict::Refuse => "",
            OnConflict::Skip => " ON CONFLICT DO NOTHING",
        };
        raw!(
            "INSERT INTO {table} ({columns}) SELECT {columns} FROM pg_temp.{staging}{only}{skip}",
            table = R::TABLE,
            columns,
            staging = R::STAGING,
            only,
            skip
        )
    }

    /// The error for a batch that the server refused.
    fn refused<R: Ingest>(self, conn: &mut PgConnection, batch: &Batch, source: Diesel) -> Error {
        let (table, last) = (R::TABLE, position(batch.len()));
        let failed = |source| {
            let source = Box::new(Error::Query { doing: format!("write to {table}"), source });
            Error::ChunkFailed { table, first: 1, last, written: 0, in_doubt: 0, source }
        };
        match self.blame::<R>(conn, batch, source, 1) {
            Blame::Rows(Culprit { row, id, source }, _) => {
                Error::RowRefused { table, row: position(row) + 1, id, written: 0, in_doubt: 0, source }
            }
            Blame::Nobody(source) | Blame::Past(source) => failed(source),
        }
    }

    /// Finds the first rows that the server does not take, at most so many, given what it said of the whole batch. Writes
    /// nothing.
    pub(super) fn blame<R: Ingest>(
        self,
        conn: &mut PgConnection,
        batch: &Batch,
        refusal: Diesel,
        most: usize,
    ) -> Blame {
        if !may_mean_a_row(&refusal) {
            return if is_passing(&refusal) { Blame::Past(refusal) } else { Blame::Nobody(refusal) };
        }
        let mut culprits = Vec::new();
        let search = conn.transaction(|conn| {
            // Without a row, the server takes none either when it is the table that it objects to.
            self.send::<R>(conn, batch.rows(0..0))?;
            culprits = self.search::<R>(conn, batch, most)?;
            QueryResult::<()>::Err(Diesel::RollbackTransaction)
        });
        if !matches!(search, Err(Diesel::RollbackTransaction)) {
            return Blame::Nobody(refusal);
        }
        let mut culprits = culprits.into_iter();
        let Some(first) = culprits.next() else { return Blame::Past(refusal) };
        if first.row > 0 && !is_certain(&first.source) && !self.takes::<R>(conn, batch, 0) {
            // What it took a moment ago it does not take now: the world has changed, not the row.
            return Blame::Nobody(refusal);
        }
        Blame::Rows(first, culprits.collect())
    }

    /// Adds rows for as long as the server takes them, and halves what it does not take. Every row is written about
    /// once, and each only on top of all before it, so a row that contradicts an earlier one is found too.
    fn search<R: Ingest>(self, conn: &mut PgConnection, batch: &Batch, most: usize) -> QueryResult<Vec<Culprit>> {
        let staged = if self.through == Through::Staging { self.staged::<R>(conn, batch) } else { None };
        let mut culprits = Vec::new();
        // One of the rows from `next` up to `refused` is not taken; of those behind them nothing is known.
        let (mut next, mut refused, mut step) = (0, batch.len(), batch.len());
        while next < batch.len() && culprits.len() < most {
            let until = match refused.checked_sub(next) {
                Some(1) => refused,
                Some(left @ 2..) => next + left / 2,
                _ => batch.len().min(next + step),
            };
            let added = conn.transaction(|conn| match &staged {
                Some(places) => self.add::<R>(conn, &places[next..until]),
                None => self.send::<R>(conn, batch.rows(next..until)).map(drop),
            });
            match added {
                Ok(()) => (next, step) = (until, step.saturating_mul(2)),
                Err(error) if !may_mean_a_row(&error) => return Err(error),
                Err(source) if until - next == 1 => {
                    culprits.push(Culprit { row: next, id: batch.id(next), source });
                    // The next one is often near.
                    (next, refused, step) = (until, until, FIRST_STEP);
                }
                Err(_) => refused = until,
            }
        }
        Ok(culprits)
    }

    /// Where the rows stand in the temporary table, if it takes them all: they need not be sent again and again then. To
    /// empty it, or to look through it, takes the longer the more often that was done in the same transaction.
    fn staged<R: Ingest>(self, conn: &mut PgConnection, batch: &Batch) -> Option<Vec<String>> {
        #[derive(QueryableByName)]
        struct Staged {
            #[diesel(sql_type = Text)]
            place: String,
        }
        let staged = conn.transaction(|conn| {
            self.stage::<R>(conn, batch.rows(0..batch.len()))?;
            let query = raw!("SELECT ctid::text AS place FROM pg_temp.{staging}", staging = R::STAGING);
            sql_query(query).load::<Staged>(conn)
        });
        // Where it does not take them, sending them in parts tells which it does not take.
        Some(staged.ok()?.into_iter().map(|staged| staged.place).collect())
    }

    /// Moves rows that stand at these places.
    fn add<R: Ingest>(self, conn: &mut PgConnection, places: &[String]) -> QueryResult<()> {
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(()) };
        sql_query(self.insert::<R>(" WHERE ctid BETWEEN $1::tid AND $2::tid"))
            .bind::<Text, _>(first)
            .bind::<Text, _>(last)
            .execute(conn)
            .map(drop)
    }

    /// Whether the server takes a row by itself. Writes nothing.
    fn takes<R: Ingest>(self, conn: &mut PgConnection, batch: &Batch, row: usize) -> bool {
        let mut taken = false;
        let undone = conn.transaction(|conn| {
            self.send::<R>(conn, batch.rows(row..row + 1))?;
            taken = true;
            QueryResult::<()>::Err(Diesel::RollbackTransaction)
        });
        taken && matches!(undone, Err(Diesel::RollbackTransaction))
    }
}

/// Makes the temporary table anew. The session may change its role later, and nobody else can see the table, so every
/// role may use it.
fn make_staging<R: Ingest>(conn: &mut PgConnection, replace: bool) -> QueryResult<()> {
    let (table, staging) = (R::TABLE, R::STAGING);
    conn.transaction(|conn| {
        if replace {
            conn.batch(raw!("DROP TABLE pg_temp.{staging}", staging))?;
        }
        conn.batch(raw!("CREATE TEMPORARY TABLE {staging} (LIKE {table}) ON COMMIT DELETE ROWS", staging, table))?;
        conn.batch(raw!("GRANT SELECT, INSERT, TRUNCATE ON pg_temp.{staging} TO PUBLIC", staging))
    })
}

/// The end of a transaction empties the table, but one transaction may send many times.
fn empty_staging<R: Ingest>(conn: &mut PgConnection) -> QueryResult<()> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        used: bool,
    }
    let staging = R::STAGING;
    let found: Found =
        sql_query(raw!("SELECT EXISTS (SELECT FROM pg_temp.{staging}) AS used", staging)).get_result(conn)?;
    if found.used {
        conn.batch(raw!("TRUNCATE pg_temp.{staging}", staging))?;
    }
    Ok(())
}

/// Whether the server can only have meant a row.
fn is_certain(error: &Diesel) -> bool {
    use DatabaseErrorKind::{CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation};
    matches!(error, Diesel::DatabaseError(UniqueViolation | ForeignKeyViolation | NotNullViolation | CheckViolation, _))
}

/// Whether two sessions were in each other's way, of which this one had to yield.
fn is_passing(error: &Diesel) -> bool {
    match error {
        Diesel::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        Diesel::DatabaseError(_, info) => info.message().contains("deadlock detected"),
        _ => false,
    }
}

/// Whether the server may have meant a row. Diesel does not tell its codes, so words have to do; where the server
/// speaks another language, the search ends without a culprit, or at a row that it takes by itself.
fn may_mean_a_row(error: &Diesel) -> bool {
    const OTHER_CAUSES: [&str; 10] = [
        "No space left",
        "could not extend",
        "could not write",
        "deadlock detected",
        "canceling",
        "terminating",
        "out of memory",
        "out of shared memory",
        "server closed the connection",
        "no connection to the server",
    ];
    match error {
        Diesel::DatabaseError(DatabaseErrorKind::Unknown, info) => {
            !OTHER_CAUSES.iter().any(|words| info.message().contains(words))
        }
        error => is_certain(error),
    }
}
