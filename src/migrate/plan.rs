//! What a run would do, in full: each statement with the locks that it takes, and the changes of the history.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde::Serialize;

use super::locks::{self, Lock};
use super::script::{Command, Script};
use super::set::Direction;
use super::sql::{statements, terminator};
use super::{history, index, limits};
use crate::error::{Doing, Result};
use crate::raw::sql_query;

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// What creates or completes the tables of the history first; `None` where they are complete.
    pub history_tables: Option<String>,
    /// The migrations to run, in that order; empty when there is nothing to do.
    pub steps: Vec<PlannedStep>,
}

impl Plan {
    /// The plan as a script for `psql -v ON_ERROR_STOP=1` that says in comments what it would lock. It does not take the
    /// migration lock: no other run may be under way.
    pub fn script(&self) -> String {
        if self.steps.is_empty() {
            return "-- nothing to do\n".to_owned();
        }
        let mut script = String::from("-- for `psql -v ON_ERROR_STOP=1`, while no other run is under way\n\n");
        if let Some(tables) = &self.history_tables {
            push(&mut script, tables);
            script.push('\n');
        }
        for step in &self.steps {
            script += &step.with_comments();
        }
        script
    }
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
    /// The text of the migration's file, comments included.
    pub sql: String,
    /// The statements of the text that would be run: without those that an interrupted run has done.
    pub statements: Vec<PlannedStatement>,
    /// The changes of the history.
    pub history: String,
    /// All of it in the order in which it would be run, as a script for psql.
    pub script: String,
}

impl PlannedStep {
    fn with_comments(&self) -> String {
        let doing = match self.direction {
            Direction::Apply => "applying",
            Direction::Revert => "reverting",
        };
        let mut text =
            format!("-- {doing} {}\n-- waits at most {} s for a lock\n", self.name, self.lock_timeout_seconds);
        let locks = self.statements.iter().flat_map(|statement| &statement.locks);
        for Lock { object, mode } in locks.collect::<BTreeSet<_>>() {
            text += &format!("-- locks {object}: {mode}\n");
        }
        text + &self.script + "\n"
    }
}

/// A statement to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedStatement {
    /// The statement.
    pub sql: String,
    /// Locks on tables that are there before the run; what the run itself creates, nobody else waits for.
    pub locks: Vec<Lock>,
}

/// Plans a run.
pub(super) fn of(conn: &mut PgConnection, scripts: &[Script<'_>]) -> Result<Plan> {
    if scripts.is_empty() {
        return Ok(Plan { history_tables: None, steps: Vec::new() });
    }
    let tables = tables(conn).doing("read which tables there are")?;
    let history_tables = history::creation(conn)?.map(str::to_owned);
    let steps = scripts.iter().map(|script| step(conn, script, &tables)).collect::<Result<_>>()?;
    Ok(Plan { history_tables, steps })
}

fn step(conn: &mut PgConnection, script: &Script<'_>, tables: &BTreeSet<String>) -> Result<PlannedStep> {
    let Script { migration, direction, header, ref commands } = *script;
    let changes = commands.iter().filter_map(|command| match command {
        Command::Claim(sql) | Command::Record(sql) => Some(sql.as_str()),
        Command::Run(_) => None,
    });
    let statement = |(number, sql): (usize, &str)| {
        let mut locks = locks::of(migration, direction, number);
        locks.retain(|lock| tables.contains(&lock.object) || lock.object == "?");
        PlannedStatement { sql: sql.to_owned(), locks }
    };
    let parts = commands.iter().filter_map(|command| match command {
        Command::Run(part) => Some(part),
        _ => None,
    });
    Ok(PlannedStep {
        version: migration.version.to_owned(),
        name: migration.name.to_owned(),
        direction,
        in_transaction: migration.in_transaction,
        lock_timeout_seconds: header.lock_timeout.as_secs_f64(),
        statement_timeout_seconds: header.statement_timeout.as_secs_f64(),
        sql: migration.text(direction).to_owned(),
        statements: parts.flat_map(|part| (part.number..).zip(statements(part.sql))).map(statement).collect(),
        history: changes.collect::<Vec<_>>().join(";\n"),
        script: text(conn, script)?,
    })
}

/// The script as psql runs it.
fn text(conn: &mut PgConnection, script: &Script<'_>) -> Result<String> {
    let in_transaction = script.migration.in_transaction;
    let scope = if in_transaction { "LOCAL" } else { "SESSION" };
    let mut text = String::new();
    let mut last_limit: Option<Duration> = None;
    if in_transaction {
        text += "BEGIN;\n";
    }
    for command in &script.commands {
        match command {
            Command::Claim(sql) | Command::Record(sql) => push(&mut text, sql.as_str()),
            Command::Run(part) => {
                if last_limit.replace(part.lock_timeout) != Some(part.lock_timeout) {
                    push(&mut text, limits::set(scope, part.lock_timeout, script.header.statement_timeout).as_str());
                }
                let doing = "look for an index that an interrupted run left, and for partitions";
                for statement in index::statements(conn, part.sql).doing(doing)? {
                    push(&mut text, statement.as_str());
                }
            }
        }
    }
    text += if in_transaction { "COMMIT;\n" } else { "RESET lock_timeout;\nRESET statement_timeout;\n" };
    Ok(text)
}

fn push(text: &mut String, sql: &str) {
    let sql = sql.trim_end();
    *text += sql;
    *text += terminator(sql);
    text.push('\n');
}

/// The tables of the current schema.
fn tables(conn: &mut PgConnection) -> QueryResult<BTreeSet<String>> {
    #[derive(QueryableByName)]
    struct Table {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let query = "SELECT relname::text AS name FROM pg_class \
                 WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p')";
    Ok(sql_query(query).load::<Table>(conn)?.into_iter().map(|table| table.name).collect())
}
