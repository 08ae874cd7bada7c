//! What a run would do, in full: each statement with the locks that it takes, and the change of the history.
//!
//! The locks are read off the statements by PostgreSQL's documented rules, because finding out by running them would
//! be no plan. A test compares them with what the server really takes.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Direction;
use super::set::Migration;
use super::sql::{statements, texts, words};
use crate::error::Result;

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The migrations to run, in that order; empty when there is nothing to do.
    pub steps: Vec<PlannedStep>,
}

/// A migration to run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedStep {
    /// Version in the history.
    pub version: String,
    /// Name of the migration's folder.
    pub name: String,
    /// Which way it would be run.
    pub direction: Direction,
    /// Whether all of it is one transaction.
    pub in_transaction: bool,
    /// How long a statement may wait for a lock, in seconds; 0 for as long as the run may wait.
    pub lock_timeout_seconds: f64,
    /// How long a statement may run, in seconds; 0 for as long as it takes.
    pub statement_timeout_seconds: f64,
    /// The text that would be run, comments included.
    pub sql: String,
    /// The statements of the text.
    pub statements: Vec<PlannedStatement>,
    /// The change of the history.
    pub history: String,
}

/// A statement to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedStatement {
    /// The statement.
    pub sql: String,
    /// Locks on objects that are there before the run; what the run itself creates, nobody else waits for.
    pub locks: Vec<Lock>,
}

/// A lock on a table or index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lock {
    /// The table or index, as the statement names it; for `DROP INDEX` and its like that is all there is to go by.
    pub object: String,
    /// The mode as PostgreSQL's documentation calls it; `unknown` for a statement that can do anything.
    pub mode: &'static str,
}

/// Plans a route.
pub(super) fn of(route: &[(Direction, &Migration)]) -> Result<Plan> {
    let mut created = BTreeSet::new();
    let mut steps = Vec::new();
    for (direction, migration) in route {
        let header = migration.header()?;
        let (sql, history) = match direction {
            Direction::Apply => (
                migration.up,
                format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{}')", migration.version),
            ),
            Direction::Revert => (
                migration.down,
                format!("DELETE FROM __diesel_schema_migrations WHERE version = '{}'", migration.version),
            ),
        };
        let planned = statements(sql).into_iter().map(|statement| {
            let mut locks = locks(statement);
            locks.extend(dropped_references(statement, migration.up));
            created.extend(creates(statement));
            locks.retain(|lock| !created.contains(&lock.object));
            PlannedStatement { sql: statement.to_owned(), locks }
        });
        steps.push(PlannedStep {
            statements: planned.collect(),
            version: migration.version.to_owned(),
            name: migration.name.to_owned(),
            direction: *direction,
            in_transaction: migration.in_transaction,
            lock_timeout_seconds: header.lock_timeout.as_secs_f64(),
            statement_timeout_seconds: header.statement_timeout.as_secs_f64(),
            sql: sql.to_owned(),
            history,
        });
    }
    Ok(Plan { steps })
}

/// Dropping a table also locks the tables that it refers to; what these are stands where the table was created.
fn dropped_references(statement: &str, up: &str) -> Vec<Lock> {
    let words = words(statement);
    if words.len() < 3 || words[..2] != ["DROP", "TABLE"] {
        return Vec::new();
    }
    let dropped = texts(statement).last().map(|name| (*name).to_owned());
    let creation = statements(up).into_iter().find(|create| creates(create) == dropped);
    let referred = creation.map(locks).unwrap_or_default().into_iter();
    referred.map(|lock| Lock { mode: "ACCESS EXCLUSIVE", ..lock }).collect()
}

/// The table or index that a statement creates.
fn creates(statement: &str) -> Option<String> {
    let words = words(statement);
    let at = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["CREATE", "TABLE" | "VIEW" | "SEQUENCE", ..] => 2,
        ["CREATE", "INDEX", "CONCURRENTLY", ..] | ["CREATE", "UNIQUE", "INDEX", ..] => 3,
        ["CREATE", "INDEX", ..] => 2,
        _ => return None,
    };
    let at = if words[at..].starts_with(&["IF", "NOT", "EXISTS"].map(str::to_owned)) { at + 3 } else { at };
    texts(statement).get(at).map(|name| (*name).to_owned())
}

