-- Where the rights are, and who would change them. $1: the owner role. Whoever is neither a superuser nor able to act as
-- the owner has to become its member to say what the owner's tables are to be. Before PostgreSQL 16 a membership has no
-- second record: one that is there without INHERIT would go with the one that is made for the moment.
SELECT
    current_database()::text AS database,
    current_schema()::text AS schema,
    (
        SELECT rolname::text
        FROM pg_roles
        WHERE rolname = current_user
          AND NOT rolsuper
          AND NOT EXISTS (
              SELECT FROM pg_roles owner
              WHERE owner.rolname = $1
                AND pg_has_role(
                    owner.oid,
                    CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'USAGE' END
                )
          )
    ) AS outsider
