//! The resource layer: samples of the use of instances, and scaling decisions.

use std::slice::from_ref;

use diesel::prelude::*;
use optiinfra_db::enums::{AgentType, ResourceType, ScalingEventType, WorkflowStatus, WorkflowType};
use optiinfra_db::id::CustomerId;
use optiinfra_db::layer::Layer;
use optiinfra_db::models::{
    Agent, Customer, NewResourceMetric, NewScalingEvent, NewWorkflowExecution, ResourceMetric, ScalingEvent,
    ScalingEventChanges,
};
use optiinfra_db::schema::{resource_metrics, scaling_events};
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    self, Change as _, Family, Insert as _, Stored as _, TestDb, assert_changes, assert_stored_whole, assert_walkable,
    at, insert_at_now, new_resource_metric, new_scaling_event, new_workflow, thorny_json,
};

/// A database with the resource agent and a customer.
fn ground() -> (TestDb, PgConnection, Agent, Customer) {
    support::ground(AgentType::Resource)
}

fn full_metric(family: &Family) -> ResourceMetric {
    ResourceMetric {
        id: Uuid::new_v4(),
        agent_id: family.agent.id,
        customer_id: family.customer.id,
        instance_id: "i-0abc123".into(),
        resource_type: ResourceType::Network,
        metric_name: "throughput".into(),
        metric_value: 0.1 + 0.2,
        unit: "Mbps".into(),
        timestamp: at(1),
        metadata: thorny_json(),
        created_at: at(2),
    }
}

fn full_scaling_event(family: &Family) -> ScalingEvent {
    ScalingEvent {
        id: Uuid::new_v4(),
        agent_id: family.agent.id,
        customer_id: family.customer.id,
        workflow_execution_id: Some(family.workflow.id),
        event_type: ScalingEventType::ScaleCancelled,
        trigger_reason: "Budget of the month is used up".into(),
        before_state: thorny_json(),
        after_state: json!([]),
        success: true,
        error_details: Some(json!({"code": null})),
        executed_at: at(1),
        completed_at: Some(at(2)),
        metadata: json!({"policy": "budget"}),
        created_at: at(3),
        updated_at: at(4),
    }
}

/// 0.2d: test_create_resource_metric
#[test]
fn a_resource_metric_is_stored_as_it_was_measured() {
    let (db, mut conn, agent, customer) = ground();
    let metric = NewResourceMetric {
        instance_id: "i-abc123".into(),
        metadata: Some(json!({"gpu_model": "NVIDIA H100", "gpu_memory_gb": 80})),
        ..new_resource_metric(&agent, &customer, 85.5, 0)
    }
    .insert(&mut conn);
    let read = metric.reload(&mut db.conn()).unwrap();
    assert_eq!(read, metric);
    assert!(!read.id.is_nil());
    assert_eq!((read.instance_id.as_str(), read.resource_type), ("i-abc123", ResourceType::Gpu));
    assert_eq!((read.metric_name.as_str(), read.metric_value, read.unit.as_str()), ("utilization", 85.5, "percent"));
    assert_eq!(read.metadata["gpu_model"], "NVIDIA H100");
    assert_eq!(read.timestamp, at(0));
}

#[test]
fn a_resource_metric_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, agent, customer) = ground();
    let (metric, now) = insert_at_now(&mut conn, &new_resource_metric(&agent, &customer, 75.5, 0));
    let expected = ResourceMetric {
        id: metric.id,
        agent_id: agent.id,
        customer_id: customer.id,
        instance_id: "i-test".into(),
        resource_type: ResourceType::Gpu,
        metric_name: "utilization".into(),
        metric_value: 75.5,
        unit: "percent".into(),
        timestamp: at(0),
        metadata: json!({}),
        created_at: now,
    };
    assert_eq!(metric, expected);
}

/// 0.2d: test_resource_metric_agent_relationship
#[test]
fn a_resource_metric_leads_to_its_agent_and_back() {
    let (_db, mut conn, agent, customer) = ground();
    let metric = new_resource_metric(&agent, &customer, 75.5, 0).insert(&mut conn);
    let other = support::agent(&mut conn, AgentType::Cost);
    assert_eq!(metric.agent(&mut conn).unwrap(), agent);
    assert_eq!(agent.resource_metrics().load(&mut conn).unwrap(), [metric]);
    assert_eq!(other.resource_metrics().load(&mut conn).unwrap(), []);
}

