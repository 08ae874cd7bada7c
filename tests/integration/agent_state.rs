//! The agent_state layer: settings, state, capabilities and metrics of the agents.

use std::slice::from_ref;
use std::sync::Barrier;
use std::thread;

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use optiinfra_db::enums::{AgentStatusDetail, AgentType, ConfigType, MetricType};
use optiinfra_db::id::AgentId;
use optiinfra_db::layer::Layer;
use optiinfra_db::models::{
    Agent, AgentCapability, AgentCapabilityChanges, AgentConfig, AgentConfigChanges, AgentMetric, AgentState,
    AgentStateChanges, Customer, NewAgentCapability, NewAgentConfig, NewAgentMetric, NewAgentState,
};
use optiinfra_db::schema::{agent_capabilities, agent_configs, agent_metrics};
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    self, Family, Insert as _, Stored as _, TestDb, assert_changes, assert_refused, assert_stored_whole,
    assert_walkable, at, at_now, insert_at_now, new_agent_metric, new_capability, new_config, new_state, new_workflow,
    thorny_json,
};

/// A database with the performance agent and a customer.
fn ground() -> (TestDb, PgConnection, Agent, Customer) {
    support::ground(AgentType::Performance)
}

fn full_config(family: &Family) -> AgentConfig {
    AgentConfig {
        id: Uuid::new_v4(),
        agent_id: family.agent.id,
        config_key: "limits".into(),
        config_value: "{\"text\": \"Größe\"}\n".into(),
        config_type: ConfigType::Json,
        description: Some("How far the agent may go".into()),
        created_at: at(1),
        updated_at: at(2),
    }
}

/// The state of an agent other than the family's, which has one.
fn full_state(family: &Family, agent: &Agent) -> AgentState {
    AgentState {
        id: Uuid::new_v4(),
        agent_id: agent.id,
        current_status: AgentStatusDetail::Error,
        active_workflows: json!(["cost_analysis_001", {"id": 2, "steps": [1, null]}]),
        locks: thorny_json(),
        last_activity: at(1),
        resource_usage: Some(json!({"cpu": 45.2, "memory": 2048})),
        metadata: Some(json!([null])),
        created_at: at(2),
        updated_at: at(3),
        current_workflow_id: Some(family.workflow.id),
    }
}

fn full_capability(family: &Family) -> AgentCapability {
    AgentCapability {
        id: Uuid::new_v4(),
        agent_id: family.agent.id,
        capability_name: "kv_cache_tuning".into(),
        capability_version: "2.1.0-beta".into(),
        enabled: false,
        config: Some(thorny_json()),
        description: Some("Sizes the cache".into()),
        created_at: at(1),
        updated_at: at(2),
    }
}

fn full_metric(family: &Family) -> AgentMetric {
    AgentMetric {
        id: Uuid::new_v4(),
        agent_id: family.agent.id,
        metric_name: "requests_total".into(),
        metric_value: 9_007_199_254_740_991.0,
        metric_type: MetricType::Counter,
        tags: Some(thorny_json()),
        recorded_at: at(1),
    }
}

// agent_configs

/// 0.2b: create a config
#[test]
fn a_config_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, agent, _) = ground();
    let (config, now) = insert_at_now(&mut conn, &new_config(&agent, "kv_cache_size_gb", "32"));
    let expected = AgentConfig {
        id: config.id,
        agent_id: agent.id,
        config_key: "kv_cache_size_gb".into(),
        config_value: "32".into(),
        config_type: ConfigType::String,
        description: None,
        created_at: now,
        updated_at: now,
    };
    assert_eq!(config, expected);
}

/// 0.2b: unique key
#[test]
fn the_key_of_a_config_is_unique_within_its_agent() {
    let (_db, mut conn, agent, _) = ground();
    let conn = &mut conn;
    let other = support::agent(conn, AgentType::Performance);
    new_config(&agent, "mode", "safe").insert(conn);
    let again = new_config(&agent, "mode", "bold");
    assert_refused(again.try_insert(conn), DatabaseErrorKind::UniqueViolation, "uq_agent_config");
    new_config(&other, "mode", "bold").insert(conn);
    // Keys are told apart by case.
    new_config(&agent, "Mode", "bold").insert(conn);
}

