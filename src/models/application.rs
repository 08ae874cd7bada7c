//! The application layer: quality of single answers, baselines, and regressions against them.
//!
//! `quality_metrics` is a hot table: its questions take the customer where one is known.

use bon::Builder;
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::enums::{BaselineType, RegressionAction, RegressionSeverity, RegressionType};
use crate::id::CustomerId;
use crate::models::{Agent, Customer, Rows, WorkflowExecution, newest, seconds_between};
use crate::schema::{quality_baselines, quality_metrics, quality_metrics_hourly, quality_regressions};

/// One row of `quality_metrics`. Quality of single LLM answers; scores run from 0 to 1.
///
/// A hot table: no foreign key may point at it.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = quality_metrics, check_for_backend(Pg))]
#[diesel(belongs_to(Agent, foreign_key = agent_id))]
#[diesel(belongs_to(Customer, foreign_key = customer_id))]
pub struct QualityMetric {
    /// Primary key.
    pub id: Uuid,
    /// Agent that judged the answer.
    pub agent_id: Uuid,
    /// Customer whose request it was.
    pub customer_id: Uuid,
    /// Request that was judged; unique.
    pub request_id: String,
    /// Model that answered.
    pub model_name: String,
    /// Version of the model.
    pub model_version: String,
    /// Tokens in the prompt.
    pub prompt_tokens: Option<i32>,
    /// Tokens in the answer.
    pub completion_tokens: Option<i32>,
    /// Time to the complete answer in milliseconds.
    pub latency_ms: Option<f64>,
    /// How much the answer is about the question, 0 to 1.
    pub relevance_score: Option<f64>,
    /// How well the answer holds together, 0 to 1.
    pub coherence_score: Option<f64>,
    /// How true the answer is, 0 to 1.
    pub factuality_score: Option<f64>,
    /// Whether the answer states something made up.
    pub hallucination_detected: bool,
    /// How offensive the answer is, 0 to 1; lower is better.
    pub toxicity_score: Option<f64>,
    /// Overall judgement, 0 to 1.
    pub overall_quality_score: f64,
    /// When the answer was given, UTC.
    pub timestamp: DateTime<Utc>,
    /// Free-form facts: user, session, endpoint.
    pub metadata: Value,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
}

/// A new [`QualityMetric`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = quality_metrics, check_for_backend(Pg))]
#[expect(missing_docs, reason = "QualityMetric says what the columns are")]
pub struct NewQualityMetric {
    pub id: Option<Uuid>,
    pub agent_id: Uuid,
    pub customer_id: Uuid,
    pub request_id: String,
    pub model_name: String,
    pub model_version: String,
    pub prompt_tokens: Option<i32>,
    pub completion_tokens: Option<i32>,
    pub latency_ms: Option<f64>,
    pub relevance_score: Option<f64>,
    pub coherence_score: Option<f64>,
    pub factuality_score: Option<f64>,
    pub hallucination_detected: Option<bool>,
    pub toxicity_score: Option<f64>,
    pub overall_quality_score: f64,
    pub timestamp: DateTime<Utc>,
    pub metadata: Option<Value>,
    pub created_at: Option<DateTime<Utc>>,
}

/// One row of `quality_baselines`. What quality to expect of a model for a customer; regressions are measured against
/// it.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = quality_baselines, check_for_backend(Pg))]
#[diesel(belongs_to(Agent, foreign_key = agent_id))]
#[diesel(belongs_to(Customer, foreign_key = customer_id))]
pub struct QualityBaseline {
    /// Primary key.
    pub id: Uuid,
    /// Agent that established the baseline.
    pub agent_id: Uuid,
    /// Customer for whom it holds.
    pub customer_id: Uuid,
    /// Model that it describes.
    pub model_name: String,
    /// Version of the model.
    pub model_version: String,
    /// Why it was established.
    pub baseline_type: BaselineType,
    /// Number of answers that it rests on.
    pub sample_size: i32,
    /// Average relevance, 0 to 1.
    pub avg_relevance_score: Option<f64>,
    /// Average coherence, 0 to 1.
    pub avg_coherence_score: Option<f64>,
    /// Average factuality, 0 to 1.
    pub avg_factuality_score: Option<f64>,
    /// Average overall quality, 0 to 1.
    pub avg_overall_score: f64,
    /// 95th percentile of the latency in milliseconds.
    pub p95_latency_ms: Option<f64>,
    /// When it was established, UTC.
    pub established_at: DateTime<Utc>,
    /// When it ceases to hold, UTC; null while it holds.
    pub valid_until: Option<DateTime<Utc>>,
    /// Free-form facts.
    pub metadata: Value,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
}

/// A new [`QualityBaseline`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = quality_baselines, check_for_backend(Pg))]
#[expect(missing_docs, reason = "QualityBaseline says what the columns are")]
pub struct NewQualityBaseline {
    pub id: Option<Uuid>,
    pub agent_id: Uuid,
    pub customer_id: Uuid,
    pub model_name: String,
    pub model_version: String,
    pub baseline_type: BaselineType,
    pub sample_size: i32,
    pub avg_relevance_score: Option<f64>,
    pub avg_coherence_score: Option<f64>,
    pub avg_factuality_score: Option<f64>,
    pub avg_overall_score: f64,
    pub p95_latency_ms: Option<f64>,
    pub established_at: DateTime<Utc>,
    pub valid_until: Option<DateTime<Utc>>,
    pub metadata: Option<Value>,
    pub created_at: Option<DateTime<Utc>>,
}

