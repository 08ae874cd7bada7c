-- What the two documented customers have: quality by model, baselines, regressions.
WITH seeded AS (
    SELECT id, name::text AS name
    FROM customers
    WHERE id = '00000000-0000-0000-0000-000000000001' OR name = 'TechStart Inc'
),
metric AS (
    SELECT m.model_name::text, m.overall_quality_score, c.name
    FROM quality_metrics m
    JOIN seeded c ON c.id = m.customer_id
),
regression AS (
    SELECT r.severity || ' ' || r.regression_type AS sort, r.resolved_at, r.workflow_execution_id
    FROM quality_regressions r
    JOIN seeded c ON c.id = r.customer_id
)
SELECT 'models' AS check, model_name AS object, NULL AS word, count(*)::float8 AS number
FROM metric
GROUP BY model_name

UNION ALL
SELECT 'quality', model_name, NULL, avg(overall_quality_score) FROM metric GROUP BY model_name

UNION ALL
SELECT 'second_customer', name, NULL, count(*) FROM metric WHERE name = 'TechStart Inc' GROUP BY name

UNION ALL
SELECT 'baselines', b.baseline_type::text, NULL, count(*)
FROM quality_baselines b
JOIN seeded c ON c.id = b.customer_id
GROUP BY b.baseline_type

UNION ALL
SELECT 'regressions', sort || CASE WHEN resolved_at IS NULL THEN ', open' ELSE ', resolved' END, NULL, count(*)
FROM regression
GROUP BY 2

UNION ALL
SELECT 'unresolved', 'unresolved', NULL, count(*) FROM quality_regressions WHERE resolved_at IS NULL

UNION ALL
SELECT 'workflow', r.sort, w.workflow_type || ', ' || w.status, NULL
FROM regression r
JOIN workflow_executions w ON w.id = r.workflow_execution_id
