//! What has changed since an earlier report.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use optiinfra_db::stats::Report;
use serde_json::Value as Json;

use super::section::{Section, Top, Unit, Value};
use crate::hints::Hinted;

/// Figures of both reports, by their place in the document.
const FIGURES: [(&str, &str); 8] = [
    ("newest migration", "/head"),
    ("instances with utilisation", "/resource/utilization_instances"),
    ("unresolved regressions", "/application/unresolved_regressions"),
    ("connections", "/server/connections/found/total"),
    ("age of the oldest transaction id", "/server/transaction_id_age"),
    ("blocked sessions", "/operations/blocked_session_count/found"),
    ("long transactions", "/operations/long_transaction_count/found"),
    ("server", "/server_version"),
];

/// Lists of both reports, and the fields that say which entry is which.
const LISTS: [(&str, &str, &[&str]); 11] = [
    ("migration pending", "/operations/migrations/found/pending", &[]),
    ("unresolved regression", "/application/open_regressions", &["customer", "model_name", "metric_name", "severity"]),
    ("invalid index", "/operations/invalid_indexes/found", &["index"]),
    ("redundant index", "/operations/redundant_indexes/found", &["index"]),
    ("unused index", "/operations/unused_indexes/found", &["index"]),
    ("foreign key without an index", "/operations/unindexed_foreign_keys/found", &["constraint"]),
    ("not looked at", "/skipped", &["part", "reason"]),
    ("index", "/operations/indexes/found", &["index"]),
    ("customer", "/core/customers", &["name"]),
    ("agent", "/core/agents", &["name", "status"]),
    ("model", "/application/quality", &["model_name"]),
];

struct Table {
    table: String,
    rows: [Option<i64>; 2],
    bytes: [Option<i64>; 2],
}

struct Figure {
    name: &'static str,
    before: String,
    now: String,
}

struct Entry {
    change: &'static str,
    kind: &'static str,
    which: String,
}

/// Reads a report that `--format json` has written.
pub fn read(path: &Path) -> anyhow::Result<Json> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    match serde_json::from_slice::<Json>(&text) {
        Ok(report) if report["schema_version"] == 1 && report["tables"].is_array() => Ok(report),
        _ => bail!(Hinted::new(
            format!("{} is no report", path.display()),
            "write one with `optiinfra-dbctl stats --format json --output FILE`"
        )),
    }
}

/// What has changed, without what is the same.
pub fn sections(before: &Json, report: &Report) -> anyhow::Result<Vec<Section>> {
    let now = serde_json::to_value(report)?;
    let then = before["gathered_at"].as_str().unwrap_or("an unknown time");
    let (tables, figures, entries) = (tables(before, &now), figures(before, &now), entries(before, &now));
    let change = |pair: [Option<i64>; 2]| Some(pair[1]? - pair[0]?);
    let changed = Section::of(format!("tables that changed since {then}"), &tables)
        .top(Top::All)
        .key("table", "table", |table| &table.table)
        .column("rows_before", "rows then", Unit::None, |table| table.rows[0])
        .null("unknown")
        .column("rows_now", "rows now", Unit::None, |table| table.rows[1])
        .null("unknown")
        .column("rows_change", "change", Unit::None, move |table| change(table.rows))
        .column("bytes_before", "size then", Unit::Bytes, |table| table.bytes[0])
        .null("unknown")
        .column("bytes_now", "size now", Unit::Bytes, |table| table.bytes[1])
        .null("unknown")
        .column("bytes_change", "change", Unit::Bytes, move |table| change(table.bytes))
        .done();
    let figures = Section::of("figures that changed", &figures)
        .top(Top::All)
        .key("figure", "figure", |figure| Value::Word(figure.name))
        .column("before", "then", Unit::None, |figure| &figure.before)
        .column("now", "now", Unit::None, |figure| &figure.now)
        .done();
    let entries = Section::of("what is new and what is gone", &entries)
        .key("change", "change", |entry| Value::Word(entry.change))
        .key("kind", "what", |entry| Value::Word(entry.kind))
        .key("which", "which", |entry| &entry.which)
        .done();
    Ok(vec![changed, figures, entries])
}

fn tables(before: &Json, now: &Json) -> Vec<Table> {
    let tables = |report: &Json| report["tables"].as_array().cloned().unwrap_or_default();
    let (before, now) = (tables(before), tables(now));
    let changed = now.iter().filter_map(|now| {
        let before = before.iter().find(|before| before["table"] == now["table"])?;
        let pair = |field: &str| [before[field].as_i64(), now[field].as_i64()];
        let table = now["table"].as_str()?.to_owned();
        Some(Table { table, rows: pair("rows"), bytes: pair("total_bytes") })
    });
    changed.filter(|table| table.rows[0] != table.rows[1] || table.bytes[0] != table.bytes[1]).collect()
}

fn figures(before: &Json, now: &Json) -> Vec<Figure> {
    let text = |report: &Json, place: &str| match report.pointer(place) {
        None | Some(Json::Null) => "unknown".to_owned(),
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let both = FIGURES.map(|(name, place)| Figure { name, before: text(before, place), now: text(now, place) });
    both.into_iter().filter(|figure| figure.before != figure.now).collect()
}

fn entries(before: &Json, now: &Json) -> Vec<Entry> {
    let mut found = Vec::new();
    for (kind, place, fields) in LISTS {
        // What one of them could not look at has not changed.
        let (Some(before), Some(now)) = (names(before, place, fields), names(now, place, fields)) else { continue };
        let entry = |change| move |which: &String| Entry { change, kind, which: which.clone() };
        found.extend(now.difference(&before).map(entry("new")));
        found.extend(before.difference(&now).map(entry("gone")));
    }
    found
}

fn names(report: &Json, place: &str, fields: &[&str]) -> Option<BTreeSet<String>> {
    let name = |entry: &Json| match entry.as_str() {
        Some(text) => text.to_owned(),
        None => fields.iter().filter_map(|field| entry[field].as_str()).collect::<Vec<_>>().join(", "),
    };
    Some(report.pointer(place)?.as_array()?.iter().map(name).collect())
}
