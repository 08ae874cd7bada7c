//! `verify`: nothing to say of a right database, and exactly the planted fault of a wrong one.

use std::path::Path;

use chrono::Utc;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use optiinfra_db::catalog;
use optiinfra_db::layer::Layer;
use optiinfra_db::migrate::{EMBEDDED, Goal, Migrator};
use optiinfra_db::seed;
use optiinfra_db::verify::{self, Check, Options, Outcome, Report, SeedExpectation};
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
fn catalog_txt_is_what_a_fresh_database_looks_like() {
    let found = catalog::read(&mut TestDb::migrated().conn()).unwrap();
    if std::env::var_os("OPTIINFRA_BLESS").is_some() {
        let head = format!(
            "# @generated: the schema at head, one object a line. After a new migration run\n# {HOW_TO_WRITE}\n"
        );
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/catalog.txt");
        return std::fs::write(file, head + &found.to_lines()).unwrap();
    }
    let differences = catalog::contract().differences(&found);
    assert!(differences.is_empty(), "{differences:#?}\nif this is meant, run\n  {HOW_TO_WRITE}");
    // The parts too: what the parser of the file reads is what the server says.
    assert_eq!(*catalog::contract(), found, "if this is meant, run\n  {HOW_TO_WRITE}");
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
        ("schema.tables", 18),
        ("schema.enums", 22),
        ("schema.indexes", 137),
        ("schema.foreign_keys", 31),
        ("schema.triggers", 12),
        ("schema.policies", 13),
        ("schema.primary_keys", 18),
        ("core.tables", 6),
        ("core.enums", 9),
        ("core.indexes", 35),
        ("core.foreign_keys", 8),
        ("core.constraints", 11),
        ("agent_state.tables", 4),
        ("agent_state.enums", 3),
        ("workflow_history.tables", 3),
        ("workflow_history.enums", 4),
        ("resource.tables", 2),
        ("resource.enums", 2),
        ("resource.indexes", 23),
        ("resource.foreign_keys", 5),
        ("application.tables", 3),
        ("application.enums", 4),
    ] {
        assert_eq!(figures(id), (json!(figure), json!(figure)), "{id}");
    }
    assert_eq!(figures("core.cascades").1, json!({"cascade": 7, "set_null": 1}));
    assert_eq!(figures("application.cascades").1, json!({"cascade": 7, "set_null": 1}));
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
        assert!(check.id.starts_with(prefix) || check.id.starts_with("rules."), "{}", check.id);
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
fn a_database_without_a_current_schema_is_empty_too() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    conn.batch_execute("SET search_path = no_such_schema").unwrap();
    let report = verify::run(&mut conn, &Options::default()).unwrap();
    assert_eq!(failed(&report), ["migrations.head"]);
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
fn what_migration_tools_and_extensions_own_is_nobodys_fault() {
    let db = TestDb::migrated();
    db.conn()
        .batch_execute(
            "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); CREATE TABLE __other_ledger (id int)",
        )
        .unwrap();
    assert!(verified(&db).is_clean());
}

/// Plants a fault in a migrated database each, and names what `schema.contract` has to say of it, and every check
/// that has to fail.
macro_rules! faults {
    ($($name:ident: $sql:literal => [$($finding:literal),+], [$($check:literal),*];)+) => {$(
        #[test]
        fn $name() {
            let db = TestDb::migrated();
            db.conn().batch_execute($sql).unwrap();
            let report = verified(&db);
            assert_eq!(findings(check(&report, "schema.contract")), [$($finding),+]);
            let mut expected = vec!["schema.contract", $($check),*];
            let mut failed = failed(&report);
            expected.sort_unstable();
            failed.sort_unstable();
            assert_eq!(failed, expected);
            assert_eq!(mended(&db, &report), !UNMENDABLE.contains(&stringify!($name)), "{:#?}", mends(&report));
        }
    )+};
}

/// The faults of which no statement mends all: what was dropped took rows along, what was added may hold some, or the
/// order of columns or labels cannot be changed.
const UNMENDABLE: [&str; 12] = [
    "a_dropped_column_is_found",
    "a_dropped_column_with_an_index_is_found_with_its_index",
    "an_added_column_is_found",
    "columns_in_another_order_are_found",
    "a_generated_column_is_found",
    "a_dropped_table_is_one_finding",
    "an_extra_table_is_one_finding",
    "a_table_that_became_a_view_is_found",
    "an_extra_view_is_found",
    "an_extra_sequence_is_found",
    "an_added_label_is_found",
    "labels_in_another_order_are_found",
];

fn mends(report: &Report) -> Vec<Option<&str>> {
    check(report, "schema.contract").findings.iter().map(|finding| finding.fix.as_deref()).collect()
}

