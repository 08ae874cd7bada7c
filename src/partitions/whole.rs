//! Partitions that are filled before they are attached: as tables of their own, with nothing but their columns while rows
//! come in, and indexes and keys at once afterwards. A CHECK of the bounds proves that attaching reads no row.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text, Timestamptz};

use super::create;
use super::facts::{Facts, Live, managed_by_partman};
use super::maintain::around;
use super::objects;
use super::period::Period;
use super::run;
use crate::catalog::{Bounds, HotTable, Index, Partition, moment, with_suffix};
use crate::error::{Doing, Result};
use crate::raw::{RunSql as _, Sql, raw, sql_query};
use crate::rollback::undone;
use crate::sqlstate::{reporting, reporting_each};

/// A table that takes whole partitions.
pub(crate) struct Partitioned {
    hot: &'static HotTable,
    live: Live,
    facts: Facts,
    period: Period,
}

/// What is where the rows of a range belong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing.
    Free,
    /// A partition without rows.
    Empty,
    /// A part of the first partition, which has no rows and takes every time before its end.
    InFirst,
    /// Rows, or something else under the name.
    Taken,
}

/// Where rows are already.
#[derive(Debug, Default)]
pub(crate) struct Occupied {
    /// The partitions that have rows, by name.
    partitions: BTreeSet<String>,
    /// The times of the rows in the default partition that are before the end of the last one.
    in_default: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// How far back an empty first partition is divided, in periods.
const MOST_PERIODS: i32 = 520;
const LOOKING: &str = "look for rows in partitions";
/// The constraint that proves the bounds.
const BOUNDS: &str = "within_bounds";

impl Partitioned {
    /// Reads the table; where it takes no whole partitions, why.
    pub(crate) fn read(conn: &mut PgConnection, table: &str) -> Result<Result<Self, &'static str>> {
        let Some(hot) = HotTable::named(table) else { return Ok(Err("it is never partitioned")) };
        if let Some(obstacle) = obstacle(conn, hot).doing(format!("see whether {table} takes whole partitions"))? {
            return Ok(Err(obstacle));
        }
        let live = Live::read(conn)?;
        let (true, Some(period)) = (live.is_partitioned(hot).unwrap_or(false), live.period(hot)) else {
            return Ok(Err("it is not partitioned by days, weeks or months"));
        };
        if objects::triggers(&live.catalog, hot.name).next().is_some() {
            return Ok(Err("it has triggers"));
        }
        if managed_by_partman(conn, &live)?.iter().any(|name| name == hot.name) {
            return Ok(Err("pg_partman manages it"));
        }
        let facts = Facts::read(conn, hot)?;
        Ok(Ok(Self { hot, live, facts, period }))
    }

