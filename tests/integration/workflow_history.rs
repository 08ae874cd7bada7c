//! The workflow_history layer: workflow runs, their steps and artifacts.

use std::slice::from_ref;
use std::sync::Barrier;
use std::thread;

use chrono::Duration;
use diesel::prelude::*;
use optiinfra_db::enums::{AgentType, ArtifactType, StepStatus, WorkflowStatus, WorkflowType};
use optiinfra_db::layer::Layer;
use optiinfra_db::models::{
    Agent, Customer, NewWorkflowArtifact, NewWorkflowExecution, NewWorkflowStep, WorkflowArtifact,
    WorkflowArtifactChanges, WorkflowExecution, WorkflowExecutionChanges, WorkflowStep, WorkflowStepChanges,
};
use optiinfra_db::schema::{workflow_artifacts, workflow_executions, workflow_steps};
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    self, Change as _, Family, Insert as _, Stored as _, TestDb, assert_changes, assert_stored_whole, assert_walkable,
    at, at_now, insert_at_now, new_artifact, new_step, new_workflow, thorny_json,
};

/// A database with the orchestrator and a customer.
fn ground() -> (TestDb, PgConnection, Agent, Customer) {
    support::ground(AgentType::Orchestrator)
}

/// The same with a run.
fn ground_with_run() -> (TestDb, PgConnection, WorkflowExecution) {
    let (db, mut conn, agent, customer) = ground();
    let workflow = new_workflow(&agent, &customer).insert(&mut conn);
    (db, conn, workflow)
}

fn full_workflow(family: &Family) -> WorkflowExecution {
    WorkflowExecution {
        id: Uuid::new_v4(),
        agent_id: family.agent.id,
        customer_id: family.customer.id,
        workflow_type: WorkflowType::AnomalyDetection,
        status: WorkflowStatus::Timeout,
        started_at: Some(at(1)),
        completed_at: Some(at(2)),
        input_data: thorny_json(),
        output_data: json!([1, "two", null]),
        error_details: Some(json!({"error_type": "Timeout", "after_seconds": 3600})),
        metadata: json!({"priority": "low"}),
        created_at: at(3),
        updated_at: at(4),
    }
}

fn full_step(family: &Family) -> WorkflowStep {
    WorkflowStep {
        id: Uuid::new_v4(),
        workflow_execution_id: family.workflow.id,
        step_name: "collect samples".into(),
        step_order: i32::MAX,
        status: StepStatus::Skipped,
        started_at: Some(at(1)),
        completed_at: Some(at(2)),
        input_data: json!({"hours": 24}),
        output_data: thorny_json(),
        error_details: Some(json!(["first", "second"])),
        retry_count: 2,
        max_retries: 5,
        metadata: json!({"worker": 7}),
        created_at: at(3),
        updated_at: at(4),
    }
}

fn full_artifact(family: &Family) -> WorkflowArtifact {
    WorkflowArtifact {
        id: Uuid::new_v4(),
        workflow_execution_id: family.workflow.id,
        workflow_step_id: Some(family.step.id),
        artifact_type: ArtifactType::Diagnostic,
        artifact_name: "Core dump, compressed".into(),
        artifact_path: "s3://artifacts/größe/core.zst".into(),
        artifact_size_bytes: Some(5_000_000_000),
        content_type: Some("application/zstd".into()),
        metadata: thorny_json(),
        created_at: at(1),
        updated_at: at(2),
    }
}

// workflow_executions

/// 0.2c: create a workflow execution
#[test]
fn a_workflow_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, agent, customer) = ground();
    let (workflow, now) = insert_at_now(&mut conn, &new_workflow(&agent, &customer));
    let expected = WorkflowExecution {
        id: workflow.id,
        agent_id: agent.id,
        customer_id: customer.id,
        workflow_type: WorkflowType::HealthCheck,
        status: WorkflowStatus::Pending,
        started_at: None,
        completed_at: None,
        input_data: json!({}),
        output_data: json!({}),
        error_details: None,
        metadata: json!({}),
        created_at: now,
        updated_at: now,
    };
    assert_eq!(workflow, expected);
}

