//! The seed of the application layer, as 0.2e part 2 lists it.

use super::{COUNTS, Expectation, Fact, LayerSeed};
use crate::layer::Layer;

pub(super) const SEED: LayerSeed = LayerSeed {
    layer: Layer::Application,
    marker: "quality_baselines",
    sql: include_str!("application.sql"),
    also_reads: &["customers", "workflow_executions"],
    expectations: &[
        Expectation {
            word: "models",
            source: "0.2e part 2",
            title: "four models have quality metrics: two to four an hour over 24 hours",
            facts: &[
                ("gpt-4", Fact::AtLeast(48)),
                ("claude-3-opus", Fact::AtLeast(48)),
                ("llama-3-70b", Fact::AtLeast(48)),
                ("gpt-3.5-turbo", Fact::AtLeast(48)),
            ],
        },
        Expectation {
            word: "quality",
            source: "0.2e part 2",
            title: "average overall quality by model is a share of one",
            facts: &[
                ("gpt-4", Fact::Between(0.0, 1.0)),
                ("claude-3-opus", Fact::Between(0.0, 1.0)),
                ("llama-3-70b", Fact::Between(0.0, 1.0)),
                ("gpt-3.5-turbo", Fact::Between(0.0, 1.0)),
            ],
        },
        Expectation {
            word: "second_customer",
            source: "0.2e part 2",
            title: "the second customer has quality metrics of its own",
            facts: &[("TechStart Inc", Fact::AtLeast(10))],
        },
        Expectation {
            word: "baselines",
            source: "0.2e part 2",
            title: "baselines of all three types",
            facts: &[("initial", Fact::AtLeast(5)), ("updated", Fact::AtLeast(1)), ("rollback", Fact::AtLeast(1))],
        },
        Expectation {
            word: "regressions",
            source: "0.2e part 2",
            title: "the documented regressions, five resolved and one open",
            facts: &[
                ("critical quality_drop, resolved", Fact::AtLeast(1)),
                ("high latency_increase, resolved", Fact::AtLeast(1)),
                ("medium hallucination_spike, resolved", Fact::AtLeast(1)),
                ("low quality_drop, resolved", Fact::AtLeast(1)),
                ("medium toxicity_increase, open", Fact::AtLeast(1)),
                ("high quality_drop, resolved", Fact::AtLeast(1)),
            ],
        },
        Expectation {
            word: "unresolved",
            source: "0.2e part 2",
            title: "at least one regression is unresolved",
            facts: &[("unresolved", Fact::AtLeast(1))],
        },
        Expectation {
            word: "workflow",
            source: "0.2e part 2",
            title: "a regression is linked to the workflow that caused it",
            facts: &[("critical quality_drop", Fact::Is("configuration_update, completed"))],
        },
        Expectation {
            word: COUNTS,
            source: "0.2e part 2",
            title: "the tables hold the documented number of rows",
            facts: &[
                ("quality_metrics", Fact::AtLeast(240)),
                ("quality_baselines", Fact::AtLeast(7)),
                ("quality_regressions", Fact::AtLeast(6)),
            ],
        },
    ],
};
