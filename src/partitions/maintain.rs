//! Keeping a partitioned table ready: partitions ahead of now, no rows left in the default one, statistics.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};

use super::create::{self, analyze};
use super::facts::{Facts, Live};
use super::objects::referenced;
use super::period::Period;
use super::step::{ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE, Step};
use crate::catalog::{Bounds, HotTable, Partition, moment};
use crate::error::{Doing, Result};
use crate::raw::{Sql, raw, sql_query};

/// The rows in a default partition.
#[derive(Debug, Clone, QueryableByName)]
pub(super) struct Leftover {
    #[diesel(sql_type = Text)]
    table_name: String,
    /// When their period begins, where they belong between the oldest partition and the end of those ahead.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    period_begin: Option<DateTime<Utc>>,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// The rows in the default partitions of these tables: one query, whatever their number.
pub(super) fn leftovers(
    conn: &mut PgConnection,
    live: &Live,
    tables: &[&'static HotTable],
    ahead: TimeDelta,
) -> Result<Vec<Leftover>> {
    let of_table = |hot: &&'static HotTable| {
        let period = live.period(hot)?;
        let from = match live.catalog.ranges(hot.name).first()?.bounds {
            Bounds::Range(Some(from), _) => literal(from),
            _ => Sql::from("'-infinity'"),
        };
        Some(raw!(
            "SELECT '{table}' AS table_name, count(*) AS rows,
                 CASE WHEN {time} >= {from} AND {time} < {end} THEN date_trunc('{period}', {time}, 'UTC') END AS period_begin
             FROM {table} WHERE {left} GROUP BY 3",
            table = hot.name,
            time = hot.time_in_sql(),
            from,
            end = literal(end(live, hot, period, ahead)),
            period = period.as_str(),
            left = live.catalog.in_default_partition(hot)
        ))
    };
    let queries: Vec<_> = tables.iter().filter_map(of_table).collect();
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    let query = raw!("{queries} ORDER BY period_begin", queries = Sql::join(queries, " UNION ALL "));
    sql_query(query).load(conn).doing("look for rows in the default partitions")
}

/// The steps for one table; `None` where it is not partitioned by periods.
pub(super) fn steps(
    conn: &mut PgConnection,
    hot: &'static HotTable,
    live: &Live,
    leftovers: &[Leftover],
    ahead: TimeDelta,
) -> Result<Option<Vec<Step>>> {
    if !live.is_partitioned(hot)? {
        return Ok(None);
    }
    let Some(period) = live.period(hot) else { return Ok(None) };
    let missing = create::ahead(period, &live.catalog.gaps(hot.name), live.now, ahead);
    let begins: Vec<_> =
        leftovers.iter().filter(|it| it.table_name == hot.name).filter_map(|it| it.period_begin).collect();
    let default = live.catalog.default_partition(hot.name);
    if missing.is_empty() && begins.is_empty() && default.is_some() {
        return Ok(Some(Vec::new()));
    }
    let facts = Facts::read(conn, hot)?;
    // A partition cannot be attached while the default one has rows of it.
    let holds_leftovers = |bounds: &Bounds| begins.iter().any(|begin| bounds.take(*begin));
    let mut steps: Vec<_> = missing
        .iter()
        .filter(|bounds| !holds_leftovers(bounds))
        .map(|it| create::step(hot, live, &facts, it))
        .collect();
    match default {
        Some(default) => steps.extend(begins.iter().map(|begin| {
            let (from, to) = around(hot, live, period, *begin);
            fill(hot, live, &facts, default, from, to)
        })),
        None => steps.push(create::step(hot, live, &facts, &Bounds::Default)),
    }
    steps.push(analyze(hot));
    Ok(Some(steps))
}

/// The period of these rows, as far as no other partition has a part of it.
pub(super) fn around(
    hot: &HotTable,
    live: &Live,
    period: Period,
    begin: DateTime<Utc>,
) -> (DateTime<Utc>, DateTime<Utc>) {
    let (mut from, mut to) = (begin, period.next(begin));
    for (other_from, other_to) in live.catalog.ranges(hot.name).iter().filter_map(|it| it.bounds.range()) {
        if let Some(other_to) = other_to.filter(|other| *other <= to && *other > from) {
            from = other_to;
        }
        if let Some(other_from) = other_from.filter(|other| *other >= from && *other < to) {
            to = other_from;
        }
    }
    (from, to)
}

/// Moves rows out of the default partition into a partition of their own.
fn fill(
    hot: &HotTable,
    live: &Live,
    facts: &Facts,
    default: &Partition,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Step {
    let bounds = Bounds::Range(Some(from), Some(to));
    let name = create::name(hot, &bounds);
    let (partition, from_default) = (Sql::identifier(&name), Sql::identifier(&default.name));
    let time = hot.time_in_sql();
    let mut statements = vec![raw!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE", table = &from_default)];
    statements.extend(create::create(hot.name, facts, create::settings(live, hot), &name));
    statements.push(raw!(
        "WITH moved AS (DELETE FROM {from_default} WHERE {time} >= {from} AND {time} < {to} RETURNING *)
         INSERT INTO {partition} SELECT * FROM moved",
        from_default,
        time,
        from = literal(from),
        to = literal(to),
        partition
    ));
    statements.push(create::attach(hot, &name, &bounds));
    let does = format!("move rows from {} to {} out of the default partition", from.date_naive(), to.date_naive());
    let step = Step::transaction(does, &statements);
    step.locking_each(referenced(&live.catalog, hot), SHARE_ROW_EXCLUSIVE)
        .locking(hot.name, SHARE_UPDATE_EXCLUSIVE)
        .locking(&default.name, ACCESS_EXCLUSIVE)
}

/// The end of the partitions ahead: of those that are there, or of those that will be.
fn end(live: &Live, hot: &HotTable, period: Period, ahead: TimeDelta) -> DateTime<Utc> {
    let missing = create::ahead(period, &live.catalog.gaps(hot.name), live.now, ahead);
    let there = live.catalog.ranges(hot.name).last().and_then(|last| last.bounds.end());
    missing.last().and_then(Bounds::end).max(there).unwrap_or(live.now)
}

fn literal(time: DateTime<Utc>) -> Sql {
    Sql::literal(&moment(time))
}

/// How many rows of a table stay in the default partition: of times that no partition is made for.
pub(super) fn staying(leftovers: &[Leftover], hot: &HotTable) -> i64 {
    leftovers.iter().filter(|it| it.table_name == hot.name && it.period_begin.is_none()).map(|it| it.rows).sum()
}
