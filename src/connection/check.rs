//! Reads and checks a target before anybody connects to it.

use std::str::FromStr;

use super::error::{Error, Result};
use super::parse;
use super::target::{Setting, Target};
use super::tls::{SSL_MODES, VERIFIED};

/// When a peer that is gone is given up over TCP: asked after 30 s of silence, then every 10 s, three times; and after
/// a minute in which it acknowledged nothing that was sent (milliseconds).
const TCP_LIMITS: [(&str, &str); 4] = [
    ("keepalives_idle", "30"),
    ("keepalives_interval", "10"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "60000"),
];

impl Target {
    /// Reads `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE` or libpq's `key=value` form. SQLAlchemy's
    /// `postgresql+DRIVER://` is taken too.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when the text is neither. Its message never holds a part of the text.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self::of(parse::connection_string(text)?))
    }

    /// Fails when nothing names a database. libpq would take the one that is called like the user.
    ///
    /// # Errors
    ///
    /// [`Error::NoDatabaseName`].
    pub fn require_database_name(&self) -> Result<()> {
        if self.value("dbname").is_some_and(|name| !name.is_empty()) || self.has_unread_service() {
            return Ok(());
        }
        Err(Error::NoDatabaseName { target: self.to_string() })
    }

    /// The target with `sslmode=verify-full`, unless its server is on this machine.
    ///
    /// A mode that nobody named becomes `verify-full`. One that was named and is less is refused and not raised:
    /// whoever wrote it has to know. Encryption by Kerberos, which libpq prefers to TLS, is switched off, because
    /// nobody checks the name of the server there in the same way.
    ///
    /// # Errors
    ///
    /// [`Error::Unprotected`] when the connection string, a service file or a variable names another mode.
    pub fn require_tls(self) -> Result<Self> {
        if self.is_local() {
            return Ok(self);
        }
        if let Some(weakness) = self.weakness().filter(|weakness| weakness.from.is_some()) {
            return Err(Error::Unprotected(weakness));
        }
        Ok(self.with("sslmode", VERIFIED).with("gssencmode", "disable"))
    }

    /// Fails when the mode is none of libpq's. libpq says so too, but only when it connects.
    fn require_known_ssl_mode(&self) -> Result<()> {
        match self.setting("sslmode") {
            Some(Setting { value, from }) if !value.is_empty() && !SSL_MODES.contains(&value.as_str()) => {
                Err(Error::UnknownSslMode { mode: value, from })
            }
            _ => Ok(()),
        }
    }

    /// Checked, with a name for the server's administrator and limits on waiting, where nobody has set them.
    pub(super) fn prepared(&self, application: &str, connect_timeout: &str) -> Result<Self> {
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

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
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

    #[test]
    fn a_database_is_named_or_it_is_an_error() {
        for named in ["postgresql:///d", "dbname=d", "postgresql:///?dbname=d", "service=nowhere servicefile=/nowhere"]
        {
            Target::parse(named).unwrap().require_database_name().unwrap();
        }
        for not in ["postgresql://u@h", "postgresql://u@h/", "host=h user=u", "dbname=''"] {
            let error = Target::parse(not).unwrap().require_database_name().unwrap_err();
            assert!(matches!(error, Error::NoDatabaseName { .. }), "{not}");
        }
    }
}
