//! Migrations on a database that is in use: locks, time limits, statements outside a transaction, edited files, builds
//! of different age.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use optiinfra_db::Error;
use optiinfra_db::migrate::{
    self, Direction, EMBEDDED, Event, Goal, Migration, Migrator, OnAhead, OnPending, StartupPolicy, TextState,
};

use optiinfra_db::sqlstate::{QUERY_CANCELED, sqlstate};

use crate::support::{TestDb, figures, number};

const TABLE: Migration = Migration {
    version: "00000000000001",
    name: "1_table",
    in_transaction: true,
    up: "CREATE TABLE t (a int)",
    down: "DROP TABLE t",
};
const COLUMN: Migration = Migration {
    version: "00000000000002",
    name: "2_column",
    up: "-- optiinfra: lock_timeout = 100ms\nALTER TABLE t ADD COLUMN b int",
    down: "ALTER TABLE t DROP COLUMN b",
    ..TABLE
};
const INDEXES: Migration = Migration {
    version: "00000000000003",
    name: "3_indexes",
    in_transaction: false,
    up: "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON t (a);\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_a_key ON t (a);",
    down: "DROP INDEX CONCURRENTLY IF EXISTS t_a_key; DROP INDEX CONCURRENTLY IF EXISTS t_a;",
};

const VALID: &str = "SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid \
                     WHERE relnamespace = current_schema()::regnamespace AND relname LIKE 't_a%' AND indisvalid";

fn run(conn: &mut PgConnection, set: &[Migration]) -> optiinfra_db::Result<migrate::Report> {
    Migrator::default().set(set).run(conn, &Goal::Head)
}

/// A session that reads a table and stays in its transaction until told to end.
fn hold(db: &TestDb, statement: &'static str) -> (mpsc::Sender<()>, std::thread::JoinHandle<()>) {
    let mut conn = db.conn();
    conn.batch_execute(&format!("BEGIN; {statement}")).unwrap();
    let (end, ended) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        // An error means that the test is over.
        let _ = ended.recv();
        conn.batch_execute("ROLLBACK").unwrap();
    });
    (end, thread)
}

#[test]
fn a_locked_table_is_tried_again_until_it_is_free() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    run(&mut conn, &[TABLE]).unwrap();
    let (end, thread) = hold(&db, "SELECT * FROM t");
    let mut blocked = 0;
    let report = Migrator::default()
        .set(&[TABLE, COLUMN])
        .observer(|event| {
            if matches!(event, Event::Blocked(_)) {
                blocked += 1;
                // The second time it meets the lock, the lock goes.
                if blocked == 2 {
                    end.send(()).unwrap();
                }
            }
        })
        .run(&mut conn, &Goal::Head)
        .unwrap();
    thread.join().unwrap();
    assert!(blocked >= 2);
    assert_eq!(report.head.as_deref(), Some("2_column"));
}

#[test]
fn a_table_that_stays_locked_is_given_up_in_time_and_nothing_is_applied() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    run(&mut conn, &[TABLE]).unwrap();
    let (end, thread) = hold(&db, "SELECT * FROM t");
    let begin = Instant::now();
    let error = Migrator::default()
        .set(&[TABLE, COLUMN])
        .lock_wait(Duration::from_millis(700))
        .run(&mut conn, &Goal::Head)
        .unwrap_err();
    assert!(
        matches!(&error, Error::Migrate(migrate::Error::TableLocked { name, .. }) if name == "2_column"),
        "{error:?}"
    );
    assert!(begin.elapsed() >= Duration::from_millis(200), "it tried more than once");
    assert_eq!(number(&mut conn, "SELECT count(*) FROM __diesel_schema_migrations"), 1);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM __optiinfra_migrations"), 1);
    end.send(()).unwrap();
    thread.join().unwrap();
    run(&mut conn, &[TABLE, COLUMN]).unwrap();
}

#[test]
fn inherited_time_limits_do_not_reach_a_migration_and_stay_for_the_session() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    conn.batch_execute("SET statement_timeout = '50ms'").unwrap();
    let slow = Migration { up: "SELECT pg_sleep(0.2); CREATE TABLE t (a int)", ..TABLE };
    let slow_too = Migration { up: "SELECT pg_sleep(0.2); SELECT 1", ..INDEXES };
    run(&mut conn, &[slow, slow_too]).unwrap();
    let left: String =
        diesel::select(diesel::dsl::sql::<Text>("current_setting('statement_timeout')")).get_result(&mut conn).unwrap();
    assert_eq!(left, "50ms");
}

