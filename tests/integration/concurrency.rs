//! Many runs at once, runs that are killed, servers that are stopped, poolers, readers beside a migration, signals.
//!
//! What depends on chance is repeated: a little in every run, as often as the project promises with `OPTIINFRA_SOAK=1`.
//! A sleep here ends at a random moment of what it disturbs; everything else waits for a condition.

use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;
use std::process::Child;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use nix::sys::signal::{Signal, kill};
use optiinfra_db::Error;
use optiinfra_db::catalog::{self, Catalog, Kind};
use optiinfra_db::connection::{self, Target};
use optiinfra_db::local::Status;
use optiinfra_db::migrate::{self, EMBEDDED, Goal, Migration, Migrator, StartupPolicy, TextState};

use crate::support::{
    Dbctl, Pooler, Run, Scratch, TestDb, figures, limit, migration_locks, number, rounds, signal, spread,
    take_migration_lock, until,
};

const SECOND: Duration = Duration::from_secs(1);
/// The migration that changes a table of its forerunners, so that a reader of `quality_metrics` makes it wait.
const ALTERING: &str = "2025-10-21-090000_utc_timestamps";
const BEFORE_ALTERING: &str = "20251020180000";
const READ_QUALITY: &str = "BEGIN; SELECT * FROM quality_metrics";

const TABLE: Migration = Migration {
    version: "00000000000001",
    name: "1_table",
    in_transaction: true,
    up: "CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 20000)",
    down: "DROP TABLE t",
};
const COLUMN: Migration = Migration {
    version: "00000000000002",
    name: "2_column",
    up: "-- optiinfra: lock_timeout = 500ms\nALTER TABLE t ADD COLUMN b int",
    down: "ALTER TABLE t DROP COLUMN b",
    ..TABLE
};
const INDEXES: Migration = Migration {
    version: "00000000000003",
    name: "3_indexes",
    in_transaction: false,
    up: "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON t (a); CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_a_key ON t (a);",
    down: "DROP INDEX CONCURRENTLY IF EXISTS t_a_key; DROP INDEX CONCURRENTLY IF EXISTS t_a;",
};

/// Random moments of a run, from its begin to a little behind its end.
struct Moments {
    /// How long a run takes. The machine has more to do at one time than at another, so each run corrects it.
    run: Duration,
}

impl Moments {
    fn new() -> Self {
        Self { run: Duration::from_millis(300) }
    }

    fn wait(&self) {
        std::thread::sleep(self.run.mul_f64(fastrand::f64()));
    }

    /// So many migrations were applied by then. About a third of the moments come to lie behind the end.
    fn learn(&mut self, applied: usize) {
        self.run = self.run.mul_f64(if applied == EMBEDDED.len() { 0.8 } else { 1.1 });
    }
}

/// The catalogue after each number of migrations, from none to all.
fn catalogues() -> &'static [Catalog] {
    static CATALOGUES: OnceLock<Vec<Catalog>> = OnceLock::new();
    CATALOGUES.get_or_init(|| {
        let db = TestDb::empty();
        let mut conn = db.conn();
        let mut catalogues = vec![catalog::read(&mut conn).unwrap()];
        for migration in EMBEDDED {
            Migrator::default().run(&mut conn, &Goal::Version(migration.version.to_owned())).unwrap();
            catalogues.push(catalog::read(&mut conn).unwrap());
        }
        catalogues
    })
}

/// Checks that the schema and both histories hold a whole number of migrations, and says how many. Of one that is no
/// transaction and was interrupted, some of the indexes may be there and others not.
#[track_caller]
fn whole_number(conn: &mut PgConnection) -> usize {
    let status = migrate::status(conn).unwrap();
    let applied: Vec<_> = status.applied.iter().map(|applied| applied.name.as_str()).collect();
    let first: Vec<_> = EMBEDDED.iter().take(applied.len()).map(|migration| migration.name).collect();
    assert_eq!(applied, first, "the first ones, without a gap");
    let complete = |applied: &migrate::Applied| applied.seconds.is_some() && applied.text == TextState::Same;
    assert!(status.applied.iter().all(complete) && status.unknown.is_empty(), "{status:#?}");
    let found = catalog::read(conn).unwrap();
    let differences = catalogues()[applied.len()].differences(&found);
    let is_begun = status.pending.first().is_some_and(|pending| pending.statements_done.is_some());
    let on_the_way = if is_begun { changes_of(applied.len()) } else { BTreeSet::new() };
    let stray: Vec<_> = differences.iter().filter(|d| !on_the_way.contains(&d.entry().name())).collect();
    assert!(stray.is_empty(), "after {} migrations: {stray:#?}", applied.len());
    applied.len()
}

