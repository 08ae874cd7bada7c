-- When the newest answers of a distributed table begin, if there are more of them. $1: a customer, or null for all. $2: how
-- many.
SELECT "timestamp" AS begin
FROM quality_metrics
WHERE $1 IS NULL OR customer_id = $1
ORDER BY "timestamp" DESC
OFFSET $2
LIMIT 1
