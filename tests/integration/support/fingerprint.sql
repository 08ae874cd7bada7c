WITH ours AS (
    SELECT oid, relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND relname NOT LIKE '\_\_%'
), lines AS (
    SELECT concat_ws(' ', 'column', relname, row_number() OVER (PARTITION BY relname ORDER BY attnum), attname,
                     format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), col_description(ours.oid, attnum)) AS line
    FROM ours JOIN pg_attribute ON attrelid = ours.oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON adrelid = ours.oid AND adnum = attnum
    UNION ALL
    SELECT concat_ws(' ', 'table', relname, obj_description(oid, 'pg_class'),
                     (SELECT relrowsecurity FROM pg_class c WHERE c.oid = ours.oid))
    FROM ours
    UNION ALL
    SELECT concat_ws(' ', 'constraint', relname, conname, pg_get_constraintdef(c.oid))
    FROM ours JOIN pg_constraint AS c ON conrelid = ours.oid
    UNION ALL
    SELECT concat_ws(' ', 'index', indisvalid, replace(pg_get_indexdef(indexrelid), current_schema() || '.', ''))
    FROM ours JOIN pg_index ON indrelid = ours.oid
    UNION ALL
    SELECT concat_ws(' ', 'enum', typname, string_agg(enumlabel, ' ' ORDER BY enumsortorder), obj_description(t.oid, 'pg_type'))
    FROM pg_type AS t JOIN pg_enum ON enumtypid = t.oid
    WHERE typnamespace = current_schema()::regnamespace
    GROUP BY t.oid, typname
    UNION ALL
    SELECT concat_ws(' ', 'trigger', tgname, replace(pg_get_triggerdef(t.oid), current_schema() || '.', ''))
    FROM ours JOIN pg_trigger AS t ON tgrelid = ours.oid AND NOT tgisinternal
    UNION ALL
    SELECT concat_ws(' ', 'policy', relname, polname, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
    FROM ours JOIN pg_policy ON polrelid = ours.oid
)
SELECT coalesce(string_agg(line, E'\n' ORDER BY line COLLATE "C"), '') FROM lines
