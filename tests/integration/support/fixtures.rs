//! The least rows that a test can start from, and what the server says when it refuses one.

use chrono::{DateTime, Duration, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use optiinfra_db::enums::{
    AgentType, ArtifactType, BaselineType, RegressionAction, RegressionSeverity, RegressionType, ResourceType,
    ScalingEventType, StepStatus, WorkflowStatus, WorkflowType,
};
use optiinfra_db::models::{
    Agent, AgentCapability, AgentConfig, AgentMetric, AgentState, Approval, Customer, Event, NewAgent,
    NewAgentCapability, NewAgentConfig, NewAgentMetric, NewAgentState, NewApproval, NewCustomer, NewEvent,
    NewOptimization, NewQualityBaseline, NewQualityMetric, NewQualityMetricHour, NewQualityRegression,
    NewRecommendation, NewResourceMetric, NewResourceMetricHour, NewScalingEvent, NewWorkflowArtifact,
    NewWorkflowExecution, NewWorkflowStep, Optimization, QualityBaseline, QualityMetric, QualityMetricHour,
    QualityRegression, Recommendation, ResourceMetric, ResourceMetricHour, ScalingEvent, WorkflowArtifact,
    WorkflowExecution, WorkflowStep,
};
use serde_json::json;
use uuid::Uuid;

use super::TestDb;
use super::rows::Insert as _;

/// A time of the past, so many minutes after a fixed one; to the microsecond, as the server stores it.
pub fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_760_961_600_123_456).expect("a time") + Duration::minutes(minute)
}

/// A text that no other row has.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", Uuid::new_v4().simple())
}

/// A customer with a name, address and key of its own.
pub fn customer(conn: &mut PgConnection) -> Customer {
    let unique = Uuid::new_v4().simple().to_string();
    NewCustomer::builder()
        .name("Fixture Ltd")
        .email(format!("{unique}@example.com"))
        .api_key(format!("key_{unique}"))
        .build()
        .insert(conn)
}

/// An agent of a kind with a name of its own.
pub fn agent(conn: &mut PgConnection, kind: AgentType) -> Agent {
    NewAgent::builder().type_(kind).name(unique(kind.as_str())).build().insert(conn)
}

/// A migrated database, a connection to it, and what nearly every row hangs on.
pub fn ground(kind: AgentType) -> (TestDb, PgConnection, Agent, Customer) {
    ground_of(TestDb::migrated(), kind)
}

/// The same in a database of the test's own choice.
pub fn ground_of(db: TestDb, kind: AgentType) -> (TestDb, PgConnection, Agent, Customer) {
    let mut conn = db.conn();
    let agent = agent(&mut conn, kind);
    let customer = customer(&mut conn);
    (db, conn, agent, customer)
}

pub fn new_event(customer: &Customer) -> NewEvent {
    NewEvent::builder().customer_id(customer.id).event_type("agent_registered").build()
}

pub fn new_recommendation(agent: &Agent, customer: &Customer) -> NewRecommendation {
    NewRecommendation::builder()
        .customer_id(customer.id)
        .agent_id(agent.id)
        .type_("right_sizing")
        .title("Use smaller instances")
        .build()
}

pub fn new_approval(recommendation: &Recommendation) -> NewApproval {
    NewApproval::builder().recommendation_id(recommendation.id).approved_by("owner@example.com").build()
}

/// An execution of a recommendation by the agent that made it.
pub fn new_optimization(recommendation: &Recommendation) -> NewOptimization {
    NewOptimization::builder()
        .recommendation_id(recommendation.id)
        .customer_id(recommendation.customer_id)
        .agent_id(recommendation.agent_id)
        .build()
}

pub fn new_config(agent: &Agent, key: &str, value: &str) -> NewAgentConfig {
    NewAgentConfig::builder().agent_id(agent.id).config_key(key).config_value(value).build()
}

pub fn new_state(agent: &Agent) -> NewAgentState {
    NewAgentState::builder().agent_id(agent.id).build()
}

pub fn new_capability(agent: &Agent, name: &str) -> NewAgentCapability {
    NewAgentCapability::builder().agent_id(agent.id).capability_name(name).build()
}

pub fn new_agent_metric(agent: &Agent, name: &str, value: f64) -> NewAgentMetric {
    NewAgentMetric::builder().agent_id(agent.id).metric_name(name).metric_value(value).build()
}

