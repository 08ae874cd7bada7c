//! `verify`: the verdict, then what failed, what was skipped, and what passed.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::ValueEnum;
use optiinfra_db::verify::{self, Check, Finding, Options, Outcome, Report, SeedExpectation};
use serde_json::{Map, Value};

use crate::args::Global;
use crate::exit::Exit;
use crate::output::{BAD, GOOD, Output, Table, UNSURE, comment, plural, printable};
use crate::{interrupt, junit, parse, target};

/// Check the database against what the code and the platform's documents expect.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also fail when a layer has no seed data at all. Partly missing seed data always fails.
    ///
    /// A layer counts as seeded when any row of the seed is there in its main table, such as a documented customer.
    #[arg(long)]
    pub seed: bool,

    /// Also test that constraints, defaults and triggers work: writes rows and rolls them back.
    #[arg(long)]
    pub probes: bool,

    /// Time limit for one statement, such as 5s or 2m; checks that take longer are skipped. 0 is no limit.
    #[arg(long, value_name = "DURATION", default_value = "5s", allow_negative_numbers = true, value_parser = parse::duration)]
    pub limit: Duration,

    /// A skipped check counts as a finding: exit 1.
    #[arg(long)]
    pub no_skips: bool,

    /// Show each check that passed, not only their number; so does -v.
    #[arg(long)]
    pub all: bool,

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
    /// JUnit's XML, for continuous integration.
    Junit,
}

/// Longest figure that a table shows whole; JSON has all of it.
const LONGEST_FIGURE: usize = 48;
/// Maximum of entries of a figure that a table shows; the findings have all of them.
const MOST_ENTRIES: usize = 3;

/// Makes every check; findings are exit code 1.
pub fn run(args: &Args, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    let conn = &mut target::connect(global, out, "verify")?;
    let seed = if args.seed { SeedExpectation::Required } else { SeedExpectation::IfPresent };
    let report = verify::run(conn, &Options { seed, limit: args.limit, probes: args.probes })?;
    // A check that a signal cancelled looks like one that was skipped.
    interrupt::refuse_partial()?;
    if args.format == Format::Junit {
        out.print_raw(&printable(&junit::render(&report)))?;
    } else {
        out.result(&report, &tables(&report, args.all || global.verbose > 0))?;
    }
    if args.format == Format::Table
        && let Some(hint) = next_command(&report)
    {
        out.hint(&hint)?;
    }
    let is_clean = report.is_clean() && !(args.no_skips && report.skipped > 0);
    Ok(if is_clean { Exit::Done } else { Exit::Findings })
}

/// The next command to type, where one helps.
fn next_command(report: &Report) -> Option<String> {
    if report.is_of_migrations_only() {
        let is_behind = report.unknown.is_empty();
        return Some(
            if is_behind { "run `optiinfra-dbctl migrate`" } else { "run a newer optiinfra-dbctl" }.to_owned(),
        );
    }
    let failed = || report.checks.iter().filter(|check| check.outcome == Outcome::Failed);
    let of_seed = failed().filter(|check| check.id.contains(".seed.")).filter_map(|check| check.layer);
    let mut layers: Vec<_> = of_seed.map(|layer| layer.to_string()).collect();
    layers.dedup();
    if !layers.is_empty() {
        return Some(format!("`optiinfra-dbctl seed {}` puts missing rows of the seed back", layers.join(" ")));
    }
    let is_of_partitions = |check: &Check| check.id.starts_with("partitions.") && !check.id.ends_with(".unique");
    failed().any(is_of_partitions).then(|| {
        "`optiinfra-dbctl partitions maintain` makes the partitions ahead, and moves rows out of the default one"
            .to_owned()
    })
}

fn tables(report: &Report, all: bool) -> Vec<Table> {
    // That the migrations come first says why each of the others was skipped.
    let skipped = if report.is_of_migrations_only() && !all { None } else { Some(skipped(report)) };
    let passed = if all { made(report, &Outcome::Passed) } else { passed(report) };
    let mut tables = vec![made(report, &Outcome::Failed)];
    tables.extend(skipped);
    tables.extend([passed, findings(report), next_steps(report), statements(report)]);
    tables.retain(|table| !table.is_empty());
    if let Some(first) = tables.first_mut() {
        first.set_title(&report.verdict());
    }
    tables
}

