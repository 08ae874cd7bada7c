//! The application rows: a day of judged answers of four models, the baselines that follow from them and six
//! regressions. (0.2e)
//!
//! The answers come from one fixed random stream, so their values are the same everywhere and at every anchor; only
//! their times move. The order of the draws is part of the data: a draw more or less changes all that follow.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::random::Random;
use super::rows::Rows;
use super::{ago, ids, minutes_ago};
use crate::enums::{BaselineType, RegressionAction, RegressionSeverity, RegressionType, WorkflowStatus, WorkflowType};
use crate::models::{NewQualityBaseline, NewQualityMetric, NewQualityRegression, NewWorkflowExecution};

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

pub(super) fn rows(at: DateTime<Utc>) -> Vec<Box<dyn Rows>> {
    let metrics = quality_metrics(at);
    let baselines = quality_baselines(at, &metrics);
    vec![Box::new(workflow_executions(at)), Box::new(metrics), Box::new(baselines), Box::new(quality_regressions(at))]
}

fn cost_saving_workflow() -> Uuid {
    ids::of("workflow_executions", "application configuration_update")
}

/// The change of model that the first regression came of.
fn workflow_executions(at: DateTime<Utc>) -> Vec<NewWorkflowExecution> {
    vec![
        NewWorkflowExecution::builder()
            .id(cost_saving_workflow())
            .agent_id(ids::COST_AGENT)
            .customer_id(ids::ACME)
            .workflow_type(WorkflowType::ConfigurationUpdate)
            .status(WorkflowStatus::Completed)
            .started_at(minutes_ago(at, 480))
            .completed_at(minutes_ago(at, 475))
            .input_data(json!({"optimization": "reduce_model_size", "target_cost_reduction": "30%"}))
            .output_data(json!({"model_changed": "gpt-4 -> gpt-3.5-turbo", "cost_reduction": "32%"}))
            .metadata(json!({}))
            .build(),
    ]
}

