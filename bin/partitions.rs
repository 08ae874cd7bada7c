//! `partitions`: plan, enable, disable, status, maintain.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Subcommand, ValueEnum};
use optiinfra_db::catalog::{HotTable, PartitionSize};
use optiinfra_db::partitions::{self, Event, Goal, LeftAlone, Period, Plan, Status};
use serde::Serialize;

use crate::args::{Global, LockWait};
use crate::exit::Exit;
use crate::output::{Output, Table, plural};
use crate::{parse, target};

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show the SQL that would run, step by step, with the locks that it takes. Writes nothing.
    Plan {
        #[command(flatten)]
        tables: Tables,
        /// What to plan.
        #[arg(long = "for", value_enum, default_value_t = Verb::Enable)]
        verb: Verb,
        #[command(flatten)]
        shape: Shape,
    },
    /// Partition tables by time, beside readers and writers. An interrupted run is finished by the next one.
    ///
    /// The table becomes the first partition, without a copy. Its primary key becomes the id together with the time: two
    /// rows of different times may have the same id from then on.
    Enable {
        #[command(flatten)]
        tables: Tables,
        #[command(flatten)]
        shape: Shape,
        #[command(flatten)]
        lock: LockWait,
    },
    /// Make partitioned tables plain again, beside readers and writers. An interrupted run is finished by the next one.
    ///
    /// Every row is copied, so the disk has to hold the table twice for a while, and each write costs twice as much.
    Disable {
        #[command(flatten)]
        tables: Tables,
        #[command(flatten)]
        lock: LockWait,
    },
    /// Show which tables are partitioned, their partitions with their sizes, and until when partitions are ready.
    Status {
        #[command(flatten)]
        tables: Tables,
    },
    /// Make the partitions of the time to come, and move rows of that time out of the default partition. For a timer.
    ///
    /// Any number of replicas may run it at once. It does nothing to tables that are not partitioned, and to those that
    /// pg_partman manages.
    Maintain {
        #[command(flatten)]
        tables: Tables,
        #[command(flatten)]
        ahead: Ahead,
        #[command(flatten)]
        lock: LockWait,
    },
}

