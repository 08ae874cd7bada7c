//! The core layer: customers, agents, and the events, recommendations, approvals and optimizations between them.
//!
//! The thirteenth test of 0.2a, seed data insertion, is `seed::every_table_gets_as_many_rows_as_the_design_says`.

use std::slice::from_ref;

use bigdecimal::BigDecimal;
use diesel::dsl::{count_star, sum};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use optiinfra_db::enums::{
    AgentStatus, AgentType, ApprovalStatus, CustomerPlan, CustomerStatus, EventSeverity, OptimizationStatus,
    RecommendationPriority, RecommendationStatus,
};
use optiinfra_db::layer::Layer;
use optiinfra_db::models::{
    Agent, AgentChanges, ApiKey, Approval, ApprovalChanges, Customer, CustomerChanges, Event, NewAgent, NewApproval,
    NewCustomer, NewEvent, NewOptimization, NewRecommendation, Optimization, OptimizationChanges, Recommendation,
    RecommendationChanges,
};
use optiinfra_db::schema::{agents, customers, events, recommendations};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    self, Change as _, Family, Insert as _, Stored as _, TestDb, assert_changes, assert_refused, assert_refused_saying,
    assert_stored_whole, assert_walkable, at, insert_at_now, new_approval, new_event, new_optimization,
    new_recommendation, thorny_json, to_json,
};

const SECRET: &str = "acme_secret_key_42";

/// A database with the cost agent and a customer.
fn ground() -> (TestDb, PgConnection, Agent, Customer) {
    support::ground(AgentType::Cost)
}

fn money(text: &str) -> Option<BigDecimal> {
    Some(text.parse().unwrap())
}

fn new_customer() -> NewCustomer {
    NewCustomer::builder().name("Acme Corp").email("admin@acme.com").api_key(SECRET).build()
}

fn full_customer() -> Customer {
    Customer {
        id: Uuid::new_v4(),
        name: "Größe & Söhne".into(),
        email: "office@example.org".into(),
        api_key: SECRET.into(),
        plan: CustomerPlan::Enterprise,
        status: CustomerStatus::Suspended,
        metadata: Some(thorny_json()),
        created_at: at(1),
        updated_at: at(2),
    }
}

fn full_agent() -> Agent {
    Agent {
        id: Uuid::new_v4(),
        type_: AgentType::Performance,
        name: "performance-agent-7".into(),
        version: Some("0.3.0-rc.1".into()),
        status: AgentStatus::Degraded,
        endpoint: Some("http://[::1]:8002/".into()),
        capabilities: json!(["kv_cache_tuning", {"name": "quantization", "bits": [4, 8]}]),
        metadata: Some(thorny_json()),
        last_heartbeat: Some(at(1)),
        created_at: at(2),
        updated_at: at(3),
    }
}

fn full_event(family: &Family) -> Event {
    Event {
        id: Uuid::new_v4(),
        customer_id: family.customer.id,
        agent_id: Some(family.agent.id),
        event_type: "optimization_started".into(),
        severity: EventSeverity::Critical,
        data: thorny_json(),
        created_at: at(1),
    }
}

fn full_recommendation(family: &Family) -> Recommendation {
    Recommendation {
        id: Uuid::new_v4(),
        customer_id: family.customer.id,
        agent_id: family.agent.id,
        type_: "spot_migration".into(),
        title: "Move batch jobs to spot instances".into(),
        description: Some("Line one\nline two".into()),
        estimated_savings: money("99999999.99"),
        estimated_improvement: money("-0.01"),
        confidence_score: 0.1 + 0.2,
        priority: RecommendationPriority::Critical,
        status: RecommendationStatus::RolledBack,
        data: thorny_json(),
        created_at: at(1),
        updated_at: at(2),
        approved_at: Some(at(3)),
        executed_at: Some(at(4)),
    }
}

fn full_approval(family: &Family) -> Approval {
    Approval {
        id: Uuid::new_v4(),
        recommendation_id: family.recommendation.id,
        approved_by: "cfo@example.com".into(),
        status: ApprovalStatus::Rejected,
        comment: Some("Not before the audit".into()),
        created_at: at(1),
        updated_at: at(2),
    }
}

