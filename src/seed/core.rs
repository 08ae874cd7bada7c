//! The core rows: three customers, five agents, and what has passed between them so far. (0.2a)
//!
//! TechStart Inc, the fourth customer, belongs to the resource layer, whose document introduces it.

use bigdecimal::BigDecimal;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::rows::Rows;
use super::{ago, ids};
use crate::enums::{
    AgentStatus, AgentType, CustomerPlan, CustomerStatus, EventSeverity, RecommendationPriority, RecommendationStatus,
};
use crate::models::{NewAgent, NewCustomer, NewEvent, NewRecommendation};

pub(super) fn rows(at: DateTime<Utc>) -> Vec<Box<dyn Rows>> {
    vec![Box::new(customers()), Box::new(agents(at)), Box::new(events()), Box::new(recommendations(at))]
}

fn customers() -> Vec<NewCustomer> {
    vec![
        NewCustomer::builder()
            .id(ids::ACME)
            .name("Acme Corp")
            .email("admin@acme.com")
            .api_key("acme_test_key_123456789")
            .plan(CustomerPlan::Enterprise)
            .status(CustomerStatus::Active)
            .metadata(json!({"industry": "technology", "size": "500-1000"}))
            .build(),
        NewCustomer::builder()
            .id(ids::STARTUPCO)
            .name("StartupCo")
            .email("founder@startup.co")
            .api_key("startup_test_key_987654321")
            .plan(CustomerPlan::Startup)
            .status(CustomerStatus::Active)
            .metadata(json!({"industry": "fintech", "size": "10-50"}))
            .build(),
        NewCustomer::builder()
            .id(ids::DEMO)
            .name("Demo Customer")
            .email("demo@example.com")
            .api_key("demo_test_key_111111111")
            .plan(CustomerPlan::Free)
            .status(CustomerStatus::Active)
            .metadata(json!({"industry": "demo", "size": "1-10"}))
            .build(),
    ]
}

fn agents(at: DateTime<Utc>) -> Vec<NewAgent> {
    [
        (
            ids::ORCHESTRATOR,
            AgentType::Orchestrator,
            "orchestrator-main",
            "0.2.0",
            "http://localhost:8080",
            ["routing", "coordination", "approval_workflow"],
        ),
        (
            ids::COST_AGENT,
            AgentType::Cost,
            "cost-agent-1",
            "0.3.0",
            "http://localhost:8001",
            ["spot_migration", "right_sizing", "reserved_instances"],
        ),
        (
            ids::PERFORMANCE_AGENT,
            AgentType::Performance,
            "performance-agent-1",
            "0.1.0",
            "http://localhost:8002",
            ["kv_cache_tuning", "quantization", "batch_optimization"],
        ),
        (
            ids::RESOURCE_AGENT,
            AgentType::Resource,
            "resource-agent-1",
            "0.1.0",
            "http://localhost:8003",
            ["gpu_optimization", "auto_scaling", "resource_consolidation"],
        ),
        (
            ids::APPLICATION_AGENT,
            AgentType::Application,
            "application-agent-1",
            "0.1.0",
            "http://localhost:8004",
            ["quality_monitoring", "regression_detection", "ab_testing"],
        ),
    ]
    .into_iter()
    .map(|(id, type_, name, version, endpoint, capabilities)| {
        NewAgent::builder()
            .id(id)
            .type_(type_)
            .name(name)
            .version(version)
            .status(AgentStatus::Healthy)
            .endpoint(endpoint)
            .capabilities(json!(capabilities))
            .metadata(json!({"environment": "development"}))
            .last_heartbeat(at)
            .build()
    })
    .collect()
}

fn events() -> Vec<NewEvent> {
    vec![
        NewEvent::builder()
            .id(ids::of("events", "StartupCo performance_degradation"))
            .customer_id(ids::STARTUPCO)
            .agent_id(ids::PERFORMANCE_AGENT)
            .event_type("performance_degradation")
            .severity(EventSeverity::Warning)
            .data(json!({"metric": "latency_p95", "current": 950, "threshold": 800}))
            .build(),
        NewEvent::builder()
            .id(ids::of("events", "Acme Corp optimization_started"))
            .customer_id(ids::ACME)
            .agent_id(ids::COST_AGENT)
            .event_type("optimization_started")
            .severity(EventSeverity::Info)
            .data(json!({"optimization_type": "spot_migration", "instances": 5}))
            .build(),
        NewEvent::builder()
            .id(ids::of("events", "Acme Corp optimization_completed"))
            .customer_id(ids::ACME)
            .agent_id(ids::COST_AGENT)
            .event_type("optimization_completed")
            .severity(EventSeverity::Info)
            .data(json!({"optimization_type": "spot_migration", "savings": 2450.0}))
            .build(),
    ]
}

fn recommendations(at: DateTime<Utc>) -> Vec<NewRecommendation> {
    vec![
        NewRecommendation::builder()
            .id(ids::of("recommendations", "StartupCo kv_cache_tuning"))
            .customer_id(ids::STARTUPCO)
            .agent_id(ids::PERFORMANCE_AGENT)
            .type_("kv_cache_tuning")
            .title("Optimize KV cache configuration")
            .description("Tune PagedAttention settings for better memory usage")
            .estimated_improvement(BigDecimal::new(15.into(), 1))
            .confidence_score(0.85)
            .priority(RecommendationPriority::Medium)
            .status(RecommendationStatus::Pending)
            .data(json!({
                "current_cache_size": 4096,
                "recommended_cache_size": 8192,
                "expected_latency_improvement": "30%",
            }))
            .created_at(at)
            .build(),
        NewRecommendation::builder()
            .id(ids::of("recommendations", "Acme Corp spot_migration"))
            .customer_id(ids::ACME)
            .agent_id(ids::COST_AGENT)
            .type_("spot_migration")
            .title("Migrate 5 EC2 instances to spot")
            .description("Migrate stable workloads to spot instances for 40% savings")
            .estimated_savings(BigDecimal::from(2450))
            .confidence_score(0.92)
            .priority(RecommendationPriority::High)
            .status(RecommendationStatus::Completed)
            .data(json!({"instances": ["i-001", "i-002", "i-003", "i-004", "i-005"], "risk_level": "low"}))
            .created_at(ago(at, TimeDelta::days(7)))
            .approved_at(ago(at, TimeDelta::days(6)))
            .executed_at(ago(at, TimeDelta::days(5)))
            .build(),
        NewRecommendation::builder()
            .id(ids::of("recommendations", "Acme Corp right_sizing"))
            .customer_id(ids::ACME)
            .agent_id(ids::COST_AGENT)
            .type_("right_sizing")
            .title("Downsize 3 over-provisioned instances")
            .description("Reduce instance sizes based on utilization patterns")
            .estimated_savings(BigDecimal::from(850))
            .confidence_score(0.88)
            .priority(RecommendationPriority::Medium)
            .status(RecommendationStatus::Pending)
            .data(json!({
                "instances": ["i-010", "i-011", "i-012"],
                "current_types": ["m5.2xlarge", "m5.2xlarge", "c5.4xlarge"],
                "recommended_types": ["m5.xlarge", "m5.xlarge", "c5.2xlarge"],
            }))
            .created_at(at)
            .build(),
    ]
}
