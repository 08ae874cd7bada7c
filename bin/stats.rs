//! `stats`: what is in the database, a table a question.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use diesel::pg::PgConnection;
use optiinfra_db::raw::RunSql;
use optiinfra_db::stats::operations::{IndexName, Probe, RowsAre};
use optiinfra_db::stats::{self, Options, Report};
use optiinfra_db::verify;

use crate::args::Global;
use crate::exit::Exit;
use crate::hints::Hinted;
use crate::output::{Output, Table, bytes, json, plain, seconds, sparkline, time, write_atomically};
use crate::parse::Since;
use crate::{csv, html, interrupt, parse, prometheus, target};

/// Show what is in the database, and its health.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only the rows of this customer. Tables, indexes and agents are everybody's all the same.
    #[arg(long, value_name = "ID|NAME")]
    pub customer: Option<String>,

    /// Only what happened since: a duration such as 90s, 30m, 24h, 7d, 2w, or a time as RFC 3339.
    #[arg(long, value_name = "DURATION|TIME", value_parser = parse::since)]
    pub since: Option<Since>,

    /// Count the rows of every table instead of showing the planner's estimate, and sum up all samples and answers
    /// instead of the newest 250,000 of each.
    #[arg(long)]
    pub exact: bool,

    /// Only this part of the report: its table, or in csv a column a field.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(csv::section_names()))]
    pub section: Option<String>,

    /// Show it again every SECONDS seconds, what changes first, until Ctrl-C: anew on a terminal, one after the other
    /// elsewhere [default: 2].
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = parse::interval)]
    pub watch: Option<Duration>,

    /// Write to this file instead of stdout: whole or not at all.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Format of the result.
    #[arg(long, value_enum, default_value_t = Format::Table, help_heading = "Output")]
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people.
    Table,
    /// One JSON document with a schema_version.
    Json,
    /// Comma-separated values.
    Csv,
    /// Prometheus' text format, for the textfile collector.
    Prometheus,
    /// One self-contained page.
    Html,
}

/// Shows the statistics.
pub fn run(args: &Args, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    refuse_section(args, args.format)?;
    if args.watch.is_some() && args.format == Format::Html && args.output.is_none() {
        return Err(hinted("--watch would print one page after the other", "pass --output FILE").into());
    }
    let shown = target::connect(global, out, "stats").and_then(|mut conn| match args.watch {
        Some(interval) => watch(args, args.format, interval, &mut conn, out),
        None => show(args, args.format, &mut conn, out).map(|()| Exit::Done),
    });
    // The figures of the last time would go on saying that all is well.
    if let Err(error) = &shown
        && args.format == Format::Prometheus
    {
        deliver(args, &prometheus::without_figures(error), out)?;
    }
    shown
}

/// Refuses a section that the format cannot show alone.
fn refuse_section(args: &Args, format: Format) -> Result<(), Hinted> {
    match (&args.section, format) {
        (None, _) | (_, Format::Csv) => Ok(()),
        (Some(section), Format::Table) if WITHOUT_TABLE.contains(&section.as_str()) => {
            Err(hinted(&format!("no table shows {section}"), "pass --format csv"))
        }
        (_, Format::Table) => Ok(()),
        _ => Err(hinted("--section is for tables and csv", "pass --format table or csv")),
    }
}

/// Shows the statistics again and again.
fn watch(
    args: &Args,
    format: Format,
    interval: Duration,
    conn: &mut PgConnection,
    out: &mut Output,
) -> anyhow::Result<Exit> {
    let _screen = (format == Format::Table && args.output.is_none()).then(|| out.take_screen()).transpose()?;
    loop {
        let shown = show(args, format, conn, out);
        // Ctrl-C reaches everybody in a pipeline: a reader that has gone because of it is no news.
        if let Some(exit) = interrupt::caught() {
            return Ok(exit);
        }
        shown?;
        if let Some(exit) = interrupt::pause(interval) {
            return Ok(exit);
        }
    }
}

fn show(args: &Args, format: Format, conn: &mut PgConnection, out: &mut Output) -> anyhow::Result<()> {
    let begun = Instant::now();
    let options = options(args, conn)?;
    let report = stats::run(conn, &options)?;
    // What a signal cancelled reads as a figure that could not be had.
    interrupt::refuse_partial()?;
    let text = match format {
        Format::Csv => csv::render(&report, args.section.as_deref())?,
        Format::Prometheus => prometheus::render(&report, &verified(conn), begun.elapsed()),
        Format::Html => {
            let customer = report.core.customers.first().filter(|_| report.customer.is_some());
            html::render(&report, customer.map(|customer| customer.name.as_str()), &verified(conn))?
        }
        Format::Json if args.output.is_some() => json(&report)?,
        _ if args.output.is_some() => plain(&tables(args, &report)?)?,
        _ => return out.result(&report, &tables(args, &report)?),
    };
    deliver(args, &text, out)
}