fn full_optimization(family: &Family) -> Optimization {
    Optimization {
        id: Uuid::new_v4(),
        recommendation_id: family.recommendation.id,
        customer_id: family.customer.id,
        agent_id: family.agent.id,
        status: OptimizationStatus::RolledBack,
        progress: 100,
        result: Some(thorny_json()),
        error: Some("Latency rose by 40 %".into()),
        actual_savings: money("-1250.50"),
        actual_improvement: money("1.15"),
        started_at: Some(at(1)),
        completed_at: Some(at(2)),
        rolled_back_at: Some(at(3)),
        created_at: at(4),
    }
}

// customers

/// 0.2a: Customer model CRUD
#[test]
fn a_customer_is_created_read_changed_and_deleted() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let customer = new_customer().insert(conn);
    assert_eq!(customer.reload(conn).as_ref(), Some(&customer));
    let by_key = Customer::query().filter(customers::api_key.eq(ApiKey::from(SECRET))).first(conn);
    assert_eq!(by_key.as_ref(), Ok(&customer));
    let suspended = CustomerChanges { status: Some(CustomerStatus::Suspended), ..Default::default() };
    assert_eq!(customer.change(conn, &suspended).unwrap().status, CustomerStatus::Suspended);
    assert_eq!(customer.reload(conn).unwrap().status, CustomerStatus::Suspended);
    customer.delete(conn);
    assert!(!customer.exists(conn));
}

#[test]
fn a_customer_takes_defaults_for_what_is_left_out() {
    let db = TestDb::migrated();
    let (customer, now) = insert_at_now(&mut db.conn(), &new_customer());
    let expected = Customer {
        id: customer.id,
        name: "Acme Corp".into(),
        email: "admin@acme.com".into(),
        api_key: SECRET.into(),
        plan: CustomerPlan::Free,
        status: CustomerStatus::Active,
        metadata: Some(json!({})),
        created_at: now,
        updated_at: now,
    };
    assert_eq!(customer, expected);
}

/// 0.2a: Unique constraints
#[test]
fn an_address_and_a_key_belong_to_one_customer() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    new_customer().insert(conn);
    let same_address = NewCustomer { api_key: "another".into(), ..new_customer() };
    assert_refused(same_address.try_insert(conn), DatabaseErrorKind::UniqueViolation, "customers_email_key");
    let same_key = NewCustomer { email: "another@acme.com".into(), ..new_customer() };
    assert_refused(same_key.try_insert(conn), DatabaseErrorKind::UniqueViolation, "customers_api_key_key");
    NewCustomer { email: "another@acme.com".into(), api_key: "another".into(), ..new_customer() }.insert(conn);
}

#[test]
fn the_key_of_a_customer_shows_itself_nowhere_but_when_asked() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let new = new_customer();
    let customer = new.insert(conn);
    assert_eq!(customer.api_key.expose(), SECRET);
    let changes = CustomerChanges { api_key: Some(SECRET.into()), ..Default::default() };
    let shown = [
        format!("{:?} {:#?}", customer.api_key, Some(&customer.api_key)),
        format!("{customer:?} {customer:#?}"),
        format!("{new:?} {changes:?}"),
        serde_json::to_string(&customer).unwrap(),
        diesel::debug_query::<Pg, _>(&diesel::insert_into(customers::table).values(&new)).to_string(),
        diesel::debug_query::<Pg, _>(&customers::table.filter(customers::api_key.eq(&customer.api_key))).to_string(),
        format!("{:?} {}", new.try_insert(conn), new.try_insert(conn).unwrap_err()),
    ];
    for text in shown {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert_eq!(to_json(&customer).get("api_key"), None);
    assert_eq!(to_json(&customer)["email"], "admin@acme.com");
}

#[test]
fn a_key_is_read_from_json_and_no_customer_is_without_one() {
    let json = json!({"name": "Acme Corp", "email": "admin@acme.com", "api_key": SECRET});
    let new: NewCustomer = serde_json::from_value(json).unwrap();
    assert_eq!(new, new_customer());
    let json = json!({"name": "Acme Corp", "email": "admin@acme.com"});
    let error = serde_json::from_value::<NewCustomer>(json).unwrap_err().to_string();
    assert_eq!(error, "missing field `api_key`");
}

// agents

