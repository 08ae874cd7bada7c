//! How long a migration's statements may wait for locks and run, in the form that the server takes.

use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::header::duration;
use super::sql::{statements, texts};
use crate::error::{Doing, Result};
use crate::raw::{Sql, raw, sql, sql_query};

/// Takes the settings of the transaction that follow to the other nodes of a Citus cluster, and changes the parts of a
/// table one after another: such a node cannot change a type in one session and a part of a table in another. On any
/// other server these are names that nobody asks for. Nothing but settings may be sent with it.
pub(crate) const ON_ALL_NODES: &str = "SET LOCAL citus.multi_shard_modify_mode = 'sequential';\n\
                                       SET LOCAL citus.propagate_set_commands = 'local'";

/// Sets the limits of a transaction, on all nodes of a cluster.
pub(crate) fn set_in_transaction(lock: Duration, statement: Duration) -> Sql {
    raw!("{ON_ALL_NODES};\n{limits}", ON_ALL_NODES, limits = set("LOCAL", lock, statement))
}

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

/// The statements of a script, with its own limits on waiting for locks cut to what is left. A file sets them for other
/// tools, and they would take the place of ours.
pub(super) fn within(sql: &'static str, left: Duration) -> impl Iterator<Item = Sql> {
    let is_too_long = move |statement: &str| {
        let texts = texts(statement);
        let [set, local, name, _, limit] = texts.as_slice() else { return false };
        let names = [(*set, "set"), (*local, "local"), (*name, "lock_timeout")];
        names.into_iter().all(|(text, word)| text.eq_ignore_ascii_case(word))
            && duration(limit.trim_matches('\'')).is_some_and(|limit| limit.is_zero() || limit > left)
    };
    let cut = raw!("SET LOCAL lock_timeout = {left}", left = milliseconds(bounded(Duration::ZERO, left)));
    statements(sql).into_iter().map(move |sql| if is_too_long(sql) { cut.clone() } else { sql.into() })
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
        let first = |sql, left| within(sql, left).next().map(|sql| sql.to_string()).unwrap_or_default();
        let sql = "-- Why.\nSET LOCAL lock_timeout = '5s';\nSELECT 1;";
        for enough in [Duration::from_secs(60), Duration::MAX] {
            assert_eq!(first(sql, enough), "SET LOCAL lock_timeout = '5s'");
        }
        assert_eq!(first(sql, Duration::from_secs(1)), "SET LOCAL lock_timeout = 1000");
        assert_eq!(first(sql, Duration::ZERO), "SET LOCAL lock_timeout = 1");
        assert_eq!(within(sql, Duration::ZERO).count(), 2);
        let short = "SET LOCAL lock_timeout = '200ms'";
        assert_eq!(first(short, Duration::from_secs(1)), short);
    }
}
