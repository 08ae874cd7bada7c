//! Brings the rows of a file into a table: all of them or none ([`all_or_nothing`]), or chunk by chunk so that it can
//! be done again after a crash ([`retryable`]). Both read while they send.
//!
//! A file that has more bad rows than it may have is read to its end all the same, so that every reason is reported.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use diesel::connection::Connection;
use diesel::pg::PgConnection;
use serde::Serialize;

use super::error::Error;
use super::format::Format;
use super::names::Names;
use super::origins::Origins;
use super::read::{self, Reader, Reject};
use super::refusal::refusal;
use super::table::Table;
use crate::connection::{self, Pool};
use crate::error::{Doing as _, Result};
use crate::ingest::{self, Batch, Connections, Feed, Loaded, Loading, Next, OnConflict, Pipeline, Progress, Refused};
use crate::{migrate, tenant, timeouts};

/// Reasons that a report holds.
pub const REJECTS_IN_REPORT: usize = 1000;
/// Rows that are sent together where all are one transaction: enough to keep the server busy while the next are read.
const ROWS_OF_ONE_TRANSACTION: usize = 10_000;
/// Rows that are committed together: some tenths of a second of the server's work.
const ROWS_PER_TRANSACTION: usize = 25_000;
/// How often the reader reports how far it is.
const ROWS_BETWEEN_REPORTS: u64 = 1000;

/// What to do with a file.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How it is read.
    pub read: read::Options,
    /// So many bad rows may be left out.
    pub max_rejects: u64,
    /// Everything is tried and nothing stays: the rows are written and rolled back.
    pub dry_run: bool,
    /// How rows get into a table that is partitioned. A dry run writes by rows.
    pub loading: Loading,
}

/// What came of an import.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The table.
    pub table: Table,
    /// How the file holds its rows.
    pub input_format: Format,
    /// The fields of a CSV file that no column takes. One without a name is the index that pandas writes.
    pub left_out: Vec<String>,
    /// The metrics of another tool that are not known here, and how many samples of each were found. Without
    /// `ignore_unknown` these samples are bad rows.
    pub unknown_metrics: BTreeMap<String, u64>,
    /// Samples of another tool that have no time of their own, and so that of the options.
    pub undated: u64,
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
    /// The partitions that were loaded whole.
    pub partitions: Vec<Loaded>,
    /// How many bad rows there may be.
    pub max_rejects: u64,
    /// How long it took.
    pub seconds: f64,
    /// Rows of the file a second.
    pub rows_per_second: f64,
    /// The first [`REJECTS_IN_REPORT`] bad rows, in the order in which they were found: what the server refuses is
    /// found after later rows were read.
    pub rejects: Vec<Reject>,
}

/// Observes an import.
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

/// Observes nothing.
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
/// [`Behind`](crate::migrate::Error::Behind) where the schema is older than this build, [`Error::NoVisibleCustomer`] where row
/// security hides every customer, another [`Error`] when the file does not fit the table or cannot be read,
/// [`Error::Rejects`] when `watch` fails, and what the server says of the transaction. Nothing is written then.
pub fn all_or_nothing(
    conn: &mut PgConnection,
    table: Table,
    input: impl io::Read,
    options: &Options,
    on_conflict: OnConflict,
    watch: &mut dyn Watch,
) -> Result<Report> {
    let reader = Reader::new(input, table, &options.read, names(conn, table)?)?;
    // It goes on when too many rows are bad, because what is wrong with some rows only the server knows.
    let tolerated = REJECTS_IN_REPORT as u64;
    let allowance = AtomicU64::new(options.max_rejects.max(tolerated));
    let mut import = Import::new(reader, options, tolerated, &allowance, watch);
    let by_rows = Loading::rows();
    let loading = if options.dry_run { &by_rows } else { &options.loading };
    ingest::prepare(conn, table.ingested(), loading)?;
    let ended = conn.transaction(|conn| {
        timeouts::lift_in_transaction(conn)?;
        let pipeline = Pipeline {
            table: table.ingested(),
            connections: Connections::Transaction(conn),
            on_conflict,
            customer: None,
            rows_per_chunk: ROWS_OF_ONE_TRANSACTION,
            allowance: &allowance,
            cancel: None,
            loading,
        };
        let loaded = pipeline.run(&mut import)?.loaded;
        import.loaded = loaded;
        if import.is_over() {
            return Err(Stop::TooManyRejects);
        }
        if options.dry_run {
            return Err(Stop::DryRun);
        }
        Ok(import.watch.committing().map_err(rejects_error)?)
    });
    let is_whole = matches!(import.end(ended)?, Ended::Whole);
    if !is_whole {
        import.read_on()?;
    }
    Ok(import.report(table, on_conflict, options.dry_run, is_whole))
}

