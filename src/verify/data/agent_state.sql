-- What belongs to the agents with the documented ids.
WITH seeded AS (
    SELECT id, name::text AS name
    FROM agents
    WHERE id IN (
        '00000000-0000-0000-0000-000000000102',
        '00000000-0000-0000-0000-000000000103',
        '00000000-0000-0000-0000-000000000104',
        '00000000-0000-0000-0000-000000000105'
    )
)
SELECT 'configs' AS check, c.config_key::text AS object, a.name AS word, NULL::float8 AS number
FROM agent_configs c
JOIN seeded a ON a.id = c.agent_id

UNION ALL
SELECT 'states', a.name, NULL, count(s.id)
FROM seeded a
LEFT JOIN agent_states s ON s.agent_id = a.id
GROUP BY a.name

UNION ALL
SELECT 'capabilities', c.capability_name, a.name, NULL
FROM agent_capabilities c
JOIN seeded a ON a.id = c.agent_id

UNION ALL
-- From one name to the next in the index: an agent has few names and any number of rows.
SELECT 'metrics', names.metric_name, a.name, NULL::float8
FROM seeded a
CROSS JOIN LATERAL (
    WITH RECURSIVE skip AS (
        (SELECT metric_name FROM agent_metrics WHERE agent_id = a.id ORDER BY metric_name LIMIT 1)
        UNION ALL
        SELECT (
            SELECT m.metric_name
            FROM agent_metrics m
            WHERE m.agent_id = a.id AND m.metric_name > skip.metric_name
            ORDER BY m.metric_name
            LIMIT 1
        )
        FROM skip
        WHERE skip.metric_name IS NOT NULL
    )
    SELECT metric_name FROM skip WHERE metric_name IS NOT NULL
) names
