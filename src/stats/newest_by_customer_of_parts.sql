-- The same of a distributed table, which cannot be asked for each row of another one: each part looks at its customers.
SELECT c.id AS customer_id, c.name AS customer, n."timestamp" AS newest_sample
FROM customers AS c
LEFT JOIN (
    SELECT customer_id, max("timestamp") AS "timestamp" FROM resource_metrics
    WHERE $1 IS NULL OR customer_id = $1
    GROUP BY customer_id
) AS n ON n.customer_id = c.id
WHERE $1 IS NULL OR c.id = $1
