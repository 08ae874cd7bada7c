//! The workflow_history rows: five runs, each told with its steps and what they left behind. (0.2c)
//!
//! The first three are the documented ones. The other two bring the layer to its 30 records and show what those do
//! not: a run that was stopped for taking too long, and a scaling decision.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rows::Rows;
use super::{ids, minutes_ago};
use crate::enums::{ArtifactType, StepStatus, WorkflowStatus, WorkflowType};
use crate::models::{NewWorkflowArtifact, NewWorkflowExecution, NewWorkflowStep};

/// A workflow run and all that belongs to it. Times are minutes before the anchor.
struct Run {
    agent: Uuid,
    customer: Uuid,
    workflow_type: WorkflowType,
    status: WorkflowStatus,
    started: i64,
    completed: Option<i64>,
    input: Value,
    output: Value,
    error: Option<Value>,
    metadata: Value,
    /// In their order; `step_order` is counted from it.
    steps: Vec<Step>,
}

/// A step of a run, under the name that is unique within the run.
struct Step {
    name: &'static str,
    status: StepStatus,
    started: Option<i64>,
    completed: Option<i64>,
    input: Value,
    output: Value,
    error: Option<Value>,
    retries: i32,
    artifact: Option<Artifact>,
}

/// A file that a step left behind.
struct Artifact {
    artifact_type: ArtifactType,
    name: &'static str,
    path: &'static str,
    bytes: i64,
    content_type: &'static str,
    metadata: Value,
}

pub(super) fn rows(at: DateTime<Utc>) -> Vec<Box<dyn Rows>> {
    vec![Box::new(workflow_executions(at)), Box::new(workflow_steps(at)), Box::new(workflow_artifacts())]
}

fn workflow_executions(at: DateTime<Utc>) -> Vec<NewWorkflowExecution> {
    let execution = |run: Run| {
        NewWorkflowExecution::builder()
            .id(run.id())
            .agent_id(run.agent)
            .customer_id(run.customer)
            .workflow_type(run.workflow_type)
            .status(run.status)
            .started_at(minutes_ago(at, run.started))
            .maybe_completed_at(run.completed.map(|minutes| minutes_ago(at, minutes)))
            .input_data(run.input)
            .output_data(run.output)
            .maybe_error_details(run.error)
            .metadata(run.metadata)
            .build()
    };
    runs().into_iter().map(execution).collect()
}

fn workflow_steps(at: DateTime<Utc>) -> Vec<NewWorkflowStep> {
    let step = |run: Uuid, order: i32, step: Step| {
        NewWorkflowStep::builder()
            .id(step.id(run))
            .workflow_execution_id(run)
            .step_name(step.name)
            .step_order(order)
            .status(step.status)
            .maybe_started_at(step.started.map(|minutes| minutes_ago(at, minutes)))
            .maybe_completed_at(step.completed.map(|minutes| minutes_ago(at, minutes)))
            .input_data(step.input)
            .output_data(step.output)
            .maybe_error_details(step.error)
            .retry_count(step.retries)
            .max_retries(3)
            .metadata(json!({}))
            .build()
    };
    let steps = |run: Run| {
        let id = run.id();
        (1..).zip(run.steps).map(move |(order, row)| step(id, order, row))
    };
    runs().into_iter().flat_map(steps).collect()
}

fn workflow_artifacts() -> Vec<NewWorkflowArtifact> {
    let artifact = |run: Uuid, step: Uuid, artifact: Artifact| {
        NewWorkflowArtifact::builder()
            .id(ids::of("workflow_artifacts", &format!("{run} {}", artifact.name)))
            .workflow_execution_id(run)
            .workflow_step_id(step)
            .artifact_type(artifact.artifact_type)
            .artifact_name(artifact.name)
            .artifact_path(artifact.path)
            .artifact_size_bytes(artifact.bytes)
            .content_type(artifact.content_type)
            .metadata(artifact.metadata)
            .build()
    };
    let artifacts = |run: Run| {
        let id = run.id();
        run.steps.into_iter().filter_map(move |step| {
            let step_id = step.id(id);
            step.artifact.map(|row| artifact(id, step_id, row))
        })
    };
    runs().into_iter().flat_map(artifacts).collect()
}

