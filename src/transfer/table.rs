//! The four tables that can be imported and exported. Their columns are those of the contract of the schema, in its order;
//! what is added here is the range of values.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use crate::catalog::{self, DataType, HotTable, contract};
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
        self.ingested().name
    }

    /// Its columns, in their order. The first is the id.
    pub fn columns(self) -> &'static [Column] {
        static COLUMNS: LazyLock<[Vec<Column>; 4]> = LazyLock::new(|| {
            Table::ALL
                .map(|table| contract().columns_of(table.as_str()).map(|known| Column::of(table, known)).collect())
        });
        &COLUMNS[self as usize]
    }

    /// The column that says when a row's fact was so.
    pub const fn time_column(self) -> &'static str {
        match self {
            Self::ResourceMetrics => HotTable::RESOURCE_METRICS.time,
            Self::QualityMetrics => HotTable::QUALITY_METRICS.time,
            Self::AgentMetrics => HotTable::AGENT_METRICS.time,
            Self::Events => HotTable::EVENTS.time,
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
    pub(super) const fn ingested(self) -> &'static ingest::Table {
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

/// The default of a column. COPY takes no default of the server's for a single row, so it is made here.
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

/// The range of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// From 0 to 1.
    Share,
    /// From 0 on.
    NotNegative,
    /// That of the unit in the column `unit`.
    OfUnit,
    /// From 0 on where the row is of a counter.
    OfCounter,
    /// A unit, which has one name.
    Unit,
    /// Not in the future.
    Past,
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

    #[expect(clippy::panic, reason = "catalog.txt is a part of this program, and a test reads all of these columns")]
    fn of(table: Table, known: &'static catalog::Column) -> Self {
        let Some(kind) = Kind::of(known) else { panic!("{known:?} is of a type that files cannot hold yet") };
        let default = known.default().map(|text| match DefaultValue::of(text) {
            Some(default) => default,
            None => panic!("{known:?} has a default that is not known here yet"),
        });
        let range = Range::of(table, &known.name, kind);
        Self { name: &known.name, kind, is_nullable: !known.not_null, default, range }
    }
}

impl Kind {
    fn of(column: &'static catalog::Column) -> Option<Self> {
        let refers_to = contract().reference(&column.table, &column.name);
        Some(match (refers_to.map(|key| key.references.as_str()), &column.data_type) {
            (Some("customers"), _) => Self::Customer,
            (Some("agents"), _) => Self::Agent,
            (_, DataType::Uuid) => Self::Uuid,
            (_, DataType::Text) => Self::Text { longest: usize::MAX },
            (_, DataType::Varchar(length)) => {
                Self::Text { longest: length.map_or(usize::MAX, |length| length as usize) }
            }
            (_, DataType::Double) => Self::Float,
            (_, DataType::Integer) => Self::Integer,
            (_, DataType::Boolean) => Self::Bool,
            (_, DataType::TimestampWithZone) => Self::Time,
            (_, DataType::Jsonb) => Self::Json,
            (_, DataType::Other(name)) => Self::Label(name),
            _ => return None,
        })
    }
}

impl DefaultValue {
    fn of(expression: &'static str) -> Option<Self> {
        Some(match expression {
            "gen_random_uuid()" => Self::NewId,
            "now()" => Self::Now,
            "'{}'::jsonb" => Self::EmptyObject,
            "false" => Self::False,
            label => Self::Label(label.strip_prefix('\'')?.split_once("'::")?.0),
        })
    }
}

impl Range {
    fn of(table: Table, column: &str, kind: Kind) -> Option<Self> {
        Some(match (table, column) {
            _ if kind == Kind::Time => Self::Past,
            (Table::ResourceMetrics, "metric_value") => Self::OfUnit,
            (Table::ResourceMetrics, "unit") => Self::Unit,
            (Table::AgentMetrics, "metric_value") => Self::OfCounter,
            (Table::QualityMetrics, "prompt_tokens" | "completion_tokens" | "latency_ms") => Self::NotNegative,
            (Table::QualityMetrics, score) if score.ends_with("_score") => Self::Share,
            _ => return None,
        })
    }
}
