//! `stats`: the figures of the seed, computed here by other means, and of databases that hold less.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use optiinfra_db::Error;
use optiinfra_db::enums::{
    AgentStatus, AgentType, CustomerPlan, RegressionSeverity, RegressionType, ResourceType, ScalingEventType,
    WorkflowStatus,
};
use optiinfra_db::id::CustomerId;
use optiinfra_db::layer::{self, Layer};
use optiinfra_db::migrate::{self, EMBEDDED, Goal, Migrator};
use optiinfra_db::models::{QualityMetric, ResourceMetric};
use optiinfra_db::schema::{customers, quality_metrics, scaling_events};
use optiinfra_db::seed::ids;
use optiinfra_db::stats::{self, Observation, Options, Redundancy, Report, RowsAre, Unavailable};

use crate::support::{Dbctl, TestDb, customer, explain, figures, limit, number};

fn at() -> DateTime<Utc> {
    "2025-10-20T12:00:00Z".parse().unwrap()
}

fn seeded() -> TestDb {
    TestDb::seeded(at())
}

fn of_all(db: &TestDb) -> Report {
    stats::run(&mut db.conn(), &Options { exact: true, ..Options::default() }).unwrap()
}

fn rows(report: &Report) -> Vec<(&str, Option<i64>, Option<i64>)> {
    report.tables.iter().map(|table| (table.table, table.rows, table.total_bytes)).collect()
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
    for secret in keys.iter().map(String::as_str).chain(["\"api_key\""]) {
        assert!(!text.contains(secret), "{secret}");
    }
}

/// What a function says of a table, and of its partitions where it has some.
fn sum_over_partitions(function: &str, table: &str) -> String {
    format!(
        "SELECT sum({function}(oid))::bigint FROM pg_class WHERE oid = '{table}'::regclass
             OR relispartition AND oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = '{table}'::regclass)"
    )
}

