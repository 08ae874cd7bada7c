-- Foreign keys of our tables that no valid index begins with, in any order of their columns: a delete of the parent
-- reads the whole table. $1: names of tables.
SELECT
    t.relname::text AS table,
    k.conname::text AS constraint_name,
    ARRAY(
        SELECT a.attname::text
        FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.attnum
        ORDER BY u.place
    ) AS columns
FROM pg_constraint AS k
JOIN pg_class AS t ON t.oid = k.conrelid
WHERE k.contype = 'f'
    AND t.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
    AND t.relname = ANY ($1)
    AND NOT EXISTS (
        SELECT FROM pg_index AS i
        WHERE i.indrelid = k.conrelid
            AND i.indisvalid
            AND i.indpred IS NULL
            AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey
    )
ORDER BY t.relname COLLATE "C", k.conname COLLATE "C"
