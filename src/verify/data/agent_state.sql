-- What the seed has written for its agents. $1: the ids of its rows. $2, $3: those of customers and agents, with their
-- documented names.
WITH agent AS (
    SELECT d.id, d.name
    FROM unnest($2::uuid[], $3::text[]) AS d (id, name)
    JOIN agents a ON a.id = d.id
)
SELECT 'configs' AS check, c.config_key::text AS object, a.name AS word, NULL::float8 AS number
FROM agent_configs c
JOIN agent a ON a.id = c.agent_id
WHERE c.id = ANY ($1)

UNION ALL
SELECT 'states', a.name, NULL::text, count(s.id)::float8
FROM agent a
LEFT JOIN agent_states s ON s.agent_id = a.id AND s.id = ANY ($1)
GROUP BY a.name

UNION ALL
SELECT 'capabilities', c.capability_name, a.name, NULL::float8
FROM agent_capabilities c
JOIN agent a ON a.id = c.agent_id
WHERE c.id = ANY ($1)

UNION ALL
SELECT 'metrics', m.metric_name, a.name, NULL::float8
FROM agent_metrics m
JOIN agent a ON a.id = m.agent_id
WHERE m.id = ANY ($1)