/// The objects that the migration behind so many others changes: indexes, if it is no transaction.
fn changes_of(applied: usize) -> BTreeSet<String> {
    assert!(!EMBEDDED[applied].in_transaction);
    let changes = catalogues()[applied].differences(&catalogues()[applied + 1]);
    assert!(changes.iter().all(|change| change.entry().kind() == Kind::Index), "{changes:#?}");
    changes.iter().map(|change| change.entry().name()).collect()
}

/// How often which number of migrations was there.
fn tally(counts: &[usize]) -> String {
    let times = |number| counts.iter().filter(|count| **count == number).count();
    let tally: Vec<_> = (0..=EMBEDDED.len()).map(|number| format!("{number}: {}", times(number))).collect();
    tally.join(", ")
}

#[test]
fn sixteen_processes_at_once_apply_each_version_once() {
    let mut times = Vec::new();
    for _ in 0..rounds(2, 20) {
        let db = TestDb::empty();
        let begin = Instant::now();
        let children: Vec<_> = (0..16).map(|_| Dbctl::on(&db).spawn("migrate --format json")).collect();
        let runs: Vec<_> = children.into_iter().map(Run::of).collect();
        times.push(begin.elapsed());
        let mut applied = Vec::new();
        for run in &runs {
            assert_eq!(run.code, Some(0), "{run:#?}");
            let steps = run.json()["steps"].as_array().unwrap().clone();
            applied.extend(steps.iter().map(|step| step["name"].as_str().unwrap().to_owned()));
        }
        applied.sort();
        assert_eq!(applied, EMBEDDED.iter().map(|migration| migration.name).collect::<Vec<_>>());
        assert_eq!(whole_number(&mut db.conn()), EMBEDDED.len());
        assert_eq!(migration_locks(&mut db.conn()), 0);
    }
    figures(&format!("16 processes at once: {}, each version applied once, all exit 0, no lock left", spread(&times)));
}

#[test]
fn a_killed_run_leaves_a_whole_number_of_migrations_and_no_lock() {
    let mut moments = Moments::new();
    let (mut counts, mut freed) = (Vec::new(), Vec::new());
    for _ in 0..rounds(10, 200) {
        let db = TestDb::empty();
        let mut child = Dbctl::on(&db).spawn("migrate");
        moments.wait();
        signal(&child, Signal::SIGKILL);
        child.wait().unwrap();
        let mut conn = db.conn();
        freed.push(until("the lock is free", 2 * SECOND, || migration_locks(&mut conn) == 0));
        let applied = whole_number(&mut conn);
        moments.learn(applied);
        counts.push(applied);
        let next = Dbctl::on(&db).run("migrate");
        assert_eq!(next.code, Some(0), "{next:#?}");
        assert_eq!(whole_number(&mut conn), EMBEDDED.len());
    }
    figures(&format!("kill -9: migrations left: {}; lock free after: {}", tally(&counts), spread(&freed)));
}

/// A session in a transaction that others have to wait for, until it is dropped. In a database where nothing else is, so
/// that who waits is the run that the test has started.
struct Blocker {
    /// To look with: a transaction sees the other sessions as they were when it looked first.
    observer: PgConnection,
    pid: i64,
    _session: PgConnection,
}

impl Blocker {
    fn new(db: &TestDb, transaction: &str) -> Self {
        let mut session = db.conn();
        session.batch_execute(transaction).unwrap();
        let pid = number(&mut session, "SELECT pg_backend_pid()::bigint");
        Self { observer: db.conn(), pid, _session: session }
    }

