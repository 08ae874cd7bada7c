//! Partitions, and the contract of a table that is partitioned: derived from that of the plain table by rule.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Catalog, Constraint, Index, Object, Relation, Rule};
#[cfg(any(feature = "partitions", feature = "verify"))]
use crate::raw::{Sql, raw};

/// A table that grows with every sample and may be partitioned by a time of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotTable {
    /// Its name.
    pub name: &'static str,
    /// The column of the time.
    pub time: &'static str,
    /// Whether it is partitioned only where it is named: it has a unique key that cannot be enforced across partitions.
    pub only_by_name: bool,
}

/// The tables that may be partitioned.
pub const HOT_TABLES: [HotTable; 4] =
    [HotTable::RESOURCE_METRICS, HotTable::AGENT_METRICS, HotTable::EVENTS, HotTable::QUALITY_METRICS];

impl HotTable {
    /// Samples of the use of resources.
    pub const RESOURCE_METRICS: Self = Self { name: "resource_metrics", time: "timestamp", only_by_name: false };
    /// Samples that the agents take of themselves.
    pub const AGENT_METRICS: Self = Self { name: "agent_metrics", time: "recorded_at", only_by_name: false };
    /// What happened to a customer.
    pub const EVENTS: Self = Self { name: "events", time: "created_at", only_by_name: false };
    /// Quality of single answers.
    pub const QUALITY_METRICS: Self = Self { name: "quality_metrics", time: "timestamp", only_by_name: true };

    /// The table of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        HOT_TABLES.iter().find(|table| table.name == name)
    }

    /// The column of the time as the server writes it in a definition: it quotes the name of a type.
    pub fn time_in_sql(&self) -> &'static str {
        if self.time == "timestamp" { "\"timestamp\"" } else { self.time }
    }

    /// What a key of the plain table is where the table is partitioned: unique only together with the time.
    pub fn key(&self, columns: &[String]) -> Vec<String> {
        let mut columns = columns.to_vec();
        if !columns.iter().any(|column| column == self.time) {
            columns.push(self.time.to_owned());
        }
        columns
    }
}

/// A partition of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Partition {
    /// The partitioned table.
    pub table: String,
    /// Its own name.
    pub name: String,
    /// What is under the name.
    pub relation: Relation,
    /// Which rows it takes.
    pub bounds: Bounds,
    /// Whether a crash empties it.
    pub unlogged: bool,
    /// Whether row security is on.
    pub row_security: bool,
    /// Whether it belongs to another role than the table.
    pub other_owner: bool,
    /// Who has rights on it beside its owner.
    pub granted_to: Vec<String>,
    /// Its own policies, which the table's do not need.
    pub policies: Vec<String>,
    /// Indexes of the table that it lacks, or that are invalid on it.
    pub lacks_indexes: Vec<String>,
    /// Constraints and triggers that are switched off on it.
    pub disabled: Vec<String>,
    /// Its storage settings, those of its TOAST table with `toast.` in front. They are no part of the contract.
    pub settings: BTreeMap<String, String>,
}

/// An end of a range of times; `None` is without end.
pub type Bound = Option<DateTime<Utc>>;

/// Which rows a partition takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Bounds {
    /// Those that no other partition takes.
    Default,
    /// Those from a time, included, to another, excluded.
    Range(Bound, Bound),
    /// Something else, as the server writes it.
    Other(String),
}

impl Bounds {
    /// Where a range begins and ends.
    pub const fn range(&self) -> Option<(Bound, Bound)> {
        if let Self::Range(from, to) = self { Some((*from, *to)) } else { None }
    }

    /// The end of a range that has one.
    pub fn end(&self) -> Option<DateTime<Utc>> {
        self.range()?.1
    }

    /// Whether a row of this time belongs to the range.
    pub fn take(&self, time: DateTime<Utc>) -> bool {
        let takes =
            |(from, to): (Option<_>, Option<_>)| from.is_none_or(|from| from <= time) && to.is_none_or(|to| time < to);
        self.range().is_some_and(takes)
    }
}

