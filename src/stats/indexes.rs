//! The indexes, and which of them are redundant, unused or invalid; foreign keys without one.

use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};
use serde::Serialize;

use super::observation::{Observation, Unavailable, VERDICT_DAYS, observe};
use super::shards::Shards;
use super::statistics::Statistics;
use super::tables::names;
use crate::catalog;
use crate::error::{Doing, Result};
use crate::raw::sql_query;

/// An index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Index {
    /// Its table.
    pub table: String,
    /// Its name.
    pub index: String,
    /// Bytes on disk; `None` when another session has locked it.
    pub bytes: Option<i64>,
    /// How often it was read; `None` where the server does not count.
    pub scans: Option<i64>,
    /// Whether it allows a value once.
    pub unique: bool,
    /// Whether it belongs to a constraint.
    pub constraint: bool,
    /// Whether queries may use it.
    pub valid: bool,
}

/// An index by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexName {
    /// Its table.
    pub table: String,
    /// Its name.
    pub index: String,
    /// Bytes on disk; `None` when another session has locked it.
    pub bytes: Option<i64>,
}

/// An index that another one makes superfluous.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redundant {
    /// Its table.
    pub table: String,
    /// Its name.
    pub index: String,
    /// How the other one covers it.
    pub how: Redundancy,
    /// The other one.
    pub by: String,
    /// Bytes that would be free without it; `None` when another session has locked it.
    pub bytes: Option<i64>,
    /// Whether the schema that this code expects has it, so that `verify` would miss it.
    pub in_schema: bool,
}

/// How one index covers another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Redundancy {
    /// It has the same columns.
    Duplicate,
    /// It begins with the same columns.
    Prefix,
}

impl Redundancy {
    /// Its name in every format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Prefix => "prefix",
        }
    }
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, QueryableByName)]
pub struct ForeignKey {
    /// The table that refers.
    #[diesel(sql_type = Text)]
    pub table: String,
    /// Its name.
    #[diesel(sql_type = Text)]
    #[diesel(column_name = "constraint_name")]
    pub constraint: String,
    /// The columns that refer.
    #[diesel(sql_type = Array<Text>)]
    pub columns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub(super) struct IndexRow {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    bytes: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    scans: Option<i64>,
    #[diesel(sql_type = Bool)]
    is_unique: bool,
    #[diesel(sql_type = Bool)]
    is_valid: bool,
    #[diesel(sql_type = Bool)]
    is_constraint: bool,
    #[diesel(sql_type = Bool)]
    is_needed: bool,
    /// Access method and condition: only indexes of one kind can stand in for each other.
    #[diesel(sql_type = Text)]
    kind: String,
    /// Column or expression, operator class, collation and order of each key.
    #[diesel(sql_type = Array<Text>)]
    keys: Vec<String>,
}

impl IndexRow {
    /// With what the parts of a distributed table have of it.
    fn with(&self, shards: &Shards) -> Self {
        let mut index = self.clone();
        for own in shards.of_index(&self.table, &self.name) {
            index.bytes = index.bytes.map(|bytes| bytes + own.bytes);
            index.scans = index.scans.zip(own.scans).map(|(scans, more)| scans + more);
            index.is_valid &= own.valid;
        }
        index
    }

    pub(super) fn to_index(&self) -> Index {
        Index {
            table: self.table.clone(),
            index: self.name.clone(),
            bytes: self.bytes,
            scans: self.scans,
            unique: self.is_unique,
            constraint: self.is_constraint,
            valid: self.is_valid,
        }
    }

    /// Whether queries and rules lose nothing without this index as long as the other one is there.
    fn is_covered_by(&self, other: &Self) -> bool {
        let may_cover = other.name != self.name && other.table == self.table && other.kind == self.kind;
        if self.is_constraint || self.is_needed || !may_cover || !other.is_valid {
            return false;
        }
        if other.keys == self.keys {
            // Of two that are the same one stays: a constraint's, a unique one, the first by name.
            return other.worth() > self.worth() || (other.worth() == self.worth() && other.name < self.name);
        }
        !self.is_unique && self.kind.starts_with("btree ") && other.keys.starts_with(&self.keys)
    }

