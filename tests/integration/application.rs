//! The application layer: quality of single answers, baselines, and regressions against them.

use std::slice::from_ref;

use chrono::Duration;
use diesel::dsl::{avg, count_star};
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use optiinfra_db::enums::{
    AgentType, BaselineType, RegressionAction, RegressionSeverity, RegressionType, WorkflowType,
};
use optiinfra_db::id::CustomerId;
use optiinfra_db::layer::Layer;
use optiinfra_db::models::{
    Agent, Customer, NewQualityBaseline, NewQualityMetric, NewQualityRegression, NewWorkflowExecution, QualityBaseline,
    QualityBaselineChanges, QualityMetric, QualityRegression, QualityRegressionChanges,
};
use optiinfra_db::schema::{quality_baselines, quality_metrics, quality_regressions};
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    self, Change as _, Family, Insert as _, Stored as _, TestDb, assert_changes, assert_refused, assert_stored_whole,
    assert_walkable, at, ground_of, insert_at_now, new_baseline, new_quality_metric, new_regression, new_workflow,
    thorny_json,
};

/// A database with the application agent and a customer.
fn ground() -> (TestDb, PgConnection, Agent, Customer) {
    support::ground(AgentType::Application)
}

fn full_metric(family: &Family) -> QualityMetric {
    QualityMetric {
        id: Uuid::new_v4(),
        agent_id: family.agent.id,
        customer_id: family.customer.id,
        request_id: "request-42".into(),
        model_name: "gpt-4".into(),
        model_version: "0314".into(),
        prompt_tokens: Some(0),
        completion_tokens: Some(i32::MAX),
        latency_ms: Some(1050.5),
        relevance_score: Some(0.90),
        coherence_score: Some(0.92),
        factuality_score: Some(0.88),
        hallucination_detected: true,
        toxicity_score: Some(0.01),
        overall_quality_score: 1.0 / 3.0,
        timestamp: at(1),
        metadata: thorny_json(),
        created_at: at(2),
    }
}

fn full_baseline(family: &Family) -> QualityBaseline {
    QualityBaseline {
        id: Uuid::new_v4(),
        agent_id: family.agent.id,
        customer_id: family.customer.id,
        model_name: "claude-3-opus".into(),
        model_version: "20240229".into(),
        baseline_type: BaselineType::Rollback,
        sample_size: 150,
        avg_relevance_score: Some(0.91),
        avg_coherence_score: Some(0.93),
        avg_factuality_score: Some(0.89),
        avg_overall_score: 0.1 + 0.2,
        p95_latency_ms: Some(950.25),
        established_at: at(1),
        valid_until: Some(at(2)),
        metadata: thorny_json(),
        created_at: at(3),
    }
}

fn full_regression(family: &Family) -> QualityRegression {
    QualityRegression {
        id: Uuid::new_v4(),
        agent_id: family.agent.id,
        customer_id: family.customer.id,
        baseline_id: family.baseline.id,
        workflow_execution_id: Some(family.workflow.id),
        regression_type: RegressionType::ToxicityIncrease,
        severity: RegressionSeverity::Critical,
        detected_at: at(1),
        metric_name: "toxicity_score".into(),
        baseline_value: 0.01,
        current_value: 0.07,
        delta_percent: 600.0,
        sample_size: 60,
        action_taken: RegressionAction::AutoFixed,
        resolved_at: Some(at(2)),
        resolution_notes: Some("Filter switched on\nand checked".into()),
        metadata: thorny_json(),
        created_at: at(3),
        updated_at: at(4),
    }
}

/// 0.2e: test_create_quality_metric
#[test]
fn a_quality_metric_is_stored_as_it_was_judged() {
    let (db, mut conn, agent, customer) = ground();
    let metric = NewQualityMetric {
        request_id: "req-unique-001".into(),
        prompt_tokens: Some(200),
        completion_tokens: Some(400),
        latency_ms: Some(1050.5),
        hallucination_detected: Some(false),
        toxicity_score: Some(0.01),
        metadata: Some(json!({"session": "test"})),
        ..new_quality_metric(&agent, &customer, 0.90, 0)
    }
    .insert(&mut conn);
    let read = metric.reload(&mut db.conn()).unwrap();
    assert_eq!(read, metric);
    assert_eq!(read.request_id, "req-unique-001");
    assert_eq!((read.prompt_tokens, read.completion_tokens, read.latency_ms), (Some(200), Some(400), Some(1050.5)));
    assert_eq!((read.overall_quality_score, read.toxicity_score), (0.90, Some(0.01)));
    assert!(!read.hallucination_detected);
    assert_eq!(read.metadata["session"], "test");
}

