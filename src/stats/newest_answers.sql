-- When the newest answers begin, if there are more of them. $1: a customer, or null for all. $2: how many.
-- A customer's are in the index by model: its models are found by going from one to the next in it, and the newest of
-- each are put together.
WITH RECURSIVE model AS (
    (SELECT model_name FROM quality_metrics WHERE customer_id = $1 ORDER BY model_name LIMIT 1)
    UNION ALL
    SELECT (
        SELECT q.model_name
        FROM quality_metrics AS q
        WHERE q.customer_id = $1 AND q.model_name > model.model_name
        ORDER BY q.model_name
        LIMIT 1
    )
    FROM model
    WHERE model.model_name IS NOT NULL
)
SELECT n."timestamp" AS begin
FROM (
    (SELECT "timestamp" FROM quality_metrics WHERE $1 IS NULL ORDER BY "timestamp" DESC LIMIT $2 + 1)
    UNION ALL
    SELECT t."timestamp"
    FROM model
    CROSS JOIN LATERAL (
        SELECT q."timestamp"
        FROM quality_metrics AS q
        WHERE q.customer_id = $1 AND q.model_name = model.model_name
        ORDER BY q."timestamp" DESC
        LIMIT $2 + 1
    ) AS t
) AS n
ORDER BY n."timestamp" DESC
OFFSET $2
LIMIT 1
