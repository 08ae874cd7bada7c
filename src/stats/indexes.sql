-- The indexes of our tables. $1: names of tables. $2: whether to measure them, which waits for whoever has locked one.
-- The scans are null where the server does not count. The index of a partitioned table is those of its partitions.
SELECT
    t.relname::text AS table,
    c.relname::text AS name,
    m.bytes,
    m.scans,
    i.indisunique AS is_unique,
    i.indisvalid AS is_valid,
    EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')) AS is_constraint,
    -- What may never be called superfluous: it says which row is meant, or returns more columns than it orders by.
    i.indisreplident OR i.indnatts > i.indnkeyatts AS is_needed,
    a.amname || ' ' || coalesce(pg_get_expr(i.indpred, i.indrelid), '')
        || CASE WHEN coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) THEN ' nulls not distinct' ELSE '' END
        AS kind,
    ARRAY(
        SELECT concat_ws(
            ' ', pg_get_indexdef(c.oid, k, false), i.indclass[k - 1], i.indcollation[k - 1], i.indoption[k - 1]
        )
        FROM generate_series(1, i.indnkeyatts) AS k
        ORDER BY k
    ) AS keys
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_class AS t ON t.oid = i.indrelid
JOIN pg_am AS a ON a.oid = c.relam
CROSS JOIN LATERAL (
    SELECT
        sum(CASE WHEN $2 THEN pg_relation_size(oid) END)::bigint AS bytes,
        sum(CASE WHEN current_setting('track_counts')::boolean THEN pg_stat_get_numscans(oid) END)::bigint AS scans
    FROM (SELECT c.oid UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid) AS part
) AS m
WHERE t.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND t.relname = ANY ($1)
ORDER BY t.relname COLLATE "C", c.relname COLLATE "C"
