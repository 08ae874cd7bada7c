//! What is in the database and how it is doing: the statistics that the documents ask for, as plain data.
//!
//! One query for each layer (the `.sql` file of its name) and one for the sizes of the tables, all in one READ ONLY
//! transaction that a role with SELECT can run. It judges nothing: that is for `verify`. API keys are never read.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Jsonb, Nullable, Text, Uuid as SqlUuid};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::enums::{
    AgentStatus, AgentType, CustomerPlan, RegressionSeverity, RegressionType, ResourceType, ScalingEventType,
    WorkflowStatus,
};
use crate::error::{Doing, Error, Result};
use crate::layer::{self, Layer};
use crate::migrate;

/// What to look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Only the rows of this customer. The sizes of the tables and the agents are everybody's all the same.
    pub customer: Option<Uuid>,
}

/// What is in the database.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Name of the database.
    pub database: String,
    /// Version of the server, such as 15.4.
    pub server_version: String,
    /// Name of the newest applied migration that this code knows.
    pub head: Option<String>,
    /// The customer whose rows these are; `None` for all.
    pub customer: Option<Uuid>,
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
}

/// The size of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Its layer.
    pub layer: Layer,
    /// Its name.
    pub table: &'static str,
    /// Its rows, counted.
    pub rows: i64,
    /// Bytes on disk: rows, indexes and what is stored out of line.
    pub total_bytes: i64,
}

/// Statistics of the core layer. (0.2a)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Application {
    /// Judged answers by model.
    pub quality: Vec<Quality>,
    /// Regressions by severity.
    pub regressions: Vec<Regressions>,
    /// How many regressions nobody has resolved.
    pub unresolved_regressions: i64,
    /// The newest twenty of these.
    pub open_regressions: Vec<OpenRegression>,
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

/// Gathers the statistics.
///
/// Rows are counted one by one, so the time grows with the tables.
///
/// # Errors
///
/// [`Error::Behind`] when migrations are pending, [`Error::Query`] when a table cannot be read.
pub fn run(conn: &mut PgConnection, options: &Options) -> Result<Report> {
    conn.build_transaction().read_only().repeatable_read().run(|conn| gather(conn, options))
}

fn gather(conn: &mut PgConnection, options: &Options) -> Result<Report> {
    let status = migrate::status(conn)?;
    if !status.pending.is_empty() {
        return Err(Error::Behind { pending: status.pending.into_iter().map(|pending| pending.name).collect() });
    }
    let (database, server_version) = diesel::select((
        sql::<Text>("current_database()::text"),
        sql::<Text>("split_part(current_setting('server_version'), ' ', 1)"),
    ))
    .get_result(conn)
    .doing("ask for the name of the database")?;
    Ok(Report {
        database,
        server_version,
        head: status.head(),
        customer: options.customer,
        tables: tables(conn)?,
        core: of_layer(conn, options, include_str!("core.sql"), "list the customers and agents")?,
        workflow_history: of_layer(conn, options, include_str!("workflow_history.sql"), "count the workflows")?,
        resource: of_layer(conn, options, include_str!("resource.sql"), "summarise the resource layer")?,
        application: of_layer(conn, options, include_str!("application.sql"), "summarise the application layer")?,
    })
}

fn tables(conn: &mut PgConnection) -> Result<Vec<Table>> {
    #[derive(QueryableByName)]
    struct Size {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = BigInt)]
        rows: i64,
        #[diesel(sql_type = BigInt)]
        total_bytes: i64,
    }
    let select = |(_, table): (Layer, &str)| {
        format!(
            "SELECT '{table}' AS name, count(*) AS rows, pg_total_relation_size('{table}'::regclass) AS total_bytes
            FROM {table}"
        )
    };
    let query = layer::tables().map(select).collect::<Vec<_>>().join(" UNION ALL ");
    let sizes: Vec<Size> = diesel::sql_query(query).load(conn).doing("measure the tables")?;
    let table = |(layer, table): (Layer, &'static str)| {
        let size = sizes.iter().find(|size| size.name == table)?;
        Some(Table { layer, table, rows: size.rows, total_bytes: size.total_bytes })
    };
    Ok(layer::tables().filter_map(table).collect())
}

/// Runs the query of a layer, which returns one JSON object with the fields of `T`.
fn of_layer<T: DeserializeOwned>(conn: &mut PgConnection, options: &Options, query: &str, doing: &str) -> Result<T> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Jsonb)]
        summary: Value,
    }
    let row: QueryResult<Row> =
        diesel::sql_query(query).bind::<Nullable<SqlUuid>, _>(options.customer).get_result(conn);
    row.and_then(|row| {
        serde_json::from_value(row.summary).map_err(|error| diesel::result::Error::DeserializationError(error.into()))
    })
    .doing(doing)
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