/// Prints a text, or puts it where `--output` says.
fn deliver(args: &Args, text: &str, out: &mut Output) -> anyhow::Result<()> {
    match &args.output {
        Some(path) => write_atomically(path, text),
        None => out.rendered(text),
    }
}

/// Verifies as patiently as the statistics are gathered; `Err` says why that did not work.
fn verified(conn: &mut PgConnection) -> Result<verify::Report, String> {
    let limits = "SET lock_timeout = '50ms'; SET statement_timeout = '5s'";
    conn.batch(limits).map_err(|error| error.to_string())?;
    verify::run(conn, &verify::Options::default()).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    })
}

fn hinted(message: &str, hint: &str) -> Hinted {
    Hinted { message: message.to_owned(), hint: hint.to_owned() }
}

fn options(args: &Args, conn: &mut PgConnection) -> anyhow::Result<Options> {
    let customer = args.customer.as_ref().map(|wanted| stats::find_customer(conn, wanted)).transpose()?;
    let since = args.since.map(|since| {
        since.time().ok_or_else(|| hinted("--since reaches back too far", "leave it out to see everything"))
    });
    Ok(Options { customer, since: since.transpose()?, exact: args.exact, ..Options::default() })
}

/// The tables that have something to show, or those of `--section`.
fn tables(args: &Args, report: &Report) -> anyhow::Result<Vec<Table>> {
    let mut parts = parts(report);
    if args.watch.is_some() {
        // A screen shows the beginning only: what changes from one time to the next.
        parts.sort_by_key(|(sections, _)| !sections.iter().any(|section| LIVELY.contains(section)));
    }
    if let Some(section) = &args.section {
        return chosen(report, section, parts);
    }
    parts.retain(|(sections, table)| !table.is_empty() && *sections != ["indexes"]);
    Ok(parts.into_iter().map(|(_, table)| table).collect())
}

/// The tables of a section, and what could not be looked at.
fn chosen(report: &Report, section: &str, mut parts: Vec<Part>) -> anyhow::Result<Vec<Table>> {
    parts.retain(|(sections, table)| !table.is_empty() && (sections.contains(&section) || *sections == ["skipped"]));
    let is_there = parts.iter().any(|(sections, _)| sections.contains(&section));
    let mut tables: Vec<_> = parts.into_iter().map(|(_, table)| table).collect();
    if !is_there {
        let reason = csv::skipped(report, section)?.map(|reason| format!("skipped: {reason}"));
        let nothing = reason.unwrap_or_else(|| "nothing to show".to_owned());
        tables.push(Table::new(&[]).titled(&format!("{section}: {nothing}")));
    }
    Ok(tables)
}

/// A table, and the sections that it shows.
type Part = (&'static [&'static str], Table);

/// Sections that change while somebody looks.
const LIVELY: [&str; 5] = ["skipped", "operations", "blocked_sessions", "long_transactions", "latest_gpu_utilization"];

/// Sections that no table shows.
const WITHOUT_TABLE: [&str; 4] = ["database", "scaling_timeline", "quality_over_time", "regression_timeline"];

/// Every table. Those of all indexes and of what is skipped stand out: the one is shown only where it is asked for, the
/// other always.
fn parts(report: &Report) -> Vec<Part> {
    let operations = &report.operations;
    vec![
        (&["tables"], sizes(report)),
        (&["skipped"], skipped(report)),
        (&["operations", "cache", "newest_samples"], health(report)),
        (&["customers"], customers(report)),
        (&["agents"], agents(report)),
        (&["workflows"], workflows(report)),
        (&["resource_metrics"], metrics(report)),
        (&["instances", "utilization"], instances(report)),
        (&["scaling_events"], scaling(report)),
        (&["scaling_outcomes"], outcomes(report)),
        (&["latest_gpu_utilization"], latest(report)),
        (&["quality"], quality(report)),
        (&["regressions"], regressions(report)),
        (&["open_regressions"], open_regressions(report)),
        (&["tables"], upkeep(report)),
        (&["indexes"], indexes(report)),
        (&["redundant_indexes"], redundant(report)),
        (&["unused_indexes"], index_names("unused indexes", &operations.unused_indexes)),
        (&["invalid_indexes"], index_names("invalid indexes", &operations.invalid_indexes)),
        (&["unindexed_foreign_keys"], foreign_keys(report)),
        (&["long_transactions"], long_transactions(report)),
        (&["blocked_sessions"], blocked_sessions(report)),
    ]
}

