//! Which tables are partitioned, and into what.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable, Text};
use serde::Serialize;

use super::facts::{Live, managed_by_partman};
use super::period::Period;
use crate::catalog::{Bounds, HotTable, Partition};
use crate::error::{Doing, Result};
use crate::raw::sql_query;

/// The shape of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The table.
    pub table: &'static str,
    /// Whether it is partitioned by its time.
    pub partitioned: bool,
    /// How long its partitions are.
    pub period: Option<Period>,
    /// Whether pg_partman manages it.
    pub managed_by_partman: bool,
    /// Until when there is a partition for every row; `None` where there is no end, or none is partitioned.
    pub ready_until: Option<DateTime<Utc>>,
    /// The partitions in the order of their times, the default one last.
    pub partitions: Vec<PartitionStatus>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartitionStatus {
    /// Its name.
    pub name: String,
    /// The first time that it takes; `None` without a beginning.
    pub from: Option<DateTime<Utc>>,
    /// The first time that it does not take any more; `None` without an end.
    pub to: Option<DateTime<Utc>>,
    /// Whether it takes what no other one does.
    pub default: bool,
    /// Its rows, estimated; `None` where there is no estimate.
    pub rows: Option<i64>,
    /// Bytes on disk in all.
    pub bytes: i64,
}

#[derive(QueryableByName)]
struct Size {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
    #[diesel(sql_type = Nullable<Double>)]
    estimate: Option<f64>,
}

/// Reads the shape of these tables.
pub(super) fn read(conn: &mut PgConnection, tables: &[&'static HotTable]) -> Result<Vec<Status>> {
    let live = Live::read(conn)?;
    let managed = managed_by_partman(conn, &live)?;
    let query = "SELECT c.relname::text AS name, pg_total_relation_size(c.oid) AS bytes,
            CASE WHEN c.reltuples >= 0 THEN c.reltuples::float8 END AS estimate
        FROM pg_class c
        WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relispartition AND c.relkind IN ('r', 'p')";
    let sizes: Vec<Size> = sql_query(query).load(conn).doing("measure the partitions")?;
    let status = |hot: &&'static HotTable| {
        let ranges = live.catalog.ranges(hot.name);
        let all = ranges.iter().copied().chain(live.catalog.default_partition(hot.name));
        Status {
            table: hot.name,
            partitioned: live.catalog.is_partitioned(hot.name),
            period: live.period(hot),
            managed_by_partman: managed.iter().any(|name| name == hot.name),
            ready_until: ranges.last().and_then(|last| last.bounds.end()),
            partitions: all.map(|partition| of(partition, &sizes)).collect(),
        }
    };
    Ok(tables.iter().map(status).collect())
}

fn of(partition: &Partition, sizes: &[Size]) -> PartitionStatus {
    let size = sizes.iter().find(|size| size.name == partition.name);
    let (from, to) = partition.bounds.range().unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, reason = "a number of rows; `as` stops at the greatest")]
    let rows = size.and_then(|size| size.estimate).map(|rows| rows as i64);
    PartitionStatus {
        name: partition.name.clone(),
        from,
        to,
        default: partition.bounds == Bounds::Default,
        rows,
        bytes: size.map_or(0, |size| size.bytes),
    }
}
