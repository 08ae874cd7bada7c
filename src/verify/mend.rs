//! The statement that would mend a difference between the catalogue and the contract.
//!
//! Only where one is certain: it makes the object what the contract says, keeps every row, and is refused by the
//! server rather than lose one. Nothing here runs a statement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::catalog::{Difference, Entry, Kind, contract};

/// The statements for a list of differences, by the object that they are about.
#[derive(Debug, Default)]
pub(super) struct Mends(BTreeMap<(Kind, String), String>);

impl Mends {
    /// Finds the statements. `found` is the whole live catalogue, `differences` all that differs in it.
    pub(super) fn new(differences: &[Difference], found: &[Entry]) -> Self {
        let case = Case { differences, found };
        let mend = |difference: &Difference| {
            let entry = difference.entry();
            Some(((entry.kind, entry.object.clone()), case.mend(difference)?))
        };
        Self(differences.iter().filter_map(mend).collect())
    }

    /// The statement for the object of a difference.
    pub(super) fn of(&self, entry: &Entry) -> Option<String> {
        self.0.get(&(entry.kind, entry.object.clone())).cloned()
    }
}

/// All differences together: one may explain another.
struct Case<'a> {
    differences: &'a [Difference],
    found: &'a [Entry],
}

impl Case<'_> {
    fn mend(&self, difference: &Difference) -> Option<String> {
        if self.is_no_table(difference.entry().table()) {
            return None;
        }
        match difference {
            Difference::Missing { expected } => self.create(expected),
            Difference::Changed { expected, found } => self.change(expected, found),
            Difference::Unexpected { found } => self.drop(found),
        }
    }

    /// Whether a view or the like stands where a table should: nothing that belongs to a table fits it.
    fn is_no_table(&self, name: &str) -> bool {
        self.differences.iter().any(|difference| match difference {
            Difference::Changed { expected, found } => {
                expected.kind == Kind::Table && expected.object == name && !found.definition.contains("table")
            }
            Difference::Missing { .. } | Difference::Unexpected { .. } => false,
        })
    }

    fn create(&self, expected: &Entry) -> Option<String> {
        let (table, name) = parts(expected);
        let definition = &expected.definition;
        match expected.kind {
            Kind::Column => match self.renamed_column(expected) {
                Some(other) => Some(format!("ALTER TABLE {table} RENAME COLUMN {} TO {name}", ident(other))),
                None => Some(with_comment(format!("ALTER TABLE {table} ADD COLUMN {name} {definition}"), expected)),
            },
            Kind::Constraint => Some(format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")),
            Kind::Index => Some(create_index(expected, "CONCURRENTLY ")),
            Kind::Trigger => Some(format!("CREATE TRIGGER {name} {definition}")),
            Kind::Enum => match self.renamed_enum(expected) {
                Some(other) => Some(format!("ALTER TYPE {} RENAME TO {name}", ident(other))),
                None => {
                    let labels: Vec<_> = labels(expected).into_iter().map(literal).collect();
                    Some(with_comment(format!("CREATE TYPE {name} AS ENUM ({})", labels.join(", ")), expected))
                }
            },
            Kind::Function => create_function(expected),
            Kind::Comment => comment_on(&expected.object, &literal(definition)),
            Kind::Policy => Some(format!("CREATE POLICY {name} ON {table} {definition}")),
            // A table needs all that belongs to it, in order: that is a migration.
            Kind::Table | Kind::ColumnOrder | Kind::Type => None,
        }
    }

    /// What holds rows is never dropped, and a label cannot be.
    fn drop(&self, found: &Entry) -> Option<String> {
        let (table, name) = parts(found);
        match found.kind {
            Kind::Constraint => Some(format!("ALTER TABLE {table} DROP CONSTRAINT {name}")),
            Kind::Index => Some(format!("DROP INDEX CONCURRENTLY {name}")),
            Kind::Trigger => Some(format!("DROP TRIGGER {name} ON {table}")),
            Kind::Policy => Some(format!("DROP POLICY {name} ON {table}")),
            Kind::Enum if self.is_new_name(found) => None,
            Kind::Enum => Some(format!("DROP TYPE {name}")),
            Kind::Type if found.definition.starts_with("domain") => Some(format!("DROP DOMAIN {name}")),
            Kind::Type => Some(format!("DROP TYPE {name}")),
            Kind::Function => Some(format!("DROP ROUTINE {}", found.object)),
            Kind::Comment => comment_on(&found.object, "NULL"),
            Kind::Table | Kind::ColumnOrder | Kind::Column => None,
        }
    }

    fn change(&self, expected: &Entry, found: &Entry) -> Option<String> {
        let (table, name) = parts(expected);
        let definition = &expected.definition;
        let added = found.definition.strip_prefix(definition.as_str()).map(str::trim);
        match (expected.kind, added) {
            (Kind::Table, _) => change_table(expected, found),
            (Kind::Column, _) => self.change_column(expected, found),
            (Kind::Constraint, Some("NOT VALID")) => Some(format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}")),
            (Kind::Constraint, Some(added)) if added.starts_with("(NOT ENFORCED") => Some(enable_triggers(expected)),
            (Kind::Constraint, _) => {
                Some(format!("ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {definition}"))
            }
            (Kind::Index, Some(added)) if added.starts_with("INVALID") || added.starts_with("NOT READY") => {
                Some(format!("REINDEX INDEX CONCURRENTLY {name}"))
            }
            // It follows when the labels of the enum in its condition are what they should be.
            (Kind::Index, _) if self.is_of_changed_enum(expected) => None,
            (Kind::Index, _) => Some(format!("DROP INDEX {name}; {}", create_index(expected, ""))),
            (Kind::Trigger, Some(added)) if added.starts_with('(') => {
                Some(format!("ALTER TABLE {table} ENABLE TRIGGER {name}"))
            }
            (Kind::Trigger, _) => Some(format!("CREATE OR REPLACE TRIGGER {name} {definition}")),
            (Kind::Enum, _) => change_enum(expected, found),
            (Kind::Function, _) => create_function(expected),
            (Kind::Comment, _) => comment_on(&expected.object, &literal(definition)),
            // Without its policy, a table under row security shows nobody anything: nothing leaks in between.
            (Kind::Policy, _) => {
                Some(format!("DROP POLICY {name} ON {table}; CREATE POLICY {name} ON {table} {definition}"))
            }
            (Kind::ColumnOrder | Kind::Type, _) => None,
        }
    }

    fn is_of_changed_enum(&self, index: &Entry) -> bool {
        let mut enums = self.differences.iter().map(Difference::entry).filter(|entry| entry.kind == Kind::Enum);
        enums.any(|changed| index.definition.contains(&format!("::{}", changed.object)))
    }

    /// Default and nullability, and a type of which no value can be lost: one too long for it is refused.
    fn change_column(&self, expected: &Entry, found: &Entry) -> Option<String> {
        let (to, from) = (Column::parse(&expected.definition)?, Column::parse(&found.definition)?);
        // Its type or a label of it has another name: to mend that is to mend the column.
        let concerns = |difference: &Difference| {
            difference.entry().kind == Kind::Enum
                && [to.type_name, from.type_name].contains(&&*difference.entry().object)
        };
        if self.differences.iter().any(concerns) {
            return None;
        }
        let (table, name) = parts(expected);
        let mut actions = Vec::new();
        if to.type_name != from.type_name {
            actions.push(format!("ALTER COLUMN {name} TYPE {}{}", to.type_name, conversion(&name, &from, &to)?));
        }
        match (to.default, from.default) {
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

    /// The unexpected column that stands where the missing one should, and is the same but for its name.
    fn renamed_column(&self, missing: &Entry) -> Option<&str> {
        let order = |entries: &'_ [Entry]| -> Vec<String> {
            let is_order = |entry: &&Entry| entry.kind == Kind::ColumnOrder && entry.object == missing.table();
            let names = entries.iter().find(is_order).map(|entry| entry.definition.as_str()).unwrap_or_default();
            names.split(", ").map(str::to_owned).collect()
        };
        let (expected, found) = (order(contract()), order(self.found));
        let (_, name) = missing.object.split_once('.')?;
        let place = expected.iter().position(|column| column == name)?;
        let object = format!("{}.{}", missing.table(), found.get(place)?);
        self.differences.iter().find_map(|difference| match difference {
            Difference::Unexpected { found: other }
                if other.kind == Kind::Column && other.object == object && other.definition == missing.definition =>
            {
                other.object.split_once('.').map(|(_, column)| column)
            }
            _ => None,
        })
    }

    /// The one unexpected enum with the labels of the missing one.
    fn renamed_enum(&self, missing: &Entry) -> Option<&str> {
        let mut same = self.differences.iter().filter_map(|difference| match difference {
            Difference::Unexpected { found } if found.kind == Kind::Enum && found.definition == missing.definition => {
                Some(found.object.as_str())
            }
            _ => None,
        });
        same.next().filter(|_| same.next().is_none())
    }

    fn is_new_name(&self, unexpected: &Entry) -> bool {
        self.differences.iter().any(|difference| match difference {
            Difference::Missing { expected } if expected.kind == Kind::Enum => {
                self.renamed_enum(expected) == Some(unexpected.object.as_str())
            }
            _ => false,
        })
    }
}

/// A column's definition, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Column<'a> {
    /// With its collation, when it has one of its own.
    type_name: &'a str,
    not_null: bool,
    default: Option<&'a str>,
}

