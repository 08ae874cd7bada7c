//! Enum types that are missing or differ.

use super::Case;
use super::sql::{create_enum, ident, literal, with_comment};
use crate::catalog::{Difference, Enum, Object};

impl Case<'_> {
    pub(super) fn create_enum(&self, expected: &Enum) -> String {
        let name = ident(&expected.name);
        match self.renamed_enum(expected) {
            Some(other) => format!("ALTER TYPE {} RENAME TO {name}", ident(other)),
            None => with_comment(create_enum(expected), &expected.name, None),
        }
    }

    /// The one unexpected enum type with the labels of the missing one.
    fn renamed_enum(&self, missing: &Enum) -> Option<&str> {
        let mut same = self.differences.iter().filter_map(|difference| match difference {
            Difference::Unexpected { found } => match &found.object {
                Object::Enum(found) if found.labels == missing.labels => Some(found.name.as_str()),
                _ => None,
            },
            _ => None,
        });
        same.next().filter(|_| same.next().is_none())
    }

    /// Whether an unexpected enum type is a missing one under another name.
    pub(super) fn is_renamed_enum(&self, unexpected: &Enum) -> bool {
        self.differences.iter().any(|difference| match difference {
            Difference::Missing { expected } => {
                matches!(&expected.object, Object::Enum(it) if self.renamed_enum(it) == Some(&unexpected.name))
            }
            _ => false,
        })
    }
}

/// A new label goes in; one that has another name gets it back. `None` for labels too many or in another order: only a
/// new type has fewer of them.
pub(in crate::verify) fn change(expected: &Enum, found: &Enum) -> Option<String> {
    let (name, to, from) = (ident(&expected.name), &expected.labels, &found.labels);
    let kept: Vec<_> = to.iter().filter(|label| from.contains(label)).collect();
    if kept.len() == from.len() && kept.iter().zip(from).all(|(kept, found)| *kept == found) {
        let add = |(at, label): (usize, &String)| {
            let place = match at.checked_sub(1).and_then(|before| to.get(before)) {
                Some(before) => format!("AFTER {}", literal(before)),
                None => format!("BEFORE {}", literal(from.first()?)),
            };
            Some(format!("ALTER TYPE {name} ADD VALUE {} {place}", literal(label)))
        };
        let missing = to.iter().enumerate().filter(|(_, label)| !from.contains(label));
        return missing.map(add).collect::<Option<Vec<_>>>().map(|statements| statements.join("; "));
    }
    let renamed: Vec<_> = to.iter().zip(from).filter(|(to, from)| to != from).collect();
    match renamed.as_slice() {
        [(to_label, from_label)] if to.len() == from.len() && !to.contains(from_label) => {
            Some(format!("ALTER TYPE {name} RENAME VALUE {} TO {}", literal(from_label), literal(to_label)))
        }
        _ => None,
    }
}
