//! Which tables are partitioned, and into what.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use serde::Serialize;

use super::facts::{Live, managed_by_partman};
use super::period::Period;
use crate::catalog::{HotTable, PartitionSize, partition_sizes};
use crate::error::Result;

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
    pub partitions: Vec<PartitionSize>,
}

/// Reads the shape of these tables.
pub(super) fn read(conn: &mut PgConnection, tables: &[&'static HotTable]) -> Result<Vec<Status>> {
    let live = Live::read(conn)?;
    let managed = managed_by_partman(conn, &live)?;
    let sizes = partition_sizes(conn)?;
    let status = |hot: &&'static HotTable| Status {
        table: hot.name,
        partitioned: live.catalog.is_partitioned(hot.name),
        period: live.period(hot),
        managed_by_partman: managed.iter().any(|name| name == hot.name),
        ready_until: live.catalog.ranges(hot.name).last().and_then(|last| last.bounds.end()),
        partitions: sizes.iter().filter(|size| size.table == hot.name).cloned().collect(),
    };
    Ok(tables.iter().map(status).collect())
}
