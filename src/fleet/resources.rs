//! The instances of a fleet: what they are used for, and the decisions to add or take away some.
//!
//! A customer's load is shared by the instances in service. Saturation leads to a scale-up, or to a failed or
//! cancelled one where there is nothing left to add; quiet hours lead to a scale-down; some instances idle from the
//! beginning, and where the customer consolidates they go after a while. Nothing here knows of a database.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::Fleet;
use super::load::Load;
use super::numbers::{Member, Turns};
use crate::enums::{ResourceType, ScalingEventType};
use crate::ingest::ids::sample_id_of;
use crate::models::{NewResourceMetric, NewScalingEvent};
use crate::seed::random::Random;
use crate::seed::{ids, two_decimals};

/// Percent above which instances are saturated, and below which they are too many.
const SATURATED: f64 = 85.0;
const QUIET: f64 = 30.0;
/// How long either has to last, and how long a decision is left to work.
const SATURATED_FOR: TimeDelta = TimeDelta::minutes(15);
const QUIET_FOR: TimeDelta = TimeDelta::hours(1);
const COOL_DOWN: TimeDelta = TimeDelta::minutes(30);
/// How long an instance idles before it is consolidated away.
const IDLE_FOR: TimeDelta = TimeDelta::hours(2);
/// Dollars an hour for one instance.
const COST: f64 = 10.0;

/// A fleet's instances as time goes by.
pub(super) struct Resources<'a> {
    fleet: &'a Fleet,
    customers: Vec<Customer>,
    pub(super) turns: Turns<'a>,
    /// The decisions so far, in the order of time.
    pub(super) decisions: Vec<NewScalingEvent>,
}

struct Customer {
    member: Member,
    random: Random,
    load: Load,
    /// Instances that share the load, from the first; those behind them are in reserve.
    in_service: u32,
    /// The most and the fewest that ever do.
    capacity: u32,
    floor: u32,
    /// Instances that do nothing and are paid for.
    idle: u32,
    consolidates: bool,
    predictive: bool,
    /// What the noise of each instance was at the last tick.
    noise: Vec<f64>,
    saturated: TimeDelta,
    quiet: TimeDelta,
    rest: TimeDelta,
}

/// A decision before it is a row.
struct Decision {
    event: ScalingEventType,
    reason: String,
    after: u32,
    idle_after: u32,
    error: Option<serde_json::Value>,
}

impl<'a> Resources<'a> {
    pub(super) fn new(fleet: &'a Fleet) -> Self {
        let customers: Vec<_> = fleet.members().map(|member| Customer::new(fleet, member)).collect();
        Self { fleet, turns: Turns::new(fleet, customers.len()), customers, decisions: Vec::new() }
    }

    /// The samples of the next customer at this tick; at the end of a tick the next one begins. `None` at the end.
    pub(super) fn advance(&mut self) -> Option<Vec<NewResourceMetric>> {
        let (turn, time) = self.turns.next()?;
        let customer = self.customers.get_mut(turn)?;
        let load = customer.load.at(time, self.fleet.interval(), &mut customer.random);
        let used = customer.utilization(load);
        let samples = customer.samples(self.fleet, time, used);
        if let Some(decision) = customer.decide(self.fleet, time, used) {
            self.decisions.push(customer.carry_out(self.fleet, time, used, decision));
        }
        Some(samples)
    }
}

impl Customer {
    fn new(fleet: &Fleet, member: Member) -> Self {
        let mut random = Random::stream(fleet.rng_seed, u64::from(member.number) * 2);
        let instances = u32::from(fleet.instances);
        let idle = if instances >= 4 { (instances / 10).max(1) } else { 0 };
        let capacity = instances - idle;
        Self {
            load: Load::new(&mut random),
            in_service: (capacity * 3 / 5).max(1).min(capacity),
            capacity,
            floor: (capacity * 2 / 5).max(1),
            idle,
            consolidates: random.chance(0.5),
            predictive: random.chance(0.4),
            noise: vec![0.0; usize::from(fleet.instances)],
            saturated: TimeDelta::zero(),
            quiet: TimeDelta::zero(),
            rest: TimeDelta::zero(),
            member,
            random,
        }
    }

