//! Diesel's history table: reading it without creating it, and writing one row of it.

use chrono::NaiveDateTime;
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text, Timestamp};
use serde::Serialize;

use super::set::Migration;
use crate::error::{Doing, Error, Result};
use crate::layer;

/// A migration that the database holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Version in the history.
    pub version: String,
    /// Name of the migration's folder.
    pub name: String,
    /// When it was applied: UTC where this library applied it, the session's time zone where diesel_cli did.
    pub applied_at: String,
}

/// A migration that the database lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// Version in the history.
    pub version: String,
    /// Name of the migration's folder.
    pub name: String,
}

/// What the database holds and lacks of a set of migrations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Applied migrations, by version.
    pub applied: Vec<Applied>,
    /// Pending migrations, by version.
    pub pending: Vec<Pending>,
    /// Versions in the history that the set does not hold.
    pub unknown: Vec<String>,
}

impl Status {
    /// Name of the newest applied migration that the set holds.
    pub fn head(&self) -> Option<String> {
        self.applied.last().map(|applied| applied.name.clone())
    }

    /// Fails unless every migration is applied.
    ///
    /// # Errors
    ///
    /// [`Error::Behind`] with the pending migrations, [`Error::Ahead`] with unknown ones.
    pub fn require_current(&self) -> Result<()> {
        super::refuse_unknown(self)?;
        if self.pending.is_empty() {
            return Ok(());
        }
        Err(Error::Behind { pending: self.pending.iter().map(|pending| pending.name.clone()).collect() })
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Timestamp)]
    run_on: NaiveDateTime,
}

pub(super) fn status(conn: &mut PgConnection, set: &[Migration]) -> Result<Status> {
    let rows = read(conn)?;
    let known = |version: &str| set.iter().find(|migration| migration.version == version);
    let applied = rows.iter().filter_map(|row| {
        let migration = known(&row.version)?;
        Some(Applied {
            version: row.version.clone(),
            name: migration.name.to_owned(),
            applied_at: row.run_on.and_utc().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        })
    });
    let is_applied = |migration: &Migration| rows.iter().any(|row| row.version == migration.version);
    let pending = set
        .iter()
        .filter(|migration| !is_applied(migration))
        .map(|migration| Pending { version: migration.version.to_owned(), name: migration.name.to_owned() });
    let unknown = rows.iter().map(|row| &row.version).filter(|version| known(version).is_none());
    Ok(Status { applied: applied.collect(), pending: pending.collect(), unknown: unknown.cloned().collect() })
}

/// Reads the history; empty where there is no history table, which is not created.
fn read(conn: &mut PgConnection) -> Result<Vec<Row>> {
    let exists = "to_regclass(quote_ident(current_schema()) || '.__diesel_schema_migrations') IS NOT NULL";
    if !diesel::select(sql::<Bool>(exists)).get_result(conn).doing("look for the migration history")? {
        return Ok(Vec::new());
    }
    diesel::sql_query("SELECT version, run_on FROM __diesel_schema_migrations ORDER BY version")
        .load(conn)
        .doing("read the migration history")
}

/// Creates the history table as Diesel does, where it is missing.
pub(super) fn create(conn: &mut PgConnection) -> Result<()> {
    // Without IF NOT EXISTS, whose notice would end up on the user's terminal.
    let create = "DO $$ BEGIN
        IF to_regclass(quote_ident(current_schema()) || '.__diesel_schema_migrations') IS NULL THEN
            CREATE TABLE __diesel_schema_migrations (
                version VARCHAR(50) PRIMARY KEY NOT NULL,
                run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
            );
        END IF;
    END $$";
    conn.batch_execute(create).doing("create the migration history")
}

pub(super) fn insert(conn: &mut PgConnection, migration: &Migration) -> QueryResult<()> {
    diesel::sql_query("INSERT INTO __diesel_schema_migrations (version, run_on) VALUES ($1, now() AT TIME ZONE 'UTC')")
        .bind::<Text, _>(migration.version)
        .execute(conn)
        .map(drop)
}

pub(super) fn delete(conn: &mut PgConnection, migration: &Migration) -> QueryResult<()> {
    let deleted = diesel::sql_query("DELETE FROM __diesel_schema_migrations WHERE version = $1")
        .bind::<Text, _>(migration.version)
        .execute(conn)?;
    if deleted == 1 { Ok(()) } else { Err(diesel::result::Error::NotFound) }
}

/// Fails when a table of ours is there before the first migration: it is not ours then.
pub(super) fn refuse_occupied(conn: &mut PgConnection) -> Result<()> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let ours: Vec<&str> = layer::tables().map(|(_, table)| table).collect();
    let query = "SELECT relname::text AS name FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relname = ANY ($1) AND relkind IN ('r', 'p', 'v', 'm', 'f')
        ORDER BY relname";
    let found: Vec<Found> = diesel::sql_query(query)
        .bind::<diesel::sql_types::Array<Text>, _>(ours)
        .load(conn)
        .doing("look for tables of the same names")?;
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::Occupied(found.into_iter().map(|found| found.name).collect()))
}
