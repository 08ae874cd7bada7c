//! Brings the rows of a file into a table: all of them or none ([`all_or_nothing`]), or chunk by chunk so that it can
//! be done again after a crash ([`retryable`]).
//!
//! A file that has more bad rows than it may have is read to its end all the same, so that every reason is told.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use diesel::connection::Connection;
use diesel::pg::PgConnection;
use diesel::result::{DatabaseErrorKind, Error as Diesel};
use serde::Serialize;

use super::columns::Table;
use super::export;
use super::names::Names;
use super::read::{self, FromFile, Reader, Reject, Row};
use super::records::Format;
use super::refused;
use crate::connection::{self, Pool};
use crate::error::{Doing as _, Error, Result};
use crate::ingest::{self, BulkWriter, OnConflict, Settled};
use crate::models::{AgentMetric, NewEvent, NewQualityMetric, NewResourceMetric};
use crate::{migrate, tenant};

/// Reasons that a report holds.
pub const REJECTS_IN_REPORT: usize = 1000;
/// Rows that are sent together.
const CHUNK: usize = 5000;
/// Rows that are sent together when the server has refused one of a chunk.
const AFTER_REFUSAL: usize = 100;
/// Bytes of the file that are sent together, unless one row has more.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// How often the reader says how far it is.
const ROWS_BETWEEN_WORDS: u64 = 1000;

/// What to do with a file.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How it is read.
    pub read: read::Options,
    /// So many bad rows may be left out.
    pub max_rejects: u64,
    /// Everything is tried and nothing stays: the rows are written and rolled back.
    pub dry_run: bool,
}

/// What came of an import.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The table.
    pub table: Table,
    /// How the file holds its rows.
    pub input_format: Format,
    /// Whether nothing was to stay.
    pub dry_run: bool,
    /// What became of rows that are there already.
    pub on_conflict: OnConflict,
    /// Whether there were no more bad rows than there may be. Where not, nothing was written; with
    /// [`OnConflict::Skip`], nothing after the last chunk before the row too many.
    pub accepted: bool,
    /// Whether every row was either taken by the server or found to be bad. Where not, because too many were bad before,
    /// more of them may be.
    pub complete: bool,
    /// Rows in the file.
    pub read: u64,
    /// Rows written; in a dry run, rows that would be.
    pub written: u64,
    /// Rows that are there already, by their id or request_id.
    pub skipped: u64,
    /// Bad rows.
    pub rejected: u64,
    /// How many bad rows there may be.
    pub max_rejects: u64,
    /// How long it took.
    pub seconds: f64,
    /// Rows of the file a second.
    pub rows_per_second: f64,
    /// The first [`REJECTS_IN_REPORT`] bad rows, in the order in which they were found: what the server refuses is
    /// found after the rows behind it were read.
    pub rejects: Vec<Reject>,
}

/// Who is told while an import goes on.
pub trait Watch {
    /// A row was not taken.
    ///
    /// # Errors
    ///
    /// What it returns ends the import.
    fn rejected(&mut self, reject: &Reject) -> io::Result<()>;

    /// The rows of the file are written and every bad one was reported: what is left is to commit.
    ///
    /// Called by [`all_or_nothing`] only, and not for what is rolled back anyway.
    ///
    /// # Errors
    ///
    /// What it returns rolls the rows back.
    fn committing(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// So many rows were read.
    fn read(&mut self, rows: u64);
}

/// Nobody.
impl Watch for () {
    fn rejected(&mut self, _: &Reject) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, _: u64) {}
}

/// Imports a file in one transaction: all its rows, but for as many bad ones as there may be, or none.
///
/// `on_conflict` says what becomes of rows that are there already; refused ones count as bad.
///
/// # Errors
///
/// [`Error::Behind`] where the schema is older than this build, [`Error::NoVisibleCustomer`] where row security hides
/// every customer, [`Error::Mapping`] when the file does not fit the table, [`Error::Input`] when it cannot be read,
/// [`Error::Rejects`] when `watch` fails, and what the server says of the transaction. Nothing is written then.
pub fn all_or_nothing(
    conn: &mut PgConnection,
    table: Table,
    input: impl io::Read,
    options: &Options,
    on_conflict: OnConflict,
    watch: &mut dyn Watch,
) -> Result<Report> {
    match table {
        Table::ResourceMetrics => whole::<NewResourceMetric>(conn, input, options, on_conflict, watch),
        Table::QualityMetrics => whole::<NewQualityMetric>(conn, input, options, on_conflict, watch),
        Table::AgentMetrics => whole::<AgentMetric>(conn, input, options, on_conflict, watch),
        Table::Events => whole::<NewEvent>(conn, input, options, on_conflict, watch),
    }
}

