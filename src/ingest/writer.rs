//! Rows of an iterator into a table, in chunks, over several connections at once.
//!
//! The calling thread takes the rows and packs them; each chunk is one transaction on one of the connections. There
//! are a few chunks in all and they go round, full to the connections and empty back: that bounds the memory, and
//! makes a fast input wait for a slow server. What became of a chunk comes back with it, so that only the calling
//! thread counts. A connection is taken before a chunk is: others may have the pool's, and as long as there is one to
//! write over, the rows do not wait for more.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use diesel::prelude::*;
use diesel::result::Error as Diesel;
use serde::Serialize;
use uuid::Uuid;

use super::Ingest;
use super::binary::Batch;
use super::send::{Blame, Culprit, Way, position};
pub use super::send::{OnConflict, Through};
use crate::connection::{self, Pool, Pooled};
use crate::error::{Error, Result};
use crate::id::CustomerId;
use crate::raw::RunSql as _;

/// Rows in a chunk by default: some tenths of a second of the server's work, of which the wait for the disk
/// at the end of each transaction is one hundredth.
const ROWS_PER_CHUNK: usize = 25_000;

/// A chunk ends here too, so that large rows do not make large chunks. Rows of samples are 100 to 250 bytes.
const BYTES_PER_CHUNK: usize = 6 << 20;

/// How often a chunk is sent at most that another session was in the way of.
const ATTEMPTS: usize = 5;

/// How long a cancellation goes unnoticed at most while the input waits for the server.
const PATIENCE: Duration = Duration::from_millis(50);

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
    cancel: Option<&'a AtomicBool>,
    progress: Option<Box<dyn FnMut(Progress) + 'a>>,
    leaving_out: Option<LeavingOut<'a>>,
    rows: PhantomData<fn(R)>,
}

/// What becomes of rows that the server refuses, where they are left out.
struct LeavingOut<'a> {
    /// How many more may be.
    most: &'a AtomicU64,
    tell: Box<dyn FnMut(Settled) + 'a>,
}

/// What became of a chunk.
pub(crate) struct Settled {
    /// The positions in the input, counted from 1, of the rows that need no further word: they are written, there, or
    /// refused.
    pub(crate) rows: Range<u64>,
    /// Those that the server refused, and what it said.
    pub(crate) refused: Vec<(u64, Diesel)>,
}

/// How far a [`BulkWriter`] has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// Rows taken from the input.
    pub received: u64,
    /// Rows committed.
    pub written: u64,
    /// Rows left out because they are there already.
    pub skipped: u64,
    /// Chunks written.
    pub chunks: u64,
}

/// What a [`BulkWriter`] did with its input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// How the rows got into the table; `None` without a row.
    pub through: Option<Through>,
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
            cancel: None,
            progress: None,
            leaving_out: None,
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

    /// Ends before its time once the flag is set: no row is taken and no chunk begun any more. A chunk that the server
    /// has in hand is completed.
    #[must_use]
    pub fn cancelled_by(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Calls this on the writing thread after each chunk.
    #[must_use]
    pub fn progress(mut self, tell: impl FnMut(Progress) + 'a) -> Self {
        self.progress = Some(Box::new(tell));
        self
    }

    /// Leaves out rows that the server refuses, for as long as the number is not 0; each takes 1 from it. Calls this on
    /// the writing thread for each chunk that comes back. One row too many ends the writing as ever.
    #[must_use]
    pub(crate) fn leaving_out(mut self, most: &'a AtomicU64, tell: impl FnMut(Settled) + 'a) -> Self {
        self.leaving_out = Some(LeavingOut { most, tell: Box::new(tell) });
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
    /// [`Error::RowRefused`] for a row that the server does not take, [`Error::ChunkFailed`] for what is no row's
    /// fault, and [`Error::Cancelled`].
    pub fn write(self, rows: impl IntoIterator<Item = R>) -> Result<Report> {
        self.try_write(rows.into_iter().map(Ok))
    }

    /// Writes rows of an input that may fail. Its error ends the writing and is returned; rows of whole chunks before
    /// it may be written by then, as [`BulkWriter::progress`] tells.
    ///
    /// # Errors
    ///
    /// As [`BulkWriter::write`]; where nothing of that happened, the first error of the input.
    pub fn try_write<E: From<Error>>(mut self, rows: impl IntoIterator<Item = Result<R, E>>) -> Result<Report, E> {
        let stop = AtomicBool::new(false);
        let (to_server, chunks) = mpsc::channel();
        let chunks = Mutex::new(chunks);
        std::thread::scope(|scope| {
            // Within the scope, so that they are dropped when the input panics: the workers end, and the panic goes on.
            let (to_input, news) = mpsc::channel();
            let worker = self.worker(&stop);
            let chunks = &chunks;
            let start = move || {
                let to_input = to_input.clone();
                scope.spawn(move || worker.work(chunks, &to_input));
            };
            let run = Run {
                to_server: Some(to_server),
                start: Some(Box::new(start)),
                started: 0,
                working: 0,
                news,
                stop: StopOnDrop(&stop),
                made: 0,
                progress: Progress::default(),
                through: None,
                failure: None,
                abandoned: false,
                in_doubt: 0,
                writer: &mut self,
            };
            run.all(rows)
        })
    }

    fn worker<'w>(&self, stop: &'w AtomicBool) -> Worker<'w, R>
    where
        'a: 'w,
    {
        Worker {
            pool: self.pool,
            on_conflict: self.on_conflict,
            customer: self.customer,
            leave_out: self.leaving_out.as_ref().map(|leaving_out| leaving_out.most),
            stop,
            rows: PhantomData,
        }
    }
}

