-- The parts of distributed tables that a node has, with what it has counted about each. The index of a part is that of the
-- table with the same definition. Of the rows of `part`, which are tables with their parts.
SELECT
    t.relname AS "table",
    part.shard,
    pg_total_relation_size(c.oid) AS total,
    pg_indexes_size(c.oid) AS indexes,
    coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0) AS toast,
    CASE
        WHEN c.reltuples >= 0 AND c.relpages > 0
            THEN round(
                c.reltuples::float8 / c.relpages * (pg_relation_size(c.oid) / current_setting('block_size')::bigint)
            )::bigint
        WHEN pg_relation_size(c.oid) = 0 THEN 0
    END AS rows,
    s.n_dead_tup AS dead_rows,
    s.seq_scan AS seq_scans,
    CASE WHEN s.relid IS NOT NULL THEN coalesce(s.idx_scan, 0) END AS index_scans,
    greatest(s.last_vacuum, s.last_autovacuum) AS last_vacuum,
    greatest(s.last_analyze, s.last_autoanalyze) AS last_analyze,
    io.heap_blks_hit + coalesce(io.idx_blks_hit, 0) + coalesce(io.toast_blks_hit, 0) + coalesce(io.tidx_blks_hit, 0)
        AS blocks_hit,
    io.heap_blks_read + coalesce(io.idx_blks_read, 0) + coalesce(io.toast_blks_read, 0) + coalesce(io.tidx_blks_read, 0)
        AS blocks_read,
    (
        SELECT coalesce(json_agg(own), '[]')
        FROM (
            SELECT
                i.relname AS name,
                pg_relation_size(x.indexrelid) AS bytes,
                CASE WHEN s.relid IS NOT NULL THEN pg_stat_get_numscans(x.indexrelid) END AS scans,
                x.indisvalid AS valid
            FROM pg_index x
            JOIN pg_index y ON y.indrelid = t.oid
                AND regexp_replace(pg_get_indexdef(y.indexrelid), '^.+? USING ', '')
                    = regexp_replace(pg_get_indexdef(x.indexrelid), '^.+? USING ', '')
            JOIN pg_class i ON i.oid = y.indexrelid
            WHERE x.indrelid = c.oid
        ) AS own
    ) AS own_indexes
FROM part
JOIN pg_class t ON t.oid = part.of
JOIN pg_class c ON c.oid = to_regclass(shard_name(part.logical, part.shard))
LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid AND current_setting('track_counts')::boolean
LEFT JOIN pg_statio_all_tables io ON io.relid = c.oid AND current_setting('track_counts')::boolean
