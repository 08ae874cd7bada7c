//! Whether a server, a role and the way to them suit the platform, and what to do where they do not.
//!
//! Nothing is written, and any role that can connect may ask: only the system catalogs are looked at, which hold no
//! row of a customer.

mod access;
mod facts;
mod server;
mod storage;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use serde::Serialize;

use self::facts::Facts;
use crate::connection::{self, Target};
use crate::error::{Doing, Error, Result};
use crate::migrate::{self, Status, TextState};
use crate::raw::{RunSql, sql};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The checks, in the order of the way to a row: server, connection, role, settings, storage, schema.
    pub checks: Vec<Check>,
    /// How many found a problem.
    pub problems: usize,
    /// How many found something that is worth to know.
    pub notes: usize,
}

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name such as `tls`.
    pub id: &'static str,
    /// How it came out.
    pub state: State,
    /// What is there.
    pub found: String,
    /// What to do about it; `None` where nothing is to be done.
    pub next_step: Option<String>,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// Right for some purposes and wrong for others.
    Note,
    /// Something will fail, be lost, or be seen by somebody who must not see it.
    Problem,
}

impl Check {
    fn of(id: &'static str, found: impl Into<String>) -> Self {
        Self { id, state: State::Ok, found: found.into(), next_step: None }
    }

    /// A note where the condition holds and nothing worse was found before.
    fn note_if(self, condition: bool, next_step: impl Into<String>) -> Self {
        self.raise(State::Note, condition, next_step)
    }

    /// A problem where the condition holds.
    fn problem_if(self, condition: bool, next_step: impl Into<String>) -> Self {
        self.raise(State::Problem, condition, next_step)
    }

    fn raise(self, state: State, condition: bool, next_step: impl Into<String>) -> Self {
        if condition && state > self.state { Self { state, next_step: Some(next_step.into()), ..self } } else { self }
    }
}

/// Makes every check. `target` is where `conn` is connected to: a second connection looks for a pooler.
///
/// # Errors
///
/// When the session is lost or the system catalogs cannot be read.
pub fn run(conn: &mut PgConnection, target: &Target) -> Result<Report> {
    let facts = Facts::read(conn)?;
    let mut checks = vec![
        server::version(&facts),
        access::tls(&facts, target),
        access::pooler(migrate::refuse_pooler(conn, target))?,
        clock(conn)?,
        access::tenants(&facts),
        access::rows(&facts),
        access::schema(&facts),
        migrations(conn)?,
    ];
    checks.extend(server::SETTINGS.iter().chain(storage::CHECKS).map(|check| check(&facts)));
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let (problems, notes) = (count(State::Problem), count(State::Note));
    Ok(Report { checks, problems, notes })
}

/// The difference of two clocks in seconds above which rows look as if they came late, and that above which `retention`
/// removes nothing.
const CLOCK_NOTE: f64 = 2.0;
const CLOCK_PROBLEM: f64 = 300.0;

fn clock(conn: &mut PgConnection) -> Result<Check> {
    let before = Utc::now();
    let server = diesel::select(sql::<Timestamptz>("clock_timestamp()")).get_result(conn).doing("ask for the time")?;
    Ok(clock_of(before, server, Utc::now()))
}

/// The server answered between two times of this machine.
fn clock_of(before: DateTime<Utc>, server: DateTime<Utc>, after: DateTime<Utc>) -> Check {
    let ahead = (server - after).max(before - server).as_seconds_f64().max(0.0);
    let which = if server > after { "ahead of" } else { "behind" };
    let found = if ahead < 1.0 {
        "the server's and this machine's agree".to_owned()
    } else {
        format!("the server's is {ahead:.0} s {which} this machine's")
    };
    const STEP: &str = "set both by NTP: `timedatectl` shows whether a machine does";
    Check::of("clock", found).note_if(ahead > CLOCK_NOTE, STEP).problem_if(ahead > CLOCK_PROBLEM, STEP)
}

fn migrations(conn: &mut PgConnection) -> Result<Check> {
    let status = conn.build_transaction().read_only().run(|conn| {
        conn.batch("SET LOCAL lock_timeout = '2s'")?;
        migrate::status(conn)
    });
    Ok(match status {
        Ok(status) => migrations_of(&status),
        Err(Error::Connection(error @ connection::Error::NoSchema { .. })) => unreadable(&error),
        Err(Error::Query { source, .. }) => unreadable(&source),
        Err(other) => return Err(other),
    })
}

fn unreadable(why: &dyn std::error::Error) -> Check {
    Check::of("migrations", format!("not known: {why}"))
        .note_if(true, "connect as a role that may read the migration history")
}

fn migrations_of(status: &Status) -> Check {
    let head = status.head().unwrap_or_else(|| "none".to_owned());
    let (applied, pending, unknown) = (status.applied.len(), status.pending.len(), status.unknown.len());
    let half_done = status.pending.iter().any(|pending| pending.interrupted.is_some());
    let edited = status.with_text(TextState::Edited);
    let found = format!("{applied} applied, {pending} pending, {unknown} unknown; the newest is {head}");
    Check::of("migrations", found)
        .note_if(pending > 0, "apply those that are pending")
        .problem_if(half_done, "one was interrupted half-way: migrate again to finish it")
        .problem_if(unknown > 0, "use a newer version of this program: the database is ahead of it")
        .problem_if(!edited.is_empty(), format!("edited since they were applied: {}", edited.join(", ")))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_clock_is_compared_with_the_times_between_which_it_was_asked() {
        let now = Utc::now();
        let state = |server: i64, took: i64| {
            clock_of(now, now + TimeDelta::seconds(server), now + TimeDelta::seconds(took)).state
        };
        assert_eq!([state(0, 0), state(9, 10), state(-2, 1), state(3, 1)], [State::Ok; 4]);
        assert_eq!([state(-3, 0), state(14, 10), state(300, 0)], [State::Note; 3]);
        assert_eq!([state(-301, 0), state(312, 10)], [State::Problem; 2]);
    }

    #[test]
    fn the_worst_of_a_check_and_its_step_stay() {
        let check = Check::of("x", "y").problem_if(true, "first").note_if(true, "second").problem_if(true, "third");
        assert_eq!((check.state, check.next_step.as_deref()), (State::Problem, Some("first")));
    }
}
