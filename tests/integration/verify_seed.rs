//! Faults planted in the rows of a seeded database: every check that has to fail, with all that it has to say. Rows that
//! users and fleets add are none.

use diesel::connection::SimpleConnection;
use optiinfra_db::layer::Layer;
use optiinfra_db::seed;
use optiinfra_db::verify::Outcome;

use crate::support::{TestDb, verified};

/// A fault, and what is to be said of it.
struct Fault {
    name: &'static str,
    /// Makes it.
    sql: &'static str,
    /// The checks that have to fail, each with its findings.
    checks: &'static [(&'static str, &'static [&'static str])],
}

#[track_caller]
fn assert_found(faults: &[Fault]) {
    for fault in faults {
        let db = TestDb::seeded_now();
        db.conn().batch_execute(fault.sql).unwrap();
        let report = verified(&db);
        // A rule may be broken too; rules.rs is about that.
        let failed =
            report.checks.iter().filter(|check| check.outcome == Outcome::Failed && !check.id.starts_with("rules."));
        let found: Vec<(_, Vec<_>)> =
            failed.map(|check| (check.id.as_str(), check.findings.iter().map(ToString::to_string).collect())).collect();
        let expected: Vec<(_, Vec<_>)> = fault
            .checks
            .iter()
            .map(|(id, findings)| (*id, findings.iter().map(ToString::to_string).collect()))
            .collect();
        assert_eq!(found, expected, "{}", fault.name);
        let findings = report.checks.iter().filter(|check| check.id.contains("seed")).flat_map(|check| &check.findings);
        assert!(findings.clone().all(|finding| finding.next_step.is_some()), "{}", fault.name);
    }
}

#[test]
fn faults_of_customers_agents_and_workflows() {
    assert_found(CORE_AND_AGENTS);
}

const CORE_AND_AGENTS: &[Fault] = &[
    Fault {
        name: "a renamed agent is one finding",
        sql: "UPDATE agents SET name = 'cost-agent-7' WHERE name = 'cost-agent-1'",
        checks: &[("core.seed.agents", &["cost-agent-1: expected cost, healthy, found cost-agent-7, cost, healthy"])],
    },
    Fault {
        name: "a renamed customer is one finding",
        sql: "UPDATE customers SET name = 'Acme Ltd' WHERE name = 'Acme Corp'",
        checks: &[(
            "core.seed.customers",
            &["Acme Corp: expected admin@acme.com, enterprise, found Acme Ltd, admin@acme.com, enterprise"],
        )],
    },
    Fault {
        name: "a customers other plan",
        sql: "UPDATE customers SET plan = 'startup' WHERE name = 'Acme Corp'",
        checks: &[(
            "core.seed.customers",
            &["Acme Corp: expected admin@acme.com, enterprise, found admin@acme.com, startup"],
        )],
    },
    Fault {
        name: "a missing customer",
        sql: "DELETE FROM customers WHERE name = 'Demo Customer'",
        checks: &[
            ("seed.total", &["workflow_history: expected at least 30, found 28"]),
            ("core.seed.customers", &["Demo Customer: missing: expected demo@example.com, free"]),
        ],
    },
    Fault {
        name: "a changed status of an agent",
        sql: "UPDATE agents SET status = 'degraded' WHERE name = 'cost-agent-1'",
        checks: &[("core.seed.agents", &["cost-agent-1: expected cost, healthy, found cost, degraded"])],
    },
    Fault {
        name: "a deleted event",
        sql: "DELETE FROM events WHERE event_type = 'performance_degradation'",
        checks: &[("core.seed.counts", &["events: expected at least 3, found 2"])],
    },
    Fault {
        name: "a deleted config",
        sql: "DELETE FROM agent_configs WHERE config_key = 'kv_cache_size_gb'",
        checks: &[
            ("seed.total", &["agent_state: expected at least 22, found 21"]),
            ("agent_state.seed.configs", &["kv_cache_size_gb: missing: expected performance-agent-1"]),
            ("agent_state.seed.counts", &["agent_configs: expected at least 6, found 5"]),
        ],
    },
    Fault {
        name: "a deleted state",
        sql: "DELETE FROM agent_states WHERE agent_id = '00000000-0000-0000-0000-000000000104'",
        checks: &[
            ("seed.total", &["agent_state: expected at least 22, found 21"]),
            ("agent_state.seed.states", &["resource-agent-1: expected at least 1, found 0"]),
            ("agent_state.seed.counts", &["agent_states: expected at least 4, found 3"]),
        ],
    },
    Fault {
        name: "a capability of another agent",
        sql: "UPDATE agent_capabilities SET agent_id = '00000000-0000-0000-0000-000000000105'
         WHERE capability_name = 'auto_scaling'",
        checks: &[(
            "agent_state.seed.capabilities",
            &["auto_scaling: expected resource-agent-1, found application-agent-1"],
        )],
    },
    Fault {
        name: "a renamed agent metric",
        sql: "UPDATE agent_metrics SET metric_name = 'x' WHERE metric_name = 'quality_score_average'",
        checks: &[("agent_state.seed.metrics", &["quality_score_average: missing: expected application-agent-1"])],
    },
    Fault {
        name: "a deleted step",
        sql: "DELETE FROM workflow_steps WHERE step_name = 'analyze_storage'",
        checks: &[(
            "workflow_history.seed.scenarios",
            &["cost_analysis by cost-agent-1 for Acme Corp: expected completed, steps 5, artifacts 3, \
                 found completed, steps 4, artifacts 3"],
        )],
    },
    Fault {
        name: "a changed status of a workflow",
        sql: "UPDATE workflow_executions SET status = 'completed' WHERE workflow_type = 'quality_check'",
        checks: &[(
            "workflow_history.seed.scenarios",
            &["quality_check by application-agent-1 for StartupCo: expected failed, steps 3, artifacts 2, \
                 found completed, steps 3, artifacts 2"],
        )],
    },
    Fault {
        name: "too few records",
        sql: "DELETE FROM workflow_executions WHERE workflow_type = 'anomaly_detection'",
        checks: &[("seed.total", &["workflow_history: expected at least 30, found 28"])],
    },
];

