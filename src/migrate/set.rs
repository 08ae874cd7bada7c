//! Migrations as data: the embedded ones, and looking one up by what a person types.

use diesel::connection::BoxableConnection;
use diesel::migration::{self, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion};
use diesel::pg::Pg;

use crate::error::{Error, Result};

/// The migrations in `migrations/`, ordered by version.
pub const EMBEDDED: &[Migration] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// One migration with its SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Version in the history: the digits that the folder's name begins with.
    pub version: &'static str,
    /// Name of the folder.
    pub name: &'static str,
    /// The text of `up.sql`.
    pub up: &'static str,
    /// The text of `down.sql`.
    pub down: &'static str,
}

/// Finds a migration by its version, as digits or as the folder's name or the part of it before the `_`.
pub(super) fn find<'a>(set: &'a [Migration], text: &str) -> Result<&'a Migration> {
    let digits = |text: &str| text.replace('-', "");
    set.iter()
        .find(|migration| migration.name == text || migration.version == digits(text))
        .ok_or_else(|| Error::UnknownVersion(text.to_owned()))
}

/// A set of migrations for Diesel's own harness.
#[derive(Debug, Clone, Copy)]
pub struct Set(pub &'static [Migration]);

impl MigrationSource<Pg> for Set {
    fn migrations(&self) -> migration::Result<Vec<Box<dyn migration::Migration<Pg>>>> {
        Ok(self.0.iter().map(|migration| Box::new(*migration) as Box<dyn migration::Migration<Pg>>).collect())
    }
}

impl migration::Migration<Pg> for Migration {
    fn run(&self, conn: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        Ok(conn.batch_execute(self.up)?)
    }

    fn revert(&self, conn: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        Ok(conn.batch_execute(self.down)?)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        &InTransaction
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

impl MigrationName for Migration {
    fn version(&self) -> MigrationVersion<'_> {
        MigrationVersion::from(self.version)
    }
}

impl std::fmt::Display for Migration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

struct InTransaction;

impl MigrationMetadata for InTransaction {
    fn run_in_transaction(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_set_is_in_order_without_a_version_twice() {
        assert!(EMBEDDED.windows(2).all(|pair| pair[0].version < pair[1].version));
        assert!(!EMBEDDED.is_empty());
    }

    #[test]
    fn a_version_is_found_by_digits_by_folder_name_and_by_date() {
        for text in ["20251019120000", "2025-10-19-120000_core_schema", "2025-10-19-120000"] {
            assert_eq!(find(EMBEDDED, text).unwrap().name, "2025-10-19-120000_core_schema");
        }
    }

    #[test]
    fn part_of_a_version_is_not_enough() {
        for text in ["2025", "core_schema", "", "2025-10-19-120000_core"] {
            assert!(matches!(find(EMBEDDED, text), Err(Error::UnknownVersion(_))), "{text}");
        }
    }
}
