//! Why a table is not partitioned, or not made whole again.

use std::time::Duration;

use super::Period;

/// Why a table is not partitioned, or not made whole again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Only the tables that grow by the minute may be partitioned.
    #[error("'{0}' is none of the tables that can be partitioned")]
    UnknownTable(String),

    /// The table is not there.
    #[error("there is no table {0}")]
    NoTable(&'static str),

    /// Another program makes its partitions.
    #[error("{0} is managed by pg_partman")]
    Partman(&'static str),

    /// The table is partitioned in a way that is not ours.
    #[error("{table} is partitioned by {by}")]
    OtherShape {
        /// The table.
        table: &'static str,
        /// What it is partitioned by.
        by: String,
    },

    /// The table has partitions of another length.
    #[error("{table} is partitioned by {found}")]
    OtherPeriod {
        /// The table.
        table: &'static str,
        /// How long its partitions are.
        found: Period,
    },

    /// Something about the table cannot be carried over.
    #[error("{table} cannot change its shape: {}", .obstacles.join("; "))]
    Obstacles {
        /// The table.
        table: &'static str,
        /// What stands in the way.
        obstacles: Vec<String>,
    },

    /// The table is distributed over a cluster, and its parts cannot be exchanged at once.
    #[error("{0} is distributed over a cluster: it is partitioned, or made whole again, before that or after")]
    Distributed(&'static str),

    /// Rows have a time after the end of what would be the first partition.
    #[error("{rows} rows of {table} have a time at or after {end}, the newest {newest}")]
    FutureRows {
        /// The table.
        table: &'static str,
        /// How many.
        rows: i64,
        /// The end of the first partition.
        end: String,
        /// The greatest time.
        newest: String,
    },

    /// Another session holds a lock; the step was rolled back, and what is done stays.
    #[error("{table} could not be locked for '{step}': gave up after {} s", .waited.as_secs_f64())]
    Locked {
        /// The table.
        table: &'static str,
        /// What the step does.
        step: String,
        /// How long the run could wait.
        waited: Duration,
        /// What the server said.
        source: diesel::result::Error,
    },

    /// The server refused a step; it was rolled back, and what is done stays.
    #[error("{table} stopped at '{step}'")]
    Stopped {
        /// The table.
        table: &'static str,
        /// What the step does.
        step: String,
        /// What the server said.
        source: diesel::result::Error,
    },
}
