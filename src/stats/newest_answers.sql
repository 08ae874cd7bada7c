-- When the newest answers begin, if there are more of them. $1: a customer, or null for all. $2: how many.
-- No index has a customer's answers by time, so one who has more than that is shown those among the newest of all.
SELECT "timestamp" AS begin
FROM quality_metrics
WHERE $1 IS NULL OR (SELECT count(*) FROM (SELECT FROM quality_metrics WHERE customer_id = $1 LIMIT $2 + 1) AS few) > $2
ORDER BY "timestamp" DESC
OFFSET $2
LIMIT 1
