//! A PgBouncer in front of the suite's cluster, where the machine has one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use nix::unistd::{Uid, User, chown};

use super::cluster::cluster;
use super::tool;

/// A PgBouncer that ends with its owner.
pub struct Pooler {
    dir: tempfile::TempDir,
    watchdog: Child,
}

impl Pooler {
    /// Starts one; `None` where the machine has none, of which the test need not say more.
    pub fn start(mode: &str, size: u32) -> Option<Self> {
        Self::for_clients(mode, size, 100)
    }

    /// Starts one that takes no more than so many connections.
    pub fn for_clients(mode: &str, size: u32, clients: u32) -> Option<Self> {
        let program = tool("pgbouncer")?;
        let open = fs::Permissions::from_mode(0o755);
        let dir = tempfile::Builder::new().prefix("oi-").permissions(open).tempdir().expect("a directory");
        // As root PgBouncer refuses to run, and only the cluster's owner gets at the cluster's socket.
        let user = Uid::effective().is_root().then(|| User::from_name("postgres").expect("users").expect("postgres"));
        if let Some(user) = &user {
            chown(dir.path(), Some(user.uid), Some(user.gid)).expect("the directory's owner");
        }
        let settings = dir.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={cluster} port=5432 user=optiinfra\n[pgbouncer]\nlisten_addr =\nlisten_port = 5432\n\
             unix_socket_dir = {dir}\nauth_type = any\npool_mode = {mode}\ndefault_pool_size = {size}\n\
             max_client_conn = {clients}\n",
            cluster = cluster().dir().display(),
            dir = dir.path().display(),
        );
        fs::write(&settings, text).expect("the settings");
        // The shell ends PgBouncer when its own input ends, which is when this process does, however it does.
        let mut shell = Command::new("sh");
        shell
            .args(["-c", r#"trap '' INT TERM; "$0" -q "$1" & read -r _; kill "$!"; wait"#])
            .arg(program)
            .arg(&settings);
        if let Some(user) = &user {
            shell.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let watchdog = shell.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a shell");
        let pooler = Self { dir, watchdog };
        let deadline = Instant::now() + Duration::from_secs(10);
        while PgConnection::establish(&pooler.url("optiinfra")).is_err() {
            assert!(Instant::now() < deadline, "PgBouncer does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(pooler)
    }

    /// A database of the suite's cluster, through the pooler.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql:///{database}?host={}&port=5432&user=optiinfra", self.dir.path().display())
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        if let Err(error) = self.watchdog.wait() {
            eprintln!("a PgBouncer stays: {error}");
        }
    }
}
