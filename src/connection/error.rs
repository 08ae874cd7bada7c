//! What can go wrong on the way to a session.

use super::Message;
use super::parse::Malformed;
use super::refusal::Refusal;
use super::target::{Source, Target};
use super::tls::Weakness;

/// What can go wrong on the way to a session. No message holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection string cannot be read.
    #[error("the database URL is not valid: {0}")]
    Malformed(Malformed),

    /// Nothing says which database of the server is meant. libpq would take a database named like the user.
    #[error("no database is named for {target}")]
    NoDatabaseName {
        /// The server.
        target: String,
    },

    /// A mode of TLS that libpq does not know.
    #[error("sslmode={mode}, from {from}, is not a mode that libpq knows")]
    UnknownSslMode {
        /// The mode.
        mode: String,
        /// Where it is set.
        from: Source,
    },

    /// The connection would not be protected, and it was asked that it be.
    #[error("{0}")]
    Unprotected(Weakness),

    /// The server could not be reached or refused the connection.
    #[error("cannot connect to {target}")]
    Connect {
        /// The server and database, which print themselves without the password.
        target: Box<Target>,
        /// What the refusal is about, as far as it can be found out.
        refusal: Refusal,
        /// What libpq said, with every secret scrubbed.
        source: Message,
    },

    /// The search path names no schema that exists and that the role may use.
    #[error("the search_path names no schema that exists: {search_path}")]
    NoSchema {
        /// The search path.
        search_path: String,
    },

    /// The pool had no connection within its time limit.
    #[error("no connection from the pool")]
    Pool {
        /// What the pool said.
        source: Message,
    },

    /// The session could not be made ready, or not be asked where it works.
    #[error("could not {doing}")]
    Session {
        /// What was tried, as an infinitive without "to".
        doing: &'static str,
        /// What the server said.
        source: diesel::result::Error,
    },
}

/// The result of connecting.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<r2d2::Error> for Error {
    fn from(error: r2d2::Error) -> Self {
        Self::Pool { source: Message(error.to_string()) }
    }
}

/// The message says why, so that it is not a source too.
impl From<Malformed> for Error {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}
