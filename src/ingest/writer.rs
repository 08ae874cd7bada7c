//! Rows of an iterator into their table.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64};

use chrono::Utc;
use serde::Serialize;

use super::batch::Batch;
use super::loading::{Loaded, Loading};
use super::path::{OnConflict, Through};
use super::pipeline::{Connections, Done, Feed, Next, Origins, Pipeline, Progress};
use super::search::Refused;
use super::{Ingest, sealed};
use crate::connection::Pool;
use crate::error::{Error, Result};
use crate::id::CustomerId;

/// Rows in a chunk by default: some tenths of a second of the server's work, of which the wait for the disk
/// at the end of each transaction is one hundredth.
const ROWS_PER_CHUNK: usize = 25_000;

/// Writes rows from an iterator into their table.
///
/// ```no_run
/// # use optiinfra_db::ingest::{BulkWriter, OnConflict};
/// # use optiinfra_db::models::NewResourceMetric;
/// # fn f(pool: &optiinfra_db::connection::Pool, samples: Vec<NewResourceMetric>) -> optiinfra_db::Result<()> {
/// let report = BulkWriter::new(pool).connections(2).on_conflict(OnConflict::Skip).write(samples)?;
/// assert_eq!(report.received, report.written + report.skipped);
/// # Ok(())
/// # }
/// ```
///
/// A chunk is written whole or not at all. The first failure ends it: the chunks that other connections have in hand
/// are completed, no other is begun, and the error says how many rows were committed. To write the same input
/// again after that, or after a crash, give [`OnConflict::Skip`], and ids that are the same again: the rows' own, or
/// those of [`BulkWriter::retry_key`].
pub struct BulkWriter<'a, R> {
    pool: &'a Pool,
    connections: usize,
    rows_per_chunk: usize,
    on_conflict: OnConflict,
    retry_key: Option<Vec<u8>>,
    customer: Option<CustomerId>,
    loading: Loading,
    cancel: Option<&'a AtomicBool>,
    progress: Option<Box<dyn FnMut(Progress) + 'a>>,
    rows: PhantomData<fn(R)>,
}

/// What a [`BulkWriter`] did with its input.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Name of the table.
    pub table: &'static str,
    /// Rows in the input.
    pub received: u64,
    /// Rows written.
    pub written: u64,
    /// Rows left out because they are there already.
    pub skipped: u64,
    /// Chunks written, each a transaction.
    pub chunks: u64,
    /// What was asked for.
    pub on_conflict: OnConflict,
    /// How the rows got into the table; `None` where none went into the table itself.
    pub through: Option<Through>,
    /// The partitions that were loaded whole.
    pub loaded: Vec<Loaded>,
}

impl<'a, R: Ingest> BulkWriter<'a, R> {
    /// A writer with one connection, which refuses rows that are there already.
    pub fn new(pool: &'a Pool) -> Self {
        Self {
            pool,
            connections: 1,
            rows_per_chunk: ROWS_PER_CHUNK,
            on_conflict: OnConflict::default(),
            retry_key: None,
            customer: None,
            loading: Loading::rows(),
            cancel: None,
            progress: None,
            rows: PhantomData,
        }
    }

