-- Bytes on disk of our tables, and how many rows that makes. Opens each of them, so it waits for whoever holds one.
-- $1: names of tables.
SELECT
    relname::text AS name,
    coalesce(pg_total_relation_size(oid), 0) AS total,
    coalesce(pg_indexes_size(oid), 0) AS indexes,
    coalesce(pg_total_relation_size(nullif(reltoastrelid, 0)), 0) AS toast,
    -- As the planner has it: as many rows a page as at the last vacuum or analyze, in the pages of today. Where the
    -- table was empty then, the planner guesses by the width of a row; that is no figure to tell.
    CASE
        WHEN reltuples >= 0 AND relpages > 0
            THEN round(reltuples::float8 / relpages * (pg_relation_size(oid) / current_setting('block_size')::bigint))
        WHEN reltuples = 0 AND pg_relation_size(oid) = 0 THEN 0
    END AS estimate
FROM pg_class
WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relname = ANY ($1)
