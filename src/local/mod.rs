//! A private PostgreSQL cluster from the server binaries of this machine: kept between runs ([`Cluster`], what
//! `--local` uses) or gone with its owner ([`Ephemeral`], for tests).
//!
//! It lives in one directory that only its owner may enter, listens on a Unix socket there and on no TCP port, so
//! it needs no password. PostgreSQL refuses to run as root; for root the cluster belongs to the user `postgres`.
//! This module starts and stops servers. It must not know what is in the database.

mod binaries;
mod directory;
mod ephemeral;
mod error;
mod owner;
mod server;
mod snapshot;

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;
use serde::Serialize;

use crate::connection::Target;
use crate::database;
use binaries::Binaries;
pub use binaries::client_program;
use directory::Directory;
pub use ephemeral::Ephemeral;
use error::Doing;
pub use error::{Error, Result};
use owner::Owner;
use server::Server;
pub use snapshot::{InvalidSnapshotName, Snapshot, SnapshotName};

/// Oldest PostgreSQL that the library works with.
pub const OLDEST_MAJOR: u32 = 14;

/// Says that a directory is ours to use and to destroy.
const MARKER: &str = "optiinfra-local-cluster";
const MARKER_TEXT: &str = "The private PostgreSQL cluster of optiinfra-dbctl.\n";
/// Role and database of the cluster.
const NAME: &str = "optiinfra";
/// Part of the socket's file name; the cluster opens no TCP port.
const PORT: &str = "5432";
const POLL: Duration = Duration::from_millis(50);
const APPLICATION: &str = "optiinfra-dbctl/local";

/// The variables that this module reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalVariable {
    /// `OPTIINFRA_LOCAL_DIR`: the directory of the user's cluster.
    Dir,
    /// `OPTIINFRA_PG_BIN`: the directory of the server binaries.
    Binaries,
}

impl LocalVariable {
    /// Its value. One that is empty may be a script's slip, and the default could be the wrong cluster to destroy.
    fn value(self) -> Result<Option<OsString>> {
        match std::env::var_os(self.to_string()) {
            Some(value) if value.is_empty() => Err(Error::EmptyVariable(self)),
            value => Ok(value),
        }
    }
}

impl fmt::Display for LocalVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dir => "OPTIINFRA_LOCAL_DIR",
            Self::Binaries => "OPTIINFRA_PG_BIN",
        })
    }
}

/// A private cluster whose data is kept between runs.
#[derive(Debug, Clone)]
pub struct Cluster {
    directory: Directory,
    durable: bool,
}

/// What [`Cluster::start`] found to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Started {
    /// The cluster did not exist and was created.
    Created,
    /// The cluster existed and was started.
    Started,
    /// The server was running.
    AlreadyRunning,
}

/// What a cluster is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Status {
    /// There is no cluster in the directory.
    Absent,
    /// The cluster exists and no server runs on it.
    Stopped {
        /// Major version of the cluster's files.
        version: String,
    },
    /// The server runs.
    Running {
        /// Major version of the cluster's files.
        version: String,
        /// Process id of the server.
        pid: u32,
    },
}