/// Whether the statements of the findings leave a database without any.
fn mended(db: &TestDb, report: &Report) -> bool {
    for statement in mends(report).into_iter().flatten() {
        // CONCURRENTLY waits for the transactions of all other tests.
        let statement = &statement.replace(" CONCURRENTLY", "");
        db.conn().batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    verified(db).is_clean()
}

faults! {
    a_dropped_column_is_found:
        "ALTER TABLE resource_metrics DROP COLUMN unit" =>
        ["column resource_metrics.unit: missing: character varying(50) NOT NULL"],
        ["resource.columns"];
    a_dropped_column_with_an_index_is_found_with_its_index:
        "ALTER TABLE agents DROP COLUMN last_heartbeat" =>
        [
            "column agents.last_heartbeat: missing: timestamp with time zone",
            "index agents.idx_agent_heartbeat: missing: btree (last_heartbeat)"
        ],
        ["core.columns", "core.indexes", "schema.indexes"];
    an_added_column_is_found:
        "ALTER TABLE customers ADD COLUMN phone text DEFAULT 'none'" =>
        ["column customers.phone: unexpected: text DEFAULT 'none'::text"],
        ["core.columns"];
    a_renamed_column_is_found:
        "ALTER TABLE events RENAME COLUMN data TO payload" =>
        [
            "column events.data: missing: jsonb NOT NULL DEFAULT '{}'::jsonb",
            "column events.payload: unexpected: jsonb NOT NULL DEFAULT '{}'::jsonb"
        ],
        ["core.columns"];
    columns_in_another_order_are_found:
        "ALTER TABLE quality_regressions RENAME COLUMN baseline_value TO x;
         ALTER TABLE quality_regressions RENAME COLUMN current_value TO baseline_value;
         ALTER TABLE quality_regressions RENAME COLUMN x TO current_value;
         COMMENT ON COLUMN quality_regressions.baseline_value IS 'Value of the metric in the baseline.';
         COMMENT ON COLUMN quality_regressions.current_value IS 'Value of the metric when detected.'" =>
        [
            "column order quality_regressions: expected id, agent_id, customer_id, baseline_id, workflow_execution_id, \
             regression_type, severity, detected_at, metric_name, baseline_value, current_value, delta_percent, \
             sample_size, action_taken, resolved_at, resolution_notes, metadata, created_at, updated_at, found id, \
             agent_id, customer_id, baseline_id, workflow_execution_id, regression_type, severity, detected_at, \
             metric_name, current_value, baseline_value, delta_percent, sample_size, action_taken, resolved_at, \
             resolution_notes, metadata, created_at, updated_at"
        ],
        ["application.columns"];
    another_type_is_found:
        "ALTER TABLE agents ALTER COLUMN version TYPE varchar(20)" =>
        ["column agents.version: expected character varying(50), found character varying(20)"],
        ["core.columns"];
    a_time_without_its_zone_is_found:
        "ALTER TABLE resource_metrics ALTER COLUMN created_at TYPE timestamp" =>
        [
            "column resource_metrics.created_at: expected timestamp with time zone NOT NULL DEFAULT now(), \
             found timestamp without time zone NOT NULL DEFAULT now()"
        ],
        ["resource.columns", "time.zones"];
    another_default_is_found:
        "ALTER TABLE workflow_steps ALTER COLUMN max_retries SET DEFAULT 5" =>
        ["column workflow_steps.max_retries: expected integer NOT NULL DEFAULT 3, found integer NOT NULL DEFAULT 5"],
        ["workflow_history.columns"];
    a_dropped_default_is_found:
        "ALTER TABLE quality_metrics ALTER COLUMN id DROP DEFAULT" =>
        ["column quality_metrics.id: expected uuid NOT NULL DEFAULT gen_random_uuid(), found uuid NOT NULL"],
        ["application.columns"];
    a_dropped_not_null_is_found:
        "ALTER TABLE customers ALTER COLUMN email DROP NOT NULL" =>
        ["column customers.email: expected character varying(255) NOT NULL, found character varying(255)"],
        ["core.columns"];
    an_added_not_null_is_found:
        "ALTER TABLE agents ALTER COLUMN endpoint SET NOT NULL" =>
        ["column agents.endpoint: expected character varying(255), found character varying(255) NOT NULL"],
        ["core.columns"];
    a_generated_column_is_found:
        "ALTER TABLE workflow_steps DROP COLUMN step_name;
         ALTER TABLE workflow_steps ADD COLUMN step_name varchar(255) NOT NULL GENERATED ALWAYS AS ('step') STORED;
         CREATE INDEX ix_workflow_steps_step_name ON workflow_steps (step_name);
         CREATE INDEX ix_workflow_steps_name_status ON workflow_steps (step_name, status);
         COMMENT ON COLUMN workflow_steps.step_name IS 'Name of the step.'" =>
        [
            "column order workflow_steps: expected id, workflow_execution_id, step_name, step_order, status, \
             started_at, completed_at, input_data, output_data, error_details, retry_count, max_retries, metadata, \
             created_at, updated_at, found id, workflow_execution_id, step_order, status, started_at, completed_at, \
             input_data, output_data, error_details, retry_count, max_retries, metadata, created_at, updated_at, \
             step_name",
            "column workflow_steps.step_name: expected character varying(255) NOT NULL, \
             found character varying(255) NOT NULL GENERATED ALWAYS AS 'step'::character varying STORED"
        ],
        ["workflow_history.columns"];

    a_dropped_table_is_one_finding:
        "DROP TABLE approvals" =>
        ["table approvals: missing: table, row security"],
        ["core.tables", "schema.tables", "core.columns", "core.indexes", "schema.indexes", "core.foreign_keys",
         "schema.foreign_keys", "core.constraints", "core.cascades", "schema.primary_keys", "schema.triggers", "schema.policies"];
    an_extra_table_is_one_finding:
        "CREATE TABLE notes (id serial PRIMARY KEY, customer_id uuid REFERENCES customers ON DELETE CASCADE)" =>
        ["table notes: unexpected: table"],
        ["schema.tables", "schema.indexes", "schema.foreign_keys"];
    a_table_that_became_a_view_is_found:
        "ALTER TABLE approvals RENAME TO _approvals; CREATE VIEW approvals AS SELECT id FROM _approvals" =>
        [
            "table _approvals: unexpected: table, row security",
            "table approvals: expected table, row security, found view",
            "column approvals.approved_by: missing: character varying(255) NOT NULL",
            "column approvals.comment: missing: text",
            "column approvals.created_at: missing: timestamp with time zone NOT NULL DEFAULT now()",
            "column approvals.id: expected uuid NOT NULL DEFAULT gen_random_uuid(), found uuid",
            "column approvals.recommendation_id: missing: uuid NOT NULL",
            "column approvals.status: missing: approvalstatus NOT NULL DEFAULT 'pending'::approvalstatus",
            "column approvals.updated_at: missing: timestamp with time zone NOT NULL DEFAULT now()",
            "constraint approvals.approvals_pkey: missing: PRIMARY KEY (id)",
            "constraint approvals.approvals_recommendation_id_fkey: missing: \
             FOREIGN KEY (recommendation_id) REFERENCES recommendations(id) ON DELETE CASCADE",
            "index approvals.idx_approval_rec: missing: btree (recommendation_id)",
            "index approvals.idx_approval_status: missing: btree (status)",
            "trigger approvals.set_updated_at: missing: BEFORE UPDATE ON approvals FOR EACH ROW WHEN \
             (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION set_updated_at()",
            "policy approvals.tenant_isolation: missing: AS PERMISSIVE FOR ALL TO PUBLIC USING ((EXISTS ( SELECT FROM \
             recommendations r WHERE (r.id = approvals.recommendation_id)))) WITH CHECK ((EXISTS ( SELECT FROM \
             recommendations r WHERE (r.id = approvals.recommendation_id))))",
            "comment approvals: missing: Decisions of people on recommendations.",
            "comment approvals.id: missing: Primary key."
        ],
        ["core.tables", "schema.tables", "core.columns", "core.indexes", "schema.indexes", "core.foreign_keys",
         "schema.foreign_keys", "core.constraints", "core.cascades", "schema.primary_keys", "schema.triggers",
         "schema.policies"];
    an_extra_view_is_found:
        "CREATE VIEW spenders AS SELECT name FROM customers" =>
        ["table spenders: unexpected: view"],
        ["schema.tables"];
    an_extra_sequence_is_found:
        "CREATE SEQUENCE tickets" =>
        ["table tickets: unexpected: sequence"],
        ["schema.tables"];
    an_unlogged_table_is_found:
        "ALTER TABLE agent_metrics SET UNLOGGED" =>
        ["table agent_metrics: expected table, found unlogged table"],
        ["agent_state.tables", "schema.tables"];
    row_security_that_nobody_asked_for_is_found:
        "ALTER TABLE agents ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON agents FOR SELECT USING (name = current_user)" =>
        [
            "table agents: expected table, found table, row security",
            "policy agents.own: unexpected: AS PERMISSIVE FOR SELECT TO PUBLIC USING (((name)::text = CURRENT_USER))"
        ],
        ["core.tables", "schema.tables", "schema.policies"];
    row_security_that_is_off_is_found:
        "ALTER TABLE quality_metrics DISABLE ROW LEVEL SECURITY" =>
        ["table quality_metrics: expected table, row security, found table"],
        ["application.tables", "schema.tables", "schema.policies"];
    row_security_for_the_owner_is_found:
        "ALTER TABLE events FORCE ROW LEVEL SECURITY" =>
        ["table events: expected table, row security, found table, row security, row security also for the owner"],
        ["core.tables", "schema.tables", "schema.policies"];
    a_dropped_policy_is_found:
        "DROP POLICY tenant_isolation ON approvals" =>
        [
            "policy approvals.tenant_isolation: missing: AS PERMISSIVE FOR ALL TO PUBLIC USING ((EXISTS ( SELECT FROM \
             recommendations r WHERE (r.id = approvals.recommendation_id)))) WITH CHECK ((EXISTS ( SELECT FROM \
             recommendations r WHERE (r.id = approvals.recommendation_id))))"
        ],
        ["schema.policies"];
    a_policy_that_shows_everything_is_found:
        "ALTER POLICY tenant_isolation ON events USING (true)" =>
        [
            "policy events.tenant_isolation: expected AS PERMISSIVE FOR ALL TO PUBLIC USING ((customer_id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))) \
             WITH CHECK ((customer_id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))), found AS PERMISSIVE FOR ALL TO PUBLIC USING (true) \
             WITH CHECK ((customer_id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\")))"
        ],
        ["schema.policies"];
    a_policy_that_checks_no_writes_is_found:
        "ALTER POLICY tenant_isolation ON events WITH CHECK (true)" =>
        [
            "policy events.tenant_isolation: expected AS PERMISSIVE FOR ALL TO PUBLIC USING ((customer_id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))) \
             WITH CHECK ((customer_id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))), found AS PERMISSIVE FOR ALL TO PUBLIC USING ((customer_id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))) \
             WITH CHECK (true)"
        ],
        ["schema.policies"];
    a_policy_that_holds_for_some_only_is_found:
        "ALTER POLICY tenant_isolation ON customers TO pg_monitor" =>
        [
            "policy customers.tenant_isolation: expected AS PERMISSIVE FOR ALL TO PUBLIC \
             USING ((id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))) \
             WITH CHECK ((id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))), \
             found AS PERMISSIVE FOR ALL TO pg_monitor USING ((id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\"))) \
             WITH CHECK ((id = ( SELECT (NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid AS \"nullif\")))"
        ],
        ["schema.policies"];
    a_policy_too_many_is_found:
        "CREATE POLICY support ON workflow_steps TO pg_monitor USING (true)" =>
        ["policy workflow_steps.support: unexpected: AS PERMISSIVE FOR ALL TO pg_monitor USING (true)"],
        ["schema.policies"];
    a_policy_for_everybody_under_the_name_of_one_for_operators_is_found:
        "CREATE POLICY cross_customer_read ON events FOR SELECT USING (true)" =>
        ["policy events.cross_customer_read: unexpected: AS PERMISSIVE FOR SELECT TO PUBLIC USING (true)"],
        ["schema.policies"];

    an_added_label_is_found:
        "ALTER TYPE customerplan ADD VALUE 'trial' BEFORE 'startup'" =>
        ["enum customerplan: expected free, startup, enterprise, found free, trial, startup, enterprise"],
        ["core.enums", "schema.enums"];
    a_renamed_label_is_found:
        "ALTER TYPE resource_type RENAME VALUE 'network' TO 'net'" =>
        [
            "index resource_metrics.ix_resource_metrics_customer_network_timestamp: expected btree (customer_id, \
             \"timestamp\") WHERE resource_type = 'network'::resource_type, found btree (customer_id, \"timestamp\") WHERE \
             resource_type = 'net'::resource_type",
            "enum resource_type: expected gpu, cpu, memory, disk, network, found gpu, cpu, memory, disk, net"
        ],
        ["resource.enums", "schema.enums", "resource.indexes", "schema.indexes"];
    a_renamed_label_is_found_in_the_default_that_uses_it_too:
        "ALTER TYPE configtype RENAME VALUE 'string' TO 'text'" =>
        [
            "column agent_configs.config_type: expected configtype NOT NULL DEFAULT 'string'::configtype, \
             found configtype NOT NULL DEFAULT 'text'::configtype",
            "enum configtype: expected string, integer, float, boolean, json, found text, integer, float, boolean, json"
        ],
        ["agent_state.enums", "schema.enums", "agent_state.columns"];
    labels_in_another_order_are_found:
        "ALTER TYPE regression_severity RENAME VALUE 'low' TO 'x';
         ALTER TYPE regression_severity RENAME VALUE 'high' TO 'low';
         ALTER TYPE regression_severity RENAME VALUE 'x' TO 'high'" =>
        ["enum regression_severity: expected low, medium, high, critical, found high, medium, low, critical"],
        ["application.enums", "schema.enums"];
    a_renamed_type_is_found_in_its_columns_too:
        "ALTER TYPE baseline_type RENAME TO kind_of_baseline" =>
        [
            "column quality_baselines.baseline_type: expected baseline_type NOT NULL, found kind_of_baseline NOT NULL",
            "enum baseline_type: missing: initial, updated, rollback",
            "enum kind_of_baseline: unexpected: initial, updated, rollback"
        ],
        ["application.enums", "schema.enums", "application.columns"];
    an_extra_type_is_found:
        "CREATE TYPE colour AS ENUM ('red'); CREATE DOMAIN percent AS float8 CHECK (VALUE <= 100)" =>
        ["enum colour: unexpected: red", "type percent: unexpected: domain double precision"],
        ["schema.enums"];

    a_dropped_index_is_found:
        "DROP INDEX idx_customer_email" =>
        ["index customers.idx_customer_email: missing: btree (email)"],
        ["core.indexes", "schema.indexes"];
    an_extra_index_is_found:
        "CREATE INDEX by_unit ON resource_metrics USING brin (created_at) WHERE unit = 'percent'" =>
        ["index resource_metrics.by_unit: unexpected: brin (created_at) WHERE unit::text = 'percent'::text"],
        ["resource.indexes", "schema.indexes"];
    an_index_on_other_columns_is_found:
        "DROP INDEX ix_scaling_events_agent_type;
         CREATE INDEX ix_scaling_events_agent_type ON scaling_events (event_type, agent_id)" =>
        [
            "index scaling_events.ix_scaling_events_agent_type: expected btree (agent_id, event_type), \
             found btree (event_type, agent_id)"
        ],
        ["resource.indexes", "schema.indexes"];
    an_index_that_became_unique_is_found:
        "DROP INDEX ix_quality_metrics_agent_model;
         CREATE UNIQUE INDEX ix_quality_metrics_agent_model ON quality_metrics (agent_id, model_name)" =>
        [
            "index quality_metrics.ix_quality_metrics_agent_model: expected btree (agent_id, model_name), \
             found UNIQUE btree (agent_id, model_name)"
        ],
        ["application.indexes", "schema.indexes"];
    an_invalid_index_is_found:
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_agent_type'::regclass" =>
        ["index agents.idx_agent_type: expected btree (type), found btree (type) INVALID"],
        ["core.indexes", "schema.indexes"];

    another_action_on_delete_is_found:
        "ALTER TABLE events DROP CONSTRAINT events_agent_id_fkey,
            ADD CONSTRAINT events_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES agents (id) ON DELETE CASCADE" =>
        [
            "constraint events.events_agent_id_fkey: expected FOREIGN KEY (agent_id) REFERENCES agents(id) \
             ON DELETE SET NULL, found FOREIGN KEY (agent_id) REFERENCES agents(id) ON DELETE CASCADE"
        ],
        ["core.cascades"];
    no_action_on_delete_is_found:
        "ALTER TABLE scaling_events DROP CONSTRAINT scaling_events_customer_id_fkey,
            ADD CONSTRAINT scaling_events_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id)" =>
        [
            "constraint scaling_events.scaling_events_customer_id_fkey: expected FOREIGN KEY (customer_id) REFERENCES \
             customers(id) ON DELETE CASCADE, found FOREIGN KEY (customer_id) REFERENCES customers(id)"
        ],
        ["resource.cascades"];
    a_dropped_foreign_key_is_found:
        "ALTER TABLE agent_states DROP CONSTRAINT fk_agent_states_current_workflow" =>
        [
            "constraint agent_states.fk_agent_states_current_workflow: missing: FOREIGN KEY (current_workflow_id) \
             REFERENCES workflow_executions(id) ON DELETE SET NULL"
        ],
        ["agent_state.foreign_keys", "schema.foreign_keys", "agent_state.cascades"];
    a_foreign_key_that_was_never_validated_is_found:
        "ALTER TABLE workflow_artifacts DROP CONSTRAINT workflow_artifacts_workflow_step_id_fkey,
            ADD CONSTRAINT workflow_artifacts_workflow_step_id_fkey FOREIGN KEY (workflow_step_id)
            REFERENCES workflow_steps (id) ON DELETE CASCADE NOT VALID" =>
        [
            "constraint workflow_artifacts.workflow_artifacts_workflow_step_id_fkey: expected FOREIGN KEY \
             (workflow_step_id) REFERENCES workflow_steps(id) ON DELETE CASCADE, found FOREIGN KEY (workflow_step_id) \
             REFERENCES workflow_steps(id) ON DELETE CASCADE NOT VALID"
        ],
        ["workflow_history.foreign_keys", "schema.foreign_keys"];
    foreign_keys_whose_triggers_are_off_are_found:
        "ALTER TABLE recommendations DISABLE TRIGGER ALL" =>
        [
            "constraint approvals.approvals_recommendation_id_fkey: expected FOREIGN KEY (recommendation_id) \
             REFERENCES recommendations(id) ON DELETE CASCADE, found FOREIGN KEY (recommendation_id) \
             REFERENCES recommendations(id) ON DELETE CASCADE (NOT ENFORCED: its triggers are disabled)",
            "constraint optimizations.optimizations_recommendation_id_fkey: expected FOREIGN KEY (recommendation_id) \
             REFERENCES recommendations(id) ON DELETE CASCADE, found FOREIGN KEY (recommendation_id) REFERENCES \
             recommendations(id) ON DELETE CASCADE (NOT ENFORCED: its triggers are disabled)",
            "constraint recommendations.recommendations_agent_id_fkey: expected FOREIGN KEY (agent_id) REFERENCES \
             agents(id) ON DELETE CASCADE, found FOREIGN KEY (agent_id) REFERENCES agents(id) ON DELETE CASCADE \
             (NOT ENFORCED: its triggers are disabled)",
            "constraint recommendations.recommendations_customer_id_fkey: expected FOREIGN KEY (customer_id) \
             REFERENCES customers(id) ON DELETE CASCADE, found FOREIGN KEY (customer_id) REFERENCES \
             customers(id) ON DELETE CASCADE (NOT ENFORCED: its triggers are disabled)",
            "trigger recommendations.set_updated_at: expected BEFORE UPDATE ON recommendations FOR EACH ROW WHEN \
             (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION set_updated_at(), found BEFORE UPDATE ON recommendations \
             FOR EACH ROW WHEN (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION set_updated_at() (disabled)"
        ],
        ["core.foreign_keys", "schema.foreign_keys", "schema.triggers"];

    a_dropped_check_is_found:
        "ALTER TABLE optimizations DROP CONSTRAINT check_progress_range" =>
        ["constraint optimizations.check_progress_range: missing: CHECK (((progress >= 0) AND (progress <= 100)))"],
        ["core.constraints"];
    a_wider_check_is_found:
        "ALTER TABLE optimizations DROP CONSTRAINT check_progress_range,
            ADD CONSTRAINT check_progress_range CHECK (progress BETWEEN 0 AND 200)" =>
        [
            "constraint optimizations.check_progress_range: expected CHECK (((progress >= 0) AND (progress <= 100))), \
             found CHECK (((progress >= 0) AND (progress <= 200)))"
        ],
        ["core.constraints"];
    a_dropped_unique_constraint_is_one_finding:
        "ALTER TABLE customers DROP CONSTRAINT customers_api_key_key" =>
        ["constraint customers.customers_api_key_key: missing: UNIQUE (api_key)"],
        ["core.constraints", "core.indexes", "schema.indexes"];
    a_dropped_primary_key_is_found:
        "ALTER TABLE agent_capabilities DROP CONSTRAINT agent_capabilities_pkey" =>
        ["constraint agent_capabilities.agent_capabilities_pkey: missing: PRIMARY KEY (id)"],
        ["agent_state.constraints", "agent_state.indexes", "schema.indexes", "schema.primary_keys"];

    a_disabled_trigger_is_found:
        "ALTER TABLE agents DISABLE TRIGGER set_updated_at" =>
        [
            "trigger agents.set_updated_at: expected BEFORE UPDATE ON agents FOR EACH ROW WHEN (old.* IS DISTINCT FROM \
             new.*) EXECUTE FUNCTION set_updated_at(), found BEFORE UPDATE ON agents FOR EACH ROW WHEN (old.* IS \
             DISTINCT FROM new.*) EXECUTE FUNCTION set_updated_at() (disabled)"
        ],
        ["schema.triggers"];
    a_dropped_trigger_is_found:
        "DROP TRIGGER set_updated_at ON workflow_steps" =>
        [
            "trigger workflow_steps.set_updated_at: missing: BEFORE UPDATE ON workflow_steps FOR EACH ROW WHEN \
             (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION set_updated_at()"
        ],
        ["schema.triggers"];
    another_function_body_is_found:
        "CREATE OR REPLACE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'" =>
        [
            "function set_updated_at(): expected RETURNS trigger LANGUAGE plpgsql AS \\nBEGIN\\n    IF \
             NEW.updated_at IS NOT DISTINCT \
             FROM OLD.updated_at THEN\\n        NEW.updated_at := now();\\n    END IF;\\n    RETURN \
             NEW;\\nEND\\n, found RETURNS trigger LANGUAGE plpgsql AS BEGIN RETURN NEW; END"
        ],
        ["schema.triggers"];
    an_extra_function_is_found:
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'" =>
        ["function one(): unexpected: RETURNS integer LANGUAGE sql IMMUTABLE AS SELECT 1"],
        [];

    another_comment_is_found:
        "COMMENT ON COLUMN customers.id IS 'Changed.'" =>
        ["comment customers.id: expected Primary key., found Changed."],
        [];
    a_dropped_comment_is_found:
        "COMMENT ON TYPE customerplan IS NULL" =>
        ["comment customerplan: missing: Subscription plan of a customer."],
        [];
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
fn rows_of_users_are_no_finding() {
    let db = TestDb::seeded_now();
    db.conn()
        .batch_execute(
            "INSERT INTO customers (name, email, api_key, plan) VALUES ('Acme Corp', 'other@acme.com', 'k1', 'free');
             INSERT INTO agents (type, name, status) VALUES ('cost', 'resource-agent-1', 'failed');
             INSERT INTO events (customer_id, event_type) SELECT id, 'noise' FROM customers;
             INSERT INTO agent_configs (agent_id, config_key, config_value)
                 SELECT id, 'gpu_utilization_target', '1' FROM agents WHERE name = 'cost-agent-1';
             INSERT INTO workflow_executions (agent_id, customer_id, workflow_type, status)
                 SELECT a.id, c.id, 'cost_analysis', 'failed' FROM agents a, customers c;
             INSERT INTO resource_metrics
                 (agent_id, customer_id, instance_id, resource_type, metric_name, metric_value, unit, timestamp)
                 SELECT a.id, c.id, 'i-mine', 'gpu', 'utilization', 99.9, 'percent', now()
                 FROM agents a, customers c;
             INSERT INTO scaling_events
                 (agent_id, customer_id, event_type, trigger_reason, before_state, after_state, success, executed_at,
                  completed_at)
                 SELECT a.id, c.id, 'scale_up', 'mine', '{}', '{}', false, now() - interval '77 minutes', now()
                 FROM agents a, customers c;
             INSERT INTO quality_metrics
                 (agent_id, customer_id, request_id, model_name, model_version, overall_quality_score, timestamp)
                 SELECT a.id, c.id, 'mine ' || a.id || c.id, 'mine', '1', 0.1, now() FROM agents a, customers c;
             INSERT INTO quality_regressions
                 (agent_id, customer_id, baseline_id, regression_type, severity, detected_at, metric_name,
                  baseline_value, current_value, delta_percent, sample_size, action_taken, resolved_at)
                 SELECT agent_id, customer_id, id, 'quality_drop', 'low', now(), 'm', 1, 0, -100, 1, 'alert_only', now()
                 FROM quality_baselines",
        )
        .unwrap();
    let report = verified(&db);
    assert!(report.is_clean(), "{:#?}", report.checks.iter().flat_map(findings).collect::<Vec<_>>());
    assert_eq!(report.skipped, 0);
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

/// Plants a fault in a seeded database each, and names every check that has to fail with all that it has to say.
macro_rules! seed_faults {
    ($($name:ident: $sql:literal => {$($check:literal: [$($finding:literal),+],)+};)+) => {$(
        #[test]
        fn $name() {
            let db = TestDb::seeded_now();
            db.conn().batch_execute($sql).unwrap();
            let report = verified(&db);
            $(assert_eq!(findings(check(&report, $check)), [$($finding),+], "{}", $check);)+
            // A rule may be broken too; rules.rs is about that.
            let failed: Vec<_> = failed(&report).into_iter().filter(|id| !id.starts_with("rules.")).collect();
            assert_eq!(failed, [$($check),+]);
        }
    )+};
}

seed_faults! {
    a_customers_other_plan_is_found:
        "UPDATE customers SET plan = 'startup' WHERE name = 'Acme Corp'" => {
            "core.seed.customers": ["Acme Corp: expected admin@acme.com, enterprise, found admin@acme.com, startup"],
        };
    a_missing_customer_is_found_with_all_that_went_with_it:
        "DELETE FROM customers WHERE name = 'Demo Customer'" => {
            "seed.total": ["workflow_history: expected at least 30, found 28"],
            "core.seed.customers": ["Demo Customer: missing: expected demo@example.com, free"],
        };
    a_changed_status_of_an_agent_is_found:
        "UPDATE agents SET status = 'degraded' WHERE name = 'cost-agent-1'" => {
            "core.seed.agents": ["cost-agent-1: expected cost, healthy, found cost, degraded"],
        };
    a_deleted_event_is_found:
        "DELETE FROM events WHERE event_type = 'performance_degradation'" => {
            "core.seed.counts": ["events: expected at least 3, found 2"],
        };
    a_deleted_config_is_found:
        "DELETE FROM agent_configs WHERE config_key = 'kv_cache_size_gb'" => {
            "seed.total": ["agent_state: expected at least 22, found 21"],
            "agent_state.seed.configs": ["kv_cache_size_gb: missing: expected performance-agent-1"],
            "agent_state.seed.counts": ["agent_configs: expected at least 6, found 5"],
        };
    a_deleted_state_is_found:
        "DELETE FROM agent_states WHERE agent_id = '00000000-0000-0000-0000-000000000104'" => {
            "seed.total": ["agent_state: expected at least 22, found 21"],
            "agent_state.seed.states": ["resource-agent-1: expected at least 1, found 0"],
            "agent_state.seed.counts": ["agent_states: expected at least 4, found 3"],
        };
    a_capability_of_another_agent_is_found:
        "UPDATE agent_capabilities SET agent_id = '00000000-0000-0000-0000-000000000105'
         WHERE capability_name = 'auto_scaling'" => {
            "agent_state.seed.capabilities": ["auto_scaling: expected resource-agent-1, found application-agent-1"],
        };
    a_renamed_agent_metric_is_found:
        "UPDATE agent_metrics SET metric_name = 'x' WHERE metric_name = 'quality_score_average'" => {
            "agent_state.seed.metrics": ["quality_score_average: missing: expected application-agent-1"],
        };
    a_deleted_step_is_found:
        "DELETE FROM workflow_steps WHERE step_name = 'analyze_storage'" => {
            "workflow_history.seed.scenarios": [
                "cost_analysis by cost-agent-1 for Acme Corp: expected completed, steps 5, artifacts 3, \
                 found completed, steps 4, artifacts 3"
            ],
        };
    a_changed_status_of_a_workflow_is_found:
        "UPDATE workflow_executions SET status = 'completed' WHERE workflow_type = 'quality_check'" => {
            "workflow_history.seed.scenarios": [
                "quality_check by application-agent-1 for StartupCo: expected failed, steps 3, artifacts 2, \
                 found completed, steps 3, artifacts 2"
            ],
        };
    a_renamed_second_customer_is_found:
        "UPDATE customers SET name = 'TechStart Ltd' WHERE name = 'TechStart Inc'" => {
            "resource.seed.customer": ["TechStart Inc: missing: expected at least 1"],
            "application.seed.second_customer": ["TechStart Inc: missing: expected at least 10"],
            "application.seed.baselines": ["initial: expected at least 5, found 4"],
            "application.seed.regressions": ["high quality_drop, resolved: missing: expected at least 1"],
        };
    a_deleted_sample_is_found:
        "DELETE FROM resource_metrics WHERE instance_id = 'i-0abc123def456' AND metric_value = 83.5" => {
            "resource.seed.types": ["gpu: expected at least 78, found 77"],
            "resource.seed.instances": ["i-0abc123def456: expected 64.25, found 62.5"],
            "resource.seed.samples": ["i-0abc123def456: expected at least 12, found 11"],
            "resource.seed.latest_gpu": ["i-0abc123def456: expected 83.5, found 80"],
            "resource.seed.time_range": [
                "samples: expected at least 12, found 11",
                "hours from first to last: expected 11, found 10"
            ],
            "resource.seed.counts": ["resource_metrics: expected at least 126, found 125"],
        };
    a_missing_resource_type_is_found:
        "DELETE FROM resource_metrics WHERE resource_type = 'network'" => {
            "seed.total": ["resource: expected at least 128, found 122"],
            "resource.seed.types": ["network: missing: expected at least 12"],
            "resource.seed.counts": ["resource_metrics: expected at least 126, found 114"],
        };
    another_value_of_a_sample_is_found:
        "UPDATE resource_metrics SET metric_value = 57 WHERE instance_id = 'i-0abc123def457' AND metric_value = 55" => {
            "resource.seed.instances": ["i-0abc123def457: expected 63.25, found 63.416666666666664"],
        };
    a_failed_scaling_event_that_should_have_succeeded_is_found:
        "UPDATE scaling_events SET success = false WHERE event_type = 'manual_scale'" => {
            "resource.seed.events": ["manual_scale succeeded: missing: expected at least 1"],
            "resource.seed.outcomes": ["manual_scale succeeded: missing: expected 10"],
        };
    another_duration_is_found:
        "UPDATE scaling_events SET completed_at = completed_at + interval '1 minute'
         WHERE event_type = 'scale_up' AND completed_at = (SELECT max(completed_at) FROM scaling_events)" => {
            "resource.seed.outcomes": ["scale_up succeeded: expected 10, found 15"],
            "resource.seed.recent_event": [
                "type: expected scale_up succeeded, found scale_up failed",
                "minutes: expected 5, found 2"
            ],
        };
    another_cause_of_the_failure_is_found:
        "UPDATE scaling_events SET error_details = '{\"error_type\": \"Throttled\"}' WHERE NOT success" => {
            "resource.seed.failed_event": ["scale_up: expected InsufficientCapacity, found Throttled"],
        };
    a_deleted_type_of_scaling_event_is_found:
        "DELETE FROM scaling_events WHERE event_type = 'scale_cancelled'" => {
            "resource.seed.events": [
                "scale_cancelled: missing: expected at least 1",
                "scale_cancelled succeeded: missing: expected at least 1"
            ],
            "resource.seed.outcomes": ["scale_cancelled succeeded: missing: expected 1"],
            "resource.seed.counts": ["scaling_events: expected at least 8, found 7"],
        };
    a_lost_link_to_the_workflow_is_found:
        "UPDATE scaling_events SET workflow_execution_id = NULL" => {
            "resource.seed.workflow": ["scale_up succeeded: missing: expected scaling_decision, completed"],
        };
    a_missing_model_is_found:
        "DELETE FROM quality_metrics WHERE model_name = 'llama-3-70b'" => {
            "seed.total": ["application: expected at least 253, found 245"],
            "application.seed.models": ["llama-3-70b: missing: expected at least 48"],
            "application.seed.quality": ["llama-3-70b: missing: expected 0 to 1"],
            "application.seed.counts": ["quality_metrics: expected at least 240, found 232"],
        };
    a_score_in_percent_is_found:
        "UPDATE quality_metrics SET overall_quality_score = 85 WHERE model_name = 'gpt-3.5-turbo'" => {
            "application.seed.quality": ["gpt-3.5-turbo: expected 0 to 1, found 85"],
        };
    a_baseline_of_another_type_is_found:
        "UPDATE quality_baselines SET baseline_type = 'initial' WHERE baseline_type = 'rollback'" => {
            "application.seed.baselines": ["rollback: missing: expected at least 1"],
        };
    a_resolved_regression_that_should_be_open_is_found:
        "UPDATE quality_regressions SET resolved_at = now() WHERE resolved_at IS NULL" => {
            "application.seed.regressions": ["medium toxicity_increase, open: missing: expected at least 1"],
            "application.seed.unresolved": ["unresolved: expected at least 1, found 0"],
        };
    a_workflow_of_a_regression_that_did_not_complete_is_found:
        "UPDATE workflow_executions SET status = 'cancelled' WHERE workflow_type = 'configuration_update'" => {
            "application.seed.workflow": [
                "critical quality_drop: expected configuration_update, completed, \
                 found configuration_update, cancelled"
            ],
        };
    too_few_records_are_found_in_the_total:
        "DELETE FROM workflow_executions WHERE workflow_type = 'anomaly_detection'" => {
            "seed.total": ["workflow_history: expected at least 30, found 28"],
        };
}