/// Imports a file chunk by chunk over so many connections, each chunk a transaction, and skips the rows that are
/// there: after a crash the same file may be imported again. Rows without an id get one that is derived from the row
/// and its line, whatever the options say, and need their time for it.
///
/// # Errors
///
/// As [`all_or_nothing`], but chunks that were written stay. [`Error::Cancelled`] once the flag is set.
pub fn retryable(
    pool: &Pool,
    table: Table,
    input: impl io::Read,
    options: &Options,
    connections: usize,
    cancelled: &AtomicBool,
    watch: &mut dyn Watch,
) -> Result<Report> {
    let chunks = Chunks { pool, connections, cancelled };
    match table {
        Table::ResourceMetrics => chunks.write::<NewResourceMetric>(input, options, watch),
        Table::QualityMetrics => chunks.write::<NewQualityMetric>(input, options, watch),
        Table::AgentMetrics => chunks.write::<AgentMetric>(input, options, watch),
        Table::Events => chunks.write::<NewEvent>(input, options, watch),
    }
}

/// What is counted while a file is read.
struct Tally<'w> {
    begun: Instant,
    watch: &'w mut dyn Watch,
    max_rejects: u64,
    read: u64,
    /// Rows that the server has taken, or skipped because they are there.
    taken: u64,
    rejected: u64,
    rejects: Vec<Reject>,
}

impl<'w> Tally<'w> {
    fn new(options: &Options, watch: &'w mut dyn Watch) -> Self {
        let (begun, max_rejects) = (Instant::now(), options.max_rejects);
        Self { begun, watch, max_rejects, read: 0, taken: 0, rejected: 0, rejects: Vec::new() }
    }

    /// Whether the file has more bad rows than it may have.
    const fn is_over(&self) -> bool {
        self.rejected > self.max_rejects
    }

    /// Whether so many rows are bad that the server need not be asked about the others: it is the file, not the rows.
    const fn is_hopeless(&self) -> bool {
        self.is_over() && self.rejected > REJECTS_IN_REPORT as u64
    }

    fn reject(&mut self, mut reject: Reject) -> Result<()> {
        self.watch.rejected(&reject).map_err(rejects_error)?;
        self.rejected += 1;
        if self.rejects.len() < REJECTS_IN_REPORT {
            reject.raw = Vec::new();
            self.rejects.push(reject);
        }
        Ok(())
    }

    /// The next row that can be read; the bad ones before it are told.
    fn next<R: FromFile>(&mut self, reader: &mut Reader<'_, R>) -> Result<Option<Row<R>>> {
        for item in reader {
            self.read += 1;
            if self.read.is_multiple_of(ROWS_BETWEEN_WORDS) {
                self.watch.read(self.read);
            }
            match item.map_err(read::input_error)? {
                Ok(row) => return Ok(Some(row)),
                Err(reject) => self.reject(reject)?,
            }
        }
        self.watch.read(self.read);
        Ok(None)
    }

    /// Reads what is left only to tell what is wrong with it.
    fn read_on<R: FromFile>(&mut self, reader: &mut Reader<'_, R>) -> Result<()> {
        while self.next(reader)?.is_some() {}
        Ok(())
    }

    fn report(self, table: Table, format: Format, written: &Written, options: &Options) -> Report {
        let seconds = self.begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
        let rows_per_second = if seconds > 0.0 { self.read as f64 / seconds } else { 0.0 };
        Report {
            table,
            input_format: format,
            dry_run: options.dry_run,
            on_conflict: written.on_conflict,
            accepted: !self.is_over(),
            complete: self.read == self.taken + self.rejected,
            read: self.read,
            written: written.written,
            skipped: written.skipped,
            rejected: self.rejected,
            max_rejects: self.max_rejects,
            seconds,
            rows_per_second,
            rejects: self.rejects,
        }
    }
}

