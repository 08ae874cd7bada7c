-- The standbys of this server, which may be a standby itself.
SELECT
    application_name AS name,
    coalesce(state, '') AS state,
    pg_wal_lsn_diff(
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, replay_lsn
    )::bigint AS lag_bytes,
    extract(epoch FROM replay_lag)::float8 AS lag_seconds
FROM pg_stat_replication
ORDER BY application_name COLLATE "C", pid
