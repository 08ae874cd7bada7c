//! The SQL of a migration, from the difference between a schema that somebody has changed and the one that this code expects.
//!
//! A proposal, to be read and completed: what happens to values, and what locks a large table for long, is for people to
//! decide. Roles, rights and partitions are left out.

use std::collections::BTreeMap;

use diesel::pg::PgConnection;

use super::fix::change_table;
use super::fix::enums;
use super::fix::sql::{self, ident, literal};
use crate::catalog::{self, Catalog, Column, Constraint, Entry, Enum, Kind, Object, Rule, Table, contract};
use crate::error::Result;
use crate::migrate;

/// The two scripts of a migration; both are empty where the schemas are equal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proposal {
    /// Makes the live schema of the expected one.
    pub up: String,
    /// Makes the expected schema of the live one.
    pub down: String,
}

/// Proposes a migration that makes the live schema of the expected one.
///
/// # Errors
///
/// [`migrate::Error::Behind`] and [`migrate::Error::Ahead`] where other migrations come first.
pub fn propose(conn: &mut PgConnection) -> Result<Proposal> {
    migrate::status(conn)?.require_current()?;
    let live = catalog::read(conn)?;
    let expected = contract().in_shape_of(&live);
    Ok(Proposal { up: Way::new(&expected, &live).script(), down: Way::new(&live, &expected).script() })
}

/// From one schema to another.
struct Way<'a> {
    from: &'a Catalog,
    to: &'a Catalog,
}

type Entries = BTreeMap<(Kind, String), Entry>;

/// When a statement runs: what others need is dropped last and created first, and columns come in their order.
type Turn = (bool, u8, usize);

impl<'a> Way<'a> {
    const fn new(from: &'a Catalog, to: &'a Catalog) -> Self {
        Self { from, to }
    }

    fn script(&self) -> String {
        let (from, to) = (entries(self.from), entries(self.to));
        let mut steps = Vec::new();
        for (key, entry) in &from {
            match to.get(key) {
                None if self.goes_with_another(&entry.object) => {}
                None => steps.push(self.step_of_drop(&entry.object)),
                Some(other) if other.definition != entry.definition => {
                    self.change(&entry.object, &other.object, &mut steps);
                }
                Some(_) => {}
            }
        }
        let is_new = |entry: &&Entry| !from.contains_key(&(entry.kind(), entry.name()));
        let created = to.values().filter(is_new).map(|entry| &entry.object);
        let created = created.filter(|object| !self.comes_with_another(object));
        steps.extend(created.map(|object| self.step_of(object, self.create(object))));
        steps.sort_by_key(|(turn, _)| *turn);
        steps.into_iter().map(|(_, statement)| statement + "\n").collect()
    }

    fn step_of_drop(&self, object: &Object) -> (Turn, String) {
        ((false, u8::MAX - rank(object), 0), or_by_hand(object, self.drop(object)))
    }

    fn step_of(&self, object: &Object, statement: Option<String>) -> (Turn, String) {
        let place = match object {
            Object::Column(column) => self.to.columns_of(&column.table).position(|other| other.name == column.name),
            _ => None,
        };
        ((true, rank(object), place.unwrap_or_default()), or_by_hand(object, statement))
    }

    /// Whether an object is gone once that is dropped which it belongs to.
    fn goes_with_another(&self, object: &Object) -> bool {
        let is_of_dropped_table =
            object.table().is_some_and(|table| object.kind() != Kind::Table && self.to.table(table).is_none());
        is_of_dropped_table
            || is_part(object, self.from)
            || matches!(object, Object::Comment(it) if !is_there(it, self.to))
    }

    /// Whether an object is there once that is created which it belongs to.
    fn comes_with_another(&self, object: &Object) -> bool {
        matches!(object, Object::Column(column) if self.from.table(&column.table).is_none()) || is_part(object, self.to)
    }

    fn create(&self, object: &Object) -> Option<String> {
        Some(match object {
            Object::Table(table) if table.relation.is_table() => self.create_table(table),
            Object::Column(it) => format!("ALTER TABLE {} ADD COLUMN {} {it}", ident(&it.table), ident(&it.name)),
            Object::Constraint(it) => {
                format!("ALTER TABLE {} ADD CONSTRAINT {} {}", ident(&it.table), ident(&it.name), it.definition)
            }
            Object::Index(it) => {
                let unique = if it.unique { "UNIQUE " } else { "" };
                format!("CREATE {unique}INDEX {} ON {} USING {}", ident(&it.name), ident(&it.table), it.definition)
            }
            Object::Comment(it) => comment_on(it, self.to, &literal(&it.text)),
            other => return sql::create(other),
        })
    }

    fn create_table(&self, table: &Table) -> String {
        let columns: Vec<_> =
            self.to.columns_of(&table.name).map(|column| format!("    {} {column}", ident(&column.name))).collect();
        let by = table.partitioned_by.as_ref().map(|by| format!(" PARTITION BY {by}")).unwrap_or_default();
        let create = format!("CREATE TABLE {} (\n{}\n){by}", ident(&table.name), columns.join(",\n"));
        let plain = Table { row_security: false, row_security_for_owner: false, ..table.clone() };
        match change_table(table, &plain).filter(|_| !table.security().is_empty()) {
            Some(secure) => format!("{create};\n{secure}"),
            None => create,
        }
    }

