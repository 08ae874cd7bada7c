//! The schema as sorted facts: read from a live database, and as the code expects it.
//!
//! Both sides come from the same query. `catalog.txt` is what it says of a freshly migrated database, so what is
//! wrong with a live one is a set difference and needs neither a second database nor the migrations. This file
//! compares facts; what they mean is told by `structure`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde::{Serialize, Serializer};

use crate::error::{Doing, Result};
use crate::raw::sql_query;

const QUERY: &str = include_str!("catalog.sql");
const CONTRACT: &str = include_str!("catalog.txt");

/// What kind of object an [`Entry`] tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A table, view or sequence; the definition says which, and whether row security is on.
    Table,
    /// The names of a table's columns, in their order.
    ColumnOrder,
    /// A column: type, collation, nullability, default.
    Column,
    /// A constraint, with its `ON DELETE` action and whether it is enforced and validated.
    Constraint,
    /// An index, and whether it is valid.
    Index,
    /// A trigger, and whether it is enabled.
    Trigger,
    /// A row security policy.
    Policy,
    /// An enum type: its labels in order.
    Enum,
    /// A domain, range or composite type.
    Type,
    /// A function with its body.
    Function,
    /// What `COMMENT ON` says of a table, column or type.
    Comment,
}

impl Kind {
    /// Every kind, in the order of `catalog.txt`.
    pub const ALL: [Self; 11] = [
        Self::Table,
        Self::ColumnOrder,
        Self::Column,
        Self::Constraint,
        Self::Index,
        Self::Trigger,
        Self::Policy,
        Self::Enum,
        Self::Type,
        Self::Function,
        Self::Comment,
    ];

    /// The word for it in messages, in `catalog.sql` and in `catalog.txt`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::ColumnOrder => "column order",
            Self::Column => "column",
            Self::Constraint => "constraint",
            Self::Index => "index",
            Self::Trigger => "trigger",
            Self::Policy => "policy",
            Self::Enum => "enum",
            Self::Type => "type",
            Self::Function => "function",
            Self::Comment => "comment",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One fact of a schema. No schema's name is part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Entry {
    /// What kind of object it is.
    pub kind: Kind,
    /// Its name; `table.name` for what belongs to a table.
    pub object: String,
    /// What it is, as PostgreSQL spells it.
    pub definition: String,
}

impl Entry {
    /// The table that the object belongs to, or the object itself where it belongs to none.
    pub fn table(&self) -> &str {
        self.object.split_once('.').map_or(&self.object, |(table, _)| table)
    }

    /// The line of `catalog.txt`.
    pub fn to_line(&self) -> String {
        format!("{}\t{}\t{}", self.kind, escape(&self.object), escape(&self.definition))
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, '\t');
        let kind = Kind::parse(fields.next()?)?;
        let object = unescape(fields.next()?);
        Some(Self { kind, object, definition: unescape(fields.next()?) })
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

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    object: String,
    #[diesel(sql_type = Text)]
    definition: String,
}

/// Reads the current schema, sorted. Nothing but catalogue tables is looked at, so any role may do it.
///
/// The ledgers of migration tools and whatever extensions own are left out.
///
/// # Errors
///
/// [`crate::Error::Query`] when the query fails.
pub fn read(conn: &mut PgConnection) -> Result<Vec<Entry>> {
    let rows: Vec<Row> = sql_query(QUERY).load(conn).doing("read the catalogue")?;
    let mut entries =
        rows.into_iter().map(Entry::try_from).collect::<QueryResult<Vec<_>>>().doing("read the catalogue")?;
    entries.sort_unstable();
    Ok(entries)
}

/// The schema that this code expects: that of a freshly migrated database.
pub fn contract() -> &'static [Entry] {
    static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| parse(CONTRACT));
    &ENTRIES
}

