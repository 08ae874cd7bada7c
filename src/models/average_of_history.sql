-- The average of all samples of a metric of an instance. Hours that are summed count by their sums, whether their samples are
-- there or not; what is newer than the newest sum counts by its samples. $1: customer, $2: instance, $3: resource type,
-- $4: metric.
WITH hours AS (
    SELECT hour, sample_count AS samples, avg_value AS average
    FROM resource_metrics_hourly
    WHERE customer_id = $1 AND instance_id = $2 AND resource_type = $3 AND metric_name = $4
),
newer AS (
    SELECT count(*) AS samples, avg(metric_value) AS average
    FROM resource_metrics
    WHERE customer_id = $1
      AND instance_id = $2
      AND resource_type = $3
      AND metric_name = $4
      AND "timestamp" >= coalesce((SELECT max(hour) + interval '1 hour' FROM hours), '-infinity')
),
shares AS (
    SELECT average, samples / sum(samples) OVER () AS share
    FROM (SELECT samples, average FROM hours UNION ALL SELECT samples, average FROM newer WHERE samples > 0) parts
)
-- Each average by its share, so that no sum is too great for a number.
SELECT sum(average * share::float8) AS average FROM shares
