//! `stats --format html`: one page that holds all it needs. The verdict of `verify` first, then charts, then tables.

use std::collections::BTreeMap;
use std::time::Duration;

use askama::Template;
use chrono::{DateTime, Utc};
use optiinfra_db::stats::Report;
use optiinfra_db::verify;

use super::Verified;
use super::charts::{self, Chart, Mark};
use super::frame::Frame;
use super::section::{Column, Section, Unit, Value};
use super::sections;
use super::text::{self, Medium};

/// Maximum of findings of `verify` that are shown without expanding.
const AT_A_GLANCE: usize = 8;
/// Maximum of findings of `verify` on the page.
const MOST_FINDINGS: usize = 200;
/// Maximum of indexes in the table of their sizes.
const MOST_INDEXES: usize = 12;

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    frame: Frame,
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

/// What stands in the page's place where there is no report.
#[derive(Template)]
#[template(path = "unavailable.html")]
struct Unavailable<'a> {
    frame: Frame,
    problem: &'a str,
}

#[derive(Default)]
struct Verdict {
    class: &'static str,
    title: String,
    detail: String,
    /// What stands under it.
    shown: Vec<Findings>,
    /// How many lines are a click away.
    hidden: usize,
    more: Vec<Findings>,
}

/// The findings of a check, a line each; or how many checks were skipped, and why.
struct Findings {
    check: String,
    lines: Vec<String>,
}

/// A table of the page.
struct Grid {
    id: String,
    title: String,
    /// What to say where there is no row.
    empty: String,
    columns: Vec<Heading>,
    rows: Vec<Vec<String>>,
}

struct Heading {
    text: &'static str,
    is_numeric: bool,
}

/// The sections of the page, and their titles.
const TABLES: [(&str, &str); 7] = [
    ("quality", "Models against their baseline"),
    ("open_regressions", "Unresolved regressions"),
    ("failed_scaling_events", "Failed scaling events"),
    ("tables", "Tables"),
    ("indexes", "Largest indexes"),
    ("redundant_indexes", "Redundant indexes"),
    ("health", "Health"),
];

impl Grid {
    fn of(title: &str, section: &Section, table: usize) -> Self {
        let shown = section.shown(table);
        let cell = |row: &[Value], (at, column): &(usize, &Column)| {
            text::cell(&row[*at], column.unit, column.null, Medium::Page)
        };
        let heading =
            |(at, column): &(usize, &Column)| Heading { text: column.heading, is_numeric: section.is_numeric(*at) };
        Self {
            id: text::anchor(title),
            title: capitalised(title),
            empty: section.skipped.as_ref().map_or("None.".to_owned(), |reason| format!("skipped: {reason}")),
            columns: shown.iter().map(heading).collect(),
            rows: section.rows.iter().map(|row| shown.iter().map(|column| cell(row, column)).collect()).collect(),
        }
    }
}

/// The tables of the page: of each section the first under the page's title, further ones under their own.
fn tables(report: &Report) -> Vec<Grid> {
    let mut grids = Vec::new();
    for (name, title) in TABLES {
        for mut section in sections::of(report, Some(name)) {
            if name == "indexes" {
                keep_largest(&mut section);
            }
            for table in 0..=section.more_titles.len() {
                grids.push(Grid::of(if table == 0 { title } else { section.title(table) }, &section, table));
            }
        }
    }
    grids
}

/// Leaves the indexes that take most bytes.
fn keep_largest(indexes: &mut Section) {
    let Some(at) = indexes.at("bytes") else { return };
    let bytes = |row: &Vec<Value>| if let Value::Whole(bytes) = row[at] { bytes } else { -1 };
    indexes.rows.sort_by_key(|row| std::cmp::Reverse(bytes(row)));
    indexes.rows.truncate(MOST_INDEXES);
}

/// The page, which asks for itself again after `refresh`.
pub fn render(report: &Report, verified: &Verified, refresh: Option<Duration>) -> anyhow::Result<String> {
    let page = Page {
        frame: Frame::new(refresh),
        database: report.database.clone(),
        server: report.server_version.clone(),
        head: sections::head(report).to_owned(),
        gathered: time(report.gathered_at),
        scope: scope(report),
        verdict: verdict(verified),
        skipped: skipped(report),
        charts: charts::all(report),
        tables: tables(report),
    };
    Ok(page.render()?)
}

/// The page where there is no report, which asks again after `refresh`.
pub fn unavailable(problem: &str, refresh: Duration) -> anyhow::Result<String> {
    Ok(Unavailable { frame: Frame::new(Some(refresh)), problem }.render()?)
}

/// Whose rows these are, and since when, if not all.
fn scope(report: &Report) -> String {
    let customer = report.customer.map(|id| {
        let name = report.core.customers.first().map(|customer| customer.name.clone());
        format!("customer {}", name.unwrap_or_else(|| id.to_string()))
    });
    let since = report.since.map(|since| format!("since {}", time(since)));
    let newest = |what: &str, begin: Option<DateTime<Utc>>| {
        begin.filter(|_| begin != report.since).map(|begin| format!("{what}: the newest, since {}", time(begin)))
    };
    let parts = [customer, since, newest("samples", report.samples_since), newest("answers", report.answers_since)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn verdict(verified: &Verified) -> Verdict {
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
    Verdict {
        class,
        title: capitalised(&report.verdict()),
        detail,
        shown: by_check(shown),
        hidden,
        more: by_check(more),
    }
}

/// A text as the beginning of a sentence.
fn capitalised(text: &str) -> String {
    let (first, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
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

fn by_check(lines: Vec<(String, String)>) -> Vec<Findings> {
    let mut found: Vec<Findings> = Vec::new();
    for (check, line) in lines {
        match found.last_mut().filter(|last| last.check == check) {
            Some(last) => last.lines.push(line),
            None => found.push(Findings { check, lines: vec![line] }),
        }
    }
    found
}

fn skipped(report: &Report) -> Vec<String> {
    let layers = report.skipped.iter().map(|skipped| format!("layer {}: {}", skipped.part, skipped.reason));
    let tables = report.tables.iter();
    let tables = tables.filter_map(|table| Some(format!("table {}: {}", table.table, table.skipped.as_ref()?)));
    layers.chain(tables).collect()
}

fn time(at: DateTime<Utc>) -> String {
    text::cell(&Value::Time(at), Unit::None, "", Medium::Page)
}
