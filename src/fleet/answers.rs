//! The answers of a fleet's models: how good they are, and the incidents in which one gets worse for a while.
//!
//! A regression is found, not made up: during an incident the answers of each hour are measured against the model's
//! baseline, and what falls short is written down with the figures measured. Nothing here knows of a database.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::Fleet;
use super::load::Load;
use super::numbers::{Member, Turns};
use crate::enums::{BaselineType, RegressionAction, RegressionSeverity, RegressionType};
use crate::ingest::ids::sample_id_of;
use crate::models::{NewQualityBaseline, NewQualityMetric, NewQualityRegression};
use crate::seed::random::Random;
use crate::seed::{ids, two_decimals};

/// Name, version, quality and latency in milliseconds of a model at its best.
const MODELS: [(&str, &str, f64, f64); 3] = [
    ("gpt-4", "0314", 0.89, 1100.0),
    ("claude-3-opus", "20240229", 0.91, 900.0),
    ("llama-3-70b", "instruct", 0.83, 650.0),
];

/// What an hour of answers is measured by.
const WINDOW: TimeDelta = TimeDelta::hours(1);
/// An hour with fewer answers proves nothing.
const ENOUGH: u32 = 4;
/// Share of the answers in which something is made up, and how toxic they are, when all is well.
const HALLUCINATIONS: f64 = 0.02;
const TOXICITY: f64 = 0.02;

/// A fleet's answers as time goes by.
pub(super) struct Answers<'a> {
    fleet: &'a Fleet,
    services: Vec<Service>,
    pub(super) turns: Turns<'a>,
    /// The regressions found so far, in the order of detection.
    pub(super) regressions: Vec<NewQualityRegression>,
}

/// One model that answers for one customer.
struct Service {
    member: Member,
    model: (&'static str, &'static str, f64, f64),
    random: Random,
    load: Load,
    incident: Option<Incident>,
    window: Window,
    /// Where its regression stands in the list, once found.
    found: Option<usize>,
}

/// A time in which one aspect of a model's answers gets worse.
struct Incident {
    aspect: RegressionType,
    begin: DateTime<Utc>,
    /// How long it takes to be as bad as it gets.
    drift: TimeDelta,
    /// `None` for one that nobody has resolved yet.
    end: Option<DateTime<Utc>>,
    /// How bad it gets, 0 to 1.
    depth: f64,
}

/// Sums over the answers since the window began.
#[derive(Default)]
struct Window {
    begin: Option<DateTime<Utc>>,
    count: u32,
    quality: f64,
    latency: f64,
    hallucinations: u32,
    toxicity: f64,
}

impl<'a> Answers<'a> {
    pub(super) fn new(fleet: &'a Fleet) -> Self {
        let models = || (0u64..).zip(MODELS);
        let services: Vec<_> = fleet
            .members()
            .flat_map(|member| models().map(move |(number, model)| Service::new(fleet, member.clone(), number, model)))
            .collect();
        Self { fleet, turns: Turns::new(fleet, services.len()), services, regressions: Vec::new() }
    }

    /// The baselines that the answers are measured against, established when the fleet began.
    pub(super) fn baselines(&self) -> Vec<NewQualityBaseline> {
        self.services.iter().map(|service| service.baseline(self.fleet)).collect()
    }

    /// The answers of the next model at this tick; at the end of a tick the next one begins. `None` at the end.
    pub(super) fn advance(&mut self) -> Option<Vec<NewQualityMetric>> {
        let (turn, time) = self.turns.next()?;
        let service = self.services.get_mut(turn)?;
        let answers = service.answers(self.fleet, self.turns.tick, time);
        service.watch(self.fleet, time, &mut self.regressions);
        Some(answers)
    }
}

impl Service {
    fn new(fleet: &Fleet, member: Member, number: u64, model: (&'static str, &'static str, f64, f64)) -> Self {
        // The even streams are the customers' instances.
        let stream = (u64::from(member.number) * MODELS.len() as u64 + number) * 2 + 1;
        let mut random = Random::stream(fleet.rng_seed, stream);
        Self {
            load: Load::new(&mut random),
            incident: random.chance(0.3).then(|| Incident::new(fleet, &mut random)),
            window: Window::default(),
            found: None,
            member,
            model,
            random,
        }
    }

    fn baseline_id(&self) -> Uuid {
        ids::of("quality_baselines", &format!("{} {} fleet", self.member.id, self.model.0))
    }

