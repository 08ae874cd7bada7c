//! `verify`: the checks, the verdict first.

use std::collections::BTreeSet;

use diesel::pg::PgConnection;
use optiinfra_db::verify::{self, Check, Options, Outcome, Report, SeedExpectation};
use serde_json::Value;

use crate::cli::{Format, Verify};
use crate::exit::Exit;
use crate::interrupt;
use crate::junit;
use crate::output::{Output, Table};

/// Longest figure that a table shows whole; JSON has all of it.
const LONGEST_FIGURE: usize = 48;

/// Makes every check; findings are exit code 1.
pub fn run(args: &Verify, conn: &mut PgConnection, out: &mut Output) -> anyhow::Result<Exit> {
    let seed = if args.seed { SeedExpectation::Required } else { SeedExpectation::IfPresent };
    let report = verify::run(conn, &Options { seed, limit: args.limit, probes: args.probes })?;
    // What a signal cancelled reads as a check that could not be made.
    interrupt::refuse_partial()?;
    if out.format() == Format::Junit {
        out.rendered(&junit::render(&report))?;
    } else {
        let mut tables = vec![checks(&report), findings(&report), mends(&report)];
        tables.retain(|table| !table.is_empty());
        out.result(&report, &tables)?;
    }
    Ok(if report.is_clean() { Exit::Done } else { Exit::Findings })
}

fn checks(report: &Report) -> Table {
    let mut table = Table::new(&["check", "outcome", "expected", "found", "document"]);
    for check in &report.checks {
        table.row([&check.id, outcome(check), &figure(&check.expected), &figure(&check.found), check.source]);
    }
    let verdict = match report.failed {
        0 => "all checks passed".to_owned(),
        failed => format!("{failed} of {} checks failed", report.checks.len() - report.skipped),
    };
    table.titled(&format!("{verdict}: {} passed, {} failed, {} skipped", report.passed, report.failed, report.skipped))
}

fn findings(report: &Report) -> Table {
    let mut table = Table::new(&["check", "object", "problem"]);
    for check in &report.checks {
        for finding in &check.findings {
            table.row([check.id.as_str(), &finding.object, &finding.problem]);
        }
    }
    table.titled("findings")
}

/// The statements that would mend the findings, each once: several checks may find the same thing.
fn mends(report: &Report) -> Table {
    let mut table = Table::new(&["object", "statement"]);
    let mut seen = BTreeSet::new();
    for finding in report.checks.iter().flat_map(|check| &check.findings) {
        let Some(mend) = &finding.mend else { continue };
        if seen.insert(mend) {
            table.row([&finding.object, mend]);
        }
    }
    table.titled("statements that would mend them, or keep it from happening again: read them before you run them")
}

fn outcome(check: &Check) -> &str {
    match &check.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::Skipped { reason } => reason,
    }
}

/// A figure in a cell: a list by its length, the rest as it is.
fn figure(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= LONGEST_FIGURE {
        return text;
    }
    match value {
        Value::Array(items) => format!("{} entries", items.len()),
        Value::Object(items) => format!("{} entries", items.len()),
        _ => text.chars().take(LONGEST_FIGURE - 1).chain(['…']).collect(),
    }
}