fn sizes(report: &Report) -> Table {
    let mut table = Table::new(&["layer", "table", "rows", "size", "heap", "indexes", "toast", "note"]);
    for size in &report.tables {
        // The sign stands for the word; the line below the title says so.
        let rows = match (size.rows, size.rows_are) {
            (None, _) => "?".to_owned(),
            (Some(rows), RowsAre::Estimated) => format!("~{rows}"),
            (Some(rows), _) => rows.to_string(),
        };
        let measured = |count: Option<i64>| count.map_or("?".to_owned(), bytes);
        table.row([
            size.layer.as_str(),
            size.table,
            &rows,
            &measured(size.total_bytes),
            &measured(size.heap_bytes),
            &measured(size.index_bytes),
            &measured(size.toast_bytes),
            &size.skipped.as_ref().map(|reason| format!("skipped: {reason}")).unwrap_or_default(),
        ]);
    }
    let rows: i64 = report.tables.iter().filter_map(|size| size.rows).sum();
    let is_estimate = report.tables.iter().any(|size| size.rows_are != RowsAre::Exact);
    let head = report.head.as_deref().unwrap_or("no migration");
    let title = format!(
        "{} on PostgreSQL {}, {head}: {}{rows} rows",
        report.database,
        report.server_version,
        if is_estimate { "about " } else { "" },
    );
    table.titled(&if is_estimate { title + " (~ is an estimate, --exact counts)" } else { title })
}

fn skipped(report: &Report) -> Table {
    let mut table = Table::new(&["layer", "outcome", "reason"]);
    for skipped in &report.skipped {
        table.row([skipped.part, "skipped", &skipped.reason]);
    }
    table.titled("not looked at")
}

fn upkeep(report: &Report) -> Table {
    let mut table =
        Table::new(&["table", "dead rows", "last vacuum", "last analyze", "full scans", "index scans", "cache hits"]);
    for size in &report.tables {
        let last = |at: Option<_>| at.map_or("never".to_owned(), time);
        let asked = size.blocks_hit + size.blocks_read;
        table.row([
            size.table,
            &size.dead_rows.to_string(),
            &last(size.last_vacuum),
            &last(size.last_analyze),
            &size.seq_scans.to_string(),
            &size.index_scans.to_string(),
            &if asked == 0 { String::new() } else { percent(size.blocks_hit, asked) },
        ]);
    }
    table.titled("upkeep")
}

fn percent(part: i64, whole: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people, to a tenth of a percent")]
    let percent = part as f64 * 100.0 / whole as f64;
    format!("{percent:.1} %")
}

/// One line a question; what nobody looked at says so and why.
fn health(report: &Report) -> Table {
    let mut table = Table::new(&["question", "answer"]);
    answers(report).into_iter().for_each(|answer| table.row(answer));
    table.titled("how it is doing")
}

/// The questions of the operator's view that one line answers.
pub fn answers(report: &Report) -> Vec<[String; 2]> {
    let operations = &report.operations;
    let mut answers = Vec::new();
    let mut ask = |question: &str, answer: String| answers.push([question.to_owned(), answer]);
    ask(
        "migrations",
        answer(&operations.migrations, |found| {
            format!("{} applied, {} pending, {} unknown", found.applied, found.pending.len(), found.unknown.len())
        }),
    );
    ask(
        "statistics kept since",
        answer(&operations.statistics, |found| format!("{} ({})", time(found.since), seconds(found.age_seconds))),
    );
    let cache = &operations.cache;
    let ratio = cache.hit_ratio.map(|ratio| format!("{:.2} %, ", ratio * 100.0)).unwrap_or_default();
    ask("cache", format!("{ratio}{} hits, {} reads", cache.blocks_hit, cache.blocks_read));
    ask("indexes", answer(&operations.indexes, |found| found.len().to_string()));
    ask(
        "redundant indexes",
        answer(&operations.redundant_indexes, |found| {
            format!("{}, {} in all", found.len(), bytes(found.iter().filter_map(|index| index.bytes).sum()))
        }),
    );
    ask("unused indexes", answer(&operations.unused_indexes, |found| found.len().to_string()));
    ask("invalid indexes", answer(&operations.invalid_indexes, |found| found.len().to_string()));
    ask("foreign keys without an index", answer(&operations.unindexed_foreign_keys, |found| found.len().to_string()));
    ask("oldest transaction", answer(&operations.oldest_transaction_seconds, |age| seconds(*age)));
    ask("transactions over 60 s", answer(&operations.long_transaction_count, ToString::to_string));
    ask("blocked sessions", answer(&operations.blocked_session_count, ToString::to_string));
    for newest in &operations.newest_samples {
        ask(&format!("newest row of {}", newest.table), answer(&newest.at, |at| at.map_or("none".to_owned(), time)));
    }
    answers
}