/// 0.2a: Agent model CRUD
#[test]
fn an_agent_is_created_read_changed_and_deleted() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let agent = NewAgent::builder()
        .type_(AgentType::Cost)
        .name("cost-agent-1")
        .capabilities(json!(["spot_migration", "right_sizing"]))
        .build()
        .insert(conn);
    assert_eq!(agent.reload(conn).as_ref(), Some(&agent));
    assert_eq!(agent.status, AgentStatus::Starting);
    let heartbeat =
        AgentChanges { status: Some(AgentStatus::Healthy), last_heartbeat: Some(Some(at(0))), ..Default::default() };
    agent.change(conn, &heartbeat).unwrap();
    let read = Agent::query().filter(agents::type_.eq(AgentType::Cost)).first(conn).unwrap();
    assert_eq!((read.id, read.status, read.last_heartbeat), (agent.id, AgentStatus::Healthy, Some(at(0))));
    assert_eq!(read.capabilities, json!(["spot_migration", "right_sizing"]));
    agent.delete(conn);
    assert!(!agent.exists(conn));
}

#[test]
fn an_agent_takes_defaults_for_what_is_left_out() {
    let db = TestDb::migrated();
    let new = NewAgent::builder().type_(AgentType::Resource).name("resource-agent-1").build();
    let (agent, now) = insert_at_now(&mut db.conn(), &new);
    let expected = Agent {
        id: agent.id,
        type_: AgentType::Resource,
        name: "resource-agent-1".into(),
        version: None,
        status: AgentStatus::Starting,
        endpoint: None,
        capabilities: json!([]),
        metadata: Some(json!({})),
        last_heartbeat: None,
        created_at: now,
        updated_at: now,
    };
    assert_eq!(agent, expected);
}

#[test]
fn the_name_of_an_agent_is_unique_within_its_type() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let new = NewAgent::builder().type_(AgentType::Cost).name("agent-1").build();
    new.insert(conn);
    assert_refused(new.try_insert(conn), DatabaseErrorKind::UniqueViolation, "uq_agent_type_name");
    NewAgent { type_: AgentType::Resource, ..new.clone() }.insert(conn);
    NewAgent { name: "agent-2".into(), ..new }.insert(conn);
}

#[test]
fn the_type_of_an_agent_is_called_type_in_json() {
    let agent = full_agent();
    assert_eq!(to_json(&agent)["type"], "performance");
    assert_eq!(to_json(&agent).get("type_"), None);
    assert_eq!(serde_json::from_value::<Agent>(to_json(&agent)).unwrap(), agent);
}

// events

/// 0.2a: Event model CRUD
#[test]
fn an_event_is_created_read_and_deleted() {
    let (_db, mut conn, agent, customer) = ground();
    let conn = &mut conn;
    let event = NewEvent {
        agent_id: Some(agent.id),
        severity: Some(EventSeverity::Warning),
        data: Some(json!({"cost_usd": 1200.5, "regions": ["eu-west-1"]})),
        ..new_event(&customer)
    }
    .insert(conn);
    let read = Event::query().filter(events::severity.eq(EventSeverity::Warning)).first(conn).unwrap();
    assert_eq!(read, event);
    assert_eq!((read.agent_id, read.event_type.as_str()), (Some(agent.id), "agent_registered"));
    assert_eq!(read.data["regions"][0], "eu-west-1");
    event.delete(conn);
    assert!(!event.exists(conn));
}

#[test]
fn an_event_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, _agent, customer) = ground();
    let (event, now) = insert_at_now(&mut conn, &new_event(&customer));
    let expected = Event {
        id: event.id,
        customer_id: customer.id,
        agent_id: None,
        event_type: "agent_registered".into(),
        severity: EventSeverity::Info,
        data: json!({}),
        created_at: now,
    };
    assert_eq!(event, expected);
    assert_eq!(event.agent(&mut conn), Ok(None));
}

#[test]
fn an_event_outlives_its_agent_but_not_its_customer() {
    let (_db, mut conn, family) = support::family();
    let conn = &mut conn;
    family.agent.delete(conn);
    let event = family.event.reload(conn).unwrap();
    assert_eq!(event, Event { agent_id: None, ..family.event });
    family.customer.delete(conn);
    assert!(!event.exists(conn));
}

// recommendations

