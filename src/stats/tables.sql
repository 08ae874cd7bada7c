-- What the server has counted about our tables. Reads the catalogue only, so it waits for nobody's lock.
-- $1: names of tables.
SELECT
    c.relname::text AS name,
    coalesce(s.n_dead_tup, 0) AS dead_rows,
    coalesce(s.seq_scan, 0) AS seq_scans,
    coalesce(s.idx_scan, 0) AS index_scans,
    greatest(s.last_vacuum, s.last_autovacuum) AS last_vacuum,
    greatest(s.last_analyze, s.last_autoanalyze) AS last_analyze,
    coalesce(io.heap_blks_hit, 0) + coalesce(io.idx_blks_hit, 0)
        + coalesce(io.toast_blks_hit, 0) + coalesce(io.tidx_blks_hit, 0) AS blocks_hit,
    coalesce(io.heap_blks_read, 0) + coalesce(io.idx_blks_read, 0)
        + coalesce(io.toast_blks_read, 0) + coalesce(io.tidx_blks_read, 0) AS blocks_read
FROM pg_class AS c
LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid
LEFT JOIN pg_statio_all_tables AS io ON io.relid = c.oid
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND c.relname = ANY ($1)
