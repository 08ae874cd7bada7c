//! Rows of the hot tables that are past their time: counted, and removed beside readers and writers.
//!
//! Of a partitioned table whole partitions go, once all of their rows are past their time: that costs the same whatever
//! their number. Of a plain table, rows go in small batches. The time is the server's, and has to be confirmed by this
//! machine's clock and by the rows themselves: a clock that is ahead removes nothing. An interrupted run is finished by the
//! next one.

mod archive;
mod archived;
mod clock;
mod error;
mod plan;
mod rollup;
mod rows;
mod run;
mod trim;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde::Serialize;

pub use self::archive::Archive;
use self::archive::Folder;
pub use self::error::Error;
pub use self::plan::{Part, Plan, TablePlan};
use self::run::Run;
use crate::catalog::HotTable;
use crate::deadline::Deadline;
use crate::error::{Doing, Result};
use crate::migrate::{self, DEFAULT_LOCK_WAIT, Inherited};
use crate::partitions;
use crate::raw::RunSql;
use crate::tenant;

/// What is to be removed, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The tables, and how long each keeps its rows.
    pub keep: Vec<(&'static HotTable, Duration)>,
    /// Whether hours of `resource_metrics` and `quality_metrics` are summed before their rows go. Nothing of a table goes
    /// before all of its hours are summed.
    pub rollup: bool,
    /// Where rows are written before they go. The cutoff is the beginning of a week then, so that a file has whole weeks.
    pub archive: Option<Archive>,
    /// Whether the server's clock is right although a table has no row of the days before.
    pub trust_clock: bool,
    /// How long a run may take. It ends between two batches or partitions.
    pub max_duration: Duration,
    /// How long to wait for locks.
    pub lock_wait: Duration,
    /// This machine's clock, which the server's is compared with.
    pub clock: fn() -> DateTime<Utc>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keep: Vec::new(),
            rollup: false,
            archive: None,
            trust_clock: false,
            max_duration: Duration::MAX,
            lock_wait: DEFAULT_LOCK_WAIT,
            clock: Utc::now,
        }
    }
}

/// What happens in a run, as it happens.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A step that changes which partitions there are.
    Step(partitions::Event<'a>),
    /// Rows of a table or partition are written to an archive.
    Archiving(&'a str),
    /// So many rows of a table or partition have been deleted.
    Deleted(&'a str, i64),
}

/// What a run removed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The tables, each with the parts from which rows went, and how many.
    pub tables: Vec<TablePlan>,
    /// Rows that are past their time and were not removed: because the time was up, or others had locked them.
    pub left: i64,
    /// How long it took.
    pub seconds: f64,
}

/// What [`run`] would remove: rows, bytes and the oldest row that stays. Counts the rows, and writes nothing.
///
/// # Errors
///
/// Those of [`Error`] about names and clocks; [`partitions::Error::NoTable`] and [`partitions::Error::OtherShape`] for a
/// table that is not there, or is partitioned by something else than its time; [`crate::Error::Query`], also where row
/// security would hide rows.
pub fn plan(conn: &mut PgConnection, options: &Options) -> Result<Plan> {
    conn.transaction(|conn| {
        tenant::refuse_partial_view(conn).doing("see which tables row security hides")?;
        plan::read(conn, options)
    })
}

/// Removes what is past its time, table by table. Each partition and each batch is a transaction of its own, so what went
/// stays gone whatever comes after it.
///
/// # Errors
///
/// As [`plan`]; [`Error::Locked`] and [`partitions::Error::Locked`] when others do not release a table in time,
/// [`Behind`](crate::migrate::Error::Behind) where hours are to be summed and the tables for that are not there,
/// [`Error::Refused`] and [`partitions::Error::Stopped`] when the server refuses; the other ones of [`Error`] about archives:
/// no row goes then that is not in a file.
pub fn run(conn: &mut PgConnection, options: &Options, mut observer: impl FnMut(Event<'_>)) -> Result<Report> {
    let begun = Instant::now();
    let deadline = Deadline::after(options.max_duration);
    let folder = options.archive.as_ref().map(Folder::open).transpose()?;
    if options.rollup {
        migrate::status(conn)?.require_applied()?;
    }
    let mut tables = plan(conn, options)?.tables;
    let inherited = Inherited::read(conn)?;
    // Rows that it hides would stay without a word.
    conn.batch("SET row_security = off").doing("turn off row security")?;
    let removed: Result<()> = tables.iter_mut().zip(&options.keep).try_for_each(|(table, (hot, _))| {
        let (folder, observer) = (folder.as_ref(), &mut observer);
        let TablePlan { cutoff, is_distributed, .. } = *table;
        let mut run = Run { options, folder, deadline, hot, is_distributed, cutoff, observer };
        let is_summed = run.roll_up(conn, table)?;
        table.parts.iter_mut().try_for_each(|part| run.remove(conn, part, is_summed))
    });
    let restored = inherited.restore(conn).and_then(|()| conn.batch("SET row_security = on"));
    // The first error first: where the connection is lost, both fail.
    removed?;
    restored.doing("give the session its settings back")?;
    let left = plan(conn, options)?.tables;
    for (table, left) in tables.iter_mut().zip(&left) {
        table.oldest = left.oldest;
    }
    let left = left.iter().map(TablePlan::rows).sum();
    Ok(Report { tables, left, seconds: begun.elapsed().as_secs_f64() })
}
