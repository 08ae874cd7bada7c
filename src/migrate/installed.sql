-- The first schema after the current one in the search path that has all of these tables.
SELECT current_schema()::text AS current, path.name::text AS found
FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, place)
WHERE path.name <> current_schema()
  AND NOT EXISTS (
      SELECT FROM unnest($1) AS wanted (table_name)
      WHERE to_regclass(quote_ident(path.name) || '.' || quote_ident(wanted.table_name)) IS NULL
  )
ORDER BY path.place
LIMIT 1