/// The checks that came out so, with their figures.
fn made(report: &Report, outcome: &Outcome) -> Table {
    let (style, word) = if *outcome == Outcome::Passed { (GOOD, "passed") } else { (BAD, "FAILED") };
    let mut table = Table::new(&["outcome", "check", "expected", "found", "document"]).dispensing_with(&["document"]);
    for check in report.checks.iter().filter(|check| check.outcome == *outcome) {
        let (expected, found) = (figure(check, &check.expected), figure(check, &check.found));
        table.styled_row(style, [word, &check.id, &expected, &found, check.source]);
    }
    // What passed was as expected.
    if *outcome == Outcome::Passed { table.dispensing_with(&["document", "expected"]) } else { table }
}

fn skipped(report: &Report) -> Table {
    let mut table = Table::new(&["outcome", "check", "reason"]);
    for check in &report.checks {
        if let Outcome::Skipped { reason } = &check.outcome {
            table.styled_row(UNSURE, ["skipped", &check.id, reason]);
        }
    }
    table
}

/// How many checks passed, by the first word of their ids.
fn passed(report: &Report) -> Table {
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for check in report.checks.iter().filter(|check| check.outcome == Outcome::Passed) {
        let group = check.id.split('.').next().unwrap_or_default();
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, count)) => *count += 1,
            None => groups.push((group, 1)),
        }
    }
    let mut table = Table::new(&["outcome", "group", "checks"]);
    for (group, count) in groups {
        table.styled_row(GOOD, ["passed", group, &count.to_string()]);
    }
    table
}

/// What is wrong, each once: several checks may find the same thing.
fn findings(report: &Report) -> Table {
    let mut found: Vec<(&Finding, Vec<&str>)> = Vec::new();
    let mut places = BTreeMap::new();
    for (check, finding) in all_findings(report) {
        let place = *places.entry((&finding.object, &finding.problem)).or_insert(found.len());
        match found.get_mut(place) {
            Some((_, checks)) => checks.push(&check.id),
            None => found.push((finding, vec![&check.id])),
        }
    }
    let mut table = Table::new(&["object", "problem", "found by"]);
    for (finding, checks) in found {
        table.row([finding.object.as_str(), &finding.problem, &checks.join(", ")]);
    }
    table.titled("findings")
}

/// The statements that would fix the findings or prevent more of them, each once, to be copied.
fn statements(report: &Report) -> Table {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    for (check, finding) in all_findings(report) {
        let Some(fix) = &finding.fix else { continue };
        if blocks.iter().any(|(known, _)| known == fix) {
            continue;
        }
        let purpose = if finding.prevents {
            format!("{}: prevents new ones, and does not fix those that are there", check.id)
        } else {
            finding.object.clone()
        };
        blocks.push((fix, purpose));
    }
    let block = |(statement, purpose): &(&str, String)| comment(purpose) + statement + ";\n";
    Table::of_text(&blocks.iter().map(block).collect::<String>()).titled("suggested SQL (review before running)")
}

/// What to do about the findings that no SQL fixes, each step once.
fn next_steps(report: &Report) -> Table {
    let mut steps: Vec<(&str, Vec<&str>)> = Vec::new();
    for (_, finding) in all_findings(report) {
        let Some(step) = finding.next_step.as_deref() else { continue };
        match steps.iter_mut().find(|(known, _)| *known == step) {
            Some((_, objects)) if objects.contains(&finding.object.as_str()) => {}
            Some((_, objects)) => objects.push(&finding.object),
            None => steps.push((step, vec![&finding.object])),
        }
    }
    let mut table = Table::new(&["object", "next step"]);
    for (step, objects) in steps {
        table.row([&objects.join(", "), step]);
    }
    table.titled("what no statement fixes")
}

fn all_findings(report: &Report) -> impl Iterator<Item = (&Check, &Finding)> {
    report.checks.iter().flat_map(|check| check.findings.iter().map(move |finding| (check, finding)))
}

