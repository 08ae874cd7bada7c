//! Why seed data is not written or removed.

use std::fmt;

use crate::error::plural;
use crate::layer::Layer;

/// Why seed data is not written or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The rows that a layer's seed builds on are not there.
    #[error("seed {layer} needs {what}")]
    MissingPrerequisite {
        /// The layer that was to be seeded.
        layer: Layer,
        /// The rows that are missing, by name and table.
        what: String,
        /// The layers that provide it.
        provided_by: Vec<Layer>,
    },

    /// Rows that the seed does not own refer to rows that it would remove.
    #[error("rows that the seed does not own depend on rows that would be removed: {}", list(.0))]
    InUse(Vec<Dependants>),
}

/// Rows of one table that refer to rows of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependants {
    /// Their table, with its schema where that is not the current one.
    pub table: String,
    /// The table that they refer to.
    pub refers_to: String,
    /// How many they are.
    pub rows: usize,
}

impl fmt::Display for Dependants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refer = if self.rows == 1 { "refers" } else { "refer" };
        write!(f, "{} of {} {refer} to {}", plural(self.rows, "row"), self.table, self.refers_to)
    }
}

pub(crate) fn list(dependants: &[Dependants]) -> String {
    dependants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
