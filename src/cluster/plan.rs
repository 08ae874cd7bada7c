//! What a change of the shape does: the steps, and what becomes of keys and references.

use serde::Serialize;

use crate::catalog::{Catalog, Difference, Kind};
use crate::partitions;

/// What would be done, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// How many parts each table has, once it is distributed.
    pub shards: u32,
    /// How many nodes may have rows.
    pub workers: usize,
    /// What becomes of the schema.
    pub changes: Vec<Change>,
    /// The steps, by table.
    #[serde(flatten)]
    pub steps: partitions::Plan,
}

/// What becomes of an object of the schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The object: `constraint events.events_pkey`.
    pub object: String,
    /// Its definition before; `None` where it is new.
    pub from: Option<String>,
    /// Its definition afterwards; `None` where it goes.
    pub to: Option<String>,
    /// What it means for those who write and read.
    pub meaning: &'static str,
}

impl Plan {
    /// Whether nothing is to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The plan as a script for `psql -v ON_ERROR_STOP=1`, with what it changes and its locks in comments.
    pub fn script(&self) -> String {
        let mut script = String::new();
        if !self.is_empty() {
            script += &format!("-- {} shards a table, on {} nodes\n", self.shards, self.workers);
            for Change { object, from, to, meaning } in &self.changes {
                let change = match (from, to) {
                    (Some(from), Some(to)) => format!("{from} becomes {to}"),
                    (Some(from), None) => format!("goes: {from}"),
                    (None, to) => format!("is new: {}", to.as_deref().unwrap_or_default()),
                };
                script += &format!("-- {object} {change}\n--   {meaning}\n");
            }
            script += "\n";
        }
        script + &self.steps.script()
    }
}

/// What changes in keys, references and triggers.
pub(super) fn changes(from: &Catalog, to: &Catalog) -> Vec<Change> {
    from.differences(to).iter().filter_map(change).collect()
}

fn change(difference: &Difference) -> Option<Change> {
    let entry = difference.entry();
    let first_line = |definition: &str| definition.split(" LANGUAGE ").next().unwrap_or_default().to_owned();
    let (from, to) = match difference {
        Difference::Missing { expected } => (Some(first_line(&expected.definition)), None),
        Difference::Changed { expected, found } => {
            (Some(first_line(&expected.definition)), Some(first_line(&found.definition)))
        }
        Difference::Unexpected { found } => (None, Some(first_line(&found.definition))),
    };
    let meaning = match (entry.kind(), &from, &to) {
        (Kind::Constraint, Some(_), None) => {
            "a row may refer to one that is not there, which `verify` finds; triggers do what it did to deleted rows"
        }
        (Kind::Constraint, None, _) => "a row that refers to none is refused again",
        (Kind::Constraint, ..) => "ON CONFLICT names these columns, and equal values are refused only within them",
        (Kind::Trigger, None, _) => "does what the foreign keys did when a row is deleted",
        (Kind::Trigger, ..) => "the foreign keys do it again",
        (Kind::Table, ..) => "where its rows are",
        _ => return None,
    };
    Some(Change { object: format!("{} {}", entry.kind(), entry.name()), from, to, meaning })
}
