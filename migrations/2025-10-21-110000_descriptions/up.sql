-- Says in the catalogue what every table, column and enum type is for. psql shows it with \d+ and \dT+,
-- and schema.rs is generated with it.
--
-- Catalogue changes only: SHARE UPDATE EXCLUSIVE, which neither readers nor writers notice.
-- optiinfra: compatible
SET LOCAL lock_timeout = '5s';

-- core

COMMENT ON TYPE customerplan IS 'Subscription plan of a customer.';
COMMENT ON TYPE customerstatus IS 'Standing of a customer account.';
COMMENT ON TYPE agenttype IS 'The five kinds of agent of the platform.';
COMMENT ON TYPE agentstatus IS 'Health that an agent reports of itself.';
COMMENT ON TYPE eventseverity IS 'How serious an event is.';
COMMENT ON TYPE recommendationpriority IS 'How urgent a recommendation is.';
COMMENT ON TYPE recommendationstatus IS 'Where a recommendation stands between proposal and outcome.';
COMMENT ON TYPE approvalstatus IS 'Decision on a recommendation.';
COMMENT ON TYPE optimizationstatus IS 'Where the execution of a recommendation stands.';

COMMENT ON TABLE customers IS 'Organisations whose LLM infrastructure the platform watches; every other row of a customer hangs on this one.';
COMMENT ON COLUMN customers.id IS 'Primary key.';
COMMENT ON COLUMN customers.name IS 'Display name of the organisation.';
COMMENT ON COLUMN customers.email IS 'Contact address; unique.';
COMMENT ON COLUMN customers.api_key IS 'Secret with which the customer calls the platform; unique. Never show it.';
COMMENT ON COLUMN customers.plan IS 'Subscription plan.';
COMMENT ON COLUMN customers.status IS 'Standing of the account.';
COMMENT ON COLUMN customers.metadata IS 'Free-form facts about the customer: size, industry and the like.';
COMMENT ON COLUMN customers.created_at IS 'When the row was written, UTC.';
COMMENT ON COLUMN customers.updated_at IS 'When the row was last changed, UTC; kept by the trigger set_updated_at.';

COMMENT ON TABLE agents IS 'Registered instances of the five agents; unique by type and name.';
COMMENT ON COLUMN agents.id IS 'Primary key.';
COMMENT ON COLUMN agents.type IS 'Which of the five agents this is.';
COMMENT ON COLUMN agents.name IS 'Name of the instance, unique within its type.';
COMMENT ON COLUMN agents.version IS 'Release of the agent that registered.';
COMMENT ON COLUMN agents.status IS 'Health as last reported.';
COMMENT ON COLUMN agents.endpoint IS 'Base URL at which the agent answers.';
COMMENT ON COLUMN agents.capabilities IS 'JSON array of the capability names that the agent announced.';
COMMENT ON COLUMN agents.metadata IS 'Free-form facts about the instance: environment, region and the like.';
COMMENT ON COLUMN agents.last_heartbeat IS 'When the agent last reported, UTC; null until the first report.';
COMMENT ON COLUMN agents.created_at IS 'When the row was written, UTC.';
COMMENT ON COLUMN agents.updated_at IS 'When the row was last changed, UTC; kept by the trigger set_updated_at.';

COMMENT ON TABLE events IS 'What happened on the platform, as an audit trail; outlives the agent that reported it.';
COMMENT ON COLUMN events.id IS 'Primary key.';
COMMENT ON COLUMN events.customer_id IS 'Customer whom the event concerns.';
COMMENT ON COLUMN events.agent_id IS 'Agent that reported the event; null when that agent is gone or none was involved.';
COMMENT ON COLUMN events.event_type IS 'Free-form type, such as optimization_started.';
COMMENT ON COLUMN events.severity IS 'How serious the event is.';
COMMENT ON COLUMN events.data IS 'Payload of the event.';
COMMENT ON COLUMN events.created_at IS 'When the event was recorded, UTC.';

