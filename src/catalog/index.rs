//! Indexes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An index of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Index {
    /// The table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Whether it refuses equal values.
    pub unique: bool,
    /// What follows `USING` in its definition: method, columns, condition.
    pub definition: String,
    /// Whether queries may use it.
    pub valid: bool,
    /// Whether writes keep it.
    pub ready: bool,
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = |holds: bool, word: &'static str| if holds { "" } else { word };
        write!(
            f,
            "{}{}{}{}",
            state(!self.unique, "UNIQUE "),
            self.definition,
            state(self.valid, " INVALID"),
            state(self.ready, " NOT READY")
        )
    }
}
