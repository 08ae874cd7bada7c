//! How rows get into their table on one connection: by COPY into the table, or by COPY into a temporary table and
//! INSERT from there, where COPY may not or cannot do what is wanted.

use std::borrow::Cow;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use serde::Serialize;

use super::batch::Batch;
use super::table::{Destination, Table};
use crate::catalog::{HotTable, contract};
use crate::error::{Doing, Result};
use crate::id::CustomerId;
use crate::raw::{RunSql as _, Sql, raw, sql_query};
use crate::tenant::set_customer;

/// What becomes of a row whose id, or other unique value, is there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnConflict {
    /// It is an error that names the row. The fastest, for it is plain COPY.
    #[default]
    Refuse,
    /// It is left out and counted as skipped, so that the same rows may be written again after a crash.
    Skip,
}

/// How rows got into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Through {
    /// By COPY into the table itself.
    Copy,
    /// By COPY into a temporary table and INSERT from there: to skip rows, and where row security forbids COPY.
    Staging,
}

/// How rows get into a table on one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WritePath {
    pub(super) table: &'static Table,
    pub(super) through: Through,
    on_conflict: OnConflict,
    /// Whether the server lets one id into several partitions, so that rows that are there have to be looked for.
    is_partitioned: bool,
    /// Whether its rows are on the nodes of a cluster.
    pub(super) is_distributed: bool,
    /// For whom the session works, where it has to be said.
    customer: Option<CustomerId>,
}

#[derive(QueryableByName)]
struct Probe {
    #[diesel(sql_type = Bool)]
    secured: bool,
    #[diesel(sql_type = Bool)]
    partitioned: bool,
    #[diesel(sql_type = Bool)]
    distributed: bool,
    #[diesel(sql_type = Bool)]
    staged: bool,
    #[diesel(sql_type = Bool)]
    fits: bool,
}

impl WritePath {
    /// Asks the server, and makes the temporary table where one is needed.
    pub(crate) fn find(
        conn: &mut PgConnection,
        table: &'static Table,
        on_conflict: OnConflict,
        customer: Option<CustomerId>,
    ) -> Result<Self> {
        let probe = probe(conn, table).doing(format!("see how rows get into {}", table.name))?;
        let (is_partitioned, is_distributed) = (probe.partitioned, probe.distributed);
        let path = Self { table, through: Through::Copy, on_conflict, is_partitioned, is_distributed, customer };
        if !probe.secured && on_conflict == OnConflict::Refuse {
            return Ok(path);
        }
        make_staging(conn, table, &probe).doing(format!("make a temporary table for {}", table.name))?;
        Ok(Self { through: Through::Staging, ..path })
    }

    /// The same rows through the temporary table, in the transaction in which it is made if there is none.
    pub(super) fn by_staging(self, conn: &mut PgConnection) -> QueryResult<Self> {
        if self.through == Through::Copy {
            let probe = probe(conn, self.table)?;
            make_staging(conn, self.table, &probe)?;
        }
        Ok(Self { through: Through::Staging, ..self })
    }

    pub(crate) fn through(self) -> Through {
        self.through
    }

    /// Sends rows of a batch and returns how many were written. To be called in a transaction.
    pub(super) fn send(self, conn: &mut PgConnection, rows: &[u8]) -> QueryResult<u64> {
        if let Some(customer) = self.customer {
            set_customer(conn, customer)?;
        }
        let written = match self.through {
            Through::Copy => self.table.copy(conn, Destination::Table, rows)?,
            Through::Staging => {
                self.stage(conn, rows)?;
                self.wait_for_others(conn)?;
                sql_query(self.insert("")).execute(conn)?
            }
        };
        Ok(written as u64)
    }

    /// Where a row may get its time anew each time that it is written, no key of a partitioned table holds between two who
    /// write the same rows at once. So until the end of the transaction one of them looks for rows that are there, and
    /// writes.
    pub(super) fn wait_for_others(self, conn: &mut PgConnection) -> QueryResult<()> {
        match self.on_conflict {
            OnConflict::Skip if self.is_partitioned => take_turns(conn, self.table),
            _ => Ok(()),
        }
    }

    /// Fills the temporary table with rows of a batch.
    pub(super) fn stage(self, conn: &mut PgConnection, rows: &[u8]) -> QueryResult<()> {
        empty_staging(conn, self.table)?;
        self.table.copy(conn, Destination::Staging, rows).map(drop)
    }

