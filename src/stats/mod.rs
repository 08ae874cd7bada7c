//! What is in the database and how it is doing: the statistics that the documents ask for, as plain data.
//!
//! One query for each layer (the `.sql` file of its name), and the operator's view in `operations`, all in one READ ONLY
//! transaction that a role with SELECT can run. It is harmless to whoever works in the database: it waits 50 ms for a
//! lock and 5 s for a query, says what it skipped, and goes on. Of the tables that grow without end it reads the newest
//! rows, so that it takes no longer in a year than today. It judges nothing: that is for `verify`. API keys are never
//! read.

pub mod operations;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

use self::operations::{Migrations, Operations, Probe, Table};
use crate::enums::{
    AgentStatus, AgentType, CustomerPlan, RegressionSeverity, RegressionType, ResourceType, ScalingEventType,
    WorkflowStatus,
};
use crate::error::{Doing, Error, Result};
use crate::migrate;
use crate::raw::{RunSql, sql, sql_query};
use crate::tenant;

/// How long to wait for locks and for queries. UTC is for the schema's fifth version, whose times have no zone.
const HARMLESS: &str =
    "SET LOCAL lock_timeout = '50ms'; SET LOCAL statement_timeout = '5s'; SET LOCAL TimeZone = 'UTC'";

/// How many of the newest samples are summed up, and of the newest answers, unless told otherwise.
pub const NEWEST: i64 = 250_000;

/// What to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Only the rows of this customer. The sizes of the tables and the agents are everybody's all the same.
    pub customer: Option<Uuid>,
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
    /// When the statistics were gathered, UTC.
    pub gathered_at: DateTime<Utc>,
    /// The customer whose rows these are; `None` for all.
    pub customer: Option<Uuid>,
    /// The time that these rows do not reach back behind, UTC; `None` for all.
    pub since: Option<DateTime<Utc>>,
    /// The time that the samples of the resource layer do not reach back behind, UTC; `None` for all. Later than
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
    /// How the database is doing.
    pub operations: Operations,
    /// Layers that could not be read.
    pub skipped: Vec<Skipped>,
}

/// A part of the report that could not be had. Its lists are empty, which says nothing about the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The layer.
    pub part: &'static str,
    /// Why not.
    pub reason: String,
}

/// Statistics of the core layer. (0.2a)
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Core {
    /// By name.
    pub customers: Vec<Customer>,
    /// By type and name.
    pub agents: Vec<Agent>,
}

/// A customer, without the key. (0.2a)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Primary key.
    pub id: Uuid,
    /// What to call them.
    pub name: String,
    /// Their address.
    pub email: String,
    /// What they pay for.
    pub plan: CustomerPlan,
}

/// An agent. (0.2a)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// What it looks after.
    #[serde(rename = "type")]
    pub type_: AgentType,
    /// Its name.
    pub name: String,
    /// How it is.
    pub status: AgentStatus,
}

/// Statistics of the workflow history layer. (0.2c)
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowHistory {
    /// How many workflows stand where.
    pub workflows: Vec<Workflows>,
}

/// The workflows of one status. (0.2c)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workflows {
    /// Where they stand.
    pub status: WorkflowStatus,
    /// How many there are.
    pub count: i64,
}

/// Statistics of the resource layer. (0.2d part 2)
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Samples by resource type.
    pub metrics: Vec<Metrics>,
    /// Samples by instance.
    pub instances: Vec<Instance>,
    /// The newest sample of GPU utilisation.
    pub latest_gpu_utilization: Option<GpuSample>,
    /// Scaling events by type.
    pub scaling_events: Vec<ScalingEvents>,
    /// Scaling events that have ended, by type and success.
    pub scaling_outcomes: Vec<ScalingOutcome>,
    /// The scaling event that began last.
    pub latest_scaling_event: Option<ScalingEvent>,
    /// Utilisation over time of the twelve instances with most samples of it, those of equally many in the order of their
    /// names; by instance and resource type.
    pub utilization: Vec<Utilization>,
    /// How many instances have samples of utilisation, drawn or not.
    pub utilization_instances: i64,
    /// The newest two hundred scaling events, the oldest first.
    pub scaling_timeline: Vec<ScalingEvent>,
}

