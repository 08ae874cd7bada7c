//! What to do about a difference that no SQL is certain to fix.

use super::Case;
use super::partition;
use super::sql::{ident, literal};
use crate::catalog::{Column, Difference, Enum, Object, Table, contract};

impl Case<'_> {
    /// The next step, with the SQL that shows what is at stake.
    pub(super) fn by_hand(&self, difference: &Difference) -> Option<String> {
        if self.is_of_no_table(difference) {
            return Some("move what has the table's name out of the way, and give the table its name back".to_owned());
        }
        match difference {
            Difference::Unexpected { found } => match &found.object {
                Object::Enum(found) if self.is_renamed_enum(found) => Some(FOLLOWS.to_owned()),
                Object::Column(column) => Some(extra_column(column)),
                Object::Table(table) => partition::detached(table, self.found).or_else(|| Some(extra_table(table))),
                _ => None,
            },
            Difference::Missing { expected } => match &expected.object {
                Object::Table(_) => Some("restore the table with its rows from a backup".to_owned()),
                _ => None,
            },
            Difference::Changed { expected, found } => match (&expected.object, &found.object) {
                (Object::Enum(expected), Object::Enum(found)) => Some(labels(expected, found)),
                (Object::Index(index), _) if self.is_of_changed_enum(index) => Some(FOLLOWS.to_owned()),
                (Object::Column(column), _) if contract().enum_of(column).is_some() => Some(FOLLOWS.to_owned()),
                (Object::Column(_), _) => Some("bring it back in a migration: its values need a decision".to_owned()),
                (Object::ColumnOrder(_), _) => {
                    Some("leave it: only what names no columns depends on their order".to_owned())
                }
                _ => None,
            },
        }
    }
}

const FOLLOWS: &str = "fix the enum type first: this follows";

fn extra_column(column: &Column) -> String {
    let (table, name) = (ident(&column.table), ident(&column.name));
    format!(
        "see whether anybody needs it (SELECT count({name}) FROM {table}); add it in a migration, or drop it with its \
         values (ALTER TABLE {table} DROP COLUMN {name})"
    )
}

fn extra_table(table: &Table) -> String {
    let what = if table.relation.is_table() { "table, with its rows" } else { "object" };
    format!("see whether anybody needs it; add it in a migration, move it to another schema, or drop the {what}")
}

/// Labels too many, or in another order.
fn labels(expected: &Enum, found: &Enum) -> String {
    let extra: Vec<_> = found.labels.iter().filter(|label| !expected.labels.contains(label)).collect();
    if extra.is_empty() {
        return "the order of labels cannot be changed: make the type anew in a migration, or leave it where nothing \
                sorts by it"
            .to_owned();
    }
    let list = extra.iter().map(|label| literal(label)).collect::<Vec<_>>().join(", ");
    let of_type =
        contract().columns().filter(|column| contract().enum_of(column).is_some_and(|it| it.name == expected.name));
    let query = |column: &Column| {
        let (table, name) = (ident(&column.table), ident(&column.name));
        format!("SELECT id, {name} FROM {table} WHERE {name} IN ({list})")
    };
    let queries = of_type.map(query).collect::<Vec<_>>().join("; ");
    format!(
        "a label cannot be dropped: give the rows that have it another value ({queries}), then make the type anew in a \
         migration"
    )
}
