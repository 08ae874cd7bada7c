//! What to do about the private cluster.

use optiinfra_db::local::Error;

pub fn hint(error: &Error) -> Option<String> {
    const ANOTHER: &str = "set OPTIINFRA_LOCAL_DIR to another directory, which need not exist";
    Some(match error {
        Error::EmptyVariable(variable) => format!("give it a directory, or unset it: `unset {variable}`"),
        Error::NoHome => "set OPTIINFRA_LOCAL_DIR to a directory for the cluster".into(),
        Error::PathTooLong(_) => "set OPTIINFRA_LOCAL_DIR to a shorter one".into(),
        Error::PathCharacter { .. } | Error::Unreachable { .. } | Error::NotOurs(_) | Error::OtherOwner { .. } => {
            ANOTHER.to_owned()
        }
        Error::OpenToOthers(dir) => format!("close it: chmod 700 {}", dir.display()),
        Error::Busy { lock, .. } => format!("see which one: fuser {}", lock.display()),
        Error::Orphans { pids, .. } => {
            let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
            format!("end them: kill {}", pids.join(" "))
        }
        Error::NoBinariesIn(_) => "set OPTIINFRA_PG_BIN to the directory of initdb, pg_ctl and postgres \
             (`pg_config --bindir`), or unset it; Debian, Ubuntu: apt-get install postgresql"
            .into(),
        Error::NoBinaries | Error::BinariesTooOld { .. } | Error::OtherBinaries { .. } => {
            "install them (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; \
             macOS: brew install postgresql@17), or set OPTIINFRA_PG_BIN to their directory"
                .into()
        }
        Error::NoClient { .. } => {
            "install it (Debian, Ubuntu: apt-get install postgresql-client; Fedora: dnf install postgresql; macOS: brew install \
             libpq), or set OPTIINFRA_PG_BIN to its directory"
                .into()
        }
        Error::NoSnapshot { known, .. } if known.is_empty() => "make one: `optiinfra-dbctl local snapshot NAME`".into(),
        Error::NoSnapshot { known, .. } => format!("there are: {}", known.join(", ")),
        Error::NoServerUser => "install the server package, which makes that user, or run this as another user".into(),
        Error::UnknownUser(_) => "run this as a known user".into(),
        Error::NotStarted { log, .. } => format!("read {}", log.display()),
        _ => return None,
    })
}
