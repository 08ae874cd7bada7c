//! Which server and database, as libpq's parameters.

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::OnceLock;

use super::{Message, parse, service_file};

/// A server and database to connect to, as libpq's parameters in their order.
///
/// What is left out, libpq takes from the `PG*` variables, the service file and the password file. It prints itself without
/// the password.
///
/// ```
/// use optiinfra_db::connection::Target;
///
/// let target: Target = "postgresql://app:secret@db1:5432/optiinfra".parse()?;
/// assert_eq!(target.to_string(), "postgresql://app@db1:5432/optiinfra");
/// # Ok::<(), optiinfra_db::connection::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Target {
    parameters: parse::Parameters,
    /// The section of the service file, once it was asked for.
    section: OnceLock<Option<parse::Parameters>>,
}

/// A parameter and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub value: String,
    pub from: Source,
}

/// Where a parameter of libpq comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The connection string.
    Target,
    /// libpq's service file.
    ServiceFile,
    /// The variable of this name.
    Variable(&'static str),
}

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

const SECRETS: [&str; 5] = ["password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"];

impl Target {
    pub(super) const fn of(parameters: parse::Parameters) -> Self {
        Self { parameters, section: OnceLock::new() }
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
            if key.starts_with("service") {
                self.section = OnceLock::new();
            }
        }
        self
    }

    /// Sets a libpq parameter, whatever the target said before.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.parameters.retain(|(name, _)| name != key);
        self.or(key, value)
    }

    /// What libpq will take for a parameter, and from where: the target, the service file or the environment.
    pub(crate) fn setting(&self, key: &str) -> Option<Setting> {
        let own = self.get(key).map(|value| (value.to_owned(), Source::Target));
        let of_service = || {
            let (_, value) = self.section()?.iter().find(|(name, _)| name == key)?;
            Some((value.clone(), Source::ServiceFile))
        };
        let (value, from) = own.or_else(of_service).or_else(|| variable(key))?;
        Some(Setting { value, from })
    }

    /// As [`Target::setting`], where it does not matter where the value comes from.
    pub(super) fn value(&self, key: &str) -> Option<String> {
        self.setting(key).map(|setting| setting.value)
    }

    /// What libpq will take for a parameter: from the target, the service file or the environment. `None` for a secret.
    pub fn parameter(&self, key: &str) -> Option<String> {
        if SECRETS.contains(&key) { None } else { self.value(key) }
    }

    /// Whether libpq will read a service that could not be read here, and nothing is known of what it says.
    pub(super) fn has_unread_service(&self) -> bool {
        self.value("service").is_some() && self.section().is_none()
    }

    fn section(&self) -> Option<&parse::Parameters> {
        let read = || {
            let service =
                self.get("service").map(str::to_owned).or_else(|| variable("service").map(|(name, _)| name))?;
            service_file::section(&service, self.get("servicefile"))
        };
        self.section.get_or_init(read).as_ref()
    }

    /// The value of a libpq parameter, if the target names it.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The `key='value'` form that libpq reads. It holds the password.
    pub(super) fn conninfo(&self) -> String {
        let quoted = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
        let pairs: Vec<_> = self.parameters.iter().map(|(key, value)| format!("{key}='{}'", quoted(value))).collect();
        pairs.join(" ")
    }

    /// What another program of libpq needs for a session like ours: the `key='value'` form for its arguments, which others can
    /// read, and the password for its `PGPASSWORD`.
    pub fn for_arguments(&self) -> (String, Option<String>) {
        let is_secret = |(key, _): &(String, String)| SECRETS.contains(&key.as_str());
        let (secrets, open): (Vec<_>, Vec<_>) =
            self.with_session_settings().parameters.into_iter().partition(is_secret);
        let password = secrets.into_iter().rev().find(|(key, _)| key == "password").map(|(_, value)| value);
        (Self::of(open).conninfo(), password)
    }

    /// The server without user and database: `db1:5432`, or the directory of a Unix socket.
    pub fn server(&self) -> String {
        let hosts = self.value("host").filter(|host| !host.is_empty()).or_else(|| self.value("hostaddr"));
        let hosts = hosts.unwrap_or_default();
        let ports = self.value("port").unwrap_or_default();
        let mut ports = ports.split(',').cycle();
        let with_port = |host: &str| match ports.next().filter(|port| !port.is_empty()) {
            Some(port) => format!("{}:{port}", bracketed(host)),
            None => bracketed(host),
        };
        hosts.split(',').map(with_port).collect::<Vec<_>>().join(",")
    }

    /// Takes every secret of this target out of a text, such as what libpq says. Where that cannot be done without a
    /// trace, nothing of the text is left.
    pub fn scrub(&self, text: &str) -> Message {
        let secrets: Vec<String> = SECRETS
            .into_iter()
            .filter_map(|key| self.value(key))
            .chain(std::env::var("PGPASSWORD"))
            .filter(|secret| !secret.is_empty())
            .collect();
        let text = text.trim();
        let scrubbed = without(text, &secrets);
        // A short one may be in the text by chance, and to take it out would reveal it; and the stars may be a part of one.
        let is_told =
            |secret: &String| secret.len() < 4 && text.contains(secret.as_str()) || scrubbed.contains(secret.as_str());
        if secrets.iter().any(is_told) {
            return Message("the server's message is withheld, because it may contain the password".to_owned());
        }
        Message(scrubbed)
    }
}

