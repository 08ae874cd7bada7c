-- The questions of 0.2e about quality. $1: a customer, or null for all.
WITH regression AS NOT MATERIALIZED (
    SELECT * FROM quality_regressions WHERE $1 IS NULL OR customer_id = $1
)
SELECT jsonb_build_object(
    'quality', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.model_name COLLATE "C"), '[]')
        FROM (
            SELECT
                model_name,
                count(*) AS answers,
                avg(overall_quality_score) AS average_quality,
                avg(latency_ms) AS average_latency_ms,
                count(*) FILTER (WHERE hallucination_detected) AS hallucinations
            FROM quality_metrics
            WHERE $1 IS NULL OR customer_id = $1
            GROUP BY model_name
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
    )
) AS summary
