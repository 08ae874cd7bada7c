//! The advisory lock that keeps runs of one database and schema apart.
//!
//! It is tried again and again and never waited for in the server: a session that waits in `pg_advisory_lock` holds
//! a snapshot, for which a `CREATE INDEX CONCURRENTLY` of the lock's holder would wait in turn.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::error::Error as MigrateError;
use super::event::Event;
use crate::deadline::Deadline;
use crate::error::{Doing, Result};
use crate::raw::{Sql, raw, sql, sql_query};

const POLL: Duration = Duration::from_millis(50);
/// Two runs exclude each other when they work on the same schema of the same database. The seed is arbitrary.
macro_rules! key {
    () => {
        "hashtextextended(current_database() || '/' || current_schema(), 8062025)"
    };
}
const KEY: &str = key!();
/// A condition on `pg_locks`, which shows the key in two halves.
const IS_OURS: &str = concat!(
    "locktype = 'advisory' AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = ",
    key!(),
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
);

/// A connection that holds the lock. Dropping it gives the lock back, on every path.
pub(super) struct Locked<'a> {
    conn: &'a mut PgConnection,
}

/// Takes the lock; until the time is up, for which the observer hears once who holds it.
pub(super) fn acquire<'a>(
    conn: &'a mut PgConnection,
    wait: Duration,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<Locked<'a>> {
    take(conn, "pg_try_advisory_lock", wait, observer)?;
    Ok(Locked { conn })
}

/// Keeps those who take the lock away until the transaction ends, beside others that do so.
#[cfg(feature = "ingest")]
pub(crate) fn share(conn: &mut PgConnection, wait: Duration) -> Result<()> {
    take(conn, "pg_try_advisory_xact_lock_shared", wait, &mut |_| ())
}

fn take(
    conn: &mut PgConnection,
    function: &'static str,
    wait: Duration,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<()> {
    let deadline = Deadline::after(wait);
    let mut has_reported = false;
    loop {
        let taken: bool = diesel::select(sql::<Bool>(raw!("{function}({KEY})", function, KEY)))
            .get_result(conn)
            .doing("take the migration lock")?;
        if taken {
            return Ok(());
        }
        if deadline.has_passed() {
            return Err(MigrateError::Locked { waited: wait, holder: holder(conn)? }.into());
        }
        if !has_reported {
            let holder = holder(conn)?;
            tracing::info!(holder, "waiting for the migration lock");
            observer(Event::Waiting { holder: holder.as_deref() });
            has_reported = true;
        }
        std::thread::sleep(POLL.min(deadline.left()));
    }
}

/// An expression that says whether this session holds the lock.
pub(super) fn held() -> Sql {
    raw!("EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND granted AND {IS_OURS})", IS_OURS)
}

/// Who holds the lock; `None` when it was given back by now.
fn holder(conn: &mut PgConnection) -> Result<Option<String>> {
    let query = raw!(
        "SELECT format('%s, process %s%s', coalesce(nullif(application_name, ''), 'a session'), pid,
                       ' from ' || host(client_addr)) AS holder
         FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE granted AND {IS_OURS} LIMIT 1",
        IS_OURS
    );
    #[derive(QueryableByName)]
    struct Holder {
        #[diesel(sql_type = Text)]
        holder: String,
    }
    let found: Option<Holder> =
        sql_query(query).get_result(conn).optional().doing("see who holds the migration lock")?;
    Ok(found.map(|found| found.holder))
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let released: QueryResult<bool> =
            diesel::select(sql::<Bool>(raw!("pg_advisory_unlock({KEY})", KEY))).get_result(self.conn);
        // With the connection gone the server has released the lock itself.
        if let Err(error) = released {
            tracing::debug!(%error, "the migration lock ended with its connection");
        }
    }
}

impl Deref for Locked<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.conn
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.conn
    }
}
