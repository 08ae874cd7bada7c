//! The samples of the resource layer: five instances over twelve hours. (0.2d) Thirteen series say in fewer lines than a
//! file what the 126 rows are.
//!
//! To the 102 listed samples come 24 temperatures, so that all three GPU instances of Acme Corp have both series.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ago, ids, two_decimals};
use crate::enums::ResourceType;
use crate::models::NewResourceMetric;

const GPU_1: &str = "i-0abc123def456";
const GPU_2: &str = "i-0abc123def457";
const GPU_3: &str = "i-0abc123def458";
const CPU_1: &str = "i-0xyz789ghi012";
const TECHSTART_GPU: &str = "i-techstart001";

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

pub(super) fn metrics(at: DateTime<Utc>) -> Vec<NewResourceMetric> {
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
