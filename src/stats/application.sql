-- The questions of 0.2e about quality. $1: a customer, or null for all. $2: the time to begin with, or null. $3: the
-- same for the answers, of which only the newest are read unless all are asked for.
WITH regression AS NOT MATERIALIZED (
    SELECT * FROM quality_regressions
    WHERE ($1 IS NULL OR customer_id = $1) AND ($2 IS NULL OR detected_at >= $2)
),
answer AS NOT MATERIALIZED (
    SELECT * FROM quality_metrics
    WHERE ($1 IS NULL OR customer_id = $1) AND ($3 IS NULL OR "timestamp" >= $3)
),
-- The first read of the answers; the second is for the lines, because the span of time has to be known for them.
figure AS MATERIALIZED (
    SELECT
        model_name,
        count(*) AS answers,
        avg(overall_quality_score) AS average_quality,
        avg(latency_ms) AS average_latency_ms,
        count(*) FILTER (WHERE hallucination_detected) AS hallucinations,
        min("timestamp") AS first,
        max("timestamp") AS last
    FROM answer
    GROUP BY model_name
),
span AS MATERIALIZED (
    SELECT min(first) AS origin, greatest(interval '1 minute', (max(last) - min(first)) / 48) AS width
    FROM figure
),
average AS MATERIALIZED (
    SELECT
        a.model_name,
        date_bin(s.width, a."timestamp", s.origin) AS "at",
        avg(a.overall_quality_score) AS value
    FROM answer AS a
    CROSS JOIN span AS s
    GROUP BY a.model_name, date_bin(s.width, a."timestamp", s.origin)
),
-- What a model is measured against: the newest baseline of each customer, each by the weight of its samples.
baseline AS (
    SELECT
        model_name,
        sum(avg_overall_score * greatest(sample_size, 1)) / sum(greatest(sample_size, 1)) AS score
    FROM (
        SELECT DISTINCT ON (customer_id, model_name) model_name, avg_overall_score, sample_size
        FROM quality_baselines
        WHERE $1 IS NULL OR customer_id = $1
        ORDER BY customer_id, model_name, established_at DESC, id
    ) AS newest
    GROUP BY model_name
)
SELECT jsonb_build_object(
    'quality', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.model_name COLLATE "C"), '[]')
        FROM (
            SELECT model_name, answers, average_quality, average_latency_ms, hallucinations FROM figure
        ) AS f
    ),
    'regressions', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.severity), '[]')
        FROM (
            SELECT
                severity,
                count(*) FILTER (WHERE resolved_at IS NULL) AS open,
                count(resolved_at) AS resolved
            FROM regression
            GROUP BY severity
        ) AS f
    ),
    'unresolved_regressions', (SELECT count(*) FROM regression WHERE resolved_at IS NULL),
    'open_regressions', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) - 'id' ORDER BY f.detected_at DESC, f.id), '[]')
        FROM (
            SELECT
                r.id,
                c.name AS customer,
                b.model_name,
                r.regression_type,
                r.severity,
                r.metric_name,
                r.delta_percent,
                r.detected_at
            FROM regression r
            JOIN customers c ON c.id = r.customer_id
            JOIN quality_baselines b ON b.id = r.baseline_id
            WHERE r.resolved_at IS NULL
            ORDER BY r.detected_at DESC, r.id
            LIMIT 20
        ) AS f
    ),
    'quality_over_time', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.model_name COLLATE "C"), '[]')
        FROM (
            SELECT
                a.model_name,
                (SELECT b.score FROM baseline AS b WHERE b.model_name = a.model_name) AS baseline,
                jsonb_agg(jsonb_build_object('at', a."at", 'value', a.value) ORDER BY a."at") AS points
            FROM average AS a
            WHERE a.model_name IN (
                SELECT model_name FROM figure ORDER BY answers DESC, model_name LIMIT 8
            )
            GROUP BY a.model_name
        ) AS f
    ),
    'regression_timeline', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) - 'id' ORDER BY f.detected_at, f.id), '[]')
        FROM (
            SELECT r.id, b.model_name, r.regression_type, r.severity, r.detected_at, r.resolved_at
            FROM regression AS r
            JOIN quality_baselines AS b ON b.id = r.baseline_id
            ORDER BY r.detected_at DESC, r.id
            LIMIT 100
        ) AS f
    )
) AS summary
