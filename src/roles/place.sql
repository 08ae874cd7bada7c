-- Where the rights are, and who would change them. $1: the owner role. Whoever is neither a superuser nor able to act as
-- the owner has to become its member to say what the owner's tables are to be.
SELECT
    current_database()::text AS database,
    current_schema()::text AS schema,
    (
        SELECT rolname::text
        FROM pg_roles
        WHERE rolname = current_user
          AND NOT rolsuper
          AND NOT EXISTS (SELECT FROM pg_roles owner WHERE owner.rolname = $1 AND pg_has_role(owner.oid, 'USAGE'))
    ) AS outsider