/// Rows on their way to the server.
#[derive(Default)]
struct Chunk {
    batch: Batch,
    /// Position in the input of the first row, counted from 1.
    first: u64,
}

/// What the calling thread hears of the connections.
enum News {
    /// A chunk has come back, without the rows that the server refused.
    Done { chunk: Chunk, refused: Vec<Culprit>, outcome: Outcome },
    /// One of them could not be had.
    NoConnection(Error),
}

enum Outcome {
    Written(u64, Through),
    /// One more than may be left out.
    Refused(Culprit),
    Failed {
        source: Error,
        in_doubt: bool,
    },
    /// Not begun, because another chunk failed.
    Abandoned,
}

/// What ends a run before its time.
enum Failure {
    Refused { row: u64, id: Uuid, source: Diesel },
    Failed { first: u64, last: u64, source: Error },
    Cancelled,
}

/// Keeps the workers from beginning another chunk once the input is gone, for whatever reason.
struct StopOnDrop<'s>(&'s AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The calling thread's side of one call.
struct Run<'s, 'w, 'a, R> {
    to_server: Option<Sender<Chunk>>,
    /// Starts one more worker.
    start: Option<Box<dyn Fn() + 's>>,
    started: usize,
    /// Workers that have a connection or hope for one.
    working: usize,
    news: Receiver<News>,
    stop: StopOnDrop<'s>,
    /// Chunks made so far.
    made: usize,
    progress: Progress,
    through: Option<Through>,
    failure: Option<Failure>,
    abandoned: bool,
    /// Rows of chunks whose COMMIT was not answered.
    in_doubt: u64,
    writer: &'w mut BulkWriter<'a, R>,
}

