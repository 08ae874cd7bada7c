//! The records that the documents list: a JSON file a layer, with the rows of each table in the order of insertion.
//!
//! Columns have the names and values that they have in the database; what is left out takes the column's default. A
//! time is `now`, the anchor, or before it: `now-15m`, `now-6h`, `now-7d`. Ids are written out ([`ids`](super::ids) says
//! how they are made), so whoever reads a file finds a row in the database by what it says.

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::ago;
use super::rows::Rows;
use crate::layer::Layer;
use crate::models::{
    NewAgent, NewAgentCapability, NewAgentConfig, NewAgentMetric, NewAgentState, NewCustomer, NewEvent,
    NewQualityBaseline, NewQualityRegression, NewRecommendation, NewScalingEvent, NewWorkflowArtifact,
    NewWorkflowExecution, NewWorkflowStep,
};

/// The rows of a layer's file.
#[expect(clippy::panic, reason = "the files are a part of this program, and a test reads all of them")]
pub(super) fn of(layer: Layer, at: DateTime<Utc>) -> Vec<Box<dyn Rows>> {
    let rows = || -> serde_json::Result<Vec<_>> {
        let tables: Map<String, Value> = serde_json::from_str(file(layer))?;
        tables.into_iter().map(|(table, rows)| rows_of(&table, in_time(rows, at))).collect()
    };
    rows().unwrap_or_else(|error| panic!("the records of {layer} cannot be read: {error}"))
}

const fn file(layer: Layer) -> &'static str {
    match layer {
        Layer::Core => include_str!("core.json"),
        Layer::AgentState => include_str!("agent_state.json"),
        Layer::WorkflowHistory => include_str!("workflow_history.json"),
        Layer::Resource => include_str!("resource.json"),
        Layer::Application => include_str!("application.json"),
    }
}

fn rows_of(table: &str, rows: Value) -> serde_json::Result<Box<dyn Rows>> {
    match table {
        "customers" => read::<NewCustomer>(rows),
        "agents" => read::<NewAgent>(rows),
        "events" => read::<NewEvent>(rows),
        "recommendations" => read::<NewRecommendation>(rows),
        "agent_configs" => read::<NewAgentConfig>(rows),
        "agent_states" => read::<NewAgentState>(rows),
        "agent_capabilities" => read::<NewAgentCapability>(rows),
        "agent_metrics" => read::<NewAgentMetric>(rows),
        "workflow_executions" => read::<NewWorkflowExecution>(rows),
        "workflow_steps" => read::<NewWorkflowStep>(rows),
        "workflow_artifacts" => read::<NewWorkflowArtifact>(rows),
        "scaling_events" => read::<NewScalingEvent>(rows),
        "quality_baselines" => read::<NewQualityBaseline>(rows),
        "quality_regressions" => read::<NewQualityRegression>(rows),
        _ => Err(serde::de::Error::custom(format!("no records are expected in {table}"))),
    }
}

fn read<New: DeserializeOwned>(rows: Value) -> serde_json::Result<Box<dyn Rows>>
where
    Vec<New>: Rows + 'static,
{
    let rows: Vec<New> = serde_json::from_value(rows)?;
    Ok(Box::new(rows))
}

/// The rows with a time in place of each distance from the anchor.
fn in_time(mut rows: Value, at: DateTime<Utc>) -> Value {
    let rows_of_table = rows.as_array_mut().into_iter().flatten();
    for column in rows_of_table.filter_map(Value::as_object_mut).flat_map(|row| row.values_mut()) {
        if let Some(time) = column.as_str().and_then(|text| time(text, at)) {
            *column = serde_json::json!(time);
        }
    }
    rows
}

/// `now`, or so many minutes, hours or days before.
fn time(text: &str, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let before = text.strip_prefix("now")?;
    if before.is_empty() {
        return Some(at);
    }
    let before = before.strip_prefix('-')?;
    let (number, unit) = before.split_at_checked(before.len().checked_sub(1)?)?;
    let number = number.parse().ok()?;
    let distance = match unit {
        "m" => TimeDelta::try_minutes(number),
        "h" => TimeDelta::try_hours(number),
        "d" => TimeDelta::try_days(number),
        _ => None,
    };
    Some(ago(at, distance?))
}

/// The rows of one table of a layer's file.
#[cfg(test)]
pub(super) fn table<New: DeserializeOwned>(layer: Layer, name: &str, at: DateTime<Utc>) -> Vec<New> {
    let tables: Map<String, Value> = serde_json::from_str(file(layer)).unwrap();
    serde_json::from_value(in_time(tables[name].clone(), at)).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_anchor_or_before_it() {
        let at = DateTime::UNIX_EPOCH + TimeDelta::days(30);
        for (text, minutes) in [("now", 0), ("now-1m", 1), ("now-90m", 90), ("now-6h", 360), ("now-30d", 43_200)] {
            assert_eq!(time(text, at), Some(at - TimeDelta::minutes(minutes)), "{text}");
        }
        for text in
            ["", "no", "now-", "now-m", "now-1", "now+1m", "now-1w", "now-é", "nowadays", "now-99999999999999999d"]
        {
            assert_eq!(time(text, at), None, "{text}");
        }
        assert_eq!(time("now-1m", DateTime::<Utc>::MIN_UTC), Some(DateTime::<Utc>::MIN_UTC));
    }

    #[test]
    fn every_field_of_the_files_is_a_column() {
        for layer in Layer::ALL {
            let tables: Map<String, Value> = serde_json::from_str(file(layer)).unwrap();
            for (table, rows) in tables {
                for row in rows.as_array().unwrap() {
                    for name in row.as_object().unwrap().keys() {
                        assert!(crate::catalog::contract().column(&table, name).is_some(), "{table}.{name}");
                    }
                }
            }
        }
    }
}
