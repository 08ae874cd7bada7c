-- Bytes on disk of our tables, a partitioned one with its partitions, and how many rows that makes. Opens each of them, so
-- it waits for whoever holds one. $1: names of tables.
SELECT
    t.relname::text AS name,
    sum(coalesce(pg_total_relation_size(c.oid), 0))::bigint AS total,
    sum(coalesce(pg_indexes_size(c.oid), 0))::bigint AS indexes,
    sum(coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0))::bigint AS toast,
    -- As the planner has it: as many rows a page as at the last vacuum or analyze, in the pages of today. Where the
    -- table was empty then, the planner guesses by the width of a row; that is no figure to tell, and neither is a sum
    -- with a partition that has none.
    CASE WHEN bool_and(e.estimate IS NOT NULL) FILTER (WHERE c.relkind <> 'p') THEN sum(e.estimate) END AS estimate
FROM pg_class AS t
CROSS JOIN LATERAL (
    SELECT t.oid UNION ALL SELECT inhrelid FROM pg_inherits WHERE t.relkind = 'p' AND inhparent = t.oid
) AS part
JOIN pg_class AS c ON c.oid = part.oid
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN c.relkind = 'p' THEN NULL
        WHEN c.reltuples >= 0 AND c.relpages > 0
            THEN round(
                c.reltuples::float8 / c.relpages * (pg_relation_size(c.oid) / current_setting('block_size')::bigint)
            )
        WHEN pg_relation_size(c.oid) = 0 AND (c.reltuples = 0 OR c.relispartition) THEN 0
    END AS estimate
) AS e
WHERE t.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND t.relname = ANY ($1)
GROUP BY t.relname