    /// The rows of a batch as they are sent. Where others may write the same rows at once, all write them in one order, so
    /// that none waits for another that waits for it. Of rows with one key the first one of the input stays the first.
    pub(super) fn rows(self, batch: &Batch) -> Cow<'_, [u8]> {
        match self.on_conflict {
            OnConflict::Refuse => Cow::Borrowed(batch.rows(0..batch.len())),
            OnConflict::Skip => Cow::Owned(batch.sorted_by(self.table.key())),
        }
    }

    /// The statement that moves rows from the temporary table into the table: all, or those of a condition.
    pub(super) fn insert(self, only: &'static str) -> Sql {
        let columns = Sql::identifiers(self.table.columns);
        let skip = match self.on_conflict {
            OnConflict::Refuse => "",
            OnConflict::Skip => " ON CONFLICT DO NOTHING",
        };
        // Citus turns what returns nothing into a COPY: it counts rows that are there as written, and is refused under row
        // security.
        let returning = if self.is_distributed { " RETURNING true" } else { "" };
        let (table, staging, key) = (self.table.name, self.table.staging, self.table.key);
        if !self.is_partitioned || self.on_conflict == OnConflict::Refuse {
            return raw!(
                "INSERT INTO {table} ({columns}) SELECT {columns} FROM pg_temp.{staging}{only}{skip}{returning}",
                table,
                columns,
                staging,
                only,
                skip,
                returning
            );
        }
        // Its keys include the time, which a row may get anew each time that it is written. A distributed table is not asked
        // for each row.
        let is_new = |column: &'static str| {
            if self.is_distributed {
                return raw!(
                    "{column} NOT IN (SELECT there.{column} FROM {table} there
                     WHERE there.{column} IN (SELECT {column} FROM pg_temp.{staging}))",
                    column,
                    table,
                    staging
                );
            }
            raw!(
                "NOT EXISTS (SELECT 1 FROM {table} there WHERE there.{column} = {staging}.{column})",
                column,
                table,
                staging
            )
        };
        let word = if only.is_empty() { "WHERE" } else { "AND" };
        raw!(
            "INSERT INTO {table} ({columns}) SELECT DISTINCT ON ({key}) {columns} FROM pg_temp.{staging}{only}
             {word} {new_id} AND {new_key} ORDER BY {key}, ctid{skip}{returning}",
            table,
            columns,
            staging,
            only,
            word,
            new_id = is_new("id"),
            new_key = is_new(key),
            key,
            skip,
            returning
        )
    }
}

/// Waits for others who skip rows of a partitioned table, as [`WritePath::wait_for_others`] says.
pub(super) fn take_turns(conn: &mut PgConnection, table: &Table) -> QueryResult<()> {
    let may_lack_its_time =
        HotTable::named(table.name).and_then(|hot| contract().column(hot.name, hot.time)?.expression.as_ref());
    if may_lack_its_time.is_none() {
        return Ok(());
    }
    sql_query("SELECT pg_advisory_xact_lock(hashtextextended('optiinfra-dbctl ingest', $1::regclass::oid::bigint))")
        .bind::<Text, _>(table.name)
        .execute(conn)
        .map(drop)
}

fn probe(conn: &mut PgConnection, table: &Table) -> QueryResult<Probe> {
    sql_query(include_str!("probe.sql"))
        .bind::<Text, _>(table.name)
        .bind::<Text, _>(format!("pg_temp.{}", table.staging))
        .get_result(conn)
}

/// Makes the temporary table, unless there is one that fits. The session may change its role later, and nobody else can
/// see the table, so every role may use it.
fn make_staging(conn: &mut PgConnection, table: &Table, probe: &Probe) -> QueryResult<()> {
    if probe.staged && probe.fits {
        return Ok(());
    }
    let (name, staging) = (table.name, table.staging);
    conn.transaction(|conn| {
        if probe.staged {
            conn.batch(raw!("DROP TABLE pg_temp.{staging}", staging))?;
        }
        conn.batch(raw!("CREATE TEMPORARY TABLE {staging} (LIKE {name}) ON COMMIT DELETE ROWS", staging, name))?;
        conn.batch(raw!("GRANT SELECT, INSERT, TRUNCATE ON pg_temp.{staging} TO PUBLIC", staging))
    })
}

/// The end of a transaction empties the table, but one transaction may send many times.
fn empty_staging(conn: &mut PgConnection, table: &Table) -> QueryResult<()> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        used: bool,
    }
    let staging = table.staging;
    let found: Found =
        sql_query(raw!("SELECT EXISTS (SELECT 1 FROM pg_temp.{staging}) AS used", staging)).get_result(conn)?;
    if found.used {
        conn.batch(raw!("TRUNCATE pg_temp.{staging}", staging))?;
    }
    Ok(())
}
