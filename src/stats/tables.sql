-- What the server has counted about our tables, a partitioned one with its partitions; null where it does not count. A
-- standby counts what it reads, and not the dead rows of its primary. Reads the catalog only, so it waits for no lock.
-- $1: names of tables.
SELECT
    t.relname::text AS name,
    CASE WHEN NOT pg_is_in_recovery() THEN sum(s.n_dead_tup)::bigint END AS dead_rows,
    sum(s.seq_scan)::bigint AS seq_scans,
    sum(CASE WHEN s.relid IS NOT NULL THEN coalesce(s.idx_scan, 0) END)::bigint AS index_scans,
    max(greatest(s.last_vacuum, s.last_autovacuum)) AS last_vacuum,
    max(greatest(s.last_analyze, s.last_autoanalyze)) AS last_analyze,
    sum(
        io.heap_blks_hit + coalesce(io.idx_blks_hit, 0) + coalesce(io.toast_blks_hit, 0) + coalesce(io.tidx_blks_hit, 0)
    )::bigint AS blocks_hit,
    sum(
        io.heap_blks_read + coalesce(io.idx_blks_read, 0) + coalesce(io.toast_blks_read, 0)
        + coalesce(io.tidx_blks_read, 0)
    )::bigint AS blocks_read
FROM pg_class AS t
CROSS JOIN LATERAL (
    SELECT t.oid UNION ALL SELECT inhrelid FROM pg_inherits WHERE t.relkind = 'p' AND inhparent = t.oid
) AS part
JOIN pg_class AS c ON c.oid = part.oid
LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid AND current_setting('track_counts')::boolean
LEFT JOIN pg_statio_all_tables AS io ON io.relid = c.oid AND current_setting('track_counts')::boolean
WHERE t.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND t.relname = ANY ($1)
GROUP BY t.relname
