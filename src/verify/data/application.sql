-- Quality by model, baselines and regressions of the seed. $1: the ids of its rows. $2, $3: those of customers and
-- agents, with their documented names.
WITH metric AS (
    SELECT customer_id, model_name::text, overall_quality_score FROM quality_metrics WHERE id = ANY ($1)
),
regression AS (
    SELECT severity || ' ' || regression_type AS sort, resolved_at, workflow_execution_id
    FROM quality_regressions
    WHERE id = ANY ($1)
)
SELECT 'models' AS check, model_name AS object, NULL::text AS word, count(*)::float8 AS number
FROM metric
GROUP BY model_name

UNION ALL
SELECT 'quality', model_name, NULL::text, avg(overall_quality_score) FROM metric GROUP BY model_name

UNION ALL
SELECT 'second_customer', d.name, NULL::text, count(*)::float8
FROM metric m
JOIN unnest($2::uuid[], $3::text[]) AS d (id, name) ON d.id = m.customer_id
GROUP BY d.name

UNION ALL
SELECT 'baselines', baseline_type::text, NULL::text, count(*)::float8 FROM quality_baselines WHERE id = ANY ($1) GROUP BY baseline_type

UNION ALL
SELECT 'regressions', sort || CASE WHEN resolved_at IS NULL THEN ', open' ELSE ', resolved' END, NULL::text, count(*)::float8
FROM regression
GROUP BY 2

UNION ALL
SELECT 'unresolved', 'unresolved', NULL::text, count(*)::float8 FROM regression WHERE resolved_at IS NULL

UNION ALL
SELECT 'workflow', r.sort, w.workflow_type || ', ' || w.status, NULL::float8
FROM regression r
JOIN workflow_executions w ON w.id = r.workflow_execution_id
