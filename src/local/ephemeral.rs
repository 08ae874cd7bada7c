//! A private cluster that ends with its owner.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::sys::statvfs::statvfs;

use super::Cluster;
use super::binaries::Binaries;
use super::error::{Doing, Result};
use super::owner::Owner;
use crate::connection::Target;

/// The files of this system that are in memory, and how many bytes have to be free there.
const MEMORY: &str = "/dev/shm";
const PLENTY: u64 = 4 << 30;

/// A private cluster that ends with its owner: dropped, exited or killed.
///
/// Nothing in it is worth keeping, so it does not wait for the disk.
#[derive(Debug)]
pub struct Ephemeral {
    cluster: Cluster,
    watchdog: Child,
}

impl Ephemeral {
    /// Creates and starts a cluster in a new directory: in memory (`/dev/shm`) where there is plenty, or else under the
    /// system's temporary one, and where `TMPDIR` says if it is set.
    ///
    /// # Errors
    ///
    /// When the server binaries are missing or the server fails.
    pub fn start() -> crate::Result<Self> {
        let owner = Owner::find()?;
        let binaries = Binaries::find(None)?;
        let dir =
            owner.private_dir(&parent(), "optiinfra-").doing(|| "create a temporary directory".to_owned())?.keep();
        let watchdog = Self::watch(&owner, &binaries, &dir)?;
        // From here on dropping `ephemeral` removes everything.
        let ephemeral = Self { cluster: Cluster::new(dir, false), watchdog };
        ephemeral.cluster.start()?;
        Ok(ephemeral)
    }

    /// Starts a shell that waits for the end of its input, which comes when this process ends, however it ends.
    fn watch(owner: &Owner, binaries: &Binaries, dir: &Path) -> Result<Child> {
        let script = r#"trap '' INT TERM HUP; read -r _; "$0" stop -m immediate -D "$1/data"; rm -rf "$1""#;
        owner
            .command(Path::new("sh"), dir)
            .arg("-c")
            .arg(script)
            .arg(binaries.path("pg_ctl"))
            .arg(dir)
            // The shell outlives the directory that it removes.
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing(|| "start a shell".to_owned())
    }

    /// Where to connect to.
    pub fn target(&self) -> Target {
        self.cluster.target()
    }

    /// The same as a URL, for other programs.
    pub fn url(&self) -> String {
        self.cluster.url()
    }

    #[cfg(feature = "testing")]
    pub(crate) fn url_of(&self, database: &str) -> String {
        self.cluster.url_of(database)
    }

    /// The directory that holds the cluster.
    pub fn dir(&self) -> &Path {
        self.cluster.dir()
    }
}

impl Drop for Ephemeral {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        if let Err(error) = self.watchdog.wait() {
            tracing::warn!(%error, dir = %self.dir().display(), "an ephemeral cluster may have been left behind");
        }
    }
}

/// Where the directory is made. A database is some five hundred small files, and a file system on a disk takes several times
/// as long to make those.
#[cfg_attr(target_os = "linux", expect(clippy::useless_conversion, reason = "they are shorter on other systems"))]
fn parent() -> PathBuf {
    let is_large = |memory: &Path| {
        statvfs(memory)
            .is_ok_and(|space| u64::from(space.blocks_available()) * u64::from(space.fragment_size()) >= PLENTY)
    };
    let memory = Path::new(MEMORY);
    if env::var_os("TMPDIR").is_none() && is_large(memory) { memory.to_owned() } else { env::temp_dir() }
}
