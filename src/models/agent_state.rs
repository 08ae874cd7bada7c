//! The agent_state layer: settings, state, capabilities and metrics of the agents.
//!
//! `agent_states.current_workflow_id` refers to the workflow_history layer, whose migration adds it.

use bon::Builder;
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::upsert::excluded;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::enums::{AgentStatusDetail, ConfigType, MetricType};
use crate::id::AgentId;
use crate::models::{Agent, WorkflowExecution};
use crate::schema::{agent_capabilities, agent_configs, agent_metrics, agent_states};

/// One row of `agent_configs`. Settings of an agent, one row a key.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = agent_configs, check_for_backend(Pg))]
#[diesel(belongs_to(Agent, foreign_key = agent_id))]
pub struct AgentConfig {
    /// Primary key.
    pub id: Uuid,
    /// Agent that the setting belongs to.
    pub agent_id: Uuid,
    /// Name of the setting, unique within the agent.
    pub config_key: String,
    /// Value as text; config_type says how to read it.
    pub config_value: String,
    /// How to read the value.
    pub config_type: ConfigType,
    /// What the setting does.
    pub description: Option<String>,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed, UTC; kept by the trigger set_updated_at.
    pub updated_at: DateTime<Utc>,
}

/// A new [`AgentConfig`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = agent_configs, check_for_backend(Pg))]
#[expect(missing_docs, reason = "AgentConfig says what the columns are")]
pub struct NewAgentConfig {
    pub id: Option<Uuid>,
    pub agent_id: Uuid,
    pub config_key: String,
    pub config_value: String,
    pub config_type: Option<ConfigType>,
    pub description: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
}

/// Changes to a [`AgentConfig`]: `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(Debug, Clone, Default, PartialEq, AsChangeset)]
#[diesel(table_name = agent_configs, check_for_backend(Pg))]
#[expect(missing_docs, reason = "AgentConfig says what the columns are")]
pub struct AgentConfigChanges {
    pub config_key: Option<String>,
    pub config_value: Option<String>,
    pub config_type: Option<ConfigType>,
    pub description: Option<Option<String>>,
}

/// One row of `agent_states`. What each agent is doing now; at most one row an agent.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = agent_states, check_for_backend(Pg))]
#[diesel(belongs_to(Agent, foreign_key = agent_id))]
#[diesel(belongs_to(WorkflowExecution, foreign_key = current_workflow_id))]
pub struct AgentState {
    /// Primary key.
    pub id: Uuid,
    /// Agent whose state this is; unique.
    pub agent_id: Uuid,
    /// What the agent is doing.
    pub current_status: AgentStatusDetail,
    /// JSON array of the names of workflows in hand.
    pub active_workflows: Value,
    /// JSON object of the resources that the agent holds.
    pub locks: Value,
    /// When the agent last did something, UTC.
    pub last_activity: DateTime<Utc>,
    /// What the agent process itself uses: cpu in percent, memory in MB.
    pub resource_usage: Option<Value>,
    /// Free-form facts.
    pub metadata: Option<Value>,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed, UTC; kept by the trigger set_updated_at.
    pub updated_at: DateTime<Utc>,
    /// Workflow in hand; added by the workflow_history layer, the one reference to a later layer.
    pub current_workflow_id: Option<Uuid>,
}

/// A new [`AgentState`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = agent_states, check_for_backend(Pg))]
#[expect(missing_docs, reason = "AgentState says what the columns are")]
pub struct NewAgentState {
    pub id: Option<Uuid>,
    pub agent_id: Uuid,
    pub current_status: Option<AgentStatusDetail>,
    pub active_workflows: Option<Value>,
    pub locks: Option<Value>,
    pub last_activity: Option<DateTime<Utc>>,
    pub resource_usage: Option<Value>,
    pub metadata: Option<Value>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
    pub current_workflow_id: Option<Uuid>,
}

/// Changes to a [`AgentState`]: `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(Debug, Clone, Default, PartialEq, AsChangeset)]
#[diesel(table_name = agent_states, check_for_backend(Pg))]
#[expect(missing_docs, reason = "AgentState says what the columns are")]
pub struct AgentStateChanges {
    pub current_status: Option<AgentStatusDetail>,
    pub active_workflows: Option<Value>,
    pub locks: Option<Value>,
    pub last_activity: Option<DateTime<Utc>>,
    pub resource_usage: Option<Option<Value>>,
    pub metadata: Option<Option<Value>>,
    pub current_workflow_id: Option<Option<Uuid>>,
}

/// One row of `agent_capabilities`. What an agent can do, with a switch for each capability.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = agent_capabilities, check_for_backend(Pg))]
#[diesel(belongs_to(Agent, foreign_key = agent_id))]
pub struct AgentCapability {
    /// Primary key.
    pub id: Uuid,
    /// Agent that has the capability.
    pub agent_id: Uuid,
    /// Name of the capability, unique within the agent.
    pub capability_name: String,
    /// Semantic version of the capability.
    pub capability_version: String,
    /// Whether the agent may use it.
    pub enabled: bool,
    /// Settings of the capability.
    pub config: Option<Value>,
    /// What the capability does.
    pub description: Option<String>,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed, UTC; kept by the trigger set_updated_at.
    pub updated_at: DateTime<Utc>,
}

/// A new [`AgentCapability`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = agent_capabilities, check_for_backend(Pg))]
#[expect(missing_docs, reason = "AgentCapability says what the columns are")]
pub struct NewAgentCapability {
    pub id: Option<Uuid>,
    pub agent_id: Uuid,
    pub capability_name: String,
    pub capability_version: Option<String>,
    pub enabled: Option<bool>,
    pub config: Option<Value>,
    pub description: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
}

