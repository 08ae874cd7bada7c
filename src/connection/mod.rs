//! Where the database is and how to connect to it, alone or through a pool.
//!
//! A [`Target`] holds a secret: it is parsed here and not by libpq, because libpq repeats parts of a malformed
//! string in its messages; it prints itself without the password, and what libpq says about a refused connection
//! is scrubbed of it. Nothing here decides which database to use: that is the caller's.

mod check;
mod error;
mod parse;
mod pool;
mod refusal;
mod service_file;
mod session;
mod target;
mod tls;

use diesel::pg::PgConnection;
use diesel::prelude::*;

pub use error::{Error, Result};
pub use parse::Malformed;
#[cfg(feature = "ingest")]
pub(crate) use pool::take;
pub use pool::{Manager, POOL_TIMEOUT, Pool, PoolBuilder, pool};
pub use refusal::Refusal;
pub(crate) use session::DEATH_CHECK;
#[cfg(feature = "doctor")]
pub(crate) use session::settings;
pub use session::{Session, forbid_writing, session};
pub use target::{Source, Target};
pub use tls::{SSL_MODES, Weakness};

/// A cause of which only the text is left, because the original might hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Message(pub String);

/// Opens one connection. `application` is the name that the server's administrator sees, unless the target, the
/// service file or `PGAPPNAME` names another.
///
/// Whether the way there is protected is the caller's to ask: [`Target::weakness`], [`Target::require_tls`].
///
/// # Errors
///
/// [`Error::NoDatabaseName`] when nothing names the database, [`Error::UnknownSslMode`], and [`Error::Connect`] when the
/// server cannot be reached or refuses, within 10 seconds unless the target says otherwise.
pub fn connect(target: &Target, application: &str) -> Result<PgConnection> {
    establish(&target.prepared(application, "10")?).map(|(conn, _)| conn)
}

/// Connects, and returns also the target that worked.
fn establish(target: &Target) -> Result<(PgConnection, Target)> {
    let (mut conn, target) = open(target)?;
    session::settle(&mut conn).map_err(|source| Error::Session { doing: "prepare the session", source })?;
    Ok((conn, target))
}

fn open(target: &Target) -> Result<(PgConnection, Target)> {
    let wanted = target.with_session_settings();
    let refused = match PgConnection::establish(&wanted.conninfo()) {
        Ok(conn) => return Ok((conn, wanted)),
        Err(error) => error.to_string(),
    };
    if session::refused_settings(&refused) {
        tracing::debug!("connecting without start-up options");
        if let Ok(conn) = PgConnection::establish(&target.conninfo()) {
            return Ok((conn, target.clone()));
        }
    }
    let refusal = Refusal::of(target, &refused);
    Err(Error::Connect { target: Box::new(target.clone()), refusal, source: target.scrub(&refused) })
}
