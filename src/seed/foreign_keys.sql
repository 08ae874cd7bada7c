-- Every foreign key that points at one of the tables $1: child, parent, and the columns that join the two.
-- Children in other schemas are rows like any other. The copies that partitions hold of a key are left out
-- (conparentid): the partitioned table speaks for them.
SELECT
    parent.name AS parent,
    fk.conrelid::regclass::text AS child,
    min(namespace.nspname::text) AS child_schema,
    min(child.relname::text) AS child_name,
    array_agg(c.attname::text ORDER BY pair.place) AS child_columns,
    array_agg(p.attname::text ORDER BY pair.place) AS parent_columns
FROM unnest($1::text[]) AS parent (name)
JOIN pg_constraint AS fk ON fk.confrelid = to_regclass(parent.name)
JOIN pg_class AS child ON child.oid = fk.conrelid
JOIN pg_namespace AS namespace ON namespace.oid = child.relnamespace
CROSS JOIN LATERAL unnest(fk.conkey, fk.confkey) WITH ORDINALITY AS pair (child_column, parent_column, place)
JOIN pg_attribute AS c ON c.attrelid = fk.conrelid AND c.attnum = pair.child_column
JOIN pg_attribute AS p ON p.attrelid = fk.confrelid AND p.attnum = pair.parent_column
WHERE fk.contype = 'f' AND fk.conparentid = 0
GROUP BY fk.oid, fk.conrelid, fk.conname, parent.name
ORDER BY child, parent, fk.conname;