/// Changes to a [`AgentCapability`]: `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(Debug, Clone, Default, PartialEq, AsChangeset)]
#[diesel(table_name = agent_capabilities, check_for_backend(Pg))]
#[expect(missing_docs, reason = "AgentCapability says what the columns are")]
pub struct AgentCapabilityChanges {
    pub capability_name: Option<String>,
    pub capability_version: Option<String>,
    pub enabled: Option<bool>,
    pub config: Option<Option<Value>>,
    pub description: Option<Option<String>>,
}

/// One row of `agent_metrics`. Samples that agents take of their own work.
///
/// A hot table: no foreign key may point at it.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = agent_metrics, check_for_backend(Pg))]
#[diesel(belongs_to(Agent, foreign_key = agent_id))]
pub struct AgentMetric {
    /// Primary key.
    pub id: Uuid,
    /// Agent that took the sample.
    pub agent_id: Uuid,
    /// Name of the metric; its suffix names the unit, such as _percent or _usd.
    pub metric_name: String,
    /// The sample.
    pub metric_value: f64,
    /// How the samples behave over time.
    pub metric_type: MetricType,
    /// Labels of the sample.
    pub tags: Option<Value>,
    /// When the sample was taken, UTC.
    pub recorded_at: DateTime<Utc>,
}

/// A new [`AgentMetric`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = agent_metrics, check_for_backend(Pg))]
#[expect(missing_docs, reason = "AgentMetric says what the columns are")]
pub struct NewAgentMetric {
    pub id: Option<Uuid>,
    pub agent_id: Uuid,
    pub metric_name: String,
    pub metric_value: f64,
    pub metric_type: Option<MetricType>,
    pub tags: Option<Value>,
    pub recorded_at: Option<DateTime<Utc>>,
}

relations! {
    AgentConfig.agent_id of agent_configs => Agent as agent;
    AgentState.agent_id of agent_states => Agent as agent;
    AgentState.current_workflow_id of agent_states => WorkflowExecution as current_workflow, nullable;
    AgentCapability.agent_id of agent_capabilities => Agent as agent;
    AgentMetric.agent_id of agent_metrics => Agent as agent;
}

impl Agent {
    /// The workflow that the agent has in hand; `None` when it has none, or no state. (0.2b)
    ///
    /// # Errors
    ///
    /// Fails when the query does.
    pub fn current_workflow(&self, conn: &mut PgConnection) -> QueryResult<Option<WorkflowExecution>> {
        WorkflowExecution::query()
            .inner_join(agent_states::table)
            .filter(agent_states::agent_id.eq(self.id))
            .first(conn)
            .optional()
    }
}

impl AgentConfig {
    /// Sets a key of an agent: inserts it, or replaces value and type where the key exists. (0.2b)
    ///
    /// A type that is left out is `string`, on a key that exists as well. A description that is left out keeps the
    /// old one. Setting what is there already changes nothing, `updated_at` included.
    ///
    /// # Errors
    ///
    /// Fails when the query does, for instance because the agent does not exist.
    pub fn set(conn: &mut PgConnection, config: &NewAgentConfig) -> QueryResult<Self> {
        diesel::insert_into(agent_configs::table)
            .values(config)
            .on_conflict((agent_configs::agent_id, agent_configs::config_key))
            .do_update()
            .set((
                agent_configs::config_value.eq(excluded(agent_configs::config_value)),
                agent_configs::config_type.eq(excluded(agent_configs::config_type)),
                config.description.as_ref().map(|text| agent_configs::description.eq(text)),
            ))
            .returning(Self::as_returning())
            .get_result(conn)
    }
}

impl AgentState {
    /// Writes the state of an agent: inserts it, or changes the row that the agent has, for there is one state per
    /// agent. (0.2b)
    ///
    /// On a row that exists, what is left out keeps its value; only `last_activity` becomes now. To set a column to
    /// null use [`AgentStateChanges`].
    ///
    /// # Errors
    ///
    /// Fails when the query does, for instance because the agent does not exist.
    pub fn put(conn: &mut PgConnection, state: &NewAgentState) -> QueryResult<Self> {
        let changes = AgentStateChanges {
            current_status: state.current_status,
            active_workflows: state.active_workflows.clone(),
            locks: state.locks.clone(),
            // Taken from the row that was to be inserted: there the server has filled in its own clock.
            last_activity: None,
            resource_usage: state.resource_usage.clone().map(Some),
            metadata: state.metadata.clone().map(Some),
            current_workflow_id: state.current_workflow_id.map(Some),
        };
        diesel::insert_into(agent_states::table)
            .values(state)
            .on_conflict(agent_states::agent_id)
            .do_update()
            .set((&changes, agent_states::last_activity.eq(excluded(agent_states::last_activity))))
            .returning(Self::as_returning())
            .get_result(conn)
    }
}

impl AgentCapability {
    /// Switches a capability of an agent on or off. (0.2b)
    ///
    /// # Errors
    ///
    /// Fails when the query does, and with `NotFound` when the agent has no such capability.
    pub fn set_enabled(conn: &mut PgConnection, agent: AgentId, name: &str, enabled: bool) -> QueryResult<Self> {
        let capability = agent_capabilities::table
            .filter(agent_capabilities::agent_id.eq(agent))
            .filter(agent_capabilities::capability_name.eq(name));
        diesel::update(capability)
            .set(agent_capabilities::enabled.eq(enabled))
            .returning(Self::as_returning())
            .get_result(conn)
    }
}
