//! Tables and indexes that take much more space than their rows.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::Serialize;

use crate::error::{Doing, Result};
use crate::raw::sql_query;

/// A table or an index that would be smaller if it were written anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, QueryableByName)]
pub struct Bloat {
    /// The table, or the partition.
    #[diesel(sql_type = Text)]
    pub table: String,
    /// Its index; `None` for the rows themselves.
    #[diesel(sql_type = Nullable<Text>)]
    pub index: Option<String>,
    /// Its size in bytes when it was last vacuumed or analysed.
    #[diesel(sql_type = BigInt)]
    pub bytes: i64,
    /// About how much of that a new one would not take.
    #[diesel(sql_type = BigInt)]
    pub bloat_bytes: i64,
}

/// By the planner's statistics: nothing of the tables is read.
pub(super) fn read(conn: &mut PgConnection) -> Result<Vec<Bloat>> {
    sql_query(include_str!("bloat.sql")).load(conn).doing("estimate how much smaller tables and indexes could be")
}
