-- The statements of this database that took longest in all. The extension replaces the values of a query, but not in every
-- case, and those of a command such as ALTER ROLE never. So commands are left out, each text in quotes is replaced, and
-- statements are left out that may hold a text in another way.
SELECT
    left(regexp_replace(regexp_replace(query, '''[^'']*''', '''...''', 'g'), '\s+', ' ', 'g'), 300) AS statement,
    sum(calls)::bigint AS calls,
    sum(total_exec_time) / 1000 AS total_seconds,
    sum(total_exec_time) / greatest(sum(calls), 1)::float8 AS mean_milliseconds,
    sum(rows)::bigint AS rows
FROM counted
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND query ~* '^\s*(SELECT|WITH|INSERT|UPDATE|DELETE|MERGE)\s'
    AND query !~ '\\|\$[^0-9]|--|/\*'
GROUP BY 1
ORDER BY 3 DESC
LIMIT 10
