-- A customer's rows are seen and written only by a session that works for that customer: `app.customer_id` names it,
-- best for one transaction (SET LOCAL, or set_config with true). Unset or empty, there are no rows and no error; a text
-- that is no uuid is an error.
--
-- Not FORCE: the owner of the tables, superusers and roles with BYPASSRLS see and write everything as before. Policies
-- for roles that work across customers are no part of the schema: `optiinfra-dbctl roles apply` makes them.
--
-- The setting stands in a sub-select, so that it is read once a query and not once a row. A sub-select on another table
-- finds what that table's own policy lets the session see. Foreign keys look past row security and so do their actions:
-- hence a row may be written only where what it refers to is visible too, or one customer could hang rows on another's.
--
-- agents, agent_configs, agent_states, agent_capabilities and agent_metrics are the platform's and no customer's:
-- privileges alone protect them.
--
-- Catalogue changes only: ACCESS EXCLUSIVE for a moment on each table, no rewrite and no scan.
-- optiinfra: compatible
SET LOCAL lock_timeout = '5s';

CREATE POLICY tenant_isolation ON customers
    USING (id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid))
    WITH CHECK (id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid));
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON events
    USING (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid))
    WITH CHECK (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid));
ALTER TABLE events ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON recommendations
    USING (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid))
    WITH CHECK (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid));
ALTER TABLE recommendations ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON approvals
    USING (EXISTS (SELECT FROM recommendations r WHERE r.id = recommendation_id))
    WITH CHECK (EXISTS (SELECT FROM recommendations r WHERE r.id = recommendation_id));
ALTER TABLE approvals ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON optimizations
    USING (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid))
    WITH CHECK (
        customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid)
        AND EXISTS (SELECT FROM recommendations r WHERE r.id = recommendation_id)
    );
ALTER TABLE optimizations ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON workflow_executions
    USING (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid))
    WITH CHECK (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid));
ALTER TABLE workflow_executions ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON workflow_steps
    USING (EXISTS (SELECT FROM workflow_executions w WHERE w.id = workflow_execution_id))
    WITH CHECK (EXISTS (SELECT FROM workflow_executions w WHERE w.id = workflow_execution_id));
ALTER TABLE workflow_steps ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON workflow_artifacts
    USING (EXISTS (SELECT FROM workflow_executions w WHERE w.id = workflow_execution_id))
    WITH CHECK (
        EXISTS (SELECT FROM workflow_executions w WHERE w.id = workflow_execution_id)
        AND (workflow_step_id IS NULL OR EXISTS (SELECT FROM workflow_steps s WHERE s.id = workflow_step_id))
    );
ALTER TABLE workflow_artifacts ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON resource_metrics
    USING (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid))
    WITH CHECK (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid));
ALTER TABLE resource_metrics ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON scaling_events
    USING (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid))
    WITH CHECK (
        customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid)
        AND (workflow_execution_id IS NULL OR EXISTS (SELECT FROM workflow_executions w WHERE w.id = workflow_execution_id))
    );
ALTER TABLE scaling_events ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON quality_metrics
    USING (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid))
    WITH CHECK (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid));
ALTER TABLE quality_metrics ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON quality_baselines
    USING (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid))
    WITH CHECK (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid));
ALTER TABLE quality_baselines ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON quality_regressions
    USING (customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid))
    WITH CHECK (
        customer_id = (SELECT nullif(current_setting('app.customer_id', true), '')::uuid)
        AND EXISTS (SELECT FROM quality_baselines b WHERE b.id = baseline_id)
        AND (workflow_execution_id IS NULL OR EXISTS (SELECT FROM workflow_executions w WHERE w.id = workflow_execution_id))
    );
ALTER TABLE quality_regressions ENABLE ROW LEVEL SECURITY;