/// An IPv6 address as a URL has it.
fn bracketed(host: &str) -> String {
    let address = host.split('%').next().unwrap_or_default();
    if address.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() }
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

/// The same parameters, whatever a service file says.
impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.parameters == other.parameters
    }
}

impl Eq for Target {}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgresql://")?;
        if let Some(user) = self.value("user") {
            write!(f, "{user}@")?;
        }
        write!(f, "{}/{}", self.server(), self.value("dbname").unwrap_or_default())?;
        match self.value("hostaddr") {
            Some(address) if self.value("host").is_some_and(|host| !host.is_empty()) => {
                write!(f, "?hostaddr={address}")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libpq_gets_reads_back_as_the_same_parameters() {
        let target = Target::parse(r"host=h password='a b\'c\\' dbname=x").unwrap();
        assert_eq!(Target::parse(&target.conninfo()).unwrap(), target);
    }

    #[test]
    fn what_others_can_read_holds_no_secret() {
        let target = Target::parse("host=h password=S3cr3t sslpassword=t dbname=x").unwrap();
        let (open, password) = target.for_arguments();
        assert!(open.starts_with("host='h' dbname='x' options='") && !open.contains("password"), "{open}");
        assert_eq!(password.as_deref(), Some("S3cr3t"));
    }

    #[test]
    fn a_target_shows_where_it_leads_and_no_password() {
        for (text, shown) in [
            ("postgresql://u:S3cr3t@h:1/d", "postgresql://u@h:1/d"),
            ("postgresql://u@[::1]:5432/d", "postgresql://u@[::1]:5432/d"),
            ("host=fe80::1%eth0 dbname=d", "postgresql://[fe80::1%eth0]/d"),
            ("hostaddr=127.0.0.1 port=7 dbname=d", "postgresql://127.0.0.1:7/d"),
            ("hostaddr=::1 dbname=d", "postgresql://[::1]/d"),
            ("host=db hostaddr=::1 dbname=d", "postgresql://db/d?hostaddr=::1"),
            ("postgresql://a:1,[::1]:2/d", "postgresql://a:1,[::1]:2/d"),
            ("postgresql://a,b:2/d", "postgresql://a,b:2/d"),
            ("host=a,b port=5 dbname=d", "postgresql://a:5,b:5/d"),
            ("postgresql:///d?host=/run/pg&port=5", "postgresql:///run/pg:5/d"),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(target.to_string(), shown);
            assert_eq!(format!("{target:?}"), format!("Target({shown})"));
        }
    }

    #[test]
    fn a_service_file_is_read_once_for_a_target() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("services");
        std::fs::write(&file, "[a]\nhost=one\ndbname=d\n[b]\nhost=two\n").unwrap();
        let target = Target::default().or("service", "a").or("servicefile", file.to_str().unwrap());
        assert_eq!(target.server(), "one");
        let other = target.clone().with("service", "b");
        assert_eq!(other.server(), "two");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(target.to_string(), "postgresql://one/d");
        assert_eq!(target.clone().or("user", "u").to_string(), "postgresql://u@one/d");
        assert!(target.with("service", "b").has_unread_service());
    }

    #[test]
    fn messages_are_scrubbed_of_the_password() {
        let target = Target::parse("postgresql://u:S3cr3t@h/d").unwrap();
        assert_eq!(target.scrub("no S3cr3t here\n").0, "no *** here");
        let short = Target::parse("postgresql://u:abc@h/d").unwrap();
        assert!(short.scrub("abc").0.contains("withheld"));
    }
}