    /// Percent that the instances in service are used on average. Laid out for three fifths of the capacity.
    fn utilization(&self, load: f64) -> f64 {
        let laid_out_for = f64::from((self.capacity * 3 / 5).max(1));
        (load * 80.0 * laid_out_for / f64::from(self.in_service)).min(100.0)
    }

    fn samples(&mut self, fleet: &Fleet, time: DateTime<Utc>, used: f64) -> Vec<NewResourceMetric> {
        let mut samples = Vec::with_capacity((self.in_service + self.idle) as usize * 3);
        for instance in 0..self.in_service {
            let percent = self.with_noise(instance, used);
            self.sample(fleet, time, instance, percent, &mut samples);
        }
        // The idle ones stand at the end of the list, so that scaling never reaches them.
        for instance in self.capacity..self.capacity + self.idle {
            let percent = self.random.between(1.0, 6.0);
            self.sample(fleet, time, instance, percent, &mut samples);
        }
        samples
    }

    /// Noise that remembers: an instance that is busier than the others stays so for a while.
    fn with_noise(&mut self, instance: u32, used: f64) -> f64 {
        let fresh = self.random.around_zero(2.5);
        let Some(noise) = self.noise.get_mut(instance as usize) else { return used };
        *noise = *noise * 0.8 + fresh;
        (used + *noise).clamp(0.0, 100.0)
    }

    /// Three series an instance: two in three have a GPU, the others do not.
    fn sample(
        &mut self,
        fleet: &Fleet,
        time: DateTime<Utc>,
        instance: u32,
        percent: f64,
        samples: &mut Vec<NewResourceMetric>,
    ) {
        use ResourceType::{Cpu, Gpu, Memory, Network};
        let of_gpu = instance % 3 != 2;
        let jitter = self.random.around_zero(0.8);
        let (facts, memory_gb) = match (of_gpu, instance % 2) {
            (true, 0) => (json!({"gpu_model": "NVIDIA H100"}), 80.0),
            (true, _) => (json!({"gpu_model": "NVIDIA A100"}), 40.0),
            (false, _) => (json!({"cpu_cores": 32}), 128.0),
        };
        let memory = ("used", Memory, "GB", memory_gb * (0.25 + percent * 0.0065));
        let series = if of_gpu {
            [
                ("utilization", Gpu, "percent", percent),
                ("temperature", Gpu, "celsius", 36.0 + percent * 0.45 + jitter),
                memory,
            ]
        } else {
            [
                ("utilization", Cpu, "percent", percent),
                memory,
                ("bandwidth_in", Network, "Mbps", 120.0 + percent * 34.0 + jitter),
            ]
        };
        let instance_id = format!("i-{}{instance:04}", self.member.word);
        samples.extend(series.into_iter().map(|(metric, resource, unit, value)| {
            NewResourceMetric::builder()
                .id(sample_id_of(time, format!("{}/{instance_id}/{resource}/{metric}", fleet.rng_seed).as_bytes()))
                .agent_id(ids::RESOURCE_AGENT)
                .customer_id(self.member.id)
                .instance_id(instance_id.clone())
                .resource_type(resource)
                .metric_name(metric)
                .metric_value(two_decimals(value))
                .unit(unit)
                .timestamp(time)
                .metadata(facts.clone())
                .created_at(time)
                .build()
        }));
    }

