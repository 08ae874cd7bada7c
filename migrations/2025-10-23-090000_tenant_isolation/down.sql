-- Every role with privileges on the tables sees the rows of all customers again. Policies that `optiinfra-dbctl roles
-- apply` made stay and do nothing.
-- Locks as in up.sql.
SET LOCAL lock_timeout = '5s';

ALTER TABLE quality_regressions DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant_isolation ON quality_regressions;

ALTER TABLE quality_baselines DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant_isolation ON quality_baselines;

ALTER TABLE quality_metrics DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant_isolation ON quality_metrics;

ALTER TABLE scaling_events DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant_isolation ON scaling_events;

ALTER TABLE resource_metrics DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant_isolation ON resource_metrics;

ALTER TABLE workflow_artifacts DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant_isolation ON workflow_artifacts;

ALTER TABLE workflow_steps DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant_isolation ON workflow_steps;

ALTER TABLE workflow_executions DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant_isolation ON workflow_executions;

ALTER TABLE optimizations DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant_isolation ON optimizations;

ALTER TABLE approvals DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant_isolation ON approvals;

ALTER TABLE recommendations DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant_isolation ON recommendations;

ALTER TABLE events DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant_isolation ON events;

ALTER TABLE customers DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant_isolation ON customers;
