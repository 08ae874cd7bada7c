-- Which of the two tables are there and may be read. Only in the current schema: a history further down the search
-- path is another database's.
SELECT
    to_regclass(quote_ident(current_schema()) || '.__diesel_schema_migrations') IS NOT NULL AS diesel,
    coalesce(
        has_table_privilege(to_regclass(quote_ident(current_schema()) || '.__optiinfra_migrations')::oid, 'SELECT'),
        false
    ) AS ours