fn quality_metrics(at: DateTime<Utc>) -> Vec<NewQualityMetric> {
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

fn initial_baseline(customer: Uuid, model: &Model) -> Uuid {
    ids::of("quality_baselines", &format!("{customer} {} initial", model.name))
}

fn quality_baselines(at: DateTime<Utc>, metrics: &[NewQualityMetric]) -> Vec<NewQualityBaseline> {
    let mut baselines: Vec<_> = MODELS.iter().map(|model| measured_baseline(at, model, metrics)).collect();
    baselines.push(
        NewQualityBaseline::builder()
            .id(ids::of("quality_baselines", "Acme Corp gpt-4 updated"))
            .agent_id(ids::APPLICATION_AGENT)
            .customer_id(ids::ACME)
            .model_name(GPT_4.name)
            .model_version(GPT_4.version)
            .baseline_type(BaselineType::Updated)
            .sample_size(count(&answers_to_acme(&GPT_4, metrics)))
            .avg_relevance_score(0.90)
            .avg_coherence_score(0.93)
            .avg_factuality_score(0.88)
            .avg_overall_score(0.90)
            .p95_latency_ms(1200.0)
            .established_at(ago(at, TimeDelta::days(2)))
            .metadata(json!({
                "improvement_from_initial": "+2.3%",
                "optimizations_applied": ["prompt_tuning", "temperature_adjustment"],
            }))
            .build(),
    );
    baselines.push(
        NewQualityBaseline::builder()
            .id(ids::of("quality_baselines", "Acme Corp gpt-4 rollback"))
            .agent_id(ids::APPLICATION_AGENT)
            .customer_id(ids::ACME)
            .model_name(GPT_4.name)
            .model_version(GPT_4.version)
            .baseline_type(BaselineType::Rollback)
            .sample_size(100)
            .avg_relevance_score(0.87)
            .avg_coherence_score(0.90)
            .avg_factuality_score(0.85)
            .avg_overall_score(0.87)
            .p95_latency_ms(1100.0)
            .established_at(ago(at, TimeDelta::days(14)))
            .metadata(json!({"reason": "last configuration known to be good", "saved_for": "emergency_rollback"}))
            .build(),
    );
    baselines.push(
        NewQualityBaseline::builder()
            .id(initial_baseline(ids::techstart(), &GPT_4))
            .agent_id(ids::APPLICATION_AGENT)
            .customer_id(ids::techstart())
            .model_name(GPT_4.name)
            .model_version(GPT_4.version)
            .baseline_type(BaselineType::Initial)
            .sample_size(100)
            .avg_relevance_score(0.89)
            .avg_coherence_score(0.92)
            .avg_factuality_score(0.87)
            .avg_overall_score(0.89)
            .p95_latency_ms(1150.0)
            .established_at(ago(at, TimeDelta::days(5)))
            .metadata(json!({"customer": "techstart"}))
            .build(),
    );
    baselines
}

/// Acme Corp's first baseline of a model, worked out from its answers.
///
/// From its own answers only: the document counts those to TechStart Inc in too, but a baseline is a customer's.
fn measured_baseline(at: DateTime<Utc>, model: &Model, metrics: &[NewQualityMetric]) -> NewQualityBaseline {
    let answers = answers_to_acme(model, metrics);
    let mut latencies: Vec<f64> = answers.iter().filter_map(|answer| answer.latency_ms).collect();
    latencies.sort_by(f64::total_cmp);
    NewQualityBaseline::builder()
        .id(initial_baseline(ids::ACME, model))
        .agent_id(ids::APPLICATION_AGENT)
        .customer_id(ids::ACME)
        .model_name(model.name)
        .model_version(model.version)
        .baseline_type(BaselineType::Initial)
        .sample_size(count(&answers))
        .maybe_avg_relevance_score(mean(answers.iter().filter_map(|answer| answer.relevance_score)))
        .maybe_avg_coherence_score(mean(answers.iter().filter_map(|answer| answer.coherence_score)))
        .maybe_avg_factuality_score(mean(answers.iter().filter_map(|answer| answer.factuality_score)))
        .avg_overall_score(mean(answers.iter().map(|answer| answer.overall_quality_score)).unwrap_or_default())
        .maybe_p95_latency_ms(latencies.get(latencies.len() * 95 / 100).copied())
        .established_at(ago(at, TimeDelta::days(7)))
        .metadata(json!({"confidence_interval": 0.95, "std_dev": 0.05, "collection_period_days": 7}))
        .build()
}

fn answers_to_acme<'a>(model: &Model, metrics: &'a [NewQualityMetric]) -> Vec<&'a NewQualityMetric> {
    metrics.iter().filter(|metric| metric.customer_id == ids::ACME && metric.model_name == model.name).collect()
}

