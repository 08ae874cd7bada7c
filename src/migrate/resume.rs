//! Going on where an interrupted application of a migration outside a transaction stopped.
//!
//! A revert that was interrupted begins anew, and so does an application after it: each statement of such a migration
//! does no harm when it runs again.

use diesel::pg::PgConnection;

use super::error::Error as MigrateError;
use super::history;
use super::set::{Direction, Migration};
use super::sql::{normalised, statements};
use super::status::Status;
use crate::error::Result;

/// How many statements of the first migration of a route are done. They must still be the ones that were run.
///
/// Only of the first: where another one runs before it, what was done of it is undone by then.
pub(super) fn statements_done(
    conn: &mut PgConnection,
    status: &Status,
    first: Option<&(Direction, &Migration)>,
) -> Result<usize> {
    let Some((Direction::Apply, migration)) = first else { return Ok(0) };
    let interrupted = status.pending.iter().find(|pending| pending.version == migration.version);
    let done = interrupted.and_then(|pending| pending.statements_done).and_then(|done| usize::try_from(done).ok());
    let Some(done) = done.filter(|done| *done > 0) else { return Ok(0) };
    let text = history::recorded_text(conn, migration.version)?.unwrap_or_default();
    let (ran, now) = (statements(&text), statements(migration.up));
    let is_same = |count: usize| {
        let (ran, now) = (ran.get(..count)?, now.get(..count)?);
        Some(ran.iter().zip(now).all(|(ran, now)| normalised(ran) == normalised(now)))
    };
    match is_same(done) {
        Some(true) => Ok(done),
        _ => Err(MigrateError::ResumedTextChanged { name: migration.name.to_owned(), done }.into()),
    }
}
