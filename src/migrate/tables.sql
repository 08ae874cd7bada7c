-- Which of the two tables are there and may be read. Only in the current schema: a history further down the search
-- path is another database's.
SELECT
    s.name IS NOT NULL AS has_schema,
    current_setting('search_path') AS search_path,
    to_regclass(s.name || '.__diesel_schema_migrations') IS NOT NULL AS diesel,
    coalesce(has_table_privilege(ours.oid, 'SELECT'), false) AS ours,
    EXISTS (SELECT FROM pg_attribute WHERE attrelid = ours.oid AND attname = 'statements_reverted') AS reverts,
    -- A worker of a cluster has the hot tables, which Citus keeps, and no history.
    EXISTS (
        SELECT FROM pg_trigger AS t
        JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE t.tgrelid = to_regclass(s.name || '.resource_metrics') AND p.proname = 'citus_truncate_trigger'
    ) AS distributed
FROM (SELECT quote_ident(current_schema()) AS name) AS s,
    LATERAL (SELECT to_regclass(s.name || '.__optiinfra_migrations')::oid AS oid) AS ours
