//! Migrations as data: the embedded ones, what the head of an `up.sql` says, and looking one up by what a person types.

use std::time::Duration;

use diesel::connection::BoxableConnection;
use diesel::migration::{self, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion};
use diesel::pg::Pg;
use sha2::{Digest, Sha256};

use super::sql;
use crate::error::{Error, Result};
use crate::raw::RunSql;

/// The migrations in `migrations/`, ordered by version.
pub const EMBEDDED: &[Migration] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// How long a statement may wait for a lock, unless the migration says otherwise.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// One migration with its SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Version in the history: the digits that the folder's name begins with.
    pub version: &'static str,
    /// Name of the folder.
    pub name: &'static str,
    /// Whether it is one transaction. If not, each of its statements is one, and must do no harm when run again.
    pub in_transaction: bool,
    /// The text of `up.sql`.
    pub up: &'static str,
    /// The text of `down.sql`.
    pub down: &'static str,
}

/// What the comments at the head of an `up.sql` say, a line each:
///
/// ```sql
/// -- optiinfra: lock_timeout = 2s
/// -- optiinfra: statement_timeout = 10min
/// -- optiinfra: compatible
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// How long a statement may wait for a lock; zero for as long as the run may wait.
    pub lock_timeout: Duration,
    /// How long a statement may run; zero for as long as it takes.
    pub statement_timeout: Duration,
    /// Whether binaries that do not know the migration may work on a database that has it.
    pub compatible: bool,
}

impl Migration {
    /// What the head of `up.sql` says.
    ///
    /// # Errors
    ///
    /// [`Error::Header`] when it says something that nobody understands.
    pub(super) fn header(&self) -> Result<Header> {
        let mut header = Header { lock_timeout: LOCK_TIMEOUT, statement_timeout: Duration::ZERO, compatible: false };
        for line in self.up.lines().map_while(|line| line.strip_prefix("--")) {
            let Some(setting) = line.trim().strip_prefix("optiinfra:").map(str::trim) else { continue };
            let wrong = || Error::Header { name: self.name.to_owned(), line: line.trim().to_owned() };
            match setting.split_once('=').map(|(key, value)| (key.trim(), duration(value.trim()))) {
                Some(("lock_timeout", Some(limit))) => header.lock_timeout = limit,
                Some(("statement_timeout", Some(limit))) => header.statement_timeout = limit,
                None if setting == "compatible" => header.compatible = true,
                _ => return Err(wrong()),
            }
        }
        Ok(header)
    }

    /// What is sent as one text is one transaction for the server, whatever Diesel thinks of it.
    fn run_by_diesel(&self, conn: &mut dyn BoxableConnection<Pg>, sql: &'static str) -> migration::Result<()> {
        if self.in_transaction {
            return Ok(conn.batch(sql)?);
        }
        for statement in sql::statements(sql) {
            conn.batch(statement)?;
        }
        Ok(())
    }

    /// Fingerprint of `up.sql` as it stands.
    pub(super) fn file_hash(&self) -> String {
        hash(self.up)
    }

    /// Fingerprint of `up.sql` without comments, white space and line ends.
    pub(super) fn content_hash(&self) -> String {
        hash(&sql::normalised(self.up))
    }
}

/// Reads a duration as PostgreSQL writes them in settings, the unit always there.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "min" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        "" if number == 0 => Some(Duration::ZERO),
        _ => None,
    }
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Finds a migration by its version, as digits or as the folder's name or the part of it before the `_`.
pub(super) fn find<'a>(set: &'a [Migration], text: &str) -> Result<&'a Migration> {
    let digits = text.replace('-', "");
    set.iter()
        .find(|migration| migration.name == text || migration.version == digits)
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
        self.run_by_diesel(conn, self.up)
    }

    fn revert(&self, conn: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        self.run_by_diesel(conn, self.down)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

impl MigrationMetadata for Migration {
    fn run_in_transaction(&self) -> bool {
        self.in_transaction
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

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Migration =
        Migration { version: "1", name: "1_plain", in_transaction: true, up: "SELECT 1", down: "" };

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

    #[test]
    fn a_header_overrides_the_defaults_and_ends_with_the_comments() {
        let defaults = Header { lock_timeout: LOCK_TIMEOUT, statement_timeout: Duration::ZERO, compatible: false };
        assert_eq!(PLAIN.header().unwrap(), defaults);
        let up = "-- Why.\n-- optiinfra: lock_timeout = 200ms\n--optiinfra: statement_timeout=2min\n-- optiinfra: compatible\nSELECT 1";
        let all = Header {
            lock_timeout: Duration::from_millis(200),
            statement_timeout: Duration::from_secs(120),
            compatible: true,
        };
        assert_eq!(Migration { up, ..PLAIN }.header().unwrap(), all);
        assert_eq!(Migration { up: "SELECT 1;\n-- optiinfra: compatible", ..PLAIN }.header().unwrap(), defaults);
    }

    #[test]
    fn a_header_that_nobody_understands_is_an_error_and_no_shipped_one_is() {
        for up in ["-- optiinfra: lock_timout = 5s", "-- optiinfra: lock_timeout = 5", "-- optiinfra: fast"] {
            assert!(matches!(Migration { up, ..PLAIN }.header(), Err(Error::Header { .. })), "{up}");
        }
        for migration in EMBEDDED {
            migration.header().unwrap();
        }
    }

    #[test]
    fn the_content_hash_sees_what_matters_and_the_file_hash_sees_all() {
        let other = Migration { up: "-- one\r\nSELECT  1", ..PLAIN };
        assert_eq!(PLAIN.content_hash(), other.content_hash());
        assert_ne!(PLAIN.file_hash(), other.file_hash());
        assert_ne!(PLAIN.content_hash(), Migration { up: "SELECT 2", ..PLAIN }.content_hash());
    }
}
