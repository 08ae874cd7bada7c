//! `verify`: nothing to say of a right database, and exactly the planted fault of a wrong one.

use std::path::Path;

use chrono::Utc;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use optiinfra_db::layer::Layer;
use optiinfra_db::migrate::{EMBEDDED, Goal, Migrator};
use optiinfra_db::seed;
use optiinfra_db::verify::{self, Check, Options, Outcome, Report, SeedExpectation};
use optiinfra_db::{Error, catalog, connection};
use serde_json::{Value, json};

use crate::support::{TestDb, number, verified};

const HOW_TO_WRITE: &str = "OPTIINFRA_BLESS=1 cargo test --test integration catalog";

fn check<'a>(report: &'a Report, id: &str) -> &'a Check {
    report.check(id).unwrap_or_else(|| panic!("no check {id}"))
}

fn findings(check: &Check) -> Vec<String> {
    check.findings.iter().map(ToString::to_string).collect()
}

/// The ids of the failed checks, in the order of the report.
fn failed(report: &Report) -> Vec<&str> {
    report.checks.iter().filter(|check| check.outcome == Outcome::Failed).map(|check| check.id.as_str()).collect()
}

fn skipped_because(check: &Check) -> &str {
    match &check.outcome {
        Outcome::Skipped { reason } => reason,
        other => panic!("{} is {other:?}", check.id),
    }
}

fn is_seed_check(check: &Check) -> bool {
    check.id.contains("seed")
}

#[test]
fn the_catalog_of_the_contract_is_that_of_a_fresh_database() {
    let found = catalog::read(&mut TestDb::plain().conn()).unwrap();
    let head =
        format!("# @generated: the schema at head, one object a line. After a new migration run\n# {HOW_TO_WRITE}\n");
    let objects: Vec<_> = found.objects().map(|object| serde_json::to_string(object).unwrap()).collect();
    let texts =
        [("contract.json", format!("[\n{}\n]\n", objects.join(",\n"))), ("catalog.txt", head + &found.to_lines())];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog");
    if std::env::var_os("OPTIINFRA_BLESS").is_some() {
        return texts.iter().for_each(|(name, text)| std::fs::write(folder.join(name), text).unwrap());
    }
    let differences = catalog::contract().differences(&found);
    assert!(differences.is_empty(), "{differences:#?}\nif this is meant, run\n  {HOW_TO_WRITE}");
    assert_eq!(*catalog::contract(), found, "if this is meant, run\n  {HOW_TO_WRITE}");
    for (name, text) in texts {
        assert_eq!(std::fs::read_to_string(folder.join(name)).unwrap(), text, "{name}: run\n  {HOW_TO_WRITE}");
    }
}

#[test]
fn a_migrated_database_has_no_finding_and_its_seed_checks_are_skipped() {
    let report = verified(&TestDb::migrated());
    assert_eq!(failed(&report), [""; 0]);
    assert!(report.is_clean());
    assert_eq!(report.head.as_deref(), EMBEDDED.last().map(|migration| migration.name));
    assert_eq!(report.passed + report.skipped, report.checks.len());
    for check in report.checks.iter().filter(|check| is_seed_check(check)) {
        assert!(skipped_because(check).starts_with("there is no seed data of layer "), "{check:?}");
    }
    assert!(report.checks.iter().all(|check| is_seed_check(check) || check.outcome == Outcome::Passed));
}

#[test]
fn the_figures_are_those_of_the_deployed_schema() {
    let report = verified(&TestDb::migrated());
    let figures = |id: &str| (check(&report, id).expected.clone(), check(&report, id).found.clone());
    for (id, figure) in [
        ("schema.tables", 20),
        ("schema.enums", 22),
        ("schema.indexes", 145),
        ("schema.foreign_keys", 33),
        ("schema.triggers", 12),
        ("schema.policies", 15),
        ("schema.primary_keys", 20),
        ("core.tables", 6),
        ("core.enums", 9),
        ("core.indexes", 35),
        ("core.foreign_keys", 8),
        ("core.constraints", 11),
        ("agent_state.tables", 4),
        ("agent_state.enums", 3),
        ("workflow_history.tables", 3),
        ("workflow_history.enums", 4),
        ("resource.tables", 3),
        ("resource.enums", 2),
        ("resource.indexes", 27),
        ("resource.foreign_keys", 6),
        ("application.tables", 4),
        ("application.enums", 4),
    ] {
        assert_eq!(figures(id), (json!(figure), json!(figure)), "{id}");
    }
    assert_eq!(figures("core.cascades").1, json!({"cascade": 7, "set_null": 1}));
    assert_eq!(figures("application.cascades").1, json!({"cascade": 8, "set_null": 1}));
    assert_eq!(figures("time.zones").1, json!({"without_time_zone": 0}));
}

