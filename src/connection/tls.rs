//! Whether a connection is protected on its way, known before it is made.
//!
//! Only `sslmode=verify-full` is: anything less can be answered by somebody else, or read by everybody. A server on
//! this machine needs no protection: a Unix socket, `localhost`, 127.0.0.0/8, `::1`. The policy is the caller's;
//! libpq does the encryption and the checking.

use std::fmt;
use std::net::IpAddr;

use super::target::{Setting, Source, Target};

/// The modes of TLS that libpq knows, the weakest first.
pub const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", VERIFIED];
pub(super) const VERIFIED: &str = "verify-full";
/// What libpq does when nobody names a mode.
const DEFAULT: &str = "prefer";

/// What is missing for a connection to be protected. It prints itself as a sentence without its full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weakness {
    hosts: String,
    sslmode: String,
    pub(super) from: Option<Source>,
}

impl Target {
    /// Why a connection to this target is not protected; `None` when it is, or stays on this machine.
    ///
    /// With several hosts, one that is not on this machine is enough.
    pub fn weakness(&self) -> Option<Weakness> {
        if self.is_local() {
            return None;
        }
        let (sslmode, from) = match self.sslmode() {
            Some(Setting { value, from }) => (value, Some(from)),
            None => (DEFAULT.to_owned(), None),
        };
        (sslmode != VERIFIED).then(|| Weakness { hosts: self.hosts(), sslmode, from })
    }

    /// With what an older libpq does not do by itself: certificates of the system are there to be checked.
    pub(super) fn with_system_certificates_checked(self) -> Self {
        let is_system = self.setting("sslrootcert").is_some_and(|setting| setting.value == "system");
        if is_system && self.sslmode().is_none_or(|setting| setting.value == VERIFIED) {
            return self.with("sslmode", VERIFIED);
        }
        self
    }

    fn sslmode(&self) -> Option<Setting> {
        let require = |setting: Setting| {
            let value = if setting.value.starts_with('1') { "require" } else { DEFAULT };
            Setting { value: value.to_owned(), ..setting }
        };
        let system = || self.setting("sslrootcert").filter(|setting| setting.value == "system");
        self.setting("sslmode")
            .or_else(|| self.setting("requiressl").map(require))
            .or_else(|| system().map(|setting| Setting { value: VERIFIED.to_owned(), ..setting }))
    }

    pub(super) fn is_local(&self) -> bool {
        let named = [self.setting("host"), self.setting("hostaddr")];
        let is_unread = named.iter().all(Option::is_none) && self.has_unread_service();
        !is_unread && named.iter().flatten().all(|setting| setting.value.split(',').all(is_local))
    }

    fn hosts(&self) -> String {
        let named = self.value("host").or_else(|| self.value("hostaddr"));
        named.unwrap_or_else(|| "a server that a service file names".to_owned())
    }
}

fn is_local(host: &str) -> bool {
    let host = host.trim();
    let is_socket = host.is_empty() || host.starts_with(['/', '@']);
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    is_socket || host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hosts, sslmode, from } = self;
        write!(f, "the connection to {hosts} is not protected: sslmode={sslmode}, ")?;
        match from {
            Some(from) => write!(f, "from {from}, ")?,
            None => f.write_str("the default, ")?,
        }
        f.write_str(match sslmode.as_str() {
            "disable" => "encrypts nothing",
            "allow" | "prefer" => "does not insist on encryption, and checks no certificate",
            "require" => "encrypts, and takes any certificate",
            "verify-ca" => "takes the certificate of any host that its CA has signed",
            _ => "is not a mode that libpq knows",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        Target::parse(text).unwrap()
    }

    #[test]
    fn a_host_is_local_when_nothing_leaves_the_machine() {
        for local in [
            "host=/run/postgresql",
            "host=@socket",
            "host=localhost",
            "host=LOCALHOST",
            "host=127.8.9.1",
            "host=::1",
            "host=::ffff:127.0.0.1",
            "hostaddr=127.0.0.1",
            "host=/a,localhost,127.0.0.1",
            "host='' hostaddr=::1",
            "host=localhost hostaddr=127.0.0.1",
        ] {
            assert!(target(local).is_local(), "{local}");
            assert_eq!(target(local).weakness(), None);
            assert_eq!(target(local).require_tls().unwrap(), target(local));
        }
        for remote in [
            "host=db.example",
            "host=10.0.0.1",
            "host=localhost.example",
            "host=0.0.0.0",
            "host=2001:db8::1",
            "host=localhost,db.example",
            "host=localhost hostaddr=10.0.0.1",
            "host=db.example hostaddr=127.0.0.1",
            "hostaddr=127.0.0.1,10.0.0.1",
        ] {
            assert!(!target(remote).is_local(), "{remote}");
        }
    }

    #[test]
    fn only_verify_full_is_no_weakness() {
        for mode in ["disable", "allow", "prefer", "require", "verify-ca", "VERIFY-FULL"] {
            let target = target(&format!("host=db.example sslmode={mode}"));
            let weakness = target.weakness().unwrap().to_string();
            let begin =
                format!("the connection to db.example is not protected: sslmode={mode}, from the connection string, ");
            assert!(weakness.starts_with(&begin), "{weakness}");
            assert!(target.require_tls().is_err(), "{mode}");
        }
        assert_eq!(target("host=db.example sslmode=verify-full").weakness(), None);
        assert_eq!(target("host=db.example sslrootcert=system").weakness(), None);
        assert!(target("host=db.example sslrootcert=system sslmode=prefer").weakness().is_some());
        assert!(target("host=db.example requiressl=1").weakness().unwrap().to_string().contains("sslmode=require,"));
    }

    #[test]
    fn a_mode_that_nobody_named_becomes_verify_full() {
        let required = target("host=db.example").require_tls().unwrap();
        assert_eq!(required, target("host=db.example sslmode=verify-full gssencmode=disable"));
        assert_eq!(required.weakness(), None);
        let system = target("host=db.example sslrootcert=system");
        assert!(system.clone().with_system_certificates_checked() == system.clone().with("sslmode", VERIFIED));
        let chosen = system.with("sslmode", "prefer");
        assert!(chosen.clone().with_system_certificates_checked() == chosen);
    }
}
