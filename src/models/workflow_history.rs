//! The workflow_history layer: workflow runs, their steps and artifacts.
//!
//! Its migration adds `agent_states.current_workflow_id`, so a run knows the agents that are at it.

use bon::Builder;
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::enums::{ArtifactType, StepStatus, WorkflowStatus, WorkflowType};
use crate::models::{Agent, Customer, Rows};
use crate::schema::{workflow_artifacts, workflow_executions, workflow_steps};

/// One row of `workflow_executions`. Runs of workflows by agents for customers.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = workflow_executions, check_for_backend(Pg))]
#[diesel(belongs_to(Agent, foreign_key = agent_id))]
#[diesel(belongs_to(Customer, foreign_key = customer_id))]
pub struct WorkflowExecution {
    /// Primary key.
    pub id: Uuid,
    /// Agent that runs the workflow.
    pub agent_id: Uuid,
    /// Customer for whom it runs.
    pub customer_id: Uuid,
    /// What the workflow is for.
    pub workflow_type: WorkflowType,
    /// Where the run stands.
    pub status: WorkflowStatus,
    /// When it began, UTC.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended, well or badly, UTC.
    pub completed_at: Option<DateTime<Utc>>,
    /// What the run was given.
    pub input_data: Value,
    /// What the run produced.
    pub output_data: Value,
    /// Why it failed, when it failed.
    pub error_details: Option<Value>,
    /// Free-form facts: priority, trigger and the like.
    pub metadata: Value,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed, UTC; kept by the trigger set_updated_at.
    pub updated_at: DateTime<Utc>,
}

/// A new [`WorkflowExecution`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = workflow_executions, check_for_backend(Pg))]
#[expect(missing_docs, reason = "WorkflowExecution says what the columns are")]
pub struct NewWorkflowExecution {
    pub id: Option<Uuid>,
    pub agent_id: Uuid,
    pub customer_id: Uuid,
    pub workflow_type: WorkflowType,
    pub status: WorkflowStatus,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
    pub input_data: Option<Value>,
    pub output_data: Option<Value>,
    pub error_details: Option<Value>,
    pub metadata: Option<Value>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
}

/// Changes to a [`WorkflowExecution`]: `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(Debug, Clone, Default, PartialEq, AsChangeset)]
#[diesel(table_name = workflow_executions, check_for_backend(Pg))]
#[expect(missing_docs, reason = "WorkflowExecution says what the columns are")]
pub struct WorkflowExecutionChanges {
    pub workflow_type: Option<WorkflowType>,
    pub status: Option<WorkflowStatus>,
    pub started_at: Option<Option<DateTime<Utc>>>,
    pub completed_at: Option<Option<DateTime<Utc>>>,
    pub input_data: Option<Value>,
    pub output_data: Option<Value>,
    pub error_details: Option<Option<Value>>,
    pub metadata: Option<Value>,
}

/// One row of `workflow_steps`. Steps of a workflow run, in order.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = workflow_steps, check_for_backend(Pg))]
#[diesel(belongs_to(WorkflowExecution, foreign_key = workflow_execution_id))]
pub struct WorkflowStep {
    /// Primary key.
    pub id: Uuid,
    /// Run that the step belongs to.
    pub workflow_execution_id: Uuid,
    /// Name of the step.
    pub step_name: String,
    /// Place of the step in its run, counted from 1.
    pub step_order: i32,
    /// Where the step stands.
    pub status: StepStatus,
    /// When it began, UTC.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended, UTC.
    pub completed_at: Option<DateTime<Utc>>,
    /// What the step was given.
    pub input_data: Value,
    /// What the step produced.
    pub output_data: Value,
    /// Why it failed, when it failed.
    pub error_details: Option<Value>,
    /// How often the step has been retried.
    pub retry_count: i32,
    /// How often the step may be retried.
    pub max_retries: i32,
    /// Free-form facts.
    pub metadata: Value,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed, UTC; kept by the trigger set_updated_at.
    pub updated_at: DateTime<Utc>,
}

/// A new [`WorkflowStep`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = workflow_steps, check_for_backend(Pg))]
#[expect(missing_docs, reason = "WorkflowStep says what the columns are")]
pub struct NewWorkflowStep {
    pub id: Option<Uuid>,
    pub workflow_execution_id: Uuid,
    pub step_name: String,
    pub step_order: i32,
    pub status: StepStatus,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
    pub input_data: Option<Value>,
    pub output_data: Option<Value>,
    pub error_details: Option<Value>,
    pub retry_count: Option<i32>,
    pub max_retries: Option<i32>,
    pub metadata: Option<Value>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
}

/// Changes to a [`WorkflowStep`]: `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(Debug, Clone, Default, PartialEq, AsChangeset)]
#[diesel(table_name = workflow_steps, check_for_backend(Pg))]
#[expect(missing_docs, reason = "WorkflowStep says what the columns are")]
pub struct WorkflowStepChanges {
    pub step_name: Option<String>,
    pub step_order: Option<i32>,
    pub status: Option<StepStatus>,
    pub started_at: Option<Option<DateTime<Utc>>>,
    pub completed_at: Option<Option<DateTime<Utc>>>,
    pub input_data: Option<Value>,
    pub output_data: Option<Value>,
    pub error_details: Option<Option<Value>>,
    pub retry_count: Option<i32>,
    pub max_retries: Option<i32>,
    pub metadata: Option<Value>,
}