/// Changes to a [`QualityBaseline`]: `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(Debug, Clone, Default, PartialEq, AsChangeset)]
#[diesel(table_name = quality_baselines, check_for_backend(Pg))]
#[expect(missing_docs, reason = "QualityBaseline says what the columns are")]
pub struct QualityBaselineChanges {
    pub model_name: Option<String>,
    pub model_version: Option<String>,
    pub baseline_type: Option<BaselineType>,
    pub sample_size: Option<i32>,
    pub avg_relevance_score: Option<Option<f64>>,
    pub avg_coherence_score: Option<Option<f64>>,
    pub avg_factuality_score: Option<Option<f64>>,
    pub avg_overall_score: Option<f64>,
    pub p95_latency_ms: Option<Option<f64>>,
    pub established_at: Option<DateTime<Utc>>,
    pub valid_until: Option<Option<DateTime<Utc>>>,
    pub metadata: Option<Value>,
}

/// One row of `quality_regressions`. Times when the quality of a model fell below its baseline, and what was done.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = quality_regressions, check_for_backend(Pg))]
#[diesel(belongs_to(Agent, foreign_key = agent_id))]
#[diesel(belongs_to(Customer, foreign_key = customer_id))]
#[diesel(belongs_to(QualityBaseline, foreign_key = baseline_id))]
#[diesel(belongs_to(WorkflowExecution, foreign_key = workflow_execution_id))]
pub struct QualityRegression {
    /// Primary key.
    pub id: Uuid,
    /// Agent that detected the regression.
    pub agent_id: Uuid,
    /// Customer whose answers got worse.
    pub customer_id: Uuid,
    /// Baseline that it is measured against.
    pub baseline_id: Uuid,
    /// Workflow that caused it or mended it, if one did.
    pub workflow_execution_id: Option<Uuid>,
    /// Which aspect got worse.
    pub regression_type: RegressionType,
    /// How serious it is.
    pub severity: RegressionSeverity,
    /// When it was detected, UTC.
    pub detected_at: DateTime<Utc>,
    /// Metric that fell, such as overall_quality_score.
    pub metric_name: String,
    /// Value of the metric in the baseline.
    pub baseline_value: f64,
    /// Value of the metric when detected.
    pub current_value: f64,
    /// Change against the baseline in percent; negative is a fall.
    pub delta_percent: f64,
    /// Number of answers that the current value rests on.
    pub sample_size: i32,
    /// What was done about it.
    pub action_taken: RegressionAction,
    /// When it was resolved, UTC; null while it is open.
    pub resolved_at: Option<DateTime<Utc>>,
    /// How it was resolved, for a person to read.
    pub resolution_notes: Option<String>,
    /// Free-form facts.
    pub metadata: Value,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed, UTC; kept by the trigger set_updated_at.
    pub updated_at: DateTime<Utc>,
}

/// A new [`QualityRegression`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = quality_regressions, check_for_backend(Pg))]
#[expect(missing_docs, reason = "QualityRegression says what the columns are")]
pub struct NewQualityRegression {
    pub id: Option<Uuid>,
    pub agent_id: Uuid,
    pub customer_id: Uuid,
    pub baseline_id: Uuid,
    pub workflow_execution_id: Option<Uuid>,
    pub regression_type: RegressionType,
    pub severity: RegressionSeverity,
    pub detected_at: DateTime<Utc>,
    pub metric_name: String,
    pub baseline_value: f64,
    pub current_value: f64,
    pub delta_percent: f64,
    pub sample_size: i32,
    pub action_taken: RegressionAction,
    pub resolved_at: Option<DateTime<Utc>>,
    pub resolution_notes: Option<String>,
    pub metadata: Option<Value>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
}

/// Changes to a [`QualityRegression`]: `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(Debug, Clone, Default, PartialEq, AsChangeset)]
#[diesel(table_name = quality_regressions, check_for_backend(Pg))]
#[expect(missing_docs, reason = "QualityRegression says what the columns are")]
pub struct QualityRegressionChanges {
    pub workflow_execution_id: Option<Option<Uuid>>,
    pub regression_type: Option<RegressionType>,
    pub severity: Option<RegressionSeverity>,
    pub detected_at: Option<DateTime<Utc>>,
    pub metric_name: Option<String>,
    pub baseline_value: Option<f64>,
    pub current_value: Option<f64>,
    pub delta_percent: Option<f64>,
    pub sample_size: Option<i32>,
    pub action_taken: Option<RegressionAction>,
    pub resolved_at: Option<Option<DateTime<Utc>>>,
    pub resolution_notes: Option<Option<String>>,
    pub metadata: Option<Value>,
}

