//! Seed data: what is written, that it is written once, and that nothing of a user's is ever touched.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{Text, Timestamptz};
use optiinfra_db::connection::{self, Target};
use optiinfra_db::enums::{AgentType, ResourceType};
use optiinfra_db::id::CustomerId;
use optiinfra_db::layer::{self, Layer};
use optiinfra_db::models::{
    Agent, Customer, NewEvent, NewQualityMetric, QualityRegression, ResourceMetric, ScalingEvent,
};
use optiinfra_db::schema::{agent_states, agents, customers, events, quality_metrics};
use optiinfra_db::seed::{self, Report, ids};
use optiinfra_db::{Error, migrate};

use crate::support::{Dbctl, TestDb, agent, customer, number, server_says};

/// Rows per table after a seed of all layers.
const ROWS: [(&str, i64); 20] = [
    ("customers", 4),
    ("agents", 5),
    ("events", 3),
    ("recommendations", 3),
    ("approvals", 0),
    ("optimizations", 0),
    ("agent_configs", 6),
    ("agent_states", 4),
    ("agent_capabilities", 6),
    ("agent_metrics", 6),
    ("workflow_executions", 5 + 1 + 1),
    ("workflow_steps", 17),
    ("workflow_artifacts", 8),
    ("resource_metrics", 126),
    ("resource_metrics_hourly", 0),
    ("scaling_events", 8),
    ("quality_metrics", 298 + 10),
    ("quality_metrics_hourly", 0),
    ("quality_baselines", 7),
    ("quality_regressions", 6),
];

const TOTAL: u64 = 14 + 22 + 30 + (1 + 1 + 126 + 8) + (1 + 308 + 7 + 6);

fn at() -> DateTime<Utc> {
    "2025-10-20T12:00:00.123456Z".parse().unwrap()
}

fn row_counts(conn: &mut PgConnection) -> Vec<(&'static str, i64)> {
    layer::row_counts(conn).unwrap()
}

/// A database with everything seeded.
fn seeded() -> (TestDb, PgConnection) {
    let db = TestDb::seeded(at());
    let conn = db.conn();
    (db, conn)
}

fn text(conn: &mut PgConnection, query: &str) -> String {
    diesel::select(diesel::dsl::sql::<Text>(&format!("({query})"))).get_result(conn).unwrap()
}

/// Which version of which row is there: changes when any row is inserted, updated or deleted.
fn versions(conn: &mut PgConnection) -> BTreeMap<&'static str, String> {
    digests(conn, "id::text || xmin::text || ctid::text")
}

/// What is in the rows, but for the times at which the server wrote them.
fn contents(conn: &mut PgConnection) -> BTreeMap<&'static str, String> {
    digests(conn, "(to_jsonb(t) - 'created_at' - 'updated_at')::text")
}

fn digests(conn: &mut PgConnection, expression: &str) -> BTreeMap<&'static str, String> {
    let digest = |table| format!("SELECT coalesce(md5(string_agg({expression}, ',' ORDER BY id)), '') FROM {table} t");
    layer::tables().map(|(_, table)| (table, text(conn, &digest(table)))).collect()
}

fn layers_of(report: &Report) -> Vec<(Layer, &'static str, u64)> {
    report.tables.iter().map(|table| (table.layer, table.table, table.inserted)).collect()
}

#[test]
fn every_table_gets_as_many_rows_as_the_design_says() {
    let (_db, mut conn) = seeded();
    assert_eq!(row_counts(&mut conn), ROWS);
    assert_eq!(ROWS.iter().map(|(_, rows)| rows.cast_unsigned()).sum::<u64>(), TOTAL);
}

