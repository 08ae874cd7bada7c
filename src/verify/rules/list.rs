//! The rules, layer by layer.

use super::Part::{Among, Each, Past, Same};
use super::Rule;
use crate::layer::Layer;

const fn in_the_past(word: &'static str, layer: Layer, title: &'static str) -> Rule {
    Rule { word, layer, title, problem: "has a time more than 5 minutes in the future", parts: &[Past] }
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        word: "recommendation_order",
        layer: Layer::Core,
        title: "a recommendation is approved before it is executed",
        problem: "executed before it was approved",
        parts: &[Each { table: "recommendations", holds: "executed_at >= approved_at" }],
    },
    Rule {
        word: "optimization_order",
        layer: Layer::Core,
        title: "an optimisation starts before it is completed or rolled back",
        problem: "completed or rolled back before it started",
        parts: &[Each { table: "optimizations", holds: "completed_at >= started_at AND rolled_back_at >= started_at" }],
    },
    Rule {
        word: "optimization_customer",
        layer: Layer::Core,
        title: "an optimisation is for the customer of its recommendation",
        problem: "its recommendation is another customer's",
        parts: &[Same { table: "optimizations", reference: "recommendation_id", column: "customer_id" }],
    },
    in_the_past("core_future", Layer::Core, "no time of the core layer is more than 5 minutes in the future"),
    Rule {
        word: "agent_state_workflow",
        layer: Layer::AgentState,
        title: "the workflow that an agent has in hand is its own",
        problem: "its current workflow is another agent's",
        parts: &[Same { table: "agent_states", reference: "current_workflow_id", column: "agent_id" }],
    },
    Rule {
        word: "agent_metric_value",
        layer: Layer::AgentState,
        title: "the samples of the agents are finite, and counters not negative",
        problem: "is not a number, infinite, or a negative counter",
        parts: &[Each {
            table: "agent_metrics",
            holds: "metric_value > '-Infinity' AND metric_value < 'Infinity'
                AND (metric_type <> 'counter' OR metric_value >= 0)",
        }],
    },
    in_the_past(
        "agent_state_future",
        Layer::AgentState,
        "no time of the agent_state layer is more than 5 minutes in the future",
    ),
    Rule {
        word: "workflow_order",
        layer: Layer::WorkflowHistory,
        title: "a workflow and a step start before they are completed",
        problem: "completed before it started",
        parts: &[
            Each { table: "workflow_executions", holds: "completed_at >= started_at" },
            Each { table: "workflow_steps", holds: "completed_at >= started_at" },
        ],
    },
    Rule {
        word: "workflow_open_steps",
        layer: Layer::WorkflowHistory,
        title: "a completed workflow has no step that is still to run",
        problem: "completed with a step that is pending, running or retrying",
        parts: &[Among {
            table: "workflow_executions",
            reads: &["workflow_steps"],
            sql: "SELECT w.id FROM workflow_executions w
                WHERE w.status = 'completed' AND EXISTS (
                    SELECT FROM workflow_steps s
                    WHERE s.workflow_execution_id = w.id AND s.status IN ('pending', 'running', 'retrying'))",
            unique: None,
        }],
    },
    Rule {
        word: "step_numbers",
        layer: Layer::WorkflowHistory,
        title: "the steps of a workflow are numbered from 1 without a gap",
        problem: "the numbers of its steps have a gap or do not begin with 1",
        parts: &[Among {
            table: "workflow_executions",
            reads: &["workflow_steps"],
            sql: "SELECT workflow_execution_id AS id FROM workflow_steps GROUP BY workflow_execution_id
                HAVING min(step_order) <> 1 OR max(step_order) <> count(DISTINCT step_order)",
            unique: None,
        }],
    },
    Rule {
        word: "step_duplicates",
        layer: Layer::WorkflowHistory,
        title: "no two steps of a workflow have the same number",
        problem: "two of its steps have the same number",
        parts: &[Among {
            table: "workflow_executions",
            reads: &["workflow_steps"],
            sql: "SELECT workflow_execution_id AS id FROM workflow_steps GROUP BY workflow_execution_id
                HAVING count(DISTINCT step_order) <> count(*)",
            unique: Some(("workflow_steps", "uq_workflow_step_order", &["workflow_execution_id", "step_order"])),
        }],
    },
    Rule {
        word: "step_retries",
        layer: Layer::WorkflowHistory,
        title: "a step is retried no more often than it may be",
        problem: "retried more often than it may be, or a negative number of times",
        parts: &[Each { table: "workflow_steps", holds: "retry_count BETWEEN 0 AND max_retries" }],
    },
    Rule {
        word: "artifact_step",
        layer: Layer::WorkflowHistory,
        title: "the step that an artifact comes from belongs to the same workflow",
        problem: "its step belongs to another workflow",
        parts: &[Same { table: "workflow_artifacts", reference: "workflow_step_id", column: "workflow_execution_id" }],
    },
    Rule {
        word: "artifact_size",
        layer: Layer::WorkflowHistory,
        title: "the size of an artifact is not negative",
        problem: "has a negative size",
        parts: &[Each { table: "workflow_artifacts", holds: "artifact_size_bytes >= 0" }],
    },
    in_the_past(
        "workflow_history_future",
        Layer::WorkflowHistory,
        "no time of the workflow_history layer is more than 5 minutes in the future",
    ),
    Rule {
        word: "resource_metric_finite",
        layer: Layer::Resource,
        title: "the samples of the resources are finite",
        problem: "is not a number or infinite",
        parts: &[Each { table: "resource_metrics", holds: "metric_value > '-Infinity' AND metric_value < 'Infinity'" }],
    },
    Rule {
        word: "resource_metric_range",
        layer: Layer::Resource,
        title: "a GPU or CPU is used from 0 to 100 percent, and no quantity is negative",
        problem: "is out of the range of its unit",
        parts: &[Each {
            table: "resource_metrics",
            holds: "(unit <> 'percent' OR resource_type NOT IN ('gpu', 'cpu') OR metric_value BETWEEN 0 AND 100)
                AND (unit NOT IN ('GB', 'iops', 'Mbps') OR metric_value >= 0)",
        }],
    },
    Rule {
        word: "scaling_order",
        layer: Layer::Resource,
        title: "a scaling event begins before it is completed",
        problem: "completed before it was executed",
        parts: &[Each { table: "scaling_events", holds: "completed_at >= executed_at" }],
    },
    Rule {
        word: "scaling_customer",
        layer: Layer::Resource,
        title: "the workflow that led to a scaling event is the same customer's",
        problem: "its workflow is another customer's",
        parts: &[Same { table: "scaling_events", reference: "workflow_execution_id", column: "customer_id" }],
    },
    in_the_past(
        "resource_future",
        Layer::Resource,
        "no time of the resource layer is more than 5 minutes in the future",
    ),
    Rule {
        word: "quality_scores",
        layer: Layer::Application,
        title: "the scores of the answers and of the baselines are from 0 to 1",
        problem: "has a score that is not from 0 to 1",
        parts: &[
            Each {
                table: "quality_metrics",
                holds: "overall_quality_score BETWEEN 0 AND 1 AND relevance_score BETWEEN 0 AND 1
                    AND coherence_score BETWEEN 0 AND 1 AND factuality_score BETWEEN 0 AND 1
                    AND toxicity_score BETWEEN 0 AND 1",
            },
            Each {
                table: "quality_baselines",
                holds: "avg_overall_score BETWEEN 0 AND 1 AND avg_relevance_score BETWEEN 0 AND 1
                    AND avg_coherence_score BETWEEN 0 AND 1 AND avg_factuality_score BETWEEN 0 AND 1",
            },
        ],
    },
    Rule {
        word: "quality_latency",
        layer: Layer::Application,
        title: "latencies are finite and not negative",
        problem: "has a latency that is negative, not a number or infinite",
        parts: &[
            Each { table: "quality_metrics", holds: "latency_ms >= 0 AND latency_ms < 'Infinity'" },
            Each { table: "quality_baselines", holds: "p95_latency_ms >= 0 AND p95_latency_ms < 'Infinity'" },
        ],
    },
    Rule {
        word: "quality_tokens",
        layer: Layer::Application,
        title: "no number of tokens is negative",
        problem: "has a negative number of tokens",
        parts: &[Each { table: "quality_metrics", holds: "prompt_tokens >= 0 AND completion_tokens >= 0" }],
    },
    Rule {
        word: "sample_size",
        layer: Layer::Application,
        title: "a baseline and a regression rest on at least one answer",
        problem: "rests on no answer",
        parts: &[
            Each { table: "quality_baselines", holds: "sample_size > 0" },
            Each { table: "quality_regressions", holds: "sample_size > 0" },
        ],
    },
    Rule {
        word: "baseline_validity",
        layer: Layer::Application,
        title: "a baseline holds from when it was established",
        problem: "valid only until before it was established",
        parts: &[Each { table: "quality_baselines", holds: "valid_until >= established_at" }],
    },
    Rule {
        word: "regression_order",
        layer: Layer::Application,
        title: "a regression is detected before it is resolved",
        problem: "resolved before it was detected",
        parts: &[Each { table: "quality_regressions", holds: "resolved_at >= detected_at" }],
    },
    Rule {
        word: "regression_values",
        layer: Layer::Application,
        title: "the values of a regression are finite, and nothing falls by more than 100 percent",
        problem: "has a value that is not a number or infinite, or falls by more than 100 percent",
        parts: &[Each {
            table: "quality_regressions",
            holds: "baseline_value > '-Infinity' AND baseline_value < 'Infinity'
                AND current_value > '-Infinity' AND current_value < 'Infinity'
                AND delta_percent >= -100 AND delta_percent < 'Infinity'",
        }],
    },
    Rule {
        word: "regression_baseline",
        layer: Layer::Application,
        title: "the baseline of a regression is the same customer's",
        problem: "its baseline is another customer's",
        parts: &[Same { table: "quality_regressions", reference: "baseline_id", column: "customer_id" }],
    },
    Rule {
        word: "regression_workflow",
        layer: Layer::Application,
        title: "the workflow of a regression is the same customer's",
        problem: "its workflow is another customer's",
        parts: &[Same { table: "quality_regressions", reference: "workflow_execution_id", column: "customer_id" }],
    },
    in_the_past(
        "application_future",
        Layer::Application,
        "no time of the application layer is more than 5 minutes in the future",
    ),
];
