//! Applying, reverting and looking, at the level of the library.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use optiinfra_db::connection::{self, Target};
use optiinfra_db::migrate::diesel_migrations::{FileBasedMigrations, MigrationHarness};
use optiinfra_db::migrate::{
    self, Direction, EMBEDDED, Event, Goal, Migration, Migrator, OnPending, Set, StartupPolicy,
};
use optiinfra_db::{Error, adopt};

use crate::support::{Dbctl, Pooler, TestDb, number, server_says, take_migration_lock, until};

const GOOD: Migration = Migration {
    version: "00000000000001",
    name: "1_good",
    in_transaction: true,
    up: "CREATE TABLE good (a int)",
    down: "DROP TABLE good",
};
const BAD: Migration = Migration {
    version: "00000000000002",
    name: "2_bad",
    up: "CREATE TABLE bad (a int); SELECT 1 / 0",
    down: "DROP TABLE bad",
    ..GOOD
};

const RELATIONS: &str = "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace";
const HISTORY: &str = "SELECT count(*) FROM __diesel_schema_migrations";
const LOCKS: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()";

fn names(steps: &[migrate::Step]) -> Vec<&str> {
    steps.iter().map(|step| step.name.as_str()).collect()
}

fn embedded_names() -> Vec<&'static str> {
    EMBEDDED.iter().map(|migration| migration.name).collect()
}

#[test]
fn an_empty_schema_has_everything_pending_and_looking_creates_nothing() {
    let db = TestDb::empty();
    let status = migrate::status(&mut db.conn()).unwrap();
    assert_eq!(status.pending.len(), EMBEDDED.len());
    assert!(status.applied.is_empty() && status.unknown.is_empty());
    assert!(
        matches!(status.require_current(), Err(Error::Migrate(migrate::Error::Behind { pending })) if pending == embedded_names())
    );
    assert_eq!(number(&mut db.conn(), RELATIONS), 0);
}

#[test]
fn a_run_applies_everything_in_order_and_a_second_one_does_nothing() {
    let db = TestDb::empty();
    let first = migrate::ensure_current(&mut db.conn(), &StartupPolicy::default()).unwrap();
    assert_eq!(names(&first.steps), embedded_names());
    assert!(first.steps.iter().all(|step| step.direction == Direction::Apply && step.seconds > 0.0));
    assert_eq!(first.head.as_deref(), embedded_names().last().copied());
    let second = migrate::ensure_current(&mut db.conn(), &StartupPolicy::default()).unwrap();
    assert!(second.steps.is_empty());
    assert_eq!(second.head, first.head);
    migrate::status(&mut db.conn()).unwrap().require_current().unwrap();
}

#[test]
fn nothing_pending_takes_no_lock_and_works_for_a_reader_on_a_read_only_session() {
    let db = TestDb::empty().migrate();
    let reader = db.reader();
    let mut conn = PgConnection::establish(&db.url_as(&reader.name)).unwrap();
    conn.batch_execute("SET default_transaction_read_only = on").unwrap();
    let mut holder = db.conn();
    take_migration_lock(&mut holder);
    assert!(migrate::ensure_current(&mut conn, &StartupPolicy::default()).unwrap().steps.is_empty());
    holder.batch_execute("SELECT pg_advisory_unlock_all()").unwrap();
}

#[test]
fn a_run_that_waits_says_for_whom_and_gives_up_in_time() {
    let db = TestDb::empty();
    let mut holder = db.conn();
    take_migration_lock(&mut holder);

    let told = RefCell::new(Vec::new());
    let begin = Instant::now();
    let error = Migrator::default()
        .lock_wait(Duration::from_millis(300))
        .observer(|event| {
            if let Event::Waiting { holder } = event {
                told.borrow_mut().push(holder.map(str::to_owned));
            }
        })
        .run(&mut db.conn(), &Goal::Head)
        .unwrap_err();
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert!(
        matches!(&error, Error::Migrate(migrate::Error::Locked { holder: Some(holder), .. }) if holder.starts_with("test, process ")),
        "{error:?}"
    );
    assert_eq!(told.borrow().len(), 1, "told once, however long it waits");
    assert!(told.borrow()[0].as_deref().unwrap().starts_with("test, process "));
    assert_eq!(number(&mut db.conn(), RELATIONS), 0);

    holder.batch_execute("SELECT pg_advisory_unlock_all()").unwrap();
    migrate::ensure_current(&mut db.conn(), &StartupPolicy::default()).unwrap();
}

