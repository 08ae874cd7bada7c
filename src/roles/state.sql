-- What is there, as facts of four texts: kind, object, subject, what. Names are raw; roles/wanted.rs says which facts
-- are wanted. $1: our roles, the owner first. $2: tables of ours. $3: enum types of ours.
WITH ours AS (
    SELECT r.* FROM pg_roles r WHERE r.rolname = ANY ($1)
),
-- What an extension brought is its business, and nobody can change it without the extension.
of_extension AS (
    SELECT d.classid, d.objid
    FROM pg_depend d
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
),
relation AS (
    SELECT c.oid, c.relname, c.relowner, c.relacl
    FROM pg_class c
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
      AND c.relkind IN ('r', 'p')
      -- A partition belongs to the owner of its table, and nobody has rights on it.
      AND (
          c.relname = ANY ($2)
          OR c.relispartition AND EXISTS (
              SELECT FROM pg_inherits h JOIN pg_class t ON t.oid = h.inhparent
              WHERE h.inhrelid = c.oid AND t.relnamespace = c.relnamespace AND t.relname = ANY ($2)
          )
      )
),
member AS (
    -- From PostgreSQL 16 on, who creates a role is made its member without being able to use it: no fact of ours.
    SELECT DISTINCT m.roleid, m.member, m.admin_option
    FROM pg_auth_members m
    WHERE coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true)
       OR coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)
),
granted AS (
    SELECT 'schema_grant' AS kind, '' AS object, a.grantee, a.privilege_type, a.is_grantable
    FROM pg_namespace n, aclexplode(n.nspacl) a
    WHERE n.oid = quote_ident(current_schema())::regnamespace
      AND a.grantee <> n.nspowner
      -- To look into the schema shows no row.
      AND (a.grantee IN (SELECT oid FROM ours) OR a.privilege_type = 'CREATE')

    UNION ALL
    -- Whoever owns the database, and who may connect to it, is not for us to say.
    SELECT 'database_grant', '', a.grantee, a.privilege_type, a.is_grantable
    FROM pg_database d, aclexplode(d.datacl) a
    WHERE d.datname = current_database()
      AND a.grantee <> d.datdba
      AND a.privilege_type = 'CREATE'
      AND a.grantee IN (SELECT oid FROM ours WHERE rolname <> ALL (($1)[1:2]))

    UNION ALL
    SELECT 'table_grant', r.relname, a.grantee, a.privilege_type, a.is_grantable
    FROM relation r, aclexplode(r.relacl) a
    WHERE a.grantee <> r.relowner

    UNION ALL
    SELECT 'column_grant', r.relname || '.' || c.attname, a.grantee, a.privilege_type, a.is_grantable
    FROM relation r
    -- The rights on a dropped column stay in the catalogue, where nothing can revoke them.
    JOIN pg_attribute c ON c.attrelid = r.oid AND NOT c.attisdropped, aclexplode(c.attacl) a
    WHERE a.grantee <> r.relowner

    UNION ALL
    SELECT 'default_grant', pg_get_userbyid(d.defaclrole), a.grantee, a.privilege_type, a.is_grantable
    FROM pg_default_acl d, aclexplode(d.defaclacl) a
    WHERE d.defaclnamespace = quote_ident(current_schema())::regnamespace AND d.defaclobjtype = 'r'

    UNION ALL
    SELECT 'default_grant_everywhere', pg_get_userbyid(d.defaclrole), a.grantee, a.privilege_type, a.is_grantable
    FROM pg_default_acl d, aclexplode(d.defaclacl) a
    WHERE d.defaclnamespace = 0
      AND d.defaclobjtype = 'r'
      AND a.grantee <> d.defaclrole
      AND d.defaclrole IN (SELECT relowner FROM relation UNION SELECT oid FROM ours)
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
-- Whoever is a member of the owner or of the migrator sees every customer. A superuser needs no membership.
SELECT 'membership', g.rolname, m.rolname, CASE WHEN member.admin_option THEN 'ADMIN' ELSE '' END
FROM member
JOIN pg_roles g ON g.oid = member.roleid
JOIN pg_roles m ON m.oid = member.member
WHERE m.rolname = ANY ($1) OR g.rolname = ANY (($1)[1:2]) AND NOT m.rolsuper

UNION ALL
SELECT 'setting', '', ours.rolname, split_part(setting, '=', 2)
FROM ours
JOIN pg_db_role_setting s ON s.setrole = ours.oid, unnest(s.setconfig) setting
WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND split_part(setting, '=', 1) = 'role'

UNION ALL
-- What would change for whom every statement of a session works.
SELECT 'other_setting', '', coalesce(ours.rolname, 'every role'), setting
FROM pg_db_role_setting s
LEFT JOIN ours ON ours.oid = s.setrole, unnest(s.setconfig) setting
WHERE (s.setrole = 0 OR ours.oid IS NOT NULL)
  AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND (
      split_part(setting, '=', 1) IN ('app.customer_id', 'row_security')
      OR split_part(setting, '=', 1) = 'role' AND (s.setdatabase = 0 OR s.setrole = 0)
  )

UNION ALL
-- Whoever owns the schema or the database may drop what is in it.
SELECT 'place_owner', place.what, ours.rolname, ''
FROM (
    SELECT 'schema' AS what, nspowner AS owner FROM pg_namespace WHERE oid = quote_ident(current_schema())::regnamespace
    UNION ALL
    SELECT 'database', datdba FROM pg_database WHERE datname = current_database()
) place
JOIN ours ON ours.oid = place.owner AND ours.rolname <> ALL (($1)[1:2])

UNION ALL
SELECT 'table_owner', relname, pg_get_userbyid(relowner), ''
FROM relation

UNION ALL
-- What the owner may do, which it needs for foreign keys: it can revoke its own rights.
SELECT 'owner_grant', r.relname, pg_get_userbyid(r.relowner), word
FROM relation r, unnest(ARRAY['DELETE', 'INSERT', 'SELECT', 'UPDATE']) word
WHERE has_table_privilege(r.relowner, r.oid, word)

UNION ALL
SELECT 'type_owner', t.typname, pg_get_userbyid(t.typowner), ''
FROM pg_type t
WHERE t.typnamespace = quote_ident(current_schema())::regnamespace AND t.typtype = 'e' AND t.typname = ANY ($3)

UNION ALL
SELECT DISTINCT 'function_owner', p.proname::text, pg_get_userbyid(p.proowner)::text, ''
FROM pg_trigger t
JOIN relation r ON r.oid = t.tgrelid
JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal
  AND p.pronamespace = quote_ident(current_schema())::regnamespace
  AND NOT EXISTS (SELECT FROM of_extension e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid)

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
-- A view shows what its owner sees, and a materialized one what its owner saw.
SELECT 'view', v.relname, ours.rolname, ''
FROM pg_class v
JOIN ours ON NOT pg_has_role(ours.oid, v.relowner, 'USAGE')
    AND (
        has_any_column_privilege(ours.oid, v.oid, 'SELECT, INSERT, UPDATE')
        OR has_table_privilege(ours.oid, v.oid, 'DELETE')
    )
WHERE v.relnamespace = quote_ident(current_schema())::regnamespace
  AND v.relkind IN ('v', 'm')
  AND NOT EXISTS (SELECT FROM of_extension e WHERE e.classid = 'pg_class'::regclass AND e.objid = v.oid)
  AND NOT EXISTS (
      SELECT FROM pg_options_to_table(v.reloptions) option
      WHERE option.option_name = 'security_invoker' AND option.option_value::boolean
  )

UNION ALL
SELECT 'definer', p.proname, ours.rolname, ''
FROM pg_proc p
JOIN ours ON has_function_privilege(ours.oid, p.oid, 'EXECUTE')
    AND NOT pg_has_role(ours.oid, p.proowner, 'USAGE')
    AND ours.rolname <> ALL (($1)[1:2])
WHERE p.pronamespace = quote_ident(current_schema())::regnamespace
  AND p.prosecdef
  AND NOT EXISTS (SELECT FROM of_extension e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid)
  AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
