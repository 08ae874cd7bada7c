//! Taking over a database that Alembic made: from each of its revisions, and the ones that are refused.

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use optiinfra_db::adopt::{self, REVISIONS};
use optiinfra_db::catalog;
use optiinfra_db::migrate::{self, EMBEDDED, StartupPolicy, TextState};
use optiinfra_db::{Error, layer};

use crate::support::{Dbctl, TestDb, number};

/// A schema as Alembic leaves it at its n-th revision, with rows in it.
pub fn alembic(revision: usize) -> TestDb {
    let db = TestDb::empty();
    let mut conn = db.conn();
    for migration in &EMBEDDED[..revision] {
        conn.batch_execute(migration.up).unwrap();
    }
    let version = REVISIONS[revision - 1].0;
    conn.batch_execute(&format!(
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
         INSERT INTO alembic_version VALUES ('{version}');
         INSERT INTO customers (id, name, email, api_key)
         SELECT gen_random_uuid(), 'c' || n, n || '@example.com', 'key' || n FROM generate_series(1, 20) n;
         INSERT INTO agents (id, type, name) SELECT gen_random_uuid(), 'cost', 'a' || n FROM generate_series(1, 5) n"
    ))
    .unwrap();
    db
}

/// The rows of the tables that the database has, as one fingerprint of what every version shows of them.
fn rows(conn: &mut PgConnection) -> Vec<(String, i64)> {
    let mut rows = Vec::new();
    for table in ["customers", "agents"] {
        let hash = "SELECT sum(hashtextextended(t::text, 0)::numeric % 1000000007)::bigint FROM";
        rows.push((table.to_owned(), number(conn, &format!("{hash} {table} t"))));
    }
    rows
}

const HISTORY: &str =
    "SELECT count(*) FROM pg_class WHERE relname LIKE '\\_\\_%' AND relnamespace = current_schema()::regnamespace";

#[test]
fn each_revision_is_adopted_and_goes_on_to_the_same_head_as_a_fresh_database() {
    let fresh = catalog::read(&mut TestDb::plain().conn()).unwrap();
    for revision in 1..=REVISIONS.len() {
        let db = alembic(revision);
        let mut conn = db.conn();
        let before = rows(&mut conn);

        let rehearsal = adopt::run(&mut conn, true).unwrap();
        assert!(rehearsal.differences.is_empty() && !rehearsal.adopted, "{:?}", rehearsal.differences);
        assert_eq!(number(&mut conn, HISTORY), 0);

        let report = adopt::run(&mut conn, false).unwrap();
        assert!(report.adopted);
        assert_eq!((report.migrations.len(), report.pending.len()), (revision, EMBEDDED.len() - revision));
        let status = migrate::status(&mut conn).unwrap();
        assert_eq!(status.applied.len(), revision);
        assert!(status.applied.iter().all(|applied| applied.text == TextState::Same));

        let rest = migrate::ensure_current(&mut conn, &StartupPolicy::default()).unwrap();
        assert_eq!(rest.steps.len(), EMBEDDED.len() - revision);
        assert_eq!(catalog::read(&mut conn).unwrap(), fresh, "from revision {revision}");
        assert_eq!(rows(&mut conn), before);
        let kept = format!("SELECT count(*) FROM alembic_version WHERE version_num = '{}'", REVISIONS[revision - 1].0);
        assert_eq!(number(&mut conn, &kept), 1);
        let scratch = "SELECT count(*) FROM pg_namespace WHERE nspname = '__optiinfra_scratch'";
        assert_eq!(number(&mut conn, scratch), 0);
    }
}

#[test]
fn a_database_that_differs_is_listed_object_by_object_and_not_touched() {
    for (fault, object) in [
        ("ALTER TABLE recommendations DROP COLUMN description", "recommendations.description"),
        ("ALTER TYPE workflow_status ADD VALUE 'paused'", "workflow_status"),
        ("DROP INDEX idx_event_type", "idx_event_type"),
        ("ALTER TABLE customers ALTER COLUMN plan SET DEFAULT 'startup'", "customers.plan"),
        ("ALTER TABLE events DROP CONSTRAINT events_agent_id_fkey", "events_agent_id_fkey"),
    ] {
        let db = alembic(5);
        let mut conn = db.conn();
        conn.batch_execute(fault).unwrap();
        let report = adopt::run(&mut conn, false).unwrap();
        let objects: Vec<_> = report.differences.iter().map(|difference| difference.entry().name()).collect();
        assert!(objects.len() == 1 && objects[0].contains(object), "{fault}: {objects:?}");
        assert!(!report.adopted);
        assert_eq!(number(&mut conn, HISTORY), 0);
    }
}

#[track_caller]
fn assert_not_adoptable(db: &TestDb, why: &str) {
    let error = adopt::run(&mut db.conn(), false).unwrap_err();
    assert!(matches!(&error, Error::Migrate(migrate::Error::NotAdoptable(text)) if text.contains(why)), "{error:?}");
}

#[test]
fn without_one_known_revision_there_is_nothing_to_prove() {
    assert_not_adoptable(&TestDb::empty(), "no table alembic_version");
    let db = alembic(3);
    db.conn().batch_execute("INSERT INTO alembic_version VALUES ('004_resource_schema')").unwrap();
    assert_not_adoptable(&db, "more than one revision: 003_workflow_history, 004_resource_schema");
    db.conn().batch_execute("DELETE FROM alembic_version").unwrap();
    assert_not_adoptable(&db, "is empty");
    db.conn().batch_execute("INSERT INTO alembic_version VALUES ('006_elsewhere')").unwrap();
    assert_not_adoptable(&db, "'006_elsewhere'");
    assert_not_adoptable(&TestDb::migrated(), "a migration history of its own already");
}

#[test]
fn migrate_on_an_alembic_database_points_to_adopt() {
    let db = alembic(5);
    let refused = Dbctl::on(&db).run("migrate");
    assert_eq!(refused.code, Some(5));
    assert!(refused.stderr.contains("migrate adopt"), "{refused:#?}");
    let rehearsal = Dbctl::on(&db).run("migrate adopt --dry-run");
    assert_eq!(rehearsal.code, Some(0), "{rehearsal:#?}");
    assert!(rehearsal.stdout.contains("can be adopted, nothing was written"), "{rehearsal:#?}");
    assert_eq!(Dbctl::on(&db).run("migrate adopt --format json").json()["adopted"], true);
    assert_eq!(Dbctl::on(&db).run("migrate").code, Some(0));
    assert_eq!(Dbctl::on(&db).run("verify").code, Some(0));

    let drifted = alembic(4);
    drifted.conn().batch_execute("DROP INDEX idx_rec_type").unwrap();
    let run = Dbctl::on(&drifted).run("migrate adopt");
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stdout.contains("idx_rec_type"), "{run:#?}");
}

#[test]
fn the_revisions_name_migrations_that_exist_layer_by_layer() {
    assert_eq!(REVISIONS.len(), layer::Layer::ALL.len());
    for ((_, version), migration) in REVISIONS.iter().zip(EMBEDDED) {
        assert_eq!(*version, migration.version);
    }
}
