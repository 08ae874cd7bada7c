-- The resource layer: use of the instances and the scaling decisions about them.
-- Reproduces Alembic revision 004_resource_schema exactly; improvements are later migrations.
--
-- diesel-guard:disable AddIndexCheck
-- (the tables are made here: nobody waits for the locks of their indexes)

-- The foreign keys lock agents, customers and workflow_executions for a moment: waiting for that is bounded.
SET LOCAL lock_timeout = '5s';

CREATE TYPE resource_type AS ENUM ('gpu', 'cpu', 'memory', 'disk', 'network');
CREATE TYPE scaling_event_type AS ENUM (
    'scale_up',
    'scale_down',
    'auto_scale_triggered',
    'manual_scale',
    'scale_cancelled'
);

CREATE TABLE resource_metrics (
    id            uuid             PRIMARY KEY,
    agent_id      uuid             NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    customer_id   uuid             NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    instance_id   varchar(255)     NOT NULL,
    resource_type resource_type    NOT NULL,
    metric_name   varchar(100)     NOT NULL,
    metric_value  double precision NOT NULL,
    unit          varchar(50)      NOT NULL,
    "timestamp"   timestamptz      NOT NULL,
    metadata      jsonb            NOT NULL DEFAULT '{}',
    created_at    timestamptz      NOT NULL DEFAULT now()
);
CREATE INDEX ix_resource_metrics_agent_id ON resource_metrics (agent_id);
CREATE INDEX ix_resource_metrics_agent_instance ON resource_metrics (agent_id, instance_id);
CREATE INDEX ix_resource_metrics_customer_id ON resource_metrics (customer_id);
CREATE INDEX ix_resource_metrics_customer_type ON resource_metrics (customer_id, resource_type);
CREATE INDEX ix_resource_metrics_id ON resource_metrics (id);
CREATE INDEX ix_resource_metrics_instance_id ON resource_metrics (instance_id);
CREATE INDEX ix_resource_metrics_instance_timestamp ON resource_metrics (instance_id, "timestamp");
CREATE INDEX ix_resource_metrics_metric_name ON resource_metrics (metric_name);
CREATE INDEX ix_resource_metrics_resource_type ON resource_metrics (resource_type);
CREATE INDEX ix_resource_metrics_timestamp ON resource_metrics ("timestamp");
CREATE INDEX ix_resource_metrics_type_name ON resource_metrics (resource_type, metric_name);

CREATE TABLE scaling_events (
    id                    uuid               PRIMARY KEY,
    agent_id              uuid               NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    customer_id           uuid               NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    workflow_execution_id uuid               REFERENCES workflow_executions (id) ON DELETE SET NULL,
    event_type            scaling_event_type NOT NULL,
    trigger_reason        varchar(500)       NOT NULL,
    before_state          jsonb              NOT NULL,
    after_state           jsonb              NOT NULL,
    success               boolean            NOT NULL DEFAULT false,
    error_details         jsonb,
    executed_at           timestamptz        NOT NULL,
    completed_at          timestamptz,
    metadata              jsonb              NOT NULL DEFAULT '{}',
    created_at            timestamptz        NOT NULL DEFAULT now(),
    updated_at            timestamptz        NOT NULL DEFAULT now()
);
CREATE INDEX ix_scaling_events_agent_id ON scaling_events (agent_id);
CREATE INDEX ix_scaling_events_agent_type ON scaling_events (agent_id, event_type);
CREATE INDEX ix_scaling_events_customer_id ON scaling_events (customer_id);
CREATE INDEX ix_scaling_events_customer_success ON scaling_events (customer_id, success);
CREATE INDEX ix_scaling_events_event_type ON scaling_events (event_type);
CREATE INDEX ix_scaling_events_executed_at ON scaling_events (executed_at);
CREATE INDEX ix_scaling_events_id ON scaling_events (id);
CREATE INDEX ix_scaling_events_success ON scaling_events (success);
CREATE INDEX ix_scaling_events_workflow ON scaling_events (workflow_execution_id);
CREATE INDEX ix_scaling_events_workflow_execution_id ON scaling_events (workflow_execution_id);
