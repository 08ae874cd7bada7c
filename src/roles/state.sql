-- What is there, as facts of four texts: kind, object, subject, what. Names are raw; roles/mod.rs says which facts are
-- wanted. $1: our roles, the owner first. $2: tables of ours. $3: enum types of ours. $4: names of policies of ours.
WITH ours AS (
    SELECT r.* FROM pg_roles r WHERE r.rolname = ANY ($1)
),
relation AS (
    SELECT c.oid, c.relname, c.relowner, c.relacl
    FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY ($2)
),
member AS (
    -- From PostgreSQL 16 on, who creates a role is made its member without being able to use it: no fact of ours.
    SELECT DISTINCT m.roleid, m.member, m.admin_option
    FROM pg_auth_members m
    WHERE coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true)
       OR coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)
),
granted AS (
    SELECT 'schema grant' AS kind, '' AS object, a.grantee, a.privilege_type, a.is_grantable
    FROM pg_namespace n, aclexplode(n.nspacl) a
    WHERE n.oid = current_schema()::regnamespace
      AND (a.grantee IN (SELECT oid FROM ours) OR a.grantee = 0 AND a.privilege_type = 'CREATE')

    UNION ALL
    SELECT 'table grant', r.relname, a.grantee, a.privilege_type, a.is_grantable
    FROM relation r, aclexplode(r.relacl) a
    WHERE a.grantee <> r.relowner

    UNION ALL
    SELECT 'column grant', r.relname || '.' || c.attname, a.grantee, a.privilege_type, a.is_grantable
    FROM relation r
    JOIN pg_attribute c ON c.attrelid = r.oid, aclexplode(c.attacl) a
    WHERE a.grantee <> r.relowner

    UNION ALL
    SELECT 'default grant', pg_get_userbyid(d.defaclrole), a.grantee, a.privilege_type, a.is_grantable
    FROM pg_default_acl d, aclexplode(d.defaclacl) a
    WHERE d.defaclnamespace = current_schema()::regnamespace
      AND d.defaclobjtype = 'r'
      AND (a.grantee IN (SELECT oid FROM ours) OR a.grantee = 0)
)
SELECT 'role' AS kind, '' AS object, rolname::text AS subject, '' AS what
FROM ours

UNION ALL
SELECT 'attribute', '', ours.rolname, attribute.word
FROM ours, LATERAL (
    VALUES
        ('SUPERUSER', rolsuper),
        ('CREATEDB', rolcreatedb),
        ('CREATEROLE', rolcreaterole),
        ('REPLICATION', rolreplication),
        ('BYPASSRLS', rolbypassrls),
        ('LOGIN', rolcanlogin),
        ('NOINHERIT', NOT rolinherit)
) attribute (word, is_set)
WHERE attribute.is_set

UNION ALL
-- A superuser needs no membership.
SELECT 'membership', g.rolname, m.rolname, CASE WHEN member.admin_option THEN 'ADMIN' ELSE '' END
FROM member
JOIN pg_roles g ON g.oid = member.roleid
JOIN pg_roles m ON m.oid = member.member
WHERE m.rolname = ANY ($1) OR g.rolname = ($1)[1] AND NOT m.rolsuper

UNION ALL
SELECT 'setting', '', ours.rolname, split_part(setting, '=', 2)
FROM ours
JOIN pg_db_role_setting s ON s.setrole = ours.oid, unnest(s.setconfig) setting
WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND split_part(setting, '=', 1) = 'role'

UNION ALL
SELECT 'table owner', relname, pg_get_userbyid(relowner), ''
FROM relation

UNION ALL
SELECT 'type owner', t.typname, pg_get_userbyid(t.typowner), ''
FROM pg_type t
WHERE t.typnamespace = current_schema()::regnamespace AND t.typtype = 'e' AND t.typname = ANY ($3)

UNION ALL
SELECT DISTINCT 'function owner', p.proname::text, pg_get_userbyid(p.proowner)::text, ''
FROM pg_trigger t
JOIN relation r ON r.oid = t.tgrelid
JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND p.pronamespace = current_schema()::regnamespace

UNION ALL
SELECT
    granted.kind,
    granted.object,
    CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(granted.grantee) END,
    granted.privilege_type
FROM granted

UNION ALL
SELECT
    granted.kind,
    granted.object,
    CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(granted.grantee) END,
    granted.privilege_type || ' WITH GRANT OPTION'
FROM granted
WHERE granted.is_grantable

UNION ALL
-- In the words of CREATE POLICY, but for the names of the roles, which stand bare and in order.
SELECT
    'policy',
    r.relname,
    p.polname,
    concat_ws(' ',
        CASE WHEN NOT p.polpermissive THEN 'AS RESTRICTIVE' END,
        'FOR ' || CASE p.polcmd
            WHEN 'r' THEN 'SELECT'
            WHEN 'a' THEN 'INSERT'
            WHEN 'w' THEN 'UPDATE'
            WHEN 'd' THEN 'DELETE'
            ELSE 'ALL'
        END,
        'TO ' || (
            SELECT string_agg(name, ', ' ORDER BY name COLLATE "C")
            FROM (
                SELECT CASE role WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(role)::text END AS name
                FROM unnest(p.polroles) role
            ) names
        ),
        'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
        'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'
    )
FROM pg_policy p
JOIN relation r ON r.oid = p.polrelid
WHERE p.polname = ANY ($4)

UNION ALL
-- What wanted facts are about.
SELECT 'column', r.relname, c.attname, ''
FROM relation r
JOIN pg_attribute c ON c.attrelid = r.oid
WHERE c.attnum > 0 AND NOT c.attisdropped

UNION ALL
SELECT 'leakproof', p.proname, '', ''
FROM pg_proc p
WHERE p.oid = 'pg_catalog.enum_eq(anyenum, anyenum)'::regprocedure AND p.proleakproof

UNION ALL
-- A view shows what its owner sees, and a materialized one what its owner saw.
SELECT 'view', v.relname, ours.rolname, ''
FROM pg_class v
JOIN ours ON has_table_privilege(ours.oid, v.oid, 'SELECT') AND NOT pg_has_role(ours.oid, v.relowner, 'USAGE')
WHERE v.relnamespace = current_schema()::regnamespace
  AND v.relkind IN ('v', 'm')
  AND NOT EXISTS (
      SELECT FROM pg_options_to_table(v.reloptions) option
      WHERE option.option_name = 'security_invoker' AND option.option_value::boolean
  )