COMMENT ON TABLE recommendations IS 'Optimisations that an agent proposes to a customer.';
COMMENT ON COLUMN recommendations.id IS 'Primary key.';
COMMENT ON COLUMN recommendations.customer_id IS 'Customer to whom it is proposed.';
COMMENT ON COLUMN recommendations.agent_id IS 'Agent that proposes it.';
COMMENT ON COLUMN recommendations.type IS 'Free-form type, such as spot_migration.';
COMMENT ON COLUMN recommendations.title IS 'One line for a person to read.';
COMMENT ON COLUMN recommendations.description IS 'What would be done and why.';
COMMENT ON COLUMN recommendations.estimated_savings IS 'Expected saving per month in US dollars.';
COMMENT ON COLUMN recommendations.estimated_improvement IS 'Expected improvement as a factor: 1.5 means one and a half times as good.';
COMMENT ON COLUMN recommendations.confidence_score IS 'How sure the agent is, from 0 to 1.';
COMMENT ON COLUMN recommendations.priority IS 'How urgent it is.';
COMMENT ON COLUMN recommendations.status IS 'Where it stands between proposal and outcome.';
COMMENT ON COLUMN recommendations.data IS 'Details for the agent that would carry it out.';
COMMENT ON COLUMN recommendations.created_at IS 'When the row was written, UTC.';
COMMENT ON COLUMN recommendations.updated_at IS 'When the row was last changed, UTC; kept by the trigger set_updated_at.';
COMMENT ON COLUMN recommendations.approved_at IS 'When it was approved, UTC.';
COMMENT ON COLUMN recommendations.executed_at IS 'When it was carried out, UTC.';

COMMENT ON TABLE approvals IS 'Decisions of people on recommendations.';
COMMENT ON COLUMN approvals.id IS 'Primary key.';
COMMENT ON COLUMN approvals.recommendation_id IS 'Recommendation that was decided on.';
COMMENT ON COLUMN approvals.approved_by IS 'Who decided: a user name or address.';
COMMENT ON COLUMN approvals.status IS 'The decision.';
COMMENT ON COLUMN approvals.comment IS 'Why, in the words of whoever decided.';
COMMENT ON COLUMN approvals.created_at IS 'When the row was written, UTC.';
COMMENT ON COLUMN approvals.updated_at IS 'When the row was last changed, UTC; kept by the trigger set_updated_at.';

COMMENT ON TABLE optimizations IS 'Executions of recommendations and what they achieved.';
COMMENT ON COLUMN optimizations.id IS 'Primary key.';
COMMENT ON COLUMN optimizations.recommendation_id IS 'Recommendation that is carried out.';
COMMENT ON COLUMN optimizations.customer_id IS 'Customer on whose infrastructure it runs.';
COMMENT ON COLUMN optimizations.agent_id IS 'Agent that carries it out.';
COMMENT ON COLUMN optimizations.status IS 'Where the execution stands.';
COMMENT ON COLUMN optimizations.progress IS 'Percent done, from 0 to 100.';
COMMENT ON COLUMN optimizations.result IS 'What the execution reported at its end.';
COMMENT ON COLUMN optimizations.error IS 'Why it failed, when it failed.';
COMMENT ON COLUMN optimizations.actual_savings IS 'Measured saving per month in US dollars.';
COMMENT ON COLUMN optimizations.actual_improvement IS 'Measured improvement as a factor.';
COMMENT ON COLUMN optimizations.started_at IS 'When it began, UTC.';
COMMENT ON COLUMN optimizations.completed_at IS 'When it ended, UTC.';
COMMENT ON COLUMN optimizations.rolled_back_at IS 'When it was undone, UTC.';
COMMENT ON COLUMN optimizations.created_at IS 'When the row was written, UTC.';

-- agent_state

COMMENT ON TYPE configtype IS 'How to read the text of a configuration value.';
COMMENT ON TYPE agentstatusdetail IS 'What an agent is doing at the moment.';
COMMENT ON TYPE metrictype IS 'How the samples of an agent metric behave over time.';

COMMENT ON TABLE agent_configs IS 'Settings of an agent, one row a key.';
COMMENT ON COLUMN agent_configs.id IS 'Primary key.';
COMMENT ON COLUMN agent_configs.agent_id IS 'Agent that the setting belongs to.';
COMMENT ON COLUMN agent_configs.config_key IS 'Name of the setting, unique within the agent.';
COMMENT ON COLUMN agent_configs.config_value IS 'Value as text; config_type says how to read it.';
COMMENT ON COLUMN agent_configs.config_type IS 'How to read the value.';
COMMENT ON COLUMN agent_configs.description IS 'What the setting does.';
COMMENT ON COLUMN agent_configs.created_at IS 'When the row was written, UTC.';
COMMENT ON COLUMN agent_configs.updated_at IS 'When the row was last changed, UTC; kept by the trigger set_updated_at.';

