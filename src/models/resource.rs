//! The resource layer: samples of the use of instances, and scaling decisions.
//!
//! `resource_metrics` is a hot table: its questions take the customer where one is known.

use bon::Builder;
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::enums::{ResourceType, ScalingEventType};
use crate::id::CustomerId;
use crate::models::{Agent, Customer, Rows, WorkflowExecution, newest, seconds_between};
use crate::schema::{resource_metrics, resource_metrics_hourly, scaling_events};

/// One row of `resource_metrics`. Samples of the use of GPU, CPU, memory, disk and network by an instance.
///
/// A hot table: no foreign key may point at it.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = resource_metrics, check_for_backend(Pg))]
#[diesel(belongs_to(Agent, foreign_key = agent_id))]
#[diesel(belongs_to(Customer, foreign_key = customer_id))]
pub struct ResourceMetric {
    /// Primary key.
    pub id: Uuid,
    /// Agent that took the sample.
    pub agent_id: Uuid,
    /// Customer whose instance it is.
    pub customer_id: Uuid,
    /// Instance as the cloud provider names it, such as i-0abc123.
    pub instance_id: String,
    /// Kind of resource.
    pub resource_type: ResourceType,
    /// What was measured: utilization, temperature, used, read_iops and the like.
    pub metric_name: String,
    /// The sample, in the unit that the column unit names.
    pub metric_value: f64,
    /// Unit of the sample: percent, celsius, GB, iops, Mbps.
    pub unit: String,
    /// When the sample was taken, UTC.
    pub timestamp: DateTime<Utc>,
    /// Free-form facts: GPU model, instance type and the like.
    pub metadata: Value,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
}

/// A new [`ResourceMetric`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = resource_metrics, check_for_backend(Pg))]
#[expect(missing_docs, reason = "ResourceMetric says what the columns are")]
pub struct NewResourceMetric {
    pub id: Option<Uuid>,
    pub agent_id: Uuid,
    pub customer_id: Uuid,
    pub instance_id: String,
    pub resource_type: ResourceType,
    pub metric_name: String,
    pub metric_value: f64,
    pub unit: String,
    pub timestamp: DateTime<Utc>,
    pub metadata: Option<Value>,
    pub created_at: Option<DateTime<Utc>>,
}

/// One row of `scaling_events`. Scaling decisions, what triggered them and what came of them.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = scaling_events, check_for_backend(Pg))]
#[diesel(belongs_to(Agent, foreign_key = agent_id))]
#[diesel(belongs_to(Customer, foreign_key = customer_id))]
#[diesel(belongs_to(WorkflowExecution, foreign_key = workflow_execution_id))]
pub struct ScalingEvent {
    /// Primary key.
    pub id: Uuid,
    /// Agent that decided.
    pub agent_id: Uuid,
    /// Customer whose instances were scaled.
    pub customer_id: Uuid,
    /// Workflow that led to the decision, if one did.
    pub workflow_execution_id: Option<Uuid>,
    /// What the decision did.
    pub event_type: ScalingEventType,
    /// Why, for a person to read.
    pub trigger_reason: String,
    /// State before: instance count, utilisation, cost per hour.
    pub before_state: Value,
    /// State after, same keys.
    pub after_state: Value,
    /// Whether it did what it set out to do.
    pub success: bool,
    /// Why it failed, when it failed.
    pub error_details: Option<Value>,
    /// When scaling began, UTC.
    pub executed_at: DateTime<Utc>,
    /// When scaling ended, well or badly, UTC; null while it runs.
    pub completed_at: Option<DateTime<Utc>>,
    /// Free-form facts: policy, savings and the like.
    pub metadata: Value,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed, UTC; kept by the trigger set_updated_at.
    pub updated_at: DateTime<Utc>,
}