/// The differences, by kind and name. What follows from another difference is left out: the columns of a missing
/// table, the index of a missing constraint, the comment of a missing column.
pub fn diff(expected: &[Entry], found: &[Entry]) -> Vec<Difference> {
    let expected_by_key = by_key(expected);
    let found_by_key = by_key(found);
    let keys: BTreeSet<_> = expected_by_key.keys().chain(found_by_key.keys()).copied().collect();
    let mut differences = BTreeMap::new();
    for key in keys {
        let difference = match (expected_by_key.get(&key), found_by_key.get(&key)) {
            (Some(&expected), None) => Difference::Missing { expected: expected.clone() },
            (None, Some(&found)) => Difference::Unexpected { found: found.clone() },
            (Some(&expected), Some(&found)) if differ(expected, found) => {
                Difference::Changed { expected: expected.clone(), found: found.clone() }
            }
            _ => continue,
        };
        differences.insert(key, difference);
    }
    let follows = |key: &Key<'_>, difference: &Difference| {
        causes(*key).iter().any(|cause| differences.get(cause).is_some_and(|other| same_way(other, difference)))
    };
    differences.iter().filter(|(key, difference)| !follows(key, difference)).map(|(_, d)| d.clone()).collect()
}

type Key<'a> = (Kind, &'a str);

fn by_key(entries: &[Entry]) -> BTreeMap<Key<'_>, &Entry> {
    entries.iter().map(|entry| ((entry.kind, entry.object.as_str()), entry)).collect()
}

fn differ(expected: &Entry, found: &Entry) -> bool {
    if expected.kind != Kind::ColumnOrder {
        return expected.definition != found.definition;
    }
    // A column too many or too few is a difference of its own; the order is that of the others.
    let names = |entry: &Entry| entry.definition.split(", ").map(str::to_owned).collect::<Vec<_>>();
    let (expected, found) = (names(expected), names(found));
    let common = |of: &[String], other: &[String]| -> Vec<String> {
        of.iter().filter(|name| other.contains(name)).cloned().collect()
    };
    common(&expected, &found) != common(&found, &expected)
}

