//! What is in the database, and its health: the statistics that the documents ask for, as plain data.
//!
//! All of it is read in one READ ONLY transaction that a role with SELECT can run. It is harmless to other sessions: it
//! waits 50 ms for a lock and 5 s for a query, says what it skipped, and goes on. It judges nothing: that is for
//! `verify`. API keys are never read.

mod application;
mod bloat;
mod core;
mod error;
mod figures;
mod indexes;
mod layers;
mod observation;
mod operations;
mod resource;
mod server;
mod sessions;
mod shards;
mod statistics;
mod tables;
mod workflow_history;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text, Timestamptz};
use serde::Serialize;
use uuid::Uuid;

pub use self::application::{Application, OpenRegression, Quality, QualityOverTime, RegressionMark, Regressions};
pub use self::bloat::Bloat;
pub use self::core::{Agent, Core, Customer};
pub use self::error::Error;
pub use self::figures::Point;
pub use self::indexes::{ForeignKey, Index, IndexName, Redundancy, Redundant};
use self::observation::observe;
pub use self::observation::{Observation, Unavailable, VERDICT_DAYS};
pub use self::operations::{Cache, Migrations, NewestSample, Operations};
pub use self::resource::{
    Band, CustomerSample, GpuSample, Instance, Metrics, Resource, ScalingEvent, ScalingEvents, ScalingOutcome, Spread,
    Utilization,
};
pub use self::server::{Connections, Replica, Server, Statement};
pub use self::sessions::{BlockedSession, LONG_TRANSACTION_SECONDS, LongTransaction};
pub use self::shards::Shard;
use self::shards::Shards;
pub use self::statistics::Statistics;
pub use self::tables::{RowsAre, Table};
pub use self::workflow_history::{WorkflowHistory, Workflows};
use crate::catalog::IS_DISTRIBUTED;
use crate::error::{Doing, Result};
use crate::id::CustomerId;
use crate::raw::{RunSql, sql};
use crate::{migrate, rollback, tenant};

/// How many of the newest samples are summed up, and of the newest answers, unless the options say otherwise.
pub const NEWEST: i64 = 250_000;

/// What to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Only the rows of this customer. The sizes of the tables and the agents are everybody's all the same.
    pub customer: Option<CustomerId>,
    /// Only what happened at this time or later, UTC.
    pub since: Option<DateTime<Utc>>,
    /// Count the rows of every table instead of taking the planner's estimate, and sum up all samples and answers.
    pub exact: bool,
    /// Sum up about so many of the newest samples, and of the newest answers.
    pub newest: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self { customer: None, since: None, exact: false, newest: NEWEST }
    }
}

/// What is in the database.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Name of the database.
    pub database: String,
    /// Name of the schema.
    pub schema: String,
    /// Version of the server, such as 15.4.
    pub server_version: String,
    /// Name of the newest applied migration that this code knows.
    pub head: Option<String>,
    /// Whether the server is a standby, which knows of no vacuum or analyze of its primary.
    pub standby: bool,
    /// When the statistics were gathered, UTC.
    pub gathered_at: DateTime<Utc>,
    /// The customer whose rows these are; `None` for all.
    pub customer: Option<CustomerId>,
    /// The beginning of their time, UTC; `None` for rows of any time.
    pub since: Option<DateTime<Utc>>,
    /// The beginning of the time of the resource layer's samples, UTC; `None` for samples of any time. Later than
    /// `since` where there are more samples than are summed up.
    pub samples_since: Option<DateTime<Utc>>,
    /// The same of the answers of the application layer.
    pub answers_since: Option<DateTime<Utc>>,
    /// Every table, by layer.
    pub tables: Vec<Table>,
    /// Customers and agents. (0.2a)
    pub core: Core,
    /// Workflows. (0.2c)
    pub workflow_history: WorkflowHistory,
    /// Samples of instances and scaling decisions. (0.2d)
    pub resource: Resource,
    /// Quality of answers. (0.2e)
    pub application: Application,
    /// The health of the database.
    pub operations: Operations,
    /// The server that it is on.
    pub server: Server,
    /// Layers that could not be read.
    pub skipped: Vec<Skipped>,
}

