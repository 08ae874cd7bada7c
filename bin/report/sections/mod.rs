//! Every section of the report, in the order in which tables show them.

mod application;
mod core;
mod operations;
mod resource;
mod server;
mod tables;

use chrono::{DateTime, Utc};
use optiinfra_db::stats::Report;

pub use self::tables::head;
use super::section::Section;
use super::text;

type Make = fn(&Report) -> Section;

/// The name of each section, and what makes it.
const SECTIONS: &[(&str, Make)] = &[
    ("tables", tables::tables),
    ("skipped", tables::skipped),
    ("health", operations::health),
    ("database", tables::database),
    ("customers", core::customers),
    ("agents", core::agents),
    ("workflows", core::workflows),
    ("resource_metrics", resource::metrics),
    ("instances", resource::instances),
    ("utilization", resource::utilization),
    ("utilization_bands", resource::utilization_bands),
    ("newest_by_customer", resource::newest_by_customer),
    ("utilization_instances", resource::utilization_instances),
    ("scaling_events", resource::events),
    ("scaling_outcomes", resource::outcomes),
    ("latest_gpu_utilization", resource::latest_gpu_utilization),
    ("latest_scaling_event", resource::latest_event),
    ("failed_scaling_events", resource::failed_events),
    ("scaling_timeline", resource::timeline),
    ("quality", application::quality),
    ("quality_over_time", application::over_time),
    ("regressions", application::regressions),
    ("unresolved_regressions", application::unresolved),
    ("open_regressions", application::open),
    ("regression_timeline", application::timeline),
    ("server", server::server),
    ("replicas", server::replicas),
    ("slowest_statements", server::slowest_statements),
    ("operations", operations::operations),
    ("cache", operations::cache),
    ("newest_samples", operations::newest_samples),
    ("partitions", operations::partitions),
    ("bloat", operations::bloat),
    ("shards", operations::shards),
    ("indexes", operations::indexes),
    ("redundant_indexes", operations::redundant_indexes),
    ("unused_indexes", operations::unused_indexes),
    ("invalid_indexes", operations::invalid_indexes),
    ("unindexed_foreign_keys", operations::unindexed_foreign_keys),
    ("long_transactions", operations::long_transactions),
    ("blocked_sessions", operations::blocked_sessions),
];

/// The names that `--section` takes.
pub fn names() -> Vec<&'static str> {
    SECTIONS.iter().map(|(name, _)| *name).collect()
}

/// The sections of a report: all of them, or the one with this name.
pub fn of(report: &Report, name: Option<&str>) -> Vec<Section> {
    let chosen = SECTIONS.iter().filter(|(known, _)| name.is_none_or(|name| name == *known));
    chosen.map(|(name, section)| Section { name, ..section(report) }).collect()
}

/// Why a layer could not be read.
pub fn skipped(report: &Report, layer: &str) -> Option<String> {
    report.skipped.iter().find(|skipped| skipped.part == layer).map(|skipped| skipped.reason.to_string())
}

/// What a title adds where only the newest rows were read.
fn newest(report: &Report, begin: Option<DateTime<Utc>>) -> String {
    let begin = begin.filter(|_| begin != report.since);
    begin.map(|begin| format!(" (the newest, since {}; --exact has all)", text::time(begin))).unwrap_or_default()
}
