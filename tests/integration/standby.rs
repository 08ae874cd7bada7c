//! A hot standby: every command that only reads works there, whatever isolation its sessions begin with.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrono::Utc;
use diesel::connection::SimpleConnection;
use nix::unistd::{Uid, User};
use optiinfra_db::connection;
use optiinfra_db::layer::Layer;
use optiinfra_db::local::Ephemeral;
use optiinfra_db::migrate::{Goal, Migrator};
use optiinfra_db::seed;

use crate::support::{Dbctl, number, text, until};

/// A standby of a cluster, ended on drop.
struct Standby {
    binaries: PathBuf,
    dir: tempfile::TempDir,
}

impl Standby {
    fn of(primary: &Ephemeral) -> Self {
        let started_as = fs::read_to_string(primary.dir().join("data/postmaster.opts")).unwrap();
        let server = Path::new(started_as.split(' ').next().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let standby = Self { binaries: server.parent().unwrap().to_owned(), dir };
        if let Some(postgres) = server_user() {
            std::os::unix::fs::chown(standby.dir.path(), Some(postgres.uid.as_raw()), None).unwrap();
        }
        let socket = primary.dir().to_str().unwrap();
        standby
            .run("pg_basebackup", &["-h", socket, "-U", "optiinfra", "-D", "DATA", "-R", "-X", "stream", "-c", "fast"]);
        let options =
            format!("-k {} -c listen_addresses= -c fsync=off -c max_connections=200", standby.dir.path().display());
        standby.run("pg_ctl", &["start", "-D", "DATA", "-w", "-s", "-l", "LOG", "-o", &options]);
        standby
    }

    /// Runs a program of the server's, as the user that it has to run as.
    fn run(&self, program: &str, arguments: &[&str]) {
        let path = |name: &str| self.dir.path().join(name).to_str().unwrap().to_owned();
        let arguments = arguments.iter().map(|argument| match *argument {
            "DATA" => path("data"),
            "LOG" => path("log"),
            argument => argument.to_owned(),
        });
        let mut command = Command::new(self.binaries.join(program));
        command.args(arguments).current_dir(&self.dir).stdin(Stdio::null()).env_remove("PGOPTIONS");
        if let Some(postgres) = server_user() {
            command.uid(postgres.uid.as_raw()).gid(postgres.gid.as_raw());
        }
        // Not its output: the server that `pg_ctl` starts keeps it open.
        let log = fs::File::create(self.dir.path().join(format!("{program}.out"))).unwrap();
        let status = command.stdout(log.try_clone().unwrap()).stderr(log).status().unwrap();
        let said = fs::read_to_string(self.dir.path().join(format!("{program}.out"))).unwrap();
        assert!(status.success(), "{program}: {said}");
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        if self.dir.path().join("data/postmaster.pid").exists() {
            self.run("pg_ctl", &["stop", "-D", "DATA", "-w", "-s", "-m", "immediate"]);
        }
    }
}

/// PostgreSQL does not run as root.
fn server_user() -> Option<User> {
    Uid::effective().is_root().then(|| User::from_name("postgres").unwrap().unwrap())
}

#[test]
fn every_command_that_only_reads_works_on_a_standby_that_refuses_serializable() {
    let primary = Ephemeral::start().unwrap();
    let mut conn = connection::connect(&primary.target(), "test").unwrap();
    Migrator::default().run(&mut conn, &Goal::Head).unwrap();
    seed::run(&mut conn, &Layer::ALL, Utc::now()).unwrap();
    conn.batch_execute("ALTER DATABASE optiinfra SET default_transaction_isolation = serializable").unwrap();
    let standby = Standby::of(&primary);
    let url = primary.url().replace(primary.dir().to_str().unwrap(), standby.dir.path().to_str().unwrap());
    let target = primary.target().with("host", standby.dir.path().to_str().unwrap());
    let written = text(&mut conn, "SELECT pg_current_wal_lsn()::text");
    let mut reader = connection::connect(&target, "test").unwrap();
    until("the standby has it all", std::time::Duration::from_secs(2), || {
        number(&mut reader, &format!("SELECT (pg_last_wal_replay_lsn() >= '{written}')::int::bigint")) == 1
    });
    assert_eq!(number(&mut reader, "SELECT pg_is_in_recovery()::int::bigint"), 1);
    reader.batch_execute("SET default_transaction_isolation = serializable").unwrap();
    assert!(reader.batch_execute("SELECT FROM customers").is_err(), "a standby refuses this");

    for (command, code) in [
        ("migrate status --check", 0),
        ("migrate plan", 0),
        ("verify", 0),
        ("verify --seed --format json", 0),
        ("stats", 0),
        ("stats --exact --format json", 0),
        ("stats --format prometheus", 0),
        ("roles plan", 0),
        ("doctor", 1),
        ("roles check", 1),
        ("export events", 0),
        ("export quality_metrics --customer TechStart --since 2020-01-01T00:00:00Z", 2),
        ("seed --all --plan", 0),
        ("seed fleet --plan", 0),
    ] {
        let run = Dbctl::new().env("DATABASE_URL", &url).run(command);
        assert_eq!(run.code, Some(code), "{command}: {run:#?}");
        assert!(!run.stderr.contains("serializable"), "{command}: {run:#?}");
    }
}