/// 0.2a: Recommendation model CRUD
#[test]
fn a_recommendation_is_created_read_changed_and_deleted() {
    let (_db, mut conn, agent, customer) = ground();
    let conn = &mut conn;
    let recommendation = NewRecommendation {
        estimated_savings: money("12000.00"),
        confidence_score: Some(0.92),
        priority: Some(RecommendationPriority::High),
        ..new_recommendation(&agent, &customer)
    }
    .insert(conn);
    assert_eq!(recommendation.reload(conn).as_ref(), Some(&recommendation));
    assert_eq!(recommendation.estimated_savings, money("12000"));
    let approved = RecommendationChanges {
        status: Some(RecommendationStatus::Approved),
        approved_at: Some(Some(at(0))),
        ..Default::default()
    };
    recommendation.change(conn, &approved).unwrap();
    let read =
        Recommendation::query().filter(recommendations::status.eq(RecommendationStatus::Approved)).first(conn).unwrap();
    assert_eq!((read.id, read.approved_at, read.executed_at), (recommendation.id, Some(at(0)), None));
    assert_eq!((read.confidence_score, read.priority), (0.92, RecommendationPriority::High));
    recommendation.delete(conn);
    assert!(!recommendation.exists(conn));
}

#[test]
fn a_recommendation_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, agent, customer) = ground();
    let (recommendation, now) = insert_at_now(&mut conn, &new_recommendation(&agent, &customer));
    let expected = Recommendation {
        id: recommendation.id,
        customer_id: customer.id,
        agent_id: agent.id,
        type_: "right_sizing".into(),
        title: "Use smaller instances".into(),
        description: None,
        estimated_savings: None,
        estimated_improvement: None,
        confidence_score: 0.0,
        priority: RecommendationPriority::Medium,
        status: RecommendationStatus::Pending,
        data: json!({}),
        created_at: now,
        updated_at: now,
        approved_at: None,
        executed_at: None,
    };
    assert_eq!(recommendation, expected);
}

/// 0.2a: check constraint for confidence_score (0.0 to 1.0)
#[test]
fn confidence_runs_from_zero_to_one() {
    let (_db, mut conn, agent, customer) = ground();
    let mut with = |confidence| {
        NewRecommendation { confidence_score: Some(confidence), ..new_recommendation(&agent, &customer) }
            .try_insert(&mut conn)
    };
    for confidence in [0.0, -0.0, f64::MIN_POSITIVE, 0.5, 1.0 - f64::EPSILON, 1.0] {
        assert_eq!(with(confidence).unwrap().confidence_score, confidence);
    }
    for confidence in [-f64::MIN_POSITIVE, -1.0, 1.0 + f64::EPSILON, 92.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        assert_refused(with(confidence), DatabaseErrorKind::CheckViolation, "check_confidence_range");
    }
}

#[test]
fn money_has_ten_digits_two_of_them_cents() {
    let (_db, mut conn, agent, customer) = ground();
    let mut with = |savings: &str| {
        let new = NewRecommendation { estimated_savings: money(savings), ..new_recommendation(&agent, &customer) };
        new.try_insert(&mut conn).map(|row| row.estimated_savings)
    };
    for exact in ["0", "-0.01", "12000.5", "99999999.99", "-99999999.99"] {
        assert_eq!(with(exact), Ok(money(exact)));
    }
    // Halves go away from zero.
    for (given, stored) in [("0.005", "0.01"), ("-0.005", "-0.01"), ("99999999.994", "99999999.99")] {
        assert_eq!(with(given), Ok(money(stored)));
    }
    for too_much in ["100000000", "99999999.995", "-100000000"] {
        assert_refused_saying(with(too_much), "numeric field overflow");
    }
}

// approvals

/// 0.2a: Approval model CRUD
#[test]
fn an_approval_is_created_read_changed_and_deleted() {
    let (_db, mut conn, agent, customer) = ground();
    let conn = &mut conn;
    let recommendation = new_recommendation(&agent, &customer).insert(conn);
    let approval = new_approval(&recommendation).insert(conn);
    assert_eq!(recommendation.approvals().load(conn).unwrap(), from_ref(&approval));
    let decided = ApprovalChanges {
        status: Some(ApprovalStatus::Approved),
        comment: Some(Some("Go ahead".into())),
        ..Default::default()
    };
    approval.change(conn, &decided).unwrap();
    let read = approval.reload(conn).unwrap();
    assert_eq!((read.status, read.comment.as_deref()), (ApprovalStatus::Approved, Some("Go ahead")));
    assert_eq!(read.approved_by, "owner@example.com");
    approval.delete(conn);
    assert!(!approval.exists(conn));
    assert!(recommendation.exists(conn));
}

