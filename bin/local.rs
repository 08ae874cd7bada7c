//! `local`: the private cluster that `--local` uses.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, bail};
use clap::Subcommand;
use optiinfra_db::connection;
use optiinfra_db::layer;
use optiinfra_db::local::{self, Cluster, Snapshot, SnapshotName, Started, Status};
use optiinfra_db::migrate::{Goal, Migrator};
use serde::Serialize;

use crate::args::Confirm;
use crate::exit::Exit;
use crate::hints::Hinted;
use crate::output::{Output, Table, bytes, plural, time};
use crate::test_server;

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Create it where it is missing and start it where it is down.
    Start,
    /// Stop its server. The data stays.
    Stop,
    /// Show what it is doing. Starts nothing.
    Status,
    /// Print its URL, for other programs. Starts nothing.
    Url,
    /// Serve databases for tests, on a server that ends with the input.
    ///
    /// Each line `migrated` or `seeded` of the input makes a database of its own, and is answered with its URL; a line `drop URL` drops
    /// it. The server is not that of --local: its data is in a temporary directory and gone with it. The wheel has a pytest
    /// plugin on top of this.
    TestServer,
    /// Make its database anew, with every migration and no rows.
    Reset {
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Copy its database under a name; with --remove forget such a copy.
    Snapshot {
        /// Letters, digits, - and _.
        name: SnapshotName,
        /// Remove the snapshot of this name.
        #[arg(long)]
        remove: bool,
    },
    /// List the snapshots.
    Snapshots,
    /// Put a snapshot in the place of its database. The snapshot stays.
    Restore {
        /// Name of the snapshot.
        name: SnapshotName,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Open psql on its database: `local psql -- -c 'SELECT 1'`.
    Psql {
        /// Arguments of psql.
        #[arg(last = true, value_name = "ARG")]
        args: Vec<OsString>,
    },
    /// Stop its server and remove all its data.
    Destroy {
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// What a subcommand shows.
#[derive(Serialize)]
struct Shown {
    dir: String,
    url: String,
    #[serde(flatten)]
    status: Status,
}

/// Runs a subcommand.
pub fn run(action: &Action, out: &mut Output) -> anyhow::Result<Exit> {
    let cluster = Cluster::of_user()?;
    match action {
        Action::Start => {
            let did = match cluster.start()? {
                Started::Created => "created and started",
                Started::Started => "started",
                Started::AlreadyRunning => "was running",
            };
            show(&cluster, did, out)?;
        }
        Action::Stop => {
            let did = if cluster.stop()? { "stopped" } else { "was not running" };
            show(&cluster, did, out)?;
        }
        Action::Status => show(&cluster, "", out)?,
        Action::Url => url(&cluster, out)?,
        Action::TestServer => test_server::run(out)?,
        Action::Reset { confirm } => reset(&cluster, confirm, out)?,
        Action::Snapshot { name, remove } => {
            cluster.start()?;
            if *remove {
                cluster.remove_snapshot(name)?;
            } else {
                cluster.snapshot(name)?;
            }
            snapshots(&cluster, out)?;
        }
        Action::Snapshots => {
            cluster.start()?;
            snapshots(&cluster, out)?;
        }
        Action::Restore { name, confirm } => restore(&cluster, name, confirm, out)?,
        Action::Psql { args } => return psql(&cluster, args),
        Action::Destroy { confirm } => destroy(&cluster, confirm, out)?,
    }
    Ok(Exit::Done)
}

fn show(cluster: &Cluster, did: &str, out: &mut Output) -> anyhow::Result<()> {
    let shown = Shown { dir: cluster.dir().display().to_string(), url: cluster.url(), status: cluster.status()? };
    let (state, version, pid) = match &shown.status {
        Status::Absent => ("absent", "", String::new()),
        Status::Stopped { version } => ("stopped", version.as_str(), String::new()),
        Status::Running { version, pid } => ("running", version.as_str(), pid.to_string()),
    };
    let mut table = Table::new(&["local cluster", ""]);
    table.row(["state", if did.is_empty() { state } else { did }]);
    table.row(["PostgreSQL", version]);
    table.row(["process", &pid]);
    table.row(["directory", &shown.dir]);
    if shown.status != Status::Absent {
        table.row(["url", &shown.url]);
    }
    out.result(&shown, &[table])
}

fn url(cluster: &Cluster, out: &mut Output) -> anyhow::Result<()> {
    if cluster.status()? == Status::Absent {
        let message = format!("there is no local cluster in {}", cluster.dir().display());
        bail!(Hinted::new(message, "run `optiinfra-dbctl local start`"));
    }
    out.line(&cluster.url())
}

fn reset(cluster: &Cluster, confirm: &Confirm, out: &mut Output) -> anyhow::Result<()> {
    cluster.start()?;
    confirm_loss(cluster, confirm, "make the database anew", out)?;
    cluster.reset()?;
    let mut conn = connection::connect(&cluster.target(), "optiinfra-dbctl/local")?;
    Migrator::default().run(&mut conn, &Goal::Head)?;
    show(cluster, "running, with a new database", out)
}

fn restore(cluster: &Cluster, name: &SnapshotName, confirm: &Confirm, out: &mut Output) -> anyhow::Result<()> {
    cluster.start()?;
    cluster.require_snapshot(name)?;
    confirm_loss(cluster, confirm, &format!("restore the snapshot {name}"), out)?;
    cluster.restore(name)?;
    show(cluster, &format!("running, with the snapshot {name}"), out)
}

fn confirm_loss(cluster: &Cluster, confirm: &Confirm, what: &str, out: &mut Output) -> anyhow::Result<()> {
    if confirm.yes {
        return Ok(());
    }
    let what = format!("{what} of the local cluster in {} and lose this data", cluster.dir().display());
    out.confirm_with("yes", &contents(cluster)?, &what)
}

fn snapshots(cluster: &Cluster, out: &mut Output) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Shown {
        snapshots: Vec<Snapshot>,
    }
    let snapshots = cluster.snapshots()?;
    let mut table = Table::new(&["snapshot", "made at", "size"]);
    for snapshot in &snapshots {
        table.row([snapshot.name.clone(), time(snapshot.at), bytes(snapshot.bytes)]);
    }
    let count = plural(snapshots.len() as u64, "snapshot", "snapshots");
    out.result(&Shown { snapshots }, &[table.titled(&count)])
}

/// Becomes psql.
fn psql(cluster: &Cluster, args: &[OsString]) -> anyhow::Result<Exit> {
    cluster.start()?;
    let program = local::client_program("psql", local::OLDEST_MAJOR)?;
    let failed = Command::new(&program).arg("--dbname").arg(cluster.url()).args(args).exec();
    Err(failed).with_context(|| format!("cannot run {}", program.display()))
}

fn destroy(cluster: &Cluster, confirm: &Confirm, out: &mut Output) -> anyhow::Result<()> {
    if !cluster.dir().exists() {
        return show(cluster, "was absent", out);
    }
    // Before anything is started or asked.
    cluster.require_ours()?;
    if !confirm.yes && cluster.status()? != Status::Absent {
        let name = cluster.dir().file_name().unwrap_or(cluster.dir().as_os_str()).to_string_lossy();
        let what = format!("destroy the local cluster in {} and lose this data", cluster.dir().display());
        out.confirm_with(&name, &contents(cluster)?, &what)?;
    }
    cluster.destroy()?;
    show(cluster, "destroyed", out)
}

/// The tables of ours in the cluster with their rows.
fn contents(cluster: &Cluster) -> anyhow::Result<Vec<Table>> {
    cluster.start()?;
    let mut conn = connection::connect(&cluster.target(), "optiinfra-dbctl/local")?;
    let mut table = Table::new(&["table", "rows"]);
    for (name, rows) in layer::row_counts(&mut conn)? {
        table.row([name, &rows.to_string()]);
    }
    Ok(vec![table.titled(&cluster.dir().display().to_string())])
}
