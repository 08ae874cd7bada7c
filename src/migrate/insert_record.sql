INSERT INTO __optiinfra_migrations
    (version, name, tool_version, file_hash, content_hash, compatible, up_sql, statements_done)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (version) DO UPDATE SET
    name = excluded.name, applied_at = now(), seconds = NULL, tool_version = excluded.tool_version,
    file_hash = excluded.file_hash, content_hash = excluded.content_hash, compatible = excluded.compatible,
    up_sql = excluded.up_sql, statements_done = excluded.statements_done, adopted_from = NULL, repairs = '[]'