impl Run {
    fn id(&self) -> Uuid {
        ids::of("workflow_executions", &format!("workflow_history {}", self.workflow_type))
    }
}

impl Step {
    fn id(&self, run: Uuid) -> Uuid {
        ids::of("workflow_steps", &format!("{run} {}", self.name))
    }

    /// `times` are its beginning and its end, as far as it has come.
    fn new(
        name: &'static str,
        status: StepStatus,
        times: (Option<i64>, Option<i64>),
        input: Value,
        output: Value,
    ) -> Self {
        Self {
            name,
            status,
            started: times.0,
            completed: times.1,
            input,
            output,
            error: None,
            retries: 0,
            artifact: None,
        }
    }

    fn done(name: &'static str, from: i64, until: i64, input: Value, output: Value) -> Self {
        Self::new(name, StepStatus::Completed, (Some(from), Some(until)), input, output)
    }

    fn failed(name: &'static str, from: i64, until: i64, input: Value, error: Value) -> Self {
        Self { error: Some(error), ..Self::new(name, StepStatus::Failed, (Some(from), Some(until)), input, json!({})) }
    }

    fn leaving(self, artifact: Artifact) -> Self {
        Self { artifact: Some(artifact), ..self }
    }
}

fn runs() -> Vec<Run> {
    vec![cost_analysis(), performance_tuning(), quality_check(), anomaly_detection(), scaling_decision()]
}

fn cost_analysis() -> Run {
    Run {
        agent: ids::COST_AGENT,
        customer: ids::ACME,
        workflow_type: WorkflowType::CostAnalysis,
        status: WorkflowStatus::Completed,
        started: 120,
        completed: Some(105),
        input: json!({
            "analysis_period": "last_30_days",
            "focus_areas": ["gpu", "storage", "network"],
            "include_projections": true,
        }),
        output: json!({
            "total_cost": 120000,
            "potential_savings": 60000,
            "savings_percentage": 50,
            "recommendations_generated": 8,
            "confidence_score": 0.92,
        }),
        error: None,
        metadata: json!({
            "triggered_by": "scheduled",
            "priority": "normal",
            "analyst_notes": "High confidence savings identified",
        }),
        steps: vec![
            Step::done(
                "collect_metrics",
                120,
                118,
                json!({"sources": ["prometheus", "cloudwatch", "billing_api"]}),
                json!({"metrics_collected": 1247, "data_points": 89650}),
            ),
            Step::done(
                "analyze_gpu_usage",
                118,
                115,
                json!({"gpu_count": 12, "analysis_depth": "detailed"}),
                json!({"avg_utilization": 35.2, "idle_gpus": 4, "potential_savings": 35000}),
            )
            .leaving(Artifact {
                artifact_type: ArtifactType::Chart,
                name: "GPU Utilization Chart",
                path: "s3://optiinfra-charts/customer1/gpu_util_20251019.png",
                bytes: 156_789,
                content_type: "image/png",
                metadata: json!({"chart_type": "timeseries", "duration_days": 30}),
            }),
            Step::done(
                "analyze_storage",
                115,
                112,
                json!({"storage_types": ["s3", "ebs"]}),
                json!({"total_storage_tb": 45.2, "cold_data_percentage": 62, "potential_savings": 15000}),
            ),
            Step::done(
                "generate_recommendations",
                112,
                108,
                json!({"min_confidence": 0.8}),
                json!({"recommendations_count": 8, "high_priority": 3, "medium_priority": 5}),
            )
            .leaving(Artifact {
                artifact_type: ArtifactType::Recommendation,
                name: "Recommendations JSON",
                path: "s3://optiinfra-data/customer1/recommendations_20251019.json",
                bytes: 45_821,
                content_type: "application/json",
                metadata: json!({"recommendations_count": 8}),
            }),
            Step::done(
                "generate_report",
                108,
                105,
                json!({"format": "pdf", "include_charts": true}),
                json!({"report_path": "s3://reports/cost_analysis_20251019.pdf"}),
            )
            .leaving(Artifact {
                artifact_type: ArtifactType::Report,
                name: "Cost Analysis Report - Customer 1",
                path: "s3://optiinfra-reports/customer1/cost_analysis_20251019.pdf",
                bytes: 2_458_624,
                content_type: "application/pdf",
                metadata: json!({"pages": 24, "charts": 12, "tables": 8}),
            }),
        ],
    }
}

