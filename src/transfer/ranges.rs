//! What is true of a row beyond its types: quantities within the range of their unit, no time in the future.
//!
//! The bounds are those of `verify`, whose conditions are SQL; a test holds both against the same rows. NaN and
//! Infinity pass: they cannot be mistyped, and what was stored has to come back. `verify` tells of them.

use chrono::{DateTime, TimeDelta, Utc};

use super::columns::Problem;
use crate::enums::{MetricType, ResourceType};
use crate::models::{AgentMetric, NewEvent, NewQualityMetric, NewResourceMetric};

/// How far a time may be ahead of our clock, because the clock of whoever wrote it may be.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

/// A row whose values have ranges.
pub(super) trait Ranges {
    /// The first value that is out of its range.
    fn out_of_range(&self, now: DateTime<Utc>) -> Option<Problem>;
}

impl Ranges for NewResourceMetric {
    fn out_of_range(&self, now: DateTime<Utc>) -> Option<Problem> {
        let value = self.metric_value;
        let is_share = self.unit == "percent" && matches!(self.resource_type, ResourceType::Gpu | ResourceType::Cpu);
        let is_quantity = matches!(self.unit.as_str(), "GB" | "iops" | "Mbps");
        let wrong = if is_share && is_outside(value, 0.0, 100.0) {
            Some(format!("{value} percent of a {} is not from 0 to 100", self.resource_type))
        } else if is_quantity && is_outside(value, 0.0, f64::MAX) {
            Some(format!("{value} {} is negative", self.unit))
        } else {
            None
        };
        wrong
            .map(|reason| problem("metric_value", reason))
            .or_else(|| ahead("timestamp", Some(self.timestamp), now))
            .or_else(|| ahead("created_at", self.created_at, now))
    }
}

impl Ranges for NewQualityMetric {
    fn out_of_range(&self, now: DateTime<Utc>) -> Option<Problem> {
        let tokens = [("prompt_tokens", self.prompt_tokens), ("completion_tokens", self.completion_tokens)];
        let scores = [
            ("relevance_score", self.relevance_score),
            ("coherence_score", self.coherence_score),
            ("factuality_score", self.factuality_score),
            ("toxicity_score", self.toxicity_score),
            ("overall_quality_score", Some(self.overall_quality_score)),
        ];
        let negative = |(column, count): (&'static str, Option<i32>)| {
            let count = count.filter(|count| *count < 0)?;
            Some(problem(column, format!("{count} is negative")))
        };
        let no_score = |(column, score): (&'static str, Option<f64>)| {
            let score = score.filter(|score| is_outside(*score, 0.0, 1.0))?;
            Some(problem(column, format!("{score} is not from 0 to 1")))
        };
        let latency = self.latency_ms.filter(|latency| is_outside(*latency, 0.0, f64::MAX));
        tokens
            .into_iter()
            .find_map(negative)
            .or_else(|| latency.map(|latency| problem("latency_ms", format!("{latency} is negative"))))
            .or_else(|| scores.into_iter().find_map(no_score))
            .or_else(|| ahead("timestamp", Some(self.timestamp), now))
            .or_else(|| ahead("created_at", self.created_at, now))
    }
}

impl Ranges for AgentMetric {
    fn out_of_range(&self, now: DateTime<Utc>) -> Option<Problem> {
        let value = self.metric_value;
        if self.metric_type == MetricType::Counter && is_outside(value, 0.0, f64::MAX) {
            return Some(problem("metric_value", format!("{value} is negative, and the metric is a counter")));
        }
        ahead("recorded_at", Some(self.recorded_at), now)
    }
}

impl Ranges for NewEvent {
    fn out_of_range(&self, now: DateTime<Utc>) -> Option<Problem> {
        ahead("created_at", self.created_at, now)
    }
}

/// Whether a finite value is outside; what is no number, or no finite one, has no range.
fn is_outside(value: f64, least: f64, greatest: f64) -> bool {
    value.is_finite() && !(least..=greatest).contains(&value)
}

fn ahead(column: &'static str, time: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Problem> {
    let time = time.filter(|time| *time > now + AHEAD)?;
    Some(problem(column, format!("{} is in the future", time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))))
}

fn problem(column: &'static str, reason: String) -> Problem {
    Problem { column: Some(column), reason }
}
