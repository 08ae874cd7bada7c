SELECT relname::text AS name
FROM pg_class
WHERE relnamespace = quote_ident(current_schema())::regnamespace
  AND relname = ANY ($1)
  AND relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY relname
