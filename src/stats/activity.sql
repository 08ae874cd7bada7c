-- Other sessions of this database that are in a transaction. What they run is not shown: it may hold secrets.
SELECT
    a.pid,
    coalesce(a.usename::text, '') AS role,
    a.application_name AS application,
    coalesce(a.state, '') AS state,
    extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds,
    b.pids AS blocked_by,
    CASE WHEN cardinality(b.pids) > 0 THEN extract(epoch FROM clock_timestamp() - a.query_start)::float8 END
        AS blocked_seconds
FROM pg_stat_activity AS a
CROSS JOIN LATERAL (
    SELECT CASE WHEN a.wait_event_type = 'Lock' THEN pg_blocking_pids(a.pid) ELSE '{}' END AS pids
) AS b
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL
ORDER BY a.xact_start, a.pid
