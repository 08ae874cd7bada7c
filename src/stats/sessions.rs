//! Other sessions: long transactions, and who waits for whom.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Double, Integer, Nullable, Text};
use serde::Serialize;

use super::observation::{Observation, Unavailable, observe};
use crate::error::{Doing, Result};
use crate::raw::{sql, sql_query};

/// A transaction is long when it has been open for more than this, in seconds.
pub const LONG_TRANSACTION_SECONDS: f64 = 60.0;

/// Maximum of sessions that a list names.
const MOST_SESSIONS: usize = 20;

/// A transaction that has been open for long.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LongTransaction {
    /// The session's process on the server.
    pub pid: i32,
    /// Who.
    pub role: String,
    /// With which program.
    pub application: String,
    /// What the session does: `active`, `idle in transaction`.
    pub state: String,
    /// For how long, in seconds.
    pub seconds: f64,
}

/// A session that waits for another one's lock.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BlockedSession {
    /// Its process on the server.
    pub pid: i32,
    /// Who.
    pub role: String,
    /// With which program.
    pub application: String,
    /// The processes that it waits for.
    pub blocked_by: Vec<i32>,
    /// For how long its statement has run, in seconds.
    pub seconds: f64,
}

#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub(super) struct Session {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Text)]
    application: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Double)]
    seconds: f64,
    #[diesel(sql_type = Array<Integer>)]
    blocked_by: Vec<i32>,
    #[diesel(sql_type = Nullable<Double>)]
    blocked_seconds: Option<f64>,
}

/// The age of the oldest transaction; 0 without any.
pub(super) fn oldest_seconds(sessions: &[Session]) -> f64 {
    sessions.iter().map(|session| session.seconds).fold(0.0, f64::max)
}

/// How many transactions are long, and the oldest of them.
pub(super) fn long(sessions: &[Session]) -> (usize, Vec<LongTransaction>) {
    some(sessions.iter().filter(|session| session.seconds > LONG_TRANSACTION_SECONDS), |session| LongTransaction {
        pid: session.pid,
        role: session.role.clone(),
        application: session.application.clone(),
        state: session.state.clone(),
        seconds: session.seconds,
    })
}

/// How many sessions wait for another one's lock, and some of them.
pub(super) fn blocked(sessions: &[Session]) -> (usize, Vec<BlockedSession>) {
    some(sessions.iter().filter(|session| !session.blocked_by.is_empty()), |session| BlockedSession {
        pid: session.pid,
        role: session.role.clone(),
        application: session.application.clone(),
        blocked_by: session.blocked_by.clone(),
        seconds: session.blocked_seconds.unwrap_or_default(),
    })
}

fn some<'a, T>(sessions: impl Iterator<Item = &'a Session> + Clone, shown: impl Fn(&Session) -> T) -> (usize, Vec<T>) {
    (sessions.clone().count(), sessions.take(MOST_SESSIONS).map(shown).collect())
}

/// Reads the other sessions.
pub(super) fn read(conn: &mut PgConnection) -> Result<Observation<Vec<Session>>> {
    observe_all(conn, |conn| sql_query(include_str!("activity.sql")).load(conn).doing("look at the other sessions"))
}

/// Runs a query about sessions. Without the right the server shows those of other roles as if they did nothing.
pub(super) fn observe_all<T>(
    conn: &mut PgConnection,
    query: impl FnOnce(&mut PgConnection) -> Result<T>,
) -> Result<Observation<T>> {
    let may: bool = diesel::select(sql::<Bool>("pg_has_role('pg_read_all_stats', 'USAGE')"))
        .get_result(conn)
        .doing("ask for the rights of the role")?;
    if may { observe(conn, query) } else { Ok(Observation::Skipped { reason: Unavailable::SessionsHidden }) }
}
