//! The core layer: customers, agents, and the events, recommendations, approvals and optimizations between them.

use std::fmt;

use bigdecimal::BigDecimal;
use bon::Builder;
use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::enums::{
    AgentStatus, AgentType, ApprovalStatus, CustomerPlan, CustomerStatus, EventSeverity, OptimizationStatus,
    RecommendationPriority, RecommendationStatus,
};
use crate::schema::{agents, approvals, customers, events, optimizations, recommendations};

/// One row of `customers`. Organisations whose LLM infrastructure the platform watches; every other row of a customer
/// depends on this one.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Serialize, Deserialize)]
#[diesel(table_name = customers, check_for_backend(Pg))]
pub struct Customer {
    /// Primary key.
    pub id: Uuid,
    /// Display name of the organisation.
    pub name: String,
    /// Contact address; unique.
    pub email: String,
    /// Secret with which the customer calls the platform; unique. Never show it.
    #[serde(skip_serializing)]
    pub api_key: ApiKey,
    /// Subscription plan.
    pub plan: CustomerPlan,
    /// Standing of the account.
    pub status: CustomerStatus,
    /// Free-form facts about the customer: size, industry and the like.
    pub metadata: Option<Value>,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed, UTC; kept by the trigger set_updated_at.
    pub updated_at: DateTime<Utc>,
}

/// A new [`Customer`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = customers, check_for_backend(Pg))]
#[expect(missing_docs, reason = "Customer says what the columns are")]
pub struct NewCustomer {
    pub id: Option<Uuid>,
    pub name: String,
    pub email: String,
    #[builder(into)]
    pub api_key: ApiKey,
    pub plan: Option<CustomerPlan>,
    pub status: Option<CustomerStatus>,
    pub metadata: Option<Value>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
}

/// Changes to a [`Customer`]: `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(Debug, Clone, Default, PartialEq, AsChangeset)]
#[diesel(table_name = customers, check_for_backend(Pg))]
#[expect(missing_docs, reason = "Customer says what the columns are")]
pub struct CustomerChanges {
    pub name: Option<String>,
    pub email: Option<String>,
    pub api_key: Option<ApiKey>,
    pub plan: Option<CustomerPlan>,
    pub status: Option<CustomerStatus>,
    pub metadata: Option<Option<Value>>,
}

/// One row of `agents`. Registered instances of the five agents; unique by type and name.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Serialize, Deserialize)]
#[diesel(table_name = agents, check_for_backend(Pg))]
pub struct Agent {
    /// Primary key.
    pub id: Uuid,
    /// Which of the five agents this is.
    #[serde(rename = "type")]
    pub type_: AgentType,
    /// Name of the instance, unique within its type.
    pub name: String,
    /// Release of the agent that registered.
    pub version: Option<String>,
    /// Health as last reported.
    pub status: AgentStatus,
    /// Base URL at which the agent answers.
    pub endpoint: Option<String>,
    /// JSON array of the capability names that the agent announced.
    pub capabilities: Value,
    /// Free-form facts about the instance: environment, region and the like.
    pub metadata: Option<Value>,
    /// When the agent last reported, UTC; null until the first report.
    pub last_heartbeat: Option<DateTime<Utc>>,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed, UTC; kept by the trigger set_updated_at.
    pub updated_at: DateTime<Utc>,
}

/// A new [`Agent`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = agents, check_for_backend(Pg))]
#[expect(missing_docs, reason = "Agent says what the columns are")]
pub struct NewAgent {
    pub id: Option<Uuid>,
    #[serde(rename = "type")]
    pub type_: AgentType,
    pub name: String,
    pub version: Option<String>,
    pub status: Option<AgentStatus>,
    pub endpoint: Option<String>,
    pub capabilities: Option<Value>,
    pub metadata: Option<Value>,
    pub last_heartbeat: Option<DateTime<Utc>>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
}

/// Changes to a [`Agent`]: `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(Debug, Clone, Default, PartialEq, AsChangeset)]
#[diesel(table_name = agents, check_for_backend(Pg))]
#[expect(missing_docs, reason = "Agent says what the columns are")]
pub struct AgentChanges {
    pub type_: Option<AgentType>,
    pub name: Option<String>,
    pub version: Option<Option<String>>,
    pub status: Option<AgentStatus>,
    pub endpoint: Option<Option<String>>,
    pub capabilities: Option<Value>,
    pub metadata: Option<Option<Value>>,
    pub last_heartbeat: Option<Option<DateTime<Utc>>>,
}

