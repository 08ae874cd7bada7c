//! An input that is written in chunks while it is read, over several connections or over one in the caller's
//! transaction.
//!
//! The calling thread encodes the rows; each connection has a thread that sends. There are a few chunks in all and they
//! circulate, full to the connections and empty back: that bounds the memory, and makes a fast input wait for a slow
//! server. What became of a chunk comes back with it, so that only the calling thread counts. A connection is taken
//! before a chunk is: others may have the pool's, and as long as there is one to write over, the rows do not wait for
//! more.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use diesel::prelude::*;
use diesel::result::Error as Diesel;
use serde::Serialize;
use uuid::Uuid;

use super::attempt::Failure;
use super::batch::{Batch, TooLong};
use super::loading::{Loaded, Loading};
use super::path::{OnConflict, Through};
use super::search::Refused;
use super::table::Table;
use super::worker::{Chunk, News, Outcome, Worker};
use super::{Error, write_failed};
use crate::connection::Pool;
use crate::error::Result;
use crate::id::CustomerId;

/// A chunk ends here too, so that large rows do not make large chunks. Rows of samples are 100 to 250 bytes.
pub(super) const BYTES_PER_CHUNK: usize = 6 << 20;

/// How long a cancellation goes unnoticed at most while the input waits for the server.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);

/// How far a write has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// Rows taken from the input.
    pub received: u64,
    /// Rows written.
    pub written: u64,
    /// Rows left out because they are there already.
    pub skipped: u64,
    /// Chunks written.
    pub chunks: u64,
}

impl Progress {
    /// With what a part of the same rows has come to.
    pub(super) fn with(self, part: Self) -> Self {
        Self {
            received: self.received,
            written: self.written + part.written,
            skipped: self.skipped + part.skipped,
            chunks: self.chunks + part.chunks,
        }
    }
}

/// What an input remembers of the rows of a chunk, in their order.
pub(crate) trait Origins: Default + Send {
    /// Appends what is remembered of a row.
    fn put(&self, row: usize, out: &mut Vec<u8>);

    /// Remembers one row more, by what [`Origins::put`] appended.
    fn take(&mut self, row: &[u8]);
}

/// An input.
pub(crate) trait Feed {
    type Origins: Origins;

    /// How the input fails.
    type Error: From<crate::Error>;

    /// Appends the next row to a chunk.
    fn next(&mut self, batch: &mut Batch, origins: &mut Self::Origins) -> Result<Next, Self::Error>;

    /// The position of a row in the whole input, counted from 1; `None` where the chunks have all of its rows in their order.
    fn position(&self, _: &Self::Origins, _row: usize) -> Option<u64> {
        None
    }

    /// The server does not take a row. It is called before the input is asked for more.
    fn refused(&mut self, origins: &Self::Origins, refused: &Refused);

    /// A chunk is done: its origins are to be emptied.
    fn settled(&mut self, origins: &mut Self::Origins, progress: Progress);
}

/// What an input had.
pub(crate) enum Next {
    Row,
    /// No row now, and perhaps one the next time.
    None,
    End,
    /// A row that cannot be sent.
    TooLong(Uuid, TooLong),
}

/// Where chunks are written.
pub(crate) enum Connections<'a> {
    /// Each a transaction, over up to so many connections of a pool.
    Pool(&'a Pool, usize),
    /// All within the transaction that the caller has begun.
    Transaction(&'a mut PgConnection),
}

impl Connections<'_> {
    /// The same for a shorter time.
    pub(super) fn again(&mut self) -> Connections<'_> {
        match self {
            Self::Pool(pool, most) => Connections::Pool(pool, *most),
            Self::Transaction(conn) => Connections::Transaction(conn),
        }
    }
}

/// How an input is written.
pub(crate) struct Pipeline<'a> {
    pub(crate) table: &'static Table,
    pub(crate) connections: Connections<'a>,
    pub(crate) on_conflict: OnConflict,
    pub(crate) customer: Option<CustomerId>,
    pub(crate) rows_per_chunk: usize,
    /// How many rows may be refused and left out.
    pub(crate) allowance: &'a AtomicU64,
    pub(crate) cancel: Option<&'a AtomicBool>,
    pub(crate) loading: &'a Loading,
}