    fn decide(&mut self, fleet: &Fleet, time: DateTime<Utc>, used: f64) -> Option<Decision> {
        let add = |sum: TimeDelta, holds: bool| if holds { sum + fleet.interval() } else { TimeDelta::zero() };
        self.saturated = add(self.saturated, used > SATURATED);
        self.quiet = add(self.quiet, used < QUIET && self.in_service > self.floor);
        self.rest += fleet.interval();
        if self.rest < COOL_DOWN {
            return None;
        }
        if self.saturated >= SATURATED_FOR {
            return Some(self.scale_up(used));
        }
        if self.quiet >= QUIET_FOR {
            let after = (self.in_service * 3 / 4).max(self.floor);
            let reason = format!("average utilization at {used:.0}% for an hour");
            return Some(self.decision(ScalingEventType::ScaleDown, reason, after));
        }
        if self.consolidates && self.idle > 0 && time - fleet.begin() >= IDLE_FOR {
            let reason = format!("{} idle for 2 hours", crate::error::plural(self.idle as usize, "instance"));
            let decision = self.decision(ScalingEventType::ScaleDown, reason, self.in_service);
            return Some(Decision { idle_after: 0, ..decision });
        }
        let a_day = fleet.interval().as_seconds_f64() / 86_400.0;
        if self.in_service < self.capacity && self.random.chance(a_day / 4.0) {
            let reason = "requested for a deployment".to_owned();
            return Some(self.decision(ScalingEventType::ManualScale, reason, self.in_service + 1));
        }
        None
    }

    fn scale_up(&mut self, used: f64) -> Decision {
        let reason = format!("average utilization at {used:.0}% for 15 minutes");
        if self.in_service < self.capacity {
            let event = if self.predictive { ScalingEventType::AutoScaleTriggered } else { ScalingEventType::ScaleUp };
            let after = (self.in_service + (self.in_service / 2).max(1)).min(self.capacity);
            return self.decision(event, reason, after);
        }
        let after = self.in_service;
        if self.random.chance(0.5) {
            return self.decision(ScalingEventType::ScaleCancelled, reason, after);
        }
        let error = json!({"error_type": "InsufficientCapacity", "attempted": after + 1});
        Decision { error: Some(error), ..self.decision(ScalingEventType::ScaleUp, reason, after) }
    }

    fn decision(&self, event: ScalingEventType, reason: String, after: u32) -> Decision {
        Decision { event, reason, after, idle_after: self.idle, error: None }
    }

    fn carry_out(&mut self, fleet: &Fleet, time: DateTime<Utc>, used: f64, decision: Decision) -> NewScalingEvent {
        let before = self.in_service;
        let state = |in_service: u32, idle: u32, used: f64| {
            let cost = f64::from(in_service + idle) * COST;
            json!({
                "instance_count": in_service + idle,
                "avg_utilization": two_decimals(used),
                "cost_per_hour": cost,
            })
        };
        let before_state = state(before, self.idle, used);
        let used_after = (used * f64::from(before) / f64::from(decision.after)).min(100.0);
        let after_state = state(decision.after, decision.idle_after, used_after);
        (self.in_service, self.idle) = (decision.after, decision.idle_after);
        (self.saturated, self.quiet, self.rest) = (TimeDelta::zero(), TimeDelta::zero(), TimeDelta::zero());
        let seconds = self.random.whole(60, 900);
        NewScalingEvent::builder()
            .id(self.decision_id(time))
            .agent_id(ids::RESOURCE_AGENT)
            .customer_id(self.member.id)
            .event_type(decision.event)
            .trigger_reason(decision.reason)
            .before_state(before_state)
            .after_state(after_state)
            .success(decision.error.is_none())
            .maybe_error_details(decision.error)
            .executed_at(time)
            .completed_at(time + TimeDelta::seconds(i64::from(seconds)).min(fleet.at - time))
            .metadata(json!({"scaling_policy": if self.predictive { "predictive" } else { "reactive" }}))
            .created_at(time)
            .updated_at(time)
            .build()
    }

    fn decision_id(&self, time: DateTime<Utc>) -> Uuid {
        ids::of("scaling_events", &format!("{}/{}", self.member.id, time.timestamp_micros()))
    }
}
