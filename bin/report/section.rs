//! A part of the report, defined once: its columns with their units, its rows, its metrics. Every format but JSON is
//! made from it.

use chrono::{DateTime, Utc};
use optiinfra_db::stats::Observation;

/// A part of the report.
#[derive(Default)]
pub struct Section {
    pub name: &'static str,
    pub title: String,
    /// Titles of further tables that show it, because one would be too wide.
    pub more_titles: Vec<&'static str>,
    pub layout: Layout,
    pub shown: Shown,
    pub top: Top,
    /// Why there are no rows, where that is not known.
    pub skipped: Option<String>,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Value>>,
    /// Labels of all its metrics.
    pub labels: Vec<(&'static str, String)>,
    /// Maximum of rows that become series, where rows are not objects of the schema.
    pub most_series: Option<usize>,
}

/// How a table shows a section.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    #[default]
    Rows,
    /// One row, a line for each column.
    Record,
    /// Points of lines over time: the columns `at` and `value`; the others say whose.
    Lines,
}

/// Where a section is shown without being asked for by name.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Shown {
    #[default]
    Everywhere,
    /// Not among the tables: it is long, or part of another one.
    InData,
    /// Only among the tables: it is made of others.
    InTables,
}

/// Which rows are shown where there is no space for all.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Top {
    #[default]
    First,
    /// Those with the greatest values in this column.
    By(&'static str),
    /// All of them: their number is that of the schema.
    All,
}

/// A column.
pub struct Column {
    /// Its name in CSV: that of the field in JSON.
    pub name: &'static str,
    /// Its heading for people; empty where only CSV has it.
    pub heading: &'static str,
    pub unit: Unit,
    /// Whether it says what a row is about.
    pub is_key: bool,
    /// Text of a table for a value that is null.
    pub null: &'static str,
    /// Which of the section's tables shows it; a key is in all of them.
    pub table: usize,
    /// The label that its values are in metrics.
    pub label: Option<&'static str>,
    pub metrics: Vec<Metric>,
}

/// The unit of a column's numbers.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Unit {
    #[default]
    None,
    Bytes,
    Seconds,
    Minutes,
    Milliseconds,
    Percent,
    /// Percent with its sign.
    Change,
    /// From 0 to 1.
    Score,
    /// From 0 to 1, shown as percent.
    Share,
}

/// A Prometheus metric whose samples are a column's values.
pub struct Metric {
    pub kind: &'static str,
    pub name: &'static str,
    pub help: &'static str,
    /// A label of its own, where several columns make one metric.
    pub label: Option<(&'static str, &'static str)>,
    /// Whether a label says which values are estimates.
    pub says_kind: bool,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    /// Not known, and why.
    Unknown(String),
    Whole(i64),
    /// An estimate.
    About(i64),
    Real(f64),
    Flag(bool),
    Time(DateTime<Utc>),
    /// A word of the schema.
    Word(&'static str),
    Text(String),
    List(Vec<String>),
}

/// A section that is being made: each column is added with its value of every item.
pub struct Builder<'a, T> {
    section: Section,
    items: Vec<&'a T>,
}

impl Section {
    /// A section with a row for each item.
    pub fn of<'a, T>(title: impl Into<String>, items: impl IntoIterator<Item = &'a T>) -> Builder<'a, T> {
        let items: Vec<_> = items.into_iter().collect();
        let rows = items.iter().map(|_| Vec::new()).collect();
        Builder { section: Self { title: title.into(), rows, ..Self::default() }, items }
    }

    /// A section with a row for each item of a list that may not be known.
    pub fn observed<'a, T>(title: impl Into<String>, items: &'a Observation<Vec<T>>) -> Builder<'a, T> {
        Self::of(title, items.found().into_iter().flatten()).skipped(items.reason().map(ToString::to_string))
    }

    /// A section that is one row.
    pub fn record<T>(title: impl Into<String>, item: &T) -> Builder<'_, T> {
        Self::of(title, [item]).layout(Layout::Record)
    }

    /// The place of a column.
    pub fn at(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Leaves the rows that are shown where there is space for so many, and says how many go.
    pub fn keep_top(&mut self, most: usize) -> usize {
        let more = self.rows.len().saturating_sub(most);
        if more == 0 || self.top == Top::All {
            return 0;
        }
        if let Top::By(column) = self.top
            && let Some(at) = self.at(column)
        {
            self.rows.sort_by(|one, other| other[at].number().total_cmp(&one[at].number()));
        }
        self.rows.truncate(most);
        more
    }

    /// The columns of one of its tables that people see, each with its place.
    pub fn shown(&self, table: usize) -> Vec<(usize, &Column)> {
        let columns = self.columns.iter().enumerate();
        columns.filter(|(_, c)| !c.heading.is_empty() && (c.is_key || c.table == table)).collect()
    }

    /// The title of one of its tables.
    pub fn title(&self, table: usize) -> &str {
        table.checked_sub(1).map_or(&self.title, |more| self.more_titles[more])
    }

    /// Whether a column holds numbers, as far as its values are known.
    pub fn is_numeric(&self, at: usize) -> bool {
        let values = || self.rows.iter().filter_map(|row| row.get(at));
        values().all(|value| value.is_number() || matches!(value, Value::Null | Value::Unknown(_)))
            && values().any(Value::is_number)
    }
}