    fn baseline(&self, fleet: &Fleet) -> NewQualityBaseline {
        let (name, version, quality, latency) = self.model;
        NewQualityBaseline::builder()
            .id(self.baseline_id())
            .agent_id(ids::APPLICATION_AGENT)
            .customer_id(self.member.id)
            .model_name(name)
            .model_version(version)
            .baseline_type(BaselineType::Initial)
            .sample_size(500)
            .avg_relevance_score(quality)
            .avg_coherence_score(quality)
            .avg_factuality_score(quality)
            .avg_overall_score(quality)
            .p95_latency_ms(two_decimals(latency * 1.4))
            .established_at(fleet.begin())
            .created_at(fleet.begin())
            .metadata(json!({}))
            .build()
    }

    /// As many as the load brings, up to two in a tick: a sample of the requests, as judges take it.
    fn answers(&mut self, fleet: &Fleet, tick: u32, time: DateTime<Utc>) -> Vec<NewQualityMetric> {
        let load = self.load.at(time, fleet.interval(), &mut self.random);
        let mut answers = Vec::new();
        for number in 0..2 {
            if self.random.chance(load.min(1.0) * 0.5) {
                answers.push(self.answer(fleet, time, &format!("{tick}-{number}")));
            }
        }
        answers
    }

    fn answer(&mut self, fleet: &Fleet, time: DateTime<Utc>, key: &str) -> NewQualityMetric {
        let (name, version, quality, latency) = self.model;
        let worse = |aspect| self.incident.as_ref().map_or(0.0, |incident| incident.worse(aspect, time));
        let quality = quality * (1.0 - worse(RegressionType::QualityDrop));
        let latency = latency * (1.0 + 4.0 * worse(RegressionType::LatencyIncrease));
        let made_up = HALLUCINATIONS + worse(RegressionType::HallucinationSpike);
        let toxicity = TOXICITY + worse(RegressionType::ToxicityIncrease);

        let random = &mut self.random;
        let mut score = |middle: f64| two_decimals((middle + random.around_zero(0.02)).clamp(0.0, 1.0));
        let (relevance, coherence, mut factuality) = (score(quality), score(quality), score(quality));
        let toxicity = score(toxicity);
        let hallucination = random.chance(made_up);
        if hallucination {
            factuality = two_decimals(factuality * 0.6);
        }
        let latency = two_decimals((latency * (1.0 + random.around_zero(0.15))).max(1.0));
        let overall = two_decimals((relevance + coherence + factuality) / 3.0);
        let (prompt_tokens, completion_tokens) = (random.whole(50, 2000), random.whole(20, 900));
        let user = random.whole(1, 200);
        self.window.add(time, overall, latency, hallucination, toxicity);

        let request_id = format!("fleet-{}-{name}-{key}", self.member.word);
        NewQualityMetric::builder()
            .id(sample_id_of(time, format!("{}/{request_id}", fleet.rng_seed).as_bytes()))
            .agent_id(ids::APPLICATION_AGENT)
            .customer_id(self.member.id)
            .request_id(request_id)
            .model_name(name)
            .model_version(version)
            .prompt_tokens(prompt_tokens.cast_signed())
            .completion_tokens(completion_tokens.cast_signed())
            .latency_ms(latency)
            .relevance_score(relevance)
            .coherence_score(coherence)
            .factuality_score(factuality)
            .hallucination_detected(hallucination)
            .toxicity_score(toxicity)
            .overall_quality_score(overall)
            .timestamp(time)
            .metadata(json!({"user_id": format!("user_{user}")}))
            .created_at(time)
            .build()
    }

    /// Measures the hour that has passed; writes down a regression once, and its end when it is over.
    fn watch(&mut self, fleet: &Fleet, time: DateTime<Utc>, regressions: &mut Vec<NewQualityRegression>) {
        let Some(incident) = &self.incident else { return };
        if let (Some(found), Some(end)) = (self.found, incident.end.filter(|end| *end <= time)) {
            if let Some(regression) = regressions.get_mut(found) {
                regression.resolved_at = Some(end.max(regression.detected_at));
                regression.resolution_notes = Some("went back to the configuration before".to_owned());
                regression.action_taken = RegressionAction::RollbackTriggered;
            }
            self.incident = None;
            return;
        }
        let Some(window) = self.window.close(time) else { return };
        if self.found.is_some() {
            return;
        }
        if let Some(regression) = self.regression(fleet, time, &window) {
            self.found = Some(regressions.len());
            regressions.push(regression);
        }
    }

