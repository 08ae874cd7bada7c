//! The user that the server runs as, which is not always the user that runs this program.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::unistd::{Uid, User};
use tempfile::TempDir;

use super::error::{Doing, Error, Result};
use super::{MARKER, MARKER_TEXT};

/// The user that the server runs as.
#[derive(Debug)]
pub(super) struct Owner {
    pub uid: u32,
    gid: u32,
    pub name: String,
    /// Whether commands have to change to that user.
    switch: bool,
}

impl Owner {
    /// This user, or `postgres` for root.
    pub fn find() -> Result<Self> {
        let own = Uid::effective();
        let user = if own.is_root() { User::from_name("postgres") } else { User::from_uid(own) };
        let user = user.map_err(io::Error::from).doing(|| "look up the user".to_owned())?;
        let missing = if own.is_root() { Error::NoServerUser } else { Error::UnknownUser(own.as_raw()) };
        let user = user.ok_or(missing)?;
        Ok(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name, switch: own.is_root() })
    }

    /// A command that runs as this user, with messages in English and without the `PG*` variables, which would change what it does.
    pub fn command(&self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").current_dir(dir).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Fails when this user cannot get to a directory, or to where it is to be made.
    pub fn require_way_to(&self, dir: &Path) -> Result<()> {
        let existing = dir.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
        let mut test = self.command(Path::new("test"), Path::new("/"));
        if run(test.arg("-x").arg(existing))?.status.success() {
            return Ok(());
        }
        Err(Error::Unreachable { dir: existing.to_owned(), user: self.name.clone() })
    }

    /// Makes a new directory for a cluster: the owner's, closed to others, marked as ours.
    pub fn private_dir(&self, parent: &Path, prefix: &str) -> io::Result<TempDir> {
        let closed = fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix(prefix).permissions(closed).tempdir_in(parent)?;
        fs::write(dir.path().join(MARKER), MARKER_TEXT)?;
        chown(dir.path(), Some(self.uid), Some(self.gid))?;
        Ok(dir)
    }
}

/// Runs a program to its end.
pub(super) fn run(command: &mut Command) -> Result<Output> {
    command.output().doing(|| format!("run {}", command.get_program().display()))
}

/// Runs a program that must succeed.
pub(super) fn succeed(command: &mut Command, program: &'static str) -> Result<()> {
    let output = run(command)?;
    if output.status.success() {
        return Ok(());
    }
    // The programs run in English; see `Owner::command`.
    let text = String::from_utf8_lossy(&output.stderr);
    let why = text.lines().find(|line| line.contains("error") || line.contains("FATAL")).or(text.lines().last());
    Err(Error::Program { program, said: why.unwrap_or_default().trim().to_owned() })
}