#[test]
fn an_approval_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, agent, customer) = ground();
    let recommendation = new_recommendation(&agent, &customer).insert(&mut conn);
    let (approval, now) = insert_at_now(&mut conn, &new_approval(&recommendation));
    let expected = Approval {
        id: approval.id,
        recommendation_id: recommendation.id,
        approved_by: "owner@example.com".into(),
        status: ApprovalStatus::Pending,
        comment: None,
        created_at: now,
        updated_at: now,
    };
    assert_eq!(approval, expected);
}

// optimizations

/// 0.2a: Optimization model CRUD
#[test]
fn an_optimization_is_created_read_changed_and_deleted() {
    let (_db, mut conn, agent, customer) = ground();
    let conn = &mut conn;
    let recommendation = new_recommendation(&agent, &customer).insert(conn);
    let optimization = new_optimization(&recommendation).insert(conn);
    assert_eq!(optimization.reload(conn).as_ref(), Some(&optimization));
    let done = OptimizationChanges {
        status: Some(OptimizationStatus::Completed),
        progress: Some(100),
        result: Some(Some(json!({"instances_moved": 12}))),
        actual_savings: Some(money("11500.00")),
        completed_at: Some(Some(at(30))),
        ..Default::default()
    };
    optimization.change(conn, &done).unwrap();
    let read = optimization.reload(conn).unwrap();
    assert_eq!((read.status, read.progress), (OptimizationStatus::Completed, 100));
    assert_eq!((read.actual_savings, read.actual_improvement), (money("11500"), None));
    assert_eq!((read.result, read.completed_at), (Some(json!({"instances_moved": 12})), Some(at(30))));
    optimization.delete(conn);
    assert!(!optimization.exists(conn));
    assert!(recommendation.exists(conn));
}

#[test]
fn an_optimization_takes_defaults_for_what_is_left_out() {
    let (_db, mut conn, agent, customer) = ground();
    let recommendation = new_recommendation(&agent, &customer).insert(&mut conn);
    let (optimization, now) = insert_at_now(&mut conn, &new_optimization(&recommendation));
    let expected = Optimization {
        id: optimization.id,
        recommendation_id: recommendation.id,
        customer_id: customer.id,
        agent_id: agent.id,
        status: OptimizationStatus::Queued,
        progress: 0,
        result: Some(json!({})),
        error: None,
        actual_savings: None,
        actual_improvement: None,
        started_at: None,
        completed_at: None,
        rolled_back_at: None,
        created_at: now,
    };
    assert_eq!(optimization, expected);
}

/// 0.2a: check constraint for progress (0 to 100)
#[test]
fn progress_runs_from_zero_to_a_hundred() {
    let (_db, mut conn, agent, customer) = ground();
    let recommendation = new_recommendation(&agent, &customer).insert(&mut conn);
    let optimization = new_optimization(&recommendation).insert(&mut conn);
    let mut set = |progress| {
        optimization.change(&mut conn, &OptimizationChanges { progress: Some(progress), ..Default::default() })
    };
    for progress in [0, 1, 99, 100] {
        assert_eq!(set(progress).unwrap().progress, progress);
    }
    for progress in [-1, 101, i32::MIN, i32::MAX] {
        assert_refused(set(progress), DatabaseErrorKind::CheckViolation, "check_progress_range");
    }
    assert_eq!(optimization.reload(&mut conn).unwrap().progress, 100);
}

// the layer as a whole

#[test]
fn every_column_of_every_table_survives_a_round_trip() {
    let (db, mut conn, family) = support::family();
    assert_stored_whole::<NewAgent>(&db, full_agent());
    assert_stored_whole::<NewEvent>(&db, full_event(&family));
    assert_stored_whole::<NewRecommendation>(&db, full_recommendation(&family));
    assert_stored_whole::<NewApproval>(&db, full_approval(&family));
    assert_stored_whole::<NewOptimization>(&db, full_optimization(&family));
    // A customer's key stands in no JSON, so that row cannot take the way of the others.
    let customer = full_customer();
    let mut json = to_json(&customer);
    json["api_key"] = SECRET.into();
    let new: NewCustomer = serde_json::from_value(json).unwrap();
    assert_eq!(new.insert(&mut conn), customer);
    assert_eq!(customer.reload(&mut db.conn()), Some(customer));
}

