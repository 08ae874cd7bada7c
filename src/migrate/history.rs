//! Two tables that remember what was applied: Diesel's own, which says which versions are, and ours beside it, which
//! says how and with what text. Reading them never creates them.
//!
//! Diesel's is left as diesel_cli expects it, and what diesel_cli applied is simply not recorded in ours.

use chrono::{DateTime, SecondsFormat, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Double, Integer, Nullable, Text, Timestamptz};
use serde::Serialize;

use super::set::Migration;
use crate::error::{Doing, Error, Result};
use crate::layer;
use crate::raw::{RunSql, sql_query};

/// Where Alembic keeps its revision.
const ALEMBIC: &str = "alembic_version";

/// A migration that the database holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Applied {
    /// Version in the history.
    pub version: String,
    /// Name of the migration's folder.
    pub name: String,
    /// When it was applied: RFC 3339, UTC where this library applied it, the session's time zone where `diesel_cli` did.
    pub applied_at: String,
    /// How long it took in seconds; `None` where this library did not apply it.
    pub seconds: Option<f64>,
    /// Version of the tool that applied it; `None` where this library did not.
    pub tool_version: Option<String>,
    /// Whether the text that was applied is the text of this build.
    pub text: TextState,
}

/// How the text of an applied migration compares with the text of this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TextState {
    /// It is the same.
    Same,
    /// It differs in comments, white space or line ends only.
    Cosmetic,
    /// It differs in what it does.
    Edited,
    /// Another tool applied it: there is nothing to compare.
    Unrecorded,
}

/// A migration that the database lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// Version in the history.
    pub version: String,
    /// Name of the migration's folder.
    pub name: String,
    /// Statements that are done, of a migration that is no transaction and was interrupted.
    pub statements_done: Option<i32>,
}

/// A migration that the database holds and this build does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// Version in the history.
    pub version: String,
    /// Name of the migration's folder, where it is recorded.
    pub name: Option<String>,
    /// Whether it was marked compatible with binaries that do not know it.
    pub compatible: bool,
}

impl Unknown {
    /// The name, or the version where the name is not recorded.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.version)
    }
}

/// What the database holds and lacks of a set of migrations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Applied migrations, by version.
    pub applied: Vec<Applied>,
    /// Pending migrations, by version.
    pub pending: Vec<Pending>,
    /// Applied migrations that the set does not hold.
    pub unknown: Vec<Unknown>,
}

impl Status {
    /// Name of the newest applied migration that the set holds.
    pub fn head(&self) -> Option<String> {
        self.applied.last().map(|applied| applied.name.clone())
    }

    /// Whether everything is applied, nothing unknown is there, and no applied text was edited since.
    pub fn is_current(&self) -> bool {
        self.pending.is_empty() && self.unknown.is_empty() && self.with_text(TextState::Edited).is_empty()
    }

    /// Names of the applied migrations whose text compares like this.
    pub fn with_text(&self, state: TextState) -> Vec<&str> {
        self.applied.iter().filter(|applied| applied.text == state).map(|applied| applied.name.as_str()).collect()
    }

    /// Fails unless every migration is applied and none is unknown.
    ///
    /// # Errors
    ///
    /// [`Error::Behind`] with the pending migrations, [`Error::Ahead`] with unknown ones.
    pub fn require_current(&self) -> Result<()> {
        if !self.unknown.is_empty() {
            return Err(self.ahead());
        }
        self.require_applied()
    }

    /// Fails when a migration of this build is pending; what a newer build has added does no harm.
    ///
    /// # Errors
    ///
    /// [`Error::Behind`].
    pub fn require_applied(&self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        Err(Error::Behind { pending: self.pending.iter().map(|pending| pending.name.clone()).collect() })
    }

    /// The error that names the unknown migrations.
    pub(super) fn ahead(&self) -> Error {
        Error::Ahead { unknown: self.unknown.iter().map(|unknown| unknown.label().to_owned()).collect() }
    }
}

/// A row of the two tables.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    version: String,
    /// Whether Diesel's table has the version; ours also has what is under way.
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

    fn applied(&self, migration: &Migration) -> Applied {
        Applied {
            version: self.version.clone(),
            name: migration.name.to_owned(),
            applied_at: self.applied_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default(),
            seconds: self.seconds,
            tool_version: self.tool_version.clone(),
            text: self.text_state(migration),
        }
    }
}

/// Reads what is applied, in two queries.
pub(super) fn status(conn: &mut PgConnection, set: &[Migration]) -> Result<Status> {
    let rows = read(conn)?;
    let mut status = Status { applied: Vec::new(), pending: Vec::new(), unknown: Vec::new() };
    for row in rows.iter().filter(|row| row.applied) {
        match set.iter().find(|migration| migration.version == row.version) {
            Some(migration) => status.applied.push(row.applied(migration)),
            None => status.unknown.push(Unknown {
                version: row.version.clone(),
                name: row.name.clone(),
                compatible: row.compatible,
            }),
        }
    }
    for migration in set {
        let row = rows.iter().find(|row| row.version == migration.version);
        if !row.is_some_and(|row| row.applied) {
            status.pending.push(Pending {
                version: migration.version.to_owned(),
                name: migration.name.to_owned(),
                statements_done: row.and_then(|row| row.statements_done),
            });
        }
    }
    Ok(status)
}

