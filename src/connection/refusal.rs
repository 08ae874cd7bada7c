//! What a refused connection is about.
//!
//! libpq passes the server's SQLSTATE on in no way that Diesel could, only its message, which is in the server's language.
//! So this goes by what no translation changes, and by what the server says over a connection to another database.

use std::fmt;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::Target;
use crate::raw::sql_query;

/// What a refused connection is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// No server answered, or the way to it could not be protected: the message is libpq's own.
    Unreachable,
    /// The server's `pg_hba.conf` lets this user into this database from here only in another way, if at all.
    NoHbaEntry {
        /// Whether the connection was not encrypted and the server can encrypt.
        could_encrypt: bool,
    },
    /// The database does not exist.
    NoDatabase,
    /// The database takes no connection: `datallowconn` is off.
    DatabaseClosed,
    /// The role has no right to connect to the database.
    NoConnectRight,
    /// As many sessions are in the database as it may have.
    DatabaseFull,
    /// It is about the role: its name, its password, whether it may log in, how many sessions it may have.
    Role,
    /// It is about the server: too many sessions are open, or it starts or stops.
    Server,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "no server answered",
            Self::NoHbaEntry { .. } => "pg_hba.conf does not let it in",
            Self::NoDatabase => "the database does not exist",
            Self::DatabaseClosed => "the database takes no connection",
            Self::NoConnectRight => "the role may not connect to the database",
            Self::DatabaseFull => "the database has as many sessions as it may have",
            Self::Role => "the server refuses the role",
            Self::Server => "the server takes no session now",
        })
    }
}

impl Refusal {
    /// Finds out what a refusal is about.
    pub(super) fn of(target: &Target, message: &str) -> Self {
        let Some(said) = by_the_server(message) else { return Self::Unreachable };
        if said.contains("pg_hba.conf") {
            return Self::NoHbaEntry { could_encrypt: could_encrypt(target) };
        }
        let names = |key: &str| target.value(key).is_some_and(|value| !value.is_empty() && said.contains(&value));
        match about_database(target) {
            Some(refusal) => refusal,
            None if names("user") => Self::Role,
            None => Self::Server,
        }
    }
}

/// What the server said, where libpq's message repeats it: it follows its severity, a colon and two spaces, in every
/// language. The severity itself is translated.
fn by_the_server(message: &str) -> Option<&str> {
    let (before, said) = message.split_once(":  ")?;
    let severity = before.rsplit([' ', '\n']).next().unwrap_or_default();
    (!severity.is_empty()).then_some(said)
}

/// Whether a connection that was not encrypted could have been.
fn could_encrypt(target: &Target) -> bool {
    let is_socket = target.value("host").is_none_or(|host| host.is_empty() || host.starts_with(['/', '@']));
    if is_socket && target.value("hostaddr").is_none() || target.value("sslmode").as_deref() != Some("disable") {
        return false;
    }
    match PgConnection::establish(&quickly(target).with("sslmode", "require").conninfo()) {
        Ok(_) => true,
        // libpq's own words, never translated here.
        Err(error) => !error.to_string().contains("does not support SSL"),
    }
}

/// What another database of the server says about the one that was refused, if it lets this user in.
fn about_database(target: &Target) -> Option<Refusal> {
    #[derive(QueryableByName)]
    struct Database {
        #[diesel(sql_type = Bool)]
        open: bool,
        #[diesel(sql_type = Bool)]
        allowed: bool,
    }
    let name = target.value("dbname")?;
    let other = if name == "postgres" { "template1" } else { "postgres" };
    let mut conn = PgConnection::establish(&quickly(target).with("dbname", other).conninfo()).ok()?;
    let query = "SELECT datallowconn AS open, has_database_privilege(oid, 'CONNECT') AS allowed \
                 FROM pg_database WHERE datname = $1";
    let database: Option<Database> = sql_query(query).bind::<Text, _>(&name).get_result(&mut conn).optional().ok()?;
    Some(match database {
        None => Refusal::NoDatabase,
        Some(Database { open: false, .. }) => Refusal::DatabaseClosed,
        Some(Database { allowed: false, .. }) => Refusal::NoConnectRight,
        // The same user is let in next door.
        Some(_) => Refusal::DatabaseFull,
    })
}

fn quickly(target: &Target) -> Target {
    target.clone().with("connect_timeout", "2")
}

#[cfg(test)]
mod tests {
    use super::by_the_server;

    #[test]
    fn what_the_server_said_is_told_from_what_libpq_says_in_every_language() {
        for (message, said) in [
            ("connection to server at \"h\" (::1), port 5 failed: FATAL:  role \"x\" does not exist\n", true),
            ("connection to server on socket \"/s\" failed: FATAL:  Datenbank »x« existiert nicht", true),
            ("connection to server on socket \"/s\" failed: ВАЖНО:  роль \"x\" не существует", true),
            ("connection to server on socket \"/s\" failed: 致命错误:  角色 \"x\" 不存在", true),
            ("connection to server at \"h\" (::1), port 5 failed: Connection refused\n\tIs the server running?", false),
            ("could not translate host name \"h\" to address: Name or service not known", false),
            ("connection to server at \"h\" failed: SSL error: certificate verify failed", false),
            ("", false),
        ] {
            assert_eq!(by_the_server(message).is_some(), said, "{message}");
        }
    }
}
