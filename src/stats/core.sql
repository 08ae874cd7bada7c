-- Who is there. $1: a customer, or null for all. $2, the time to begin with, means nothing here.
SELECT jsonb_build_object(
    'customers', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.name, f.id), '[]')
        FROM (
            SELECT id, name, email, plan
            FROM customers
            WHERE ($1 IS NULL OR id = $1) AND ($2 IS NULL OR true)
        ) AS f
    ),
    'agents', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.type, f.name), '[]')
        FROM (SELECT type, name, status FROM agents) AS f
    )
) AS summary