#[test]
fn the_report_has_a_line_for_each_table_that_a_layer_writes_to() {
    let db = TestDb::migrated();
    let report = seed::run(&mut db.conn(), &Layer::ALL, at()).unwrap();
    assert_eq!(
        layers_of(&report),
        [
            (Layer::Core, "customers", 3),
            (Layer::Core, "agents", 5),
            (Layer::Core, "events", 3),
            (Layer::Core, "recommendations", 3),
            (Layer::AgentState, "agent_configs", 6),
            (Layer::AgentState, "agent_states", 4),
            (Layer::AgentState, "agent_capabilities", 6),
            (Layer::AgentState, "agent_metrics", 6),
            (Layer::WorkflowHistory, "workflow_executions", 5),
            (Layer::WorkflowHistory, "workflow_steps", 17),
            (Layer::WorkflowHistory, "workflow_artifacts", 8),
            (Layer::Resource, "customers", 1),
            (Layer::Resource, "workflow_executions", 1),
            (Layer::Resource, "resource_metrics", 126),
            (Layer::Resource, "scaling_events", 8),
            (Layer::Application, "workflow_executions", 1),
            (Layer::Application, "quality_metrics", 308),
            (Layer::Application, "quality_baselines", 7),
            (Layer::Application, "quality_regressions", 6),
        ]
    );
    assert_eq!((report.inserted(), report.unchanged(), report.removed()), (TOTAL, 0, 0));
}

#[test]
fn the_report_is_plain_data() {
    let db = TestDb::migrated();
    let report = seed::run(&mut db.conn(), &[Layer::Core], at()).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["at"], "2025-10-20T12:00:00.123456Z");
    assert_eq!(
        json["tables"][0],
        serde_json::json!({"layer": "core", "table": "customers", "inserted": 3, "unchanged": 0, "removed": 0})
    );
}

#[test]
fn a_second_run_changes_no_row() {
    let (_db, mut conn) = seeded();
    let before = versions(&mut conn);
    let report = seed::run(&mut conn, &Layer::ALL, at()).unwrap();
    assert_eq!((report.inserted(), report.unchanged(), report.removed()), (0, TOTAL, 0));
    assert!(report.tables.iter().all(|table| table.inserted == 0 && table.unchanged > 0), "{report:?}");
    assert_eq!(versions(&mut conn), before);
}

#[test]
fn a_run_with_another_anchor_changes_no_row() {
    let (_db, mut conn) = seeded();
    let before = versions(&mut conn);
    for other in [at() - TimeDelta::days(365), at() + TimeDelta::minutes(1)] {
        let report = seed::run(&mut conn, &Layer::ALL, other).unwrap();
        assert_eq!((report.at, report.inserted(), report.unchanged()), (other, 0, TOTAL));
    }
    assert_eq!(versions(&mut conn), before);
}

#[test]
fn two_seeders_at_once_insert_every_row_once() {
    let db = TestDb::migrated();
    let start = Barrier::new(2);
    let seeder = |at: DateTime<Utc>| {
        let mut conn = db.conn();
        // A role may have such a default; the second seeder must see the first one's rows all the same.
        conn.batch_execute("SET default_transaction_isolation = 'repeatable read'").unwrap();
        start.wait();
        seed::run(&mut conn, &Layer::ALL, at).unwrap()
    };
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(|| seeder(at()));
        let other = scope.spawn(|| seeder(at() + TimeDelta::hours(1)));
        (one.join().unwrap(), other.join().unwrap())
    });
    let mut inserted = [one.inserted(), other.inserted()];
    inserted.sort_unstable();
    assert_eq!(inserted, [0, TOTAL]);
    assert_eq!(one.unchanged() + other.unchanged(), TOTAL);
    assert_eq!(row_counts(&mut db.conn()), ROWS);
}

#[test]
fn rows_that_were_removed_come_back_and_the_others_stay() {
    let (_db, mut conn) = seeded();
    diesel::delete(events::table.filter(events::customer_id.eq(ids::ACME))).execute(&mut conn).unwrap();
    let report = seed::run(&mut conn, &Layer::ALL, at() + TimeDelta::days(1)).unwrap();
    assert_eq!((report.inserted(), report.unchanged()), (2, TOTAL - 2));
    assert_eq!(row_counts(&mut conn), ROWS);
}

#[test]
fn a_changed_row_is_left_as_the_user_made_it() {
    let (_db, mut conn) = seeded();
    rename_acme(&mut conn);
    let report = seed::run(&mut conn, &Layer::ALL, at()).unwrap();
    assert_eq!(report.inserted(), 0);
    assert_eq!(name_of_acme(&mut conn), "Renamed");
}