    fn regression(&self, fleet: &Fleet, time: DateTime<Utc>, window: &Window) -> Option<NewQualityRegression> {
        let (_, _, quality, latency) = self.model;
        let aspect = self.incident.as_ref()?.aspect;
        let count = f64::from(window.count);
        let (metric, baseline, current) = match aspect {
            RegressionType::QualityDrop => ("overall_quality_score", quality, window.quality / count),
            RegressionType::LatencyIncrease => ("latency_ms", latency, window.latency / count),
            RegressionType::HallucinationSpike => {
                ("hallucination_rate", HALLUCINATIONS, f64::from(window.hallucinations) / count)
            }
            RegressionType::ToxicityIncrease => ("toxicity_score", TOXICITY, window.toxicity / count),
        };
        let current = two_decimals(current);
        let delta = two_decimals((current - baseline) / baseline * 100.0);
        let severity = severity(aspect, delta)?;
        Some(
            NewQualityRegression::builder()
                .id(ids::of("quality_regressions", &format!("{}/{}", self.baseline_id(), fleet.rng_seed)))
                .agent_id(ids::APPLICATION_AGENT)
                .customer_id(self.member.id)
                .baseline_id(self.baseline_id())
                .regression_type(aspect)
                .severity(severity)
                .detected_at(time)
                .metric_name(metric)
                .baseline_value(baseline)
                .current_value(current)
                .delta_percent(delta)
                .sample_size(window.count.cast_signed())
                .action_taken(RegressionAction::AlertOnly)
                .metadata(json!({}))
                .created_at(time)
                .updated_at(time)
                .build(),
        )
    }
}

impl Incident {
    fn new(fleet: &Fleet, random: &mut Random) -> Self {
        let whole = fleet.at - fleet.begin();
        let share = |random: &mut Random, low, high| whole * random.whole(low, high).cast_signed() / 100;
        let aspect = match random.whole(1, 4) {
            1 => RegressionType::QualityDrop,
            2 => RegressionType::LatencyIncrease,
            3 => RegressionType::HallucinationSpike,
            _ => RegressionType::ToxicityIncrease,
        };
        let begin = fleet.begin() + share(random, 15, 60);
        let drift = share(random, 2, 10);
        let lasts = drift + share(random, 10, 25);
        let resolved = random.chance(0.7);
        Self { aspect, begin, drift, end: resolved.then(|| begin + lasts), depth: random.between(0.1, 0.3) }
    }

    /// How much worse an aspect is at a time, 0 to 1: it grows until the drift is over.
    fn worse(&self, aspect: RegressionType, time: DateTime<Utc>) -> f64 {
        if aspect != self.aspect || time < self.begin || self.end.is_some_and(|end| time >= end) {
            return 0.0;
        }
        let drifted = (time - self.begin).as_seconds_f64() / self.drift.as_seconds_f64().max(1.0);
        self.depth * drifted.min(1.0)
    }
}

impl Window {
    fn add(&mut self, time: DateTime<Utc>, quality: f64, latency: f64, hallucination: bool, toxicity: f64) {
        self.begin.get_or_insert(time);
        self.count += 1;
        self.quality += quality;
        self.latency += latency;
        self.hallucinations += u32::from(hallucination);
        self.toxicity += toxicity;
    }

    /// The window, when it is old and full enough; a new one begins then.
    fn close(&mut self, time: DateTime<Utc>) -> Option<Self> {
        let old = self.begin.is_some_and(|begin| time - begin >= WINDOW);
        (old && self.count >= ENOUGH).then(|| std::mem::take(self))
    }
}

/// How serious a change of so many percent is; `None` when it is none.
fn severity(aspect: RegressionType, delta_percent: f64) -> Option<RegressionSeverity> {
    let (worse, steps) = match aspect {
        RegressionType::QualityDrop => (-delta_percent, [5.0, 10.0, 15.0, 25.0]),
        RegressionType::LatencyIncrease => (delta_percent, [20.0, 40.0, 80.0, 120.0]),
        RegressionType::HallucinationSpike | RegressionType::ToxicityIncrease => {
            (delta_percent, [300.0, 600.0, 1000.0, 1500.0])
        }
    };
    let passed = steps.iter().filter(|step| worse >= **step).count();
    passed.checked_sub(1).and_then(|step| RegressionSeverity::ALL.get(step)).copied()
}
