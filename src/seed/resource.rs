//! The resource rows: samples of five instances over twelve hours and eight scaling events (0.2d), with the
//! customer TechStart Inc and the workflow behind one event, which that document takes for granted.
//!
//! To the 102 listed samples come 24 temperatures, so that all three GPU instances of Acme Corp have both series.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rows::Rows;
use super::{ago, ids, minutes_ago, two_decimals};
use crate::enums::{CustomerPlan, CustomerStatus, ResourceType, ScalingEventType, WorkflowStatus, WorkflowType};
use crate::models::{NewCustomer, NewResourceMetric, NewScalingEvent, NewWorkflowExecution};

const GPU_1: &str = "i-0abc123def456";
const GPU_2: &str = "i-0abc123def457";
const GPU_3: &str = "i-0abc123def458";
const CPU_1: &str = "i-0xyz789ghi012";
const TECHSTART_GPU: &str = "i-techstart001";

pub(super) fn rows(at: DateTime<Utc>) -> Vec<Box<dyn Rows>> {
    vec![
        Box::new(customers()),
        Box::new(workflow_executions(at)),
        Box::new(resource_metrics(at)),
        Box::new(scaling_events(at)),
    ]
}

fn customers() -> Vec<NewCustomer> {
    vec![
        NewCustomer::builder()
            .id(ids::techstart())
            .name("TechStart Inc")
            .email("ops@techstart.example")
            .api_key("techstart_test_key_222222222")
            .plan(CustomerPlan::Startup)
            .status(CustomerStatus::Active)
            .metadata(json!({"industry": "software", "size": "51-200"}))
            .build(),
    ]
}

fn scale_up_workflow() -> Uuid {
    ids::of("workflow_executions", "resource scaling_decision")
}

fn workflow_executions(at: DateTime<Utc>) -> Vec<NewWorkflowExecution> {
    vec![
        NewWorkflowExecution::builder()
            .id(scale_up_workflow())
            .agent_id(ids::RESOURCE_AGENT)
            .customer_id(ids::ACME)
            .workflow_type(WorkflowType::ScalingDecision)
            .status(WorkflowStatus::Completed)
            .started_at(minutes_ago(at, 360))
            .completed_at(minutes_ago(at, 345))
            .input_data(json!({"trigger": "high_gpu_utilization", "threshold": 85.0, "current_avg_util": 88.2}))
            .output_data(json!({"decision": "scale_up", "instances_added": 2, "new_total_instances": 5}))
            .metadata(json!({}))
            .build(),
    ]
}

/// One metric of one instance, a sample an hour, the last of them at the anchor.
struct Series {
    customer: Uuid,
    instance: &'static str,
    resource: ResourceType,
    metric: &'static str,
    unit: &'static str,
    /// The oldest value.
    first: f64,
    /// What each hour adds.
    step: f64,
    hours: u32,
    /// The facts that go with a value.
    facts: fn(f64) -> Value,
}

