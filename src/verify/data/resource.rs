//! The seed of the resource layer: the listing of 0.2d part 2 and the questions that it asks of it.

use super::{COUNTS, Expectation, Fact, LayerSeed};
use crate::layer::Layer;

pub(super) const SEED: LayerSeed = LayerSeed {
    layer: Layer::Resource,
    marker: "resource_metrics",
    sql: include_str!("resource.sql"),
    also_reads: &["agents", "customers", "workflow_executions"],
    expectations: &[
        Expectation {
            word: "customer",
            source: "0.2d part 2",
            title: "the second customer of the listing is there",
            facts: &[("TechStart Inc", Fact::AtLeast(1))],
        },
        Expectation {
            word: "types",
            source: "0.2d part 2",
            title: "the documented instances have samples of all five resource types",
            facts: &[
                // Of these, 24 temperatures of the second and third instance are beyond the listing.
                ("gpu", Fact::AtLeast(78)),
                ("cpu", Fact::AtLeast(12)),
                ("memory", Fact::AtLeast(12)),
                ("disk", Fact::AtLeast(12)),
                ("network", Fact::AtLeast(12)),
            ],
        },
        Expectation {
            word: "instances",
            source: "0.2d part 2",
            title: "average GPU utilisation by instance, in percent",
            facts: &[
                // Twelve hours from 45 in steps of 3.5, from 55 in steps of 1.5, from 20 in steps of 0.5; six from 70
                // in steps of 2.
                ("i-0abc123def456", Fact::About(64.25)),
                ("i-0abc123def457", Fact::About(63.25)),
                ("i-0abc123def458", Fact::About(22.75)),
                ("i-techstart001", Fact::About(75.0)),
            ],
        },
        Expectation {
            word: "samples",
            source: "0.2d part 2",
            title: "samples of GPU utilisation by instance",
            facts: &[
                ("i-0abc123def456", Fact::AtLeast(12)),
                ("i-0abc123def457", Fact::AtLeast(12)),
                ("i-0abc123def458", Fact::AtLeast(12)),
                ("i-techstart001", Fact::AtLeast(6)),
            ],
        },
        Expectation {
            word: "latest_gpu",
            source: "0.2d part 2",
            title: "newest sample of GPU utilisation by instance, in percent",
            facts: &[
                ("i-0abc123def456", Fact::About(83.5)),
                ("i-0abc123def457", Fact::About(71.5)),
                ("i-0abc123def458", Fact::About(25.5)),
                ("i-techstart001", Fact::About(80.0)),
            ],
        },
        Expectation {
            word: "time_range",
            source: "0.2d part 2, troubleshooting 5",
            title: "a query over the last eleven hours of an instance finds its samples, an hour apart",
            facts: &[("samples", Fact::AtLeast(12)), ("hours from first to last", Fact::About(11.0))],
        },
        Expectation {
            word: "events",
            source: "0.2d part 2",
            title: "scaling events of all five types, and how many of them succeeded",
            facts: &[
                ("scale_up", Fact::AtLeast(3)),
                ("scale_up succeeded", Fact::AtLeast(2)),
                ("scale_down", Fact::AtLeast(2)),
                ("scale_down succeeded", Fact::AtLeast(2)),
                ("auto_scale_triggered", Fact::AtLeast(1)),
                ("auto_scale_triggered succeeded", Fact::AtLeast(1)),
                ("manual_scale", Fact::AtLeast(1)),
                ("manual_scale succeeded", Fact::AtLeast(1)),
                ("scale_cancelled", Fact::AtLeast(1)),
                ("scale_cancelled succeeded", Fact::AtLeast(1)),
            ],
        },
        Expectation {
            word: "outcomes",
            source: "0.2d part 2",
            title: "average duration of the documented scaling events, in minutes",
            facts: &[
                ("scale_up succeeded", Fact::About(10.0)),
                ("scale_up failed", Fact::About(2.0)),
                ("scale_down succeeded", Fact::About(7.5)),
                ("auto_scale_triggered succeeded", Fact::About(15.0)),
                ("manual_scale succeeded", Fact::About(10.0)),
                ("scale_cancelled succeeded", Fact::About(1.0)),
            ],
        },
        Expectation {
            word: "failed_event",
            source: "0.2d part 2",
            title: "of the documented scaling events exactly one failed, for want of capacity",
            facts: &[("failed", Fact::About(1.0)), ("scale_up", Fact::Is("InsufficientCapacity"))],
        },
        Expectation {
            word: "recent_event",
            source: "0.2d part 2",
            title: "the most recent of the documented scaling events took five minutes",
            facts: &[("type", Fact::Is("scale_up succeeded")), ("minutes", Fact::About(5.0))],
        },
        Expectation {
            word: "workflow",
            source: "0.2d part 2",
            title: "a scaling event is linked to the workflow that decided it",
            facts: &[("scale_up succeeded", Fact::Is("scaling_decision, completed"))],
        },
        Expectation {
            word: COUNTS,
            source: "0.2d part 2",
            title: "the tables hold the documented number of rows",
            facts: &[("resource_metrics", Fact::AtLeast(126)), ("scaling_events", Fact::AtLeast(8))],
        },
    ],
};
