//! `stats --format prometheus`: the text format, for the textfile collector.
//!
//! Labels name tables, indexes and words of the schema. Customers, agents and instances never become labels: each
//! would be a series for ever. Base units, a HELP and a TYPE a family, no timestamps.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use optiinfra_db::Error;
use optiinfra_db::stats::operations::{Probe, RowsAre};
use optiinfra_db::stats::{Report, Skipped};
use optiinfra_db::verify;

use crate::prometheus_label::escaped;

/// Most models that become labels.
const MOST_MODELS: usize = 50;

type Labels<'a> = Vec<(&'a str, &'a str)>;

/// Families of one text.
struct Text(String);

impl Text {
    /// A family with its samples; nothing where there are none.
    fn family<'a, V: Display>(
        &mut self,
        kind: &str,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, V)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP optiinfra_db_{name} {help}\n# TYPE optiinfra_db_{name} {kind}");
        for (labels, value) in samples {
            let labels: Vec<_> = labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
            let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(self.0, "optiinfra_db_{name}{braces} {value}");
        }
    }

    fn gauge<'a, V: Display>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels<'a>, V)>) {
        self.family("gauge", name, help, samples);
    }

    fn counter<'a, V: Display>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels<'a>, V)>) {
        self.family("counter", name, help, samples);
    }
}

/// What there is to say when this error kept the figures away.
pub fn without_figures(error: &anyhow::Error) -> String {
    let mut text = Text(String::new());
    if let Some(Error::Behind { pending }) = error.downcast_ref() {
        up(&mut text, 1);
        migrations(&mut text, 0, pending.len());
    } else {
        up(&mut text, 0);
    }
    text.0
}

fn up(text: &mut Text, value: u8) {
    text.gauge("up", "Whether the database could be reached and looked at.", [(vec![], value)]);
    let version = env!("CARGO_PKG_VERSION");
    text.gauge("build_info", "The program that made these figures.", [(vec![("version", version)], 1)]);
}

/// The report, and how many findings each check of `verify` has; `Err` says why it was not made.
pub fn render(report: &Report, verified: &Result<verify::Report, String>, took: Duration) -> String {
    let mut text = Text(String::new());
    up(&mut text, 1);
    text.gauge("scrape_duration_seconds", "How long it took to make these figures.", [(vec![], took.as_secs_f64())]);
    tables(&mut text, report);
    indexes(&mut text, report);
    operations(&mut text, report);
    rows(&mut text, report);
    checks(&mut text, report, verified);
    text.0
}

fn tables(text: &mut Text, report: &Report) {
    let labels = |table: &'static str| {
        vec![("datname", report.database.as_str()), ("schemaname", report.schema.as_str()), ("relname", table)]
    };
    let all = || report.tables.iter();
    let sizes = all().flat_map(|table| {
        let kinds = [("heap", table.heap_bytes), ("index", table.index_bytes), ("toast", table.toast_bytes)];
        kinds.into_iter().filter_map(move |(kind, bytes)| {
            let mut labels = labels(table.table);
            labels.push(("kind", kind));
            Some((labels, bytes?))
        })
    });
    text.gauge("table_size_bytes", "Bytes on disk.", sizes);
    let rows = |are: RowsAre| {
        all().filter(move |table| table.rows_are == are).filter_map(|table| Some((labels(table.table), table.rows?)))
    };
    text.gauge("table_rows", "Rows, counted.", rows(RowsAre::Exact));
    text.gauge("table_rows_estimate", "Rows, as the planner estimates them.", rows(RowsAre::Estimated));
    text.gauge(
        "table_dead_rows_estimate",
        "Rows that a vacuum would remove.",
        all().map(|table| (labels(table.table), table.dead_rows)),
    );
    text.counter(
        "table_blocks_hit_total",
        "Blocks of the table, its indexes and its toast that were found in the cache.",
        all().map(|table| (labels(table.table), table.blocks_hit)),
    );
    text.counter(
        "table_blocks_read_total",
        "Blocks of the table, its indexes and its toast that had to be read.",
        all().map(|table| (labels(table.table), table.blocks_read)),
    );
    text.counter(
        "table_seq_scans_total",
        "Times that the table was read from end to end.",
        all().map(|table| (labels(table.table), table.seq_scans)),
    );
    text.gauge(
        "table_last_vacuum_timestamp_seconds",
        "Last vacuum, by hand or automatic.",
        all().filter_map(|table| Some((labels(table.table), table.last_vacuum?.timestamp()))),
    );
    text.gauge(
        "table_last_analyze_timestamp_seconds",
        "Last analyze, by hand or automatic.",
        all().filter_map(|table| Some((labels(table.table), table.last_analyze?.timestamp()))),
    );
    let newest = report.operations.newest_samples.iter().filter_map(|newest| {
        let at = (*newest.at.found()?)?;
        Some((labels(newest.table), at.timestamp()))
    });
    text.gauge("table_newest_sample_timestamp_seconds", "Time of the newest row of a time series.", newest);
}