/// 0.2b: config types
#[test]
fn a_config_is_read_as_its_type_says() {
    let (_db, mut conn, agent, _) = ground();
    let conn = &mut conn;
    let values = ["fast", "32", "0.85", "true", "{\"batch\": [1, 2]}"];
    for (kind, value) in ConfigType::ALL.iter().zip(values) {
        NewAgentConfig { config_type: Some(*kind), ..new_config(&agent, kind.as_str(), value) }.insert(conn);
    }
    for (kind, value) in ConfigType::ALL.iter().zip(values) {
        let config = agent.agent_configs().filter(agent_configs::config_type.eq(*kind)).first(conn).unwrap();
        assert_eq!((config.config_key.as_str(), config.config_value.as_str()), (kind.as_str(), value));
    }
}

/// 0.2b: upsert, insert
#[test]
fn setting_a_new_key_inserts_it() {
    let (_db, mut conn, agent, _) = ground();
    let new = NewAgentConfig { config_type: Some(ConfigType::Integer), ..new_config(&agent, "limit", "500") };
    let config = AgentConfig::set(&mut conn, &new).unwrap();
    assert_eq!((config.config_value.as_str(), config.config_type), ("500", ConfigType::Integer));
    assert_eq!(agent.agent_configs().load(&mut conn).unwrap(), [config]);
}

/// 0.2b: upsert, update
#[test]
fn setting_a_key_again_replaces_value_and_type_and_keeps_the_row_and_its_description() {
    let (_db, mut conn, agent, _) = ground();
    let conn = &mut conn;
    let other = support::agent(conn, AgentType::Cost);
    let untouched = new_config(&other, "limit", "1").insert(conn);
    let first = NewAgentConfig {
        config_type: Some(ConfigType::Integer),
        description: Some("Upper limit".into()),
        ..new_config(&agent, "limit", "500")
    }
    .insert(conn);

    let new = NewAgentConfig { config_type: Some(ConfigType::Float), ..new_config(&agent, "limit", "0.5") };
    let (second, now) = at_now(conn, |conn| AgentConfig::set(conn, &new));
    let expected = AgentConfig { config_value: "0.5".into(), config_type: ConfigType::Float, updated_at: now, ..first };
    assert_eq!(second, expected);
    assert!(now > second.created_at);

    let new = NewAgentConfig { description: Some("Share".into()), ..new_config(&agent, "limit", "half") };
    let third = AgentConfig::set(conn, &new).unwrap();
    assert_eq!((third.id, third.config_type), (second.id, ConfigType::String));
    assert_eq!(third.description.as_deref(), Some("Share"));
    assert_eq!(agent.agent_configs().load(conn).unwrap(), [third]);
    assert_eq!(untouched.reload(conn), Some(untouched));
}

#[test]
fn setting_what_is_there_already_changes_nothing() {
    let (_db, mut conn, agent, _) = ground();
    let first = AgentConfig::set(&mut conn, &new_config(&agent, "mode", "safe")).unwrap();
    let second = AgentConfig::set(&mut conn, &new_config(&agent, "mode", "safe")).unwrap();
    assert_eq!(second, first);
}

#[test]
fn setting_a_key_of_an_agent_that_is_not_there_is_refused() {
    let (_db, mut conn, agent, _) = ground();
    agent.delete(&mut conn);
    let result = AgentConfig::set(&mut conn, &new_config(&agent, "mode", "safe"));
    assert_refused(result, DatabaseErrorKind::ForeignKeyViolation, "agent_configs_agent_id_fkey");
}

