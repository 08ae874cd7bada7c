//! The probes: they pass on a migrated database, see what the catalogue does not say, and leave no trace.

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use optiinfra_db::layer;
use optiinfra_db::verify::{self, Options, Outcome, Report};

use crate::support::{Dbctl, TestDb};

const PROBING: Options = Options { probes: true, limit: Options::LIMIT, seed: verify::SeedExpectation::IfPresent };

fn probed(db: &TestDb) -> Report {
    verify::run(&mut db.conn(), &PROBING).unwrap()
}

fn findings(report: &Report) -> Vec<String> {
    let probes = report.checks.iter().filter(|check| check.id.starts_with("probe."));
    probes.flat_map(|check| check.findings.iter().map(move |finding| format!("{} {finding}", check.id))).collect()
}

#[test]
fn every_probe_passes_on_a_migrated_database() {
    let report = probed(&TestDb::migrated());
    assert_eq!(findings(&report), [""; 0]);
    let tried = |id: &str| {
        let check = report.check(id).unwrap();
        assert_eq!((&check.outcome, &check.expected), (&Outcome::Passed, &check.found), "{id}");
        check.found.as_i64().unwrap()
    };
    assert_eq!(tried("probe.cascades") + tried("probe.set_null"), 33);
    assert_eq!(tried("probe.set_null"), 4);
    assert_eq!(tried("probe.references"), 33);
    assert_eq!(tried("probe.uniques"), 9);
    assert_eq!(tried("probe.checks"), 4);
    assert_eq!(tried("probe.defaults"), 20);
    assert_eq!(tried("probe.updated_at"), 12);
    assert!(tried("probe.enums") >= 22);
}

#[test]
fn without_being_asked_for_there_are_none() {
    let report = verify::run(&mut TestDb::migrated().conn(), &Options::default()).unwrap();
    assert!(report.checks.iter().all(|check| !check.id.starts_with("probe.")));
}

/// Every row of every table with the transaction that wrote it.
fn rows(conn: &mut PgConnection) -> Vec<String> {
    let all = |(_, table)| {
        format!("SELECT '{table} ' || id || ' ' || xmin || ' ' || xmax || ' ' || ctid AS row FROM {table}")
    };
    let query = layer::tables().map(all).collect::<Vec<_>>().join(" UNION ALL ") + " ORDER BY 1";
    let rows: Vec<Row> = diesel::sql_query(query).load(conn).unwrap();
    rows.into_iter().map(|row| row.row).collect()
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    row: String,
}

#[test]
fn nothing_remains_of_them() {
    let db = TestDb::seeded_now();
    let before = rows(&mut db.conn());
    assert!(before.len() > 400);
    let mut conn = db.conn();
    verify::run(&mut conn, &PROBING).unwrap();
    assert_eq!(rows(&mut db.conn()), before);
    let locks = "(SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
        WHERE l.pid = pg_backend_pid() AND c.relnamespace = current_schema()::regnamespace)";
    assert_eq!(crate::support::number(&mut conn, locks), 0);
}

#[test]
fn a_read_only_session_is_refused_before_anything_is_done() {
    let db = TestDb::migrated();
    let mut conn = db.conn();
    conn.batch_execute("SET default_transaction_read_only = on").unwrap();
    let error = verify::run(&mut conn, &PROBING).unwrap_err();
    assert!(matches!(error, optiinfra_db::Error::Verify(verify::Error::ReadOnlySession)), "{error:?}");
    let run = Dbctl::on(&db).env("PGOPTIONS", "-c default_transaction_read_only=on").run("verify");
    assert_eq!(run.code, Some(0));
    let url = db.url() + "%20-cdefault_transaction_read_only%3Don";
    let run = Dbctl::new().env("DATABASE_URL", &url).run("verify --probes");
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
    assert!(run.stderr.contains("the session is read-only") && run.stderr.contains("without probes"), "{run:#?}");
}

#[test]
fn a_role_that_may_not_write_is_a_finding_with_the_reason() {
    let db = TestDb::migrated();
    let reader = db.reader();
    let mut conn = PgConnection::establish(&db.url_as(&reader.name)).unwrap();
    let report = verify::run(&mut conn, &PROBING).unwrap();
    let check = report.check("probe.defaults").unwrap();
    assert_eq!(check.findings[0].problem, "cannot be tried: permission denied for table customers");
}