fn rename_acme(conn: &mut PgConnection) {
    diesel::update(customers::table.find(ids::ACME)).set(customers::name.eq("Renamed")).execute(conn).unwrap();
}

fn name_of_acme(conn: &mut PgConnection) -> String {
    customers::table.find(ids::ACME).select(customers::name).first(conn).unwrap()
}

#[test]
fn layers_may_come_in_any_order_and_twice() {
    let db = TestDb::migrated();
    let jumbled = [Layer::Application, Layer::Core, Layer::Resource, Layer::Core];
    let report = seed::run(&mut db.conn(), &jumbled, at()).unwrap();
    assert_eq!(report.inserted(), 14 + 136 + 322);
    let layers: Vec<Layer> = report.tables.iter().map(|table| table.layer).collect();
    assert!(layers.is_sorted(), "{layers:?}");
}

#[test]
fn no_layer_is_no_work() {
    let db = TestDb::migrated();
    let report = seed::run(&mut db.conn(), &[], at()).unwrap();
    assert_eq!(report, Report { at: at(), tables: Vec::new() });
    assert_eq!(seed::remove(&mut db.conn(), &[]).unwrap().tables, []);
}

#[test]
fn layers_seeded_one_after_the_other_are_the_same_as_all_at_once() {
    let (_db, mut conn) = seeded();
    let db = TestDb::migrated();
    let mut one_by_one = db.conn();
    for layer in Layer::ALL {
        seed::run(&mut one_by_one, &[layer], at()).unwrap();
    }
    assert_eq!(contents(&mut one_by_one), contents(&mut conn));
}

#[test]
fn the_same_anchor_gives_the_same_content_in_any_session() {
    let (_db, mut conn) = seeded();
    let other = TestDb::migrated();
    let mut odd = other.conn();
    odd.batch_execute(
        "SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'German'; SET extra_float_digits = 0;
         SET default_transaction_isolation = 'serializable'",
    )
    .unwrap();
    seed::run(&mut odd, &Layer::ALL, at()).unwrap();
    let found = contents(&mut other.conn());
    assert_eq!(found, contents(&mut conn));
    assert!(found.values().filter(|digest| !digest.is_empty()).count() == 16, "{found:?}");
    let recommended = "SELECT string_agg(extract(epoch FROM created_at)::text, ',' ORDER BY id) FROM recommendations";
    assert_eq!(text(&mut other.conn(), recommended), text(&mut conn, recommended));
}

#[test]
fn every_value_is_the_one_of_earlier_releases() {
    let (_db, mut conn) = seeded();
    let mut found = contents(&mut conn);
    // These came later, and the seed has no rows of them.
    found.retain(|table, _| !table.ends_with("_hourly"));
    assert_eq!(text(&mut conn, &format!("SELECT md5('{found:?}')")), "bc5c7db6c1e0b3a7ac3d60d5bddd3e48", "{found:#?}");
}

#[test]
fn the_anchor_is_kept_to_the_microsecond() {
    let db = TestDb::migrated();
    let mut conn = db.conn();
    let precise = at() + TimeDelta::nanoseconds(789);
    let report = seed::run(&mut conn, &[Layer::Core], precise).unwrap();
    assert_eq!(report.at, at());
    let heartbeat: Option<DateTime<Utc>> =
        agents::table.find(ids::COST_AGENT).select(agents::last_heartbeat).first(&mut conn).unwrap();
    assert_eq!(heartbeat, Some(at()));
}

#[test]
fn an_anchor_that_the_server_cannot_store_is_an_error_and_leaves_nothing() {
    let db = TestDb::migrated();
    let mut conn = db.conn();
    for at in [DateTime::<Utc>::MIN_UTC, "-4800-01-01T00:00:00Z".parse().unwrap()] {
        let error = seed::run(&mut conn, &Layer::ALL, at).unwrap_err();
        let Error::Query { source, .. } = error else { panic!("expected a failed query, got {error:?}") };
        let out_of_range = server_says(&mut conn, "SELECT timestamp '294276-12-31' + interval '1 year'");
        assert_eq!(source.to_string(), out_of_range);
    }
    assert!(row_counts(&mut conn).iter().all(|(_, rows)| *rows == 0));
}