/// 0.2d: test_resource_metric_customer_relationship
#[test]
fn a_resource_metric_leads_to_its_customer_and_back() {
    let (_db, mut conn, agent, customer) = ground();
    let metric = new_resource_metric(&agent, &customer, 75.5, 0).insert(&mut conn);
    let other = support::customer(&mut conn);
    assert_eq!(metric.customer(&mut conn).unwrap(), customer);
    assert_eq!(customer.resource_metrics().load(&mut conn).unwrap(), [metric]);
    assert_eq!(other.resource_metrics().load(&mut conn).unwrap(), []);
}

/// 0.2d: test_multiple_resource_types
#[test]
fn an_instance_has_metrics_of_every_resource_type() {
    let (_db, mut conn, agent, customer) = ground();
    for (place, kind) in ResourceType::ALL.iter().enumerate() {
        let value = 10.0 * place as f64;
        NewResourceMetric { resource_type: *kind, ..new_resource_metric(&agent, &customer, value, 0) }
            .insert(&mut conn);
    }
    for (place, kind) in ResourceType::ALL.iter().enumerate() {
        let values: Vec<f64> = customer
            .resource_metrics()
            .filter(resource_metrics::resource_type.eq(*kind))
            .load(&mut conn)
            .unwrap()
            .iter()
            .map(|metric| metric.metric_value)
            .collect();
        assert_eq!(values, [10.0 * place as f64], "{kind}");
    }
}

/// 0.2d: test_time_series_query
#[test]
fn samples_of_an_instance_come_in_the_order_of_their_time() {
    let (_db, mut conn, agent, customer) = ground();
    for hour in [3, 0, 4, 1, 2] {
        new_resource_metric(&agent, &customer, 50.0 + 5.0 * hour as f64, 60 * hour).insert(&mut conn);
    }
    let values: Vec<f64> = ResourceMetric::of_instance(CustomerId::new(customer.id), "i-test", at(0), at(5 * 60))
        .load(&mut conn)
        .unwrap()
        .iter()
        .map(|metric| metric.metric_value)
        .collect();
    assert_eq!(values, [50.0, 55.0, 60.0, 65.0, 70.0]);
}

#[test]
fn a_time_range_holds_its_beginning_but_not_its_end() {
    let (_db, mut conn, agent, customer) = ground();
    for minute in 0..5 {
        new_resource_metric(&agent, &customer, minute as f64, minute).insert(&mut conn);
    }
    let mut between = |from, until| -> Vec<f64> {
        let samples = ResourceMetric::of_instance(CustomerId::new(customer.id), "i-test", at(from), at(until))
            .load(&mut conn)
            .unwrap();
        samples.iter().map(|metric| metric.metric_value).collect()
    };
    assert_eq!(between(1, 3), [1.0, 2.0]);
    assert_eq!(between(2, 2), [0.0; 0]);
    assert_eq!(between(4, 9), [4.0]);
    assert_eq!(between(3, 1), [0.0; 0]);
}

#[test]
fn samples_of_other_customers_and_instances_stay_out_of_a_time_range_and_an_average() {
    let (_db, mut conn, agent, customer) = ground();
    let stranger = support::customer(&mut conn);
    let own = new_resource_metric(&agent, &customer, 40.0, 0).insert(&mut conn);
    new_resource_metric(&agent, &stranger, 90.0, 0).insert(&mut conn);
    let elsewhere = new_resource_metric(&agent, &customer, 90.0, 0);
    NewResourceMetric { instance_id: "i-other".into(), ..elsewhere.clone() }.insert(&mut conn);
    let samples =
        ResourceMetric::of_instance(CustomerId::new(customer.id), "i-test", at(0), at(1)).load(&mut conn).unwrap();
    assert_eq!(samples, [own]);
    NewResourceMetric { metric_name: "temperature".into(), ..elsewhere.clone() }.insert(&mut conn);
    NewResourceMetric { resource_type: ResourceType::Cpu, ..elsewhere }.insert(&mut conn);
    let average =
        ResourceMetric::average(&mut conn, CustomerId::new(customer.id), "i-test", ResourceType::Gpu, "utilization")
            .unwrap();
    assert_eq!(average, Some(40.0));
}