fn performance_tuning() -> Run {
    Run {
        agent: ids::PERFORMANCE_AGENT,
        customer: ids::ACME,
        workflow_type: WorkflowType::PerformanceTuning,
        status: WorkflowStatus::Running,
        started: 15,
        completed: None,
        input: json!({"current_latency_p95": 800, "target_latency_p95": 300, "optimization_budget_hours": 2}),
        output: json!({}),
        error: None,
        metadata: json!({"triggered_by": "user", "priority": "high"}),
        steps: vec![
            Step::done(
                "baseline_measurement",
                15,
                13,
                json!({"sample_size": 1000}),
                json!({"p50_latency": 450, "p95_latency": 800, "p99_latency": 1200}),
            )
            .leaving(Artifact {
                artifact_type: ArtifactType::Metrics,
                name: "Baseline Metrics",
                path: "s3://optiinfra-data/customer1/baseline_metrics_20251019.json",
                bytes: 23_456,
                content_type: "application/json",
                metadata: json!({"measurement_duration_seconds": 120}),
            }),
            Step::done(
                "analyze_kv_cache",
                13,
                10,
                json!({"current_cache_size_gb": 32}),
                json!({"cache_hit_rate": 0.67, "recommended_size_gb": 48, "expected_improvement": "25%"}),
            ),
            Step::new(
                "test_configurations",
                StepStatus::Running,
                (Some(10), None),
                json!({"configurations_to_test": 5}),
                json!({"configurations_tested": 2}),
            ),
            Step::new("apply_optimizations", StepStatus::Pending, (None, None), json!({}), json!({})),
        ],
    }
}

fn quality_check() -> Run {
    Run {
        agent: ids::APPLICATION_AGENT,
        customer: ids::STARTUPCO,
        workflow_type: WorkflowType::QualityCheck,
        status: WorkflowStatus::Failed,
        started: 180,
        completed: Some(175),
        input: json!({"check_type": "regression_test", "baseline_version": "v1.2.0", "test_version": "v1.3.0"}),
        output: json!({}),
        error: Some(json!({
            "error_type": "QualityThresholdBreach",
            "error_message": "Quality score dropped below threshold: 0.78 < 0.85",
            "failed_at_step": "quality_validation",
            "can_retry": false,
        })),
        metadata: json!({"triggered_by": "deployment_pipeline", "priority": "high"}),
        steps: vec![
            Step::done("collect_samples", 180, 178, json!({"sample_count": 100}), json!({"samples_collected": 100})),
            Step::done(
                "run_quality_checks",
                178,
                176,
                json!({"metrics": ["coherence", "relevance", "factuality"]}),
                json!({
                    "overall_score": 0.78,
                    "coherence_score": 0.82,
                    "relevance_score": 0.79,
                    "factuality_score": 0.73,
                }),
            )
            .leaving(Artifact {
                artifact_type: ArtifactType::Diagnostic,
                name: "Quality Check Results",
                path: "s3://optiinfra-data/customer2/quality_results_20251019.json",
                bytes: 67_890,
                content_type: "application/json",
                metadata: json!({"failed_metrics": ["factuality"]}),
            }),
            Step::failed(
                "quality_validation",
                176,
                175,
                json!({"threshold": 0.85}),
                json!({
                    "error": "Quality score 0.78 below threshold 0.85",
                    "recommendation": "Roll back to v1.2.0",
                }),
            )
            .leaving(Artifact {
                artifact_type: ArtifactType::Alert,
                name: "Quality Alert",
                path: "s3://optiinfra-alerts/customer2/quality_alert_20251019.json",
                bytes: 1234,
                content_type: "application/json",
                metadata: json!({"severity": "high", "action_required": "rollback"}),
            }),
        ],
    }
}