#[test]
fn no_time_lies_after_the_anchor() {
    let (_db, mut conn) = seeded();
    let columns = "SELECT string_agg(format('SELECT %L AS place, max(%I) AS latest FROM %I',
            table_name || '.' || column_name, column_name, table_name), ' UNION ALL ')
        FROM information_schema.columns
        WHERE table_schema = current_schema() AND data_type = 'timestamp with time zone'
          AND column_name NOT IN ('created_at', 'updated_at') AND table_name NOT LIKE '\\_\\_%'";
    let union = text(&mut conn, columns);
    let late = format!("SELECT coalesce(string_agg(place, ', '), 'none') FROM ({union}) t WHERE latest > ");
    let late: String =
        diesel::select(diesel::dsl::sql::<Text>(&format!("({late}")).bind::<Timestamptz, _>(at()).sql(")"))
            .get_result(&mut conn)
            .unwrap();
    assert_eq!(late, "none");
    assert!(
        union.contains("'quality_metrics.timestamp'") && union.contains("'scaling_events.completed_at'"),
        "{union}"
    );
}

#[test]
fn what_ends_ends_after_it_began() {
    let (_db, mut conn) = seeded();
    for (table, start, end) in [
        ("workflow_executions", "started_at", "completed_at"),
        ("workflow_steps", "started_at", "completed_at"),
        ("scaling_events", "executed_at", "completed_at"),
        ("quality_regressions", "detected_at", "resolved_at"),
        ("recommendations", "created_at", "approved_at"),
        ("recommendations", "approved_at", "executed_at"),
    ] {
        assert_eq!(number(&mut conn, &format!("SELECT count(*) FROM {table} WHERE {end} <= {start}")), 0, "{table}");
        assert!(number(&mut conn, &format!("SELECT count(*) FROM {table} WHERE {end} > {start}")) > 0, "{table}");
    }
}

#[test]
fn steps_are_numbered_from_one_without_a_gap() {
    let (_db, mut conn) = seeded();
    let runs = "SELECT count(*) FROM (SELECT FROM workflow_steps GROUP BY workflow_execution_id
        HAVING min(step_order) = 1 AND max(step_order) = count(*) AND count(DISTINCT step_order) = count(*)) runs";
    assert_eq!(number(&mut conn, runs), 5);
}

#[test]
fn an_artifact_belongs_to_the_run_of_its_step() {
    let (_db, mut conn) = seeded();
    let strangers = "SELECT count(*) FROM workflow_artifacts a JOIN workflow_steps s ON s.id = a.workflow_step_id
        WHERE s.workflow_execution_id <> a.workflow_execution_id";
    assert_eq!(number(&mut conn, strangers), 0);
}

#[test]
fn the_documented_questions_have_their_answers() {
    let (_db, mut conn) = seeded();
    let latest =
        ResourceMetric::latest(&mut conn, Some(CustomerId::new(ids::techstart())), ResourceType::Gpu, "utilization")
            .unwrap();
    assert_eq!(latest.map(|sample| (sample.metric_value, sample.timestamp)), Some((80.0, at())));
    let scaled = ScalingEvent::latest(&mut conn, None).unwrap().unwrap();
    assert_eq!(scaled.duration_seconds(), Some(300.0));
    let open = QualityRegression::unresolved().load(&mut conn).unwrap();
    assert_eq!(open.iter().map(|regression| regression.metric_name.as_str()).collect::<Vec<_>>(), ["toxicity_score"]);
    let baseline = open[0].baseline(&mut conn).unwrap();
    assert_eq!((baseline.model_name.as_str(), baseline.customer_id), ("claude-3-opus", ids::ACME));
}

/// Layers, what the error says is missing, and what provides it.
#[track_caller]
fn assert_missing(conn: &mut PgConnection, layers: &[Layer], by: Layer, missing: &str, from: &[Layer]) {
    let before = row_counts(conn);
    for result in [seed::run(conn, layers, at()), seed::plan(conn, layers, at()), seed::reset(conn, layers, at())] {
        match result {
            Err(Error::Seed(seed::Error::MissingPrerequisite { layer, what, provided_by })) => {
                assert_eq!((layer, what.as_str(), provided_by.as_slice()), (by, missing, from));
            }
            other => panic!("expected a missing prerequisite, got {other:?}"),
        }
    }
    assert_eq!(row_counts(conn), before);
}