/// A new [`ScalingEvent`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = scaling_events, check_for_backend(Pg))]
#[expect(missing_docs, reason = "ScalingEvent says what the columns are")]
pub struct NewScalingEvent {
    pub id: Option<Uuid>,
    pub agent_id: Uuid,
    pub customer_id: Uuid,
    pub workflow_execution_id: Option<Uuid>,
    pub event_type: ScalingEventType,
    pub trigger_reason: String,
    pub before_state: Value,
    pub after_state: Value,
    pub success: Option<bool>,
    pub error_details: Option<Value>,
    pub executed_at: DateTime<Utc>,
    pub completed_at: Option<DateTime<Utc>>,
    pub metadata: Option<Value>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
}

/// Changes to a [`ScalingEvent`]: `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(Debug, Clone, Default, PartialEq, AsChangeset)]
#[diesel(table_name = scaling_events, check_for_backend(Pg))]
#[expect(missing_docs, reason = "ScalingEvent says what the columns are")]
pub struct ScalingEventChanges {
    pub workflow_execution_id: Option<Option<Uuid>>,
    pub event_type: Option<ScalingEventType>,
    pub trigger_reason: Option<String>,
    pub before_state: Option<Value>,
    pub after_state: Option<Value>,
    pub success: Option<bool>,
    pub error_details: Option<Option<Value>>,
    pub executed_at: Option<DateTime<Utc>>,
    pub completed_at: Option<Option<DateTime<Utc>>>,
    pub metadata: Option<Value>,
}

/// One row of `resource_metrics_hourly`. Samples of resource_metrics, an hour of a metric of an instance in a row.
///
/// Only `retention` writes it.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = resource_metrics_hourly, check_for_backend(Pg))]
#[diesel(belongs_to(Customer, foreign_key = customer_id))]
pub struct ResourceMetricHour {
    /// Primary key.
    pub id: Uuid,
    /// Customer whose instance it is.
    pub customer_id: Uuid,
    /// Instance as the cloud provider names it.
    pub instance_id: String,
    /// Kind of resource.
    pub resource_type: ResourceType,
    /// What was measured.
    pub metric_name: String,
    /// Unit of the samples.
    pub unit: String,
    /// When the hour begins, UTC.
    pub hour: DateTime<Utc>,
    /// How many samples the hour has.
    pub sample_count: i64,
    /// The least sample.
    pub min_value: f64,
    /// The average sample.
    pub avg_value: f64,
    /// The greatest sample.
    pub max_value: f64,
    /// The 95th percentile of the samples, interpolated between two of them.
    pub p95_value: f64,
    /// The newest sample; of those of one time that with the greatest id.
    pub last_value: f64,
    /// When the newest sample was taken, UTC.
    pub last_at: DateTime<Utc>,
    /// How many samples this metric of the instance has had until the end of the hour; null until that is counted.
    pub total_count: Option<i64>,
    /// The average of all of these; null until that is computed.
    pub total_avg: Option<f64>,
    /// Whether samples of the hour may be gone: its sums are never computed again.
    pub is_final: bool,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
}

/// A new [`ResourceMetricHour`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = resource_metrics_hourly, check_for_backend(Pg))]
#[expect(missing_docs, reason = "ResourceMetricHour says what the columns are")]
pub struct NewResourceMetricHour {
    pub id: Option<Uuid>,
    pub customer_id: Uuid,
    pub instance_id: String,
    pub resource_type: ResourceType,
    pub metric_name: String,
    pub unit: String,
    pub hour: DateTime<Utc>,
    pub sample_count: i64,
    pub min_value: f64,
    pub avg_value: f64,
    pub max_value: f64,
    pub p95_value: f64,
    pub last_value: f64,
    pub last_at: DateTime<Utc>,
    pub total_count: Option<i64>,
    pub total_avg: Option<f64>,
    pub is_final: Option<bool>,
    pub created_at: Option<DateTime<Utc>>,
}