/// What became of an input.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) progress: Progress,
    pub(crate) through: Option<Through>,
    /// The partitions that were loaded whole.
    pub(crate) loaded: Vec<Loaded>,
}

impl Pipeline<'_> {
    /// Writes an input by rows to its end, or until something fails; a first chunk of it may be there already.
    pub(super) fn by_rows<F: Feed>(self, feed: &mut F, first: Option<Chunk<F::Origins>>) -> Result<Done, F::Error> {
        let stop = AtomicBool::new(false);
        let (to_server, chunks) = mpsc::channel();
        let chunks = Mutex::new(chunks);
        let Self { table, connections, on_conflict, customer, rows_per_chunk, allowance, cancel, loading: _ } = self;
        let (most, commits) = match connections {
            Connections::Pool(_, most) => (most, true),
            Connections::Transaction(_) => (1, false),
        };
        let worker = Worker { table, on_conflict, customer, allowance, stop: &stop, chunks: &chunks };
        std::thread::scope(|scope| {
            // Within the scope, so that they are dropped when the input panics: the workers end, and the panic goes on.
            let (to_input, news) = mpsc::channel();
            let start: Box<dyn FnMut() + '_> = match connections {
                Connections::Pool(pool, _) => Box::new(move || {
                    let to_input = to_input.clone();
                    scope.spawn(move || worker.work_with(pool, &to_input));
                }),
                Connections::Transaction(conn) => {
                    let mut only = Some((conn, to_input));
                    Box::new(move || {
                        if let Some((conn, to_input)) = only.take() {
                            scope.spawn(move || worker.work(conn, &to_input));
                        }
                    })
                }
            };
            let run = Run {
                table,
                rows_per_chunk: rows_per_chunk.max(1),
                connections: most,
                cancel,
                commits,
                to_server: Some(to_server),
                start: Some(start),
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
                feed,
            };
            run.all(first)
        })
    }
}

/// What ends a run before its time.
pub(super) enum End {
    Refused { row: u64, id: Uuid, source: Diesel },
    Failed { first: u64, last: u64, source: crate::Error },
    Cancelled,
}

/// Keeps the workers from beginning another chunk once the input has ended, for whatever reason.
struct StopOnDrop<'s>(&'s AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The calling thread's side of one run.
struct Run<'s, 'f, F: Feed> {
    table: &'static Table,
    rows_per_chunk: usize,
    connections: usize,
    cancel: Option<&'s AtomicBool>,
    /// Whether a written chunk is committed.
    commits: bool,
    to_server: Option<Sender<Chunk<F::Origins>>>,
    /// Starts one more worker.
    start: Option<Box<dyn FnMut() + 's>>,
    started: usize,
    /// Workers that have a connection or hope for one.
    working: usize,
    news: Receiver<News<F::Origins>>,
    stop: StopOnDrop<'s>,
    /// Chunks made so far.
    made: usize,
    progress: Progress,
    through: Option<Through>,
    failure: Option<End>,
    abandoned: bool,
    /// Rows of chunks whose COMMIT was not answered.
    in_doubt: u64,
    feed: &'f mut F,
}

