-- When the newest samples begin, if there are more of them. $1: a customer, or null for all. $2: how many.
-- A customer's are in the index by resource type, so the newest of each type are put together.
SELECT n."timestamp" AS begin
FROM (
    (SELECT "timestamp" FROM resource_metrics WHERE $1 IS NULL ORDER BY "timestamp" DESC LIMIT $2 + 1)
    UNION ALL
    SELECT t."timestamp"
    FROM unnest(enum_range(NULL::resource_type)) AS kind
    CROSS JOIN LATERAL (
        SELECT "timestamp"
        FROM resource_metrics
        WHERE customer_id = $1 AND resource_type = kind
        ORDER BY "timestamp" DESC
        LIMIT $2 + 1
    ) AS t
) AS n
ORDER BY n."timestamp" DESC
OFFSET $2
LIMIT 1
