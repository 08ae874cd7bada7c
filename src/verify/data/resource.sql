-- Samples of the documented instances; scaling events by type, and the documented ones among them.
WITH sample AS (
    SELECT instance_id, resource_type, metric_name, metric_value, "timestamp"
    FROM resource_metrics
    WHERE instance_id IN (
        'i-0abc123def456', 'i-0abc123def457', 'i-0abc123def458', 'i-0xyz789ghi012', 'i-techstart001'
    )
),
gpu AS (
    SELECT instance_id::text, metric_value, "timestamp"
    FROM sample
    WHERE resource_type = 'gpu' AND metric_name = 'utilization'
),
-- An event is one of the documented ones when a documented agent took so long for such an outcome.
documented AS (
    SELECT
        e.event_type || CASE WHEN e.success THEN ' succeeded' ELSE ' failed' END AS outcome,
        e.event_type::text,
        e.success,
        e.error_details ->> 'error_type' AS error_type,
        e.executed_at,
        e.workflow_execution_id,
        d.minutes::float8
    FROM (VALUES
        ('scale_up', true, 15), ('scale_up', true, 5), ('scale_up', false, 2),
        ('scale_down', true, 10), ('scale_down', true, 5),
        ('auto_scale_triggered', true, 15), ('manual_scale', true, 10), ('scale_cancelled', true, 1)
    ) AS d (event_type, success, minutes)
    JOIN scaling_events e
        ON e.event_type::text = d.event_type
        AND e.success = d.success
        AND e.completed_at - e.executed_at = make_interval(mins => d.minutes)
    JOIN agents a ON a.id = e.agent_id AND a.id = '00000000-0000-0000-0000-000000000104'
)
SELECT 'customer' AS check, name::text AS object, NULL AS word, count(*)::float8 AS number
FROM customers
WHERE name = 'TechStart Inc'
GROUP BY name

UNION ALL
SELECT 'types', resource_type::text, NULL, count(*) FROM sample GROUP BY resource_type

UNION ALL
SELECT 'instances', instance_id, NULL, avg(metric_value) FROM gpu GROUP BY instance_id

UNION ALL
SELECT 'samples', instance_id, NULL, count(*) FROM gpu GROUP BY instance_id

UNION ALL
(SELECT DISTINCT ON (instance_id) 'latest_gpu', instance_id, NULL, metric_value
FROM gpu
ORDER BY instance_id, "timestamp" DESC)

UNION ALL
SELECT 'time_range', f.object, NULL, f.number
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
SELECT 'events', event_type::text, NULL, count(*) FROM scaling_events GROUP BY event_type

UNION ALL
SELECT 'events', event_type || ' succeeded', NULL, count(*) FROM scaling_events WHERE success GROUP BY event_type

UNION ALL
SELECT 'outcomes', outcome, NULL, avg(minutes)
FROM (SELECT DISTINCT outcome, minutes FROM documented) AS distinct_outcome
GROUP BY outcome

UNION ALL
SELECT 'failed_event', 'failed', NULL, count(DISTINCT (outcome, minutes)) FROM documented WHERE NOT success

UNION ALL
SELECT 'failed_event', event_type, error_type, NULL FROM documented WHERE NOT success

UNION ALL
(SELECT 'recent_event', f.object, f.word, f.number
FROM (SELECT outcome, minutes FROM documented ORDER BY executed_at DESC LIMIT 1) AS recent,
LATERAL (VALUES ('type', recent.outcome, NULL), ('minutes', NULL, recent.minutes)) AS f (object, word, number))

UNION ALL
SELECT 'workflow', d.outcome, w.workflow_type || ', ' || w.status, NULL
FROM documented d
JOIN workflow_executions w ON w.id = d.workflow_execution_id
