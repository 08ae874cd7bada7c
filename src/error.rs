//! What can go wrong, shaped by operation: one clause each, the cause in `source()`.
//!
//! A message never repeats its cause and never holds a password. Printing, exit codes and the server's detail and
//! hint are the caller's.

use crate::tls::Weakness;
use crate::{ingest, migrate, transfer};

/// The result of the library's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection string cannot be read. The text says why and holds nothing of the string itself.
    #[error("the database URL is not valid: {0}")]
    InvalidTarget(String),

    /// The connection would not be protected, and it was asked that it be.
    #[error("{0}")]
    Unprotected(Weakness),

    /// The server could not be reached or refused the connection.
    #[error("cannot connect to {target}")]
    Connect {
        /// The server and database, without the password.
        target: String,
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

    /// Something about the migrations.
    #[error(transparent)]
    Migrate(#[from] migrate::Error),

    /// Seed data is not written or removed.
    #[error(transparent)]
    Seed(#[from] crate::seed::Error),

    /// A fleet is not written or removed.
    #[error(transparent)]
    Fleet(#[from] crate::fleet::Error),

    /// Statistics could not be had.
    #[error(transparent)]
    Stats(#[from] crate::stats::Error),

    /// The work for one customer was not begun.
    #[error(transparent)]
    Tenant(#[from] crate::tenant::Error),

    /// The database could not be verified as it was asked for.
    #[error(transparent)]
    Verify(#[from] crate::verify::Error),

    /// A bulk write ended before its time.
    #[error(transparent)]
    Ingest(#[from] ingest::Error),

    /// Rows are not brought into a table, or out of it.
    #[error(transparent)]
    Transfer(#[from] transfer::Error),

    /// The private local cluster could not be used.
    #[error("the local cluster cannot be used: {message}")]
    Local {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
        /// The cause, where there is one.
        source: Option<std::io::Error>,
    },

    /// A query failed.
    #[error("could not {doing}")]
    Query {
        /// What the query was for, as an infinitive without "to".
        doing: String,
        /// What Diesel or the server said.
        source: diesel::result::Error,
    },

    /// A transaction could not be begun, committed or rolled back.
    #[error("the transaction did not complete")]
    Transaction(#[from] diesel::result::Error),
}

/// A cause of which only the text is left, because the original might hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Message(pub String);

/// Says what a query was for when it fails.
pub(crate) trait Doing<T> {
    /// Wraps the error; `what` completes "could not ...".
    fn doing(self, what: impl Into<String>) -> Result<T>;
}

impl<T> Doing<T> for diesel::QueryResult<T> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::Query { doing: what.into(), source })
    }
}

/// A number with its noun: `1 table`, `2 tables`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