#[test]
fn two_that_set_the_same_new_key_at_once_leave_one_row() {
    let (db, mut conn, agent, _) = ground();
    let start = Barrier::new(2);
    let ids: Vec<Uuid> = thread::scope(|scope| {
        let setters = ["one", "two"].map(|value| {
            let (db, agent, start) = (&db, &agent, &start);
            scope.spawn(move || {
                let mut conn = db.conn();
                start.wait();
                AgentConfig::set(&mut conn, &new_config(agent, "mode", value)).unwrap().id
            })
        });
        setters.into_iter().map(|setter| setter.join().unwrap()).collect()
    });
    assert_eq!(ids[0], ids[1]);
    let configs = agent.agent_configs().load(&mut conn).unwrap();
    assert_eq!(configs.len(), 1);
    assert!(["one", "two"].contains(&configs[0].config_value.as_str()));
}

// agent_states

/// 0.2b: create a state
#[test]
fn a_state_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, agent, _) = ground();
    let (state, now) = insert_at_now(&mut conn, &new_state(&agent));
    let expected = AgentState {
        id: state.id,
        agent_id: agent.id,
        current_status: AgentStatusDetail::Idle,
        active_workflows: json!([]),
        locks: json!({}),
        last_activity: now,
        resource_usage: Some(json!({})),
        metadata: Some(json!({})),
        created_at: now,
        updated_at: now,
        current_workflow_id: None,
    };
    assert_eq!(state, expected);
    assert_eq!(state.current_workflow(&mut conn), Ok(None));
}

/// 0.2b: one state per agent
#[test]
fn an_agent_has_one_state() {
    let (_db, mut conn, agent, _) = ground();
    new_state(&agent).insert(&mut conn);
    let second = new_state(&agent).try_insert(&mut conn);
    assert_refused(second, DatabaseErrorKind::UniqueViolation, "agent_states_agent_id_key");
}

/// 0.2b: upsert of a state, insert
#[test]
fn putting_a_state_inserts_it_for_an_agent_without_one() {
    let (_db, mut conn, agent, _) = ground();
    let new = NewAgentState { current_status: Some(AgentStatusDetail::Busy), ..new_state(&agent) };
    let (state, now) = at_now(&mut conn, |conn| AgentState::put(conn, &new));
    assert_eq!((state.current_status, state.last_activity), (AgentStatusDetail::Busy, now));
    assert_eq!(agent.agent_states().load(&mut conn).unwrap(), [state]);
}

/// 0.2b: upsert of a state, update
#[test]
fn putting_a_state_again_changes_the_row_and_keeps_what_is_left_out() {
    let (_db, mut conn, agent, customer) = ground();
    let conn = &mut conn;
    let workflow = new_workflow(&agent, &customer).insert(conn);
    let first = NewAgentState {
        current_status: Some(AgentStatusDetail::Busy),
        active_workflows: Some(json!(["tuning"])),
        locks: Some(json!({"gpu_cluster_1": true})),
        resource_usage: Some(json!({"cpu": 45.2})),
        last_activity: Some(at(0)),
        current_workflow_id: Some(workflow.id),
        ..new_state(&agent)
    }
    .insert(conn);

    let new = NewAgentState {
        current_status: Some(AgentStatusDetail::Waiting),
        locks: Some(json!({})),
        metadata: Some(json!({"reason": "approval"})),
        ..new_state(&agent)
    };
    let (second, now) = at_now(conn, |conn| AgentState::put(conn, &new));
    let expected = AgentState {
        current_status: AgentStatusDetail::Waiting,
        locks: json!({}),
        metadata: Some(json!({"reason": "approval"})),
        last_activity: now,
        updated_at: now,
        ..first
    };
    assert_eq!(second, expected);
    assert_eq!(second.current_workflow_id, Some(workflow.id));

    let seen = NewAgentState { last_activity: Some(at(7)), ..new_state(&agent) };
    assert_eq!(AgentState::put(conn, &seen).unwrap().last_activity, at(7));
    assert_eq!(agent.agent_states().count().get_result(conn), Ok(1));
}