fn series() -> Vec<Series> {
    use ResourceType::{Cpu, Disk, Gpu, Memory, Network};

    let acme = |instance, resource, metric, unit, (first, step), hours, facts| Series {
        customer: ids::ACME,
        instance,
        resource,
        metric,
        unit,
        first,
        step,
        hours,
        facts,
    };
    let h100: fn(f64) -> Value = |_| json!({"gpu_model": "NVIDIA H100"});
    let a100: fn(f64) -> Value = |_| json!({"gpu_model": "NVIDIA A100"});
    let nvme: fn(f64) -> Value = |_| json!({"disk_type": "nvme"});
    let eth0: fn(f64) -> Value = |_| json!({"network_interface": "eth0"});
    let h100_load: fn(f64) -> Value = |percent| gpu_load("NVIDIA H100", 80, percent);
    let a100_load: fn(f64) -> Value = |percent| gpu_load("NVIDIA A100", 40, percent);
    let cores: fn(f64) -> Value = |_| json!({"cpu_cores": 32, "instance_type": "c6i.8xlarge"});
    let of_128_gb: fn(f64) -> Value =
        |used| json!({"memory_total_gb": 128, "utilization_percent": two_decimals(used / 128.0 * 100.0)});
    vec![
        // Busier by the hour, and hotter with it.
        acme(GPU_1, Gpu, "utilization", "percent", (45.0, 3.5), 12, h100_load),
        acme(GPU_1, Gpu, "temperature", "celsius", (65.0, 2.0), 12, h100),
        // In the middle.
        acme(GPU_2, Gpu, "utilization", "percent", (55.0, 1.5), 12, a100_load),
        acme(GPU_2, Gpu, "temperature", "celsius", (62.0, 0.75), 12, a100),
        // Hardly used: what the consolidation among the scaling events is about.
        acme(GPU_3, Gpu, "utilization", "percent", (20.0, 0.5), 12, a100_load),
        acme(GPU_3, Gpu, "temperature", "celsius", (44.0, 0.25), 12, a100),
        acme(CPU_1, Cpu, "utilization", "percent", (65.0, 2.0), 12, cores),
        acme(CPU_1, Memory, "used", "GB", (50.0, 3.0), 12, of_128_gb),
        acme(GPU_1, Disk, "read_iops", "iops", (1500.0, 200.0), 6, nvme),
        acme(GPU_1, Disk, "write_iops", "iops", (800.0, 100.0), 6, nvme),
        acme(GPU_1, Network, "bandwidth_in", "Mbps", (2500.0, 300.0), 6, eth0),
        acme(GPU_1, Network, "bandwidth_out", "Mbps", (1800.0, 200.0), 6, eth0),
        Series {
            customer: ids::techstart(),
            instance: TECHSTART_GPU,
            resource: Gpu,
            metric: "utilization",
            unit: "percent",
            first: 70.0,
            step: 2.0,
            hours: 6,
            facts: |_| json!({"gpu_model": "NVIDIA A100", "gpu_memory_total_gb": 40}),
        },
    ]
}

fn gpu_load(model: &str, memory_gb: u32, percent: f64) -> Value {
    let used = two_decimals(f64::from(memory_gb) * percent / 100.0);
    json!({"gpu_model": model, "gpu_memory_total_gb": memory_gb, "gpu_memory_used_gb": used})
}

fn resource_metrics(at: DateTime<Utc>) -> Vec<NewResourceMetric> {
    let samples = |series: Series| {
        (0..series.hours).map(move |hour| {
            let value = series.first + f64::from(hour) * series.step;
            let key = format!("{} {} {} {hour:02}", series.instance, series.resource, series.metric);
            NewResourceMetric::builder()
                .id(ids::of("resource_metrics", &key))
                .agent_id(ids::RESOURCE_AGENT)
                .customer_id(series.customer)
                .instance_id(series.instance)
                .resource_type(series.resource)
                .metric_name(series.metric)
                .metric_value(value)
                .unit(series.unit)
                .timestamp(ago(at, TimeDelta::hours(i64::from(series.hours - 1 - hour))))
                .metadata((series.facts)(value))
                .build()
        })
    };
    series().into_iter().flat_map(samples).collect()
}

