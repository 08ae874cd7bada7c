//! The exit codes, which are a contract, and which error ends with which.

use std::io;
use std::process::ExitCode;

use optiinfra_db::sqlstate::is_lost_session;
use optiinfra_db::{Error, connection, migrate, partitions, retention, transfer};

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
        use migrate::Error as E;
        match error.downcast_ref::<Error>() {
            Some(
                Error::Migrate(E::Locked { .. } | E::TableLocked { .. })
                | Error::Partitions(partitions::Error::Locked { .. })
                | Error::Retention(retention::Error::Locked { .. }),
            ) => Self::Locked,
            Some(Error::Migrate(E::Failed { .. } | E::Stopped { .. } | E::Occupied { .. })) => Self::MigrationFailed,
            Some(Error::Migrate(E::Ahead { .. })) => Self::Ahead,
            _ if has_lost_session(error) => Self::NoConnection,
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

/// Whether there was no session to be had, or it was lost: the error or any of its causes says so.
fn has_lost_session(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref().is_some_and(is_lost_session)
            || cause.downcast_ref().is_some_and(no_session)
            || cause.downcast_ref().is_some_and(of_library)
            || cause.downcast_ref::<Box<Error>>().is_some_and(|error| of_library(error))
    })
}

fn no_session(error: &connection::Error) -> bool {
    matches!(error, connection::Error::Connect { .. } | connection::Error::Pool { .. })
}

// A transparent error is none of its own causes.
fn of_library(error: &Error) -> bool {
    match error {
        Error::Connection(error) => no_session(error),
        Error::Diesel(error) => is_lost_session(error),
        _ => false,
    }
}