    /// Number of connections to write over at once, from one to as many as the pool has; fewer are used while others
    /// have them. With more than one the chunks are not committed in the order of the input.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        let most = usize::try_from(self.pool.max_size()).unwrap_or(usize::MAX);
        self.connections = connections.clamp(1, most.max(1));
        self
    }

    /// Number of rows in a transaction, from 1 to 100,000 (default 25,000); fewer where the rows are large.
    #[must_use]
    pub fn rows_per_chunk(mut self, rows: usize) -> Self {
        self.rows_per_chunk = rows.clamp(1, 100_000);
        self
    }

    /// Says what becomes of a row that is there already.
    #[must_use]
    pub fn on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.on_conflict = on_conflict;
        self
    }

    /// Derives the id of each row that has none from this key and the row's position in the input, so that the same
    /// input has the same ids when it is written again. Without a key such rows get random ids. A row without a time
    /// of its own gets another one each time, and with it another id.
    #[must_use]
    pub fn retry_key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.retry_key = Some(key.into());
        self
    }

    /// Works for this customer, for the length of each transaction: a role under row security has to say for whom it
    /// writes. Without, the sessions of the pool say it themselves, or are not subject to it.
    #[must_use]
    pub fn for_customer(mut self, id: CustomerId) -> Self {
        self.customer = Some(id);
        self
    }

    /// Loads whole partitions, each of them a transaction, where it can. Without, and while few rows come, rows go into the
    /// table itself.
    #[must_use]
    pub fn loading(mut self, loading: Loading) -> Self {
        self.loading = loading;
        self
    }

    /// Stops early once the flag is set: it takes no more rows and begins no more chunks. A chunk that the server
    /// has in hand is completed.
    #[must_use]
    pub fn cancelled_by(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Calls this on the writing thread after each chunk.
    #[must_use]
    pub fn progress(mut self, report: impl FnMut(Progress) + 'a) -> Self {
        self.progress = Some(Box::new(report));
        self
    }

    /// Writes rows.
    ///
    /// A writer writes one input: with [`BulkWriter::retry_key`] the first row of another one would have the id of this
    /// one's first row, and be skipped.
    ///
    /// ```compile_fail,E0382
    /// # use optiinfra_db::{Result, ingest::BulkWriter, models::NewEvent};
    /// # fn f(pool: &optiinfra_db::connection::Pool, one: Vec<NewEvent>, other: Vec<NewEvent>) -> Result<()> {
    /// let writer = BulkWriter::new(pool).retry_key("usage.csv");
    /// writer.write(one)?;
    /// writer.write(other)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`super::Error::RowRefused`] for a row that the server does not take, [`super::Error::ChunkFailed`] for what is no row's
    /// fault, and [`super::Error::Cancelled`].
    pub fn write(self, rows: impl IntoIterator<Item = R>) -> Result<Report> {
        self.try_write(rows.into_iter().map(Ok))
    }

    /// Writes rows of an input that may fail. Its error ends the writing and is returned; rows of whole chunks before
    /// it may be written by then, as [`BulkWriter::progress`] tells.
    ///
    /// # Errors
    ///
    /// As [`BulkWriter::write`]; where nothing of that happened, the first error of the input.
    pub fn try_write<E: From<Error>>(self, rows: impl IntoIterator<Item = Result<R, E>>) -> Result<Report, E> {
        let pipeline = Pipeline {
            table: <R as sealed::Row>::table(),
            connections: Connections::Pool(self.pool, self.connections),
            on_conflict: self.on_conflict,
            customer: self.customer,
            rows_per_chunk: self.rows_per_chunk,
            allowance: &AtomicU64::new(0),
            cancel: self.cancel,
            loading: &self.loading,
        };
        let mut feed =
            Rows { rows: rows.into_iter(), received: 0, retry_key: self.retry_key, progress: self.progress, chunks: 0 };
        let Done { progress, through, loaded } = pipeline.run(&mut feed)?;
        let Progress { received, written, skipped, chunks } = progress;
        Ok(Report {
            table: R::TABLE,
            received,
            written,
            skipped,
            chunks,
            on_conflict: self.on_conflict,
            through,
            loaded,
        })
    }
}

/// An iterator of typed rows as an input.
struct Rows<'a, I> {
    rows: I,
    received: u64,
    retry_key: Option<Vec<u8>>,
    progress: Option<Box<dyn FnMut(Progress) + 'a>>,
    /// Chunks that were written when progress was last reported.
    chunks: u64,
}

/// The positions of rows in the input.
#[derive(Default)]
struct Positions(Vec<u64>);

impl Origins for Positions {
    fn put(&self, row: usize, out: &mut Vec<u8>) {
        out.extend(self.0.get(row).map(|position| position.to_le_bytes()).unwrap_or_default());
    }

    fn take(&mut self, row: &[u8]) {
        self.0.extend(row.try_into().map(u64::from_le_bytes));
    }
}

impl<R: Ingest, E: From<Error>, I: Iterator<Item = Result<R, E>>> Feed for Rows<'_, I> {
    type Origins = Positions;
    type Error = E;

    fn next(&mut self, batch: &mut Batch, positions: &mut Positions) -> Result<Next, E> {
        let Some(row) = self.rows.next() else { return Ok(Next::End) };
        let (row, now) = (row?, Utc::now());
        self.received += 1;
        let new_id = || match &self.retry_key {
            None => row.new_id(now),
            Some(key) => row.id_of(&[key.as_slice(), b"#", &self.received.to_be_bytes()].concat(), now),
        };
        let id = row.id().unwrap_or_else(new_id);
        Ok(match row.put(id, now, batch) {
            Ok(()) => {
                positions.0.push(self.received);
                Next::Row
            }
            Err(error) => Next::TooLong(id, error),
        })
    }

    fn position(&self, positions: &Positions, row: usize) -> Option<u64> {
        positions.0.get(row).copied()
    }

    fn refused(&mut self, _: &Positions, _: &Refused) {}

    fn settled(&mut self, positions: &mut Positions, progress: Progress) {
        positions.0.clear();
        let is_new = std::mem::replace(&mut self.chunks, progress.chunks) < progress.chunks;
        if let Some(report) = self.progress.as_mut().filter(|_| is_new) {
            report(progress);
        }
    }
}
