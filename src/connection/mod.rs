//! Where the database is and how to connect to it, alone or through a pool.
//!
//! A [`Target`] holds a secret: it is parsed here and not by libpq, because libpq repeats parts of a malformed
//! string in its messages; it prints itself without the password, and what libpq says about a refused connection
//! is scrubbed of it. Nothing here decides which database to use: that is the caller's.

mod session;

use std::fmt;
use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, ManageConnection};
use diesel::result::ConnectionError;

use crate::error::{Doing, Error, Message, Result};
use crate::raw::RunSql;
use crate::service_file;

pub(crate) use session::DEATH_CHECK;
pub use session::{Session, session};

/// A pool of connections, as [`pool`] makes it.
pub type Pool = r2d2::Pool<Manager>;

/// A connection of a [`Pool`], which goes back with the value.
pub(crate) type Pooled = r2d2::PooledConnection<Manager>;

/// What a session may be left with by whoever had it before, and must not be: the customer whom it works for, a role that
/// it took on, and temporary tables. Customer and role become what the connection string says, in general nobody and the
/// user. A transaction left open is Diesel's to notice.
const FORGET: &str = "RESET app.customer_id; RESET ROLE; DISCARD TEMP";

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

/// When a peer that is gone is given up over TCP: asked after 30 s of silence, then every 10 s, three times; and after
/// a minute in which it acknowledged nothing that was sent (milliseconds).
const TCP_LIMITS: [(&str, &str); 4] = [
    ("keepalives_idle", "30"),
    ("keepalives_interval", "10"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "60000"),
];