/// 0.2d: test_metric_aggregation
#[test]
fn the_average_of_a_metric_is_taken_over_all_its_samples() {
    let (_db, mut conn, agent, customer) = ground();
    let average = |conn: &mut PgConnection| {
        ResourceMetric::average(conn, CustomerId::new(customer.id), "i-test", ResourceType::Gpu, "utilization").unwrap()
    };
    assert_eq!(average(&mut conn), None);
    for (minute, value) in (0..).zip([60.0, 75.0, 80.0, 85.0, 90.0]) {
        new_resource_metric(&agent, &customer, value, minute).insert(&mut conn);
    }
    assert_eq!(average(&mut conn), Some(78.0));
}

#[test]
fn the_latest_sample_of_a_metric_is_the_newest_of_one_customer_or_of_all() {
    let (_db, mut conn, agent, customer) = ground();
    let stranger = support::customer(&mut conn);
    let latest = |conn: &mut PgConnection, of: Option<Uuid>| {
        ResourceMetric::latest(conn, of.map(CustomerId::new), ResourceType::Gpu, "utilization").unwrap()
    };
    assert_eq!(latest(&mut conn, None), None);
    let newest = new_resource_metric(&agent, &stranger, 30.0, 9).insert(&mut conn);
    let own = new_resource_metric(&agent, &customer, 20.0, 5).insert(&mut conn);
    new_resource_metric(&agent, &customer, 10.0, 1).insert(&mut conn);
    let later = new_resource_metric(&agent, &customer, 99.0, 60);
    NewResourceMetric { metric_name: "temperature".into(), ..later.clone() }.insert(&mut conn);
    NewResourceMetric { resource_type: ResourceType::Cpu, ..later }.insert(&mut conn);
    assert_eq!(latest(&mut conn, None), Some(newest));
    assert_eq!(latest(&mut conn, Some(customer.id)), Some(own));
    assert_eq!(latest(&mut conn, Some(Uuid::new_v4())), None);
}

#[test]
fn of_samples_of_one_time_the_greatest_id_is_the_latest() {
    let (_db, mut conn, agent, customer) = ground();
    for id in [2, 3, 1] {
        let id = Some(Uuid::from_u128(id));
        NewResourceMetric { id, ..new_resource_metric(&agent, &customer, 50.0, 0) }.insert(&mut conn);
    }
    let latest = ResourceMetric::latest(&mut conn, None, ResourceType::Gpu, "utilization").unwrap();
    assert_eq!(latest.map(|metric| metric.id), Some(Uuid::from_u128(3)));
    let samples =
        ResourceMetric::of_instance(CustomerId::new(customer.id), "i-test", at(0), at(1)).load(&mut conn).unwrap();
    assert_eq!(samples.iter().map(|metric| metric.id.as_u128()).collect::<Vec<_>>(), [1, 2, 3]);
}

/// 0.2d: test_metric_cascade_delete
#[test]
fn deleting_an_agent_removes_its_metrics() {
    let (_db, mut conn, agent, customer) = ground();
    let other = support::agent(&mut conn, AgentType::Resource);
    let metric = new_resource_metric(&agent, &customer, 50.0, 0).insert(&mut conn);
    let kept = new_resource_metric(&other, &customer, 50.0, 0).insert(&mut conn);
    agent.delete(&mut conn);
    assert!(!metric.exists(&mut conn));
    assert!(kept.exists(&mut conn));
    assert!(customer.exists(&mut conn));
}

/// 0.2d: test_create_scaling_event
#[test]
fn a_scaling_event_is_stored_with_the_state_before_and_after() {
    let (db, mut conn, agent, customer) = ground();
    let event = NewScalingEvent {
        before_state: json!({"instance_count": 3, "avg_utilization": 88.0}),
        after_state: json!({"instance_count": 5, "avg_utilization": 62.0}),
        success: Some(true),
        completed_at: Some(at(15)),
        metadata: Some(json!({"cost_impact": 20.0, "performance_improvement": "30%"})),
        ..new_scaling_event(&agent, &customer)
    }
    .insert(&mut conn);
    let read = event.reload(&mut db.conn()).unwrap();
    assert_eq!(read, event);
    assert_eq!((read.event_type, read.success), (ScalingEventType::ScaleUp, true));
    assert_eq!(read.before_state["instance_count"], 3);
    assert_eq!(read.after_state, json!({"instance_count": 5, "avg_utilization": 62.0}));
    assert_eq!(read.workflow_execution_id, None);
    assert_eq!(read.metadata["performance_improvement"], "30%");
}

