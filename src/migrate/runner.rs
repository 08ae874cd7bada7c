//! Runs one migration, either way: with bounded waiting for locks, tried again while there is time, in a transaction
//! or, where it cannot be one, statement by statement.

use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;

use super::error::Error as MigrateError;
use super::event::{Event, Step};
use super::limits::{self, Inherited};
use super::retry::{Failure, until_unlocked};
use super::script::{Command, Part, Script, is_concurrent};
use super::{index, limits::bounded};
use crate::error::{Doing, Result};
use crate::raw::{RunSql, Sql, sql_query};
use crate::sqlstate::{reporting, reporting_each};

/// What all migrations of a run share.
pub(super) struct Runner<'a> {
    pub observer: &'a mut dyn FnMut(Event<'_>),
    /// How long a migration, or a statement that is a transaction of its own, may wait for locks in all.
    pub lock_wait: Duration,
}

impl Runner<'_> {
    /// Runs a migration and changes the history with it.
    pub fn run(&mut self, conn: &mut PgConnection, script: &Script<'_>) -> Result<Step> {
        let Script { migration, direction, .. } = *script;
        (self.observer)(Event::Begin(direction, migration));
        let begin = Instant::now();
        if migration.in_transaction {
            self.one_transaction(conn, script)?;
        } else {
            self.single_statements(conn, script)?;
        }
        let step = Step {
            version: migration.version.to_owned(),
            name: migration.name.to_owned(),
            direction,
            seconds: begin.elapsed().as_secs_f64(),
        };
        tracing::info!(migration = step.name, ?direction, seconds = step.seconds, "migration committed");
        (self.observer)(Event::Done(&step));
        Ok(step)
    }

    fn one_transaction(&mut self, conn: &mut PgConnection, script: &Script<'_>) -> Result<()> {
        let name = script.migration.name.to_owned();
        let ran = until_unlocked(self.lock_wait, on_lock(self.observer, script), |deadline| {
            conn.transaction(|conn| {
                for command in &script.commands {
                    match command {
                        Command::Claim(sql) => claim(conn, sql)?,
                        Command::Record(sql) => conn.batch(sql)?,
                        Command::Run(part) => run_part(conn, script, part, deadline.left())?,
                    }
                }
                Ok(())
            })
        });
        ran.map_err(|failure| match failure {
            Failure::Locked(source) => self.gave_up(script, source),
            Failure::Other(source) => MigrateError::Failed { name, source }.into(),
        })
    }

    /// How far it has come is written down, so that the next run goes on from there.
    fn single_statements(&mut self, conn: &mut PgConnection, script: &Script<'_>) -> Result<()> {
        let inherited = Inherited::read(conn)?;
        for command in &script.commands {
            match command {
                Command::Claim(sql) | Command::Record(sql) => {
                    conn.batch(sql).doing(format!("write {} into the history", script.migration))?;
                }
                Command::Run(part) => {
                    let ran = self.statement(conn, script, part);
                    let restored = inherited.restore(conn);
                    // The statement's error first: where the connection is lost, both fail.
                    ran?;
                    restored.doing("give the session its time limits back")?;
                }
            }
        }
        Ok(())
    }

    fn statement(&mut self, conn: &mut PgConnection, script: &Script<'_>, part: &Part) -> Result<()> {
        let statement_timeout = script.header.statement_timeout;
        let ran = until_unlocked(self.lock_wait, on_lock(self.observer, script), |deadline| {
            for statement in index::statements(conn, part.sql)? {
                // What does not work concurrently may be a part of what does.
                let limit =
                    if is_concurrent(statement.as_str()) { part.lock_timeout } else { script.header.lock_timeout };
                let lock_timeout = bounded(limit, deadline.left());
                conn.batch(limits::set("SESSION", lock_timeout, statement_timeout))?;
                let begin = Instant::now();
                conn.batch(statement).map_err(|source| {
                    let took = begin.elapsed();
                    let ran_too_long = !statement_timeout.is_zero() && took >= statement_timeout;
                    if ran_too_long {
                        Failure::Other(source)
                    } else {
                        Failure::of_statement(source, lock_timeout, took)
                    }
                })?;
            }
            Ok(())
        });
        ran.map_err(|failure| match failure {
            Failure::Locked(source) => self.gave_up(script, source),
            Failure::Other(source) => MigrateError::Stopped {
                name: script.migration.name.to_owned(),
                direction: script.direction,
                statement: part.number,
                of: part.of,
                source,
            }
            .into(),
        })
    }

    fn gave_up(&self, script: &Script<'_>, source: diesel::result::Error) -> crate::Error {
        let name = script.migration.name.to_owned();
        MigrateError::TableLocked { name, waited: self.lock_wait, source }.into()
    }
}

/// Reports that a lock is in the way.
fn on_lock<'a>(
    observer: &'a mut dyn FnMut(Event<'_>),
    script: &'a Script<'_>,
) -> impl FnMut(&diesel::result::Error) + 'a {
    |error| {
        tracing::info!(migration = script.migration.name, %error, "a table is locked: trying again");
        observer(Event::Blocked(script.migration));
    }
}

fn claim(conn: &mut PgConnection, sql: &Sql) -> QueryResult<()> {
    match sql_query(sql).execute(conn)? {
        1 => Ok(()),
        _ => Err(diesel::result::Error::NotFound),
    }
}

/// Runs the text of a migration in its transaction. A limit on statements is for each of them.
fn run_part(conn: &mut PgConnection, script: &Script<'_>, part: &Part, left: Duration) -> QueryResult<()> {
    let statement_timeout = script.header.statement_timeout;
    conn.batch(limits::set_in_transaction(bounded(part.lock_timeout, left), statement_timeout))?;
    let statements = limits::within(part.sql, left);
    conn.batch(if statement_timeout.is_zero() {
        reporting_each(statements)
    } else {
        Sql::join(statements.map(|statement| reporting(&statement)), ";\n")
    })
}
