//! Migrations as data: the embedded ones, and looking one up by what a person types.

use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::sql;
use crate::catalog::HotTable;

/// The migrations in `migrations/`, ordered by version.
pub const EMBEDDED: &[Migration] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

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

/// Which way a migration is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// `up.sql`
    Apply,
    /// `down.sql`
    Revert,
}

impl Migration {
    /// The text of the file for this direction.
    pub(super) fn text(&self, direction: Direction) -> &'static str {
        match direction {
            Direction::Apply => self.up,
            Direction::Revert => self.down,
        }
    }

    /// Whether a statement of it is about a key, a reference or a policy of a hot table.
    pub(super) fn makes_keys_of_hot_tables(&self) -> bool {
        let is_about_one = |statement: &str| {
            let words = sql::words(statement);
            let is_hot = |word: &String| HotTable::named(&word.to_ascii_lowercase()).is_some();
            words.iter().any(is_hot)
                && words.iter().any(|word| matches!(word.as_str(), "UNIQUE" | "PRIMARY" | "REFERENCES" | "POLICY"))
        };
        [self.up, self.down].into_iter().flat_map(sql::statements).any(is_about_one)
    }

    /// Fingerprint of the whole `up.sql`.
    pub(super) fn file_hash(&self) -> String {
        hash(self.up)
    }

    /// Fingerprint of `up.sql` without comments, white space and line ends.
    pub(super) fn content_hash(&self) -> String {
        hash(&sql::normalised(self.up))
    }
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Finds a migration by its version, as digits or as the folder's name or the part of it before the `_`.
pub(super) fn find<'a>(set: &'a [Migration], text: &str) -> Option<&'a Migration> {
    let digits = text.replace('-', "");
    set.iter().find(|migration| migration.name == text || migration.version == digits)
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
            assert_eq!(find(EMBEDDED, text), None, "{text}");
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
