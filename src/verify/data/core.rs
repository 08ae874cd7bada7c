//! The seed of the core layer, as 0.2a describes it.

use super::{COUNTS, Expectation, Fact, LayerSeed};
use crate::layer::Layer;

pub(super) const SEED: LayerSeed = LayerSeed {
    layer: Layer::Core,
    marker: "customers",
    sql: include_str!("core.sql"),
    also_reads: &[],
    expectations: &[
        Expectation {
            word: "customers",
            source: "0.2a",
            title: "the customers have their e-mail addresses and plans",
            facts: &[
                ("Acme Corp", Fact::Is("admin@acme.com, enterprise")),
                ("StartupCo", Fact::Is("founder@startup.co, startup")),
                ("Demo Customer", Fact::Is("demo@example.com, free")),
            ],
        },
        Expectation {
            word: "agents",
            source: "0.2a",
            title: "the five agents are registered and healthy",
            facts: &[
                ("orchestrator-main", Fact::Is("orchestrator, healthy")),
                ("cost-agent-1", Fact::Is("cost, healthy")),
                ("performance-agent-1", Fact::Is("performance, healthy")),
                ("resource-agent-1", Fact::Is("resource, healthy")),
                ("application-agent-1", Fact::Is("application, healthy")),
            ],
        },
        Expectation {
            word: COUNTS,
            source: "0.2a",
            title: "the tables hold the documented number of rows",
            facts: &[
                ("customers", Fact::AtLeast(3)),
                ("agents", Fact::AtLeast(5)),
                ("events", Fact::AtLeast(3)),
                ("recommendations", Fact::AtLeast(3)),
            ],
        },
    ],
};
