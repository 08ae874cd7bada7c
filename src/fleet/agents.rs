//! What the agents that watch a fleet say of their own work. Nothing here knows of a database.

use serde_json::json;

use super::Fleet;
use super::numbers::Turns;
use crate::enums::MetricType;
use crate::ingest::ids::sample_id_of;
use crate::models::NewAgentMetric;
use crate::seed::random::Random;
use crate::seed::{ids, two_decimals};

/// The stream that no customer has: theirs count from zero.
const STREAM: u64 = u64::MAX >> 1;

/// The agents' own samples as time goes by.
pub(super) struct Agents<'a> {
    fleet: &'a Fleet,
    random: Random,
    pub(super) turns: Turns<'a>,
    collected: f64,
}

impl<'a> Agents<'a> {
    pub(super) fn new(fleet: &'a Fleet) -> Self {
        Self { fleet, random: Random::stream(fleet.rng_seed, STREAM), turns: Turns::new(fleet, 1), collected: 0.0 }
    }

    /// The samples of the next tick; `None` at the end.
    pub(super) fn advance(&mut self) -> Option<Vec<NewAgentMetric>> {
        let (_, time) = self.turns.next()?;
        self.collected += f64::from(self.fleet.customers) * f64::from(self.fleet.instances);
        let cycle_ms = self.random.between(40.0, 90.0) + self.collected.min(50.0);
        let series = [
            (ids::RESOURCE_AGENT, "instances_sampled_total", MetricType::Counter, self.collected),
            (ids::RESOURCE_AGENT, "collection_cycle_ms", MetricType::Gauge, two_decimals(cycle_ms)),
            (ids::APPLICATION_AGENT, "judge_queue_length", MetricType::Gauge, f64::from(self.random.whole(0, 12))),
        ];
        let samples = series.into_iter().map(|(agent, name, kind, value)| {
            NewAgentMetric::builder()
                .id(sample_id_of(time, format!("{}/{agent}/{name}", self.fleet.rng_seed).as_bytes()))
                .agent_id(agent)
                .metric_name(name)
                .metric_value(value)
                .metric_type(kind)
                .tags(json!({"fleet": self.fleet.rng_seed}))
                .recorded_at(time)
                .build()
        });
        Some(samples.collect())
    }
}
