//! What reverting would destroy, found out by doing it in a transaction that is rolled back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::Serialize;

use super::error::Error as MigrateError;
use super::limits;
use super::retry::Failure;
use super::set::Migration;
use crate::error::{Error, Result};
use crate::raw::{RunSql, Sql, raw, sql, sql_query};
use crate::sqlstate::reporting_each;

/// What a revert removes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Names of the migrations that are reverted, the newest first.
    pub migrations: Vec<String>,
    /// Tables with the number of their rows.
    pub tables: BTreeMap<String, i64>,
    /// Columns of tables that stay, as `table.column`, with the number of values that are not null.
    pub columns: BTreeMap<String, i64>,
}

/// Tables with their columns.
type Columns = BTreeSet<(String, String)>;

/// How long to wait for a lock.
const LOCK_WAIT: Duration = Duration::from_secs(5);

pub(super) fn of_reverting(conn: &mut PgConnection, migrations: &[&Migration]) -> Result<Loss> {
    let mut loss = Loss {
        migrations: migrations.iter().map(|migration| migration.name.to_owned()).collect(),
        tables: BTreeMap::new(),
        columns: BTreeMap::new(),
    };
    let mut reverting = None;
    let rehearsed = conn.transaction(|conn| {
        conn.batch(limits::set_in_transaction(LOCK_WAIT, Duration::ZERO))?;
        let before = columns(conn)?;
        conn.batch("SAVEPOINT before_revert")?;
        // What runs outside a transaction cannot be rehearsed in one. It touches indexes only: migrations/README.md.
        for migration in migrations.iter().filter(|migration| migration.in_transaction) {
            reverting = Some(migration.name);
            conn.batch(reporting_each(limits::within(migration.down, LOCK_WAIT)))?;
        }
        reverting = None;
        let after = columns(conn)?;
        conn.batch("ROLLBACK TO SAVEPOINT before_revert")?;
        count(conn, &before, &after, &mut loss)?;
        Err::<(), _>(Failure::Other(diesel::result::Error::RollbackTransaction))
    });
    let name = reverting.map(str::to_owned);
    match (rehearsed, name) {
        (Ok(()) | Err(Failure::Other(diesel::result::Error::RollbackTransaction)), _) => Ok(loss),
        (Err(Failure::Locked(source)), Some(name)) => {
            Err(MigrateError::TableLocked { name, waited: LOCK_WAIT, source }.into())
        }
        (Err(Failure::Other(source)), Some(name)) => Err(MigrateError::Failed { name, source }.into()),
        (Err(Failure::Locked(source) | Failure::Other(source)), None) => {
            Err(Error::Query { doing: "see what would be lost".into(), source })
        }
    }
}

fn count(conn: &mut PgConnection, before: &Columns, after: &Columns, loss: &mut Loss) -> QueryResult<()> {
    let stays = |table: &str| after.iter().any(|(name, _)| name == table);
    for (table, column) in before {
        let (from, value) = (Sql::identifier(table), Sql::identifier(column));
        if !stays(table) {
            if !loss.tables.contains_key(table) {
                let rows = sql::<BigInt>(raw!("(SELECT count(*) FROM {from})", from));
                loss.tables.insert(table.clone(), diesel::select(rows).get_result(conn)?);
            }
        } else if !after.contains(&(table.clone(), column.clone())) {
            let values = sql::<BigInt>(raw!("(SELECT count({value}) FROM {from})", value, from));
            loss.columns.insert(format!("{table}.{column}"), diesel::select(values).get_result(conn)?);
        }
    }
    Ok(())
}

fn columns(conn: &mut PgConnection) -> QueryResult<Columns> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        table_name: String,
        #[diesel(sql_type = Text)]
        column_name: String,
    }
    let query = "SELECT relname::text AS table_name, attname::text AS column_name
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND attnum > 0 AND NOT attisdropped";
    let rows: Vec<Row> = sql_query(query).load(conn)?;
    Ok(rows.into_iter().map(|row| (row.table_name, row.column_name)).collect())
}
