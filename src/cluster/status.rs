//! How the cluster is: its nodes, and where the tables' rows are.

use std::collections::BTreeMap;

use diesel::pg::PgConnection;
use serde::Serialize;

use super::facts::{self, Facts};
use super::operations;
use crate::catalog::{self, HOT_TABLES, Shard};
use crate::error::Result;

/// How the cluster is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// How many shards were chosen; `None` where no table was to be distributed.
    pub shards: Option<i32>,
    /// Whether all that belongs to it is done.
    pub done: bool,
    /// Its nodes, the coordinator first.
    pub nodes: Vec<NodeStatus>,
    /// The hot tables.
    pub tables: Vec<TableStatus>,
    /// How many shards a rebalance would move.
    pub moves: usize,
}

/// How a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// `host:port`.
    pub node: String,
    /// Whether it is the coordinator.
    pub coordinator: bool,
    /// Whether it is in use and knows the tables.
    pub active: bool,
    /// How many shards of hot tables are on it.
    pub shards: usize,
    /// Their size.
    pub bytes: i64,
}

/// How a table is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableStatus {
    /// The table.
    pub table: &'static str,
    /// The column by which its rows are distributed; `None` where they are not.
    pub distributed_by: Option<String>,
    /// How many shards it has.
    pub shards: i64,
    /// Their size.
    pub bytes: i64,
    /// The largest shard's size in hundredths of their mean; `None` where they are empty.
    pub skew_percent: Option<i64>,
}

/// Reads how the cluster is. Writes nothing.
///
/// # Errors
///
/// Those of [`super::Error`] that say that there is no cluster, and [`crate::Error::Query`].
pub fn status(conn: &mut PgConnection) -> Result<Status> {
    let nodes = facts::nodes(conn)?;
    let topology = Facts::read(conn)?.topology(conn)?;
    let catalog = catalog::read(conn)?;
    let shards = catalog::shards(conn)?;
    let hot: Vec<_> = shards.iter().filter(|shard| HOT_TABLES.iter().any(|hot| hot.name == shard.table)).collect();
    let bytes = |shards: &[&Shard]| shards.iter().filter_map(|shard| shard.bytes).sum::<i64>();
    let of_node = |node: &catalog::Node| {
        let own: Vec<_> = hot
            .iter()
            .copied()
            .filter(|it| it.host.as_deref() == Some(&node.host) && it.port == Some(node.port))
            .collect();
        NodeStatus {
            node: node.address(),
            coordinator: node.coordinator,
            active: node.active && node.synced,
            shards: own.len(),
            bytes: bytes(&own),
        }
    };
    let of_table = |table: &catalog::HotTable| {
        let own: Vec<_> = hot.iter().copied().filter(|shard| shard.table == table.name).collect();
        let distribution = catalog.distribution(table.name);
        let (count, all) = (distribution.map_or(0, |it| it.shards), bytes(&own));
        let mut by_begin = BTreeMap::<_, i64>::new();
        own.iter().for_each(|shard| *by_begin.entry(&shard.begins).or_default() += shard.bytes.unwrap_or_default());
        let largest = by_begin.into_values().max();
        TableStatus {
            table: table.name,
            distributed_by: distribution.and_then(|it| it.by.clone()),
            shards: count,
            bytes: all,
            skew_percent: largest.filter(|_| all > 0).map(|largest| largest * 100 * count / all),
        }
    };
    Ok(Status {
        shards: topology.map(|topology| topology.shards),
        done: topology.is_some_and(|topology| topology.is_done),
        nodes: nodes.iter().map(of_node).collect(),
        tables: HOT_TABLES.iter().map(of_table).collect(),
        moves: operations::moves(conn)?.len(),
    })
}
