//! Applied migrations whose text is not what it was: refused with a diff, and recorded when somebody says that it is right.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde::Serialize;
use similar::TextDiff;

use super::error::Error as MigrateError;
use super::header::Header;
use super::history;
use super::set::{self, Migration};
use super::status::{Status, TextState};
use crate::error::{Doing, Result};
use crate::raw::sql_query;

/// A migration whose recorded text was replaced by the text of this build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Name of the migration's folder.
    pub name: String,
    /// How the two texts compared.
    pub was: TextState,
}

/// Fails when an applied migration says something else now, with the difference.
pub(super) fn refuse_edited(conn: &mut PgConnection, set: &[Migration], status: &Status) -> Result<()> {
    for name in status.with_text(TextState::Cosmetic) {
        tracing::warn!(migration = name, "comments or white space of an applied migration have changed");
    }
    let names: Vec<String> = status.with_text(TextState::Edited).into_iter().map(str::to_owned).collect();
    if names.is_empty() {
        return Ok(());
    }
    let mut diff = String::new();
    for migration in names.iter().filter_map(|name| set::find(set, name)) {
        diff += &difference(conn, migration)?;
    }
    Err(MigrateError::Edited { names, diff }.into())
}

/// The change of a migration's text since it was applied, as a unified diff.
fn difference(conn: &mut PgConnection, migration: &Migration) -> Result<String> {
    let applied = history::recorded_text(conn, migration.version)?.unwrap_or_default();
    let names = (format!("{}/up.sql as applied", migration.name), format!("{}/up.sql now", migration.name));
    Ok(TextDiff::from_lines(applied.as_str(), migration.up)
        .unified_diff()
        .context_radius(2)
        .header(&names.0, &names.1)
        .to_string())
}

/// Replaces what is recorded of every applied migration that differs, and writes down that it was done and why.
pub(super) fn repair(
    conn: &mut PgConnection,
    set: &[Migration],
    status: &Status,
    reason: &str,
) -> Result<Vec<Repaired>> {
    let different: Vec<_> = status.applied.iter().filter(|applied| applied.text != TextState::Same).collect();
    if different.is_empty() {
        return Ok(Vec::new());
    }
    conn.transaction(|conn| {
        let mut repaired = Vec::new();
        for applied in different {
            let Some(migration) = set::find(set, &applied.version) else { continue };
            replace(conn, migration, reason).doing(format!("record the text of {}", migration.name))?;
            tracing::info!(migration = migration.name, reason, "the text of a migration was recorded anew");
            repaired.push(Repaired { name: migration.name.to_owned(), was: applied.text });
        }
        Ok(repaired)
    })
}

fn replace(conn: &mut PgConnection, migration: &Migration, reason: &str) -> QueryResult<()> {
    sql_query(include_str!("repair.sql"))
        .bind::<Text, _>(migration.version)
        .bind::<Text, _>(migration.name)
        .bind::<Text, _>(env!("CARGO_PKG_VERSION"))
        .bind::<Text, _>(migration.file_hash())
        .bind::<Text, _>(migration.content_hash())
        .bind::<diesel::sql_types::Bool, _>(Header::of(migration).is_ok_and(|header| header.compatible))
        .bind::<Text, _>(migration.up)
        .bind::<Text, _>(reason)
        .execute(conn)
        .map(drop)
}
