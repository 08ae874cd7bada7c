//! The seed of the workflow history layer: the three documented scenarios of 0.2c.

use super::{COUNTS, Expectation, Fact, LayerSeed};
use crate::layer::Layer;

pub(super) const SEED: LayerSeed = LayerSeed {
    layer: Layer::WorkflowHistory,
    marker: "workflow_steps",
    sql: include_str!("workflow_history.sql"),
    also_reads: &["agents", "customers"],
    expectations: &[
        Expectation {
            word: "scenarios",
            source: "0.2c",
            title: "the documented workflows are there with their steps and artifacts",
            facts: &[
                ("cost_analysis by cost-agent-1 for Acme Corp", Fact::Is("completed, steps 5, artifacts 3")),
                ("performance_tuning by performance-agent-1 for Acme Corp", Fact::Is("running, steps 4, artifacts 1")),
                ("quality_check by application-agent-1 for StartupCo", Fact::Is("failed, steps 3, artifacts 2")),
            ],
        },
        Expectation {
            word: COUNTS,
            source: "0.2c",
            title: "the tables hold the documented number of rows",
            facts: &[
                ("workflow_executions", Fact::AtLeast(3)),
                ("workflow_steps", Fact::AtLeast(12)),
                ("workflow_artifacts", Fact::AtLeast(6)),
            ],
        },
    ],
};
