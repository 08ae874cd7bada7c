//! What `migrate plan` prints is what `migrate` does: each plan is piped into psql, and the database is then the same as
//! one that the runner has brought to the same place.

use std::fs;
use std::process::{Command, Stdio};

use diesel::connection::SimpleConnection;
use optiinfra_db::Error;
use optiinfra_db::migrate::{self, EMBEDDED, Goal, Migration, Migrator, TextState};
use optiinfra_db::{adopt, connection};

use crate::support::{Dbctl, TestDb, fingerprint, text};

/// Our rows without what differs from run to run.
const HISTORY: &str = "SELECT coalesce(string_agg(concat_ws(' ', d.version, o.version, o.name, o.tool_version, o.file_hash, o.content_hash,
           o.compatible, md5(o.up_sql), o.statements_done, o.statements_reverted, o.adopted_from, o.repairs,
           o.seconds >= 0), E'\\n' ORDER BY coalesce(d.version, o.version)), '')
    FROM __diesel_schema_migrations d FULL JOIN __optiinfra_migrations o USING (version)";

/// Runs a script as `psql` does.
#[track_caller]
pub fn psql(db: &TestDb, script: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, script).unwrap();
    let run = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &db.url()])
        .stdin(fs::File::open(file.path()).unwrap())
        .stdout(Stdio::piped())
        .output()
        .expect("psql is on the PATH");
    assert!(run.status.success(), "{}\n{script}", String::from_utf8_lossy(&run.stderr));
}

/// Two databases that go the same way, one by what plans say and one by the runner.
struct Twins {
    planned: TestDb,
    run: TestDb,
}

impl Twins {
    #[track_caller]
    fn go(&self, set: &[Migration], goal: &Goal) {
        let mut reader = self.planned.conn();
        connection::forbid_writing(&mut reader).unwrap();
        let plan = Migrator::default().set(set).plan(&mut reader, goal).unwrap();
        psql(&self.planned, &plan.script());
        let report = Migrator::default().set(set).run(&mut self.run.conn(), goal).unwrap();
        let planned: Vec<_> = plan.steps.iter().map(|step| (step.name.as_str(), step.direction)).collect();
        let ran: Vec<_> = report.steps.iter().map(|step| (step.name.as_str(), step.direction)).collect();
        assert_eq!(planned, ran, "{goal:?}");
        self.assert_equal(goal);
    }

    #[track_caller]
    fn assert_equal(&self, goal: &Goal) {
        let (mut planned, mut run) = (self.planned.conn(), self.run.conn());
        assert_eq!(text(&mut planned, HISTORY), text(&mut run, HISTORY), "{goal:?}");
        assert_eq!(fingerprint(&mut planned), fingerprint(&mut run), "{goal:?}");
    }
}

fn to(migration: &Migration) -> Goal {
    Goal::Version(migration.version.to_owned())
}

#[test]
fn a_plan_in_psql_makes_what_a_run_makes_from_and_to_every_version() {
    let twins = Twins { planned: TestDb::empty(), run: TestDb::empty() };
    twins.go(EMBEDDED, &Goal::Head);
    assert_eq!(Dbctl::on(&twins.planned).run("migrate status --check").code, Some(0));
    assert_eq!(Dbctl::on(&twins.planned).run("verify").code, Some(0));
    for goal in [Goal::Redo(3), to(&EMBEDDED[4]), Goal::Back(2), Goal::Nothing] {
        twins.go(EMBEDDED, &goal);
    }
    for migration in EMBEDDED {
        twins.go(EMBEDDED, &to(migration));
    }
    for migration in EMBEDDED.iter().rev() {
        twins.go(EMBEDDED, &to(migration));
    }
    twins.go(EMBEDDED, &Goal::Head);
}