#[test]
fn each_layer_says_what_it_needs_and_who_provides_it() {
    use Layer::{AgentState, Application, Core, Resource, WorkflowHistory};

    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let agents = "cost-agent-1, performance-agent-1, resource-agent-1, application-agent-1 (agents)";
    assert_missing(conn, &[AgentState], AgentState, agents, &[Core]);
    let workflows = format!("Acme Corp, StartupCo, Demo Customer (customers) and {agents}");
    assert_missing(conn, &[WorkflowHistory], WorkflowHistory, &workflows, &[Core]);
    assert_missing(conn, &[Resource], Resource, "Acme Corp (customers) and resource-agent-1 (agents)", &[Core]);
    let application = "Acme Corp, TechStart Inc (customers) and cost-agent-1, application-agent-1 (agents)";
    assert_missing(conn, &[Application], Application, application, &[Core, Resource]);
    seed::run(conn, &[Core], at()).unwrap();
    assert_missing(conn, &[Application], Application, "TechStart Inc (customers)", &[Resource]);
    seed::run(conn, &[Resource], at()).unwrap();
    assert_eq!(seed::run(conn, &[Application], at()).unwrap().inserted(), 322);
}

#[test]
fn the_first_layer_that_lacks_something_is_the_one_that_is_named() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let layers = [Layer::Application, Layer::Resource];
    let missing = "Acme Corp (customers) and resource-agent-1 (agents)";
    assert_missing(conn, &layers, Layer::Resource, missing, &[Layer::Core]);
}

#[test]
fn a_prerequisite_is_the_very_row_and_not_one_of_the_same_name() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    seed::run(conn, &[Layer::Core, Layer::Resource], at()).unwrap();
    conn.batch_execute("DELETE FROM customers WHERE name = 'TechStart Inc'").unwrap();
    let own = customer(conn);
    diesel::update(customers::table.find(own.id)).set(customers::name.eq("TechStart Inc")).execute(conn).unwrap();
    assert_missing(conn, &[Layer::Application], Layer::Application, "TechStart Inc (customers)", &[Layer::Resource]);
}

#[test]
fn a_missing_prerequisite_hints_at_the_command() {
    let run = Dbctl::on(&TestDb::migrated()).run("seed application");
    let hint = "hint: run `optiinfra-dbctl seed core resource` first, or `optiinfra-dbctl seed --all`";
    assert!(run.stderr.contains(hint), "{run:#?}");
}

#[test]
fn a_schema_without_the_migrations_is_told_so() {
    let db = TestDb::empty();
    let conn = &mut db.conn();
    for result in [
        seed::run(conn, &Layer::ALL, at()),
        seed::plan(conn, &Layer::ALL, at()),
        seed::remove(conn, &Layer::ALL),
        seed::plan_removal(conn, &Layer::ALL),
        seed::reset(conn, &Layer::ALL, at()),
    ] {
        match result {
            Err(Error::Migrate(migrate::Error::Behind { pending })) => {
                assert_eq!(pending.len(), migrate::EMBEDDED.len());
            }
            other => panic!("expected to be behind, got {other:?}"),
        }
    }
    assert_eq!(number(conn, "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace"), 0);
}

#[test]
fn a_schema_that_lacks_the_last_migration_is_not_seeded() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    migrate::Migrator::default().run(conn, &migrate::Goal::Back(1)).unwrap();
    let last = migrate::EMBEDDED.last().unwrap().name;
    let error = seed::run(conn, &Layer::ALL, at()).unwrap_err();
    assert!(
        matches!(&error, Error::Migrate(migrate::Error::Behind { pending }) if pending == &[last.to_owned()]),
        "{error:?}"
    );
    assert!(row_counts(conn).iter().all(|(_, rows)| *rows == 0));
}

