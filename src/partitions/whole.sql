-- Whether the caller may put a filled table into a partitioned one. $1: the table.
SELECT coalesce(r.relkind = 'p', false) AS partitioned,
       coalesce(pg_has_role(r.relowner, 'USAGE'), false)
           AND has_schema_privilege(n.nspname, 'CREATE') AS owned,
       coalesce(row_security_active(r.oid), false) AS secured,
       EXISTS (
           SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
           WHERE t.tgrelid = r.oid AND p.proname = 'citus_truncate_trigger'
       ) AS distributed,
       EXISTS (
           SELECT FROM pg_publication_tables p
           WHERE p.schemaname = n.nspname
             AND (p.tablename = r.relname
                  OR p.tablename IN (SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = r.oid))
       ) AS published
FROM pg_namespace n
LEFT JOIN pg_class r ON r.relnamespace = n.oid AND r.relname = $1
WHERE n.nspname = current_schema()