    /// The server process that waits for the session.
    fn waiting(&mut self) -> Option<i64> {
        let pid = self.pid;
        let query = format!(
            "SELECT coalesce(max(pid), 0)::bigint FROM pg_stat_activity WHERE {pid} = ANY (pg_blocking_pids(pid))"
        );
        Some(number(&mut self.observer, &query)).filter(|pid| *pid != 0)
    }

    #[track_caller]
    fn until_somebody_waits(&mut self) -> i64 {
        let mut pid = None;
        until("the run waits for us", 20 * SECOND, || {
            pid = self.waiting();
            pid.is_some()
        });
        pid.unwrap()
    }
}

/// A database whose next migration has to wait for a reader.
fn blocked() -> (TestDb, Blocker) {
    let db = TestDb::empty();
    Migrator::default().run(&mut db.conn(), &Goal::Version(BEFORE_ALTERING.to_owned())).unwrap();
    let reader = Blocker::new(&db, READ_QUALITY);
    (db, reader)
}

fn session_exists(conn: &mut PgConnection, pid: i64) -> bool {
    number(conn, &format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}")) == 1
}

#[test]
fn the_server_notices_within_two_seconds_that_a_run_was_killed_in_a_long_statement() {
    let mut gone = Vec::new();
    for _ in 0..rounds(2, 20) {
        let (db, mut reader) = blocked();
        let mut child = Dbctl::on(&db).spawn("migrate");
        let pid = reader.until_somebody_waits();
        assert_eq!(migration_locks(&mut reader.observer), 1);
        signal(&child, Signal::SIGKILL);
        child.wait().unwrap();
        gone.push(until("the session is gone", 2 * SECOND, || !session_exists(&mut reader.observer, pid)));
        assert_eq!(migration_locks(&mut reader.observer), 0);
        assert_eq!(whole_number(&mut db.conn()), 5);
    }
    figures(&format!("kill -9 in a long statement: session and lock gone after: {}", spread(&gone)));
}

#[test]
fn a_server_that_is_stopped_at_once_leaves_a_whole_number_of_migrations() {
    let scratch = Scratch::new();
    scratch.cluster.start().unwrap();
    let new_schema = |round: usize| {
        let mut conn = connection::connect(&scratch.cluster.target(), "test").unwrap();
        conn.batch_execute(&format!("CREATE SCHEMA s{round}")).unwrap();
        format!("{}&options=-csearch_path%3Ds{round}", scratch.cluster.url())
    };
    let migrate = |url: &str| Dbctl::new().env("DATABASE_URL", url).spawn("migrate");
    let mut moments = Moments::new();
    let (mut counts, mut codes) = (Vec::new(), Vec::new());
    for round in 0..rounds(2, 20) {
        let url = new_schema(round);
        let child = migrate(&url);
        moments.wait();
        // What `pg_ctl stop -m immediate` sends.
        kill(scratch.pid(), Signal::SIGQUIT).unwrap();
        let run = Run::of(child);
        assert!(matches!(run.code, Some(0 | 3 | 5)), "{run:#?}");
        codes.push(run.code.unwrap());
        let stopped = || !matches!(scratch.cluster.status().unwrap(), Status::Running { .. });
        until("the server is gone", 20 * SECOND, stopped);
        scratch.cluster.start().unwrap();
        let mut conn = connection::connect(&Target::parse(&url).unwrap(), "test").unwrap();
        assert_eq!(migration_locks(&mut conn), 0);
        let applied = whole_number(&mut conn);
        moments.learn(applied);
        counts.push(applied);
        let again = Run::of(migrate(&url));
        assert_eq!(again.code, Some(0), "{again:#?}");
        assert_eq!(whole_number(&mut conn), EMBEDDED.len());
    }
    codes.sort_unstable();
    figures(&format!("immediate stops: migrations left: {}; exit codes {codes:?}", tally(&counts)));
}

