-- Bytes on disk of our tables. Opens each of them, so it waits for whoever holds one. $1: names of tables.
SELECT
    relname::text AS name,
    coalesce(pg_total_relation_size(oid), 0) AS total,
    coalesce(pg_indexes_size(oid), 0) AS indexes,
    coalesce(pg_total_relation_size(nullif(reltoastrelid, 0)), 0) AS toast
FROM pg_class
WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relname = ANY ($1)
