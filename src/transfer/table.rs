//! The four tables that can be imported and exported, and their columns: name, type, length, nullability, default and
//! range.
//!
//! A test compares the list with the database's catalog.

use std::fmt;
use std::str::FromStr;

use super::ranges::Range;
use crate::ingest;

/// A table that rows can be brought into and taken out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Samples of the use of resources.
    ResourceMetrics,
    /// Quality of single answers.
    QualityMetrics,
    /// Samples that the agents take of themselves.
    AgentMetrics,
    /// What happened to a customer.
    Events,
}

/// A word that is none of the tables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' cannot be imported or exported: expected resource_metrics, quality_metrics, agent_metrics or events")]
pub struct UnknownTable(pub String);

impl Table {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::ResourceMetrics, Self::QualityMetrics, Self::AgentMetrics, Self::Events];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResourceMetrics => "resource_metrics",
            Self::QualityMetrics => "quality_metrics",
            Self::AgentMetrics => "agent_metrics",
            Self::Events => "events",
        }
    }

    /// Its columns, in their order.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::ResourceMetrics => RESOURCE_METRICS,
            Self::QualityMetrics => QUALITY_METRICS,
            Self::AgentMetrics => AGENT_METRICS,
            Self::Events => EVENTS,
        }
    }

    /// The column that says when a row's fact was so.
    pub const fn time_column(self) -> &'static str {
        match self {
            Self::ResourceMetrics | Self::QualityMetrics => "timestamp",
            Self::AgentMetrics => "recorded_at",
            Self::Events => "created_at",
        }
    }

    /// Whether its rows say which customer they belong to.
    pub fn has_customer(self) -> bool {
        self.columns().iter().any(|column| column.kind == Kind::Customer)
    }

    /// Whether its ids are ordered by the time of the sample.
    pub(super) const fn has_timed_ids(self) -> bool {
        !matches!(self, Self::Events)
    }

    /// The place of a column.
    pub(super) fn position(self, name: &str) -> Option<usize> {
        self.columns().iter().position(|column| column.name == name)
    }

    /// The table as bulk writing knows it.
    pub(super) fn ingested(self) -> &'static ingest::Table {
        match self {
            Self::ResourceMetrics => &ingest::RESOURCE_METRICS,
            Self::QualityMetrics => &ingest::QUALITY_METRICS,
            Self::AgentMetrics => &ingest::AGENT_METRICS,
            Self::Events => &ingest::EVENTS,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Table {
    type Err = UnknownTable;

    fn from_str(word: &str) -> Result<Self, UnknownTable> {
        Self::ALL.into_iter().find(|table| table.as_str() == word).ok_or_else(|| UnknownTable(word.to_owned()))
    }
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be null.
    pub is_nullable: bool,
    /// What it holds where a row says nothing; of a column that is not nullable, also where a row says null.
    pub default: Option<DefaultValue>,
    /// What is true of its values beyond their type.
    pub(super) range: Option<Range>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A UUID.
    Uuid,
    /// A customer, by id or name.
    Customer,
    /// An agent, by id or name.
    Agent,
    /// A text of at most so many characters.
    Text {
        /// The number of characters.
        longest: usize,
    },
    /// A double precision number; NaN and Infinity too.
    Float,
    /// A whole number of 32 bits.
    Integer,
    /// True or false.
    Bool,
    /// A time, UTC.
    Time,
    /// JSON.
    Json,
    /// A label of the enum type of this name.
    Label(&'static str),
}

/// The default of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// A new id.
    NewId,
    /// Now.
    Now,
    /// `{}`.
    EmptyObject,
    /// False.
    False,
    /// This label.
    Label(&'static str),
}

impl Column {
    /// Whether a row has to have a value for it.
    pub const fn is_required(&self) -> bool {
        !self.is_nullable && self.default.is_none()
    }

    /// Its name, and the short one of a column that names a customer or an agent, who may be given by name.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        let short = match self.kind {
            Kind::Customer => Some("customer"),
            Kind::Agent => Some("agent"),
            _ => None,
        };
        std::iter::once(self.name).chain(short)
    }

    /// A column that is not null and has no default.
    const fn new(name: &'static str, kind: Kind) -> Self {
        let range = if matches!(kind, Kind::Time) { Some(Range::Past) } else { None };
        Self { name, kind, is_nullable: false, default: None, range }
    }

    const fn nullable(self) -> Self {
        Self { is_nullable: true, ..self }
    }

    const fn or(self, default: DefaultValue) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn within(self, range: Range) -> Self {
        Self { range: Some(range), ..self }
    }
}

const fn text(name: &'static str, longest: usize) -> Column {
    Column::new(name, Kind::Text { longest })
}

const fn float(name: &'static str, range: Range) -> Column {
    Column::new(name, Kind::Float).within(range)
}

const fn time(name: &'static str) -> Column {
    Column::new(name, Kind::Time)
}

const ID: Column = Column::new("id", Kind::Uuid).or(DefaultValue::NewId);
const AGENT: Column = Column::new("agent_id", Kind::Agent);
const CUSTOMER: Column = Column::new("customer_id", Kind::Customer);
const METADATA: Column = Column::new("metadata", Kind::Json).or(DefaultValue::EmptyObject);
const CREATED_AT: Column = time("created_at").or(DefaultValue::Now);

const RESOURCE_METRICS: &[Column] = &[
    ID,
    AGENT,
    CUSTOMER,
    text("instance_id", 255),
    Column::new("resource_type", Kind::Label("resource_type")),
    text("metric_name", 100),
    float("metric_value", Range::OfUnit),
    text("unit", 50).within(Range::Unit),
    time("timestamp"),
    METADATA,
    CREATED_AT,
];

const QUALITY_METRICS: &[Column] = &[
    ID,
    AGENT,
    CUSTOMER,
    text("request_id", 255),
    text("model_name", 100),
    text("model_version", 50),
    Column::new("prompt_tokens", Kind::Integer).within(Range::NotNegative).nullable(),
    Column::new("completion_tokens", Kind::Integer).within(Range::NotNegative).nullable(),
    float("latency_ms", Range::NotNegative).nullable(),
    float("relevance_score", Range::Share).nullable(),
    float("coherence_score", Range::Share).nullable(),
    float("factuality_score", Range::Share).nullable(),
    Column::new("hallucination_detected", Kind::Bool).or(DefaultValue::False),
    float("toxicity_score", Range::Share).nullable(),
    float("overall_quality_score", Range::Share),
    time("timestamp"),
    METADATA,
    CREATED_AT,
];

const AGENT_METRICS: &[Column] = &[
    ID,
    AGENT,
    text("metric_name", 255),
    float("metric_value", Range::OfCounter),
    Column::new("metric_type", Kind::Label("metrictype")).or(DefaultValue::Label("gauge")),
    Column::new("tags", Kind::Json).or(DefaultValue::EmptyObject).nullable(),
    time("recorded_at").or(DefaultValue::Now),
];

const EVENTS: &[Column] = &[
    ID,
    CUSTOMER,
    AGENT.nullable(),
    text("event_type", 100),
    Column::new("severity", Kind::Label("eventseverity")).or(DefaultValue::Label("info")),
    Column::new("data", Kind::Json).or(DefaultValue::EmptyObject),
    CREATED_AT,
];
