-- The customers and agents of the seed. $1: the ids of its rows. $2, $3: those of customers and agents, with their
-- documented names.
WITH documented AS (
    SELECT d.id, d.name FROM unnest($2::uuid[], $3::text[]) AS d (id, name)
)
SELECT
    'customers' AS check,
    d.name AS object,
    CASE WHEN c.name = d.name THEN '' ELSE c.name || ', ' END || c.email || ', ' || c.plan AS word,
    NULL::float8 AS number
FROM documented d
JOIN customers c ON c.id = d.id
WHERE c.id = ANY ($1)

UNION ALL
SELECT 'agents', d.name, CASE WHEN a.name = d.name THEN '' ELSE a.name || ', ' END || a.type || ', ' || a.status, NULL::float8
FROM documented d
JOIN agents a ON a.id = d.id
