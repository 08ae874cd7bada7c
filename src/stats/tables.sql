-- What the server has counted about our tables; null where it does not count. A standby counts what it reads, and not
-- the dead rows of its primary. Reads the catalog only, so it waits for no lock.
-- $1: names of tables.
SELECT
    c.relname::text AS name,
    CASE WHEN NOT pg_is_in_recovery() THEN s.n_dead_tup END AS dead_rows,
    s.seq_scan AS seq_scans,
    CASE WHEN s.relid IS NOT NULL THEN coalesce(s.idx_scan, 0) END AS index_scans,
    greatest(s.last_vacuum, s.last_autovacuum) AS last_vacuum,
    greatest(s.last_analyze, s.last_autoanalyze) AS last_analyze,
    io.heap_blks_hit + coalesce(io.idx_blks_hit, 0) + coalesce(io.toast_blks_hit, 0) + coalesce(io.tidx_blks_hit, 0)
        AS blocks_hit,
    io.heap_blks_read + coalesce(io.idx_blks_read, 0) + coalesce(io.toast_blks_read, 0)
        + coalesce(io.tidx_blks_read, 0) AS blocks_read
FROM pg_class AS c
LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid AND current_setting('track_counts')::boolean
LEFT JOIN pg_statio_all_tables AS io ON io.relid = c.oid AND current_setting('track_counts')::boolean
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND c.relname = ANY ($1)
