//! `stats`: the figures of the seed, computed here by other means, and of databases that hold less.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use optiinfra_db::Error;
use optiinfra_db::enums::{
    AgentStatus, AgentType, CustomerPlan, RegressionSeverity, RegressionType, ResourceType, ScalingEventType,
    WorkflowStatus,
};
use optiinfra_db::layer::{self, Layer};
use optiinfra_db::migrate::{EMBEDDED, Goal, Migrator};
use optiinfra_db::models::{QualityMetric, ResourceMetric};
use optiinfra_db::schema::{customers, quality_metrics, scaling_events};
use optiinfra_db::seed::{self, ids};
use optiinfra_db::stats::{self, Options, Report};

use crate::support::{TestDb, customer, number};

fn at() -> DateTime<Utc> {
    "2025-10-20T12:00:00Z".parse().unwrap()
}

fn seeded() -> TestDb {
    let db = TestDb::migrated();
    seed::run(&mut db.conn(), &Layer::ALL, at()).unwrap();
    db
}

fn of_all(db: &TestDb) -> Report {
    stats::run(&mut db.conn(), &Options::default()).unwrap()
}

/// Equal but for the last digits of an average.
#[track_caller]
fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn the_customers_and_agents_are_listed() {
    let report = of_all(&seeded());
    let customers: Vec<_> = report.core.customers.iter().map(|c| (c.name.as_str(), c.email.as_str(), c.plan)).collect();
    assert_eq!(
        customers,
        [
            ("Acme Corp", "admin@acme.com", CustomerPlan::Enterprise),
            ("Demo Customer", "demo@example.com", CustomerPlan::Free),
            ("StartupCo", "founder@startup.co", CustomerPlan::Startup),
            ("TechStart Inc", "ops@techstart.example", CustomerPlan::Startup),
        ]
    );
    let agents: Vec<_> = report.core.agents.iter().map(|a| (a.type_, a.name.as_str(), a.status)).collect();
    assert_eq!(
        agents,
        [
            (AgentType::Orchestrator, "orchestrator-main", AgentStatus::Healthy),
            (AgentType::Cost, "cost-agent-1", AgentStatus::Healthy),
            (AgentType::Performance, "performance-agent-1", AgentStatus::Healthy),
            (AgentType::Resource, "resource-agent-1", AgentStatus::Healthy),
            (AgentType::Application, "application-agent-1", AgentStatus::Healthy),
        ]
    );
}