impl<'a> Column<'a> {
    /// `None` for a generated column and an identity.
    fn parse(definition: &'a str) -> Option<Self> {
        if definition.contains("GENERATED ") {
            return None;
        }
        let (head, default) = match definition.split_once(" DEFAULT ") {
            Some((head, default)) => (head, Some(default)),
            None => (definition, None),
        };
        let type_name = head.strip_suffix(" NOT NULL");
        Some(Self { type_name: type_name.unwrap_or(head), not_null: type_name.is_some(), default })
    }
}

/// What has to follow a new type so that the values stay what they are; `None` where that is not certain.
fn conversion(name: &str, from: &Column<'_>, to: &Column<'_>) -> Option<String> {
    let base = |name: &str| name.split('(').next().unwrap_or_default().to_owned();
    match (from.type_name, to.type_name) {
        ("timestamp without time zone", "timestamp with time zone") => {
            Some(format!(" USING {name} AT TIME ZONE 'UTC'"))
        }
        (from, to) if base(from) == base(to) && base(to) == "character varying" => Some(String::new()),
        ("text", to) if base(to) == "character varying" => Some(String::new()),
        ("smallint", "integer" | "bigint") | ("integer", "bigint") | ("real", "double precision") => {
            Some(String::new())
        }
        _ => None,
    }
}

