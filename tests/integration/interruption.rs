//! Migrations outside a transaction that stop half-way, in every order of applying, reverting, redoing and going on.
//!
//! A model test: random runs with random stops. Whatever happened, either the schema is exactly that of the migrations
//! that are applied, or the status names the one that is half done, and the next run without a stop finishes it.

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use optiinfra_db::Error;
use optiinfra_db::migrate::{self, Direction, EMBEDDED, Goal, Interrupted, Migration, Migrator, Status};

use crate::support::{Dbctl, TestDb, figures, fingerprint, number, rounds};

/// Two migrations outside a transaction among others. Few of the statements are concurrent, because those are slow.
const SET: [Migration; 5] = [
    Migration {
        version: "00000000000001",
        name: "1_table",
        in_transaction: true,
        up: "CREATE TABLE t (a int, b int); CREATE INDEX t_old ON t (a)",
        down: "DROP TABLE t",
    },
    Migration {
        version: "00000000000002",
        name: "2_indexes",
        in_transaction: false,
        up: "CREATE INDEX IF NOT EXISTS t_a ON t (a);
             CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_key ON t (a);
             DROP INDEX IF EXISTS t_old;
             CREATE INDEX IF NOT EXISTS t_ab ON t (a, b)",
        down: "DROP INDEX IF EXISTS t_ab; CREATE INDEX IF NOT EXISTS t_old ON t (a); DROP INDEX CONCURRENTLY IF EXISTS t_key;
               DROP INDEX IF EXISTS t_a;",
    },
    Migration {
        version: "00000000000003",
        name: "3_column",
        in_transaction: true,
        up: "ALTER TABLE t ADD COLUMN c int",
        down: "ALTER TABLE t DROP COLUMN c",
    },
    Migration {
        version: "00000000000004",
        name: "4_more_indexes",
        in_transaction: false,
        up: "CREATE INDEX IF NOT EXISTS t_c ON t (c); CREATE INDEX IF NOT EXISTS t_ac ON t (a, c); DROP INDEX IF EXISTS t_a",
        down: "CREATE INDEX IF NOT EXISTS t_a ON t (a); DROP INDEX IF EXISTS t_ac; DROP INDEX IF EXISTS t_c",
    },
    Migration {
        version: "00000000000005",
        name: "5_last",
        in_transaction: true,
        up: "ALTER TABLE t ADD COLUMN d int; CREATE INDEX t_d ON t (d)",
        down: "ALTER TABLE t DROP COLUMN d",
    },
];

/// Stops the n-th change of the schema: before it happens, or at its end. A concurrent build is then done all the same,
/// as when the server ends between a statement and the note that it is done. The session counts: a concurrent statement
/// must not find a transaction that has written.
const STOPS: &str = "
    CREATE SCHEMA aux;
    CREATE TABLE aux.stop (at bigint);
    INSERT INTO aux.stop VALUES (0);
    CREATE FUNCTION aux.stop() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM set_config('aux.changes', (coalesce(current_setting('aux.changes', true), '0')::bigint + 1)::text, false);
        IF current_setting('aux.changes')::bigint = (SELECT at FROM aux.stop) THEN
            RAISE 'stopped by the test';
        END IF;
    END $$;
    CREATE EVENT TRIGGER stop_before ON ddl_command_start EXECUTE FUNCTION aux.stop();
    CREATE EVENT TRIGGER stop_after ON ddl_command_end EXECUTE FUNCTION aux.stop();";

fn stop_at(conn: &mut PgConnection, change: u64) {
    let arm = format!("UPDATE aux.stop SET at = {change}; SET aux.changes = 0");
    conn.batch_execute(&arm).unwrap();
}

fn random_goal(random: &mut fastrand::Rng, set: &[Migration], applied: usize) -> Goal {
    match random.u8(0..10) {
        0..=3 => Goal::Head,
        4 => Goal::Nothing,
        5..=6 => Goal::Version(random.choice(set).unwrap().version.to_owned()),
        _ if applied == 0 => Goal::Head,
        7..=8 => Goal::Back(random.usize(1..=applied)),
        _ => Goal::Redo(random.usize(1..=applied)),
    }
}

/// How many migrations a run without a stop leaves applied.
fn expected(goal: &Goal, set: &[Migration], applied: usize) -> usize {
    match goal {
        Goal::Head => set.len(),
        Goal::Nothing => 0,
        Goal::Back(steps) => applied - steps,
        Goal::Redo(_) => applied,
        Goal::Version(version) => set.iter().position(|migration| migration.version == version).unwrap() + 1,
    }
}

/// The migration that is half done.
fn half_done(status: &Status) -> Option<(&str, Interrupted)> {
    let mut half_done = status.pending.iter().filter_map(|pending| Some((pending.name.as_str(), pending.interrupted?)));
    let first = half_done.next();
    assert!(half_done.next().is_none(), "more than one is half done: {status:#?}");
    first
}

