//! The exit codes, which are a contract, and which error ends with which.

use std::io;
use std::process::ExitCode;

use optiinfra_db::{Error, ingest, migrate, transfer};

/// How a command ended. The numbers never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or clean.
    Done = 0,
    /// Checks found problems.
    Findings = 1,
    /// Usage, configuration, or a statement that the server refused.
    Refused = 2,
    /// Cannot connect.
    NoConnection = 3,
    /// The migration lock was not obtained in time.
    Locked = 4,
    /// A migration failed and was rolled back.
    MigrationFailed = 5,
    /// The database is ahead of this binary.
    Ahead = 6,
    /// Ended by SIGINT, which is what Ctrl-C sends.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// The code for an error.
    pub fn of(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<Error>() {
            Some(Error::Connect { .. } | Error::Pool { .. }) => Self::NoConnection,
            Some(Error::Migrate(error)) => Self::of_migration(error),
            Some(error) if lost_connection(error) => Self::NoConnection,
            _ => Self::Refused,
        }
    }

    const fn of_migration(error: &migrate::Error) -> Self {
        use migrate::Error as E;
        match error {
            E::Locked { .. } | E::TableLocked { .. } => Self::Locked,
            E::Failed { .. } | E::Stopped { .. } | E::Occupied { .. } => Self::MigrationFailed,
            E::Ahead { .. } => Self::Ahead,
            _ => Self::Refused,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Whether whoever read our output has gone: nobody is left to tell, and nothing went wrong.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let output = match error.downcast_ref::<Error>() {
        Some(Error::Transfer(transfer::Error::Output { source })) => Some(source),
        _ => error.downcast_ref::<io::Error>(),
    };
    output.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn lost_connection(error: &Error) -> bool {
    use diesel::result::DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};
    use diesel::result::Error as Diesel;
    match error {
        Error::Query { source, .. } | Error::Transaction(source) => matches!(
            source,
            Diesel::DatabaseError(ClosedConnection | UnableToSendCommand, _) | Diesel::BrokenTransactionManager
        ),
        Error::Ingest(ingest::Error::ChunkFailed { source, .. }) => {
            matches!(**source, Error::Pool { .. }) || lost_connection(source)
        }
        _ => false,
    }
}
