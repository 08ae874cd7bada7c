//! The embedded migrations: what is applied, what is pending, applying and reverting.
//!
//! The history is kept in Diesel's own `__diesel_schema_migrations`, as diesel_cli expects it. One run at a time
//! holds an advisory lock; each migration and its row in the history are one transaction. Looking never writes, not
//! even the history table. This module knows no table of ours but their names.
//!
//! A service calls [`ensure_current`] when it starts. Whoever wants to see or stop single steps uses [`Migrator`].
//! [`EMBEDDED`] can also be run by Diesel's own harness, which takes no lock:
//!
//! ```no_run
//! use optiinfra_db::migrate::{self, diesel_migrations::MigrationHarness};
//! # fn f(conn: &mut diesel::PgConnection) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! conn.run_pending_migrations(migrate::Set(migrate::EMBEDDED))?;
//! # Ok(())
//! # }
//! ```

mod history;
mod lock;
mod loss;
mod set;

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde::Serialize;

pub use diesel_migrations;

pub use self::history::{Applied, Pending, Status};
pub use self::loss::Loss;
pub use self::set::{EMBEDDED, Migration, Set};
use crate::error::{Error, Result};

/// How long a run waits for another one, unless told otherwise.
pub const DEFAULT_LOCK_WAIT: Duration = Duration::from_secs(60);

/// What happens during a run, for progress messages.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Another run holds the lock; this one waits. Told once.
    Waiting {
        /// Who holds the lock, as far as the server tells.
        holder: Option<&'a str>,
    },
    /// A migration begins.
    Begin(Direction, &'a Migration),
    /// A migration is committed.
    Done(&'a Step),
}

/// Which way a migration is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// `up.sql`
    Apply,
    /// `down.sql`
    Revert,
}

/// One migration that was run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Version in the history.
    pub version: String,
    /// Name of the migration's folder.
    pub name: String,
    /// Which way it was run.
    pub direction: Direction,
    /// How long it took in seconds, commit included.
    pub seconds: f64,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The migrations that were run, in that order; empty when there was nothing to do.
    pub steps: Vec<Step>,
    /// Name of the newest migration that is applied now; `None` when none is.
    pub head: Option<String>,
}

/// How far to go back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevertTo {
    /// So many migrations.
    Steps(usize),
    /// Until this version, digits or folder name, is the newest one.
    Version(String),
    /// Until none is left.
    Nothing,
}

/// Applies what is pending. For a service that starts next to others: nothing is written and no lock is taken when
/// nothing is pending, and of several that find something pending one applies it while the others wait.
///
/// # Errors
///
/// [`Error::Ahead`] when the database holds migrations that this build does not know, [`Error::Locked`] when
/// another run does not end within [`DEFAULT_LOCK_WAIT`], [`Error::Migration`] when one fails.
pub fn ensure_current(conn: &mut PgConnection) -> Result<Report> {
    let report = Migrator::default().run(conn)?;
    tracing::info!(applied = report.steps.len(), head = report.head, "the database schema is current");
    Ok(report)
}

/// Reads what is applied and what is pending. Writes nothing and needs no more than SELECT.
///
/// # Errors
///
/// [`Error::Query`] when the history cannot be read.
pub fn status(conn: &mut PgConnection) -> Result<Status> {
    Migrator::default().status(conn)
}

/// Runs a set of migrations, the embedded one unless told otherwise.
pub struct Migrator<'a> {
    set: &'a [Migration],
    lock_wait: Duration,
    observer: Box<dyn FnMut(Event<'_>) + 'a>,
}

impl Default for Migrator<'_> {
    fn default() -> Self {
        Self { set: EMBEDDED, lock_wait: DEFAULT_LOCK_WAIT, observer: Box::new(|_| ()) }
    }
}

impl<'a> Migrator<'a> {
    /// Runs another set of migrations, ordered by version.
    #[must_use]
    pub fn set(mut self, set: &'a [Migration]) -> Self {
        self.set = set;
        self
    }

