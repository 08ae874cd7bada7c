-- How rows get into a table on this connection: whether row security applies to the caller, who may then not COPY into
-- it, whether it is partitioned, whether Citus keeps it (then it has this trigger), and whether the session has a temporary table that still has the table's columns. Another schema's table of the
-- same name has enum types of its own.
SELECT row_security_active(hot.oid) AS secured,
       (SELECT relkind = 'p' FROM pg_class WHERE pg_class.oid = hot.oid) AS partitioned,
       EXISTS (
           SELECT 1 FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
           WHERE t.tgrelid = hot.oid AND p.proname = 'citus_truncate_trigger'
       ) AS distributed,
       staging.oid IS NOT NULL AS staged,
       NOT EXISTS (
           SELECT a.attname, a.atttypid, a.atttypmod FROM pg_attribute a
           WHERE a.attrelid = hot.oid AND a.attnum > 0 AND NOT a.attisdropped
           EXCEPT
           SELECT a.attname, a.atttypid, a.atttypmod FROM pg_attribute a
           WHERE a.attrelid = staging.oid AND a.attnum > 0 AND NOT a.attisdropped
       ) AS fits
FROM (SELECT $1::regclass::oid AS oid) hot, (SELECT to_regclass($2)::oid AS oid) staging
