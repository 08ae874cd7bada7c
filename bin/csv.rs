//! `stats --format csv`: the same figures as the JSON document, because they are made from it.
//!
//! A report is many tables with columns of their own, and a CSV file is one. So `--section` gives one of them, a
//! column a field; without it all of them are there, a line a field.

use std::collections::BTreeSet;

use optiinfra_db::stats::Report;
use serde_json::{Map, Value};

/// The tables of a report, and where in the JSON document they are.
const SECTIONS: [(&str, &str); 28] = [
    ("database", ""),
    ("tables", "/tables"),
    ("skipped", "/skipped"),
    ("customers", "/core/customers"),
    ("agents", "/core/agents"),
    ("workflows", "/workflow_history/workflows"),
    ("resource_metrics", "/resource/metrics"),
    ("instances", "/resource/instances"),
    ("utilization", "/resource/utilization"),
    ("latest_gpu_utilization", "/resource/latest_gpu_utilization"),
    ("scaling_events", "/resource/scaling_events"),
    ("scaling_outcomes", "/resource/scaling_outcomes"),
    ("scaling_timeline", "/resource/scaling_timeline"),
    ("quality", "/application/quality"),
    ("quality_over_time", "/application/quality_over_time"),
    ("regressions", "/application/regressions"),
    ("regression_timeline", "/application/regression_timeline"),
    ("open_regressions", "/application/open_regressions"),
    ("operations", "/operations"),
    ("cache", "/operations/cache"),
    ("indexes", "/operations/indexes"),
    ("redundant_indexes", "/operations/redundant_indexes"),
    ("unused_indexes", "/operations/unused_indexes"),
    ("invalid_indexes", "/operations/invalid_indexes"),
    ("unindexed_foreign_keys", "/operations/unindexed_foreign_keys"),
    ("long_transactions", "/operations/long_transactions"),
    ("blocked_sessions", "/operations/blocked_sessions"),
    ("newest_samples", "/operations/newest_samples"),
];

/// Columns that say what a row is about come first, the others by name.
const FIRST: [&str; 16] = [
    "layer",
    "table",
    "index",
    "constraint",
    "pid",
    "customer",
    "name",
    "type",
    "instance_id",
    "model_name",
    "resource_type",
    "event_type",
    "severity",
    "status",
    "at",
    "value",
];

type Row = Map<String, Value>;

/// The names that `--section` knows.
pub fn section_names() -> Vec<&'static str> {
    SECTIONS.iter().map(|(name, _)| *name).collect()
}

/// Why a section could not be had; `None` where somebody looked.
pub fn skipped(report: &Report, section: &str) -> anyhow::Result<Option<String>> {
    let document = serde_json::to_value(report)?;
    let path = SECTIONS.iter().find(|(name, _)| *name == section).map_or("", |(_, path)| path);
    let reason = document.pointer(path).and_then(|part| part.get("reason")).and_then(Value::as_str);
    Ok(reason.map(ToOwned::to_owned))
}

/// The whole report, or one section of it.
pub fn render(report: &Report, section: Option<&str>) -> anyhow::Result<String> {
    let document = serde_json::to_value(report)?;
    let of = |path: &str| document.pointer(path).map(rows).unwrap_or_default();
    let mut writer = csv::Writer::from_writer(Vec::new());
    match SECTIONS.iter().find(|(name, _)| Some(*name) == section) {
        Some((_, path)) => one_section(&mut writer, &of(path))?,
        None => {
            writer.write_record(["section", "row", "field", "value"])?;
            for (name, path) in SECTIONS {
                for (at, row) in of(path).iter().enumerate() {
                    for column in columns(std::slice::from_ref(row)) {
                        writer.write_record([name, &(at + 1).to_string(), column, &cell(row.get(column))])?;
                    }
                }
            }
        }
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn one_section(writer: &mut csv::Writer<Vec<u8>>, rows: &[Row]) -> csv::Result<()> {
    let columns = columns(rows);
    if columns.is_empty() {
        return Ok(());
    }
    writer.write_record(&columns)?;
    rows.iter().try_for_each(|row| writer.write_record(columns.iter().map(|column| cell(row.get(*column)))))
}

fn columns(rows: &[Row]) -> Vec<&str> {
    let names: BTreeSet<&str> = rows.iter().flat_map(Row::keys).map(String::as_str).collect();
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by_key(|name| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    names
}

/// The rows in a part of the document: those of a list, of what a probe has found, or the part itself.
fn rows(value: &Value) -> Vec<Row> {
    match value {
        Value::Array(items) => items.iter().flat_map(rows).collect(),
        Value::Object(object) => match object.get("found") {
            Some(Value::Array(found)) => found.iter().flat_map(rows).collect(),
            _ => rows_of(object),
        },
        _ => Vec::new(),
    }
}

/// An object is a row of its plain fields; one with points is a row a point.
fn rows_of(object: &Row) -> Vec<Row> {
    let mut plain = Row::new();
    let mut points = None;
    for (key, value) in object {
        match value {
            Value::Array(items) if items.iter().any(Value::is_object) => points = Some(items),
            Value::Array(items) => {
                let texts: Vec<_> = items.iter().map(|item| cell(Some(item))).collect();
                plain.insert(key.clone(), Value::String(texts.join(" ")));
            }
            // A probe of one figure; those with lists are sections of their own.
            Value::Object(probe) => match (probe.get("found"), probe.get("reason")) {
                (Some(found), _) if !found.is_array() && !found.is_object() => {
                    plain.insert(key.clone(), found.clone());
                }
                (Some(Value::Object(found)), _) => {
                    plain.extend(rows_of(found).pop().unwrap_or_default());
                }
                (_, Some(reason)) => {
                    plain.insert(format!("{key}_skipped"), reason.clone());
                }
                _ => {}
            },
            plainly => {
                plain.insert(key.clone(), plainly.clone());
            }
        }
    }
    let Some(points) = points.filter(|_| object.contains_key("points")) else { return vec![plain] };
    let with_point = |point: &Value| {
        let mut row = plain.clone();
        row.extend(point.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
        row
    };
    points.iter().map(with_point).collect()
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
