//! The integrity rules: no finding in the seed's rows, the planted one in wrong rows, and no more of them afterwards.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use optiinfra_db::verify::{self, Check, Options, Outcome, Report};
use serde_json::json;

use crate::support::{Dbctl, TestDb, verified};

fn seeded() -> TestDb {
    TestDb::seeded_now()
}

fn broken(report: &Report) -> Vec<&Check> {
    let is_broken = |check: &&Check| check.id.starts_with("rules.") && check.outcome == Outcome::Failed;
    report.checks.iter().filter(is_broken).collect()
}

#[test]
fn the_seeds_rows_break_no_rule() {
    let report = verified(&seeded());
    let rules: Vec<_> = report.checks.iter().filter(|check| check.id.starts_with("rules.")).collect();
    assert!(rules.len() > 25, "{}", rules.len());
    for check in rules {
        assert_eq!((&check.outcome, &check.found), (&Outcome::Passed, &json!(0)), "{}", check.id);
        assert_eq!(check.source, "integrity");
        assert!(check.layer.is_some());
    }
}

/// Rows that break a rule.
struct Fault {
    name: &'static str,
    /// Makes them of rows of the seed.
    plant: &'static str,
    rule: &'static str,
    /// The table whose rows they are.
    table: &'static str,
    rows: usize,
    problem: &'static str,
    /// Whether a constraint is proposed, which has to refuse the same rows from then on.
    is_held: bool,
}

#[track_caller]
fn assert_findings(check: &Check, table: &str, rows: usize, problem: &str) {
    assert_eq!((&check.expected, &check.found), (&json!(0), &json!(rows)));
    assert_eq!(check.findings.len(), rows.min(6));
    for finding in check.findings.iter().take(5) {
        let id = finding.object.strip_prefix(&format!("{table} ")).unwrap_or_else(|| panic!("{finding}"));
        assert!(uuid::Uuid::parse_str(id).is_ok(), "{finding}");
        assert!(finding.problem.starts_with(problem), "{finding}");
    }
    if rows > 5 {
        assert_eq!(check.findings[5].object, table);
        let more = format!("{} more row", rows - 5);
        assert!(check.findings[5].problem.starts_with(&more.replace(" more row", " row")), "{}", check.findings[5]);
    }
}

/// The proposed constraint refuses what broke the rule, and is no finding itself.
fn assert_held(db: &TestDb, check: &Check, plant: &str) {
    let mut conn = db.conn();
    conn.batch_execute(check.findings[0].fix.as_deref().unwrap()).unwrap();
    match conn.batch_execute(plant) {
        Err(Error::DatabaseError(DatabaseErrorKind::CheckViolation, _)) => {}
        other => panic!("{other:?}"),
    }
    let report = verified(db);
    assert_eq!(report.check("schema.contract").unwrap().outcome, Outcome::Passed);
    for finding in &report.check(&check.id).unwrap().findings {
        assert_eq!(finding.fix, None, "the constraint is there: it is not suggested again");
        assert!(finding.next_step.as_ref().unwrap().contains("VALIDATE CONSTRAINT"), "{finding:?}");
    }
}