#[test]
fn an_address_that_a_user_holds_is_named_and_nothing_is_written() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let own = customer(conn);
    // TechStart Inc comes late: the core rows are in by then, and must go again.
    diesel::update(customers::table.find(own.id))
        .set(customers::email.eq("ops@techstart.example"))
        .execute(conn)
        .unwrap();
    let error = seed::run(conn, &Layer::ALL, at()).unwrap_err();
    assert_eq!(error.to_string(), "could not insert the seed rows of customers");
    let Error::Query { source: DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info), .. } = error
    else {
        panic!("expected a unique violation, got {error:?}");
    };
    assert_eq!((info.table_name(), info.constraint_name()), (Some("customers"), Some("customers_email_key")));
    let left: i64 = row_counts(conn).iter().map(|(_, rows)| rows).sum();
    assert_eq!(left, 1);
    assert_eq!(customers::table.find(own.id).select(Customer::as_select()).first(conn).unwrap().name, own.name);
}

#[test]
fn a_connection_in_a_transaction_is_refused() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let result = conn.transaction(|conn| seed::run(conn, &[Layer::Core], at()));
    assert!(matches!(&result, Err(Error::Diesel(DieselError::AlreadyInTransaction))), "{result:?}");
    assert_eq!(number(conn, "SELECT count(*) FROM customers"), 0);
}

#[test]
fn reset_restores_a_changed_row_and_keeps_a_users_row() {
    let (_db, mut conn) = seeded();
    let own = customer(&mut conn);
    let before = contents(&mut conn);
    rename_acme(&mut conn);
    diesel::delete(events::table).execute(&mut conn).unwrap();
    let report = seed::reset(&mut conn, &Layer::ALL, at()).unwrap();
    assert_eq!((report.inserted(), report.unchanged(), report.removed()), (TOTAL, 0, TOTAL - 3));
    assert_eq!(name_of_acme(&mut conn), "Acme Corp");
    assert_eq!(contents(&mut conn), before);
    assert_eq!(customers::table.find(own.id).select(Customer::as_select()).first(&mut conn).unwrap(), own);
}

#[test]
fn reset_of_a_layer_that_nothing_stands_on_leaves_the_others_untouched() {
    let (_db, mut conn) = seeded();
    let mut before = versions(&mut conn);
    let report = seed::reset(&mut conn, &[Layer::AgentState], at() + TimeDelta::days(1)).unwrap();
    assert_eq!((report.inserted(), report.removed()), (22, 22));
    let mut after = versions(&mut conn);
    for table in Layer::AgentState.tables() {
        assert_ne!(before.remove(table), after.remove(table), "{table}");
    }
    assert_eq!(before, after);
}

#[test]
fn reset_of_nothing_is_a_first_run() {
    let db = TestDb::migrated();
    let report = seed::reset(&mut db.conn(), &Layer::ALL, at()).unwrap();
    assert_eq!((report.inserted(), report.unchanged(), report.removed()), (TOTAL, 0, 0));
}

/// Removal and reset must refuse for this reason, and change nothing.
#[track_caller]
fn assert_in_use(conn: &mut PgConnection, layers: &[Layer], by: &[&str]) {
    let before = versions(conn);
    for result in [seed::remove(conn, layers), seed::reset(conn, layers, at()), seed::plan_removal(conn, layers)] {
        match result {
            Err(Error::Seed(seed::Error::InUse(found))) => {
                assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), by);
            }
            other => panic!("expected rows in use, got {other:?}"),
        }
    }
    assert_eq!(versions(conn), before);
}

#[test]
fn a_users_row_that_would_be_deleted_with_a_seed_row_stops_the_removal() {
    let (_db, mut conn) = seeded();
    for request in ["own-1", "own-2"] {
        let own = NewQualityMetric::builder()
            .agent_id(ids::APPLICATION_AGENT)
            .customer_id(ids::ACME)
            .request_id(request)
            .model_name("gpt-4")
            .model_version("0314")
            .overall_quality_score(0.9)
            .timestamp(at())
            .build();
        diesel::insert_into(quality_metrics::table).values(&own).execute(&mut conn).unwrap();
    }
    let by = ["2 rows of quality_metrics refer to agents", "2 rows of quality_metrics refer to customers"];
    assert_in_use(&mut conn, &Layer::ALL, &by);
}