COMMENT ON TABLE agent_states IS 'What each agent is doing now; at most one row an agent.';
COMMENT ON COLUMN agent_states.id IS 'Primary key.';
COMMENT ON COLUMN agent_states.agent_id IS 'Agent whose state this is; unique.';
COMMENT ON COLUMN agent_states.current_status IS 'What the agent is doing.';
COMMENT ON COLUMN agent_states.active_workflows IS 'JSON array of the names of workflows in hand.';
COMMENT ON COLUMN agent_states.locks IS 'JSON object of the resources that the agent holds.';
COMMENT ON COLUMN agent_states.last_activity IS 'When the agent last did something, UTC.';
COMMENT ON COLUMN agent_states.resource_usage IS 'What the agent process itself uses: cpu in percent, memory in MB.';
COMMENT ON COLUMN agent_states.metadata IS 'Free-form facts.';
COMMENT ON COLUMN agent_states.created_at IS 'When the row was written, UTC.';
COMMENT ON COLUMN agent_states.updated_at IS 'When the row was last changed, UTC; kept by the trigger set_updated_at.';
COMMENT ON COLUMN agent_states.current_workflow_id IS 'Workflow in hand; added by the workflow_history layer, the one reference to a later layer.';

COMMENT ON TABLE agent_capabilities IS 'What an agent can do, with a switch for each capability.';
COMMENT ON COLUMN agent_capabilities.id IS 'Primary key.';
COMMENT ON COLUMN agent_capabilities.agent_id IS 'Agent that has the capability.';
COMMENT ON COLUMN agent_capabilities.capability_name IS 'Name of the capability, unique within the agent.';
COMMENT ON COLUMN agent_capabilities.capability_version IS 'Semantic version of the capability.';
COMMENT ON COLUMN agent_capabilities.enabled IS 'Whether the agent may use it.';
COMMENT ON COLUMN agent_capabilities.config IS 'Settings of the capability.';
COMMENT ON COLUMN agent_capabilities.description IS 'What the capability does.';
COMMENT ON COLUMN agent_capabilities.created_at IS 'When the row was written, UTC.';
COMMENT ON COLUMN agent_capabilities.updated_at IS 'When the row was last changed, UTC; kept by the trigger set_updated_at.';

COMMENT ON TABLE agent_metrics IS 'Samples that agents take of their own work. A hot table: no foreign key may point at it.';
COMMENT ON COLUMN agent_metrics.id IS 'Primary key.';
COMMENT ON COLUMN agent_metrics.agent_id IS 'Agent that took the sample.';
COMMENT ON COLUMN agent_metrics.metric_name IS 'Name of the metric; its suffix names the unit, such as _percent or _usd.';
COMMENT ON COLUMN agent_metrics.metric_value IS 'The sample.';
COMMENT ON COLUMN agent_metrics.metric_type IS 'How the samples behave over time.';
COMMENT ON COLUMN agent_metrics.tags IS 'Labels of the sample.';
COMMENT ON COLUMN agent_metrics.recorded_at IS 'When the sample was taken, UTC.';

-- workflow_history

COMMENT ON TYPE workflow_type IS 'What a workflow is for.';
COMMENT ON TYPE workflow_status IS 'Where a workflow execution stands.';
COMMENT ON TYPE step_status IS 'Where one step of a workflow stands.';
COMMENT ON TYPE artifact_type IS 'What kind of file a workflow produced.';

