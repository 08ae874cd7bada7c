-- Tables of which row security may hide rows from the current role: it applies to the role, and none of the policies
-- that show everything does; or a restrictive one takes something away again.
--
-- These policies are known by their names and by their condition, true. It is written out without the table
-- (pg_get_expr with 0), because with it the server waits for whoever has locked the table. That works only for an
-- expression that refers to no table or column, which the catalog of dependencies says.
SELECT c.relname::text AS name
FROM pg_class c
CROSS JOIN LATERAL (
    SELECT
        bool_or(
            CASE
                WHEN p.polpermissive
                    AND p.polname IN ('cross_customer', 'cross_customer_read')
                    AND NOT EXISTS (
                        SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_policy'::regclass
                          AND d.objid = p.oid
                          AND d.refclassid = 'pg_class'::regclass
                          AND d.deptype = 'n'
                    )
                    -- A reference to a whole row is no dependency on a column.
                    AND p.polqual::text NOT LIKE '%{VAR %'
                    THEN pg_get_expr(p.polqual, 0) = 'true'
            END
        ) AS shows_all,
        bool_or(NOT p.polpermissive) AS takes_away
    FROM pg_policy p
    WHERE p.polrelid = c.oid
      AND p.polcmd IN ('r', '*')
      AND EXISTS (
          SELECT FROM unnest(p.polroles) role WHERE CASE role WHEN 0 THEN true ELSE pg_has_role(role, 'USAGE') END
      )
) policy
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
  -- Rows of a partition are shown by the policies of its table.
  AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND row_security_active(c.oid)
  AND (policy.shows_all IS NOT TRUE OR policy.takes_away)
ORDER BY c.relname
