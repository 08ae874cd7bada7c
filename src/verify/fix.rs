//! The SQL that would fix a difference between the catalog and the contract.
//!
//! Only where it is certain: it makes the object what the contract says, keeps every row, and is refused by the server
//! rather than lose one. What may take long on a large table blocks no writer while it runs: indexes are built
//! CONCURRENTLY, and constraints are validated after they were added. Nothing here runs a statement.

mod by_hand;
mod column;
pub(super) mod enums;
mod partition;
pub(super) mod sql;

use std::collections::{BTreeMap, BTreeSet};

use self::sql::{comment_on, ident, literal};
use crate::catalog::{Catalog, Constraint, Difference, Enabled, Entry, Index, Kind, Object, Rule, Table, contract};

/// What to do about a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fix {
    /// To run this.
    Sql(String),
    /// What this says: no SQL is certain.
    ByHand(String),
}

/// What to do about a list of differences, by the object that they are about.
#[derive(Debug, Default)]
pub(super) struct Fixes(BTreeMap<(Kind, String), Fix>);

impl Fixes {
    /// Finds the fixes. `found` is the whole live catalog, `differences` all that differs in it.
    pub(super) fn new(differences: &[Difference], found: &Catalog) -> Self {
        let case = Case { differences, found };
        let fix = |difference: &Difference| {
            let entry = difference.entry();
            let fix = case.fix(difference).map(Fix::Sql).or_else(|| case.by_hand(difference).map(Fix::ByHand));
            Some(((entry.kind(), entry.name()), fix?))
        };
        Self(differences.iter().filter_map(fix).collect())
    }

    /// The fix for the object of a difference.
    pub(super) fn of(&self, entry: &Entry) -> Option<&Fix> {
        self.0.get(&(entry.kind(), entry.name()))
    }
}

/// All differences together: one may explain another.
struct Case<'a> {
    differences: &'a [Difference],
    found: &'a Catalog,
}

impl Case<'_> {
    fn fix(&self, difference: &Difference) -> Option<String> {
        if self.is_of_no_table(difference) {
            return None;
        }
        match difference {
            Difference::Missing { expected } => self.create(&expected.object),
            Difference::Changed { expected, found } => self.change(&expected.object, &found.object),
            Difference::Unexpected { found } => self.drop(&found.object),
        }
    }

    /// Whether a view or the like is where a table should be: nothing that belongs to a table fits it.
    fn is_of_no_table(&self, difference: &Difference) -> bool {
        let table = match &difference.entry().object {
            Object::Comment(comment) => Some(comment.of.as_str()),
            other => other.table(),
        };
        let is_no_table = |name: &str| self.found.table(name).is_some_and(|found| !found.relation.is_table());
        table.is_some_and(|name| contract().table(name).is_some() && is_no_table(name))
    }

    fn create(&self, expected: &Object) -> Option<String> {
        match expected {
            Object::Column(column) => Some(self.create_column(column)),
            Object::Constraint(it) if self.found.is_partitioned(&it.table) => Some(partition::create_constraint(it)),
            Object::Constraint(constraint) => Some(create_constraint(constraint)),
            Object::Index(it) if self.found.is_partitioned(&it.table) => Some(partition::create_index(it, self.found)),
            Object::Index(index) => Some(create_index(index, &index.name)),
            Object::Enum(expected) => Some(self.create_enum(expected)),
            Object::Trigger(_) | Object::Policy(_) | Object::Function(_) => sql::create(expected),
            Object::Comment(comment) => comment_on(comment, &literal(&comment.text)),
            // A table needs all that belongs to it, in order: that is a migration.
            Object::Table(_) | Object::ColumnOrder(_) | Object::Type(_) | Object::Partition(_) => None,
        }
    }

    /// What holds rows is never dropped, and a label cannot be.
    fn drop(&self, found: &Object) -> Option<String> {
        match found {
            Object::Index(it) if self.found.is_partitioned(&it.table) => {
                Some(format!("DROP INDEX {}", ident(&it.name)))
            }
            Object::Index(index) => Some(format!("DROP INDEX CONCURRENTLY {}", ident(&index.name))),
            Object::Enum(found) if self.is_renamed_enum(found) => None,
            Object::Comment(comment) => comment_on(comment, "NULL"),
            other => sql::drop(other),
        }
    }

    fn change(&self, expected: &Object, found: &Object) -> Option<String> {
        match (expected, found) {
            (Object::Table(expected), Object::Table(found)) => change_table(expected, found),
            (Object::Column(expected), Object::Column(found)) => self.change_column(expected, found),
            (Object::Partition(expected), Object::Partition(found)) => partition::change(expected, found, self.found),
            // An index of all partitions becomes valid with the last of them; a key of them is not replaced beside writers.
            (Object::Index(Index { table, .. }) | Object::Constraint(Constraint { table, .. }), _)
                if self.found.is_partitioned(table) =>
            {
                None
            }
            (Object::Constraint(expected), Object::Constraint(found)) => Some(change_constraint(expected, found)),
            (Object::Index(expected), Object::Index(found)) => self.change_index(expected, found),
            (Object::Trigger(expected), Object::Trigger(found)) => {
                let (table, name) = (ident(&expected.table), ident(&expected.name));
                if found.definition == expected.definition && found.enabled != Enabled::Yes {
                    return Some(format!("ALTER TABLE {table} ENABLE TRIGGER {name}"));
                }
                Some(format!("CREATE OR REPLACE TRIGGER {name} {}", expected.definition))
            }
            (Object::Enum(expected), Object::Enum(found)) => enums::change(expected, found),
            (Object::Function(_), _) => sql::create(expected),
            (Object::Comment(expected), _) => comment_on(expected, &literal(&expected.text)),
            // Without its policy, a table under row security shows nobody anything: nothing leaks in between.
            (Object::Policy(expected), _) => {
                let (table, name) = (ident(&expected.table), ident(&expected.name));
                Some(format!("DROP POLICY {name} ON {table}; CREATE POLICY {name} ON {table} {expected}"))
            }
            _ => None,
        }
    }

    /// An index of other columns stays until the right one is there, so that neither writers nor queries wait.
    fn change_index(&self, expected: &Index, found: &Index) -> Option<String> {
        let name = ident(&expected.name);
        if (expected.unique, &expected.definition) == (found.unique, &found.definition) {
            return Some(format!("REINDEX INDEX CONCURRENTLY {name}"));
        }
        // It follows when the labels of the enum in its condition are what they should be.
        if self.is_of_changed_enum(expected) {
            return None;
        }
        let beside = sql::name_beside(&expected.name);
        let (create, beside) = (create_index(expected, &beside), ident(&beside));
        Some(format!("{create}; DROP INDEX CONCURRENTLY {name}; ALTER INDEX {beside} RENAME TO {name}"))
    }

    fn is_of_changed_enum(&self, index: &Index) -> bool {
        self.changed_enums().any(|changed| index.definition.contains(&format!("::{changed}")))
    }

    /// The enum types that differ.
    fn changed_enums(&self) -> impl Iterator<Item = &str> {
        self.differences.iter().filter_map(|difference| match &difference.entry().object {
            Object::Enum(changed) => Some(changed.name.as_str()),
            _ => None,
        })
    }
}