#[test]
fn a_quality_metric_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, agent, customer) = ground();
    let new = new_quality_metric(&agent, &customer, 0.88, 0);
    let (metric, now) = insert_at_now(&mut conn, &new);
    let expected = QualityMetric {
        id: metric.id,
        agent_id: agent.id,
        customer_id: customer.id,
        request_id: new.request_id,
        model_name: "model-a".into(),
        model_version: "1.0".into(),
        prompt_tokens: None,
        completion_tokens: None,
        latency_ms: None,
        relevance_score: None,
        coherence_score: None,
        factuality_score: None,
        hallucination_detected: false,
        toxicity_score: None,
        overall_quality_score: 0.88,
        timestamp: at(0),
        metadata: json!({}),
        created_at: now,
    };
    assert_eq!(metric, expected);
}

#[test]
fn a_request_is_judged_once() {
    let (_db, mut conn, agent, customer) = ground_of(TestDb::plain(), AgentType::Application);
    let new = new_quality_metric(&agent, &customer, 0.9, 0);
    new.insert(&mut conn);
    // The deployed schema says so twice, by a constraint and by an index; the constraint is the older one.
    let again = NewQualityMetric { overall_quality_score: 0.1, ..new };
    assert_refused(again.try_insert(&mut conn), DatabaseErrorKind::UniqueViolation, "quality_metrics_request_id_key");
}

/// 0.2e: test_quality_metric_relationships
#[test]
fn a_quality_metric_leads_to_its_agent_and_its_customer_and_back() {
    let (_db, mut conn, agent, customer) = ground();
    let metric = new_quality_metric(&agent, &customer, 0.88, 0).insert(&mut conn);
    let stranger = support::customer(&mut conn);
    new_quality_metric(&support::agent(&mut conn, AgentType::Cost), &stranger, 0.5, 0).insert(&mut conn);
    assert_eq!(metric.agent(&mut conn).unwrap(), agent);
    assert_eq!(metric.customer(&mut conn).unwrap(), customer);
    assert_eq!(agent.quality_metrics().load(&mut conn).unwrap(), from_ref(&metric));
    assert_eq!(customer.quality_metrics().load(&mut conn).unwrap(), [metric]);
}

/// 0.2e: test_hallucination_detection
#[test]
fn hallucinations_are_found_newest_first_and_of_one_customer_only() {
    let (_db, mut conn, agent, customer) = ground();
    let stranger = support::customer(&mut conn);
    let mut answer = |of: &Customer, detected, minute| {
        let new = new_quality_metric(&agent, of, 0.65, minute);
        NewQualityMetric { hallucination_detected: detected, ..new }.insert(&mut conn)
    };
    let first = answer(&customer, Some(true), 1);
    let third = answer(&customer, Some(true), 3);
    let second = answer(&customer, Some(true), 2);
    answer(&customer, Some(false), 4);
    answer(&customer, None, 5);
    let elsewhere = answer(&stranger, Some(true), 6);
    assert_eq!(
        QualityMetric::hallucinations(CustomerId::new(customer.id)).load(&mut conn).unwrap(),
        [third, second, first]
    );
    assert_eq!(QualityMetric::hallucinations(CustomerId::new(stranger.id)).load(&mut conn).unwrap(), [elsewhere]);
    assert_eq!(QualityMetric::hallucinations(CustomerId::new(Uuid::new_v4())).load(&mut conn).unwrap(), []);
}

#[test]
fn the_latest_answer_of_a_model_is_the_newest_of_one_customer_or_of_all() {
    let (_db, mut conn, agent, customer) = ground();
    let stranger = support::customer(&mut conn);
    let latest = |conn: &mut PgConnection, of: Option<Uuid>| {
        QualityMetric::latest(conn, of.map(CustomerId::new), "model-a").unwrap()
    };
    assert_eq!(latest(&mut conn, None), None);
    let own = new_quality_metric(&agent, &customer, 0.9, 2).insert(&mut conn);
    new_quality_metric(&agent, &customer, 0.9, 1).insert(&mut conn);
    let other_model = new_quality_metric(&agent, &customer, 0.9, 9);
    NewQualityMetric { model_name: "model-b".to_owned(), ..other_model }.insert(&mut conn);
    let newest = new_quality_metric(&agent, &stranger, 0.9, 3).insert(&mut conn);
    assert_eq!(latest(&mut conn, None), Some(newest));
    assert_eq!(latest(&mut conn, Some(customer.id)), Some(own));
    assert_eq!(latest(&mut conn, Some(Uuid::new_v4())), None);
    let again =
        |id| NewQualityMetric { id: Some(Uuid::from_u128(id)), ..new_quality_metric(&agent, &customer, 0.9, 4) };
    for id in [2, 3, 1] {
        again(id).insert(&mut conn);
    }
    assert_eq!(latest(&mut conn, Some(customer.id)).map(|answer| answer.id), Some(Uuid::from_u128(3)));
}