#[test]
fn a_scaling_event_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, agent, customer) = ground();
    let (event, now) = insert_at_now(&mut conn, &new_scaling_event(&agent, &customer));
    let expected = ScalingEvent {
        id: event.id,
        agent_id: agent.id,
        customer_id: customer.id,
        workflow_execution_id: None,
        event_type: ScalingEventType::ScaleUp,
        trigger_reason: "GPU utilisation above 85 %".into(),
        before_state: json!({"instance_count": 2}),
        after_state: json!({"instance_count": 4}),
        success: false,
        error_details: None,
        executed_at: at(0),
        completed_at: None,
        metadata: json!({}),
        created_at: now,
        updated_at: now,
    };
    assert_eq!(event, expected);
}

/// 0.2d: test_scaling_event_relationships
#[test]
fn a_scaling_event_leads_to_its_agent_and_its_customer_and_back() {
    let (_db, mut conn, agent, customer) = ground();
    let event = new_scaling_event(&agent, &customer).insert(&mut conn);
    let stranger = support::customer(&mut conn);
    new_scaling_event(&support::agent(&mut conn, AgentType::Cost), &stranger).insert(&mut conn);
    assert_eq!(event.agent(&mut conn).unwrap(), agent);
    assert_eq!(event.customer(&mut conn).unwrap(), customer);
    assert_eq!(agent.scaling_events().load(&mut conn).unwrap(), from_ref(&event));
    assert_eq!(customer.scaling_events().load(&mut conn).unwrap(), [event]);
}

/// 0.2d: test_scaling_event_with_workflow
#[test]
fn a_scaling_event_leads_to_the_workflow_that_decided_it_and_back() {
    let (_db, mut conn, agent, customer) = ground();
    let workflow = NewWorkflowExecution {
        workflow_type: WorkflowType::ScalingDecision,
        status: WorkflowStatus::Completed,
        output_data: Some(json!({"decision": "scale_up"})),
        ..new_workflow(&agent, &customer)
    }
    .insert(&mut conn);
    let on_its_own = new_scaling_event(&agent, &customer).insert(&mut conn);
    let decided = NewScalingEvent { workflow_execution_id: Some(workflow.id), ..new_scaling_event(&agent, &customer) }
        .insert(&mut conn);
    assert_eq!(decided.workflow_execution(&mut conn).unwrap(), Some(workflow.clone()));
    assert_eq!(on_its_own.workflow_execution(&mut conn).unwrap(), None);
    assert_eq!(workflow.scaling_events().load(&mut conn).unwrap(), [decided]);
}

#[test]
fn a_scaling_event_outlives_the_workflow_that_decided_it() {
    let (_db, mut conn, family) = support::family();
    let conn = &mut conn;
    family.workflow.delete(conn);
    let event = family.scaling_event.reload(conn).unwrap();
    assert_eq!(event.workflow_execution_id, None);
    assert_eq!(event.trigger_reason, family.scaling_event.trigger_reason);
}

/// 0.2d: test_failed_scaling_event
#[test]
fn a_failed_scaling_event_says_why() {
    let (db, mut conn, agent, customer) = ground();
    let why = json!({
        "error_type": "InsufficientCapacity",
        "error_message": "No available H100 instances",
        "region": "us-west-2",
    });
    let event = NewScalingEvent {
        success: Some(false),
        error_details: Some(why.clone()),
        completed_at: Some(at(1)),
        ..new_scaling_event(&agent, &customer)
    }
    .insert(&mut conn);
    let read = event.reload(&mut db.conn()).unwrap();
    assert!(!read.success);
    assert_eq!(read.error_details, Some(why));
    assert_eq!(read.completed_at, Some(at(1)));
}

