-- Removes the workflow_history layer with everything in it.

SET LOCAL lock_timeout = '5s';

ALTER TABLE agent_states DROP COLUMN current_workflow_id;

DROP TABLE workflow_artifacts;
DROP TABLE workflow_steps;
DROP TABLE workflow_executions;

DROP TYPE artifact_type;
DROP TYPE step_status;
DROP TYPE workflow_status;
DROP TYPE workflow_type;
