-- Every object of the current schema, one row each: a JSON object of its parts. Written so that the same schema gives
-- the same rows on PostgreSQL 14 to 18, whatever the schema is called.
--
-- Left out: the histories of migration tools, what extensions own, sequences that belong to a column, owners and
-- grants. A partition is one object, with what its table does not hold in place for it.
WITH relation AS (
    SELECT c.oid, c.relowner, c.relname AS name, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema()
      AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
      AND NOT c.relispartition
      AND c.relname <> 'alembic_version'
      AND c.relname NOT LIKE '\_\_%'
      AND NOT EXISTS (
          SELECT FROM pg_depend d
          WHERE d.classid = 'pg_class'::regclass
            AND d.objid = c.oid
            AND (d.deptype = 'e' OR c.relkind = 'S' AND d.deptype IN ('a', 'i'))
      )
),
-- Of tables and partitions, those of the TOAST table with toast. in front.
storage AS (
    SELECT c.oid, (
        SELECT coalesce(json_object_agg(option_name, option_value), '{}')
        FROM (
            SELECT option_name, option_value FROM pg_options_to_table(c.reloptions)
            UNION ALL
            SELECT 'toast.' || o.option_name, o.option_value
            FROM pg_class toast, pg_options_to_table(toast.reloptions) o
            WHERE toast.oid = c.reltoastrelid
        ) option
    ) AS settings
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
),
type AS (
    SELECT t.oid, t.typname AS name, t.typtype, t.typbasetype, t.typtypmod
    FROM pg_type t
    JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE n.nspname = current_schema()
      AND (t.typtype IN ('d', 'e', 'r') OR c.relkind = 'c')
      AND NOT EXISTS (
          SELECT FROM pg_depend d
          WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
      )
),
live_column AS (
    SELECT a.*, r.name AS relation
    FROM pg_attribute a
    JOIN relation r ON r.oid = a.attrelid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND r.relkind <> 'S'
)
SELECT '{"' || kind || '":' || parts || '}' AS object
FROM (
SELECT 'table' AS kind, json_build_object(
    'name', r.name,
    'relation', CASE r.relkind
        WHEN 'r' THEN 'table'
        WHEN 'p' THEN 'partitioned table'
        WHEN 'f' THEN 'foreign table'
        WHEN 'v' THEN 'view'
        WHEN 'm' THEN 'materialized view'
        WHEN 'S' THEN 'sequence'
    END,
    'partitioned_by', CASE r.relkind WHEN 'p' THEN pg_get_partkeydef(r.oid) END,
    'unlogged', r.relpersistence = 'u',
    'row_security', r.relrowsecurity,
    'row_security_for_owner', r.relforcerowsecurity,
    'settings', storage.settings
)::text AS parts
FROM relation r
JOIN storage ON storage.oid = r.oid

UNION ALL
SELECT 'partition', json_build_object(
    'table', r.name,
    'name', c.relname,
    'relation', CASE c.relkind WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table' ELSE 'table' END,
    'bounds', pg_get_expr(c.relpartbound, c.oid),
    'unlogged', c.relpersistence = 'u',
    'row_security', c.relrowsecurity,
    'other_owner', c.relowner <> r.relowner,
    'granted_to', (
        SELECT coalesce(json_agg(DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END), '[]')
        FROM (
            SELECT grantee FROM aclexplode(c.relacl)
            UNION ALL
            SELECT a.grantee FROM pg_attribute, aclexplode(attacl) a WHERE attrelid = c.oid AND NOT attisdropped
        ) granted
        WHERE grantee <> c.relowner
    ),
    'policies', (SELECT coalesce(json_agg(polname ORDER BY polname), '[]') FROM pg_policy WHERE polrelid = c.oid),
    'lacks_indexes', (
        SELECT coalesce(json_agg(i.relname ORDER BY i.relname), '[]')
        FROM pg_index x
        JOIN pg_class i ON i.oid = x.indexrelid
        WHERE x.indrelid = r.oid
          AND NOT EXISTS (
              SELECT FROM pg_inherits h
              JOIN pg_index own ON own.indexrelid = h.inhrelid
              WHERE h.inhparent = x.indexrelid AND own.indrelid = c.oid AND own.indisvalid
          )
    ),
    'disabled', (
        SELECT coalesce(json_agg(DISTINCT coalesce(k.conname, t.tgname)), '[]')
        FROM pg_trigger t
        LEFT JOIN pg_constraint k ON k.oid = t.tgconstraint
        WHERE t.tgrelid = c.oid
          AND t.tgenabled <> coalesce((SELECT tgenabled FROM pg_trigger WHERE oid = t.tgparentid), 'O')
    ),
    'settings', storage.settings
)::text
FROM pg_inherits h
JOIN relation r ON r.oid = h.inhparent AND r.relkind = 'p'
JOIN pg_class c ON c.oid = h.inhrelid
JOIN storage ON storage.oid = c.oid

UNION ALL
-- The order of all columns is one object, so that one dropped column does not change every column behind it.
SELECT 'column order', json_build_object('table', relation, 'columns', json_agg(attname ORDER BY attnum))::text
FROM live_column
GROUP BY relation

UNION ALL
SELECT 'column', json_build_object(
    'table', a.relation,
    'name', a.attname,
    'data_type', format_type(a.atttypid, a.atttypmod),
    'collation', CASE WHEN a.attcollation <> t.typcollation THEN quote_ident(l.collname) END,
    'not_null', a.attnotnull,
    'identity', CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END,
    'generated', CASE a.attgenerated WHEN 's' THEN 'STORED' WHEN 'v' THEN 'VIRTUAL' END,
    'expression', pg_get_expr(d.adbin, d.adrelid)
)::text
FROM live_column a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum

UNION ALL
-- NOT NULL belongs to the column; from PostgreSQL 18 it is a constraint too, worth a word only while it is NOT VALID.
-- A foreign key whose triggers are disabled (DISABLE TRIGGER ALL, session_replication_role) holds nothing.
SELECT 'constraint', json_build_object(
    'table', r.name,
    'name', c.conname,
    'rule', CASE c.contype
        WHEN 'p' THEN json_build_object('primary_key', key.columns)
        WHEN 'u' THEN json_build_object('unique', key.columns)
        WHEN 'c' THEN '"check"'::json
        WHEN 'f' THEN json_build_object('foreign_key', json_build_object(
            'columns', key.columns,
            'references', (SELECT relname FROM pg_class WHERE oid = c.confrelid),
            'referenced_columns', (
                SELECT json_agg(a.attname ORDER BY k.place)
                FROM unnest(c.confkey) WITH ORDINALITY AS k (attnum, place)
                JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.attnum
            ),
            'on_delete', CASE c.confdeltype
                WHEN 'c' THEN 'CASCADE'
                WHEN 'n' THEN 'SET NULL'
                WHEN 'd' THEN 'SET DEFAULT'
                WHEN 'r' THEN 'RESTRICT'
                ELSE 'NO ACTION'
            END
        ))
        ELSE '"other"'::json
    END,
    'definition', pg_get_constraintdef(c.oid),
    'validated', c.convalidated,
    'enforced', NOT EXISTS (
        SELECT FROM pg_trigger t WHERE t.tgconstraint = c.oid AND t.tgisinternal AND t.tgenabled <> 'O'
    )
)::text
FROM pg_constraint c
JOIN relation r ON r.oid = c.conrelid
CROSS JOIN LATERAL (
    SELECT json_agg(a.attname ORDER BY k.place) AS columns
    FROM unnest(c.conkey) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
) key
WHERE c.contype <> 't' AND (c.contype <> 'n' OR NOT c.convalidated)

UNION ALL
-- The definition is what follows USING: nothing in front of it is not a part of its own, and the schema's name is.
SELECT 'index', json_build_object(
    'table', r.name,
    'name', i.relname,
    'unique', x.indisunique,
    'definition', regexp_replace(
        pg_get_indexdef(x.indexrelid, 0, true), '^CREATE (UNIQUE )?INDEX .+? ON .+? USING ', ''
    ),
    'valid', x.indisvalid,
    'ready', x.indisready
)::text
FROM pg_index x
JOIN relation r ON r.oid = x.indrelid
JOIN pg_class i ON i.oid = x.indexrelid

UNION ALL
-- The same here: what follows the name.
SELECT 'trigger', json_build_object(
    'table', r.name,
    'name', t.tgname,
    'definition', regexp_replace(
        pg_get_triggerdef(t.oid, true), '^CREATE (CONSTRAINT )?TRIGGER .+? (BEFORE|AFTER|INSTEAD OF) ', '\1\2 '
    ),
    'enabled', CASE t.tgenabled
        WHEN 'D' THEN 'disabled'
        WHEN 'R' THEN 'only on a replica'
        WHEN 'A' THEN 'always'
        ELSE 'yes'
    END
)::text
FROM pg_trigger t
JOIN relation r ON r.oid = t.tgrelid
WHERE NOT t.tgisinternal

UNION ALL
SELECT 'policy', json_build_object(
    'table', r.name,
    'name', p.polname,
    'permissive', p.polpermissive,
    'command', CASE p.polcmd
        WHEN 'r' THEN 'SELECT'
        WHEN 'a' THEN 'INSERT'
        WHEN 'w' THEN 'UPDATE'
        WHEN 'd' THEN 'DELETE'
        ELSE 'ALL'
    END,
    'roles', (
        SELECT json_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE role::regrole::text END ORDER BY role)
        FROM unnest(p.polroles) role
    ),
    'using', regexp_replace(pg_get_expr(p.polqual, p.polrelid), '\s+', ' ', 'g'),
    'with_check', regexp_replace(pg_get_expr(p.polwithcheck, p.polrelid), '\s+', ' ', 'g')
)::text
FROM pg_policy p
JOIN relation r ON r.oid = p.polrelid