/// What became of the rows that could be read.
struct Written {
    on_conflict: OnConflict,
    written: u64,
    skipped: u64,
}

/// Why a transaction is rolled back.
enum Stop {
    TooManyRejects,
    DryRun,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Diesel> for Stop {
    fn from(error: Diesel) -> Self {
        Self::Failed(error.into())
    }
}

/// Whom the rows may speak of, in a database that is the one that they are for.
fn names(conn: &mut PgConnection, table: Table) -> Result<Names> {
    migrate::status(conn)?.require_applied()?;
    let names = Names::load(conn)?;
    if export::has_customer(table) && !names.has_customers() {
        refuse_hidden_customers(conn, table)?;
    }
    Ok(names)
}

/// Refuses to call every row bad where it is the session that sees no customer.
fn refuse_hidden_customers(conn: &mut PgConnection, table: Table) -> Result<()> {
    let hidden = tenant::hidden_tables(conn).doing("see which tables row security hides")?;
    if hidden.iter().any(|hidden| hidden == "customers") {
        return Err(Error::NoVisibleCustomer { table: table.as_str() });
    }
    Ok(())
}

fn whole<R: FromFile>(
    conn: &mut PgConnection,
    input: impl io::Read,
    options: &Options,
    on_conflict: OnConflict,
    watch: &mut dyn Watch,
) -> Result<Report> {
    let names = names(conn, R::OF)?;
    let mut reader = Reader::<R>::new(input, &options.read, &names)?;
    let format = reader.format();
    let mut tally = Tally::new(options, watch);
    let mut written = Written { on_conflict, written: 0, skipped: 0 };
    let ended = conn.transaction(|conn| {
        write_all(conn, &mut reader, &mut tally, &mut written)?;
        if options.dry_run {
            return Err(Stop::DryRun);
        }
        Ok(tally.watch.committing().map_err(rejects_error)?)
    });
    match ended {
        Ok(()) | Err(Stop::DryRun) => {}
        Err(Stop::TooManyRejects) => {
            (written.written, written.skipped) = (0, 0);
            tally.read_on(&mut reader)?;
        }
        Err(Stop::Failed(error)) => return Err(error),
    }
    Ok(tally.report(R::OF, format, &written, options))
}

/// Writes what a reader has, in the caller's transaction. It goes on when too many rows are bad, because what is wrong
/// with some rows only the server knows; the transaction is rolled back in the end.
fn write_all<R: FromFile>(
    conn: &mut PgConnection,
    reader: &mut Reader<'_, R>,
    tally: &mut Tally<'_>,
    written: &mut Written,
) -> Result<(), Stop> {
    loop {
        let mut chunk = Chunk::read(reader, tally)?;
        if tally.is_hopeless() || (chunk.rows.is_empty() && tally.is_over()) {
            return Err(Stop::TooManyRejects);
        }
        if chunk.rows.is_empty() {
            return Ok(());
        }
        chunk.send(conn, tally, written)?;
    }
}

/// Rows that are sent together, and where each comes from.
struct Chunk<R> {
    rows: Vec<R>,
    origins: Vec<Origin>,
    /// How many of the rows the server has taken, or has said of that they are bad.
    done: usize,
}

/// Where a row stands in the file.
struct Origin {
    line: u64,
    raw: Vec<u8>,
}

impl Origin {
    fn take(&mut self) -> Self {
        Self { line: self.line, raw: std::mem::take(&mut self.raw) }
    }

    fn reject(self, (column, reason): (Option<String>, String)) -> Reject {
        Reject { line: self.line, column, reason, raw: self.raw }
    }
}

/// How rows are sent, which depends on what became of those before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
    /// The server takes them all, or says of one that it is bad.
    Together,
    /// One of them is there already, and it is seldom alone: the server takes the others, and says which these are.
    Apart,
    /// A few at a time, because to find a bad one takes the longer, the more rows it is sent with.
    InParts,
}

