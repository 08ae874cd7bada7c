//! The embedded migrations: what is applied, what is pending, going to a version and back.
//!
//! The history is kept in Diesel's own `__diesel_schema_migrations`, as `diesel_cli` expects it, and beside it in
//! `__optiinfra_migrations`, which also knows how long a migration took, which tool applied it and with what text.
//! One run at a time holds an advisory lock; each migration and its row in the history are one transaction. Looking
//! never writes, not even the history. This module knows no table of ours but their names.
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

mod edit;
mod history;
mod lock;
mod loss;
mod plan;
mod pooler;
mod runner;
mod set;
mod sql;
mod startup;

use std::time::Duration;

use diesel::pg::PgConnection;
use serde::Serialize;

pub use diesel_migrations;

pub use self::edit::Repaired;
pub use self::history::{Applied, Pending, Status, TextState, Unknown};
pub use self::loss::Loss;
pub use self::plan::{Lock, Plan, PlannedStatement, PlannedStep};
pub use self::pooler::refuse_pooler;
use self::runner::Runner;
pub use self::set::{EMBEDDED, Migration, Set};
pub use self::startup::{OnPending, StartupPolicy, ensure_current, is_ready};
#[cfg(doc)]
use crate::error::Error;
use crate::error::{Doing, Result};

/// How long a run waits for another one and for locked tables, unless told otherwise.
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
    /// A table that a migration needs is locked; it is tried again after a pause.
    Blocked(&'a Migration),
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
    /// How long it took in seconds, commit and waiting for locks included.
    pub seconds: f64,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The migrations that were run, in that order; empty when there was nothing to do.
    pub steps: Vec<Step>,
    /// Name of the newest migration that is applied now; `None` when none is.
    pub head: Option<String>,
    /// Names of applied migrations that this build does not know and works with all the same.
    pub tolerated: Vec<String>,
    /// Names of applied migrations whose text differs in comments, white space or line ends only.
    pub cosmetic_edits: Vec<String>,
}

/// Where to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// Everything applied.
    Head,
    /// This version, as digits or folder name, the newest that is applied: forward or back.
    Version(String),
    /// So many migrations back.
    Back(usize),
    /// None applied.
    Nothing,
    /// So many migrations back and forward again.
    Redo(usize),
}

/// What to do about applied migrations that this build does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnAhead {
    /// Go on when every one of them is marked compatible with builds that do not know it.
    #[default]
    AcceptCompatible,
    /// Go on in any case.
    Accept,
    /// Never go on.
    Refuse,
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
    ahead: OnAhead,
    observer: Box<dyn FnMut(Event<'_>) + 'a>,
}

impl Default for Migrator<'_> {
    fn default() -> Self {
        Self { set: EMBEDDED, lock_wait: DEFAULT_LOCK_WAIT, ahead: OnAhead::default(), observer: Box::new(|_| ()) }
    }
}

/// The migrations to run, in that order.
type Route<'a> = Vec<(Direction, &'a Migration)>;

impl<'a> Migrator<'a> {
    /// Runs another set of migrations, ordered by version.
    #[must_use]
    pub fn set(mut self, set: &'a [Migration]) -> Self {
        self.set = set;
        self
    }