#[test]
fn a_migration_s_own_time_limit_ends_it() {
    let db = TestDb::empty();
    let limited = Migration { up: "-- optiinfra: statement_timeout = 50ms\nSELECT pg_sleep(20)", ..TABLE };
    let error = run(&mut db.conn(), &[limited]).unwrap_err();
    assert!(
        matches!(&error, Error::Migrate(migrate::Error::Failed { source, .. }) if sqlstate(source) == Some(QUERY_CANCELED)),
        "{error:?}"
    );
}

#[test]
fn statements_outside_a_transaction_run_one_by_one_and_can_be_reverted() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    run(&mut conn, &[TABLE, INDEXES]).unwrap();
    assert_eq!(number(&mut conn, VALID), 2);
    let status = Migrator::default().set(&[TABLE, INDEXES]).status(&mut conn).unwrap();
    assert!(status.is_current() && status.applied[1].seconds.is_some());
    Migrator::default().set(&[TABLE, INDEXES]).run(&mut conn, &Goal::Back(1)).unwrap();
    assert_eq!(number(&mut conn, VALID), 0);
}

#[test]
fn an_interrupted_migration_goes_on_at_the_failed_statement_without_an_invalid_index() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    run(&mut conn, &[TABLE]).unwrap();
    conn.batch_execute("INSERT INTO t VALUES (1), (1)").unwrap();
    let set = [TABLE, INDEXES];
    let error = run(&mut conn, &set).unwrap_err();
    assert!(matches!(&error, Error::Migrate(migrate::Error::Stopped { statement: 2, of: 2, .. })), "{error:?}");
    assert_eq!(number(&mut conn, VALID), 1, "the first index stays, the second is not valid");
    let status = Migrator::default().set(&set).status(&mut conn).unwrap();
    assert_eq!(status.pending[0].statements_done, Some(1));

    let built: i64 = number(&mut conn, "SELECT oid::bigint FROM pg_class WHERE oid = to_regclass('t_a')");
    conn.batch_execute("DELETE FROM t").unwrap();
    run(&mut conn, &set).unwrap();
    assert_eq!(number(&mut conn, VALID), 2);
    assert_eq!(
        number(&mut conn, "SELECT oid::bigint FROM pg_class WHERE oid = to_regclass('t_a')"),
        built,
        "not built again"
    );
    assert_eq!(number(&mut conn, "SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = 't'::regclass"), 0);
}

#[test]
fn a_concurrent_build_waits_for_old_transactions_instead_of_beginning_again() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    run(&mut conn, &[TABLE]).unwrap();
    let limited = Migration {
        up: "-- optiinfra: lock_timeout = 50ms\nCREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON t (a)",
        ..INDEXES
    };
    let pid = number(&mut conn, "SELECT pg_backend_pid()::bigint");
    let (end, thread) = hold(&db, "INSERT INTO t VALUES (1)");
    let mut blocked = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // It waits four times as long as the migration lets others wait, and then the old transaction ends.
            let waits = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event_type = 'Lock' \
                 AND now() - query_start > '200ms'"
            );
            let mut looker = db.conn();
            while number(&mut looker, &waits) == 0 {
                std::thread::yield_now();
            }
            end.send(()).unwrap();
        });
        let set = [TABLE, limited];
        let mut migrator = Migrator::default().set(&set).observer(|event| {
            blocked += u32::from(matches!(event, Event::Blocked(_)));
        });
        migrator.run(&mut conn, &Goal::Head).unwrap();
    });
    thread.join().unwrap();
    assert_eq!((blocked, number(&mut conn, VALID)), (0, 1));
}

#[test]
fn an_interrupted_migration_whose_done_part_was_edited_is_refused() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    run(&mut conn, &[TABLE]).unwrap();
    conn.batch_execute("INSERT INTO t VALUES (1), (1)").unwrap();
    run(&mut conn, &[TABLE, INDEXES]).unwrap_err();
    let edited = Migration { up: "CREATE INDEX CONCURRENTLY IF NOT EXISTS other ON t (a); SELECT 1", ..INDEXES };
    let error = run(&mut conn, &[TABLE, edited]).unwrap_err();
    assert!(matches!(&error, Error::Migrate(migrate::Error::ResumedTextChanged { done: 1, .. })), "{error:?}");
    let mended =
        Migration { up: "-- A word.\nCREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON t (a); SELECT 1", ..INDEXES };
    run(&mut conn, &[TABLE, mended]).unwrap();
}

