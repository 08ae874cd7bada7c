//! The limits that the comments at the head of an `up.sql` set.

use std::time::Duration;

use super::error::Error;
use super::set::Migration;

/// How long a statement may wait for a lock, unless the migration says otherwise.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

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

impl Header {
    /// What the head of the migration's `up.sql` says.
    ///
    /// # Errors
    ///
    /// [`Error::Header`] for a line that is none of these.
    pub fn of(migration: &Migration) -> Result<Self, Error> {
        let mut header = Self { lock_timeout: LOCK_TIMEOUT, statement_timeout: Duration::ZERO, compatible: false };
        for line in migration.up.lines().map_while(|line| line.strip_prefix("--")) {
            let Some(setting) = line.trim().strip_prefix("optiinfra:").map(str::trim) else { continue };
            match setting.split_once('=').map(|(key, value)| (key.trim(), duration(value.trim()))) {
                Some(("lock_timeout", Some(limit))) => header.lock_timeout = limit,
                Some(("statement_timeout", Some(limit))) => header.statement_timeout = limit,
                None if setting == "compatible" => header.compatible = true,
                _ => return Err(Error::Header { name: migration.name.to_owned(), line: line.trim().to_owned() }),
            }
        }
        Ok(header)
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

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Migration =
        Migration { version: "1", name: "1_plain", in_transaction: true, up: "SELECT 1", down: "" };

    #[test]
    fn a_header_overrides_the_defaults_and_ends_with_the_comments() {
        let defaults = Header { lock_timeout: LOCK_TIMEOUT, statement_timeout: Duration::ZERO, compatible: false };
        assert_eq!(Header::of(&PLAIN).unwrap(), defaults);
        let up = "-- Why.\n-- optiinfra: lock_timeout = 200ms\n--optiinfra: statement_timeout=2min\n-- optiinfra: compatible\nSELECT 1";
        let all = Header {
            lock_timeout: Duration::from_millis(200),
            statement_timeout: Duration::from_secs(120),
            compatible: true,
        };
        assert_eq!(Header::of(&Migration { up, ..PLAIN }).unwrap(), all);
        assert_eq!(Header::of(&Migration { up: "SELECT 1;\n-- optiinfra: compatible", ..PLAIN }).unwrap(), defaults);
    }

    #[test]
    fn a_line_that_is_no_limit_is_an_error_and_no_shipped_one_is() {
        for up in ["-- optiinfra: lock_timout = 5s", "-- optiinfra: lock_timeout = 5", "-- optiinfra: fast"] {
            assert!(matches!(Header::of(&Migration { up, ..PLAIN }), Err(Error::Header { .. })), "{up}");
        }
        for migration in super::super::set::EMBEDDED {
            Header::of(migration).unwrap();
        }
    }
}