#[test]
fn broken_rules_are_found_and_held_where_a_constraint_can() {
    for fault in FAULTS {
        let db = TestDb::seeded_now();
        db.conn().batch_execute(fault.plant).unwrap();
        let report = verified(&db);
        let broken = broken(&report);
        let ids: Vec<_> = broken.iter().map(|check| check.id.as_str()).collect();
        assert_eq!(ids, [format!("rules.{}", fault.rule)], "{}", fault.name);
        assert_findings(broken[0], fault.table, fault.rows, fault.problem);
        if fault.is_held {
            assert_held(&db, broken[0], fault.plant);
        } else {
            assert!(broken[0].findings.iter().all(|finding| finding.fix.is_none()), "{:#?}", broken[0].findings);
        }
    }
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "a recommendation executed before it was approved",
        plant: "UPDATE recommendations SET approved_at = now(), executed_at = now() - interval '1 second'
         WHERE type = (SELECT min(type) FROM recommendations)",
        rule: "recommendation_order",
        table: "recommendations",
        rows: 1,
        problem: "executed before it was approved",
        is_held: true,
    },
    Fault {
        name: "an optimisation completed before it started",
        plant: "INSERT INTO optimizations (recommendation_id, customer_id, agent_id, started_at, completed_at)
         SELECT id, customer_id, agent_id, now(), now() - interval '1 second' FROM recommendations LIMIT 1",
        rule: "optimization_order",
        table: "optimizations",
        rows: 1,
        problem: "completed or rolled back before it started",
        is_held: true,
    },
    Fault {
        name: "an optimisation rolled back before it started",
        plant: "INSERT INTO optimizations (recommendation_id, customer_id, agent_id, started_at, rolled_back_at)
         SELECT id, customer_id, agent_id, now(), now() - interval '1 second' FROM recommendations LIMIT 1",
        rule: "optimization_order",
        table: "optimizations",
        rows: 1,
        problem: "completed or rolled back before it started",
        is_held: true,
    },
    Fault {
        name: "an optimisation for another customer",
        plant: "INSERT INTO optimizations (recommendation_id, customer_id, agent_id)
         SELECT r.id, c.id, r.agent_id FROM recommendations r JOIN customers c ON c.id <> r.customer_id LIMIT 1",
        rule: "optimization_customer",
        table: "optimizations",
        rows: 1,
        problem: "its recommendation is another customer's",
        is_held: false,
    },
    Fault {
        name: "an event of the future",
        plant: "UPDATE events SET created_at = now() + interval '6 minutes' WHERE severity = 'info'",
        rule: "core_future",
        table: "events",
        rows: 2,
        problem: "has a time more than 5 minutes in the future",
        is_held: false,
    },
    Fault {
        name: "an agent with another agents workflow",
        plant: "UPDATE agent_states s SET current_workflow_id =
            (SELECT w.id FROM workflow_executions w WHERE w.agent_id <> s.agent_id LIMIT 1)
         WHERE s.agent_id = '00000000-0000-0000-0000-000000000104'",
        rule: "agent_state_workflow",
        table: "agent_states",
        rows: 1,
        problem: "its current workflow is another agent's",
        is_held: false,
    },
    Fault {
        name: "an agent metric that is not a number",
        plant: "UPDATE agent_metrics SET metric_value = 'NaN' WHERE metric_name = 'quality_score_average'",
        rule: "agent_metric_value",
        table: "agent_metrics",
        rows: 1,
        problem: "is not a number, infinite, or a negative counter",
        is_held: true,
    },
    Fault {
        name: "an infinite agent metric",
        plant: "UPDATE agent_metrics SET metric_value = '-Infinity' WHERE metric_name = 'quality_score_average'",
        rule: "agent_metric_value",
        table: "agent_metrics",
        rows: 1,
        problem: "is not a number, infinite, or a negative counter",
        is_held: true,
    },
    Fault {
        name: "a negative counter",
        plant: "UPDATE agent_metrics SET metric_value = -1, metric_type = 'counter' WHERE metric_name = 'quality_score_average'",
        rule: "agent_metric_value",
        table: "agent_metrics",
        rows: 1,
        problem: "is not a number, infinite, or a negative counter",
        is_held: true,
    },
    Fault {
        name: "an agent active in the future",
        plant: "UPDATE agent_states SET last_activity = now() + interval '1 day'",
        rule: "agent_state_future",
        table: "agent_states",
        rows: 4,
        problem: "has a time more than 5 minutes in the future",
        is_held: false,
    },
    Fault {
        name: "a workflow completed before it started",
        plant: "UPDATE workflow_executions SET completed_at = started_at - interval '1 second'
         WHERE workflow_type = 'cost_analysis'",
        rule: "workflow_order",
        table: "workflow_executions",
        rows: 1,
        problem: "completed before it started",
        is_held: true,
    },
    Fault {
        name: "a step completed before it started",
        plant: "UPDATE workflow_steps SET completed_at = started_at - interval '1 second' WHERE step_name = 'analyze_storage'",
        rule: "workflow_order",
        table: "workflow_steps",
        rows: 1,
        problem: "completed before it started",
        is_held: true,
    },
    Fault {
        name: "a completed workflow with a running step",
        plant: "UPDATE workflow_steps SET status = 'running', completed_at = NULL WHERE step_name = 'analyze_storage'",
        rule: "workflow_open_steps",
        table: "workflow_executions",
        rows: 1,
        problem: "completed with a step that is pending, running or retrying",
        is_held: false,
    },
    Fault {
        name: "a gap in the steps",
        plant: "DELETE FROM workflow_steps WHERE step_order = 2 AND workflow_execution_id =
            (SELECT workflow_execution_id FROM workflow_steps WHERE step_name = 'analyze_storage')",
        rule: "step_numbers",
        table: "workflow_executions",
        rows: 1,
        problem: "the numbers of its steps have a gap or do not begin with 1",
        is_held: false,
    },
    Fault {
        name: "steps from zero",
        plant: "UPDATE workflow_steps SET step_order = step_order - 1 WHERE workflow_execution_id =
            (SELECT workflow_execution_id FROM workflow_steps WHERE step_name = 'analyze_storage')",
        rule: "step_numbers",
        table: "workflow_executions",
        rows: 1,
        problem: "the numbers of its steps have a gap or do not begin with 1",
        is_held: false,
    },
    Fault {
        name: "a step retried too often",
        plant: "UPDATE workflow_steps SET retry_count = max_retries + 1 WHERE step_name = 'analyze_storage'",
        rule: "step_retries",
        table: "workflow_steps",
        rows: 1,
        problem: "retried more often than it may be, or a negative number of times",
        is_held: true,
    },
    Fault {
        name: "a step retried a negative number of times",
        plant: "UPDATE workflow_steps SET retry_count = -1 WHERE step_name = 'analyze_storage'",
        rule: "step_retries",
        table: "workflow_steps",
        rows: 1,
        problem: "retried more often than it may be, or a negative number of times",
        is_held: true,
    },
    Fault {
        name: "an artifact of another workflows step",
        plant: "UPDATE workflow_artifacts f SET workflow_step_id =
            (SELECT s.id FROM workflow_steps s WHERE s.workflow_execution_id <> f.workflow_execution_id LIMIT 1)
         WHERE f.id = (SELECT min(id::text)::uuid FROM workflow_artifacts)",
        rule: "artifact_step",
        table: "workflow_artifacts",
        rows: 1,
        problem: "its step belongs to another workflow",
        is_held: false,
    },
    Fault {
        name: "an artifact of negative size",
        plant: "UPDATE workflow_artifacts SET artifact_size_bytes = -1
         WHERE id = (SELECT min(id::text)::uuid FROM workflow_artifacts)",
        rule: "artifact_size",
        table: "workflow_artifacts",
        rows: 1,
        problem: "has a negative size",
        is_held: true,
    },
    Fault {
        name: "a step of the future",
        plant: "UPDATE workflow_steps SET completed_at = now() + interval '6 minutes' WHERE step_name = 'analyze_storage'",
        rule: "workflow_history_future",
        table: "workflow_steps",
        rows: 1,
        problem: "has a time more than 5 minutes in the future",
        is_held: false,
    },
    Fault {
        name: "a sample that is not a number",
        plant: "UPDATE resource_metrics SET metric_value = 'NaN', unit = 'celsius'
         WHERE id = (SELECT min(id::text)::uuid FROM resource_metrics)",
        rule: "resource_metric_finite",
        table: "resource_metrics",
        rows: 1,
        problem: "is not a number or infinite",
        is_held: true,
    },
    Fault {
        name: "an infinite sample",
        plant: "UPDATE resource_metrics SET metric_value = 'Infinity', unit = 'celsius'
         WHERE id = (SELECT min(id::text)::uuid FROM resource_metrics)",
        rule: "resource_metric_finite",
        table: "resource_metrics",
        rows: 1,
        problem: "is not a number or infinite",
        is_held: true,
    },
    Fault {
        name: "more than everything of a gpu",
        plant: "UPDATE resource_metrics SET metric_value = 100.5 WHERE resource_type = 'gpu' AND metric_name = 'utilization'",
        rule: "resource_metric_range",
        table: "resource_metrics",
        rows: 42,
        problem: "is out of the range of its unit",
        is_held: true,
    },
    Fault {
        name: "a negative amount of memory",
        plant: "UPDATE resource_metrics SET metric_value = -1 WHERE resource_type = 'memory'",
        rule: "resource_metric_range",
        table: "resource_metrics",
        rows: 12,
        problem: "is out of the range of its unit",
        is_held: true,
    },
    Fault {
        name: "a scaling event completed before it was executed",
        plant: "UPDATE scaling_events SET completed_at = executed_at - interval '1 second'
         WHERE event_type = 'manual_scale'",
        rule: "scaling_order",
        table: "scaling_events",
        rows: 1,
        problem: "completed before it was executed",
        is_held: true,
    },
    Fault {
        name: "a scaling event from another customers workflow",
        plant: "UPDATE scaling_events e SET workflow_execution_id =
            (SELECT w.id FROM workflow_executions w WHERE w.customer_id <> e.customer_id LIMIT 1)
         WHERE event_type = 'manual_scale'",
        rule: "scaling_customer",
        table: "scaling_events",
        rows: 1,
        problem: "its workflow is another customer's",
        is_held: false,
    },
    Fault {
        name: "a sample of the future",
        plant: "UPDATE resource_metrics SET timestamp = now() + interval '301 seconds' WHERE metric_value = 83.5",
        rule: "resource_future",
        table: "resource_metrics",
        rows: 1,
        problem: "has a time more than 5 minutes in the future",
        is_held: false,
    },
    Fault {
        name: "a score in percent",
        plant: "UPDATE quality_metrics SET factuality_score = 85 WHERE id = (SELECT min(id::text)::uuid FROM quality_metrics)",
        rule: "quality_scores",
        table: "quality_metrics",
        rows: 1,
        problem: "has a score that is not from 0 to 1",
        is_held: true,
    },
    Fault {
        name: "a score that is not a number",
        plant: "UPDATE quality_metrics SET overall_quality_score = 'NaN' WHERE id = (SELECT min(id::text)::uuid FROM quality_metrics)",
        rule: "quality_scores",
        table: "quality_metrics",
        rows: 1,
        problem: "has a score that is not from 0 to 1",
        is_held: true,
    },
    Fault {
        name: "a baseline in percent",
        plant: "UPDATE quality_baselines SET avg_overall_score = 87 WHERE baseline_type = 'rollback'",
        rule: "quality_scores",
        table: "quality_baselines",
        rows: 1,
        problem: "has a score that is not from 0 to 1",
        is_held: true,
    },
    Fault {
        name: "a negative latency",
        plant: "UPDATE quality_metrics SET latency_ms = -1 WHERE id = (SELECT min(id::text)::uuid FROM quality_metrics)",
        rule: "quality_latency",
        table: "quality_metrics",
        rows: 1,
        problem: "has a latency that is negative, not a number or infinite",
        is_held: true,
    },
    Fault {
        name: "an infinite latency of a baseline",
        plant: "UPDATE quality_baselines SET p95_latency_ms = 'Infinity' WHERE baseline_type = 'rollback'",
        rule: "quality_latency",
        table: "quality_baselines",
        rows: 1,
        problem: "has a latency that is negative, not a number or infinite",
        is_held: true,
    },
    Fault {
        name: "a negative number of tokens",
        plant: "UPDATE quality_metrics SET completion_tokens = -1 WHERE id = (SELECT min(id::text)::uuid FROM quality_metrics)",
        rule: "quality_tokens",
        table: "quality_metrics",
        rows: 1,
        problem: "has a negative number of tokens",
        is_held: true,
    },
    Fault {
        name: "a baseline of no answer",
        plant: "UPDATE quality_baselines SET sample_size = 0 WHERE baseline_type = 'rollback'",
        rule: "sample_size",
        table: "quality_baselines",
        rows: 1,
        problem: "rests on no answer",
        is_held: true,
    },
    Fault {
        name: "a regression of no answer",
        plant: "UPDATE quality_regressions SET sample_size = -1 WHERE resolved_at IS NULL",
        rule: "sample_size",
        table: "quality_regressions",
        rows: 1,
        problem: "rests on no answer",
        is_held: true,
    },
    Fault {
        name: "a baseline that ends before it begins",
        plant: "UPDATE quality_baselines SET valid_until = established_at - interval '1 second'
         WHERE baseline_type = 'rollback'",
        rule: "baseline_validity",
        table: "quality_baselines",
        rows: 1,
        problem: "valid only until before it was established",
        is_held: true,
    },
    Fault {
        name: "a regression resolved before it was detected",
        plant: "UPDATE quality_regressions SET resolved_at = detected_at - interval '1 second' WHERE severity = 'critical'",
        rule: "regression_order",
        table: "quality_regressions",
        rows: 1,
        problem: "resolved before it was detected",
        is_held: true,
    },
    Fault {
        name: "a fall by more than everything",
        plant: "UPDATE quality_regressions SET delta_percent = -101 WHERE severity = 'critical'",
        rule: "regression_values",
        table: "quality_regressions",
        rows: 1,
        problem: "has a value that is not a number or infinite, or falls by more than 100 percent",
        is_held: true,
    },
    Fault {
        name: "a regression from another customers baseline",
        plant: "UPDATE quality_regressions r SET baseline_id =
            (SELECT b.id FROM quality_baselines b WHERE b.customer_id <> r.customer_id LIMIT 1)
         WHERE severity = 'critical'",
        rule: "regression_baseline",
        table: "quality_regressions",
        rows: 1,
        problem: "its baseline is another customer's",
        is_held: false,
    },
    Fault {
        name: "a regression mended by another customers workflow",
        plant: "UPDATE quality_regressions r SET workflow_execution_id =
            (SELECT w.id FROM workflow_executions w WHERE w.customer_id <> r.customer_id LIMIT 1)
         WHERE severity = 'critical'",
        rule: "regression_workflow",
        table: "quality_regressions",
        rows: 1,
        problem: "its workflow is another customer's",
        is_held: false,
    },
    Fault {
        name: "a regression detected in the future",
        plant: "UPDATE quality_regressions SET detected_at = now() + interval '1 hour' WHERE resolved_at IS NULL",
        rule: "application_future",
        table: "quality_regressions",
        rows: 1,
        problem: "has a time more than 5 minutes in the future",
        is_held: false,
    },
];