/// 0.2e, Part 2, validation: average quality by model
#[test]
fn the_average_quality_is_known_by_model() {
    let (_db, mut conn, agent, customer) = ground();
    for (model, score) in [("a", 0.5), ("b", 1.0), ("a", 0.75), ("b", 0.5), ("a", 1.0)] {
        NewQualityMetric { model_name: model.into(), ..new_quality_metric(&agent, &customer, score, 0) }
            .insert(&mut conn);
    }
    let by_model: Vec<(String, i64, Option<f64>)> = quality_metrics::table
        .group_by(quality_metrics::model_name)
        .select((quality_metrics::model_name, count_star(), avg(quality_metrics::overall_quality_score)))
        .order(quality_metrics::model_name)
        .load(&mut conn)
        .unwrap();
    assert_eq!(by_model, [("a".into(), 3, Some(0.75)), ("b".into(), 2, Some(0.75))]);
}

/// 0.2e: test_create_quality_baseline
#[test]
fn a_baseline_is_stored_as_it_was_established() {
    let (db, mut conn, agent, customer) = ground();
    let baseline = NewQualityBaseline {
        model_name: "claude-3-opus".into(),
        sample_size: 150,
        avg_relevance_score: Some(0.91),
        avg_overall_score: 0.91,
        p95_latency_ms: Some(950.0),
        metadata: Some(json!({"source": "production"})),
        ..new_baseline(&agent, &customer)
    }
    .insert(&mut conn);
    let read = baseline.reload(&mut db.conn()).unwrap();
    assert_eq!(read, baseline);
    assert_eq!((read.baseline_type, read.sample_size), (BaselineType::Initial, 150));
    assert_eq!((read.avg_overall_score, read.avg_relevance_score), (0.91, Some(0.91)));
    assert_eq!((read.p95_latency_ms, read.valid_until), (Some(950.0), None));
    assert_eq!(read.metadata["source"], "production");
}

#[test]
fn a_baseline_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, agent, customer) = ground();
    let (baseline, now) = insert_at_now(&mut conn, &new_baseline(&agent, &customer));
    let expected = QualityBaseline {
        id: baseline.id,
        agent_id: agent.id,
        customer_id: customer.id,
        model_name: "model-a".into(),
        model_version: "1.0".into(),
        baseline_type: BaselineType::Initial,
        sample_size: 100,
        avg_relevance_score: None,
        avg_coherence_score: None,
        avg_factuality_score: None,
        avg_overall_score: 0.87,
        p95_latency_ms: None,
        established_at: at(0),
        valid_until: None,
        metadata: json!({}),
        created_at: now,
    };
    assert_eq!(baseline, expected);
}

/// 0.2e: test_baseline_relationships
#[test]
fn a_baseline_leads_to_its_agent_and_its_customer_and_back() {
    let (_db, mut conn, agent, customer) = ground();
    let baseline = new_baseline(&agent, &customer).insert(&mut conn);
    let stranger = support::customer(&mut conn);
    new_baseline(&support::agent(&mut conn, AgentType::Cost), &stranger).insert(&mut conn);
    assert_eq!(baseline.agent(&mut conn).unwrap(), agent);
    assert_eq!(baseline.customer(&mut conn).unwrap(), customer);
    assert_eq!(agent.quality_baselines().load(&mut conn).unwrap(), from_ref(&baseline));
    assert_eq!(customer.quality_baselines().load(&mut conn).unwrap(), [baseline]);
}

#[test]
fn a_model_has_a_baseline_of_every_type_and_the_one_in_force_is_found() {
    let (_db, mut conn, agent, customer) = ground();
    for (minute, kind) in (0..).zip(BaselineType::ALL) {
        let valid_until = (minute < 2).then(|| at(minute + 1));
        let new = new_baseline(&agent, &customer);
        NewQualityBaseline { baseline_type: *kind, established_at: at(minute), valid_until, ..new }.insert(&mut conn);
    }
    let in_force: Vec<BaselineType> = quality_baselines::table
        .filter(quality_baselines::valid_until.is_null().or(quality_baselines::valid_until.gt(at(9))))
        .select(quality_baselines::baseline_type)
        .load(&mut conn)
        .unwrap();
    assert_eq!(in_force, [BaselineType::Rollback]);
    assert_eq!(customer.quality_baselines().count().get_result(&mut conn), Ok(3));
}

