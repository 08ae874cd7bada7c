-- Workflows of the documented customers: how each stands, and how many steps and artifacts it has.
SELECT
    'scenarios' AS check,
    w.workflow_type || ' by ' || a.name || ' for ' || c.name AS object,
    w.status
        || ', steps ' || (SELECT count(*) FROM workflow_steps s WHERE s.workflow_execution_id = w.id)
        || ', artifacts ' || (SELECT count(*) FROM workflow_artifacts f WHERE f.workflow_execution_id = w.id) AS word,
    NULL::float8 AS number
FROM workflow_executions w
JOIN agents a ON a.id = w.agent_id
JOIN customers c ON c.id = w.customer_id
WHERE c.id IN ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002')