/// The variables that libpq reads, for the parameters that matter here.
const VARIABLES: [(&str, &str); 14] = [
    ("application_name", "PGAPPNAME"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("gssencmode", "PGGSSENCMODE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("options", "PGOPTIONS"),
    ("port", "PGPORT"),
    ("requiressl", "PGREQUIRESSL"),
    ("service", "PGSERVICE"),
    ("servicefile", "PGSERVICEFILE"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("user", "PGUSER"),
];

/// How long [`pool`] waits for a connection before it gives up.
pub const POOL_TIMEOUT: Duration = Duration::from_secs(5);

/// A server and database to connect to, as libpq's parameters in their order.
///
/// What is left out, libpq takes from the `PG*` variables, the service file and the password file.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Target {
    parameters: Vec<(String, String)>,
}

impl Target {
    /// Reads `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE` or libpq's `key=value` form.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTarget`] when the text is neither. Its message never holds a part of the text.
    pub fn parse(text: &str) -> Result<Self> {
        let parameters = match text.trim().split_once("://") {
            Some(("postgres" | "postgresql", rest)) => parse_url(rest),
            Some((scheme, _)) if scheme.chars().all(char::is_alphanumeric) => {
                Err("the scheme is neither postgresql:// nor postgres://".to_owned())
            }
            _ if text.contains('=') => parse_keywords(text.trim()),
            _ => Err("it does not begin with postgresql://".to_owned()),
        };
        let parameters = parameters.map_err(Error::InvalidTarget)?;
        if parameters.iter().any(|(_, value)| value.contains('\0')) {
            return Err(Error::InvalidTarget("it contains a zero byte".to_owned()));
        }
        Ok(Self { parameters })
    }

    /// A target that leaves everything to the `PG*` variables.
    pub fn from_libpq_variables() -> Self {
        Self::default()
    }

    /// Adds a libpq parameter where the target does not name it yet.
    #[must_use]
    pub fn or(mut self, key: &str, value: &str) -> Self {
        if self.get(key).is_none() {
            self.parameters.push((key.to_owned(), value.to_owned()));
        }
        self
    }

    /// Sets a libpq parameter, whatever the target said before.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.parameters.retain(|(name, _)| name != key);
        self.or(key, value)
    }

    /// With a name for the server's administrator and limits on waiting, where nobody has set them.
    fn prepared(&self, application: &str, connect_timeout: &str) -> Self {
        let limits = TCP_LIMITS.into_iter().chain([("connect_timeout", connect_timeout)]);
        let named = self.clone().or("fallback_application_name", application).with_system_certificates_checked();
        limits.fold(named, |target, (key, value)| match target.setting(key) {
            Some(_) => target,
            None => target.with(key, value),
        })
    }

    /// What libpq will take for a parameter, and from where: the target, the service file or the environment.
    pub(crate) fn setting(&self, key: &str) -> Option<Setting> {
        let own = self.get(key).map(|value| (value.to_owned(), Source::Target));
        let of_service = || {
            let (_, value) = self.section()?.into_iter().find(|(name, _)| name == key)?;
            Some((value, Source::ServiceFile))
        };
        let (value, from) = own.or_else(of_service).or_else(|| variable(key))?;
        Some(Setting { value, from })
    }

    /// Whether the service file that the target needs could be read.
    pub(crate) fn has_section(&self) -> bool {
        self.section().is_some()
    }

    fn section(&self) -> Option<Vec<(String, String)>> {
        let service = self.get("service").map(str::to_owned).or_else(|| variable("service").map(|(name, _)| name))?;
        service_file::section(&service, self.get("servicefile"))
    }

    /// The value of a libpq parameter, if the target names it.
    fn get(&self, key: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The `key='value'` form that libpq reads. It holds the password.
    fn conninfo(&self) -> String {
        let quoted = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
        let pairs: Vec<_> = self.parameters.iter().map(|(key, value)| format!("{key}='{}'", quoted(value))).collect();
        pairs.join(" ")
    }

    /// Takes every secret of this target out of a text, such as what libpq says. Where that cannot be done without a
    /// trace, nothing of the text is left.
    pub fn scrub(&self, text: &str) -> Message {
        let secrets: Vec<String> =
            ["password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"]
                .into_iter()
                .filter_map(|key| self.setting(key).map(|setting| setting.value))
                .chain(std::env::var("PGPASSWORD"))
                .filter(|secret| !secret.is_empty())
                .collect();
        let text = text.trim();
        let scrubbed = without(text, &secrets);
        // A short one may be in the text by chance, and to take it out would tell it; and the stars may be a part of one.
        let is_told =
            |secret: &String| secret.len() < 4 && text.contains(secret.as_str()) || scrubbed.contains(secret.as_str());
        if secrets.iter().any(is_told) {
            return Message("the server's message is withheld, because it may contain the password".to_owned());
        }
        Message(scrubbed)
    }
}

/// The text with stars in the place of every occurrence of a secret, those that overlap included.
fn without(text: &str, secrets: &[String]) -> String {
    let mut scrubbed = String::with_capacity(text.len());
    let mut secret_until = 0;
    for (at, character) in text.char_indices() {
        let begun = secrets.iter().filter(|secret| text[at..].starts_with(secret.as_str())).map(String::len).max();
        if let Some(length) = begun {
            if at >= secret_until {
                scrubbed.push_str("***");
            }
            secret_until = secret_until.max(at + length);
        }
        if at >= secret_until {
            scrubbed.push(character);
        }
    }
    scrubbed
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = |key: &str| self.setting(key).map(|setting| setting.value);
        f.write_str("postgresql://")?;
        if let Some(user) = setting("user") {
            write!(f, "{user}@")?;
        }
        f.write_str(&setting("host").unwrap_or_default())?;
        if let Some(port) = setting("port") {
            write!(f, ":{port}")?;
        }
        write!(f, "/{}", setting("dbname").unwrap_or_default())
    }
}

/// A parameter and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub value: String,
    pub from: Source,
}

/// Where a parameter comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Target,
    ServiceFile,
    Variable(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Target => "the connection string",
            Self::ServiceFile => "the service file",
            Self::Variable(name) => name,
        })
    }
}