#[test]
fn the_lock_is_given_back_after_success_and_after_failure() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    Migrator::default().set(&[GOOD]).run(&mut conn, &Goal::Head).unwrap();
    assert_eq!(number(&mut conn, LOCKS), 0);
    Migrator::default().set(&[GOOD, BAD]).run(&mut conn, &Goal::Head).unwrap_err();
    assert_eq!(number(&mut conn, LOCKS), 0);
}

#[test]
fn a_failing_migration_leaves_the_ones_before_it_and_nothing_of_itself() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    let error = Migrator::default().set(&[GOOD, BAD]).run(&mut conn, &Goal::Head).unwrap_err();
    assert!(matches!(&error, Error::Migrate(migrate::Error::Failed { name, .. }) if name == "2_bad"));
    assert_eq!(number(&mut conn, HISTORY), 1);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('bad')"), 0);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM good"), 0);

    let mended = Migration { up: "CREATE TABLE bad (a int)", ..BAD };
    let report = Migrator::default().set(&[GOOD, mended]).run(&mut conn, &Goal::Head).unwrap();
    assert_eq!(names(&report.steps), ["2_bad"]);
}

#[test]
fn a_database_ahead_of_the_binary_is_refused_by_name() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    Migrator::default().set(&[GOOD]).run(&mut conn, &Goal::Head).unwrap();
    let later = Migration { version: "00000000000003", name: "3_later", ..BAD };
    for error in [
        Migrator::default().set(&[later]).run(&mut conn, &Goal::Head).unwrap_err(),
        Migrator::default().set(&[later]).run(&mut conn, &Goal::Back(1)).unwrap_err(),
    ] {
        assert!(
            matches!(&error, Error::Migrate(migrate::Error::Ahead { unknown }) if unknown == &["1_good"]),
            "{error:?}"
        );
    }
}

#[test]
fn tables_of_our_names_without_a_history_are_left_alone() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    conn.batch_execute("CREATE TABLE agents (mine text); CREATE VIEW events AS SELECT 1 AS one").unwrap();
    let error = migrate::ensure_current(&mut conn, &StartupPolicy::default()).unwrap_err();
    assert!(
        matches!(&error, Error::Migrate(migrate::Error::Occupied { tables, by_alembic: false }) if tables == &["agents", "events"]),
        "{error:?}"
    );
    assert_eq!(
        number(&mut conn, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('__diesel_schema_migrations')"),
        0
    );
}

#[test]
fn reverting_goes_so_many_steps_or_to_a_version_or_to_nothing() {
    let db = TestDb::empty().migrate();
    let mut conn = db.conn();
    let mut migrator = Migrator::default();
    let newest_first: Vec<_> = embedded_names().into_iter().rev().collect();

    let steps = migrator.run(&mut conn, &Goal::Back(2)).unwrap();
    assert_eq!(names(&steps.steps), newest_first[..2]);
    assert_eq!(steps.head.as_deref(), Some(newest_first[2]));

    let to = Goal::Version("2025-10-19-160000_agent_state_tables".to_owned());
    let version = migrator.run(&mut conn, &to).unwrap();
    assert_eq!(version.head.as_deref(), Some("2025-10-19-160000_agent_state_tables"));
    assert!(migrator.run(&mut conn, &to).unwrap().steps.is_empty(), "it is there already");

    let rest = migrator.run(&mut conn, &Goal::Nothing).unwrap();
    assert_eq!(rest.head, None);
    assert_eq!(number(&mut conn, HISTORY), 0);
    migrate::ensure_current(&mut conn, &StartupPolicy::default()).unwrap();
}

#[test]
fn a_version_that_does_not_exist_is_no_goal() {
    let db = TestDb::empty().migrate();
    let mut conn = db.conn();
    Migrator::default().run(&mut conn, &Goal::Back(1)).unwrap();
    for text in ["1999", "core_schema"] {
        let error = Migrator::default().run(&mut conn, &Goal::Version(text.to_owned())).unwrap_err();
        assert!(matches!(error, Error::Migrate(migrate::Error::UnknownVersion(_))), "{error:?}");
    }
    assert_eq!(number(&mut conn, HISTORY), i64::try_from(EMBEDDED.len()).unwrap() - 1);
}

