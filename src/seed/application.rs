//! The samples of the application layer: a day of judged answers of four models. (0.2e) As a file they would be several
//! times as long as what makes them.
//!
//! The answers come from one fixed random stream, so their values are the same everywhere and at every anchor; only
//! their times move. The order of the draws is part of the data: a draw more or less changes all that follow.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::random::Random;
use super::{ago, ids};
use crate::models::NewQualityMetric;

/// A model, and what its answers are like.
struct Model {
    name: &'static str,
    version: &'static str,
    /// What the scores vary around.
    relevance: f64,
    coherence: f64,
    factuality: f64,
    /// Milliseconds.
    latency: (f64, f64),
}

const GPT_4: Model = Model {
    name: "gpt-4",
    version: "0314",
    relevance: 0.88,
    coherence: 0.91,
    factuality: 0.86,
    latency: (800.0, 1500.0),
};

const CLAUDE_3_OPUS: Model = Model {
    name: "claude-3-opus",
    version: "20240229",
    relevance: 0.90,
    coherence: 0.93,
    factuality: 0.89,
    latency: (600.0, 1200.0),
};

const LLAMA_3_70B: Model = Model {
    name: "llama-3-70b",
    version: "instruct",
    relevance: 0.82,
    coherence: 0.85,
    factuality: 0.80,
    latency: (400.0, 900.0),
};

const GPT_3_5_TURBO: Model = Model {
    name: "gpt-3.5-turbo",
    version: "0125",
    relevance: 0.78,
    coherence: 0.82,
    factuality: 0.75,
    latency: (400.0, 900.0),
};

const MODELS: [Model; 4] = [GPT_4, CLAUDE_3_OPUS, LLAMA_3_70B, GPT_3_5_TURBO];

/// The answers, in the order of the draws.
pub(super) fn metrics(at: DateTime<Utc>) -> Vec<NewQualityMetric> {
    let mut random = Random::new();
    let mut metrics = Vec::new();
    for model in &MODELS {
        for hour in 0..24 {
            for i in 0..random.whole(2, 4) {
                metrics.push(acme_metric(at, &mut random, model, hour, i));
            }
        }
    }
    metrics.extend((0..10).map(|i| techstart_metric(at, &mut random, i)));
    metrics
}

/// An answer to Acme Corp: the `i`-th of the hour, each a quarter of an hour after the one before.
fn acme_metric(at: DateTime<Utc>, random: &mut Random, model: &Model, hour: u32, i: u32) -> NewQualityMetric {
    // The document begins the last hour at the anchor itself, so that its later answers lie in the future. All hours
    // stand one earlier here: the day ends a quarter of an hour before the anchor.
    let start = ago(at, TimeDelta::hours(i64::from(24 - hour)));
    let timestamp = ago(at, TimeDelta::hours(i64::from(24 - hour)) - TimeDelta::minutes(i64::from(15 * i)));

    let relevance = around(random, model.relevance);
    let coherence = around(random, model.coherence);
    let factuality = around(random, model.factuality);
    let hallucination = random.chance(0.03);
    let factuality = if hallucination { (factuality - 0.3).max(0.5) } else { factuality };
    let latency = random.between(model.latency.0, model.latency.1);
    let (prompt_tokens, completion_tokens) = (random.whole(50, 500), random.whole(100, 800));
    let toxicity = random.between(0.0, 0.05);
    let (user, session) = (random.whole(1, 10), random.whole(1, 50));

    NewQualityMetric::builder()
        .id(ids::of("quality_metrics", &format!("{} {hour:02} {i:02}", model.name)))
        .agent_id(ids::APPLICATION_AGENT)
        .customer_id(ids::ACME)
        .request_id(format!("req-{}-{hour:02}-{i:02}-{}", model.name, start.format("%Y%m%d%H%M")))
        .model_name(model.name)
        .model_version(model.version)
        .prompt_tokens(prompt_tokens.cast_signed())
        .completion_tokens(completion_tokens.cast_signed())
        .latency_ms(latency)
        .relevance_score(relevance)
        .coherence_score(coherence)
        .factuality_score(factuality)
        .hallucination_detected(hallucination)
        .toxicity_score(toxicity)
        .overall_quality_score((relevance + coherence + factuality) / 3.0)
        .timestamp(timestamp)
        .metadata(json!({
            "user_id": format!("user_{user}"),
            "session_id": format!("session_{session}"),
            "endpoint": "/api/chat/completions",
        }))
        .build()
}

