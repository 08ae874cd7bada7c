//! The parts of distributed tables, on all nodes: the coordinator has no row and no counter of them.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::{Deserialize, Serialize};

use super::observation::Unavailable;
use super::tables::{RowsAre, Table};
use crate::catalog::ask_nodes;
use crate::raw::{Sql, raw, sql, sql_query};

/// A part of a distributed table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shard {
    /// The table.
    pub table: String,
    /// The number of the part.
    pub shard: i64,
    /// The node that has it, as `host:port`; empty where none has.
    pub node: String,
    /// Whether the node answers and has it.
    pub available: bool,
    /// Its rows, estimated; `None` where there is no estimate.
    pub rows: Option<i64>,
    /// Bytes on disk in all.
    pub bytes: Option<i64>,
    /// Its share of the table's bytes, from 0 to 1.
    pub share: Option<f64>,
}

/// What a node says of a part.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Figures {
    table: String,
    shard: i64,
    total: i64,
    indexes: i64,
    toast: i64,
    rows: Option<i64>,
    dead_rows: Option<i64>,
    seq_scans: Option<i64>,
    index_scans: Option<i64>,
    last_vacuum: Option<DateTime<Utc>>,
    last_analyze: Option<DateTime<Utc>>,
    blocks_hit: Option<i64>,
    blocks_read: Option<i64>,
    own_indexes: Vec<OwnIndex>,
}

/// What a node says of an index of a part.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct OwnIndex {
    pub(super) name: String,
    pub(super) bytes: i64,
    pub(super) scans: Option<i64>,
    pub(super) valid: bool,
}

/// The parts of all distributed tables.
#[derive(Debug, Default)]
pub(super) struct Shards {
    pub(super) shards: Vec<Shard>,
    figures: Vec<Figures>,
}

/// The parts of the tables of a schema, those of partitions included: table, its part, number.
fn parts(schema: &str) -> Sql {
    raw!(
        "SELECT coalesce(pg_partition_root(l.oid)::oid, l.oid) AS of, l.oid::regclass AS logical, s.shardid AS shard
         FROM pg_catalog.pg_dist_shard s JOIN pg_class l ON l.oid = s.logicalrelid
         WHERE l.relkind = 'r' AND l.relnamespace = {schema}::regnamespace",
        schema = Sql::literal(schema)
    )
}

impl Shards {
    /// Asks all nodes.
    pub(super) fn read(conn: &mut PgConnection) -> QueryResult<Self> {
        #[derive(QueryableByName)]
        struct Placement {
            #[diesel(sql_type = Text)]
            table: String,
            #[diesel(sql_type = BigInt)]
            shard: i64,
            #[diesel(sql_type = Nullable<Text>)]
            node: Option<String>,
        }
        let schema: String = diesel::select(sql::<Text>("quote_ident(current_schema())")).get_result(conn)?;
        let parts = parts(&schema);
        let placements: Vec<Placement> = sql_query(raw!(
            "SELECT t.relname::text AS \"table\", part.shard, n.nodename || ':' || n.nodeport AS node
             FROM ({parts}) AS part
             JOIN pg_class t ON t.oid = part.of
             LEFT JOIN pg_catalog.pg_dist_placement p ON p.shardid = part.shard
             LEFT JOIN pg_catalog.pg_dist_node n ON n.groupid = p.groupid AND n.noderole = 'primary'
             ORDER BY 1, 2",
            parts = &parts
        ))
        .load(conn)?;
        let question = raw!("WITH part AS ({parts}) {FIGURES}", parts, FIGURES = include_str!("shards.sql"));
        let answers = ask_nodes::<Figures>(conn, &question)?;
        let figures: Vec<_> = answers.into_iter().filter_map(|answer| answer.found.ok()).flatten().collect();
        let shard = |Placement { table, shard, node }: Placement| {
            let found = figures.iter().find(|figures| figures.shard == shard);
            let all: i64 = figures.iter().filter(|figures| figures.table == table).map(|figures| figures.total).sum();
            #[expect(clippy::cast_precision_loss, reason = "a ratio")]
            let share = found.filter(|_| all > 0).map(|figures| figures.total as f64 / all as f64);
            Shard {
                table,
                shard,
                node: node.unwrap_or_default(),
                available: found.is_some(),
                rows: found.and_then(|figures| figures.rows),
                bytes: found.map(|figures| figures.total),
                share,
            }
        };
        let shards = placements.into_iter().map(shard).collect();
        Ok(Self { shards, figures })
    }

    /// What the nodes say of an index of a table, a part after the other.
    pub(super) fn of_index<'a>(&'a self, table: &'a str, index: &'a str) -> impl Iterator<Item = &'a OwnIndex> {
        let of_table = self.figures.iter().filter(move |figures| figures.table == table);
        of_table.flat_map(|figures| &figures.own_indexes).filter(move |own| own.name == index)
    }

    /// Adds the parts to their tables. Where one is not available, nothing is known of the whole.
    pub(super) fn add_to(&self, tables: &mut [Table]) {
        for table in tables {
            let mut shards = self.shards.iter().filter(|shard| shard.table == table.table).peekable();
            if shards.peek().is_none() {
                continue;
            }
            if let Some(lost) = shards.find(|shard| !shard.available) {
                let words = format!("part {} is not available on {}", lost.shard, lost.node);
                table.skipped = Some(Unavailable::Refused(words));
                (table.rows, table.rows_are) = (None, RowsAre::Unknown);
                (table.total_bytes, table.heap_bytes, table.index_bytes, table.toast_bytes) = (None, None, None, None);
                continue;
            }
            let name = table.table;
            let of_table = || self.figures.iter().filter(|figures| figures.table == name);
            of_table().for_each(|figures| figures.add_to(table));
            table.rows = of_table().map(|figures| figures.rows).sum();
            table.rows_are = if table.rows.is_some() { RowsAre::Estimated } else { RowsAre::Unknown };
        }
    }
}

impl Figures {
    fn add_to(&self, table: &mut Table) {
        let add = |sum: &mut Option<i64>, more: Option<i64>| *sum = sum.zip(more).map(|(sum, more)| sum + more);
        add(&mut table.total_bytes, Some(self.total));
        add(&mut table.heap_bytes, Some(self.total - self.indexes - self.toast));
        add(&mut table.index_bytes, Some(self.indexes));
        add(&mut table.toast_bytes, Some(self.toast));
        add(&mut table.dead_rows, self.dead_rows);
        add(&mut table.seq_scans, self.seq_scans);
        add(&mut table.index_scans, self.index_scans);
        add(&mut table.blocks_hit, self.blocks_hit);
        add(&mut table.blocks_read, self.blocks_read);
        table.last_vacuum = table.last_vacuum.max(self.last_vacuum);
        table.last_analyze = table.last_analyze.max(self.last_analyze);
    }
}