#[test]
fn what_a_revert_would_lose_is_counted_and_nothing_is_lost() {
    let db = TestDb::empty().migrate();
    let mut conn = db.conn();
    crate::support::customer(&mut conn);
    let to = Goal::Version("20251019160000".to_owned());
    let loss = Migrator::default().loss(&mut conn, &to).unwrap();
    assert_eq!(loss.migrations.len(), EMBEDDED.len() - 2);
    let tables: Vec<_> = loss.tables.keys().map(String::as_str).collect();
    assert_eq!(
        tables,
        [
            "quality_baselines",
            "quality_metrics",
            "quality_metrics_hourly",
            "quality_regressions",
            "resource_metrics",
            "resource_metrics_hourly",
            "scaling_events",
            "workflow_artifacts",
            "workflow_executions",
            "workflow_steps",
        ]
    );
    assert_eq!(loss.columns.keys().map(String::as_str).collect::<Vec<_>>(), ["agent_states.current_workflow_id"]);

    let all = Migrator::default().loss(&mut conn, &Goal::Nothing).unwrap();
    assert_eq!(all.tables["customers"], 1);
    assert_eq!(all.tables.len(), 20);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM customers"), 1);
    migrate::status(&mut conn).unwrap().require_current().unwrap();
}

#[test]
fn a_down_that_fails_is_named_before_anything_is_lost() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    let stuck = Migration { down: "DROP TABLE nowhere", ..GOOD };
    Migrator::default().set(&[stuck]).run(&mut conn, &Goal::Head).unwrap();
    let error = Migrator::default().set(&[stuck]).loss(&mut conn, &Goal::Nothing).unwrap_err();
    assert!(matches!(&error, Error::Migrate(migrate::Error::Failed { name, .. }) if name == "1_good"), "{error:?}");
}

#[test]
fn diesel_reads_the_same_migrations_and_its_harness_runs_ours() {
    use diesel::migration::MigrationSource;
    let folder = FileBasedMigrations::from_path(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    let mut versions: Vec<_> = MigrationSource::<diesel::pg::Pg>::migrations(&folder)
        .unwrap()
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    versions.sort();
    assert_eq!(versions, EMBEDDED.iter().map(|migration| migration.version).collect::<Vec<_>>());

    let db = TestDb::empty();
    let mut conn = db.conn();
    conn.run_pending_migrations(Set(EMBEDDED)).unwrap();
    migrate::status(&mut conn).unwrap().require_current().unwrap();
    Migrator::default().run(&mut conn, &Goal::Version(EMBEDDED[6].version.to_owned())).unwrap();
    let version = conn.run_next_migration(folder).unwrap();
    assert_eq!(version.to_string(), EMBEDDED[7].version, "diesel_cli's view of our history");
}

#[test]
fn a_file_of_several_statements_outside_a_transaction_is_for_our_runner_and_not_for_diesel_cli() {
    let several = |migration: &Migration| !migration.in_transaction && migration.up.matches(';').count() > 1;
    let at = EMBEDDED.iter().position(several).unwrap();
    let db = TestDb::empty();
    let mut conn = db.conn();
    Migrator::default().run(&mut conn, &Goal::Version(EMBEDDED[at - 1].version.to_owned())).unwrap();
    let folder = FileBasedMigrations::from_path(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    let refused = conn.run_next_migration(folder).unwrap_err().to_string();
    let in_block = server_says(&mut db.conn(), "BEGIN; CREATE INDEX CONCURRENTLY i ON events (id)");
    assert!(refused.contains(&in_block), "{refused}");
    assert_eq!(migrate::status(&mut conn).unwrap().pending[0].version, EMBEDDED[at].version, "nothing has happened");
    conn.run_next_migration(Set(EMBEDDED)).unwrap();
    assert_eq!(migrate::status(&mut conn).unwrap().applied.len(), at + 1);
}

#[test]
fn several_runs_at_once_apply_each_migration_once() {
    let db = TestDb::empty();
    let barrier = std::sync::Barrier::new(6);
    let applied: usize = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut conn = db.conn();
                    barrier.wait();
                    migrate::ensure_current(&mut conn, &StartupPolicy::default()).unwrap().steps.len()
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    });
    assert_eq!(applied, EMBEDDED.len());
    assert_eq!(number(&mut db.conn(), HISTORY), i64::try_from(EMBEDDED.len()).unwrap());
}

