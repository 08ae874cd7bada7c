-- What the catalog of catalog.sql does not hold of a table and has to be carried over when its shape changes. Statements
-- and names are quoted. $1: the table.
WITH relation AS (
    SELECT c.* FROM pg_class c
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relname = $1
),
granted AS (
    SELECT NULL AS attname, a.grantee, a.privilege_type, a.is_grantable
    FROM relation r, aclexplode(r.relacl) a
    WHERE a.grantee <> r.relowner

    UNION ALL
    SELECT c.attname, a.grantee, a.privilege_type, a.is_grantable
    FROM relation r
    JOIN pg_attribute c ON c.attrelid = r.oid AND NOT c.attisdropped, aclexplode(c.attacl) a
    WHERE a.grantee <> r.relowner
),
-- Whom the server gives rights on a new table.
by_default AS (
    SELECT a.grantee
    FROM relation r, pg_default_acl d, aclexplode(d.defaclacl) a
    WHERE d.defaclobjtype = 'r'
      AND d.defaclnamespace IN (0, r.relnamespace)
      AND d.defaclrole IN (r.relowner, current_user::regrole)
      AND a.grantee <> r.relowner
)
SELECT
    r.relowner::regrole::text AS owner,
    r.relreplident::text AS replica_identity,
    (SELECT quote_ident(spcname) FROM pg_tablespace WHERE oid = r.reltablespace) AS tablespace,
    ARRAY(
        SELECT format(
            'GRANT %s ON %I TO %s%s',
            string_agg(
                privilege_type || coalesce(' (' || quote_ident(attname) || ')', ''), ', ' ORDER BY privilege_type, attname
            ),
            r.relname,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
            CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
        )
        FROM granted
        GROUP BY grantee, is_grantable
        ORDER BY 1
    ) AS grants,
    ARRAY(
        SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
        FROM (SELECT grantee FROM granted UNION ALL SELECT grantee FROM by_default) everybody
        ORDER BY 1
    ) AS grantees,
    ARRAY(
        SELECT format('ALTER COLUMN %I SET STATISTICS %s', attname, attstattarget)
        FROM pg_attribute
        WHERE attrelid = r.oid AND attnum > 0 AND NOT attisdropped AND attstattarget >= 0
        ORDER BY attnum
    ) || ARRAY(
        SELECT format('ALTER COLUMN %I SET (%s)', attname, array_to_string(attoptions, ', '))
        FROM pg_attribute
        WHERE attrelid = r.oid AND attnum > 0 AND NOT attisdropped AND attoptions IS NOT NULL
        ORDER BY attnum
    ) AS column_settings,
    ARRAY(
        SELECT quote_ident(p.pubname)
        FROM pg_publication_rel m
        JOIN pg_publication p ON p.oid = m.prpubid
        WHERE m.prrelid = r.oid
        ORDER BY 1
    ) AS publications,
    -- Views, foreign keys of other tables, functions and whatever else holds on to the table itself and not to its name.
    ARRAY(
        SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0)
        FROM pg_depend d
        WHERE (
                d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid
                OR d.refclassid = 'pg_type'::regclass AND d.refobjid = r.reltype
            )
          AND d.deptype = 'n'
          AND NOT EXISTS (
              SELECT FROM pg_depend own
              WHERE own.classid = d.classid AND own.objid = d.objid AND own.refobjid = r.oid AND own.deptype IN ('a', 'i')
          )
        UNION
        SELECT format('rule %I', rulename) FROM pg_rewrite WHERE ev_class = r.oid
        UNION
        SELECT 'publication of some columns or rows'
        FROM pg_publication_rel m
        WHERE m.prrelid = r.oid
          AND num_nonnulls(to_jsonb(m) ->> 'prqual', to_jsonb(m) ->> 'prattrs') > 0
        ORDER BY 1
    ) AS dependents
FROM relation r