pub fn new_workflow(agent: &Agent, customer: &Customer) -> NewWorkflowExecution {
    NewWorkflowExecution::builder()
        .agent_id(agent.id)
        .customer_id(customer.id)
        .workflow_type(WorkflowType::HealthCheck)
        .status(WorkflowStatus::Pending)
        .build()
}

pub fn new_step(workflow: &WorkflowExecution, order: i32) -> NewWorkflowStep {
    NewWorkflowStep::builder()
        .workflow_execution_id(workflow.id)
        .step_name(format!("step {order}"))
        .step_order(order)
        .status(StepStatus::Pending)
        .build()
}

pub fn new_artifact(workflow: &WorkflowExecution) -> NewWorkflowArtifact {
    NewWorkflowArtifact::builder()
        .workflow_execution_id(workflow.id)
        .artifact_type(ArtifactType::Report)
        .artifact_name("Report")
        .artifact_path("/artifacts/report.pdf")
        .build()
}

/// A sample of the utilisation of the GPU of `i-test`, taken so many minutes after the fixed time.
pub fn new_resource_metric(agent: &Agent, customer: &Customer, percent: f64, minute: i64) -> NewResourceMetric {
    NewResourceMetric::builder()
        .agent_id(agent.id)
        .customer_id(customer.id)
        .instance_id("i-test")
        .resource_type(ResourceType::Gpu)
        .metric_name("utilization")
        .metric_value(percent)
        .unit("percent")
        .timestamp(at(minute))
        .build()
}

/// The samples of an hour, in one row.
pub fn new_resource_metric_hour(customer: &Customer) -> NewResourceMetricHour {
    NewResourceMetricHour::builder()
        .customer_id(customer.id)
        .instance_id("i-test")
        .resource_type(ResourceType::Gpu)
        .metric_name("utilization")
        .unit("percent")
        .hour(at(-60))
        .sample_count(60)
        .min_value(12.5)
        .avg_value(50.25)
        .max_value(99.5)
        .p95_value(98.0)
        .last_value(75.5)
        .last_at(at(-1))
        .build()
}

/// The scores of an hour, in one row.
pub fn new_quality_metric_hour(customer: &Customer) -> NewQualityMetricHour {
    NewQualityMetricHour::builder()
        .customer_id(customer.id)
        .model_name("model-a")
        .model_version("1.0")
        .hour(at(-60))
        .sample_count(60)
        .min_value(0.5)
        .avg_value(0.75)
        .max_value(1.0)
        .p95_value(0.98)
        .last_value(0.8)
        .last_at(at(-1))
        .build()
}

pub fn new_scaling_event(agent: &Agent, customer: &Customer) -> NewScalingEvent {
    NewScalingEvent::builder()
        .agent_id(agent.id)
        .customer_id(customer.id)
        .event_type(ScalingEventType::ScaleUp)
        .trigger_reason("GPU utilisation above 85 %")
        .before_state(json!({"instance_count": 2}))
        .after_state(json!({"instance_count": 4}))
        .executed_at(at(0))
        .build()
}

/// An answer of `model-a`, given so many minutes after the fixed time.
pub fn new_quality_metric(agent: &Agent, customer: &Customer, overall: f64, minute: i64) -> NewQualityMetric {
    NewQualityMetric::builder()
        .agent_id(agent.id)
        .customer_id(customer.id)
        .request_id(unique("request"))
        .model_name("model-a")
        .model_version("1.0")
        .overall_quality_score(overall)
        .timestamp(at(minute))
        .build()
}

pub fn new_baseline(agent: &Agent, customer: &Customer) -> NewQualityBaseline {
    NewQualityBaseline::builder()
        .agent_id(agent.id)
        .customer_id(customer.id)
        .model_name("model-a")
        .model_version("1.0")
        .baseline_type(BaselineType::Initial)
        .sample_size(100)
        .avg_overall_score(0.87)
        .established_at(at(0))
        .build()
}

/// A fall of the overall quality against a baseline, detected by the agent that established it.
pub fn new_regression(baseline: &QualityBaseline) -> NewQualityRegression {
    NewQualityRegression::builder()
        .agent_id(baseline.agent_id)
        .customer_id(baseline.customer_id)
        .baseline_id(baseline.id)
        .regression_type(RegressionType::QualityDrop)
        .severity(RegressionSeverity::High)
        .detected_at(at(60))
        .metric_name("overall_quality_score")
        .baseline_value(0.87)
        .current_value(0.75)
        .delta_percent(-13.8)
        .sample_size(50)
        .action_taken(RegressionAction::AlertOnly)
        .build()
}

