//! Types of the schema, and comments.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An enum type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Enum {
    /// Its name.
    pub name: String,
    /// Its labels, in their order.
    pub labels: Vec<String>,
}

impl fmt::Display for Enum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.labels.join(", "))
    }
}

/// A domain, range or composite type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct OtherType {
    /// Its name.
    pub name: String,
    /// What it is.
    pub sort: TypeSort,
}

/// What a type is that is no enum.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TypeSort {
    /// A domain over this type.
    Domain(String),
    /// A range.
    Range,
    /// A composite type.
    Composite,
}

impl fmt::Display for OtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sort {
            TypeSort::Domain(base) => write!(f, "domain {base}"),
            TypeSort::Range => f.write_str("range"),
            TypeSort::Composite => f.write_str("composite"),
        }
    }
}

/// What `COMMENT ON` says of a table, column or type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Comment {
    /// The table or type.
    pub of: String,
    /// The column of the table, where it is about one.
    pub column: Option<String>,
    /// The text.
    pub text: String,
}

impl fmt::Display for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
