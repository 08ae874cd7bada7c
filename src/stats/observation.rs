//! A figure, or why it could not be had: a locked table or a missing right costs that figure and not the report.

use std::fmt;
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::Bool;
use serde::{Serialize, Serializer};

use crate::error::{Doing, Error, Result};
use crate::raw::{RunSql, raw, sql};
use crate::sqlstate;

/// How long to wait for a lock.
const LOCK_LIMIT: Duration = Duration::from_millis(50);
/// How long a statement may take.
const STATEMENT_LIMIT: Duration = Duration::from_secs(5);

/// Statistics younger than this, in days, say nothing about an index that was never used.
pub const VERDICT_DAYS: f64 = 7.0;

/// What was found, or why it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Observation<T> {
    /// It is known.
    Done {
        /// What was there.
        found: T,
    },
    /// It is not known.
    Skipped {
        /// Why not.
        reason: Unavailable,
    },
}

/// Why a figure could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unavailable {
    /// Another session holds a lock that keeps readers out.
    Locked,
    /// A statement took longer than its limit.
    TooSlow,
    /// The schema is older than this code.
    Behind {
        /// Names of the pending migrations.
        pending: Vec<String>,
    },
    /// The role may not see other roles' sessions.
    SessionsHidden,
    /// The extension that counts statements is not installed.
    NoStatementStatistics,
    /// The server is set not to count scans, blocks and rows.
    NotCounted,
    /// The server has not counted for long enough.
    TooYoung {
        /// For how long it has.
        age: Duration,
    },
    /// The server refused the query, and said this.
    Refused(String),
}

impl<T> Observation<T> {
    /// What was found; `None` when it is not known.
    pub const fn found(&self) -> Option<&T> {
        match self {
            Self::Done { found } => Some(found),
            Self::Skipped { .. } => None,
        }
    }

    /// Why it is not known; `None` when it is.
    pub const fn reason(&self) -> Option<&Unavailable> {
        match self {
            Self::Done { .. } => None,
            Self::Skipped { reason } => Some(reason),
        }
    }

    pub(super) fn map<U>(&self, change: impl FnOnce(&T) -> U) -> Observation<U> {
        match self {
            Self::Done { found } => Observation::Done { found: change(found) },
            Self::Skipped { reason } => Observation::Skipped { reason: reason.clone() },
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => write!(f, "locked by another session"),
            Self::TooSlow => write!(f, "took longer than {} s", STATEMENT_LIMIT.as_secs()),
            Self::Behind { pending } => write!(f, "migrations pending: {}", pending.join(", ")),
            Self::SessionsHidden => write!(f, "needs the role pg_monitor or pg_read_all_stats"),
            Self::NoStatementStatistics => write!(f, "needs the extension pg_stat_statements"),
            Self::NotCounted => write!(f, "the server does not count (track_counts = off)"),
            Self::TooYoung { age } => write!(f, "needs {VERDICT_DAYS} days of statistics, has {}", span(*age)),
            Self::Refused(message) => f.write_str(message),
        }
    }
}

impl Serialize for Unavailable {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A duration in whole units of its largest.
fn span(duration: Duration) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let seconds = duration.as_secs();
    let (size, unit) = units.into_iter().find(|(size, _)| seconds >= *size).unwrap_or((1, "second"));
    let count = seconds / size;
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Sets the time limits for the rest of the transaction.
pub(super) fn limit(conn: &mut PgConnection) -> Result<()> {
    conn.batch(raw!(
        "SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {statement}",
        lock = LOCK_LIMIT.as_millis(),
        statement = STATEMENT_LIMIT.as_millis(),
    ))
    .doing("set the time limits")
}

/// Runs a query in a savepoint, so that the transaction goes on where the server refuses it.
pub(super) fn observe<T>(
    conn: &mut PgConnection,
    query: impl FnOnce(&mut PgConnection) -> Result<T>,
) -> Result<Observation<T>> {
    let begun = Instant::now();
    let error = match conn.transaction(query) {
        Ok(found) => return Ok(Observation::Done { found }),
        Err(error) => error,
    };
    let took = begun.elapsed();
    let Error::Query { source, .. } = &error else { return Err(error) };
    let message = match (source, sqlstate::refusal(source)) {
        (_, Some(refusal)) => refusal.message().to_owned(),
        (DieselError::DeserializationError(cause), None) => cause.to_string(),
        // Another node of a cluster is lost, and not this session.
        (lost @ DieselError::DatabaseError(..), None) if conn.batch("SELECT 1").is_ok() => lost.to_string(),
        _ => return Err(error),
    };
    let reason = match took {
        _ if took >= STATEMENT_LIMIT => Unavailable::TooSlow,
        _ if took >= LOCK_LIMIT && has_exclusive_lock(conn)? => Unavailable::Locked,
        _ => Unavailable::Refused(message),
    };
    Ok(Observation::Skipped { reason })
}

/// Whether another session holds, or waits for, a lock on one of our tables that keeps readers out. The server's
/// message would say so too, in its own language.
fn has_exclusive_lock(conn: &mut PgConnection) -> Result<bool> {
    diesel::select(sql::<Bool>(
        "EXISTS (
            SELECT FROM pg_locks AS l
            JOIN pg_class AS c ON c.oid = l.relation
            WHERE l.mode = 'AccessExclusiveLock'
                AND l.pid IS DISTINCT FROM pg_backend_pid()
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
        )",
    ))
    .get_result(conn)
    .doing("look for locks")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Unavailable;

    #[test]
    fn young_statistics_say_how_young_they_are() {
        let of = |seconds: u64| Unavailable::TooYoung { age: Duration::from_secs(seconds) }.to_string();
        assert_eq!(of(20 * 60 + 3), "needs 7 days of statistics, has 20 minutes");
        for (seconds, has) in [(0, "0 seconds"), (1, "1 second"), (3_600, "1 hour"), (7 * 86_400 - 1, "6 days")] {
            assert!(of(seconds).ends_with(&format!("has {has}")), "{seconds}");
        }
    }
}