fn techstart_metric(at: DateTime<Utc>, random: &mut Random, i: u32) -> NewQualityMetric {
    let timestamp = ago(at, TimeDelta::hours(i64::from(random.whole(0, 12))));
    let (prompt_tokens, completion_tokens) = (random.whole(100, 400), random.whole(200, 600));
    NewQualityMetric::builder()
        .id(ids::of("quality_metrics", &format!("techstart {i:03}")))
        .agent_id(ids::APPLICATION_AGENT)
        .customer_id(ids::techstart())
        .request_id(format!("req-techstart-{i:03}-{}", timestamp.format("%Y%m%d%H%M")))
        .model_name(GPT_4.name)
        .model_version(GPT_4.version)
        .prompt_tokens(prompt_tokens.cast_signed())
        .completion_tokens(completion_tokens.cast_signed())
        .latency_ms(random.between(700.0, 1300.0))
        .relevance_score(random.between(0.85, 0.95))
        .coherence_score(random.between(0.88, 0.95))
        .factuality_score(random.between(0.83, 0.92))
        .hallucination_detected(false)
        .toxicity_score(random.between(0.0, 0.03))
        .overall_quality_score(random.between(0.85, 0.93))
        .timestamp(timestamp)
        .metadata(json!({"customer": "techstart"}))
        .build()
}

/// A score near a middle.
fn around(random: &mut Random, middle: f64) -> f64 {
    (middle + random.between(-0.05, 0.05)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::layer::Layer;
    use crate::models::{NewQualityBaseline, NewQualityRegression};
    use crate::seed::records;

    const AT: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn baselines() -> Vec<NewQualityBaseline> {
        records::table(Layer::Application, "quality_baselines", AT)
    }

    #[test]
    fn the_first_baselines_are_those_of_the_answers_to_acme() {
        let metrics = metrics(AT);
        let baselines = baselines();
        assert_eq!(baselines.len(), 7);
        for (baseline, model) in baselines.iter().zip(&MODELS) {
            let answers: Vec<_> =
                metrics.iter().filter(|m| m.customer_id == ids::ACME && m.model_name == model.name).collect();
            assert_eq!(usize::try_from(baseline.sample_size), Ok(answers.len()));
            let overall = answers.iter().map(|m| m.overall_quality_score).sum::<f64>() / answers.len() as f64;
            assert!((baseline.avg_overall_score - overall).abs() < 1e-12);
            let slower = answers.iter().filter(|m| m.latency_ms > baseline.p95_latency_ms).count();
            assert_eq!(slower, answers.len() - answers.len() * 95 / 100 - 1);
        }
    }

    #[test]
    fn a_regression_is_measured_against_a_baseline_of_its_customer_and_ends_after_it_begins() {
        let baselines = baselines();
        let regressions: Vec<NewQualityRegression> = records::table(Layer::Application, "quality_regressions", AT);
        assert_eq!(regressions.len(), 6);
        assert_eq!(regressions.iter().filter(|regression| regression.resolved_at.is_none()).count(), 1);
        for regression in &regressions {
            let baseline = baselines.iter().find(|baseline| baseline.id == Some(regression.baseline_id)).unwrap();
            assert_eq!(baseline.customer_id, regression.customer_id);
            assert!(baseline.established_at < regression.detected_at);
            assert!(regression.resolved_at.is_none_or(|end| end > regression.detected_at), "{regression:?}");
            let change = (regression.current_value / regression.baseline_value - 1.0) * 100.0;
            assert!((change - regression.delta_percent).abs() < 0.06, "{regression:?}");
        }
    }
}
