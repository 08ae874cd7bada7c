-- Samples and scaling events of the seed. $1: the ids of its rows. $2, $3: those of customers and agents, with their
-- documented names.
WITH documented AS (
    SELECT d.id, d.name FROM unnest($2::uuid[], $3::text[]) AS d (id, name)
),
sample AS (
    SELECT instance_id::text, resource_type, metric_name, metric_value, "timestamp"
    FROM resource_metrics
    WHERE id = ANY ($1)
),
gpu AS (
    SELECT instance_id, metric_value, "timestamp"
    FROM sample
    WHERE resource_type = 'gpu' AND metric_name = 'utilization'
),
event AS (
    SELECT
        event_type::text,
        event_type || CASE WHEN success THEN ' succeeded' ELSE ' failed' END AS outcome,
        success,
        error_details ->> 'error_type' AS error_type,
        executed_at,
        workflow_execution_id,
        extract(epoch FROM completed_at - executed_at)::float8 / 60 AS minutes
    FROM scaling_events
    WHERE id = ANY ($1)
)
SELECT
    'customer' AS check,
    d.name AS object,
    nullif(c.name::text, d.name) AS word,
    (c.name = d.name)::int::float8 AS number
FROM documented d
JOIN customers c ON c.id = d.id
WHERE d.name = 'TechStart Inc'

UNION ALL
SELECT 'types', resource_type::text, NULL::text, count(*)::float8 FROM sample GROUP BY resource_type

UNION ALL
SELECT 'instances', instance_id, NULL::text, avg(metric_value) FROM gpu GROUP BY instance_id

UNION ALL
SELECT 'samples', instance_id, NULL::text, count(*)::float8 FROM gpu GROUP BY instance_id

UNION ALL
(SELECT DISTINCT ON (instance_id) 'latest_gpu', instance_id, NULL::text, metric_value
FROM gpu
ORDER BY instance_id, "timestamp" DESC)

UNION ALL
SELECT 'time_range', f.object, NULL::text, f.number
FROM (
    SELECT count(*)::float8 AS samples, extract(epoch FROM max("timestamp") - min("timestamp")) / 3600 AS hours
    FROM gpu
    WHERE instance_id = 'i-0abc123def456'
      AND "timestamp" BETWEEN
        (SELECT max("timestamp") - interval '11 hours' FROM gpu WHERE instance_id = 'i-0abc123def456')
        AND (SELECT max("timestamp") FROM gpu WHERE instance_id = 'i-0abc123def456')
) range,
LATERAL (VALUES ('samples', range.samples), ('hours from first to last', range.hours)) AS f (object, number)

UNION ALL
SELECT 'events', event_type, NULL::text, count(*)::float8 FROM event GROUP BY event_type

UNION ALL
SELECT 'events', outcome, NULL::text, count(*)::float8 FROM event WHERE success GROUP BY outcome

UNION ALL
SELECT 'outcomes', outcome, NULL::text, avg(minutes) FROM event GROUP BY outcome

UNION ALL
SELECT 'failed_event', 'failed', NULL::text, count(*)::float8 FROM event WHERE NOT success

UNION ALL
SELECT 'failed_event', event_type, min(error_type), NULL::float8 FROM event WHERE NOT success GROUP BY event_type

UNION ALL
(SELECT 'recent_event', f.object, f.word, f.number
FROM (SELECT outcome, minutes FROM event ORDER BY executed_at DESC LIMIT 1) AS recent,
LATERAL (VALUES ('type', recent.outcome, NULL::float8), ('minutes', NULL, recent.minutes)) AS f (object, word, number))

UNION ALL
SELECT 'workflow', e.outcome, w.workflow_type || ', ' || w.status, NULL::float8
FROM event e
JOIN workflow_executions w ON w.id = e.workflow_execution_id