    /// Waits at most so long for another run, and each migration as long for tables that others have locked.
    #[must_use]
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Decides about applied migrations that this build does not know.
    #[must_use]
    pub fn ahead(mut self, ahead: OnAhead) -> Self {
        self.ahead = ahead;
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

    /// Goes to the goal. Where that is reached already, no lock is taken and nothing written.
    ///
    /// # Errors
    ///
    /// [`Error::Ahead`] for unknown migrations that [`OnAhead`] does not accept, [`Error::Edited`] when an applied
    /// migration says something else now, [`Error::Occupied`] when tables of ours exist without a history,
    /// [`Error::Locked`] and [`Error::TableLocked`] when the time to wait is up, [`Error::Migration`] and
    /// [`Error::MigrationStopped`] when a migration fails, [`Error::UnknownVersion`] when there is no such goal.
    pub fn run(&mut self, conn: &mut PgConnection, goal: &Goal) -> Result<Report> {
        let status = self.status(conn)?;
        self.accept(conn, &status, goal)?;
        if self.route(&status, goal)?.is_empty() {
            return Ok(report(&status));
        }
        let mut locked = lock::acquire(conn, self.lock_wait, &mut self.observer)?;
        pooler::refuse_lost_lock(&mut locked)?;
        // Another run may have changed everything while this one waited.
        let status = history::status(&mut locked, self.set)?;
        self.accept(&mut locked, &status, goal)?;
        if status.applied.is_empty() {
            history::refuse_occupied(&mut locked)?;
        }
        let route = self.route(&status, goal)?;
        history::create(&mut locked)?;
        let mut runner = Runner { observer: &mut self.observer, lock_wait: self.lock_wait };
        let mut steps = Vec::new();
        for (direction, migration) in route {
            steps.push(runner.step(&mut locked, migration, direction)?);
        }
        let status = history::status(&mut locked, self.set)?;
        Ok(Report { steps, ..report(&status) })
    }

    /// What [`Migrator::run`] would do: its SQL, its locks and its history. Writes nothing.
    ///
    /// # Errors
    ///
    /// As [`Migrator::run`], as far as looking tells.
    pub fn plan(&self, conn: &mut PgConnection, goal: &Goal) -> Result<Plan> {
        let status = self.status(conn)?;
        self.accept(conn, &status, goal)?;
        if status.applied.is_empty() {
            history::refuse_occupied(conn)?;
        }
        plan::of(&self.route(&status, goal)?)
    }

    /// What going to the goal would remove: tables and columns with the number of values in them.
    ///
    /// Finds out by reverting in a transaction that is rolled back, so it takes the same locks for a moment; it waits
    /// at most five seconds for them. A migration that cannot be run in a transaction is left out.
    ///
    /// # Errors
    ///
    /// As [`Migrator::run`].
    pub fn loss(&self, conn: &mut PgConnection, goal: &Goal) -> Result<Loss> {
        let status = self.status(conn)?;
        let reverts: Vec<_> = self
            .route(&status, goal)?
            .into_iter()
            .filter(|(direction, _)| *direction == Direction::Revert)
            .map(|(_, migration)| migration)
            .collect();
        loss::of_reverting(conn, &reverts)
    }

    /// Records that the text of this build is right for every applied migration that differs or is not recorded.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] when another run does not end in time, [`Error::Query`] when the history cannot be written.
    pub fn repair(&mut self, conn: &mut PgConnection, reason: &str) -> Result<Vec<Repaired>> {
        let mut locked = lock::acquire(conn, self.lock_wait, &mut self.observer)?;
        let status = history::status(&mut locked, self.set)?;
        edit::repair(&mut locked, self.set, &status, reason)
    }

    /// Does something while no migration can run.
    pub(crate) fn under_lock<T>(
        &mut self,
        conn: &mut PgConnection,
        work: impl FnOnce(&mut PgConnection) -> Result<T>,
    ) -> Result<T> {
        let mut locked = lock::acquire(conn, self.lock_wait, &mut self.observer)?;
        work(&mut locked)
    }

    /// Writes these migrations into the history as applied by Alembic.
    pub(crate) fn record_adopted(&self, conn: &mut PgConnection, names: &[String], revision: &str) -> Result<()> {
        history::create(conn)?;
        for name in names {
            let migration = set::find(self.set, name)?;
            history::insert_adopted(conn, migration, revision).doing("write the history")?;
        }
        Ok(())
    }

    /// Refuses a database on which this build must not work.
    fn accept(&self, conn: &mut PgConnection, status: &Status, goal: &Goal) -> Result<()> {
        let tolerable = match self.ahead {
            OnAhead::Accept => true,
            OnAhead::AcceptCompatible => status.unknown.iter().all(|unknown| unknown.compatible),
            OnAhead::Refuse => status.unknown.is_empty(),
        };
        // To revert what lies under an unknown migration might break that one, and so might applying what is older.
        let changes = !self.route(status, goal)?.is_empty();
        if !tolerable || (changes && !status.unknown.is_empty() && self.ahead != OnAhead::Accept) {
            return Err(status.ahead());
        }
        edit::refuse_edited(conn, self.set, status)
    }

    /// The way from where the database stands to the goal.
    fn route(&self, status: &Status, goal: &Goal) -> Result<Route<'a>> {
        let pending = status.pending.iter().map(|pending| set::find(self.set, &pending.version));
        let pending: Vec<&Migration> = pending.collect::<Result<_>>()?;
        let newest_first = status.applied.iter().rev().map(|applied| set::find(self.set, &applied.version));
        let newest_first: Vec<&Migration> = newest_first.collect::<Result<_>>()?;
        let up = |migrations: &mut dyn Iterator<Item = &'a Migration>| -> Route<'a> {
            migrations.map(|migration| (Direction::Apply, migration)).collect()
        };
        let down = |migrations: &mut dyn Iterator<Item = &'a Migration>| -> Route<'a> {
            migrations.map(|migration| (Direction::Revert, migration)).collect()
        };
        Ok(match goal {
            Goal::Head => up(&mut pending.into_iter()),
            Goal::Nothing => down(&mut newest_first.into_iter()),
            Goal::Back(steps) => down(&mut newest_first.into_iter().take(*steps)),
            Goal::Redo(steps) => {
                let again: Vec<_> = newest_first.into_iter().take(*steps).collect();
                let mut route = down(&mut again.iter().copied());
                route.extend(up(&mut again.iter().rev().copied()));
                route
            }
            Goal::Version(text) => {
                let goal = set::find(self.set, text)?;
                let mut route = down(&mut newest_first.into_iter().filter(|newer| newer.version > goal.version));
                route.extend(up(&mut pending.into_iter().filter(|older| older.version <= goal.version)));
                route
            }
        })
    }
}

fn report(status: &Status) -> Report {
    Report {
        steps: Vec::new(),
        head: status.head(),
        tolerated: status.unknown.iter().map(|unknown| unknown.label().to_owned()).collect(),
        cosmetic_edits: status.with_text(TextState::Cosmetic).into_iter().map(str::to_owned).collect(),
    }
}