/// A migrated database, a connection to it, and one row of every table.
pub fn family() -> (TestDb, PgConnection, Family) {
    let db = TestDb::migrated();
    let mut conn = db.conn();
    let family = Family::new(&mut conn);
    (db, conn, family)
}

/// One row of every table, each with no more than it needs, except that every reference is set.
pub struct Family {
    pub customer: Customer,
    pub agent: Agent,
    pub event: Event,
    pub recommendation: Recommendation,
    pub approval: Approval,
    pub optimization: Optimization,
    pub config: AgentConfig,
    pub state: AgentState,
    pub capability: AgentCapability,
    pub agent_metric: AgentMetric,
    pub workflow: WorkflowExecution,
    pub step: WorkflowStep,
    pub artifact: WorkflowArtifact,
    pub resource_metric: ResourceMetric,
    pub resource_metric_hour: ResourceMetricHour,
    pub scaling_event: ScalingEvent,
    pub quality_metric: QualityMetric,
    pub quality_metric_hour: QualityMetricHour,
    pub baseline: QualityBaseline,
    pub regression: QualityRegression,
}

impl Family {
    pub fn new(conn: &mut PgConnection) -> Self {
        let customer = customer(conn);
        let agent = agent(conn, AgentType::Orchestrator);
        let recommendation = new_recommendation(&agent, &customer).insert(conn);
        let workflow = new_workflow(&agent, &customer).insert(conn);
        let step = new_step(&workflow, 1).insert(conn);
        let baseline = new_baseline(&agent, &customer).insert(conn);
        let workflow_execution_id = Some(workflow.id);
        Self {
            event: NewEvent { agent_id: Some(agent.id), ..new_event(&customer) }.insert(conn),
            approval: new_approval(&recommendation).insert(conn),
            optimization: new_optimization(&recommendation).insert(conn),
            config: new_config(&agent, "mode", "safe").insert(conn),
            state: NewAgentState { current_workflow_id: workflow_execution_id, ..new_state(&agent) }.insert(conn),
            capability: new_capability(&agent, "routing").insert(conn),
            agent_metric: new_agent_metric(&agent, "cpu_percent", 12.5).insert(conn),
            artifact: NewWorkflowArtifact { workflow_step_id: Some(step.id), ..new_artifact(&workflow) }.insert(conn),
            resource_metric: new_resource_metric(&agent, &customer, 75.5, 0).insert(conn),
            resource_metric_hour: new_resource_metric_hour(&customer).insert(conn),
            scaling_event: NewScalingEvent { workflow_execution_id, ..new_scaling_event(&agent, &customer) }
                .insert(conn),
            quality_metric: new_quality_metric(&agent, &customer, 0.88, 0).insert(conn),
            quality_metric_hour: new_quality_metric_hour(&customer).insert(conn),
            regression: NewQualityRegression { workflow_execution_id, ..new_regression(&baseline) }.insert(conn),
            customer,
            agent,
            recommendation,
            workflow,
            step,
            baseline,
        }
    }
}

/// Asserts that the server refused, and by which constraint (or column, for a missing value).
#[track_caller]
pub fn assert_refused<T: std::fmt::Debug>(result: QueryResult<T>, kind: DatabaseErrorKind, by: &str) {
    match result {
        Err(Error::DatabaseError(found, info)) => {
            assert_eq!(format!("{found:?}"), format!("{kind:?}"), "{}", info.message());
            let named = info.constraint_name().or(info.column_name()).unwrap_or_default();
            assert_eq!(named, by, "{}", info.message());
        }
        other => panic!("expected {kind:?} by {by}, got {other:?}"),
    }
}

/// Asserts that the server refused, and in which words, where no constraint has a name to go by.
#[track_caller]
pub fn assert_refused_saying<T: std::fmt::Debug>(result: QueryResult<T>, words: &str) {
    match result {
        Err(Error::DatabaseError(_, info)) => assert!(info.message().contains(words), "{}", info.message()),
        other => panic!("expected '{words}', got {other:?}"),
    }
}
