//! Constraints: keys, references and checks.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A constraint of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Constraint {
    /// The table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// What it demands.
    pub rule: Rule,
    /// The same as PostgreSQL writes it, with `NOT VALID` where it was never validated.
    pub definition: String,
    /// Whether every row is known to keep it.
    pub validated: bool,
    /// Whether the triggers that hold it are enabled.
    pub enforced: bool,
}

/// What a constraint demands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// These columns identify a row.
    PrimaryKey(Vec<String>),
    /// No two rows have the same values in these columns.
    Unique(Vec<String>),
    /// A row of another table exists.
    ForeignKey(ForeignKey),
    /// A condition on a row holds.
    Check,
    /// Something else, such as an exclusion.
    Other,
}

/// A reference to another table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct ForeignKey {
    /// The columns that refer.
    pub columns: Vec<String>,
    /// The table that they refer to.
    pub references: String,
    /// The columns there.
    pub referenced_columns: Vec<String>,
    /// What becomes of a row when the one that it refers to is deleted.
    pub on_delete: OnDelete,
}

/// What becomes of a row when the one that it refers to is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OnDelete {
    /// The other cannot be deleted, at the end of the transaction.
    #[serde(rename = "NO ACTION")]
    NoAction,
    /// The other cannot be deleted.
    Restrict,
    /// It is deleted too.
    Cascade,
    /// Its reference becomes null.
    #[serde(rename = "SET NULL")]
    SetNull,
    /// Its reference becomes the column's default.
    #[serde(rename = "SET DEFAULT")]
    SetDefault,
}

impl Constraint {
    /// The foreign key that it is.
    pub const fn foreign_key(&self) -> Option<&ForeignKey> {
        if let Rule::ForeignKey(key) = &self.rule { Some(key) } else { None }
    }

    /// The columns of a primary key or of a UNIQUE constraint.
    pub fn key_columns(&self) -> Option<&[String]> {
        if let Rule::PrimaryKey(columns) | Rule::Unique(columns) = &self.rule { Some(columns) } else { None }
    }

    /// The columns of a UNIQUE constraint.
    pub fn unique_columns(&self) -> Option<&[String]> {
        if let Rule::Unique(columns) = &self.rule { Some(columns) } else { None }
    }
}

impl OnDelete {
    /// As SQL writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAction => "NO ACTION",
            Self::Restrict => "RESTRICT",
            Self::Cascade => "CASCADE",
            Self::SetNull => "SET NULL",
            Self::SetDefault => "SET DEFAULT",
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.definition)?;
        if self.enforced { Ok(()) } else { f.write_str(" (NOT ENFORCED: its triggers are disabled)") }
    }
}