/// Runs something while others use the pooler.
fn beside_traffic<T>(url: &str, threads: usize, run: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut conn = PgConnection::establish(url).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    conn.batch_execute("BEGIN; SELECT pg_sleep(0.0005); COMMIT").unwrap();
                }
            });
        }
        let result = run();
        stop.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn through_a_transaction_pooler_migrate_is_refused_and_changes_nothing() {
    let tries = rounds(4, 50);
    for (size, threads) in [(1, 0), (5, 0), (1, 3), (5, 3), (5, 8)] {
        let Some(pooler) = Pooler::start("transaction", size) else { return };
        let db = TestDb::bare();
        let url = pooler.url(db.database());
        beside_traffic(&url, threads, || {
            for _ in 0..tries {
                let run = Dbctl::new().env("DATABASE_URL", &url).run("migrate");
                assert_eq!(run.code, Some(2), "{run:#?}");
                assert!(run.stderr.contains("a transaction pooler is between"), "{run:#?}");
                assert!(run.stderr.contains("give the URL of the server itself"), "{run:#?}");
            }
        });
        let mut conn = db.conn();
        assert_eq!(number(&mut conn, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"), 0);
        assert_eq!(migration_locks(&mut conn), 0);
        figures(&format!("PgBouncer, pool of {size}, {threads} others: {tries} of {tries} runs refused, 0 changes"));
    }
}

#[test]
fn through_a_session_pooler_everything_works() {
    let Some(pooler) = Pooler::start("session", 20) else { return };
    let db = TestDb::bare();
    let url = pooler.url(db.database());
    for command in ["migrate status", "migrate", "migrate status --check", "seed --all", "verify --seed", "stats"] {
        let run = Dbctl::new().env("DATABASE_URL", &url).run(command);
        assert_eq!(run.code, Some(0), "{command}: {run:#?}");
    }
    assert_eq!(whole_number(&mut db.conn()), EMBEDDED.len());
    assert_eq!(migration_locks(&mut db.conn()), 0);
}

#[test]
fn readers_beside_a_migration_that_meets_a_lock_wait_no_longer_than_its_limit() {
    let db = TestDb::empty();
    Migrator::default().set(&[TABLE]).run(&mut db.conn(), &Goal::Head).unwrap();
    let mut blocker = db.conn();
    blocker.batch_execute("BEGIN; SELECT count(*) FROM t").unwrap();
    let stop = AtomicBool::new(false);
    let times: Vec<Duration> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut conn = db.conn();
                    let mut times = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let begin = Instant::now();
                        number(&mut conn, "SELECT count(*) FROM (SELECT FROM t LIMIT 1) AS one");
                        times.push(begin.elapsed());
                    }
                    times
                })
            })
            .collect();
        let result = Migrator::default()
            .set(&[TABLE, COLUMN])
            .lock_wait(Duration::from_secs(if rounds(0, 1) == 0 { 3 } else { 30 }))
            .run(&mut db.conn(), &Goal::Head);
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(&result, Err(Error::Migrate(migrate::Error::TableLocked { .. }))), "{result:?}");
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    });
    let longest = times.iter().max().unwrap();
    assert!(*longest > Duration::from_millis(100), "the readers met the migration: {longest:?}");
    assert!(*longest <= limit(Duration::from_millis(500 + 500)), "{longest:?}");
    assert_eq!(number(&mut blocker, "SELECT count(*) FROM __diesel_schema_migrations"), 1);
    figures(&format!("reads beside ALTER TABLE with lock_timeout 500 ms: {}", spread(&times)));
}

#[test]
fn a_run_that_does_not_get_a_table_in_time_is_exit_4_with_nothing_applied() {
    let (db, _reader) = blocked();
    let begin = Instant::now();
    let run = Dbctl::on(&db).run("migrate --lock-wait 1");
    assert_eq!(run.code, Some(4), "{run:#?}");
    assert!(run.stderr.contains(&format!("migration {ALTERING} could not get a lock")), "{run:#?}");
    assert!(begin.elapsed() < limit(4 * SECOND));
    assert_eq!(whole_number(&mut db.conn()), 5);
    assert_eq!(migration_locks(&mut db.conn()), 0);
}