struct Model<'a> {
    set: &'a [Migration],
    /// The schema after each number of migrations.
    schemas: Vec<String>,
    db: TestDb,
}

/// What was seen, to know that the test does what it says.
#[derive(Debug, Default)]
struct Seen {
    whole: usize,
    half_applied: usize,
    half_reverted: usize,
    rolled_back: usize,
}

impl<'a> Model<'a> {
    fn new(set: &'a [Migration]) -> Self {
        let clean = TestDb::empty();
        let mut conn = clean.conn();
        let mut schemas = vec![fingerprint(&mut conn)];
        for migration in set {
            let to = Goal::Version(migration.version.to_owned());
            Migrator::default().set(set).run(&mut conn, &to).unwrap();
            schemas.push(fingerprint(&mut conn));
        }
        let db = TestDb::empty();
        db.conn().batch_execute(STOPS).unwrap();
        Self { set, schemas, db }
    }

    /// One run. Afterwards the status is exact.
    fn step(&self, conn: &mut PgConnection, goal: &Goal, stop: u64, seen: &mut Seen) {
        let mut migrator = Migrator::default().set(self.set);
        let before = migrator.status(conn).unwrap();
        let is_half_done = usize::from(half_done(&before).is_some());
        let reachable = before.applied.len() + is_half_done;
        stop_at(conn, stop);
        let result = migrator.run(conn, goal);
        stop_at(conn, 0);
        let status = migrator.status(conn).unwrap();
        let first: Vec<_> = self.set.iter().take(status.applied.len()).map(|migration| migration.name).collect();
        assert_eq!(
            status.applied.iter().map(|applied| applied.name.as_str()).collect::<Vec<_>>(),
            first,
            "without a gap"
        );
        match (&result, half_done(&status)) {
            (Ok(_), None) => {
                seen.whole += 1;
                assert_eq!(status.applied.len(), expected(goal, self.set, reachable), "{goal:?}");
            }
            (Err(Error::Migrate(migrate::Error::Failed { .. })), None) => seen.rolled_back += 1,
            // The first statement of a migration, or a note of the history: nothing of it is done.
            (Err(Error::Query { .. }), None) => seen.rolled_back += 1,
            (Err(error), Some((name, interrupted))) => {
                let next = self.set[status.applied.len()].name;
                assert_eq!(name, next, "what is half done is the next one");
                assert!(!status.is_current());
                match interrupted.direction {
                    Direction::Apply => seen.half_applied += 1,
                    Direction::Revert => seen.half_reverted += 1,
                }
                if let Error::Migrate(migrate::Error::Stopped { name: stopped, direction, statement, of, .. }) = error {
                    assert_eq!(
                        (stopped.as_str(), *direction, statement - 1, *of),
                        (name, interrupted.direction, interrupted.statements_done, interrupted.statements)
                    );
                }
            }
            (result, half_done) => panic!("{goal:?}: {result:?}, half done: {half_done:?}"),
        }
        if half_done(&status).is_none() {
            assert_eq!(fingerprint(conn), self.schemas[status.applied.len()], "{goal:?} after {result:?}");
        }
    }
}

fn random_sequences(model: &Model<'_>, seed: u64, sequences: usize, least: usize) -> Seen {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut conn = model.db.conn();
    let mut seen = Seen::default();
    for _ in 0..sequences {
        for _ in 0..random.usize(1..=4) {
            let status = Migrator::default().set(model.set).status(&mut conn).unwrap();
            let applied = status.applied.len() + usize::from(half_done(&status).is_some());
            let goal = random_goal(&mut random, &model.set[least..], applied - least.min(applied));
            let stop = if random.u8(0..3) > 0 { random.u64(1..30) } else { 0 };
            // Not for a goal below `least`: the first migrations are the slow ones.
            let goal = if goal == Goal::Nothing && least > 0 { Goal::Head } else { goal };
            model.step(&mut conn, &goal, stop, &mut seen);
        }
        // A sequence ends without a stop, and so with a schema that is compared.
        let status = Migrator::default().set(model.set).status(&mut conn).unwrap();
        let goal =
            random_goal(&mut random, &model.set[least..], status.applied.len() - least.min(status.applied.len()));
        let goal = if goal == Goal::Nothing && least > 0 { Goal::Head } else { goal };
        model.step(&mut conn, &goal, 0, &mut seen);
        let status = Migrator::default().set(model.set).status(&mut conn).unwrap();
        assert!(half_done(&status).is_none(), "seed {seed}: {status:#?}");
    }
    seen
}