/// Imports a file chunk by chunk over so many connections, each chunk a transaction, and skips the rows that are
/// there: after a crash the same file may be imported again. Rows without an id get one that is derived from the row
/// and its line, whatever the options say, and need their time for it.
///
/// # Errors
///
/// As [`all_or_nothing`], but chunks that were written stay. [`Cancelled`](ingest::Error::Cancelled) once the flag is
/// set. [`DryRunOfChunks`](Error::DryRunOfChunks) where nothing is to be written: [`all_or_nothing`] can do that.
pub fn retryable(
    pool: &Pool,
    table: Table,
    input: impl io::Read,
    options: &Options,
    connections: usize,
    cancelled: &AtomicBool,
    watch: &mut dyn Watch,
) -> Result<Report> {
    if options.dry_run {
        return Err(Error::DryRunOfChunks.into());
    }
    let names = names(&mut *connection::take(pool)?, table)?;
    let read = read::Options { derive_ids: true, ..options.read.clone() };
    let reader = Reader::new(input, table, &read, names)?;
    let allowance = AtomicU64::new(options.max_rejects);
    let mut import = Import::new(reader, options, 0, &allowance, watch);
    let pipeline = Pipeline {
        table: table.ingested(),
        connections: Connections::Pool(pool, connections),
        on_conflict: OnConflict::Skip,
        customer: None,
        rows_per_chunk: ROWS_PER_TRANSACTION,
        allowance: &allowance,
        cancel: Some(cancelled),
        loading: &options.loading,
    };
    let ended = pipeline.run(&mut import).map(|done| import.loaded = done.loaded);
    let ended = import.end(ended).map_err(|error| after(import.progress.written, error))?;
    if matches!(ended, Ended::TooManyRejects) {
        import.read_on().map_err(|error| error.after(import.progress.written))?;
    }
    Ok(import.report(table, OnConflict::Skip, false, true))
}

/// The customers and agents that rows may name; fails where the schema is not the one that the rows are for.
fn names(conn: &mut PgConnection, table: Table) -> Result<Names> {
    migrate::status(conn)?.require_applied()?;
    let names = Names::load(conn)?;
    if table.has_customer() && !names.has_customers() {
        refuse_hidden_customers(conn, table)?;
    }
    Ok(names)
}

/// Refuses to call every row bad where it is the session that sees no customer.
fn refuse_hidden_customers(conn: &mut PgConnection, table: Table) -> Result<()> {
    let hidden = tenant::hidden_tables(conn).doing("see which tables row security hides")?;
    if hidden.iter().any(|hidden| hidden == "customers") {
        return Err(Error::NoVisibleCustomer(table).into());
    }
    Ok(())
}

/// Why an import ends before its time.
enum Stop {
    TooManyRejects,
    DryRun,
    Failed(crate::Error),
}

impl<E: Into<crate::Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// How an import ended, where nothing failed.
enum Ended {
    Whole,
    TooManyRejects,
}

/// A file on its way into a table, and what is counted meanwhile.
struct Import<'a> {
    reader: Reader<'a>,
    watch: &'a mut dyn Watch,
    /// How many rows the server may refuse.
    allowance: &'a AtomicU64,
    max_rejects: u64,
    /// How many bad rows end the import: with fewer, it goes on to find out what is wrong with the others.
    tolerated: u64,
    begun: Instant,
    read: u64,
    progress: Progress,
    rejected: u64,
    rejects: Vec<Reject>,
    loaded: Vec<Loaded>,
    /// Why a refused row could not be reported.
    failure: Option<Error>,
}

impl<'a> Import<'a> {
    fn new(
        reader: Reader<'a>,
        options: &Options,
        tolerated: u64,
        allowance: &'a AtomicU64,
        watch: &'a mut dyn Watch,
    ) -> Self {
        Self {
            reader,
            watch,
            allowance,
            max_rejects: options.max_rejects,
            tolerated,
            begun: Instant::now(),
            read: 0,
            progress: Progress::default(),
            rejected: 0,
            rejects: Vec::new(),
            loaded: Vec::new(),
            failure: None,
        }
    }

    /// Whether the file has more bad rows than it may have.
    const fn is_over(&self) -> bool {
        self.rejected > self.max_rejects
    }

    fn reject(&mut self, mut reject: Reject) -> Result<(), Error> {
        self.watch.rejected(&reject).map_err(rejects_error)?;
        self.rejected += 1;
        if self.rejects.len() < REJECTS_IN_REPORT {
            reject.raw = Vec::new();
            self.rejects.push(reject);
        }
        Ok(())
    }

