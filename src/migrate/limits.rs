//! How long a migration's statements may wait for locks and run, in the form that the server takes.

use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::header::duration;
use super::sql::{statements, texts};
use crate::error::{Doing, Result};
use crate::raw::{Sql, raw, sql, sql_query};

/// Sets the limits of a session or transaction; zero is none. They are the migration's, not those that were inherited.
pub(crate) fn set(scope: &'static str, lock: Duration, statement: Duration) -> Sql {
    raw!(
        "SET {scope} lock_timeout = {lock};\nSET {scope} statement_timeout = {statement}",
        scope,
        lock = milliseconds(lock),
        statement = milliseconds(statement)
    )
}

/// The limit, or what is left of the run's own time where that is less. Never zero, which would be no limit.
pub(crate) fn bounded(limit: Duration, left: Duration) -> Duration {
    let limit = if limit.is_zero() { left } else { limit.min(left) };
    limit.max(Duration::from_millis(1))
}

/// Whole milliseconds, at least one of what is not zero, and no more than the server's largest.
fn milliseconds(limit: Duration) -> u32 {
    let least = u128::from(!limit.is_zero());
    u32::try_from(limit.as_millis().max(least)).unwrap_or(u32::MAX).min(i32::MAX.unsigned_abs())
}

/// The script with its own limits on waiting for locks cut to what is left. A file sets them for other tools, and they
/// would take the place of ours.
pub(super) fn within(sql: &'static str, left: Duration) -> Sql {
    let is_too_long = |statement: &str| {
        let texts = texts(statement);
        let [set, local, name, _, limit] = texts.as_slice() else { return false };
        let names = [(*set, "set"), (*local, "local"), (*name, "lock_timeout")];
        names.into_iter().all(|(text, word)| text.eq_ignore_ascii_case(word))
            && duration(limit.trim_matches('\'')).is_some_and(|limit| limit.is_zero() || limit > left)
    };
    let statements = statements(sql);
    if !statements.iter().any(|statement| is_too_long(statement)) {
        return sql.into();
    }
    let cut = raw!("SET LOCAL lock_timeout = {left}", left = milliseconds(bounded(Duration::ZERO, left)));
    Sql::join(statements.into_iter().map(|sql| if is_too_long(sql) { cut.clone() } else { sql.into() }), ";\n")
}

/// The limits that a session has from elsewhere.
pub(crate) struct Inherited {
    lock: String,
    statement: String,
}

impl Inherited {
    pub fn read(conn: &mut PgConnection) -> Result<Self> {
        let (lock, statement) = diesel::select((
            sql::<Text>("current_setting('lock_timeout')"),
            sql::<Text>("current_setting('statement_timeout')"),
        ))
        .get_result(conn)
        .doing("read the session's time limits")?;
        Ok(Self { lock, statement })
    }

    pub fn restore(&self, conn: &mut PgConnection) -> QueryResult<()> {
        sql_query("SELECT set_config('lock_timeout', $1, false), set_config('statement_timeout', $2, false)")
            .bind::<Text, _>(&self.lock)
            .bind::<Text, _>(&self.statement)
            .execute(conn)
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_becomes_a_limit_that_the_server_takes() {
        for (limit, expected) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_micros(1999), 1),
            (Duration::from_secs(5), 5000),
            (Duration::from_millis(2_147_483_648), 2_147_483_647),
            (Duration::MAX, 2_147_483_647),
        ] {
            assert_eq!(milliseconds(limit), expected, "{limit:?}");
        }
        assert_eq!(bounded(Duration::ZERO, Duration::ZERO), Duration::from_millis(1));
        assert_eq!(bounded(Duration::ZERO, Duration::MAX), Duration::MAX);
    }

    #[test]
    fn a_script_s_own_limit_is_cut_to_the_time_that_is_left_and_otherwise_stays() {
        let sql = "-- Why.\nSET LOCAL lock_timeout = '5s';\nSELECT 1;";
        for enough in [Duration::from_secs(60), Duration::MAX] {
            assert_eq!(within(sql, enough).as_str(), sql);
        }
        assert_eq!(within(sql, Duration::from_secs(1)).as_str(), "SET LOCAL lock_timeout = 1000;\nSELECT 1");
        assert_eq!(within(sql, Duration::ZERO).as_str(), "SET LOCAL lock_timeout = 1;\nSELECT 1");
        let short = "SET LOCAL lock_timeout = '200ms'; SELECT 1";
        assert_eq!(within(short, Duration::from_secs(1)).as_str(), short);
    }
}