impl From<String> for Bounds {
    /// From what the server writes in a session of ours, whose zone is UTC.
    fn from(text: String) -> Self {
        fn bound(text: &str, without_end: &str) -> Option<Option<DateTime<Utc>>> {
            if text == without_end {
                return Some(None);
            }
            let time = text.strip_prefix('\'')?.strip_suffix('\'')?;
            DateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S%.f%#z").ok().map(|time| Some(time.to_utc()))
        }
        let range = |text: &str| {
            let (from, to) = text.strip_prefix("FOR VALUES FROM (")?.strip_suffix(')')?.split_once(") TO (")?;
            Some(Self::Range(bound(from, "MINVALUE")?, bound(to, "MAXVALUE")?))
        };
        if text == "DEFAULT" { Self::Default } else { range(&text).unwrap_or(Self::Other(text)) }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = |time: &Option<DateTime<Utc>>, without_end: &str| match time {
            Some(time) => format!("'{}'", moment(*time)),
            None => without_end.to_owned(),
        };
        match self {
            Self::Default => f.write_str("DEFAULT"),
            Self::Range(from, to) => {
                write!(f, "FOR VALUES FROM ({}) TO ({})", bound(from, "MINVALUE"), bound(to, "MAXVALUE"))
            }
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// A time as the server writes it in a session whose zone is UTC: without the zeros at the end of a second.
pub(crate) fn moment(time: DateTime<Utc>) -> String {
    let time = time.format("%Y-%m-%d %H:%M:%S%.6f").to_string();
    format!("{}+00", time.trim_end_matches('0').trim_end_matches('.'))
}

/// The name of an index of a table, with something behind it, cut to what the server keeps.
pub(crate) fn with_suffix(name: &str, suffix: &str) -> String {
    let longest = 63_usize.saturating_sub(suffix.len());
    let end = (0..=name.len().min(longest)).rev().find(|end| name.is_char_boundary(*end)).unwrap_or_default();
    format!("{}{suffix}", &name[..end])
}

/// The name that the index of a table has on a partition.
pub(crate) fn index_on(index: &str, table: &str, partition: &str) -> String {
    with_suffix(index, &format!("_{}", partition.strip_prefix(&format!("{table}_")).unwrap_or(partition)))
}

impl Partition {
    /// The same partition as it should be: it grants nothing, and row security is on, so that nobody gets past the table.
    fn as_expected(&self) -> Self {
        Self {
            relation: Relation::Table,
            unlogged: false,
            row_security: true,
            other_owner: false,
            granted_to: Vec::new(),
            policies: Vec::new(),
            lacks_indexes: Vec::new(),
            disabled: Vec::new(),
            ..self.clone()
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |of: &[String], word: &str| (!of.is_empty()).then(|| format!("{word} {}", of.join(", ")));
        let is = |holds: bool, words: &str| holds.then(|| words.to_owned());
        let words = [
            is(self.relation != Relation::Table, self.relation.as_str()),
            Some(self.bounds.to_string()),
            is(self.unlogged, "unlogged"),
            Some(if self.row_security { "row security" } else { "no row security" }.to_owned()),
            is(self.other_owner, "of another owner"),
            list(&self.granted_to, "granted to"),
            list(&self.policies, "policy"),
            list(&self.lacks_indexes, "without index"),
            list(&self.disabled, "disabled"),
        ];
        f.write_str(&words.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

impl Catalog {
    /// The partitions of all tables, by table and name.
    pub fn all_partitions(&self) -> impl Iterator<Item = &Partition> {
        self.objects.iter().filter_map(|object| if let Object::Partition(it) = object { Some(&**it) } else { None })
    }

    /// The partitions of a table.
    pub fn partitions(&self, table: &str) -> impl Iterator<Item = &Partition> {
        self.all_partitions().filter(move |partition| partition.table == table)
    }

    /// The partitions of a table that have a range, in the order of their times.
    pub fn ranges(&self, table: &str) -> Vec<&Partition> {
        let mut ranges: Vec<_> = self.partitions(table).filter(|it| it.bounds.range().is_some()).collect();
        ranges.sort_by_key(|partition| partition.bounds.range());
        ranges
    }

    /// The times that no range of a table takes: rows of these are in its default partition.
    pub fn gaps(&self, table: &str) -> Vec<(Bound, Bound)> {
        let mut gaps = Vec::new();
        let mut end = None;
        for (from, to) in self.ranges(table).iter().filter_map(|partition| partition.bounds.range()) {
            if from != end {
                gaps.push((end, from));
            }
            end = to;
            if end.is_none() {
                return gaps;
            }
        }
        gaps.push((end, None));
        gaps
    }

    /// A condition on the rows in the default partition of a table. Who asks the table with it may lack rights on the
    /// partition, and the server reads no other one.
    #[cfg(any(feature = "partitions", feature = "verify"))]
    pub(crate) fn in_default_partition(&self, hot: &HotTable) -> Sql {
        let time = hot.time_in_sql();
        let gap = |(from, to): (Bound, Bound)| {
            let from = from.map(|from| raw!("{time} >= {from}", time, from = Sql::literal(&moment(from))));
            let to = to.map(|to| raw!("{time} < {to}", time, to = Sql::literal(&moment(to))));
            Sql::join(from.into_iter().chain(to), " AND ")
        };
        match &self.gaps(hot.name)[..] {
            [] => "false".into(),
            [(None, None)] => "true".into(),
            gaps => raw!("({gaps})", gaps = Sql::join(gaps.iter().copied().map(gap), " OR ")),
        }
    }

    /// The default partition of a table.
    pub fn default_partition(&self, table: &str) -> Option<&Partition> {
        self.partitions(table).find(|partition| partition.bounds == Bounds::Default)
    }

    /// Whether a table is partitioned.
    pub fn is_partitioned(&self, table: &str) -> bool {
        self.table(table).is_some_and(|table| table.relation == Relation::PartitionedTable)
    }

    /// This catalog with those hot tables partitioned that are so in a live one, by its bounds: the keys include the
    /// time, and each partition is what a partition has to be. With all hot tables distributed where one of the live ones is.
    #[must_use]
    pub fn in_shape_of(&self, live: &Self) -> Self {
        let is_partitioned = |table: &str| HotTable::named(table).filter(|table| live.is_partitioned(table.name));
        let in_shape = |object: Object| match object.table().and_then(is_partitioned) {
            Some(hot) => partitioned(object, hot),
            None => object,
        };
        let objects = if live.is_distributed() { self.distributed().objects } else { self.objects.clone() };
        let partitions = live.all_partitions().filter(|partition| is_partitioned(&partition.table).is_some());
        let partitions = partitions.map(|partition| Object::Partition(Box::new(partition.as_expected())));
        Self::new(objects.into_iter().map(in_shape).chain(partitions).collect())
    }
}

fn partitioned(mut object: Object, hot: &HotTable) -> Object {
    let with_time = |definition: &str| {
        let columns = definition.strip_suffix(')').unwrap_or(definition);
        format!("{columns}, {})", hot.time_in_sql())
    };
    match &mut object {
        Object::Table(table) => {
            table.relation = Relation::PartitionedTable;
            table.partitioned_by = Some(format!("RANGE ({})", hot.time_in_sql()));
        }
        Object::Constraint(Constraint {
            rule: Rule::PrimaryKey(columns) | Rule::Unique(columns), definition, ..
        }) => {
            *columns = hot.key(columns);
            *definition = with_time(definition);
        }
        Object::Index(Index { unique: true, definition, .. }) => *definition = with_time(definition),
        _ => {}
    }
    object
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;

    #[test]
    fn every_hot_table_has_its_time_which_is_never_null() {
        for hot in HOT_TABLES {
            let time = contract().column(hot.name, hot.time).unwrap();
            assert!(time.not_null && time.data_type == super::super::DataType::TimestampWithZone, "{}", hot.name);
            let named = |index: &Index| index.table == hot.name && index.definition.contains(hot.time_in_sql());
            assert!(contract().indexes().any(named), "{}", hot.name);
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_keeps_its_suffix() {
        assert_eq!(index_on("ix_a", "events", "events_first"), "ix_a_first");
        assert_eq!(with_suffix(&"x".repeat(63), "_first"), format!("{}_first", "x".repeat(57)));
        assert_eq!(with_suffix(&"é".repeat(31), "_first"), format!("{}_first", "é".repeat(28)));
    }

    #[test]
    fn bounds_are_read_as_the_server_writes_them_and_written_back() {
        for text in [
            "DEFAULT",
            "FOR VALUES FROM (MINVALUE) TO ('2026-12-07 00:00:00+00')",
            "FOR VALUES FROM ('2026-12-07 00:00:00+00') TO ('2026-12-07 00:00:00.5+00')",
            "FOR VALUES FROM ('2026-12-07 00:00:00+00') TO (MAXVALUE)",
            "FOR VALUES IN (1)",
            "FOR VALUES FROM ('infinity') TO (MAXVALUE)",
        ] {
            let bounds = Bounds::from(text.to_owned());
            assert_eq!(bounds.to_string(), text);
            assert_eq!(
                matches!(bounds, Bounds::Other(_)),
                text.contains("IN (") || text.contains("infinity"),
                "{text}"
            );
        }
    }
}