    /// Reads up to the next row that can be sent, reports the bad ones before it, and hands it to `take`.
    fn next_row<T>(&mut self, take: impl FnOnce(&read::Row<'_>) -> T) -> Result<Option<T>, Stop> {
        loop {
            if self.is_over() && self.rejected > self.tolerated {
                return Err(Stop::TooManyRejects);
            }
            let row = self.reader.next_row().map_err(Error::input)?;
            self.read += u64::from(row.is_some());
            if row.is_none() || self.read.is_multiple_of(ROWS_BETWEEN_REPORTS) {
                self.watch.read(self.read);
            }
            match row {
                None => return Ok(None),
                Some(Ok(row)) => return Ok(Some(take(&row))),
                Some(Err(reject)) => self.reject(reject)?,
            }
        }
    }

    /// Reads what is left only to report what is wrong with it.
    fn read_on(&mut self) -> Result<(), Error> {
        self.tolerated = u64::MAX;
        loop {
            match self.next_row(|_| ()) {
                Ok(Some(())) => {}
                Err(Stop::Failed(crate::Error::Transfer(error))) => return Err(error),
                Ok(None) | Err(_) => return Ok(()),
            }
        }
    }

    /// Whether it ended because of too many bad rows, or failed.
    fn end(&mut self, ended: Result<(), Stop>) -> Result<Ended> {
        let ended = match ended {
            Ok(()) | Err(Stop::DryRun) => Ended::Whole,
            Err(Stop::TooManyRejects) => Ended::TooManyRejects,
            // Reported as any other, and one too many.
            Err(Stop::Failed(crate::Error::Ingest(ingest::Error::RowRefused { in_doubt: 0, .. })))
                if self.is_over() =>
            {
                Ended::TooManyRejects
            }
            Err(Stop::Failed(error)) => return Err(error),
        };
        self.failure.take().map_or(Ok(ended), |error| Err(error.into()))
    }

    /// `stays` is whether the rows that the server took are in the table, or would be.
    fn report(self, table: Table, on_conflict: OnConflict, dry_run: bool, stays: bool) -> Report {
        let seconds = self.begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
        let rows_per_second = if seconds > 0.0 { self.read as f64 / seconds } else { 0.0 };
        let Progress { written, skipped, .. } = self.progress;
        let complete = self.read == written + skipped + self.rejected;
        let (written, skipped) = if stays { (written, skipped) } else { (0, 0) };
        Report {
            table,
            input_format: self.reader.format(),
            left_out: self.reader.left_out().to_vec(),
            unknown_metrics: self.reader.unknown_metrics(),
            undated: self.reader.undated(),
            dry_run,
            on_conflict,
            accepted: !self.is_over(),
            complete,
            read: self.read,
            written,
            skipped,
            rejected: self.rejected,
            partitions: if stays { self.loaded } else { Vec::new() },
            max_rejects: self.max_rejects,
            seconds,
            rows_per_second,
            rejects: self.rejects,
        }
    }
}

impl Feed for Import<'_> {
    type Origins = Origins;
    type Error = Stop;

    fn next(&mut self, batch: &mut Batch, origins: &mut Origins) -> Result<Next, Stop> {
        if let Some(error) = self.failure.take() {
            return Err(error.into());
        }
        let before = self.rejected;
        let next = self.next_row(|row| match row.encode(batch) {
            Ok(()) => {
                origins.push(row.line, row.raw);
                Next::Row
            }
            Err(error) => Next::TooLong(row.id(), error),
        });
        // The file's bad rows count as much as the server's.
        let of_file = self.rejected - before;
        let fewer = |left: u64| Some(left.saturating_sub(of_file));
        let _ = self.allowance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        Ok(next?.unwrap_or(Next::End))
    }

    fn refused(&mut self, origins: &Origins, refused: &Refused) {
        let Some((line, raw)) = origins.get(refused.row) else { return };
        let (column, reason) = refusal(&refused.source);
        if let Err(error) = self.reject(Reject { line, path: None, column, reason, raw: raw.to_vec() }) {
            self.failure.get_or_insert(error);
        }
    }

    fn settled(&mut self, origins: &mut Origins, progress: Progress) {
        self.progress = progress;
        origins.clear();
    }
}

fn rejects_error(source: io::Error) -> Error {
    Error::Rejects { written: 0, source }
}

/// An error of the file, which does not know how many rows were committed before it.
fn after(written: u64, error: crate::Error) -> crate::Error {
    match error {
        crate::Error::Transfer(error) => error.after(written).into(),
        error => error,
    }
}