/// One row of `events`. What happened on the platform, as an audit trail; outlives the agent that reported it.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = events, check_for_backend(Pg))]
#[diesel(belongs_to(Customer, foreign_key = customer_id))]
#[diesel(belongs_to(Agent, foreign_key = agent_id))]
pub struct Event {
    /// Primary key.
    pub id: Uuid,
    /// Customer whom the event concerns.
    pub customer_id: Uuid,
    /// Agent that reported the event; null when that agent is gone or none was involved.
    pub agent_id: Option<Uuid>,
    /// Free-form type, such as optimization_started.
    pub event_type: String,
    /// How serious the event is.
    pub severity: EventSeverity,
    /// Payload of the event.
    pub data: Value,
    /// When the event was recorded, UTC.
    pub created_at: DateTime<Utc>,
}

/// A new [`Event`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = events, check_for_backend(Pg))]
#[expect(missing_docs, reason = "Event says what the columns are")]
pub struct NewEvent {
    pub id: Option<Uuid>,
    pub customer_id: Uuid,
    pub agent_id: Option<Uuid>,
    pub event_type: String,
    pub severity: Option<EventSeverity>,
    pub data: Option<Value>,
    pub created_at: Option<DateTime<Utc>>,
}

/// One row of `recommendations`. Optimisations that an agent proposes to a customer.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = recommendations, check_for_backend(Pg))]
#[diesel(belongs_to(Customer, foreign_key = customer_id))]
#[diesel(belongs_to(Agent, foreign_key = agent_id))]
pub struct Recommendation {
    /// Primary key.
    pub id: Uuid,
    /// Customer to whom it is proposed.
    pub customer_id: Uuid,
    /// Agent that proposes it.
    pub agent_id: Uuid,
    /// Free-form type, such as spot_migration.
    #[serde(rename = "type")]
    pub type_: String,
    /// One line for a person to read.
    pub title: String,
    /// What would be done and why.
    pub description: Option<String>,
    /// Expected saving per month in US dollars.
    pub estimated_savings: Option<BigDecimal>,
    /// Expected improvement as a factor: 1.5 means one and a half times as good.
    pub estimated_improvement: Option<BigDecimal>,
    /// How sure the agent is, from 0 to 1.
    pub confidence_score: f64,
    /// How urgent it is.
    pub priority: RecommendationPriority,
    /// Where it stands between proposal and outcome.
    pub status: RecommendationStatus,
    /// Details for the agent that would carry it out.
    pub data: Value,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed, UTC; kept by the trigger set_updated_at.
    pub updated_at: DateTime<Utc>,
    /// When it was approved, UTC.
    pub approved_at: Option<DateTime<Utc>>,
    /// When it was carried out, UTC.
    pub executed_at: Option<DateTime<Utc>>,
}

/// A new [`Recommendation`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = recommendations, check_for_backend(Pg))]
#[expect(missing_docs, reason = "Recommendation says what the columns are")]
pub struct NewRecommendation {
    pub id: Option<Uuid>,
    pub customer_id: Uuid,
    pub agent_id: Uuid,
    #[serde(rename = "type")]
    pub type_: String,
    pub title: String,
    pub description: Option<String>,
    pub estimated_savings: Option<BigDecimal>,
    pub estimated_improvement: Option<BigDecimal>,
    pub confidence_score: Option<f64>,
    pub priority: Option<RecommendationPriority>,
    pub status: Option<RecommendationStatus>,
    pub data: Option<Value>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
    pub approved_at: Option<DateTime<Utc>>,
    pub executed_at: Option<DateTime<Utc>>,
}

/// Changes to a [`Recommendation`]: `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(Debug, Clone, Default, PartialEq, AsChangeset)]
#[diesel(table_name = recommendations, check_for_backend(Pg))]
#[expect(missing_docs, reason = "Recommendation says what the columns are")]
pub struct RecommendationChanges {
    pub type_: Option<String>,
    pub title: Option<String>,
    pub description: Option<Option<String>>,
    pub estimated_savings: Option<Option<BigDecimal>>,
    pub estimated_improvement: Option<Option<BigDecimal>>,
    pub confidence_score: Option<f64>,
    pub priority: Option<RecommendationPriority>,
    pub status: Option<RecommendationStatus>,
    pub data: Option<Value>,
    pub approved_at: Option<Option<DateTime<Utc>>>,
    pub executed_at: Option<Option<DateTime<Utc>>>,
}

/// One row of `approvals`. Decisions of people on recommendations.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = approvals, check_for_backend(Pg))]
#[diesel(belongs_to(Recommendation, foreign_key = recommendation_id))]
pub struct Approval {
    /// Primary key.
    pub id: Uuid,
    /// Recommendation that was decided on.
    pub recommendation_id: Uuid,
    /// Who decided: a user name or address.
    pub approved_by: String,
    /// The decision.
    pub status: ApprovalStatus,
    /// Why, in the words of whoever decided.
    pub comment: Option<String>,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed, UTC; kept by the trigger set_updated_at.
    pub updated_at: DateTime<Utc>,
}