#[test]
fn no_api_key_is_in_the_report() {
    let db = seeded();
    let text = serde_json::to_string(&of_all(&db)).unwrap();
    let keys: Vec<String> = customers::table.select(customers::api_key).load(&mut db.conn()).unwrap();
    assert_eq!(keys.len(), 4);
    assert!(text.contains("admin@acme.com"));
    for secret in keys.iter().map(String::as_str).chain(["api_key"]) {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn every_table_is_measured() {
    let db = seeded();
    let report = of_all(&db);
    let counted = layer::row_counts(&mut db.conn()).unwrap();
    let reported: Vec<_> = report.tables.iter().map(|table| (table.table, table.rows)).collect();
    assert_eq!(reported, counted);
    for table in &report.tables {
        assert_eq!(Layer::of_table(table.table), Some(table.layer));
        let bytes = number(&mut db.conn(), &format!("SELECT pg_total_relation_size('{}')", table.table));
        assert_eq!(table.total_bytes, bytes, "{}", table.table);
    }
}

#[test]
fn samples_are_summed_up_by_type_and_by_instance() {
    let resource = of_all(&seeded()).resource;
    let by_type: Vec<_> = resource.metrics.iter().map(|metrics| (metrics.resource_type, metrics.count)).collect();
    assert_eq!(
        by_type,
        [
            (ResourceType::Gpu, 78),
            (ResourceType::Cpu, 12),
            (ResourceType::Memory, 12),
            (ResourceType::Disk, 12),
            (ResourceType::Network, 12),
        ]
    );
    let by_instance: Vec<_> = resource
        .instances
        .iter()
        .map(|i| (i.instance_id.as_str(), i.metrics, i.gpu_samples, i.average_gpu_utilization))
        .collect();
    assert_eq!(
        by_instance,
        [
            ("i-0abc123def456", 48, 12, Some(64.25)),
            ("i-0abc123def457", 24, 12, Some(63.25)),
            ("i-0abc123def458", 24, 12, Some(22.75)),
            ("i-0xyz789ghi012", 24, 0, None),
            ("i-techstart001", 6, 6, Some(75.0)),
        ]
    );
}

#[test]
fn scaling_events_are_summed_up_by_type_and_outcome() {
    use ScalingEventType::{AutoScaleTriggered, ManualScale, ScaleCancelled, ScaleDown, ScaleUp};

    let resource = of_all(&seeded()).resource;
    let by_type: Vec<_> = resource.scaling_events.iter().map(|e| (e.event_type, e.count, e.succeeded)).collect();
    let expected =
        [(ScaleUp, 3, 2), (ScaleDown, 2, 2), (AutoScaleTriggered, 1, 1), (ManualScale, 1, 1), (ScaleCancelled, 1, 1)];
    assert_eq!(by_type, expected);
    let outcomes: Vec<_> =
        resource.scaling_outcomes.iter().map(|o| (o.event_type, o.success, o.count, o.average_minutes)).collect();
    assert_eq!(
        outcomes,
        [
            (ScaleUp, true, 2, 10.0),
            (ScaleUp, false, 1, 2.0),
            (ScaleDown, true, 2, 7.5),
            (AutoScaleTriggered, true, 1, 15.0),
            (ManualScale, true, 1, 10.0),
            (ScaleCancelled, true, 1, 1.0),
        ]
    );
}

#[test]
fn the_latest_sample_and_event_are_those_of_the_models() {
    let db = seeded();
    let resource = of_all(&db).resource;
    let sample = resource.latest_gpu_utilization.unwrap();
    let expected = ResourceMetric::latest(&mut db.conn(), None, ResourceType::Gpu, "utilization").unwrap().unwrap();
    assert_eq!(
        (sample.instance_id, sample.utilization, sample.timestamp),
        (expected.instance_id, expected.metric_value, at())
    );
    let event = resource.latest_scaling_event.unwrap();
    assert_eq!((event.event_type, event.success), (ScalingEventType::ScaleUp, true));
    assert_eq!(event.duration_seconds, Some(300.0));
    assert_eq!(event.executed_at, "2025-10-20T11:50:00Z".parse::<DateTime<Utc>>().unwrap());
    assert_eq!(event.trigger_reason, "Sudden rise in traffic");
}

#[test]
fn an_event_that_runs_has_no_duration_and_no_outcome() {
    let db = seeded();
    diesel::update(scaling_events::table.filter(scaling_events::trigger_reason.eq("Sudden rise in traffic")))
        .set(scaling_events::completed_at.eq(None::<DateTime<Utc>>))
        .execute(&mut db.conn())
        .unwrap();
    let resource = of_all(&db).resource;
    assert_eq!(resource.latest_scaling_event.unwrap().duration_seconds, None);
    assert_eq!(resource.scaling_events[0].count, 3);
    assert_eq!((resource.scaling_outcomes[0].count, resource.scaling_outcomes[0].average_minutes), (1, 15.0));
}

#[test]
fn quality_is_averaged_by_model() {
    let db = seeded();
    let rows: Vec<QualityMetric> =
        quality_metrics::table.select(QualityMetric::as_select()).load(&mut db.conn()).unwrap();
    let mut by_model = BTreeMap::<&str, Vec<&QualityMetric>>::new();
    for row in &rows {
        by_model.entry(&row.model_name).or_default().push(row);
    }
    let report = of_all(&db).application.quality;
    assert_eq!(
        report.iter().map(|model| model.model_name.as_str()).collect::<Vec<_>>(),
        ["claude-3-opus", "gpt-3.5-turbo", "gpt-4", "llama-3-70b"]
    );
    for model in &report {
        let rows = &by_model[model.model_name.as_str()];
        let count = rows.len() as f64;
        assert_eq!(model.answers, i64::try_from(rows.len()).unwrap());
        assert_near(model.average_quality, rows.iter().map(|row| row.overall_quality_score).sum::<f64>() / count);
        let latency = rows.iter().filter_map(|row| row.latency_ms).sum::<f64>() / count;
        assert_near(model.average_latency_ms.unwrap(), latency);
        let hallucinations = rows.iter().filter(|row| row.hallucination_detected).count();
        assert_eq!(model.hallucinations, i64::try_from(hallucinations).unwrap());
    }
}

#[test]
fn regressions_are_counted_by_severity_and_the_open_ones_told() {
    let application = of_all(&seeded()).application;
    let by_severity: Vec<_> = application.regressions.iter().map(|r| (r.severity, r.open, r.resolved)).collect();
    assert_eq!(
        by_severity,
        [
            (RegressionSeverity::Low, 0, 1),
            (RegressionSeverity::Medium, 1, 1),
            (RegressionSeverity::High, 0, 2),
            (RegressionSeverity::Critical, 0, 1),
        ]
    );
    assert_eq!(application.unresolved_regressions, 1);
    let open = &application.open_regressions[..];
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].customer.as_str(), open[0].model_name.as_str()), ("Acme Corp", "claude-3-opus"));
    assert_eq!(open[0].regression_type, RegressionType::ToxicityIncrease);
    assert_eq!(open[0].delta_percent, 250.0);
    assert_eq!(open[0].detected_at, "2025-10-20T08:00:00Z".parse::<DateTime<Utc>>().unwrap());
}

#[test]
fn workflows_are_counted_by_status() {
    let db = seeded();
    let report = of_all(&db).workflow_history.workflows;
    for status in WorkflowStatus::ALL {
        let counted =
            number(&mut db.conn(), &format!("SELECT count(*) FROM workflow_executions WHERE status = '{status}'"));
        let reported = report.iter().find(|workflows| workflows.status == *status).map_or(0, |found| found.count);
        assert_eq!(reported, counted, "{status}");
    }
    assert_eq!(report.iter().map(|workflows| workflows.count).sum::<i64>(), 7);
}

