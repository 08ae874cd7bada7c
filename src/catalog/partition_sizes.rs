//! How large partitions are.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable, Text};
use serde::Serialize;

use super::Bounds;
use crate::error::{Doing, Result};
use crate::raw::sql_query;

/// A partition with its size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionSize {
    /// The partitioned table.
    pub table: String,
    /// Its own name.
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

/// The partitions of each table of the current schema in the order of their times, the default one last. Opens each of
/// them, so it waits for whoever holds one.
///
/// # Errors
///
/// [`crate::Error::Query`] when the query fails.
pub fn partition_sizes(conn: &mut PgConnection) -> Result<Vec<PartitionSize>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        table_name: String,
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        bounds: String,
        #[diesel(sql_type = Nullable<Double>)]
        estimate: Option<f64>,
        #[diesel(sql_type = BigInt)]
        bytes: i64,
    }
    let query = "SELECT t.relname::text AS table_name, c.relname::text AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds,
            CASE WHEN c.reltuples >= 0 THEN c.reltuples::float8 END AS estimate, pg_total_relation_size(c.oid) AS bytes
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class t ON t.oid = i.inhparent
        WHERE t.relnamespace = quote_ident(current_schema())::regnamespace AND c.relispartition AND c.relkind IN ('r', 'p')";
    let rows: Vec<Row> = sql_query(query).load(conn).doing("measure the partitions")?;
    let size = |row: Row| {
        let bounds = Bounds::from(row.bounds);
        let (from, to) = bounds.range().unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, reason = "a number of rows; `as` stops at the greatest")]
        let rows = row.estimate.map(|rows| rows as i64);
        let default = bounds == Bounds::Default;
        PartitionSize { table: row.table_name, name: row.name, from, to, default, rows, bytes: row.bytes }
    };
    let mut sizes: Vec<_> = rows.into_iter().map(size).collect();
    sizes.sort_by(|one, other| (&one.table, one.default, one.from).cmp(&(&other.table, other.default, other.from)));
    Ok(sizes)
}
