//! What a service does about the schema when it starts, and whether it is ready.

use std::time::{Duration, Instant};

use diesel::pg::PgConnection;

use super::history;
use super::migrator::{DEFAULT_LOCK_WAIT, Migrator, OnAhead, Report};
use super::route::Goal;
use super::set::{EMBEDDED, Migration};
use crate::deadline::Deadline;
use crate::error::Result;

const POLL: Duration = Duration::from_millis(100);

/// What a service does about the schema when it starts.
#[derive(Debug, Clone)]
pub struct StartupPolicy {
    /// What to do about pending migrations.
    pub pending: OnPending,
    /// What to do about applied migrations that this build does not know.
    pub ahead: OnAhead,
    /// How long to wait for a peer that migrates, and for locked tables.
    pub wait: Duration,
    /// What else to do once the schema is current, such as [`partitions::keep_ready`](crate::partitions::keep_ready).
    pub upkeep: Option<Upkeep>,
}

/// Work on a schema that is current, which may wait for so long for locks.
pub type Upkeep = fn(&mut PgConnection, Duration) -> Result<()>;

impl Default for StartupPolicy {
    fn default() -> Self {
        Self { pending: OnPending::Apply, ahead: OnAhead::AcceptCompatible, wait: DEFAULT_LOCK_WAIT, upkeep: None }
    }
}

/// What to do about pending migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPending {
    /// Apply them, or wait for the peer that does.
    Apply,
    /// Wait for somebody else to apply them.
    Wait,
    /// Refuse to start.
    Refuse,
}

/// Brings the schema to what this build needs, or says why that cannot be.
///
/// When nothing is pending, that is two SELECTs: no lock, no write, and a role that may only SELECT can do it on a
/// read-only session. Of several services that find something pending one applies it while the others wait.
///
/// Upkeep that fails is logged as an error and does not keep the service from starting: it is done days ahead.
///
/// # Errors
///
/// [`Error::Ahead`](super::Error::Ahead) for unknown migrations that the policy does not accept,
/// [`Error::Behind`](super::Error::Behind) when something is pending and the policy does not apply it,
/// [`Error::Locked`](super::Error::Locked) when the time is up, and else as [`Migrator::run`].
pub fn ensure_current(conn: &mut PgConnection, policy: &StartupPolicy) -> Result<Report> {
    ensure(conn, EMBEDDED, policy)
}

/// [`ensure_current`] for any set of migrations.
fn ensure(conn: &mut PgConnection, set: &[Migration], policy: &StartupPolicy) -> Result<Report> {
    let begin = Instant::now();
    match policy.pending {
        OnPending::Apply => {}
        OnPending::Wait => wait_for_peer(conn, set, policy.wait)?,
        OnPending::Refuse => history::status(conn, set)?.require_applied()?,
    }
    let report = Migrator::default().set(set).lock_wait(policy.wait).ahead(policy.ahead).run(conn, &Goal::Head)?;
    tracing::info!(
        applied = report.steps.len(),
        head = report.head,
        seconds = begin.elapsed().as_secs_f64(),
        "the database schema is current"
    );
    if let Some(upkeep) = policy.upkeep
        && let Err(error) = upkeep(conn, policy.wait)
    {
        tracing::error!(error = &error as &dyn std::error::Error, "the upkeep of the tables failed");
    }
    Ok(report)
}

/// Whether everything that this build needs is applied, in two SELECTs.
///
/// It stays true on a replica while a peer of a newer build migrates: unknown migrations do not make it false.
///
/// # Errors
///
/// [`Error::Query`](crate::Error::Query) when the history cannot be read.
pub fn is_ready(conn: &mut PgConnection) -> Result<bool> {
    Ok(history::status(conn, EMBEDDED)?.pending.is_empty())
}

fn wait_for_peer(conn: &mut PgConnection, set: &[Migration], wait: Duration) -> Result<()> {
    let deadline = Deadline::after(wait);
    loop {
        let status = history::status(conn, set)?;
        if status.pending.is_empty() {
            return Ok(());
        }
        if deadline.has_passed() {
            return status.require_applied();
        }
        std::thread::sleep(POLL.min(deadline.left()));
    }
}