/// As the column has it.
fn count(answers: &[&NewQualityMetric]) -> i32 {
    answers.iter().map(|_| 1).sum()
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// A regression of a model for a customer against its first baseline. Times are minutes before the anchor.
struct Regression {
    key: &'static str,
    customer: Uuid,
    model: Model,
    workflow: Option<Uuid>,
    regression_type: RegressionType,
    severity: RegressionSeverity,
    detected: i64,
    metric: &'static str,
    baseline: f64,
    current: f64,
    delta_percent: f64,
    sample_size: i32,
    action: RegressionAction,
    /// When and how; `None` while it is open.
    resolved: Option<(i64, &'static str)>,
    metadata: Value,
}

fn quality_regressions(at: DateTime<Utc>) -> Vec<NewQualityRegression> {
    let row = |regression: Regression| {
        NewQualityRegression::builder()
            .id(ids::of("quality_regressions", regression.key))
            .agent_id(ids::APPLICATION_AGENT)
            .customer_id(regression.customer)
            .baseline_id(initial_baseline(regression.customer, &regression.model))
            .maybe_workflow_execution_id(regression.workflow)
            .regression_type(regression.regression_type)
            .severity(regression.severity)
            .detected_at(minutes_ago(at, regression.detected))
            .metric_name(regression.metric)
            .baseline_value(regression.baseline)
            .current_value(regression.current)
            .delta_percent(regression.delta_percent)
            .sample_size(regression.sample_size)
            .action_taken(regression.action)
            .maybe_resolved_at(regression.resolved.map(|(minutes, _)| minutes_ago(at, minutes)))
            .maybe_resolution_notes(regression.resolved.map(|(_, notes)| notes))
            .metadata(regression.metadata)
            .build()
    };
    regressions().into_iter().map(row).collect()
}

fn regressions() -> [Regression; 6] {
    [
        Regression {
            key: "Acme Corp gpt-4 overall_quality_score",
            customer: ids::ACME,
            model: GPT_4,
            workflow: Some(cost_saving_workflow()),
            regression_type: RegressionType::QualityDrop,
            severity: RegressionSeverity::Critical,
            detected: 360,
            metric: "overall_quality_score",
            baseline: 0.88,
            current: 0.72,
            delta_percent: -18.2,
            sample_size: 50,
            action: RegressionAction::RollbackTriggered,
            resolved: Some((
                345,
                "Rolled back by itself: quality fell by more than 15%. The former model is in place.",
            )),
            metadata: json!({
                "rollback_duration_minutes": 15,
                "affected_users": 127,
                "rollback_successful": true,
                "post_rollback_quality": 0.87,
            }),
        },
        Regression {
            key: "Acme Corp claude-3-opus p95_latency_ms",
            customer: ids::ACME,
            model: CLAUDE_3_OPUS,
            workflow: None,
            regression_type: RegressionType::LatencyIncrease,
            severity: RegressionSeverity::High,
            detected: 180,
            metric: "p95_latency_ms",
            baseline: 900.0,
            current: 1450.0,
            delta_percent: 61.1,
            sample_size: 75,
            action: RegressionAction::ManualReview,
            resolved: Some((60, "The network was congested; a cache in front takes the load off it.")),
            metadata: json!({
                "investigation_time_hours": 2,
                "root_cause": "network_congestion",
                "mitigation": "caching_layer_added",
            }),
        },
        Regression {
            key: "Acme Corp llama-3-70b hallucination_rate",
            customer: ids::ACME,
            model: LLAMA_3_70B,
            workflow: None,
            regression_type: RegressionType::HallucinationSpike,
            severity: RegressionSeverity::Medium,
            detected: 720,
            metric: "hallucination_rate",
            baseline: 0.02,
            current: 0.08,
            delta_percent: 300.0,
            sample_size: 100,
            action: RegressionAction::AlertOnly,
            resolved: Some((600, "Unusual inputs were the cause; they are validated now.")),
            metadata: json!({
                "hallucination_examples": 8,
                "fix_applied": "input_validation",
                "fix_effectiveness": "100%",
            }),
        },
        Regression {
            key: "Acme Corp gpt-4 coherence_score",
            customer: ids::ACME,
            model: GPT_4,
            workflow: None,
            regression_type: RegressionType::QualityDrop,
            severity: RegressionSeverity::Low,
            detected: 2 * 24 * 60,
            metric: "coherence_score",
            baseline: 0.91,
            current: 0.86,
            delta_percent: -5.5,
            sample_size: 80,
            action: RegressionAction::AutoFixed,
            // The document resolves it an hour before it is detected. Its own facts say that the fix took five
            // minutes, so that is when it ends.
            resolved: Some((2 * 24 * 60 - 5, "A small loss of coherence; a lower temperature mended it.")),
            metadata: json!({
                "auto_fix": "temperature_adjustment",
                "temperature_before": 0.9,
                "temperature_after": 0.7,
                "fix_time_minutes": 5,
            }),
        },
        Regression {
            key: "Acme Corp claude-3-opus toxicity_score",
            customer: ids::ACME,
            model: CLAUDE_3_OPUS,
            workflow: None,
            regression_type: RegressionType::ToxicityIncrease,
            severity: RegressionSeverity::Medium,
            detected: 240,
            metric: "toxicity_score",
            baseline: 0.02,
            current: 0.07,
            delta_percent: 250.0,
            sample_size: 60,
            action: RegressionAction::ManualReview,
            resolved: None,
            metadata: json!({
                "investigation_status": "in_progress",
                "suspected_cause": "adversarial_inputs",
                "mitigation_in_progress": "content_filtering",
            }),
        },
        Regression {
            key: "TechStart Inc gpt-4 factuality_score",
            customer: ids::techstart(),
            model: GPT_4,
            workflow: None,
            regression_type: RegressionType::QualityDrop,
            severity: RegressionSeverity::High,
            detected: 18 * 60,
            metric: "factuality_score",
            baseline: 0.87,
            current: 0.74,
            delta_percent: -14.9,
            sample_size: 45,
            action: RegressionAction::RollbackTriggered,
            resolved: Some((18 * 60 - 10, "Factuality fell after a change of configuration, which was rolled back.")),
            metadata: json!({"customer": "techstart", "rollback_successful": true}),
        },
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;

    const AT: DateTime<Utc> = DateTime::UNIX_EPOCH;

    #[test]
    fn the_generated_values_stay_what_they_are() {
        let metrics = quality_metrics(AT);
        let tokens: i32 = metrics.iter().filter_map(|metric| metric.prompt_tokens).sum();
        let last = metrics.last().unwrap();
        assert_eq!((metrics.len(), tokens), (308, 84802));
        assert_eq!(metrics[0].latency_ms, Some(1467.2421962488443));
        assert_eq!(last.overall_quality_score, 0.898506292719394);
    }

    #[test]
    fn each_model_has_two_to_four_answers_in_each_of_24_hours() {
        let mut per_hour = BTreeMap::new();
        for metric in quality_metrics(AT).iter().filter(|metric| metric.customer_id == ids::ACME) {
            let hour = (AT - metric.timestamp - TimeDelta::seconds(1)).num_hours();
            *per_hour.entry((metric.model_name.clone(), hour)).or_insert(0) += 1;
        }
        assert_eq!(per_hour.len(), 4 * 24);
        assert!(per_hour.values().all(|count| (2..=4).contains(count)), "{per_hour:?}");
        assert!(per_hour.keys().all(|(_, hour)| (0..24).contains(hour)), "{per_hour:?}");
    }

    #[test]
    fn techstart_has_ten_answers_within_half_a_day() {
        let metrics = quality_metrics(AT);
        let answers: Vec<_> = metrics.iter().filter(|metric| metric.customer_id == ids::techstart()).collect();
        assert_eq!(answers.len(), 10);
        assert!(answers.iter().all(|answer| (AT - TimeDelta::hours(12)..=AT).contains(&answer.timestamp)));
    }

    #[test]
    fn no_answer_lies_in_the_future_and_no_request_occurs_twice() {
        let metrics = quality_metrics(AT);
        assert!(metrics.iter().all(|metric| metric.timestamp <= AT));
        let requests: HashSet<_> = metrics.iter().map(|metric| &metric.request_id).collect();
        assert_eq!(requests.len(), metrics.len());
    }

    #[test]
    fn scores_lie_between_0_and_1_and_hallucinations_are_rare_and_less_true() {
        let metrics = quality_metrics(AT);
        for metric in &metrics {
            let scores =
                [metric.relevance_score, metric.coherence_score, metric.factuality_score, metric.toxicity_score];
            assert!(scores.iter().all(|score| (0.0..=1.0).contains(&score.unwrap())), "{metric:?}");
            assert!((0.0..=1.0).contains(&metric.overall_quality_score), "{metric:?}");
        }
        let made_up: Vec<_> = metrics.iter().filter(|metric| metric.hallucination_detected == Some(true)).collect();
        assert!((3..=20).contains(&made_up.len()), "{}", made_up.len());
        assert!(made_up.iter().all(|metric| metric.factuality_score.unwrap() < 0.65), "{made_up:?}");
    }

    #[test]
    fn the_first_baselines_are_those_of_the_answers() {
        let metrics = quality_metrics(AT);
        let baselines = quality_baselines(AT, &metrics);
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
        let baselines = quality_baselines(AT, &quality_metrics(AT));
        let regressions = quality_regressions(AT);
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