#[test]
fn steps_with_the_same_number_are_found_and_a_unique_constraint_is_proposed() {
    let db = seeded();
    let mut conn = db.conn();
    let plant = "INSERT INTO workflow_steps (workflow_execution_id, step_name, step_order, status)
        SELECT workflow_execution_id, 'again', step_order, 'completed' FROM workflow_steps
        WHERE step_name = 'analyze_storage'";
    conn.batch_execute(plant).unwrap();
    let report = verified(&db);
    let check = broken(&report)[0];
    assert_eq!(check.id, "rules.step_duplicates");
    assert_findings(check, "workflow_executions", 1, "two of its steps have the same number");
    let fix = check.findings[0].fix.as_deref().unwrap().replace(" CONCURRENTLY", "");
    assert!(
        fix.starts_with("SELECT workflow_execution_id, step_order, count(*) AS duplicates FROM workflow_steps "),
        "{fix}"
    );
    assert!(conn.batch_execute(&fix).is_err(), "the rows have to go first");
    conn.batch_execute("DELETE FROM workflow_steps WHERE step_name = 'again'").unwrap();
    conn.batch_execute(&fix).unwrap();
    assert!(verified(&db).is_clean(), "neither the constraint nor its index is a finding");
    assert!(conn.batch_execute(plant).is_err());
}