#[test]
fn every_check_names_its_document_and_has_an_id_of_its_own() {
    let report = verified(&TestDb::migrated());
    let mut ids: Vec<_> = report.checks.iter().map(|check| check.id.as_str()).collect();
    assert!(report.checks.iter().all(|check| !check.source.is_empty() && !check.title.is_empty()));
    assert!(report.checks.is_sorted_by_key(|check| check.layer), "layer by layer");
    for check in &report.checks {
        let prefix = check.layer.map_or("", |layer| layer.as_str());
        assert!([prefix, "rules.", "partitions."].iter().any(|begin| check.id.starts_with(begin)), "{}", check.id);
    }
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn the_report_is_json_with_a_flat_outcome() {
    let report = serde_json::to_value(verified(&TestDb::migrated())).unwrap();
    assert_eq!(report["failed"], 0);
    let check = |id: &str| -> Value {
        report["checks"].as_array().unwrap().iter().find(|check| check["id"] == id).unwrap().clone()
    };
    assert_eq!(
        check("core.tables"),
        json!({
            "id": "core.tables", "layer": "core", "source": "0.2a", "title": "the tables are there",
            "expected": 6, "found": 6, "outcome": "passed", "findings": [],
        })
    );
    let skipped = check("seed.total");
    assert_eq!((&skipped["outcome"], &skipped["found"]), (&json!("skipped"), &Value::Null));
    assert_eq!(skipped["reason"], "there is no seed data of layer core");
}

#[test]
fn an_empty_database_is_told_so_and_nothing_is_created() {
    let db = TestDb::empty();
    let report = verified(&db);
    assert_eq!(failed(&report), ["migrations.head"]);
    let head = check(&report, "migrations.head");
    assert_eq!(findings(head)[0], "database: empty: no migration has been applied");
    assert_eq!(findings(head)[1], "migration 2025-10-19-120000_core_schema: pending");
    assert_eq!(head.findings.len(), 1 + EMBEDDED.len());
    assert_eq!(head.found, Value::Null);
    assert_eq!(report.head, None);
    for check in report.checks.iter().filter(|check| check.id != "migrations.head") {
        assert_eq!(skipped_because(check), "migrations pending");
    }
    let relations = "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace";
    assert_eq!(number(&mut db.conn(), relations), 0);
}

#[test]
fn a_search_path_without_a_schema_is_an_error() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    conn.batch_execute("SET search_path = no_such_schema").unwrap();
    let refused = verify::run(&mut conn, &Options::default()).unwrap_err();
    let Error::Connection(connection::Error::NoSchema { search_path }) = refused else { panic!("{refused:?}") };
    assert_eq!(search_path, "no_such_schema");
}

#[test]
fn a_database_at_an_older_version_is_told_so_first() {
    let db = TestDb::empty();
    Migrator::default().set(&EMBEDDED[..5]).run(&mut db.conn(), &Goal::Head).unwrap();
    let report = verified(&db);
    assert_eq!(report.checks[0].id, "migrations.head");
    assert_eq!(failed(&report), ["migrations.head"]);
    assert_eq!(report.head.as_deref(), Some(EMBEDDED[4].name));
    assert_eq!(report.checks[0].found, json!(EMBEDDED[4].name));
    let pending: Vec<_> =
        EMBEDDED[5..].iter().map(|migration| format!("migration {}: pending", migration.name)).collect();
    assert_eq!(findings(&report.checks[0]), pending);
    assert_eq!(skipped_because(check(&report, "core.tables")), "migrations pending");
    assert_eq!(skipped_because(check(&report, "core.seed.counts")), "migrations pending");
}