#[test]
fn a_cosmetic_edit_is_told_and_a_real_one_refused_with_a_diff_until_it_is_repaired() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    run(&mut conn, &[TABLE]).unwrap();
    let cosmetic = Migration { up: "-- Why.\r\nCREATE  TABLE t (a int)", ..TABLE };
    let report = run(&mut conn, &[cosmetic]).unwrap();
    assert_eq!(report.cosmetic_edits, ["1_table"]);

    let edited = Migration { up: "CREATE TABLE t (a bigint)", ..TABLE };
    let error = run(&mut conn, &[edited]).unwrap_err();
    let Error::Migrate(migrate::Error::Edited { names, diff }) = &error else { panic!("{error:?}") };
    assert_eq!(names, &["1_table"]);
    assert!(diff.contains("-CREATE TABLE t (a int)") && diff.contains("+CREATE TABLE t (a bigint)"), "{diff}");
    let status = Migrator::default().set(&[edited]).status(&mut conn).unwrap();
    assert_eq!(status.applied[0].text, TextState::Edited);
    assert!(!status.is_current());

    let repaired = Migrator::default().set(&[edited]).repair(&mut conn, "widened by hand").unwrap();
    assert_eq!((repaired.len(), repaired[0].was), (1, TextState::Edited));
    run(&mut conn, &[edited]).unwrap();
    let reason = "SELECT count(*) FROM __optiinfra_migrations WHERE repairs -> 0 ->> 'reason' = 'widened by hand' \
                  AND repairs -> 0 ->> 'replaced_up_sql' = 'CREATE TABLE t (a int)' AND repairs -> 0 ->> 'by' = session_user";
    assert_eq!(number(&mut conn, reason), 1);
    assert!(Migrator::default().set(&[edited]).repair(&mut conn, "again").unwrap().is_empty());
}

#[test]
fn what_diesel_applied_is_not_recorded_and_can_be() {
    use migrate::diesel_migrations::MigrationHarness;
    let db = TestDb::empty();
    let mut conn = db.conn();
    conn.run_pending_migrations(migrate::Set(EMBEDDED)).unwrap();
    let status = migrate::status(&mut conn).unwrap();
    assert!(status.is_current() && status.applied.iter().all(|applied| applied.text == TextState::Unrecorded));
    let repaired = Migrator::default().repair(&mut conn, "taken over from diesel_cli").unwrap();
    assert_eq!(repaired.len(), EMBEDDED.len());
    let status = migrate::status(&mut conn).unwrap();
    assert!(status.applied.iter().all(|applied| applied.text == TextState::Same));
    Migrator::default().run(&mut conn, &Goal::Back(1)).unwrap();
    assert_eq!(
        number(&mut conn, "SELECT count(*) FROM __optiinfra_migrations"),
        i64::try_from(EMBEDDED.len()).unwrap() - 1
    );
}

#[test]
fn an_older_build_works_on_a_newer_database_only_as_its_policy_says() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    let compatible = Migration { up: "-- optiinfra: compatible\nALTER TABLE t ADD COLUMN b int", ..COLUMN };
    run(&mut conn, &[TABLE, compatible]).unwrap();
    let start = |ahead| Migrator::default().set(&[TABLE]).ahead(ahead).run(&mut db.conn(), &Goal::Head);
    assert_eq!(start(OnAhead::AcceptCompatible).unwrap().tolerated, ["2_column"]);
    assert!(
        matches!(start(OnAhead::Refuse), Err(Error::Migrate(migrate::Error::Ahead { unknown })) if unknown == ["2_column"])
    );

    Migrator::default().set(&[TABLE, compatible]).run(&mut conn, &Goal::Back(1)).unwrap();
    run(&mut conn, &[TABLE, COLUMN]).unwrap();
    assert!(
        matches!(start(OnAhead::AcceptCompatible), Err(Error::Migrate(migrate::Error::Ahead { unknown })) if unknown == ["2_column"])
    );
    assert_eq!(start(OnAhead::Accept).unwrap().tolerated, ["2_column"]);

    // What lies under an unknown migration is not touched, compatible or not.
    let mut older = Migrator::default().set(&[TABLE]);
    assert!(matches!(older.run(&mut conn, &Goal::Back(1)), Err(Error::Migrate(migrate::Error::Ahead { .. }))));
}

