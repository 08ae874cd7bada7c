-- Who is there. $1: a customer, or null for all.
SELECT jsonb_build_object(
    'customers', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.name, f.id), '[]')
        FROM (
            SELECT id, name, email, plan
            FROM customers
            WHERE $1 IS NULL OR id = $1
        ) AS f
    ),
    'agents', (
        SELECT coalesce(jsonb_agg(to_jsonb(f) ORDER BY f.type, f.name), '[]')
        FROM (SELECT type, name, status FROM agents) AS f
    )
) AS summary