COMMENT ON TABLE workflow_executions IS 'Runs of workflows by agents for customers.';
COMMENT ON COLUMN workflow_executions.id IS 'Primary key.';
COMMENT ON COLUMN workflow_executions.agent_id IS 'Agent that runs the workflow.';
COMMENT ON COLUMN workflow_executions.customer_id IS 'Customer for whom it runs.';
COMMENT ON COLUMN workflow_executions.workflow_type IS 'What the workflow is for.';
COMMENT ON COLUMN workflow_executions.status IS 'Where the run stands.';
COMMENT ON COLUMN workflow_executions.started_at IS 'When it began, UTC.';
COMMENT ON COLUMN workflow_executions.completed_at IS 'When it ended, well or badly, UTC.';
COMMENT ON COLUMN workflow_executions.input_data IS 'What the run was given.';
COMMENT ON COLUMN workflow_executions.output_data IS 'What the run produced.';
COMMENT ON COLUMN workflow_executions.error_details IS 'Why it failed, when it failed.';
COMMENT ON COLUMN workflow_executions.metadata IS 'Free-form facts: priority, trigger and the like.';
COMMENT ON COLUMN workflow_executions.created_at IS 'When the row was written, UTC.';
COMMENT ON COLUMN workflow_executions.updated_at IS 'When the row was last changed, UTC; kept by the trigger set_updated_at.';

COMMENT ON TABLE workflow_steps IS 'Steps of a workflow run, in order.';
COMMENT ON COLUMN workflow_steps.id IS 'Primary key.';
COMMENT ON COLUMN workflow_steps.workflow_execution_id IS 'Run that the step belongs to.';
COMMENT ON COLUMN workflow_steps.step_name IS 'Name of the step.';
COMMENT ON COLUMN workflow_steps.step_order IS 'Place of the step in its run, counted from 1.';
COMMENT ON COLUMN workflow_steps.status IS 'Where the step stands.';
COMMENT ON COLUMN workflow_steps.started_at IS 'When it began, UTC.';
COMMENT ON COLUMN workflow_steps.completed_at IS 'When it ended, UTC.';
COMMENT ON COLUMN workflow_steps.input_data IS 'What the step was given.';
COMMENT ON COLUMN workflow_steps.output_data IS 'What the step produced.';
COMMENT ON COLUMN workflow_steps.error_details IS 'Why it failed, when it failed.';
COMMENT ON COLUMN workflow_steps.retry_count IS 'How often the step has been retried.';
COMMENT ON COLUMN workflow_steps.max_retries IS 'How often the step may be retried.';
COMMENT ON COLUMN workflow_steps.metadata IS 'Free-form facts.';
COMMENT ON COLUMN workflow_steps.created_at IS 'When the row was written, UTC.';
COMMENT ON COLUMN workflow_steps.updated_at IS 'When the row was last changed, UTC; kept by the trigger set_updated_at.';

COMMENT ON TABLE workflow_artifacts IS 'Files that a workflow run produced; the rows hold where they are, not what is in them.';
COMMENT ON COLUMN workflow_artifacts.id IS 'Primary key.';
COMMENT ON COLUMN workflow_artifacts.workflow_execution_id IS 'Run that produced the file.';
COMMENT ON COLUMN workflow_artifacts.workflow_step_id IS 'Step that produced the file; null when it belongs to the run as a whole.';
COMMENT ON COLUMN workflow_artifacts.artifact_type IS 'What kind of file it is.';
COMMENT ON COLUMN workflow_artifacts.artifact_name IS 'Name for a person to read.';
COMMENT ON COLUMN workflow_artifacts.artifact_path IS 'Where the file is, as a URL or path.';
COMMENT ON COLUMN workflow_artifacts.artifact_size_bytes IS 'Size of the file in bytes.';
COMMENT ON COLUMN workflow_artifacts.content_type IS 'Media type of the file.';
COMMENT ON COLUMN workflow_artifacts.metadata IS 'Free-form facts.';
COMMENT ON COLUMN workflow_artifacts.created_at IS 'When the row was written, UTC.';
COMMENT ON COLUMN workflow_artifacts.updated_at IS 'When the row was last changed, UTC; kept by the trigger set_updated_at.';

-- resource

COMMENT ON TYPE resource_type IS 'The kind of resource that a metric measures.';
COMMENT ON TYPE scaling_event_type IS 'What a scaling decision did.';