#[test]
fn faults_of_resources() {
    assert_found(RESOURCES);
}

const RESOURCES: &[Fault] = &[
    Fault {
        name: "a renamed second customer",
        sql: "UPDATE customers SET name = 'TechStart Ltd' WHERE name = 'TechStart Inc'",
        checks: &[("resource.seed.customer", &["TechStart Inc: expected at least 1, found TechStart Ltd"])],
    },
    Fault {
        name: "a deleted sample",
        sql: "DELETE FROM resource_metrics WHERE instance_id = 'i-0abc123def456' AND metric_value = 83.5",
        checks: &[
            ("resource.seed.types", &["gpu: expected at least 78, found 77"]),
            ("resource.seed.instances", &["i-0abc123def456: expected 64.25, found 62.5"]),
            ("resource.seed.samples", &["i-0abc123def456: expected at least 12, found 11"]),
            ("resource.seed.latest_gpu", &["i-0abc123def456: expected 83.5, found 80"]),
            (
                "resource.seed.time_range",
                &["samples: expected at least 12, found 11", "hours from first to last: expected 11, found 10"],
            ),
            ("resource.seed.counts", &["resource_metrics: expected at least 126, found 125"]),
        ],
    },
    Fault {
        name: "a missing resource type",
        sql: "DELETE FROM resource_metrics WHERE resource_type = 'network'",
        checks: &[
            ("seed.total", &["resource: expected at least 128, found 122"]),
            ("resource.seed.types", &["network: missing: expected at least 12"]),
            ("resource.seed.counts", &["resource_metrics: expected at least 126, found 114"]),
        ],
    },
    Fault {
        name: "another value of a sample",
        sql: "UPDATE resource_metrics SET metric_value = 57 WHERE instance_id = 'i-0abc123def457' AND metric_value = 55",
        checks: &[("resource.seed.instances", &["i-0abc123def457: expected 63.25, found 63.416666666666664"])],
    },
    Fault {
        name: "a failed scaling event that should have succeeded",
        sql: "UPDATE scaling_events SET success = false WHERE event_type = 'manual_scale'",
        checks: &[
            ("resource.seed.events", &["manual_scale succeeded: missing: expected at least 1"]),
            ("resource.seed.outcomes", &["manual_scale succeeded: missing: expected 10"]),
            ("resource.seed.failed_event", &["failed: expected 1, found 2"]),
        ],
    },
    Fault {
        name: "another duration",
        sql: "UPDATE scaling_events SET completed_at = completed_at + interval '1 minute'
         WHERE event_type = 'scale_up' AND completed_at = (SELECT max(completed_at) FROM scaling_events)",
        checks: &[
            ("resource.seed.outcomes", &["scale_up succeeded: expected 10, found 10.5"]),
            ("resource.seed.recent_event", &["minutes: expected 5, found 6"]),
        ],
    },
    Fault {
        name: "another cause of the failure",
        sql: "UPDATE scaling_events SET error_details = '{\"error_type\": \"Throttled\"}' WHERE NOT success",
        checks: &[("resource.seed.failed_event", &["scale_up: expected InsufficientCapacity, found Throttled"])],
    },
    Fault {
        name: "a deleted type of scaling event",
        sql: "DELETE FROM scaling_events WHERE event_type = 'scale_cancelled'",
        checks: &[
            (
                "resource.seed.events",
                &[
                    "scale_cancelled: missing: expected at least 1",
                    "scale_cancelled succeeded: missing: expected at least 1",
                ],
            ),
            ("resource.seed.outcomes", &["scale_cancelled succeeded: missing: expected 1"]),
            ("resource.seed.counts", &["scaling_events: expected at least 8, found 7"]),
        ],
    },
    Fault {
        name: "a lost link to the workflow",
        sql: "UPDATE scaling_events SET workflow_execution_id = NULL",
        checks: &[("resource.seed.workflow", &["scale_up succeeded: missing: expected scaling_decision, completed"])],
    },
];

