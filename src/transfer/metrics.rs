//! Metrics of other tools that have a meaning here: `docs/metrics.md` lists them, and is read by the program itself.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::LazyLock;

use crate::enums;

const PAGE: &str = include_str!("../../docs/metrics.md");

/// Other names of units, as tools write them.
const UNITS: [(&str, &str); 12] = [
    ("%", "percent"),
    ("Percent", "percent"),
    ("W", "watts"),
    ("C", "celsius"),
    ("s", "seconds"),
    ("Seconds", "seconds"),
    ("Milliseconds", "milliseconds"),
    ("Bytes", "bytes"),
    ("Bytes/Second", "bytes/s"),
    ("Count", "count"),
    ("Count/Second", "count/s"),
    ("None", "none"),
];

/// What a metric of another tool is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// A label of `resource_type`.
    pub resource_type: String,
    /// The name.
    pub name: String,
    /// The unit.
    pub unit: String,
    /// How its values behave over time, where that is known: a label of `metrictype`.
    pub(super) kind: Option<&'static str>,
}

/// A text that says of no metric what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write it as RESOURCE_TYPE/NAME/UNIT, such as gpu/utilization/percent; the types are {}", resource_types().join(", "))]
pub struct NotAMetric;

fn resource_types() -> &'static [&'static str] {
    labels_of("resource_type")
}

fn labels_of(type_name: &str) -> &'static [&'static str] {
    enums::ALL.iter().find(|known| known.name == type_name).map_or(&[], |known| known.labels)
}

impl FromStr for Metric {
    type Err = NotAMetric;

    fn from_str(text: &str) -> Result<Self, NotAMetric> {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        let mut part = || parts.next().filter(|part| !part.is_empty()).ok_or(NotAMetric);
        let (resource_type, name, unit) = (part()?, part()?, part()?);
        if !resource_types().contains(&resource_type.as_str()) {
            return Err(NotAMetric);
        }
        Ok(Self { resource_type, name, unit, kind: None })
    }
}

/// The metrics of the page by their names.
static KNOWN: LazyLock<HashMap<&'static str, Metric>> = LazyLock::new(|| PAGE.lines().filter_map(row).collect());

/// A row of a table of the page.
fn row(line: &'static str) -> Option<(&'static str, Metric)> {
    let cells: Vec<_> = line.strip_prefix("| `")?.split('|').map(|cell| cell.trim().trim_end_matches('`')).collect();
    let &[metric, resource_type, name, unit, kind, _] = cells.as_slice() else { return None };
    let [resource_type, name, unit] = [resource_type, name, unit].map(str::to_owned);
    let kind = labels_of("metrictype").iter().copied().find(|label| *label == kind);
    Some((metric, Metric { resource_type, name, unit, kind }))
}

/// What a metric is here; of a histogram its parts are metrics too.
pub(super) fn known(metric: &str) -> Option<Metric> {
    if let Some(known) = KNOWN.get(metric) {
        return Some(known.clone());
    }
    let (base, part) =
        ["_bucket", "_count", "_sum"].iter().find_map(|part| Some((metric.strip_suffix(part)?, *part)))?;
    let histogram = KNOWN.get(base).filter(|known| known.kind == Some("histogram"))?;
    let unit = if part == "_sum" { histogram.unit.clone() } else { "count".to_owned() };
    Some(Metric { name: format!("{}{part}", histogram.name), unit, ..histogram.clone() })
}

/// Whether it is a metric of the page.
pub(super) fn is_known(metric: &str) -> bool {
    KNOWN.contains_key(metric)
}

/// The name that a unit has here.
pub(super) fn unit(written: &str) -> &str {
    UNITS.iter().find(|(tool, _)| *tool == written).map_or(written, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_page_is_a_metric_and_none_is_there_twice() {
        let rows: Vec<_> = PAGE.lines().filter(|line| line.starts_with("| `")).collect();
        assert!(rows.len() > 100 && rows.len() == KNOWN.len(), "{} rows, {} metrics", rows.len(), KNOWN.len());
        for (name, metric) in KNOWN.iter() {
            assert!(resource_types().contains(&metric.resource_type.as_str()), "{name}: {metric:?}");
            assert!(metric.kind.is_some() && unit(&metric.unit) == metric.unit, "{name}: {metric:?}");
            assert!(!metric.name.is_empty() && metric.name.len() < 90, "{name}: {metric:?}");
        }
    }

    #[test]
    fn the_parts_of_a_histogram_are_metrics() {
        let found = |name| known(name).map(|metric| (metric.name, metric.unit));
        let named = |name: &str, unit: &str| Some((name.to_owned(), unit.to_owned()));
        assert_eq!(found("vllm:time_to_first_token_seconds_sum"), named("time_to_first_token_sum", "seconds"));
        assert_eq!(found("vllm:time_to_first_token_seconds_bucket"), named("time_to_first_token_bucket", "count"));
        assert_eq!(found("vllm:num_requests_running_sum"), None);
        assert_eq!(found("DCGM_FI_DEV_GPU_UTIL"), named("utilization", "percent"));
    }

    #[test]
    fn a_metric_is_written_in_three_parts() {
        let metric: Metric = "network/receive/bytes/s".parse().unwrap();
        assert_eq!((metric.name.as_str(), metric.unit.as_str()), ("receive", "bytes/s"));
        for wrong in ["gpu/utilization", "tpu/utilization/percent", "gpu//percent", ""] {
            assert!(wrong.parse::<Metric>().is_err(), "{wrong}");
        }
    }
}