/// 0.2e: test_create_quality_regression
#[test]
fn a_regression_is_stored_as_it_was_detected() {
    let (db, mut conn, agent, customer) = ground();
    let baseline = new_baseline(&agent, &customer).insert(&mut conn);
    let regression = NewQualityRegression {
        severity: RegressionSeverity::Critical,
        current_value: 0.70,
        delta_percent: -19.5,
        sample_size: 60,
        action_taken: RegressionAction::RollbackTriggered,
        metadata: Some(json!({"critical": true})),
        ..new_regression(&baseline)
    }
    .insert(&mut conn);
    let read = regression.reload(&mut db.conn()).unwrap();
    assert_eq!(read, regression);
    assert_eq!((read.severity, read.action_taken), (RegressionSeverity::Critical, RegressionAction::RollbackTriggered));
    assert_eq!((read.baseline_value, read.current_value, read.delta_percent), (0.87, 0.70, -19.5));
    assert_eq!((read.baseline_id, read.sample_size), (baseline.id, 60));
    assert_eq!(read.metadata["critical"], true);
}

#[test]
fn a_regression_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, agent, customer) = ground();
    let baseline = new_baseline(&agent, &customer).insert(&mut conn);
    let (regression, now) = insert_at_now(&mut conn, &new_regression(&baseline));
    let expected = QualityRegression {
        id: regression.id,
        agent_id: agent.id,
        customer_id: customer.id,
        baseline_id: baseline.id,
        workflow_execution_id: None,
        regression_type: RegressionType::QualityDrop,
        severity: RegressionSeverity::High,
        detected_at: at(60),
        metric_name: "overall_quality_score".into(),
        baseline_value: 0.87,
        current_value: 0.75,
        delta_percent: -13.8,
        sample_size: 50,
        action_taken: RegressionAction::AlertOnly,
        resolved_at: None,
        resolution_notes: None,
        metadata: json!({}),
        created_at: now,
        updated_at: now,
    };
    assert_eq!(regression, expected);
}

/// 0.2e: test_regression_resolution
#[test]
fn resolving_a_regression_closes_it_now_and_says_how() {
    let (_db, mut conn, agent, customer) = ground();
    let baseline = new_baseline(&agent, &customer).insert(&mut conn);
    let open = new_regression(&baseline).insert(&mut conn);
    assert!(!open.is_resolved());
    assert_eq!(open.time_to_resolve_minutes(), None);

    let (resolved, now) = support::at_now(&mut conn, |conn| open.resolve(conn, "Fixed by rollback"));
    let resolved = resolved.unwrap();
    assert!(resolved.is_resolved());
    let expected = QualityRegression {
        resolved_at: Some(now),
        resolution_notes: Some("Fixed by rollback".into()),
        updated_at: now,
        ..open
    };
    assert_eq!(resolved, expected);
    assert_eq!(expected.reload(&mut conn), Some(resolved));
}

#[test]
fn the_first_to_resolve_a_regression_stands() {
    let (_db, mut conn, agent, customer) = ground();
    let baseline = new_baseline(&agent, &customer).insert(&mut conn);
    let open = new_regression(&baseline).insert(&mut conn);
    let resolved = open.resolve(&mut conn, "first").unwrap();
    assert!(resolved.is_some());
    assert_eq!(open.resolve(&mut conn, "second"), Ok(None));
    assert_eq!(open.reload(&mut conn), resolved);
    open.delete(&mut conn);
    assert_eq!(open.resolve(&mut conn, "third"), Ok(None));
}

#[test]
fn the_time_to_resolve_is_in_minutes() {
    let (_db, mut conn, agent, customer) = ground();
    let baseline = new_baseline(&agent, &customer).insert(&mut conn);
    let regression = new_regression(&baseline).insert(&mut conn);
    for (seconds, minutes) in [(2700, 45.0), (90, 1.5), (0, 0.0)] {
        let resolved_at = Some(Some(regression.detected_at + Duration::seconds(seconds)));
        let changes = QualityRegressionChanges { resolved_at, ..Default::default() };
        let resolved = regression.change(&mut conn, &changes).unwrap();
        assert_eq!(resolved.time_to_resolve_minutes(), Some(minutes));
    }
}

