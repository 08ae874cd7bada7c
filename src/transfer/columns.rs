//! The columns of the four tables that can be imported and exported, once; and how a row is made of its fields.
//!
//! A test compares the list with the catalogue. What holds for rows beyond their types is in `ranges`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::ranges::Ranges;
use super::values::{Context, FromText, Input, Written, shown};
use crate::enums::{self, EventSeverity, MetricType, ResourceType, UnknownLabel};
use crate::ingest::{self, Ingest};
use crate::models::{AgentMetric, NewEvent, NewQualityMetric, NewResourceMetric};

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
            Self::ResourceMetrics => NewResourceMetric::LISTED,
            Self::QualityMetrics => NewQualityMetric::LISTED,
            Self::AgentMetrics => AgentMetric::LISTED,
            Self::Events => NewEvent::LISTED,
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

    /// Where a column stands.
    pub(super) fn position(self, name: &str) -> Option<usize> {
        self.columns().iter().position(|column| column.name == name)
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Table {
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
    /// Whether a row must have it.
    pub presence: Presence,
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

/// What becomes of a row that has nothing for a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is refused.
    Required,
    /// The column is null.
    Nullable,
    /// The column takes its default.
    Default,
    /// The column takes its default, and is null where the row says null.
    NullableDefault,
}

impl Column {
    /// Whether a text is a value of the column.
    pub(super) fn check(&self, text: &str, context: &Context<'_>) -> Result<(), String> {
        match self.kind {
            Kind::Uuid | Kind::Customer | Kind::Agent => Uuid::from_text(text, self, context).map(drop),
            Kind::Text { .. } => String::from_text(text, self, context).map(drop),
            Kind::Float => f64::from_text(text, self, context).map(drop),
            Kind::Integer => i32::from_text(text, self, context).map(drop),
            Kind::Bool => bool::from_text(text, self, context).map(drop),
            Kind::Time => DateTime::<Utc>::from_text(text, self, context).map(drop),
            Kind::Json => Value::from_text(text, self, context).map(drop),
            Kind::Label(name) => {
                let known = enums::ALL.iter().find(|known| known.name == name);
                let labels = known.map_or(&[][..], |known| known.labels);
                if labels.contains(&text) { Ok(()) } else { Err(no_label(text, name, labels)) }
            }
        }
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// The column, where it is one column's fault.
    pub column: Option<&'static str>,
    pub reason: String,
}

impl Problem {
    pub fn of(column: &Column, reason: impl Into<String>) -> Self {
        Self { column: Some(column.name), reason: reason.into() }
    }
}

/// What a row has for each column of its table.
pub(super) struct Values<'a, 'c> {
    pub inputs: &'a [Input<'a>],
    pub context: &'a Context<'c>,
    pub columns: &'static [Column],
    /// When the row arrived: the default of the times.
    pub now: DateTime<Utc>,
}

impl Values<'_, '_> {
    /// A value that has to be there.
    fn required<T: FromText>(&self, at: usize) -> Result<T, Problem> {
        let column = &self.columns[at];
        match &self.inputs[at] {
            Input::Absent => Err(Problem::of(column, "is missing")),
            Input::Null | Input::JsonNull => Err(Problem::of(column, "is null, and the column is not")),
            Input::Text { text, raw, written } => self.read(text, *raw, *written, column),
        }
    }

    /// A value that may be missing.
    fn optional<T: FromText>(&self, at: usize) -> Result<Option<T>, Problem> {
        let column = &self.columns[at];
        match &self.inputs[at] {
            // JSON's null is a value of its own where the column is JSON and cannot be null.
            Input::JsonNull if column.kind == Kind::Json && column.presence == Presence::Default => {
                self.read("null", None, Written::Plain, column).map(Some)
            }
            Input::Absent | Input::Null | Input::JsonNull => Ok(None),
            Input::Text { text, raw, written } => self.read(text, *raw, *written, column).map(Some),
        }
    }

    /// Whether the row has nothing for a column, not even null.
    fn is_absent(&self, at: usize) -> bool {
        matches!(self.inputs[at], Input::Absent)
    }

    fn read<T: FromText>(
        &self,
        text: &str,
        raw: Option<&str>,
        written: Written,
        column: &Column,
    ) -> Result<T, Problem> {
        T::read(text, raw, written, column, self.context).map_err(|reason| Problem::of(column, reason))
    }
}

/// A row that is made of the fields of a file.
pub(super) trait FromFields: Ingest + Ranges {
    /// Its columns, in their order.
    const LISTED: &'static [Column];

    fn read(values: &Values<'_, '_>) -> Result<Self, Problem>;
}

macro_rules! labels {
    ($($label:ty),+) => {$(
        impl FromText for $label {
            fn from_text(text: &str, _: &Column, _: &Context<'_>) -> Result<Self, String> {
                text.parse().map_err(|unknown: UnknownLabel| no_label(text, unknown.type_name, unknown.labels))
            }
        }
    )+};
}

labels!(ResourceType, MetricType, EventSeverity);

fn no_label(text: &str, type_name: &str, labels: &[&str]) -> String {
    format!("{} is not a label of {type_name}: expected one of {}", shown(text), labels.join(", "))
}

macro_rules! record {
    ($row:ident { $($column:ident: $kind:expr, $presence:ident $(($default:expr))?;)+ }) => {
        impl FromFields for $row {
            const LISTED: &'static [Column] = &[
                $(Column { name: stringify!($column), kind: $kind, presence: Presence::$presence },)+
            ];

            fn read(values: &Values<'_, '_>) -> Result<Self, Problem> {
                let mut at = 0..;
                let mut next = || at.next().unwrap_or_default();
                Ok(Self { $($column: record!(@$presence values, next(), $($default)?),)+ })
            }
        }
    };
    (@Required $values:ident, $at:expr,) => { $values.required($at)? };
    (@Nullable $values:ident, $at:expr,) => { $values.optional($at)? };
    (@Default $values:ident, $at:expr,) => { $values.optional($at)? };
    // A whole row: what is left out has to be said, and takes what `ingest` gives a new one.
    (@Default $values:ident, $at:expr, $default:expr) => { $values.optional($at)?.unwrap_or_else(|| $default($values.now)) };
    (@NullableDefault $values:ident, $at:expr, $default:expr) => {{
        let at = $at;
        if $values.is_absent(at) { Some($default($values.now)) } else { $values.optional(at)? }
    }};
}