/// What the environment says about a parameter. libpq takes an empty variable at its word; it says nothing here.
fn variable(key: &str) -> Option<(String, Source)> {
    let (_, name) = VARIABLES.into_iter().find(|(known, _)| *known == key)?;
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    Some((value, Source::Variable(name)))
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

/// Opens one connection. `application` is the name that the server's administrator sees, unless the target, the
/// service file or `PGAPPNAME` names another.
///
/// Whether the way there is protected is the caller's to ask: [`Target::weakness`], [`Target::require_tls`].
///
/// # Errors
///
/// [`Error::Connect`] when the server cannot be reached or refuses, within 10 seconds unless the target says
/// otherwise.
pub fn connect(target: &Target, application: &str) -> Result<PgConnection> {
    establish(&target.prepared(application, "10")).map(|(conn, _)| conn)
}

/// Connects, and returns also the target that worked.
fn establish(target: &Target) -> Result<(PgConnection, Target)> {
    let (mut conn, target) = open(target)?;
    session::settle(&mut conn).doing("prepare the session")?;
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
    Err(Error::Connect { target: target.to_string(), source: target.scrub(&refused) })
}

/// Makes every later transaction of a connection READ ONLY.
///
/// # Errors
///
/// [`Error::Query`] when the server refuses that too.
pub fn forbid_writing(conn: &mut PgConnection) -> Result<()> {
    conn.batch("SET default_transaction_read_only = on").doing("make the session read-only")
}

/// Makes a pool of at most `size` connections. Opens one connection first, to report at once a server that cannot be
/// reached, and closes it again.
///
/// A connection is waited for at most [`POOL_TIMEOUT`]; none is kept open without need. Where the way to the server is
/// not protected ([`Target::weakness`]), that is logged as a warning.
///
/// # Errors
///
/// [`Error::Connect`] when the server cannot be reached or refuses, and [`Error::Pool`] when the pool cannot be made.
pub fn pool(target: &Target, size: u32, application: &str) -> Result<Pool> {
    if let Some(weakness) = target.weakness() {
        tracing::warn!("{weakness}");
    }
    // Opened outside the pool, because the pool would retry a refused connection until its time is up.
    let (_, target) = establish(&target.prepared(application, "5"))?;
    r2d2::Pool::builder()
        .max_size(size)
        .min_idle(Some(0))
        .connection_timeout(POOL_TIMEOUT)
        .error_handler(Box::new(Log(target.clone())))
        .build(Manager::new(target))
        .map_err(|error| Error::Pool { source: Message(error.to_string()) })
}

/// A connection of a pool, until the value goes.
///
/// # Errors
///
/// [`Error::Pool`] when none is free within [`POOL_TIMEOUT`], or a new one is refused.
pub(crate) fn take(pool: &Pool) -> Result<Pooled> {
    pool.get().map_err(|error| Error::Pool { source: Message(error.to_string()) })
}

/// Logs what goes wrong in the pool of this target.
#[derive(Debug)]
struct Log(Target);

impl<E: std::error::Error> r2d2::HandleError<E> for Log {
    fn handle_error(&self, error: E) {
        tracing::warn!(target = %self.0, %error, "a pooled connection failed");
    }
}

type Parameters = Result<Vec<(String, String)>, String>;

/// Reads what follows `postgresql://`, by libpq's grammar but without its lenience towards a stray `@`.
fn parse_url(rest: &str) -> Parameters {
    let mut parameters = Vec::new();
    let mut add = |key: &str, value: &str| -> Result<(), String> {
        if !value.is_empty() {
            parameters.push((key.to_owned(), percent_decode(value)?));
        }
        Ok(())
    };
    let before_path = rest.split('/').next().unwrap_or_default();
    let (user_info, rest) = match before_path.find('@') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => ("", rest),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
    if rest.contains('@') {
        return Err("it has more than one @ or a / in the password: write %40 and %2F".to_owned());
    }
    if query.contains('@') {
        // More likely the end of a password with a ? in it than an @ in an option.
        return Err("it has an @ behind a ?: write %3F in the password, and %40 in an option".to_owned());
    }
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    add("user", user)?;
    add("password", password)?;
    let (names, ports) = split_hosts(hosts)?;
    add("host", &names)?;
    add("port", &ports)?;
    add("dbname", database)?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("ssl", "true")) => add("sslmode", "require")?,
            Some((key, value)) if is_keyword(key) => add(key, value)?,
            _ => {
                return Err(
                    "after the ? it must read OPTION=VALUE&OPTION=VALUE, with options that libpq knows".to_owned()
                );
            }
        }
    }
    Ok(parameters)
}

