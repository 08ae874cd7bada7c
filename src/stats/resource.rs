//! Samples of instances, and scaling events. (0.2d part 2)

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::figures::{Point, float, float_or_null};
use crate::enums::{ResourceType, ScalingEventType};

/// Statistics of the resource layer. (0.2d part 2)
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Samples by resource type.
    pub metrics: Vec<Metrics>,
    /// Samples by instance.
    pub instances: Vec<Instance>,
    /// The newest sample of GPU utilisation.
    pub latest_gpu_utilization: Option<GpuSample>,
    /// Scaling events by type.
    pub scaling_events: Vec<ScalingEvents>,
    /// Scaling events that have ended, by type and success.
    pub scaling_outcomes: Vec<ScalingOutcome>,
    /// The scaling event that began last.
    pub latest_scaling_event: Option<ScalingEvent>,
    /// Utilisation over time of the twelve instances with most samples of it, those of equally many in the order of their
    /// names; by instance and resource type.
    pub utilization: Vec<Utilization>,
    /// How many instances have samples of utilisation, drawn or not; `None` when the layer was skipped.
    pub utilization_instances: Option<i64>,
    /// The newest two hundred scaling events, the oldest first.
    pub scaling_timeline: Vec<ScalingEvent>,
}

/// Utilisation of one resource of one instance over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Utilization {
    /// The instance.
    pub instance_id: String,
    /// The resource.
    pub resource_type: ResourceType,
    /// Averages in percent of at most 97 equal spans, the oldest first.
    pub points: Vec<Point>,
}

/// The samples of one resource type. (0.2d part 2)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metrics {
    /// The resource type.
    pub resource_type: ResourceType,
    /// How many samples there are.
    pub count: i64,
}

/// The samples of one instance. (0.2d part 2)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// The instance as the cloud provider names it.
    pub instance_id: String,
    /// Samples of any kind.
    pub metrics: i64,
    /// Those of GPU utilisation.
    pub gpu_samples: i64,
    /// Average GPU utilisation in percent; `None` without a sample.
    #[serde(deserialize_with = "float_or_null")]
    pub average_gpu_utilization: Option<f64>,
}

/// A sample of GPU utilisation. (0.2d part 2)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GpuSample {
    /// The instance.
    pub instance_id: String,
    /// GPU utilisation in percent.
    #[serde(deserialize_with = "float")]
    pub utilization: f64,
    /// When it was taken, UTC.
    pub timestamp: DateTime<Utc>,
}

/// The scaling events of one type. (0.2d part 2)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalingEvents {
    /// The type.
    pub event_type: ScalingEventType,
    /// How many there are.
    pub count: i64,
    /// How many of them succeeded.
    pub succeeded: i64,
}

/// The scaling events of one type that ended one way. (0.2d part 2)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingOutcome {
    /// The type.
    pub event_type: ScalingEventType,
    /// How they ended.
    pub success: bool,
    /// How many there are.
    pub count: i64,
    /// How long they took on average, in minutes.
    #[serde(deserialize_with = "float")]
    pub average_minutes: f64,
}

/// A scaling event. (0.2d part 2)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingEvent {
    /// The type.
    pub event_type: ScalingEventType,
    /// Whether it did what it set out to do.
    pub success: bool,
    /// Why it began.
    pub trigger_reason: String,
    /// When it began, UTC.
    pub executed_at: DateTime<Utc>,
    /// How long it took in seconds; `None` while it runs.
    #[serde(deserialize_with = "float_or_null")]
    pub duration_seconds: Option<f64>,
}
