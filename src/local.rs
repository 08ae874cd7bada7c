//! A private PostgreSQL cluster from the server binaries of this machine: kept between runs ([`Cluster`], what
//! `--local` uses) or gone with its owner ([`Ephemeral`], for tests).
//!
//! It lives in one directory that only its owner may enter, listens on a Unix socket there and on no TCP port, so
//! it needs no password. PostgreSQL refuses to run as root; for root the cluster belongs to the user `postgres`.
//! This module starts and stops servers. It must not know what is in the database.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, Uid, User};
use serde::Serialize;
use tempfile::TempDir;

use crate::connection::{self, Target};
use crate::error::{Doing, Error, Result};
use crate::raw::{sql, sql_query};

/// Oldest PostgreSQL that the library works with.
const OLDEST_MAJOR: u32 = 14;
/// Says that a directory is ours to use and to destroy.
const MARKER: &str = "optiinfra-local-cluster";
const MARKER_TEXT: &str = "The private PostgreSQL cluster of optiinfra-dbctl.\n";
/// Role and database of the cluster.
const NAME: &str = "optiinfra";
/// Part of the socket's file name; the cluster opens no TCP port.
const PORT: &str = "5432";
/// Longest path that a Unix socket may have on every system that we know (macOS allows the least).
const LONGEST_SOCKET_PATH: usize = 103;
/// How long to wait for another process that starts or stops the same cluster.
const LOCK_WAIT: Duration = Duration::from_secs(60);
/// How long the server processes of a killed server may take to notice.
const ORPHAN_WAIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// A private cluster whose data is kept between runs.
#[derive(Debug, Clone)]
pub struct Cluster {
    dir: PathBuf,
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
        Self { dir: dir.into(), durable: true }
    }

    /// The user's own cluster: in `OPTIINFRA_LOCAL_DIR`, else in the user's data directory, for root in `/var/lib`.
    ///
    /// # Errors
    ///
    /// [`Error::Local`] when neither that variable nor `HOME` is set.
    pub fn of_user() -> Result<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(dir) = variable("OPTIINFRA_LOCAL_DIR") {
            let dir = std::path::absolute(dir).map_err(|error| failed("OPTIINFRA_LOCAL_DIR is not a path", error))?;
            return Ok(Self::at(dir));
        }
        if Uid::effective().is_root() {
            return Ok(Self::at("/var/lib/optiinfra-dbctl"));
        }
        let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
        data.map(|data| Self::at(data.join("optiinfra-dbctl")))
            .ok_or_else(|| wrong("HOME is not set", "set OPTIINFRA_LOCAL_DIR to a directory for the cluster"))
    }

    /// The directory that holds the cluster.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where to connect to. Only the owner of the directory and root can.
    pub fn target(&self) -> Target {
        Target::default()
            .or("host", &self.dir.to_string_lossy())
            .or("port", PORT)
            .or("user", NAME)
            .or("dbname", NAME)
            .or("sslmode", "disable")
    }

    /// The same as a URL, for other programs.
    pub fn url(&self) -> String {
        let encode = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        let host: String = self.dir.to_string_lossy().bytes().map(encode).collect();
        format!("postgresql:///{NAME}?host={host}&port={PORT}&user={NAME}")
    }

    /// Sees to it that the server runs: creates the cluster where it is missing and starts it where it is down.
    ///
    /// Of two processes that do this at once, one works and the other waits for it.
    ///
    /// # Errors
    ///
    /// [`Error::Local`] when the server binaries are missing, the directory is not ours, or the server fails.
    pub fn start(&self) -> Result<Started> {
        let owner = Owner::find()?;
        self.prepare_dir(&owner)?;
        let _lock = self.lock()?;
        let binaries = Binaries::find(self.data_version().as_deref())?;
        let created = !self.data().exists();
        if created {
            self.create(&owner, &binaries)?;
        }
        if self.server_pid().is_some() {
            self.ensure_database()?;
            return Ok(Started::AlreadyRunning);
        }
        self.start_server(&owner, &binaries)?;
        self.ensure_database()?;
        Ok(if created { Started::Created } else { Started::Started })
    }

    /// Stops the server; `false` when none ran. Open sessions are ended, committed data is kept.
    ///
    /// # Errors
    ///
    /// [`Error::Local`] when the directory is not ours or the server does not stop.
    pub fn stop(&self) -> Result<bool> {
        let Some((owner, binaries, _lock)) = self.existing()? else { return Ok(false) };
        self.stop_server(&owner, &binaries)
    }

    /// What the cluster is doing. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Local`] when the directory is not ours.
    pub fn status(&self) -> Result<Status> {
        let Some(version) = self.data_version() else {
            return Ok(Status::Absent);
        };
        let owner = Owner::find()?;
        self.check_dir(&owner)?;
        Ok(match self.server_pid() {
            Some(pid) => Status::Running { version, pid },
            None => Status::Stopped { version },
        })
    }

    /// Stops the server and removes the directory with all data; `false` when there was none.
    ///
    /// # Errors
    ///
    /// [`Error::Local`] when the directory is not ours, the server does not stop, or a file cannot be removed.
    pub fn destroy(&self) -> Result<bool> {
        if !self.dir.exists() {
            return Ok(false);
        }
        // What a killed start left is no cluster yet, and goes too. The lock in here is held until the end.
        let existing = self.existing()?;
        if let Some((owner, binaries, _)) = &existing {
            self.stop_server(owner, binaries)?;
        }
        fs::remove_dir_all(&self.dir)
            .map_err(|error| failed(format!("cannot remove {}", self.dir.display()), error))?;
        Ok(true)
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// Major version of the cluster's files; `None` when there is no cluster.
    fn data_version(&self) -> Option<String> {
        fs::read_to_string(self.data().join("PG_VERSION")).ok().map(|text| text.trim().to_owned())
    }

    /// What is needed to work on a cluster that exists; `None` when there is none.
    fn existing(&self) -> Result<Option<(Owner, Binaries, File)>> {
        if !self.dir.exists() {
            return Ok(None);
        }
        let owner = Owner::find()?;
        self.check_dir(&owner)?;
        let lock = self.lock()?;
        let Some(version) = self.data_version() else { return Ok(None) };
        Ok(Some((owner, Binaries::find(Some(&version))?, lock)))
    }

    /// Creates the directory, or makes sure that an existing one is ours and closed to others.
    fn prepare_dir(&self, owner: &Owner) -> Result<()> {
        let socket = self.dir.join(format!(".s.PGSQL.{PORT}"));
        if socket.as_os_str().len() > LONGEST_SOCKET_PATH {
            return Err(wrong(
                format!("{} is too long a path for a Unix socket", self.dir.display()),
                "set OPTIINFRA_LOCAL_DIR to a shorter one",
            ));
        }
        if self.dir.exists() {
            return self.check_dir(owner);
        }
        self.make_dir(owner).map_err(|error| failed(format!("cannot create {}", self.dir.display()), error))?;
        self.check_dir(owner)
    }

    /// Makes the directory beside its place and moves it there when it has its owner and its marker: another
    /// process sees all of it or nothing. Of two that do so at once, the first one's directory stays.
    fn make_dir(&self, owner: &Owner) -> io::Result<()> {
        let parent = self.dir.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent)?;
        let new = private_dir(parent, ".optiinfra-", owner)?;
        match fs::rename(new.path(), &self.dir) {
            Ok(()) => {
                // It has moved: there is nothing left to remove at its old place.
                let _moved = new.keep();
                Ok(())
            }
            Err(_) if self.dir.join(MARKER).exists() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn check_dir(&self, owner: &Owner) -> Result<()> {
        let shown = self.dir.display();
        let about = fs::metadata(&self.dir).map_err(|error| failed(format!("cannot read {shown}"), error))?;
        if about.uid() != owner.uid {
            return Err(wrong(
                format!("{shown} belongs to user id {}, not to {}", about.uid(), owner.name),
                "set OPTIINFRA_LOCAL_DIR to a directory of your own",
            ));
        }
        if about.permissions().mode() & 0o077 != 0 {
            return Err(wrong(
                format!("{shown} is open to other users, and the cluster in it asks for no password"),
                &format!("close it: chmod 700 {shown}"),
            ));
        }
        let entries = fs::read_dir(&self.dir).map_err(|error| failed(format!("cannot read {shown}"), error))?;
        let is_empty = entries.count() == 0;
        if is_empty {
            return fs::write(self.dir.join(MARKER), MARKER_TEXT)
                .map_err(|error| failed(format!("cannot write to {shown}"), error));
        }
        if !self.dir.join(MARKER).exists() {
            return Err(wrong(
                format!("{shown} holds something else"),
                "set OPTIINFRA_LOCAL_DIR to an empty directory or one that does not exist",
            ));
        }
        Ok(())
    }

    /// Keeps other processes from starting, stopping or destroying the cluster at the same time.
    fn lock(&self) -> Result<File> {
        let path = self.dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| failed(format!("cannot open {}", path.display()), error))?;
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => {
                    return Err(wrong(
                        format!("another process has held {} for {} s", path.display(), LOCK_WAIT.as_secs()),
                        &format!("see which one: fuser {}", path.display()),
                    ));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(failed(format!("cannot lock {}", path.display()), error));
                }
            }
        }
    }

    /// Makes the cluster's files beside their place and moves them there when complete, so that a run that is
    /// killed half-way leaves nothing that looks like a cluster.
    fn create(&self, owner: &Owner, binaries: &Binaries) -> Result<()> {
        let unfinished = self.dir.join("data.unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)
                .map_err(|error| failed(format!("cannot remove {}", unfinished.display()), error))?;
        }
        let mut initdb = owner.command(&binaries.path("initdb"), &self.dir);
        initdb.args(["--username", NAME, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]);
        initdb.arg("--pgdata").arg(&unfinished);
        if !self.durable {
            initdb.arg("--no-sync");
        }
        succeed(&mut initdb, "initdb")?;
        fs::rename(&unfinished, self.data())
            .map_err(|error| failed(format!("cannot move {} into place", unfinished.display()), error))
    }

    /// Process id of the running server.
    ///
    /// `pg_ctl status` is not asked: it takes a killed server whose parent has not collected it (as in a container
    /// without an init process), or a stranger who got its process id, for a running one.
    fn server_pid(&self) -> Option<u32> {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let pid: u32 = file.lines().next()?.trim().parse().ok()?;
        if Path::new("/proc/self/cwd").exists() {
            // Every process of a server works in its data directory; a dead one works nowhere.
            return self.processes().contains(&pid).then_some(pid);
        }
        let alive = kill(Pid::from_raw(i32::try_from(pid).ok()?), None) != Err(Errno::ESRCH);
        alive.then_some(pid)
    }

    /// Live processes that work in the data directory, where the system has `/proc` to tell.
    fn processes(&self) -> Vec<u32> {
        let data = fs::canonicalize(self.data()).unwrap_or_else(|_| self.data());
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == data))
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// Clears away what a killed server left: its processes are waited for, because they hold its shared memory until
    /// they notice that it is gone, and then its pid file, behind which PostgreSQL might suspect a living server.
    fn clear_after_kill(&self) -> Result<()> {
        let deadline = Instant::now() + ORPHAN_WAIT;
        while !self.processes().is_empty() {
            if Instant::now() > deadline {
                return Err(wrong(
                    format!("processes of a server that was killed still work in {}", self.data().display()),
                    "end them: pkill -f postgres",
                ));
            }
            std::thread::sleep(POLL);
        }
        for left in [self.data().join("postmaster.pid"), self.dir.join(format!(".s.PGSQL.{PORT}.lock"))] {
            match fs::remove_file(&left) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(format!("cannot remove {}", left.display()), error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn start_server(&self, owner: &Owner, binaries: &Binaries) -> Result<()> {
        self.clear_after_kill()?;
        let mut start = owner.command(&binaries.path("pg_ctl"), &self.dir);
        start.args(["start", "--wait", "--silent", "--timeout", "60"]);
        start.arg("--pgdata").arg(self.data()).arg("--log").arg(self.log()).arg("--options").arg(self.server_options());
        if run(&mut start)?.status.success() {
            return Ok(());
        }
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let why = log.lines().rev().take(5).find(|line| line.contains("FATAL")).unwrap_or_default();
        Err(wrong(format!("the server does not start: {}", why.trim()), &format!("read {}", self.log().display())))
    }

    /// Settings that hold for every start. `pg_ctl` hands them to a shell, hence the quotes.
    fn server_options(&self) -> String {
        let dir = self.dir.to_string_lossy().replace('\'', r"'\''");
        let mut options =
            format!("-k '{dir}' -p {PORT} -c listen_addresses= -c unix_socket_permissions=0700 -c TimeZone=UTC");
        if !self.durable {
            options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200";
        }
        options
    }

    fn stop_server(&self, owner: &Owner, binaries: &Binaries) -> Result<bool> {
        if self.server_pid().is_none() {
            return Ok(false);
        }
        let mut stop = owner.command(&binaries.path("pg_ctl"), &self.dir);
        stop.args(["stop", "--wait", "--silent", "--mode", "fast"]).arg("--pgdata").arg(self.data());
        succeed(&mut stop, "pg_ctl stop")?;
        Ok(true)
    }

    /// `initdb` makes no database of our name; a run that was killed after it may have left it out too.
    fn ensure_database(&self) -> Result<()> {
        let mut conn = connection::connect(&self.target().with("dbname", "postgres"), "optiinfra-dbctl/local")?;
        let exists: bool = diesel::select(sql::<diesel::sql_types::Bool>(
            "EXISTS (SELECT FROM pg_database WHERE datname = 'optiinfra')",
        ))
        .get_result(&mut conn)
        .doing("look for the database of the local cluster")?;
        if exists {
            return Ok(());
        }
        sql_query("CREATE DATABASE optiinfra")
            .execute(&mut conn)
            .map(drop)
            .doing("create the database of the local cluster")
    }
}

/// A private cluster that ends with its owner: dropped, exited or killed.
///
/// Nothing in it is worth keeping, so it does not wait for the disk.
#[derive(Debug)]
pub struct Ephemeral {
    cluster: Cluster,
    watchdog: Child,
}

impl Ephemeral {
    /// Creates and starts a cluster in a new directory under the system's temporary one.
    ///
    /// # Errors
    ///
    /// [`Error::Local`] when the server binaries are missing or the server fails.
    pub fn start() -> Result<Self> {
        let owner = Owner::find()?;
        let binaries = Binaries::find(None)?;
        let dir = private_dir(&std::env::temp_dir(), "optiinfra-", &owner)
            .map_err(|error| failed("cannot create a temporary directory", error))?
            .keep();
        let watchdog = Self::watch(&owner, &binaries, &dir)?;
        // From here on dropping `ephemeral` removes everything.
        let ephemeral = Self { cluster: Cluster { dir, durable: false }, watchdog };
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
            .map_err(|error| failed("cannot start a shell", error))
    }

    /// Where to connect to.
    pub fn target(&self) -> Target {
        self.cluster.target()
    }

    /// The same as a URL, for other programs.
    pub fn url(&self) -> String {
        self.cluster.url()
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

/// The user that the server runs as.
#[derive(Debug)]
struct Owner {
    uid: u32,
    gid: u32,
    name: String,
    /// Whether commands have to change to that user.
    switch: bool,
}

impl Owner {
    fn find() -> Result<Self> {
        let own = Uid::effective();
        let user = if own.is_root() { User::from_name("postgres") } else { User::from_uid(own) };
        let user = user.map_err(|error| failed("cannot look up the user", error.into()))?;
        match user {
            Some(user) => {
                Ok(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name, switch: own.is_root() })
            }
            None if own.is_root() => Err(wrong(
                "PostgreSQL does not run as root, and there is no user 'postgres' to run it as",
                "install the server package, which makes that user, or run this as another user",
            )),
            None => Err(wrong(format!("user id {own} has no entry in the user database"), "run this as a known user")),
        }
    }

    /// A command that runs as this user, with messages in English and no `PG*` variable to lead it astray.
    fn command(&self, program: &Path, dir: &Path) -> Command {
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
}

/// The server binaries of one PostgreSQL version.
#[derive(Debug, PartialEq, Eq)]
struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// Finds the binaries: those for the files of a cluster that exists, else the first that are new enough.
    fn find(data_version: Option<&str>) -> Result<Self> {
        let required = data_version.and_then(|version| version.parse::<u32>().ok());
        let found: Vec<_> = candidate_dirs().into_iter().filter_map(Self::in_dir).collect();
        let fits = |binaries: &&Self| required.map_or(binaries.major >= OLDEST_MAJOR, |major| binaries.major == major);
        if let Some(binaries) = found.iter().find(fits) {
            return Ok(Self { dir: binaries.dir.clone(), major: binaries.major });
        }
        let message = match (required, found.first()) {
            (Some(major), _) => format!("its files need the server binaries of PostgreSQL {major}, which are not here"),
            (None, Some(old)) => format!("PostgreSQL {} is too old: {OLDEST_MAJOR} or newer is needed", old.major),
            (None, None) => "no PostgreSQL server binaries are on this machine".to_owned(),
        };
        Err(wrong(
            message,
            "install them (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; \
             macOS: brew install postgresql@17), or set OPTIINFRA_PG_BIN to their directory",
        ))
    }

    /// The binaries in a directory, if they are all there.
    fn in_dir(dir: PathBuf) -> Option<Self> {
        if !["initdb", "pg_ctl", "postgres"].iter().all(|name| dir.join(name).is_file()) {
            return None;
        }
        let output = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
        let number = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let major = number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        Some(Self { dir, major })
    }

    fn path(&self, program: &str) -> PathBuf {
        self.dir.join(program)
    }
}

/// Where server binaries may be, the likeliest first. A directory that the user names is the only one.
fn candidate_dirs() -> Vec<PathBuf> {
    if let Some(dir) = std::env::var_os("OPTIINFRA_PG_BIN").filter(|dir| !dir.is_empty()) {
        return vec![dir.into()];
    }
    let mut dirs = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        dirs.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    dirs.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    // Debian, Homebrew on ARM and Intel, the RPM packages of the PostgreSQL project.
    for (parent, prefix, below) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/opt/homebrew/opt", "postgresql@", "bin"),
        ("/usr/local/opt", "postgresql@", "bin"),
        ("/usr", "pgsql-", "bin"),
    ] {
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(parent)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let version = entry.file_name().to_string_lossy().strip_prefix(prefix)?.parse().ok()?;
                Some((version, entry.path().join(below)))
            })
            .collect();
        versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        dirs.extend(versions.into_iter().map(|(_, dir)| dir));
    }
    dirs
}