/// Splits `a:1,b:2` into libpq's two lists, `a,b` and `1,2`; an address in brackets loses them.
fn split_hosts(hosts: &str) -> Result<(String, String), String> {
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in hosts.split(',') {
        let (name, port) = match host.strip_prefix('[').and_then(|address| address.split_once(']')) {
            Some((address, port)) => (address, port.strip_prefix(':').unwrap_or(port)),
            None => host.split_once(':').unwrap_or((host, "")),
        };
        if !port.chars().all(|digit| digit.is_ascii_digit()) {
            return Err("the port is not a number; a : or / in the password must be written %3A or %2F".to_owned());
        }
        names.push(name);
        ports.push(port);
    }
    let ports = if ports.iter().all(|port| port.is_empty()) { String::new() } else { ports.join(",") };
    Ok((names.join(","), ports))
}

/// Reads libpq's `key=value key='quoted value'` form.
fn parse_keywords(text: &str) -> Parameters {
    let mut parameters = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (key, value) = rest.split_once('=').ok_or("a word stands without '=': quote values that hold spaces")?;
        if !is_keyword(key.trim()) {
            return Err("a key is not one of libpq's: quote values that hold spaces".to_owned());
        }
        if parameters.iter().any(|(known, _)| known == key.trim()) {
            return Err("a key stands there twice: quote values that hold spaces".to_owned());
        }
        let (value, after) = take_value(value.trim_start())?;
        parameters.push((key.trim().to_owned(), value));
        rest = after.trim_start();
    }
    Ok(parameters)
}

/// Takes one value, quoted or not, off the front of a `key=value` text; a backslash escapes the next character.
fn take_value(text: &str) -> Result<(String, &str), String> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            space if !quoted && space.is_whitespace() => return Ok((value, &text[at..])),
            plain => value.push(plain),
        }
    }
    if quoted { Err("a quote is not closed".to_owned()) } else { Ok((value, "")) }
}

/// What libpq knows, up to version 18. It would repeat a key that it does not know, and that may be the rest of a
/// password with a space in it.
const KEYWORDS: &str = "application_name channel_binding client_encoding connect_timeout dbname fallback_application_name \
    gssdelegation gssencmode gsslib host hostaddr keepalives keepalives_count keepalives_idle keepalives_interval \
    krbsrvname load_balance_hosts max_protocol_version min_protocol_version oauth_client_id oauth_client_secret \
    oauth_issuer oauth_scope options passfile password port replication require_auth requirepeer requiressl \
    scram_client_key scram_server_key service servicefile ssl_max_protocol_version ssl_min_protocol_version sslcert \
    sslcertmode sslcompression sslcrl sslcrldir sslkey sslkeylogfile sslmode sslnegotiation sslpassword sslrootcert \
    sslsni target_session_attrs tcp_user_timeout user";

fn is_keyword(key: &str) -> bool {
    KEYWORDS.split_whitespace().any(|keyword| keyword == key)
}