/// One row of `workflow_artifacts`. Files that a workflow run produced; the rows hold where they are, not what is in
/// them.
#[derive(Debug, Clone, PartialEq, HasQuery, Identifiable, Associations, Serialize, Deserialize)]
#[diesel(table_name = workflow_artifacts, check_for_backend(Pg))]
#[diesel(belongs_to(WorkflowExecution, foreign_key = workflow_execution_id))]
#[diesel(belongs_to(WorkflowStep, foreign_key = workflow_step_id))]
pub struct WorkflowArtifact {
    /// Primary key.
    pub id: Uuid,
    /// Run that produced the file.
    pub workflow_execution_id: Uuid,
    /// Step that produced the file; null when it belongs to the run as a whole.
    pub workflow_step_id: Option<Uuid>,
    /// What kind of file it is.
    pub artifact_type: ArtifactType,
    /// Name for a person to read.
    pub artifact_name: String,
    /// Where the file is, as a URL or path.
    pub artifact_path: String,
    /// Size of the file in bytes.
    pub artifact_size_bytes: Option<i64>,
    /// Media type of the file.
    pub content_type: Option<String>,
    /// Free-form facts.
    pub metadata: Value,
    /// When the row was written, UTC.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed, UTC; kept by the trigger set_updated_at.
    pub updated_at: DateTime<Utc>,
}

/// A new [`WorkflowArtifact`] to insert. What is left out takes the default of its column.
#[derive(Debug, Clone, PartialEq, Insertable, Builder, Deserialize)]
#[builder(on(String, into))]
#[diesel(table_name = workflow_artifacts, check_for_backend(Pg))]
#[expect(missing_docs, reason = "WorkflowArtifact says what the columns are")]
pub struct NewWorkflowArtifact {
    pub id: Option<Uuid>,
    pub workflow_execution_id: Uuid,
    pub workflow_step_id: Option<Uuid>,
    pub artifact_type: ArtifactType,
    pub artifact_name: String,
    pub artifact_path: String,
    pub artifact_size_bytes: Option<i64>,
    pub content_type: Option<String>,
    pub metadata: Option<Value>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
}

/// Changes to a [`WorkflowArtifact`]: `None` leaves a column as it is, `Some(None)` sets it to null.
#[derive(Debug, Clone, Default, PartialEq, AsChangeset)]
#[diesel(table_name = workflow_artifacts, check_for_backend(Pg))]
#[expect(missing_docs, reason = "WorkflowArtifact says what the columns are")]
pub struct WorkflowArtifactChanges {
    pub artifact_type: Option<ArtifactType>,
    pub artifact_name: Option<String>,
    pub artifact_path: Option<String>,
    pub artifact_size_bytes: Option<Option<i64>>,
    pub content_type: Option<Option<String>>,
    pub metadata: Option<Value>,
}

relations! {
    WorkflowExecution.agent_id of workflow_executions => Agent as agent;
    WorkflowExecution.customer_id of workflow_executions => Customer as customer;
    WorkflowStep.workflow_execution_id of workflow_steps => WorkflowExecution as workflow_execution;
    WorkflowArtifact.workflow_execution_id of workflow_artifacts => WorkflowExecution as workflow_execution;
    WorkflowArtifact.workflow_step_id of workflow_artifacts => WorkflowStep as workflow_step, nullable;
}

impl WorkflowExecution {
    /// The steps of the run in their order. (0.2c)
    ///
    /// Nothing keeps two steps from having the same place; of such the id decides, so the order is always the same.
    pub fn steps_in_order(&self) -> Rows<workflow_steps::table, WorkflowStep> {
        self.workflow_steps().order((workflow_steps::step_order.asc(), workflow_steps::id.asc()))
    }
}

impl WorkflowStep {
    /// Whether the step may be tried again: it is neither completed nor skipped, and has retries left. (0.2c)
    pub const fn can_retry(&self) -> bool {
        self.retry_count < self.max_retries && !matches!(self.status, StepStatus::Completed | StepStatus::Skipped)
    }

    /// Counts one more try and marks the step `retrying`; `None` when it may not be tried again, as
    /// [`can_retry`](Self::can_retry) has it, or is gone. (0.2c)
    ///
    /// The server decides and counts in one statement, so two workers cannot take the same try.
    ///
    /// # Errors
    ///
    /// Fails when the query does.
    pub fn retry(&self, conn: &mut PgConnection) -> QueryResult<Option<Self>> {
        let retryable = workflow_steps::table
            .find(self.id)
            .filter(workflow_steps::retry_count.lt(workflow_steps::max_retries))
            .filter(workflow_steps::status.ne_all([StepStatus::Completed, StepStatus::Skipped]));
        diesel::update(retryable)
            .set((
                workflow_steps::retry_count.eq(workflow_steps::retry_count + 1),
                workflow_steps::status.eq(StepStatus::Retrying),
            ))
            .returning(Self::as_returning())
            .get_result(conn)
            .optional()
    }
}
