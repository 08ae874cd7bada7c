-- Writers fill in ids and updated_at themselves again.
SET LOCAL lock_timeout = '5s';

DROP TRIGGER set_updated_at ON quality_regressions;
DROP TRIGGER set_updated_at ON scaling_events;
DROP TRIGGER set_updated_at ON workflow_artifacts;
DROP TRIGGER set_updated_at ON workflow_steps;
DROP TRIGGER set_updated_at ON workflow_executions;
DROP TRIGGER set_updated_at ON agent_capabilities;
DROP TRIGGER set_updated_at ON agent_states;
DROP TRIGGER set_updated_at ON agent_configs;
DROP TRIGGER set_updated_at ON approvals;
DROP TRIGGER set_updated_at ON recommendations;
DROP TRIGGER set_updated_at ON agents;
DROP TRIGGER set_updated_at ON customers;

DROP FUNCTION set_updated_at();

ALTER TABLE quality_regressions ALTER COLUMN id DROP DEFAULT;
ALTER TABLE quality_baselines ALTER COLUMN id DROP DEFAULT;
ALTER TABLE quality_metrics ALTER COLUMN id DROP DEFAULT;
ALTER TABLE scaling_events ALTER COLUMN id DROP DEFAULT;
ALTER TABLE resource_metrics ALTER COLUMN id DROP DEFAULT;
ALTER TABLE workflow_artifacts ALTER COLUMN id DROP DEFAULT;
ALTER TABLE workflow_steps ALTER COLUMN id DROP DEFAULT;
ALTER TABLE workflow_executions ALTER COLUMN id DROP DEFAULT;
ALTER TABLE agent_metrics ALTER COLUMN id DROP DEFAULT;
ALTER TABLE agent_capabilities ALTER COLUMN id DROP DEFAULT;
ALTER TABLE agent_states ALTER COLUMN id DROP DEFAULT;
ALTER TABLE agent_configs ALTER COLUMN id DROP DEFAULT;
ALTER TABLE optimizations ALTER COLUMN id DROP DEFAULT;
ALTER TABLE approvals ALTER COLUMN id DROP DEFAULT;
ALTER TABLE recommendations ALTER COLUMN id DROP DEFAULT;
ALTER TABLE events ALTER COLUMN id DROP DEFAULT;
ALTER TABLE agents ALTER COLUMN id DROP DEFAULT;
ALTER TABLE customers ALTER COLUMN id DROP DEFAULT;