/// The objects that an object comes and goes with.
fn causes((kind, object): Key<'_>) -> Vec<Key<'_>> {
    let table = object.split_once('.').map(|(table, _)| (Kind::Table, table));
    let also = match kind {
        Kind::Table | Kind::Enum | Kind::Type | Kind::Function => vec![],
        Kind::Index => vec![(Kind::Constraint, object)],
        Kind::ColumnOrder => vec![(Kind::Table, object)],
        Kind::Comment => [Kind::Table, Kind::Column, Kind::Enum, Kind::Type].map(|kind| (kind, object)).into(),
        Kind::Column | Kind::Constraint | Kind::Trigger | Kind::Policy => vec![],
    };
    table.into_iter().chain(also).collect()
}

fn same_way(cause: &Difference, difference: &Difference) -> bool {
    match cause {
        Difference::Missing { .. } => matches!(difference, Difference::Missing { .. }),
        Difference::Unexpected { .. } => matches!(difference, Difference::Unexpected { .. }),
        // Only the index of a constraint changes with it.
        Difference::Changed { expected, .. } => {
            expected.kind == Kind::Constraint && matches!(difference, Difference::Changed { .. })
        }
    }
}

impl TryFrom<Row> for Entry {
    type Error = diesel::result::Error;

    fn try_from(row: Row) -> QueryResult<Self> {
        let unknown = || diesel::result::Error::DeserializationError(format!("kind '{}'", row.kind).into());
        Ok(Self { kind: Kind::parse(&row.kind).ok_or_else(unknown)?, object: row.object, definition: row.definition })
    }
}

fn parse(text: &str) -> Vec<Entry> {
    text.lines().filter_map(Entry::from_line).collect()
}

/// Keeps a text on one line and out of the way of the tabs between fields.
fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('\n', r"\n").replace('\t', r"\t").replace('\r', r"\r")
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: Kind, object: &str, definition: &str) -> Entry {
        Entry { kind, object: object.to_owned(), definition: definition.to_owned() }
    }

    fn customers() -> Vec<Entry> {
        vec![
            entry(Kind::Table, "customers", "table"),
            entry(Kind::ColumnOrder, "customers", "id, name, email"),
            entry(Kind::Column, "customers.id", "uuid NOT NULL"),
            entry(Kind::Column, "customers.name", "text NOT NULL"),
            entry(Kind::Column, "customers.email", "text"),
            entry(Kind::Constraint, "customers.customers_email_key", "UNIQUE (email)"),
            entry(Kind::Index, "customers.customers_email_key", "UNIQUE btree (email)"),
            entry(Kind::Comment, "customers.name", "What to call them."),
        ]
    }

    fn without(entries: &[Entry], kind: Kind, object: &str) -> Vec<Entry> {
        entries.iter().filter(|e| (e.kind, e.object.as_str()) != (kind, object)).cloned().collect()
    }

    fn texts(differences: &[Difference]) -> Vec<String> {
        differences.iter().map(|d| format!("{} {} {d}", d.entry().kind, d.entry().object)).collect()
    }

    #[test]
    fn equal_schemas_do_not_differ() {
        let mut shuffled = customers();
        shuffled.reverse();
        assert_eq!(diff(&customers(), &shuffled), []);
        assert_eq!(diff(&[], &[]), []);
    }

    #[test]
    fn a_change_shows_both_sides() {
        let mut found = customers();
        found[4].definition = "text NOT NULL".to_owned();
        assert_eq!(texts(&diff(&customers(), &found)), ["column customers.email expected text, found text NOT NULL"]);
    }

    #[test]
    fn a_missing_column_takes_its_comment_and_leaves_the_order_of_the_others() {
        let mut found = without(&customers(), Kind::Column, "customers.name");
        found = without(&found, Kind::Comment, "customers.name");
        found[1].definition = "id, email".to_owned();
        assert_eq!(texts(&diff(&customers(), &found)), ["column customers.name missing: text NOT NULL"]);
    }

    #[test]
    fn an_unexpected_column_in_the_middle_leaves_the_order_of_the_others() {
        let mut found = customers();
        found[1].definition = "id, phone, name, email".to_owned();
        found.push(entry(Kind::Column, "customers.phone", "text"));
        assert_eq!(texts(&diff(&customers(), &found)), ["column customers.phone unexpected: text"]);
    }

    #[test]
    fn columns_in_another_order_are_one_difference() {
        let mut found = customers();
        found[1].definition = "name, id, email".to_owned();
        assert_eq!(
            texts(&diff(&customers(), &found)),
            ["column order customers expected id, name, email, found name, id, email"]
        );
    }

    #[test]
    fn a_whole_table_is_one_difference() {
        assert_eq!(texts(&diff(&customers(), &[])), ["table customers missing: table"]);
        assert_eq!(texts(&diff(&[], &customers())), ["table customers unexpected: table"]);
    }

    #[test]
    fn the_index_of_a_constraint_comes_goes_and_changes_with_it() {
        let key = "customers.customers_email_key";
        let found = without(&without(&customers(), Kind::Constraint, key), Kind::Index, key);
        assert_eq!(texts(&diff(&customers(), &found)), [format!("constraint {key} missing: UNIQUE (email)")]);

        let mut found = customers();
        found[5].definition = "UNIQUE (email, name)".to_owned();
        found[6].definition = "UNIQUE btree (email, name)".to_owned();
        assert_eq!(diff(&customers(), &found).len(), 1);
    }

    #[test]
    fn an_index_alone_is_a_difference_although_a_constraint_of_its_table_is_missing() {
        let mut expected = customers();
        expected.push(entry(Kind::Index, "customers.idx_customer_name", "btree (name)"));
        let key = "customers.customers_email_key";
        let found = without(&without(&customers(), Kind::Constraint, key), Kind::Index, key);
        assert_eq!(diff(&expected, &found).len(), 2);
    }

    #[test]
    fn a_line_keeps_what_it_was_made_of() {
        let function = entry(Kind::Function, "f()", "AS \nBEGIN\n\tRETURN 'a\\n';\r\nEND\n");
        assert_eq!(Entry::from_line(&function.to_line()), Some(function.clone()));
        assert_eq!(function.to_line().lines().count(), 1);
    }

    #[test]
    fn the_contract_is_read_whole_and_in_order() {
        let lines = CONTRACT.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(contract().len(), lines);
        assert!(contract().windows(2).all(|pair| pair[0] < pair[1]));
    }
}
