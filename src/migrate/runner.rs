//! Runs one migration, either way: with bounded waiting for locks, tried again while there is time, in a transaction
//! or, where it cannot be one, statement by statement.

use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::Text;

use super::history;
use super::set::{Header, Migration, duration};
use super::sql::{normalised, statements, texts, words};
use super::{Direction, Event, Step};
use crate::error::{Doing, Error, Result};
use crate::raw::{RunSql, Sql, raw, sql, sql_query};

/// The first pause before a migration that met a lock is tried again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What all steps of a run share.
pub(super) struct Runner<'a> {
    pub observer: &'a mut dyn FnMut(Event<'_>),
    /// How long a migration, or a statement that is a transaction of its own, may wait for locks in all.
    pub lock_wait: Duration,
}

impl Runner<'_> {
    /// Runs a migration and changes the history with it.
    pub fn step(&mut self, conn: &mut PgConnection, migration: &Migration, direction: Direction) -> Result<Step> {
        (self.observer)(Event::Begin(direction, migration));
        let begin = Instant::now();
        let header = migration.header()?;
        if migration.in_transaction {
            self.whole(conn, migration, direction, &header)?;
        } else {
            self.piecewise(conn, migration, direction, &header)?;
        }
        let step = Step {
            version: migration.version.to_owned(),
            name: migration.name.to_owned(),
            direction,
            seconds: begin.elapsed().as_secs_f64(),
        };
        tracing::info!(migration = step.name, ?direction, seconds = step.seconds, "migration committed");
        (self.observer)(Event::Done(&step));
        Ok(step)
    }

    /// One transaction. The history comes first: should two runs get here in spite of the lock, the second waits for
    /// the first at this row and then fails on it.
    fn whole(
        &mut self,
        conn: &mut PgConnection,
        migration: &Migration,
        direction: Direction,
        header: &Header,
    ) -> Result<()> {
        self.until_unlocked(migration, |deadline| {
            conn.transaction(|conn| {
                let begin = Instant::now();
                match direction {
                    Direction::Apply => {
                        history::claim(conn, migration)?;
                        conn.batch(header.timeouts("LOCAL", header.lock_timeout, deadline))?;
                        conn.batch(within(migration.up, deadline))?;
                        history::update_record(conn, migration, Some(begin.elapsed().as_secs_f64()), None)
                    }
                    Direction::Revert => {
                        history::delete(conn, migration)?;
                        conn.batch(header.timeouts("LOCAL", header.lock_timeout, deadline))?;
                        conn.batch(within(migration.down, deadline))
                    }
                }
            })
        })
        .map_err(|source| match source {
            Failure::Locked(source) => self.gave_up(migration, source),
            Failure::Other(source) => Error::Migration { name: migration.name.to_owned(), source },
        })
    }

    /// A transaction a statement. How far it has come is written down, so that the next run goes on from there.
    fn piecewise(
        &mut self,
        conn: &mut PgConnection,
        migration: &Migration,
        direction: Direction,
        header: &Header,
    ) -> Result<()> {
        let begin = Instant::now();
        let inherited = Timeouts::read(conn)?;
        let all = statements(if direction == Direction::Apply { migration.up } else { migration.down });
        let done = if direction == Direction::Apply { resume(conn, migration, &all)? } else { 0 };
        let of = all.len();
        for (number, statement) in (1..).zip(&all).skip(done) {
            // What works concurrently waits for transactions and not in front of anybody; to stop it means to do it again.
            let concurrent = words(statement).iter().any(|word| word == "CONCURRENTLY");
            let lock_timeout = if concurrent { Duration::ZERO } else { header.lock_timeout };
            let ran = self.until_unlocked(migration, |deadline| {
                drop_invalid_index(conn, statement)?;
                conn.batch(header.timeouts("SESSION", lock_timeout, deadline))?;
                conn.batch(*statement)
            });
            let restored = inherited.restore(conn);
            // The statement's error first: where the connection is lost, both fail.
            ran.map_err(|source| match source {
                Failure::Locked(source) => self.gave_up(migration, source),
                Failure::Other(source) => {
                    Error::MigrationStopped { name: migration.name.to_owned(), statement: number, of, source }
                }
            })?;
            restored.doing("give the session its time limits back")?;
            if direction == Direction::Apply {
                let done = i32::try_from(number).unwrap_or(i32::MAX);
                history::update_record(conn, migration, None, Some(done)).doing("note how far the migration is")?;
            }
        }
        conn.transaction(|conn| match direction {
            Direction::Apply => {
                history::insert_applied(conn, migration)?;
                history::update_record(conn, migration, Some(begin.elapsed().as_secs_f64()), None)
            }
            Direction::Revert => history::delete(conn, migration),
        })
        .doing(format!("write {} into the history", migration.name))
    }

    /// Tries again after a lock timeout, with growing pauses of random length, until the time is up.
    fn until_unlocked(
        &mut self,
        migration: &Migration,
        mut run: impl FnMut(Instant) -> QueryResult<()>,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + self.lock_wait;
        let mut pause = FIRST_PAUSE;
        loop {
            match run(deadline) {
                Ok(()) => return Ok(()),
                Err(source) if !is_lock_timeout(&source) => return Err(Failure::Other(source)),
                Err(source) if Instant::now() + pause >= deadline => return Err(Failure::Locked(source)),
                Err(source) => {
                    tracing::info!(migration = migration.name, error = %source, ?pause, "a table is locked: trying again");
                    (self.observer)(Event::Blocked(migration));
                }
            }
            std::thread::sleep(pause.mul_f64(0.5 + fastrand::f64()));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn gave_up(&self, migration: &Migration, source: DieselError) -> Error {
        Error::TableLocked { name: migration.name.to_owned(), waited: self.lock_wait, source }
    }
}

enum Failure {
    Locked(DieselError),
    Other(DieselError),
}

impl Header {
    /// Sets the time limits: the migration's, not those that the session inherited, and no later than the deadline.
    fn timeouts(&self, scope: &'static str, lock_timeout: Duration, deadline: Instant) -> Sql {
        let left = deadline.saturating_duration_since(Instant::now());
        // Zero would mean no limit.
        let lock = if lock_timeout.is_zero() { left } else { lock_timeout.min(left) }.as_millis().max(1);
        let statement = self.statement_timeout.as_millis();
        raw!("SET {scope} lock_timeout = {lock}; SET {scope} statement_timeout = {statement}", scope, lock, statement)
    }
}

/// The script with its own limits on waiting for locks cut to what is left. A file sets them for other tools, and they
/// would take the place of ours.
fn within(sql: &'static str, deadline: Instant) -> Sql {
    let left = deadline.saturating_duration_since(Instant::now());
    let too_long = |statement: &str| {
        let texts = texts(statement);
        let [set, local, name, _, limit] = texts.as_slice() else { return false };
        let names = [(*set, "set"), (*local, "local"), (*name, "lock_timeout")];
        names.into_iter().all(|(text, word)| text.eq_ignore_ascii_case(word))
            && duration(limit.trim_matches('\'')).is_some_and(|limit| limit.is_zero() || limit > left)
    };
    let statements = statements(sql);
    if !statements.iter().any(|statement| too_long(statement)) {
        return sql.into();
    }
    let limit = raw!("SET LOCAL lock_timeout = {left}", left = left.as_millis().max(1));
    let cut = |statement| if too_long(statement) { limit.clone() } else { Sql::from(statement) };
    Sql::join(statements.into_iter().map(cut), ";\n")
}

/// The session's own time limits.
struct Timeouts {
    lock: String,
    statement: String,
}

impl Timeouts {
    fn read(conn: &mut PgConnection) -> Result<Self> {
        let (lock, statement) = diesel::select((
            sql::<Text>("current_setting('lock_timeout')"),
            sql::<Text>("current_setting('statement_timeout')"),
        ))
        .get_result(conn)
        .doing("read the session's time limits")?;
        Ok(Self { lock, statement })
    }

    fn restore(&self, conn: &mut PgConnection) -> QueryResult<()> {
        sql_query("SELECT set_config('lock_timeout', $1, false), set_config('statement_timeout', $2, false)")
            .bind::<Text, _>(&self.lock)
            .bind::<Text, _>(&self.statement)
            .execute(conn)
            .map(drop)
    }
}

/// Diesel does not pass the SQLSTATE on, so this goes by the text, which the server writes in its own language.
fn is_lock_timeout(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(_, info) if info.message().contains("lock timeout"))
}

