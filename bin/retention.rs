//! `retention`: plan, apply.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use optiinfra_db::catalog::HotTable;
use optiinfra_db::partitions;
use optiinfra_db::retention::{self, Archive, Event, Options, Report, TablePlan};
use serde::Serialize;

use crate::args::{Confirm, FileFormat as Format, Global, LockWait};
use crate::exit::Exit;
use crate::output::{Output, Table, bytes, plural, time};
use crate::{parse, target};

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show what apply would remove: rows, bytes, and the oldest row that stays. Writes nothing.
    Plan(Keep),
    /// Remove what is past its time, beside readers and writers. An interrupted run is finished by the next one.
    ///
    /// Partitions of which every row is past its time are dropped, under a lock of some milliseconds. Of plain tables, and of
    /// partitions without a beginning, rows are deleted in small batches, and the space is used again for new rows.
    Apply {
        #[command(flatten)]
        keep: Keep,

        /// End after this time, between two batches or partitions; the next run goes on.
        #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = parse::duration)]
        max_duration: Option<Duration>,

        #[command(flatten)]
        lock: LockWait,
        #[command(flatten)]
        confirm: Confirm,
    },
}

#[derive(Debug, clap::Args)]
pub struct Keep {
    /// A table and how long it keeps its rows, as often as there are tables: --keep resource_metrics=90d --keep events=400d.
    ///
    /// Nothing newer is removed. The time is that of the server's clock, which may be at most 5 minutes from this machine's.
    #[arg(long, value_name = "TABLE=DURATION", required = true, value_parser = parse::keep)]
    keep: Vec<(&'static HotTable, Duration)>,

    /// Sum the samples of each hour before they go: resource_metrics into resource_metrics_hourly, quality_metrics into
    /// quality_metrics_hourly.
    ///
    /// Every hour that is over is summed, and again where samples came late. Sums of hours whose samples went stay as they are.
    #[arg(long, value_name = "PERIOD", value_parser = ["1h"])]
    rollup: Option<String>,

    /// Write rows to files in this folder before they go, which import reads back.
    ///
    /// The files are flushed to the disk and compared with the table. Rows go by whole weeks then, from Monday, UTC. Runs on one
    /// database take one folder of their own; files in it may be moved away once a run has ended.
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,

    /// How the files of the archive hold their rows, in gzip.
    #[arg(long, value_enum, default_value_t = Format::Ndjson, requires = "archive")]
    archive_format: Format,

    /// Believe the server's clock although a table got no rows for days.
    ///
    /// Without this, rows stay that are past their time only by a clock which no row confirms: one of the table that is one
    /// to two days older than it.
    #[arg(long)]
    trust_clock: bool,
}

impl Keep {
    fn options(&self) -> Options {
        let format = self.archive_format.of_file();
        let archive = self.archive.clone().map(|dir| Archive { dir, format });
        let (keep, rollup) = (self.keep.clone(), self.rollup.is_some());
        Options { keep, rollup, archive, trust_clock: self.trust_clock, ..Options::default() }
    }
}

/// Runs a subcommand.
pub fn run(action: &Action, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    match action {
        Action::Plan(keep) => {
            let plan = retention::plan(&mut target::connect_read_only(global, out, "retention")?, &keep.options())?;
            notes(&plan.tables, out)?;
            out.result(&Shown::of(&plan.tables, &plan), &tables(&plan.tables, "goes"))?;
        }
        Action::Apply { keep, max_duration, lock, confirm } => {
            let mut options = Options { lock_wait: lock.lock_wait, ..keep.options() };
            options.max_duration = max_duration.unwrap_or(options.max_duration);
            apply(&options, confirm.yes, global, out)?;
        }
    }
    Ok(Exit::Done)
}

fn apply(options: &Options, is_confirmed: bool, global: &Global, out: &mut Output) -> anyhow::Result<()> {
    let mut conn = target::connect_directly(global, out, "retention")?;
    if !is_confirmed {
        let plan = retention::plan(&mut conn, options)?;
        if !plan.is_empty() {
            out.confirm(&tables(&plan.tables, "goes"), "remove these rows")?;
        }
    }
    let progress = out.progress();
    let report = retention::run(&mut conn, options, |event| match event {
        Event::Archiving(rows) => progress.doing(&format!("archives {rows}")),
        Event::Step(partitions::Event::Begin(table, does, ..)) => progress.doing(&format!("{table}: {does}")),
        Event::Step(partitions::Event::Blocked(table)) => {
            progress.note(&format!("{table} waits for a lock and will be tried again"));
        }
        Event::Deleted(table, rows) => progress.doing(&format!("{table}: {rows} rows deleted")),
    })?;
    drop(progress);
    notes(&report.tables, out)?;
    if report.left > 0 {
        out.note(&left(&report))?;
    }
    out.result(&Shown::of(&report.tables, &report), &tables(&report.tables, "gone"))
}

/// What is removed, with its sums.
#[derive(Serialize)]
struct Shown<'a, T> {
    #[serde(flatten)]
    body: &'a T,
    rows: i64,
    bytes: i64,
}

impl<'a, T> Shown<'a, T> {
    fn of(tables: &[TablePlan], body: &'a T) -> Self {
        Self { body, rows: tables.iter().map(TablePlan::rows).sum(), bytes: tables.iter().map(TablePlan::bytes).sum() }
    }
}

fn tables(of: &[TablePlan], verb: &str) -> Vec<Table> {
    let mut tables = Table::new(&["table", "rows before", verb, "size", "oldest row that stays"]);
    let mut parts = Table::new(&[verb, "how", "rows", "size"]);
    let mut archives = Table::new(&["archive of", "file"]);
    for table in of.iter().filter(|table| table.left_alone.is_none()) {
        let oldest = table.oldest.map(time).unwrap_or_default();
        tables.row([table.table, &time(table.cutoff), &table.rows().to_string(), &bytes(table.bytes()), &oldest]);
        for part in &table.parts {
            let how = match (part.whole, part.detached) {
                (_, true) => "a partition that an interrupted run took out of the table",
                (true, _) => "the whole partition",
                (false, _) => "row by row",
            };
            for file in &part.archives {
                archives.row([part.name.as_str(), &file.display().to_string()]);
            }
            parts.row([part.name.as_str(), how, &part.rows.to_string(), &bytes(part.bytes)]);
        }
    }
    if parts.is_empty() {
        return vec![tables.titled("nothing is past its time")];
    }
    if archives.is_empty() { vec![tables, parts] } else { vec![tables, parts, archives] }
}

fn notes(tables: &[TablePlan], out: &mut Output) -> anyhow::Result<()> {
    for table in tables {
        if table.sums_written > 0 {
            out.note(&format!("{}: {} sums of an hour written", table.table, table.sums_written))?;
        }
        if let Some(reason) = table.left_alone {
            out.note(&format!("{} is left alone: {}", table.table, reason.as_str()))?;
        }
        for partition in &table.unknown {
            out.note(&format!("{partition} is left alone: `partitions` makes no partitions like it"))?;
        }
    }
    Ok(())
}

fn left(report: &Report) -> String {
    #[expect(clippy::cast_sign_loss, reason = "a number of rows")]
    let rows = plural(report.left as u64, "row is", "rows are");
    format!(
        "{rows} past their time and still there: the time was up, others have locked or changed them, or an archive \
             cannot hold their time"
    )
}