#[test]
fn a_version_is_reached_forward_and_back_and_redo_comes_back_to_where_it_was() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    let to = |version: &str| Goal::Version(version.to_owned());
    let forward = Migrator::default().run(&mut conn, &to("20251019200000")).unwrap();
    assert_eq!(forward.head.as_deref(), Some("2025-10-19-200000_workflow_history"));
    assert_eq!(forward.steps.len(), 3);
    let back = Migrator::default().run(&mut conn, &to("2025-10-19-120000")).unwrap();
    let directions: Vec<_> = back.steps.iter().map(|step| step.direction).collect();
    assert_eq!(directions, [Direction::Revert, Direction::Revert]);
    assert_eq!(back.head.as_deref(), Some("2025-10-19-120000_core_schema"));

    Migrator::default().run(&mut conn, &Goal::Head).unwrap();
    let redo = Migrator::default().run(&mut conn, &Goal::Redo(2)).unwrap();
    let directions: Vec<_> = redo.steps.iter().map(|step| step.direction).collect();
    assert_eq!(directions, [Direction::Revert, Direction::Revert, Direction::Apply, Direction::Apply]);
    migrate::status(&mut conn).unwrap().require_current().unwrap();
}

#[test]
fn a_wait_that_no_clock_can_express_never_ends_and_none_ends_at_once() {
    for wait in [Duration::MAX, Duration::from_secs_f64(1e19), Duration::ZERO, Duration::from_nanos(1)] {
        let db = TestDb::empty();
        let report = Migrator::default().set(&[GOOD]).lock_wait(wait).run(&mut db.conn(), &Goal::Head).unwrap();
        assert_eq!(names(&report.steps), ["1_good"], "{wait:?}");
    }
    // Where somebody is in the way, of another run and of a table.
    let db = TestDb::empty();
    Migrator::default().set(&[GOOD]).run(&mut db.conn(), &Goal::Head).unwrap();
    let drop = Migration { version: "00000000000002", name: "2_drop", up: "DROP TABLE good", down: "", ..GOOD };
    let other_run =
        "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended(current_database() || '/' || current_schema(), 8062025))";
    for blocking in [other_run, "BEGIN; SELECT * FROM good"] {
        for wait in [Duration::ZERO, Duration::from_nanos(1)] {
            let mut holder = db.conn();
            holder.batch_execute(blocking).unwrap();
            let error =
                Migrator::default().set(&[GOOD, drop]).lock_wait(wait).run(&mut db.conn(), &Goal::Head).unwrap_err();
            let is_locked =
                matches!(error, Error::Migrate(migrate::Error::Locked { .. } | migrate::Error::TableLocked { .. }));
            assert!(is_locked, "{wait:?}: {error:?}");
        }
        std::thread::scope(|scope| {
            let mut holder = db.conn();
            holder.batch_execute(blocking).unwrap();
            let (met, waits) = std::sync::mpsc::channel();
            let db = &db;
            let waiting = scope.spawn(move || {
                let set = [GOOD, drop];
                let migrator = Migrator::default().set(&set).lock_wait(Duration::MAX);
                let mut migrator = migrator.observer(move |event| {
                    if matches!(event, Event::Waiting { .. } | Event::Begin(..)) {
                        met.send(()).unwrap();
                    }
                });
                migrator.run(&mut db.conn(), &Goal::Head).map(|report| report.steps.len())
            });
            waits.recv().unwrap();
            holder.batch_execute("ROLLBACK").unwrap();
            assert_eq!(waiting.join().unwrap().unwrap(), 1);
        });
        let recreate = Migration { down: "CREATE TABLE good (a int)", ..drop };
        Migrator::default().set(&[GOOD, recreate]).run(&mut db.conn(), &Goal::Back(1)).unwrap();
    }
}

#[test]
fn a_start_may_wait_for_a_peer_without_end() {
    for pending in [OnPending::Apply, OnPending::Wait] {
        let db = TestDb::empty();
        let policy = StartupPolicy { pending, wait: Duration::MAX, ..StartupPolicy::default() };
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| migrate::ensure_current(&mut db.conn(), &policy));
            Migrator::default().run(&mut db.conn(), &Goal::Head).unwrap();
            waiting.join().unwrap().unwrap();
        });
    }
}

#[test]
fn a_search_path_without_a_schema_is_an_error_of_every_operation() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    conn.batch_execute("SET search_path = typo").unwrap();
    let mut migrator = Migrator::default();
    for result in [
        migrator.status(&mut conn).map(drop),
        migrator.plan(&mut conn, &Goal::Head).map(drop),
        migrator.run(&mut conn, &Goal::Head).map(drop),
        migrator.loss(&mut conn, &Goal::Nothing).map(drop),
        migrator.repair(&mut conn, "why").map(drop),
        migrate::ensure_current(&mut conn, &StartupPolicy::default()).map(drop),
        migrate::is_ready(&mut conn).map(drop),
        adopt::run(&mut conn, true).map(drop),
    ] {
        let error = result.unwrap_err();
        assert!(error.to_string().contains("typo"), "{error:?}");
    }
}

