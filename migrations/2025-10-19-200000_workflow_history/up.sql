-- The workflow_history layer: workflow runs, their steps and the files they produced.
-- It also adds agent_states.current_workflow_id, the one reference from an earlier layer to a later one.
-- Reproduces Alembic revision 003_workflow_history exactly; improvements are later migrations.
--
-- diesel-guard:disable AddIndexCheck
-- (the tables are made here: nobody waits for the locks of their indexes; agent_states has a row an agent, so its new
-- index takes no time)

-- agent_states and agents are in use while this runs: their locks are short, and waiting for them is bounded.
SET LOCAL lock_timeout = '5s';

CREATE TYPE workflow_type AS ENUM (
    'cost_analysis',
    'performance_tuning',
    'resource_optimization',
    'quality_check',
    'scaling_decision',
    'configuration_update',
    'health_check',
    'anomaly_detection'
);
CREATE TYPE workflow_status AS ENUM ('pending', 'running', 'completed', 'failed', 'cancelled', 'timeout');
CREATE TYPE step_status AS ENUM ('pending', 'running', 'completed', 'failed', 'skipped', 'retrying');
CREATE TYPE artifact_type AS ENUM (
    'report',
    'config',
    'log',
    'recommendation',
    'chart',
    'metrics',
    'alert',
    'diagnostic'
);

CREATE TABLE workflow_executions (
    id            uuid            PRIMARY KEY,
    agent_id      uuid            NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    customer_id   uuid            NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    workflow_type workflow_type   NOT NULL,
    status        workflow_status NOT NULL,
    started_at    timestamptz,
    completed_at  timestamptz,
    input_data    jsonb           NOT NULL DEFAULT '{}',
    output_data   jsonb           NOT NULL DEFAULT '{}',
    error_details jsonb,
    metadata      jsonb           NOT NULL DEFAULT '{}',
    created_at    timestamptz     NOT NULL DEFAULT now(),
    updated_at    timestamptz     NOT NULL DEFAULT now()
);
CREATE INDEX ix_workflow_executions_agent_id ON workflow_executions (agent_id);
CREATE INDEX ix_workflow_executions_agent_status ON workflow_executions (agent_id, status);
CREATE INDEX ix_workflow_executions_customer_id ON workflow_executions (customer_id);
CREATE INDEX ix_workflow_executions_customer_type ON workflow_executions (customer_id, workflow_type);
CREATE INDEX ix_workflow_executions_id ON workflow_executions (id);
CREATE INDEX ix_workflow_executions_started_at ON workflow_executions (started_at);
CREATE INDEX ix_workflow_executions_status ON workflow_executions (status);
CREATE INDEX ix_workflow_executions_workflow_type ON workflow_executions (workflow_type);

CREATE TABLE workflow_steps (
    id                    uuid         PRIMARY KEY,
    workflow_execution_id uuid         NOT NULL REFERENCES workflow_executions (id) ON DELETE CASCADE,
    step_name             varchar(255) NOT NULL,
    step_order            integer      NOT NULL,
    status                step_status  NOT NULL,
    started_at            timestamptz,
    completed_at          timestamptz,
    input_data            jsonb        NOT NULL DEFAULT '{}',
    output_data           jsonb        NOT NULL DEFAULT '{}',
    error_details         jsonb,
    retry_count           integer      NOT NULL DEFAULT 0,
    max_retries           integer      NOT NULL DEFAULT 3,
    metadata              jsonb        NOT NULL DEFAULT '{}',
    created_at            timestamptz  NOT NULL DEFAULT now(),
    updated_at            timestamptz  NOT NULL DEFAULT now()
);
CREATE INDEX ix_workflow_steps_execution_order ON workflow_steps (workflow_execution_id, step_order);
CREATE INDEX ix_workflow_steps_execution_status ON workflow_steps (workflow_execution_id, status);
CREATE INDEX ix_workflow_steps_id ON workflow_steps (id);
CREATE INDEX ix_workflow_steps_name_status ON workflow_steps (step_name, status);
CREATE INDEX ix_workflow_steps_status ON workflow_steps (status);
CREATE INDEX ix_workflow_steps_step_name ON workflow_steps (step_name);
CREATE INDEX ix_workflow_steps_workflow_execution_id ON workflow_steps (workflow_execution_id);

CREATE TABLE workflow_artifacts (
    id                    uuid          PRIMARY KEY,
    workflow_execution_id uuid          NOT NULL REFERENCES workflow_executions (id) ON DELETE CASCADE,
    workflow_step_id      uuid          REFERENCES workflow_steps (id) ON DELETE CASCADE,
    artifact_type         artifact_type NOT NULL,
    artifact_name         varchar(255)  NOT NULL,
    artifact_path         text          NOT NULL,
    artifact_size_bytes   bigint,
    content_type          varchar(100),
    metadata              jsonb         NOT NULL DEFAULT '{}',
    created_at            timestamptz   NOT NULL DEFAULT now(),
    updated_at            timestamptz   NOT NULL DEFAULT now()
);
CREATE INDEX ix_workflow_artifacts_artifact_type ON workflow_artifacts (artifact_type);
CREATE INDEX ix_workflow_artifacts_execution_type ON workflow_artifacts (workflow_execution_id, artifact_type);
CREATE INDEX ix_workflow_artifacts_id ON workflow_artifacts (id);
CREATE INDEX ix_workflow_artifacts_step_type ON workflow_artifacts (workflow_step_id, artifact_type);
CREATE INDEX ix_workflow_artifacts_workflow_execution_id ON workflow_artifacts (workflow_execution_id);
CREATE INDEX ix_workflow_artifacts_workflow_step_id ON workflow_artifacts (workflow_step_id);

-- The column belongs to the agent_state layer; it could not be added before workflow_executions existed.
ALTER TABLE agent_states
    ADD COLUMN current_workflow_id uuid
    CONSTRAINT fk_agent_states_current_workflow REFERENCES workflow_executions (id) ON DELETE SET NULL;
CREATE INDEX ix_agent_states_current_workflow_id ON agent_states (current_workflow_id);
