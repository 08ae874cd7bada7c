//! What can go wrong, shaped by operation: one clause each, the cause in `source()`.
//!
//! A message never repeats its cause and never holds a password. Printing, exit codes and the server's detail and
//! hint are the caller's.

use std::time::Duration;

use crate::tls::Weakness;
use crate::{ingest, transfer};

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

    /// Somebody else holds the migration lock.
    #[error("another run holds the migration lock: gave up after {} s", .waited.as_secs())]
    Locked {
        /// How long this run waited.
        waited: Duration,
        /// Who holds the lock, as far as the server tells.
        holder: Option<String>,
    },

    /// A migration failed; its transaction was rolled back.
    #[error("migration {name} failed and was rolled back")]
    Migration {
        /// Full name of the migration.
        name: String,
        /// What the server said.
        source: diesel::result::Error,
    },

    /// A migration that is no transaction stopped half-way; what is done stays done.
    #[error("migration {name} stopped at statement {statement} of {of}; the ones before it are done and stay")]
    MigrationStopped {
        /// Full name of the migration.
        name: String,
        /// The statement that failed, counted from 1.
        statement: usize,
        /// How many statements the migration has.
        of: usize,
        /// What the server said.
        source: diesel::result::Error,
    },

    /// A migration that is no transaction cannot go on, because what it has done is not what it says now.
    #[error("migration {name} cannot go on: the {} that it has done were edited since", plural(*.done, "statement"))]
    ResumedTextChanged {
        /// Full name of the migration.
        name: String,
        /// How many statements are done.
        done: usize,
    },

    /// A table that a migration needs stayed locked; nothing of the migration was applied.
    #[error("migration {name} met a lock: gave up after {} s", .waited.as_secs())]
    TableLocked {
        /// Full name of the migration.
        name: String,
        /// How long the run could wait.
        waited: Duration,
        /// What the server said.
        source: diesel::result::Error,
    },

    /// The head of a migration says something that nobody understands.
    #[error("the head of migration {name} cannot be read: '{line}'")]
    Header {
        /// Full name of the migration.
        name: String,
        /// The line.
        line: String,
    },

    /// Migrations that are applied have been edited since.
    #[error("{} edited since they were applied: {}", if .names.len() == 1 { "a migration was" } else { "migrations were" }, .names.join(", "))]
    Edited {
        /// Full names of the migrations.
        names: Vec<String>,
        /// What changed, as unified diffs.
        diff: String,
    },

    /// A pooler hands each transaction to another server process.
    #[error("a transaction pooler stands between this run and the server")]
    Pooler,

    /// No migration has this version.
    #[error("no migration is called '{0}'")]
    UnknownVersion(String),

    /// The database holds migrations that this binary does not know.
    #[error("the database is ahead of this binary: it does not know {}", .unknown.join(", "))]
    Ahead {
        /// The versions that this binary does not know.
        unknown: Vec<String>,
    },

    /// The database lacks migrations that this binary needs.
    #[error("the database is behind this binary: {} pending ({})", plural(.pending.len(), "migration"), span(.pending))]
    Behind {
        /// Names of the pending migrations.
        pending: Vec<String>,
    },

    /// Objects with the names of ours exist although no migration has been applied.
    #[error("the database already has {}, but no record of a migration", list(.tables, "table"))]
    Occupied {
        /// The tables.
        tables: Vec<String>,
        /// Whether Alembic's own table is there too.
        by_alembic: bool,
    },

    /// A database that Alembic made cannot be taken over.
    #[error("the database cannot be adopted: {0}")]
    NotAdoptable(String),

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

/// A few names whole, of more the first and the last.
fn span(names: &[String]) -> String {
    match names {
        [first, .., last] if names.len() > 3 => format!("{first} to {last}"),
        few => few.join(", "),
    }
}

/// A number with its noun: `1 table`, `2 tables`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn list(names: &[String], noun: &str) -> String {
    format!("the {noun}{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
}
