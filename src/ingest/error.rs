use std::path::PathBuf;

use uuid::Uuid;

/// Why a bulk write stopped early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused a row.
    #[error("{table} refused row {row} (id {id}); {}", committed(*.written, *.in_doubt))]
    RowRefused {
        /// Name of the table.
        table: &'static str,
        /// The row's position in the input, counted from 1.
        row: u64,
        /// The row's id.
        id: Uuid,
        /// How many rows were committed all the same: the whole chunks that were committed. None where the rows
        /// were written in the caller's transaction.
        written: u64,
        /// How many rows more may be written, because another connection was lost before the server confirmed them.
        in_doubt: u64,
        /// What the server said.
        source: diesel::result::Error,
    },

    /// A chunk could not be written, and that is no row's fault, or not evidently.
    #[error("{table}: rows {first} to {last} could not be written; {}", committed(*.written, *.in_doubt))]
    ChunkFailed {
        /// Name of the table.
        table: &'static str,
        /// Position in the input of the chunk's first row, counted from 1.
        first: u64,
        /// Position of its last row.
        last: u64,
        /// How many rows were committed.
        written: u64,
        /// How many rows more may be written, because the connection was lost before the server confirmed them.
        in_doubt: u64,
        /// What went wrong.
        source: Box<crate::Error>,
    },

    /// Partitions were to be loaded whole, and the table does not take them.
    #[error("{table} takes no whole partitions: {reason}")]
    NoWholePartitions {
        /// Name of the table.
        table: &'static str,
        /// Why.
        reason: &'static str,
    },

    /// A partition could not be loaded, and that is no row's fault.
    #[error("{table}: the partition {partition} could not be loaded; {}", committed(*.written, *.in_doubt))]
    PartitionFailed {
        /// Name of the table.
        table: &'static str,
        /// Name of the partition.
        partition: String,
        /// How many rows of others were committed.
        written: u64,
        /// How many rows more may be written, because the connection was lost before the server confirmed them.
        in_doubt: u64,
        /// What went wrong.
        source: Box<crate::Error>,
    },

    /// Rows could not be kept in a temporary file, or read from it.
    #[error("rows for {table} could not be kept in a temporary file in {}; {}", .directory.display(), committed(*.written, 0))]
    Spill {
        /// Name of the table.
        table: &'static str,
        /// Where the file is.
        directory: PathBuf,
        /// How many rows were committed.
        written: u64,
        /// What the system said.
        source: std::io::Error,
    },

    /// The write was cancelled.
    #[error("writing to {table} was cancelled; {}", committed(*.written, *.in_doubt))]
    Cancelled {
        /// Name of the table.
        table: &'static str,
        /// How many rows were committed.
        written: u64,
        /// How many rows more may be written, because a connection was lost before the server confirmed them.
        in_doubt: u64,
    },
}

/// What a bulk write that ends before its time leaves in the table.
pub(crate) fn committed(rows: u64, in_doubt: u64) -> String {
    let rows = match rows {
        0 => "nothing was committed".to_owned(),
        1 => "1 row was committed".to_owned(),
        many => format!("{many} rows were committed"),
    };
    match in_doubt {
        0 => rows,
        _ => format!("{rows}, and the server did not say whether {in_doubt} more are"),
    }
}
