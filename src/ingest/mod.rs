//! The bulk write path into the tables that a fleet fills: `resource_metrics`, `quality_metrics`, `agent_metrics` and
//! `events`.
//!
//! [`BulkWriter`] takes rows from an iterator and writes them in chunks over a pool; [`copy`] and [`insert_missing`]
//! write a slice in the caller's transaction. All send COPY in the binary format. What a new row leaves out takes the
//! default of its column, and a row without an id gets one, in the hot tables an id of version 7 of the time of its
//! sample ([`ids`]).
//!
//! Nothing here makes up rows, reads files or changes a row that is there.

#![cfg_attr(not(feature = "transfer"), expect(unused_imports, reason = "import uses these too"))]

mod attempt;
mod batch;
mod error;
pub mod ids;
mod load;
mod loading;
mod path;
mod pipeline;
mod search;
mod table;
mod tables;
mod worker;
mod writer;

use std::sync::atomic::AtomicU64;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as Diesel;
use uuid::Uuid;

use self::attempt::Failure;
pub(crate) use self::batch::{Batch, Encode, TooLong, put_json, put_null};
pub use self::error::Error;
pub(crate) use self::error::committed;
pub(crate) use self::load::prepare;
pub use self::loading::{Load, Loaded, Loading};
use self::path::WritePath;
pub use self::path::{OnConflict, Through};
pub use self::pipeline::Progress;
pub(crate) use self::pipeline::{Connections, Feed, Next, Origins, Pipeline};
pub(crate) use self::search::Refused;
pub(crate) use self::table::Table;
pub(crate) use self::tables::{AGENT_METRICS, EVENTS, QUALITY_METRICS, RESOURCE_METRICS};
pub use self::writer::{BulkWriter, Report};
use crate::error::Result;

/// What only this module knows of a row.
mod sealed {
    use super::{Batch, DateTime, Table, TooLong, Utc, Uuid};

    pub trait Row: Sized {
        fn table() -> &'static Table;

        /// Appends the row under this id, what is left out filled in.
        fn put(&self, id: Uuid, now: DateTime<Utc>, batch: &mut Batch) -> std::result::Result<(), TooLong>;

        /// Fills in what is left out, but for the id.
        fn fill(&mut self, now: DateTime<Utc>);
    }
}

/// A row that is written in bulk.
///
/// Implemented for the new rows of the four tables, and for their whole rows: `NewAgentMetric` cannot say that `tags`
/// is null, for what it leaves out takes the default, and `AgentMetric` can.
pub trait Ingest: sealed::Row + Send + 'static {
    /// Name of the table.
    const TABLE: &'static str;

    /// Every column of the table, the id first.
    const COLUMNS: &'static [&'static str];

    /// An id for this row: in a hot table of version 7 and the time of the sample, else of version 4. A sample
    /// without a time is taken now.
    fn new_id(&self, now: DateTime<Utc>) -> Uuid;

    /// The id of the row that has this key within its table, so that a retry gives the same: of version 7 and the
    /// time of the sample in a hot table, else of version 5.
    fn id_of(&self, key: &[u8], now: DateTime<Utc>) -> Uuid;

    /// The id, if the row has one.
    fn id(&self) -> Option<Uuid>;

    /// Gives the row an id.
    fn set_id(&mut self, id: Uuid);

    /// Fills in what the row leaves out: the default of each column, now for the times among them, and an id.
    ///
    /// Nobody has to call this before writing; it is for those who want to see the whole row first.
    fn complete(&mut self, now: DateTime<Utc>) {
        if self.id().is_none() {
            self.set_id(self.new_id(now));
        }
        self.fill(now);
    }
}

/// Writes rows in the caller's transaction, by one COPY where that is allowed, and returns how many these were.
///
/// The rows are held twice in memory while that lasts; for more than some 100,000 use [`BulkWriter`]. The
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

fn write<R: Ingest>(conn: &mut PgConnection, on_conflict: OnConflict, rows: &[R]) -> Result<u64> {
    let (table, now) = (R::TABLE, Utc::now());
    let refused = |row: usize, id, source| {
        let row = row as u64 + 1;
        Error::RowRefused { table, row, id, written: 0, in_doubt: 0, source }
    };
    let mut batch = Batch::default();
    for (at, row) in rows.iter().enumerate() {
        let id = row.id().unwrap_or_else(|| row.new_id(now));
        row.put(id, now, &mut batch).map_err(|error| refused(at, id, Diesel::SerializationError(Box::new(error))))?;
    }
    let path = WritePath::find(conn, R::table(), on_conflict, None)?;
    let written = path.write(conn, &mut batch, &AtomicU64::new(0), &mut Vec::new());
    Ok(written.map_err(|failure| match failure {
        Failure::OneTooMany(Refused { row, id, source }) => refused(row, id, source),
        Failure::Failed { source, .. } => {
            let source = Box::new(write_failed(table, source));
            Error::ChunkFailed { table, first: 1, last: rows.len() as u64, written: 0, in_doubt: 0, source }
        }
    })?)
}

fn write_failed(table: &str, source: Diesel) -> crate::Error {
    crate::Error::Query { doing: format!("write to {table}"), source }
}