    /// The column of the time.
    pub(crate) fn time(&self) -> &'static str {
        self.hot.time
    }

    /// Which partition rows of a time belong to, whether it is there or not. `None` is the default one: after the last
    /// partition none is made, for a time that is far ahead would leave a gap behind it.
    pub(crate) fn bounds_of(&self, time: DateTime<Utc>, occupied: &Occupied) -> Option<Bounds> {
        let ranges = self.live.catalog.ranges(self.hot.name);
        let is_divided = |first: &Partition| is_first(first) && !occupied.partitions.contains(&first.name);
        match ranges.iter().find(|it| it.bounds.take(time)) {
            Some(first) if is_divided(first) => {
                let to = self.period.next(time).min(first.bounds.end()?);
                return Some(Bounds::Range(Some(self.period.begin(time)), Some(to)));
            }
            Some(found) => return Some(found.bounds.clone()),
            None => {}
        }
        if ranges.last().and_then(|last| last.bounds.end()).is_none_or(|end| end <= time) {
            return None;
        }
        let (from, to) = around(self.hot, &self.live, self.period, self.period.begin(time));
        let bounds = Bounds::Range(Some(from), Some(to));
        bounds.take(time).then_some(bounds)
    }

    /// Looks where rows are. Locks nothing for longer than it looks.
    pub(crate) fn occupied(&self, conn: &mut PgConnection) -> Result<Occupied> {
        undone(conn, |conn| {
            let catalog = &self.live.catalog;
            let has_rows = |partition: &&Partition| {
                let (text, name) = (Sql::literal(&partition.name), Sql::identifier(&partition.name));
                raw!("SELECT {text} AS name WHERE EXISTS (SELECT 1 FROM {name})", text, name)
            };
            let ranges = catalog.ranges(self.hot.name);
            let queries = Sql::join(ranges.iter().map(has_rows), " UNION ALL ");
            let names: Vec<Name> = sql_query(queries).load(conn)?;
            let partitions = names.into_iter().map(|found| found.name).collect();
            let end = ranges.last().and_then(|last| last.bounds.end());
            let in_default = match catalog.default_partition(self.hot.name).zip(end) {
                Some((default, end)) => {
                    let (time, default) = (self.hot.time_in_sql(), Sql::identifier(&default.name));
                    let query = raw!(
                        "SELECT min({time}) AS first, max({time}) AS last FROM {default}
                         WHERE {time} > '-infinity' AND {time} < {end}",
                        time,
                        default,
                        end = Sql::literal(&moment(end))
                    );
                    let Times { first, last } = sql_query(query).get_result(conn)?;
                    first.zip(last)
                }
                None => None,
            };
            Ok(Occupied { partitions, in_default })
        })
        .doing(LOOKING)
    }

    /// Whether there were no rows within bounds.
    pub(crate) fn is_free(&self, bounds: &Bounds, occupied: &Occupied) -> bool {
        let Some((from, to)) = bounds.range() else { return false };
        match self.live.catalog.partitions(self.hot.name).find(|it| it.bounds == *bounds) {
            Some(found) => !occupied.partitions.contains(&found.name),
            None => occupied
                .in_default
                .is_none_or(|(first, last)| from.is_some_and(|from| last < from) || to.is_some_and(|to| to <= first)),
        }
    }

    /// The earliest and the last time at which the first partition is divided, if it is one without a beginning.
    pub(crate) fn first(&self) -> Option<Range<DateTime<Utc>>> {
        let end = self.live.catalog.ranges(self.hot.name).first().filter(|first| is_first(first))?.bounds.end()?;
        let days = match self.period {
            Period::Day => 1,
            Period::Week => 7,
            Period::Month => 31,
        };
        Some(end.checked_sub_signed(TimeDelta::days((MOST_PERIODS * days).into()))?..end)
    }

    /// The periods that no partition takes, from a time on.
    pub(crate) fn gaps(&self, from: DateTime<Utc>) -> Vec<Bounds> {
        let mut missing = Vec::new();
        for (begin, end) in self.live.catalog.gaps(self.hot.name) {
            let Some((mut begin, end)) = begin.zip(end).filter(|(begin, _)| *begin >= from) else { continue };
            while begin < end {
                let next = self.period.next(begin).min(end);
                missing.push(Bounds::Range(Some(begin), Some(next)));
                begin = next;
            }
        }
        missing
    }

    /// What is in the place of a partition. Locks nothing for longer than it looks.
    pub(crate) fn place(&self, conn: &mut PgConnection, bounds: &Bounds) -> Result<Place> {
        undone(conn, |conn| self.look(conn, bounds)).doing(LOOKING)
    }

    fn look(&self, conn: &mut PgConnection, bounds: &Bounds) -> QueryResult<Place> {
        let Some((from, to)) = bounds.range() else { return Ok(Place::Taken) };
        if let Some(found) = self.live.catalog.partitions(self.hot.name).find(|it| it.bounds == *bounds) {
            let is_empty = !exists(conn, raw!("SELECT 1 FROM {name}", name = Sql::identifier(&found.name)))?;
            return Ok(if is_empty { Place::Empty } else { Place::Taken });
        }
        let ranges = self.live.catalog.ranges(self.hot.name);
        let overlaps = |other: &Partition| {
            other.bounds.range().is_some_and(|(other_from, other_to)| {
                to.is_none_or(|to| other_from.is_none_or(|from| from < to))
                    && from.is_none_or(|from| other_to.is_none_or(|to| from < to))
            })
        };
        let is_named = raw!(
            "SELECT WHERE to_regclass({name}) IS NOT NULL",
            name = Sql::literal(Sql::identifier(&create::name(self.hot, bounds)).as_str())
        );
        if exists(conn, is_named)? {
            return Ok(Place::Taken);
        }
        let others: Vec<_> = ranges.into_iter().filter(|other| overlaps(other)).collect();
        match others[..] {
            [] => {}
            [first] if is_first(first) && from.is_some() && to <= first.bounds.end() => {
                let is_taken = exists(conn, raw!("SELECT 1 FROM {name}", name = Sql::identifier(&first.name)))?;
                return Ok(if is_taken { Place::Taken } else { Place::InFirst });
            }
            _ => return Ok(Place::Taken),
        }
        let Some(default) = self.live.catalog.default_partition(self.hot.name) else { return Ok(Place::Free) };
        let (default, within) = (Sql::identifier(&default.name), self.within(bounds));
        let is_taken = exists(conn, raw!("SELECT 1 FROM {default} WHERE {within}", default, within))?;
        Ok(if is_taken { Place::Taken } else { Place::Free })
    }

    /// Whether a table may be one, seen at once.
    pub(crate) fn may_be(conn: &mut PgConnection, table: &str) -> Result<bool> {
        let Some(hot) = HotTable::named(table) else { return Ok(false) };
        let obstacle = obstacle(conn, hot).doing(format!("see whether {table} takes whole partitions"))?;
        Ok(obstacle.is_none())
    }

    /// The name of a partition.
    pub(crate) fn name(table: &str, bounds: &Bounds) -> String {
        HotTable::named(table).map_or_else(String::new, |hot| create::name(hot, bounds))
    }

    /// Makes, for the session, a table without rows that is like the table: who makes partitions like this one does not lock
    /// the table, so that others can attach theirs meanwhile.
    pub(crate) fn make_template(table: &'static str) -> Sql {
        let (template, like) = (template(table), create::LIKE);
        raw!(
            "DROP TABLE IF EXISTS {template};\nCREATE TEMPORARY TABLE {template} (LIKE {table} {like})",
            template,
            table,
            like
        )
    }

    /// Makes the table that becomes a partition.
    pub(crate) fn create(&self, bounds: &Bounds, name: &str) -> Sql {
        let settings = create::settings(&self.live, self.hot);
        let check = raw!(
            "ALTER TABLE {name} ADD CONSTRAINT {BOUNDS} CHECK ({within})",
            name = Sql::identifier(name),
            BOUNDS,
            within = self.within(bounds)
        );
        let create = create::create(template(self.hot.name), &self.facts, settings, name);
        Sql::join(create.into_iter().chain([check]), ";\n")
    }

    /// Builds the indexes of the table that becomes a partition, each a statement.
    pub(crate) fn indexes(&self, name: &str) -> Vec<Sql> {
        let name = &Sql::identifier(name);
        let index = |it: &Index| {
            let (unique, definition) = (if it.unique { "UNIQUE " } else { "" }, Sql::of_server(&it.definition));
            raw!("CREATE {unique}INDEX ON {name} USING {definition}", unique, name, definition)
        };
        objects::indexes(&self.live.catalog, self.hot.name).map(index).collect()
    }

    /// Adds the primary key and the unique keys, each a statement.
    pub(crate) fn keys(&self, name: &str) -> Vec<Sql> {
        let (name, of_table) = (&Sql::identifier(name), objects::constraints(&self.live.catalog, self.hot.name));
        let keys = of_table.filter(|it| objects::key_word(it).is_some());
        let add = |definition| raw!("ALTER TABLE {name} ADD {definition}", name, definition);
        keys.map(|it| add(Sql::of_server(&it.definition))).collect()
    }

    /// Adds the foreign keys, which checks every row, while nobody changes what they refer to.
    pub(crate) fn foreign_keys(&self, name: &str) -> Sql {
        let catalog = &self.live.catalog;
        let tables = Sql::identifiers(objects::referenced(catalog, self.hot));
        let lock = raw!("LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE", tables);
        let keys = catalog.foreign_keys().filter(|(constraint, _)| constraint.table == self.hot.name);
        let add = keys.map(|(it, _)| {
            let (key, definition) = (Sql::identifier(&it.name), Sql::of_server(&it.definition));
            raw!("ADD CONSTRAINT {key} {definition}", key, definition)
        });
        let add = Sql::join(add, ", ");
        raw!("{lock};\nALTER TABLE {name} {add}", lock, name = Sql::identifier(name), add)
    }

    /// Puts the filled table into its place, if that is still free.
    pub(crate) fn attach(
        &self,
        conn: &mut PgConnection,
        bounds: &Bounds,
        place: &Place,
        filled: &str,
    ) -> QueryResult<bool> {
        let name = self.found_name(bounds);
        let mut statements = Vec::new();
        if *place != Place::Free {
            conn.batch(reporting(&raw!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE", table = self.hot.name)))?;
            match self.make_way(conn, bounds, place, filled)? {
                Some(make_way) => statements.extend(make_way),
                None => return Ok(false),
            }
        }
        statements.push(create::attach(self.hot, &name, bounds));
        statements.push(raw!("ALTER TABLE {name} DROP CONSTRAINT {BOUNDS}", name = Sql::identifier(&name), BOUNDS));
        conn.batch(reporting_each(statements))?;
        Ok(true)
    }

    /// Takes what is empty out of the way of a filled table; `None` where rows have come.
    fn make_way(
        &self,
        conn: &mut PgConnection,
        bounds: &Bounds,
        place: &Place,
        filled: &str,
    ) -> QueryResult<Option<Vec<Sql>>> {
        let in_the_way = match place {
            Place::InFirst => create::first(self.hot),
            _ => self.found_name(bounds),
        };
        let name = &Sql::identifier(&in_the_way);
        if exists(conn, raw!("SELECT 1 FROM {name}", name))? {
            return Ok(None);
        }
        if *place == Place::Empty {
            let filled = Sql::identifier(filled);
            let rename = raw!("ALTER TABLE {filled} RENAME TO {name}", filled, name);
            return Ok(Some(vec![raw!("DROP TABLE {name}", name), rename]));
        }
        // Another partition may have been taken out of it by now.
        let now = raw!(
            "SELECT pg_get_expr(relpartbound, oid) AS name FROM pg_class WHERE oid = {of}::regclass",
            of = Sql::literal(name.as_str())
        );
        let now: Name = sql_query(now).get_result(conn)?;
        let from = bounds.range().and_then(|(from, _)| from);
        if Bounds::from(now.name).end() <= from {
            return Ok(Some(Vec::new()));
        }
        let detach = raw!("ALTER TABLE {table} DETACH PARTITION {name}", table = self.hot.name, name);
        Ok(Some(vec![detach, create::attach(self.hot, &in_the_way, &Bounds::Range(None, from))]))
    }

    /// Makes a partition without rows.
    pub(crate) fn make(&self, conn: &mut PgConnection, bounds: &Bounds, lock_wait: Duration) -> Result<()> {
        let step = create::step(self.hot, &self.live, &self.facts, bounds);
        run::steps(conn, self.hot.name, &[step], lock_wait, &mut |_| ())
    }

    /// The name of the table in which rows are gathered.
    pub(crate) fn name_while_filled(&self, bounds: &Bounds, place: &Place) -> String {
        let name = self.found_name(bounds);
        if *place == Place::Empty { with_suffix(&name, "_load") } else { name }
    }

    fn found_name(&self, bounds: &Bounds) -> String {
        let found = self.live.catalog.partitions(self.hot.name).find(|it| it.bounds == *bounds);
        found.map_or_else(|| create::name(self.hot, bounds), |found| found.name.clone())
    }

    fn within(&self, bounds: &Bounds) -> Sql {
        let (from, to) = bounds.range().unwrap_or_default();
        let time = self.hot.time_in_sql();
        let bound = |sign, at| raw!("{time} {sign} {at}", time, sign, at = Sql::literal(&moment(at)));
        let bounds = [from.map(|from| bound(">=", from)), to.map(|to| bound("<", to))];
        Sql::join(bounds.into_iter().flatten(), " AND ")
    }
}

/// Whether a partition takes every time before its end.
fn is_first(partition: &Partition) -> bool {
    matches!(partition.bounds, Bounds::Range(None, Some(_)))
}

fn template(table: &str) -> Sql {
    Sql::identifier(&format!("{table}_template"))
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Times {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    first: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last: Option<DateTime<Utc>>,
}

/// Whether a query finds a row.
pub(crate) fn exists(conn: &mut PgConnection, query: Sql) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        is_there: bool,
    }
    let found: Found = sql_query(raw!("SELECT EXISTS ({query}) AS is_there", query)).get_result(conn)?;
    Ok(found.is_there)
}

/// Why rows may only come by way of the table, as far as the server knows at once.
fn obstacle(conn: &mut PgConnection, hot: &HotTable) -> QueryResult<Option<&'static str>> {
    #[derive(QueryableByName)]
    struct Access {
        #[diesel(sql_type = Bool)]
        partitioned: bool,
        #[diesel(sql_type = Bool)]
        owned: bool,
        #[diesel(sql_type = Bool)]
        secured: bool,
        #[diesel(sql_type = Bool)]
        distributed: bool,
        #[diesel(sql_type = Bool)]
        published: bool,
    }
    let access: Access = sql_query(include_str!("whole.sql")).bind::<Text, _>(hot.name).get_result(conn)?;
    Ok(match access {
        Access { partitioned: false, .. } => Some("it is not partitioned"),
        Access { owned: false, .. } => Some("the role does not own it, or may make no tables beside it"),
        Access { secured: true, .. } => Some("row security applies to the role"),
        Access { distributed: true, .. } => Some("it is distributed over a cluster"),
        Access { published: true, .. } => Some("it is published, and subscribers would not get the rows"),
        _ => None,
    })
}
