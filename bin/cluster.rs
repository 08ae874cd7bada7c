//! `cluster`: plan, enable, disable, status, add-worker, rebalance, isolate.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use optiinfra_db::cluster::{self, Goal, Operation, Plan, Status};
use optiinfra_db::partitions::Event;
use uuid::Uuid;

use crate::args::{Global, LockWait};
use crate::exit::Exit;
use crate::output::{Output, Table, bytes, plural};
use crate::{parse, target};

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show the SQL that would run, step by step, with what it changes and the locks that it takes. Writes nothing.
    Plan {
        /// What to plan.
        #[arg(long = "for", value_enum, default_value_t = Verb::Enable)]
        verb: Verb,
        #[command(flatten)]
        shards: Shards,
    },
    /// Distribute the hot tables over the workers, beside readers and writers. An interrupted run is finished by the next one.
    ///
    /// Rows of resource_metrics, quality_metrics and events go where their customer's rows are, those of agent_metrics where
    /// their agent's are. All other tables stay on the coordinator. Keys get the column that rows are distributed by, and
    /// triggers do what foreign keys of these tables did: `cluster plan` shows all of it.
    Enable {
        #[command(flatten)]
        shards: Shards,
        #[command(flatten)]
        lock: LockWait,
    },
    /// Bring the tables back to one server, with all keys and foreign keys. An interrupted run is finished by the next one.
    ///
    /// Readers and writers of a table wait while its rows return.
    Disable {
        #[command(flatten)]
        lock: LockWait,
    },
    /// Show the nodes, and where the tables' rows are.
    Status,
    /// Add a worker that runs already; `rebalance` gives it shards.
    AddWorker {
        /// Its address.
        #[arg(value_name = "HOST:PORT", value_parser = parse::host_and_port)]
        node: (String, u16),
        #[command(flatten)]
        dry: Dry,
    },
    /// Move shards until all workers have as much, beside readers and writers. It goes on when this is interrupted; the next
    /// run waits for its end.
    Rebalance {
        #[command(flatten)]
        dry: Dry,
    },
    /// Give the rows of a customer shards of their own, beside readers and writers.
    Isolate {
        /// The customer's id.
        customer: Uuid,
        #[command(flatten)]
        dry: Dry,
    },
}

#[derive(Debug, clap::Args)]
pub struct Shards {
    /// How many parts each table gets [default: four for each worker, 8 to 16].
    #[arg(long, value_name = "N", value_parser = parse::whole::<u32>(1, 1024))]
    shards: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub struct Dry {
    /// Show what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Verb {
    Enable,
    Disable,
}

/// Runs a subcommand.
pub fn run(action: &Action, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    match action {
        Action::Plan { verb, shards } => {
            let goal = match verb {
                Verb::Enable => Goal::Enabled { shards: shards.shards },
                Verb::Disable => Goal::Disabled,
            };
            let plan = cluster::plan(&mut target::connect_read_only(global, out, "cluster")?, goal)?;
            out.text(&plan, &plan.script())?;
        }
        Action::Enable { shards, lock } => {
            change(Goal::Enabled { shards: shards.shards }, lock.lock_wait, global, out)?;
        }
        Action::Disable { lock } => change(Goal::Disabled, lock.lock_wait, global, out)?,
        Action::Status => {
            let found = cluster::status(&mut target::connect_read_only(global, out, "cluster")?)?;
            status(&found, out)?;
        }
        Action::AddWorker { node: (host, port), dry } => {
            let mut conn = target::connect_directly(global, out, "cluster")?;
            operated(&cluster::add_worker(&mut conn, host, *port, dry.dry_run)?, dry, out)?;
        }
        Action::Rebalance { dry } => {
            let mut conn = target::connect_directly(global, out, "cluster")?;
            let progress = out.progress();
            let done = cluster::rebalance(&mut conn, dry.dry_run, |at| {
                progress.doing(&format!("move {} of {}", at.done, at.of));
            });
            drop(progress);
            operated(&done?, dry, out)?;
        }
        Action::Isolate { customer, dry } => {
            let mut conn = target::connect_directly(global, out, "cluster")?;
            operated(&cluster::isolate(&mut conn, *customer, dry.dry_run)?, dry, out)?;
        }
    }
    Ok(Exit::Done)
}

fn change(goal: Goal, wait: Duration, global: &Global, out: &mut Output) -> anyhow::Result<()> {
    let mut conn = target::connect_directly(global, out, "cluster")?;
    let progress = out.progress();
    let plan = cluster::run(&mut conn, goal, wait, |event| match event {
        Event::Begin(table, does, number, of) => progress.doing(&format!("{table} {number}/{of}: {does}")),
        Event::Blocked(table) => progress.note(&format!("{table} waits for a lock and will be tried again")),
    });
    drop(progress);
    changed(&plan?, out)
}

fn changed(plan: &Plan, out: &mut Output) -> anyhow::Result<()> {
    let mut steps = Table::new(&["table", "done"]);
    for table in &plan.steps.tables {
        for step in &table.steps {
            steps.row([table.table, &step.does]);
        }
    }
    let count: usize = plan.steps.tables.iter().map(|table| table.steps.len()).sum();
    let summary = match count {
        0 => "nothing to do".to_owned(),
        count => format!("{} done", plural(count as u64, "step", "steps")),
    };
    out.result(plan, &[steps.titled(&summary)])
}

fn operated(operation: &Operation, dry: &Dry, out: &mut Output) -> anyhow::Result<()> {
    let mut moves = Table::new(&["table", "shard", "from", "to", "size"]);
    for it in &operation.moves {
        moves.row([&it.table, &it.shard.to_string(), &it.from, &it.to, &bytes(it.bytes)]);
    }
    let summary = match (operation.statements.is_empty(), dry.dry_run) {
        (true, _) => "nothing to do".to_owned(),
        (false, true) => format!("would {}", operation.does),
        (false, false) => format!("done: {}", operation.does),
    };
    out.result(operation, &[moves.titled(&summary)])
}

fn status(found: &Status, out: &mut Output) -> anyhow::Result<()> {
    let mut nodes = Table::new(&["node", "role", "state", "shards", "size"]);
    for node in &found.nodes {
        let role = if node.coordinator { "coordinator" } else { "worker" };
        let state = if node.active { "in use" } else { "not in use" };
        nodes.row([&node.node, role, state, &node.shards.to_string(), &bytes(node.bytes)]);
    }
    let mut tables = Table::new(&["table", "distributed by", "shards", "size", "largest to mean"]);
    for table in &found.tables {
        let by = table.distributed_by.as_deref().unwrap_or("on the coordinator");
        let skew = table.skew_percent.map(|percent| format!("{percent} %")).unwrap_or_default();
        tables.row([table.table, by, &table.shards.to_string(), &bytes(table.bytes), &skew]);
    }
    if found.shards.is_some() && !found.done {
        out.note("the change to distributed tables was interrupted: `cluster enable` finishes it, `cluster disable` undoes it")?;
    }
    if found.moves > 0 {
        out.note(&format!("{} would be moved by `cluster rebalance`", plural(found.moves as u64, "shard", "shards")))?;
    }
    out.result(found, &[nodes, tables])
}
