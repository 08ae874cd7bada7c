-- What looks like Citus with a coordinator and two workers, as far as a plan reads it.
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_node (
    nodeid int, groupid int, nodename text, nodeport int, noderole text, isactive bool, hasmetadata bool,
    metadatasynced bool, shouldhaveshards bool
);
INSERT INTO pg_catalog.pg_dist_node
SELECT n + 1, n, 'node' || n, 5432, 'primary', true, true, true, n > 0 FROM generate_series(0, 2) n;
CREATE TABLE pg_catalog.pg_dist_local_group (groupid int);
INSERT INTO pg_catalog.pg_dist_local_group VALUES (0);
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, partkey text, colocationid int);
CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass);
CREATE FUNCTION pg_catalog.column_to_column_name(regclass, text) RETURNS text LANGUAGE sql AS 'SELECT $2';
CREATE TABLE pg_catalog.pretended (nodeid int, success bool, result text);
INSERT INTO pg_catalog.pretended SELECT n, true, 'Citus 13.2-1 on PostgreSQL 15' FROM generate_series(1, 3) n;
CREATE FUNCTION pg_catalog.run_command_on_all_nodes(text) RETURNS SETOF pg_catalog.pretended
    LANGUAGE sql AS 'SELECT * FROM pg_catalog.pretended';
CREATE TABLE pg_catalog.pretended_pairs (
    from_nodename text, from_nodeport int, to_nodename text, to_nodeport int, result bool
);
CREATE FUNCTION pg_catalog.citus_check_cluster_node_health() RETURNS SETOF pg_catalog.pretended_pairs
    LANGUAGE sql AS 'SELECT * FROM pg_catalog.pretended_pairs';
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
VALUES (99998, 'citus', 10, 'pg_catalog'::regnamespace, false, '13.2-1');
SET allow_system_table_mods = off;