/// A new [`Approval`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = approvals, check_for_backend(Pg))]
#[expect(missing_docs, reason = "Approval says what the columns are")]
pub struct NewApproval {
    pub id: Option<Uuid>,
    pub recommendation_id: Uuid,
    pub approved_by: String,
    pub status: Option<ApprovalStatus>,
    pub comment: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
}

/// Changes to a [`Approval`]: `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(Debug, Clone, Default, PartialEq, AsChangeset)]
#[diesel(table_name = approvals, check_for_backend(Pg))]
#[expect(missing_docs, reason = "Approval says what the columns are")]
pub struct ApprovalChanges {
    pub approved_by: Option<String>,
    pub status: Option<ApprovalStatus>,
    pub comment: Option<Option<String>>,
}

/// One row of `optimizations`. Executions of recommendations and what they achieved.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = optimizations, check_for_backend(Pg))]
#[diesel(belongs_to(Recommendation, foreign_key = recommendation_id))]
#[diesel(belongs_to(Customer, foreign_key = customer_id))]
#[diesel(belongs_to(Agent, foreign_key = agent_id))]
pub struct Optimization {
    /// Primary key.
    pub id: Uuid,
    /// Recommendation that is carried out.
    pub recommendation_id: Uuid,
    /// Customer on whose infrastructure it runs.
    pub customer_id: Uuid,
    /// Agent that carries it out.
    pub agent_id: Uuid,
    /// Where the execution stands.
    pub status: OptimizationStatus,
    /// Percent done, from 0 to 100.
    pub progress: i32,
    /// What the execution reported at its end.
    pub result: Option<Value>,
    /// Why it failed, when it failed.
    pub error: Option<String>,
    /// Measured saving per month in US dollars.
    pub actual_savings: Option<BigDecimal>,
    /// Measured improvement as a factor.
    pub actual_improvement: Option<BigDecimal>,
    /// When it began, UTC.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended, UTC.
    pub completed_at: Option<DateTime<Utc>>,
    /// When it was undone, UTC.
    pub rolled_back_at: Option<DateTime<Utc>>,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
}

/// A new [`Optimization`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = optimizations, check_for_backend(Pg))]
#[expect(missing_docs, reason = "Optimization says what the columns are")]
pub struct NewOptimization {
    pub id: Option<Uuid>,
    pub recommendation_id: Uuid,
    pub customer_id: Uuid,
    pub agent_id: Uuid,
    pub status: Option<OptimizationStatus>,
    pub progress: Option<i32>,
    pub result: Option<Value>,
    pub error: Option<String>,
    pub actual_savings: Option<BigDecimal>,
    pub actual_improvement: Option<BigDecimal>,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
    pub rolled_back_at: Option<DateTime<Utc>>,
    pub created_at: Option<DateTime<Utc>>,
}

/// Changes to a [`Optimization`]: `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(Debug, Clone, Default, PartialEq, AsChangeset)]
#[diesel(table_name = optimizations, check_for_backend(Pg))]
#[expect(missing_docs, reason = "Optimization says what the columns are")]
pub struct OptimizationChanges {
    pub status: Option<OptimizationStatus>,
    pub progress: Option<i32>,
    pub result: Option<Option<Value>>,
    pub error: Option<Option<String>>,
    pub actual_savings: Option<Option<BigDecimal>>,
    pub actual_improvement: Option<Option<BigDecimal>>,
    pub started_at: Option<Option<DateTime<Utc>>>,
    pub completed_at: Option<Option<DateTime<Utc>>>,
    pub rolled_back_at: Option<Option<DateTime<Utc>>>,
}

relations! {
    Event.customer_id of events => Customer as customer;
    Event.agent_id of events => Agent as agent, nullable;
    Recommendation.customer_id of recommendations => Customer as customer;
    Recommendation.agent_id of recommendations => Agent as agent;
    Approval.recommendation_id of approvals => Recommendation as recommendation;
    Optimization.recommendation_id of optimizations => Recommendation as recommendation;
    Optimization.customer_id of optimizations => Customer as customer;
    Optimization.agent_id of optimizations => Agent as agent;
}

/// The secret with which a customer calls the platform.
///
/// It never shows itself: `Debug` prints stars and serialising a [`Customer`] leaves it out. Whoever needs the
/// text says so with [`ApiKey::expose`].
#[derive(Clone, PartialEq, Eq, AsExpression, FromSqlRow, Deserialize)]
#[diesel(sql_type = Text)]
#[serde(transparent)]
pub struct ApiKey(String);

impl ApiKey {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for ApiKey {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for ApiKey {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

impl ToSql<Text, Pg> for ApiKey {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <String as ToSql<Text, Pg>>::to_sql(&self.0, out)
    }
}

impl FromSql<Text, Pg> for ApiKey {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        <String as FromSql<Text, Pg>>::from_sql(bytes).map(Self)
    }
}