#[test]
fn a_finding_says_which_values_break_the_rule() {
    let db = TestDb::seeded_now();
    db.conn()
        .batch_execute(
            "UPDATE resource_metrics SET metric_value = 180 WHERE metric_value = 83.5;
             UPDATE quality_baselines SET sample_size = 0 WHERE baseline_type = 'rollback';
             UPDATE events SET created_at = '2999-01-01 00:00:00+00' WHERE event_type = 'performance_degradation'",
        )
        .unwrap();
    let report = verified(&db);
    let problem = |rule: &str| report.check(rule).unwrap().findings[0].problem.clone();
    let range = "is out of the range of its unit: resource_type gpu, metric_value 180, unit percent";
    assert_eq!(problem("rules.resource_metric_range"), range);
    assert_eq!(problem("rules.sample_size"), "rests on no answer: sample_size 0");
    let future = "has a time more than 5 minutes in the future: created_at 2999-01-01 00:00:00+00";
    assert_eq!(problem("rules.core_future"), future);
}

#[test]
fn a_limit_to_the_future_is_its_tolerance_and_a_baseline_may_end_later() {
    let db = seeded();
    db.conn()
        .batch_execute(
            "UPDATE resource_metrics SET timestamp = now() + interval '4 minutes' WHERE metric_value = 83.5;
             UPDATE quality_baselines SET valid_until = now() + interval '1 year'",
        )
        .unwrap();
    assert_eq!(broken(&verified(&db)), [] as [&Check; 0]);
}

