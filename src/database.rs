//! Databases of a server as a whole: made, described, dropped, copied.

mod error;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};
use serde::Serialize;

pub use self::error::Error;
use crate::connection::{self, Refusal, Target};
use crate::error::{Doing, Result};
use crate::raw::{RunSql, Sql, raw, readable, sql, sql_query};

const APPLICATION: &str = "optiinfra-dbctl/database";

/// The databases that every server has: one to connect to, two to copy from.
const MAINTENANCE: [&str; 3] = ["postgres", "template1", "template0"];

/// What is lost with a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// Its name.
    pub database: String,
    /// Its size in bytes.
    pub bytes: i64,
    /// How many other sessions are open in it.
    pub sessions: i64,
    /// Its tables, the largest first; those of PostgreSQL itself are left out, and partitions count for their table.
    pub tables: Vec<Table>,
}

/// A table of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, QueryableByName)]
pub struct Table {
    /// Its name, with its schema where that is not the current one.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// About how many rows it has, as far as the server has counted.
    #[diesel(sql_type = BigInt)]
    pub rows: i64,
    /// Its size in bytes with indexes.
    #[diesel(sql_type = BigInt)]
    pub bytes: i64,
}

/// Makes the database that the target names, in UTF-8; `false` where it is there already.
///
/// # Errors
///
/// [`connection::Error`] where neither `postgres` nor `template1` can be connected to, and when the server refuses.
pub fn create(target: &Target) -> Result<bool> {
    let name = name(target)?;
    let mut conn = beside(target, &name)?;
    if exists(&mut conn, &name)? {
        return Ok(false);
    }
    let create = raw!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'", name = Sql::identifier(&name));
    match conn.batch(create) {
        // Another process was faster.
        Err(_) if exists(&mut conn, &name)? => Ok(false),
        made => made.doing(format!("create the database {name}")).map(|()| true),
    }
}

/// What is in the database that the target names; `None` where there is no such database.
///
/// # Errors
///
/// [`Error::Maintenance`] for a database of the server itself, and when it cannot be connected to.
pub fn contents(target: &Target) -> Result<Option<Contents>> {
    let database = name(target)?;
    if MAINTENANCE.contains(&database.as_str()) {
        return Err(Error::Maintenance { database }.into());
    }
    let mut conn = match connection::connect(target, APPLICATION) {
        Err(connection::Error::Connect { refusal: Refusal::NoDatabase, .. }) => return Ok(None),
        connected => connected?,
    };
    let tables =
        sql_query(raw!("SELECT {name} AS name, rows, bytes FROM ({TABLES}) AS found", name = readable("name"), TABLES));
    let tables = tables.load(&mut conn).doing("list the tables of the database")?;
    let bytes = diesel::select(sql::<BigInt>("pg_database_size(current_database())"));
    let bytes = bytes.get_result(&mut conn).doing("ask for the size of the database")?;
    let sessions = sessions(&mut conn, &database)? - 1;
    Ok(Some(Contents { database, bytes, sessions, tables }))
}

const TABLES: &str = "
    SELECT root::regclass::text AS name, sum(rows)::bigint AS rows, sum(bytes)::bigint AS bytes
    FROM (
        SELECT
            coalesce(pg_partition_root(c.oid), c.oid) AS root,
            greatest(c.reltuples::bigint, pg_stat_get_live_tuples(c.oid), 0) AS rows,
            pg_total_relation_size(c.oid) AS bytes
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
    ) AS leaf
    GROUP BY root
    ORDER BY bytes DESC, name";

/// Drops the database that the target names; `false` where there is none. `force` ends the sessions that are open in it.
///
/// # Errors
///
/// [`Error::Maintenance`] for a database of the server itself, [`Error::InUse`] while sessions are open in it.
pub fn drop(target: &Target, force: bool) -> Result<bool> {
    let database = name(target)?;
    if MAINTENANCE.contains(&database.as_str()) {
        return Err(Error::Maintenance { database }.into());
    }
    drop_on(&mut beside(target, &database)?, database, force)
}

/// The same by a session in another database.
pub(crate) fn drop_on(conn: &mut PgConnection, database: String, force: bool) -> Result<bool> {
    if !exists(conn, &database)? {
        return Ok(false);
    }
    let with = if force { " WITH (FORCE)" } else { "" };
    let dropped = conn.batch(raw!("DROP DATABASE {name}{with}", name = Sql::identifier(&database), with));
    unless_in_use(conn, database, dropped, "drop").map(|()| true)
}

/// Makes a database as a copy of another one of the same server, by copying its files.
///
/// # Errors
///
/// [`Error::Exists`] where the name is taken, and [`Error::InUse`] while sessions are open in the other one.
pub fn copy(target: &Target, copy: &str) -> Result<()> {
    let database = name(target)?;
    copy_on(&mut beside(target, &database)?, database, copy)
}

/// The same by a session in another database.
pub(crate) fn copy_on(conn: &mut PgConnection, database: String, copy: &str) -> Result<()> {
    if exists(conn, copy)? {
        return Err(Error::Exists { database: copy.to_owned() }.into());
    }
    let version = diesel::select(sql::<Integer>("current_setting('server_version_num')::integer"));
    let version: i32 = version.get_result(conn).doing("ask for the server's version")?;
    // The default of newer servers takes twice as long: it writes each block to the log.
    let strategy = if version < 150_000 { "" } else { " STRATEGY file_copy" };
    let made = conn.batch(raw!(
        "CREATE DATABASE {copy} TEMPLATE {name}{strategy}",
        copy = Sql::identifier(copy),
        name = Sql::identifier(&database),
        strategy
    ));
    unless_in_use(conn, database, made, "copy")
}

/// An error, or that sessions are the cause of it.
fn unless_in_use(conn: &mut PgConnection, database: String, done: QueryResult<()>, verb: &str) -> Result<()> {
    let Err(source) = done else { return Ok(()) };
    match sessions(conn, &database)? {
        0 => Err(source).doing(format!("{verb} the database {database}")),
        sessions => Err(Error::InUse { database, sessions, source }.into()),
    }
}

fn name(target: &Target) -> Result<String> {
    target.require_database_name()?;
    Ok(target.parameter("dbname").unwrap_or_default())
}

/// A connection to another database of the same server.
fn beside(target: &Target, name: &str) -> Result<PgConnection> {
    let connect = |other: &str| connection::connect(&target.clone().with("dbname", other), APPLICATION);
    let [first, second, _] = MAINTENANCE;
    if name == first {
        return Ok(connect(second)?);
    }
    Ok(connect(first).or_else(|refused| match refused {
        connection::Error::Connect { refusal: Refusal::Unreachable | Refusal::Role | Refusal::Server, .. } => {
            Err(refused)
        }
        refused => connect(second).map_err(|_| refused),
    })?)
}

fn exists(conn: &mut PgConnection, name: &str) -> Result<bool> {
    sql_query("SELECT FROM pg_database WHERE datname = $1")
        .bind::<Text, _>(name)
        .execute(conn)
        .map(|found| found == 1)
        .doing("look for the database")
}

/// How many sessions are open in a database.
fn sessions(conn: &mut PgConnection, name: &str) -> Result<i64> {
    #[derive(QueryableByName)]
    struct Sessions {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    // Of other roles' sessions some roles do not see the kind.
    let query = "SELECT count(*) AS count FROM pg_stat_activity \
                 WHERE datname = $1 AND coalesce(backend_type, 'client backend') = 'client backend'";
    let Sessions { count } =
        sql_query(query).bind::<Text, _>(name).get_result(conn).doing("count the sessions of the database")?;
    Ok(count)
}
