//! The hot tables spread over the nodes of a Citus cluster, and back; workers added, shards moved.
//!
//! As [`partitions`] does, it looks at what is there and plans the steps that are left: an interrupted run
//! is finished by the next one, and what a plan prints is what a run runs. [`crate::catalog::Catalog::distributed`] says what
//! the schema is then. All other tables stay as they are, on the coordinator.

mod disable;
mod enable;
mod error;
mod facts;
mod obstacles;
mod operations;
mod plan;
mod shape;
mod status;

use std::time::Duration;

use diesel::pg::PgConnection;

pub use self::error::Error;
use self::facts::State;
pub use self::operations::{Move, Operation, Progress, add_worker, isolate, rebalance};
pub use self::plan::{Change, Plan};
pub use self::status::{NodeStatus, Status, TableStatus, status};
use crate::error::Result;
use crate::migrate::{self, Migrator};
use crate::partitions::{self, Event, TablePlan, run_steps};

/// What is to become of the hot tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Distributed, in so many shards each; as many as suit the workers where it is not said.
    Enabled {
        /// How many.
        shards: Option<u32>,
    },
    /// On one server.
    Disabled,
}

/// What [`run`] would do. Writes nothing.
///
/// # Errors
///
/// Those of [`Error`] that say why the tables cannot change their shape, [`migrate::Error::Behind`] where a migration is
/// pending, and [`crate::Error::Query`].
pub fn plan(conn: &mut PgConnection, goal: Goal) -> Result<Plan> {
    migrate::status(conn)?.require_current()?;
    let state = State::read(conn)?;
    let recorded = state.topology.and_then(|topology| u32::try_from(topology.shards).ok());
    let wanted = if let Goal::Enabled { shards } = goal { shards } else { None };
    if let (Some(found), Some(wanted)) = (recorded, wanted)
        && found != wanted
    {
        return Err(Error::OtherShards { found }.into());
    }
    let shards = recorded.or(wanted).unwrap_or_else(|| enable::default_shards(state.workers()));
    let [whole, distributed] = [false, true].map(|is_distributed| shape::target(&state.live, is_distributed));
    let (steps, changes) = match goal {
        Goal::Enabled { .. } => (enable::steps(&state, &distributed, shards)?, plan::changes(&whole, &distributed)),
        Goal::Disabled => (disable::steps(conn, &state, &whole)?, plan::changes(&distributed, &whole)),
    };
    let mut tables: Vec<TablePlan> = Vec::new();
    for (table, step) in steps {
        match tables.last_mut().filter(|last| last.table == table) {
            Some(last) => last.steps.push(step),
            None => tables.push(TablePlan::of(table, vec![step])),
        }
    }
    Ok(Plan { shards, workers: state.workers(), changes, steps: partitions::Plan { tables } })
}

/// Brings the tables to the goal, while no migration can run, and returns what was done.
///
/// # Errors
///
/// As [`plan`]; [`migrate::Error::Locked`] when a migration or another such run does not end in time;
/// [`partitions::Error::Locked`] and [`partitions::Error::Stopped`] when a step cannot be done: those before it stay, and the
/// next run goes on.
pub fn run(
    conn: &mut PgConnection,
    goal: Goal,
    lock_wait: Duration,
    mut observer: impl FnMut(Event<'_>),
) -> Result<Plan> {
    Migrator::default().lock_wait(lock_wait).under_lock(conn, |conn| {
        let planned = plan(conn, goal)?;
        for of_table in &planned.steps.tables {
            run_steps(conn, of_table.table, &of_table.steps, lock_wait, &mut observer)?;
        }
        Ok(planned)
    })
}