/// 0.2c: life of a workflow
#[test]
fn a_workflow_is_pending_then_running_then_completed() {
    let (db, mut conn, workflow) = ground_with_run();
    let running = WorkflowExecutionChanges {
        status: Some(WorkflowStatus::Running),
        started_at: Some(Some(at(0))),
        ..Default::default()
    };
    let workflow = workflow.change(&mut conn, &running).unwrap();
    assert_eq!((workflow.status, workflow.started_at), (WorkflowStatus::Running, Some(at(0))));
    let completed = WorkflowExecutionChanges {
        status: Some(WorkflowStatus::Completed),
        completed_at: Some(Some(at(15))),
        output_data: Some(json!({"potential_savings": 60_000})),
        ..Default::default()
    };
    workflow.change(&mut conn, &completed).unwrap();
    let read = workflow.reload(&mut db.conn()).unwrap();
    assert_eq!((read.status, read.started_at), (WorkflowStatus::Completed, Some(at(0))));
    assert_eq!(read.completed_at.unwrap() - read.started_at.unwrap(), Duration::minutes(15));
    assert_eq!(read.output_data["potential_savings"], 60_000);
    assert_eq!(read.error_details, None);
}

/// 0.2c: failed workflow
#[test]
fn a_failed_workflow_says_why_and_where() {
    let (db, mut conn, agent, customer) = ground();
    let why = json!({"error_type": "QualityThresholdBreach", "failed_at_step": "validation", "can_retry": false});
    let workflow = NewWorkflowExecution {
        workflow_type: WorkflowType::QualityCheck,
        status: WorkflowStatus::Failed,
        error_details: Some(why.clone()),
        ..new_workflow(&agent, &customer)
    }
    .insert(&mut conn);
    let read = workflow.reload(&mut db.conn()).unwrap();
    assert_eq!((read.status, read.error_details), (WorkflowStatus::Failed, Some(why)));
    assert_eq!(read.output_data, json!({}));
}

/// 0.2c: query by type and status
#[test]
fn workflows_are_found_by_customer_type_and_status() {
    let (_db, mut conn, agent, customer) = ground();
    let conn = &mut conn;
    let stranger = support::customer(conn);
    let mut ids = Vec::new();
    for of in [&customer, &stranger] {
        for workflow_type in [WorkflowType::CostAnalysis, WorkflowType::QualityCheck] {
            for status in [WorkflowStatus::Completed, WorkflowStatus::Failed] {
                let new = NewWorkflowExecution { workflow_type, status, ..new_workflow(&agent, of) };
                ids.push(new.insert(conn).id);
            }
        }
    }
    let found: Vec<Uuid> = customer
        .workflow_executions()
        .filter(workflow_executions::workflow_type.eq(WorkflowType::QualityCheck))
        .filter(workflow_executions::status.eq_any([WorkflowStatus::Failed, WorkflowStatus::Timeout]))
        .load(conn)
        .unwrap()
        .iter()
        .map(|workflow| workflow.id)
        .collect();
    assert_eq!(found, [ids[3]]);
    let completed = workflow_executions::status.eq(WorkflowStatus::Completed);
    assert_eq!(agent.workflow_executions().filter(completed).count().get_result(conn), Ok(4));
}

// workflow_steps

/// 0.2c: create a step
#[test]
fn a_step_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, workflow) = ground_with_run();
    let (step, now) = insert_at_now(&mut conn, &new_step(&workflow, 1));
    let expected = WorkflowStep {
        id: step.id,
        workflow_execution_id: workflow.id,
        step_name: "step 1".into(),
        step_order: 1,
        status: StepStatus::Pending,
        started_at: None,
        completed_at: None,
        input_data: json!({}),
        output_data: json!({}),
        error_details: None,
        retry_count: 0,
        max_retries: 3,
        metadata: json!({}),
        created_at: now,
        updated_at: now,
    };
    assert_eq!(step, expected);
}

/// 0.2c: step order
#[test]
fn steps_come_in_their_order_whatever_the_order_of_their_writing() {
    let (_db, mut conn, workflow) = ground_with_run();
    let conn = &mut conn;
    for order in [10, 2, 3, 1] {
        new_step(&workflow, order).insert(conn);
    }
    let orders = |steps: &[WorkflowStep]| steps.iter().map(|step| step.step_order).collect::<Vec<_>>();
    let steps = workflow.steps_in_order().load(conn).unwrap();
    assert_eq!(orders(&steps), [1, 2, 3, 10]);
    // Two that share a place come by id, every time.
    for id in [9, 8] {
        NewWorkflowStep { id: Some(Uuid::from_u128(id)), ..new_step(&workflow, 2) }.insert(conn);
    }
    let pending = workflow.steps_in_order().filter(workflow_steps::step_order.eq(2)).load(conn).unwrap();
    let ids: Vec<_> = pending.iter().map(|step| step.id).collect();
    assert_eq!(ids, [Uuid::from_u128(8), Uuid::from_u128(9), steps[1].id]);
}