#[test]
fn what_the_command_prints_can_be_piped_into_psql() {
    let db = TestDb::empty();
    for (arguments, applied) in
        [("--to 20251020160000", 4), ("", EMBEDDED.len()), ("--to 20251021090000", 6), ("", EMBEDDED.len())]
    {
        let plan = Dbctl::on(&db).run(&format!("migrate plan {arguments}"));
        assert_eq!(plan.code, Some(0), "{plan:#?}");
        psql(&db, &plan.stdout);
        let status = migrate::status(&mut db.conn()).unwrap();
        assert_eq!(status.applied.len(), applied);
        assert!(status.applied.iter().all(|applied| applied.text == TextState::Same && applied.seconds.is_some()));
    }
    assert_eq!(Dbctl::on(&db).run("migrate status --check").code, Some(0));
    assert_eq!(Dbctl::on(&db).run("verify").code, Some(0));
    assert_eq!(Dbctl::on(&db).run("migrate plan").stdout, "-- nothing to do\n");
}

#[test]
fn an_adopted_database_is_planned_to_the_same_end() {
    let adopted = || {
        let db = TestDb::empty();
        let mut conn = db.conn();
        for migration in &EMBEDDED[..3] {
            conn.batch_execute(migration.up).unwrap();
        }
        conn.batch_execute(
            "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
             INSERT INTO alembic_version VALUES ('003_workflow_history')",
        )
        .unwrap();
        assert!(adopt::run(&mut conn, false).unwrap().adopted);
        db
    };
    let twins = Twins { planned: adopted(), run: adopted() };
    twins.go(EMBEDDED, &Goal::Head);
    assert_eq!(Dbctl::on(&twins.planned).run("verify").code, Some(0));
    twins.go(EMBEDDED, &Goal::Nothing);
}

const TABLE: Migration = Migration {
    version: "00000000000001",
    name: "1_table",
    in_transaction: true,
    up: "CREATE TABLE t (a int); CREATE INDEX t_old ON t (a) -- no semicolon",
    down: "DROP TABLE t",
};
const INDEXES: Migration = Migration {
    version: "00000000000002",
    name: "2_indexes",
    in_transaction: false,
    up: "-- optiinfra: statement_timeout = 1min
         CREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON t (a);
         DROP INDEX CONCURRENTLY IF EXISTS t_old;
         CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_a_key ON t (a)",
    down: "DROP INDEX CONCURRENTLY IF EXISTS t_a_key; CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_old ON t (a);
           DROP INDEX CONCURRENTLY IF EXISTS t_a;",
};

#[test]
fn a_migration_that_stopped_half_way_is_planned_on_from_there_and_back() {
    let set = [TABLE, INDEXES];
    // Applying stops at the third statement, reverting at the second: each time the unique index is left invalid.
    let half_done = |reverting: bool| {
        let db = TestDb::empty();
        let mut conn = db.conn();
        let mut migrator = Migrator::default().set(&set);
        migrator.run(&mut conn, &if reverting { Goal::Head } else { to(&TABLE) }).unwrap();
        if reverting {
            conn.batch_execute("DROP INDEX t_a_key").unwrap();
        }
        conn.batch_execute("INSERT INTO t VALUES (1), (1)").unwrap();
        let stopped = migrator.run(&mut conn, &if reverting { Goal::Back(1) } else { Goal::Head }).unwrap_err();
        assert!(matches!(stopped, Error::Migrate(migrate::Error::Stopped { .. })), "{stopped:?}");
        conn.batch_execute("DELETE FROM t").unwrap();
        db
    };
    for reverting in [false, true] {
        for goal in [Goal::Head, Goal::Back(1), Goal::Redo(1), to(&TABLE), Goal::Nothing] {
            let twins = Twins { planned: half_done(reverting), run: half_done(reverting) };
            twins.assert_equal(&goal);
            twins.go(&set, &goal);
            twins.go(&set, &Goal::Head);
        }
    }
}

#[test]
fn the_history_of_an_older_version_is_completed_by_the_plan_as_by_a_run() {
    let twins = Twins { planned: TestDb::migrated(), run: TestDb::migrated() };
    for db in [&twins.planned, &twins.run] {
        db.conn().batch_execute("ALTER TABLE __optiinfra_migrations DROP COLUMN statements_reverted").unwrap();
        migrate::status(&mut db.conn()).unwrap().require_current().unwrap();
    }
    twins.go(EMBEDDED, &Goal::Back(1));
    twins.go(EMBEDDED, &Goal::Head);
}
