//! What differs between two schemas.
//!
//! Objects are compared by their definitions. What follows from another difference is left out, so that each fault is
//! said once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::object::{Kind, Object};

/// An object as it is compared and reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The object.
    pub object: Object,
    /// What is compared of it: all of its definition, or the part that a check is about.
    pub definition: String,
}

impl Entry {
    /// An object with its whole definition.
    pub fn of(object: &Object) -> Self {
        Self { object: object.clone(), definition: object.to_string() }
    }

    /// What kind of object it is.
    pub const fn kind(&self) -> Kind {
        self.object.kind()
    }

    /// Its name; `table.name` for what belongs to a table.
    pub fn name(&self) -> String {
        self.object.name()
    }

    /// Its line of `catalog.txt`.
    pub fn to_line(&self) -> String {
        format!("{}\t{}\t{}", self.kind(), escape(&self.name()), escape(&self.definition))
    }
}

/// Keeps a text on one line and out of the way of the tabs between fields.
fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('\n', r"\n").replace('\t', r"\t").replace('\r', r"\r")
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entry = serializer.serialize_struct("Entry", 3)?;
        entry.serialize_field("kind", &self.kind())?;
        entry.serialize_field("object", &self.name())?;
        entry.serialize_field("definition", &self.definition)?;
        entry.end()
    }
}

/// How two schemas differ in one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum Difference {
    /// Expected, and not there.
    Missing {
        /// What is expected.
        expected: Entry,
    },
    /// There, and different.
    Changed {
        /// What is expected.
        expected: Entry,
        /// What is there.
        found: Entry,
    },
    /// There, and not expected.
    Unexpected {
        /// What is there.
        found: Entry,
    },
}

impl Difference {
    /// The object in question.
    pub fn entry(&self) -> &Entry {
        match self {
            Self::Missing { expected } | Self::Changed { expected, .. } => expected,
            Self::Unexpected { found } => found,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { expected } => write!(f, "missing: {}", escape(&expected.definition)),
            Self::Changed { expected, found } => {
                write!(f, "expected {}, found {}", escape(&expected.definition), escape(&found.definition))
            }
            Self::Unexpected { found } => write!(f, "unexpected: {}", escape(&found.definition)),
        }
    }
}

/// The differences, by kind and name. What follows from another difference is left out: the columns of a missing
/// table, the index of a missing constraint, the comment of a missing column.
pub fn diff(expected: &[Entry], found: &[Entry]) -> Vec<Difference> {
    let expected_by_key = by_key(expected);
    let found_by_key = by_key(found);
    let keys: BTreeSet<_> = expected_by_key.keys().chain(found_by_key.keys()).collect();
    let mut differences = BTreeMap::new();
    for key in keys {
        let difference = match (expected_by_key.get(key), found_by_key.get(key)) {
            (Some(&expected), None) => Difference::Missing { expected: expected.clone() },
            (None, Some(&found)) => Difference::Unexpected { found: found.clone() },
            (Some(&expected), Some(&found)) if differ(expected, found) => {
                Difference::Changed { expected: expected.clone(), found: found.clone() }
            }
            _ => continue,
        };
        differences.insert(key.clone(), difference);
    }
    let follows = |difference: &Difference| {
        let mut causes = causes(difference.entry()).into_iter().filter_map(|cause| differences.get(&cause));
        causes.any(|cause| follows_from(difference, cause))
    };
    differences.values().filter(|difference| !follows(difference)).cloned().collect()
}

type Key = (Kind, String);

fn by_key(entries: &[Entry]) -> BTreeMap<Key, &Entry> {
    entries.iter().map(|entry| ((entry.kind(), entry.name()), entry)).collect()
}

fn differ(expected: &Entry, found: &Entry) -> bool {
    // A column too many or too few is a difference of its own; the order is that of the others.
    if let (Object::ColumnOrder(expected), Object::ColumnOrder(found)) = (&expected.object, &found.object) {
        return !expected.agrees_with(found);
    }
    expected.definition != found.definition
}

/// The objects that an object comes and goes with.
fn causes(entry: &Entry) -> Vec<Key> {
    let (kind, name) = (entry.kind(), entry.name());
    let table = entry.object.table().filter(|_| kind != Kind::Table).map(|table| (Kind::Table, table.to_owned()));
    let also = match kind {
        Kind::Index => vec![Kind::Constraint],
        Kind::Comment => vec![Kind::Table, Kind::Column, Kind::Enum, Kind::Type],
        _ => vec![],
    };
    table.into_iter().chain(also.into_iter().map(|kind| (kind, name.clone()))).collect()
}

fn follows_from(difference: &Difference, cause: &Difference) -> bool {
    match cause {
        Difference::Missing { .. } => matches!(difference, Difference::Missing { .. }),
        Difference::Unexpected { .. } => matches!(difference, Difference::Unexpected { .. }),
        // Only the index of a constraint changes with it.
        Difference::Changed { expected, .. } => {
            expected.kind() == Kind::Constraint && matches!(difference, Difference::Changed { .. })
        }
    }
}