#[test]
fn changes_touch_what_they_name_and_nothing_else() {
    let (_db, mut conn, family) = support::family();
    let conn = &mut conn;
    assert_changes! {
        conn, family.customer => full_customer(), Customer,
        CustomerChanges { name, email, api_key, plan, status },
        nullable { metadata }, touches updated_at
    }
    assert_changes! {
        conn, family.agent => full_agent(), Agent,
        AgentChanges { type_, name, status, capabilities },
        nullable { version, endpoint, metadata, last_heartbeat }, touches updated_at
    }
    assert_changes! {
        conn, family.recommendation => full_recommendation(&family), Recommendation,
        RecommendationChanges { type_, title, confidence_score, priority, status, data },
        nullable { description, estimated_savings, estimated_improvement, approved_at, executed_at },
        touches updated_at
    }
    assert_changes! {
        conn, family.approval => full_approval(&family), Approval,
        ApprovalChanges { approved_by, status },
        nullable { comment }, touches updated_at
    }
    assert_changes! {
        conn, family.optimization => full_optimization(&family), Optimization,
        OptimizationChanges { status, progress },
        nullable { result, error, actual_savings, actual_improvement, started_at, completed_at, rolled_back_at }
    }
}

/// 0.2a: Relationships
#[test]
fn every_reference_of_the_layer_can_be_walked_from_both_ends() {
    assert_walkable! {Layer::Core;
        event.customer => customer.events;
        event.agent => agent.events;
        recommendation.customer => customer.recommendations;
        recommendation.agent => agent.recommendations;
        approval.recommendation => recommendation.approvals;
        optimization.recommendation => recommendation.optimizations;
        optimization.customer => customer.optimizations;
        optimization.agent => agent.optimizations;
    }
}

#[test]
fn what_a_row_refers_to_is_gone_is_an_error_when_it_must_be_there_and_nothing_when_it_need_not() {
    let (_db, mut conn, family) = support::family();
    let conn = &mut conn;
    family.agent.delete(conn);
    assert_eq!(family.recommendation.agent(conn), Err(Error::NotFound));
    assert_eq!(family.event.agent(conn), Ok(None));
}

/// 0.2a: Cascade deletes
#[test]
fn deleting_a_customer_removes_all_that_hangs_on_it_and_nothing_else() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let (gone, kept) = (Family::new(conn), Family::new(conn));
    gone.customer.delete(conn);
    assert!(!gone.event.exists(conn));
    assert!(!gone.recommendation.exists(conn) && !gone.approval.exists(conn) && !gone.optimization.exists(conn));
    assert!(!gone.workflow.exists(conn) && !gone.step.exists(conn) && !gone.artifact.exists(conn));
    assert!(gone.agent.exists(conn) && gone.config.exists(conn) && gone.agent_metric.exists(conn));
    assert_eq!(gone.state.reload(conn).unwrap().current_workflow_id, None);
    assert!(kept.event.exists(conn));
    assert!(kept.recommendation.exists(conn) && kept.approval.exists(conn) && kept.optimization.exists(conn));
}

#[test]
fn deleting_an_agent_removes_what_it_proposed_with_approvals_and_executions() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let (gone, kept) = (Family::new(conn), Family::new(conn));
    gone.agent.delete(conn);
    assert!(!gone.recommendation.exists(conn) && !gone.approval.exists(conn) && !gone.optimization.exists(conn));
    assert!(gone.customer.exists(conn) && gone.event.exists(conn));
    assert!(kept.recommendation.exists(conn) && kept.approval.exists(conn) && kept.optimization.exists(conn));
}

