//! `stats --format html`: one page that holds all it needs. The verdict of `verify` first, then charts, then tables.

use std::collections::BTreeMap;

use askama::Template;
use chrono::{DateTime, Utc};
use optiinfra_db::stats::Report;
use optiinfra_db::verify;

use crate::charts::{self, Chart};
use crate::output::{bytes, seconds};

/// Most findings of `verify` that are there at a glance.
const AT_A_GLANCE: usize = 8;
/// Most findings of `verify` on the page.
const MOST_FINDINGS: usize = 200;
/// Most indexes in the table of their sizes.
const MOST_INDEXES: usize = 12;

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    database: String,
    server: String,
    head: String,
    gathered: String,
    scope: String,
    verdict: Verdict,
    skipped: Vec<String>,
    charts: Vec<Chart>,
    tables: Vec<Grid>,
}

#[derive(Default)]
struct Verdict {
    class: &'static str,
    title: String,
    detail: String,
    /// What stands under it.
    shown: Vec<Told>,
    /// How many lines are a click away.
    hidden: usize,
    more: Vec<Told>,
}

/// What a check has to tell, a line a finding; or how many were skipped, and why.
struct Told {
    check: String,
    lines: Vec<String>,
}

/// A table of the page.
struct Grid {
    title: &'static str,
    /// What to say where there is no row.
    empty: String,
    headers: Vec<&'static str>,
    /// Columns of numbers, which stand on the right.
    numeric: &'static [usize],
    rows: Vec<Vec<String>>,
}

impl Grid {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the template passes its counter so")]
    fn is_numeric(&self, column: &usize) -> bool {
        self.numeric.contains(column)
    }
}

/// The page; `Err` in `verified` says why `verify` was not run.
pub fn render(
    report: &Report,
    customer: Option<&str>,
    verified: &Result<verify::Report, String>,
) -> anyhow::Result<String> {
    let since = report.since.map(|since| format!("since {}", time(since)));
    let newest = |what: &str, begin: Option<DateTime<Utc>>| {
        begin.filter(|_| begin != report.since).map(|begin| format!("{what}: the newest, since {}", time(begin)))
    };
    let newest = [newest("samples", report.samples_since), newest("answers", report.answers_since)];
    let customer = customer.map(|customer| format!("customer {customer}"));
    let page = Page {
        database: report.database.clone(),
        server: report.server_version.clone(),
        head: report.head.clone().unwrap_or_else(|| "no migration".to_owned()),
        gathered: time(report.gathered_at),
        scope: customer.into_iter().chain(since).chain(newest.into_iter().flatten()).collect::<Vec<_>>().join(" · "),
        verdict: verdict(verified),
        skipped: skipped(report),
        charts: vec![
            charts::utilization(
                &report.resource.utilization,
                crate::stats::drawn_instances(&report.resource).as_deref(),
            )?,
            charts::scaling(&report.resource.scaling_timeline)?,
            charts::quality(&report.application.quality_over_time, &report.application.regression_timeline)?,
            charts::sizes(&report.tables)?,
        ],
        tables: vec![
            models(report),
            regressions(report),
            failures(report),
            sizes(report),
            indexes(report),
            redundant(report),
            health(report),
        ],
    };
    Ok(page.render()?)
}

fn verdict(verified: &Result<verify::Report, String>) -> Verdict {
    let report = match verified {
        Ok(report) => report,
        Err(reason) => {
            let title = "verify was skipped".to_owned();
            return Verdict { class: "unknown", title, detail: reason.clone(), ..Verdict::default() };
        }
    };
    let class = match (report.failed, report.skipped) {
        (0, 0) => "good",
        (0, _) => "unknown",
        _ => "bad",
    };
    let detail = format!("verify: {} passed, {} failed, {} skipped", report.passed, report.failed, report.skipped);
    let mut shown = findings(report);
    shown.extend(not_made(report));
    let mut more = shown.split_off(shown.len().min(AT_A_GLANCE));
    let hidden = more.len();
    if hidden > MOST_FINDINGS {
        more.truncate(MOST_FINDINGS);
        more.push(("...".to_owned(), format!("and {} more: see `optiinfra-dbctl verify`", hidden - MOST_FINDINGS)));
    }
    Verdict { class, title: title(report), detail, shown: by_check(shown), hidden, more: by_check(more) }
}

/// The verdict as the beginning of a sentence.
fn title(report: &verify::Report) -> String {
    let verdict = report.verdict();
    let (first, rest) = verdict.split_at(verdict.chars().next().map_or(0, char::len_utf8));
    first.to_uppercase() + rest
}

/// The findings, each with its check.
fn findings(report: &verify::Report) -> Vec<(String, String)> {
    let of = |check: &verify::Check| {
        check.findings.iter().map(|finding| (check.id.clone(), finding.to_string())).collect::<Vec<_>>()
    };
    report.checks.iter().flat_map(of).collect()
}

