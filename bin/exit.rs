//! The exit codes, which are a contract, and which error ends with which.

use std::io;
use std::process::ExitCode;

use optiinfra_db::{Error, connection, ingest, local, migrate, partitions, retention, roles, transfer};

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
        if error.downcast_ref().is_some_and(no_session) || error.downcast_ref().is_some_and(no_local_session) {
            return Self::NoConnection;
        }
        match error.downcast_ref::<Error>() {
            Some(Error::Migrate(error)) => Self::of_migration(error),
            Some(
                Error::Partitions(partitions::Error::Locked { .. }) | Error::Retention(retention::Error::Locked { .. }),
            ) => Self::Locked,
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

/// Whether the reader of our output has closed it, which is no error.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let output = match error.downcast_ref::<Error>() {
        Some(Error::Transfer(transfer::Error::Output { source })) => Some(source),
        _ => error.downcast_ref::<io::Error>(),
    };
    output.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Whether there was no session to be had, or it was lost.
fn no_session(error: &connection::Error) -> bool {
    match error {
        connection::Error::Connect { .. } | connection::Error::Pool { .. } => true,
        connection::Error::Session { source, .. } => is_lost(source),
        _ => false,
    }
}

fn no_local_session(error: &local::Error) -> bool {
    matches!(error, local::Error::Connection(error) if no_session(error))
}

fn lost_connection(error: &Error) -> bool {
    match error {
        Error::Connection(error) => no_session(error),
        Error::Local(error) => no_local_session(error),
        Error::Query { source, .. }
        | Error::Diesel(source)
        | Error::Roles(roles::Error::Refused { source, .. })
        | Error::Partitions(partitions::Error::Stopped { source, .. })
        | Error::Retention(retention::Error::Refused { source, .. }) => is_lost(source),
        Error::Ingest(ingest::Error::ChunkFailed { source, .. }) => lost_connection(source),
        _ => false,
    }
}

fn is_lost(error: &diesel::result::Error) -> bool {
    use diesel::result::DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};
    use diesel::result::Error as Diesel;
    matches!(error, Diesel::DatabaseError(ClosedConnection | UnableToSendCommand, _) | Diesel::BrokenTransactionManager)
}
