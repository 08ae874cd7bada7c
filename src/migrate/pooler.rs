//! Finds out whether a transaction pooler is between us and the server: one that hands each transaction to
//! another server process, so that a session's lock is soon somebody else's.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer};

use super::error::Error as MigrateError;
use super::lock;
use crate::connection::{self, Target};
use crate::error::{Doing, Result};
use crate::raw::{raw, sql, sql_query};

/// How often to look when nothing speaks for a pooler, and when something does. Others that use the same pool can
/// make one look go well by chance.
const LOOKS: usize = 2;
const LOOKS_WHEN_SUSPICIOUS: usize = 20;

/// Fails when `conn` and a second connection to the same target turn out to share server processes.
///
/// Asks for no lock and writes nothing. While the second connection is inside a transaction, a pooler can serve the
/// first only from another process than before, or must have given the second one the process of the first.
///
/// # Errors
///
/// [`MigrateError::Pooler`] when they share, [`MigrateError::NoSecondConnection`] when that cannot be found out.
pub fn refuse_pooler(conn: &mut PgConnection, target: &Target) -> Result<()> {
    let first = server(conn)?;
    let mut second = match connection::connect(target, "optiinfra-dbctl/pooler-check") {
        Ok(second) => second,
        // A role may be allowed a single connection. No pooler is in between: it would not have passed the options on.
        Err(connection::Error::Connect { source, .. }) if first.has_our_options => {
            tracing::warn!(%source, "no second connection: a pooler was looked for with one");
            return Ok(());
        }
        Err(connection::Error::Connect { source, .. }) => {
            return Err(MigrateError::NoSecondConnection { source }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let looks = if first.has_our_options { LOOKS } else { LOOKS_WHEN_SUSPICIOUS };
    for _ in 0..looks {
        let apart = second.transaction(|second| {
            let other = server_now(second)?;
            // With the pool's only process in the other's transaction, asking would wait for ever.
            let apart = other.pid != first.pid && conn.transaction(server_now)?.pid == first.pid;
            Ok::<_, diesel::result::Error>(apart)
        });
        if !apart.doing("look for a pooler")? {
            return Err(MigrateError::Pooler.into());
        }
    }
    Ok(())
}

/// Fails when the lock that was just taken is not this session's any more.
pub(super) fn refuse_lost_lock(conn: &mut PgConnection) -> Result<()> {
    for _ in 0..2 {
        let held: bool = diesel::select(sql::<Bool>(lock::held()))
            .get_result(conn)
            .doing("see whether the migration lock is held")?;
        if !held {
            return Err(MigrateError::Pooler.into());
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Server {
    /// The server process that serves the connection now.
    #[diesel(sql_type = Integer)]
    pid: i32,
    /// Whether the options arrived that every connection of ours asks for; a pooler passes none on.
    #[diesel(sql_type = Bool)]
    has_our_options: bool,
}

fn server(conn: &mut PgConnection) -> Result<Server> {
    conn.transaction(server_now).doing("look for a pooler")
}

/// Needs a transaction: a pooler may take the two halves of a query to two processes.
fn server_now(conn: &mut PgConnection) -> QueryResult<Server> {
    let query = raw!(
        "SELECT pg_backend_pid() AS pid, current_setting('{setting}') <> '0' AS has_our_options",
        setting = connection::DEATH_CHECK
    );
    sql_query(query).get_result(conn)
}