/// Makes a new directory for a cluster: the owner's, closed to others, marked as ours.
fn private_dir(parent: &Path, prefix: &str, owner: &Owner) -> io::Result<TempDir> {
    let closed = fs::Permissions::from_mode(0o700);
    let dir = tempfile::Builder::new().prefix(prefix).permissions(closed).tempdir_in(parent)?;
    fs::write(dir.path().join(MARKER), MARKER_TEXT)?;
    chown(dir.path(), Some(owner.uid), Some(owner.gid))?;
    Ok(dir)
}

fn run(command: &mut Command) -> Result<Output> {
    command.output().map_err(|error| failed(format!("cannot run {}", command.get_program().display()), error))
}

fn succeed(command: &mut Command, name: &str) -> Result<()> {
    let output = run(command)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let why = text.lines().find(|line| line.contains("error") || line.contains("FATAL")).or(text.lines().last());
    Err(Error::Local {
        message: format!("{name} failed: {}", why.unwrap_or_default().trim()),
        hint: None,
        source: None,
    })
}

fn wrong(message: impl Into<String>, hint: &str) -> Error {
    Error::Local { message: message.into(), hint: Some(hint.to_owned()), source: None }
}

fn failed(message: impl Into<String>, source: io::Error) -> Error {
    Error::Local { message: message.into(), hint: None, source: Some(source) }
}
