//! The server binaries of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::{Error, Result};
use super::{LocalVariable, OLDEST_MAJOR};

/// The server binaries of one PostgreSQL version.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// Finds the binaries: those for the files of a cluster that exists, else the first that are new enough.
    pub fn find(data_version: Option<&str>) -> Result<Self> {
        let required = data_version.and_then(|version| version.parse::<u32>().ok());
        let named = LocalVariable::Binaries.value()?.map(PathBuf::from);
        let dirs = named.clone().map_or_else(usual_dirs, |dir| vec![dir]);
        let mut found: Vec<_> = dirs.into_iter().filter_map(Self::in_dir).collect();
        let fits = |binaries: &Self| required.map_or(binaries.major >= OLDEST_MAJOR, |major| binaries.major == major);
        if let Some(at) = found.iter().position(fits) {
            return Ok(found.swap_remove(at));
        }
        Err(match (named, required, found.first()) {
            (Some(dir), _, None) => Error::NoBinariesIn(dir),
            (_, Some(major), _) => Error::OtherBinaries { major },
            (_, None, Some(old)) => Error::BinariesTooOld { major: old.major },
            (None, None, None) => Error::NoBinaries,
        })
    }

    /// The binaries in a directory, if they are all there.
    fn in_dir(dir: PathBuf) -> Option<Self> {
        if !["initdb", "pg_ctl", "postgres"].iter().all(|name| dir.join(name).is_file()) {
            return None;
        }
        let major = major(&dir.join("postgres"))?;
        Some(Self { dir, major })
    }

    pub fn path(&self, program: &str) -> PathBuf {
        self.dir.join(program)
    }
}

/// Finds a client program, such as `pg_dump`, that is as new as a server: where the server's programs may be.
///
/// # Errors
///
/// [`Error::NoClient`].
pub fn client_program(program: &'static str, server_major: u32) -> Result<PathBuf> {
    let dirs = LocalVariable::Binaries.value()?.map_or_else(usual_dirs, |dir| vec![PathBuf::from(dir)]);
    let is_new_enough = |path: &PathBuf| path.is_file() && major(path).is_some_and(|major| major >= server_major);
    let found = dirs.into_iter().map(|dir| dir.join(program)).find(is_new_enough);
    found.ok_or(Error::NoClient { program, major: server_major })
}

/// The version of a program, which says `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Where server binaries may be, the likeliest first.
fn usual_dirs() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        dirs.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    dirs.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    // Debian, Homebrew on ARM and Intel, the RPM packages of the PostgreSQL project.
    for (parent, prefix) in [
        ("/usr/lib/postgresql", ""),
        ("/opt/homebrew/opt", "postgresql@"),
        ("/usr/local/opt", "postgresql@"),
        ("/usr", "pgsql-"),
    ] {
        dirs.extend(newest_first(Path::new(parent), prefix));
    }
    dirs
}

/// The directories `PREFIX<version>/bin`.
fn newest_first(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_string_lossy().strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, dir)| dir).collect()
}