/// Why checks were not made, and how many each reason kept away.
fn not_made(report: &verify::Report) -> Vec<(String, String)> {
    let mut reasons = BTreeMap::<&str, usize>::new();
    for check in &report.checks {
        if let verify::Outcome::Skipped { reason } = &check.outcome {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    reasons.into_iter().map(|(reason, count)| (format!("{count} skipped"), reason.to_owned())).collect()
}

fn by_check(lines: Vec<(String, String)>) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    for (check, line) in lines {
        match told.last_mut().filter(|last| last.check == check) {
            Some(last) => last.lines.push(line),
            None => told.push(Told { check, lines: vec![line] }),
        }
    }
    told
}

fn skipped(report: &Report) -> Vec<String> {
    let layers = report.skipped.iter().map(|skipped| format!("layer {}: {}", skipped.part, skipped.reason));
    let tables = report.tables.iter();
    let tables = tables.filter_map(|table| Some(format!("table {}: {}", table.table, table.skipped.as_ref()?)));
    layers.chain(tables).collect()
}

fn models(report: &Report) -> Grid {
    let baseline = |model: &str| {
        report.application.quality_over_time.iter().find(|line| line.model_name == model).and_then(|line| line.baseline)
    };
    let rows = report.application.quality.iter().map(|model| {
        let baseline = baseline(&model.model_name);
        vec![
            model.model_name.clone(),
            model.answers.to_string(),
            format!("{:.3}", model.average_quality),
            baseline.map_or("none".to_owned(), |baseline| format!("{baseline:.3}")),
            baseline
                .map(|baseline| format!("{:+.1} %", (model.average_quality / baseline - 1.0) * 100.0))
                .unwrap_or_default(),
            model.average_latency_ms.map(|latency| format!("{latency:.0} ms")).unwrap_or_default(),
            model.hallucinations.to_string(),
        ]
    });
    Grid {
        title: "Models against their baseline",
        empty: "No judged answers.".to_owned(),
        headers: vec!["model", "answers", "quality", "baseline", "change", "latency", "hallucinations"],
        numeric: &[1, 2, 3, 4, 5, 6],
        rows: rows.collect(),
    }
}

fn regressions(report: &Report) -> Grid {
    let rows = report.application.open_regressions.iter().map(|open| {
        vec![
            open.model_name.clone(),
            open.customer.clone(),
            words(open.regression_type.as_str()),
            open.severity.to_string(),
            format!("{:+.1} %", open.delta_percent),
            time(open.detected_at),
        ]
    });
    Grid {
        title: "Unresolved regressions",
        empty: "None.".to_owned(),
        headers: vec!["model", "customer", "regression", "severity", "change", "detected"],
        numeric: &[4],
        rows: rows.collect(),
    }
}

fn failures(report: &Report) -> Grid {
    let failed = report.resource.scaling_timeline.iter().rev();
    let failed = failed.filter(|event| !event.success && event.duration_seconds.is_some()).take(10);
    let rows = failed.map(|event| {
        vec![
            words(event.event_type.as_str()),
            event.trigger_reason.clone(),
            time(event.executed_at),
            event.duration_seconds.map(seconds).unwrap_or_default(),
        ]
    });
    Grid {
        title: "Failed scaling events",
        empty: "None.".to_owned(),
        headers: vec!["event", "reason", "began", "took"],
        numeric: &[3],
        rows: rows.collect(),
    }
}

fn sizes(report: &Report) -> Grid {
    let measured = |count: Option<i64>| count.map_or("?".to_owned(), bytes);
    let rows = report.tables.iter().map(|table| {
        vec![
            table.table.to_owned(),
            table.rows.map_or("?".to_owned(), |rows| rows.to_string()),
            table.rows_are.as_str().to_owned(),
            measured(table.total_bytes),
            measured(table.heap_bytes),
            measured(table.index_bytes),
            measured(table.toast_bytes),
            table.dead_rows.to_string(),
        ]
    });
    Grid {
        title: "Tables",
        empty: "None.".to_owned(),
        headers: vec!["table", "rows", "rows are", "size", "heap", "indexes", "toast", "dead rows"],
        numeric: &[1, 3, 4, 5, 6, 7],
        rows: rows.collect(),
    }
}

fn indexes(report: &Report) -> Grid {
    let probe = &report.operations.indexes;
    let mut indexes: Vec<_> = probe.found().into_iter().flatten().collect();
    indexes.sort_by_key(|index| std::cmp::Reverse(index.bytes));
    let rows = indexes.into_iter().take(MOST_INDEXES).map(|index| {
        vec![
            index.index.clone(),
            index.table.clone(),
            index.bytes.map_or("?".to_owned(), bytes),
            index.scans.to_string(),
            if index.valid { String::new() } else { "invalid".to_owned() },
        ]
    });
    Grid {
        title: "Largest indexes",
        empty: probe.reason().map_or("None.".to_owned(), |reason| format!("skipped: {reason}")),
        headers: vec!["index", "table", "size", "scans", ""],
        numeric: &[2, 3],
        rows: rows.collect(),
    }
}

fn redundant(report: &Report) -> Grid {
    let probe = &report.operations.redundant_indexes;
    let rows = probe.found().into_iter().flatten().map(|index| {
        vec![
            index.index.clone(),
            format!("{} of {}", index.how.as_str(), index.by),
            index.bytes.map_or("?".to_owned(), bytes),
        ]
    });
    Grid {
        title: "Redundant indexes",
        empty: probe.reason().map_or("None.".to_owned(), |reason| format!("skipped: {reason}")),
        headers: vec!["index", "is a", "size"],
        numeric: &[2],
        rows: rows.collect(),
    }
}

fn health(report: &Report) -> Grid {
    Grid {
        title: "How it is doing",
        empty: String::new(),
        headers: vec!["question", "answer"],
        numeric: &[],
        rows: crate::stats::answers(report).into_iter().map(Vec::from).collect(),
    }
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%-d %b %Y, %H:%M UTC").to_string()
}