/// 0.2d: test_scaling_event_duration
#[test]
fn the_duration_of_scaling_is_in_seconds_and_known_only_at_its_end() {
    let (_db, mut conn, agent, customer) = ground();
    let running = new_scaling_event(&agent, &customer).insert(&mut conn);
    assert_eq!(running.duration_seconds(), None);
    let mut finish = |completed_at| {
        let changes = ScalingEventChanges { completed_at: Some(Some(completed_at)), ..Default::default() };
        running.change(&mut conn, &changes).unwrap().duration_seconds()
    };
    assert_eq!(finish(at(15)), Some(900.0));
    assert_eq!(finish(at(0) + chrono::Duration::microseconds(1_500)), Some(0.0015));
    assert_eq!(finish(at(0)), Some(0.0));
}

/// 0.2d: test_query_scaling_by_type
#[test]
fn scaling_events_are_found_by_type() {
    let (_db, mut conn, agent, customer) = ground();
    let counts = [2, 1, 3, 0, 1];
    for (kind, count) in ScalingEventType::ALL.iter().zip(counts) {
        for _ in 0..count {
            NewScalingEvent { event_type: *kind, ..new_scaling_event(&agent, &customer) }.insert(&mut conn);
        }
    }
    for (kind, count) in ScalingEventType::ALL.iter().zip(counts) {
        let found = agent.scaling_events().filter(scaling_events::event_type.eq(*kind)).load(&mut conn).unwrap();
        assert_eq!(found.len(), count, "{kind}");
        assert!(found.iter().all(|event| event.event_type == *kind));
    }
}

/// 0.2d, completion note: query scaling events by success status
#[test]
fn scaling_events_are_found_by_success() {
    let (_db, mut conn, agent, customer) = ground();
    for success in [Some(true), Some(false), Some(true), None] {
        NewScalingEvent { success, ..new_scaling_event(&agent, &customer) }.insert(&mut conn);
    }
    let counts: Vec<(bool, i64)> = scaling_events::table
        .group_by(scaling_events::success)
        .select((scaling_events::success, diesel::dsl::count_star()))
        .order(scaling_events::success)
        .load(&mut conn)
        .unwrap();
    assert_eq!(counts, [(false, 2), (true, 2)]);
}

#[test]
fn the_latest_scaling_event_is_the_one_executed_last_of_one_customer_or_of_all() {
    let (_db, mut conn, agent, customer) = ground();
    let stranger = support::customer(&mut conn);
    assert_eq!(ScalingEvent::latest(&mut conn, None).unwrap(), None);
    let newest = NewScalingEvent { executed_at: at(9), ..new_scaling_event(&agent, &stranger) }.insert(&mut conn);
    let own = NewScalingEvent { executed_at: at(5), ..new_scaling_event(&agent, &customer) }.insert(&mut conn);
    NewScalingEvent { executed_at: at(1), ..new_scaling_event(&agent, &customer) }.insert(&mut conn);
    assert_eq!(ScalingEvent::latest(&mut conn, None).unwrap(), Some(newest));
    assert_eq!(ScalingEvent::latest(&mut conn, Some(CustomerId::new(customer.id))).unwrap(), Some(own));
    assert_eq!(ScalingEvent::latest(&mut conn, Some(CustomerId::new(Uuid::new_v4()))).unwrap(), None);
}

/// 0.2d: test_scaling_event_cascade_delete
#[test]
fn deleting_an_agent_removes_its_scaling_events() {
    let (_db, mut conn, agent, customer) = ground();
    let other = support::agent(&mut conn, AgentType::Resource);
    let event = new_scaling_event(&agent, &customer).insert(&mut conn);
    let kept = new_scaling_event(&other, &customer).insert(&mut conn);
    agent.delete(&mut conn);
    assert!(!event.exists(&mut conn));
    assert!(kept.exists(&mut conn));
}

