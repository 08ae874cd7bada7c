//! Reads the two tables that remember what was applied: Diesel's own, which says which versions are, and ours,
//! which says how and with what text. Reading them never creates them. `record` has what is written into them.
//!
//! Diesel's table has a row exactly while the whole of a migration is applied. Of a migration outside a transaction that
//! is half done, only ours has one: with `statements_done` while it is being applied, with `statements_reverted` while it
//! is being reverted.

use chrono::{DateTime, SecondsFormat, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Double, Integer, Nullable, Text, Timestamptz};

use super::error::Error as MigrateError;
use super::set::{Direction, Migration};
use super::sql::statements;
use super::status::{Applied, Interrupted, Pending, Status, TextState, Unknown};
use crate::connection;
use crate::error::{Doing, Result};
use crate::raw::{Sql, raw, sql_query};

/// A row of the two tables.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    version: String,
    /// Whether Diesel's table has the version; ours also has what is half done.
    #[diesel(sql_type = Bool)]
    applied: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    applied_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Nullable<Double>)]
    seconds: Option<f64>,
    #[diesel(sql_type = Nullable<Text>)]
    tool_version: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    file_hash: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    content_hash: Option<String>,
    #[diesel(sql_type = Bool)]
    compatible: bool,
    #[diesel(sql_type = Nullable<Integer>)]
    statements_done: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    statements_reverted: Option<i32>,
}

impl Row {
    fn text_state(&self, migration: &Migration) -> TextState {
        match (&self.file_hash, &self.content_hash) {
            (Some(file), _) if *file == migration.file_hash() => TextState::Same,
            (_, Some(content)) if *content == migration.content_hash() => TextState::Cosmetic,
            (_, Some(_)) => TextState::Edited,
            (_, None) => TextState::Unrecorded,
        }
    }

    fn as_applied(&self, migration: &Migration) -> Applied {
        Applied {
            version: self.version.clone(),
            name: migration.name.to_owned(),
            applied_at: self.applied_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default(),
            seconds: self.seconds,
            tool_version: self.tool_version.clone(),
            text: self.text_state(migration),
        }
    }

    /// What is half done, and how many of its statements are.
    fn half_done(&self) -> Option<(Direction, i32)> {
        let reverted = self.statements_reverted.map(|done| (Direction::Revert, done));
        reverted.or(self.statements_done.map(|done| (Direction::Apply, done))).filter(|_| !self.applied)
    }

    fn as_unknown(&self) -> Unknown {
        Unknown {
            version: self.version.clone(),
            name: self.name.clone(),
            compatible: self.compatible,
            interrupted: self.half_done().map(|(direction, _)| direction),
        }
    }
}

/// Reads what is applied, in two queries.
pub(super) fn status(conn: &mut PgConnection, set: &[Migration]) -> Result<Status> {
    let rows = read(conn)?;
    let row_of = |migration: &Migration| rows.iter().find(|row| row.version == migration.version);
    let mut status = Status { applied: Vec::new(), pending: Vec::new(), unknown: Vec::new() };
    for migration in set {
        match row_of(migration) {
            Some(row) if row.applied => status.applied.push(row.as_applied(migration)),
            row => status.pending.push(pending(migration, row)),
        }
    }
    let is_known = |row: &Row| set.iter().any(|migration| migration.version == row.version);
    let unknown = rows.iter().filter(|row| !is_known(row) && (row.applied || row.half_done().is_some()));
    status.unknown.extend(unknown.map(Row::as_unknown));
    Ok(status)
}

fn pending(migration: &Migration, row: Option<&Row>) -> Pending {
    let half_done = row.and_then(Row::half_done);
    Pending {
        version: migration.version.to_owned(),
        name: migration.name.to_owned(),
        statements_done: half_done.filter(|(direction, _)| *direction == Direction::Apply).map(|(_, done)| done),
        interrupted: half_done.map(|(direction, done)| Interrupted {
            direction,
            statements_done: usize::try_from(done).unwrap_or(0),
            statements: statements(migration.text(direction)).len(),
        }),
    }
}

/// Which of the two tables are there and may be read, in the current schema.
#[derive(QueryableByName)]
struct Tables {
    #[diesel(sql_type = Bool)]
    has_schema: bool,
    #[diesel(sql_type = Text)]
    search_path: String,
    #[diesel(sql_type = Bool)]
    diesel: bool,
    #[diesel(sql_type = Bool)]
    ours: bool,
    /// Whether ours has the column `statements_reverted`. Older versions of this library made it without.
    #[diesel(sql_type = Bool)]
    reverts: bool,
    /// Whether Citus keeps the hot tables.
    #[diesel(sql_type = Bool)]
    distributed: bool,
}

fn tables(conn: &mut PgConnection) -> Result<Tables> {
    let tables: Tables =
        sql_query(include_str!("tables.sql")).get_result(conn).doing("look for the migration history")?;
    if !tables.has_schema {
        return Err(connection::Error::NoSchema { search_path: tables.search_path }.into());
    }
    // The history is on the coordinator only, and tables are distributed where there is one.
    if tables.distributed && !tables.diesel {
        return Err(MigrateError::Worker.into());
    }
    Ok(tables)
}

fn read(conn: &mut PgConnection) -> Result<Vec<Row>> {
    let tables = tables(conn)?;
    if !tables.diesel {
        return Ok(Vec::new());
    }
    let query = if tables.ours { read_both(tables.reverts) } else { include_str!("read_diesel.sql").into() };
    sql_query(query).load(conn).doing("read the migration history")
}

fn read_both(reverts: bool) -> Sql {
    let reverted = if reverts { "o.statements_reverted" } else { "NULL::integer" };
    raw!(
        "SELECT version, d.version IS NOT NULL AS applied, d.run_on AT TIME ZONE 'UTC' AS applied_at, o.name, o.seconds,
                o.tool_version, o.file_hash, o.content_hash, coalesce(o.compatible, false) AS compatible,
                o.statements_done, {reverted} AS statements_reverted
         FROM __diesel_schema_migrations AS d
         FULL JOIN __optiinfra_migrations AS o USING (version)
         ORDER BY version",
        reverted
    )
}

/// Whether Citus keeps the hot tables.
pub(super) fn is_distributed(conn: &mut PgConnection) -> Result<bool> {
    Ok(tables(conn)?.distributed)
}

/// What makes the tables complete: nothing where they are.
pub(super) fn creation(conn: &mut PgConnection) -> Result<Option<&'static str>> {
    let tables = tables(conn)?;
    let is_complete = tables.diesel && tables.ours && tables.reverts;
    Ok((!is_complete).then_some(include_str!("create.sql")))
}

/// The text of `up.sql` that was applied, or is being applied.
pub(super) fn recorded_text(conn: &mut PgConnection, version: &str) -> Result<Option<String>> {
    #[derive(QueryableByName)]
    struct Recorded {
        #[diesel(sql_type = Text)]
        up_sql: String,
    }
    let found: Option<Recorded> = sql_query("SELECT up_sql FROM __optiinfra_migrations WHERE version = $1")
        .bind::<Text, _>(version)
        .get_result(conn)
        .optional()
        .doing("read the text of a migration as it was applied")?;
    Ok(found.map(|found| found.up_sql))
}
