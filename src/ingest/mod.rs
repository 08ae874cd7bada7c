//! The bulk write path into the tables that a fleet fills: `resource_metrics`, `quality_metrics`, `agent_metrics` and
//! `events`.
//!
//! [`BulkWriter`] takes rows from an iterator and writes them in chunks over a pool; [`copy`] and [`insert_missing`]
//! write a slice in the caller's transaction. All send COPY in the binary format. What a new row leaves out takes the
//! default of its column, and a row without an id gets one, in the hot tables an id of version 7 of the time of its
//! sample ([`ids`]).
//!
//! Nothing here makes up rows, reads files or changes a row that is there.

mod binary;
pub mod ids;
mod send;
mod tables;
mod writer;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

pub(crate) use self::send::insert_new;
pub use self::send::{copy, insert_missing};
pub(crate) use self::tables::{at_once, empty_object, gauge};
pub(crate) use self::writer::Settled;
pub use self::writer::{BulkWriter, OnConflict, Progress, Report, Through};

/// Where a COPY goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(hidden)]
pub enum Place {
    /// The table itself.
    Table,
    /// The temporary table that stands in for it.
    Staging,
}

/// What only this room knows of a row.
mod sealed {
    use super::{DateTime, PgConnection, Place, QueryResult, Utc, Uuid, binary};

    pub trait Row: Sized {
        /// Appends the row under this id, what is left out filled in.
        fn put(&self, id: Uuid, now: DateTime<Utc>, batch: &mut binary::Batch) -> Result<(), binary::TooLong>;

        /// Fills in what is left out, but for the id.
        fn fill(&mut self, now: DateTime<Utc>);

        /// Sends rows of a [`binary::Batch`].
        fn copy(conn: &mut PgConnection, into: Place, rows: &[u8]) -> QueryResult<usize>;
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

    /// Name of the temporary table through which rows go that may not be copied.
    const STAGING: &'static str;

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
