//! Brings the rows of a file into a table: all of them or none ([`all_or_nothing`]), or chunk by chunk so that it can
//! be done again after a crash ([`retryable`]).
//!
//! A file that has more bad rows than it may have is read to its end all the same, so that every reason is told.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::AtomicBool;
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
use super::values::without_controls;
use crate::connection::{self, Pool};
use crate::error::{Doing as _, Error, Result};
use crate::ingest::{self, BulkWriter, OnConflict};
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
    rejected: u64,
    rejects: Vec<Reject>,
}

impl<'w> Tally<'w> {
    fn new(options: &Options, watch: &'w mut dyn Watch) -> Self {
        let (begun, max_rejects) = (Instant::now(), options.max_rejects);
        Self { begun, watch, max_rejects, read: 0, rejected: 0, rejects: Vec::new() }
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
        let mut rows = Vec::new();
        let mut origins = Vec::new();
        let mut bytes = 0;
        while rows.len() < CHUNK && bytes < CHUNK_BYTES {
            let Some(row) = tally.next(reader)? else { break };
            bytes += row.raw.len();
            origins.push((row.line, row.raw));
            rows.push(row.row);
        }
        if tally.is_hopeless() || (rows.is_empty() && tally.is_over()) {
            return Err(Stop::TooManyRejects);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let count = send(conn, &mut rows, &mut origins, tally, written.on_conflict)?;
        written.written += count;
        written.skipped += rows.len() as u64 - count;
    }
}

/// Writes rows; those that the server refuses are taken out of them. Returns how many were written.
fn send<R: FromFile>(
    conn: &mut PgConnection,
    rows: &mut Vec<R>,
    origins: &mut Vec<(u64, Vec<u8>)>,
    tally: &mut Tally<'_>,
    on_conflict: OnConflict,
) -> Result<u64, Stop> {
    let (mut written, mut begin, mut together) = (0, 0, CHUNK);
    while begin < rows.len() {
        let end = rows.len().min(begin + together);
        let sent = match on_conflict {
            OnConflict::Skip => ingest::insert_missing(conn, &rows[begin..end]),
            _ => ingest::copy(conn, &rows[begin..end]),
        };
        let (row, source) = match sent {
            Ok(count) => {
                written += count;
                begin = end;
                continue;
            }
            Err(Error::RowRefused { row, source, .. }) => (row, source),
            Err(error) => return Err(error.into()),
        };
        let at = (begin + usize::try_from(row).unwrap_or_default().saturating_sub(1)).min(end - 1);
        rows.remove(at);
        let (line, raw) = origins.remove(at);
        let (column, reason) = refusal(&source);
        tally.reject(Reject { line, column, reason, raw })?;
        if tally.is_hopeless() {
            return Err(Stop::TooManyRejects);
        }
        // A refused row is seldom alone, and to find one takes the longer, the more rows it is sent with.
        together = AFTER_REFUSAL;
    }
    Ok(written)
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

/// What the server says of a row.
fn refusal(source: &Diesel) -> (Option<String>, String) {
    let Diesel::DatabaseError(kind, info) = source else { return (None, source.to_string()) };
    let detail = without_controls(info.details().unwrap_or_default());
    let column = info.column_name().map(str::to_owned).or_else(|| column_of(&detail));
    let reason = match kind {
        DatabaseErrorKind::UniqueViolation => {
            format!("is there already, in the table or earlier in the file: {detail}")
        }
        DatabaseErrorKind::ForeignKeyViolation => detail,
        // The detail of the others is the row.
        _ => without_controls(info.message()),
    };
    (column, reason)
}

/// The column in `Key (column)=(value) already exists.`
fn column_of(detail: &str) -> Option<String> {
    let (column, _) = detail.split_once('(')?.1.split_once(")=")?;
    Some(column.to_owned())
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
        let tally = RefCell::new(Tally::new(options, watch));
        let mut written = Written { on_conflict: OnConflict::Skip, written: 0, skipped: 0 };
        let rows = std::iter::from_fn(|| {
            let mut tally = tally.borrow_mut();
            match tally.next(&mut reader) {
                Err(error) => Some(Err(Stop::from(error))),
                // Also where the file ends with the bad row too many.
                Ok(_) if tally.is_over() => Some(Err(Stop::TooManyRejects)),
                Ok(row) => row.map(|row| Ok(row.row)),
            }
        });
        let ended = BulkWriter::new(self.pool)
            .connections(self.connections)
            .on_conflict(OnConflict::Skip)
            .cancelled_by(self.cancelled)
            .progress(|progress| (written.written, written.skipped) = (progress.written, progress.skipped))
            .try_write(rows);
        let mut tally = tally.into_inner();
        match ended {
            Ok(report) => (written.written, written.skipped) = (report.written, report.skipped),
            Err(Stop::Failed(error)) => return Err(after(written.written, error)),
            Err(Stop::TooManyRejects | Stop::DryRun) => {
                tally.read_on(&mut reader).map_err(|error| after(written.written, error))?;
            }
        }
        Ok(tally.report(R::OF, format, &written, options))
    }
}