COMMENT ON TABLE resource_metrics IS 'Samples of the use of GPU, CPU, memory, disk and network by an instance. A hot table: no foreign key may point at it.';
COMMENT ON COLUMN resource_metrics.id IS 'Primary key.';
COMMENT ON COLUMN resource_metrics.agent_id IS 'Agent that took the sample.';
COMMENT ON COLUMN resource_metrics.customer_id IS 'Customer whose instance it is.';
COMMENT ON COLUMN resource_metrics.instance_id IS 'Instance as the cloud provider names it, such as i-0abc123.';
COMMENT ON COLUMN resource_metrics.resource_type IS 'Kind of resource.';
COMMENT ON COLUMN resource_metrics.metric_name IS 'What was measured: utilization, temperature, used, read_iops and the like.';
COMMENT ON COLUMN resource_metrics.metric_value IS 'The sample, in the unit that the column unit names.';
COMMENT ON COLUMN resource_metrics.unit IS 'Unit of the sample: percent, celsius, GB, iops, Mbps.';
COMMENT ON COLUMN resource_metrics."timestamp" IS 'When the sample was taken, UTC.';
COMMENT ON COLUMN resource_metrics.metadata IS 'Free-form facts: GPU model, instance type and the like.';
COMMENT ON COLUMN resource_metrics.created_at IS 'When the row was written, UTC.';

COMMENT ON TABLE scaling_events IS 'Scaling decisions, what triggered them and what came of them.';
COMMENT ON COLUMN scaling_events.id IS 'Primary key.';
COMMENT ON COLUMN scaling_events.agent_id IS 'Agent that decided.';
COMMENT ON COLUMN scaling_events.customer_id IS 'Customer whose instances were scaled.';
COMMENT ON COLUMN scaling_events.workflow_execution_id IS 'Workflow that led to the decision, if one did.';
COMMENT ON COLUMN scaling_events.event_type IS 'What the decision did.';
COMMENT ON COLUMN scaling_events.trigger_reason IS 'Why, for a person to read.';
COMMENT ON COLUMN scaling_events.before_state IS 'State before: instance count, utilisation, cost per hour.';
COMMENT ON COLUMN scaling_events.after_state IS 'State after, same keys.';
COMMENT ON COLUMN scaling_events.success IS 'Whether it did what it set out to do.';
COMMENT ON COLUMN scaling_events.error_details IS 'Why it failed, when it failed.';
COMMENT ON COLUMN scaling_events.executed_at IS 'When scaling began, UTC.';
COMMENT ON COLUMN scaling_events.completed_at IS 'When scaling ended, well or badly, UTC; null while it runs.';
COMMENT ON COLUMN scaling_events.metadata IS 'Free-form facts: policy, savings and the like.';
COMMENT ON COLUMN scaling_events.created_at IS 'When the row was written, UTC.';
COMMENT ON COLUMN scaling_events.updated_at IS 'When the row was last changed, UTC; kept by the trigger set_updated_at.';

-- application

COMMENT ON TYPE baseline_type IS 'Why a quality baseline was established.';
COMMENT ON TYPE regression_type IS 'Which aspect of quality got worse.';
COMMENT ON TYPE regression_severity IS 'How serious a quality regression is.';
COMMENT ON TYPE regression_action IS 'What was done about a quality regression.';

COMMENT ON TABLE quality_metrics IS 'Quality of single LLM answers; scores run from 0 to 1. A hot table: no foreign key may point at it.';
COMMENT ON COLUMN quality_metrics.id IS 'Primary key.';
COMMENT ON COLUMN quality_metrics.agent_id IS 'Agent that judged the answer.';
COMMENT ON COLUMN quality_metrics.customer_id IS 'Customer whose request it was.';
COMMENT ON COLUMN quality_metrics.request_id IS 'Request that was judged; unique.';
COMMENT ON COLUMN quality_metrics.model_name IS 'Model that answered.';
COMMENT ON COLUMN quality_metrics.model_version IS 'Version of the model.';
COMMENT ON COLUMN quality_metrics.prompt_tokens IS 'Tokens in the prompt.';
COMMENT ON COLUMN quality_metrics.completion_tokens IS 'Tokens in the answer.';
COMMENT ON COLUMN quality_metrics.latency_ms IS 'Time to the complete answer in milliseconds.';
COMMENT ON COLUMN quality_metrics.relevance_score IS 'How much the answer is about the question, 0 to 1.';
COMMENT ON COLUMN quality_metrics.coherence_score IS 'How well the answer holds together, 0 to 1.';
COMMENT ON COLUMN quality_metrics.factuality_score IS 'How true the answer is, 0 to 1.';
COMMENT ON COLUMN quality_metrics.hallucination_detected IS 'Whether the answer states something made up.';
COMMENT ON COLUMN quality_metrics.toxicity_score IS 'How offensive the answer is, 0 to 1; lower is better.';
COMMENT ON COLUMN quality_metrics.overall_quality_score IS 'Overall judgement, 0 to 1.';
COMMENT ON COLUMN quality_metrics."timestamp" IS 'When the answer was given, UTC.';
COMMENT ON COLUMN quality_metrics.metadata IS 'Free-form facts: user, session, endpoint.';
COMMENT ON COLUMN quality_metrics.created_at IS 'When the row was written, UTC.';

