//! Runs a set of migrations, or says what a run would do.

use std::time::Duration;

use diesel::pg::PgConnection;
use serde::Serialize;

use super::edit::{self, Repaired};
use super::error::Error as MigrateError;
use super::event::{Event, Step};
use super::loss::{self, Loss};
use super::plan::{self, Plan};
use super::route::{self, Goal, Route};
use super::runner::Runner;
use super::script::Script;
use super::set::{Direction, EMBEDDED, Migration};
use super::status::{Status, TextState};
use super::{history, lock, occupied, pooler, resume};
#[cfg(doc)]
use crate::error::Error;
use crate::error::{Doing, Result};
use crate::raw::RunSql;
use crate::sqlstate::reporting;

/// How long a run waits for another one and for locked tables, unless told otherwise.
pub const DEFAULT_LOCK_WAIT: Duration = Duration::from_secs(60);

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

impl Report {
    fn new(steps: Vec<Step>, status: &Status) -> Self {
        Self {
            steps,
            head: status.head(),
            tolerated: status.unknown.iter().map(|unknown| unknown.label().to_owned()).collect(),
            cosmetic_edits: status.with_text(TextState::Cosmetic).into_iter().map(str::to_owned).collect(),
        }
    }
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

    /// Reports what happens, as it happens.
    #[must_use]
    pub fn observer(mut self, observer: impl FnMut(Event<'_>) + 'a) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// Reads what is applied and what is pending. Writes nothing and needs no more than SELECT.
    ///
    /// # Errors
    ///
    /// [`crate::connection::Error::NoSchema`] where the search path names no schema that exists, [`Error::Query`] when the history
    /// cannot be read.
    pub fn status(&self, conn: &mut PgConnection) -> Result<Status> {
        history::status(conn, self.set)
    }

    /// Goes to the goal. Where that is reached already, no lock is taken and nothing written.
    ///
    /// A migration outside a transaction that an earlier run left half done is finished on the way: applied for a goal
    /// above it, reverted for one below it.
    ///
    /// # Errors
    ///
    /// [`MigrateError::Ahead`] for unknown migrations that [`OnAhead`] does not accept, [`MigrateError::Edited`] when an
    /// applied migration says something else now, [`MigrateError::Occupied`] and [`MigrateError::InstalledElsewhere`]
    /// when tables of ours exist without a history, [`MigrateError::Locked`] and [`MigrateError::TableLocked`] when the
    /// time to wait is up, [`MigrateError::Failed`] and [`MigrateError::Stopped`] when a migration fails,
    /// [`MigrateError::UnknownVersion`] and [`MigrateError::TooFewApplied`] when there is no such goal.
    pub fn run(&mut self, conn: &mut PgConnection, goal: &Goal) -> Result<Report> {
        let status = self.status(conn)?;
        if self.accept(conn, &status, goal)?.is_empty() {
            return Ok(Report::new(Vec::new(), &status));
        }
        let mut locked = lock::acquire(conn, self.lock_wait, &mut self.observer)?;
        pooler::refuse_lost_lock(&mut locked)?;
        // Another run may have changed everything while this one waited.
        let status = self.status(&mut locked)?;
        let scripts = self.scripts(&mut locked, &status, goal)?;
        create_history(&mut locked)?;
        let mut runner = Runner { observer: &mut self.observer, lock_wait: self.lock_wait };
        let mut steps = Vec::new();
        for script in &scripts {
            steps.push(runner.run(&mut locked, script)?);
        }
        Ok(Report::new(steps, &history::status(&mut locked, self.set)?))
    }

    /// What [`Migrator::run`] would do: its SQL, its locks and its history. Writes nothing.
    ///
    /// # Errors
    ///
    /// As [`Migrator::run`], as far as reading can find out.
    pub fn plan(&self, conn: &mut PgConnection, goal: &Goal) -> Result<Plan> {
        let status = self.status(conn)?;
        let scripts = self.scripts(conn, &status, goal)?;
        plan::of(conn, &scripts)
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
        let route = route::to(goal, self.set, &status)?;
        refuse_distributed(conn, &route)?;
        let reverts =
            route.into_iter().filter(|(direction, _)| *direction == Direction::Revert).map(|(_, migration)| migration);
        loss::of_reverting(conn, &reverts.collect::<Vec<_>>())
    }

    /// Records that the text of this build is right for every applied migration that differs or is not recorded.
    ///
    /// # Errors
    ///
    /// [`MigrateError::Locked`] when another run does not end in time, [`Error::Query`] when the history cannot be
    /// written.
    pub fn repair(&mut self, conn: &mut PgConnection, reason: &str) -> Result<Vec<Repaired>> {
        // Where there is no schema, there is no lock to take.
        self.status(conn)?;
        let mut locked = lock::acquire(conn, self.lock_wait, &mut self.observer)?;
        let status = history::status(&mut locked, self.set)?;
        create_history(&mut locked)?;
        edit::repair(&mut locked, self.set, &status, reason)
    }

    /// Does something while no migration can run.
    pub(crate) fn under_lock<T>(
        &mut self,
        conn: &mut PgConnection,
        work: impl FnOnce(&mut PgConnection) -> Result<T>,
    ) -> Result<T> {
        // Where there is no schema, there is no lock to take.
        self.status(conn)?;
        let mut locked = lock::acquire(conn, self.lock_wait, &mut self.observer)?;
        work(&mut locked)
    }

    /// Writes these migrations into the history as applied by Alembic.
    pub(crate) fn record_adopted(&self, conn: &mut PgConnection, names: &[String], revision: &str) -> Result<()> {
        use super::record;

        create_history(conn)?;
        for migration in names.iter().filter_map(|name| super::set::find(self.set, name)) {
            let header = super::header::Header::of(migration)?;
            let rows = [
                record::insert_applied(migration),
                record::insert_record(migration, &header),
                record::adopted_from(migration, revision),
            ];
            for row in rows {
                conn.batch(row).doing("write the history")?;
            }
        }
        Ok(())
    }

    /// The route to the goal, on a database on which this build may work.
    fn accept(&self, conn: &mut PgConnection, status: &Status, goal: &Goal) -> Result<Route<'a>> {
        let tolerable = match self.ahead {
            OnAhead::Accept => true,
            OnAhead::AcceptCompatible => status.unknown.iter().all(|unknown| unknown.compatible),
            OnAhead::Refuse => status.unknown.is_empty(),
        };
        if !tolerable {
            return Err(status.ahead().into());
        }
        let route = route::to(goal, self.set, status)?;
        // To revert what lies under an unknown migration might break that one, and so might applying what is older.
        if !route.is_empty() && !status.unknown.is_empty() && self.ahead != OnAhead::Accept {
            return Err(status.ahead().into());
        }
        edit::refuse_edited(conn, self.set, status)?;
        refuse_distributed(conn, &route)?;
        Ok(route)
    }