/// How many statements of a migration that was interrupted are done. They must still be the ones that were run.
fn resume(conn: &mut PgConnection, migration: &Migration, all: &[&str]) -> Result<usize> {
    if let Some((text, Some(done))) = history::recorded_text(conn, migration.version)? {
        let done = usize::try_from(done).unwrap_or(0);
        let ran = statements(&text);
        let same = ran.len() >= done
            && all.len() >= done
            && ran.iter().zip(all).take(done).all(|(ran, now)| normalised(ran) == normalised(now));
        if !same {
            return Err(Error::ResumedTextChanged { name: migration.name.to_owned(), done });
        }
        return Ok(done);
    }
    history::insert_record(conn, migration, Some(0)).doing("note that the migration begins")?;
    Ok(0)
}

/// An interrupted `CREATE INDEX CONCURRENTLY` leaves an index that is not used and that `IF NOT EXISTS` takes for done.
fn drop_invalid_index(conn: &mut PgConnection, statement: &str) -> QueryResult<()> {
    let Some(name) = concurrent_index(statement) else { return Ok(()) };
    let query = "SELECT relname::text AS name FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid \
                 WHERE NOT indisvalid AND indexrelid = to_regclass($1)";
    #[derive(QueryableByName)]
    struct Invalid {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let invalid: Option<Invalid> = sql_query(query).bind::<Text, _>(&name).get_result(conn).optional()?;
    let Some(Invalid { name }) = invalid else { return Ok(()) };
    tracing::warn!(index = name, "dropping an index that an interrupted run left invalid");
    conn.batch(raw!("DROP INDEX CONCURRENTLY IF EXISTS {index}", index = Sql::identifier(&name)))
}

/// The name of the index that a statement builds concurrently.
fn concurrent_index(statement: &str) -> Option<String> {
    let words = words(statement);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let behind = match words.as_slice() {
        ["CREATE", "INDEX", "CONCURRENTLY", ..] => 3,
        ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", ..] => 4,
        _ => return None,
    };
    let exists = words[behind..].starts_with(&["IF", "NOT", "EXISTS"]);
    texts(statement).get(if exists { behind + 3 } else { behind }).map(|name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_a_concurrent_build_is_named() {
        for (statement, name) in [
            ("CREATE INDEX CONCURRENTLY IF NOT EXISTS a ON t (b)", Some("a")),
            ("create unique index concurrently \"A b\" on t (b)", Some("\"A b\"")),
            ("/* why */ CREATE INDEX CONCURRENTLY s ON t (b)", Some("s")),
            ("CREATE INDEX a ON t (b)", None),
            ("DROP INDEX CONCURRENTLY a", None),
        ] {
            assert_eq!(concurrent_index(statement).as_deref(), name, "{statement}");
        }
    }

    #[test]
    fn a_script_s_own_limit_is_cut_to_the_time_that_is_left_and_otherwise_stays() {
        let sql = "-- Why.\nSET LOCAL lock_timeout = '5s';\nSELECT 1;";
        let in_time = |seconds| within(sql, Instant::now() + Duration::from_secs(seconds)).to_string();
        assert_eq!(in_time(60), sql);
        let cut = in_time(1);
        let limit = cut.strip_prefix("SET LOCAL lock_timeout = ").unwrap().strip_suffix(";\nSELECT 1").unwrap();
        assert!((900..=1000).contains(&limit.parse::<u32>().unwrap()), "{cut}");
        let short = "SET LOCAL lock_timeout = '200ms'; SELECT 1";
        assert_eq!(within(short, Instant::now() + Duration::from_secs(1)).as_str(), short);
    }
}
