-- What the catalog does not hold of tables that are to be distributed, or are.
-- $1: names of the hot tables; $2: how many bytes a table has at least whose rows are moved beside its writers.
WITH hot AS (
    SELECT c.* FROM pg_class c
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relname = ANY ($1)
),
widened AS (
    SELECT i.relname::text AS name, x.indisvalid AS is_valid
    FROM pg_index x
    JOIN pg_class i ON i.oid = x.indexrelid
    WHERE i.relnamespace = quote_ident(current_schema())::regnamespace AND i.relname LIKE '%\_widened'
      AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.oid)
)
SELECT
    ARRAY(SELECT name FROM widened WHERE is_valid) AS built,
    ARRAY(SELECT name FROM widened WHERE NOT is_valid) AS broken,
    ARRAY(
        SELECT hot.relname::text FROM hot
        WHERE $2 <= (
            SELECT sum(pg_table_size(relid))
            FROM (SELECT relid FROM pg_partition_tree(hot.oid) UNION SELECT hot.oid) part
        )
    ) AS large,
    current_setting('wal_level') AS wal_level,
    quote_ident(d.datname) AS database,
    pg_has_role(d.datdba, 'USAGE') AS owns_database,
    EXISTS (
        SELECT FROM pg_db_role_setting s
        WHERE s.setdatabase = d.oid AND s.setrole = 0 AND 'citus.propagate_set_commands=local' = ANY (s.setconfig)
    ) AS propagates,
    to_regclass('__optiinfra_topology') IS NOT NULL AS has_topology
FROM pg_database d
WHERE d.datname = current_database()