fn scaling_events(at: DateTime<Utc>) -> Vec<NewScalingEvent> {
    let id = |key: &str| ids::of("scaling_events", key);
    vec![
        NewScalingEvent::builder()
            .id(id("scale_up over threshold"))
            .agent_id(ids::RESOURCE_AGENT)
            .customer_id(ids::ACME)
            .workflow_execution_id(scale_up_workflow())
            .event_type(ScalingEventType::ScaleUp)
            .trigger_reason("Average GPU utilization above 85% for 15 minutes")
            .before_state(json!({
                "instance_count": 3,
                "instances": [GPU_1, GPU_2, GPU_3],
                "avg_gpu_utilization": 88.2,
                "total_gpu_count": 3,
                "cost_per_hour": 30.0,
            }))
            .after_state(json!({
                "instance_count": 5,
                "instances": [GPU_1, GPU_2, GPU_3, "i-new001", "i-new002"],
                "avg_gpu_utilization": 62.5,
                "total_gpu_count": 5,
                "cost_per_hour": 50.0,
            }))
            .success(true)
            .executed_at(minutes_ago(at, 360))
            .completed_at(minutes_ago(at, 345))
            .metadata(json!({
                "scaling_policy": "predictive",
                "predicted_duration_hours": 8,
                "estimated_cost_impact": "+$160",
                "performance_improvement": "30% lower latency expected",
            }))
            .build(),
        NewScalingEvent::builder()
            .id(id("scale_down idle instance"))
            .agent_id(ids::RESOURCE_AGENT)
            .customer_id(ids::ACME)
            .event_type(ScalingEventType::ScaleDown)
            .trigger_reason(format!("{GPU_3} at 22% GPU utilization for 2 hours"))
            .before_state(json!({
                "instance_count": 5,
                "avg_gpu_utilization": 55.0,
                "underutilized_instances": [GPU_3],
                "cost_per_hour": 50.0,
            }))
            .after_state(json!({
                "instance_count": 4,
                "avg_gpu_utilization": 64.0,
                "workloads_migrated": 3,
                "cost_per_hour": 40.0,
            }))
            .success(true)
            .executed_at(minutes_ago(at, 240))
            .completed_at(minutes_ago(at, 230))
            .metadata(json!({"savings_per_hour": 10.0, "annual_savings": 87600, "migration_duration_minutes": 10}))
            .build(),
        // The document lets this one end a minute before it began; here it ends a minute after.
        NewScalingEvent::builder()
            .id(id("scale_cancelled over budget"))
            .agent_id(ids::RESOURCE_AGENT)
            .customer_id(ids::ACME)
            .event_type(ScalingEventType::ScaleCancelled)
            .trigger_reason("GPU utilization at 82%, but the budget leaves no room for another instance")
            .before_state(json!({"instance_count": 4, "avg_gpu_utilization": 82.0, "projected_util_in_1h": 85.0}))
            .after_state(json!({
                "instance_count": 4,
                "decision": "cancelled",
                "reason": "the budget of the month is nearly used up",
            }))
            .success(true)
            .executed_at(minutes_ago(at, 120))
            .completed_at(minutes_ago(at, 119))
            .metadata(json!({
                "budget_limit_monthly": 100_000,
                "current_spend": 98_500,
                "projected_cost_if_scaled": 102_000,
                "alternative_action": "optimize the instances at hand",
            }))
            .build(),
        NewScalingEvent::builder()
            .id(id("scale_up without capacity"))
            .agent_id(ids::RESOURCE_AGENT)
            .customer_id(ids::ACME)
            .event_type(ScalingEventType::ScaleUp)
            .trigger_reason("Requested by a user")
            .before_state(json!({"instance_count": 4, "target_instance_count": 6}))
            .after_state(json!({"instance_count": 4, "instances_added": 0}))
            .success(false)
            .error_details(json!({
                "error_type": "InsufficientCapacity",
                "error_message": "no H100 to be had in us-west-2a",
                "attempted_zones": ["us-west-2a", "us-west-2b"],
                "suggestion": "another instance type or region",
            }))
            .executed_at(minutes_ago(at, 90))
            .completed_at(minutes_ago(at, 88))
            .metadata(json!({"requested_instance_type": "p5.48xlarge", "fallback_attempted": false}))
            .build(),
        NewScalingEvent::builder()
            .id(id("auto_scale before the morning peak"))
            .agent_id(ids::RESOURCE_AGENT)
            .customer_id(ids::ACME)
            .event_type(ScalingEventType::AutoScaleTriggered)
            .trigger_reason("Traffic peak predicted for 9 am from the last seven days")
            .before_state(json!({"instance_count": 4, "current_time": "08:30", "avg_gpu_utilization": 60.0}))
            .after_state(json!({"instance_count": 6, "pre_scaled": true, "ready_for_traffic": true}))
            .success(true)
            .executed_at(minutes_ago(at, 510))
            .completed_at(minutes_ago(at, 495))
            .metadata(json!({
                "scaling_type": "predictive",
                "confidence_score": 0.89,
                "historical_pattern": "daily peak at 9 am (7 days)",
                "estimated_peak_util": 90.0,
            }))
            .build(),
        NewScalingEvent::builder()
            .id(id("manual_scale for a deployment"))
            .agent_id(ids::RESOURCE_AGENT)
            .customer_id(ids::techstart())
            .event_type(ScalingEventType::ManualScale)
            .trigger_reason("Requested for a production deployment")
            .before_state(json!({"instance_count": 2, "deployment": "staging"}))
            .after_state(json!({"instance_count": 4, "deployment": "production", "load_balanced": true}))
            .success(true)
            .executed_at(minutes_ago(at, 720))
            .completed_at(minutes_ago(at, 710))
            .metadata(json!({
                "requested_by": "ops_team",
                "deployment_id": "deploy-20251020-001",
                "health_checks_passed": true,
            }))
            .build(),
        NewScalingEvent::builder()
            .id(id("scale_down for maintenance"))
            .agent_id(ids::RESOURCE_AGENT)
            .customer_id(ids::ACME)
            .event_type(ScalingEventType::ScaleDown)
            .trigger_reason("Maintenance window from 2 am to 4 am")
            .before_state(json!({"instance_count": 6, "maintenance_window": true}))
            .after_state(json!({"instance_count": 3, "instances_in_maintenance": 3}))
            .success(true)
            .executed_at(minutes_ago(at, 1200))
            .completed_at(minutes_ago(at, 1195))
            .metadata(json!({
                "maintenance_type": "scheduled",
                "estimated_duration_hours": 2,
                "backup_capacity_reserved": true,
            }))
            .build(),
        NewScalingEvent::builder()
            .id(id("scale_up on a traffic spike"))
            .agent_id(ids::RESOURCE_AGENT)
            .customer_id(ids::ACME)
            .event_type(ScalingEventType::ScaleUp)
            .trigger_reason("Sudden rise in traffic")
            .before_state(json!({"instance_count": 4, "current_rps": 5000, "target_rps": 8000}))
            .after_state(json!({"instance_count": 5, "current_rps": 6500, "scaling_in_progress": true}))
            .success(true)
            .executed_at(minutes_ago(at, 10))
            .completed_at(minutes_ago(at, 5))
            .metadata(json!({
                "trigger_type": "reactive",
                "response_time_seconds": 300,
                "health_status": "all_healthy",
            }))
            .build(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_the_listed_samples_and_two_more_temperature_series() {
        let metrics = resource_metrics(DateTime::UNIX_EPOCH);
        let added = |metric: &&NewResourceMetric| {
            metric.metric_name == "temperature" && [GPU_2, GPU_3].contains(&metric.instance_id.as_str())
        };
        assert_eq!((metrics.len(), metrics.iter().filter(added).count()), (102 + 24, 24));
    }

    #[test]
    fn the_series_end_at_the_anchor_with_the_documented_values() {
        let at = DateTime::UNIX_EPOCH;
        let metrics = resource_metrics(at);
        let of = |instance: &str, name: &str| -> Vec<&NewResourceMetric> {
            metrics.iter().filter(|metric| metric.instance_id == instance && metric.metric_name == name).collect()
        };
        let busy = of(GPU_1, "utilization");
        assert_eq!((busy[0].metric_value, busy[0].timestamp), (45.0, at - TimeDelta::hours(11)));
        assert_eq!((busy[11].metric_value, busy[11].timestamp), (83.5, at));
        assert_eq!(busy[11].metadata.as_ref().unwrap()["gpu_memory_used_gb"], 66.8);
        assert_eq!(of(GPU_2, "utilization")[11].metric_value, 71.5);
        assert_eq!(of(GPU_3, "utilization")[11].metric_value, 25.5);
        assert_eq!(of(CPU_1, "used")[11].metadata.as_ref().unwrap()["utilization_percent"], 64.84);
        assert_eq!(of(TECHSTART_GPU, "utilization").last().unwrap().metric_value, 80.0);
    }

    #[test]
    fn every_kind_of_resource_and_of_event_occurs() {
        let at = DateTime::UNIX_EPOCH;
        let (metrics, events) = (resource_metrics(at), scaling_events(at));
        assert!(ResourceType::ALL.iter().all(|kind| metrics.iter().any(|metric| metric.resource_type == *kind)));
        assert!(ScalingEventType::ALL.iter().all(|kind| events.iter().any(|event| event.event_type == *kind)));
    }

    #[test]
    fn only_the_event_without_capacity_failed_and_each_ended_after_it_began() {
        let events = scaling_events(DateTime::UNIX_EPOCH);
        assert_eq!(events.len(), 8);
        for event in &events {
            assert!(event.completed_at.unwrap() > event.executed_at, "{}", event.trigger_reason);
            assert_eq!(event.success, Some(event.error_details.is_none()), "{}", event.trigger_reason);
        }
        assert_eq!(events.iter().filter(|event| event.success == Some(false)).count(), 1);
    }
}
