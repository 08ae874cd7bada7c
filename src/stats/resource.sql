-- The questions of 0.2d part 2 about samples and scaling events. $1: a customer, or null for all.
WITH metric AS NOT MATERIALIZED (
    SELECT * FROM resource_metrics WHERE $1 IS NULL OR customer_id = $1
),
event AS NOT MATERIALIZED (
    SELECT *, extract(epoch FROM completed_at - executed_at)::float8 AS duration_seconds
    FROM scaling_events
    WHERE $1 IS NULL OR customer_id = $1
)
SELECT jsonb_build_object(
    'metrics', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.resource_type), '[]')
        FROM (SELECT resource_type, count(*) FROM metric GROUP BY resource_type) AS f
    ),
    'instances', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.instance_id COLLATE "C"), '[]')
        FROM (
            SELECT
                instance_id,
                count(*) AS metrics,
                count(*) FILTER (WHERE is_gpu_utilization) AS gpu_samples,
                avg(metric_value) FILTER (WHERE is_gpu_utilization) AS average_gpu_utilization
            FROM metric
            CROSS JOIN LATERAL (SELECT resource_type = 'gpu' AND metric_name = 'utilization' AS is_gpu_utilization) AS k
            GROUP BY instance_id
        ) AS f
    ),
    -- Of samples of one moment the one with the greatest id, as ResourceMetric::latest has it.
    'latest_gpu_utilization', (
        SELECT to_jsonb(f)
        FROM (
            SELECT instance_id, metric_value AS utilization, "timestamp"
            FROM metric
            WHERE resource_type = 'gpu' AND metric_name = 'utilization'
            ORDER BY "timestamp" DESC, id DESC
            LIMIT 1
        ) AS f
    ),
    'scaling_events', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.event_type), '[]')
        FROM (
            SELECT event_type, count(*), count(*) FILTER (WHERE success) AS succeeded
            FROM event
            GROUP BY event_type
        ) AS f
    ),
    'scaling_outcomes', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.event_type, f.success DESC), '[]')
        FROM (
            SELECT event_type, success, count(*), avg(duration_seconds) / 60 AS average_minutes
            FROM event
            WHERE completed_at IS NOT NULL
            GROUP BY event_type, success
        ) AS f
    ),
    'latest_scaling_event', (
        SELECT to_jsonb(f)
        FROM (
            SELECT event_type, success, trigger_reason, executed_at, duration_seconds
            FROM event
            ORDER BY executed_at DESC, id DESC
            LIMIT 1
        ) AS f
    )
) AS summary
