//! `stats`: what is in the database, a table a question.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use optiinfra_db::raw::RunSql;
use optiinfra_db::stats::operations::{IndexName, Probe, RowsAre};
use optiinfra_db::stats::{self, Options, Report};
use optiinfra_db::verify;

use crate::cli::{Format, Global, Stats};
use crate::exit::Exit;
use crate::output::{Hinted, Output, Table, bytes, json, plain, seconds, sparkline, time, write_atomically};
use crate::{csv, html, interrupt, prometheus, target};

/// Shows the statistics.
pub fn run(args: &Stats, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    if args.section.is_some() && global.format != Format::Csv {
        return Err(hinted("--section is for csv only", "pass --format csv").into());
    }
    if args.watch.is_some() && global.format == Format::Html && args.output.is_none() {
        return Err(hinted("--watch would print one page after the other", "pass --output FILE").into());
    }
    let shown = target::connect(global, out, "stats").and_then(|mut conn| match args.watch {
        Some(interval) => watch(args, global.format, interval, &mut conn, out),
        None => show(args, global.format, &mut conn, out).map(|()| Exit::Done),
    });
    if let Err(error) = &shown
        && global.format == Format::Prometheus
        && Exit::of(error) == Exit::NoConnection
    {
        deliver(args, &prometheus::down(), out)?;
    }
    shown
}

/// Shows the statistics again and again.
fn watch(
    args: &Stats,
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

fn show(args: &Stats, format: Format, conn: &mut PgConnection, out: &mut Output) -> anyhow::Result<()> {
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
        _ if args.output.is_some() => plain(&tables(&report))?,
        _ => return out.result(&report, &tables(&report)),
    };
    deliver(args, &text, out)
}

/// Prints a text, or puts it where `--output` says.
fn deliver(args: &Stats, text: &str, out: &mut Output) -> anyhow::Result<()> {
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

fn options(args: &Stats, conn: &mut PgConnection) -> anyhow::Result<Options> {
    let customer = args.customer.as_ref().map(|wanted| stats::find_customer(conn, wanted)).transpose()?;
    let since = args.since.map(|since| {
        since.time().ok_or_else(|| hinted("--since reaches back too far", "leave it out to see everything"))
    });
    Ok(Options { customer, since: since.transpose()?, exact: args.exact, ..Options::default() })
}

/// Every table that has something to show.
fn tables(report: &Report) -> Vec<Table> {
    [
        sizes(report),
        skipped(report),
        health(report),
        customers(report),
        agents(report),
        workflows(report),
        metrics(report),
        instances(report),
        scaling(report),
        outcomes(report),
        latest(report),
        quality(report),
        regressions(report),
        open_regressions(report),
        upkeep(report),
        redundant(report),
        index_names("unused indexes", &report.operations.unused_indexes),
        index_names("invalid indexes", &report.operations.invalid_indexes),
        foreign_keys(report),
        long_transactions(report),
        blocked_sessions(report),
    ]
    .into_iter()
    .filter(|table| !table.is_empty())
    .collect()
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
    table.titled(&format!("resource metrics by instance{}", newest(report, report.samples_since)))
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
