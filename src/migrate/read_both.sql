SELECT version, d.version IS NOT NULL AS applied, d.run_on AT TIME ZONE 'UTC' AS applied_at, o.name, o.seconds,
       o.tool_version, o.file_hash, o.content_hash, coalesce(o.compatible, false) AS compatible, o.statements_done
FROM __diesel_schema_migrations AS d
FULL JOIN __optiinfra_migrations AS o USING (version)
ORDER BY version
