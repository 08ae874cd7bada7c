//! What people see of an import.

use std::collections::HashMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use optiinfra_db::ingest;
use optiinfra_db::transfer::import::Report;
use optiinfra_db::transfer::read::Reject;

use crate::output::{Output, Table, plural, time};

/// Lines that a table of bad rows has; JSON has more, and --rejects all.
const SHOWN: usize = 20;
/// Unknown metrics that are named.
const METRICS_SHOWN: usize = 8;
/// Lines of the file that are named of rows that are bad in the same way.
const LINES_SHOWN: usize = 3;

/// The report as tables. `file` has the bad rows, where they were asked for.
pub fn tables(report: &Report, file: Option<&Path>) -> Vec<Table> {
    let mut counts = Table::new(&["table", "read", "written", "skipped", "rejected", "seconds", "rows/s"]);
    counts.row([
        report.table.to_string(),
        report.read.to_string(),
        report.written.to_string(),
        report.skipped.to_string(),
        report.rejected.to_string(),
        format!("{:.2}", report.seconds),
        format!("{:.0}", report.rows_per_second),
    ]);
    let mut partitions = Table::new(&["partition", "rows", "copy s", "index s", "keys s"]);
    for loaded in &report.partitions {
        let [copy, index, keys] =
            [loaded.copy_seconds, loaded.index_seconds, loaded.keys_seconds].map(|seconds| format!("{seconds:.2}"));
        partitions.row([loaded.partition.clone(), loaded.rows.to_string(), copy, index, keys]);
    }
    let mut rejects = Table::new(&["line", "column", "reason"]);
    let groups = groups(&report.rejects);
    for group in groups.iter().take(SHOWN) {
        rejects.row([group.lines(), group.first().column.clone().unwrap_or_default(), group.reason()]);
    }
    let shown: usize = groups.iter().take(SHOWN).map(|group| group.rejects.len()).sum();
    let more = report.rejected.saturating_sub(shown as u64);
    let title = match (more, file) {
        (0, _) => "rejected rows".to_owned(),
        (more, Some(path)) => format!("rejected rows, and {more} more in {}", path.display()),
        (more, None) if report.complete => format!("rejected rows, and {more} more: --rejects FILE takes all of them"),
        (more, None) => format!("rejected rows, and {more} more: --rejects FILE takes those that were found"),
    };
    let mut tables =
        vec![counts.titled(&verdict(report)), partitions.titled("partitions loaded whole"), rejects.titled(&title)];
    tables.retain(|table| !table.is_empty());
    tables
}

/// What a file has that is in no column, and what it lacks: its samples may have the time of the file itself.
pub fn notes(
    report: &Report,
    ignores_unknown: bool,
    time_of_file: Option<DateTime<Utc>>,
    out: &mut Output,
) -> anyhow::Result<()> {
    let (index, fields): (Vec<_>, Vec<_>) = report.left_out.iter().partition(|field| field.is_empty());
    if !index.is_empty() {
        out.note("the field without a name is left out: pandas writes its index so")?;
    }
    if !fields.is_empty() {
        let fields: Vec<_> = fields.iter().map(|field| field.as_str()).collect();
        out.note(&format!("left out: {}", fields.join(", ")))?;
    }
    if let Some(at) = time_of_file.filter(|_| report.undated > 0) {
        let samples = plural(report.undated, "sample has", "samples have");
        out.note(&format!("{samples} no time, and so that of the file, {}; --at TIME gives another", time(at)))?;
    }
    unknown_metrics(report, ignores_unknown, out)
}

fn unknown_metrics(report: &Report, are_ignored: bool, out: &mut Output) -> anyhow::Result<()> {
    let unknown = &report.unknown_metrics;
    if unknown.is_empty() {
        return Ok(());
    }
    let samples = plural(unknown.values().sum(), "sample", "samples");
    let names: Vec<_> =
        unknown.keys().take(METRICS_SHOWN).map(|name| name.chars().take(80).collect::<String>()).collect();
    let more = if unknown.len() > METRICS_SHOWN { ", ..." } else { "" };
    let metrics = format!("{samples} of metrics that are not known: {}{more}", names.join(", "));
    if are_ignored {
        return out.note(&format!("left out: {metrics}"));
    }
    out.note(&metrics)?;
    out.hint("pass --metric METRIC=RESOURCE_TYPE/METRIC_NAME/UNIT for each, or --ignore-unknown to leave them out")
}

/// Bad rows that have the same column and reason: one line of a table.
struct Group<'a> {
    rejects: Vec<&'a Reject>,
}

/// The bad rows by what is wrong with them, in the order of the first of each.
fn groups(rejects: &[Reject]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places = HashMap::new();
    for reject in rejects {
        let place = *places.entry((&reject.column, &reject.reason)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.rejects.push(reject),
            None => groups.push(Group { rejects: vec![reject] }),
        }
    }
    groups
}

impl Group<'_> {
    fn first(&self) -> &Reject {
        self.rejects[0]
    }

    /// The first few of its lines.
    fn lines(&self) -> String {
        let lines: Vec<_> = self.rejects.iter().take(LINES_SHOWN).map(|reject| place(reject)).collect();
        let more = if self.rejects.len() > LINES_SHOWN { ", ..." } else { "" };
        lines.join(", ") + more
    }

    fn reason(&self) -> String {
        match self.rejects.len() {
            1 => self.first().reason.clone(),
            many => format!("{many} rows: {}", self.first().reason),
        }
    }
}

/// Where a bad row is in its file.
fn place(reject: &Reject) -> String {
    reject.path.clone().unwrap_or_else(|| reject.line.to_string())
}

fn verdict(report: &Report) -> String {
    let (written, read) = (report.written, plural(report.read, "row", "rows"));
    let rejected = format!("{}{}", if report.complete { "" } else { "at least " }, report.rejected);
    let bad = format!("{} bad (--max-rejects {})", if report.rejected == 1 { "is" } else { "are" }, report.max_rejects);
    match (report.accepted, report.dry_run, report.on_conflict) {
        (true, false, _) => format!("{written} of {read} written"),
        (true, true, _) => format!("{written} of {read} would be written"),
        (false, false, ingest::OnConflict::Skip) => {
            format!("{written} of {read} written, then stopped: {rejected} {bad}")
        }
        (false, _, _) => format!("nothing written: {rejected} of {read} {bad}"),
    }
}
