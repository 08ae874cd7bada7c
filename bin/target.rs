//! Which database a command works on. Nothing is guessed: where none is named the command fails.

use std::env;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use anyhow::bail;
use diesel::pg::PgConnection;
use optiinfra_db::Error;
use optiinfra_db::connection::{self, Pool, Refusal, Session, Target};
use optiinfra_db::local::{Cluster, Started};
use optiinfra_db::migrate::refuse_pooler;

use crate::args::Global;
use crate::hints::Hinted;
use crate::output::Output;
use crate::{dotenv, interrupt};

const URL_VARIABLE: &str = "DATABASE_URL";
/// How long `wait` waits where nothing else is said; `--wait` too.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const WAIT_POLL: Duration = Duration::from_millis(250);
/// The variables with which libpq alone would know where to go.
const LIBPQ_VARIABLES: [&str; 6] = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE"];

/// Connects to the database that the user named; starts the local cluster if that is the one.
pub fn connect(global: &Global, out: &mut Output, command: &str) -> anyhow::Result<PgConnection> {
    let target = find(global, out)?;
    let (mut conn, _) = open(&target, command)?;
    interrupt::watch(&mut conn, &target)?;
    Ok(conn)
}

/// As [`connect`], with where that is, and also for a role that finds no schema there.
pub fn connect_to(global: &Global, out: &mut Output, command: &str) -> anyhow::Result<(PgConnection, Target)> {
    let target = find(global, out)?;
    let mut conn = connection::connect(&target, &application(command))?;
    interrupt::watch(&mut conn, &target)?;
    Ok((conn, target))
}

/// As [`connect`], for a command that must not write: the server sees to it.
pub fn connect_read_only(global: &Global, out: &mut Output, command: &str) -> anyhow::Result<PgConnection> {
    let mut conn = connect(global, out, command)?;
    connection::forbid_writing(&mut conn)?;
    Ok(conn)
}

/// As [`connect_read_only`] on a database that was found before, for a command that ends by itself when a signal comes.
pub fn read_only(target: &Target, command: &str) -> anyhow::Result<PgConnection> {
    let (mut conn, _) = open(target, command)?;
    connection::forbid_writing(&mut conn)?;
    Ok(conn)
}

/// As [`connect`], for a command that writes: says where.
pub fn connect_to_write(global: &Global, out: &mut Output, command: &str) -> anyhow::Result<PgConnection> {
    let target = find(global, out)?;
    let (mut conn, session) = open(&target, command)?;
    interrupt::watch(&mut conn, &target)?;
    out.writes_to(place(&target, &session))?;
    Ok(conn)
}

/// As [`connect_to_write`], for a command that migrates: never through a transaction pooler.
pub fn connect_directly(global: &Global, out: &mut Output, command: &str) -> anyhow::Result<PgConnection> {
    let target = find(global, out)?;
    let (mut conn, session) = open(&target, command)?;
    refuse_pooler(&mut conn, &target)?;
    interrupt::watch(&mut conn, &target)?;
    out.writes_to(place(&target, &session))?;
    Ok(conn)
}

/// A pool of `size` connections to that database, to write to it. A signal does not end their sessions: see
/// [`interrupt::cancellable`].
pub fn pool(global: &Global, out: &mut Output, command: &str, size: u32) -> anyhow::Result<Pool> {
    let target = find(global, out)?;
    let pool = connection::pool(&target, &application(command)).max_size(size).build()?;
    let session = connection::session(&mut *pool.get().map_err(Error::from)?)?;
    out.writes_to(place(&target, &session))?;
    Ok(pool)
}

fn open(target: &Target, command: &str) -> anyhow::Result<(PgConnection, Session)> {
    let mut conn = connection::connect(target, &application(command))?;
    let session = connection::session(&mut conn)?;
    tracing::info!(database = %target, ?session, "connected");
    Ok((conn, session))
}

fn application(command: &str) -> String {
    format!("optiinfra-dbctl/{command}")
}

/// Where a session works: `optiinfra on db1:5432 as app`.
fn place(target: &Target, session: &Session) -> String {
    let Session { database, user, schema, .. } = session;
    let server = target.server();
    let server = if server.is_empty() { "this machine's server" } else { &server };
    let schema = if schema == "public" { String::new() } else { format!(", schema {schema}") };
    format!("{database} on {server} as {user}{schema}")
}