fn answer<T>(probe: &Probe<T>, show: impl FnOnce(&T) -> String) -> String {
    match probe {
        Probe::Done { found } => show(found),
        Probe::Skipped { reason } => format!("skipped: {reason}"),
    }
}

fn indexes(report: &Report) -> Table {
    let mut table = Table::new(&["table", "index", "size", "scans", "note"]);
    for index in report.operations.indexes.found().into_iter().flatten() {
        table.row([
            index.table.as_str(),
            &index.index,
            &index.bytes.map_or("?".to_owned(), bytes),
            &index.scans.to_string(),
            if index.valid { "" } else { "invalid" },
        ]);
    }
    table.titled("indexes")
}

fn redundant(report: &Report) -> Table {
    let mut table = Table::new(&["table", "index", "is a", "of", "size"]);
    for index in report.operations.redundant_indexes.found().into_iter().flatten() {
        table.row([
            index.table.as_str(),
            &index.index,
            index.how.as_str(),
            &index.by,
            &index.bytes.map_or("?".to_owned(), bytes),
        ]);
    }
    table.titled("redundant indexes")
}

fn index_names(title: &str, probe: &Probe<Vec<IndexName>>) -> Table {
    let mut table = Table::new(&["table", "index", "size"]);
    for index in probe.found().into_iter().flatten() {
        table.row([index.table.as_str(), &index.index, &index.bytes.map_or("?".to_owned(), bytes)]);
    }
    table.titled(title)
}

fn foreign_keys(report: &Report) -> Table {
    let mut table = Table::new(&["table", "foreign key", "columns"]);
    for key in report.operations.unindexed_foreign_keys.found().into_iter().flatten() {
        table.row([key.table.as_str(), &key.constraint, &key.columns.join(", ")]);
    }
    table.titled("foreign keys without an index")
}

fn long_transactions(report: &Report) -> Table {
    let mut table = Table::new(&["process", "role", "application", "state", "open for"]);
    for long in report.operations.long_transactions.found().into_iter().flatten() {
        table.row([&long.pid.to_string(), &long.role, &long.application, &long.state, &seconds(long.seconds)]);
    }
    table.titled("transactions over 60 s")
}

fn blocked_sessions(report: &Report) -> Table {
    let mut table = Table::new(&["process", "role", "application", "waits for", "since"]);
    for blocked in report.operations.blocked_sessions.found().into_iter().flatten() {
        let by: Vec<_> = blocked.blocked_by.iter().map(ToString::to_string).collect();
        table.row([
            &blocked.pid.to_string(),
            &blocked.role,
            &blocked.application,
            &by.join(", "),
            &seconds(blocked.seconds),
        ]);
    }
    table.titled("blocked sessions")
}

fn customers(report: &Report) -> Table {
    let mut table = Table::new(&["customer", "email", "plan"]);
    for customer in &report.core.customers {
        table.row([customer.name.as_str(), &customer.email, customer.plan.as_str()]);
    }
    table.titled("customers")
}

fn agents(report: &Report) -> Table {
    let mut table = Table::new(&["type", "agent", "status"]);
    for agent in &report.core.agents {
        table.row([agent.type_.as_str(), &agent.name, agent.status.as_str()]);
    }
    table.titled("agents")
}

fn workflows(report: &Report) -> Table {
    let mut table = Table::new(&["status", "workflows"]);
    for workflows in &report.workflow_history.workflows {
        table.row([workflows.status.as_str(), &workflows.count.to_string()]);
    }
    table.titled("workflows by status")
}

/// What a title adds where only the newest rows were read.
fn newest(report: &Report, begin: Option<DateTime<Utc>>) -> String {
    let begin = begin.filter(|_| begin != report.since);
    begin.map(|begin| format!(" (the newest, since {}; --exact has all)", time(begin))).unwrap_or_default()
}

fn metrics(report: &Report) -> Table {
    let mut table = Table::new(&["resource type", "samples"]);
    for metrics in &report.resource.metrics {
        table.row([metrics.resource_type.as_str(), &metrics.count.to_string()]);
    }
    table.titled(&format!("resource metrics by type{}", newest(report, report.samples_since)))
}

