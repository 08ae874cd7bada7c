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

/// Plants rows that break a rule in a seeded database, and says which rule, of which table, how many rows, and what
/// is wrong with them; then whether a constraint is proposed, which has to refuse the same rows from now on.
macro_rules! broken_rules {
    ($($name:ident: $plant:expr => $rule:literal, $table:literal, $rows:literal, $problem:literal, $held:ident;)+) => {$(
        #[test]
        fn $name() {
            let db = seeded();
            db.conn().batch_execute($plant).unwrap();
            let report = verified(&db);
            let broken = broken(&report);
            assert_eq!(broken.iter().map(|check| check.id.as_str()).collect::<Vec<_>>(), [concat!("rules.", $rule)]);
            assert_findings(broken[0], $table, $rows, $problem);
            $held(&db, broken[0], $plant);
        }
    )+};
}

#[track_caller]
fn assert_findings(check: &Check, table: &str, rows: usize, problem: &str) {
    assert_eq!((&check.expected, &check.found), (&json!(0), &json!(rows)));
    assert_eq!(check.findings.len(), rows.min(6));
    for finding in check.findings.iter().take(5) {
        let id = finding.object.strip_prefix(&format!("{table} ")).unwrap_or_else(|| panic!("{finding}"));
        assert!(uuid::Uuid::parse_str(id).is_ok(), "{finding}");
        assert_eq!(finding.problem, problem);
    }
    if rows > 5 {
        assert_eq!(check.findings[5].object, table);
        let more = format!("{} more row", rows - 5);
        assert!(check.findings[5].problem.starts_with(&more.replace(" more row", " row")), "{}", check.findings[5]);
    }
}

/// No constraint can hold the rule.
fn not_held(_: &TestDb, check: &Check, _: &str) {
    assert!(check.findings.iter().all(|finding| finding.fix.is_none()), "{:#?}", check.findings);
}

