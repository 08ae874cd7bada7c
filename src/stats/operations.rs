//! The administrator's view: migrations, cache, indexes, other sessions. What is not known says why.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Timestamptz};
use serde::Serialize;

use super::bloat::{self, Bloat};
use super::indexes::{self, ForeignKey, Index, IndexName, IndexRow, Redundant};
use super::observation::{Observation, observe};
use super::sessions::{self, BlockedSession, LongTransaction};
use super::shards::{Shard, Shards};
use super::statistics::{self, Statistics};
use super::tables::Table;
use crate::catalog::{HotTable, PartitionSize, partition_sizes};
use crate::error::{Doing, Result};
use crate::raw::{raw, sql};

/// The tables that samples keep coming into.
const TIME_SERIES: [HotTable; 3] = [HotTable::AGENT_METRICS, HotTable::RESOURCE_METRICS, HotTable::QUALITY_METRICS];

/// The health of the database.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operations {
    /// The migrations.
    pub migrations: Observation<Migrations>,
    /// Since when the server has counted.
    pub statistics: Observation<Statistics>,
    /// The cache, over all tables of ours.
    pub cache: Cache,
    /// The partitions of the tables that have some.
    pub partitions: Observation<Vec<PartitionSize>>,
    /// Tables and indexes that would be smaller by a megabyte and a fifth, or more, if they were written anew: an estimate.
    pub bloat: Observation<Vec<Bloat>>,
    /// The parts of the tables that are distributed over the nodes of a cluster.
    pub shards: Observation<Vec<Shard>>,
    /// Every index.
    pub indexes: Observation<Vec<Index>>,
    /// Indexes that another one makes superfluous.
    pub redundant_indexes: Observation<Vec<Redundant>>,
    /// Indexes without a scan, other than unique ones and those of constraints. Skipped while the statistics are
    /// younger than [`VERDICT_DAYS`](super::VERDICT_DAYS).
    pub unused_indexes: Observation<Vec<IndexName>>,
    /// Indexes that a failed or unfinished build left behind.
    pub invalid_indexes: Observation<Vec<IndexName>>,
    /// Foreign keys that no index begins with.
    pub unindexed_foreign_keys: Observation<Vec<ForeignKey>>,
    /// Age in seconds of the oldest transaction of another session; 0 without any.
    pub oldest_transaction_seconds: Observation<f64>,
    /// How many transactions are open for longer than [`LONG_TRANSACTION_SECONDS`](super::LONG_TRANSACTION_SECONDS).
    pub long_transaction_count: Observation<usize>,
    /// The oldest twenty of them.
    pub long_transactions: Observation<Vec<LongTransaction>>,
    /// How many sessions wait for another one's lock.
    pub blocked_session_count: Observation<usize>,
    /// Twenty of them.
    pub blocked_sessions: Observation<Vec<BlockedSession>>,
    /// The newest sample of each table that samples keep coming into; `None` without any.
    pub newest_samples: Vec<NewestSample>,
}

/// How the migrations stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Migrations {
    /// How many are applied.
    pub applied: usize,
    /// Names of those that are not.
    pub pending: Vec<String>,
    /// Names of those that this code does not know; the version where no name is recorded.
    pub unknown: Vec<String>,
}

/// How often a block was found in the cache.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cache {
    /// Blocks that were there; `None` where the server does not count.
    pub blocks_hit: Option<i64>,
    /// Blocks that had to be read; `None` where the server does not count.
    pub blocks_read: Option<i64>,
    /// The share that was there, from 0 to 1; `None` when no block was needed.
    pub hit_ratio: Option<f64>,
}

/// The newest sample of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewestSample {
    /// The table.
    pub table: &'static str,
    /// When it was taken, UTC; `None` when the table is empty.
    #[serde(flatten)]
    pub at: Observation<Option<DateTime<Utc>>>,
}

/// Looks at everything but the tables themselves.
pub(super) fn read(
    conn: &mut PgConnection,
    tables: &[Table],
    migrations: Observation<Migrations>,
    shards: &Observation<Shards>,
) -> Result<Operations> {
    let statistics = statistics::read(conn)?;
    let indexes = indexes::read(conn, shards)?;
    let sessions = sessions::read(conn)?;
    let long = sessions.map(|sessions| sessions::long(sessions));
    let blocked = sessions.map(|sessions| sessions::blocked(sessions));
    Ok(Operations {
        migrations,
        cache: Cache::of(tables),
        partitions: observe(conn, partition_sizes)?,
        bloat: observe(conn, bloat::read)?,
        shards: shards.map(|shards| shards.shards.clone()),
        indexes: indexes.map(|indexes| indexes.iter().map(IndexRow::to_index).collect()),
        redundant_indexes: indexes.map(|indexes| indexes::redundant(indexes)),
        unused_indexes: indexes::unused(&indexes, &statistics),
        invalid_indexes: indexes.map(|indexes| indexes::invalid(indexes)),
        statistics,
        unindexed_foreign_keys: observe(conn, indexes::unindexed)?,
        oldest_transaction_seconds: sessions.map(|sessions| sessions::oldest_seconds(sessions)),
        long_transaction_count: long.map(|(count, _)| *count),
        long_transactions: long.map(|(_, transactions)| transactions.clone()),
        blocked_session_count: blocked.map(|(count, _)| *count),
        blocked_sessions: blocked.map(|(_, sessions)| sessions.clone()),
        newest_samples: newest_samples(conn)?,
    })
}

impl Cache {
    fn of(tables: &[Table]) -> Self {
        let blocks_hit: Option<i64> = tables.iter().map(|table| table.blocks_hit).sum();
        let blocks_read: Option<i64> = tables.iter().map(|table| table.blocks_read).sum();
        let needed = blocks_hit.unwrap_or_default() + blocks_read.unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let hit_ratio = blocks_hit.filter(|_| needed > 0).map(|hit| hit as f64 / needed as f64);
        Self { blocks_hit, blocks_read, hit_ratio }
    }
}

fn newest_samples(conn: &mut PgConnection) -> Result<Vec<NewestSample>> {
    let newest = |HotTable { name: table, time: column, .. }: HotTable| {
        let query = raw!("(SELECT max(\"{column}\")::timestamptz FROM {table})", column, table);
        let at = observe(conn, |conn| {
            diesel::select(sql::<Nullable<Timestamptz>>(&query))
                .get_result(conn)
                .doing(format!("look for the newest row of {table}"))
        })?;
        Ok(NewestSample { table, at })
    };
    TIME_SERIES.into_iter().map(newest).collect()
}
