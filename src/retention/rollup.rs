//! Sums of an hour, which stay when the samples go.
//!
//! An hour is summed once it is over, and again where more samples came. Where samples may have gone, its rows are final: what
//! is left of the hour never takes the place of the whole. Beside its own sums, an hour has the totals of all hours until its
//! end, each made of those of the hour before; where an hour changes, later totals are emptied and made again.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz};

use crate::catalog::HotTable;
use crate::deadline::Deadline;
use crate::error::{Doing, Result};
use crate::layer;
use crate::raw::{RunSql, Sql, raw, sql_query};

/// A table whose samples are summed, and where.
#[derive(Debug)]
pub(super) struct Rollup {
    table: &'static str,
    hourly: &'static str,
    /// The columns that samples of one sum share, beside the hour.
    key: &'static [&'static str],
    value: &'static str,
}

const ROLLUPS: [Rollup; 2] = [
    Rollup {
        table: "resource_metrics",
        hourly: "resource_metrics_hourly",
        key: &["customer_id", "instance_id", "resource_type", "metric_name", "unit"],
        value: "metric_value",
    },
    Rollup {
        table: "quality_metrics",
        hourly: "quality_metrics_hourly",
        key: &["customer_id", "model_name", "model_version"],
        value: "overall_quality_score",
    },
];