/// 0.2d: test_complete_scaling_scenario
#[test]
fn load_rises_scaling_happens_load_falls() {
    let (_db, mut conn, agent, customer) = ground();
    for sample in 0..5 {
        new_resource_metric(&agent, &customer, 85.0 + sample as f64, 5 * sample).insert(&mut conn);
    }
    let average =
        ResourceMetric::average(&mut conn, CustomerId::new(customer.id), "i-test", ResourceType::Gpu, "utilization")
            .unwrap();
    assert_eq!(average, Some(87.0));
    let event = NewScalingEvent {
        trigger_reason: "GPU utilisation above 85 % for 25 minutes".into(),
        before_state: json!({"instances": ["i-test"], "avg_utilization": average}),
        after_state: json!({"instances": ["i-test", "i-new"], "avg_utilization": 61.0}),
        success: Some(true),
        executed_at: at(25),
        completed_at: Some(at(30)),
        ..new_scaling_event(&agent, &customer)
    }
    .insert(&mut conn);
    for sample in 0..3 {
        new_resource_metric(&agent, &customer, 60.0 + sample as f64, 35 + 5 * sample).insert(&mut conn);
    }

    let values = |conn: &mut PgConnection, from, until| -> Vec<f64> {
        let samples =
            ResourceMetric::of_instance(CustomerId::new(customer.id), "i-test", from, until).load(conn).unwrap();
        samples.iter().map(|metric| metric.metric_value).collect()
    };
    let event = event.reload(&mut conn).unwrap();
    let ended = event.completed_at.unwrap();
    assert_eq!(values(&mut conn, at(0), event.executed_at), [85.0, 86.0, 87.0, 88.0, 89.0]);
    assert_eq!(values(&mut conn, ended, at(60)), [60.0, 61.0, 62.0]);
    assert_eq!(values(&mut conn, at(0), at(60)).len(), 8);
    assert_eq!(event.before_state["avg_utilization"], 87.0);
    assert_eq!((event.success, event.duration_seconds()), (true, Some(300.0)));
}

/// 0.2d: test_query_customer_resource_usage
#[test]
fn the_use_of_a_customer_is_that_customers_alone() {
    let (_db, mut conn, agent, customer) = ground();
    let stranger = support::customer(&mut conn);
    for minute in 0..3 {
        new_resource_metric(&agent, &customer, 10.0, minute).insert(&mut conn);
    }
    new_scaling_event(&agent, &customer).insert(&mut conn);
    new_resource_metric(&agent, &stranger, 90.0, 0).insert(&mut conn);
    for (of, metrics, events) in [(&customer, 3, 1), (&stranger, 1, 0)] {
        assert_eq!(of.resource_metrics().count().get_result(&mut conn), Ok(metrics));
        assert_eq!(of.scaling_events().count().get_result(&mut conn), Ok(events));
    }
}

/// 0.2d: test_cascade_delete_full_resource_data
#[test]
fn deleting_an_agent_removes_all_resource_data_of_it_and_leaves_the_customer() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let (gone, kept) = (Family::new(conn), Family::new(conn));
    gone.agent.delete(conn);
    assert!(!gone.resource_metric.exists(conn) && !gone.scaling_event.exists(conn));
    assert!(kept.resource_metric.exists(conn) && kept.scaling_event.exists(conn));
    assert!(gone.customer.exists(conn));
    kept.customer.delete(conn);
    assert!(!kept.resource_metric.exists(conn) && !kept.scaling_event.exists(conn));
    assert!(kept.agent.exists(conn));
}

#[test]
fn every_column_of_every_table_survives_a_round_trip() {
    let (db, _conn, family) = support::family();
    assert_stored_whole::<NewResourceMetric>(&db, full_metric(&family));
    assert_stored_whole::<NewScalingEvent>(&db, full_scaling_event(&family));
}

#[test]
fn changes_touch_what_they_name_and_nothing_else() {
    let (_db, mut conn, family) = support::family();
    let conn = &mut conn;
    let event = new_scaling_event(&family.agent, &family.customer).insert(conn);
    assert_changes! {
        conn, event => full_scaling_event(&family), ScalingEvent,
        ScalingEventChanges { event_type, trigger_reason, before_state, after_state, success, executed_at, metadata },
        nullable { workflow_execution_id, error_details, completed_at }, touches updated_at
    }
}

#[test]
fn every_reference_of_the_layer_can_be_walked_from_both_ends() {
    assert_walkable! {Layer::Resource;
        resource_metric.agent => agent.resource_metrics;
        resource_metric.customer => customer.resource_metrics;
        resource_metric_hour.customer => customer.resource_metrics_hourly;
        scaling_event.agent => agent.scaling_events;
        scaling_event.customer => customer.scaling_events;
        scaling_event.workflow_execution => workflow.scaling_events;
    }
}