/// 0.2b: an agent's current workflow
#[test]
fn a_state_leads_to_the_workflow_in_hand_and_back_until_that_is_gone() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let (family, other) = (Family::new(conn), Family::new(conn));
    assert_eq!(family.state.current_workflow(conn), Ok(Some(family.workflow.clone())));
    assert_eq!(family.workflow.agent_states().load(conn).unwrap(), from_ref(&family.state));
    for Family { agent, workflow, .. } in [&family, &other] {
        assert_eq!(agent.current_workflow(conn), Ok(Some(workflow.clone())));
    }
    family.workflow.delete(conn);
    assert_eq!(family.state.reload(conn).unwrap().current_workflow_id, None);
    assert_eq!(family.agent.current_workflow(conn), Ok(None));
    other.state.delete(conn);
    assert_eq!(other.agent.current_workflow(conn), Ok(None));
}

// agent_capabilities

/// 0.2b: create a capability
#[test]
fn a_capability_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, agent, _) = ground();
    let (capability, now) = insert_at_now(&mut conn, &new_capability(&agent, "quantization"));
    let expected = AgentCapability {
        id: capability.id,
        agent_id: agent.id,
        capability_name: "quantization".into(),
        capability_version: "1.0.0".into(),
        enabled: true,
        config: Some(json!({})),
        description: None,
        created_at: now,
        updated_at: now,
    };
    assert_eq!(capability, expected);
}

/// 0.2b: unique capability
#[test]
fn the_name_of_a_capability_is_unique_within_its_agent() {
    let (_db, mut conn, agent, _) = ground();
    let conn = &mut conn;
    new_capability(&agent, "routing").insert(conn);
    let newer = NewAgentCapability { capability_version: Some("2.0.0".into()), ..new_capability(&agent, "routing") };
    assert_refused(newer.try_insert(conn), DatabaseErrorKind::UniqueViolation, "uq_agent_capability");
    new_capability(&support::agent(conn, AgentType::Cost), "routing").insert(conn);
}

/// 0.2b: enable and disable
#[test]
fn a_capability_is_switched_off_and_on_again() {
    let (_db, mut conn, agent, _) = ground();
    let conn = &mut conn;
    let [switched, other] = ["routing", "coordination"].map(|name| new_capability(&agent, name).insert(conn));
    let elsewhere = new_capability(&support::agent(conn, AgentType::Cost), "routing").insert(conn);

    let (off, now) = at_now(conn, |conn| AgentCapability::set_enabled(conn, AgentId::new(agent.id), "routing", false));
    assert_eq!(off, AgentCapability { enabled: false, updated_at: now, ..switched });
    let enabled = agent.agent_capabilities().filter(agent_capabilities::enabled);
    assert_eq!(enabled.load(conn).unwrap(), from_ref(&other));
    assert_eq!(elsewhere.reload(conn), Some(elsewhere));

    let again = AgentCapability::set_enabled(conn, AgentId::new(agent.id), "routing", false).unwrap();
    assert_eq!(again, off, "switching off what is off is no change");
    assert!(AgentCapability::set_enabled(conn, AgentId::new(agent.id), "routing", true).unwrap().enabled);
}

#[test]
fn a_capability_that_the_agent_does_not_have_cannot_be_switched() {
    let (_db, mut conn, agent, _) = ground();
    let other = support::agent(&mut conn, AgentType::Cost);
    new_capability(&other, "routing").insert(&mut conn);
    assert_eq!(AgentCapability::set_enabled(&mut conn, AgentId::new(agent.id), "routing", true), Err(Error::NotFound));
}

// agent_metrics

/// 0.2b: create a metric
#[test]
fn an_agent_metric_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, agent, _) = ground();
    let (metric, now) = insert_at_now(&mut conn, &new_agent_metric(&agent, "latency_ms", 350.25));
    let expected = AgentMetric {
        id: metric.id,
        agent_id: agent.id,
        metric_name: "latency_ms".into(),
        metric_value: 350.25,
        metric_type: MetricType::Gauge,
        tags: Some(json!({})),
        recorded_at: now,
    };
    assert_eq!(metric, expected);
}