impl<'a, T> Builder<'a, T> {
    /// Adds a column that says what a row is about.
    pub fn key<V: Into<Value>>(self, name: &'static str, heading: &'static str, value: impl Fn(&'a T) -> V) -> Self {
        let mut built = self.column(name, heading, Unit::None, value);
        built.last().is_key = true;
        built
    }

    /// Adds a column.
    pub fn column<V: Into<Value>>(
        mut self,
        name: &'static str,
        heading: &'static str,
        unit: Unit,
        value: impl Fn(&'a T) -> V,
    ) -> Self {
        let table = self.section.more_titles.len();
        let column = Column { name, heading, unit, is_key: false, null: "", table, label: None, metrics: Vec::new() };
        self.section.columns.push(column);
        for (row, item) in self.section.rows.iter_mut().zip(&self.items) {
            row.push(value(item).into());
        }
        self
    }

    /// Adds a column that only CSV has.
    pub fn hidden<V: Into<Value>>(self, name: &'static str, value: impl Fn(&'a T) -> V) -> Self {
        self.column(name, "", Unit::None, value)
    }

    /// Gives the last column a unit.
    pub fn unit(mut self, unit: Unit) -> Self {
        self.last().unit = unit;
        self
    }

    /// Says what a null of the last column means.
    pub fn null(mut self, text: &'static str) -> Self {
        self.last().null = text;
        self
    }

    /// Makes the last column a label of the section's metrics.
    pub fn label(mut self, label: &'static str) -> Self {
        self.last().label = Some(label);
        self
    }

    /// Makes the last column a metric that may rise and fall.
    pub fn gauge(self, name: &'static str, help: &'static str) -> Self {
        self.metric(Metric { kind: "gauge", name, help, label: None, says_kind: false })
    }

    /// The same with a label of its own.
    pub fn gauge_with(self, name: &'static str, help: &'static str, label: &'static str, value: &'static str) -> Self {
        self.metric(Metric { kind: "gauge", name, help, label: Some((label, value)), says_kind: false })
    }

    /// The same with a label that says whether a value is exact or an estimate.
    pub fn gauge_with_kind(self, name: &'static str, help: &'static str) -> Self {
        self.metric(Metric { kind: "gauge", name, help, label: None, says_kind: true })
    }

    /// Makes the last column a metric that only rises.
    pub fn counter(self, name: &'static str, help: &'static str) -> Self {
        self.metric(Metric { kind: "counter", name, help, label: None, says_kind: false })
    }

    fn metric(mut self, metric: Metric) -> Self {
        self.last().metrics.push(metric);
        self
    }

    /// Begins another table for the columns that follow.
    pub fn table(mut self, title: &'static str) -> Self {
        self.section.more_titles.push(title);
        self
    }

    pub const fn layout(mut self, layout: Layout) -> Self {
        self.section.layout = layout;
        self
    }

    pub const fn shown(mut self, shown: Shown) -> Self {
        self.section.shown = shown;
        self
    }

    pub const fn top(mut self, top: Top) -> Self {
        self.section.top = top;
        self
    }

    pub fn skipped(mut self, reason: Option<String>) -> Self {
        self.section.skipped = reason;
        self
    }

    pub fn labels(mut self, labels: Vec<(&'static str, String)>) -> Self {
        self.section.labels = labels;
        self
    }

    pub const fn most_series(mut self, most: usize) -> Self {
        self.section.most_series = Some(most);
        self
    }

    pub fn done(self) -> Section {
        self.section
    }

    #[expect(clippy::expect_used, reason = "each caller has added a column before")]
    fn last(&mut self) -> &mut Column {
        self.section.columns.last_mut().expect("a column")
    }
}

impl Value {
    pub const fn is_number(&self) -> bool {
        matches!(self, Self::Whole(_) | Self::About(_) | Self::Real(_))
    }

    /// The number, and for what is none the least.
    fn number(&self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "an order")]
            Self::Whole(number) | Self::About(number) => *number as f64,
            Self::Real(number) => *number,
            _ => f64::NEG_INFINITY,
        }
    }

    /// The value as JSON would hold it, a list as its texts one after the other; what is null or not known is empty.
    pub fn raw(&self) -> String {
        match self {
            Self::Null | Self::Unknown(_) => String::new(),
            Self::Whole(number) | Self::About(number) => number.to_string(),
            Self::Real(number) if !number.is_finite() => String::new(),
            Self::Real(number) => serde_json::Value::from(*number).to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Time(at) => at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
            Self::Word(word) => (*word).to_owned(),
            Self::Text(text) => text.clone(),
            Self::List(texts) => texts.join(" "),
        }
    }

    /// The value as a sample of a metric: a time in seconds, of a list its length.
    pub fn sample(&self) -> Option<String> {
        match self {
            Self::Whole(number) | Self::About(number) => Some(number.to_string()),
            Self::Real(number) => Some(number.to_string()),
            Self::Flag(flag) => Some(u8::from(*flag).to_string()),
            Self::Time(at) => Some(at.timestamp().to_string()),
            Self::List(texts) => Some(texts.len().to_string()),
            Self::Null | Self::Unknown(_) | Self::Word(_) | Self::Text(_) => None,
        }
    }
}

/// What makes a [`Value`] as it is.
macro_rules! from {
    ($($from:ty => $variant:ident),+ $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )+};
}
from!(
    i64 => Whole,
    i32 => Whole,
    f64 => Real,
    bool => Flag,
    DateTime<Utc> => Time,
    &'static str => Word,
    String => Text,
    &String => Text,
    Vec<String> => List,
);

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Whole(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A figure that may not be known.
pub fn observed<T, V: Into<Value>>(observation: &Observation<T>, value: impl FnOnce(&T) -> V) -> Value {
    match observation {
        Observation::Done { found } => value(found).into(),
        Observation::Skipped { reason } => Value::Unknown(reason.to_string()),
    }
}
