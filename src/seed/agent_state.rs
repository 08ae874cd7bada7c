//! The agent_state rows: how four of the agents are set up and what they are doing. (0.2b)
//!
//! No state names a current workflow: that reference would point up a layer, and each layer must stand without the
//! later ones.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rows::Rows;
use super::{ago, ids};
use crate::enums::{AgentStatusDetail, ConfigType, MetricType};
use crate::models::{NewAgentCapability, NewAgentConfig, NewAgentMetric, NewAgentState};

pub(super) fn rows(at: DateTime<Utc>) -> Vec<Box<dyn Rows>> {
    vec![
        Box::new(agent_configs()),
        Box::new(agent_states(at)),
        Box::new(agent_capabilities()),
        Box::new(agent_metrics(at)),
    ]
}

fn agent_configs() -> Vec<NewAgentConfig> {
    use ConfigType::{Float, Integer};

    let config = |agent: Uuid, key: &str, value: &str, config_type: ConfigType, description: &str| {
        NewAgentConfig::builder()
            .id(ids::of("agent_configs", &format!("{agent} {key}")))
            .agent_id(agent)
            .config_key(key)
            .config_value(value)
            .config_type(config_type)
            .description(description)
            .build()
    };
    vec![
        config(ids::COST_AGENT, "cost_threshold_usd", "1000", Integer, "Minimum monthly cost to trigger optimization"),
        config(ids::COST_AGENT, "savings_threshold_percent", "15", Integer, "Minimum savings percentage to recommend"),
        config(ids::PERFORMANCE_AGENT, "kv_cache_size_gb", "32", Integer, "KV cache size in GB"),
        config(ids::PERFORMANCE_AGENT, "latency_p95_threshold_ms", "500", Integer, "P95 latency threshold for alerts"),
        config(ids::RESOURCE_AGENT, "gpu_utilization_target", "75", Integer, "Target GPU utilization percentage"),
        config(ids::APPLICATION_AGENT, "quality_score_threshold", "0.85", Float, "Minimum quality score (0-1)"),
    ]
}

fn agent_states(at: DateTime<Utc>) -> Vec<NewAgentState> {
    use AgentStatusDetail::{Busy, Idle, Processing};

    let state = |agent: Uuid, status: AgentStatusDetail, idle: TimeDelta, work: Value, locks: Value, usage: Value| {
        NewAgentState::builder()
            .id(ids::of("agent_states", &agent.to_string()))
            .agent_id(agent)
            .current_status(status)
            .active_workflows(work)
            .locks(locks)
            .last_activity(ago(at, idle))
            .resource_usage(usage)
            .metadata(json!({}))
            .build()
    };
    let now = TimeDelta::zero();
    vec![
        state(
            ids::COST_AGENT,
            Busy,
            now,
            json!(["cost_analysis_001"]),
            json!({"gpu_cluster_1": true}),
            json!({"cpu": 45.2, "memory": 2048}),
        ),
        state(ids::PERFORMANCE_AGENT, Idle, now, json!([]), json!({}), json!({"cpu": 12.5, "memory": 512})),
        state(
            ids::RESOURCE_AGENT,
            Processing,
            now,
            json!(["gpu_scaling_002"]),
            json!({"k8s_cluster": true}),
            json!({"cpu": 38.7, "memory": 1024}),
        ),
        state(
            ids::APPLICATION_AGENT,
            Idle,
            TimeDelta::minutes(5),
            json!([]),
            json!({}),
            json!({"cpu": 8.3, "memory": 256}),
        ),
    ]
}

fn agent_capabilities() -> Vec<NewAgentCapability> {
    let capability = |agent: Uuid, name: &str, version: &str, config: Value, description: &str| {
        NewAgentCapability::builder()
            .id(ids::of("agent_capabilities", &format!("{agent} {name}")))
            .agent_id(agent)
            .capability_name(name)
            .capability_version(version)
            .enabled(true)
            .config(config)
            .description(description)
            .build()
    };
    vec![
        capability(
            ids::COST_AGENT,
            "gpu_cost_analysis",
            "1.2.0",
            json!({"supported_providers": ["aws", "gcp", "azure"]}),
            "Analyze GPU cluster costs and identify savings",
        ),
        capability(
            ids::COST_AGENT,
            "storage_optimization",
            "1.0.0",
            json!({"storage_types": ["s3", "ebs", "gcs"]}),
            "Optimize storage tiering and costs",
        ),
        capability(
            ids::PERFORMANCE_AGENT,
            "batch_optimization",
            "1.5.0",
            json!({"min_batch_size": 4, "max_batch_size": 128}),
            "Optimize batch sizes and continuous batching",
        ),
        capability(
            ids::PERFORMANCE_AGENT,
            "kv_cache_tuning",
            "2.1.0",
            json!({"supported_engines": ["vllm", "tgi", "sglang"]}),
            "Optimize KV cache settings for vLLM/TGI",
        ),
        capability(
            ids::RESOURCE_AGENT,
            "auto_scaling",
            "2.0.0",
            json!({"scaling_triggers": ["utilization", "queue_depth"]}),
            "Auto-scale GPU clusters based on demand",
        ),
        capability(
            ids::APPLICATION_AGENT,
            "quality_monitoring",
            "1.4.0",
            json!({"metrics": ["coherence", "relevance", "factuality"]}),
            "Monitor LLM output quality in real-time",
        ),
    ]
}

fn agent_metrics(at: DateTime<Utc>) -> Vec<NewAgentMetric> {
    let metric = |agent: Uuid, name: &str, value: f64, tags: Value| {
        NewAgentMetric::builder()
            .id(ids::of("agent_metrics", &format!("{agent} {name}")))
            .agent_id(agent)
            .metric_name(name)
            .metric_value(value)
            .metric_type(MetricType::Gauge)
            .tags(tags)
            .recorded_at(at)
            .build()
    };
    let month = json!({"period": "last_30_days"});
    let performance = json!({"metric_type": "performance"});
    vec![
        metric(ids::COST_AGENT, "average_savings_percent", 42.5, month.clone()),
        metric(ids::COST_AGENT, "total_savings_identified_usd", 125_000.0, month),
        metric(ids::PERFORMANCE_AGENT, "latency_improvement_percent", 65.0, performance.clone()),
        metric(ids::PERFORMANCE_AGENT, "throughput_increase_percent", 180.0, performance),
        metric(ids::RESOURCE_AGENT, "average_gpu_utilization_percent", 78.5, json!({"resource": "gpu"})),
        metric(ids::APPLICATION_AGENT, "quality_score_average", 0.91, json!({"samples": "1500"})),
    ]
}
