//! Where the database is and how to connect to it, alone or through a pool.
//!
//! A [`Target`] holds a secret: it is parsed here and not by libpq, because libpq repeats parts of a malformed
//! string in its messages; it prints itself without the password, and what libpq says about a refused connection
//! is scrubbed of it. Nothing here decides which database to use: that is the caller's.

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

pub use error::{Error, Malformed, Result};
pub(crate) use pool::take;
pub use pool::{Manager, POOL_TIMEOUT, Pool, PoolBuilder, pool};
pub use refusal::Refusal;
pub(crate) use session::DEATH_CHECK;
pub use session::{Session, forbid_writing, session};
pub use target::{Source, Target};
pub use tls::{SSL_MODES, Weakness};

/// A cause of which only the text is left, because the original might hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Message(pub String);

/// When a peer that is gone is given up over TCP: asked after 30 s of silence, then every 10 s, three times; and after
/// a minute in which it acknowledged nothing that was sent (milliseconds).
const TCP_LIMITS: [(&str, &str); 4] = [
    ("keepalives_idle", "30"),
    ("keepalives_interval", "10"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "60000"),
];

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

impl Target {
    /// Checked, with a name for the server's administrator and limits on waiting, where nobody has set them.
    fn prepared(&self, application: &str, connect_timeout: &str) -> Result<Self> {
        self.require_database_name()?;
        self.require_known_ssl_mode()?;
        let limits = TCP_LIMITS.into_iter().chain([("connect_timeout", connect_timeout)]);
        let named = self.clone().or("fallback_application_name", application).with_system_certificates_checked();
        Ok(limits.fold(named, |target, (key, value)| match target.setting(key) {
            Some(_) => target,
            None => target.with(key, value),
        }))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_has_limits_on_waiting_unless_the_target_sets_them() {
        let own = Target::parse("dbname=d keepalives_idle=7 connect_timeout=0 application_name=mine").unwrap();
        let prepared = own.prepared("a name", "10").unwrap();
        for (key, value) in [
            ("keepalives_idle", "7"),
            ("keepalives_interval", "10"),
            ("keepalives_count", "3"),
            ("tcp_user_timeout", "60000"),
            ("connect_timeout", "0"),
            ("application_name", "mine"),
            ("fallback_application_name", "a name"),
        ] {
            assert_eq!(prepared.get(key), Some(value), "{key}");
        }
        let other = Target::parse("dbname=d").unwrap().prepared("a name", "10").unwrap();
        assert_eq!(other.get("connect_timeout"), Some("10"));
    }

    #[test]
    fn a_mode_of_tls_that_libpq_does_not_know_is_refused_before_it_is_asked() {
        for (mode, known) in [("verify", false), ("on", false), ("verify-full", true), ("prefer", true)] {
            let target = Target::parse(&format!("dbname=d sslmode={mode}")).unwrap();
            let error = target.prepared("test", "1").err();
            assert_eq!(matches!(error, Some(Error::UnknownSslMode { .. })), !known, "{mode}");
        }
    }
}
