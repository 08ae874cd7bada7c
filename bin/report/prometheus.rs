//! The text format of Prometheus, for the textfile collector and for `/metrics`.
//!
//! Most metrics are columns of the sections. Labels name tables, indexes and words of the schema. Agents and instances never
//! become labels: each would be a series for ever. Customers do in one metric, which says who has stopped sending. Base
//! units, a HELP and a TYPE a family, no timestamps.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::time::Duration;

use chrono::{DateTime, Utc};
use optiinfra_db::stats::{Observation, Report};
use optiinfra_db::{Error, migrate, verify};

use super::Verified;
use super::section::{Metric, Section, Value};
use super::sections;

type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// Families in the order in which they were begun, each with its samples together.
#[derive(Default)]
struct Text(Vec<(&'static str, String)>);

impl Text {
    /// Adds samples to a family. One without any is left out.
    fn family<'a, V: Display>(
        &mut self,
        kind: &str,
        name: &'static str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, V)>,
    ) {
        for (labels, value) in samples {
            let at = self.0.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                let head = format!("# HELP optiinfra_db_{name} {help}\n# TYPE optiinfra_db_{name} {kind}\n");
                self.0.push((name, head));
                self.0.len() - 1
            });
            let labels: Vec<_> = labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
            let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            // Writing to a String cannot fail.
            let _ = writeln!(self.0[at].1, "optiinfra_db_{name}{braces} {value}");
        }
    }

    fn gauge<'a, V: Display>(
        &mut self,
        name: &'static str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, V)>,
    ) {
        self.family("gauge", name, help, samples);
    }

    fn done(self) -> String {
        self.0.into_iter().map(|(_, family)| family).collect()
    }
}

/// A label's value as it stands between the quotes: whatever is in it, it cannot end them or the line.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// What there is to say when this error kept the figures away.
pub fn without_figures(error: &anyhow::Error) -> String {
    let mut text = Text::default();
    if let Some(Error::Migrate(migrate::Error::Behind { pending })) = error.downcast_ref() {
        up(&mut text, 1);
        text.gauge("migrations_applied", "Migrations that the database has.", [(vec![], 0)]);
        text.gauge("migrations_pending", "Migrations that the database lacks.", [(vec![], pending.len())]);
    } else {
        up(&mut text, 0);
    }
    text.done()
}

/// What `serve` has to say of itself behind the figures.
pub fn of_server(collections: u64, failures: u64, gathered: DateTime<Utc>) -> String {
    let mut text = Text::default();
    let help = "Times that the database was asked for figures.";
    text.family("counter", "collections_total", help, [(vec![], collections)]);
    let help = "Times that it was asked and there were none.";
    text.family("counter", "collection_failures_total", help, [(vec![], failures)]);
    let help = "When the database was last asked for figures and they came or it failed.";
    text.gauge("collected_timestamp_seconds", help, [(vec![], gathered.timestamp())]);
    text.done()
}

fn up(text: &mut Text, value: u8) {
    text.gauge("up", "Whether the database could be reached and looked at.", [(vec![], value)]);
    let version = env!("CARGO_PKG_VERSION");
    text.gauge("build_info", "The program that made these figures.", [(vec![("version", version.into())], 1)]);
}

/// The report, and how many findings each check of `verify` has; `Err` says why it was not made.
pub fn render(report: &Report, verified: &Verified, took: Duration) -> String {
    let mut text = Text::default();
    up(&mut text, 1);
    text.gauge("scrape_duration_seconds", "How long it took to make these figures.", [(vec![], took.as_secs_f64())]);
    let head = report.head.iter().map(|head| (vec![("version", head.into())], 1));
    text.gauge("schema_version_info", "The newest applied migration.", head);
    for section in &sections::of(report, None) {
        for (at, column) in section.columns.iter().enumerate() {
            column.metrics.iter().for_each(|metric| series(&mut text, section, at, metric));
        }
    }
    checks(&mut text, report, verified);
    text.done()
}