/// A figure in a cell: of entries those that matter, a list by its length, the rest as it is.
fn figure(check: &Check, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Object(entries) => figures(check, entries),
        Value::Array(items) => plural(items.len() as u64, "entry", "entries"),
        Value::String(text) => shortened(text),
        other => other.to_string(),
    }
}

/// The entries that differ; of a check that passed all of them, or their number.
fn figures(check: &Check, entries: &Map<String, Value>) -> String {
    let is_found = |name: &str| check.findings.iter().any(|finding| finding.object == name);
    let differs = |name: &str| check.expected.get(name) != check.found.get(name);
    let any_is_found = entries.keys().any(|name| is_found(name));
    let matters = |name: &str| match check.outcome {
        Outcome::Failed if any_is_found => is_found(name),
        Outcome::Failed => differs(name),
        _ => true,
    };
    let shown: Vec<_> =
        entries.iter().filter(|(name, _)| matters(name)).map(|(name, value)| entry(name, value)).collect();
    let more = shown.len().saturating_sub(MOST_ENTRIES);
    if check.outcome == Outcome::Failed {
        let mut text = shown[..shown.len() - more].join("\n");
        if more > 0 {
            text.push_str(&format!("\nand {more} more"));
        }
        return text;
    }
    let text = shown.join(", ");
    if text.chars().count() <= LONGEST_FIGURE { text } else { plural(entries.len() as u64, "entry", "entries") }
}

fn entry(name: &str, value: &Value) -> String {
    match value {
        Value::Null => format!("{name}: nothing"),
        Value::String(text) => format!("{name}: {text}"),
        // JSON writes 15.0 where a finding says 15.
        Value::Number(number) if number.is_f64() => format!("{name}: {}", number.as_f64().unwrap_or_default()),
        other => format!("{name}: {other}"),
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST_FIGURE {
        return text.to_owned();
    }
    text.chars().take(LONGEST_FIGURE - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(outcome: Outcome, expected: Value, found: Value, objects: &[&str]) -> Check {
        let finding = |object: &&str| Finding {
            object: (*object).to_owned(),
            problem: "differs".to_owned(),
            fix: None,
            prevents: false,
            next_step: None,
        };
        Check {
            id: "seed.total".to_owned(),
            layer: None,
            source: "0.2e part 2",
            title: String::new(),
            expected,
            found,
            outcome,
            findings: objects.iter().map(finding).collect(),
        }
    }

    fn cells(check: &Check) -> [String; 2] {
        [figure(check, &check.expected), figure(check, &check.found)]
    }

    #[test]
    fn of_a_failed_check_the_entries_that_are_wrong_are_shown() {
        let expected = json!({"core": "at least 14", "resource": "at least 128", "application": "at least 253"});
        let found = json!({"core": 14, "resource": 122, "application": 400});
        let failed = check(Outcome::Failed, expected.clone(), found.clone(), &["resource"]);
        assert_eq!(cells(&failed), ["resource: at least 128", "resource: 122"]);
        let passed = check(Outcome::Passed, expected, found, &[]);
        assert_eq!(cells(&passed)[0], "3 entries");
    }

    #[test]
    fn where_the_findings_name_something_else_the_entries_that_differ_are_shown() {
        let failed =
            check(Outcome::Failed, json!({"cascade": 7, "set_null": 1}), json!({"cascade": 6, "set_null": 1}), &["x"]);
        assert_eq!(cells(&failed), ["cascade: 7", "cascade: 6"]);
    }

    #[test]
    fn many_entries_are_cut_and_one_is_no_entries() {
        let names = ["a", "b", "c", "d", "e"];
        let all = |value: Value| Value::Object(names.iter().map(|name| ((*name).to_owned(), value.clone())).collect());
        let failed = check(Outcome::Failed, all(json!(1)), all(Value::Null), &names);
        assert_eq!(cells(&failed), ["a: 1\nb: 1\nc: 1\nand 2 more", "a: nothing\nb: nothing\nc: nothing\nand 2 more"]);
        let long = "x".repeat(LONGEST_FIGURE);
        let passed = check(Outcome::Passed, json!({"a": long}), json!([1]), &[]);
        assert_eq!(cells(&passed), ["1 entry", "1 entry"]);
    }
}