pub(super) fn change_table(expected: &Table, found: &Table) -> Option<String> {
    if expected.relation != found.relation || !expected.relation.is_table() {
        return None;
    }
    let properties = [
        (expected.unlogged, found.unlogged, "SET UNLOGGED", "SET LOGGED"),
        (expected.row_security, found.row_security, "ENABLE ROW LEVEL SECURITY", "DISABLE ROW LEVEL SECURITY"),
        (
            expected.row_security_for_owner,
            found.row_security_for_owner,
            "FORCE ROW LEVEL SECURITY",
            "NO FORCE ROW LEVEL SECURITY",
        ),
    ];
    let differing = properties.into_iter().filter(|(expected, found, ..)| expected != found);
    let actions: Vec<_> = differing.map(|(is_on, _, on, off)| if is_on { on } else { off }).collect();
    Some(format!("ALTER TABLE {} {}", ident(&expected.name), actions.join(", ")))
}

fn create_constraint(expected: &Constraint) -> String {
    let (table, name) = (ident(&expected.table), ident(&expected.name));
    match &expected.rule {
        Rule::Unique(columns) => sql::add_key(&table, &expected.name, "UNIQUE", columns, None),
        Rule::PrimaryKey(columns) => sql::add_key(&table, &expected.name, "PRIMARY KEY", columns, None),
        Rule::ForeignKey(_) | Rule::Check => format!(
            "ALTER TABLE {table} ADD CONSTRAINT {name} {} NOT VALID; ALTER TABLE {table} VALIDATE CONSTRAINT {name}",
            expected.definition
        ),
        Rule::Other => format!("ALTER TABLE {table} ADD CONSTRAINT {name} {}", expected.definition),
    }
}

fn change_constraint(expected: &Constraint, found: &Constraint) -> String {
    let (table, name, definition) = (ident(&expected.table), ident(&expected.name), &expected.definition);
    if !found.enforced && found.definition == *definition {
        return enable_triggers(expected);
    }
    if !found.validated && found.definition == format!("{definition} NOT VALID") {
        return format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}");
    }
    let drop = format!("DROP CONSTRAINT {name}");
    match &expected.rule {
        Rule::Unique(columns) => sql::add_key(&table, &expected.name, "UNIQUE", columns, Some(&drop)),
        Rule::PrimaryKey(columns) => sql::add_key(&table, &expected.name, "PRIMARY KEY", columns, Some(&drop)),
        Rule::ForeignKey(_) | Rule::Check => format!(
            "ALTER TABLE {table} {drop}, ADD CONSTRAINT {name} {definition} NOT VALID; \
             ALTER TABLE {table} VALIDATE CONSTRAINT {name}"
        ),
        Rule::Other => format!("ALTER TABLE {table} {drop}, ADD CONSTRAINT {name} {definition}"),
    }
}

/// The triggers of a foreign key are on both of its tables.
fn enable_triggers(expected: &Constraint) -> String {
    let referenced = expected.foreign_key().map(|key| key.references.as_str());
    let tables: BTreeSet<_> = [Some(expected.table.as_str()), referenced].into_iter().flatten().collect();
    let statements: Vec<_> =
        tables.iter().map(|table| format!("ALTER TABLE {} ENABLE TRIGGER ALL", ident(table))).collect();
    statements.join("; ")
}

fn create_index(expected: &Index, name: &str) -> String {
    let unique = if expected.unique { "UNIQUE " } else { "" };
    let (table, name) = (ident(&expected.table), ident(name));
    format!("CREATE {unique}INDEX CONCURRENTLY {name} ON {table} USING {}", expected.definition)
}
