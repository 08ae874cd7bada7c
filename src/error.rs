//! What can go wrong, shaped by operation: one clause each, the cause in `source()`.
//!
//! A message never repeats its cause and never holds a password. Printing, exit codes and the server's detail and
//! hint are the caller's.

use crate::{connection, migrate};

/// The result of the library's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no session to be had.
    #[error(transparent)]
    Connection(#[from] connection::Error),

    /// A database is not made, described, dropped or copied.
    #[cfg(feature = "database")]
    #[error(transparent)]
    Database(#[from] crate::database::Error),

    /// Something about the migrations.
    #[error(transparent)]
    Migrate(#[from] migrate::Error),

    /// Seed data is not written or removed.
    #[cfg(feature = "seed")]
    #[error(transparent)]
    Seed(#[from] crate::seed::Error),

    /// A fleet is not written or removed.
    #[cfg(feature = "seed")]
    #[error(transparent)]
    Fleet(#[from] crate::fleet::Error),

    /// Statistics could not be had.
    #[cfg(feature = "stats")]
    #[error(transparent)]
    Stats(#[from] crate::stats::Error),

    /// Roles are not what they should be.
    #[cfg(feature = "roles")]
    #[error(transparent)]
    Roles(#[from] crate::roles::Error),

    /// The work for one customer was not begun.
    #[error(transparent)]
    Tenant(#[from] crate::tenant::Error),

    /// The database could not be verified as it was asked for.
    #[cfg(feature = "verify")]
    #[error(transparent)]
    Verify(#[from] crate::verify::Error),

    /// A bulk write stopped early.
    #[cfg(feature = "ingest")]
    #[error(transparent)]
    Ingest(#[from] crate::ingest::Error),

    /// A table is not partitioned, or not made whole again.
    #[cfg(feature = "partitions")]
    #[error(transparent)]
    Partitions(#[from] crate::partitions::Error),

    /// The tables are not spread over a cluster, or not brought back.
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Cluster(#[from] crate::cluster::Error),

    /// Rows that are past their time are not removed.
    #[cfg(feature = "retention")]
    #[error(transparent)]
    Retention(#[from] crate::retention::Error),

    /// Rows are not brought into a table, or out of it.
    #[cfg(feature = "transfer")]
    #[error(transparent)]
    Transfer(#[from] crate::transfer::Error),

    /// The private local cluster cannot be used.
    #[cfg(feature = "local")]
    #[error(transparent)]
    Local(#[from] crate::local::Error),

    /// A query failed.
    #[error("could not {doing}")]
    Query {
        /// What the query was for, as an infinitive without "to".
        doing: String,
        /// What Diesel or the server said.
        source: diesel::result::Error,
    },

    /// Diesel or the server refused something of which nothing more is known, as where a service uses `?` on a query.
    #[error(transparent)]
    Diesel(#[from] diesel::result::Error),
}

impl From<r2d2::Error> for Error {
    fn from(error: r2d2::Error) -> Self {
        Self::Connection(error.into())
    }
}

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