/// 0.2c: retries
#[test]
fn a_step_is_retried_until_its_retries_are_used_up() {
    let (_db, mut conn, workflow) = ground_with_run();
    let conn = &mut conn;
    let failed = NewWorkflowStep { status: StepStatus::Failed, max_retries: Some(2), ..new_step(&workflow, 1) };
    let step = failed.insert(conn);
    let other = new_step(&workflow, 2).insert(conn);
    assert!(step.can_retry());

    let (first, now) = at_now(conn, |conn| step.retry(conn));
    let first = first.unwrap();
    assert_eq!(first, WorkflowStep { retry_count: 1, status: StepStatus::Retrying, updated_at: now, ..step.clone() });
    assert!(first.can_retry());
    // The server counts, so a row read long ago does no harm.
    let second = step.retry(conn).unwrap().unwrap();
    assert_eq!((second.retry_count, second.can_retry()), (2, false));
    assert_eq!(second.retry(conn), Ok(None));
    assert_eq!(step.retry(conn), Ok(None));
    assert_eq!(step.reload(conn), Some(second));
    assert_eq!(other.reload(conn), Some(other));
}

#[test]
fn a_step_that_is_completed_or_skipped_is_not_retried() {
    let (_db, mut conn, workflow) = ground_with_run();
    for status in StepStatus::ALL {
        let step = NewWorkflowStep { status: *status, ..new_step(&workflow, 1) }.insert(&mut conn);
        let may = !matches!(status, StepStatus::Completed | StepStatus::Skipped);
        assert_eq!(step.can_retry(), may, "{status}");
        assert_eq!(step.retry(&mut conn).unwrap().is_some(), may, "{status}");
    }
    let step = NewWorkflowStep { max_retries: Some(0), ..new_step(&workflow, 1) }.insert(&mut conn);
    assert!(!step.can_retry());
    assert_eq!(step.retry(&mut conn), Ok(None));
    step.delete(&mut conn);
    assert_eq!(step.retry(&mut conn), Ok(None));
}

#[test]
fn workers_that_retry_a_step_at_once_get_different_tries_and_no_more_than_there_are() {
    let (db, mut conn, workflow) = ground_with_run();
    let step = new_step(&workflow, 1).insert(&mut conn);
    let start = Barrier::new(6);
    let mut tries: Vec<Option<i32>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut conn = db.conn();
                    start.wait();
                    step.retry(&mut conn).unwrap().map(|step| step.retry_count)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    tries.sort();
    assert_eq!(tries, [None, None, None, Some(1), Some(2), Some(3)]);
}

// workflow_artifacts

/// 0.2c: create an artifact
#[test]
fn an_artifact_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, workflow) = ground_with_run();
    let (artifact, now) = insert_at_now(&mut conn, &new_artifact(&workflow));
    let expected = WorkflowArtifact {
        id: artifact.id,
        workflow_execution_id: workflow.id,
        workflow_step_id: None,
        artifact_type: ArtifactType::Report,
        artifact_name: "Report".into(),
        artifact_path: "/artifacts/report.pdf".into(),
        artifact_size_bytes: None,
        content_type: None,
        metadata: json!({}),
        created_at: now,
        updated_at: now,
    };
    assert_eq!(artifact, expected);
    assert_eq!(artifact.workflow_step(&mut conn), Ok(None));
}

/// 0.2c: artifacts by type
#[test]
fn artifacts_of_a_run_are_found_by_type_and_may_be_larger_than_two_gigabytes() {
    let (_db, mut conn, workflow) = ground_with_run();
    let conn = &mut conn;
    for (place, kind) in (0..).zip(ArtifactType::ALL) {
        let size = (place != 0).then_some(i64::from(i32::MAX) * place);
        NewWorkflowArtifact { artifact_type: *kind, artifact_size_bytes: size, ..new_artifact(&workflow) }.insert(conn);
    }
    for kind in ArtifactType::ALL {
        let found = workflow.workflow_artifacts().filter(workflow_artifacts::artifact_type.eq(*kind)).load(conn);
        assert_eq!(found.unwrap().len(), 1, "{kind}");
    }
    let sizes: Vec<Option<i64>> = workflow_artifacts::table
        .filter(workflow_artifacts::workflow_execution_id.eq(workflow.id))
        .filter(workflow_artifacts::artifact_type.eq_any([ArtifactType::Report, ArtifactType::Diagnostic]))
        .order(workflow_artifacts::artifact_type)
        .select(workflow_artifacts::artifact_size_bytes)
        .load(conn)
        .unwrap();
    assert_eq!(sizes, [None, Some(7 * 2_147_483_647)]);
}