#[test]
fn a_start_can_wait_for_a_peer_or_refuse_what_is_pending() {
    let db = TestDb::empty();
    let policy =
        |pending, wait| StartupPolicy { pending, wait: Duration::from_millis(wait), ..StartupPolicy::default() };
    let refused = migrate::ensure_current(&mut db.conn(), &policy(OnPending::Refuse, 0));
    assert!(
        matches!(refused, Err(Error::Migrate(migrate::Error::Behind { pending })) if pending.len() == EMBEDDED.len())
    );
    assert!(matches!(
        migrate::ensure_current(&mut db.conn(), &policy(OnPending::Wait, 200)),
        Err(Error::Migrate(migrate::Error::Behind { .. }))
    ));
    assert!(!migrate::is_ready(&mut db.conn()).unwrap());

    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| migrate::ensure_current(&mut db.conn(), &policy(OnPending::Wait, 60_000)));
        migrate::ensure_current(&mut db.conn(), &StartupPolicy::default()).unwrap();
        assert!(waiting.join().unwrap().unwrap().steps.is_empty());
    });
    let reader = db.reader();
    assert!(migrate::is_ready(&mut PgConnection::establish(&db.url_as(&reader.name)).unwrap()).unwrap());
    migrate::ensure_current(&mut db.conn(), &policy(OnPending::Refuse, 0)).unwrap();
}

#[test]
fn an_old_replica_stays_ready_while_a_newer_one_migrates() {
    let db = TestDb::empty().migrate();
    let newer = Migration { version: "99999999999999", name: "9_newer", up: "CREATE TABLE newer (a int)", ..TABLE };
    let mut set = EMBEDDED.to_vec();
    set.push(newer);
    let mut ready = Vec::new();
    let mut observer_conn = db.conn();
    Migrator::default()
        .set(&set)
        .observer(|_| ready.push(migrate::is_ready(&mut observer_conn).unwrap()))
        .run(&mut db.conn(), &Goal::Head)
        .unwrap();
    ready.push(migrate::is_ready(&mut db.conn()).unwrap());
    assert_eq!(ready, [true, true, true], "before, after the commit and at the end");
}

#[test]
fn a_plan_is_the_sql_that_would_run_and_writes_nothing_even_for_a_reader() {
    let db = TestDb::empty().migrate();
    let reader = db.reader();
    Migrator::default().run(&mut db.conn(), &Goal::Version(EMBEDDED[5].version.to_owned())).unwrap();
    let mut conn = PgConnection::establish(&db.url_as(&reader.name)).unwrap();
    optiinfra_db::connection::forbid_writing(&mut conn).unwrap();
    let plan = Migrator::default().plan(&mut conn, &Goal::Head).unwrap();
    let names: Vec<_> = plan.steps.iter().map(|step| (step.name.as_str(), step.direction)).collect();
    let newest = &EMBEDDED[6..];
    let expected: Vec<_> = newest.iter().map(|migration| (migration.name, Direction::Apply)).collect();
    assert_eq!(names, expected);
    assert_eq!(plan.steps[0].sql, newest[0].up);
    assert!(plan.steps[0].history.contains(newest[0].version));
    let back = Migrator::default().plan(&mut conn, &Goal::Back(1)).unwrap();
    assert_eq!(back.steps.iter().map(|step| step.direction).collect::<Vec<_>>(), [Direction::Revert]);
    assert_eq!(migrate::status(&mut db.conn()).unwrap().pending.len(), EMBEDDED.len() - 6);
}

