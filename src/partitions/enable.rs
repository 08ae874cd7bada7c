//! From a plain table to a partitioned one, beside readers and writers. The table itself becomes the first partition: what
//! takes long is done before, and the exchange changes the catalog only.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};

use super::create::{self, close, first};
use super::disable;
use super::error::Error;
use super::facts::{Facts, Live};
use super::objects::{self, FIRST, LIKE, key_word, referenced, until};
use super::period::Period;
use super::step::{ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE, Step};
use crate::catalog::{Bounds, Constraint, HotTable, Index, moment, with_suffix};
use crate::error::{Doing, Result};
use crate::raw::{Sql, raw, sql_query};

/// How far the end of the first partition is ahead at least: rows behind it are refused until the exchange.
const LEAD: TimeDelta = TimeDelta::days(1);
/// How far it is at least when an interrupted run is finished.
const LEAD_LEFT: TimeDelta = TimeDelta::hours(1);
/// How far ahead rows may be that are there already.
const FARTHEST: TimeDelta = TimeDelta::days(31);

/// The steps that are left to do.
pub(super) fn steps(
    conn: &mut PgConnection,
    hot: &'static HotTable,
    live: &Live,
    period: Period,
    ahead: TimeDelta,
) -> Result<Vec<Step>> {
    let facts = Facts::read(conn, hot)?;
    let mut steps: Vec<_> = disable::abandon(hot, live).into_iter().collect();
    let gaps = if live.is_partitioned(hot)? {
        let found = live.period(hot).unwrap_or(period);
        if found != period {
            return Err(Error::OtherPeriod { table: hot.name, found }.into());
        }
        if live.catalog.default_partition(hot.name).is_none() {
            steps.push(create::step(hot, live, &facts, &Bounds::Default));
        }
        live.catalog.gaps(hot.name)
    } else {
        let table = Plain { hot, live, facts: &facts };
        objects::refuse_obstacles(hot, live, &facts)?;
        let (end, checks) = table.checks(conn, period)?;
        steps.extend(table.keys());
        steps.extend(checks);
        steps.push(table.exchange(end));
        vec![(Some(end), None)]
    };
    // At least one that says how long they are.
    let least =
        gaps.last().and_then(|(from, _)| *from).map(|from| from - live.now).filter(|_| live.period(hot).is_none());
    let bounds = create::ahead(period, &gaps, live.now, least.map_or(ahead, |least| ahead.max(least)));
    steps.extend(bounds.iter().map(|bounds| create::step(hot, live, &facts, bounds)));
    if !steps.is_empty() {
        steps.push(create::analyze(hot));
    }
    Ok(steps)
}

/// A table that is not partitioned yet.
struct Plain<'a> {
    hot: &'static HotTable,
    live: &'a Live,
    facts: &'a Facts,
}

/// The name of an index of the first partition.
fn of_first(name: &str) -> String {
    with_suffix(name, FIRST)
}

/// The columns of a key without the time, which has to join them.
fn columns_without<'a>(constraint: &'a Constraint, time: &str) -> Option<&'a [String]> {
    constraint.key_columns().filter(|columns| !columns.iter().any(|column| column == time))
}

