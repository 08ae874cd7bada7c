//! Removal of the rows that the seed owns, and of nothing else.
//!
//! A foreign key may delete or change rows of others behind our back (`ON DELETE CASCADE`, `SET NULL`). So, before
//! anything is deleted, the rows to be removed are locked against new references, and whatever refers to them and is
//! not itself to be removed is counted, by every foreign key that the catalogue knows, ours or a user's.

use std::collections::BTreeMap;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::error::{Dependants, Error};
use super::rows::Rows;
use super::{Batch, TableReport};
use crate::error::{Doing, Result};
use crate::raw::{Sql, raw, sql_query};

/// A foreign key that points at a table with rows to be removed.
#[derive(QueryableByName)]
#[diesel(check_for_backend(Pg))]
struct ForeignKey {
    #[diesel(sql_type = Text)]
    parent: String,
    /// As people write it: with its schema where that is not the current one.
    #[diesel(sql_type = Text)]
    child: String,
    #[diesel(sql_type = Text)]
    child_schema: String,
    #[diesel(sql_type = Text)]
    child_name: String,
    #[diesel(sql_type = Array<Text>)]
    child_columns: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    parent_columns: Vec<String>,
}

/// How many rows refer by a foreign key to rows to be removed, and are not to be removed themselves.
#[derive(QueryableByName)]
#[diesel(check_for_backend(Pg))]
struct Count {
    /// Place of the key in the list.
    #[diesel(sql_type = BigInt)]
    key: i64,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Removes the rows of the batches, or nothing when somebody depends on them; reports in the order of the batches.
pub(super) fn remove(conn: &mut PgConnection, batches: &[Batch]) -> Result<Vec<TableReport>> {
    let owned = owned(batches);
    let keys = foreign_keys(conn, &owned)?;
    for batch in batches.iter().filter(|batch| keys.iter().any(|key| key.parent == batch.rows.table())) {
        batch.rows.lock(conn).doing(format!("lock the seed rows of {}", batch.rows.table()))?;
    }
    check_unused(conn, &keys, &owned)?;
    let mut reports = Vec::new();
    for batch in batches.iter().rev() {
        let removed = batch.rows.delete(conn).doing(format!("remove the seed rows of {}", batch.rows.table()))?;
        reports.push(batch.removed(removed));
    }
    reports.reverse();
    Ok(reports)
}

/// The rows that refer to one of these rows and are none of them.
pub(crate) fn dependants_of(conn: &mut PgConnection, rows: &[&dyn Rows]) -> Result<Vec<Dependants>> {
    let owned: Owned = rows.iter().map(|rows| (rows.table(), rows.ids())).collect();
    let keys = foreign_keys(conn, &owned)?;
    dependants(conn, &keys, &owned)
}

/// What [`remove`] would report.
pub(super) fn plan(conn: &mut PgConnection, batches: &[Batch]) -> Result<Vec<TableReport>> {
    let owned = owned(batches);
    let keys = foreign_keys(conn, &owned)?;
    check_unused(conn, &keys, &owned)?;
    batches.iter().map(|batch| Ok(batch.removed(batch.present(conn)?.len()))).collect()
}

/// The ids to be removed by table: a table may have rows of several layers.
type Owned = BTreeMap<&'static str, Vec<Uuid>>;

fn owned(batches: &[Batch]) -> Owned {
    let mut owned = Owned::new();
    for batch in batches {
        owned.entry(batch.rows.table()).or_default().extend(batch.rows.ids());
    }
    owned
}

fn foreign_keys(conn: &mut PgConnection, owned: &Owned) -> Result<Vec<ForeignKey>> {
    let parents: Vec<&str> = owned.keys().copied().collect();
    sql_query(include_str!("foreign_keys.sql"))
        .bind::<Array<Text>, _>(parents)
        .load(conn)
        .doing("read the foreign keys that point at the seed")
}

fn check_unused(conn: &mut PgConnection, keys: &[ForeignKey], owned: &Owned) -> Result<()> {
    let dependants = dependants(conn, keys, owned)?;
    if dependants.is_empty() { Ok(()) } else { Err(Error::InUse(dependants).into()) }
}

/// Counts all dependants in one statement, with the ids of the n-th table as parameter n.
fn dependants(conn: &mut PgConnection, keys: &[ForeignKey], owned: &Owned) -> Result<Vec<Dependants>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let parameter = |table: &str| owned.keys().position(|owned| *owned == table).map(|place| place + 1);
    let counts = Sql::join((0..).zip(keys).map(|(place, key)| count_sql(place, key, parameter)), " UNION ALL ");
    let text = raw!("SELECT key, count FROM ({counts}) AS keys WHERE count > 0 ORDER BY key", counts);
    let mut query = sql_query(text).into_boxed::<Pg>();
    for ids in owned.values() {
        query = query.bind::<Array<SqlUuid>, _>(ids.clone());
    }
    let counts: Vec<Count> = query.load(conn).doing("count the rows that depend on the seed")?;
    let dependants = counts.into_iter().filter_map(|Count { key, count }| {
        let key = keys.get(usize::try_from(key).ok()?)?;
        let rows = usize::try_from(count).unwrap_or(usize::MAX);
        Some(Dependants { table: key.child.clone(), refers_to: key.parent.clone(), rows })
    });
    Ok(dependants.collect())
}

fn count_sql(place: usize, key: &ForeignKey, parameter: impl Fn(&str) -> Option<usize>) -> Sql {
    let among = |alias: &'static str, table: &str| {
        parameter(table).map_or("false".into(), |number| raw!("{alias}.id = ANY (${number})", alias, number))
    };
    let pairs = key.child_columns.iter().zip(&key.parent_columns);
    let equal = pairs.map(|(c, p)| raw!("c.{c} = p.{p}", c = Sql::identifier(c), p = Sql::identifier(p)));
    raw!(
        "SELECT {place}::bigint AS key, count(*) AS count FROM {parent} AS p JOIN {schema}.{child} AS c ON {condition} \
         WHERE {removed} AND NOT {removed_too}",
        place,
        parent = Sql::identifier(&key.parent),
        schema = Sql::identifier(&key.child_schema),
        child = Sql::identifier(&key.child_name),
        condition = Sql::join(equal, " AND "),
        removed = among("p", &key.parent),
        removed_too = among("c", &key.child),
    )
}
