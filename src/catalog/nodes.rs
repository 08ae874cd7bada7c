//! The nodes of a Citus cluster, and where the shards of the hot tables are.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use serde::Serialize;

use crate::error::{Doing, Result};
use crate::raw::sql_query;

/// A node, as the coordinator knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, QueryableByName)]
pub struct Node {
    /// Its host, or the directory of its socket.
    #[diesel(sql_type = Text)]
    pub host: String,
    /// Its port.
    #[diesel(sql_type = BigInt)]
    pub port: i64,
    /// Whether it is the coordinator.
    #[diesel(sql_type = Bool)]
    pub coordinator: bool,
    /// Whether shards may be on it.
    #[diesel(sql_type = Bool)]
    pub takes_shards: bool,
    /// Whether it is in use.
    #[diesel(sql_type = Bool)]
    pub active: bool,
    /// Whether it knows the tables of the cluster.
    #[diesel(sql_type = Bool)]
    pub synced: bool,
}

/// A part of a table. Of a partitioned table it is one of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, QueryableByName)]
pub struct Shard {
    /// The table.
    #[diesel(sql_type = Text)]
    pub table: String,
    /// The partition; `None` of a plain table.
    #[diesel(sql_type = Nullable<Text>)]
    pub partition: Option<String>,
    /// The shard's number.
    #[diesel(sql_type = BigInt)]
    pub shard: i64,
    /// The least hash of its rows: parts of partitions with the same one are together a part of the table.
    #[diesel(sql_type = Nullable<Text>)]
    pub begins: Option<String>,
    /// The host of the node that has it; `None` where none has.
    #[diesel(sql_type = Nullable<Text>)]
    pub host: Option<String>,
    /// The node's port.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub port: Option<i64>,
    /// Its size with indexes; `None` where the node does not say.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub bytes: Option<i64>,
}

impl Node {
    /// `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// The nodes; none where the database has no Citus, or is alone.
///
/// # Errors
///
/// [`crate::Error::Query`].
pub fn nodes(conn: &mut PgConnection) -> Result<Vec<Node>> {
    if !has_citus(conn)? {
        return Ok(Vec::new());
    }
    read_nodes(conn).doing("read the nodes of the cluster")
}

/// The nodes of a database that has Citus, the coordinator first.
pub(crate) fn read_nodes(conn: &mut PgConnection) -> QueryResult<Vec<Node>> {
    sql_query(
        "SELECT nodename AS host, nodeport::bigint AS port, groupid = 0 AS coordinator, shouldhaveshards AS takes_shards,
             isactive AS active, hasmetadata AND metadatasynced AS synced
         FROM pg_catalog.pg_dist_node WHERE noderole = 'primary' ORDER BY groupid",
    )
    .load(conn)
}

/// The shards of the distributed tables of the current schema, with their sizes, which are asked of every node.
///
/// # Errors
///
/// [`crate::Error::Query`].
pub fn shards(conn: &mut PgConnection) -> Result<Vec<Shard>> {
    if !has_citus(conn)? {
        return Ok(Vec::new());
    }
    sql_query(
        "SELECT coalesce(parent.relname, c.relname)::text AS \"table\",
             CASE WHEN parent.oid IS NOT NULL THEN c.relname::text END AS partition,
             s.shardid AS shard, s.shardminvalue AS begins, n.nodename AS host, n.nodeport::bigint AS port, z.size::bigint AS bytes
         FROM pg_catalog.pg_dist_shard s
         JOIN pg_class c ON c.oid = s.logicalrelid
         JOIN pg_namespace own ON own.oid = c.relnamespace AND own.nspname = current_schema()
         LEFT JOIN pg_inherits h ON h.inhrelid = c.oid
         LEFT JOIN pg_class parent ON parent.oid = h.inhparent
         LEFT JOIN pg_catalog.pg_dist_placement p ON p.shardid = s.shardid
         LEFT JOIN pg_catalog.pg_dist_node n ON n.groupid = p.groupid AND n.noderole = 'primary'
         LEFT JOIN citus_shard_sizes() z ON z.shard_id = s.shardid
         ORDER BY 1, 2, 3",
    )
    .load(conn)
    .doing("read where the shards are")
}

fn has_citus(conn: &mut PgConnection) -> Result<bool> {
    diesel::select(crate::raw::sql::<Bool>("to_regclass('pg_catalog.pg_dist_node') IS NOT NULL"))
        .get_result(conn)
        .doing("ask whether the database has Citus")
}