/// The database; waits for its server where that is asked for.
pub fn find(global: &Global, out: &mut Output) -> anyhow::Result<Target> {
    let target = protected(global, out)?;
    if let Some(longest) = global.wait {
        wait_for(&target, longest.unwrap_or(LONGEST_WAIT), out)?;
    }
    Ok(target)
}

/// Waits until the server of the database takes connections.
pub fn wait(global: &Global, out: &mut Output) -> anyhow::Result<()> {
    let target = protected(global, out)?;
    wait_for(&target, global.wait.flatten().unwrap_or(LONGEST_WAIT), out)
}

/// Tries to connect until the server takes connections. Another refusal does not pass by itself.
fn wait_for(target: &Target, longest: Duration, out: &mut Output) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut is_told = false;
    loop {
        let refused = match connection::connect(target, &application("wait")) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let passes =
            matches!(&refused, connection::Error::Connect { refusal: Refusal::Unreachable | Refusal::Server, .. });
        let left = longest.saturating_sub(begin.elapsed());
        if !passes || left.is_zero() {
            return Err(refused.into());
        }
        if !std::mem::replace(&mut is_told, true) {
            out.note(&format!("waiting for {target}"))?;
        }
        if interrupt::pause(left.min(WAIT_POLL)).is_some() {
            return Err(refused.into());
        }
    }
}

/// The database, with the policy for the way there: refused or warned of where it is not protected.
fn protected(global: &Global, out: &mut Output) -> anyhow::Result<Target> {
    let target = named(global, out)?;
    target.require_database_name()?;
    if global.require_tls || is_on("OPTIINFRA_REQUIRE_TLS")? {
        return Ok(target.require_tls()?);
    }
    if let Some(weakness) = target.weakness() {
        out.note(&format!("warning: {weakness}; set sslmode=verify-full, and --require-tls to insist on it"))?;
    }
    Ok(target)
}

fn named(global: &Global, out: &mut Output) -> anyhow::Result<Target> {
    let parse = |url: &str| Ok(Target::parse(url)?);
    if let Some(url) = &global.database_url {
        return parse(url);
    }
    if global.local || is_on("OPTIINFRA_LOCAL")? {
        return local(out);
    }
    if let Some(url) = variable(URL_VARIABLE)? {
        return parse(&url);
    }
    if let Some(url) = dotenv::database_url()? {
        return parse(&url);
    }
    // libpq takes an empty one for one that is not set.
    if LIBPQ_VARIABLES.into_iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty())) {
        return Ok(Target::from_libpq_variables());
    }
    Err(Hinted::new(
        "no database is named",
        "set DATABASE_URL=postgresql://USER@HOST/NAME, or pass --local for a private one on this machine",
    )
    .into())
}

/// Refuses a URL with a password in the place of something else, such as a file name, which an error would repeat.
pub fn refuse_stray_password(arguments: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    while let Some(argument) = arguments.next() {
        if argument == "--database-url" {
            arguments.next();
        } else if !argument.starts_with("--database-url=") && holds_password(&argument) {
            bail!(Hinted::new(
                "an argument looks like a database URL with a password",
                "give it as --database-url URL, or better in DATABASE_URL"
            ));
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

/// Whether a variable is a yes. A value that is neither yes nor no is an error, because it would decide which database is
/// migrated.
fn is_on(name: &str) -> anyhow::Result<bool> {
    let Some(value) = variable(name)? else { return Ok(false) };
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(Hinted::new(format!("{name} is neither 1 nor 0"), format!("set {name}=1, or unset it")).into()),
    }
}

/// The value of a variable of ours. An empty one is an error: it is more often a mistake in a script than a wish for the
/// next source.
fn variable(name: &str) -> anyhow::Result<Option<String>> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Err(Hinted::new(
            format!("{name} is set and empty"),
            format!("give it a value, or unset it: `unset {name}`"),
        )
        .into()),
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => {
            Err(Hinted::new(format!("{name} is not UTF-8"), format!("set it again: `export {name}=...`")).into())
        }
    }
}
