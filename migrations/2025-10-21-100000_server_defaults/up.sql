-- The server fills in what every writer had to fill in itself: ids, and updated_at on change.
-- (created_at and updated_at have their insert default since the first migrations.)
--
-- Catalogue changes only: ACCESS EXCLUSIVE for a moment on each table, no rewrite.
-- optiinfra: compatible
SET LOCAL lock_timeout = '5s';

ALTER TABLE customers ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE agents ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE events ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE recommendations ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE approvals ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE optimizations ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE agent_configs ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE agent_states ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE agent_capabilities ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE agent_metrics ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE workflow_executions ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE workflow_steps ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE workflow_artifacts ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE resource_metrics ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE scaling_events ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE quality_metrics ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE quality_baselines ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE quality_regressions ALTER COLUMN id SET DEFAULT gen_random_uuid();

-- A writer that sets updated_at itself keeps its value; an update that changes nothing is not a change.
CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at THEN
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER set_updated_at BEFORE UPDATE ON customers
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON agents
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON recommendations
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON approvals
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON agent_configs
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON agent_states
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON agent_capabilities
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON workflow_executions
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON workflow_steps
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON workflow_artifacts
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON scaling_events
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE UPDATE ON quality_regressions
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION set_updated_at();