impl Plain<'_> {
    fn table(&self) -> Sql {
        self.hot.name.into()
    }

    fn constraints(&self) -> impl Iterator<Item = &Constraint> {
        objects::constraints(&self.live.catalog, self.hot.name)
    }

    fn indexes(&self) -> impl Iterator<Item = &Index> {
        objects::indexes(&self.live.catalog, self.hot.name)
    }

    /// Keys with the time in them, built beside everybody.
    fn keys(&self) -> Vec<Step> {
        let lacking = self.constraints().filter_map(|it| Some((it, columns_without(it, self.hot.time)?)));
        let build = |(constraint, columns): (&Constraint, &[String])| {
            let (table, columns) = (self.hot.name, self.hot.key(columns));
            let does = format!("build the unique index ({}) while others write", columns.join(", "));
            objects::build(&self.live.catalog, table, &of_first(&constraint.name), does, |index| {
                let columns = Sql::identifiers(&columns);
                raw!("CREATE UNIQUE INDEX CONCURRENTLY {index} ON {table} ({columns})", index, table, columns)
            })
        };
        lacking.flat_map(build).collect()
    }

    /// A proof that every row belongs to the first partition, so that attaching it reads no row; and where that ends.
    fn checks(&self, conn: &mut PgConnection, period: Period) -> Result<(DateTime<Utc>, Vec<Step>)> {
        let prefix = until(self.hot.name);
        let found = self.live.catalog.constraints().filter(|it| it.table == self.hot.name).find_map(|it| {
            let day = NaiveDate::parse_from_str(it.name.strip_prefix(&prefix)?, "%Y%m%d").ok()?;
            Some((it, day.and_time(NaiveTime::MIN).and_utc()))
        });
        let mut steps = Vec::new();
        let is_enough = |end: DateTime<Utc>| end >= self.live.now + LEAD_LEFT;
        if let Some((stale, _)) = found.filter(|(_, end)| !is_enough(*end)) {
            let name = Sql::identifier(&stale.name);
            let drop = raw!("ALTER TABLE {table} DROP CONSTRAINT {name}", table = self.hot.name, name);
            let step = Step::transaction("remove the limit that an interrupted run left", &[drop]);
            steps.push(step.locking(self.hot.name, ACCESS_EXCLUSIVE));
        }
        let found = found.filter(|(_, end)| is_enough(*end));
        let end = match found {
            Some((_, end)) => end,
            None => self.end(conn, period)?,
        };
        let name = self.limit(end);
        if found.is_none() {
            let check = raw!(
                "ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({time} < {end}) NOT VALID",
                table = self.hot.name,
                name = &name,
                time = Sql::identifier(self.hot.time),
                end = Sql::literal(&moment(end))
            );
            let step = Step::transaction(format!("refuse rows from {} on for a while", end.date_naive()), &[check]);
            steps.push(step.locking(self.hot.name, ACCESS_EXCLUSIVE));
        }
        if !found.is_some_and(|(constraint, _)| constraint.validated) {
            let validate = raw!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}", table = self.hot.name, name);
            let step = Step::alone("read the table once to see that no row is from then", validate);
            steps.push(step.locking(self.hot.name, SHARE_UPDATE_EXCLUSIVE));
        }
        Ok((end, steps))
    }

    /// The name of the constraint that proves it.
    fn limit(&self, end: DateTime<Utc>) -> Sql {
        Sql::identifier(&format!("{}{}", until(self.hot.name), end.format("%Y%m%d")))
    }

    /// Where the first partition ends: with a period, a while from now, and after every row.
    fn end(&self, conn: &mut PgConnection, period: Period) -> Result<DateTime<Utc>> {
        #[derive(QueryableByName)]
        struct Ahead {
            #[diesel(sql_type = BigInt)]
            rows: i64,
            #[diesel(sql_type = Nullable<Text>)]
            newest: Option<String>,
            #[diesel(sql_type = Nullable<Timestamptz>)]
            last: Option<DateTime<Utc>>,
        }
        let (table, time) = (self.hot.name, self.hot.time_in_sql());
        let (lead, farthest) = (self.live.now + LEAD, self.live.now + FARTHEST);
        let query = raw!(
            "SELECT count(*) FILTER (WHERE {time} > $2) AS rows, max({time})::text AS newest,
                 max({time}) FILTER (WHERE {time} <= $2) AS last
             FROM {table} WHERE {time} > $1",
            table,
            time
        );
        let ahead: Ahead = sql_query(query)
            .bind::<Timestamptz, _>(lead)
            .bind::<Timestamptz, _>(farthest)
            .get_result(conn)
            .doing(format!("look for rows of {table} that are ahead of the clock"))?;
        let end = period.next(ahead.last.unwrap_or(lead).max(lead));
        if ahead.rows > 0 {
            let newest = ahead.newest.unwrap_or_default();
            return Err(Error::FutureRows { table, rows: ahead.rows, end: end.date_naive().to_string(), newest }.into());
        }
        Ok(end)
    }

    /// Puts a partitioned table in the place of the plain one, which becomes its first partition.
    fn exchange(&self, end: DateTime<Utc>) -> Step {
        let bounds = Bounds::Range(None, Some(end));
        let name = first(self.hot);
        let old = Sql::identifier(&name);
        let mut statements = objects::lock(&self.live.catalog, self.hot);
        statements.extend(self.step_aside(&old));
        statements.extend(self.new_table(&old));
        statements.push(create::attach(self.hot, &name, &bounds));
        let check = self.limit(end);
        statements.push(raw!("ALTER TABLE {old} DROP CONSTRAINT {check}", old = &old, check));
        statements.extend(close(&old, self.facts));
        let settings = create::settings(self.live, self.hot);
        let default = create::name(self.hot, &Bounds::Default);
        statements.extend(create::create(self.hot.name, self.facts, settings, &default));
        statements.push(create::attach(self.hot, &default, &Bounds::Default));
        let does = format!("exchange: the table becomes the first partition, of the rows before {}", end.date_naive());
        Step::transaction(does, &statements)
            .locking_each(referenced(&self.live.catalog, self.hot), SHARE_ROW_EXCLUSIVE)
            .locking(self.hot.name, ACCESS_EXCLUSIVE)
    }

    /// Frees the table's name and those of its indexes, and takes from it what the new table will have.
    fn step_aside<'a>(&'a self, old: &'a Sql) -> impl Iterator<Item = Sql> {
        let rename = raw!("ALTER TABLE {table} RENAME TO {old}", table = self.hot.name, old);
        let rename_index = |name: &str| {
            let (name, to) = (Sql::identifier(name), Sql::identifier(&of_first(name)));
            raw!("ALTER INDEX {name} RENAME TO {to}", name, to)
        };
        let keys = self.constraints().filter_map(|key| Some((key, key_word(key)?)));
        let keys = keys.map(move |(key, word)| {
            if columns_without(key, self.hot.time).is_none() {
                return rename_index(&key.name);
            }
            raw!(
                "ALTER TABLE {old} DROP CONSTRAINT {name}, ADD CONSTRAINT {index} {word} USING INDEX {index}",
                old,
                name = Sql::identifier(&key.name),
                index = Sql::identifier(&of_first(&key.name)),
                word
            )
        });
        let own = self.indexes().map(move |index| rename_index(&index.name));
        let triggers = objects::triggers(&self.live.catalog, self.hot.name)
            .map(move |it| raw!("DROP TRIGGER {n} ON {old}", n = Sql::identifier(&it.name), old));
        let policies = objects::policies(&self.live.catalog, self.hot.name)
            .map(move |it| raw!("DROP POLICY {n} ON {old}", n = Sql::identifier(&it.name), old));
        std::iter::once(rename).chain(keys).chain(own).chain(triggers).chain(policies)
    }

    /// The partitioned table with all that the plain one has.
    fn new_table(&self, old: &Sql) -> Vec<Sql> {
        let (hot, table) = (self.hot, self.table());
        let mut statements = vec![
            raw!(
                "CREATE TABLE {table} (LIKE {old} {LIKE}) PARTITION BY RANGE ({time}){tablespace}",
                table = &table,
                old,
                LIKE,
                time = Sql::identifier(hot.time),
                tablespace = self.facts.tablespace()
            ),
            self.facts.give(&table),
        ];
        statements.extend(self.facts.revoke(&table));
        for it in self.constraints() {
            let (name, definition) = (Sql::identifier(&it.name), self.definition(it));
            statements.push(raw!(
                "ALTER TABLE {table} ADD CONSTRAINT {name} {definition}",
                table = &table,
                name,
                definition
            ));
        }
        for it in self.indexes() {
            let unique = if it.unique { "UNIQUE " } else { "" };
            let (name, definition) = (Sql::identifier(&it.name), Sql::of_server(&it.definition));
            statements.push(raw!(
                "CREATE {unique}INDEX {name} ON {table} USING {definition}",
                unique,
                name,
                table = &table,
                definition
            ));
        }
        statements.extend(objects::dress(hot, self.live));
        statements.extend(self.facts.set_columns(&table));
        statements.extend(self.facts.identify(&table));
        statements.extend(self.facts.grants());
        statements.extend(self.facts.leave_publications(old));
        statements.extend(self.facts.join_publications(&table));
        statements
    }

    fn definition(&self, constraint: &Constraint) -> Sql {
        let columns = columns_without(constraint, self.hot.time).map(|columns| Sql::identifiers(self.hot.key(columns)));
        match (key_word(constraint), columns) {
            (Some(word), Some(columns)) => raw!("{word} ({columns})", word, columns),
            _ => Sql::of_server(&constraint.definition),
        }
    }
}
