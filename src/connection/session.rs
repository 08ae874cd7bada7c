//! What every session of ours is set to, whatever the database, the role or a pooler says.
//!
//! `ALTER DATABASE ... SET` and `ALTER ROLE ... SET` can change how SQL is read (`standard_conforming_strings`), how the
//! catalog is written (`quote_all_identifiers`) and how values are (`DateStyle`, `extra_float_digits`). The library's
//! statements and what it reads back are written for one set of these. The settings travel in the start-up packet, where
//! they rank above both; a pooler may drop that part, so one statement afterwards looks at each and sets those that differ.
//!
//! What is the user's stays: `search_path`, `role`, `app.customer_id`, `default_transaction_read_only`, time limits.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Nullable, Text};

use super::Target;
use super::error::{Error, Result};
use crate::raw::{RunSql, sql_query};

/// The settings, each with a value as the server shows it. `client_encoding` and `TimeZone` Diesel sets to the same.
macro_rules! settings {
    ($($name:literal = $value:literal),+ $(,)?) => {
        const SETTINGS: &[(&str, &str)] = &[$(($name, $value)),+];
        const SET_WHAT_DIFFERS: &str = concat!(
            "SELECT pg_catalog.count(pg_catalog.set_config(name, wanted, false)) FROM (VALUES ",
            $("('", $name, "', '", $value, "'), ",)+
            "('client_encoding', 'UTF8')) AS settings (name, wanted) \
             WHERE pg_catalog.current_setting(name) OPERATOR(pg_catalog.<>) wanted",
        );
    };
}

settings! {
    // How SQL is read.
    "standard_conforming_strings" = "on",
    "backslash_quote" = "safe_encoding",
    "array_nulls" = "on",
    "transform_null_equals" = "off",
    "xmloption" = "content",
    // How the catalog and the values are written.
    "quote_all_identifiers" = "off",
    "DateStyle" = "ISO, MDY",
    "IntervalStyle" = "postgres",
    "TimeZone" = "UTC",
    "bytea_output" = "hex",
    "extra_float_digits" = "1",
    "xmlbinary" = "base64",
    "lc_monetary" = "C",
    "lc_numeric" = "C",
    "lc_time" = "C",
    // How transactions work. A standby refuses SERIALIZABLE, and an operation that needs more than READ COMMITTED says so.
    // Read-only stays as it is: whoever has set it wants nothing written.
    "default_transaction_isolation" = "read committed",
    "default_transaction_deferrable" = "off",
    // Rows are hidden by row security, and not refused; an operation that must see every row says so.
    "row_security" = "on",
    "exit_on_error" = "off",
}

/// Their names.
#[cfg(feature = "doctor")]
pub(crate) fn settings() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|(name, _)| *name)
}

/// Makes the server look whether the client is still there while a statement runs. Without it, the statement of a
/// client that was killed goes on to its end and keeps its locks as long.
pub(crate) const DEATH_CHECK: &str = "client_connection_check_interval";

impl Target {
    /// With our settings after those of the target, so that ours win.
    pub(super) fn with_session_settings(&self) -> Self {
        let mut options = self.value("options").unwrap_or_default();
        let mut add = |name: &str, value: &str| {
            options += &format!(" -c {name}={}", value.replace(' ', "\\ "));
        };
        for (name, value) in SETTINGS {
            add(name, value);
        }
        if !options.contains(DEATH_CHECK) {
            options += &format!(" -c {DEATH_CHECK}=1s");
        }
        self.clone().with("options", options.trim_start())
    }
}

/// Whether the server, or a pooler before it, refused the settings and not the connection: a pooler that takes no start-up
/// options, or a server whose system cannot tell that a client is gone.
pub(super) fn refused_settings(message: &str) -> bool {
    message.contains("unsupported startup parameter") || message.contains(DEATH_CHECK)
}

/// Sets what is not as it has to be.
pub(super) fn settle(conn: &mut PgConnection) -> QueryResult<()> {
    conn.batch(SET_WHAT_DIFFERS)
}

/// Makes every later transaction of a connection READ ONLY.
///
/// # Errors
///
/// [`Error::Session`] when the server refuses that.
pub fn forbid_writing(conn: &mut PgConnection) -> Result<()> {
    conn.batch("SET default_transaction_read_only = on")
        .map_err(|source| Error::Session { doing: "make the session read-only", source })
}

/// Where a session works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The database's name.
    pub database: String,
    /// The role in force.
    pub user: String,
    /// The schema in which unqualified names are found and created.
    pub schema: String,
    /// The server process. Behind a pooler it may be another for the next transaction.
    pub pid: i32,
}

/// Asks where a session works.
///
/// # Errors
///
/// [`Error::NoSchema`] when the `search_path` names no schema that exists, and [`Error::Session`].
pub fn session(conn: &mut PgConnection) -> Result<Session> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        database: String,
        #[diesel(sql_type = Text)]
        role: String,
        #[diesel(sql_type = Nullable<Text>)]
        schema: Option<String>,
        #[diesel(sql_type = Text)]
        search_path: String,
        #[diesel(sql_type = Integer)]
        pid: i32,
    }
    let query = "SELECT current_database()::text AS database, current_user::text AS role, \
                 current_schema()::text AS schema, current_setting('search_path') AS search_path, pg_backend_pid() AS pid";
    let Row { database, role, schema, search_path, pid } = sql_query(query)
        .get_result(conn)
        .map_err(|source| Error::Session { doing: "ask where the session works", source })?;
    let schema = schema.ok_or(Error::NoSchema { search_path })?;
    Ok(Session { database, user: role, schema, pid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_settings_stand_behind_the_target_s_own() {
        let own = Target::parse("options='-c search_path=a -c quote_all_identifiers=on'").unwrap();
        let options = own.with_session_settings().value("options").unwrap();
        assert!(options.starts_with("-c search_path=a -c quote_all_identifiers=on -c standard_conforming_strings=on "));
        assert!(options.contains(r" -c DateStyle=ISO,\ MDY ") && options.contains(" -c quote_all_identifiers=off "));
        assert!(options.ends_with(" -c client_connection_check_interval=1s"), "{options}");
        let chosen = Target::parse("options='-c client_connection_check_interval=0'").unwrap();
        assert!(!chosen.with_session_settings().value("options").unwrap().contains("interval=1s"));
    }
}
