//! Which error it is, on a server that speaks German: nothing here may depend on the words.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::result::Error;
use optiinfra_db::raw::{RunSql, Sql};
use optiinfra_db::sqlstate::{
    DEADLOCK_DETECTED, INSUFFICIENT_PRIVILEGE, LOCK_NOT_AVAILABLE, QUERY_CANCELED, is_deadlock, is_lock_timeout,
    reporting, sqlstate,
};

use crate::support::{TestDb, until};

const LIMIT: Duration = Duration::from_millis(100);

/// A database whose sessions get German messages.
fn german() -> TestDb {
    let db = TestDb::bare();
    db.conn().batch_execute(&format!("ALTER DATABASE {} SET lc_messages = 'de_DE.UTF-8'", db.database())).unwrap();
    db
}

fn fail(conn: &mut PgConnection, statement: impl Into<Sql>) -> Error {
    let error = conn.batch(statement).unwrap_err();
    assert!(!error.to_string().is_ascii() || !error.to_string().contains(" the "), "not German: {error}");
    error
}

fn information(error: &Error) -> &dyn diesel::result::DatabaseErrorInformation {
    let Error::DatabaseError(_, information) = error else { panic!("{error:?}") };
    information.as_ref()
}

#[test]
fn a_wrapped_script_fails_with_the_same_error_and_its_state() {
    let db = german();
    let mut conn = db.conn();
    conn.batch("CREATE TABLE t (a int PRIMARY KEY, b text CHECK (b <> 'x')); CREATE ROLE german_test_nobody").unwrap();
    for (script, state) in [
        ("SELECT 1; SELECT * FROM nowhere", "42P01"),
        ("CREATE TABLE t ()", "42P07"),
        ("INSERT INTO t VALUES (1, 'x')", "23514"),
        ("INSERT INTO t VALUES (1), (1)", "23505"),
        ("SELECT 'it''s'::int; -- $q0$ \\", "22P02"),
        ("SELECT 1/0", "22012"),
        ("CREATE ROLE german_test_nobody", "42710"),
        ("SET LOCAL ROLE german_test_nobody; SELECT * FROM t", INSUFFICIENT_PRIVILEGE),
        (
            "SET LOCAL statement_timeout = 1; DO 'BEGIN PERFORM pg_cancel_backend(pg_backend_pid()); END'",
            QUERY_CANCELED,
        ),
        ("DO 'BEGIN RAISE EXCEPTION ''100 %% ünd'' USING HINT = ''it''''s \\ so'', DETAIL = ''d''; END'", "P0001"),
    ] {
        let (plain, wrapped) = (fail(&mut conn, script), fail(&mut conn, reporting(&script.into())));
        assert_eq!(sqlstate(&wrapped), Some(state), "{script}: {wrapped:?}");
        assert_eq!(wrapped.to_string(), plain.to_string());
        let fields = |error: &Error| {
            let information = information(error);
            let fields =
                [information.details(), information.hint(), information.table_name(), information.constraint_name()];
            fields.map(|field| field.map(str::to_owned))
        };
        assert_eq!(fields(&wrapped), fields(&plain), "{script}");
    }
    conn.batch("DROP ROLE german_test_nobody").unwrap();
    // What works, works: several statements, each on the one before, and settings for the transaction.
    let script = "SET LOCAL lock_timeout = '7s'; CREATE TABLE u (a int); INSERT INTO u VALUES (1); ALTER TABLE u ADD b int DEFAULT 2";
    conn.batch(reporting(&script.into())).unwrap();
    assert_eq!(crate::support::number(&mut conn, "SELECT sum(a + b) FROM u"), 3);
}

#[test]
fn a_lock_that_is_not_to_be_had_is_told_from_other_errors() {
    let db = german();
    let mut holder = db.conn();
    holder.batch("CREATE TABLE t (a int)").unwrap();
    holder.batch("BEGIN; LOCK TABLE t").unwrap();
    let mut conn = db.conn();
    conn.batch("SET lock_timeout = '100ms'").unwrap();

    let begin = Instant::now();
    let locked = fail(&mut conn, "SELECT * FROM t");
    assert!(is_lock_timeout(&locked, LIMIT, begin.elapsed()), "{locked:?}");
    assert!(!is_deadlock(&locked));
    let told = fail(&mut conn, reporting(&"SELECT * FROM t".into()));
    assert_eq!(sqlstate(&told), Some(LOCK_NOT_AVAILABLE));
    assert!(is_lock_timeout(&told, LIMIT, Duration::ZERO), "the state counts, not the time");

    let elapsed = LIMIT * 2;
    for other in
        ["SELECT * FROM nowhere", "CREATE TABLE t ()", "SELECT 'x'::int", "RESET ALL EVER", "SET DateStyle = x"]
    {
        let error = fail(&mut conn, other);
        assert!(!is_lock_timeout(&error, LIMIT, Duration::ZERO) && !is_lock_timeout(&error, Duration::ZERO, elapsed));
        let told = fail(&mut conn, reporting(&other.into()));
        assert!(!is_lock_timeout(&told, LIMIT, elapsed), "{other}: {told:?}");
    }
}

#[test]
fn a_deadlock_is_known_by_its_circle() {
    let db = german();
    db.conn().batch("CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t VALUES (1, 0), (2, 0)").unwrap();
    let (mut first, mut second) = (db.conn(), db.conn());
    first.batch("BEGIN; UPDATE t SET b = 1 WHERE a = 1").unwrap();
    second.batch("BEGIN; UPDATE t SET b = 1 WHERE a = 2").unwrap();
    let (send, receive) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let result = first.batch("UPDATE t SET b = 1 WHERE a = 2");
        send.send(result.err()).unwrap();
    });
    let mut watcher = db.conn();
    until("the first waits", Duration::from_secs(1), || {
        crate::support::number(&mut watcher, "SELECT count(*) FROM pg_locks WHERE NOT granted") > 0
    });
    let error = second.batch("UPDATE t SET b = 1 WHERE a = 1").err();
    drop(second);
    let error = receive.recv().unwrap().or(error).expect("one of the two");
    waiting.join().unwrap();
    assert!(error.to_string().contains("Verklemmung"), "{error}");
    assert!(is_deadlock(&error), "{error:?}");
    assert!(!is_lock_timeout(&error, LIMIT, LIMIT));
    assert_eq!(sqlstate(&error), None, "{DEADLOCK_DETECTED} is not Diesel's to say");
}
