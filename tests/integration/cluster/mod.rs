//! The hot tables on a Citus cluster: enabled, written to, interrupted, and back. `OPTIINFRA_CITUS_PG_BIN` names the `bin`
//! folder of a PostgreSQL with Citus; without it these tests say so and do nothing else.

mod bad_input;
mod commands;
mod kills;
mod round_trip;
mod tenants;
mod verify;
mod without;
mod writes;

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once, OnceLock, PoisonError};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use optiinfra_db::cluster::{self, Goal, Plan};
use optiinfra_db::connection::{self, Target};
use optiinfra_db::database;
use optiinfra_db::layer::Layer;
use optiinfra_db::migrate::{self, Migrator};
use optiinfra_db::seed;

use crate::support::{Dbctl, figures, text};

pub const ENABLED: Goal = Goal::Enabled { shards: None };
const VARIABLE: &str = "OPTIINFRA_CITUS_PG_BIN";
/// A schema that is not public.
const SCHEMA: &str = "optiinfra_test";

/// A coordinator and two workers, ended with the process, however that ends.
pub struct Citus {
    dir: PathBuf,
    port: u16,
    _watchdog: Child,
}

/// The cluster of the run, or one line that says why there is none.
pub fn citus() -> Option<&'static Citus> {
    static CITUS: OnceLock<Option<Citus>> = OnceLock::new();
    CITUS.get_or_init(|| is_there().then(|| Citus::start(54_500))).as_ref()
}

/// A cluster of a test that ends nodes.
pub fn own_citus(port: u16) -> Option<&'static Citus> {
    is_there().then(|| &*Box::leak(Box::new(Citus::start(port))))
}

fn is_there() -> bool {
    static SKIPPED: Once = Once::new();
    let is_there = std::env::var_os(VARIABLE).is_some();
    if !is_there {
        SKIPPED.call_once(|| figures(&format!("skipped: {VARIABLE} names no PostgreSQL with Citus")));
    }
    is_there
}

impl Citus {
    /// Sockets are named by their port only, and each cluster has a directory of its own.
    pub fn start(port: u16) -> Self {
        let dir = tempfile::Builder::new().prefix("citus-").tempdir_in("/tmp").expect("a directory").keep();
        std::fs::remove_dir(&dir).expect("empty");
        let end = r#"trap '' INT TERM HUP; read -r _; script/cluster stop; rm -rf "$OPTIINFRA_CLUSTER_DIR""#;
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", end]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut watchdog, 0);
        let citus = |command: &mut Command| {
            command
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .env("OPTIINFRA_CLUSTER_DIR", &dir)
                .env("OPTIINFRA_CLUSTER_PORT", port.to_string())
                .spawn()
                .expect("script/cluster")
        };
        let _watchdog = citus(&mut watchdog);
        let mut start = Command::new("script/cluster");
        let mut child = citus(start.args(["start", "2"]).stdout(Stdio::null()).stderr(Stdio::piped()));
        let mut said = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        assert!(child.wait().expect("it ends").success(), "{said}");
        Self { dir, port, _watchdog }
    }

    pub fn host(&self) -> String {
        self.dir.display().to_string()
    }

    pub fn port_of(&self, node: u16) -> u16 {
        self.port + node
    }

    fn url(&self, node: u16, database: &str) -> String {
        format!("postgresql:///{database}?host={}&port={}&user=optiinfra", self.host(), self.port_of(node))
    }

    fn execute(&self, node: u16, database: &str, statements: &str) {
        let target = Target::parse(&self.url(node, database)).expect("our own URL");
        let mut conn = connection::connect(&target, "test").expect("a connection to the node");
        conn.batch_execute(statements).unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// Ends a worker at once, as when its machine fails.
    pub fn kill(&self, node: u16) {
        self.control(node, &["-m", "immediate", "stop"]);
    }

    pub fn revive(&self, node: u16) {
        let log = self.dir.join(format!("node{node}.log"));
        self.control(node, &["-l", &log.display().to_string(), "start"]);
    }

    fn control(&self, node: u16, arguments: &[&str]) {
        let pg_ctl = PathBuf::from(std::env::var_os(VARIABLE).expect("it is set")).join("pg_ctl");
        let data = self.dir.join(format!("node{node}"));
        let mut command = match nix::unistd::Uid::effective().is_root() {
            true => Command::new("runuser"),
            false => Command::new("env"),
        };
        if nix::unistd::Uid::effective().is_root() {
            command.args(["-u", "postgres", "--"]);
        }
        command.arg(pg_ctl).arg("-D").arg(data).args(["-w", "-s"]).args(arguments).current_dir("/");
        let status = command.stdout(Stdio::null()).status().expect("pg_ctl");
        assert!(status.success(), "{arguments:?} of node {node}");
    }
}

/// A database of one test on every node of the cluster.
pub struct Db {
    citus: &'static Citus,
    name: String,
}

impl Db {
    /// Every migration applied, not yet distributed.
    pub fn migrated(citus: &'static Citus) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        // A node that is added gets the roles, which all databases share.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let db = Self { citus, name: format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed)) };
        for node in 0..3 {
            citus.execute(node, "postgres", &format!("CREATE DATABASE {}", db.name));
            citus.execute(node, &db.name, &format!("CREATE SCHEMA {SCHEMA}; CREATE EXTENSION citus"));
        }
        let [coordinator, first, second] = [0, 1, 2].map(|node| format!("'{}', {}", citus.host(), citus.port_of(node)));
        let nodes = format!(
            "SELECT citus_set_coordinator_host({coordinator}), citus_add_node({first}), citus_add_node({second})"
        );
        citus.execute(0, &db.name, &nodes);
        drop(turn);
        Migrator::default().run(&mut db.conn(), &migrate::Goal::Head).expect("every migration applies");
        db
    }

    /// The documented rows in it too.
    pub fn seeded(citus: &'static Citus) -> Self {
        let db = Self::migrated(citus);
        seed::run(&mut db.conn(), &Layer::ALL, chrono::Utc::now()).expect("every layer is seeded");
        db
    }

    pub fn url(&self) -> String {
        format!("{}&options=-csearch_path%3D{SCHEMA}", self.citus.url(0, &self.name))
    }

    pub fn conn(&self) -> PgConnection {
        connection::connect(&Target::parse(&self.url()).expect("our own URL"), "test").expect("a connection")
    }

    pub fn dbctl(&self) -> Dbctl {
        Dbctl::new().env("DATABASE_URL", &self.url())
    }

    /// Brings the tables to a goal.
    pub fn bring(&self, goal: Goal) -> Plan {
        cluster::run(&mut self.conn(), goal, Duration::from_secs(60), |_| ()).expect("the goal is reached")
    }

    /// The rows of the hot tables, in all their columns.
    pub fn rows(&self) -> Vec<String> {
        crate::partitions::rows(&mut self.conn())
    }

    pub fn text(&self, query: &str) -> String {
        text(&mut self.conn(), query)
    }

    pub fn execute(&self, statements: &str) {
        self.conn().batch_execute(statements).unwrap_or_else(|error| panic!("{statements}: {error}"));
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        // It goes with the cluster anyway; a panic here would hide the test's own.
        for node in 0..3 {
            let target = Target::parse(&self.citus.url(node, &self.name)).expect("our own URL");
            if let Err(error) = database::drop(&target, true) {
                eprintln!("the database of a test stays: {error}");
            }
        }
    }
}
