//! What can be wrong with a private cluster.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::LocalVariable;

/// What can be wrong with a private cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A variable is set and empty, which is refused rather than taken for unset.
    #[error("{0} is set and empty")]
    EmptyVariable(LocalVariable),

    /// Nothing says where the user's cluster is.
    #[error("the directory of the local cluster is unknown: HOME is not set")]
    NoHome,

    /// The directory's path is too long for a Unix socket in it.
    #[error("{dir} is too long a path for a Unix socket", dir = .0.display())]
    PathTooLong(PathBuf),

    /// The directory's path holds a character at which PostgreSQL or libpq would split it.
    #[error("the path {dir} holds {character:?}, which PostgreSQL takes for the end of a socket's directory", dir = .dir.display())]
    PathCharacter {
        /// The directory.
        dir: PathBuf,
        /// The character.
        character: char,
    },

    /// The user that the server runs as cannot get to the directory.
    #[error("user {user}, as whom the server runs, cannot get into {dir}", dir = .dir.display())]
    Unreachable {
        /// The nearest directory that exists.
        dir: PathBuf,
        /// The user.
        user: String,
    },

    /// The directory is another user's.
    #[error("{dir} belongs to user id {uid}, not to {wanted}", dir = .dir.display())]
    OtherOwner {
        /// The directory.
        dir: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Whose it has to be.
        wanted: String,
    },

    /// Others can enter the directory.
    #[error("{dir} is open to other users, and the cluster in it asks for no password", dir = .0.display())]
    OpenToOthers(PathBuf),

    /// The directory has not the mark of a local cluster, so whatever it holds is not ours.
    #[error("{dir} is not the directory of a local cluster: it has no file {marker}", dir = .0.display(), marker = super::MARKER)]
    NotOurs(PathBuf),

    /// Another process starts, stops or destroys the cluster.
    #[error("another process has held {lock} for {} s", .waited.as_secs(), lock = .lock.display())]
    Busy {
        /// The file that it has locked.
        lock: PathBuf,
        /// How long this process waited.
        waited: Duration,
    },

    /// The processes of a server that was killed do not end.
    #[error("processes of a server that was killed still work in {dir}: {}", list(.pids), dir = .dir.display())]
    Orphans {
        /// The cluster's files.
        dir: PathBuf,
        /// The processes.
        pids: Vec<u32>,
    },

    /// No server binaries were found.
    #[error("no PostgreSQL server binaries are on this machine")]
    NoBinaries,

    /// The directory that the user names for them holds no server binaries.
    #[error("no PostgreSQL server binaries are in {dir}, which OPTIINFRA_PG_BIN names", dir = .0.display())]
    NoBinariesIn(PathBuf),

    /// The server binaries are older than the library can use.
    #[error("PostgreSQL {major} is too old: {} or newer is needed", super::OLDEST_MAJOR)]
    BinariesTooOld {
        /// Their version.
        major: u32,
    },

    /// The cluster's files are those of a version whose binaries are missing.
    #[error("the local cluster's files need the server binaries of PostgreSQL {major}, which are not here")]
    OtherBinaries {
        /// Their version.
        major: u32,
    },

    /// A client program of PostgreSQL was not found, or only an older one.
    #[error("no {program} of PostgreSQL {major} or newer is on this machine")]
    NoClient {
        /// Which one.
        program: &'static str,
        /// The least version that it has to have.
        major: u32,
    },

    /// No snapshot has this name.
    #[error("there is no snapshot {name}")]
    NoSnapshot {
        /// The name.
        name: String,
        /// Names of those that there are.
        known: Vec<String>,
    },

    /// PostgreSQL does not run as root, and the user that it should run as is missing.
    #[error("PostgreSQL does not run as root, and there is no user 'postgres' to run it as")]
    NoServerUser,

    /// The process runs as a user whom the system does not know.
    #[error("user id {0} has no entry in the user database")]
    UnknownUser(u32),

    /// A program of PostgreSQL failed.
    #[error("{program} failed: {said}")]
    Program {
        /// Which one.
        program: &'static str,
        /// What it said.
        said: String,
    },

    /// The server does not start.
    #[error("the server of the local cluster does not start: {said}")]
    NotStarted {
        /// Its last words.
        said: String,
        /// Where there are more of them.
        log: PathBuf,
    },

    /// The system refused something.
    #[error("cannot {doing}")]
    System {
        /// What, as an infinitive without "to".
        doing: String,
        /// What it said.
        source: io::Error,
    },
}

/// The result of working with a cluster.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was to be done when the system refuses it.
pub(super) trait Doing<T> {
    /// `what` completes "cannot ...".
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::System { doing: what(), source })
    }
}

fn list(pids: &[u32]) -> String {
    pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
