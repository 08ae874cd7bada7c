-- Workflows of the seed: how each stands, and how many of its steps and artifacts there are. $1: the ids of its rows.
-- $2, $3: those of customers and agents, with their documented names.
SELECT
    'scenarios' AS check,
    w.workflow_type || ' by ' || a.name || ' for ' || c.name AS object,
    w.status
        || ', steps '
        || (SELECT count(*) FROM workflow_steps s WHERE s.workflow_execution_id = w.id AND s.id = ANY ($1))
        || ', artifacts '
        || (SELECT count(*) FROM workflow_artifacts f WHERE f.workflow_execution_id = w.id AND f.id = ANY ($1)) AS word,
    NULL::float8 AS number
FROM workflow_executions w
JOIN unnest($2::uuid[], $3::text[]) AS a (id, name) ON a.id = w.agent_id
JOIN unnest($2::uuid[], $3::text[]) AS c (id, name) ON c.id = w.customer_id
WHERE w.id = ANY ($1)
