//! Runs the steps of a plan.

use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;

use super::error::Error;
use super::step::{LOCK_TIMEOUT, QUIET_LOCK_TIMEOUT, Step};
use crate::error::{Doing, Result};
use crate::migrate::{Failure, Inherited, bounded, limit, limit_transaction, until_unlocked};
use crate::raw::RunSql;
use crate::sqlstate::{reporting, reporting_each};

/// What happens in a run, as it happens.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A step begins: the table, what it does, which one it is, counted from 1, and of how many.
    Begin(&'static str, &'a str, usize, usize),
    /// A step met a lock and will be tried again.
    Blocked(&'static str),
}

/// Runs the steps of one table.
pub(crate) fn steps(
    conn: &mut PgConnection,
    table: &'static str,
    steps: &[Step],
    lock_wait: Duration,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<()> {
    let inherited = Inherited::read(conn)?;
    let ran: Result<()> = steps.iter().enumerate().try_for_each(|(at, step)| {
        observer(Event::Begin(table, &step.does, at + 1, steps.len()));
        run(conn, table, step, lock_wait, observer)?;
        tracing::info!(table, step = step.does, "a step towards another shape is done");
        Ok(())
    });
    let restored = inherited.restore(conn);
    // The step's error first: where the connection is lost, both fail.
    ran?;
    restored.doing("give the session its time limits back")
}

fn run(
    conn: &mut PgConnection,
    table: &'static str,
    step: &Step,
    lock_wait: Duration,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<()> {
    let on_lock = |error: &diesel::result::Error| {
        tracing::info!(table, step = step.does, %error, "a table is locked: trying again");
        observer(Event::Blocked(table));
    };
    let ran = until_unlocked(lock_wait, on_lock, |deadline| {
        let left = bounded(Duration::ZERO, deadline.left());
        if step.in_transaction {
            let no_longer_than = |most: u32| left.min(Duration::from_millis(most.into()));
            return conn.transaction(|conn| {
                if let Some(lock) = step.quiet_lock() {
                    conn.batch(limit_transaction(no_longer_than(QUIET_LOCK_TIMEOUT), Duration::ZERO))?;
                    conn.batch(reporting(&lock))?;
                }
                // Others queue behind a session that waits for these.
                conn.batch(limit_transaction(no_longer_than(LOCK_TIMEOUT), Duration::ZERO))?;
                Ok(conn.batch(reporting_each(step.statements.iter().cloned()))?)
            });
        }
        step.statements.iter().try_for_each(|statement| {
            conn.batch(limit("SESSION", left, Duration::ZERO))?;
            let begin = Instant::now();
            conn.batch(statement).map_err(|source| Failure::of_statement(source, left, begin.elapsed()))
        })
    });
    let does = || step.does.clone();
    Ok(ran.map_err(|failure| match failure {
        Failure::Locked(source) => Error::Locked { table, step: does(), waited: lock_wait, source },
        Failure::Other(source) => Error::Stopped { table, step: does(), source },
    })?)
}
