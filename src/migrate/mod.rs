//! The embedded migrations: what is applied, what is pending, going to a version and back.
//!
//! The history is kept in Diesel's own `__diesel_schema_migrations`, as `diesel_cli` expects it, and in
//! `__optiinfra_migrations`, which also knows how long a migration took, which tool applied it and with what text.
//! One run at a time holds an advisory lock; each migration and its row in the history are one transaction. Looking
//! never writes, not even the history. This module knows no table of ours but their names.
//!
//! A service calls [`ensure_current`] when it starts. Whoever wants to see or stop single steps uses [`Migrator`].
//! [`EMBEDDED`] can also be run by Diesel's own harness, which takes no lock:
//!
//! ```no_run
//! use optiinfra_db::migrate::{self, diesel_migrations::MigrationHarness};
//! # fn f(conn: &mut diesel::PgConnection) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! conn.run_pending_migrations(migrate::Set(migrate::EMBEDDED))?;
//! # Ok(())
//! # }
//! ```

mod edit;
mod error;
mod event;
mod harness;
mod header;
mod history;
mod index;
mod limits;
mod lock;
mod locks;
mod loss;
mod migrator;
mod occupied;
mod plan;
mod pooler;
mod record;
mod resume;
mod retry;
mod route;
mod runner;
mod script;
mod set;
mod sql;
mod startup;
mod status;

use diesel::pg::PgConnection;
pub use diesel_migrations;

pub use self::edit::Repaired;
pub use self::error::Error;
pub use self::event::{Event, Step};
pub use self::harness::Set;
#[cfg(feature = "roles")]
pub(crate) use self::limits::ON_ALL_NODES;
#[cfg(feature = "partitions")]
pub(crate) use self::limits::{Inherited, bounded, set as limit, set_in_transaction as limit_transaction};
#[cfg(feature = "ingest")]
pub(crate) use self::lock::share;
pub use self::locks::Lock;
pub use self::loss::Loss;
pub use self::migrator::{DEFAULT_LOCK_WAIT, Migrator, OnAhead, Report};
pub use self::plan::{Plan, PlannedStatement, PlannedStep};
pub use self::pooler::refuse_pooler;
#[cfg(feature = "partitions")]
pub(crate) use self::retry::{Failure, until_unlocked};
pub use self::route::Goal;
pub use self::set::{Direction, EMBEDDED, Migration};
pub use self::startup::{OnPending, StartupPolicy, Upkeep, ensure_current, is_ready};
pub use self::status::{Applied, Interrupted, Pending, Status, TextState, Unknown};
use crate::error::Result;

/// Reads what is applied and what is pending. Writes nothing and needs no more than SELECT.
///
/// # Errors
///
/// As [`Migrator::status`].
pub fn status(conn: &mut PgConnection) -> Result<Status> {
    Migrator::default().status(conn)
}
