//! The directory of a kept cluster: where it may be, whose it is, and who works on it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::{Doing, Error, Result};
use super::owner::Owner;
use super::{MARKER, MARKER_TEXT, POLL, PORT};

/// Longest path that a Unix socket may have on every system that we know (macOS allows the least).
const LONGEST_SOCKET_PATH: usize = 103;
/// How long to wait for another process that starts or stops the same cluster.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// The directory of a kept cluster, and the paths in it.
#[derive(Debug, Clone)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The cluster's files.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// What the server writes.
    pub fn log(&self) -> PathBuf {
        self.0.join("server.log")
    }

    /// Major version of the cluster's files; `None` when there is no cluster.
    pub fn data_version(&self) -> Option<String> {
        fs::read_to_string(self.data().join("PG_VERSION")).ok().map(|text| text.trim().to_owned())
    }

    /// Creates the directory, or makes sure that an existing one is ours and closed to others.
    pub fn prepare(&self, owner: &Owner) -> Result<()> {
        self.require_possible()?;
        if !self.0.exists() {
            owner.require_way_to(&self.0)?;
            self.make(owner).doing(|| format!("create {}", self.0.display()))?;
        }
        self.mark_if_empty(owner)?;
        self.check(owner)
    }

    /// Fails when no server could have its socket here.
    fn require_possible(&self) -> Result<()> {
        let socket = self.0.join(format!(".s.PGSQL.{PORT}"));
        if socket.as_os_str().len() > LONGEST_SOCKET_PATH {
            return Err(Error::PathTooLong(self.0.clone()));
        }
        // PostgreSQL reads a list of directories, with quotes, and so does libpq.
        let is_special = |character: &char| matches!(character, ',' | '"' | '\u{fffd}') || character.is_control();
        match self.0.to_string_lossy().chars().find(is_special) {
            Some(character) => Err(Error::PathCharacter { dir: self.0.clone(), character }),
            None => Ok(()),
        }
    }

    /// Makes the directory under another name and renames it when it has its owner and its marker: another
    /// process sees all of it or nothing. Of two that do so at once, the first one's directory stays.
    fn make(&self, owner: &Owner) -> io::Result<()> {
        let parent = self.0.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent)?;
        let new = owner.private_dir(parent, ".optiinfra-")?;
        match fs::rename(new.path(), &self.0) {
            Ok(()) => {
                // It has moved: there is nothing left to remove at its old place.
                let _moved = new.keep();
                Ok(())
            }
            Err(_) if self.0.join(MARKER).exists() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// An empty directory that the user has made for the cluster becomes ours.
    fn mark_if_empty(&self, owner: &Owner) -> Result<()> {
        let is_empty = fs::read_dir(&self.0).is_ok_and(|mut entries| entries.next().is_none());
        if is_empty && self.check_access(owner).is_ok() {
            fs::write(self.0.join(MARKER), MARKER_TEXT).doing(|| format!("write to {}", self.0.display()))?;
        }
        Ok(())
    }

    /// Fails when the directory is not ours, or others can enter it.
    pub fn check(&self, owner: &Owner) -> Result<()> {
        self.check_access(owner)?;
        if self.0.join(MARKER).exists() { Ok(()) } else { Err(Error::NotOurs(self.0.clone())) }
    }

    fn check_access(&self, owner: &Owner) -> Result<()> {
        let about = fs::metadata(&self.0).doing(|| format!("read {}", self.0.display()))?;
        if about.uid() != owner.uid {
            return Err(Error::OtherOwner { dir: self.0.clone(), uid: about.uid(), wanted: owner.name.clone() });
        }
        if about.permissions().mode() & 0o077 != 0 {
            return Err(Error::OpenToOthers(self.0.clone()));
        }
        Ok(())
    }

    /// Keeps other processes from starting, stopping or destroying the cluster at the same time.
    pub fn lock(&self) -> Result<File> {
        let lock = self.0.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .doing(|| format!("open {}", lock.display()))?;
        let begin = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if begin.elapsed() < LOCK_WAIT => std::thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => return Err(Error::Busy { lock, waited: LOCK_WAIT }),
                Err(TryLockError::Error(source)) => return Err(source).doing(|| format!("lock {}", lock.display())),
            }
        }
    }
}
