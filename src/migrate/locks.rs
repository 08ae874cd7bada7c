//! The locks that each statement of the embedded migrations takes, measured by running it: `locks.txt`, which a test
//! compares with the server and writes with `OPTIINFRA_BLESS=1`.

use serde::Serialize;

use super::set::{Direction, EMBEDDED, Migration};

/// A line a lock: migration, direction, number of the statement, table, mode.
const MEASURED: &str = include_str!("locks.txt");

/// A lock on a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lock {
    /// The table; `?` where no measurement says which.
    pub object: String,
    /// The mode as PostgreSQL's documentation calls it; `unknown` where it was not measured.
    pub mode: &'static str,
}

/// The locks of a statement, counted from 1, that keep more than schema changes away. Those of a migration that is not
/// embedded are not known.
pub(super) fn of(migration: &Migration, direction: Direction, statement: usize) -> Vec<Lock> {
    if !EMBEDDED.contains(migration) {
        return vec![Lock { object: "?".to_owned(), mode: "unknown" }];
    }
    let is_it = |line: &Line<'_>| {
        line.migration == migration.name && line.direction == direction && line.statement == statement
    };
    let lines = MEASURED.lines().filter_map(Line::parse).filter(is_it);
    lines.map(|line| Lock { object: line.table.to_owned(), mode: line.mode }).collect()
}

#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    migration: &'a str,
    direction: Direction,
    statement: usize,
    table: &'a str,
    mode: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.splitn(5, ' ');
        Some(Self {
            migration: words.next()?,
            direction: match words.next()? {
                "apply" => Direction::Apply,
                "revert" => Direction::Revert,
                _ => return None,
            },
            statement: words.next()?.parse().ok()?,
            table: words.next()?,
            mode: words.next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_can_be_read_and_names_a_migration() {
        for text in MEASURED.lines() {
            let line = Line::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert!(EMBEDDED.iter().any(|migration| migration.name == line.migration), "{text}");
        }
    }

    #[test]
    fn nothing_is_known_of_a_migration_that_is_not_embedded() {
        let other = Migration { up: "SELECT 1", ..EMBEDDED[0] };
        assert_eq!(of(&other, Direction::Apply, 1)[0].mode, "unknown");
    }
}