impl<F: Feed> Run<'_, '_, F> {
    fn all(mut self, first: Option<Chunk<F::Origins>>) -> Result<Done, F::Error> {
        if let Some(first) = first {
            self.made += 1;
            self.progress.received = first.batch.len() as u64;
            self.send(first);
        }
        let of_input = self.read_input();
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
            return Err(self.error(End::Cancelled).into());
        }
        Ok(Done { progress: self.progress, through: self.through, loaded: Vec::new() })
    }

    /// Packs the input into chunks and hands these on, until it ends or something fails.
    fn read_input(&mut self) -> Result<(), F::Error> {
        while let Some(mut chunk) = self.empty_chunk() {
            chunk.first = self.progress.received + 1;
            let is_last = loop {
                if self.is_over() {
                    return Ok(());
                }
                match self.feed.next(&mut chunk.batch, &mut chunk.origins)? {
                    Next::Row => self.progress.received += 1,
                    Next::None => {}
                    Next::End => break true,
                    Next::TooLong(id, error) => {
                        let source = Diesel::SerializationError(Box::new(error));
                        self.fail(End::Refused { row: self.progress.received + 1, id, source });
                        return Ok(());
                    }
                }
                if chunk.batch.len() >= self.rows_per_chunk || chunk.batch.size() >= BYTES_PER_CHUNK {
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
    fn send(&mut self, chunk: Chunk<F::Origins>) {
        if let Some(start) = self.start.as_mut().filter(|_| self.started < self.connections) {
            (self.started, self.working) = (self.started + 1, self.working + 1);
            start();
        }
        if let Some(to_server) = &self.to_server {
            // Nobody takes it only when every worker has ended, and then the next wait notices.
            let _ = to_server.send(chunk);
        }
    }

    /// A chunk to fill, one that has come back where all have been made; `None` when it is over.
    fn empty_chunk(&mut self) -> Option<Chunk<F::Origins>> {
        // One for each connection, one that waits for the first to be free, and the one that is being filled.
        if self.made < self.connections + 2 {
            self.made += 1;
            return Some(Chunk::default());
        }
        loop {
            if self.is_over() {
                return None;
            }
            match self.news.recv_timeout(PATIENCE) {
                Ok(news) => {
                    if let Some(chunk) = self.take_in(news) {
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
            Ok(news) => drop(self.take_in(news)),
            Err(RecvTimeoutError::Timeout) => drop(self.is_over()),
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        true
    }

    /// Whether something has failed, or somebody wants it to end.
    fn is_over(&mut self) -> bool {
        let cancelled = self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed));
        if cancelled && self.to_server.is_some() {
            self.fail(End::Cancelled);
        }
        if cancelled {
            self.stop.0.store(true, Ordering::Relaxed);
        }
        self.failure.is_some()
    }

    fn fail(&mut self, failure: End) {
        self.stop.0.store(true, Ordering::Relaxed);
        self.failure.get_or_insert(failure);
    }

    /// Takes in what a worker reports; returns the chunk that came back.
    fn take_in(&mut self, news: News<F::Origins>) -> Option<Chunk<F::Origins>> {
        match news {
            News::Done { chunk, refused, outcome } => Some(self.take_back(chunk, &refused, outcome)),
            News::NoConnection(source) => {
                self.working -= 1;
                if self.working == 0 {
                    self.fail(End::Failed { first: 1, last: self.progress.received, source });
                } else {
                    tracing::warn!(%source, table = self.table.name, "writing over one connection less");
                }
                None
            }
        }
    }

    /// Counts what became of a chunk, and empties it.
    fn take_back(&mut self, mut chunk: Chunk<F::Origins>, refused: &[Refused], outcome: Outcome) -> Chunk<F::Origins> {
        let (first, rows) = (chunk.first, chunk.batch.len() as u64);
        let last = first + rows + refused.len() as u64 - 1;
        refused.iter().for_each(|refused| self.feed.refused(&chunk.origins, refused));
        match outcome {
            Outcome::Written(written, through) => {
                self.progress.written += written;
                self.progress.skipped += rows.saturating_sub(written);
                self.progress.chunks += 1;
                self.through = Some(through);
            }
            Outcome::Failed(Failure::OneTooMany(refused)) => {
                self.feed.refused(&chunk.origins, &refused);
                let Refused { row, id, source } = refused;
                let row = self.feed.position(&chunk.origins, row).unwrap_or(first + row as u64);
                self.fail(End::Refused { row, id, source });
            }
            Outcome::Failed(Failure::Failed { source, in_doubt }) => {
                self.in_doubt += if in_doubt { rows } else { 0 };
                self.fail(End::Failed { first, last, source: write_failed(self.table.name, source) });
            }
            Outcome::Abandoned => self.abandoned = true,
        }
        self.feed.settled(&mut chunk.origins, self.progress);
        chunk.batch.clear();
        chunk
    }

    fn error(&self, failure: End) -> crate::Error {
        let (written, in_doubt) = if self.commits { (self.progress.written, self.in_doubt) } else { (0, 0) };
        failure.error(self.table.name, written, in_doubt)
    }
}

impl End {
    pub(super) fn error(self, table: &'static str, written: u64, in_doubt: u64) -> crate::Error {
        match self {
            Self::Refused { row, id, source } => Error::RowRefused { table, row, id, written, in_doubt, source },
            Self::Failed { first, last, source } => {
                Error::ChunkFailed { table, first, last, written, in_doubt, source: Box::new(source) }
            }
            Self::Cancelled => Error::Cancelled { table, written, in_doubt },
        }
        .into()
    }
}