/// 0.2a: Complex queries with filters
#[test]
fn recommendations_are_filtered_joined_and_summed() {
    let (_db, mut conn, agent, customer) = ground();
    let conn = &mut conn;
    let stranger = support::customer(conn);
    let rows = [
        (&customer, "100.25", RecommendationPriority::High, RecommendationStatus::Pending),
        (&customer, "200.50", RecommendationPriority::Critical, RecommendationStatus::Pending),
        (&customer, "400.00", RecommendationPriority::Low, RecommendationStatus::Pending),
        (&customer, "800.00", RecommendationPriority::High, RecommendationStatus::Rejected),
        (&stranger, "1600.00", RecommendationPriority::High, RecommendationStatus::Pending),
    ];
    for (of, savings, priority, status) in rows {
        NewRecommendation {
            estimated_savings: money(savings),
            priority: Some(priority),
            status: Some(status),
            ..new_recommendation(&agent, of)
        }
        .insert(conn);
    }
    // Priorities compare in the order of their labels: high and critical are at least high.
    let urgent = recommendations::table
        .inner_join(customers::table)
        .inner_join(agents::table)
        .filter(customers::email.eq(&customer.email))
        .filter(agents::type_.eq(AgentType::Cost))
        .filter(recommendations::status.eq(RecommendationStatus::Pending))
        .filter(recommendations::priority.ge(RecommendationPriority::High));
    let saved: (i64, Option<BigDecimal>) =
        urgent.clone().select((count_star(), sum(recommendations::estimated_savings))).first(conn).unwrap();
    assert_eq!(saved, (2, money("300.75")));
    let by_urgency: Vec<RecommendationPriority> =
        urgent.order(recommendations::priority.desc()).select(recommendations::priority).load(conn).unwrap();
    assert_eq!(by_urgency, [RecommendationPriority::Critical, RecommendationPriority::High]);
}

#[test]
fn many_rows_go_in_at_once_each_with_its_own_defaults() {
    let (_db, mut conn, _agent, customer) = ground();
    let news = [
        NewEvent { event_type: "first".into(), ..new_event(&customer) },
        NewEvent { severity: Some(EventSeverity::Error), event_type: "second".into(), ..new_event(&customer) },
        NewEvent { id: Some(Uuid::from_u128(3)), event_type: "third".into(), ..new_event(&customer) },
    ];
    let stored: Vec<Event> = diesel::insert_into(events::table)
        .values(&news[..])
        .returning(Event::as_returning())
        .get_results(&mut conn)
        .unwrap();
    let severities: Vec<_> = stored.iter().map(|event| event.severity).collect();
    assert_eq!(severities, [EventSeverity::Info, EventSeverity::Error, EventSeverity::Info]);
    assert_eq!(stored[2].id, Uuid::from_u128(3));
    assert!(stored[0].id != stored[1].id && !stored[0].id.is_nil());
}

#[test]
fn an_empty_change_is_refused_before_it_reaches_the_server() {
    let (_db, mut conn, family) = support::family();
    let result = family.customer.change(&mut conn, &CustomerChanges::default());
    assert!(matches!(result, Err(Error::QueryBuilderError(_))), "{result:?}");
}

#[test]
fn json_null_and_no_value_are_two_things() {
    let (_db, mut conn, family) = support::family();
    let conn = &mut conn;
    let set = |metadata| CustomerChanges { metadata: Some(metadata), ..Default::default() };
    let is_null = |conn: &mut PgConnection| {
        customers::table.find(family.customer.id).select(customers::metadata.is_null()).first::<bool>(conn).unwrap()
    };
    let json_null = family.customer.change(conn, &set(Some(Value::Null))).unwrap();
    assert_eq!(json_null.metadata, Some(Value::Null));
    assert!(!is_null(conn));
    let no_value = family.customer.change(conn, &set(None)).unwrap();
    assert_eq!(no_value.metadata, None);
    assert!(is_null(conn));
}

#[test]
fn json_takes_every_shape_and_refuses_the_one_character_that_the_server_cannot_store() {
    let (_db, mut conn, _agent, customer) = ground();
    let mut store = |data: &Value| {
        NewEvent { data: Some(data.clone()), ..new_event(&customer) }.try_insert(&mut conn).map(|event| event.data)
    };
    let documents = [
        json!(null),
        json!(true),
        json!("text"),
        json!(""),
        json!(-0.5),
        json!([]),
        json!([null, [], {}]),
        json!({"b": 1, "a": {"z": null}}),
        thorny_json(),
    ];
    for document in documents {
        assert_eq!(store(&document).as_ref(), Ok(&document));
    }
    assert_refused_saying(store(&json!({"text": "before\u{0}after"})), "unsupported Unicode escape sequence");
}