fn change_table(expected: &Entry, found: &Entry) -> Option<String> {
    const PROPERTIES: [(&str, &str, &str); 3] = [
        ("unlogged table", "SET UNLOGGED", "SET LOGGED"),
        ("row security", "ENABLE ROW LEVEL SECURITY", "DISABLE ROW LEVEL SECURITY"),
        ("row security also for the owner", "FORCE ROW LEVEL SECURITY", "NO FORCE ROW LEVEL SECURITY"),
    ];
    let has = |entry: &Entry, word: &str| entry.definition.split(", ").any(|it| it == word);
    let is_table = |entry: &Entry| has(entry, "table") || has(entry, "unlogged table");
    if !is_table(expected) || !is_table(found) {
        return None;
    }
    let action = |(word, on, off): &(&str, &'static str, &'static str)| match (has(expected, word), has(found, word)) {
        (true, false) => Some(*on),
        (false, true) => Some(*off),
        _ => None,
    };
    let actions: Vec<_> = PROPERTIES.iter().filter_map(action).collect();
    Some(format!("ALTER TABLE {} {}", ident(&expected.object), actions.join(", ")))
}

/// A new label goes in; one that has another name gets it back.
fn change_enum(expected: &Entry, found: &Entry) -> Option<String> {
    let name = ident(&expected.object);
    let (to, from) = (labels(expected), labels(found));
    let kept: Vec<_> = to.iter().filter(|label| from.contains(label)).collect();
    if kept.len() == from.len() && kept.iter().zip(&from).all(|(kept, found)| *kept == found) {
        let add = |(at, label): (usize, &&str)| {
            let place = match at.checked_sub(1).and_then(|before| to.get(before)) {
                Some(before) => format!("AFTER {}", literal(before)),
                None => format!("BEFORE {}", literal(from.first()?)),
            };
            Some(format!("ALTER TYPE {name} ADD VALUE {} {place}", literal(label)))
        };
        let missing = to.iter().enumerate().filter(|(_, label)| !from.contains(label));
        return missing.map(add).collect::<Option<Vec<_>>>().map(|statements| statements.join("; "));
    }
    let renamed: Vec<_> = to.iter().zip(&from).filter(|(to, from)| to != from).collect();
    match renamed.as_slice() {
        [(to_label, from_label)] if to.len() == from.len() && !to.contains(from_label) => {
            Some(format!("ALTER TYPE {name} RENAME VALUE {} TO {}", literal(from_label), literal(to_label)))
        }
        _ => None,
    }
}

