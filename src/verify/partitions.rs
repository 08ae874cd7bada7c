//! Partitioned tables: whether partitions are ready for the rows to come, and what no key can hold across partitions.
//!
//! There are no such checks of a table that is plain.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use serde_json::json;

use super::row_access::{Answer, RowAccess, Unavailable};
use super::{Check, Finding};
use crate::catalog::{Catalog, Constraint, HOT_TABLES, HotTable, contract};
use crate::error::Result;
use crate::layer::Layer;
use crate::raw::{Sql, raw, sql_query};

/// For how long partitions have to be ready at least.
const LEAD: TimeDelta = TimeDelta::days(2);
/// How many values a check shows.
const SAMPLES: usize = 5;

/// The checks of each partitioned table.
const AHEAD: (&str, &str) = ("ahead", "every row of the last years and of the next two days has a partition");
const DEFAULT: (&str, &str) = ("default", "there is a default partition, and no row is left in it");
const UNIQUE: (&str, &str) = ("unique", "what is unique in the plain table is unique across the partitions");

/// Makes the checks of those tables that are partitioned.
///
/// # Errors
///
/// Only when the transaction cannot go on.
pub(super) fn checks(
    conn: &mut PgConnection,
    access: &RowAccess,
    found: &Catalog,
    now: DateTime<Utc>,
) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    for hot in partitioned(found) {
        checks.push(ready(hot, found, now));
        checks.push(left_over(conn, access, hot, found)?);
        checks.push(unique(conn, access, hot)?);
    }
    Ok(checks)
}

/// The same checks where they cannot be made.
pub(super) fn skipped(found: &Catalog, reason: &str) -> impl Iterator<Item = Check> {
    let checks = move |hot| [AHEAD, DEFAULT, UNIQUE].map(|named| check(hot, named).skipped(reason));
    partitioned(found).flat_map(checks)
}

fn partitioned(found: &Catalog) -> impl Iterator<Item = &'static HotTable> {
    HOT_TABLES.iter().filter(|hot| found.is_partitioned(hot.name))
}

fn check(hot: &HotTable, (word, title): (&str, &str)) -> Check {
    let id = format!("partitions.{}.{word}", hot.name);
    Check::new(id, Layer::of_table(hot.name), "docs/partitions.md", format!("{}: {title}", hot.name))
}

fn reason(unavailable: Unavailable) -> String {
    match unavailable {
        Unavailable::Skipped(reason) => reason,
        Unavailable::Refused(message) => format!("the server refused the question: {message}"),
    }
}

/// Whether the ranges follow each other without a gap, and reach into the future.
fn ready(hot: &HotTable, found: &Catalog, now: DateTime<Utc>) -> Check {
    let finding = |problem: String, step: &str| Finding::new(format!("table {}", hot.name), problem).next_step(step);
    let mut findings = Vec::new();
    let mut ready_until = None;
    for gap in found.gaps(hot.name) {
        match gap {
            (Some(end), Some(next)) => findings.push(finding(
                format!("rows from {end} to {next} have no partition"),
                "attach what was detached, or make the partition",
            )),
            (end, None) => ready_until = Some(end),
            (None, Some(_)) => {}
        }
    }
    if let Some(end) = ready_until.filter(|end| end.is_none_or(|end| end < now + LEAD)) {
        let end = end.map_or_else(|| "any time".to_owned(), |end| end.to_string());
        findings.push(finding(format!("rows from {end} on have no partition"), "make the partitions ahead"));
    }
    check(hot, AHEAD)
        .figures(json!((now + LEAD).to_rfc3339()), json!(ready_until.flatten().map(|end| end.to_rfc3339())))
        .findings(findings)
}

/// The rows of a default partition.
#[derive(QueryableByName)]
struct Left {
    #[diesel(sql_type = BigInt)]
    rows: i64,
    #[diesel(sql_type = Nullable<Text>)]
    first: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    last: Option<String>,
}

fn left_over(conn: &mut PgConnection, access: &RowAccess, hot: &HotTable, found: &Catalog) -> Result<Check> {
    let check = check(hot, DEFAULT);
    let Some(default) = found.default_partition(hot.name) else {
        return Ok(check.findings(vec![Finding::new(format!("table {}", hot.name), "has no default partition")]));
    };
    if let Some(reason) = access.obstacle([hot.name]) {
        return Ok(check.skipped(reason));
    }
    let query = raw!(
        "SELECT count(*) AS rows, min({time})::text AS first, max({time})::text AS last FROM {table} WHERE {left}",
        time = hot.time_in_sql(),
        table = hot.name,
        left = found.in_default_partition(hot)
    );
    let answer: Answer<Left> = access.query(conn, |conn| sql_query(query).get_result(conn))?;
    let left = match answer {
        Ok(left) => left,
        Err(unavailable) => return Ok(check.skipped(reason(unavailable))),
    };
    let finding = || {
        let (first, last) = (left.first.as_deref().unwrap_or_default(), left.last.as_deref().unwrap_or_default());
        let problem = format!("{} rows with times from {first} to {last}", left.rows);
        Finding::new(format!("partition {}.{}", default.table, default.name), problem)
            .next_step("move them into partitions of their own; correct or delete those whose time is wrong")
    };
    Ok(check.figures(json!(0), json!(left.rows)).findings((left.rows > 0).then(finding).into_iter().collect()))
}

#[derive(QueryableByName)]
struct Twice {
    #[diesel(sql_type = BigInt)]
    values: i64,
    #[diesel(sql_type = Array<Text>)]
    samples: Vec<String>,
}

/// The values that the plain table's keys allow once, and that are there more than once with different times.
fn unique(conn: &mut PgConnection, access: &RowAccess, hot: &HotTable) -> Result<Check> {
    let check = check(hot, UNIQUE);
    if let Some(reason) = access.obstacle([hot.name]) {
        return Ok(check.skipped(reason));
    }
    let keys = contract().constraints().filter(|constraint| constraint.table == hot.name);
    let mut findings = Vec::new();
    for columns in keys.filter_map(Constraint::key_columns) {
        let key = Sql::identifiers(columns);
        let query = raw!(
            "SELECT count(*) AS values, coalesce((array_agg(key))[1:{SAMPLES}], '{{}}') AS samples
             FROM (SELECT concat_ws(', ', {key}) AS key FROM {table} GROUP BY {key} HAVING count(*) > 1) twice",
            SAMPLES,
            key,
            table = hot.name
        );
        let answer: Answer<Twice> = access.query(conn, |conn| sql_query(query).get_result(conn))?;
        match answer {
            Ok(twice) if twice.values == 0 => {}
            Ok(twice) => findings.push(Finding::new(
                format!("table {}", hot.name),
                format!(
                    "{} values of {} are there more than once: {}",
                    twice.values,
                    columns.join(", "),
                    twice.samples.join("; ")
                ),
            )),
            Err(unavailable) => return Ok(check.skipped(reason(unavailable))),
        }
    }
    Ok(check.figures(json!(0), json!(findings.len())).findings(findings))
}