#[test]
fn every_table_is_measured() {
    let db = seeded();
    let report = of_all(&db);
    let counted = layer::row_counts(&mut db.conn()).unwrap();
    let reported: Vec<_> = report.tables.iter().map(|table| (table.table, table.rows.unwrap())).collect();
    assert_eq!(reported, counted);
    for table in &report.tables {
        assert_eq!(Layer::of_table(table.table), Some(table.layer));
        let bytes = number(&mut db.conn(), &sum_over_partitions("pg_total_relation_size", table.table));
        assert_eq!((table.total_bytes, table.rows_are), (Some(bytes), RowsAre::Exact), "{}", table.table);
        let parts = [table.heap_bytes, table.index_bytes, table.toast_bytes].map(Option::unwrap);
        assert_eq!(parts.iter().sum::<i64>(), bytes);
        let indexes = number(&mut db.conn(), &sum_over_partitions("pg_indexes_size", table.table));
        assert_eq!(parts[1], indexes);
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
    assert_eq!(application.unresolved_regressions, Some(1));
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
    let options = Options { customer: Some(CustomerId::new(ids::techstart())), exact: true, ..Options::default() };
    let report = stats::run(&mut db.conn(), &options).unwrap();
    assert_eq!(report.customer, Some(CustomerId::new(ids::techstart())));
    assert_eq!(rows(&report), rows(&of_all(&db)), "the size of a table is everybody's");
    assert_eq!(report.core.customers.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["TechStart Inc"]);
    assert_eq!(report.core.agents.len(), 5, "agents are everybody's");
    assert_eq!(report.resource.instances.iter().map(|i| i.metrics).collect::<Vec<_>>(), [6]);
    assert_eq!(report.resource.latest_gpu_utilization.unwrap().utilization, 80.0);
    let event = report.resource.latest_scaling_event.unwrap();
    assert_eq!((event.event_type, event.duration_seconds), (ScalingEventType::ManualScale, Some(600.0)));
    assert_eq!(report.application.quality.iter().map(|q| q.answers).collect::<Vec<_>>(), [10]);
    assert_eq!(report.application.unresolved_regressions, Some(0));
    assert!(report.workflow_history.workflows.is_empty());
}

#[test]
fn a_customer_without_rows_and_an_unknown_one_have_empty_statistics() {
    let db = seeded();
    let new = customer(&mut db.conn());
    for (id, names) in [(new.id, 1), (uuid::Uuid::nil(), 0)] {
        let report =
            stats::run(&mut db.conn(), &Options { customer: Some(CustomerId::new(id)), ..Options::default() }).unwrap();
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
    assert_eq!(report.tables.len(), 20);
    assert!(report.tables.iter().all(|table| table.rows == Some(0) && table.total_bytes > Some(0)));
    assert!(report.core.customers.is_empty() && report.core.agents.is_empty());
    assert!(report.resource.instances.is_empty() && report.resource.latest_gpu_utilization.is_none());
    assert!(report.resource.scaling_outcomes.is_empty() && report.resource.latest_scaling_event.is_none());
    assert_eq!(report.application.unresolved_regressions, Some(0));
}

#[test]
fn a_database_without_any_migration_is_behind() {
    let db = TestDb::empty();
    match stats::run(&mut db.conn(), &Options::default()) {
        Err(Error::Migrate(migrate::Error::Behind { pending })) => {
            assert_eq!(pending, EMBEDDED.iter().map(|migration| migration.name).collect::<Vec<_>>());
        }
        other => panic!("{other:?}"),
    }
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
    let found = stats::run(&mut conn, &Options { exact: true, ..Options::default() }).unwrap();
    let expected = of_all(&db);
    assert_eq!(rows(&found), rows(&expected));
    assert_eq!(
        (found.core, found.workflow_history, found.resource, found.application),
        (expected.core, expected.workflow_history, expected.resource, expected.application)
    );
    assert_eq!(found.skipped, []);
}

#[test]
fn what_a_role_may_not_read_is_skipped_and_named() {
    let db = seeded();
    let reader = db.reader();
    db.conn().batch_execute(&format!("REVOKE SELECT ON scaling_events FROM {}", reader.name)).unwrap();
    let mut conn = PgConnection::establish(&db.url_as(&reader.name)).unwrap();
    let report = stats::run(&mut conn, &Options { exact: true, ..Options::default() }).unwrap();
    let denied = "permission denied for table scaling_events";
    let skipped: Vec<_> = report.skipped.iter().map(|skipped| (skipped.part, &skipped.reason)).collect();
    let refused = Unavailable::Refused(denied.to_owned());
    assert_eq!(skipped, [("resource", &refused)]);
    for table in &report.tables {
        let is_denied = table.table == "scaling_events";
        assert_eq!(table.skipped.as_ref(), is_denied.then_some(&refused), "{}", table.table);
        assert_eq!(table.rows_are == RowsAre::Exact, !is_denied, "{}", table.table);
        assert!(table.total_bytes.is_some(), "sizes need no right");
    }
    assert_eq!(report.core.customers.len(), 4, "the rest is there");
    // Other roles' sessions are hidden from this one, so it must not say that all is calm.
    let calm = report.operations.blocked_session_count;
    assert_eq!(calm.reason(), Some(&Unavailable::SessionsHidden));
    assert_eq!(Unavailable::SessionsHidden.to_string(), "needs the role pg_monitor or pg_read_all_stats");
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

#[test]
fn since_leaves_out_what_happened_before() {
    let db = seeded();
    let since = Some(at() - TimeDelta::minutes(30));
    let report = stats::run(&mut db.conn(), &Options { since, ..Options::default() }).unwrap();
    assert_eq!(report.since, since);
    let bound = "'2025-10-20T11:30:00Z'";
    for (found, query) in [
        (
            report.resource.metrics.iter().map(|metrics| metrics.count).sum::<i64>(),
            format!("SELECT count(*) FROM resource_metrics WHERE timestamp >= {bound}"),
        ),
        (
            report.resource.scaling_events.iter().map(|events| events.count).sum(),
            format!("SELECT count(*) FROM scaling_events WHERE executed_at >= {bound}"),
        ),
        (
            report.application.quality.iter().map(|model| model.answers).sum(),
            format!("SELECT count(*) FROM quality_metrics WHERE timestamp >= {bound}"),
        ),
        (
            report.application.regressions.iter().map(|r| r.open + r.resolved).sum(),
            format!("SELECT count(*) FROM quality_regressions WHERE detected_at >= {bound}"),
        ),
        (
            report.workflow_history.workflows.iter().map(|w| w.count).sum(),
            format!("SELECT count(*) FROM workflow_executions WHERE coalesce(started_at, created_at) >= {bound}"),
        ),
    ] {
        assert_eq!(found, number(&mut db.conn(), &query), "{query}");
    }
    assert_eq!(report.resource.scaling_timeline.len(), 1, "the event of ten minutes ago");
    assert_eq!(report.core.customers.len(), 4, "a customer is no event");
}

#[test]
fn lines_over_time_are_those_of_the_samples() {
    let db = seeded();
    let report = of_all(&db);
    let lines: Vec<_> = report
        .resource
        .utilization
        .iter()
        .map(|line| (line.instance_id.as_str(), line.resource_type, line.points.len()))
        .collect();
    assert_eq!(
        lines,
        [
            ("i-0abc123def456", ResourceType::Gpu, 12),
            ("i-0abc123def457", ResourceType::Gpu, 12),
            ("i-0abc123def458", ResourceType::Gpu, 12),
            ("i-0xyz789ghi012", ResourceType::Cpu, 12),
            ("i-techstart001", ResourceType::Gpu, 6),
        ]
    );
    let last = report.resource.utilization[1].points.last().unwrap();
    assert_eq!((last.at, last.value), (at(), 71.5));
    assert_eq!(report.resource.scaling_timeline.len(), 8);
    assert_eq!(report.resource.scaling_timeline.last(), report.resource.latest_scaling_event.as_ref());
    for line in &report.application.quality_over_time {
        let newest = format!(
            "SELECT (sum(avg_overall_score * sample_size) / sum(sample_size) * 1e9)::bigint FROM (
                SELECT DISTINCT ON (customer_id) * FROM quality_baselines
                WHERE model_name = '{}' ORDER BY customer_id, established_at DESC, id) AS b",
            line.model_name
        );
        let expected = number(&mut db.conn(), &newest) as f64 / 1e9;
        assert!((line.baseline.unwrap() - expected).abs() < 1e-8, "{}", line.model_name);
        assert!((2..=49).contains(&line.points.len()), "{}", line.points.len());
    }
    assert_eq!(report.application.regression_timeline.len(), 6);
}

#[test]
fn of_many_instances_twelve_have_a_line_and_the_report_says_of_how_many() {
    let db = seeded();
    assert_eq!(of_all(&db).resource.utilization_instances, Some(5));
    // Twenty with one sample each, named so that a dictionary's order is not that of the bytes.
    db.conn()
        .batch_execute(
            "INSERT INTO resource_metrics (agent_id, customer_id, instance_id, resource_type, metric_name, metric_value,
                 unit, timestamp)
             SELECT agent_id, customer_id, CASE WHEN n % 2 = 0 THEN 'a' ELSE 'B' END || lpad(n::text, 2, '0'), 'gpu',
                 'utilization', 50, 'percent', '2025-10-20T12:00:00Z'
             FROM generate_series(1, 20) AS n, (SELECT agent_id, customer_id FROM resource_metrics LIMIT 1) AS r",
        )
        .unwrap();
    let resource = of_all(&db).resource;
    assert_eq!(resource.utilization_instances, Some(25));
    let drawn: Vec<_> = resource.utilization.iter().map(|line| line.instance_id.as_str()).collect();
    assert_eq!(
        drawn,
        [
            "B01",
            "B03",
            "B05",
            "B07",
            "B09",
            "B11",
            "B13",
            "i-0abc123def456",
            "i-0abc123def457",
            "i-0abc123def458",
            "i-0xyz789ghi012",
            "i-techstart001",
        ],
        "those with most samples, then by name"
    );
    let table = Dbctl::on(&db).run("stats").stdout;
    assert!(table.contains("utilisation over time of the 12 of 25 instances with most samples"), "{table}");
    let page = Dbctl::on(&db).run("stats --format html").stdout;
    assert!(page.contains("samples of 25 instances in percent, 20 October 2025"));
}

#[test]
fn bands_hold_every_instance_and_its_median_and_percentiles() {
    let db = seeded();
    let at = "2025-10-20T12:00:00Z";
    db.conn()
        .batch_execute(&format!(
            "DELETE FROM resource_metrics WHERE resource_type = 'gpu';
             INSERT INTO resource_metrics (agent_id, customer_id, instance_id, resource_type, metric_name, metric_value,
                 unit, timestamp)
             SELECT agent_id, customer_id, 'i-' || n, 'gpu', 'utilization', n, 'percent', '{at}'
             FROM generate_series(0, 100) AS n, (SELECT agent_id, customer_id FROM resource_metrics LIMIT 1) AS r"
        ))
        .unwrap();
    let bands = of_all(&db).resource.utilization_bands;
    assert_eq!(bands.iter().map(|band| band.resource_type).collect::<Vec<_>>(), [ResourceType::Gpu, ResourceType::Cpu]);
    let point = bands[0].points.last().unwrap();
    assert_eq!((point.low, point.median, point.high, point.samples), (5.0, 50.0, 95.0, 101));
}

#[test]
fn the_newest_sample_of_each_customer_is_there_and_of_one_only_its_own() {
    let db = seeded();
    let newest = |customer: Option<uuid::Uuid>| {
        let options = Options { customer: customer.map(CustomerId::new), ..Options::default() };
        let found = stats::run(&mut db.conn(), &options).unwrap().resource.newest_by_customer;
        found.into_iter().map(|newest| (newest.customer, newest.newest_sample)).collect::<Vec<_>>()
    };
    let [acme, demo, startup, techstart] =
        ["Acme Corp", "Demo Customer", "StartupCo", "TechStart Inc"].map(str::to_owned);
    let all = [(acme, Some(at())), (demo, None), (startup, None), (techstart.clone(), Some(at()))];
    assert_eq!(newest(None), all);
    assert_eq!(newest(Some(ids::techstart())), [(techstart, Some(at()))]);
}

#[test]
fn the_server_says_who_asks_and_what_it_has() {
    let db = seeded();
    let _others = [db.conn(), db.conn()];
    let server = of_all(&db).server;
    assert_eq!((server.address, server.role.as_str()), (None, "optiinfra"), "through a Unix socket");
    let connections = server.connections.found().unwrap();
    assert!(connections.total >= 3 && connections.idle >= 2 && connections.active >= 1, "{connections:?}");
    assert!(connections.total <= server.max_connections && server.transaction_id_age > 0);
    assert!(server.wal_bytes.found() > Some(&0) && server.wal_kept_bytes.found() > Some(&0));
    assert_eq!(server.replay_lag_seconds.found(), Some(&None), "a primary");
    assert_eq!(server.replicas.found().map(Vec::len), Some(0));
    assert_eq!(server.slowest_statements.reason(), Some(&Unavailable::NoStatementStatistics));
    let reader = db.reader();
    let mut conn = PgConnection::establish(&db.url_as(&reader.name)).unwrap();
    let server = stats::run(&mut conn, &Options::default()).unwrap().server;
    assert_eq!(server.connections.reason(), Some(&Unavailable::SessionsHidden));
    assert!(server.wal_kept_bytes.reason().is_some() && server.wal_bytes.found().is_some());
}

/// The suite's server does not load the extension: a table stands in for its view, under the extension's name.
#[test]
fn statements_are_shown_without_values_and_commands_not_at_all() {
    let db = seeded();
    db.conn()
        .batch_execute(
            r"CREATE TABLE pg_stat_statements AS SELECT d.oid AS dbid, s.* FROM pg_database AS d, (VALUES
                 ('SELECT  *' || chr(10) || 'FROM events WHERE id = $1', 3::bigint, 3000::float8, 7::bigint),
                 ('UPDATE customers SET api_key = ''hunter2'' WHERE name = ''it''''s''', 1, 9000, 1),
                 ('ALTER ROLE app PASSWORD ''hunter2''', 1, 99000, 0),
                 ('SELECT $$hunter2$$', 1, 99000, 0),
                 ('SELECT E''\''hunter2''', 1, 99000, 0),
                 ('SELECT 1 -- ''hunter2', 1, 99000, 0)
             ) AS s (query, calls, total_exec_time, rows) WHERE d.datname = current_database();
             UPDATE pg_extension SET extname = 'pg_stat_statements', extnamespace = current_schema()::regnamespace
             WHERE extname = 'plpgsql'",
        )
        .unwrap();
    let server = of_all(&db).server;
    let found = server.slowest_statements.found().unwrap_or_else(|| panic!("{server:?}"));
    let found: Vec<_> = found.iter().map(|s| (s.statement.as_str(), s.calls, s.total_seconds, s.rows)).collect();
    let update = "UPDATE customers SET api_key = '...' WHERE name = '...''...'";
    assert_eq!(found, [(update, 1, 9.0, 1), ("SELECT * FROM events WHERE id = $1", 3, 3.0, 7)]);
}

#[test]
fn rows_are_the_planners_estimate_unless_counting_is_cheap_or_asked_for() {
    let db = seeded();
    db.conn().batch_execute("ANALYZE events; DELETE FROM events WHERE id IN (SELECT id FROM events LIMIT 1)").unwrap();
    let of = |exact: bool, table: &str| {
        let report = stats::run(&mut db.conn(), &Options { exact, ..Options::default() }).unwrap();
        let table = report.tables.into_iter().find(|found| found.table == table).unwrap();
        (table.rows, table.rows_are)
    };
    assert_eq!(of(false, "events"), (Some(3), RowsAre::Estimated), "as of the last analyze");
    assert_eq!(of(true, "events"), (Some(2), RowsAre::Exact));
    assert_eq!(of(false, "agent_capabilities"), (Some(6), RowsAre::Exact), "without statistics, and small");
    // 2 MiB without statistics: nobody knows, and counting is left to --exact.
    db.conn()
        .batch_execute(
            "ALTER TABLE agent_configs SET (autovacuum_enabled = false);
             ALTER TABLE agent_configs ALTER COLUMN description SET STORAGE PLAIN;
             INSERT INTO agent_configs (agent_id, config_key, config_value, description)
             SELECT (SELECT min(id::text)::uuid FROM agents), 'k' || n, '1', repeat('x', 4000)
             FROM generate_series(1, 600) AS n",
        )
        .unwrap();
    assert_eq!(of(false, "agent_configs"), (None, RowsAre::Unknown));
    assert_eq!(of(true, "agent_configs").1, RowsAre::Exact);
}

#[test]
fn the_rows_of_a_table_never_contradict_what_the_report_has_read_of_it() {
    let db = TestDb::plain_seeded(at());
    // All of these are read for other parts of the report, and all of their estimates are out of date.
    db.conn()
        .batch_execute(
            "ANALYZE;
             INSERT INTO agents (type, name, version) VALUES ('cost', 'second', '1');
             DELETE FROM quality_regressions WHERE severity = 'low';
             DELETE FROM scaling_events WHERE NOT success;
             DELETE FROM resource_metrics WHERE resource_type = 'gpu'",
        )
        .unwrap();
    let of = |options: Options| stats::run(&mut db.conn(), &options).unwrap();
    let rows = |report: &Report, table: &str| {
        let found = report.tables.iter().find(|found| found.table == table).unwrap();
        (found.rows, found.rows_are)
    };
    let report = of(Options::default());
    for (table, expected) in [
        ("customers", 4),
        ("agents", 6),
        ("workflow_executions", 7),
        ("quality_regressions", 5),
        ("scaling_events", 7),
        ("resource_metrics", 48),
        ("quality_metrics", 308),
    ] {
        assert_eq!(rows(&report, table), (Some(expected), RowsAre::Exact), "{table}");
    }
    // A part of the rows is at least as many.
    let fill = "INSERT INTO agents (type, name, version) SELECT 'cost', 'a' || n, '1' FROM generate_series(1, 9) AS n;
        INSERT INTO quality_metrics SELECT (q).* FROM (SELECT jsonb_populate_record(q, jsonb_build_object(
            'id', gen_random_uuid(), 'request_id', gen_random_uuid())) AS q FROM quality_metrics AS q,
            generate_series(1, 3)) AS more";
    db.conn().batch_execute(fill).unwrap();
    db.conn().batch_execute("UPDATE pg_class SET reltuples = 10 WHERE oid = 'quality_metrics'::regclass").unwrap();
    let part = of(Options { newest: 900, ..Options::default() });
    let answers = part.application.quality.iter().map(|quality| quality.answers).sum();
    assert!(part.answers_since.is_some() && answers >= 900, "{answers}");
    assert_eq!(rows(&part, "quality_metrics"), (Some(answers), RowsAre::Estimated));
    let one = of(Options { customer: Some(CustomerId::new(ids::techstart())), ..Options::default() });
    assert_eq!(rows(&one, "agents"), (Some(15), RowsAre::Exact), "agents are everybody's");
    assert_ne!(rows(&one, "customers").0, Some(1));
}

/// The rows that the server's plan for reading a table expects.
fn planned(db: &TestDb, table: &str) -> i64 {
    let plan = explain(&mut db.conn(), "", &format!("SELECT * FROM {table}"));
    plan.split("rows=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn an_estimate_is_the_planners_also_where_the_table_grew_since_the_last_analyze() {
    let db = TestDb::plain_seeded_now();
    let fill = "ALTER TABLE agent_metrics SET (autovacuum_enabled = false);
        ANALYZE agent_metrics;
        INSERT INTO agent_metrics (agent_id, metric_name, metric_type, metric_value)
        SELECT (SELECT id FROM agents WHERE type = 'cost'), 'load', 'gauge', n FROM generate_series(1, 20000) AS n";
    db.conn().batch_execute(fill).unwrap();
    let of = |table: &str| {
        let report = stats::run(&mut db.conn(), &Options::default()).unwrap();
        let table = report.tables.into_iter().find(|found| found.table == table).unwrap();
        (table.rows, table.rows_are)
    };
    let expected = planned(&db, "agent_metrics");
    assert!(expected > 500, "it scales: {expected}");
    assert_eq!(of("agent_metrics"), (Some(expected), RowsAre::Estimated));
    // It was empty when it was looked at: no rows a page to go by. Small ones are counted.
    db.conn().batch_execute("TRUNCATE agent_metrics; ANALYZE agent_metrics").unwrap();
    assert_eq!(of("agent_metrics"), (Some(0), RowsAre::Estimated));
    db.conn().batch_execute(fill.split_once("ANALYZE agent_metrics;").unwrap().1).unwrap();
    assert_eq!(of("agent_metrics"), (None, RowsAre::Unknown));
}

#[test]
fn behind_an_exclusive_lock_the_rest_is_told_in_time_and_the_table_skipped() {
    let db = seeded();
    let mut holder = db.conn();
    holder.batch_execute("BEGIN; LOCK TABLE scaling_events, quality_metrics IN ACCESS EXCLUSIVE MODE").unwrap();
    let begun = Instant::now();
    let report = of_all(&db);
    assert!(begun.elapsed() < limit(Duration::from_secs(6)), "{:?}", begun.elapsed());
    let held: Vec<_> = report.tables.iter().filter(|table| table.skipped.is_some()).collect();
    assert_eq!(held.iter().map(|table| table.table).collect::<Vec<_>>(), ["scaling_events", "quality_metrics"]);
    for table in held {
        assert_eq!((table.rows, table.total_bytes), (None, None));
        assert_eq!(table.skipped, Some(Unavailable::Locked));
    }
    let skipped: Vec<_> = report.skipped.iter().map(|skipped| skipped.part).collect();
    assert_eq!(skipped, ["resource", "application"]);
    assert_eq!(report.core.customers.len(), 4);
    let newest: Vec<_> = report.operations.newest_samples.iter().map(|newest| newest.at.found().is_some()).collect();
    assert_eq!(newest, [true, true, false]);
    holder.batch_execute("ROLLBACK").unwrap();
    assert!(of_all(&db).tables.iter().all(|table| table.skipped.is_none()), "and then all is there again");
}

#[test]
fn a_locked_migration_history_is_skipped_too() {
    let db = seeded();
    let mut holder = db.conn();
    holder.batch_execute("BEGIN; LOCK TABLE __diesel_schema_migrations IN ACCESS EXCLUSIVE MODE").unwrap();
    let report = of_all(&db);
    assert_eq!(report.operations.migrations, Observation::Skipped { reason: Unavailable::Locked });
    assert_eq!(report.head, None);
    assert_eq!(report.core.customers.len(), 4);
}

/// By hand, from the migrations: what another index of the table begins with, or repeats. Forty-three of them are not
/// unique; the forty-fourth, `ix_quality_metrics_request_id`, repeats the unique index of a constraint.
#[rustfmt::skip]
const REDUNDANT: [(&str, &str); 44] = [
    ("idx_agent_cap_agent", "uq_agent_capability"),
    ("idx_agent_cap_agent_name", "uq_agent_capability"),
    ("idx_agent_config_agent", "uq_agent_config"),
    ("idx_agent_config_agent_key", "uq_agent_config"),
    ("idx_agent_metric_agent", "idx_agent_metric_agent_name"),
    ("idx_agent_state_agent", "agent_states_agent_id_key"),
    ("idx_agent_type", "uq_agent_type_name"),
    ("idx_customer_api_key", "customers_api_key_key"),
    ("idx_customer_email", "customers_email_key"),
    ("idx_event_customer", "idx_event_customer_created"),
    ("idx_opt_customer", "idx_opt_customer_status"),
    ("ix_quality_baselines_agent_id", "ix_quality_baselines_agent_model"),
    ("ix_quality_baselines_customer_id", "ix_quality_baselines_customer_model"),
    ("ix_quality_baselines_id", "quality_baselines_pkey"),
    ("ix_quality_baselines_type", "ix_quality_baselines_baseline_type"),
    ("ix_quality_metrics_agent_id", "ix_quality_metrics_agent_model"),
    ("ix_quality_metrics_customer_id", "ix_quality_metrics_customer_model"),
    ("ix_quality_metrics_id", "quality_metrics_pkey"),
    ("ix_quality_metrics_model_name", "ix_quality_metrics_model_timestamp"),
    ("ix_quality_metrics_request_id", "quality_metrics_request_id_key"),
    ("ix_quality_regressions_agent_id", "ix_quality_regressions_agent_severity"),
    ("ix_quality_regressions_baseline_id", "ix_quality_regressions_baseline"),
    ("ix_quality_regressions_customer_id", "ix_quality_regressions_customer_type"),
    ("ix_quality_regressions_id", "quality_regressions_pkey"),
    ("ix_quality_regressions_workflow_execution_id", "ix_quality_regressions_workflow"),
    ("idx_rec_customer", "idx_rec_customer_status"),
    ("ix_resource_metrics_agent_id", "ix_resource_metrics_agent_instance"),
    ("ix_resource_metrics_customer_id", "ix_resource_metrics_customer_type"),
    ("ix_resource_metrics_id", "resource_metrics_pkey"),
    ("ix_resource_metrics_instance_id", "ix_resource_metrics_instance_timestamp"),
    ("ix_resource_metrics_resource_type", "ix_resource_metrics_type_name"),
    ("ix_scaling_events_agent_id", "ix_scaling_events_agent_type"),
    ("ix_scaling_events_customer_id", "ix_scaling_events_customer_success"),
    ("ix_scaling_events_id", "scaling_events_pkey"),
    ("ix_scaling_events_workflow_execution_id", "ix_scaling_events_workflow"),
    ("ix_workflow_artifacts_id", "workflow_artifacts_pkey"),
    ("ix_workflow_artifacts_workflow_execution_id", "ix_workflow_artifacts_execution_type"),
    ("ix_workflow_artifacts_workflow_step_id", "ix_workflow_artifacts_step_type"),
    ("ix_workflow_executions_agent_id", "ix_workflow_executions_agent_status"),
    ("ix_workflow_executions_customer_id", "ix_workflow_executions_customer_type"),
    ("ix_workflow_executions_id", "workflow_executions_pkey"),
    ("ix_workflow_steps_id", "workflow_steps_pkey"),
    ("ix_workflow_steps_step_name", "ix_workflow_steps_name_status"),
    ("ix_workflow_steps_workflow_execution_id", "ix_workflow_steps_execution_order"),
];

#[test]
fn the_deployed_schema_reports_its_redundant_indexes() {
    let db = TestDb::empty();
    Migrator::default().set(&EMBEDDED[..5]).run(&mut db.conn(), &Goal::Head).unwrap();
    let report = of_all(&db);
    let operations = &report.operations;
    let found: Vec<_> =
        operations.redundant_indexes.found().unwrap().iter().map(|i| (i.index.as_str(), i.by.as_str())).collect();
    assert_eq!(found, REDUNDANT);
    let unique: Vec<_> =
        operations.indexes.found().unwrap().iter().filter(|i| i.unique).map(|i| i.index.as_str()).collect();
    assert_eq!(REDUNDANT.iter().filter(|(index, _)| !unique.contains(index)).count(), 43);
    assert_eq!(operations.indexes.found().unwrap().len(), 143);
    // The rest of the report at an older version: the operator's view, and the layers skipped.
    let migrations = operations.migrations.found().unwrap();
    assert_eq!((migrations.applied, migrations.pending.len()), (5, EMBEDDED.len() - 5));
    let skipped: Vec<_> = report.skipped.iter().map(|skipped| skipped.part).collect();
    assert_eq!(skipped, ["core", "workflow_history", "resource", "application"]);
    assert!(report.skipped[0].reason.to_string().starts_with("migrations pending: "), "{:?}", report.skipped[0]);
    assert_eq!(report.head.as_deref(), Some(EMBEDDED[4].name));
}

#[test]
fn the_hot_tables_have_no_redundant_index_and_the_others_keep_theirs() {
    let db = TestDb::migrated();
    let operations = of_all(&db).operations;
    let found: Vec<_> = operations.redundant_indexes.found().unwrap().iter().map(|i| i.index.as_str()).collect();
    let is_hot = |index: &str| {
        ["idx_agent_metric_", "ix_quality_metrics_", "ix_resource_metrics_"]
            .iter()
            .any(|table| index.starts_with(table))
    };
    let (hot, others): (Vec<_>, Vec<_>) = REDUNDANT.iter().map(|(index, _)| *index).partition(|index| is_hot(index));
    assert_eq!(hot.len(), 11);
    assert_eq!(found, others);
    let replaced = [
        "ix_quality_metrics_customer_model",
        "ix_quality_metrics_hallucination_detected",
        "ix_resource_metrics_customer_type",
    ];
    let indexes = operations.indexes.found().unwrap();
    assert!(!indexes.iter().any(|i| hot.contains(&i.index.as_str()) || replaced.contains(&i.index.as_str())));
    assert!(indexes.len() >= 115, "the documented number: {}", indexes.len());
    assert!(indexes.iter().any(|i| i.index == "quality_metrics_request_id_key" && i.unique && i.constraint));
}

#[test]
fn a_redundant_index_says_whether_verify_would_miss_it() {
    let db = TestDb::migrated();
    db.conn().batch_execute("CREATE INDEX ours ON events (customer_id)").unwrap();
    let redundant = of_all(&db).operations.redundant_indexes;
    let redundant = redundant.found().unwrap();
    assert!(redundant.iter().all(|index| index.in_schema == (index.index != "ours")), "{redundant:#?}");
    // To drop that one is the only drop that verify does not mind.
    db.conn().batch_execute("DROP INDEX ours").unwrap();
    assert_eq!(Dbctl::on(&db).run("verify").code, Some(0));
    let table = Dbctl::on(&db).run("stats").stdout;
    let line = |start: &str| table.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    assert!(line("redundant indexes that are not in the schema").ends_with(" 0"), "{table}");
    assert!(line("events ").len() > 10 && table.contains("only drop the others"), "{table}");
    db.conn().batch_execute("DROP INDEX idx_event_customer").unwrap();
    assert_eq!(Dbctl::on(&db).run("verify").code, Some(1));
}

#[test]
fn an_index_is_redundant_only_where_nothing_would_miss_it() {
    let db = TestDb::migrated();
    db.conn()
        .batch_execute(
            "CREATE INDEX a_other_order ON agents (endpoint, version);
             CREATE INDEX a_first ON agents (version, endpoint);
             CREATE INDEX a_prefix ON agents (version);
             CREATE INDEX a_descending ON agents (version DESC);
             CREATE INDEX a_pattern ON agents (version varchar_pattern_ops);
             CREATE INDEX a_partial ON agents (version) WHERE status = 'failed';
             CREATE INDEX a_hash ON agents USING hash (version);
             CREATE INDEX a_expression ON agents (lower(version));
             CREATE INDEX a_expression_again ON agents (lower(version));
             CREATE INDEX a_including ON agents (version) INCLUDE (name);
             CREATE UNIQUE INDEX a_unique ON agents (endpoint)",
        )
        .unwrap();
    let report = of_all(&db);
    let found: Vec<_> = report
        .operations
        .redundant_indexes
        .found()
        .unwrap()
        .iter()
        .filter(|i| i.index.starts_with("a_"))
        .map(|i| (i.index.as_str(), i.how, i.by.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("a_expression_again", Redundancy::Duplicate, "a_expression"),
            ("a_prefix", Redundancy::Duplicate, "a_including"),
        ]
    );
}

#[test]
fn invalid_indexes_and_foreign_keys_without_one_are_found() {
    let db = TestDb::migrated();
    assert_eq!(of_all(&db).operations.unindexed_foreign_keys, Observation::Done { found: vec![] });
    assert_eq!(of_all(&db).operations.invalid_indexes, Observation::Done { found: vec![] });
    db.conn()
        .batch_execute(
            "DROP INDEX idx_event_agent;
             UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_agent_type'::regclass",
        )
        .unwrap();
    let operations = of_all(&db).operations;
    let keys: Vec<_> =
        operations.unindexed_foreign_keys.found().unwrap().iter().map(|k| k.constraint.clone()).collect();
    assert_eq!(keys, ["events_agent_id_fkey"]);
    let invalid: Vec<_> = operations.invalid_indexes.found().unwrap().iter().map(|i| i.index.clone()).collect();
    assert_eq!(invalid, ["idx_agent_type"]);
}

#[test]
fn unused_indexes_are_judged_only_after_seven_days() {
    let db = TestDb::migrated();
    let young = of_all(&db).operations.unused_indexes;
    assert!(matches!(young.reason(), Some(Unavailable::TooYoung { .. })), "{young:?}");
    db.conn().batch_execute("UPDATE __diesel_schema_migrations SET run_on = run_on - interval '8 days'").unwrap();
    let operations = of_all(&db).operations;
    assert!(operations.statistics.found().unwrap().age_seconds > 7.0 * 86_400.0);
    let unused = operations.unused_indexes.found().unwrap();
    assert!(unused.iter().any(|index| index.index == "idx_agent_heartbeat"));
    assert!(unused.iter().all(|index| !index.index.ends_with("_pkey") && !index.index.starts_with("uq_")));
}

#[test]
fn a_blocked_session_is_told_with_who_blocks_it() {
    let db = seeded();
    let mut holder = db.conn();
    holder.batch_execute("BEGIN; LOCK TABLE agent_states IN SHARE MODE").unwrap();
    let holder_pid = number(&mut holder, "SELECT pg_backend_pid()::bigint");
    let mut waiter = db.conn();
    let waiter_pid = number(&mut waiter, "SELECT pg_backend_pid()::bigint");
    let waiting = std::thread::spawn(move || waiter.batch_execute("DELETE FROM agent_states"));
    let is_waiting =
        format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {waiter_pid} AND wait_event_type = 'Lock'");
    while number(&mut db.conn(), &is_waiting) == 0 {
        assert!(!waiting.is_finished());
        std::thread::yield_now();
    }
    let operations = of_all(&db).operations;
    holder.batch_execute("ROLLBACK").unwrap();
    waiting.join().unwrap().unwrap();
    let blocked = operations.blocked_sessions.found().unwrap();
    // Other tests' sessions may be waiting as well.
    let ours = blocked.iter().find(|session| i64::from(session.pid) == waiter_pid).unwrap();
    assert_eq!(ours.blocked_by.iter().map(|pid| i64::from(*pid)).collect::<Vec<_>>(), [holder_pid]);
    assert!(*operations.blocked_session_count.found().unwrap() >= 1);
    assert!(*operations.oldest_transaction_seconds.found().unwrap() > 0.0);
    assert_eq!(
        *operations.long_transaction_count.found().unwrap(),
        operations.long_transactions.found().unwrap().len()
    );
}

#[test]
fn a_customer_is_found_by_id_and_by_name_if_there_is_only_one() {
    let db = seeded();
    let mut conn = db.conn();
    assert_eq!(stats::find_customer(&mut conn, "TechStart Inc").unwrap(), CustomerId::new(ids::techstart()));
    assert_eq!(
        stats::find_customer(&mut conn, &ids::techstart().to_string()).unwrap(),
        CustomerId::new(ids::techstart())
    );
    let unknown = stats::find_customer(&mut conn, "techstart").unwrap_err();
    assert_eq!(unknown.to_string(), "no customer has the name or id 'techstart'");
    conn.batch_execute("UPDATE customers SET name = 'TechStart Inc' WHERE name = 'StartupCo'").unwrap();
    let several = stats::find_customer(&mut conn, "TechStart Inc").unwrap_err();
    assert_eq!(several.to_string(), "more than one customer is called 'TechStart Inc'");
    assert!(
        matches!(several, Error::Stats(stats::Error::NoSuchCustomer { found, .. }) if found.contains(&ids::techstart()))
    );
}

/// The newest samples and answers, `newest` of each.
fn of_newest(db: &TestDb, customer: Option<uuid::Uuid>, newest: i64) -> Report {
    stats::run(&mut db.conn(), &Options { customer: customer.map(CustomerId::new), newest, ..Options::default() })
        .unwrap()
}

#[test]
fn of_many_rows_the_newest_are_summed_up_and_the_report_says_since_when() {
    let db = seeded();
    let whole = of_newest(&db, None, 1_000);
    assert_eq!((whole.samples_since, whole.answers_since), (None, None));
    assert_eq!((&whole.resource, &whole.application), (&of_all(&db).resource, &of_all(&db).application));

    let report = of_newest(&db, None, 20);
    for (table, begin, found) in [
        ("resource_metrics", report.samples_since, report.resource.metrics.iter().map(|m| m.count).sum::<i64>()),
        ("quality_metrics", report.answers_since, report.application.quality.iter().map(|q| q.answers).sum()),
    ] {
        let begin = begin.unwrap();
        let counted = number(&mut db.conn(), &format!("SELECT count(*) FROM {table} WHERE timestamp >= '{begin}'"));
        assert_eq!(found, counted, "{table}");
        let older = number(&mut db.conn(), &format!("SELECT count(*) FROM {table} WHERE timestamp > '{begin}'"));
        assert!(counted > 20 && older <= 20, "{table}: {counted}, {older}");
    }
    assert_eq!(report.resource.instances.iter().map(|i| i.metrics).sum::<i64>(), sum_of(&report));
    assert_eq!(report.resource.scaling_timeline.len(), 8, "events are not so many");
    assert!(report.resource.utilization.iter().flat_map(|l| &l.points).all(|p| Some(p.at) >= report.samples_since));
    let latest = report.resource.latest_gpu_utilization.unwrap();
    assert_eq!(latest.timestamp, at());
}

fn sum_of(report: &Report) -> i64 {
    report.resource.metrics.iter().map(|metrics| metrics.count).sum()
}

#[test]
fn a_customers_newest_rows_are_its_own_however_many_others_have() {
    let db = seeded();
    let techstart = of_newest(&db, Some(ids::techstart()), 10);
    assert_eq!((techstart.samples_since, sum_of(&techstart)), (None, 6), "all it has");
    assert_eq!(techstart.application.quality.iter().map(|q| q.answers).sum::<i64>(), 10);
    let fewer = of_newest(&db, Some(ids::techstart()), 4);
    assert_eq!(sum_of(&fewer), 5);
    assert_eq!(fewer.application.quality.iter().map(|q| q.answers).sum::<i64>(), 5);
    let begin = fewer.samples_since.unwrap();
    assert!(fewer.resource.utilization.iter().all(|line| line.points[0].at == begin), "{begin}");
}

#[test]
fn since_holds_where_it_is_later_than_the_newest_rows_begin() {
    let db = seeded();
    let since = Some(at() - TimeDelta::minutes(30));
    let options = Options { since, newest: 60, ..Options::default() };
    let report = stats::run(&mut db.conn(), &options).unwrap();
    assert_eq!((report.samples_since, report.answers_since), (since, since));
    let long_ago = Options { since: Some(at() - TimeDelta::days(9)), newest: 20, ..options };
    let report = stats::run(&mut db.conn(), &long_ago).unwrap();
    assert!(report.samples_since > long_ago.since && report.answers_since > long_ago.since);
}

#[test]
fn what_stats_reads_does_not_grow_with_the_tables() {
    let db = seeded();
    let mut conn = db.conn();
    let fill = |conn: &mut PgConnection, from: i64, to: i64| {
        conn.batch_execute(&format!(
            "INSERT INTO resource_metrics (agent_id, customer_id, instance_id, resource_type, metric_name, metric_value,
                 unit, timestamp)
             SELECT (SELECT id FROM agents WHERE type = 'resource'), (SELECT id FROM customers WHERE name = 'Acme Corp'),
                 'i-' || n % 20, 'gpu', 'utilization', 50, 'percent', timestamptz '2025-11-01Z' + interval '1 s' * n
             FROM generate_series({from}, {to}) AS n;
             ANALYZE resource_metrics"
        ))
        .unwrap();
    };
    // Rows that the server's statistics say were fetched from the table, by index or not, in one report.
    let read = |conn: &mut PgConnection| {
        conn.batch_execute(
            "SELECT pg_stat_force_next_flush(); SELECT count(pg_stat_reset_single_table_counters(oid)) FROM pg_class
            WHERE relnamespace = current_schema()::regnamespace AND relname LIKE 'resource_metrics%'",
        )
        .unwrap();
        stats::run(conn, &Options { newest: 500, ..Options::default() }).unwrap();
        conn.batch_execute("SELECT pg_stat_force_next_flush()").unwrap();
        let fetched = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_all_tables
            WHERE schemaname = current_schema() AND relname LIKE 'resource_metrics%'";
        number(conn, fetched)
    };
    fill(&mut conn, 1, 4_000);
    let few = read(&mut conn);
    fill(&mut conn, 4_001, 40_000);
    let many = read(&mut conn);
    assert!(few > 500, "it does read: {few}");
    figures(&format!("stats reads {few} rows of 4 thousand, {many} of 40 thousand"));
    assert!(many < 4_000, "{few} rows of 4 thousand, {many} of 40 thousand");
}

#[test]
fn bloat_is_about_what_a_new_copy_of_table_and_index_does_not_take() {
    let db = TestDb::plain_seeded_now();
    let mut conn = db.conn();
    let bloat = |conn: &mut PgConnection| {
        stats::run(conn, &Options::default()).unwrap().operations.bloat.found().unwrap().clone()
    };
    conn.batch_execute(
        "INSERT INTO events (id, customer_id, event_type, data)
         SELECT uuid_in(md5(n::text)::cstring), (SELECT min(id::text)::uuid FROM customers), 'bloat', '{}'
         FROM generate_series(1, 60000) AS n",
    )
    .unwrap();
    conn.batch_execute("REINDEX TABLE events").unwrap();
    conn.batch_execute("VACUUM ANALYZE events").unwrap();
    assert_eq!(bloat(&mut conn), []);
    conn.batch_execute("DELETE FROM events WHERE id::text > '4'").unwrap();
    conn.batch_execute("VACUUM ANALYZE events").unwrap();
    let found = bloat(&mut conn);
    let names: Vec<_> = found.iter().map(|found| found.index.as_deref().unwrap_or(&found.table)).collect();
    assert!(names.contains(&"events") && names.contains(&"events_pkey"), "{found:?}");
    conn.batch_execute("VACUUM FULL events").unwrap();
    for of in &found {
        let name = of.index.as_deref().unwrap_or(&of.table);
        let freed = of.bytes - number(&mut conn, &format!("SELECT pg_relation_size('{name}')"));
        let error = (of.bloat_bytes - freed).abs();
        assert!(error * 100 < 15 * of.bytes, "{name}: {freed} bytes were freed, and {of:?} was said");
    }
    assert_eq!(bloat(&mut conn), []);
}