/// The samples that a metric has of a column.
fn series(text: &mut Text, section: &Section, at: usize, metric: &Metric) {
    let rows = section.rows.iter().take(section.most_series.unwrap_or(usize::MAX));
    let samples = rows.filter_map(|row| {
        let of_section = section.labels.iter().map(|(label, text)| (*label, text.into()));
        let of_row = section.columns.iter().zip(row);
        let of_row = of_row.filter_map(|(column, value)| Some((column.label?, value.raw().into())));
        let of_metric = metric.label.iter().map(|(label, text)| (*label, (*text).into()));
        let value = row.get(at)?;
        let kind = if matches!(value, Value::About(_)) { "estimated" } else { "exact" };
        let of_value = metric.says_kind.then(|| ("kind", kind.into()));
        Some((of_section.chain(of_row).chain(of_metric).chain(of_value).collect(), value.sample()?))
    });
    text.family(metric.kind, metric.name, metric.help, samples);
}

fn checks(text: &mut Text, report: &Report, verified: &Verified) {
    if let Ok(found) = &verified.outcome {
        let help = "When verify looked at the database for these.";
        text.gauge("verified_timestamp_seconds", help, [(vec![], verified.at.timestamp())]);
        let findings = found
            .checks
            .iter()
            .filter(|check| !matches!(check.outcome, verify::Outcome::Skipped { .. }))
            .map(|check| (vec![("check", check.id.as_str().into())], check.findings.len()));
        text.gauge("verify_violations", "Findings of verify by check.", findings);
    }
    text.gauge(
        "skipped_info",
        "What could not be looked at: its series are missing and say nothing.",
        skipped(report, verified).into_iter().map(|what| (vec![("what", what.into())], 1)),
    );
}

fn skipped(report: &Report, verified: &Verified) -> Vec<String> {
    let operations = &report.operations;
    let layers = report.skipped.iter().map(|skipped| format!("layer {}", skipped.part));
    let tables = report.tables.iter().filter(|table| table.skipped.is_some());
    let observations = [
        ("migrations", is_skipped(&operations.migrations)),
        ("statistics", is_skipped(&operations.statistics)),
        ("indexes", is_skipped(&operations.indexes)),
        ("unused indexes", is_skipped(&operations.unused_indexes)),
        ("foreign keys", is_skipped(&operations.unindexed_foreign_keys)),
        ("sessions", is_skipped(&operations.blocked_session_count)),
        ("write-ahead log", is_skipped(&report.server.wal_kept_bytes)),
        ("verify", verified.outcome.is_err()),
    ];
    let observations = observations.into_iter().filter(|(_, is)| *is).map(|(name, _)| name.to_owned());
    let newest = operations.newest_samples.iter().filter(|newest| is_skipped(&newest.at));
    layers
        .chain(tables.map(|table| format!("table {}", table.table)))
        .chain(observations)
        .chain(newest.map(|newest| format!("newest row of {}", newest.table)))
        .collect()
}

const fn is_skipped<T>(observation: &Observation<T>) -> bool {
    observation.found().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Text, escaped, without_figures};

    proptest! {
        #[test]
        fn a_label_stays_in_its_quotes(text in ".*") {
            let escaped = escaped(&text);
            let mut characters = escaped.chars();
            let mut read = String::new();
            while let Some(character) = characters.next() {
                prop_assert!(character != '"' && character != '\n', "{escaped:?} ends");
                let meant = if character == '\\' { characters.next().map(|c| if c == 'n' { '\n' } else { c }) } else { Some(character) };
                read.extend(meant);
            }
            prop_assert_eq!(read, text);
        }
    }

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        assert_eq!(escaped("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
        let mut text = Text::default();
        text.gauge("x", "An x.", [(vec![("l", "\"} 1\nup 0".into())], 2)]);
        assert_eq!(text.done().lines().count(), 3);
    }

    #[test]
    fn a_family_without_samples_is_not_there() {
        let mut text = Text::default();
        text.gauge::<i64>("x", "An x.", []);
        assert_eq!(text.done(), "");
    }

    #[test]
    fn an_error_is_a_whole_text() {
        let text = without_figures(&anyhow::anyhow!("no figures"));
        assert!(text.contains("\noptiinfra_db_up 0\n") && text.ends_with("} 1\n"));
    }
}
