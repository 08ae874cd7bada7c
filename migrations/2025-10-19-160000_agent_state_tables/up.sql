-- The agent_state layer: settings, state, capabilities and metrics of each agent.
-- agent_states.current_workflow_id points to a later layer, so the workflow_history migration adds it.
-- Reproduces Alembic revision 002_agent_state_tables exactly; improvements are later migrations.
--
-- diesel-guard:disable AddIndexCheck
-- (the tables are made here: nobody waits for the locks of their indexes)

-- The foreign keys lock agents for a moment: waiting for that is bounded.
SET LOCAL lock_timeout = '5s';

CREATE TYPE configtype AS ENUM ('string', 'integer', 'float', 'boolean', 'json');
CREATE TYPE agentstatusdetail AS ENUM ('idle', 'busy', 'processing', 'waiting', 'error');
CREATE TYPE metrictype AS ENUM ('counter', 'gauge', 'histogram');

CREATE TABLE agent_configs (
    id           uuid         PRIMARY KEY,
    agent_id     uuid         NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    config_key   varchar(255) NOT NULL,
    config_value text         NOT NULL,
    config_type  configtype   NOT NULL DEFAULT 'string',
    description  text,
    created_at   timestamptz  NOT NULL DEFAULT now(),
    updated_at   timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT uq_agent_config UNIQUE (agent_id, config_key)
);
CREATE INDEX idx_agent_config_agent ON agent_configs (agent_id);
CREATE INDEX idx_agent_config_agent_key ON agent_configs (agent_id, config_key);
CREATE INDEX idx_agent_config_key ON agent_configs (config_key);

CREATE TABLE agent_states (
    id               uuid              PRIMARY KEY,
    agent_id         uuid              NOT NULL UNIQUE REFERENCES agents (id) ON DELETE CASCADE,
    current_status   agentstatusdetail NOT NULL DEFAULT 'idle',
    active_workflows jsonb             NOT NULL DEFAULT '[]',
    locks            jsonb             NOT NULL DEFAULT '{}',
    last_activity    timestamptz       NOT NULL DEFAULT now(),
    resource_usage   jsonb             DEFAULT '{}',
    metadata         jsonb             DEFAULT '{}',
    created_at       timestamptz       NOT NULL DEFAULT now(),
    updated_at       timestamptz       NOT NULL DEFAULT now()
);
CREATE INDEX idx_agent_state_activity ON agent_states (last_activity);
CREATE INDEX idx_agent_state_agent ON agent_states (agent_id);
CREATE INDEX idx_agent_state_status ON agent_states (current_status);

CREATE TABLE agent_capabilities (
    id                 uuid         PRIMARY KEY,
    agent_id           uuid         NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    capability_name    varchar(255) NOT NULL,
    capability_version varchar(50)  NOT NULL DEFAULT '1.0.0',
    enabled            boolean      NOT NULL DEFAULT true,
    config             jsonb        DEFAULT '{}',
    description        text,
    created_at         timestamptz  NOT NULL DEFAULT now(),
    updated_at         timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT uq_agent_capability UNIQUE (agent_id, capability_name)
);
CREATE INDEX idx_agent_cap_agent ON agent_capabilities (agent_id);
CREATE INDEX idx_agent_cap_agent_name ON agent_capabilities (agent_id, capability_name);
CREATE INDEX idx_agent_cap_enabled ON agent_capabilities (enabled);
CREATE INDEX idx_agent_cap_name ON agent_capabilities (capability_name);

CREATE TABLE agent_metrics (
    id           uuid             PRIMARY KEY,
    agent_id     uuid             NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    metric_name  varchar(255)     NOT NULL,
    metric_value double precision NOT NULL,
    metric_type  metrictype       NOT NULL DEFAULT 'gauge',
    tags         jsonb            DEFAULT '{}',
    recorded_at  timestamptz      NOT NULL DEFAULT now()
);
CREATE INDEX idx_agent_metric_agent ON agent_metrics (agent_id);
CREATE INDEX idx_agent_metric_agent_name ON agent_metrics (agent_id, metric_name);
CREATE INDEX idx_agent_metric_agent_recorded ON agent_metrics (agent_id, recorded_at);
CREATE INDEX idx_agent_metric_name ON agent_metrics (metric_name);
CREATE INDEX idx_agent_metric_recorded ON agent_metrics (recorded_at);