/// 0.2e: test_query_unresolved_regressions
#[test]
fn unresolved_regressions_are_found_oldest_first_and_resolved_ones_are_not() {
    let (_db, mut conn, agent, customer) = ground();
    let baseline = new_baseline(&agent, &customer).insert(&mut conn);
    let mut detect =
        |minute| NewQualityRegression { detected_at: at(minute), ..new_regression(&baseline) }.insert(&mut conn);
    let (third, first, second) = (detect(3), detect(1), detect(2));
    second.resolve(&mut conn, "mended").unwrap().unwrap();
    let of_customer = quality_regressions::customer_id.eq(customer.id);
    assert_eq!(QualityRegression::unresolved().filter(of_customer).load(&mut conn).unwrap(), [first, third]);
    let of_nobody = quality_regressions::customer_id.eq(Uuid::new_v4());
    assert_eq!(QualityRegression::unresolved().filter(of_nobody).load(&mut conn).unwrap(), []);
}

#[test]
fn a_regression_leads_to_its_baseline_and_its_workflow_and_back() {
    let (_db, mut conn, agent, customer) = ground();
    let baseline = new_baseline(&agent, &customer).insert(&mut conn);
    let rollback =
        NewWorkflowExecution { workflow_type: WorkflowType::QualityCheck, ..new_workflow(&agent, &customer) }
            .insert(&mut conn);
    let mended = NewQualityRegression { workflow_execution_id: Some(rollback.id), ..new_regression(&baseline) }
        .insert(&mut conn);
    let open = NewQualityRegression { detected_at: at(99), ..new_regression(&baseline) }.insert(&mut conn);
    new_regression(&new_baseline(&agent, &customer).insert(&mut conn)).insert(&mut conn);

    assert_eq!(mended.baseline(&mut conn).unwrap(), baseline);
    assert_eq!(mended.workflow_execution(&mut conn).unwrap(), Some(rollback.clone()));
    assert_eq!(open.workflow_execution(&mut conn).unwrap(), None);
    assert_eq!(rollback.quality_regressions().load(&mut conn).unwrap(), from_ref(&mended));
    let of_baseline = baseline.quality_regressions().order(quality_regressions::detected_at);
    assert_eq!(of_baseline.load(&mut conn).unwrap(), [mended, open]);
}

#[test]
fn deleting_a_baseline_removes_its_regressions_and_no_others() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let (gone, kept) = (Family::new(conn), Family::new(conn));
    gone.baseline.delete(conn);
    assert!(!gone.regression.exists(conn));
    assert!(gone.quality_metric.exists(conn));
    assert_eq!(kept.regression.reload(conn), Some(kept.regression));
}

#[test]
fn a_regression_outlives_the_workflow_that_mended_it() {
    let (_db, mut conn, family) = support::family();
    let conn = &mut conn;
    family.workflow.delete(conn);
    let regression = family.regression.reload(conn).unwrap();
    assert_eq!(regression.workflow_execution_id, None);
    assert_eq!(regression.delta_percent, family.regression.delta_percent);
}

#[test]
fn deleting_an_agent_or_a_customer_removes_their_quality_data() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let (first, second, kept) = (Family::new(conn), Family::new(conn), Family::new(conn));
    first.agent.delete(conn);
    second.customer.delete(conn);
    for gone in [&first, &second] {
        assert!(!gone.quality_metric.exists(conn) && !gone.baseline.exists(conn) && !gone.regression.exists(conn));
    }
    assert!(kept.quality_metric.exists(conn) && kept.baseline.exists(conn) && kept.regression.exists(conn));
}

/// Decision: the times of this layer are instants since version 6, whatever zone they are written or read in.
#[test]
fn times_written_with_an_offset_are_the_same_instant_in_utc() {
    let (_db, mut conn, agent, customer) = ground();
    let metric = new_quality_metric(&agent, &customer, 0.9, 0).insert(&mut conn);
    diesel::sql_query("SET TimeZone = 'Asia/Kolkata'").execute(&mut conn).unwrap();
    diesel::sql_query("UPDATE quality_metrics SET \"timestamp\" = '2025-10-20 17:30:00.25+05:30'")
        .execute(&mut conn)
        .unwrap();
    let read = metric.reload(&mut conn).unwrap().timestamp;
    assert_eq!(read.to_rfc3339(), "2025-10-20T12:00:00.250+00:00");
    assert_eq!(metric.created_at, metric.reload(&mut conn).unwrap().created_at);
}

