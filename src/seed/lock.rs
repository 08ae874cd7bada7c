//! The advisory lock that lets one seeder at a time into a schema of a database.
//!
//! What is one transaction holds it until its end ([`take`]). Who works longer and over several connections holds it
//! with the session ([`hold`]), for a transaction that stays open keeps the server from cleaning up, and
//! `idle_in_transaction_session_timeout` may end it.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::error::{Doing, Result};
use crate::ingest;
use crate::raw::{RunSql as _, raw, sql, sql_query};

const KEY: &str = include_str!("lock_key.sql");
const POLL: Duration = Duration::from_millis(50);
const DOING: &str = "take the lock of the seeders";

/// Takes the lock until the end of the transaction.
pub(super) fn take(conn: &mut PgConnection) -> Result<()> {
    sql_query(raw!("SELECT pg_advisory_xact_lock({KEY})", KEY)).execute(conn).doing(DOING).map(drop)
}

/// Takes the lock for as long as the value lives, unless the flag is set while another seeder has it.
pub(crate) fn hold<'a>(conn: &'a mut PgConnection, cancel: &AtomicBool) -> Result<Held<'a>> {
    while !try_take(conn).doing(DOING)? {
        if cancel.load(Ordering::Relaxed) {
            return Err(ingest::Error::Cancelled { table: "customers", written: 0, in_doubt: 0 }.into());
        }
        std::thread::sleep(POLL);
    }
    let held = Held { conn };
    // The session has nothing to do while others write for it.
    held.conn.batch("SET idle_session_timeout = 0").doing(DOING)?;
    Ok(held)
}

fn try_take(conn: &mut PgConnection) -> QueryResult<bool> {
    diesel::select(sql::<Bool>(raw!("pg_try_advisory_lock({KEY})", KEY))).get_result(conn)
}

/// A connection that holds the lock. Dropping it gives the lock back, on every path.
pub(crate) struct Held<'a> {
    conn: &'a mut PgConnection,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let released = self.conn.batch(raw!("SELECT pg_advisory_unlock({KEY}); RESET idle_session_timeout", KEY));
        // With the connection gone the server has released the lock itself.
        if let Err(error) = released {
            tracing::debug!(%error, "the lock of the seeders ended with its connection");
        }
    }
}

impl Deref for Held<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.conn
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.conn
    }
}