/// A part of the report that could not be had. Its lists are empty and its figures `None`, which says nothing about the
/// database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The layer.
    pub part: &'static str,
    /// Why not.
    pub reason: Unavailable,
}

/// Finds a customer by id or by name.
///
/// # Errors
///
/// [`Error::NoSuchCustomer`] unless exactly one fits; [`crate::Error::Query`] when the customers cannot be read.
pub fn find_customer(conn: &mut PgConnection, wanted: &str) -> Result<CustomerId> {
    use crate::schema::customers::dsl::{customers, id, name};

    let mut query = customers.select(id).into_boxed();
    query = match wanted.parse::<Uuid>() {
        Ok(wanted) => query.filter(id.eq(wanted)),
        Err(_) => query.filter(name.eq(wanted)),
    };
    let found: Vec<Uuid> = query.order(id).load(conn).doing("look for the customer")?;
    match found[..] {
        [one] => Ok(CustomerId::new(one)),
        _ => Err(Error::NoSuchCustomer { wanted: wanted.to_owned(), found }.into()),
    }
}

/// Gathers the statistics.
///
/// What another session has locked, what the role may not read and what takes longer than 5 s is skipped, with the
/// reason. Where the schema is older than this code, the layers are skipped.
///
/// # Errors
///
/// [`migrate::Error::Behind`] when no migration has been applied, [`crate::Error::Query`] when the database cannot be asked
/// at all.
pub fn run(conn: &mut PgConnection, options: &Options) -> Result<Report> {
    rollback::read(conn, |conn| gather(conn, options))
}

fn gather(conn: &mut PgConnection, options: &Options) -> Result<Report> {
    observation::limit(conn)?;
    // The times of the schema's fifth version have no zone.
    conn.batch("SET LOCAL TimeZone = 'UTC'").doing("set the time zone")?;
    tenant::refuse_partial_view(conn).doing("ask which rows this role is shown")?;
    let (database, schema, server_version, standby, gathered_at, is_distributed) = diesel::select((
        sql::<Text>("current_database()::text"),
        sql::<Text>("coalesce(current_schema(), '')::text"),
        sql::<Text>("split_part(current_setting('server_version'), ' ', 1)"),
        sql::<Bool>("pg_is_in_recovery()"),
        sql::<Timestamptz>("now()"),
        sql::<Bool>(IS_DISTRIBUTED),
    ))
    .get_result(conn)
    .doing("ask for the name of the database")?;
    let (head, migrations) = migrations(conn)?;
    let pending = migrations.found().map(|migrations| migrations.pending.clone()).unwrap_or_default();
    let shards = if is_distributed {
        observe(conn, |conn| Shards::read(conn).doing("measure the parts of the distributed tables"))?
    } else {
        Observation::Done { found: Shards::default() }
    };
    let mut tables = tables::read(conn, options.exact, |tables| {
        if let Some(shards) = shards.found() {
            shards.add_to(tables);
        }
    })?;
    let layers = layers::read(conn, options, &pending, is_distributed)?;
    layers.reconcile(&mut tables, options);
    Ok(Report {
        database,
        schema,
        server_version,
        standby,
        head,
        gathered_at,
        customer: options.customer,
        since: options.since,
        samples_since: layers.samples_since,
        answers_since: layers.answers_since,
        core: layers.core,
        workflow_history: layers.workflow_history,
        resource: layers.resource,
        application: layers.application,
        skipped: layers.skipped,
        operations: operations::read(conn, &tables, migrations, &shards)?,
        server: server::read(conn)?,
        tables,
    })
}

/// The newest applied migration, and how many there are.
fn migrations(conn: &mut PgConnection) -> Result<(Option<String>, Observation<Migrations>)> {
    let status = match observe(conn, migrate::status)? {
        Observation::Done { found } => found,
        Observation::Skipped { reason } => return Ok((None, Observation::Skipped { reason })),
    };
    let head = status.head();
    let pending: Vec<_> = status.pending.into_iter().map(|pending| pending.name).collect();
    if status.applied.is_empty() && !pending.is_empty() {
        return Err(migrate::Error::Behind { pending }.into());
    }
    let found = Migrations {
        applied: status.applied.len(),
        pending,
        unknown: status.unknown.iter().map(|unknown| unknown.label().to_owned()).collect(),
    };
    Ok((head, Observation::Done { found }))
}
