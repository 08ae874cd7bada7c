//! The tables: rows, sizes, upkeep.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Nullable, Text, Timestamptz};
use serde::Serialize;

use super::observation::{Observation, Unavailable, observe};
use crate::error::{Doing, Result};
use crate::layer::{self, Layer};
use crate::raw::{Sql, raw, sql_query};

/// A table without an estimate is counted when it is smaller than this, in bytes.
const SMALL: i64 = 1024 * 1024;

/// One table. What the server does not count is `None`: anything where it is set not to, dead rows on a standby.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// Its layer.
    pub layer: Layer,
    /// Its name.
    pub table: &'static str,
    /// Its rows; `None` when the number is not known.
    pub rows: Option<i64>,
    /// Where `rows` comes from.
    pub rows_are: RowsAre,
    /// Bytes on disk in all; `None` when it could not be measured.
    pub total_bytes: Option<i64>,
    /// Bytes of the rows themselves.
    pub heap_bytes: Option<i64>,
    /// Bytes of the indexes.
    pub index_bytes: Option<i64>,
    /// Bytes of what is stored out of line.
    pub toast_bytes: Option<i64>,
    /// Rows that a vacuum would remove, estimated.
    pub dead_rows: Option<i64>,
    /// Times that it was read from end to end.
    pub seq_scans: Option<i64>,
    /// Times that one of its indexes was read.
    pub index_scans: Option<i64>,
    /// Blocks of it that were found in the cache.
    pub blocks_hit: Option<i64>,
    /// Blocks of it that had to be read.
    pub blocks_read: Option<i64>,
    /// Last vacuum, by hand or automatic, UTC.
    pub last_vacuum: Option<DateTime<Utc>>,
    /// Last analyze, by hand or automatic, UTC.
    pub last_analyze: Option<DateTime<Utc>>,
    /// Why something about it is not known.
    pub skipped: Option<Unavailable>,
}

/// Where a number of rows comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowsAre {
    /// The planner's estimate: as many rows a page as at the last vacuum or analyze, in the pages of today.
    Estimated,
    /// A count.
    Exact,
    /// There is no estimate and no count.
    Unknown,
}

impl RowsAre {
    /// Its name in every format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Estimated => "estimated",
            Self::Exact => "exact",
            Self::Unknown => "unknown",
        }
    }
}

/// Names of all tables.
pub(super) fn names() -> Vec<&'static str> {
    layer::tables().map(|(_, table)| table).collect()
}

/// Measures every table that is there; `add_parts` adds what is of them on other nodes.
pub(super) fn read(conn: &mut PgConnection, exact: bool, add_parts: impl FnOnce(&mut [Table])) -> Result<Vec<Table>> {
    let activity: Vec<Activity> = sql_query(include_str!("tables.sql"))
        .bind::<Array<Text>, _>(names())
        .load(conn)
        .doing("read the statistics of the tables")?;
    let table = |(layer, table)| {
        let found = activity.iter().find(|found| found.name == table)?;
        Some(Table::new(layer, table, found))
    };
    let mut tables: Vec<Table> = layer::tables().filter_map(table).collect();
    measure(conn, &mut tables)?;
    add_parts(&mut tables);
    count(conn, &mut tables, exact)?;
    Ok(tables)
}

/// What `tables.sql` returns of a table.
#[derive(QueryableByName)]
struct Activity {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    dead_rows: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    seq_scans: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    index_scans: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    blocks_hit: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    blocks_read: Option<i64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_vacuum: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_analyze: Option<DateTime<Utc>>,
}

/// What `sizes.sql` returns of a table.
#[derive(QueryableByName)]
struct Size {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = BigInt)]
    indexes: i64,
    #[diesel(sql_type = BigInt)]
    toast: i64,
    #[diesel(sql_type = Nullable<Double>)]
    estimate: Option<f64>,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// All tables in one query; one by one where one of them is locked.