fn instances(report: &Report) -> Table {
    let mut table = Table::new(&["instance", "samples", "average GPU utilisation", "utilisation over time", "of"]);
    for instance in &report.resource.instances {
        let average = instance.average_gpu_utilization.map(|percent| format!("{percent:.2} %"));
        let lines = report.resource.utilization.iter().filter(|line| line.instance_id == instance.instance_id);
        let points = |line: &stats::Utilization| line.points.iter().map(|point| point.value).collect::<Vec<_>>();
        let (lines, of): (Vec<_>, Vec<_>) =
            lines.map(|line| (sparkline(&points(line), 0.0, 100.0), line.resource_type.as_str())).unzip();
        table.row([
            instance.instance_id.as_str(),
            &instance.metrics.to_string(),
            &average.unwrap_or_default(),
            &lines.join(" "),
            &of.join(" "),
        ]);
    }
    let drawn = drawn_instances(&report.resource);
    let drawn = drawn.map(|drawn| format!(", utilisation over time of {drawn}")).unwrap_or_default();
    table.titled(&format!("resource metrics by instance{drawn}{}", newest(report, report.samples_since)))
}

/// Which instances have a line over time, if not all.
pub fn drawn_instances(resource: &stats::Resource) -> Option<String> {
    let drawn: BTreeSet<_> = resource.utilization.iter().map(|line| &line.instance_id).collect();
    let all = usize::try_from(resource.utilization_instances).unwrap_or_default();
    (drawn.len() < all).then(|| format!("the {} of {all} instances with most samples", drawn.len()))
}

fn scaling(report: &Report) -> Table {
    let mut table = Table::new(&["event type", "events", "successful"]);
    for events in &report.resource.scaling_events {
        table.row([events.event_type.as_str(), &events.count.to_string(), &events.succeeded.to_string()]);
    }
    table.titled("scaling events by type")
}

fn outcomes(report: &Report) -> Table {
    let mut table = Table::new(&["event type", "success", "events", "average duration"]);
    for outcome in &report.resource.scaling_outcomes {
        let average = format!("{:.1} min", outcome.average_minutes);
        let success = if outcome.success { "yes" } else { "no" };
        table.row([outcome.event_type.as_str(), success, &outcome.count.to_string(), &average]);
    }
    table.titled("scaling outcomes")
}

fn latest(report: &Report) -> Table {
    let mut table = Table::new(&["most recent", "what", "when"]);
    if let Some(sample) = &report.resource.latest_gpu_utilization {
        let what = format!("{} at {:.1} %", sample.instance_id, sample.utilization);
        table.row(["GPU utilisation", &what, &time(sample.timestamp)]);
    }
    if let Some(event) = &report.resource.latest_scaling_event {
        let outcome = if event.success { "succeeded" } else { "failed" };
        let duration = event.duration_seconds.map_or("still runs".to_owned(), |s| format!("{:.1} min", s / 60.0));
        let what = format!("{} {outcome}, {duration}: {}", event.event_type, event.trigger_reason);
        table.row(["scaling event", &what, &time(event.executed_at)]);
    }
    table.titled("most recent")
}

fn quality(report: &Report) -> Table {
    let mut table = Table::new(&["model", "answers", "average quality", "average latency", "hallucinations"]);
    for quality in &report.application.quality {
        let latency = quality.average_latency_ms.map(|ms| format!("{ms:.0} ms")).unwrap_or_default();
        table.row([
            quality.model_name.as_str(),
            &quality.answers.to_string(),
            &format!("{:.3}", quality.average_quality),
            &latency,
            &quality.hallucinations.to_string(),
        ]);
    }
    table.titled(&format!("quality by model{}", newest(report, report.answers_since)))
}

fn regressions(report: &Report) -> Table {
    let mut table = Table::new(&["severity", "open", "resolved"]);
    for regressions in &report.application.regressions {
        table.row([regressions.severity.as_str(), &regressions.open.to_string(), &regressions.resolved.to_string()]);
    }
    table.titled("quality regressions by severity")
}

fn open_regressions(report: &Report) -> Table {
    let mut table = Table::new(&["customer", "model", "regression", "severity", "metric", "change", "detected"]);
    for open in &report.application.open_regressions {
        table.row([
            open.customer.as_str(),
            &open.model_name,
            open.regression_type.as_str(),
            open.severity.as_str(),
            &open.metric_name,
            &format!("{:+.1} %", open.delta_percent),
            &time(open.detected_at),
        ]);
    }
    table.titled(&format!("unresolved regressions: {}", report.application.unresolved_regressions))
}