#[derive(Debug, clap::Args)]
pub struct Tables {
    /// Names of tables: resource_metrics, agent_metrics, events, quality_metrics [default: all but quality_metrics, whose
    /// request_id is unique within a partition only; status and maintain: all]
    #[arg(value_name = "TABLE")]
    names: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct Shape {
    /// How long a partition is, in UTC: few long ones plan faster, many short ones go away sooner.
    #[arg(long, value_enum, default_value_t = Length::Week)]
    by: Length,
    #[command(flatten)]
    ahead: Ahead,
}

#[derive(Debug, clap::Args)]
pub struct Ahead {
    /// For how long from now partitions are made.
    #[arg(long, value_name = "DURATION", default_value = "14d", allow_negative_numbers = true, value_parser = parse::days_ahead)]
    ahead: Duration,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Verb {
    Enable,
    Disable,
    Maintain,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Length {
    Day,
    /// From Monday.
    Week,
    Month,
}

impl Ahead {
    fn time(&self) -> TimeDelta {
        TimeDelta::from_std(self.ahead).unwrap_or(TimeDelta::MAX)
    }
}

impl Shape {
    fn goal(&self) -> Goal {
        let period = match self.by {
            Length::Day => Period::Day,
            Length::Week => Period::Week,
            Length::Month => Period::Month,
        };
        Goal::Enabled { period, ahead: self.ahead.time() }
    }
}

impl Tables {
    fn chosen(&self, is_any: bool) -> anyhow::Result<Vec<&'static HotTable>> {
        if is_any && self.names.is_empty() {
            return Ok(optiinfra_db::catalog::HOT_TABLES.iter().collect());
        }
        Ok(partitions::tables(&self.names).map_err(optiinfra_db::Error::from)?)
    }
}

/// Runs a subcommand.
pub fn run(action: &Action, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    match action {
        Action::Plan { tables, verb, shape } => {
            let goal = match verb {
                Verb::Enable => shape.goal(),
                Verb::Disable => Goal::Disabled,
                Verb::Maintain => Goal::Maintained { ahead: shape.ahead.time() },
            };
            let tables = tables.chosen(matches!(goal, Goal::Maintained { .. }))?;
            let plan = partitions::plan(&mut target::connect_read_only(global, out, "partitions")?, &tables, goal)?;
            out.text(&plan, &plan.script())?;
        }
        Action::Enable { tables, shape, lock } => {
            let tables = tables.chosen(false)?;
            for table in &tables {
                out.note(&format!(
                    "{}: the primary key becomes (id, {}), the names of the partitions begin with {0}_",
                    table.name, table.time
                ))?;
                if table.only_by_name {
                    out.note(&format!("{}: its other keys hold for rows of one time only too", table.name))?;
                }
            }
            go(&tables, shape.goal(), lock.lock_wait, global, out)?;
        }
        Action::Disable { tables, lock } => {
            let tables = tables.chosen(false)?;
            go(&tables, Goal::Disabled, lock.lock_wait, global, out)?;
        }
        Action::Status { tables } => {
            let tables = tables.chosen(true)?;
            let found = partitions::status(&mut target::connect_read_only(global, out, "partitions")?, &tables)?;
            status(&found, out)?;
        }
        Action::Maintain { tables, ahead, lock } => {
            let goal = Goal::Maintained { ahead: ahead.time() };
            go(&tables.chosen(true)?, goal, lock.lock_wait, global, out)?;
        }
    }
    Ok(Exit::Done)
}

fn go(
    tables: &[&'static HotTable],
    goal: Goal,
    wait: Duration,
    global: &Global,
    out: &mut Output,
) -> anyhow::Result<()> {
    let mut conn = target::connect_directly(global, out, "partitions")?;
    let progress = out.progress();
    let plan = partitions::run(&mut conn, tables, goal, wait, |event| match event {
        Event::Begin(table, does, number, of) => progress.doing(&format!("{table} {number}/{of}: {does}")),
        Event::Blocked(table) => progress.note(&format!("{table} waits for a lock and will be tried again")),
    })?;
    drop(progress);
    done(&plan, out)
}

fn done(plan: &Plan, out: &mut Output) -> anyhow::Result<()> {
    let mut steps = Table::new(&["table", "done"]);
    for table in &plan.tables {
        for step in &table.steps {
            steps.row([table.table, &step.does]);
        }
        if let Some(reason) = table.left_alone.filter(|reason| *reason != LeftAlone::Plain) {
            out.note(&format!("{} is left alone: {}", table.table, reason.as_str()))?;
        }
        if table.stay_in_default > 0 {
            out.note(&format!(
                "{} rows of {} stay in the default partition: their times are before the oldest partition or far ahead",
                table.stay_in_default, table.table
            ))?;
        }
    }
    let count: usize = plan.tables.iter().map(|table| table.steps.len()).sum();
    let summary = match count {
        0 => "nothing to do".to_owned(),
        count => format!("{} done", plural(count as u64, "step", "steps")),
    };
    out.result(plan, &[steps.titled(&summary)])
}

fn status(found: &[Status], out: &mut Output) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Shown<'a> {
        tables: &'a [Status],
    }
    let mut shapes = Table::new(&["table", "shape", "partitions", "ready until"]);
    let mut partitions = Table::new(&["partition", "from", "to", "rows, estimated", "size"]);
    for table in found {
        let shape = match (table.partitioned, table.period) {
            _ if table.managed_by_partman => "managed by pg_partman".to_owned(),
            (false, _) => "plain".to_owned(),
            (true, Some(period)) => format!("partitioned by {period}"),
            (true, None) => "partitioned".to_owned(),
        };
        let ready = table.ready_until.map(day).unwrap_or_default();
        shapes.row([table.table.to_owned(), shape, table.partitions.len().to_string(), ready]);
        for partition in &table.partitions {
            partitions.row(row(partition));
        }
    }
    let mut tables = vec![shapes];
    if found.iter().any(|table| !table.partitions.is_empty()) {
        tables.push(partitions);
    }
    out.result(&Shown { tables: found }, &tables)
}

fn row(partition: &PartitionSize) -> [String; 5] {
    let bound = |time: Option<DateTime<Utc>>| match time {
        Some(time) => day(time),
        None if partition.default => "all other rows".to_owned(),
        None => String::new(),
    };
    let rows = partition.rows.map(|rows| rows.to_string()).unwrap_or_default();
    [partition.name.clone(), bound(partition.from), bound(partition.to), rows, crate::output::bytes(partition.bytes)]
}

fn day(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d").to_string()
}
