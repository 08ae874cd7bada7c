//! Tables and what else has columns or numbers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Distribution;

/// A table, view or sequence.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// What it is.
    pub relation: Relation,
    /// How a partitioned table is partitioned: `RANGE (created_at)`.
    pub partitioned_by: Option<String>,
    /// Whether a crash empties it.
    pub unlogged: bool,
    /// Whether row security is on.
    pub row_security: bool,
    /// Whether row security applies to the owner too.
    pub row_security_for_owner: bool,
    /// Its storage settings, those of its TOAST table with `toast.` in front. They are no part of the contract.
    pub settings: BTreeMap<String, String>,
    /// How Citus keeps it; `None` for a table of this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
}

/// What stands under the name of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is named as PostgreSQL calls it")]
pub enum Relation {
    Table,
    #[serde(rename = "partitioned table")]
    PartitionedTable,
    #[serde(rename = "foreign table")]
    ForeignTable,
    View,
    #[serde(rename = "materialized view")]
    MaterializedView,
    Sequence,
}

impl Relation {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::PartitionedTable => "partitioned table",
            Self::ForeignTable => "foreign table",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Sequence => "sequence",
        }
    }

    /// Whether it is a table of some sort.
    pub const fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::PartitionedTable | Self::ForeignTable)
    }
}

const ROW_SECURITY: &str = "row security";
const ROW_SECURITY_FOR_OWNER: &str = "row security also for the owner";

impl Table {
    /// What it says of row security, in words; empty where there is none.
    pub fn security(&self) -> String {
        let words = [(self.row_security, ROW_SECURITY), (self.row_security_for_owner, ROW_SECURITY_FOR_OWNER)];
        words.into_iter().filter(|(is_on, _)| *is_on).map(|(_, word)| word).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unlogged, security) = (if self.unlogged { "unlogged " } else { "" }, self.security());
        let comma = if security.is_empty() { "" } else { ", " };
        let by = self.partitioned_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        write!(f, "{unlogged}{}{by}{comma}{security}", self.relation.as_str())?;
        match &self.distribution {
            Some(Distribution { by: Some(column), .. }) => write!(f, ", distributed by {column}"),
            Some(_) => f.write_str(", kept by Citus as a whole"),
            None => Ok(()),
        }
    }
}

/// The order of a table's columns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct ColumnOrder {
    /// The table.
    pub table: String,
    /// The names of its columns.
    pub columns: Vec<String>,
}

impl ColumnOrder {
    /// Whether the columns that both tables have come in the same order.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let common = |of: &Self, other: &Self| -> Vec<String> {
            of.columns.iter().filter(|name| other.columns.contains(name)).cloned().collect()
        };
        common(self, other) == common(other, self)
    }
}

impl fmt::Display for ColumnOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.columns.join(", "))
    }
}