/// Not in the documents: a run that used up its time, with a step that used up its retries.
fn anomaly_detection() -> Run {
    Run {
        agent: ids::RESOURCE_AGENT,
        customer: ids::DEMO,
        workflow_type: WorkflowType::AnomalyDetection,
        status: WorkflowStatus::Timeout,
        started: 300,
        completed: Some(270),
        input: json!({"window_hours": 24, "metrics": ["gpu_utilization", "memory_used"], "sensitivity": 0.95}),
        output: json!({}),
        error: Some(json!({
            "error_type": "WorkflowTimeout",
            "error_message": "stopped after 30 minutes",
            "timeout_seconds": 1800,
            "failed_at_step": "score_windows",
            "can_retry": true,
        })),
        metadata: json!({"triggered_by": "scheduled", "priority": "low"}),
        steps: vec![
            Step::done(
                "load_samples",
                300,
                295,
                json!({"window_hours": 24}),
                json!({"samples_loaded": 172_800, "series": 48}),
            ),
            Step {
                retries: 3,
                ..Step::failed(
                    "score_windows",
                    295,
                    270,
                    json!({"window_minutes": 5, "model": "isolation_forest"}),
                    json!({"error": "no answer from the scoring service", "windows_scored": 97, "windows_total": 288}),
                )
            }
            .leaving(Artifact {
                artifact_type: ArtifactType::Log,
                name: "Scoring Log",
                path: "s3://optiinfra-data/customer3/scoring_20251019.log",
                bytes: 88_412,
                content_type: "text/plain",
                metadata: json!({"last_window": 97}),
            }),
        ],
    }
}

/// Not in the documents: a scaling decision for StartupCo that ended well.
fn scaling_decision() -> Run {
    Run {
        agent: ids::RESOURCE_AGENT,
        customer: ids::STARTUPCO,
        workflow_type: WorkflowType::ScalingDecision,
        status: WorkflowStatus::Completed,
        started: 1560,
        completed: Some(1550),
        input: json!({"trigger": "low_gpu_utilization", "threshold": 30.0, "current_avg_util": 21.4}),
        output: json!({"decision": "scale_down", "instances_removed": 1, "new_total_instances": 3}),
        error: None,
        metadata: json!({"triggered_by": "threshold", "priority": "normal"}),
        steps: vec![
            Step::done(
                "evaluate_load",
                1560,
                1557,
                json!({"window_minutes": 120}),
                json!({"avg_utilization": 21.4, "peak_utilization": 38.9}),
            ),
            Step::done(
                "plan_capacity",
                1557,
                1555,
                json!({"instance_count": 4, "headroom_percent": 25}),
                json!({"target_instance_count": 3}),
            )
            .leaving(Artifact {
                artifact_type: ArtifactType::Config,
                name: "Capacity Plan",
                path: "s3://optiinfra-data/customer2/capacity_plan_20251018.json",
                bytes: 2048,
                content_type: "application/json",
                metadata: json!({"target_instance_count": 3}),
            }),
            Step::done(
                "apply_plan",
                1555,
                1550,
                json!({"target_instance_count": 3}),
                json!({"instance_count": 3, "savings_per_hour": 10.0}),
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenarios_come_to_the_documented_thirty() {
        let at = DateTime::UNIX_EPOCH;
        assert_eq!((workflow_executions(at).len(), workflow_steps(at).len(), workflow_artifacts().len()), (5, 17, 8));
    }

    #[test]
    fn the_steps_of_a_run_follow_each_other_within_it() {
        for run in runs() {
            let mut clock = run.started;
            for step in &run.steps {
                let Some(started) = step.started else {
                    assert_eq!((step.status, step.completed), (StepStatus::Pending, None), "{}", step.name);
                    continue;
                };
                assert_eq!(started, clock, "{}", step.name);
                clock = step.completed.unwrap_or(0);
                assert!(clock < started, "{}", step.name);
            }
            assert!(run.completed.is_none_or(|completed| completed == clock), "{}", run.workflow_type);
        }
    }

    #[test]
    fn the_status_of_a_run_agrees_with_its_steps() {
        for run in runs() {
            let has = |status| run.steps.iter().any(|step| step.status == status);
            let unfinished = has(StepStatus::Running) || has(StepStatus::Pending) || has(StepStatus::Retrying);
            assert_eq!(unfinished, run.status == WorkflowStatus::Running, "{}", run.workflow_type);
            let bad = matches!(run.status, WorkflowStatus::Failed | WorkflowStatus::Timeout);
            assert_eq!((bad, bad), (has(StepStatus::Failed), run.error.is_some()), "{}", run.workflow_type);
        }
    }
}