/// The locks that a statement takes on tables and indexes that it names.
fn locks(statement: &str) -> Vec<Lock> {
    let upper = words(statement);
    let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
    let texts = texts(statement);
    let mut locks = BTreeSet::new();
    let mut lock = |at: Option<usize>, mode: &'static str| {
        let object = at.and_then(|at| texts.get(at)).map_or_else(|| "?".to_owned(), |text| (*text).to_owned());
        locks.insert(Lock { object, mode });
    };
    let behind = |word: &str| upper.iter().position(|found| *found == word).map(|at| at + 1);
    let concurrently = upper.contains(&"CONCURRENTLY");
    let name = |at: usize| if upper.get(at..at + 2) == Some(&["IF", "EXISTS"]) { Some(at + 2) } else { Some(at) };
    match upper.as_slice() {
        ["CREATE", "INDEX", ..] | ["CREATE", "UNIQUE", "INDEX", ..] => {
            lock(behind("ON"), if concurrently { "SHARE UPDATE EXCLUSIVE" } else { "SHARE" });
        }
        ["CREATE", "TRIGGER" | "CONSTRAINT", ..] => lock(behind("ON"), "SHARE ROW EXCLUSIVE"),
        ["CREATE", "POLICY", ..] => lock(behind("ON"), "ACCESS EXCLUSIVE"),
        ["ALTER", "TABLE", ..] => {
            let weak = upper.contains(&"VALIDATE") || upper.contains(&"STATISTICS");
            let only = |at: usize| if upper.get(at) == Some(&"ONLY") { at + 1 } else { at };
            lock(name(2).map(only), if weak { "SHARE UPDATE EXCLUSIVE" } else { "ACCESS EXCLUSIVE" });
        }
        ["DROP", "INDEX", ..] => {
            let at = if concurrently { 3 } else { 2 };
            lock(name(at), if concurrently { "SHARE UPDATE EXCLUSIVE" } else { "ACCESS EXCLUSIVE" });
        }
        ["DROP", "TABLE" | "VIEW", ..] | ["TRUNCATE", "TABLE", ..] => lock(name(2), "ACCESS EXCLUSIVE"),
        ["DROP", "TRIGGER" | "POLICY", ..] => lock(behind("ON"), "ACCESS EXCLUSIVE"),
        ["COMMENT", "ON", "TABLE" | "COLUMN", ..] => lock(Some(3), "SHARE UPDATE EXCLUSIVE"),
        ["INSERT", "INTO", ..] | ["DELETE", "FROM", ..] => lock(Some(2), "ROW EXCLUSIVE"),
        ["UPDATE", ..] => lock(Some(1), "ROW EXCLUSIVE"),
        ["DO" | "CALL" | "WITH" | "SELECT" | "MERGE" | "REFRESH" | "CLUSTER" | "VACUUM" | "REINDEX", ..] => {
            lock(None, "unknown");
        }
        _ => {}
    }
    if matches!(upper.as_slice(), ["CREATE" | "ALTER", "TABLE", ..]) {
        for at in upper.iter().enumerate().filter(|(_, word)| **word == "REFERENCES").map(|(at, _)| at + 1) {
            lock(Some(at), "SHARE ROW EXCLUSIVE");
        }
    }
    locks.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(statement: &str) -> Vec<String> {
        locks(statement).into_iter().map(|lock| format!("{}: {}", lock.object, lock.mode)).collect()
    }

    #[test]
    fn each_kind_of_statement_takes_its_lock() {
        for (statement, expected) in [
            ("CREATE TABLE a (b uuid REFERENCES c (id), d uuid REFERENCES c (id))", vec!["c: SHARE ROW EXCLUSIVE"]),
            ("CREATE UNIQUE INDEX a ON b (c)", vec!["b: SHARE"]),
            ("CREATE INDEX CONCURRENTLY IF NOT EXISTS a ON b (c)", vec!["b: SHARE UPDATE EXCLUSIVE"]),
            ("ALTER TABLE IF EXISTS a ADD COLUMN b int", vec!["a: ACCESS EXCLUSIVE"]),
            ("ALTER TABLE a VALIDATE CONSTRAINT b", vec!["a: SHARE UPDATE EXCLUSIVE"]),
            ("DROP TABLE IF EXISTS a", vec!["a: ACCESS EXCLUSIVE"]),
            ("COMMENT ON COLUMN a.b IS 'c'", vec!["a: SHARE UPDATE EXCLUSIVE"]),
            ("CREATE TYPE a AS ENUM ('b')", vec![]),
            ("DO $$ BEGIN END $$", vec!["?: unknown"]),
        ] {
            assert_eq!(shown(statement), expected, "{statement}");
        }
    }
}