#[test]
fn looking_at_a_current_database_is_two_queries() {
    let db = TestDb::empty().migrate();
    let mut conn = db.conn();
    let statements = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = statements.clone();
    conn.set_instrumentation(move |event: diesel::connection::InstrumentationEvent<'_>| {
        if matches!(event, diesel::connection::InstrumentationEvent::StartQuery { .. }) {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    migrate::ensure_current(&mut conn, &StartupPolicy::default()).unwrap();
    assert_eq!(statements.load(std::sync::atomic::Ordering::Relaxed), 2);
}

/// The session of a server that writes its messages in German; `None` where this machine has no such locale.
fn german(db: &TestDb) -> Option<PgConnection> {
    let set = format!("ALTER DATABASE {} SET lc_messages = 'de_DE.UTF-8'", db.database());
    if let Err(error) = db.conn().batch_execute(&set) {
        assert!(std::env::var_os("CI").is_none(), "no German locale: {error}");
        figures("no German locale on this machine: the German server was not tried");
        return None;
    }
    let mut conn = db.conn();
    let refused = conn.batch_execute("SELECT 1 / 0").unwrap_err().to_string();
    assert!(refused.contains("Division durch Null"), "the server's message catalogues are missing: {refused}");
    Some(conn)
}

#[test]
fn a_lock_is_recognised_on_a_server_that_writes_german() {
    let db = TestDb::empty();
    let Some(mut conn) = german(&db) else { return };
    run(&mut conn, &[TABLE]).unwrap();
    // In a transaction, by a limit of its own in the file, and outside of a transaction.
    let limited = Migration { up: "SET LOCAL lock_timeout = '50ms'; ALTER TABLE t ADD COLUMN b int", ..COLUMN };
    let single = Migration {
        up: "-- optiinfra: lock_timeout = 100ms\nALTER TABLE t ADD COLUMN IF NOT EXISTS b int",
        down: "ALTER TABLE t DROP COLUMN IF EXISTS b",
        in_transaction: false,
        ..COLUMN
    };
    for migration in [COLUMN, limited, single] {
        let set = [TABLE, migration];
        for goal in [Goal::Head, Goal::Back(1)] {
            let (end, thread) = hold(&db, "SELECT * FROM t");
            let mut blocked = 0;
            let mut migrator = Migrator::default().set(&set).observer(|event| {
                if matches!(event, Event::Blocked(_)) {
                    blocked += 1;
                    if blocked == 2 {
                        end.send(()).unwrap();
                    }
                }
            });
            migrator.run(&mut conn, &goal).unwrap();
            drop(migrator);
            thread.join().unwrap();
            assert!(blocked >= 2, "{} {goal:?}", migration.up);
        }
    }
}

#[test]
fn a_lock_that_stays_is_given_up_on_a_german_server_and_other_failures_are_none() {
    let db = TestDb::empty();
    let Some(mut conn) = german(&db) else { return };
    run(&mut conn, &[TABLE]).unwrap();
    let (end, thread) = hold(&db, "SELECT * FROM t");
    let set = [TABLE, COLUMN];
    let error =
        Migrator::default().set(&set).lock_wait(Duration::from_millis(300)).run(&mut conn, &Goal::Head).unwrap_err();
    assert!(matches!(&error, Error::Migrate(migrate::Error::TableLocked { .. })), "{error:?}");
    end.send(()).unwrap();
    thread.join().unwrap();
    // A limit on statements, and an error that Diesel knows no kind for, both later than a lock timeout could come.
    let mut blocked = 0;
    for (up, in_transaction) in [
        ("-- optiinfra: lock_timeout = 1ms\n-- optiinfra: statement_timeout = 50ms\nSELECT pg_sleep(20)", true),
        ("-- optiinfra: lock_timeout = 1ms\n-- optiinfra: statement_timeout = 50ms\nSELECT pg_sleep(20)", false),
        ("-- optiinfra: lock_timeout = 1ms\nSELECT 1 / (SELECT 0 FROM pg_sleep(0.1))", true),
    ] {
        let set = [TABLE, Migration { up, in_transaction, ..COLUMN }];
        let mut migrator = Migrator::default().set(&set).observer(|event| {
            blocked += u32::from(matches!(event, Event::Blocked(_)));
        });
        let error = migrator.run(&mut conn, &Goal::Head).unwrap_err();
        drop(migrator);
        assert!(
            matches!(&error, Error::Migrate(migrate::Error::Failed { .. } | migrate::Error::Stopped { .. })),
            "{error:?}"
        );
        // What stopped outside of a transaction is reverted, so that the next one begins anew.
        conn.batch_execute("DELETE FROM __optiinfra_migrations WHERE statements_done IS NOT NULL").unwrap();
    }
    assert_eq!(blocked, 0, "none was taken for a lock");
}

#[test]
fn a_deadlock_with_a_transaction_of_others_is_tried_again() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    run(&mut conn, &[TABLE]).unwrap();
    conn.batch_execute("CREATE TABLE u (a int)").unwrap();
    let both = Migration { up: "LOCK TABLE t; LOCK TABLE u; ALTER TABLE t ADD COLUMN b int", ..COLUMN };
    let mut other = db.conn();
    other.batch_execute("SET deadlock_timeout = '10s'; BEGIN; LOCK TABLE u").unwrap();
    conn.batch_execute("SET deadlock_timeout = '10ms'").unwrap();
    let pid = number(&mut conn, "SELECT pg_backend_pid()::bigint");
    std::thread::scope(|scope| {
        let migrating = scope.spawn(|| run(&mut conn, &[TABLE, both]));
        let waits = format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted");
        let mut looker = db.conn();
        while number(&mut looker, &waits) == 0 {
            std::thread::yield_now();
        }
        // Now each has what the other one wants, and the migration is the one that the server ends.
        other.batch_execute("LOCK TABLE t; COMMIT").unwrap();
        assert_eq!(migrating.join().unwrap().unwrap().head.as_deref(), Some("2_column"));
    });
}