#[test]
fn runs_that_wait_beside_a_concurrent_index_build_do_not_stand_in_its_way() {
    let set = [TABLE, INDEXES];
    let mut times = Vec::new();
    for _ in 0..rounds(3, 20) {
        // Of its own, because a build waits for every older snapshot in the database.
        let db = TestDb::bare();
        let barrier = std::sync::Barrier::new(9);
        let begin = Instant::now();
        let applied: usize = std::thread::scope(|scope| {
            let run = || {
                let mut conn = db.conn();
                barrier.wait();
                Migrator::default().set(&set).run(&mut conn, &Goal::Head).unwrap().steps.len()
            };
            let runs: Vec<_> = (0..9).map(|_| scope.spawn(run)).collect();
            runs.into_iter().map(|run| run.join().unwrap()).sum()
        });
        times.push(begin.elapsed());
        assert_eq!(applied, set.len());
        let valid = "SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND";
        assert_eq!(number(&mut db.conn(), &format!("{valid} indisvalid")), 2);
        assert_eq!(number(&mut db.conn(), &format!("{valid} NOT indisvalid")), 0);
    }
    figures(&format!("8 waiters beside CREATE INDEX CONCURRENTLY: {}, 0 deadlocks, 0 invalid indexes", spread(&times)));
}

#[test]
fn a_start_with_nothing_pending_costs_little_more_than_connecting() {
    let db = TestDb::migrated();
    let time = |work: &dyn Fn(&mut PgConnection)| {
        let begin = Instant::now();
        work(&mut db.conn());
        begin.elapsed()
    };
    let (mut bare, mut start) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        bare.push(time(&|conn| assert_eq!(number(conn, "SELECT 1::bigint"), 1)));
        start.push(time(&|conn| {
            assert!(migrate::ensure_current(conn, &StartupPolicy::default()).unwrap().steps.is_empty());
        }));
    }
    figures(&format!("connect and SELECT 1: {}; connect and ensure_current: {}", spread(&bare), spread(&start)));
}

/// Sends a signal to a run that does something, and sees it end in time.
#[track_caller]
fn interrupt(child: Child, with: Signal, code: i32, state: &str) -> Duration {
    let begin = Instant::now();
    signal(&child, with);
    let run = Run::of(child);
    let took = begin.elapsed();
    assert_eq!(run.code, Some(code), "{run:#?}");
    assert!(took < limit(2 * SECOND), "{took:?} {run:#?}");
    let told: Vec<_> = run.stderr.lines().filter(|line| line.starts_with("interrupted: ")).collect();
    assert_eq!(told.len(), 1, "{run:#?}");
    assert!(told[0].contains(state) && !run.stderr.contains("error:"), "{run:#?}");
    assert_eq!(run.stdout, "");
    took
}

#[test]
fn a_signal_cancels_a_migration_on_the_server() {
    let mut times = Vec::new();
    for _ in 0..rounds(1, 10) {
        for (with, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
            let (db, mut reader) = blocked();
            let child = Dbctl::on(&db).spawn("migrate");
            let pid = reader.until_somebody_waits();
            let state = format!("migration {ALTERING} was rolled back; what was applied before it stays");
            times.push(interrupt(child, with, code, &state));
            assert!(reader.waiting().is_none(), "the statement has ended");
            until("the session is gone", SECOND, || !session_exists(&mut reader.observer, pid));
            assert_eq!(migration_locks(&mut reader.observer), 0);
            assert_eq!(whole_number(&mut db.conn()), 5);
        }
    }
    figures(&format!("a signal in a long statement: ended after: {}", spread(&times)));
}

#[test]
fn a_signal_ends_a_run_at_any_moment_with_a_whole_number_of_migrations() {
    let mut moments = Moments::new();
    let (mut counts, mut times) = (Vec::new(), Vec::new());
    for _ in 0..rounds(5, 100) {
        let db = TestDb::empty();
        let child = Dbctl::on(&db).spawn("migrate");
        moments.wait();
        let begin = Instant::now();
        signal(&child, Signal::SIGINT);
        let run = Run::of(child);
        times.push(begin.elapsed());
        // Before it listens the signal simply ends it; at its end it may be done.
        assert!(matches!(run.code, Some(130 | 0) | None), "{run:#?}");
        assert!(times.iter().all(|took| *took < limit(2 * SECOND)), "{run:#?}");
        until("the lock is free", SECOND, || migration_locks(&mut db.conn()) == 0);
        let applied = whole_number(&mut db.conn());
        moments.learn(applied);
        counts.push(applied);
        assert_eq!(Dbctl::on(&db).run("migrate").code, Some(0));
    }
    figures(&format!("SIGINT: migrations left: {}; ended after: {}", tally(&counts), spread(&times)));
}

