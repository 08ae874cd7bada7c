//! The server of a kept cluster: started, stopped, found, and cleared away after when it was killed.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::binaries::Binaries;
use super::directory::Directory;
use super::error::{Doing, Error, Result};
use super::owner::{Owner, run, succeed};
use super::{NAME, POLL, PORT};

/// How long the server processes of a killed server may take to notice.
const ORPHAN_WAIT: Duration = Duration::from_secs(10);

/// What is needed to work on the server of a cluster.
pub(super) struct Server<'a> {
    pub directory: &'a Directory,
    pub owner: Owner,
    pub binaries: Binaries,
    /// Whether its data outlives it, and so has to reach the disk.
    pub durable: bool,
}

impl Server<'_> {
    /// Makes the cluster's files in another directory and moves them to their place when complete, so that a run that is
    /// killed half-way leaves nothing that looks like a cluster.
    pub fn create_files(&self) -> Result<()> {
        let unfinished = self.directory.path().join("data.unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).doing(|| format!("remove {}", unfinished.display()))?;
        }
        let mut initdb = self.owner.command(&self.binaries.path("initdb"), self.directory.path());
        initdb.args(["--username", NAME, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]);
        initdb.arg("--pgdata").arg(&unfinished);
        if !self.durable {
            initdb.arg("--no-sync");
        }
        succeed(&mut initdb, "initdb")?;
        fs::rename(&unfinished, self.directory.data()).doing(|| format!("move {} into place", unfinished.display()))
    }

    pub fn start(&self) -> Result<()> {
        self.clear_after_kill()?;
        let mut start = self.owner.command(&self.binaries.path("pg_ctl"), self.directory.path());
        start.args(["start", "--wait", "--silent", "--timeout", "60"]);
        start.arg("--pgdata").arg(self.directory.data()).arg("--log").arg(self.directory.log());
        start.arg("--options").arg(self.options());
        if run(&mut start)?.status.success() {
            return Ok(());
        }
        let log = fs::read_to_string(self.directory.log()).unwrap_or_default();
        // The server runs in English; see `Owner::command`.
        let said = log.lines().rev().take(5).find(|line| line.contains("FATAL")).unwrap_or_default();
        Err(Error::NotStarted { said: said.trim().to_owned(), log: self.directory.log() })
    }

    /// Stops the server; `false` when none ran.
    pub fn stop(&self) -> Result<bool> {
        if pid(self.directory).is_none() {
            return Ok(false);
        }
        let mut stop = self.owner.command(&self.binaries.path("pg_ctl"), self.directory.path());
        stop.args(["stop", "--wait", "--silent", "--mode", "fast"]).arg("--pgdata").arg(self.directory.data());
        succeed(&mut stop, "pg_ctl stop")?;
        Ok(true)
    }

    /// Settings that hold for every start. `pg_ctl` hands them to a shell, hence the quotes.
    fn options(&self) -> String {
        let dir = self.directory.path().to_string_lossy().replace('\'', r"'\''");
        let mut options =
            format!("-k '{dir}' -p {PORT} -c listen_addresses= -c unix_socket_permissions=0700 -c TimeZone=UTC");
        if !self.durable {
            options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200";
        }
        options
    }

    /// Clears away what a killed server left: its processes are waited for, because they hold its shared memory until
    /// they notice that it is gone, and then its pid file is removed, which PostgreSQL might take for that of a living server.
    fn clear_after_kill(&self) -> Result<()> {
        let data = self.directory.data();
        let begin = Instant::now();
        loop {
            let pids = processes(&data);
            if pids.is_empty() {
                break;
            }
            if begin.elapsed() > ORPHAN_WAIT {
                return Err(Error::Orphans { dir: data, pids });
            }
            std::thread::sleep(POLL);
        }
        for left in [data.join("postmaster.pid"), self.directory.path().join(format!(".s.PGSQL.{PORT}.lock"))] {
            match fs::remove_file(&left) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.doing(|| format!("remove {}", left.display()))?,
            }
        }
        Ok(())
    }
}

/// Process id of the running server.
///
/// `pg_ctl status` is not asked: it takes a killed server whose parent has not collected it (as in a container
/// without an init process), or a stranger who got its process id, for a running one.
pub(super) fn pid(directory: &Directory) -> Option<u32> {
    let file = fs::read_to_string(directory.data().join("postmaster.pid")).ok()?;
    let pid: u32 = file.lines().next()?.trim().parse().ok()?;
    if Path::new("/proc/self/cwd").exists() {
        // Every process of a server works in its data directory; a dead one works nowhere.
        return processes(&directory.data()).contains(&pid).then_some(pid);
    }
    let alive = kill(Pid::from_raw(i32::try_from(pid).ok()?), None) != Err(Errno::ESRCH);
    alive.then_some(pid)
}

/// Live processes that work in the data directory, where the system has `/proc` to tell.
fn processes(data: &Path) -> Vec<u32> {
    let data = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == data))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
