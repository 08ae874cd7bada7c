//! Quality of answers, and regressions. (0.2e)

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::figures::{Point, float, float_or_null};
use crate::enums::{RegressionSeverity, RegressionType};

/// Statistics of the application layer. (0.2e)
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Application {
    /// Judged answers by model.
    pub quality: Vec<Quality>,
    /// Regressions by severity.
    pub regressions: Vec<Regressions>,
    /// How many regressions are not resolved; `None` when the layer was skipped.
    pub unresolved_regressions: Option<i64>,
    /// The newest twenty of these.
    pub open_regressions: Vec<OpenRegression>,
    /// Quality over time of the eight models with most answers.
    pub quality_over_time: Vec<QualityOverTime>,
    /// The newest hundred regressions, the oldest first.
    pub regression_timeline: Vec<RegressionMark>,
}

/// The quality of one model over time, and what it is measured against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QualityOverTime {
    /// The model.
    pub model_name: String,
    /// Average of the newest baseline of each customer, weighted by their samples; `None` without any.
    #[serde(deserialize_with = "float_or_null")]
    pub baseline: Option<f64>,
    /// Averages of the overall quality of at most 49 equal spans, from 0 to 1, the oldest first.
    pub points: Vec<Point>,
}

/// A regression on the line of time. (0.2e)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegressionMark {
    /// The model.
    pub model_name: String,
    /// What got worse.
    pub regression_type: RegressionType,
    /// How serious it is.
    pub severity: RegressionSeverity,
    /// When it was noticed, UTC.
    pub detected_at: DateTime<Utc>,
    /// When somebody resolved it, UTC.
    pub resolved_at: Option<DateTime<Utc>>,
}

/// The judged answers of one model. (0.2e)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The model.
    pub model_name: String,
    /// How many answers were judged.
    pub answers: i64,
    /// Average overall quality, from 0 to 1.
    #[serde(deserialize_with = "float")]
    pub average_quality: f64,
    /// Average latency in milliseconds; `None` when none was measured.
    #[serde(deserialize_with = "float_or_null")]
    pub average_latency_ms: Option<f64>,
    /// Answers with a hallucination.
    pub hallucinations: i64,
}

/// The regressions of one severity. (0.2e)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regressions {
    /// The severity.
    pub severity: RegressionSeverity,
    /// Unresolved ones.
    pub open: i64,
    /// The others.
    pub resolved: i64,
}

/// An unresolved regression. (0.2e)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenRegression {
    /// The customer's name.
    pub customer: String,
    /// The model.
    pub model_name: String,
    /// What got worse.
    pub regression_type: RegressionType,
    /// How serious it is.
    pub severity: RegressionSeverity,
    /// The metric that shows it.
    pub metric_name: String,
    /// Its change against the baseline in percent.
    #[serde(deserialize_with = "float")]
    pub delta_percent: f64,
    /// When it was noticed, UTC.
    pub detected_at: DateTime<Utc>,
}