/// Utilisation of one resource of one instance over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Utilization {
    /// The instance.
    pub instance_id: String,
    /// The resource.
    pub resource_type: ResourceType,
    /// Averages in percent of at most 97 equal spans, the oldest first.
    pub points: Vec<Point>,
}

/// An average over a span of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When the span begins, UTC.
    pub at: DateTime<Utc>,
    /// The average.
    #[serde(deserialize_with = "float")]
    pub value: f64,
}

/// The samples of one resource type. (0.2d part 2)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metrics {
    /// The resource type.
    pub resource_type: ResourceType,
    /// How many samples there are.
    pub count: i64,
}

/// The samples of one instance. (0.2d part 2)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// The instance as the cloud provider names it.
    pub instance_id: String,
    /// Samples of any kind.
    pub metrics: i64,
    /// Those of GPU utilisation.
    pub gpu_samples: i64,
    /// Average GPU utilisation in percent; `None` without a sample.
    #[serde(deserialize_with = "float_or_null")]
    pub average_gpu_utilization: Option<f64>,
}

/// A sample of GPU utilisation. (0.2d part 2)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GpuSample {
    /// The instance.
    pub instance_id: String,
    /// GPU utilisation in percent.
    #[serde(deserialize_with = "float")]
    pub utilization: f64,
    /// When it was taken, UTC.
    pub timestamp: DateTime<Utc>,
}

/// The scaling events of one type. (0.2d part 2)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalingEvents {
    /// The type.
    pub event_type: ScalingEventType,
    /// How many there are.
    pub count: i64,
    /// How many of them succeeded.
    pub succeeded: i64,
}

/// The scaling events of one type that ended one way. (0.2d part 2)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingOutcome {
    /// The type.
    pub event_type: ScalingEventType,
    /// How they ended.
    pub success: bool,
    /// How many there are.
    pub count: i64,
    /// How long they took on average, in minutes.
    #[serde(deserialize_with = "float")]
    pub average_minutes: f64,
}

/// A scaling event. (0.2d part 2)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingEvent {
    /// The type.
    pub event_type: ScalingEventType,
    /// Whether it did what it set out to do.
    pub success: bool,
    /// Why it began.
    pub trigger_reason: String,
    /// When it began, UTC.
    pub executed_at: DateTime<Utc>,
    /// How long it took in seconds; `None` while it runs.
    #[serde(deserialize_with = "float_or_null")]
    pub duration_seconds: Option<f64>,
}

/// Statistics of the application layer. (0.2e)
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Application {
    /// Judged answers by model.
    pub quality: Vec<Quality>,
    /// Regressions by severity.
    pub regressions: Vec<Regressions>,
    /// How many regressions nobody has resolved.
    pub unresolved_regressions: i64,
    /// The newest twenty of these.
    pub open_regressions: Vec<OpenRegression>,
    /// Quality over time of the eight models with most answers.
    pub quality_over_time: Vec<QualityOverTime>,
    /// The newest hundred regressions, the oldest first.
    pub regression_timeline: Vec<RegressionMark>,
}

/// The quality of one model over time, and what it is measured against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QualityOverTime {
    /// The model.
    pub model_name: String,
    /// Average of the newest baseline of each customer, weighted by their samples; `None` without any.
    #[serde(deserialize_with = "float_or_null")]
    pub baseline: Option<f64>,
    /// Averages of the overall quality of at most 49 equal spans, from 0 to 1, the oldest first.
    pub points: Vec<Point>,
}

/// A regression on the line of time. (0.2e)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegressionMark {
    /// The model.
    pub model_name: String,
    /// What got worse.
    pub regression_type: RegressionType,
    /// How serious it is.
    pub severity: RegressionSeverity,
    /// When it was noticed, UTC.
    pub detected_at: DateTime<Utc>,
    /// When somebody resolved it, UTC.
    pub resolved_at: Option<DateTime<Utc>>,
}

/// The judged answers of one model. (0.2e)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The model.
    pub model_name: String,
    /// How many answers were judged.
    pub answers: i64,
    /// Average overall quality, from 0 to 1.
    #[serde(deserialize_with = "float")]
    pub average_quality: f64,
    /// Average latency in milliseconds; `None` when none was measured.
    #[serde(deserialize_with = "float_or_null")]
    pub average_latency_ms: Option<f64>,
    /// Answers that state as a fact what is none.
    pub hallucinations: i64,
}