impl<R: FromFile> Chunk<R> {
    fn read(reader: &mut Reader<'_, R>, tally: &mut Tally<'_>) -> Result<Self> {
        let (mut chunk, mut bytes) = (Self { rows: Vec::new(), origins: Vec::new(), done: 0 }, 0);
        while chunk.rows.len() < CHUNK && bytes < CHUNK_BYTES {
            let Some(row) = tally.next(reader)? else { break };
            bytes += row.raw.len();
            chunk.origins.push(Origin { line: row.line, raw: row.raw });
            chunk.rows.push(row.row);
        }
        Ok(chunk)
    }

    /// Writes the rows but for those that the server refuses.
    fn send(&mut self, conn: &mut PgConnection, tally: &mut Tally<'_>, written: &mut Written) -> Result<(), Stop> {
        let mut sending = Sending::Together;
        while self.done < self.rows.len() {
            let together = if sending == Sending::InParts { AFTER_REFUSAL } else { CHUNK };
            let end = self.rows.len().min(self.done + together);
            match self.send_to(end, conn, sending, tally, written) {
                Ok(()) => {}
                Err(Stop::Failed(Error::RowRefused { source, .. }))
                    if sending == Sending::Together && is_conflict(&source, written.on_conflict) =>
                {
                    sending = Sending::Apart;
                }
                Err(Stop::Failed(Error::RowRefused { row, source, .. })) => {
                    self.leave_out(row, end, &source, tally)?;
                    sending = Sending::InParts;
                }
                // To be told which rows are written takes the right to read them.
                Err(Stop::Failed(Error::ChunkFailed { .. })) if sending == Sending::Apart => {
                    sending = Sending::InParts;
                }
                Err(stop) => return Err(stop),
            }
            if tally.is_hopeless() {
                return Err(Stop::TooManyRejects);
            }
        }
        Ok(())
    }

    /// Sends the rows up to one.
    fn send_to(
        &mut self,
        end: usize,
        conn: &mut PgConnection,
        sending: Sending,
        tally: &mut Tally<'_>,
        written: &mut Written,
    ) -> Result<(), Stop> {
        let rows = &self.rows[self.done..end];
        let count = rows.len() as u64;
        if written.on_conflict == OnConflict::Skip {
            let new = ingest::insert_missing(conn, rows)?;
            tally.taken += count;
            (written.written, written.skipped) = (written.written + new, written.skipped + count - new);
        } else if sending == Sending::Apart {
            let is_new = ingest::insert_new(conn, rows)?;
            let there: Vec<_> = (self.done..end).filter(|at| !is_new[at - self.done]).collect();
            let rows: Vec<_> = there.iter().map(|at| &self.rows[*at]).collect();
            let reasons = refused::conflicts(conn, &rows)?;
            let new = count - there.len() as u64;
            (tally.taken, written.written) = (tally.taken + new, written.written + new);
            for (at, reason) in there.into_iter().zip(reasons) {
                tally.reject(self.origins[at].take().reject(reason))?;
            }
        } else {
            let new = ingest::copy(conn, rows)?;
            (tally.taken, written.written) = (tally.taken + new, written.written + new);
        }
        self.done = end;
        Ok(())
    }

    /// Takes out the row that the server refused, given its place among those that were sent.
    fn leave_out(&mut self, row: u64, end: usize, source: &Diesel, tally: &mut Tally<'_>) -> Result<()> {
        let at = (self.done + usize::try_from(row).unwrap_or_default().saturating_sub(1)).min(end - 1);
        self.rows.remove(at);
        tally.reject(self.origins.remove(at).reject(refused::refusal(source)))
    }
}

/// Whether a row is refused because it is there, and others may be as well.
fn is_conflict(source: &Diesel, on_conflict: OnConflict) -> bool {
    on_conflict != OnConflict::Skip && matches!(source, Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
}

fn rejects_error(source: io::Error) -> Error {
    Error::Rejects { written: 0, source }
}

/// An error of the file, which does not know how many rows were committed before it.
fn after(written: u64, error: Error) -> Error {
    match error {
        Error::Input { source, .. } => Error::Input { written, source },
        Error::Rejects { source, .. } => Error::Rejects { written, source },
        error => error,
    }
}

/// Where chunks go that are committed one by one.
#[derive(Clone, Copy)]
struct Chunks<'a> {
    pool: &'a Pool,
    connections: usize,
    cancelled: &'a AtomicBool,
}

