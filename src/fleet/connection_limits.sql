-- How many connections the role and the database may have, where that is limited. Superusers know no limit.
SELECT 'role ' || rolname AS of, rolconnlimit AS most
FROM pg_roles
WHERE rolname = session_user AND rolconnlimit >= 0 AND NOT rolsuper

UNION ALL
SELECT 'database ' || datname, datconnlimit
FROM pg_database
WHERE datname = current_database()
  AND datconnlimit >= 0
  AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user)