fn create_index(expected: &Entry, concurrently: &str) -> String {
    let (table, name) = parts(expected);
    let (unique, definition) = match expected.definition.strip_prefix("UNIQUE ") {
        Some(definition) => ("UNIQUE ", definition),
        None => ("", expected.definition.as_str()),
    };
    format!("CREATE {unique}INDEX {concurrently}{name} ON {table} USING {definition}")
}

fn create_function(expected: &Entry) -> Option<String> {
    let (head, body) = expected.definition.split_once(" AS ")?;
    (!body.contains("$mend$"))
        .then(|| format!("CREATE OR REPLACE FUNCTION {} {head} AS $mend${body}$mend$", expected.object))
}

/// The triggers of a foreign key stand on both of its tables.
fn enable_triggers(expected: &Entry) -> String {
    let referenced = expected.definition.split_once(" REFERENCES ").and_then(|(_, rest)| rest.split('(').next());
    let tables: BTreeSet<_> = [Some(expected.table()), referenced].into_iter().flatten().collect();
    let statements: Vec<_> =
        tables.iter().map(|table| format!("ALTER TABLE {} ENABLE TRIGGER ALL", ident(table))).collect();
    statements.join("; ")
}

/// What is created anew gets its comment in the same go.
fn with_comment(mut statement: String, expected: &Entry) -> String {
    let is_comment = |entry: &&Entry| entry.kind == Kind::Comment && entry.object == expected.object;
    let comment = contract().iter().find(is_comment);
    if let Some(comment) = comment.and_then(|entry| comment_on(&entry.object, &literal(&entry.definition))) {
        statement.push_str("; ");
        statement.push_str(&comment);
    }
    statement
}

/// `None` for what the contract does not know: a view's comment has another syntax.
fn comment_on(object: &str, text: &str) -> Option<String> {
    let is = |kind: Kind| contract().iter().any(|entry| entry.kind == kind && entry.object == object);
    if is(Kind::Column) {
        let (table, column) = object.split_once('.')?;
        return Some(format!("COMMENT ON COLUMN {}.{} IS {text}", ident(table), ident(column)));
    }
    let word = if is(Kind::Table) { "TABLE" } else { is(Kind::Enum).then_some("TYPE")? };
    Some(format!("COMMENT ON {word} {} IS {text}", ident(object)))
}

fn labels(entry: &Entry) -> Vec<&str> {
    entry.definition.split(", ").collect()
}

/// Table and name, quoted where they have to be; of an object without a table the name twice.
fn parts(entry: &Entry) -> (String, String) {
    let name = entry.object.split_once('.').map_or(entry.object.as_str(), |(_, name)| name);
    (ident(entry.table()), ident(name))
}

/// The contract's names are plain words. A stranger's may be anything.
fn ident(name: &str) -> String {
    static PLAIN: LazyLock<BTreeSet<&str>> =
        LazyLock::new(|| contract().iter().flat_map(|entry| entry.object.split('.')).collect());
    if PLAIN.contains(name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    // With a backslash in it, what a plain literal means depends on a setting.
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', r"\\")) } else { format!("'{quoted}'") }
}