#[test]
fn a_users_row_that_would_lose_its_reference_stops_the_removal() {
    let (_db, mut conn) = seeded();
    let own = customer(&mut conn);
    let event =
        NewEvent::builder().customer_id(own.id).agent_id(ids::COST_AGENT).event_type("of the user's own").build();
    diesel::insert_into(events::table).values(&event).execute(&mut conn).unwrap();
    assert_in_use(&mut conn, &Layer::ALL, &["1 row of events refers to agents"]);
}

#[test]
fn a_users_own_table_counts_like_ours_in_whatever_schema_and_by_whatever_key() {
    let (_db, mut conn) = seeded();
    conn.batch_execute(
        "CREATE SCHEMA elsewhere;
         CREATE TABLE elsewhere.\"Price List\" (email varchar REFERENCES customers (email) ON DELETE CASCADE);
         INSERT INTO elsewhere.\"Price List\" VALUES ('admin@acme.com'), ('admin@acme.com'), (NULL)",
    )
    .unwrap();
    assert_in_use(&mut conn, &Layer::ALL, &["2 rows of elsewhere.\"Price List\" refer to customers"]);
}

#[test]
fn a_key_of_two_columns_and_a_partitioned_child_are_counted_once() {
    let (_db, mut conn) = seeded();
    conn.batch_execute(
        "CREATE TABLE shifts (type agenttype, name varchar, day int,
             FOREIGN KEY (type, name) REFERENCES agents (type, name) ON DELETE SET NULL) PARTITION BY RANGE (day);
         CREATE TABLE shifts_1 PARTITION OF shifts FOR VALUES FROM (1) TO (10);
         CREATE TABLE shifts_2 PARTITION OF shifts FOR VALUES FROM (10) TO (20);
         INSERT INTO shifts VALUES ('cost', 'cost-agent-1', 1), ('cost', 'cost-agent-1', 11), ('cost', NULL, 12)",
    )
    .unwrap();
    assert_in_use(&mut conn, &Layer::ALL, &["2 rows of shifts refer to agents"]);
}

#[test]
fn rows_of_the_seed_in_another_layer_stop_a_removal_too() {
    let (_db, mut conn) = seeded();
    let by = [
        "10 rows of quality_metrics refer to customers",
        "1 row of quality_baselines refers to customers",
        "1 row of quality_regressions refers to customers",
    ];
    let mut sorted = by;
    sorted.sort_unstable_by_key(|text| text.split_whitespace().nth(3).unwrap());
    assert_in_use(&mut conn, &[Layer::Resource], &sorted);
}

#[test]
fn the_reference_that_points_up_a_layer_stops_the_removal_of_the_later_layer() {
    let (_db, mut conn) = seeded();
    conn.batch_execute(
        "UPDATE agent_states SET current_workflow_id = (SELECT id FROM workflow_executions WHERE status = 'running')
         WHERE current_status = 'busy'",
    )
    .unwrap();
    assert_in_use(&mut conn, &[Layer::WorkflowHistory], &["1 row of agent_states refers to workflow_executions"]);
    let report = seed::remove(&mut conn, &[Layer::AgentState, Layer::WorkflowHistory]).unwrap();
    assert_eq!(report.removed(), 22 + 30);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM agent_states"), 0);
}

#[test]
fn remove_leaves_exactly_the_users_rows() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let (own, worker) = (customer(conn), agent(conn, AgentType::Cost));
    let event = NewEvent::builder().customer_id(own.id).agent_id(worker.id).event_type("of the user's own").build();
    diesel::insert_into(events::table).values(&event).execute(conn).unwrap();
    let before = versions(conn);
    seed::run(conn, &Layer::ALL, at()).unwrap();
    assert_ne!(versions(conn), before);

    let planned = seed::plan_removal(conn, &Layer::ALL).unwrap();
    let report = seed::remove(conn, &Layer::ALL).unwrap();
    assert_eq!((report.inserted(), report.unchanged(), report.removed()), (0, 0, TOTAL));
    assert_eq!(planned.tables, report.tables);
    assert_eq!(versions(conn), before);
    assert_eq!(agents::table.select(Agent::as_select()).load(conn).unwrap(), [worker]);
    assert_eq!(seed::remove(conn, &Layer::ALL).unwrap().removed(), 0);
}

