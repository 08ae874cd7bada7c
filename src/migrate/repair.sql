-- What was recorded before goes into the list of repairs, so that nothing is forgotten.
INSERT INTO __optiinfra_migrations AS recorded
    (version, name, applied_at, tool_version, file_hash, content_hash, compatible, up_sql, repairs)
SELECT $1, $2, run_on AT TIME ZONE 'UTC', $3, $4, $5, $6, $7,
       jsonb_build_array(jsonb_build_object('at', now(), 'by', session_user, 'reason', $8, 'tool_version', $3))
FROM __diesel_schema_migrations
WHERE version = $1
ON CONFLICT (version) DO UPDATE SET
    name = excluded.name,
    file_hash = excluded.file_hash,
    content_hash = excluded.content_hash,
    compatible = excluded.compatible,
    up_sql = excluded.up_sql,
    repairs = recorded.repairs || (
        excluded.repairs -> 0
        || jsonb_build_object('replaced_file_hash', recorded.file_hash, 'replaced_up_sql', recorded.up_sql)
    )
