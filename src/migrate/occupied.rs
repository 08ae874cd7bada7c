//! Before the first migration: whether the database already holds the platform's tables, here or in another schema.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text};

use super::error::Error as MigrateError;
use crate::error::{Doing, Result};
use crate::layer::{self, Layer};
use crate::raw::sql_query;

/// Where Alembic keeps its revision.
const ALEMBIC: &str = "alembic_version";

/// Fails when a table of ours is there before the first migration: in this schema, or in a later one of the search path.
pub(super) fn refuse(conn: &mut PgConnection) -> Result<()> {
    refuse_tables(conn)?;
    refuse_installation(conn)
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    name: String,
}

fn refuse_tables(conn: &mut PgConnection) -> Result<()> {
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
    Err(MigrateError::Occupied { tables, by_alembic: !alembic.is_empty() }.into())
}

/// Another program may have one table of such a name, or a history of its own; all of the first layer are ours.
fn refuse_installation(conn: &mut PgConnection) -> Result<()> {
    #[derive(QueryableByName)]
    struct Elsewhere {
        #[diesel(sql_type = Text)]
        current: String,
        #[diesel(sql_type = Text)]
        found: String,
    }
    let elsewhere: Option<Elsewhere> = sql_query(include_str!("installed.sql"))
        .bind::<Array<Text>, _>(Layer::Core.tables())
        .get_result(conn)
        .optional()
        .doing("look for the platform's tables in other schemas")?;
    match elsewhere {
        None => Ok(()),
        Some(Elsewhere { current, found }) => Err(MigrateError::InstalledElsewhere { current, found }.into()),
    }
}
