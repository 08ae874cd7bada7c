-- Where the workflows stand. $1: a customer, or null for all. $2: the time to begin with, or null.
SELECT jsonb_build_object(
    'workflows', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.status), '[]')
        FROM (
            SELECT status, count(*)
            FROM workflow_executions
            WHERE ($1 IS NULL OR customer_id = $1) AND ($2 IS NULL OR coalesce(started_at, created_at) >= $2)
            GROUP BY status
        ) AS f
    )
) AS summary
