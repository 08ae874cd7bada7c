//! Hot tables in partitions by time, and back: planned, done beside readers and writers, kept ready for the rows to come.
//!
//! A plan is a list of steps. Each is found by looking at what is there, so a run that was interrupted anywhere is finished
//! by the next one; what a plan prints is what a run runs. The shape is a choice of whoever runs the database and no part
//! of the migrations: [`crate::catalog::Catalog::in_shape_of`] says what the schema is then.

mod create;
mod disable;
mod enable;
mod error;
mod facts;
mod maintain;
mod objects;
mod period;
mod run;
mod status;
mod step;
#[cfg(feature = "ingest")]
mod whole;

use std::time::Duration;

use chrono::TimeDelta;
use diesel::pg::PgConnection;

pub use self::error::Error;
#[cfg(feature = "cluster")]
pub(crate) use self::facts::Facts;
pub(crate) use self::facts::{Live, managed_by_partman};
pub use self::period::{Period, UnknownPeriod};
pub use self::run::Event;
pub use self::status::Status;
pub use self::step::{LeftAlone, Plan, Step, TablePlan};
#[cfg(feature = "ingest")]
pub(crate) use self::whole::{Occupied, Partitioned, Place, exists};
#[cfg(feature = "cluster")]
pub(crate) use self::{objects::key_word, step::SHARE_UPDATE_EXCLUSIVE};
#[cfg(any(feature = "cluster", feature = "retention"))]
pub(crate) use self::{
    run::steps as run_steps,
    step::{ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE},
};
use crate::catalog::{HOT_TABLES, HotTable};
use crate::error::Result;
use crate::migrate::Migrator;

/// What is to become of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Partitioned by periods, with partitions for rows until so long from now.
    Enabled {
        /// How long a partition is.
        period: Period,
        /// For how long from now partitions are made.
        ahead: TimeDelta,
    },
    /// Plain.
    Disabled,
    /// As they are; those that are partitioned with partitions for rows until so long from now, and the rows of that time
    /// out of the default partition. A table that pg_partman manages is left alone.
    Maintained {
        /// For how long from now partitions are made.
        ahead: TimeDelta,
    },
}

/// The tables of these names; without any name those that are partitioned unless somebody says otherwise.
///
/// # Errors
///
/// [`Error::UnknownTable`] for a name of another table.
pub fn tables(names: &[String]) -> Result<Vec<&'static HotTable>, Error> {
    if names.is_empty() {
        return Ok(HOT_TABLES.iter().filter(|table| !table.only_by_name).collect());
    }
    let mut tables = Vec::new();
    for name in names {
        let table = HotTable::named(name).ok_or_else(|| Error::UnknownTable(name.clone()))?;
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    Ok(tables)
}

/// For how long from now partitions are made unless told otherwise.
const AHEAD: TimeDelta = TimeDelta::days(14);

/// Makes the partitions of the next two weeks for the tables that are partitioned, and moves rows of that time out of the
/// default partition: what a service may ask for as the [`upkeep`](crate::migrate::StartupPolicy::upkeep) when it starts.
///
/// # Errors
///
/// As [`run`].
pub fn keep_ready(conn: &mut PgConnection, lock_wait: Duration) -> Result<()> {
    let tables: Vec<_> = HOT_TABLES.iter().collect();
    run(conn, &tables, Goal::Maintained { ahead: AHEAD }, lock_wait, |_| ()).map(drop)
}

/// Reads the shape of the tables. Writes nothing.
///
/// # Errors
///
/// [`crate::Error::Query`] when the catalog cannot be read.
pub fn status(conn: &mut PgConnection, tables: &[&'static HotTable]) -> Result<Vec<Status>> {
    status::read(conn, tables)
}

/// What [`run`] would do. Writes nothing. Of tables that are maintained and ready, it takes three queries, whatever their
/// number.
///
/// # Errors
///
/// Those of [`Error`] that say why a table cannot change its shape, and [`crate::Error::Query`].
pub fn plan(conn: &mut PgConnection, tables: &[&'static HotTable], goal: Goal) -> Result<Plan> {
    let live = Live::read(conn)?;
    let managed = managed_by_partman(conn, &live)?;
    let leftovers = match goal {
        Goal::Maintained { ahead } => maintain::leftovers(conn, &live, tables, ahead)?,
        _ => Vec::new(),
    };
    let plan = |hot: &&'static HotTable| {
        let plan = |period, steps| TablePlan { table: hot.name, period, left_alone: None, stay_in_default: 0, steps };
        if managed.iter().any(|name| name == hot.name) {
            return match goal {
                Goal::Maintained { .. } => {
                    let left_alone = Some(LeftAlone::Partman);
                    Ok(TablePlan { left_alone, ..plan(live.period(hot), Vec::new()) })
                }
                _ => Err(Error::Partman(hot.name).into()),
            };
        }
        let changes_shape = match goal {
            Goal::Enabled { .. } => !live.catalog.is_partitioned(hot.name),
            Goal::Disabled => live.catalog.is_partitioned(hot.name),
            Goal::Maintained { .. } => false,
        };
        if changes_shape && live.catalog.distribution(hot.name).is_some() {
            return Err(Error::Distributed(hot.name).into());
        }
        Ok(match goal {
            Goal::Enabled { period, ahead } => plan(Some(period), enable::steps(conn, hot, &live, period, ahead)?),
            Goal::Disabled => plan(None, disable::steps(conn, hot, &live)?),
            Goal::Maintained { ahead } => match maintain::steps(conn, hot, &live, &leftovers, ahead)? {
                Some(steps) => {
                    let stay_in_default = maintain::staying(&leftovers, hot);
                    TablePlan { stay_in_default, ..plan(live.period(hot), steps) }
                }
                None => {
                    let is_plain = !live.catalog.is_partitioned(hot.name);
                    let left_alone = Some(if is_plain { LeftAlone::Plain } else { LeftAlone::NoPeriod });
                    TablePlan { left_alone, ..plan(None, Vec::new()) }
                }
            },
        })
    };
    Ok(Plan { tables: tables.iter().map(plan).collect::<Result<_>>()? })
}

/// Brings the tables to the goal, while no migration can run, and returns what was done. A table is finished before the
/// next one begins.
///
/// # Errors
///
/// As [`plan`]; [`crate::migrate::Error::Locked`] when a migration or another such run does not end in time;
/// [`Error::Locked`] and [`Error::Stopped`] when a step cannot be done: those before it stay, and the next run goes on.
pub fn run(
    conn: &mut PgConnection,
    tables: &[&'static HotTable],
    goal: Goal,
    lock_wait: Duration,
    mut observer: impl FnMut(Event<'_>),
) -> Result<Plan> {
    let planned = plan(conn, tables, goal)?;
    if planned.is_empty() {
        return Ok(planned);
    }
    let mut done = Vec::new();
    for of_table in planned.tables {
        let table = HotTable::named(of_table.table).filter(|_| !of_table.steps.is_empty());
        let Some(table) = table else {
            done.push(of_table);
            continue;
        };
        let ran = Migrator::default().lock_wait(lock_wait).under_lock(conn, |conn| {
            // Another run may have changed everything while this one waited.
            let planned = plan(conn, &[table], goal)?;
            for of_table in &planned.tables {
                run::steps(conn, of_table.table, &of_table.steps, lock_wait, &mut observer)?;
            }
            Ok(planned)
        })?;
        done.extend(ran.tables);
    }
    Ok(Plan { tables: done })
}
