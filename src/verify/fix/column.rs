//! Columns that are missing or differ.

use super::Case;
use super::sql::{ident, with_comment};
use crate::catalog::{Column, DataType, Difference, Object, contract};

impl Case<'_> {
    pub(super) fn create_column(&self, expected: &Column) -> String {
        let (table, name) = (ident(&expected.table), ident(&expected.name));
        match self.renamed_column(expected) {
            Some(other) => format!("ALTER TABLE {table} RENAME COLUMN {} TO {name}", ident(other)),
            None => {
                let add = format!("ALTER TABLE {table} ADD COLUMN {name} {expected}");
                with_comment(add, &expected.table, Some(&expected.name))
            }
        }
    }

    /// The unexpected column that stands where the missing one should, and is the same but for its name.
    fn renamed_column(&self, missing: &Column) -> Option<&str> {
        let place = contract().columns_of(&missing.table).position(|column| column.name == missing.name)?;
        let there = self.found.columns_of(&missing.table).nth(place)?;
        let is_unexpected = |difference: &Difference| match difference {
            Difference::Unexpected { found } => matches!(&found.object, Object::Column(found) if found == there),
            _ => false,
        };
        let is_same = there.to_string() == missing.to_string();
        (is_same && self.differences.iter().any(is_unexpected)).then_some(there.name.as_str())
    }

    /// Default and nullability, and a type of which no value can be lost: one too long for it is refused.
    pub(super) fn change_column(&self, to: &Column, from: &Column) -> Option<String> {
        if from.generated.is_some() || from.identity.is_some() {
            return None;
        }
        // Its type or a label of it has another name: to fix that is to fix the column.
        let is_of = |column: &Column, name: &str| column.data_type == DataType::Other(name.to_owned());
        if self.changed_enums().any(|changed| is_of(to, changed) || is_of(from, changed)) {
            return None;
        }
        let (table, name) = (ident(&to.table), ident(&to.name));
        let mut actions = Vec::new();
        if (&to.data_type, &to.collation) != (&from.data_type, &from.collation) {
            actions.push(format!("ALTER COLUMN {name} TYPE {}{}", to.data_type, conversion(&name, from, to)?));
        }
        match (to.default(), from.default()) {
            (Some(default), other) if other != Some(default) => {
                actions.push(format!("ALTER COLUMN {name} SET DEFAULT {default}"));
            }
            (None, Some(_)) => actions.push(format!("ALTER COLUMN {name} DROP DEFAULT")),
            _ => {}
        }
        match (to.not_null, from.not_null) {
            (true, false) => actions.push(format!("ALTER COLUMN {name} SET NOT NULL")),
            (false, true) => actions.push(format!("ALTER COLUMN {name} DROP NOT NULL")),
            _ => {}
        }
        (!actions.is_empty()).then(|| format!("ALTER TABLE {table} {}", actions.join(", ")))
    }
}

/// What has to follow a new type so that the values stay what they are; `None` where that is not certain.
fn conversion(name: &str, from: &Column, to: &Column) -> Option<String> {
    use DataType::{BigInt, Double, Integer, Real, SmallInt, Text, TimestampWithZone, TimestampWithoutZone, Varchar};
    if to.collation != from.collation {
        return None;
    }
    match (&from.data_type, &to.data_type) {
        (TimestampWithoutZone, TimestampWithZone) => Some(format!(" USING {name} AT TIME ZONE 'UTC'")),
        (Varchar(_) | Text, Varchar(_)) | (SmallInt, Integer | BigInt) | (Integer, BigInt) | (Real, Double) => {
            Some(String::new())
        }
        _ => None,
    }
}