impl Rollup {
    /// That of a table, where it has one.
    pub fn of(hot: &HotTable) -> Option<&'static Self> {
        ROLLUPS.iter().find(|rollup| rollup.table == hot.name)
    }

    /// Sums the hours that have other samples than their sums say, the oldest first, and makes the totals. Returns how many
    /// sums it wrote, and whether all is done or the time was up before.
    pub fn write(&self, conn: &mut PgConnection, deadline: Deadline) -> Result<(i64, bool)> {
        let doing = || format!("sum the hours of {}", self.table);
        let mut written = 0;
        for hour in self.other_hours(conn).doing(doing())? {
            if deadline.has_passed() {
                return Ok((written, false));
            }
            let of_hour = self.in_turn(conn, |conn| {
                let sums = self.sum(conn, hour)?;
                self.total(conn, hour)?;
                Ok(sums)
            });
            written += of_hour.doing(doing())?;
        }
        for hour in self.hours_without_total(conn).doing(doing())? {
            if deadline.has_passed() {
                return Ok((written, false));
            }
            self.in_turn(conn, |conn| self.total(conn, hour)).doing(doing())?;
        }
        Ok((written, true))
    }

    fn other_hours(&self, conn: &mut PgConnection) -> QueryResult<Vec<DateTime<Utc>>> {
        hours(
            conn,
            raw!(
                "SELECT hour
                 FROM (SELECT date_trunc('hour', \"timestamp\", 'UTC') AS hour, count(*) AS samples FROM {table}
                       WHERE \"timestamp\" < date_trunc('hour', now(), 'UTC') AND isfinite(\"timestamp\") GROUP BY 1) found
                 LEFT JOIN (SELECT hour, sum(sample_count) AS samples FROM {hourly} WHERE NOT is_final GROUP BY 1) summed
                     USING (hour)
                 WHERE found.samples IS DISTINCT FROM summed.samples
                 ORDER BY hour",
                table = self.table,
                hourly = self.hourly
            ),
        )
    }

    fn hours_without_total(&self, conn: &mut PgConnection) -> QueryResult<Vec<DateTime<Utc>>> {
        let hourly = self.hourly;
        hours(conn, raw!("SELECT DISTINCT hour FROM {hourly} WHERE total_count IS NULL ORDER BY hour", hourly))
    }

    /// Works on an hour in a transaction, while no other run works on one.
    fn in_turn<T>(
        &self,
        conn: &mut PgConnection,
        work: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
    ) -> QueryResult<T> {
        conn.transaction(|conn| {
            conn.batch(raw!("LOCK TABLE {hourly} IN SHARE ROW EXCLUSIVE MODE", hourly = self.hourly))?;
            work(conn)
        })
    }

    /// Writes the sums of an hour, and empties the totals that they change. Fewer samples than were summed are a part of
    /// them: the others went.
    fn sum(&self, conn: &mut PgConnection, hour: DateTime<Utc>) -> QueryResult<i64> {
        let sums = "sample_count, min_value, avg_value, max_value, p95_value, last_value, last_at";
        let query = raw!(
            "WITH written AS (
                 INSERT INTO {hourly} AS h ({key}, hour, {sums})
                 SELECT {key}, $1, count(*), min({value}), avg({value}), max({value}),
                     percentile_cont(0.95) WITHIN GROUP (ORDER BY {value}),
                     (array_agg({value} ORDER BY \"timestamp\" DESC, id DESC))[1], max(\"timestamp\")
                 FROM {table} WHERE \"timestamp\" >= $1 AND \"timestamp\" < $1 + interval '1 hour'
                 GROUP BY {key}
                 ON CONFLICT ({key}, hour) DO UPDATE
                 SET ({sums}, total_count, total_avg, created_at) =
                     ROW (excluded.sample_count, excluded.min_value, excluded.avg_value, excluded.max_value,
                          excluded.p95_value, excluded.last_value, excluded.last_at, NULL, NULL, now())
                 WHERE NOT h.is_final AND excluded.sample_count > h.sample_count
                 RETURNING {key}
             ),
             emptied AS (
                 UPDATE {hourly} h SET total_count = NULL, total_avg = NULL
                 FROM written w WHERE ({key_of_h}) = ({key_of_w}) AND h.hour > $1 AND h.total_count IS NOT NULL
             )
             SELECT count(*) AS count FROM written",
            hourly = self.hourly,
            key = self.key_of(None),
            key_of_h = self.key_of(Some("h")),
            key_of_w = self.key_of(Some("w")),
            sums,
            value = self.value,
            table = self.table
        );
        sql_query(query).bind::<Timestamptz, _>(hour).get_result(conn).map(|Count { count }| count)
    }

    /// Makes the totals of an hour that are empty, of the totals of the hour before; where these are empty, they stay.
    fn total(&self, conn: &mut PgConnection, hour: DateTime<Utc>) -> QueryResult<usize> {
        let query = raw!(
            "UPDATE {hourly} total SET total_count = made.samples,
                 total_avg = own * (count::float8 / samples) + coalesce(before_avg * (before_count::float8 / samples), 0)
             FROM (
                 SELECT h.id, h.avg_value AS own, h.sample_count AS count, b.total_avg AS before_avg,
                     b.total_count AS before_count,
                     h.sample_count + CASE WHEN b.hour IS NULL THEN 0 ELSE b.total_count END AS samples
                 FROM {hourly} h
                 LEFT JOIN LATERAL (
                     SELECT hour, total_count, total_avg FROM {hourly} b
                     WHERE ({key_of_b}) = ({key_of_h}) AND b.hour < $1 ORDER BY hour DESC LIMIT 1
                 ) b ON true
                 WHERE h.hour = $1 AND h.total_count IS NULL
             ) made
             WHERE total.id = made.id AND made.samples IS NOT NULL",
            hourly = self.hourly,
            key_of_b = self.key_of(Some("b")),
            key_of_h = self.key_of(Some("h"))
        );
        sql_query(query).bind::<Timestamptz, _>(hour).execute(conn)
    }

    /// The columns of the key, of an alias.
    fn key_of(&self, alias: Option<&'static str>) -> Sql {
        let of = alias.map_or(Sql::from(""), |alias| raw!("{alias}.", alias));
        Sql::join(self.key.iter().map(|&column| raw!("{of}{column}", of = &of, column)), ", ")
    }

    /// Marks the sums of the hours of which a table or partition has samples before a time, because these will go.
    pub fn finish(&self, conn: &mut PgConnection, part: &str, before: DateTime<Utc>) -> Result<()> {
        let doing = || format!("mark the sums of {} as final", self.table);
        if !layer::is_there(conn, self.hourly).doing(doing())? {
            return Ok(());
        }
        let query = raw!(
            "UPDATE {hourly} SET is_final = true WHERE NOT is_final AND hour IN (
                 SELECT DISTINCT date_trunc('hour', \"timestamp\", 'UTC') FROM {part} WHERE \"timestamp\" < $1
             )",
            hourly = self.hourly,
            part = Sql::identifier(part)
        );
        sql_query(query).bind::<Timestamptz, _>(before).execute(conn).doing(doing()).map(drop)
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn hours(conn: &mut PgConnection, query: Sql) -> QueryResult<Vec<DateTime<Utc>>> {
    #[derive(QueryableByName)]
    struct Hour {
        #[diesel(sql_type = Timestamptz)]
        hour: DateTime<Utc>,
    }
    let hours: Vec<Hour> = sql_query(query).load(conn)?;
    Ok(hours.into_iter().map(|Hour { hour }| hour).collect())
}
