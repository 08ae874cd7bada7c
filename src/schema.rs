// @generated automatically by Diesel CLI.

pub mod sql_types {
    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "agentstatus"))]
    pub struct Agentstatus;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "agentstatusdetail"))]
    pub struct Agentstatusdetail;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "agenttype"))]
    pub struct Agenttype;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "approvalstatus"))]
    pub struct Approvalstatus;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "artifact_type"))]
    pub struct ArtifactType;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "baseline_type"))]
    pub struct BaselineType;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "configtype"))]
    pub struct Configtype;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "customerplan"))]
    pub struct Customerplan;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "customerstatus"))]
    pub struct Customerstatus;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "eventseverity"))]
    pub struct Eventseverity;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "metrictype"))]
    pub struct Metrictype;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "optimizationstatus"))]
    pub struct Optimizationstatus;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "recommendationpriority"))]
    pub struct Recommendationpriority;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "recommendationstatus"))]
    pub struct Recommendationstatus;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "regression_action"))]
    pub struct RegressionAction;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "regression_severity"))]
    pub struct RegressionSeverity;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "regression_type"))]
    pub struct RegressionType;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "resource_type"))]
    pub struct ResourceType;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "scaling_event_type"))]
    pub struct ScalingEventType;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "step_status"))]
    pub struct StepStatus;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "workflow_status"))]
    pub struct WorkflowStatus;

    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "workflow_type"))]
    pub struct WorkflowType;
}