#[test]
fn a_row_written_while_the_removal_runs_is_not_swept_away() {
    let (db, mut writer) = seeded();
    let mut remover = db.conn();
    let pid = number(&mut remover, "SELECT pg_backend_pid()::bigint");
    writer.batch_execute("BEGIN").unwrap();
    let event = NewEvent::builder().customer_id(ids::ACME).event_type("of the user's own").build();
    diesel::insert_into(events::table).values(&event).execute(&mut writer).unwrap();

    let removed = thread::scope(|scope| {
        let removal = scope.spawn(|| seed::remove(&mut remover, &Layer::ALL));
        let waiting = format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted");
        let begin = Instant::now();
        let mut observer = db.conn();
        while number(&mut observer, &waiting) == 0 {
            assert!(begin.elapsed() < Duration::from_secs(30), "the removal does not wait for the writer");
            thread::yield_now();
        }
        writer.batch_execute("COMMIT").unwrap();
        removal.join().unwrap()
    });
    assert!(
        matches!(
            &removed,
            Err(Error::Seed(seed::Error::InUse(by))) if by[0].to_string() == "1 row of events refers to customers"
        ),
        "{removed:?}"
    );
    assert_eq!(number(&mut writer, "SELECT count(*) FROM events"), 4);
}

#[test]
fn plan_tells_what_run_does_and_writes_nothing() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    seed::run(conn, &[Layer::Core], at()).unwrap();
    diesel::delete(events::table).execute(conn).unwrap();
    let before = versions(conn);
    let planned = seed::plan(conn, &Layer::ALL, at()).unwrap();
    assert_eq!((planned.inserted(), planned.unchanged(), planned.removed()), (TOTAL - 11, 11, 0));
    assert_eq!(versions(conn), before);
    assert_eq!(seed::run(conn, &Layer::ALL, at()).unwrap(), planned);
}

#[test]
fn plans_work_for_a_role_that_may_only_select_in_a_read_only_session() {
    let (db, mut conn) = seeded();
    diesel::delete(agent_states::table).execute(&mut conn).unwrap();
    let reader = db.reader();
    let target = Target::parse(&db.url_as(&reader.name)).unwrap();
    let mut conn = connection::connect(&target, "test").unwrap();
    conn.batch_execute("SET default_transaction_read_only = on").unwrap();
    let report = seed::plan(&mut conn, &Layer::ALL, at()).unwrap();
    assert_eq!((report.inserted(), report.unchanged()), (4, TOTAL - 4));
    assert_eq!(seed::plan_removal(&mut conn, &Layer::ALL).unwrap().removed(), TOTAL - 4);
    conn.batch_execute("SET default_transaction_read_only = off").unwrap();
    let refused = seed::run(&mut conn, &Layer::ALL, at()).unwrap_err();
    let denied = server_says(&mut conn, "INSERT INTO agent_states DEFAULT VALUES");
    assert!(matches!(&refused, Error::Query { source, .. } if source.to_string() == denied), "{refused:?}");
}

#[test]
fn two_schemas_of_a_database_do_not_wait_for_each_other() {
    let (busy, free) = (TestDb::migrated(), TestDb::migrated());
    let mut holder = busy.conn();
    holder.batch_execute("BEGIN").unwrap();
    let take = concat!("SELECT pg_advisory_xact_lock(", include_str!("../../src/seed/lock_key.sql"), ")");
    holder.batch_execute(take).unwrap();
    let mut impatient = free.conn();
    impatient.batch_execute("SET lock_timeout = '5s'").unwrap();
    assert_eq!(seed::run(&mut impatient, &Layer::ALL, at()).unwrap().inserted(), TOTAL);
    let mut second = busy.conn();
    second.batch_execute("SET lock_timeout = '100ms'").unwrap();
    let error = seed::run(&mut second, &Layer::ALL, at()).unwrap_err();
    assert_eq!(error.to_string(), "could not take the lock of the seeders");
}
