//! What is past its time: whole partitions, and rows of tables that hold newer ones too.

use std::path::PathBuf;

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use serde::Serialize;

use super::Options;
use super::clock;
use super::error::Error;
use crate::catalog::{Bounds, HotTable, Partition, Relation};
use crate::error::{Doing, Result};
use crate::partitions::{LeftAlone, Live, Period, managed_by_partman};
use crate::raw::{Sql, raw, sql_query};

/// What would be removed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The tables, in the order in which they were named.
    pub tables: Vec<TablePlan>,
}

/// What would be removed of one table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TablePlan {
    /// The table.
    pub table: &'static str,
    /// Nothing of this time or later is removed.
    pub cutoff: DateTime<Utc>,
    #[serde(skip)]
    pub(super) is_distributed: bool,
    /// Why the table is left alone.
    pub left_alone: Option<LeftAlone>,
    /// What goes, the oldest first.
    pub parts: Vec<Part>,
    /// Partitions that are left alone because they are none that `partitions` makes.
    pub unknown: Vec<String>,
    /// Rows of sums of an hour that were written.
    pub sums_written: i64,
    /// The time of the oldest row that stays; `None` where none does.
    pub oldest: Option<DateTime<Utc>>,
}

/// A table, or a partition of one, from which rows go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Whether it goes as a whole, or only its rows before the cutoff.
    pub whole: bool,
    /// Whether an interrupted run took it out of its table to archive it.
    pub detached: bool,
    /// The files that hold its rows, once they went.
    pub archives: Vec<PathBuf>,
    /// Rows that go.
    pub rows: i64,
    /// What they take on disk: of a whole one exactly, else their share. The disk gets back what goes as a whole; the
    /// rest is used again for new rows.
    pub bytes: i64,
}

impl Plan {
    /// Whether nothing is to go.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(|table| table.parts.is_empty())
    }
}

impl Part {
    /// The part as it went: so many rows of it.
    pub(super) fn scale_to(&mut self, rows: i64) {
        if self.rows != rows {
            let bytes = i128::from(self.bytes) * i128::from(rows) / i128::from(self.rows.max(1));
            self.bytes = i64::try_from(bytes).unwrap_or(self.bytes);
            self.rows = rows;
        }
    }
}

impl TablePlan {
    /// How many rows go.
    pub fn rows(&self) -> i64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// What they take on disk.
    pub fn bytes(&self) -> i64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// Finds out what is past its time.
pub(super) fn read(conn: &mut PgConnection, options: &Options) -> Result<Plan> {
    let here = (options.clock)();
    let live = Live::read(conn)?;
    clock::compare(live.now, here)?;
    let managed = managed_by_partman(conn, &live)?;
    let mut tables: Vec<TablePlan> = Vec::new();
    for (hot, keep) in &options.keep {
        if tables.iter().any(|planned| planned.table == hot.name) {
            return Err(Error::TableTwice(hot.name).into());
        }
        if options.archive.is_some() && live.catalog.is_distributed() {
            return Err(Error::ArchiveOfDistributed(hot.name).into());
        }
        let is_partitioned = live.is_partitioned(hot)?;
        // Hours go whole, because they are summed whole.
        let cutoff = clock::before(live.now, *keep).duration_trunc(TimeDelta::hours(1)).unwrap_or(live.now);
        let cutoff = if options.archive.is_some() { Period::Week.begin(cutoff) } else { cutoff };
        let left_alone = managed.iter().any(|name| name == hot.name).then_some(LeftAlone::Partman);
        let mut table = TablePlan {
            table: hot.name,
            cutoff,
            is_distributed: live.catalog.is_distributed(),
            left_alone,
            parts: Vec::new(),
            unknown: Vec::new(),
            sums_written: 0,
            oldest: None,
        };
        if left_alone.is_none() {
            if !options.trust_clock {
                clock::confirm(conn, hot, live.now, *keep)?;
            }
            for detached in detached(&live, hot) {
                if options.archive.is_none() {
                    return Err(Error::NotArchived { table: hot.name, partition: detached.to_owned() }.into());
                }
                table.parts.extend(part(conn, hot, detached, None)?.map(|part| Part { detached: true, ..part }));
            }
            table.fill(conn, hot, is_partitioned.then_some(&live))?;
        }
        tables.push(table);
    }
    Ok(Plan { tables })
}

impl TablePlan {
    /// Adds the parts; those of the partitions where the table has some.
    fn fill(&mut self, conn: &mut PgConnection, hot: &HotTable, partitioned: Option<&Live>) -> Result<()> {
        let mut stays_from = self.cutoff;
        let Some(live) = partitioned else {
            self.parts.extend(part(conn, hot, hot.name, Some(self.cutoff))?);
            return self.find_oldest(conn, hot, stays_from);
        };
        let ranges = live.catalog.ranges(hot.name);
        let others = live.catalog.partitions(hot.name).filter(|it| it.bounds.range().is_none());
        for partition in ranges.into_iter().chain(others) {
            match past(partition, self.cutoff) {
                Past::Unknown => self.unknown.push(partition.name.clone()),
                Past::Whole => self.parts.extend(part(conn, hot, &partition.name, None)?),
                Past::Rows => self.parts.extend(part(conn, hot, &partition.name, Some(self.cutoff))?),
                Past::Nothing => {
                    let (from, _) = partition.bounds.range().unwrap_or_default();
                    stays_from = stays_from.min(from.unwrap_or(stays_from));
                }
            }
        }
        self.find_oldest(conn, hot, stays_from)
    }

