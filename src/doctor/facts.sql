-- What any role may know of its server, its database and itself. $1: the tables of ours, $2: the settings that our sessions
-- replace.
WITH ours AS (
    SELECT c.oid, c.relname::text AS name, c.relowner AS owner
    FROM pg_class c
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
      AND c.relkind IN ('r', 'p')
      AND c.relname = ANY ($1)
)
SELECT
    current_setting('server_version') AS version,
    current_setting('server_version_num')::integer AS version_number,
    pg_is_in_recovery() AS is_standby,
    getdatabaseencoding()::text AS encoding,
    (SELECT concat_ws(', ', s.version, s.cipher) FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid() AND s.ssl) AS tls,
    inet_client_addr() IS NULL AS is_socket,
    current_user::text AS role,
    r.rolsuper AS is_superuser,
    r.rolbypassrls AS bypasses_row_security,
    current_schema()::text AS schema,
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create,
    ARRAY(SELECT name FROM ours ORDER BY name) AS tables,
    ARRAY(SELECT name FROM ours WHERE NOT pg_has_role(owner, 'USAGE') ORDER BY name) AS owned_by_others,
    ARRAY(SELECT name FROM ours WHERE NOT has_table_privilege(oid, 'SELECT') ORDER BY name) AS unreadable,
    ARRAY(
        SELECT name
        FROM ours
        WHERE NOT (has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))
        ORDER BY name
    ) AS unwritable,
    ARRAY(
        SELECT DISTINCT line
        FROM pg_db_role_setting s
        CROSS JOIN unnest(s.setconfig) line
        WHERE s.setdatabase IN (0, d.oid) AND s.setrole IN (0, r.oid) AND lower(split_part(line, '=', 1)) = ANY ($2)
        ORDER BY line
    ) AS replaced_settings,
    ARRAY(SELECT extname || ' ' || extversion FROM pg_extension ORDER BY extname) AS extensions,
    pg_size_pretty(pg_database_size(d.oid)) AS size,
    (SELECT pg_size_pretty(s.temp_bytes) FROM pg_stat_database s WHERE s.datid = d.oid) AS temporary,
    age(d.datfrozenxid) AS transaction_age,
    mxid_age(d.datminmxid) AS multixact_age,
    (SELECT coalesce(sum(numbackends), 0)::bigint FROM pg_stat_database) AS sessions,
    slots.idle AS idle_slots,
    slots.kept AS kept_wal,
    pg_size_pretty(slots.kept) AS kept_wal_size,
    (SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) FROM pg_stat_archiver) AS archiving_fails,
    -- As the session began: the question has a lock_timeout of its own.
    (SELECT json_object_agg(name, reset_val) FROM pg_settings WHERE vartype <> 'string') AS settings
FROM pg_database d
JOIN pg_roles r ON r.rolname = current_user
CROSS JOIN (
    SELECT
        count(*) AS idle,
        coalesce(max(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - restart_lsn), 0)::bigint
            AS kept
    FROM pg_replication_slots
    WHERE NOT active
) slots
WHERE d.datname = current_database()