#[test]
fn an_answer_that_takes_too_long_is_skipped_with_its_layer_and_no_other() {
    let db = seeded();
    // A view that is slow stands in for a table that is large.
    db.conn()
        .batch_execute(
            "ALTER TABLE scaling_events RENAME TO slowly;
             CREATE VIEW scaling_events AS SELECT slowly.* FROM slowly, pg_sleep(1)",
        )
        .unwrap();
    let options = Options { limit: Duration::from_millis(200), ..Options::default() };
    let report = verify::run(&mut db.conn(), &options).unwrap();
    assert_eq!(broken(&report), [] as [&Check; 0]);
    let reason = "the answer took longer than 0.2 s".to_owned();
    for id in ["rules.scaling_order", "rules.resource_metric_finite", "resource.seed.events", "seed.total"] {
        assert_eq!(report.check(id).unwrap().outcome, Outcome::Skipped { reason: reason.clone() }, "{id}");
    }
    for id in ["rules.core_future", "rules.regression_order", "application.seed.models"] {
        assert_eq!(report.check(id).unwrap().outcome, Outcome::Passed, "{id}");
    }
}

#[test]
fn a_table_that_is_locked_away_ends_the_wait_with_an_error_that_says_so() {
    let db = TestDb::migrated();
    let mut holder = db.conn();
    holder.batch_execute("BEGIN; LOCK TABLE scaling_events IN ACCESS EXCLUSIVE MODE").unwrap();
    let options = Options { limit: Duration::from_millis(200), ..Options::default() };
    let error = verify::run(&mut db.conn(), &options).unwrap_err();
    assert_eq!(error.to_string(), "could not read the catalogue");
    let run = Dbctl::on(&db).run("verify --limit 0.2");
    assert!(run.stderr.contains("pg_blocking_pids"), "{run:#?}");
}