#[test]
fn a_database_that_is_ahead_is_told_so() {
    let db = TestDb::migrated();
    let later = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231235959')";
    db.conn().batch_execute(later).unwrap();
    let report = verified(&db);
    assert_eq!(failed(&report), ["migrations.head"]);
    assert_eq!(findings(&report.checks[0]), ["migration 29991231235959: not known to this code"]);
    assert_eq!(skipped_because(check(&report, "schema.contract")), "the database is ahead of this code");
}

#[test]
fn tables_without_a_history_are_compared_all_the_same() {
    let db = TestDb::migrated();
    db.conn().batch_execute("DROP TABLE __diesel_schema_migrations; ALTER TABLE events DROP COLUMN data").unwrap();
    let report = verified(&db);
    assert_eq!(failed(&report), ["migrations.head", "schema.contract", "core.columns"]);
    assert_eq!(findings(&report.checks[0])[0], "database: it has tables of ours, but no record of a migration");
    let contract = findings(check(&report, "schema.contract"));
    assert_eq!(contract, ["column events.data: missing: jsonb NOT NULL DEFAULT '{}'::jsonb"]);
}

#[test]
fn a_reader_on_a_read_only_session_can_verify() {
    let db = TestDb::migrated();
    let reader = db.reader();
    let mut conn = PgConnection::establish(&db.url_as(&reader.name)).unwrap();
    conn.batch_execute("SET default_transaction_read_only = on").unwrap();
    let report = verify::run(&mut conn, &Options { seed: SeedExpectation::Required, ..Options::default() }).unwrap();
    assert!(failed(&report).iter().all(|id| id.contains("seed")), "{:?}", failed(&report));
    assert_eq!(check(&report, "schema.contract").outcome, Outcome::Passed);
    assert_eq!(check(&report, "core.seed.customers").outcome, Outcome::Failed);
}

#[test]
fn what_a_role_may_not_read_is_skipped_and_not_passed() {
    let db = TestDb::migrated();
    let reader = db.reader();
    let revoke = format!("REVOKE SELECT ON scaling_events, customers FROM {}", reader.name);
    db.conn().batch_execute(&revoke).unwrap();
    let mut conn = PgConnection::establish(&db.url_as(&reader.name)).unwrap();
    let report = verify::run(&mut conn, &Options { seed: SeedExpectation::Required, ..Options::default() }).unwrap();
    assert_eq!(check(&report, "schema.contract").outcome, Outcome::Passed, "the catalogue is everybody's");
    assert_eq!(skipped_because(check(&report, "core.seed.customers")), "this role may not SELECT from customers");
    assert_eq!(skipped_because(check(&report, "resource.seed.events")), "this role may not SELECT from scaling_events");
    assert_eq!(check(&report, "agent_state.seed.configs").outcome, Outcome::Failed, "read, and not there");
    assert!(matches!(check(&report, "seed.total").outcome, Outcome::Skipped { .. }));
}

#[test]
fn a_policy_about_whole_rows_shows_a_part_whatever_its_name() {
    let db = TestDb::migrated();
    let reader = db.reader();
    db.conn()
        .batch_execute(
            "DROP POLICY cross_customer_read ON events;
             CREATE POLICY cross_customer_read ON events FOR SELECT USING (events IS NOT NULL)",
        )
        .unwrap();
    let mut conn = PgConnection::establish(&db.url_as(&reader.name)).unwrap();
    let report = verify::run(&mut conn, &Options::default()).unwrap();
    let reason = "row security hides rows of events from this role";
    assert_eq!(skipped_because(check(&report, "rules.core_future")), reason);
    assert_eq!(check(&report, "rules.resource_future").outcome, Outcome::Passed);
}

#[test]
fn what_migration_tools_and_extensions_own_is_nobodys_fault() {
    let db = TestDb::migrated();
    db.conn()
        .batch_execute(
            "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); CREATE TABLE __other_ledger (id int)",
        )
        .unwrap();
    assert!(verified(&db).is_clean());
}

/// A database with the seed of these layers.
fn seeded(layers: &[Layer]) -> TestDb {
    let db = TestDb::migrated();
    seed::run(&mut db.conn(), layers, Utc::now()).unwrap();
    db
}

#[test]
fn a_seeded_database_passes_every_check() {
    let db = TestDb::seeded_now();
    for seed in [SeedExpectation::IfPresent, SeedExpectation::Required] {
        let report = verify::run(&mut db.conn(), &Options { seed, ..Options::default() }).unwrap();
        let not_passed: Vec<_> = report.checks.iter().filter(|check| check.outcome != Outcome::Passed).collect();
        assert!(not_passed.is_empty(), "{not_passed:#?}");
        assert_eq!((report.failed, report.skipped, report.passed), (0, 0, report.checks.len()));
    }
}

