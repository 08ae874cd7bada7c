//! Samples of instances, and scaling events. (0.2d part 2)

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
    /// Utilisation over time of all instances together, by resource type.
    pub utilization_bands: Vec<Band>,
    /// The newest sample of each customer, of the thousand that sent last; by name.
    pub newest_by_customer: Vec<CustomerSample>,
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

/// Utilisation of one resource of all instances over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// The resource.
    pub resource_type: ResourceType,
    /// At most 97 equal spans, the oldest first.
    pub points: Vec<Spread>,
}

/// How the samples of all instances are spread in a span of time, in percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// When the span begins, UTC.
    pub at: DateTime<Utc>,
    /// The 5th percentile.
    #[serde(deserialize_with = "float")]
    pub low: f64,
    /// The median.
    #[serde(deserialize_with = "float")]
    pub median: f64,
    /// The 95th percentile.
    #[serde(deserialize_with = "float")]
    pub high: f64,
    /// How many there are.
    pub samples: i64,
}

/// The newest sample of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerSample {
    /// The customer.
    pub customer_id: Uuid,
    /// The customer's name.
    pub customer: String,
    /// When it was taken, UTC; `None` without any.
    pub newest_sample: Option<DateTime<Utc>>,
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
    /// The customer's name.
    pub customer: String,
    /// On which instances, as far as the event says: their ids, or how many there were before.
    pub instances: Option<String>,
    /// What went wrong, as far as the event says.
    pub error: Option<String>,
}
