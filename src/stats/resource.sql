-- The questions of 0.2d part 2 about samples and scaling events. $1: a customer, or null for all. $2: the time to begin
-- with, or null. $3: the same for the samples, of which only the newest are read unless all are asked for. `newest` is the
-- time of each customer's newest sample.
-- Of every type: so the index with customer, type and time has a customer's newest, and not that of the time alone, in
-- which they lie among everybody's.
WITH metric AS NOT MATERIALIZED (
    SELECT * FROM resource_metrics
    WHERE ($1 IS NULL OR (customer_id = $1 AND resource_type = ANY (enum_range(NULL::resource_type))))
        AND ($3 IS NULL OR "timestamp" >= $3)
),
event AS NOT MATERIALIZED (
    SELECT
        e.id,
        e.event_type,
        e.success,
        e.trigger_reason,
        e.executed_at,
        e.completed_at,
        extract(epoch FROM e.completed_at - e.executed_at)::float8 AS duration_seconds,
        c.name AS customer,
        coalesce(
            e.metadata ->> 'instance_id',
            e.before_state ->> 'instance_id',
            e.after_state ->> 'instance_id',
            (
                SELECT string_agg(i.id, ', ')
                FROM jsonb_array_elements_text(
                    CASE jsonb_typeof(e.before_state -> 'instances') WHEN 'array' THEN e.before_state -> 'instances' END
                ) AS i (id)
            ),
            (e.before_state ->> 'instance_count') || ' instances'
        ) AS instances,
        coalesce(e.error_details ->> 'error_message', e.error_details ->> 'error_type') AS error
    FROM scaling_events AS e
    LEFT JOIN customers AS c ON c.id = e.customer_id
    WHERE ($1 IS NULL OR e.customer_id = $1) AND ($2 IS NULL OR e.executed_at >= $2)
),
-- The first read of the samples, from which every figure but the lines comes.
figure AS MATERIALIZED (
    SELECT
        instance_id,
        resource_type,
        metric_name = 'utilization' AS is_utilization,
        count(*) AS samples,
        sum(metric_value) AS total,
        min("timestamp") AS first,
        max("timestamp") AS last
    FROM metric
    GROUP BY instance_id, resource_type, metric_name = 'utilization'
),
-- The second read is for what is drawn over time: 96 spans of at least a minute from the first sample on.
span AS MATERIALIZED (
    SELECT min(first) AS origin, greatest(interval '1 minute', (max(last) - min(first)) / 96) AS width
    FROM figure
),
-- The instances with most samples of utilisation: only their lines are drawn. Of equally many the first by name, in every
-- database the same.
drawn AS MATERIALIZED (
    SELECT instance_id
    FROM figure
    WHERE is_utilization
    GROUP BY instance_id
    ORDER BY sum(samples) DESC, instance_id COLLATE "C"
    LIMIT 12
),
sample AS MATERIALIZED (
    SELECT
        m.resource_type,
        -- Of the others only the band is drawn.
        d.instance_id,
        date_bin(s.width, m."timestamp", s.origin) AS "at",
        m.metric_value AS value
    FROM metric AS m
    CROSS JOIN span AS s
    LEFT JOIN drawn AS d ON d.instance_id = m.instance_id
    -- Not by the index of metric_name, where most entries are older.
    WHERE m.metric_name || '' = 'utilization'
)
SELECT jsonb_build_object(
    'metrics', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.resource_type), '[]')
        FROM (SELECT resource_type, sum(samples)::bigint AS count FROM figure GROUP BY resource_type) AS f
    ),
    'instances', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.instance_id COLLATE "C"), '[]')
        FROM (
            SELECT
                instance_id,
                sum(samples)::bigint AS metrics,
                coalesce(sum(samples) FILTER (WHERE is_gpu_utilization), 0)::bigint AS gpu_samples,
                sum(total) FILTER (WHERE is_gpu_utilization)
                    / (sum(samples) FILTER (WHERE is_gpu_utilization))::float8 AS average_gpu_utilization
            FROM figure
            CROSS JOIN LATERAL (SELECT resource_type = 'gpu' AND is_utilization AS is_gpu_utilization) AS k
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
            SELECT event_type, success, trigger_reason, executed_at, duration_seconds, customer, instances, error
            FROM event
            ORDER BY executed_at DESC, id DESC
            LIMIT 1
        ) AS f
    ),
    'utilization', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.instance_id COLLATE "C", f.resource_type), '[]')
        FROM (
            SELECT
                a.instance_id,
                a.resource_type,
                jsonb_agg(jsonb_build_object('at', a."at", 'value', a.value) ORDER BY a."at") AS points
            FROM (
                SELECT instance_id, resource_type, "at", avg(value) AS value
                FROM sample
                WHERE instance_id IS NOT NULL
                GROUP BY instance_id, resource_type, "at"
            ) AS a
            GROUP BY a.instance_id, a.resource_type
        ) AS f
    ),
    'utilization_bands', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.resource_type), '[]')
        FROM (
            SELECT
                b.resource_type,
                jsonb_agg(
                    jsonb_build_object(
                        'at', b."at", 'low', b.spread[1], 'median', b.spread[2], 'high', b.spread[3],
                        'samples', b.samples
                    ) ORDER BY b."at"
                ) AS points
            FROM (
                SELECT
                    resource_type,
                    "at",
                    percentile_cont(ARRAY[0.05, 0.5, 0.95]) WITHIN GROUP (ORDER BY value) AS spread,
                    count(*) AS samples
                FROM sample
                GROUP BY resource_type, "at"
            ) AS b
            GROUP BY b.resource_type
        ) AS f
    ),
    'newest_by_customer', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.customer, f.customer_id), '[]')
        FROM (
            SELECT customer_id, customer, newest_sample
            FROM newest
            ORDER BY newest_sample DESC NULLS LAST, customer_id
            LIMIT 1000
        ) AS f
    ),
    'utilization_instances', (SELECT count(DISTINCT instance_id) FROM figure WHERE is_utilization),
    'scaling_timeline', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) - 'id' ORDER BY f.executed_at, f.id), '[]')
        FROM (
            SELECT
                id, event_type, success, trigger_reason, executed_at, duration_seconds, customer, instances, error
            FROM event
            ORDER BY executed_at DESC, id DESC
            LIMIT 200
        ) AS f
    )
) AS summary
