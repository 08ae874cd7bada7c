//! What can go wrong with migrations.

use std::time::Duration;

use super::set::Direction;
use crate::connection::Message;
use crate::error::plural;

/// What can go wrong with migrations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else holds the migration lock.
    #[error("another run holds the migration lock: gave up after {}", seconds(*.waited))]
    Locked {
        /// How long this run waited.
        waited: Duration,
        /// Who holds the lock, as far as the server tells.
        holder: Option<String>,
    },

    /// A migration failed; its transaction was rolled back.
    #[error("migration {name} failed and was rolled back")]
    Failed {
        /// Full name of the migration.
        name: String,
        /// What the server said.
        source: diesel::result::Error,
    },

    /// A migration outside a transaction stopped half-way; what is done stays done.
    #[error("migration {name} stopped at statement {statement} of {of}; the ones before it are done and stay")]
    Stopped {
        /// Full name of the migration.
        name: String,
        /// Whether it was being applied or reverted.
        direction: Direction,
        /// The statement that failed, counted from 1.
        statement: usize,
        /// How many statements the file has.
        of: usize,
        /// What the server said.
        source: diesel::result::Error,
    },

    /// A migration outside a transaction cannot go on, because what it has done is not what it says now.
    #[error("migration {name} cannot go on: the {} that it has done were edited since", plural(*.done, "statement"))]
    ResumedTextChanged {
        /// Full name of the migration.
        name: String,
        /// How many statements are done.
        done: usize,
    },

    /// A table that a migration needs stayed locked; nothing of the migration, or of the statement where it is no
    /// transaction, was done.
    #[error("migration {name} could not get a lock: gave up after {}", seconds(*.waited))]
    TableLocked {
        /// Full name of the migration.
        name: String,
        /// How long the run could wait.
        waited: Duration,
        /// What the server said.
        source: diesel::result::Error,
    },

    /// A comment at the head of a migration sets a limit that does not exist.
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
    #[error("a transaction pooler is between this run and the server")]
    Pooler,

    /// Whether there is such a pooler cannot be seen with one connection.
    #[error(
        "migrations need a second connection for a moment, to see whether a pooler is in between, and cannot have it"
    )]
    NoSecondConnection {
        /// What the server said to it.
        source: Message,
    },

    /// No migration has this version.
    #[error("no migration is called '{0}'")]
    UnknownVersion(String),

    /// More migrations were to be reverted than there are.
    #[error("{} cannot be reverted: {applied} {} applied", plural(*.steps, "migration"), if *.applied == 1 { "is" } else { "are" })]
    TooFewApplied {
        /// How many were to be reverted.
        steps: usize,
        /// How many are applied, or half done.
        applied: usize,
    },

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

    /// The platform's tables are in a later schema of the search path; a second set of them would hide the first.
    #[error("the platform's tables are in schema {found}, and the search_path has {current} before it")]
    InstalledElsewhere {
        /// Where new tables would be created.
        current: String,
        /// Where the tables are.
        found: String,
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

    /// The server is a worker of a Citus cluster: it has parts of tables, and no history.
    #[error("the server is a worker of a cluster, whose history of migrations is on the coordinator")]
    Worker,

    /// What is to be reverted made keys, references or policies of hot tables, which are different while these are distributed.
    #[error("migration {name} made keys, references or policies of tables that are distributed over a cluster now")]
    Distributed {
        /// Full name of the migration.
        name: String,
    },
}

/// Whole seconds as such, others with their fraction.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_millis() as f64 / 1000.0)
}

/// A few names whole, of more the first and the last.
fn span(names: &[String]) -> String {
    match names {
        [first, .., last] if names.len() > 3 => format!("{first} to {last}"),
        few => few.join(", "),
    }
}

fn list(names: &[String], noun: &str) -> String {
    format!("the {noun}{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
}