COMMENT ON TABLE quality_baselines IS 'What quality to expect of a model for a customer; regressions are measured against it.';
COMMENT ON COLUMN quality_baselines.id IS 'Primary key.';
COMMENT ON COLUMN quality_baselines.agent_id IS 'Agent that established the baseline.';
COMMENT ON COLUMN quality_baselines.customer_id IS 'Customer for whom it holds.';
COMMENT ON COLUMN quality_baselines.model_name IS 'Model that it describes.';
COMMENT ON COLUMN quality_baselines.model_version IS 'Version of the model.';
COMMENT ON COLUMN quality_baselines.baseline_type IS 'Why it was established.';
COMMENT ON COLUMN quality_baselines.sample_size IS 'Number of answers that it rests on.';
COMMENT ON COLUMN quality_baselines.avg_relevance_score IS 'Average relevance, 0 to 1.';
COMMENT ON COLUMN quality_baselines.avg_coherence_score IS 'Average coherence, 0 to 1.';
COMMENT ON COLUMN quality_baselines.avg_factuality_score IS 'Average factuality, 0 to 1.';
COMMENT ON COLUMN quality_baselines.avg_overall_score IS 'Average overall quality, 0 to 1.';
COMMENT ON COLUMN quality_baselines.p95_latency_ms IS '95th percentile of the latency in milliseconds.';
COMMENT ON COLUMN quality_baselines.established_at IS 'When it was established, UTC.';
COMMENT ON COLUMN quality_baselines.valid_until IS 'When it ceases to hold, UTC; null while it holds.';
COMMENT ON COLUMN quality_baselines.metadata IS 'Free-form facts.';
COMMENT ON COLUMN quality_baselines.created_at IS 'When the row was written, UTC.';

COMMENT ON TABLE quality_regressions IS 'Times when the quality of a model fell below its baseline, and what was done.';
COMMENT ON COLUMN quality_regressions.id IS 'Primary key.';
COMMENT ON COLUMN quality_regressions.agent_id IS 'Agent that detected the regression.';
COMMENT ON COLUMN quality_regressions.customer_id IS 'Customer whose answers got worse.';
COMMENT ON COLUMN quality_regressions.baseline_id IS 'Baseline that it is measured against.';
COMMENT ON COLUMN quality_regressions.workflow_execution_id IS 'Workflow that caused it or mended it, if one did.';
COMMENT ON COLUMN quality_regressions.regression_type IS 'Which aspect got worse.';
COMMENT ON COLUMN quality_regressions.severity IS 'How serious it is.';
COMMENT ON COLUMN quality_regressions.detected_at IS 'When it was detected, UTC.';
COMMENT ON COLUMN quality_regressions.metric_name IS 'Metric that got worse, such as overall_quality_score.';
COMMENT ON COLUMN quality_regressions.baseline_value IS 'Value of the metric in the baseline.';
COMMENT ON COLUMN quality_regressions.current_value IS 'Value of the metric when detected.';
COMMENT ON COLUMN quality_regressions.delta_percent IS 'Change against the baseline in percent; negative is a fall.';
COMMENT ON COLUMN quality_regressions.sample_size IS 'Number of answers that the current value rests on.';
COMMENT ON COLUMN quality_regressions.action_taken IS 'What was done about it.';
COMMENT ON COLUMN quality_regressions.resolved_at IS 'When it was resolved, UTC; null while it is open.';
COMMENT ON COLUMN quality_regressions.resolution_notes IS 'How it was resolved, for a person to read.';
COMMENT ON COLUMN quality_regressions.metadata IS 'Free-form facts.';
COMMENT ON COLUMN quality_regressions.created_at IS 'When the row was written, UTC.';
COMMENT ON COLUMN quality_regressions.updated_at IS 'When the row was last changed, UTC; kept by the trigger set_updated_at.';