    /// Waits at most so long for another run.
    #[must_use]
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Tells what happens, as it happens.
    #[must_use]
    pub fn observer(mut self, observer: impl FnMut(Event<'_>) + 'a) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// Reads what is applied and what is pending. Writes nothing and needs no more than SELECT.
    ///
    /// # Errors
    ///
    /// [`Error::Query`] when the history cannot be read.
    pub fn status(&self, conn: &mut PgConnection) -> Result<Status> {
        history::status(conn, self.set)
    }

    /// Applies every pending migration, each in its own transaction.
    ///
    /// # Errors
    ///
    /// As [`ensure_current`], and [`Error::Occupied`] when tables of ours exist without a history.
    pub fn run(&mut self, conn: &mut PgConnection) -> Result<Report> {
        let status = self.status(conn)?;
        refuse_unknown(&status)?;
        if status.pending.is_empty() {
            return Ok(Report { steps: Vec::new(), head: status.head() });
        }
        let mut locked = lock::acquire(conn, self.lock_wait, &mut self.observer)?;
        // Another run may have changed everything while this one waited.
        let status = history::status(&mut locked, self.set)?;
        refuse_unknown(&status)?;
        if status.applied.is_empty() {
            history::refuse_occupied(&mut locked)?;
        }
        history::create(&mut locked)?;
        let mut report = Report { steps: Vec::new(), head: status.head() };
        for pending in &status.pending {
            let migration = set::find(self.set, &pending.version)?;
            let step = self.step(&mut locked, migration, Direction::Apply)?;
            report.head = report.head.max(Some(step.name.clone()));
            report.steps.push(step);
        }
        Ok(report)
    }

    /// Reverts applied migrations, the newest first, each in its own transaction.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownVersion`] when there is no such migration, otherwise as [`ensure_current`].
    pub fn revert(&mut self, conn: &mut PgConnection, to: &RevertTo) -> Result<Report> {
        let mut locked = lock::acquire(conn, self.lock_wait, &mut self.observer)?;
        let status = history::status(&mut locked, self.set)?;
        let mut report = Report { steps: Vec::new(), head: status.head() };
        for migration in self.to_revert(&status, to)? {
            report.steps.push(self.step(&mut locked, migration, Direction::Revert)?);
        }
        report.head = history::status(&mut locked, self.set)?.head();
        Ok(report)
    }

    /// What [`Migrator::revert`] would remove: tables and columns with the number of values in them.
    ///
    /// Finds out by doing it in a transaction that is rolled back, so it takes the same locks for a moment; it waits
    /// at most five seconds for them.
    ///
    /// # Errors
    ///
    /// As [`Migrator::revert`].
    pub fn revert_loss(&self, conn: &mut PgConnection, to: &RevertTo) -> Result<Loss> {
        let status = self.status(conn)?;
        let migrations = self.to_revert(&status, to)?;
        loss::of_reverting(conn, &migrations)
    }

    /// The applied migrations that have to go, the newest first.
    fn to_revert(&self, status: &Status, to: &RevertTo) -> Result<Vec<&'a Migration>> {
        refuse_unknown(status)?;
        let newest_first = status.applied.iter().rev().map(|applied| set::find(self.set, &applied.version));
        match to {
            RevertTo::Steps(count) => newest_first.take(*count).collect(),
            RevertTo::Nothing => newest_first.collect(),
            RevertTo::Version(text) => {
                let stay = set::find(self.set, text)?;
                if !status.applied.iter().any(|applied| applied.version == stay.version) {
                    return Err(Error::UnknownVersion(format!("{text} (it is not applied)")));
                }
                newest_first.filter(|found| !matches!(found, Ok(found) if found.version <= stay.version)).collect()
            }
        }
    }

    /// Runs one migration and changes the history in the same transaction. The history comes first: should two runs
    /// get here in spite of the lock, the second waits for the first at this row and then fails on it.
    fn step(&mut self, conn: &mut PgConnection, migration: &Migration, direction: Direction) -> Result<Step> {
        (self.observer)(Event::Begin(direction, migration));
        let begin = Instant::now();
        let done = conn.transaction(|conn| match direction {
            Direction::Apply => {
                history::insert(conn, migration)?;
                conn.batch_execute(migration.up)
            }
            Direction::Revert => {
                history::delete(conn, migration)?;
                conn.batch_execute(migration.down)
            }
        });
        done.map_err(|source| Error::Migration { name: migration.name.to_owned(), source })?;
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
}

fn refuse_unknown(status: &Status) -> Result<()> {
    if status.unknown.is_empty() {
        return Ok(());
    }
    Err(Error::Ahead { unknown: status.unknown.clone() })
}