/// One row of `quality_metrics_hourly`. Overall quality scores of quality_metrics, an hour of a model in a row.
///
/// Only `retention` writes it.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = quality_metrics_hourly, check_for_backend(Pg))]
#[diesel(belongs_to(Customer, foreign_key = customer_id))]
pub struct QualityMetricHour {
    /// Primary key.
    pub id: Uuid,
    /// Customer whose requests they were.
    pub customer_id: Uuid,
    /// Model that answered.
    pub model_name: String,
    /// Version of the model.
    pub model_version: String,
    /// When the hour begins, UTC.
    pub hour: DateTime<Utc>,
    /// How many samples the hour has.
    pub sample_count: i64,
    /// The least score.
    pub min_value: f64,
    /// The average score.
    pub avg_value: f64,
    /// The greatest score.
    pub max_value: f64,
    /// The 95th percentile of the scores, interpolated between two of them.
    pub p95_value: f64,
    /// The newest score; of those of one time that with the greatest id.
    pub last_value: f64,
    /// When the newest sample was taken, UTC.
    pub last_at: DateTime<Utc>,
    /// How many samples this model has had until the end of the hour; null until that is counted.
    pub total_count: Option<i64>,
    /// The average of all of these; null until that is computed.
    pub total_avg: Option<f64>,
    /// Whether samples of the hour may be gone: its sums are never computed again.
    pub is_final: bool,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
}

/// A new [`QualityMetricHour`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = quality_metrics_hourly, check_for_backend(Pg))]
#[expect(missing_docs, reason = "QualityMetricHour says what the columns are")]
pub struct NewQualityMetricHour {
    pub id: Option<Uuid>,
    pub customer_id: Uuid,
    pub model_name: String,
    pub model_version: String,
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
    QualityMetric.agent_id of quality_metrics => Agent as agent;
    QualityMetric.customer_id of quality_metrics => Customer as customer;
    QualityMetricHour.customer_id of quality_metrics_hourly => Customer as customer;
    QualityBaseline.agent_id of quality_baselines => Agent as agent;
    QualityBaseline.customer_id of quality_baselines => Customer as customer;
    QualityRegression.agent_id of quality_regressions => Agent as agent;
    QualityRegression.customer_id of quality_regressions => Customer as customer;
    QualityRegression.baseline_id of quality_regressions => QualityBaseline as baseline;
    QualityRegression.workflow_execution_id of quality_regressions => WorkflowExecution as workflow_execution, nullable;
}

impl QualityMetric {
    /// The newest answer of a model, of one customer or of all; `None` without an answer. (0.2e)
    ///
    /// Of answers with the same time the one with the greatest id is taken, so the result is always the same one.
    ///
    /// # Errors
    ///
    /// Fails when the query does.
    pub fn latest(
        conn: &mut PgConnection,
        customer: Option<CustomerId>,
        model_name: &str,
    ) -> QueryResult<Option<Self>> {
        newest(|since| {
            let mut answers = Self::query()
                .filter(quality_metrics::model_name.eq(model_name))
                .order((quality_metrics::timestamp.desc(), quality_metrics::id.desc()))
                .into_boxed();
            if let Some(customer) = customer {
                answers = answers.filter(quality_metrics::customer_id.eq(customer));
            }
            if let Some(since) = since {
                answers = answers.filter(quality_metrics::timestamp.ge(since));
            }
            answers.first(conn).optional()
        })
    }

    /// The answers of a customer in which something was made up, newest first. (0.2e)
    pub fn hallucinations(customer: CustomerId) -> Rows<quality_metrics::table, Self> {
        Self::query()
            .filter(quality_metrics::customer_id.eq(customer))
            .filter(quality_metrics::hallucination_detected)
            .order((quality_metrics::timestamp.desc(), quality_metrics::id.desc()))
            .into_boxed()
    }
}

impl QualityRegression {
    /// The regressions that are still open, oldest first. (0.2e)
    pub fn unresolved() -> Rows<quality_regressions::table, Self> {
        Self::query()
            .filter(quality_regressions::resolved_at.is_null())
            .order((quality_regressions::detected_at.asc(), quality_regressions::id.asc()))
            .into_boxed()
    }

    /// Whether the regression is resolved. (0.2e)
    pub const fn is_resolved(&self) -> bool {
        self.resolved_at.is_some()
    }

    /// Minutes from detection to resolution; `None` while it is open. (0.2e)
    pub fn time_to_resolve_minutes(&self) -> Option<f64> {
        self.resolved_at.map(|end| seconds_between(self.detected_at, end) / 60.0)
    }

    /// Closes the regression now; `None` when it is closed already, or gone. (0.2e)
    ///
    /// The first one to close it stands: its time and its notes are not written over.
    ///
    /// # Errors
    ///
    /// Fails when the query does.
    pub fn resolve(&self, conn: &mut PgConnection, notes: &str) -> QueryResult<Option<Self>> {
        let open = quality_regressions::table.find(self.id).filter(quality_regressions::resolved_at.is_null());
        diesel::update(open)
            .set((
                quality_regressions::resolved_at.eq(diesel::dsl::now),
                quality_regressions::resolution_notes.eq(notes),
            ))
            .returning(Self::as_returning())
            .get_result(conn)
            .optional()
    }
}