#[test]
fn faults_of_answers() {
    assert_found(ANSWERS);
}

const ANSWERS: &[Fault] = &[
    Fault {
        name: "a missing model",
        sql: "DELETE FROM quality_metrics WHERE model_name = 'llama-3-70b'",
        checks: &[
            ("seed.total", &["application: expected at least 253, found 245"]),
            ("application.seed.models", &["llama-3-70b: missing: expected at least 48"]),
            ("application.seed.quality", &["llama-3-70b: missing: expected 0 to 1"]),
            ("application.seed.counts", &["quality_metrics: expected at least 240, found 232"]),
        ],
    },
    Fault {
        name: "a score in percent",
        sql: "UPDATE quality_metrics SET overall_quality_score = 85 WHERE model_name = 'gpt-3.5-turbo'",
        checks: &[("application.seed.quality", &["gpt-3.5-turbo: expected 0 to 1, found 85"])],
    },
    Fault {
        name: "a baseline of another type",
        sql: "UPDATE quality_baselines SET baseline_type = 'initial' WHERE baseline_type = 'rollback'",
        checks: &[("application.seed.baselines", &["rollback: missing: expected at least 1"])],
    },
    Fault {
        name: "a resolved regression that should be open",
        sql: "UPDATE quality_regressions SET resolved_at = now() WHERE resolved_at IS NULL",
        checks: &[
            ("application.seed.regressions", &["medium toxicity_increase, open: missing: expected at least 1"]),
            ("application.seed.unresolved", &["unresolved: expected at least 1, found 0"]),
        ],
    },
    Fault {
        name: "a workflow of a regression that did not complete",
        sql: "UPDATE workflow_executions SET status = 'cancelled' WHERE workflow_type = 'configuration_update'",
        checks: &[(
            "application.seed.workflow",
            &["critical quality_drop: expected configuration_update, completed, \
                 found configuration_update, cancelled"],
        )],
    },
];

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
    assert!(report.is_clean(), "{:#?}", report.checks.iter().flat_map(|check| &check.findings).collect::<Vec<_>>());
    assert_eq!(report.skipped, 0);
}

/// What a fleet or the platform writes may be newer than the seed, and just like it.
#[test]
fn rows_that_are_like_the_seeds_are_no_finding() {
    let copies = [
        (
            "scaling_events",
            "executed_at = executed_at + interval '1 day', completed_at = completed_at + interval '1 day'",
        ),
        ("resource_metrics", "\"timestamp\" = \"timestamp\" + interval '1 hour', metric_value = 1"),
        ("agent_metrics", "recorded_at = recorded_at + interval '1 hour'"),
        ("quality_metrics", "request_id = 'again ' || request_id, overall_quality_score = 0.1"),
        ("quality_baselines", "baseline_type = 'initial'"),
        ("quality_regressions", "resolved_at = NULL"),
        ("workflow_executions", "status = 'cancelled'"),
        ("events", "severity = 'info'"),
    ];
    let db = TestDb::seeded("2026-11-27T02:03:06Z".parse().unwrap());
    for (table, change) in copies {
        let copy = format!(
            "CREATE TEMP TABLE copy AS SELECT * FROM {table}; UPDATE copy SET id = gen_random_uuid(), {change};
             INSERT INTO {table} SELECT * FROM copy; DROP TABLE copy"
        );
        db.conn().batch_execute(&copy).unwrap_or_else(|error| panic!("{table}: {error}"));
        let report = verified(&db);
        let seed = report.checks.iter().filter(|check| check.id.contains("seed"));
        let findings: Vec<_> = seed.flat_map(|check| &check.findings).collect();
        assert!(findings.is_empty(), "{table}: {findings:#?}");
    }
}

#[test]
fn bytes_that_are_no_utf8_are_shown_as_question_marks_in_a_database_that_takes_them() {
    let db = TestDb::in_sql_ascii().migrate();
    let mut conn = db.conn();
    seed::run(&mut conn, &Layer::ALL, chrono::Utc::now()).unwrap();
    conn.batch_execute(
        "SET client_encoding = 'SQL_ASCII';
         UPDATE customers SET name = E'Caf\\xe9' WHERE name = 'Acme Corp';
         UPDATE resource_metrics SET unit = E'\\xb0C' WHERE unit = 'celsius';
         COMMENT ON TABLE events IS E'Caf\\xe9'",
    )
    .unwrap();
    let report = verified(&db);
    let failed = report.checks.iter().filter(|check| check.outcome == Outcome::Failed);
    let findings: Vec<_> = failed.flat_map(|check| &check.findings).map(ToString::to_string).collect();
    assert_eq!(
        findings,
        [
            "comment events: expected What happened on the platform, as an audit trail; outlives the agent that reported it., \
             found Caf?",
            "Acme Corp: expected admin@acme.com, enterprise, found Caf?, admin@acme.com, enterprise",
        ]
    );
}