/// 0.2b: metric types
#[test]
fn an_agent_metric_is_of_any_type_and_of_any_size() {
    let (_db, mut conn, agent, _) = ground();
    let values = [f64::MAX, f64::MIN_POSITIVE, -0.0];
    for (kind, value) in MetricType::ALL.iter().zip(values) {
        let metric = NewAgentMetric { metric_type: Some(*kind), ..new_agent_metric(&agent, kind.as_str(), value) }
            .insert(&mut conn);
        assert_eq!((metric.metric_type, metric.metric_value.to_bits()), (*kind, value.to_bits()));
    }
}

/// 0.2b: time series
#[test]
fn metrics_of_an_agent_come_in_the_order_of_their_time() {
    let (_db, mut conn, agent, _) = ground();
    let other = support::agent(&mut conn, AgentType::Cost);
    for minute in [3, 1, 2] {
        for (of, offset) in [(&agent, 0.0), (&other, 100.0)] {
            let new = new_agent_metric(of, "cpu_percent", minute as f64 + offset);
            NewAgentMetric { recorded_at: Some(at(minute)), ..new }.insert(&mut conn);
        }
    }
    new_agent_metric(&agent, "memory_mb", 512.0).insert(&mut conn);
    let values: Vec<f64> = agent
        .agent_metrics()
        .filter(agent_metrics::metric_name.eq("cpu_percent"))
        .order(agent_metrics::recorded_at)
        .load(&mut conn)
        .unwrap()
        .iter()
        .map(|metric| metric.metric_value)
        .collect();
    assert_eq!(values, [1.0, 2.0, 3.0]);
}

// the layer as a whole

#[test]
fn every_column_of_every_table_survives_a_round_trip() {
    let (db, mut conn, family) = support::family();
    let stateless = support::agent(&mut conn, AgentType::Cost);
    assert_stored_whole::<NewAgentConfig>(&db, full_config(&family));
    assert_stored_whole::<NewAgentState>(&db, full_state(&family, &stateless));
    assert_stored_whole::<NewAgentCapability>(&db, full_capability(&family));
    assert_stored_whole::<NewAgentMetric>(&db, full_metric(&family));
}

#[test]
fn changes_touch_what_they_name_and_nothing_else() {
    let (_db, mut conn, family) = support::family();
    let conn = &mut conn;
    assert_changes! {
        conn, family.config => full_config(&family), AgentConfig,
        AgentConfigChanges { config_key, config_value, config_type },
        nullable { description }, touches updated_at
    }
    let stateless = support::agent(conn, AgentType::Cost);
    let state = new_state(&stateless).insert(conn);
    assert_changes! {
        conn, state => full_state(&family, &stateless), AgentState,
        AgentStateChanges { current_status, active_workflows, locks, last_activity },
        nullable { resource_usage, metadata, current_workflow_id }, touches updated_at
    }
    assert_changes! {
        conn, family.capability => full_capability(&family), AgentCapability,
        AgentCapabilityChanges { capability_name, capability_version, enabled },
        nullable { config, description }, touches updated_at
    }
}

/// 0.2b: relationships
#[test]
fn every_reference_of_the_layer_can_be_walked_from_both_ends() {
    assert_walkable! {Layer::AgentState;
        config.agent => agent.agent_configs;
        state.agent => agent.agent_states;
        state.current_workflow => workflow.agent_states;
        capability.agent => agent.agent_capabilities;
        agent_metric.agent => agent.agent_metrics;
    }
}

/// 0.2b: cascade delete
#[test]
fn deleting_an_agent_removes_its_settings_state_capabilities_and_metrics() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let (gone, kept) = (Family::new(conn), Family::new(conn));
    gone.agent.delete(conn);
    assert!(!gone.config.exists(conn) && !gone.state.exists(conn));
    assert!(!gone.capability.exists(conn) && !gone.agent_metric.exists(conn));
    assert!(kept.config.exists(conn) && kept.state.exists(conn));
    assert!(kept.capability.exists(conn) && kept.agent_metric.exists(conn));
}