fn measure(conn: &mut PgConnection, tables: &mut [Table]) -> Result<()> {
    let all: Vec<_> = tables.iter().map(|table| table.table).collect();
    if let Observation::Done { found } = observe(conn, |conn| sizes(conn, all))? {
        tables.iter_mut().for_each(|table| table.take_size(&found));
        return Ok(());
    }
    for table in tables {
        match observe(conn, |conn| sizes(conn, vec![table.table]))? {
            Observation::Done { found } => table.take_size(&found),
            Observation::Skipped { reason } => table.skipped = Some(reason),
        }
    }
    Ok(())
}

fn sizes(conn: &mut PgConnection, names: Vec<&str>) -> Result<Vec<Size>> {
    sql_query(include_str!("sizes.sql")).bind::<Array<Text>, _>(names).load(conn).doing("measure the tables")
}

/// Counts in one query; one by one where one of the tables cannot be read.
fn count(conn: &mut PgConnection, tables: &mut [Table], exact: bool) -> Result<()> {
    let names: Vec<_> = tables.iter().filter(|table| table.is_to_count(exact)).map(|table| table.table).collect();
    if names.is_empty() {
        return Ok(());
    }
    if let Observation::Done { found } = observe(conn, |conn| counts(conn, &names))? {
        tables.iter_mut().for_each(|table| table.take_count(&found));
        return Ok(());
    }
    for table in tables.iter_mut().filter(|table| names.contains(&table.table)) {
        match observe(conn, |conn| counts(conn, &[table.table]))? {
            Observation::Done { found } => table.take_count(&found),
            Observation::Skipped { reason } => table.skipped = Some(reason),
        }
    }
    Ok(())
}

fn counts(conn: &mut PgConnection, tables: &[&'static str]) -> Result<Vec<Count>> {
    let select = |table: &&'static str| raw!("SELECT '{table}' AS name, count(*) AS rows FROM {table}", table = *table);
    let query = Sql::join(tables.iter().map(select), " UNION ALL ");
    sql_query(query).load(conn).doing("count the rows")
}

impl Table {
    fn new(layer: Layer, table: &'static str, activity: &Activity) -> Self {
        Self {
            layer,
            table,
            rows: None,
            rows_are: RowsAre::Unknown,
            total_bytes: None,
            heap_bytes: None,
            index_bytes: None,
            toast_bytes: None,
            dead_rows: activity.dead_rows,
            seq_scans: activity.seq_scans,
            index_scans: activity.index_scans,
            blocks_hit: activity.blocks_hit,
            blocks_read: activity.blocks_read,
            last_vacuum: activity.last_vacuum,
            last_analyze: activity.last_analyze,
            skipped: None,
        }
    }

    fn take_size(&mut self, sizes: &[Size]) {
        let Some(size) = sizes.iter().find(|size| size.name == self.table) else { return };
        self.total_bytes = Some(size.total);
        self.heap_bytes = Some(size.total - size.indexes - size.toast);
        self.index_bytes = Some(size.indexes);
        self.toast_bytes = Some(size.toast);
        if let Some(estimate) = size.estimate {
            #[expect(clippy::cast_possible_truncation, reason = "a number of rows; `as` stops at the greatest")]
            let rows = estimate as i64;
            (self.rows, self.rows_are) = (Some(rows), RowsAre::Estimated);
        }
    }

    /// A table that another session has locked is not waited for a second time.
    fn is_to_count(&self, exact: bool) -> bool {
        let is_small = self.rows_are == RowsAre::Unknown && self.heap_bytes.is_some_and(|bytes| bytes < SMALL);
        self.skipped.is_none() && (exact || is_small)
    }

    fn take_count(&mut self, counts: &[Count]) {
        if let Some(count) = counts.iter().find(|count| count.name == self.table) {
            (self.rows, self.rows_are) = (Some(count.rows), RowsAre::Exact);
        }
    }

    /// Takes what another part of the report has read: all rows, or some of them. An estimate from before the newest
    /// rows came would contradict it.
    pub(super) fn take_seen(&mut self, seen: i64, is_all: bool) {
        if is_all {
            (self.rows, self.rows_are) = (Some(seen), RowsAre::Exact);
        } else if self.rows_are == RowsAre::Estimated && self.rows < Some(seen) {
            self.rows = Some(seen);
        }
    }
}