/// The regressions of one severity. (0.2e)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regressions {
    /// The severity.
    pub severity: RegressionSeverity,
    /// Those that nobody has resolved.
    pub open: i64,
    /// The others.
    pub resolved: i64,
}

/// A regression that nobody has resolved. (0.2e)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenRegression {
    /// The customer's name.
    pub customer: String,
    /// The model.
    pub model_name: String,
    /// What got worse.
    pub regression_type: RegressionType,
    /// How serious it is.
    pub severity: RegressionSeverity,
    /// The metric that shows it.
    pub metric_name: String,
    /// Its change against the baseline in percent.
    #[serde(deserialize_with = "float")]
    pub delta_percent: f64,
    /// When it was noticed, UTC.
    pub detected_at: DateTime<Utc>,
}

/// Finds a customer by id or by name.
///
/// # Errors
///
/// [`Error::NoSuchCustomer`] unless exactly one fits; [`Error::Query`] when the customers cannot be read.
pub fn find_customer(conn: &mut PgConnection, wanted: &str) -> Result<Uuid> {
    use crate::schema::customers::dsl::{customers, id, name};

    let mut query = customers.select(id).into_boxed();
    query = match wanted.parse::<Uuid>() {
        Ok(wanted) => query.filter(id.eq(wanted)),
        Err(_) => query.filter(name.eq(wanted)),
    };
    let found: Vec<Uuid> = query.order(id).load(conn).doing("look for the customer")?;
    match found[..] {
        [one] => Ok(one),
        _ => Err(Error::NoSuchCustomer { wanted: wanted.to_owned(), found }),
    }
}

/// Gathers the statistics.
///
/// What another session holds, what the role may not read and what takes longer than 5 s is skipped, with the reason.
/// Where the schema is older than this code, the operator's view is all there is.
///
/// # Errors
///
/// [`Error::Behind`] when no migration has been applied, [`Error::Query`] when the database cannot be asked at all.
pub fn run(conn: &mut PgConnection, options: &Options) -> Result<Report> {
    conn.build_transaction().read_only().repeatable_read().run(|conn| gather(conn, options))
}

fn gather(conn: &mut PgConnection, options: &Options) -> Result<Report> {
    conn.batch(HARMLESS).doing("set the time limits")?;
    tenant::refuse_partial_view(conn).doing("ask which rows this role is shown")?;
    let (database, schema, server_version, gathered_at) = diesel::select((
        sql::<Text>("current_database()::text"),
        sql::<Text>("coalesce(current_schema(), '')::text"),
        sql::<Text>("split_part(current_setting('server_version'), ' ', 1)"),
        sql::<Timestamptz>("now()"),
    ))
    .get_result(conn)
    .doing("ask for the name of the database")?;
    let (head, migrations) = migrations(conn)?;
    let tables = operations::tables(conn, options.exact)?;
    let mut layers = Layers { conn, options, pending: pending(&migrations), skipped: Vec::new() };
    let (core, _) = layers.read("core", include_str!("core.sql"), None)?;
    let (workflow_history, _) = layers.read("workflow_history", include_str!("workflow_history.sql"), None)?;
    let newest = include_str!("newest_samples.sql");
    let (resource, samples_since) = layers.read("resource", include_str!("resource.sql"), Some(newest))?;
    let newest = include_str!("newest_answers.sql");
    let (application, answers_since) = layers.read("application", include_str!("application.sql"), Some(newest))?;
    Ok(Report {
        database,
        schema,
        server_version,
        head,
        gathered_at,
        customer: options.customer,
        since: options.since,
        samples_since,
        answers_since,
        core,
        workflow_history,
        resource,
        application,
        skipped: layers.skipped,
        operations: operations::look(conn, &tables, migrations)?,
        tables,
    })
}

/// The newest applied migration, and how many there are.
fn migrations(conn: &mut PgConnection) -> Result<(Option<String>, Probe<Migrations>)> {
    let status = match attempt(conn, migrate::status)? {
        Ok(status) => status,
        Err(reason) => return Ok((None, Probe::Skipped { reason })),
    };
    let head = status.head();
    let pending: Vec<_> = status.pending.into_iter().map(|pending| pending.name).collect();
    if status.applied.is_empty() && !pending.is_empty() {
        return Err(Error::Behind { pending });
    }
    let found = Migrations {
        applied: status.applied.len(),
        pending,
        unknown: status.unknown.into_iter().map(|unknown| unknown.version).collect(),
    };
    Ok((head, Probe::Done { found }))
}

