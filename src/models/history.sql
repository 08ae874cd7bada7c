-- What stands for the history of a metric of an instance: of each unit, the newest hour with a total for all hours until then,
-- and each newer hour with its own sums. $1: customer, $2: instance, $3: resource type, $4: metric.
WITH RECURSIVE units AS (
    (SELECT unit FROM resource_metrics_hourly
     WHERE customer_id = $1 AND instance_id = $2 AND resource_type = $3 AND metric_name = $4
     ORDER BY unit LIMIT 1)
    UNION ALL
    SELECT (SELECT h.unit FROM resource_metrics_hourly h
            WHERE customer_id = $1 AND instance_id = $2 AND resource_type = $3 AND metric_name = $4 AND h.unit > units.unit
            ORDER BY h.unit LIMIT 1)
    FROM units WHERE unit IS NOT NULL
),
totals AS (
    SELECT units.unit, total.hour, total.samples, total.average
    FROM units LEFT JOIN LATERAL (
        SELECT hour, total_count AS samples, total_avg AS average FROM resource_metrics_hourly h
        WHERE customer_id = $1 AND instance_id = $2 AND resource_type = $3 AND metric_name = $4 AND h.unit = units.unit
          AND total_count IS NOT NULL
        ORDER BY hour DESC LIMIT 1
    ) total ON true
    WHERE units.unit IS NOT NULL
)
SELECT hour, samples, average FROM totals WHERE hour IS NOT NULL
UNION ALL
SELECT newer.hour, newer.samples, newer.average
FROM totals CROSS JOIN LATERAL (
    SELECT hour, sample_count AS samples, avg_value AS average FROM resource_metrics_hourly h
    WHERE customer_id = $1 AND instance_id = $2 AND resource_type = $3 AND metric_name = $4 AND h.unit = totals.unit
      AND h.hour > coalesce(totals.hour, '-infinity')
    -- For each unit by the key, not all hours at once.
    OFFSET 0
) newer