fn read(conn: &mut PgConnection) -> Result<Vec<Row>> {
    #[derive(QueryableByName)]
    struct Tables {
        #[diesel(sql_type = Bool)]
        diesel: bool,
        #[diesel(sql_type = Bool)]
        ours: bool,
    }
    let tables: Tables =
        sql_query(include_str!("tables.sql")).get_result(conn).doing("look for the migration history")?;
    let query = match (tables.diesel, tables.ours) {
        (false, _) => return Ok(Vec::new()),
        (true, false) => include_str!("read_diesel.sql"),
        (true, true) => include_str!("read_both.sql"),
    };
    sql_query(query).load(conn).doing("read the migration history")
}

/// Creates the tables where they are missing, Diesel's as Diesel does.
pub(super) fn create(conn: &mut PgConnection) -> Result<()> {
    conn.batch(include_str!("create.sql")).doing("create the migration history")
}

/// Writes down that a migration is being applied: the row in Diesel's table claims it.
pub(super) fn claim(conn: &mut PgConnection, migration: &Migration) -> QueryResult<()> {
    insert_applied(conn, migration)?;
    insert_record(conn, migration, None)
}

/// Writes the row of Diesel's table.
pub(super) fn insert_applied(conn: &mut PgConnection, migration: &Migration) -> QueryResult<()> {
    sql_query("INSERT INTO __diesel_schema_migrations (version, run_on) VALUES ($1, now() AT TIME ZONE 'UTC')")
        .bind::<Text, _>(migration.version)
        .execute(conn)
        .map(drop)
}

/// Writes the row of our table, in place of one that an earlier attempt or another tool's revert left.
pub(super) fn insert_record(
    conn: &mut PgConnection,
    migration: &Migration,
    statements_done: Option<i32>,
) -> QueryResult<()> {
    sql_query(include_str!("insert_record.sql"))
        .bind::<Text, _>(migration.version)
        .bind::<Text, _>(migration.name)
        .bind::<Text, _>(env!("CARGO_PKG_VERSION"))
        .bind::<Text, _>(migration.file_hash())
        .bind::<Text, _>(migration.content_hash())
        .bind::<Bool, _>(migration.header().is_ok_and(|header| header.compatible))
        .bind::<Text, _>(migration.up)
        .bind::<Nullable<Integer>, _>(statements_done)
        .execute(conn)
        .map(drop)
}

/// Writes both rows of a migration that another tool applied.
pub(super) fn insert_adopted(conn: &mut PgConnection, migration: &Migration, revision: &str) -> QueryResult<()> {
    claim(conn, migration)?;
    sql_query("UPDATE __optiinfra_migrations SET adopted_from = $2 WHERE version = $1")
        .bind::<Text, _>(migration.version)
        .bind::<Text, _>(revision)
        .execute(conn)
        .map(drop)
}

/// Writes how far a migration has come; `seconds` once it is done.
pub(super) fn update_record(
    conn: &mut PgConnection,
    migration: &Migration,
    seconds: Option<f64>,
    statements_done: Option<i32>,
) -> QueryResult<()> {
    sql_query("UPDATE __optiinfra_migrations SET seconds = $2, statements_done = $3 WHERE version = $1")
        .bind::<Text, _>(migration.version)
        .bind::<Nullable<Double>, _>(seconds)
        .bind::<Nullable<Integer>, _>(statements_done)
        .execute(conn)
        .map(drop)
}

/// Removes the rows of a migration that is being reverted.
pub(super) fn delete(conn: &mut PgConnection, migration: &Migration) -> QueryResult<()> {
    let deleted = sql_query("DELETE FROM __diesel_schema_migrations WHERE version = $1")
        .bind::<Text, _>(migration.version)
        .execute(conn)?;
    if deleted != 1 {
        return Err(diesel::result::Error::NotFound);
    }
    if layer::is_there(conn, "__optiinfra_migrations")? {
        sql_query("DELETE FROM __optiinfra_migrations WHERE version = $1")
            .bind::<Text, _>(migration.version)
            .execute(conn)?;
    }
    Ok(())
}

/// The text that was applied, and how many of its statements are done while it is under way.
pub(super) fn recorded_text(conn: &mut PgConnection, version: &str) -> Result<Option<(String, Option<i32>)>> {
    #[derive(QueryableByName)]
    struct Recorded {
        #[diesel(sql_type = Text)]
        up_sql: String,
        #[diesel(sql_type = Nullable<Integer>)]
        statements_done: Option<i32>,
    }
    let found: Option<Recorded> =
        sql_query("SELECT up_sql, statements_done FROM __optiinfra_migrations WHERE version = $1")
            .bind::<Text, _>(version)
            .get_result(conn)
            .optional()
            .doing("read the text of a migration as it was applied")?;
    Ok(found.map(|found| (found.up_sql, found.statements_done)))
}

/// Fails when a table of ours is there before the first migration: it is not ours then.
pub(super) fn refuse_occupied(conn: &mut PgConnection) -> Result<()> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let ours: Vec<&str> = layer::tables().map(|(_, table)| table).chain([ALEMBIC]).collect();
    let found: Vec<Found> = sql_query(include_str!("occupied.sql"))
        .bind::<Array<Text>, _>(ours)
        .load(conn)
        .doing("look for tables of the same names")?;
    let (alembic, tables): (Vec<_>, Vec<_>) =
        found.into_iter().map(|found| found.name).partition(|name| name == ALEMBIC);
    if tables.is_empty() {
        return Ok(());
    }
    Err(Error::Occupied { tables, by_alembic: !alembic.is_empty() })
}
