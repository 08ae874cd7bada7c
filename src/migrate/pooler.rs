//! Finds out whether a transaction pooler stands between us and the server: one that hands each transaction to
//! another server process, so that a session's lock is soon somebody else's.

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Integer;

use super::lock;
use crate::connection::{self, Target};
use crate::error::{Doing, Error, Result};

/// Fails when `conn` and a second connection to the same target turn out to share server processes.
///
/// Asks for no lock and writes nothing. While the second connection is inside a transaction, a pooler can serve the
/// first only from another process than before, or must have given the second one the process of the first.
///
/// # Errors
///
/// [`Error::Pooler`] when they share, [`Error::Connect`] when there is no second connection to be had.
pub fn refuse_pooler(conn: &mut PgConnection, target: &Target) -> Result<()> {
    let before = process(conn)?;
    let mut second = connection::connect(target, "optiinfra-dbctl/pooler-check")?;
    second.batch_execute("BEGIN").doing("look for a pooler")?;
    let other = process(&mut second)?;
    let after = process(conn)?;
    second.batch_execute("ROLLBACK").doing("look for a pooler")?;
    if before == after && before != other { Ok(()) } else { Err(Error::Pooler) }
}

/// Fails when the lock that was just taken is not this session's any more.
pub(super) fn refuse_lost_lock(conn: &mut PgConnection) -> Result<()> {
    for _ in 0..2 {
        let held: bool = diesel::select(sql::<diesel::sql_types::Bool>(&lock::held()))
            .get_result(conn)
            .doing("see whether the migration lock is held")?;
        if !held {
            return Err(Error::Pooler);
        }
    }
    Ok(())
}

/// The server process that serves the connection now. Not prepared: a pooler would mix prepared statements up.
fn process(conn: &mut PgConnection) -> Result<i32> {
    #[derive(QueryableByName)]
    struct Process {
        #[diesel(sql_type = Integer)]
        pid: i32,
    }
    let found: Process =
        diesel::sql_query("SELECT pg_backend_pid() AS pid").get_result(conn).doing("look for a pooler")?;
    Ok(found.pid)
}
