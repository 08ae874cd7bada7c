//! Samples of instances, and scaling events.

use std::collections::BTreeSet;

use optiinfra_db::stats::{Point, Report, Resource, ScalingEvent, Spread};

use super::{newest, skipped};
use crate::report::section::{Builder, Layout, Section, Shown, Top, Unit};

const LAYER: &str = "resource";
/// Maximum of failed events that are listed.
const MOST_FAILED: usize = 10;

pub fn metrics(report: &Report) -> Section {
    let title = format!("resource metrics by type{}", newest(report, report.samples_since));
    Section::of(title, &report.resource.metrics)
        .skipped(skipped(report, LAYER))
        .key("resource_type", "resource type", |metrics| metrics.resource_type.as_str())
        .label("resource_type")
        .column("count", "samples", Unit::None, |metrics| metrics.count)
        .gauge(
            "resource_samples",
            "Samples by resource type, those since resource_samples_since_timestamp_seconds where that is there.",
        )
        .done()
}

pub fn instances(report: &Report) -> Section {
    let title = format!("resource metrics by instance{}", newest(report, report.samples_since));
    Section::of(title, &report.resource.instances)
        .top(Top::By("metrics"))
        .skipped(skipped(report, LAYER))
        .key("instance_id", "instance", |instance| &instance.instance_id)
        .column("metrics", "samples", Unit::None, |instance| instance.metrics)
        .hidden("gpu_samples", |instance| instance.gpu_samples)
        .column("average_gpu_utilization", "average GPU utilisation", Unit::Percent, |instance| {
            instance.average_gpu_utilization
        })
        .done()
}

pub fn utilization(report: &Report) -> Section {
    let drawn = drawn(&report.resource).map(|drawn| format!(" of {drawn}")).unwrap_or_default();
    let title = format!("utilisation over time{drawn}{}", newest(report, report.samples_since));
    let lines = report.resource.utilization.iter();
    let points: Vec<_> = lines.flat_map(|line| line.points.iter().map(move |point| (line, point))).collect();
    Section::of(title, &points)
        .skipped(skipped(report, LAYER))
        .layout(Layout::Lines)
        .key("instance_id", "instance", |(line, _)| &line.instance_id)
        .key("resource_type", "measure", |(line, _)| line.resource_type.as_str())
        .key("at", "time", |(_, point): &(_, &Point)| point.at)
        .key("value", "utilisation over time", |(_, point)| point.value)
        .unit(Unit::Percent)
        .done()
}

pub fn utilization_bands(report: &Report) -> Section {
    let bands = report.resource.utilization_bands.iter();
    let points: Vec<_> = bands.flat_map(|band| band.points.iter().map(move |point| (band, point))).collect();
    Section::of("utilisation of all instances over time", &points)
        .skipped(skipped(report, LAYER))
        .shown(Shown::InData)
        .key("resource_type", "measure", |(band, _)| band.resource_type.as_str())
        .key("at", "time", |(_, point): &(_, &Spread)| point.at)
        .column("low", "5th percentile", Unit::Percent, |(_, point)| point.low)
        .column("median", "median", Unit::Percent, |(_, point)| point.median)
        .column("high", "95th percentile", Unit::Percent, |(_, point)| point.high)
        .column("samples", "samples", Unit::None, |(_, point)| point.samples)
        .done()
}

pub fn newest_by_customer(report: &Report) -> Section {
    Section::of("newest sample by customer", &report.resource.newest_by_customer)
        .skipped(skipped(report, LAYER))
        .key("customer", "customer", |newest| &newest.customer)
        .label("customer")
        .hidden("customer_id", |newest| newest.customer_id.to_string())
        .label("customer_id")
        .column("newest_sample", "newest sample", Unit::None, |newest| newest.newest_sample)
        .null("none")
        .gauge("customer_newest_sample_timestamp_seconds", "Time of the newest resource sample of a customer.")
        .done()
}

pub fn utilization_instances(report: &Report) -> Section {
    Section::record("instances with utilisation", &report.resource)
        .skipped(skipped(report, LAYER))
        .shown(Shown::InData)
        .column("utilization_instances", "instances", Unit::None, |resource| resource.utilization_instances)
        .done()
}

/// Which instances have a line over time, if not all.
fn drawn(resource: &Resource) -> Option<String> {
    let drawn: BTreeSet<_> = resource.utilization.iter().map(|line| &line.instance_id).collect();
    let all = resource.utilization_instances.and_then(|all| usize::try_from(all).ok()).unwrap_or_default();
    (drawn.len() < all).then(|| format!("the {} of {all} instances with most samples", drawn.len()))
}

pub fn events(report: &Report) -> Section {
    const NAME: &str = "scaling_events";
    const HELP: &str = "Scaling events by type and success.";
    Section::of("scaling events by type", &report.resource.scaling_events)
        .skipped(skipped(report, LAYER))
        .key("event_type", "event type", |events| events.event_type.as_str())
        .label("event_type")
        .column("count", "events", Unit::None, |events| events.count)
        .column("succeeded", "successful", Unit::None, |events| events.succeeded)
        .gauge_with(NAME, HELP, "success", "true")
        .hidden("unsuccessful", |events| events.count - events.succeeded)
        .gauge_with(NAME, HELP, "success", "false")
        .done()
}

pub fn outcomes(report: &Report) -> Section {
    Section::of("scaling outcomes", &report.resource.scaling_outcomes)
        .skipped(skipped(report, LAYER))
        .key("event_type", "event type", |outcome| outcome.event_type.as_str())
        .column("success", "success", Unit::None, |outcome| outcome.success)
        .column("count", "events", Unit::None, |outcome| outcome.count)
        .column("average_minutes", "average duration", Unit::Minutes, |outcome| outcome.average_minutes)
        .done()
}

pub fn latest_gpu_utilization(report: &Report) -> Section {
    Section::of("latest GPU utilisation", &report.resource.latest_gpu_utilization)
        .skipped(skipped(report, LAYER))
        .key("instance_id", "instance", |sample| &sample.instance_id)
        .column("utilization", "utilisation", Unit::Percent, |sample| sample.utilization)
        .column("timestamp", "time", Unit::None, |sample| sample.timestamp)
        .done()
}

pub fn latest_event(report: &Report) -> Section {
    scaling(Section::of("latest scaling event", &report.resource.latest_scaling_event), report).done()
}

pub fn failed_events(report: &Report) -> Section {
    let failed = report.resource.scaling_timeline.iter().rev();
    let failed = failed.filter(|event| !event.success && event.duration_seconds.is_some()).take(MOST_FAILED);
    scaling(Section::of("failed scaling events", failed), report).shown(Shown::InTables).done()
}

pub fn timeline(report: &Report) -> Section {
    let title = "newest scaling events";
    scaling(Section::of(title, &report.resource.scaling_timeline), report).shown(Shown::InData).done()
}

fn scaling<'a>(events: Builder<'a, ScalingEvent>, report: &Report) -> Builder<'a, ScalingEvent> {
    events
        .skipped(skipped(report, LAYER))
        .key("event_type", "event type", |event| event.event_type.as_str())
        .column("success", "success", Unit::None, |event| event.success)
        .column("customer", "customer", Unit::None, |event| &event.customer)
        .column("instances", "instances", Unit::None, |event| event.instances.clone())
        .column("trigger_reason", "reason", Unit::None, |event| &event.trigger_reason)
        .column("executed_at", "began", Unit::None, |event| event.executed_at)
        .column("duration_seconds", "took", Unit::Seconds, |event| event.duration_seconds)
        .null("still runs")
        .column("error", "error", Unit::None, |event| event.error.clone())
}