impl Chunks<'_> {
    fn write<R: FromFile>(self, input: impl io::Read, options: &Options, watch: &mut dyn Watch) -> Result<Report> {
        let names = names(&mut *connection::take(self.pool)?, R::OF)?;
        let read = read::Options { derive_ids: true, ..options.read.clone() };
        let mut reader = Reader::<R>::new(input, &read, &names)?;
        let format = reader.format();
        let may_be_refused = AtomicU64::new(options.max_rejects);
        let underway = RefCell::new(Underway::new(Tally::new(options, watch), &may_be_refused));
        let mut written = Written { on_conflict: OnConflict::Skip, written: 0, skipped: 0 };
        let ended = BulkWriter::new(self.pool)
            .connections(self.connections)
            .on_conflict(OnConflict::Skip)
            .cancelled_by(self.cancelled)
            .progress(|progress| (written.written, written.skipped) = (progress.written, progress.skipped))
            .leaving_out(&may_be_refused, |settled| underway.borrow_mut().settle(settled))
            .try_write(std::iter::from_fn(|| underway.borrow_mut().next(&mut reader)));
        let mut tally = underway.into_inner().end(ended).map_err(|error| after(written.written, error))?;
        if tally.is_over() {
            tally.read_on(&mut reader).map_err(|error| after(written.written, error))?;
        }
        tally.taken = written.written + written.skipped;
        Ok(tally.report(R::OF, format, &written, options))
    }
}

/// An import whose rows are on their way to the server, which may refuse some of them later.
struct Underway<'w, 't> {
    tally: Tally<'w>,
    may_be_refused: &'t AtomicU64,
    /// Rows that were handed on.
    sent: u64,
    /// Where the rows come from of which is not known yet what became of them, by their position.
    origins: BTreeMap<u64, Origin>,
    /// Why a refused row could not be reported.
    failure: Option<Error>,
}

impl<'w, 't> Underway<'w, 't> {
    const fn new(tally: Tally<'w>, may_be_refused: &'t AtomicU64) -> Self {
        Self { tally, may_be_refused, sent: 0, origins: BTreeMap::new(), failure: None }
    }

    /// The next row to be sent.
    fn next<R: FromFile>(&mut self, reader: &mut Reader<'_, R>) -> Option<Result<R, Stop>> {
        if let Some(error) = self.failure.take() {
            return Some(Err(error.into()));
        }
        let before = self.tally.rejected;
        let row = match self.tally.next(reader) {
            Err(error) => return Some(Err(error.into())),
            // Also where the file ends with the bad row too many.
            Ok(_) if self.tally.is_over() => return Some(Err(Stop::TooManyRejects)),
            Ok(row) => row?,
        };
        let of_file = self.tally.rejected - before;
        let fewer = |left: u64| Some(left.saturating_sub(of_file));
        let _ = self.may_be_refused.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        self.sent += 1;
        self.origins.insert(self.sent, Origin { line: row.line, raw: row.raw });
        Some(Ok(row.row))
    }

    /// Reports the rows of a chunk that the server refused, and forgets where the others come from.
    fn settle(&mut self, settled: Settled) {
        for (position, source) in settled.refused {
            self.refuse(position, &source);
        }
        settled.rows.for_each(|position| drop(self.origins.remove(&position)));
    }

    fn refuse(&mut self, position: u64, source: &Diesel) {
        let Some(origin) = self.origins.remove(&position) else { return };
        if let Err(error) = self.tally.reject(origin.reject(refused::refusal(source))) {
            self.failure.get_or_insert(error);
        }
    }

    /// What has been counted, unless something other than bad rows ended the import.
    fn end(mut self, ended: Result<ingest::Report, Stop>) -> Result<Tally<'w>> {
        match ended {
            Ok(_) | Err(Stop::TooManyRejects | Stop::DryRun) => {}
            // Bad as any other, and one too many.
            Err(Stop::Failed(Error::RowRefused { row, ref source, in_doubt: 0, .. }))
                if self.origins.contains_key(&row) =>
            {
                self.refuse(row, source);
            }
            Err(Stop::Failed(error)) => return Err(error),
        }
        self.failure.map_or(Ok(self.tally), Err)
    }
}