    /// What a run to the goal sends to the server.
    fn scripts(&self, conn: &mut PgConnection, status: &Status, goal: &Goal) -> Result<Vec<Script<'a>>> {
        let route = self.accept(conn, status, goal)?;
        if status.applied.is_empty() {
            occupied::refuse(conn)?;
        }
        let done = resume::statements_done(conn, status, route.first())?;
        let done = std::iter::once(done).chain(std::iter::repeat(0));
        let scripts = route.into_iter().zip(done);
        Ok(scripts
            .map(|((direction, migration), done)| Script::new(migration, direction, done))
            .collect::<Result<_, MigrateError>>()?)
    }
}

/// Refuses to revert what distributed tables are without.
fn refuse_distributed(conn: &mut PgConnection, route: &Route<'_>) -> Result<()> {
    let is_of_keys = |(direction, migration): &&(Direction, &Migration)| {
        *direction == Direction::Revert && migration.makes_keys_of_hot_tables()
    };
    match route.iter().find(is_of_keys) {
        Some((_, migration)) if history::is_distributed(conn)? => {
            Err(MigrateError::Distributed { name: migration.name.to_owned() }.into())
        }
        _ => Ok(()),
    }
}

fn create_history(conn: &mut PgConnection) -> Result<()> {
    match history::creation(conn)? {
        Some(sql) => conn.batch(reporting(&sql.into())).doing("create the migration history"),
        None => Ok(()),
    }
}
