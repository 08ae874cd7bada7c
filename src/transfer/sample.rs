//! One value that another tool measured, as its file says it.

use std::collections::BTreeMap;

use super::metrics::Metric;

/// Labels that name what was measured, the first that is there counts.
const INSTANCES: [&str; 9] =
    ["instance_id", "InstanceId", "Hostname", "hostname", "host", "node", "nodename", "instance", "pod"];

/// The label that holds the metric's name, as Prometheus has it.
const NAME: &str = "__name__";

/// A sample. Readers fill the same one again and again.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// The line of the file on which it is.
    pub line: u64,
    /// Where in a document it is; empty where the line says it.
    pub path: String,
    /// What the file says of it.
    pub raw: Vec<u8>,
    /// The metric's name in its tool.
    pub metric: String,
    /// What is added to the metric's name, such as `_maximum`.
    pub statistic: String,
    /// How its values behave over time, where the file says it.
    pub kind: Option<&'static str>,
    pub unit: Option<String>,
    pub value: String,
    pub time: Option<String>,
    /// What the metric is for the table.
    pub meaning: Option<Metric>,
    /// Whether the same metric, labels and time may be there again, so that only the line tells the two apart.
    pub needs_line: bool,
    labels: BTreeMap<String, String>,
    /// The labels as JSON.
    metadata: String,
}

impl Sample {
    /// Begins the samples of one series.
    pub fn begin_series(&mut self, metric: String, labels: BTreeMap<String, String>) {
        let mut all = serde_json::Map::new();
        if !metric.is_empty() {
            all.insert(NAME.to_owned(), metric.clone().into());
        }
        all.extend(labels.iter().map(|(name, value)| (name.clone(), value.clone().into())));
        self.metadata = serde_json::Value::Object(all).to_string();
        (self.metric, self.labels) = (metric, labels);
    }

    /// A text of it, where it is in the middle of a document.
    pub fn write_raw(&mut self) {
        self.raw.clear();
        let time = self.time.as_deref().unwrap_or_default();
        self.raw.extend_from_slice(format!("{} {} {time}", self.metadata, self.value).as_bytes());
    }

    /// What it says for a column by itself.
    pub fn of_column(&self, column: &str) -> Option<&str> {
        match column {
            "metric_name" => self.meaning.as_ref().map(|meaning| meaning.name.as_str()).or(self.label(NAME)),
            "metric_value" => Some(&self.value),
            "metric_type" => self.kind.or(self.meaning.as_ref().and_then(|meaning| meaning.kind)),
            "resource_type" => self.meaning.as_ref().map(|meaning| meaning.resource_type.as_str()),
            "unit" => self.unit.as_deref().or(self.meaning.as_ref().map(|meaning| meaning.unit.as_str())),
            "timestamp" | "recorded_at" => self.time.as_deref(),
            "metadata" | "tags" => Some(&self.metadata),
            "instance_id" => INSTANCES.iter().find_map(|name| self.label(name)),
            "customer_id" => self.label("customer_id").or(self.label("customer")),
            "agent_id" => self.label("agent_id").or(self.label("agent")),
            _ => None,
        }
    }

    /// A label that the user names; its metric's name too.
    pub fn label(&self, name: &str) -> Option<&str> {
        if name == NAME && !self.metric.is_empty() {
            return Some(&self.metric);
        }
        self.labels.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }
}