#[test]
fn the_figures_of_the_seed_are_those_of_the_documents() {
    let report = verified(&TestDb::seeded_now());
    let found = |id: &str| check(&report, id).found.clone();
    assert_eq!(found("core.seed.customers")["Acme Corp"], "admin@acme.com, enterprise");
    assert_eq!(found("resource.seed.types"), json!({"gpu": 78, "cpu": 12, "memory": 12, "disk": 12, "network": 12}));
    assert_eq!(found("resource.seed.instances")["i-0abc123def456"], 64.25);
    assert_eq!(found("resource.seed.instances")["i-techstart001"], 75);
    assert_eq!(found("resource.seed.outcomes")["scale_down succeeded"], 7.5);
    assert_eq!(found("resource.seed.recent_event"), json!({"type": "scale_up succeeded", "minutes": 5}));
    assert_eq!(
        found("workflow_history.seed.scenarios")["cost_analysis by cost-agent-1 for Acme Corp"],
        "completed, steps 5, artifacts 3"
    );
    assert_eq!(found("application.seed.baselines"), json!({"initial": 5, "updated": 1, "rollback": 1}));
    assert!(found("seed.total")["all layers"].as_i64().unwrap() >= 447);
}

#[test]
fn a_seed_that_is_required_and_absent_is_found_in_every_layer() {
    let db = TestDb::migrated();
    let report =
        verify::run(&mut db.conn(), &Options { seed: SeedExpectation::Required, ..Options::default() }).unwrap();
    for check in &report.checks {
        let expected = if is_seed_check(check) { Outcome::Failed } else { Outcome::Passed };
        assert_eq!(check.outcome, expected, "{}", check.id);
    }
    let customers = findings(check(&report, "core.seed.customers"));
    assert_eq!(customers[0], "Acme Corp: missing: expected admin@acme.com, enterprise");
    assert_eq!(findings(check(&report, "core.seed.counts"))[0], "customers: expected at least 3, found 0");
}

#[test]
fn the_seed_of_one_layer_is_checked_without_the_others() {
    let report = verified(&seeded(&[Layer::Core]));
    assert_eq!(failed(&report), [""; 0]);
    assert_eq!(check(&report, "core.seed.agents").outcome, Outcome::Passed);
    let resource = check(&report, "resource.seed.instances");
    assert_eq!(skipped_because(resource), "there is no seed data of layer resource");
    assert_eq!(skipped_because(check(&report, "seed.total")), "there is no seed data of layer agent_state");
}

#[test]
fn a_seed_with_another_anchor_is_as_good() {
    let db = TestDb::seeded("2020-02-29T23:30:00Z".parse().unwrap());
    assert_eq!(failed(&verified(&db)), [""; 0]);
}

#[test]
fn a_broken_schema_fails_the_checks_that_need_it_and_no_others() {
    let db = TestDb::seeded_now();
    db.conn().batch_execute("ALTER TABLE resource_metrics DROP COLUMN metric_name").unwrap();
    let report = verified(&db);
    assert_eq!(check(&report, "resource.columns").outcome, Outcome::Failed);
    let instances = findings(check(&report, "resource.seed.instances"));
    assert_eq!(instances, ["query: column \"metric_name\" does not exist"]);
    for id in ["core.seed.counts", "application.seed.models", "workflow_history.seed.scenarios"] {
        assert_eq!(check(&report, id).outcome, Outcome::Passed, "{id}");
    }
    assert_eq!(check(&report, "seed.total").outcome, Outcome::Failed);
}

#[test]
fn the_seed_in_a_dropped_table_is_skipped() {
    let db = TestDb::seeded_now();
    db.conn().batch_execute("DROP TABLE scaling_events").unwrap();
    let report = verified(&db);
    assert_eq!(check(&report, "resource.tables").outcome, Outcome::Failed);
    assert_eq!(skipped_because(check(&report, "resource.seed.events")), "there is no table scaling_events");
    assert_eq!(check(&report, "core.seed.counts").outcome, Outcome::Passed);
}