// the layer as a whole

#[test]
fn every_column_of_every_table_survives_a_round_trip() {
    let (db, _conn, family) = support::family();
    assert_stored_whole::<NewWorkflowExecution>(&db, full_workflow(&family));
    assert_stored_whole::<NewWorkflowStep>(&db, full_step(&family));
    assert_stored_whole::<NewWorkflowArtifact>(&db, full_artifact(&family));
}

#[test]
fn changes_touch_what_they_name_and_nothing_else() {
    let (_db, mut conn, family) = support::family();
    let conn = &mut conn;
    assert_changes! {
        conn, family.workflow => full_workflow(&family), WorkflowExecution,
        WorkflowExecutionChanges { workflow_type, status, input_data, output_data, metadata },
        nullable { started_at, completed_at, error_details }, touches updated_at
    }
    assert_changes! {
        conn, family.step => full_step(&family), WorkflowStep,
        WorkflowStepChanges {
            step_name, step_order, status, input_data, output_data, retry_count, max_retries, metadata
        },
        nullable { started_at, completed_at, error_details }, touches updated_at
    }
    assert_changes! {
        conn, family.artifact => full_artifact(&family), WorkflowArtifact,
        WorkflowArtifactChanges { artifact_type, artifact_name, artifact_path, metadata },
        nullable { artifact_size_bytes, content_type }, touches updated_at
    }
}

/// 0.2c: relationships
#[test]
fn every_reference_of_the_layer_can_be_walked_from_both_ends() {
    assert_walkable! {Layer::WorkflowHistory;
        workflow.agent => agent.workflow_executions;
        workflow.customer => customer.workflow_executions;
        step.workflow_execution => workflow.workflow_steps;
        artifact.workflow_execution => workflow.workflow_artifacts;
        artifact.workflow_step => step.workflow_artifacts;
    }
}

/// 0.2c: steps grouped by their workflow
#[test]
fn the_steps_of_many_runs_are_loaded_at_once_and_grouped() {
    let (_db, mut conn, agent, customer) = ground();
    let conn = &mut conn;
    let runs = [2, 0, 3].map(|steps| {
        let run = new_workflow(&agent, &customer).insert(conn);
        for order in 1..=steps {
            new_step(&run, order).insert(conn);
        }
        run
    });
    let other = new_workflow(&agent, &customer).insert(conn);
    new_step(&other, 99).insert(conn);
    let steps = WorkflowStep::belonging_to(&runs[..])
        .select(WorkflowStep::as_select())
        .order(workflow_steps::step_order)
        .load(conn)
        .unwrap();
    let grouped: Vec<Vec<i32>> =
        steps.grouped_by(&runs[..]).iter().map(|steps| steps.iter().map(|step| step.step_order).collect()).collect();
    assert_eq!(grouped, [vec![1, 2], vec![], vec![1, 2, 3]]);
}

/// 0.2c: cascade delete of a workflow
#[test]
fn deleting_a_workflow_removes_its_steps_and_artifacts_and_no_others() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let (gone, kept) = (Family::new(conn), Family::new(conn));
    gone.workflow.delete(conn);
    assert!(!gone.step.exists(conn) && !gone.artifact.exists(conn));
    assert!(gone.agent.exists(conn) && gone.customer.exists(conn) && gone.state.exists(conn));
    assert!(kept.step.exists(conn) && kept.artifact.exists(conn));
}

/// 0.2c: cascade delete of a step
#[test]
fn deleting_a_step_removes_its_artifacts_and_keeps_those_of_the_run() {
    let (_db, mut conn, family) = support::family();
    let conn = &mut conn;
    let of_the_run = new_artifact(&family.workflow).insert(conn);
    assert_eq!(family.step.workflow_artifacts().load(conn).unwrap(), from_ref(&family.artifact));
    family.step.delete(conn);
    assert!(!family.artifact.exists(conn));
    assert_eq!(family.workflow.workflow_artifacts().load(conn).unwrap(), [of_the_run]);
}

/// 0.2c: cascade delete of an agent and of a customer
#[test]
fn deleting_an_agent_or_a_customer_removes_their_workflows_with_all_that_belongs_to_them() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let (first, second, kept) = (Family::new(conn), Family::new(conn), Family::new(conn));
    first.agent.delete(conn);
    second.customer.delete(conn);
    for gone in [&first, &second] {
        assert!(!gone.workflow.exists(conn) && !gone.step.exists(conn) && !gone.artifact.exists(conn));
    }
    assert!(kept.workflow.exists(conn) && kept.step.exists(conn) && kept.artifact.exists(conn));
}