impl<R: Ingest> Run<'_, '_, '_, R> {
    fn all<E: From<Error>>(mut self, rows: impl IntoIterator<Item = Result<R, E>>) -> Result<Report, E> {
        let of_input = self.feed(rows);
        if of_input.is_err() {
            self.stop.0.store(true, Ordering::Relaxed);
        }
        (self.to_server, self.start) = (None, None);
        while self.wait() {}
        // Before the input's own error: what the server has of the rows matters more.
        if let Some(failure) = self.failure.take() {
            return Err(self.error(failure).into());
        }
        of_input?;
        if self.abandoned {
            return Err(self.error(Failure::Cancelled).into());
        }
        Ok(Report {
            table: R::TABLE,
            received: self.progress.received,
            written: self.progress.written,
            skipped: self.progress.skipped,
            chunks: self.progress.chunks,
            on_conflict: self.writer.on_conflict,
            through: self.through,
        })
    }

    /// Packs the input into chunks and hands these on, until it ends or something fails.
    fn feed<E>(&mut self, rows: impl IntoIterator<Item = Result<R, E>>) -> Result<(), E> {
        let mut rows = rows.into_iter();
        while let Some(mut chunk) = self.empty_chunk() {
            let now = Utc::now();
            chunk.first = self.progress.received + 1;
            let is_last = loop {
                if self.is_over() {
                    return Ok(());
                }
                let Some(row) = rows.next() else { break true };
                let row = row?;
                self.progress.received += 1;
                let id = row.id().unwrap_or_else(|| self.id_for(&row, now));
                if let Err(error) = row.put(id, now, &mut chunk.batch) {
                    let source = Diesel::SerializationError(Box::new(error));
                    self.fail(Failure::Refused { row: self.progress.received, id, source });
                    return Ok(());
                }
                if chunk.batch.len() >= self.writer.rows_per_chunk || chunk.batch.size() >= BYTES_PER_CHUNK {
                    break false;
                }
            };
            if chunk.batch.len() > 0 {
                self.send(chunk);
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    /// Hands a chunk on, to one more worker while there may be more.
    fn send(&mut self, chunk: Chunk) {
        if let Some(start) = self.start.as_ref().filter(|_| self.started < self.writer.connections) {
            (self.started, self.working) = (self.started + 1, self.working + 1);
            start();
        }
        if let Some(to_server) = &self.to_server {
            // Nobody takes it only when every worker has ended, and then the next wait says so.
            let _ = to_server.send(chunk);
        }
    }

    fn id_for(&self, row: &R, now: chrono::DateTime<Utc>) -> Uuid {
        let Some(key) = &self.writer.retry_key else { return row.new_id(now) };
        let key = [key.as_slice(), b"#", &self.progress.received.to_be_bytes()].concat();
        row.id_of(&key, now)
    }

    /// A chunk to fill, one that has come back where all have been made; `None` when it is over.
    fn empty_chunk(&mut self) -> Option<Chunk> {
        // One for each connection, one that waits for the first to be free, and the one that is being filled.
        if self.made < self.writer.connections + 2 {
            self.made += 1;
            return Some(Chunk::default());
        }
        loop {
            if self.is_over() {
                return None;
            }
            match self.news.recv_timeout(PATIENCE) {
                Ok(news) => {
                    if let Some(chunk) = self.hear(news) {
                        return Some(chunk);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Waits for a chunk to come back, without another to fill; false when none is left.
    fn wait(&mut self) -> bool {
        match self.news.recv_timeout(PATIENCE) {
            Ok(news) => drop(self.hear(news)),
            Err(RecvTimeoutError::Timeout) => drop(self.is_over()),
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        true
    }

    /// Whether something has failed, or somebody wants it to end.
    fn is_over(&mut self) -> bool {
        let cancelled = self.writer.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed));
        if cancelled && self.to_server.is_some() {
            self.fail(Failure::Cancelled);
        }
        if cancelled {
            self.stop.0.store(true, Ordering::Relaxed);
        }
        self.failure.is_some()
    }

    fn fail(&mut self, failure: Failure) {
        self.stop.0.store(true, Ordering::Relaxed);
        self.failure.get_or_insert(failure);
    }

    /// Takes in what a worker says; returns the chunk that came back.
    fn hear(&mut self, news: News) -> Option<Chunk> {
        match news {
            News::Done { chunk, refused, outcome } => Some(self.take_back(chunk, refused, outcome)),
            News::NoConnection(source) => {
                self.working -= 1;
                if self.working == 0 {
                    self.fail(Failure::Failed { first: 1, last: self.progress.received, source });
                } else {
                    tracing::warn!(%source, table = R::TABLE, "writing over one connection less");
                }
                None
            }
        }
    }

    /// Counts what became of a chunk, and empties it.
    fn take_back(&mut self, mut chunk: Chunk, refused: Vec<Culprit>, outcome: Outcome) -> Chunk {
        let (first, rows) = (chunk.first, position(chunk.batch.len()));
        let last = first + rows + position(refused.len()) - 1;
        let settled = if matches!(outcome, Outcome::Written(..)) { first..last + 1 } else { first..first };
        self.settle(settled, refused);
        match outcome {
            Outcome::Written(written, through) => {
                self.progress.written += written;
                self.progress.skipped += rows.saturating_sub(written);
                self.progress.chunks += 1;
                self.through = Some(through);
                if let Some(tell) = &mut self.writer.progress {
                    tell(self.progress);
                }
            }
            Outcome::Refused(Culprit { row, id, source }) => {
                self.fail(Failure::Refused { row: first + position(row), id, source });
            }
            Outcome::Failed { source, in_doubt } => {
                if in_doubt {
                    self.in_doubt += rows;
                }
                self.fail(Failure::Failed { first, last, source });
            }
            Outcome::Abandoned => self.abandoned = true,
        }
        chunk.batch.clear();
        chunk
    }

    fn settle(&mut self, rows: Range<u64>, refused: Vec<Culprit>) {
        if let Some(leaving_out) = &mut self.writer.leaving_out {
            let refused = refused.into_iter().map(|culprit| (rows.start + position(culprit.row), culprit.source));
            (leaving_out.tell)(Settled { refused: refused.collect(), rows });
        }
    }

    fn error(&self, failure: Failure) -> Error {
        let (table, written, in_doubt) = (R::TABLE, self.progress.written, self.in_doubt);
        match failure {
            Failure::Refused { row, id, source } => Error::RowRefused { table, row, id, written, in_doubt, source },
            Failure::Failed { first, last, source } => {
                Error::ChunkFailed { table, first, last, written, in_doubt, source: Box::new(source) }
            }
            Failure::Cancelled => Error::Cancelled { table, written, in_doubt },
        }
    }
}

/// A connection's side.
struct Worker<'w, R> {
    pool: &'w Pool,
    on_conflict: OnConflict,
    customer: Option<CustomerId>,
    /// How many rows more may be left out.
    leave_out: Option<&'w AtomicU64>,
    stop: &'w AtomicBool,
    rows: PhantomData<fn(R)>,
}

// Not derived: that would ask it of the rows too.
impl<R> Clone for Worker<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Worker<'_, R> {}

impl<R: Ingest> Worker<'_, R> {
    fn work(self, chunks: &Mutex<Receiver<Chunk>>, to_input: &Sender<News>) {
        let (mut conn, way) = match self.connect() {
            Ok(connected) => connected,
            Err(error) => {
                // Nobody hears it only where the input has panicked.
                let _ = to_input.send(News::NoConnection(error));
                return;
            }
        };
        loop {
            // No worker panics while it holds this, and a receiver has no state to spoil.
            let next = chunks.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(mut chunk) = next else { return };
            let mut refused = Vec::new();
            let outcome = self.write(&mut conn, way, &mut chunk.batch, &mut refused);
            if matches!(outcome, Outcome::Refused(_) | Outcome::Failed { .. }) {
                // At once, and not when the calling thread hears of it: the next chunk may be waiting.
                self.stop.store(true, Ordering::Relaxed);
            }
            if to_input.send(News::Done { chunk, refused, outcome }).is_err() {
                return;
            }
        }
    }

    /// Takes the rows out of a chunk; fails with the last one where that is one too many.
    fn leave_out(
        &self,
        first: Culprit,
        others: Vec<Culprit>,
        batch: &mut Batch,
        refused: &mut Vec<Culprit>,
    ) -> std::result::Result<(), Culprit> {
        let mut found: Vec<_> = std::iter::once(first).chain(others).collect();
        let rows: Vec<_> = found.iter().map(|culprit| culprit.row).collect();
        found.iter_mut().for_each(|culprit| culprit.row = place(refused, culprit.row));
        let one_too_many = if self.may_leave_out(rows.len()) { None } else { found.pop() };
        refused.extend(found);
        refused.sort_by_key(|culprit| culprit.row);
        batch.remove(rows);
        one_too_many.map_or(Ok(()), Err)
    }

    fn may_leave_out(&self, rows: usize) -> bool {
        let take = |left: u64| left.checked_sub(position(rows));
        self.leave_out.is_some_and(|most| most.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok())
    }

    /// A connection, with the way that rows take on it.
    fn connect(&self) -> Result<(Pooled, Way)> {
        let mut conn = connection::take(self.pool)?;
        let way = Way::find::<R>(&mut conn, self.on_conflict, self.customer)?;
        Ok((conn, way))
    }

    /// Writes a chunk's rows but for those that may be left out.
    fn write(&self, conn: &mut PgConnection, way: Way, batch: &mut Batch, refused: &mut Vec<Culprit>) -> Outcome {
        if self.stop.load(Ordering::Relaxed) {
            return Outcome::Abandoned;
        }
        let mut attempt = 1;
        loop {
            let mut is_sent = false;
            let result = conn.transaction(|conn| {
                let written = way.send::<R>(conn, batch.rows(0..batch.len()))?;
                is_sent = true;
                QueryResult::Ok(written)
            });
            let error = match result {
                Ok(written) => return Outcome::Written(written, way.through()),
                Err(error) => error,
            };
            if conn.batch("SELECT 1").is_err() {
                return Outcome::Failed { source: failed::<R>(error), in_doubt: is_sent };
            }
            let most = self.leave_out.map_or(0, |most| most.load(Ordering::Relaxed));
            match way.blame::<R>(conn, batch, error, usize::try_from(most).unwrap_or(usize::MAX).saturating_add(1)) {
                Blame::Rows(first, others) => {
                    if let Err(one_too_many) = self.leave_out(first, others, batch, refused) {
                        return Outcome::Refused(one_too_many);
                    }
                }
                Blame::Past(_) if attempt < ATTEMPTS => attempt += 1,
                Blame::Past(error) | Blame::Nobody(error) => {
                    return Outcome::Failed { source: failed::<R>(error), in_doubt: false };
                }
            }
        }
    }
}

/// A row's place in the chunk, given that among those that are left of it. `refused` is in the order of the rows.
fn place(refused: &[Culprit], row: usize) -> usize {
    refused.iter().fold(row, |row, earlier| row + usize::from(earlier.row <= row))
}

fn failed<R: Ingest>(source: Diesel) -> Error {
    Error::Query { doing: format!("write to {}", R::TABLE), source }
}
