SELECT version, true AS applied, run_on AT TIME ZONE 'UTC' AS applied_at, NULL AS name, NULL::double precision AS seconds,
       NULL AS tool_version, NULL AS file_hash, NULL AS content_hash, false AS compatible, NULL::integer AS statements_done,
       NULL::integer AS statements_reverted
FROM __diesel_schema_migrations
ORDER BY version