impl Cluster {
    /// The cluster in a directory of the caller's choice, which need not exist yet.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self::new(dir.into(), true)
    }

    fn new(dir: PathBuf, durable: bool) -> Self {
        Self { directory: Directory::new(dir), durable }
    }

    /// The user's own cluster: in `OPTIINFRA_LOCAL_DIR`, else in the user's data directory, for root in `/var/lib`.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyVariable`] when that variable is empty, and [`Error::NoHome`] when neither it nor `HOME` is set.
    pub fn of_user() -> Result<Self> {
        if let Some(dir) = LocalVariable::Dir.value()? {
            let dir = std::path::absolute(dir).doing(|| "make a path of OPTIINFRA_LOCAL_DIR".to_owned())?;
            return Ok(Self::at(dir));
        }
        if Uid::effective().is_root() {
            return Ok(Self::at("/var/lib/optiinfra-dbctl"));
        }
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
        data.map(|data| Self::at(data.join("optiinfra-dbctl"))).ok_or(Error::NoHome)
    }

    /// The directory that holds the cluster.
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// Where to connect to. Only the owner of the directory and root can.
    pub fn target(&self) -> Target {
        Target::default()
            .or("host", &self.dir().to_string_lossy())
            .or("port", PORT)
            .or("user", NAME)
            .or("dbname", NAME)
            .or("sslmode", "disable")
    }

    /// The same as a URL, for other programs.
    pub fn url(&self) -> String {
        self.url_of(NAME)
    }

    /// That of another database of the cluster, whose name is a plain word.
    pub(crate) fn url_of(&self, database: &str) -> String {
        let encode = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        let host: String = self.dir().to_string_lossy().bytes().map(encode).collect();
        format!("postgresql:///{database}?host={host}&port={PORT}&user={NAME}")
    }

    /// Sees to it that the server runs: creates the cluster where it is missing and starts it where it is down.
    ///
    /// Of two processes that do this at once, one works and the other waits for it.
    ///
    /// # Errors
    ///
    /// When the server binaries are missing, the directory cannot be or is not ours, or the server fails.
    pub fn start(&self) -> crate::Result<Started> {
        let owner = Owner::find()?;
        let exists = self.directory.data_version().is_some();
        if !exists {
            // Before anything is made.
            Binaries::find(None)?;
        }
        self.directory.prepare(&owner)?;
        let _lock = self.directory.lock()?;
        let server = self.server(owner)?;
        let created = !self.directory.data().exists();
        if created {
            server.create_files()?;
        }
        let running = server::pid(&self.directory).is_some();
        if !running {
            server.start()?;
        }
        // `initdb` makes no database of our name; a run that was killed after it may have left it out too.
        database::create(&self.target())?;
        Ok(match (created, running) {
            (_, true) => Started::AlreadyRunning,
            (true, false) => Started::Created,
            (false, false) => Started::Started,
        })
    }

    /// Stops the server; `false` when none ran. Open sessions are ended, committed data is kept.
    ///
    /// # Errors
    ///
    /// When the directory is not ours or the server does not stop.
    pub fn stop(&self) -> Result<bool> {
        match self.existing()? {
            Some((server, _lock)) => server.stop(),
            None => Ok(false),
        }
    }

    /// What the cluster is doing. Changes nothing.
    ///
    /// # Errors
    ///
    /// When the directory is not ours.
    pub fn status(&self) -> Result<Status> {
        let Some(version) = self.directory.data_version() else {
            return Ok(Status::Absent);
        };
        self.directory.check(&Owner::find()?)?;
        Ok(match server::pid(&self.directory) {
            Some(pid) => Status::Running { version, pid },
            None => Status::Stopped { version },
        })
    }

    /// Fails when the directory is there and is not that of a local cluster, so that [`Cluster::destroy`] would refuse it.
    ///
    /// # Errors
    ///
    /// When it has not our mark, is another user's, or is open to others.
    pub fn require_ours(&self) -> Result<()> {
        if self.dir().exists() { self.directory.check(&Owner::find()?) } else { Ok(()) }
    }

    /// Stops the server and removes the directory with all data; `false` when there was none.
    ///
    /// # Errors
    ///
    /// When the directory is not ours, the server does not stop, or a file cannot be removed.
    pub fn destroy(&self) -> Result<bool> {
        if !self.dir().exists() {
            return Ok(false);
        }
        // The remains of an interrupted start are removed too. The lock in here is held until the end.
        let existing = self.existing()?;
        if let Some((server, _)) = &existing {
            server.stop()?;
        }
        fs::remove_dir_all(self.dir()).doing(|| format!("remove {}", self.dir().display()))?;
        Ok(true)
    }

    fn server(&self, owner: Owner) -> Result<Server<'_>> {
        let binaries = Binaries::find(self.directory.data_version().as_deref())?;
        Ok(Server { directory: &self.directory, owner, binaries, durable: self.durable })
    }

    /// What is needed to work on a cluster that exists; `None` when there is none.
    fn existing(&self) -> Result<Option<(Server<'_>, File)>> {
        self.require_ours()?;
        if !self.dir().exists() {
            return Ok(None);
        }
        let lock = self.directory.lock()?;
        if self.directory.data_version().is_none() {
            return Ok(None);
        }
        Ok(Some((self.server(Owner::find()?)?, lock)))
    }
}