/// Why the layers cannot be read, if migrations are pending.
fn pending(migrations: &Probe<Migrations>) -> Option<String> {
    let pending = &migrations.found()?.pending;
    (!pending.is_empty()).then(|| format!("migrations pending: {}", pending.join(", ")))
}

/// Reads layer by layer, and remembers which could not be read.
struct Layers<'a> {
    conn: &'a mut PgConnection,
    options: &'a Options,
    pending: Option<String>,
    skipped: Vec<Skipped>,
}

impl Layers<'_> {
    /// Reads a layer; where a table of it grows without end, `newest` finds when its newest rows begin.
    fn read<T: DeserializeOwned + Default>(
        &mut self,
        part: &'static str,
        query: &'static str,
        newest: Option<&'static str>,
    ) -> Result<(T, Option<DateTime<Utc>>)> {
        let read = match self.pending.clone() {
            Some(reason) => Err(reason),
            None => attempt(self.conn, |conn| of_layer(conn, self.options, query, newest).doing(summary(part)))?,
        };
        Ok(read.unwrap_or_else(|reason| {
            self.skipped.push(Skipped { part, reason });
            (T::default(), self.options.since)
        }))
    }
}

fn summary(part: &str) -> String {
    format!("summarise the {part} layer")
}

/// Runs the query of a layer, which returns one JSON object with the fields of `T`. Says when the rows begin that grow
/// without end.
fn of_layer<T: DeserializeOwned>(
    conn: &mut PgConnection,
    options: &Options,
    query: &'static str,
    newest: Option<&'static str>,
) -> QueryResult<(T, Option<DateTime<Utc>>)> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Jsonb)]
        summary: Value,
    }
    let mut summary = sql_query(query)
        .into_boxed()
        .bind::<Nullable<SqlUuid>, _>(options.customer)
        .bind::<Nullable<Timestamptz>, _>(options.since);
    let mut begin = options.since;
    if let Some(newest) = newest {
        begin = begin.max(begin_of_newest(conn, options, newest)?);
        summary = summary.bind::<Nullable<Timestamptz>, _>(begin);
    }
    let row: Row = summary.get_result(conn)?;
    let found = serde_json::from_value(row.summary).map_err(|error| DieselError::DeserializationError(error.into()))?;
    Ok((found, begin))
}

/// When the newest rows begin; `None` when there are no others.
fn begin_of_newest(
    conn: &mut PgConnection,
    options: &Options,
    query: &'static str,
) -> QueryResult<Option<DateTime<Utc>>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Timestamptz)]
        begin: DateTime<Utc>,
    }
    if options.exact {
        return Ok(None);
    }
    let row: Option<Row> = sql_query(query)
        .bind::<Nullable<SqlUuid>, _>(options.customer)
        .bind::<BigInt, _>(options.newest)
        .get_result(conn)
        .optional()?;
    Ok(row.map(|row| row.begin))
}

/// Tries what another session's lock or a missing right may forbid. `Err` within is why; the transaction goes on.
fn attempt<T>(
    conn: &mut PgConnection,
    run: impl FnOnce(&mut PgConnection) -> Result<T>,
) -> Result<std::result::Result<T, String>> {
    match conn.transaction(run) {
        Ok(found) => Ok(Ok(found)),
        Err(error) => reason(&error).map(Err).ok_or(error),
    }
}

fn reason(error: &Error) -> Option<String> {
    let Error::Query { source: DieselError::DatabaseError(kind, info), .. } = error else { return None };
    if matches!(kind, DatabaseErrorKind::ClosedConnection) {
        return None;
    }
    let message = info.message();
    Some(match message {
        _ if message.contains("lock timeout") => "locked by another session".to_owned(),
        _ if message.contains("statement timeout") => "took longer than 5 s".to_owned(),
        _ => message.to_owned(),
    })
}

/// JSON has no word for NaN and the infinities; PostgreSQL writes them as texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Float {
    Number(f64),
    Text(String),
}

fn float_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<f64>, D::Error> {
    match Option::<Float>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Float::Number(number)) => Ok(Some(number)),
        Some(Float::Text(text)) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

fn float<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    float_or_null(deserializer)?.ok_or_else(|| serde::de::Error::custom("no number"))
}