#[test]
fn an_older_database_is_not_probed() {
    let report = probed(&TestDb::empty());
    let reason = "migrations pending".to_owned();
    assert_eq!(report.check("probe.cascades").unwrap().outcome, Outcome::Skipped { reason });
}

/// What makes the database behave otherwise, and what the probes find.
const FAULTS: &[(&str, &str, &[&str])] = &[
    (
        "a cascade that became set null",
        "ALTER TABLE workflow_artifacts DROP CONSTRAINT workflow_artifacts_workflow_step_id_fkey,
            ADD CONSTRAINT workflow_artifacts_workflow_step_id_fkey
            FOREIGN KEY (workflow_step_id) REFERENCES workflow_steps (id) ON DELETE SET NULL",
        &["probe.cascades constraint workflow_artifacts.workflow_artifacts_workflow_step_id_fkey: \
          deleting the row in workflow_steps did something else to the row in workflow_artifacts"],
    ),
    (
        "a set null that became a cascade",
        "ALTER TABLE events DROP CONSTRAINT events_agent_id_fkey,
            ADD CONSTRAINT events_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES agents (id) ON DELETE CASCADE",
        &["probe.set_null constraint events.events_agent_id_fkey: \
          deleting the row in agents did something else to the row in events"],
    ),
    (
        "a dropped reference twice",
        "ALTER TABLE approvals DROP CONSTRAINT approvals_recommendation_id_fkey",
        &[
            "probe.cascades constraint approvals.approvals_recommendation_id_fkey: \
             deleting the row in recommendations did something else to the row in approvals",
            "probe.references constraint approvals.approvals_recommendation_id_fkey: was not refused",
        ],
    ),
    (
        "a trigger that keeps rows from going",
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''kept''; END';
         CREATE TRIGGER keep BEFORE DELETE ON quality_baselines FOR EACH ROW EXECUTE FUNCTION keep()",
        &[
            "probe.cascades constraint quality_baselines.quality_baselines_agent_id_fkey: \
             the row in agents cannot be deleted: kept",
            "probe.cascades constraint quality_baselines.quality_baselines_customer_id_fkey: \
             the row in customers cannot be deleted: kept",
            "probe.cascades constraint quality_regressions.quality_regressions_baseline_id_fkey: \
             the row in quality_baselines cannot be deleted: kept",
        ],
    ),
    (
        "a dropped unique constraint",
        "ALTER TABLE agent_configs DROP CONSTRAINT uq_agent_config",
        &["probe.uniques constraint agent_configs.uq_agent_config: was not refused"],
    ),
    (
        "a wider check",
        "ALTER TABLE optimizations DROP CONSTRAINT check_progress_range,
            ADD CONSTRAINT check_progress_range CHECK (progress BETWEEN 0 AND 200)",
        &["probe.checks column optimizations.progress = 101: was not refused"],
    ),
    (
        "a column that takes any word",
        "ALTER TABLE workflow_steps ALTER COLUMN status TYPE text",
        &["probe.enums column workflow_steps.status: was not refused"],
    ),
    (
        "a lost default",
        "ALTER TABLE customers ALTER COLUMN metadata DROP DEFAULT",
        &["probe.defaults table customers: no default in metadata"],
    ),
    (
        "a disabled trigger",
        "ALTER TABLE agents DISABLE TRIGGER set_updated_at",
        &["probe.updated_at trigger agents.set_updated_at: updated_at did not move when the row was changed"],
    ),
    (
        "a trigger that fires for nothing",
        "CREATE OR REPLACE TRIGGER set_updated_at BEFORE UPDATE ON approvals FOR EACH ROW
            EXECUTE FUNCTION set_updated_at()",
        &["probe.updated_at trigger approvals.set_updated_at: updated_at moved although nothing was changed"],
    ),
];

#[test]
fn a_database_that_behaves_otherwise_is_found() {
    for (name, sql, expected) in FAULTS {
        let db = TestDb::migrated();
        db.conn().batch_execute(sql).unwrap();
        assert_eq!(findings(&probed(&db)), *expected, "{name}");
    }
}
