-- The time of each customer's newest sample. $1: a customer, or null for all.
SELECT c.id AS customer_id, c.name AS customer, n."timestamp" AS newest_sample
FROM customers AS c
CROSS JOIN LATERAL (
    SELECT max(t."timestamp") AS "timestamp"
    FROM unnest(enum_range(NULL::resource_type)) AS kind
    CROSS JOIN LATERAL (
        SELECT r."timestamp"
        FROM resource_metrics AS r
        -- A range of one type and an order by type, which the index with customer, type and time has. That of the
        -- time alone does not have it: there, a customer's samples lie among everybody's.
        WHERE r.customer_id = c.id AND r.resource_type >= kind AND r.resource_type <= kind
        ORDER BY r.resource_type DESC, r."timestamp" DESC
        LIMIT 1
    ) AS t
) AS n
WHERE $1 IS NULL OR c.id = $1