#[test]
fn a_signal_ends_a_run_that_waits_for_another_one() {
    let db = TestDb::empty();
    let mut holder = db.conn();
    take_migration_lock(&mut holder);
    let child = Dbctl::on(&db).spawn("migrate");
    let schema = db.schema();
    until("the run waits", 20 * SECOND, || {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND application_name = 'optiinfra-dbctl/migrate' AND query LIKE '%pg_try_advisory_lock%'";
        number(&mut holder, waits) > 0
    });
    interrupt(child, Signal::SIGINT, 130, "nothing is half done");
    assert_eq!(migration_locks(&mut holder), 1, "{schema}: the holder's own");
    assert_eq!(
        number(&mut holder, "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace"),
        0
    );
}

#[test]
fn a_signal_ends_seed_and_verify_in_their_statement() {
    let db = TestDb::migrated();
    // stats waits for nobody.
    for command in ["seed --all", "verify"] {
        let mut holder = Blocker::new(&db, "BEGIN; LOCK TABLE customers IN ACCESS EXCLUSIVE MODE");
        let child = Dbctl::on(&db).spawn(command);
        let pid = holder.until_somebody_waits();
        interrupt(child, Signal::SIGINT, 130, "nothing is half done");
        until("the session is gone", SECOND, || !session_exists(&mut holder.observer, pid));
        drop(holder);
        assert_eq!(number(&mut db.conn(), "SELECT count(*) FROM customers"), 0);
    }
}

#[test]
fn a_signal_ends_the_session_of_a_role_that_becomes_another_one_at_login() {
    let db = TestDb::seeded_now();
    let (reader, login) = (db.reader(), db.role());
    let becomes = format!("GRANT {0} TO {1}; ALTER ROLE {1} SET role = {0}", reader.name, login.name);
    db.conn().batch_execute(&becomes).unwrap();
    let mut holder = Blocker::new(&db, "BEGIN; LOCK TABLE customers IN ACCESS EXCLUSIVE MODE");
    // The server does not look whether the client is there: only a cancelled session ends.
    let url = db.url_as(&login.name).replace("options=", "options=-cclient_connection_check_interval%3D0%20");
    let child = Dbctl::new().env("DATABASE_URL", &url).spawn("verify --limit 60");
    let pid = holder.until_somebody_waits();
    interrupt(child, Signal::SIGINT, 130, "nothing is half done");
    until("the session is ended", SECOND, || !session_exists(&mut holder.observer, pid));
}

#[test]
fn a_question_that_a_signal_cancelled_is_no_skipped_check() {
    let db = TestDb::seeded_now();
    // The schema's name makes a lock of its own.
    let lock = format!("hashtext('{}')", db.schema());
    db.conn()
        .batch_execute(&format!(
            "ALTER TABLE scaling_events RENAME TO held;
             CREATE VIEW scaling_events AS SELECT * FROM held WHERE pg_advisory_lock_shared({lock}) IS NOT NULL"
        ))
        .unwrap();
    let mut holder = Blocker::new(&db, &format!("BEGIN; SELECT pg_advisory_xact_lock({lock})"));
    let child = Dbctl::on(&db).spawn("verify --limit 60");
    holder.until_somebody_waits();
    interrupt(child, Signal::SIGINT, 130, "nothing is half done");
}

#[test]
fn a_signal_ends_a_run_that_cannot_connect() {
    let dir = tempfile::tempdir().unwrap();
    // Takes connections and never says a word.
    let server = UnixListener::bind(dir.path().join(".s.PGSQL.5432")).unwrap();
    let url = format!("postgresql:///d?host={}&user=u", dir.path().display());
    let child = Dbctl::new().env("DATABASE_URL", &url).spawn("migrate");
    let _silent = server.accept().unwrap();
    interrupt(child, Signal::SIGINT, 130, "no statement was under way");
}