UNION ALL
SELECT 'enum', json_build_object(
    'name', t.name,
    'labels', coalesce(json_agg(e.enumlabel ORDER BY e.enumsortorder) FILTER (WHERE e.oid IS NOT NULL), '[]')
)::text
FROM type t
LEFT JOIN pg_enum e ON e.enumtypid = t.oid
WHERE t.typtype = 'e'
GROUP BY t.name

UNION ALL
SELECT 'type', json_build_object(
    'name', t.name,
    'sort', CASE t.typtype
        WHEN 'd' THEN json_build_object('domain', format_type(t.typbasetype, t.typtypmod))
        WHEN 'r' THEN '"range"'::json
        ELSE '"composite"'::json
    END
)::text
FROM type t
WHERE t.typtype <> 'e'

UNION ALL
SELECT 'function', json_build_object(
    -- The arguments come quoted; a name may hold anything.
    'signature', quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')',
    'returns', pg_get_function_result(p.oid),
    'language', l.lanname,
    'volatility', CASE p.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' END,
    'strict', p.proisstrict,
    'security_definer', p.prosecdef,
    'settings', array_to_string(p.proconfig, ', '),
    'body', coalesce(nullif(p.prosrc, ''), pg_get_function_sqlbody(p.oid))
)::text
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
WHERE n.nspname = current_schema()
  AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  )

UNION ALL
SELECT 'comment', json_build_object('of', r.name, 'column', a.attname, 'text', d.description)::text
FROM pg_description d
JOIN relation r ON r.oid = d.objoid
LEFT JOIN live_column a ON a.attrelid = d.objoid AND a.attnum = d.objsubid
WHERE d.classoid = 'pg_class'::regclass AND (d.objsubid = 0 OR a.attnum IS NOT NULL)

UNION ALL
SELECT 'comment', json_build_object('of', t.name, 'column', NULL, 'text', d.description)::text
FROM pg_description d
JOIN type t ON t.oid = d.objoid
WHERE d.classoid = 'pg_type'::regclass
) AS found