/// The proposed constraint refuses what broke the rule, and is no finding itself.
fn held(db: &TestDb, check: &Check, plant: &str) {
    let mut conn = db.conn();
    conn.batch_execute(check.findings[0].fix.as_deref().unwrap()).unwrap();
    match conn.batch_execute(plant) {
        Err(Error::DatabaseError(DatabaseErrorKind::CheckViolation, _)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(verified(db).check("schema.contract").unwrap().outcome, Outcome::Passed);
}

broken_rules! {
    a_recommendation_executed_before_it_was_approved:
        "UPDATE recommendations SET approved_at = now(), executed_at = now() - interval '1 second'
         WHERE type = (SELECT min(type) FROM recommendations)" =>
        "recommendation_order", "recommendations", 1, "executed before it was approved", held;
    an_optimisation_completed_before_it_started:
        "INSERT INTO optimizations (recommendation_id, customer_id, agent_id, started_at, completed_at)
         SELECT id, customer_id, agent_id, now(), now() - interval '1 second' FROM recommendations LIMIT 1" =>
        "optimization_order", "optimizations", 1, "completed or rolled back before it started", held;
    an_optimisation_rolled_back_before_it_started:
        "INSERT INTO optimizations (recommendation_id, customer_id, agent_id, started_at, rolled_back_at)
         SELECT id, customer_id, agent_id, now(), now() - interval '1 second' FROM recommendations LIMIT 1" =>
        "optimization_order", "optimizations", 1, "completed or rolled back before it started", held;
    an_optimisation_for_another_customer:
        "INSERT INTO optimizations (recommendation_id, customer_id, agent_id)
         SELECT r.id, c.id, r.agent_id FROM recommendations r JOIN customers c ON c.id <> r.customer_id LIMIT 1" =>
        "optimization_customer", "optimizations", 1, "its recommendation is another customer's", not_held;
    an_event_of_the_future:
        "UPDATE events SET created_at = now() + interval '6 minutes' WHERE severity = 'info'" =>
        "core_future", "events", 2, "has a time more than 5 minutes in the future", not_held;

    an_agent_with_another_agents_workflow:
        "UPDATE agent_states s SET current_workflow_id =
            (SELECT w.id FROM workflow_executions w WHERE w.agent_id <> s.agent_id LIMIT 1)
         WHERE s.agent_id = '00000000-0000-0000-0000-000000000104'" =>
        "agent_state_workflow", "agent_states", 1, "its current workflow is another agent's", not_held;
    an_agent_metric_that_is_not_a_number:
        "UPDATE agent_metrics SET metric_value = 'NaN' WHERE metric_name = 'quality_score_average'" =>
        "agent_metric_value", "agent_metrics", 1, "is not a number, infinite, or a negative counter", held;
    an_infinite_agent_metric:
        "UPDATE agent_metrics SET metric_value = '-Infinity' WHERE metric_name = 'quality_score_average'" =>
        "agent_metric_value", "agent_metrics", 1, "is not a number, infinite, or a negative counter", held;
    a_negative_counter:
        "UPDATE agent_metrics SET metric_value = -1, metric_type = 'counter' WHERE metric_name = 'quality_score_average'" =>
        "agent_metric_value", "agent_metrics", 1, "is not a number, infinite, or a negative counter", held;
    an_agent_active_in_the_future:
        "UPDATE agent_states SET last_activity = now() + interval '1 day'" =>
        "agent_state_future", "agent_states", 4, "has a time more than 5 minutes in the future", not_held;

    a_workflow_completed_before_it_started:
        "UPDATE workflow_executions SET completed_at = started_at - interval '1 second'
         WHERE workflow_type = 'cost_analysis'" =>
        "workflow_order", "workflow_executions", 1, "completed before it started", held;
    a_step_completed_before_it_started:
        "UPDATE workflow_steps SET completed_at = started_at - interval '1 second' WHERE step_name = 'analyze_storage'" =>
        "workflow_order", "workflow_steps", 1, "completed before it started", held;
    a_completed_workflow_with_a_running_step:
        "UPDATE workflow_steps SET status = 'running', completed_at = NULL WHERE step_name = 'analyze_storage'" =>
        "workflow_open_steps", "workflow_executions", 1, "completed with a step that is pending, running or retrying",
        not_held;
    a_gap_in_the_steps:
        "DELETE FROM workflow_steps WHERE step_order = 2 AND workflow_execution_id =
            (SELECT workflow_execution_id FROM workflow_steps WHERE step_name = 'analyze_storage')" =>
        "step_numbers", "workflow_executions", 1, "the numbers of its steps have a gap or do not begin with 1",
        not_held;
    steps_from_zero:
        "UPDATE workflow_steps SET step_order = step_order - 1 WHERE workflow_execution_id =
            (SELECT workflow_execution_id FROM workflow_steps WHERE step_name = 'analyze_storage')" =>
        "step_numbers", "workflow_executions", 1, "the numbers of its steps have a gap or do not begin with 1",
        not_held;
    a_step_retried_too_often:
        "UPDATE workflow_steps SET retry_count = max_retries + 1 WHERE step_name = 'analyze_storage'" =>
        "step_retries", "workflow_steps", 1, "retried more often than it may be, or a negative number of times", held;
    a_step_retried_a_negative_number_of_times:
        "UPDATE workflow_steps SET retry_count = -1 WHERE step_name = 'analyze_storage'" =>
        "step_retries", "workflow_steps", 1, "retried more often than it may be, or a negative number of times", held;
    an_artifact_of_another_workflows_step:
        "UPDATE workflow_artifacts f SET workflow_step_id =
            (SELECT s.id FROM workflow_steps s WHERE s.workflow_execution_id <> f.workflow_execution_id LIMIT 1)
         WHERE f.id = (SELECT min(id::text)::uuid FROM workflow_artifacts)" =>
        "artifact_step", "workflow_artifacts", 1, "its step belongs to another workflow", not_held;
    an_artifact_of_negative_size:
        "UPDATE workflow_artifacts SET artifact_size_bytes = -1
         WHERE id = (SELECT min(id::text)::uuid FROM workflow_artifacts)" =>
        "artifact_size", "workflow_artifacts", 1, "has a negative size", held;
    a_step_of_the_future:
        "UPDATE workflow_steps SET completed_at = now() + interval '6 minutes' WHERE step_name = 'analyze_storage'" =>
        "workflow_history_future", "workflow_steps", 1, "has a time more than 5 minutes in the future", not_held;

    a_sample_that_is_not_a_number:
        "UPDATE resource_metrics SET metric_value = 'NaN', unit = 'celsius'
         WHERE id = (SELECT min(id::text)::uuid FROM resource_metrics)" =>
        "resource_metric_finite", "resource_metrics", 1, "is not a number or infinite", held;
    an_infinite_sample:
        "UPDATE resource_metrics SET metric_value = 'Infinity', unit = 'celsius'
         WHERE id = (SELECT min(id::text)::uuid FROM resource_metrics)" =>
        "resource_metric_finite", "resource_metrics", 1, "is not a number or infinite", held;
    more_than_everything_of_a_gpu:
        "UPDATE resource_metrics SET metric_value = 100.5 WHERE resource_type = 'gpu' AND metric_name = 'utilization'" =>
        "resource_metric_range", "resource_metrics", 42, "is out of the range of its unit", held;
    a_negative_amount_of_memory:
        "UPDATE resource_metrics SET metric_value = -1 WHERE resource_type = 'memory'" =>
        "resource_metric_range", "resource_metrics", 12, "is out of the range of its unit", held;
    a_scaling_event_completed_before_it_was_executed:
        "UPDATE scaling_events SET completed_at = executed_at - interval '1 second'
         WHERE event_type = 'manual_scale'" =>
        "scaling_order", "scaling_events", 1, "completed before it was executed", held;
    a_scaling_event_from_another_customers_workflow:
        "UPDATE scaling_events e SET workflow_execution_id =
            (SELECT w.id FROM workflow_executions w WHERE w.customer_id <> e.customer_id LIMIT 1)
         WHERE event_type = 'manual_scale'" =>
        "scaling_customer", "scaling_events", 1, "its workflow is another customer's", not_held;
    a_sample_of_the_future:
        "UPDATE resource_metrics SET timestamp = now() + interval '301 seconds' WHERE metric_value = 83.5" =>
        "resource_future", "resource_metrics", 1, "has a time more than 5 minutes in the future", not_held;

    a_score_in_percent:
        "UPDATE quality_metrics SET factuality_score = 85 WHERE id = (SELECT min(id::text)::uuid FROM quality_metrics)" =>
        "quality_scores", "quality_metrics", 1, "has a score that is not from 0 to 1", held;
    a_score_that_is_not_a_number:
        "UPDATE quality_metrics SET overall_quality_score = 'NaN' WHERE id = (SELECT min(id::text)::uuid FROM quality_metrics)" =>
        "quality_scores", "quality_metrics", 1, "has a score that is not from 0 to 1", held;
    a_baseline_in_percent:
        "UPDATE quality_baselines SET avg_overall_score = 87 WHERE baseline_type = 'rollback'" =>
        "quality_scores", "quality_baselines", 1, "has a score that is not from 0 to 1", held;
    a_negative_latency:
        "UPDATE quality_metrics SET latency_ms = -1 WHERE id = (SELECT min(id::text)::uuid FROM quality_metrics)" =>
        "quality_latency", "quality_metrics", 1, "has a latency that is negative, not a number or infinite", held;
    an_infinite_latency_of_a_baseline:
        "UPDATE quality_baselines SET p95_latency_ms = 'Infinity' WHERE baseline_type = 'rollback'" =>
        "quality_latency", "quality_baselines", 1, "has a latency that is negative, not a number or infinite", held;
    a_negative_number_of_tokens:
        "UPDATE quality_metrics SET completion_tokens = -1 WHERE id = (SELECT min(id::text)::uuid FROM quality_metrics)" =>
        "quality_tokens", "quality_metrics", 1, "has a negative number of tokens", held;
    a_baseline_of_no_answer:
        "UPDATE quality_baselines SET sample_size = 0 WHERE baseline_type = 'rollback'" =>
        "sample_size", "quality_baselines", 1, "rests on no answer", held;
    a_regression_of_no_answer:
        "UPDATE quality_regressions SET sample_size = -1 WHERE resolved_at IS NULL" =>
        "sample_size", "quality_regressions", 1, "rests on no answer", held;
    a_baseline_that_ends_before_it_begins:
        "UPDATE quality_baselines SET valid_until = established_at - interval '1 second'
         WHERE baseline_type = 'rollback'" =>
        "baseline_validity", "quality_baselines", 1, "valid only until before it was established", held;
    a_regression_resolved_before_it_was_detected:
        "UPDATE quality_regressions SET resolved_at = detected_at - interval '1 second' WHERE severity = 'critical'" =>
        "regression_order", "quality_regressions", 1, "resolved before it was detected", held;
    a_fall_by_more_than_everything:
        "UPDATE quality_regressions SET delta_percent = -101 WHERE severity = 'critical'" =>
        "regression_values", "quality_regressions", 1,
        "has a value that is not a number or infinite, or falls by more than 100 percent", held;
    a_regression_from_another_customers_baseline:
        "UPDATE quality_regressions r SET baseline_id =
            (SELECT b.id FROM quality_baselines b WHERE b.customer_id <> r.customer_id LIMIT 1)
         WHERE severity = 'critical'" =>
        "regression_baseline", "quality_regressions", 1, "its baseline is another customer's", not_held;
    a_regression_mended_by_another_customers_workflow:
        "UPDATE quality_regressions r SET workflow_execution_id =
            (SELECT w.id FROM workflow_executions w WHERE w.customer_id <> r.customer_id LIMIT 1)
         WHERE severity = 'critical'" =>
        "regression_workflow", "quality_regressions", 1, "its workflow is another customer's", not_held;
    a_regression_detected_in_the_future:
        "UPDATE quality_regressions SET detected_at = now() + interval '1 hour' WHERE resolved_at IS NULL" =>
        "application_future", "quality_regressions", 1, "has a time more than 5 minutes in the future", not_held;
}

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
    let mend = check.findings[0].fix.as_deref().unwrap();
    assert!(conn.batch_execute(mend).is_err(), "the rows have to go first");
    conn.batch_execute("DELETE FROM workflow_steps WHERE step_name = 'again'").unwrap();
    conn.batch_execute(mend).unwrap();
    assert!(verified(&db).is_clean(), "neither the constraint nor its index is a finding");
    assert!(conn.batch_execute(plant).is_err());
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