/// 0.2e: test_complete_regression_detection_flow
#[test]
fn quality_is_measured_a_baseline_is_established_and_a_fall_is_detected_and_mended() {
    let (_db, mut conn, agent, customer) = ground();
    let average = |conn: &mut PgConnection, from, until| -> (i64, f64) {
        let (count, average): (i64, Option<f64>) = quality_metrics::table
            .filter(quality_metrics::customer_id.eq(customer.id))
            .filter(quality_metrics::model_name.eq("model-a"))
            .filter(quality_metrics::timestamp.between(from, until))
            .select((count_star(), avg(quality_metrics::overall_quality_score)))
            .first(conn)
            .unwrap();
        (count, average.unwrap())
    };
    for answer in 0..10 {
        let score = 0.85 + 0.01 * f64::from(answer);
        new_quality_metric(&agent, &customer, score, answer.into()).insert(&mut conn);
    }
    let (sample_size, usual) = average(&mut conn, at(0), at(9));
    assert_eq!(sample_size, 10);
    assert!((usual - 0.895).abs() < 1e-12, "{usual}");
    let baseline = NewQualityBaseline { sample_size: 10, avg_overall_score: usual, ..new_baseline(&agent, &customer) }
        .insert(&mut conn);

    for answer in 0..5 {
        let score = 0.70 + 0.01 * f64::from(answer);
        new_quality_metric(&agent, &customer, score, 100 + i64::from(answer)).insert(&mut conn);
    }
    let (sample_size, fallen) = average(&mut conn, at(100), at(104));
    assert_eq!(sample_size, 5);
    let delta_percent = (fallen - baseline.avg_overall_score) / baseline.avg_overall_score * 100.0;
    let regression = NewQualityRegression {
        baseline_value: baseline.avg_overall_score,
        current_value: fallen,
        delta_percent,
        sample_size: 5,
        ..new_regression(&baseline)
    }
    .insert(&mut conn);

    assert!((regression.delta_percent + 19.553).abs() < 1e-3, "{}", regression.delta_percent);
    assert_eq!(regression.severity, RegressionSeverity::High);
    assert_eq!(regression.baseline(&mut conn).unwrap().avg_overall_score, usual);
    assert_eq!(QualityRegression::unresolved().load(&mut conn).unwrap(), from_ref(&regression));
    regression.resolve(&mut conn, "Rolled back").unwrap().unwrap();
    assert_eq!(QualityRegression::unresolved().load(&mut conn).unwrap(), []);
}

#[test]
fn every_column_of_every_table_survives_a_round_trip() {
    let (db, _conn, family) = support::family();
    assert_stored_whole::<NewQualityMetric>(&db, full_metric(&family));
    assert_stored_whole::<NewQualityBaseline>(&db, full_baseline(&family));
    assert_stored_whole::<NewQualityRegression>(&db, full_regression(&family));
}

#[test]
fn changes_touch_what_they_name_and_nothing_else() {
    let (_db, mut conn, family) = support::family();
    let conn = &mut conn;
    assert_changes! {
        conn, family.baseline => full_baseline(&family), QualityBaseline,
        QualityBaselineChanges {
            model_name, model_version, baseline_type, sample_size, avg_overall_score, established_at, metadata
        },
        nullable { avg_relevance_score, avg_coherence_score, avg_factuality_score, p95_latency_ms, valid_until }
    }
    let regression = new_regression(&family.baseline).insert(conn);
    assert_changes! {
        conn, regression => full_regression(&family), QualityRegression,
        QualityRegressionChanges {
            regression_type, severity, detected_at, metric_name, baseline_value, current_value, delta_percent,
            sample_size, action_taken, metadata
        },
        nullable { workflow_execution_id, resolved_at, resolution_notes }, touches updated_at
    }
}

#[test]
fn every_reference_of_the_layer_can_be_walked_from_both_ends() {
    assert_walkable! {Layer::Application;
        quality_metric.agent => agent.quality_metrics;
        quality_metric.customer => customer.quality_metrics;
        quality_metric_hour.customer => customer.quality_metrics_hourly;
        baseline.agent => agent.quality_baselines;
        baseline.customer => customer.quality_baselines;
        regression.agent => agent.quality_regressions;
        regression.customer => customer.quality_regressions;
        regression.baseline => baseline.quality_regressions;
        regression.workflow_execution => workflow.quality_regressions;
    }
}