#[test]
fn one_customers_statistics_are_those_of_its_rows() {
    let db = seeded();
    let options = Options { customer: Some(ids::techstart()) };
    let report = stats::run(&mut db.conn(), &options).unwrap();
    assert_eq!(report.customer, Some(ids::techstart()));
    assert_eq!(report.core.customers.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["TechStart Inc"]);
    assert_eq!(report.core.agents.len(), 5, "agents are everybody's");
    assert_eq!(report.resource.instances.iter().map(|i| i.metrics).collect::<Vec<_>>(), [6]);
    assert_eq!(report.resource.latest_gpu_utilization.unwrap().utilization, 80.0);
    let event = report.resource.latest_scaling_event.unwrap();
    assert_eq!((event.event_type, event.duration_seconds), (ScalingEventType::ManualScale, Some(600.0)));
    assert_eq!(report.application.quality.iter().map(|q| q.answers).collect::<Vec<_>>(), [10]);
    assert_eq!(report.application.unresolved_regressions, 0);
    assert!(report.workflow_history.workflows.is_empty());
    assert_eq!(report.tables, of_all(&db).tables, "the size of a table is everybody's");
}

#[test]
fn a_customer_without_rows_and_an_unknown_one_have_empty_statistics() {
    let db = seeded();
    let new = customer(&mut db.conn());
    for (id, names) in [(new.id, 1), (uuid::Uuid::nil(), 0)] {
        let report = stats::run(&mut db.conn(), &Options { customer: Some(id) }).unwrap();
        assert_eq!(report.core.customers.len(), names);
        assert!(report.resource.metrics.is_empty() && report.resource.latest_scaling_event.is_none());
        assert!(report.application.quality.is_empty() && report.application.open_regressions.is_empty());
    }
}

#[test]
fn a_migrated_database_without_rows_has_empty_statistics() {
    let db = TestDb::migrated();
    let report = of_all(&db);
    assert_eq!(report.head.as_deref(), EMBEDDED.last().map(|migration| migration.name));
    assert_eq!(report.tables.len(), 18);
    assert!(report.tables.iter().all(|table| table.rows == 0 && table.total_bytes > 0));
    assert!(report.core.customers.is_empty() && report.core.agents.is_empty());
    assert!(report.resource.instances.is_empty() && report.resource.latest_gpu_utilization.is_none());
    assert!(report.resource.scaling_outcomes.is_empty() && report.resource.latest_scaling_event.is_none());
    assert_eq!(report.application.unresolved_regressions, 0);
}

#[test]
fn a_database_that_lacks_migrations_is_behind() {
    let db = TestDb::empty();
    let pending = |db: &TestDb| match stats::run(&mut db.conn(), &Options::default()) {
        Err(Error::Behind { pending }) => pending,
        other => panic!("{other:?}"),
    };
    assert_eq!(pending(&db), EMBEDDED.iter().map(|migration| migration.name).collect::<Vec<_>>());
    Migrator::default().set(&EMBEDDED[..5]).run(&mut db.conn(), &Goal::Head).unwrap();
    assert_eq!(pending(&db), EMBEDDED[5..].iter().map(|migration| migration.name).collect::<Vec<_>>());
}

#[test]
fn a_database_that_is_ahead_still_has_statistics() {
    let db = seeded();
    let later = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231235959')";
    db.conn().batch_execute(later).unwrap();
    assert_eq!(of_all(&db).core.customers.len(), 4);
}

#[test]
fn a_reader_on_a_read_only_session_gets_the_same_in_any_time_zone() {
    let db = seeded();
    let reader = db.reader();
    let mut conn = PgConnection::establish(&db.url_as(&reader.name)).unwrap();
    conn.batch_execute("SET default_transaction_read_only = on; SET TimeZone = 'Asia/Kathmandu'").unwrap();
    assert_eq!(stats::run(&mut conn, &Options::default()).unwrap(), of_all(&db));
}

#[test]
fn what_a_role_may_not_read_is_an_error_that_names_it() {
    let db = seeded();
    let reader = db.reader();
    db.conn().batch_execute(&format!("REVOKE SELECT ON scaling_events FROM {}", reader.name)).unwrap();
    let mut conn = PgConnection::establish(&db.url_as(&reader.name)).unwrap();
    let error = stats::run(&mut conn, &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "could not measure the tables");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "permission denied for table scaling_events");
}

#[test]
fn a_sample_that_is_not_a_number_does_not_stop_the_rest() {
    let db = seeded();
    db.conn()
        .batch_execute("UPDATE resource_metrics SET metric_value = 'NaN' WHERE instance_id = 'i-0abc123def456'")
        .unwrap();
    let report = of_all(&db);
    assert!(report.resource.instances[0].average_gpu_utilization.unwrap().is_nan());
    assert_eq!(report.resource.instances[1].average_gpu_utilization, Some(63.25));
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["resource"]["instances"][0]["average_gpu_utilization"].is_null());
}
