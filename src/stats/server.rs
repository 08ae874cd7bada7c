//! The server: who we are there, its connections, its log of changes, its standbys, and what it runs for longest.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable, Text, Timestamptz};
use serde::Serialize;

use super::observation::{Observation, Unavailable, observe};
use super::sessions::observe_all;
use crate::error::{Doing, Result};
use crate::raw::{Sql, raw, sql, sql_query};

/// The server that the database is on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Server {
    /// Its address and port; `None` over a Unix socket.
    pub address: Option<String>,
    /// The role that asks.
    pub role: String,
    /// When it was started, UTC.
    pub started_at: DateTime<Utc>,
    /// How many connections it takes.
    pub max_connections: i64,
    /// How many there are.
    pub connections: Observation<Connections>,
    /// Age of the oldest transaction id of the database that is not frozen. At 2,147,483,648 the server stops.
    pub transaction_id_age: i64,
    /// The age from which on it vacuums whatever the settings of a table say.
    pub freeze_max_age: i64,
    /// Bytes of write-ahead log since its statistics were reset.
    pub wal_bytes: Observation<i64>,
    /// Bytes of write-ahead log that it keeps.
    pub wal_kept_bytes: Observation<i64>,
    /// Its standbys.
    pub replicas: Observation<Vec<Replica>>,
    /// How far a standby is behind, in seconds; `None` on a primary.
    pub replay_lag_seconds: Observation<Option<f64>>,
    /// The ten statements of this database that took longest in all, where the extension counts them.
    pub slowest_statements: Observation<Vec<Statement>>,
}

/// Connections of clients to any database of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, QueryableByName)]
pub struct Connections {
    /// All of them.
    #[diesel(sql_type = BigInt)]
    pub total: i64,
    /// Those that run a statement.
    #[diesel(sql_type = BigInt)]
    pub active: i64,
    /// Those that wait for one.
    #[diesel(sql_type = BigInt)]
    pub idle: i64,
    /// Those that wait for one and hold a transaction open.
    #[diesel(sql_type = BigInt)]
    pub idle_in_transaction: i64,
}

/// A standby of the server.
#[derive(Debug, Clone, PartialEq, Serialize, QueryableByName)]
pub struct Replica {
    /// What it calls itself.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// What it does: `streaming`, `catchup`.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// Bytes of write-ahead log that it has not replayed.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub lag_bytes: Option<i64>,
    /// How long ago what it replayed last was written, in seconds; `None` where it has caught up.
    #[diesel(sql_type = Nullable<Double>)]
    pub lag_seconds: Option<f64>,
}

/// A statement, without the values in it.
#[derive(Debug, Clone, PartialEq, Serialize, QueryableByName)]
pub struct Statement {
    /// Its text on one line, at most 300 characters of it.
    #[diesel(sql_type = Text)]
    pub statement: String,
    /// How often it was run.
    #[diesel(sql_type = BigInt)]
    pub calls: i64,
    /// How long it took in all, in seconds.
    #[diesel(sql_type = Double)]
    pub total_seconds: f64,
    /// How long it takes on average, in milliseconds.
    #[diesel(sql_type = Double)]
    pub mean_milliseconds: f64,
    /// How many rows it returned or changed in all.
    #[diesel(sql_type = BigInt)]
    pub rows: i64,
}

pub(super) fn read(conn: &mut PgConnection) -> Result<Server> {
    let (address, role, started_at, max_connections, transaction_id_age, freeze_max_age) = diesel::select((
        sql::<Nullable<Text>>("host(inet_server_addr()) || ':' || inet_server_port()"),
        sql::<Text>("current_user::text"),
        sql::<Timestamptz>("pg_postmaster_start_time()"),
        sql::<BigInt>("current_setting('max_connections')::bigint"),
        sql::<BigInt>("(SELECT age(datfrozenxid)::bigint FROM pg_database WHERE datname = current_database())"),
        sql::<BigInt>("current_setting('autovacuum_freeze_max_age')::bigint"),
    ))
    .get_result(conn)
    .doing("ask for the server")?;
    Ok(Server {
        address,
        role,
        started_at,
        max_connections,
        transaction_id_age,
        freeze_max_age,
        connections: observe_all(conn, |conn| {
            sql_query(
                "SELECT count(*) AS total, count(*) FILTER (WHERE state = 'active') AS active,
                    count(*) FILTER (WHERE state = 'idle') AS idle,
                    count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_in_transaction
                FROM pg_stat_activity WHERE backend_type = 'client backend'",
            )
            .get_result(conn)
            .doing("count the connections")
        })?,
        wal_bytes: figure(conn, "(SELECT wal_bytes::bigint FROM pg_stat_wal)")?,
        wal_kept_bytes: figure(conn, "(SELECT sum(size)::bigint FROM pg_ls_waldir())")?,
        replicas: observe_all(conn, |conn| {
            sql_query(include_str!("replicas.sql")).load(conn).doing("look at the standbys")
        })?,
        replay_lag_seconds: observe(conn, |conn| {
            // A standby that has replayed all is not behind, however long ago that was.
            diesel::select(sql::<Nullable<Double>>(
                "CASE WHEN NOT pg_is_in_recovery() THEN NULL
                    WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
                    ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END",
            ))
            .get_result(conn)
            .doing("ask how far the standby is behind")
        })?,
        slowest_statements: statements(conn)?,
    })
}

fn figure(conn: &mut PgConnection, expression: &'static str) -> Result<Observation<i64>> {
    observe(conn, |conn| {
        diesel::select(sql::<BigInt>(expression)).get_result(conn).doing("look at the write-ahead log")
    })
}

/// The extension may be in any schema.
fn statements(conn: &mut PgConnection) -> Result<Observation<Vec<Statement>>> {
    let extension = "(SELECT n.nspname::text FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace \
                     WHERE e.extname = 'pg_stat_statements')";
    let schema: Option<String> =
        diesel::select(sql::<Nullable<Text>>(extension)).get_result(conn).doing("look for the extension")?;
    let Some(schema) = schema else {
        return Ok(Observation::Skipped { reason: Unavailable::NoStatementStatistics });
    };
    let query = raw!(
        "WITH counted AS (SELECT * FROM {schema}.pg_stat_statements) {statements}",
        schema = Sql::identifier(&schema),
        statements = include_str!("statements.sql"),
    );
    observe_all(conn, |conn| sql_query(query).load(conn).doing("look at the statements"))
}