fn indexes(text: &mut Text, report: &Report) {
    let all = || report.operations.indexes.found().into_iter().flatten();
    let labels = |table: &'_ str, index: &'_ str| {
        [("datname", &*report.database), ("schemaname", &*report.schema), ("relname", table), ("indexrelname", index)]
            .map(|(label, text)| (label, text.to_owned()))
    };
    let mut series = |kind: &str, name: &str, help: &str, value: &dyn Fn(&_) -> Option<i64>| {
        let samples: Vec<_> =
            all().filter_map(|index| Some((labels(&index.table, &index.index), value(index)?))).collect();
        let borrowed = samples
            .iter()
            .map(|(labels, value)| (labels.iter().map(|(label, text)| (*label, text.as_str())).collect(), *value));
        text.family(kind, name, help, borrowed.collect::<Vec<(Labels<'_>, i64)>>());
    };
    type Index = optiinfra_db::stats::operations::Index;
    series("gauge", "index_size_bytes", "Bytes on disk.", &|index: &Index| index.bytes);
    series("counter", "index_scans_total", "Times that the index was read.", &|index: &Index| Some(index.scans));
    series("gauge", "index_valid", "Whether queries may use the index.", &|index: &Index| Some(index.valid.into()));
    let operations = &report.operations;
    text.gauge(
        "redundant_indexes",
        "Indexes that another one makes superfluous.",
        operations.redundant_indexes.found().map(|found| (vec![], found.len())),
    );
    text.gauge(
        "unused_indexes",
        "Indexes that nobody has used in at least 7 days.",
        operations.unused_indexes.found().map(|found| (vec![], found.len())),
    );
    text.gauge(
        "invalid_indexes",
        "Indexes that queries may not use.",
        operations.invalid_indexes.found().map(|found| (vec![], found.len())),
    );
    text.gauge(
        "unindexed_foreign_keys",
        "Foreign keys that no index begins with.",
        operations.unindexed_foreign_keys.found().map(|found| (vec![], found.len())),
    );
}

fn operations(text: &mut Text, report: &Report) {
    let operations = &report.operations;
    let head = report.head.iter().map(|head| (vec![("version", head.as_str())], 1));
    text.gauge("schema_version_info", "The newest applied migration.", head);
    if let Some(found) = operations.migrations.found() {
        migrations(text, found.applied, found.pending.len());
        let unknown = [(vec![], found.unknown.len())];
        text.gauge("migrations_unknown", "Migrations that this program does not know.", unknown);
    }
    text.gauge(
        "statistics_since_timestamp_seconds",
        "Since when the server has counted scans and blocks.",
        operations.statistics.found().map(|found| (vec![], found.since.timestamp())),
    );
    text.gauge(
        "long_transactions",
        "Transactions of other sessions that are open for longer than the threshold.",
        operations.long_transaction_count.found().map(|count| (vec![("threshold_seconds", "60")], *count)),
    );
    text.gauge(
        "oldest_transaction_age_seconds",
        "Age of the oldest transaction of another session, 0 without any.",
        operations.oldest_transaction_seconds.found().map(|age| (vec![], *age)),
    );
    text.gauge(
        "blocked_sessions",
        "Sessions that wait for another one's lock.",
        operations.blocked_session_count.found().map(|count| (vec![], *count)),
    );
}

fn migrations(text: &mut Text, applied: usize, pending: usize) {
    text.gauge("migrations_applied", "Migrations that the database has.", [(vec![], applied)]);
    text.gauge("migrations_pending", "Migrations that the database lacks.", [(vec![], pending)]);
}

/// What the documents ask for, without whose it is.
fn rows(text: &mut Text, report: &Report) {
    let workflows = &report.workflow_history.workflows;
    text.gauge(
        "workflows",
        "Workflows by status.",
        workflows.iter().map(|workflows| (vec![("status", workflows.status.as_str())], workflows.count)),
    );
    text.gauge(
        "resource_samples",
        "Samples by resource type, those since resource_samples_since_timestamp_seconds where that is there.",
        report.resource.metrics.iter().map(|m| (vec![("resource_type", m.resource_type.as_str())], m.count)),
    );
    text.gauge(
        "resource_samples_since_timestamp_seconds",
        "Time of the oldest sample that was counted; not there when all were.",
        report.samples_since.map(|since| (vec![], since.timestamp())),
    );
    let events = report.resource.scaling_events.iter().flat_map(|events| {
        let ended = [("true", events.succeeded), ("false", events.count - events.succeeded)];
        ended.map(|(success, count)| (vec![("event_type", events.event_type.as_str()), ("success", success)], count))
    });
    text.gauge("scaling_events", "Scaling events by type and success.", events);
    let models = || report.application.quality.iter().take(MOST_MODELS);
    text.gauge(
        "quality_answers",
        "Judged answers by model, those since quality_answers_since_timestamp_seconds where that is there.",
        models().map(|model| (vec![("model", model.model_name.as_str())], model.answers)),
    );
    text.gauge(
        "quality_answers_since_timestamp_seconds",
        "Time of the oldest answer that was counted; not there when all were.",
        report.answers_since.map(|since| (vec![], since.timestamp())),
    );
    text.gauge(
        "quality_score_ratio",
        "Average overall quality by model, from 0 to 1.",
        models().map(|model| (vec![("model", model.model_name.as_str())], model.average_quality)),
    );
    text.gauge(
        "quality_hallucinations",
        "Answers that state as a fact what is none, by model.",
        models().map(|model| (vec![("model", model.model_name.as_str())], model.hallucinations)),
    );
    let regressions = report.application.regressions.iter().flat_map(|regressions| {
        let states = [("open", regressions.open), ("resolved", regressions.resolved)];
        states.map(|(state, count)| (vec![("severity", regressions.severity.as_str()), ("state", state)], count))
    });
    text.gauge("quality_regressions", "Quality regressions by severity and state.", regressions);
}

fn checks(text: &mut Text, report: &Report, verified: &Result<verify::Report, String>) {
    if let Ok(verified) = verified {
        let findings = verified
            .checks
            .iter()
            .filter(|check| !matches!(check.outcome, verify::Outcome::Skipped { .. }))
            .map(|check| (vec![("check", check.id.as_str())], check.findings.len()));
        text.gauge("verify_violations", "Findings of verify by check.", findings);
    }
    let skipped: Vec<String> = not_looked_at(report, verified);
    text.gauge(
        "skipped_info",
        "What could not be looked at: its series are missing and say nothing.",
        skipped.iter().map(|what| (vec![("what", what.as_str())], 1)),
    );
}

fn not_looked_at(report: &Report, verified: &Result<verify::Report, String>) -> Vec<String> {
    let operations = &report.operations;
    let layers = report.skipped.iter().map(|Skipped { part, .. }| format!("layer {part}"));
    let tables =
        report.tables.iter().filter(|table| table.skipped.is_some()).map(|table| format!("table {}", table.table));
    let probes = [
        ("migrations", is_skipped(&operations.migrations)),
        ("statistics", is_skipped(&operations.statistics)),
        ("indexes", is_skipped(&operations.indexes)),
        ("unused indexes", is_skipped(&operations.unused_indexes)),
        ("foreign keys", is_skipped(&operations.unindexed_foreign_keys)),
        ("sessions", is_skipped(&operations.blocked_session_count)),
        ("verify", verified.is_err()),
    ];
    let probes = probes.into_iter().filter(|(_, is)| *is).map(|(name, _)| name.to_owned());
    let newest = operations.newest_samples.iter().filter(|newest| is_skipped(&newest.at));
    layers.chain(tables).chain(probes).chain(newest.map(|newest| format!("newest row of {}", newest.table))).collect()
}

const fn is_skipped<T>(probe: &Probe<T>) -> bool {
    probe.found().is_none()
}

#[cfg(test)]
mod tests {
    use super::{Text, escaped, without_figures};

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        assert_eq!(escaped("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
        let mut text = Text(String::new());
        text.gauge("x", "An x.", [(vec![("l", "\"} 1\nup 0")], 2)]);
        assert_eq!(text.0.lines().count(), 3);
    }

    #[test]
    fn a_family_without_samples_is_not_there() {
        let mut text = Text(String::new());
        text.counter::<i64>("x_total", "An x.", []);
        assert_eq!(text.0, "");
    }

    #[test]
    fn an_error_is_a_whole_text() {
        let text = without_figures(&anyhow::anyhow!("no figures"));
        assert!(text.contains("\noptiinfra_db_up 0\n") && text.ends_with("} 1\n"));
    }
}