    const fn worth(&self) -> (bool, bool) {
        (self.is_constraint, self.is_unique)
    }
}

/// Reads the indexes; without their sizes where one of them is locked.
pub(super) fn read(conn: &mut PgConnection, shards: &Observation<Shards>) -> Result<Observation<Vec<IndexRow>>> {
    let load = |conn: &mut PgConnection, sizes: bool| {
        sql_query(include_str!("indexes.sql"))
            .bind::<Array<Text>, _>(names())
            .bind::<Bool, _>(sizes)
            .load(conn)
            .doing("look at the indexes")
    };
    let indexes: Observation<Vec<IndexRow>> = match observe(conn, |conn| load(conn, true))? {
        Observation::Skipped { .. } => observe(conn, |conn| load(conn, false))?,
        done => done,
    };
    Ok(match shards {
        Observation::Done { found } => indexes.map(|indexes| indexes.iter().map(|index| index.with(found)).collect()),
        // Without the parts, their counters are 0 and say nothing.
        Observation::Skipped { reason } => Observation::Skipped { reason: reason.clone() },
    })
}

/// The indexes that another one makes superfluous.
pub(super) fn redundant(indexes: &[IndexRow]) -> Vec<Redundant> {
    let redundant = |index: &IndexRow| {
        // The best reason first: the same columns, a rule, few columns.
        let by = indexes
            .iter()
            .filter(|other| index.is_covered_by(other))
            .min_by_key(|other| (other.keys.len(), !other.is_constraint, !other.is_unique, other.name.clone()))?;
        let how = if by.keys == index.keys { Redundancy::Duplicate } else { Redundancy::Prefix };
        Some(Redundant {
            table: index.table.clone(),
            index: index.name.clone(),
            how,
            by: by.name.clone(),
            bytes: index.bytes,
            in_schema: catalog::contract().has_index(&index.table, &index.name),
        })
    };
    indexes.iter().filter_map(redundant).collect()
}

/// The indexes without a scan, unless the server has not counted for long enough to tell.
pub(super) fn unused(
    indexes: &Observation<Vec<IndexRow>>,
    statistics: &Observation<Statistics>,
) -> Observation<Vec<IndexName>> {
    let reason = match statistics {
        Observation::Skipped { reason } => reason.clone(),
        Observation::Done { found } if found.age_seconds < VERDICT_DAYS * 86_400.0 => {
            Unavailable::TooYoung { age: Duration::try_from_secs_f64(found.age_seconds).unwrap_or_default() }
        }
        Observation::Done { .. } => {
            let is_unused =
                |index: &IndexRow| index.scans == Some(0) && index.is_valid && !index.is_unique && !index.is_constraint;
            return indexes.map(|indexes| named(indexes, is_unused));
        }
    };
    Observation::Skipped { reason }
}

/// The indexes that a failed or unfinished build left behind.
pub(super) fn invalid(indexes: &[IndexRow]) -> Vec<IndexName> {
    named(indexes, |index| !index.is_valid)
}

fn named(indexes: &[IndexRow], is: impl Fn(&IndexRow) -> bool) -> Vec<IndexName> {
    let name =
        |index: &IndexRow| IndexName { table: index.table.clone(), index: index.name.clone(), bytes: index.bytes };
    indexes.iter().filter(|index| is(index)).map(name).collect()
}

/// The foreign keys that no index begins with.
pub(super) fn unindexed(conn: &mut PgConnection) -> Result<Vec<ForeignKey>> {
    sql_query(include_str!("foreign_keys.sql"))
        .bind::<Array<Text>, _>(names())
        .load(conn)
        .doing("look at the foreign keys")
}
