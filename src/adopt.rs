//! Adopts a database that Alembic made, with proof: its objects are exactly those that its revision stands for.
//!
//! The proof is a comparison with what our own migrations make, in a schema that exists only inside a transaction.
//! Nothing is written unless it holds, and then only the history: `alembic_version` stays as it is. It uses
//! `migrate` and `catalog`.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde::Serialize;

use crate::catalog::{self, Catalog, Difference};
use crate::error::{Doing, Error, Result};
use crate::layer;
use crate::migrate::{self, EMBEDDED, Migration, Migrator, Status};
use crate::raw::{RunSql, sql_query};

/// The revisions of the platform's Alembic, each with the version of the migration that does the same.
pub const REVISIONS: [(&str, &str); 5] = [
    ("001_core_schema", "20251019120000"),
    ("002_agent_state_tables", "20251019160000"),
    ("003_workflow_history", "20251019200000"),
    ("004_resource_schema", "20251020160000"),
    ("005_application_schema", "20251020180000"),
];

/// What came of an adoption.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The Alembic revision of the database.
    pub revision: String,
    /// Names of the migrations that this revision stands for.
    pub migrations: Vec<String>,
    /// What differs from what these migrations make; empty when the proof holds.
    pub differences: Vec<Difference>,
    /// Whether the history was written: the proof held and it was not a rehearsal.
    pub adopted: bool,
    /// Names of the migrations that are pending then.
    pub pending: Vec<String>,
}

/// Compares the database with what its Alembic revision stands for and, if they are equal and this is no rehearsal,
/// writes the history as if our migrations had been applied. Differences are a result and no error.
///
/// # Errors
///
/// [`migrate::Error::NotAdoptable`] when there is no single known revision, or a history of ours already; [`migrate::Error::Locked`] when
/// another run does not end in time; [`Error::Query`] when the server refuses something, for instance to create the
/// schema for the comparison.
pub fn run(conn: &mut PgConnection, rehearsal: bool) -> Result<Report> {
    Migrator::default().under_lock(conn, |conn| {
        conn.build_transaction().run(|conn| {
            let report = prove(conn)?;
            if rehearsal || !report.differences.is_empty() {
                return Ok(report);
            }
            Migrator::default().record_adopted(conn, &report.migrations, &report.revision)?;
            tracing::info!(revision = report.revision, "the database was adopted");
            Ok(Report { adopted: true, ..report })
        })
    })
}

fn prove(conn: &mut PgConnection) -> Result<Report> {
    refuse_history(&crate::migrate::status(conn)?)?;
    let revision = revision(conn)?;
    let applied = migrations_of(&revision)?;
    let found = catalog::read(conn)?;
    let expected = expected(conn, applied)?;
    let names = |migrations: &[Migration]| migrations.iter().map(|migration| migration.name.to_owned()).collect();
    Ok(Report {
        revision,
        migrations: names(applied),
        differences: expected.differences(&found),
        adopted: false,
        pending: names(&EMBEDDED[applied.len()..]),
    })
}

fn refuse_history(status: &Status) -> Result<()> {
    if status.applied.is_empty() && status.unknown.is_empty() {
        return Ok(());
    }
    Err(not_adoptable("it has a migration history of its own already"))
}

fn not_adoptable(why: impl Into<String>) -> Error {
    migrate::Error::NotAdoptable(why.into()).into()
}

/// The revision that Alembic wrote down.
fn revision(conn: &mut PgConnection) -> Result<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        version_num: String,
    }
    if !layer::is_there(conn, "alembic_version").doing("look for alembic_version")? {
        return Err(not_adoptable("it has no table alembic_version"));
    }
    let rows: Vec<Row> = sql_query("SELECT version_num::text FROM alembic_version ORDER BY version_num")
        .load(conn)
        .doing("read alembic_version")?;
    match rows.as_slice() {
        [row] => Ok(row.version_num.clone()),
        [] => Err(not_adoptable("alembic_version is empty")),
        rows => {
            let revisions: Vec<_> = rows.iter().map(|row| row.version_num.as_str()).collect();
            Err(not_adoptable(format!("alembic_version holds more than one revision: {}", revisions.join(", "))))
        }
    }
}

/// The migrations that a revision stands for: the one of its version and all before it.
fn migrations_of(revision: &str) -> Result<&'static [Migration]> {
    let version = REVISIONS.iter().find(|(known, _)| *known == revision).map(|(_, version)| *version);
    let last = version.and_then(|version| EMBEDDED.iter().position(|migration| migration.version == version));
    last.map(|last| &EMBEDDED[..=last])
        .ok_or_else(|| not_adoptable(format!("its Alembic revision '{revision}' is not one of the platform's")))
}

/// The catalogue that the migrations make, from a schema that is gone again when this returns.
fn expected(conn: &mut PgConnection, migrations: &[Migration]) -> Result<Catalog> {
    let mut expected = Catalog::default();
    let rehearsed = conn.transaction(|conn| {
        let scratch = "CREATE SCHEMA __optiinfra_scratch; SET LOCAL search_path TO __optiinfra_scratch";
        conn.batch(scratch).doing("create a schema for the comparison")?;
        for migration in migrations {
            let failed = |source| migrate::Error::Failed { name: migration.name.to_owned(), source };
            conn.batch(migration.up).map_err(failed)?;
        }
        expected = catalog::read(conn)?;
        Err::<(), Error>(diesel::result::Error::RollbackTransaction.into())
    });
    match rehearsed {
        Err(Error::Diesel(diesel::result::Error::RollbackTransaction)) | Ok(()) => Ok(expected),
        Err(error) => Err(error),
    }
}
