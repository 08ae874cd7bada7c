//! Why rows that are past their time are not removed.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

/// Why rows that are past their time are not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A table has two times to keep its rows.
    #[error("{0} is named twice")]
    TableTwice(&'static str),

    /// Rows over the nodes of a cluster cannot be deleted by what they were when they were archived.
    #[error("{0} is distributed, and rows of such a table are not archived")]
    ArchiveOfDistributed(&'static str),

    /// One of the two clocks is wrong, and nothing says which.
    #[error("the server's clock says {server} and this machine's {here}")]
    ClocksDiffer {
        /// The server's time.
        server: DateTime<Utc>,
        /// This machine's time.
        here: DateTime<Utc>,
    },

    /// The rows do not confirm the clock: it may be ahead.
    #[error(
        "{table} has no row of the two days before {now}, which the server's clock says, and {rows} rows are past their time by \
         that clock alone; the newest but for those of the last day is of {newest}"
    )]
    ClockUnconfirmed {
        /// The table.
        table: &'static str,
        /// The server's time.
        now: DateTime<Utc>,
        /// The newest time that is a day before that or more.
        newest: DateTime<Utc>,
        /// The rows that would stay, had the clock stood still soon after the newest.
        rows: i64,
    },

    /// A file or folder of an archive failed.
    #[error("the archive {} failed", .path.display())]
    Archive {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// Another run writes to the folder.
    #[error("another run uses the folder {}", .0.display())]
    ArchiveInUse(PathBuf),

    /// A row of an archive would be refused by an import. No row of it was removed.
    #[error("an import would refuse line {line} of the archive {}: {reason}", .path.display())]
    ArchiveUnreadable {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// Why.
        reason: String,
    },

    /// A partition that was taken out of its table has other rows than its archive. None was removed.
    #[error("the rows of {0} changed while they were archived")]
    ArchiveDiffers(String),

    /// A run was to archive a partition and did not finish, and this one is to archive nothing.
    #[error("{partition} was taken out of {table} to be archived, and is not archived yet")]
    NotArchived {
        /// The table.
        table: &'static str,
        /// The partition.
        partition: String,
    },

    /// The server refused to remove rows; what is done stays.
    #[error("rows of {table} could not be removed")]
    Refused {
        /// The table.
        table: String,
        /// What the server said.
        source: diesel::result::Error,
    },

    /// Another session holds a lock; what is done stays.
    #[error("{table} could not be locked: gave up after {} s", .waited.as_secs_f64())]
    Locked {
        /// The table.
        table: String,
        /// How long the run could wait.
        waited: std::time::Duration,
        /// What the server said.
        source: diesel::result::Error,
    },
}