    fn find_oldest(&mut self, conn: &mut PgConnection, hot: &HotTable, from: DateTime<Utc>) -> Result<()> {
        #[derive(QueryableByName)]
        struct Oldest {
            #[diesel(sql_type = Nullable<Timestamptz>)]
            oldest: Option<DateTime<Utc>>,
        }
        let (table, time) = (hot.name, hot.time_in_sql());
        let query =
            raw!("SELECT min({time}) AS oldest FROM {table} WHERE {time} >= $1 AND isfinite({time})", time, table);
        let found: Oldest = sql_query(query)
            .bind::<Timestamptz, _>(from)
            .get_result(conn)
            .doing(format!("look for the oldest row of {table} that stays"))?;
        self.oldest = found.oldest;
        Ok(())
    }
}

/// The tables that runs took out of a table to archive them, and did not finish.
fn detached<'a>(live: &'a Live, hot: &HotTable) -> impl Iterator<Item = &'a str> {
    let comment = detached_comment(hot);
    let tables = live.catalog.tables().map(|table| table.name.as_str());
    tables.filter(move |name| live.catalog.comment(name, None) == Some(comment.as_str()))
}

/// What `COMMENT ON` says of such a table.
pub(super) fn detached_comment(hot: &HotTable) -> String {
    format!("Partition of {} that retention archives and then drops.", hot.name)
}

/// Whether every row of a partition is past its time.
pub(super) fn is_past(partition: &Partition, cutoff: DateTime<Utc>) -> bool {
    matches!(past(partition, cutoff), Past::Whole)
}

/// What of a partition is past its time.
enum Past {
    Whole,
    Rows,
    Nothing,
    /// It is not known which rows it has.
    Unknown,
}

/// A partition that has a beginning stays until all of it is past its time; one that has none, or takes what no other
/// does, loses its rows one by one until then.
fn past(partition: &Partition, cutoff: DateTime<Utc>) -> Past {
    if partition.relation != Relation::Table {
        return Past::Unknown;
    }
    match partition.bounds {
        Bounds::Range(_, Some(to)) if to <= cutoff => Past::Whole,
        Bounds::Range(Some(_), _) => Past::Nothing,
        Bounds::Range(None, _) | Bounds::Default => Past::Rows,
        Bounds::Other(_) => Past::Unknown,
    }
}

/// Counts the rows of a table that go: all of them, or those before a time, where there are any.
fn part(conn: &mut PgConnection, hot: &HotTable, name: &str, before: Option<DateTime<Utc>>) -> Result<Option<Part>> {
    #[derive(QueryableByName)]
    struct Size {
        #[diesel(sql_type = BigInt)]
        rows: i64,
        #[diesel(sql_type = BigInt)]
        bytes: i64,
    }
    let share = "pg_total_relation_size(oid) * (rows / greatest(rows, reltuples, 1)::float8)";
    let (condition, bytes) = match before {
        Some(_) => (raw!(" WHERE {time} < $2", time = hot.time_in_sql()), share),
        None => (Sql::from(""), "pg_total_relation_size(oid)"),
    };
    let query = raw!(
        "SELECT rows, ({bytes})::bigint AS bytes
         FROM pg_class, (SELECT count(*) AS rows FROM {table}{condition}) counted
         WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relname = $1",
        bytes,
        table = Sql::identifier(name),
        condition
    );
    let query = sql_query(query).bind::<Text, _>(name);
    let size: QueryResult<Size> = match before {
        Some(before) => query.bind::<Timestamptz, _>(before).get_result(conn),
        None => query.get_result(conn),
    };
    let Size { rows, bytes } = size.doing(format!("count the rows of {name}"))?;
    let whole = before.is_none();
    let part = Part { name: name.to_owned(), whole, detached: false, archives: Vec::new(), rows, bytes };
    Ok((part.whole || part.rows > 0).then_some(part))
}