    fn drop(&self, object: &Object) -> Option<String> {
        Some(match object {
            Object::Table(table) if table.relation.is_table() => format!("DROP TABLE {}", ident(&table.name)),
            Object::Column(it) => format!("ALTER TABLE {} DROP COLUMN {}", ident(&it.table), ident(&it.name)),
            Object::Index(it) => format!("DROP INDEX {}", ident(&it.name)),
            Object::Comment(it) => comment_on(it, self.from, "NULL"),
            other => return sql::drop(other),
        })
    }

    /// In place where that is possible, else dropped and created.
    fn change(&self, from: &Object, to: &Object, steps: &mut Vec<(Turn, String)>) {
        let in_place = match (from, to) {
            (Object::ColumnOrder(_) | Object::Partition(_), _) => return,
            (Object::Index(_), _) if is_part(from, self.from) && is_part(to, self.to) => return,
            (Object::Table(from), Object::Table(to)) => change_table(to, from),
            (Object::Column(from), Object::Column(to)) => change_column(from, to),
            (Object::Enum(from), Object::Enum(to)) => enums::change(to, from),
            (_, Object::Function(_) | Object::Comment(_)) => self.create(to),
            _ => {
                steps.push(self.step_of_drop(from));
                self.create(to)
            }
        };
        steps.push(self.step_of(to, in_place));
    }
}

fn or_by_hand(object: &Object, statement: Option<String>) -> String {
    let by_hand = || format!("-- by hand: {} {}", object.kind(), object.name().replace(['\n', '\r'], " "));
    statement.map_or_else(by_hand, |statement| statement + ";")
}

fn entries(catalog: &Catalog) -> Entries {
    catalog.entries().into_iter().map(|entry| ((entry.kind(), entry.name()), entry)).collect()
}

/// Where an object stands in the order of creation.
const fn rank(object: &Object) -> u8 {
    match object {
        Object::Enum(_) | Object::Type(_) => 0,
        Object::Function(_) => 1,
        Object::Table(_) => 2,
        Object::Column(_) | Object::ColumnOrder(_) => 3,
        Object::Constraint(Constraint { rule: Rule::PrimaryKey(_) | Rule::Unique(_), .. }) => 4,
        Object::Constraint(_) => 5,
        Object::Index(_) => 6,
        Object::Trigger(_) => 7,
        Object::Policy(_) => 8,
        Object::Comment(_) => 9,
        Object::Partition(_) => 10,
    }
}

/// Whether an object is a part of another one, such as the index of a key.
fn is_part(object: &Object, of: &Catalog) -> bool {
    match object {
        Object::ColumnOrder(_) | Object::Partition(_) => true,
        Object::Index(index) => of.constraints().any(|it| (&it.table, &it.name) == (&index.table, &index.name)),
        _ => false,
    }
}

/// Whether that is there which a comment is about.
fn is_there(comment: &catalog::Comment, catalog: &Catalog) -> bool {
    match &comment.column {
        Some(column) => catalog.column(&comment.of, column).is_some(),
        None => catalog.table(&comment.of).is_some() || is_enum(&comment.of, catalog),
    }
}

fn is_enum(name: &str, catalog: &Catalog) -> bool {
    catalog.enums().any(|Enum { name: known, .. }| known == name)
}

fn comment_on(comment: &catalog::Comment, catalog: &Catalog, text: &str) -> String {
    let of = ident(&comment.of);
    match &comment.column {
        Some(column) => format!("COMMENT ON COLUMN {of}.{} IS {text}", ident(column)),
        None => format!("COMMENT ON {} {of} IS {text}", if is_enum(&comment.of, catalog) { "TYPE" } else { "TABLE" }),
    }
}

/// `None` for what is generated.
fn change_column(from: &Column, to: &Column) -> Option<String> {
    if (&from.generated, &from.identity) != (&to.generated, &to.identity) || to.generated.is_some() {
        return None;
    }
    let name = ident(&to.name);
    let mut actions = Vec::new();
    if (&from.data_type, &from.collation) != (&to.data_type, &to.collation) {
        let collation = to.collation.as_ref().map(|collation| format!(" COLLATE {collation}")).unwrap_or_default();
        actions.push(format!("TYPE {}{collation}", to.data_type));
    }
    if from.default() != to.default() {
        actions
            .push(to.default().map_or_else(|| "DROP DEFAULT".to_owned(), |default| format!("SET DEFAULT {default}")));
    }
    if from.not_null != to.not_null {
        actions.push(if to.not_null { "SET NOT NULL".to_owned() } else { "DROP NOT NULL".to_owned() });
    }
    let actions: Vec<_> = actions.iter().map(|action| format!("ALTER COLUMN {name} {action}")).collect();
    Some(format!("ALTER TABLE {} {}", ident(&to.table), actions.join(", ")))
}