fn percent_decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|d| char::from(d).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push(high * 16 + low),
            _ => return Err("a % is not followed by two hexadecimal digits: write % itself as %25".to_owned()),
        }
    }
    String::from_utf8(bytes).map_err(|_| "it does not decode to UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str) -> Vec<(String, String)> {
        Target::parse(text).unwrap().parameters
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_full_url_is_taken_apart() {
        assert_eq!(
            parameters("postgresql://u%40x:p%2Fw@db.example:5433/main?sslmode=require&options=-csearch_path%3Da"),
            pairs(&[
                ("user", "u@x"),
                ("password", "p/w"),
                ("host", "db.example"),
                ("port", "5433"),
                ("dbname", "main"),
                ("sslmode", "require"),
                ("options", "-csearch_path=a"),
            ])
        );
    }

    #[test]
    fn several_hosts_and_bracketed_addresses_become_lists() {
        assert_eq!(
            parameters("postgres://[::1]:5432,b/db"),
            pairs(&[("host", "::1,b"), ("port", "5432,"), ("dbname", "db")])
        );
    }

    #[test]
    fn a_socket_directory_goes_into_the_query() {
        assert_eq!(
            parameters("postgresql:///db?host=/run/postgresql&user=me"),
            pairs(&[("dbname", "db"), ("host", "/run/postgresql"), ("user", "me")])
        );
    }

    #[test]
    fn a_password_may_hold_what_libpq_allows_unescaped() {
        assert_eq!(parameters("postgresql://u:a?b:c@h/d")[1], ("password".to_owned(), "a?b:c".to_owned()));
    }

    #[test]
    fn the_keyword_form_is_read_with_its_quotes_and_escapes() {
        assert_eq!(
            parameters(r"host=h password='a b\'c\\' dbname=x"),
            pairs(&[("host", "h"), ("password", r"a b'c\"), ("dbname", "x")])
        );
    }

    #[test]
    fn a_keyword_value_may_hold_what_looks_like_a_scheme() {
        assert_eq!(parameters("host=h password='a://b'"), pairs(&[("host", "h"), ("password", "a://b")]));
    }

    #[test]
    fn what_libpq_gets_reads_back_as_the_same_parameters() {
        let target = Target::parse(r"host=h password='a b\'c\\' dbname=x").unwrap();
        assert_eq!(Target::parse(&target.conninfo()).unwrap(), target);
    }

    #[test]
    fn malformed_targets_are_refused_without_repeating_them() {
        let malformed = [
            "postgresql://u:S3cr/3t@host/db",
            "postgresql://u:S3%zzcr3t@host/db",
            "postgresql://u:S3cr3t@ho@st/db",
            "postgresql://u:S3cr3t@host:po/db",
            "postgresql://u:S3cr3t@host/db?S3cr3t",
            "postgresql://u:12/S3?cr3t=x@host/db",
            "host=h password=x s3cr3t=S3",
            "password=x user=u user=S3cr3t",
            "mysql://u:S3cr3t@host/db",
            "host=h password=S3 cr3t",
            "password='S3cr3t",
            "S3cr3t",
        ];
        for text in malformed {
            let message = Target::parse(text).unwrap_err().to_string();
            assert!(
                !message.contains("S3") && !message.contains("s3") && !message.contains("cr3t"),
                "{text}: {message}"
            );
        }
    }

    #[test]
    fn every_connection_has_limits_on_waiting_unless_the_target_sets_them() {
        let own = Target::parse("keepalives_idle=7 connect_timeout=0 application_name=mine").unwrap();
        let prepared = own.prepared("a name", "10");
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
        assert_eq!(Target::default().prepared("a name", "10").get("connect_timeout"), Some("10"));
    }

    #[test]
    fn neither_display_nor_debug_shows_the_password() {
        let target = Target::parse("postgresql://u:S3cr3t@h:1/d").unwrap();
        assert_eq!(target.to_string(), "postgresql://u@h:1/d");
        assert_eq!(format!("{target:?}"), "Target(postgresql://u@h:1/d)");
    }

    #[test]
    fn messages_are_scrubbed_of_the_password() {
        let target = Target::parse("postgresql://u:S3cr3t@h/d").unwrap();
        assert_eq!(target.scrub("no S3cr3t here\n").0, "no *** here");
        let short = Target::parse("postgresql://u:abc@h/d").unwrap();
        assert!(short.scrub("abc").0.contains("withheld"));
    }
}