relations! {
    ResourceMetric.agent_id of resource_metrics => Agent as agent;
    ResourceMetric.customer_id of resource_metrics => Customer as customer;
    ResourceMetricHour.customer_id of resource_metrics_hourly => Customer as customer;
    ScalingEvent.agent_id of scaling_events => Agent as agent;
    ScalingEvent.customer_id of scaling_events => Customer as customer;
    ScalingEvent.workflow_execution_id of scaling_events => WorkflowExecution as workflow_execution, nullable;
}

impl ResourceMetric {
    /// The samples of one instance of a customer with `from <= timestamp < until`, oldest first, those of one time by
    /// id. (0.2d)
    pub fn of_instance(
        customer: CustomerId,
        instance_id: &str,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Rows<resource_metrics::table, Self> {
        Self::query()
            .filter(resource_metrics::customer_id.eq(customer))
            .filter(resource_metrics::instance_id.eq(instance_id.to_owned()))
            .filter(resource_metrics::timestamp.ge(from))
            .filter(resource_metrics::timestamp.lt(until))
            .order((resource_metrics::timestamp.asc(), resource_metrics::id.asc()))
            .into_boxed()
    }

    /// The average of one metric of an instance of a customer, in the metric's own unit; `None` without a sample.
    /// (0.2d)
    ///
    /// # Errors
    ///
    /// Fails when the query does.
    pub fn average(
        conn: &mut PgConnection,
        customer: CustomerId,
        instance_id: &str,
        resource_type: ResourceType,
        metric_name: &str,
    ) -> QueryResult<Option<f64>> {
        Self::of_metric(customer, instance_id, resource_type, metric_name)
            .select(diesel::dsl::avg(resource_metrics::metric_value))
            .first(conn)
    }

    /// The samples of one metric of an instance of a customer.
    pub(super) fn of_metric<'a>(
        customer: CustomerId,
        instance_id: &'a str,
        resource_type: ResourceType,
        metric_name: &'a str,
    ) -> resource_metrics::BoxedQuery<'a, Pg> {
        resource_metrics::table
            .filter(resource_metrics::customer_id.eq(customer))
            .filter(resource_metrics::instance_id.eq(instance_id))
            .filter(resource_metrics::resource_type.eq(resource_type))
            .filter(resource_metrics::metric_name.eq(metric_name))
            .into_boxed()
    }

    /// The newest sample of a metric, of one customer or of all; `None` without a sample. (0.2d)
    ///
    /// Of samples with the same time the one with the greatest id is taken, so the answer is always the same one.
    ///
    /// # Errors
    ///
    /// Fails when the query does.
    pub fn latest(
        conn: &mut PgConnection,
        customer: Option<CustomerId>,
        resource_type: ResourceType,
        metric_name: &str,
    ) -> QueryResult<Option<Self>> {
        newest(|since| {
            let mut samples = Self::query()
                .filter(resource_metrics::resource_type.eq(resource_type))
                .filter(resource_metrics::metric_name.eq(metric_name))
                .order((resource_metrics::timestamp.desc(), resource_metrics::id.desc()))
                .into_boxed();
            if let Some(customer) = customer {
                samples = samples.filter(resource_metrics::customer_id.eq(customer));
            }
            if let Some(since) = since {
                samples = samples.filter(resource_metrics::timestamp.ge(since));
            }
            samples.first(conn).optional()
        })
    }
}

impl ScalingEvent {
    /// How long scaling took in seconds; `None` while it runs. (0.2d)
    pub fn duration_seconds(&self) -> Option<f64> {
        self.completed_at.map(|end| seconds_between(self.executed_at, end))
    }

    /// The most recent scaling event, of one customer or of all; `None` without one. (0.2d)
    ///
    /// # Errors
    ///
    /// Fails when the query does.
    pub fn latest(conn: &mut PgConnection, customer: Option<CustomerId>) -> QueryResult<Option<Self>> {
        let mut events =
            Self::query().order((scaling_events::executed_at.desc(), scaling_events::id.desc())).into_boxed();
        if let Some(customer) = customer {
            events = events.filter(scaling_events::customer_id.eq(customer));
        }
        events.first(conn).optional()
    }
}