diesel::table! {
    /// What an agent can do, with a switch for each capability.
    agent_capabilities (id) {
        /// Primary key.
        id -> Uuid,
        /// Agent that has the capability.
        agent_id -> Uuid,
        /// Name of the capability, unique within the agent.
        #[max_length = 255]
        capability_name -> Varchar,
        /// Semantic version of the capability.
        #[max_length = 50]
        capability_version -> Varchar,
        /// Whether the agent may use it.
        enabled -> Bool,
        /// Settings of the capability.
        config -> Nullable<Jsonb>,
        /// What the capability does.
        description -> Nullable<Text>,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
        /// When the row was last changed, UTC; kept by the trigger set_updated_at.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Configtype;

    /// Settings of an agent, one row a key.
    agent_configs (id) {
        /// Primary key.
        id -> Uuid,
        /// Agent that the setting belongs to.
        agent_id -> Uuid,
        /// Name of the setting, unique within the agent.
        #[max_length = 255]
        config_key -> Varchar,
        /// Value as text; config_type says how to read it.
        config_value -> Text,
        /// How to read the value.
        config_type -> Configtype,
        /// What the setting does.
        description -> Nullable<Text>,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
        /// When the row was last changed, UTC; kept by the trigger set_updated_at.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Metrictype;

    /// Samples that agents take of their own work. A hot table: no foreign key may point at it.
    agent_metrics (id) {
        /// Primary key.
        id -> Uuid,
        /// Agent that took the sample.
        agent_id -> Uuid,
        /// Name of the metric; its suffix names the unit, such as _percent or _usd.
        #[max_length = 255]
        metric_name -> Varchar,
        /// The sample.
        metric_value -> Float8,
        /// How the samples behave over time.
        metric_type -> Metrictype,
        /// Labels of the sample.
        tags -> Nullable<Jsonb>,
        /// When the sample was taken, UTC.
        recorded_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Agentstatusdetail;

    /// What each agent is doing now; at most one row an agent.
    agent_states (id) {
        /// Primary key.
        id -> Uuid,
        /// Agent whose state this is; unique.
        agent_id -> Uuid,
        /// What the agent is doing.
        current_status -> Agentstatusdetail,
        /// JSON array of the names of workflows in hand.
        active_workflows -> Jsonb,
        /// JSON object of the resources that the agent holds.
        locks -> Jsonb,
        /// When the agent last did something, UTC.
        last_activity -> Timestamptz,
        /// What the agent process itself uses: cpu in percent, memory in MB.
        resource_usage -> Nullable<Jsonb>,
        /// Free-form facts.
        metadata -> Nullable<Jsonb>,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
        /// When the row was last changed, UTC; kept by the trigger set_updated_at.
        updated_at -> Timestamptz,
        /// Workflow in hand; added by the workflow_history layer, the one reference to a later layer.
        current_workflow_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Agenttype;
    use super::sql_types::Agentstatus;

    /// Registered instances of the five agents; unique by type and name.
    agents (id) {
        /// Primary key.
        id -> Uuid,
        /// Which of the five agents this is.
        #[sql_name = "type"]
        type_ -> Agenttype,
        /// Name of the instance, unique within its type.
        #[max_length = 255]
        name -> Varchar,
        /// Release of the agent that registered.
        #[max_length = 50]
        version -> Nullable<Varchar>,
        /// Health as last reported.
        status -> Agentstatus,
        /// Base URL at which the agent answers.
        #[max_length = 255]
        endpoint -> Nullable<Varchar>,
        /// JSON array of the capability names that the agent announced.
        capabilities -> Jsonb,
        /// Free-form facts about the instance: environment, region and the like.
        metadata -> Nullable<Jsonb>,
        /// When the agent last reported, UTC; null until the first report.
        last_heartbeat -> Nullable<Timestamptz>,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
        /// When the row was last changed, UTC; kept by the trigger set_updated_at.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Approvalstatus;

    /// Decisions of people on recommendations.
    approvals (id) {
        /// Primary key.
        id -> Uuid,
        /// Recommendation that was decided on.
        recommendation_id -> Uuid,
        /// Who decided: a user name or address.
        #[max_length = 255]
        approved_by -> Varchar,
        /// The decision.
        status -> Approvalstatus,
        /// Why, in the words of whoever decided.
        comment -> Nullable<Text>,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
        /// When the row was last changed, UTC; kept by the trigger set_updated_at.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Customerplan;
    use super::sql_types::Customerstatus;

    /// Organisations whose LLM infrastructure the platform watches; every other row of a customer hangs on this one.
    customers (id) {
        /// Primary key.
        id -> Uuid,
        /// Display name of the organisation.
        #[max_length = 255]
        name -> Varchar,
        /// Contact address; unique.
        #[max_length = 255]
        email -> Varchar,
        /// Secret with which the customer calls the platform; unique. Never show it.
        #[max_length = 64]
        api_key -> Varchar,
        /// Subscription plan.
        plan -> Customerplan,
        /// Standing of the account.
        status -> Customerstatus,
        /// Free-form facts about the customer: size, industry and the like.
        metadata -> Nullable<Jsonb>,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
        /// When the row was last changed, UTC; kept by the trigger set_updated_at.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Eventseverity;

    /// What happened on the platform, as an audit trail; outlives the agent that reported it.
    events (id) {
        /// Primary key.
        id -> Uuid,
        /// Customer whom the event concerns.
        customer_id -> Uuid,
        /// Agent that reported the event; null when that agent is gone or none was involved.
        agent_id -> Nullable<Uuid>,
        /// Free-form type, such as optimization_started.
        #[max_length = 100]
        event_type -> Varchar,
        /// How serious the event is.
        severity -> Eventseverity,
        /// Payload of the event.
        data -> Jsonb,
        /// When the event was recorded, UTC.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Optimizationstatus;

    /// Executions of recommendations and what they achieved.
    optimizations (id) {
        /// Primary key.
        id -> Uuid,
        /// Recommendation that is carried out.
        recommendation_id -> Uuid,
        /// Customer on whose infrastructure it runs.
        customer_id -> Uuid,
        /// Agent that carries it out.
        agent_id -> Uuid,
        /// Where the execution stands.
        status -> Optimizationstatus,
        /// Percent done, from 0 to 100.
        progress -> Int4,
        /// What the execution reported at its end.
        result -> Nullable<Jsonb>,
        /// Why it failed, when it failed.
        error -> Nullable<Text>,
        /// Measured saving per month in US dollars.
        actual_savings -> Nullable<Numeric>,
        /// Measured improvement as a factor.
        actual_improvement -> Nullable<Numeric>,
        /// When it began, UTC.
        started_at -> Nullable<Timestamptz>,
        /// When it ended, UTC.
        completed_at -> Nullable<Timestamptz>,
        /// When it was undone, UTC.
        rolled_back_at -> Nullable<Timestamptz>,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::BaselineType;

    /// What quality to expect of a model for a customer; regressions are measured against it.
    quality_baselines (id) {
        /// Primary key.
        id -> Uuid,
        /// Agent that established the baseline.
        agent_id -> Uuid,
        /// Customer for whom it holds.
        customer_id -> Uuid,
        /// Model that it describes.
        #[max_length = 100]
        model_name -> Varchar,
        /// Version of the model.
        #[max_length = 50]
        model_version -> Varchar,
        /// Why it was established.
        baseline_type -> BaselineType,
        /// Number of answers that it rests on.
        sample_size -> Int4,
        /// Average relevance, 0 to 1.
        avg_relevance_score -> Nullable<Float8>,
        /// Average coherence, 0 to 1.
        avg_coherence_score -> Nullable<Float8>,
        /// Average factuality, 0 to 1.
        avg_factuality_score -> Nullable<Float8>,
        /// Average overall quality, 0 to 1.
        avg_overall_score -> Float8,
        /// 95th percentile of the latency in milliseconds.
        p95_latency_ms -> Nullable<Float8>,
        /// When it was established, UTC.
        established_at -> Timestamptz,
        /// When it ceases to hold, UTC; null while it holds.
        valid_until -> Nullable<Timestamptz>,
        /// Free-form facts.
        metadata -> Jsonb,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Quality of single LLM answers; scores run from 0 to 1. A hot table: no foreign key may point at it.
    quality_metrics (id) {
        /// Primary key.
        id -> Uuid,
        /// Agent that judged the answer.
        agent_id -> Uuid,
        /// Customer whose request it was.
        customer_id -> Uuid,
        /// Request that was judged; unique.
        #[max_length = 255]
        request_id -> Varchar,
        /// Model that answered.
        #[max_length = 100]
        model_name -> Varchar,
        /// Version of the model.
        #[max_length = 50]
        model_version -> Varchar,
        /// Tokens in the prompt.
        prompt_tokens -> Nullable<Int4>,
        /// Tokens in the answer.
        completion_tokens -> Nullable<Int4>,
        /// Time to the complete answer in milliseconds.
        latency_ms -> Nullable<Float8>,
        /// How much the answer is about the question, 0 to 1.
        relevance_score -> Nullable<Float8>,
        /// How well the answer holds together, 0 to 1.
        coherence_score -> Nullable<Float8>,
        /// How true the answer is, 0 to 1.
        factuality_score -> Nullable<Float8>,
        /// Whether the answer states something made up.
        hallucination_detected -> Bool,
        /// How offensive the answer is, 0 to 1; lower is better.
        toxicity_score -> Nullable<Float8>,
        /// Overall judgement, 0 to 1.
        overall_quality_score -> Float8,
        /// When the answer was given, UTC.
        timestamp -> Timestamptz,
        /// Free-form facts: user, session, endpoint.
        metadata -> Jsonb,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Overall quality scores of quality_metrics, an hour of a model in a row.
    quality_metrics_hourly (id) {
        /// Primary key.
        id -> Uuid,
        /// Customer whose requests they were.
        customer_id -> Uuid,
        /// Model that answered.
        #[max_length = 100]
        model_name -> Varchar,
        /// Version of the model.
        #[max_length = 50]
        model_version -> Varchar,
        /// When the hour begins, UTC.
        hour -> Timestamptz,
        /// How many samples the hour has.
        sample_count -> Int8,
        /// The least score.
        min_value -> Float8,
        /// The average score.
        avg_value -> Float8,
        /// The greatest score.
        max_value -> Float8,
        /// The 95th percentile of the scores, interpolated between two of them.
        p95_value -> Float8,
        /// The newest score; of those of one time that with the greatest id.
        last_value -> Float8,
        /// When the newest sample was taken, UTC.
        last_at -> Timestamptz,
        /// How many samples this model has had until the end of the hour; null until that is counted.
        total_count -> Nullable<Int8>,
        /// The average of all of these; null until that is computed.
        total_avg -> Nullable<Float8>,
        /// Whether samples of the hour may be gone: its sums are never computed again.
        is_final -> Bool,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::RegressionType;
    use super::sql_types::RegressionSeverity;
    use super::sql_types::RegressionAction;

    /// Times when the quality of a model fell below its baseline, and what was done.
    quality_regressions (id) {
        /// Primary key.
        id -> Uuid,
        /// Agent that detected the regression.
        agent_id -> Uuid,
        /// Customer whose answers got worse.
        customer_id -> Uuid,
        /// Baseline that it is measured against.
        baseline_id -> Uuid,
        /// Workflow that caused it or mended it, if one did.
        workflow_execution_id -> Nullable<Uuid>,
        /// Which aspect got worse.
        regression_type -> RegressionType,
        /// How serious it is.
        severity -> RegressionSeverity,
        /// When it was detected, UTC.
        detected_at -> Timestamptz,
        /// Metric that got worse, such as overall_quality_score.
        #[max_length = 100]
        metric_name -> Varchar,
        /// Value of the metric in the baseline.
        baseline_value -> Float8,
        /// Value of the metric when detected.
        current_value -> Float8,
        /// Change against the baseline in percent; negative is a fall.
        delta_percent -> Float8,
        /// Number of answers that the current value rests on.
        sample_size -> Int4,
        /// What was done about it.
        action_taken -> RegressionAction,
        /// When it was resolved, UTC; null while it is open.
        resolved_at -> Nullable<Timestamptz>,
        /// How it was resolved, for a person to read.
        resolution_notes -> Nullable<Text>,
        /// Free-form facts.
        metadata -> Jsonb,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
        /// When the row was last changed, UTC; kept by the trigger set_updated_at.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Recommendationpriority;
    use super::sql_types::Recommendationstatus;

    /// Optimisations that an agent proposes to a customer.
    recommendations (id) {
        /// Primary key.
        id -> Uuid,
        /// Customer to whom it is proposed.
        customer_id -> Uuid,
        /// Agent that proposes it.
        agent_id -> Uuid,
        /// Free-form type, such as spot_migration.
        #[sql_name = "type"]
        #[max_length = 100]
        type_ -> Varchar,
        /// One line for a person to read.
        #[max_length = 255]
        title -> Varchar,
        /// What would be done and why.
        description -> Nullable<Text>,
        /// Expected saving per month in US dollars.
        estimated_savings -> Nullable<Numeric>,
        /// Expected improvement as a factor: 1.5 means one and a half times as good.
        estimated_improvement -> Nullable<Numeric>,
        /// How sure the agent is, from 0 to 1.
        confidence_score -> Float8,
        /// How urgent it is.
        priority -> Recommendationpriority,
        /// Where it stands between proposal and outcome.
        status -> Recommendationstatus,
        /// Details for the agent that would carry it out.
        data -> Jsonb,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
        /// When the row was last changed, UTC; kept by the trigger set_updated_at.
        updated_at -> Timestamptz,
        /// When it was approved, UTC.
        approved_at -> Nullable<Timestamptz>,
        /// When it was carried out, UTC.
        executed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::ResourceType;

    /// Samples of the use of GPU, CPU, memory, disk and network by an instance. A hot table: no foreign key may point at it.
    resource_metrics (id) {
        /// Primary key.
        id -> Uuid,
        /// Agent that took the sample.
        agent_id -> Uuid,
        /// Customer whose instance it is.
        customer_id -> Uuid,
        /// Instance as the cloud provider names it, such as i-0abc123.
        #[max_length = 255]
        instance_id -> Varchar,
        /// Kind of resource.
        resource_type -> ResourceType,
        /// What was measured: utilization, temperature, used, read_iops and the like.
        #[max_length = 100]
        metric_name -> Varchar,
        /// The sample, in the unit that the column unit names.
        metric_value -> Float8,
        /// Unit of the sample: percent, celsius, GB, iops, Mbps.
        #[max_length = 50]
        unit -> Varchar,
        /// When the sample was taken, UTC.
        timestamp -> Timestamptz,
        /// Free-form facts: GPU model, instance type and the like.
        metadata -> Jsonb,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::ResourceType;

    /// Samples of resource_metrics, an hour of a metric of an instance in a row.
    resource_metrics_hourly (id) {
        /// Primary key.
        id -> Uuid,
        /// Customer whose instance it is.
        customer_id -> Uuid,
        /// Instance as the cloud provider names it.
        #[max_length = 255]
        instance_id -> Varchar,
        /// Kind of resource.
        resource_type -> ResourceType,
        /// What was measured.
        #[max_length = 100]
        metric_name -> Varchar,
        /// Unit of the samples.
        #[max_length = 50]
        unit -> Varchar,
        /// When the hour begins, UTC.
        hour -> Timestamptz,
        /// How many samples the hour has.
        sample_count -> Int8,
        /// The least sample.
        min_value -> Float8,
        /// The average sample.
        avg_value -> Float8,
        /// The greatest sample.
        max_value -> Float8,
        /// The 95th percentile of the samples, interpolated between two of them.
        p95_value -> Float8,
        /// The newest sample; of those of one time that with the greatest id.
        last_value -> Float8,
        /// When the newest sample was taken, UTC.
        last_at -> Timestamptz,
        /// How many samples this metric of the instance has had until the end of the hour; null until that is counted.
        total_count -> Nullable<Int8>,
        /// The average of all of these; null until that is computed.
        total_avg -> Nullable<Float8>,
        /// Whether samples of the hour may be gone: its sums are never computed again.
        is_final -> Bool,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::ScalingEventType;

    /// Scaling decisions, what triggered them and what came of them.
    scaling_events (id) {
        /// Primary key.
        id -> Uuid,
        /// Agent that decided.
        agent_id -> Uuid,
        /// Customer whose instances were scaled.
        customer_id -> Uuid,
        /// Workflow that led to the decision, if one did.
        workflow_execution_id -> Nullable<Uuid>,
        /// What the decision did.
        event_type -> ScalingEventType,
        /// Why, for a person to read.
        #[max_length = 500]
        trigger_reason -> Varchar,
        /// State before: instance count, utilisation, cost per hour.
        before_state -> Jsonb,
        /// State after, same keys.
        after_state -> Jsonb,
        /// Whether it did what it set out to do.
        success -> Bool,
        /// Why it failed, when it failed.
        error_details -> Nullable<Jsonb>,
        /// When scaling began, UTC.
        executed_at -> Timestamptz,
        /// When scaling ended, well or badly, UTC; null while it runs.
        completed_at -> Nullable<Timestamptz>,
        /// Free-form facts: policy, savings and the like.
        metadata -> Jsonb,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
        /// When the row was last changed, UTC; kept by the trigger set_updated_at.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::ArtifactType;

    /// Files that a workflow run produced; the rows hold where they are, not what is in them.
    workflow_artifacts (id) {
        /// Primary key.
        id -> Uuid,
        /// Run that produced the file.
        workflow_execution_id -> Uuid,
        /// Step that produced the file; null when it belongs to the run as a whole.
        workflow_step_id -> Nullable<Uuid>,
        /// What kind of file it is.
        artifact_type -> ArtifactType,
        /// Name for a person to read.
        #[max_length = 255]
        artifact_name -> Varchar,
        /// Where the file is, as a URL or path.
        artifact_path -> Text,
        /// Size of the file in bytes.
        artifact_size_bytes -> Nullable<Int8>,
        /// Media type of the file.
        #[max_length = 100]
        content_type -> Nullable<Varchar>,
        /// Free-form facts.
        metadata -> Jsonb,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
        /// When the row was last changed, UTC; kept by the trigger set_updated_at.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::WorkflowType;
    use super::sql_types::WorkflowStatus;

    /// Runs of workflows by agents for customers.
    workflow_executions (id) {
        /// Primary key.
        id -> Uuid,
        /// Agent that runs the workflow.
        agent_id -> Uuid,
        /// Customer for whom it runs.
        customer_id -> Uuid,
        /// What the workflow is for.
        workflow_type -> WorkflowType,
        /// Where the run stands.
        status -> WorkflowStatus,
        /// When it began, UTC.
        started_at -> Nullable<Timestamptz>,
        /// When it ended, well or badly, UTC.
        completed_at -> Nullable<Timestamptz>,
        /// What the run was given.
        input_data -> Jsonb,
        /// What the run produced.
        output_data -> Jsonb,
        /// Why it failed, when it failed.
        error_details -> Nullable<Jsonb>,
        /// Free-form facts: priority, trigger and the like.
        metadata -> Jsonb,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
        /// When the row was last changed, UTC; kept by the trigger set_updated_at.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::StepStatus;

    /// Steps of a workflow run, in order.
    workflow_steps (id) {
        /// Primary key.
        id -> Uuid,
        /// Run that the step belongs to.
        workflow_execution_id -> Uuid,
        /// Name of the step.
        #[max_length = 255]
        step_name -> Varchar,
        /// Place of the step in its run, counted from 1.
        step_order -> Int4,
        /// Where the step stands.
        status -> StepStatus,
        /// When it began, UTC.
        started_at -> Nullable<Timestamptz>,
        /// When it ended, UTC.
        completed_at -> Nullable<Timestamptz>,
        /// What the step was given.
        input_data -> Jsonb,
        /// What the step produced.
        output_data -> Jsonb,
        /// Why it failed, when it failed.
        error_details -> Nullable<Jsonb>,
        /// How often the step has been retried.
        retry_count -> Int4,
        /// How often the step may be retried.
        max_retries -> Int4,
        /// Free-form facts.
        metadata -> Jsonb,
        /// When the row was written, UTC.
        created_at -> Timestamptz,
        /// When the row was last changed, UTC; kept by the trigger set_updated_at.
        updated_at -> Timestamptz,
    }
}

diesel::joinable!(agent_capabilities -> agents (agent_id));
diesel::joinable!(agent_configs -> agents (agent_id));
diesel::joinable!(agent_metrics -> agents (agent_id));
diesel::joinable!(agent_states -> agents (agent_id));
diesel::joinable!(agent_states -> workflow_executions (current_workflow_id));
diesel::joinable!(approvals -> recommendations (recommendation_id));
diesel::joinable!(events -> agents (agent_id));
diesel::joinable!(events -> customers (customer_id));
diesel::joinable!(optimizations -> agents (agent_id));
diesel::joinable!(optimizations -> customers (customer_id));
diesel::joinable!(optimizations -> recommendations (recommendation_id));
diesel::joinable!(quality_baselines -> agents (agent_id));
diesel::joinable!(quality_baselines -> customers (customer_id));
diesel::joinable!(quality_metrics -> agents (agent_id));
diesel::joinable!(quality_metrics -> customers (customer_id));
diesel::joinable!(quality_metrics_hourly -> customers (customer_id));
diesel::joinable!(quality_regressions -> agents (agent_id));
diesel::joinable!(quality_regressions -> customers (customer_id));
diesel::joinable!(quality_regressions -> quality_baselines (baseline_id));
diesel::joinable!(quality_regressions -> workflow_executions (workflow_execution_id));
diesel::joinable!(recommendations -> agents (agent_id));
diesel::joinable!(recommendations -> customers (customer_id));
diesel::joinable!(resource_metrics -> agents (agent_id));
diesel::joinable!(resource_metrics -> customers (customer_id));
diesel::joinable!(resource_metrics_hourly -> customers (customer_id));
diesel::joinable!(scaling_events -> agents (agent_id));
diesel::joinable!(scaling_events -> customers (customer_id));
diesel::joinable!(scaling_events -> workflow_executions (workflow_execution_id));
diesel::joinable!(workflow_artifacts -> workflow_executions (workflow_execution_id));
diesel::joinable!(workflow_artifacts -> workflow_steps (workflow_step_id));
diesel::joinable!(workflow_executions -> agents (agent_id));
diesel::joinable!(workflow_executions -> customers (customer_id));
diesel::joinable!(workflow_steps -> workflow_executions (workflow_execution_id));

diesel::allow_tables_to_appear_in_same_query!(
    agent_capabilities,
    agent_configs,
    agent_metrics,
    agent_states,
    agents,
    approvals,
    customers,
    events,
    optimizations,
    quality_baselines,
    quality_metrics,
    quality_metrics_hourly,
    quality_regressions,
    recommendations,
    resource_metrics,
    resource_metrics_hourly,
    scaling_events,
    workflow_artifacts,
    workflow_executions,
    workflow_steps,
);