const fn text(longest: usize) -> Kind {
    Kind::Text { longest }
}

record! {
    NewResourceMetric {
        id: Kind::Uuid, Default;
        agent_id: Kind::Agent, Required;
        customer_id: Kind::Customer, Required;
        instance_id: text(255), Required;
        resource_type: Kind::Label("resource_type"), Required;
        metric_name: text(100), Required;
        metric_value: Kind::Float, Required;
        unit: text(50), Required;
        timestamp: Kind::Time, Required;
        metadata: Kind::Json, Default;
        created_at: Kind::Time, Default;
    }
}

record! {
    NewQualityMetric {
        id: Kind::Uuid, Default;
        agent_id: Kind::Agent, Required;
        customer_id: Kind::Customer, Required;
        request_id: text(255), Required;
        model_name: text(100), Required;
        model_version: text(50), Required;
        prompt_tokens: Kind::Integer, Nullable;
        completion_tokens: Kind::Integer, Nullable;
        latency_ms: Kind::Float, Nullable;
        relevance_score: Kind::Float, Nullable;
        coherence_score: Kind::Float, Nullable;
        factuality_score: Kind::Float, Nullable;
        hallucination_detected: Kind::Bool, Default;
        toxicity_score: Kind::Float, Nullable;
        overall_quality_score: Kind::Float, Required;
        timestamp: Kind::Time, Required;
        metadata: Kind::Json, Default;
        created_at: Kind::Time, Default;
    }
}

// The whole row, because the new one cannot say that tags is null.
record! {
    AgentMetric {
        id: Kind::Uuid, Default(|_| Uuid::nil());
        agent_id: Kind::Agent, Required;
        metric_name: text(255), Required;
        metric_value: Kind::Float, Required;
        metric_type: Kind::Label("metrictype"), Default(ingest::gauge);
        tags: Kind::Json, NullableDefault(ingest::empty_object);
        recorded_at: Kind::Time, Default(ingest::at_once);
    }
}

record! {
    NewEvent {
        id: Kind::Uuid, Default;
        customer_id: Kind::Customer, Required;
        agent_id: Kind::Agent, Nullable;
        event_type: text(100), Required;
        severity: Kind::Label("eventseverity"), Default;
        data: Kind::Json, Default;
        created_at: Kind::Time, Default;
    }
}
