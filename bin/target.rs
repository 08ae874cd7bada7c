//! Which database a command works on. Nothing is ever guessed: without a word about it the command fails.

use std::env;
use std::ffi::OsString;

use anyhow::anyhow;
use diesel::pg::PgConnection;
use optiinfra_db::connection::{self, Pool, Target};
use optiinfra_db::local::{Cluster, Started};
use optiinfra_db::migrate::refuse_pooler;

use crate::args::Global;
use crate::hints::Hinted;
use crate::interrupt;
use crate::output::Output;

/// The variables with which libpq alone would know where to go.
const LIBPQ_VARIABLES: [&str; 6] = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE"];

/// Connects to the database that the user named; starts the local cluster if that is the one.
pub fn connect(global: &Global, out: &mut Output, command: &str) -> anyhow::Result<PgConnection> {
    let target = find(global, out)?;
    let mut conn = open(&target, command)?;
    interrupt::watch(&mut conn, &target)?;
    Ok(conn)
}

/// As [`connect`], for a command that must not write: the server sees to it.
pub fn connect_read_only(global: &Global, out: &mut Output, command: &str) -> anyhow::Result<PgConnection> {
    let mut conn = connect(global, out, command)?;
    connection::forbid_writing(&mut conn)?;
    Ok(conn)
}

/// As [`connect`], for a command that migrates: never through a transaction pooler.
pub fn connect_directly(global: &Global, out: &mut Output, command: &str) -> anyhow::Result<PgConnection> {
    let target = find(global, out)?;
    let mut conn = open(&target, command)?;
    refuse_pooler(&mut conn, &target)?;
    interrupt::watch(&mut conn, &target)?;
    Ok(conn)
}

/// A pool of `size` connections to that database. A signal does not end their sessions: see [`interrupt::cancellable`].
pub fn pool(global: &Global, out: &mut Output, command: &str, size: u32) -> anyhow::Result<Pool> {
    Ok(connection::pool(&find(global, out)?, size, &application(command))?)
}

fn open(target: &Target, command: &str) -> anyhow::Result<PgConnection> {
    let mut conn = connection::connect(target, &application(command))?;
    let session = connection::session(&mut conn)?;
    tracing::info!(database = %target, ?session, "connected");
    Ok(conn)
}

fn application(command: &str) -> String {
    format!("optiinfra-dbctl/{command}")
}

/// The database, with the policy for the way there: refused or warned of where it is not protected.
fn find(global: &Global, out: &mut Output) -> anyhow::Result<Target> {
    let target = named(global, out)?;
    if global.require_tls || is_on("OPTIINFRA_REQUIRE_TLS")? {
        return Ok(target.require_tls()?);
    }
    if let Some(weakness) = target.weakness() {
        out.note(&format!("warning: {weakness}; set sslmode=verify-full, and --require-tls to insist on it"))?;
    }
    Ok(target)
}

fn named(global: &Global, out: &mut Output) -> anyhow::Result<Target> {
    if let Some(url) = &global.database_url {
        return Ok(Target::parse(url)?);
    }
    if global.local || is_on("OPTIINFRA_LOCAL")? {
        return local(out);
    }
    if let Some(url) = variable("DATABASE_URL") {
        return Ok(Target::parse(&url)?);
    }
    if let Some(url) = from_dotenv()? {
        return Ok(Target::parse(&url)?);
    }
    if LIBPQ_VARIABLES.into_iter().any(|name| variable(name).is_some()) {
        return Ok(Target::from_libpq_variables());
    }
    Err(Hinted {
        message: "no database is named".to_owned(),
        hint: "set DATABASE_URL=postgresql://USER@HOST/NAME, or pass --local for a private one on this machine"
            .to_owned(),
    }
    .into())
}

/// Refuses a URL with a password where it would be taken for something else, such as a file: an error would repeat it.
pub fn refuse_stray_password(arguments: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    while let Some(argument) = arguments.next() {
        if argument == "--database-url" {
            arguments.next();
        } else if !argument.starts_with("--database-url=") && holds_password(&argument) {
            return Err(Hinted {
                message: "an argument looks like a database URL with a password".to_owned(),
                hint: "give it as --database-url URL, or better in DATABASE_URL".to_owned(),
            }
            .into());
        }
    }
    Ok(())
}

fn holds_password(argument: &str) -> bool {
    let user_info = argument.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
    user_info.is_some_and(|(user_info, _)| user_info.contains(':'))
        || argument.split_whitespace().any(|word| word.starts_with("password="))
        || argument.split_once('=').is_some_and(|(_, value)| value.starts_with("password="))
}

fn local(out: &mut Output) -> anyhow::Result<Target> {
    let cluster = Cluster::of_user()?;
    match cluster.start()? {
        Started::Created => out.note(&format!("created a local cluster in {}", cluster.dir().display()))?,
        Started::Started => out.note(&format!("started the local cluster in {}", cluster.dir().display()))?,
        Started::AlreadyRunning => {}
    }
    Ok(cluster.target())
}

/// `DATABASE_URL` in `./.env`. Folders above are not searched: a database must not change with the working directory's
/// parents. Other variables in the file are not read.
fn from_dotenv() -> anyhow::Result<Option<String>> {
    let entries = match dotenvy::from_path_iter(".env") {
        Ok(entries) => entries,
        Err(error) if error.not_found() => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    for entry in entries {
        let (name, value) = entry.map_err(|error| unreadable(&error))?;
        if name == "DATABASE_URL" && !value.is_empty() {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// dotenvy's own message repeats the line, which may hold a password.
fn unreadable(error: &dotenvy::Error) -> anyhow::Error {
    match error {
        dotenvy::Error::Io(cause) => anyhow!("cannot read ./.env: {cause}"),
        _ => anyhow!("a line of ./.env cannot be read: write NAME=VALUE, the value in quotes if it holds spaces"),
    }
}

/// Whether a variable is a yes. What is neither a yes nor a no may be meant for something else, and must not decide
/// which database is migrated.
fn is_on(name: &str) -> anyhow::Result<bool> {
    match variable(name).unwrap_or_default().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => {
            Err(Hinted { message: format!("{name} is neither 1 nor 0"), hint: format!("set {name}=1, or unset it") }
                .into())
        }
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
