//! The seed of the agent state layer, as 0.2b and its deployed seed describe it. Settings and states are there to be
//! changed, so what counts is whose they are and not their value.

use super::{COUNTS, Expectation, Fact, LayerSeed};
use crate::layer::Layer;

pub(super) const SEED: LayerSeed = LayerSeed {
    layer: Layer::AgentState,
    marker: "agent_configs",
    sql: include_str!("agent_state.sql"),
    also_reads: &["agents"],
    expectations: &[
        Expectation {
            word: "configs",
            source: "0.2b",
            title: "the agents have their settings",
            facts: &[
                ("cost_threshold_usd", Fact::Is("cost-agent-1")),
                ("savings_threshold_percent", Fact::Is("cost-agent-1")),
                ("kv_cache_size_gb", Fact::Is("performance-agent-1")),
                ("latency_p95_threshold_ms", Fact::Is("performance-agent-1")),
                ("gpu_utilization_target", Fact::Is("resource-agent-1")),
                ("quality_score_threshold", Fact::Is("application-agent-1")),
            ],
        },
        Expectation {
            word: "states",
            source: "0.2b",
            title: "the four working agents have a state",
            facts: &[
                ("cost-agent-1", Fact::AtLeast(1)),
                ("performance-agent-1", Fact::AtLeast(1)),
                ("resource-agent-1", Fact::AtLeast(1)),
                ("application-agent-1", Fact::AtLeast(1)),
            ],
        },
        Expectation {
            word: "capabilities",
            source: "0.2b",
            title: "the agents have their capabilities",
            facts: &[
                ("gpu_cost_analysis", Fact::Is("cost-agent-1")),
                ("storage_optimization", Fact::Is("cost-agent-1")),
                ("kv_cache_tuning", Fact::Is("performance-agent-1")),
                ("batch_optimization", Fact::Is("performance-agent-1")),
                ("auto_scaling", Fact::Is("resource-agent-1")),
                ("quality_monitoring", Fact::Is("application-agent-1")),
            ],
        },
        Expectation {
            word: "metrics",
            source: "0.2b",
            title: "the agents have recorded their metrics",
            facts: &[
                ("total_savings_identified_usd", Fact::Is("cost-agent-1")),
                ("average_savings_percent", Fact::Is("cost-agent-1")),
                ("latency_improvement_percent", Fact::Is("performance-agent-1")),
                ("throughput_increase_percent", Fact::Is("performance-agent-1")),
                ("average_gpu_utilization_percent", Fact::Is("resource-agent-1")),
                ("quality_score_average", Fact::Is("application-agent-1")),
            ],
        },
        Expectation {
            word: COUNTS,
            source: "0.2b, 0.2d part 2",
            title: "the tables hold the documented number of rows",
            facts: &[
                ("agent_configs", Fact::AtLeast(6)),
                ("agent_states", Fact::AtLeast(4)),
                ("agent_capabilities", Fact::AtLeast(6)),
                ("agent_metrics", Fact::AtLeast(6)),
            ],
        },
    ],
};
