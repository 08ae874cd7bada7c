-- What a table, or a part of one on a node, is made of: a line each, whatever it is called there. Of the rows of `relation`.
SELECT r."table", r.shard, (
    SELECT json_agg(replace(found.line, r.schema || '.', '') ORDER BY found.line)
    FROM (
        SELECT CASE WHEN c.relrowsecurity THEN 'row security' ELSE 'no row security' END AS line
        FROM pg_class c
        WHERE c.oid = r.oid

        UNION ALL
        SELECT concat_ws(
            ' ', 'column', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
            CASE WHEN a.attnotnull THEN 'NOT NULL' END, 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)
        )
        FROM pg_attribute a
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped

        UNION ALL
        SELECT 'constraint ' || pg_get_constraintdef(k.oid)
        FROM pg_constraint k
        WHERE k.conrelid = r.oid AND k.contype IN ('p', 'u', 'c', 'x')

        UNION ALL
        SELECT concat(
            CASE WHEN x.indisunique THEN 'unique ' END, 'index ',
            regexp_replace(pg_get_indexdef(x.indexrelid, 0, true), '^CREATE (UNIQUE )?INDEX .+? ON .+? USING ', ''),
            CASE WHEN NOT x.indisvalid THEN ', invalid' END
        )
        FROM pg_index x
        WHERE x.indrelid = r.oid

        UNION ALL
        SELECT concat_ws(
            ' ', 'policy', p.polname, p.polcmd,
            (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE role::regrole::text END, ', ' ORDER BY role::regrole::text)
             FROM unnest(p.polroles) role),
            'USING ' || pg_get_expr(p.polqual, p.polrelid), 'WITH CHECK ' || pg_get_expr(p.polwithcheck, p.polrelid)
        )
        FROM pg_policy p
        WHERE p.polrelid = r.oid
    ) AS found
) AS lines
FROM relation AS r
