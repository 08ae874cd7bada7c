-- The average of all samples of a metric of an instance. Of each unit, the newest hour with a total stands for all hours until
-- then, whether their samples are there or not; newer hours count by their sums, and what is newer than these by its samples.
-- So it reads a few rows, however long the history is. $1: customer, $2: instance, $3: resource type, $4: metric.
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
    SELECT unit, coalesce(hour, '-infinity') AS hour, total_count AS samples, total_avg AS average
    FROM units LEFT JOIN LATERAL (
        SELECT hour, total_count, total_avg FROM resource_metrics_hourly h
        WHERE customer_id = $1 AND instance_id = $2 AND resource_type = $3 AND metric_name = $4 AND h.unit = units.unit
          AND total_count IS NOT NULL
        ORDER BY hour DESC LIMIT 1
    ) newest ON true
    WHERE unit IS NOT NULL
),
hours AS (
    SELECT h.hour, sample_count AS samples, avg_value AS average
    FROM totals JOIN resource_metrics_hourly h ON h.unit = totals.unit AND h.hour > totals.hour
    WHERE customer_id = $1 AND instance_id = $2 AND resource_type = $3 AND metric_name = $4
),
newer AS (
    SELECT count(*) AS samples, avg(metric_value) AS average
    FROM resource_metrics
    WHERE customer_id = $1
      AND instance_id = $2
      AND resource_type = $3
      AND metric_name = $4
      AND "timestamp" >= coalesce(
          (SELECT max(hour) + interval '1 hour' FROM (SELECT hour FROM totals UNION ALL SELECT hour FROM hours) summed),
          '-infinity')
),
shares AS (
    SELECT average, samples / sum(samples) OVER () AS share
    FROM (SELECT samples, average FROM totals UNION ALL SELECT samples, average FROM hours
          UNION ALL SELECT samples, average FROM newer) parts
    WHERE samples > 0
)
-- Each average by its share, so that no sum is too great for a number.
SELECT sum(average * share::float8) AS average FROM shares