#[test]
fn random_runs_with_random_stops_end_whole_or_say_what_is_half_done() {
    let model = Model::new(&SET);
    let sequences = rounds(120, 3000);
    let seed = 20_251_127;
    let seen = random_sequences(&model, seed, sequences, 0);
    assert!(seen.half_applied > 10 && seen.half_reverted > 10 && seen.rolled_back > 10, "{seen:?}");
    figures(&format!("{sequences} sequences of runs with stops: {seen:?}"));
}

#[test]
fn random_stops_in_the_embedded_migrations_end_whole_too() {
    let model = Model::new(EMBEDDED);
    Migrator::default().run(&mut model.db.conn(), &Goal::Head).unwrap();
    let seen = random_sequences(&model, 7, rounds(8, 100), EMBEDDED.len() - 4);
    assert!(seen.whole >= 8, "{seen:?}");
    figures(&format!("stops in the embedded migrations: {seen:?}"));
}

/// A database on which the newest migration outside a transaction was stopped while it was being applied or reverted.
fn stopped(direction: Direction) -> TestDb {
    let db = TestDb::empty();
    let mut conn = db.conn();
    let mut migrator = Migrator::default();
    let at = EMBEDDED.iter().rposition(|migration| !migration.in_transaction).unwrap();
    let upto = if direction == Direction::Revert { at } else { at - 1 };
    migrator.run(&mut conn, &Goal::Version(EMBEDDED[upto].version.to_owned())).unwrap();
    conn.batch_execute(STOPS).unwrap();
    // The begin and the end of each change count: the third statement.
    stop_at(&mut conn, 5);
    let goal = if direction == Direction::Revert { Goal::Back(1) } else { Goal::Head };
    let error = migrator.run(&mut conn, &goal).unwrap_err();
    assert!(matches!(&error, Error::Migrate(migrate::Error::Stopped { statement: 3, of: 5, .. })), "{error:?}");
    stop_at(&mut conn, 0);
    db
}

const PARTIAL_INDEXES: &str =
    "SELECT count(*) FROM pg_index WHERE indrelid = 'resource_metrics'::regclass AND indpred IS NOT NULL";

#[test]
fn status_says_what_is_half_done_and_the_hints_commands_finish_it() {
    for (direction, state) in
        [(Direction::Apply, "half applied: 2 of 5 statements"), (Direction::Revert, "half reverted: 2 of 5 statements")]
    {
        for (command, indexes) in [("migrate", 5), ("migrate revert --steps 1 --yes", 0)] {
            let db = stopped(direction);
            let status = Dbctl::on(&db).run("migrate status --check");
            assert_eq!(status.code, Some(1), "{status:#?}");
            assert!(status.stdout.contains(state), "{status:#?}");
            let json = Dbctl::on(&db).run("migrate status --format json").json();
            assert_eq!(json["pending"][0]["interrupted"]["statements_done"], 2);
            let finished = Dbctl::on(&db).run(command);
            assert_eq!(finished.code, Some(0), "{finished:#?}");
            assert_eq!(number(&mut db.conn(), PARTIAL_INDEXES), indexes, "{direction:?}, then {command}");
            assert_eq!(half_done(&migrate::status(&mut db.conn()).unwrap()), None);
        }
    }
}

#[test]
fn the_hint_of_a_stop_names_the_commands_that_finish_it() {
    let db = stopped(Direction::Revert);
    stop_at(&mut db.conn(), 3);
    let again = Dbctl::on(&db).run("migrate revert --steps 1 --yes");
    assert_eq!(again.code, Some(5), "{again:#?}");
    assert!(again.stderr.contains("`optiinfra-dbctl migrate revert --steps 1` to finish it"), "{again:#?}");
    stop_at(&mut db.conn(), 3);
    let apply = Dbctl::on(&db).run("migrate");
    assert_eq!(apply.code, Some(5), "{apply:#?}");
    assert!(apply.stderr.contains("run `optiinfra-dbctl migrate` again"), "{apply:#?}");
}

#[test]
fn what_an_older_version_counted_before_it_reverted_everything_is_not_believed() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    Migrator::default().set(&SET).run(&mut conn, &Goal::Head).unwrap();
    // Such a version left its count of finished statements behind when it reverted the migrations below.
    let whole = fingerprint(&mut conn);
    Migrator::default().set(&SET).run(&mut conn, &Goal::Nothing).unwrap();
    conn.batch_execute(
        "INSERT INTO __optiinfra_migrations
             (version, name, tool_version, file_hash, content_hash, compatible, up_sql, statements_done)
         VALUES ('00000000000002', '2_indexes', '0.1.0', '', '', false, '', 3)",
    )
    .unwrap();
    Migrator::default().set(&SET).run(&mut conn, &Goal::Head).unwrap();
    assert_eq!(fingerprint(&mut conn), whole);
}
