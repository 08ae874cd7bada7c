-- By how much tables and B-tree indexes would about be smaller if they were written anew, where that is a megabyte and a fifth
-- of them at least: what they take beside what the planner's statistics say that their rows do, as check_postgres and
-- pgsql-bloat-estimation have it. Equal keys of an index share their place, so of one with few different keys this says too
-- little. What the role may not read has no statistics, nor has an index of an expression.
WITH relation AS (
    SELECT
        c.oid,
        t.oid AS table_oid,
        t.relname::text AS "table",
        CASE WHEN i.indexrelid IS NOT NULL THEN c.relname::text END AS index,
        i.indkey,
        c.relpages::float8 AS pages,
        c.reltuples::float8 AS rows,
        b.size AS block,
        coalesce(
            (SELECT option_value::float8 FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'),
            CASE WHEN i.indexrelid IS NULL THEN 100 ELSE 90 END
        ) / 100 AS fill
    FROM pg_class AS c
    JOIN pg_am AS a ON a.oid = c.relam AND a.amname IN ('heap', 'btree')
    LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
    JOIN pg_class AS t ON t.oid = coalesce(i.indrelid, c.oid)
    CROSS JOIN (SELECT current_setting('block_size')::float8 AS size) AS b
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'i')
        AND c.relpages * b.size >= 1024 * 1024 AND c.reltuples > 0
),
-- Headers and values begin at multiples of eight bytes, and a pointer of four leads to each row.
row_size AS (
    SELECT
        r.oid,
        4
        + CASE
            WHEN r.index IS NULL THEN ceil((23 + CASE WHEN max(s.null_frac) > 0 THEN ceil(count(*) / 8.0) ELSE 0 END) / 8) * 8
            WHEN max(s.null_frac) > 0 THEN 16
            ELSE 8
        END
        + ceil(sum((1 - s.null_frac) * s.avg_width) / 8) * 8 AS bytes
    FROM relation AS r
    JOIN pg_attribute AS own ON own.attrelid = r.oid AND own.attnum > 0 AND NOT own.attisdropped
    LEFT JOIN pg_attribute AS a
        ON a.attrelid = r.table_oid AND a.attnum = CASE WHEN r.index IS NULL THEN own.attnum ELSE r.indkey[own.attnum - 1] END
    LEFT JOIN pg_stats AS s
        ON s.schemaname = current_schema() AND s.tablename = r."table" AND s.attname = a.attname AND NOT s.inherited
    GROUP BY r.oid, r.index
    HAVING count(*) = count(s.attname)
)
SELECT
    r."table",
    r.index,
    (r.pages * r.block)::bigint AS bytes,
    ((r.pages - n.pages) * r.block)::bigint AS bloat_bytes
FROM relation AS r
JOIN row_size AS s ON s.oid = r.oid
-- A page has a header, and one of an index 16 bytes more at its end.
CROSS JOIN LATERAL (
    SELECT ceil(r.rows / floor((r.block - CASE WHEN r.index IS NULL THEN 24 ELSE 40 END) * r.fill / s.bytes)) AS pages
) AS n
WHERE (r.pages - n.pages) * r.block >= 1024 * 1024 AND n.pages <= 0.8 * r.pages
ORDER BY bloat_bytes DESC, r."table", r.index