#[test]
fn tables_in_a_later_schema_of_the_search_path_are_not_hidden_by_new_ones() {
    let db = TestDb::migrated();
    let mut conn = db.conn();
    let path = format!("CREATE SCHEMA front; SET search_path = front, {}", db.schema());
    conn.batch_execute(&path).unwrap();
    for error in [
        Migrator::default().run(&mut conn, &Goal::Head).unwrap_err(),
        Migrator::default().plan(&mut conn, &Goal::Head).unwrap_err(),
        migrate::ensure_current(&mut conn, &StartupPolicy::default()).unwrap_err(),
    ] {
        let is_it = |current: &str, found: &str| current == "front" && found == db.schema();
        assert!(
            matches!(&error, Error::Migrate(migrate::Error::InstalledElsewhere { current, found }) if is_it(current, found)),
            "{error:?}"
        );
    }
    assert_eq!(number(&mut conn, RELATIONS), 0, "nothing is created in front");
    // Another program's tables further down are no reason, not even one that is called like ours.
    conn.batch_execute(
        "CREATE SCHEMA other; CREATE TABLE other.customers (a int);
         CREATE TABLE other.__diesel_schema_migrations (version text); SET search_path = front, other",
    )
    .unwrap();
    migrate::ensure_current(&mut conn, &StartupPolicy::default()).unwrap();
}

#[test]
fn more_steps_than_are_applied_are_refused() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    let too_few = |result: optiinfra_db::Result<migrate::Report>, steps: usize, applied: usize| match result {
        Err(Error::Migrate(migrate::Error::TooFewApplied { steps: s, applied: a })) => {
            assert_eq!((s, a), (steps, applied));
        }
        other => panic!("{other:?}"),
    };
    too_few(Migrator::default().set(&[GOOD]).run(&mut conn, &Goal::Back(1)), 1, 0);
    Migrator::default().set(&[GOOD]).run(&mut conn, &Goal::Head).unwrap();
    for steps in [2, 99, usize::MAX] {
        too_few(Migrator::default().set(&[GOOD]).run(&mut conn, &Goal::Back(steps)), steps, 1);
        too_few(Migrator::default().set(&[GOOD]).run(&mut conn, &Goal::Redo(steps)), steps, 1);
    }
    assert_eq!(number(&mut conn, "SELECT count(*) FROM good"), 0, "nothing was reverted");

    let run = Dbctl::on(&TestDb::migrated()).run("migrate revert --steps 99 --yes");
    assert_eq!(run.code, Some(2), "{run:#?}");
    assert!(
        run.stderr.contains(&format!("99 migrations cannot be reverted: {} are applied", EMBEDDED.len())),
        "{run:#?}"
    );
}

#[test]
fn a_role_that_may_have_one_connection_can_migrate() {
    let db = TestDb::empty();
    let role = db.role();
    let limit = format!("ALTER ROLE {0} CONNECTION LIMIT 1; GRANT ALL ON SCHEMA {1} TO {0}", role.name, db.schema());
    db.conn().batch_execute(&limit).unwrap();
    for command in ["migrate", "migrate status --check", "migrate revert --steps 1 --yes", "migrate"] {
        let run = Dbctl::new().env("DATABASE_URL", &db.url_as(&role.name)).run(command);
        assert_eq!(run.code, Some(0), "{command}: {run:#?}");
    }
}

#[test]
fn a_database_that_takes_one_connection_can_be_migrated_and_a_pooler_that_takes_one_is_refused() {
    let db = TestDb::empty();
    let role = db.role();
    db.conn()
        .batch_execute(&format!(
            "ALTER DATABASE {} CONNECTION LIMIT 1; GRANT ALL ON SCHEMA {} TO {}",
            db.database(),
            db.schema(),
            role.name
        ))
        .unwrap();
    for command in ["migrate", "migrate status --check", "verify", "stats"] {
        let run = Dbctl::new().env("DATABASE_URL", &db.url_as(&role.name)).run(command);
        assert_eq!(run.code, Some(0), "{command}: {run:#?}");
    }

    let Some(pooler) = Pooler::for_clients("session", 5, 1) else { return };
    let target = Target::parse(&pooler.url(db.database())).unwrap();
    let mut conn = None;
    // The connection that found it started may not be gone yet.
    until("the pooler has a place", Duration::from_secs(1), || {
        conn = connection::connect(&target, "test").ok();
        conn.is_some()
    });
    let error = migrate::refuse_pooler(&mut conn.unwrap(), &target).unwrap_err();
    assert!(matches!(error, Error::Migrate(migrate::Error::NoSecondConnection { .. })), "{error:?}");
}