#[test]
fn a_rule_about_what_cannot_be_read_is_skipped_and_the_others_are_asked() {
    let db = seeded();
    let reader = db.reader();
    let revoke = format!("REVOKE SELECT ON workflow_executions FROM {}", reader.name);
    db.conn().batch_execute(&revoke).unwrap();
    let mut conn = PgConnection::establish(&db.url_as(&reader.name)).unwrap();
    let report = verify::run(&mut conn, &Options::default()).unwrap();
    let reason = "this role may not SELECT from workflow_executions".to_owned();
    for id in ["rules.scaling_customer", "rules.workflow_order", "rules.workflow_history_future"] {
        assert_eq!(report.check(id).unwrap().outcome, Outcome::Skipped { reason: reason.clone() }, "{id}");
    }
    for id in ["rules.scaling_order", "rules.resource_future"] {
        assert_eq!(report.check(id).unwrap().outcome, Outcome::Passed, "{id}");
    }
}

#[test]
fn rules_that_a_broken_schema_cannot_answer_are_skipped_with_the_servers_words() {
    let db = seeded();
    db.conn().batch_execute("ALTER TABLE quality_baselines DROP COLUMN valid_until").unwrap();
    let report = verified(&db);
    let Outcome::Skipped { reason } = &report.check("rules.baseline_validity").unwrap().outcome else { panic!() };
    assert_eq!(reason, "the server refused the question: column \"valid_until\" does not exist");
    assert_eq!(broken(&report), [] as [&Check; 0]);
}
