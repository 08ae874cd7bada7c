//! The server's time limits, lifted where a session of ours waits for somebody else: a slow reader or a slow writer must
//! not end it. pg_dump and pg_restore do the same.

use diesel::prelude::*;

use crate::raw::sql_query;

/// For the rest of the transaction: nothing ends it because it waits, or because a statement does.
pub(crate) fn lift_in_transaction(conn: &mut PgConnection) -> QueryResult<()> {
    // Of `pg_settings`, because versions before 14 and before 17 do not know all of them.
    sql_query(
        "SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN \
         ('idle_in_transaction_session_timeout', 'idle_session_timeout', 'statement_timeout', 'transaction_timeout')",
    )
    .execute(conn)
    .map(drop)
}

/// For the rest of the session, between transactions: it may be idle for as long as it takes.
pub(crate) fn lift_in_session(conn: &mut PgConnection) -> QueryResult<()> {
    sql_query("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'")
        .execute(conn)
        .map(drop)
}

/// Undoes [`lift_in_session`].
pub(crate) fn restore_in_session(conn: &mut PgConnection) -> QueryResult<()> {
    sql_query("SELECT set_config(name, reset_val, false) FROM pg_settings WHERE name = 'idle_session_timeout'")
        .execute(conn)
        .map(drop)
}
