//! A pool of connections, for services.

use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::r2d2::{ConnectionManager, ManageConnection};
use diesel::result::ConnectionError;

use super::error::Result;
use super::{Message, Target, establish, session};
use crate::raw::RunSql;

/// A pool of connections, as [`pool`] makes it.
pub type Pool = r2d2::Pool<Manager>;

/// How long a [`pool`] waits for a connection before it gives up, unless it is told otherwise.
pub const POOL_TIMEOUT: Duration = Duration::from_secs(5);

/// What a session may be left with by whoever had it before, and must not be: the customer whom it works for, a role that
/// it took on, and temporary tables. Customer and role become what the connection string says, in general nobody and the
/// user. A transaction left open is Diesel's to notice.
const FORGET: &str = "RESET app.customer_id; RESET ROLE; DISCARD TEMP";

/// Makes a pool of connections: `pool(&target, "my-service").max_size(8).build()?`. The name is the one that the server's
/// administrator sees, unless the target, the service file or `PGAPPNAME` names another.
///
/// It has at most `max_size` connections, 8 by default, and keeps none open without need. A connection is waited for at
/// most `timeout`, by default [`POOL_TIMEOUT`]. One is opened and closed at once, to report a server that cannot be
/// reached. Where the way to the server is not protected ([`Target::weakness`]), that is logged as a warning.
///
/// # Errors
///
/// What [`connect`](super::connect) fails with, and [`Error::Pool`](super::Error::Pool) when the pool cannot be made.
#[bon::builder(finish_fn = build)]
pub fn pool(
    #[builder(start_fn)] target: &Target,
    #[builder(start_fn)] application: &str,
    #[builder(default = 8)] max_size: u32,
    #[builder(default = POOL_TIMEOUT)] timeout: Duration,
) -> Result<Pool> {
    if let Some(weakness) = target.weakness() {
        tracing::warn!("{weakness}");
    }
    // Opened outside the pool, because the pool would retry a refused connection until its time is up.
    let (_, target) = establish(&target.prepared(application, "5")?)?;
    Ok(r2d2::Pool::builder()
        .max_size(max_size)
        .min_idle(Some(0))
        .connection_timeout(timeout)
        .error_handler(Box::new(Log(target.clone())))
        .build(Manager::new(target))?)
}

/// A connection of a pool, until the value goes.
///
/// # Errors
///
/// [`Error::Pool`](super::Error::Pool) when none is free within the pool's time, or a new one is refused.
#[cfg(feature = "ingest")]
pub(crate) fn take(pool: &Pool) -> Result<r2d2::PooledConnection<Manager>> {
    Ok(pool.get()?)
}

/// Makes the connections of a [`Pool`], and sees to it that whoever gets one finds nothing of whoever had it before.
/// What it says of a refused connection holds no secret, for the pool passes it on as it is.
#[derive(Debug)]
pub struct Manager {
    target: Target,
    connections: ConnectionManager<PgConnection>,
}

impl Manager {
    fn new(target: Target) -> Self {
        let connections = ConnectionManager::new(target.conninfo());
        Self { target, connections }
    }
}

impl ManageConnection for Manager {
    type Connection = PgConnection;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<PgConnection, Self::Error> {
        let mut conn = self.connections.connect().map_err(|error| {
            let Message(scrubbed) = self.target.scrub(&error.to_string());
            diesel::r2d2::Error::ConnectionError(ConnectionError::BadConnection(scrubbed))
        })?;
        session::settle(&mut conn).map_err(diesel::r2d2::Error::QueryError)?;
        Ok(conn)
    }

    /// Runs whenever a connection is handed out, so it costs no more than the question whether it lives.
    fn is_valid(&self, conn: &mut PgConnection) -> Result<(), Self::Error> {
        conn.batch(FORGET).map_err(diesel::r2d2::Error::QueryError)
    }

    fn has_broken(&self, conn: &mut PgConnection) -> bool {
        self.connections.has_broken(conn)
    }
}

/// Logs what goes wrong in the pool of this target.
#[derive(Debug)]
struct Log(Target);

impl<E: std::error::Error> r2d2::HandleError<E> for Log {
    fn handle_error(&self, error: E) {
        tracing::warn!(target = %self.0, %error, "a pooled connection failed");
    }
}
