//! Loads synthetic rows in bulk, as a service would load what a fleet sends, and says how fast that was.
//!
//! ```text
//! export DATABASE_URL=$(optiinfra-dbctl local url)     # migrated, and seeded with --all
//! cargo run --release --example bulk_load -- --rows 1000000 --connections 2
//! cargo run --release --example bulk_load -- --rows 1000000 --csv > rows.csv   # the same rows, for psql's \copy
//! ```
//!
//! The rows of a number are the same in every run, ids included, so with `--on-conflict skip` a run that was killed
//! can be repeated. Options: `--table NAME`, `--rows N`, `--first N`, `--connections N`, `--rows-per-chunk N`,
//! `--on-conflict refuse|skip`, `--ids v4|v7`, `--csv`.

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use optiinfra_db::connection::{self, Pool, Target};
use optiinfra_db::enums::{EventSeverity, MetricType, ResourceType};
use optiinfra_db::ingest::{self, BulkWriter, Ingest, OnConflict, Report};
use optiinfra_db::models::{NewAgentMetric, NewEvent, NewQualityMetric, NewResourceMetric};
use optiinfra_db::schema::{agents, customers};
use serde_json::json;
use uuid::{Builder, Uuid};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Instances in the fleet, each with every [`METRICS`] at every tick.
const INSTANCES: u64 = 200;

/// Seconds from one tick to the next.
const TICK: i64 = 10;

const METRICS: [(ResourceType, &str, &str); 5] = [
    (ResourceType::Gpu, "utilization", "percent"),
    (ResourceType::Gpu, "temperature", "celsius"),
    (ResourceType::Cpu, "utilization", "percent"),
    (ResourceType::Memory, "used", "GB"),
    (ResourceType::Network, "throughput", "Mbps"),
];

fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    let target = Target::parse(&std::env::var("DATABASE_URL")?)?;
    let connections = u32::try_from(options.connections)?;
    let pool = connection::pool(&target, "bulk_load").max_size(connections).build()?;
    let owners = Owners::first(&pool)?;
    let mut out = BufWriter::new(io::stdout().lock());
    if options.csv {
        for number in options.numbers() {
            writeln!(out, "{}", csv_line(&owners, &options, number))?;
        }
        return Ok(out.flush()?);
    }
    let start = Instant::now();
    let report = load(&pool, &owners, &options)?;
    let seconds = start.elapsed().as_secs_f64();
    let figures = json!({
        "report": report,
        "seconds": seconds,
        "rows_per_second": (report.received as f64 / seconds).round(),
        "peak_memory_kib": peak_memory_kib(),
    });
    writeln!(out, "{figures}")?;
    Ok(out.flush()?)
}

/// What to load, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The table.
    pub table: String,
    /// How many rows.
    pub rows: u64,
    /// Number of the first row; the rows of a number are always the same.
    pub first: u64,
    /// Connections at once.
    pub connections: usize,
    /// Rows in a transaction, if not as many as usual.
    pub rows_per_chunk: Option<usize>,
    /// What becomes of rows that are there.
    pub on_conflict: OnConflict,
    /// Ids of version 7, not 4.
    pub ordered_ids: bool,
    /// Print the rows instead.
    pub csv: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            table: NewResourceMetric::TABLE.to_owned(),
            rows: 100_000,
            first: 0,
            connections: 1,
            rows_per_chunk: None,
            on_conflict: OnConflict::Refuse,
            ordered_ids: true,
            csv: false,
        }
    }
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        while let Some(name) = arguments.next() {
            if name == "--csv" {
                options.csv = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            match (name.as_str(), value.as_str()) {
                ("--table", _) => options.table = value,
                ("--rows", _) => options.rows = value.parse()?,
                ("--first", _) => options.first = value.parse()?,
                ("--connections", _) => options.connections = value.parse()?,
                ("--rows-per-chunk", _) => options.rows_per_chunk = Some(value.parse()?),
                ("--on-conflict", "refuse") => options.on_conflict = OnConflict::Refuse,
                ("--on-conflict", "skip") => options.on_conflict = OnConflict::Skip,
                ("--ids", "v4") => options.ordered_ids = false,
                ("--ids", "v7") => options.ordered_ids = true,
                _ => return Err(format!("unknown: {name} {value}").into()),
            }
        }
        Ok(options)
    }

    fn numbers(&self) -> std::ops::Range<u64> {
        self.first..self.first + self.rows
    }

    /// The id of a row: by the time of its sample, or as random as an id can be that is the same again.
    fn id(&self, at: DateTime<Utc>, number: u64) -> Uuid {
        if self.ordered_ids {
            return ingest::ids::sample_id_of(at, &number.to_be_bytes());
        }
        Builder::from_random_bytes(fastrand::Rng::with_seed(number).u128(..).to_be_bytes()).into_uuid()
    }
}

/// Whose rows these are.
#[derive(Debug, Clone, Copy)]
pub struct Owners {
    /// The customer.
    pub customer_id: Uuid,
    /// The agent.
    pub agent_id: Uuid,
}

impl Owners {
    /// The first customer and the first agent that are there.
    fn first(pool: &Pool) -> Result<Self> {
        let mut conn = pool.get()?;
        let customer = customers::table.select(customers::id).order(customers::id).first(&mut conn).optional()?;
        let agent = agents::table.select(agents::id).order(agents::id).first(&mut conn).optional()?;
        match (customer, agent) {
            (Some(customer_id), Some(agent_id)) => Ok(Self { customer_id, agent_id }),
            _ => Err("there is no customer, or no agent: run `optiinfra-dbctl seed core`".into()),
        }
    }
}

/// Writes the rows of the options into their table.
///
/// # Errors
///
/// Fails as [`BulkWriter::write`] does, and when nothing is known of the table.
pub fn load(pool: &Pool, owners: &Owners, options: &Options) -> Result<Report> {
    match options.table.as_str() {
        NewResourceMetric::TABLE => write(pool, options, |number| resource_metric(owners, options, number)),
        NewQualityMetric::TABLE => write(pool, options, |number| quality_metric(owners, options, number)),
        NewAgentMetric::TABLE => write(pool, options, |number| agent_metric(owners, options, number)),
        NewEvent::TABLE => write(pool, options, |number| event(owners, options, number)),
        other => Err(format!("no rows for {other}").into()),
    }
}

fn write<R: Ingest>(pool: &Pool, options: &Options, row: impl Fn(u64) -> R) -> Result<Report> {
    let mut writer = BulkWriter::new(pool).connections(options.connections).on_conflict(options.on_conflict);
    if let Some(rows) = options.rows_per_chunk {
        writer = writer.rows_per_chunk(rows);
    }
    Ok(writer.write(options.numbers().map(row))?)
}

/// When the sample of a number was taken: every instance and metric at one tick, then the next tick.
fn sampled_at(number: u64) -> DateTime<Utc> {
    let tick = i64::try_from(number / (INSTANCES * METRICS.len() as u64)).unwrap_or(0);
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_760_000_000 + tick * TICK)
}

fn resource_metric(owners: &Owners, options: &Options, number: u64) -> NewResourceMetric {
    let kinds = METRICS.len() as u64;
    let (resource_type, metric_name, unit) = METRICS[usize::try_from(number % kinds).unwrap_or(0)];
    let timestamp = sampled_at(number);
    NewResourceMetric {
        id: Some(options.id(timestamp, number)),
        agent_id: owners.agent_id,
        customer_id: owners.customer_id,
        instance_id: format!("i-{:012x}", number / kinds % INSTANCES),
        resource_type,
        metric_name: metric_name.to_owned(),
        metric_value: value(number),
        unit: unit.to_owned(),
        timestamp,
        metadata: None,
        created_at: Some(timestamp),
    }
}

fn quality_metric(owners: &Owners, options: &Options, number: u64) -> NewQualityMetric {
    let timestamp = sampled_at(number);
    NewQualityMetric {
        id: Some(options.id(timestamp, number)),
        agent_id: owners.agent_id,
        customer_id: owners.customer_id,
        request_id: format!("bulk-{number:012}"),
        model_name: format!("model-{}", number % 4),
        model_version: "1.0".to_owned(),
        prompt_tokens: Some(512),
        completion_tokens: None,
        latency_ms: Some(value(number) * 10.0),
        relevance_score: Some(value(number) / 100.0),
        coherence_score: None,
        factuality_score: None,
        hallucination_detected: None,
        toxicity_score: None,
        overall_quality_score: value(number) / 100.0,
        timestamp,
        metadata: None,
        created_at: Some(timestamp),
    }
}

fn agent_metric(owners: &Owners, options: &Options, number: u64) -> NewAgentMetric {
    let recorded_at = sampled_at(number);
    NewAgentMetric {
        id: Some(options.id(recorded_at, number)),
        agent_id: owners.agent_id,
        metric_name: "requests_handled".to_owned(),
        metric_value: value(number),
        metric_type: Some(MetricType::Counter),
        tags: None,
        recorded_at: Some(recorded_at),
    }
}

fn event(owners: &Owners, options: &Options, number: u64) -> NewEvent {
    let created_at = sampled_at(number);
    NewEvent {
        id: Some(options.id(created_at, number)),
        customer_id: owners.customer_id,
        agent_id: Some(owners.agent_id),
        event_type: "instance_reported".to_owned(),
        severity: Some(EventSeverity::Info),
        data: Some(json!({"number": number})),
        created_at: Some(created_at),
    }
}

/// Something between 0 and 100 that looks measured.
fn value(number: u64) -> f64 {
    (fastrand::Rng::with_seed(number).f64() * 10_000.0).round() / 100.0
}

/// A row of `resource_metrics` as `COPY resource_metrics FROM STDIN (FORMAT csv)` reads it.
fn csv_line(owners: &Owners, options: &Options, number: u64) -> String {
    let row = resource_metric(owners, options, number);
    let (at, id) = (row.timestamp.to_rfc3339(), options.id(row.timestamp, number));
    format!(
        "{id},{},{},{},{},{},{},{},{at},{{}},{at}",
        row.agent_id, row.customer_id, row.instance_id, row.resource_type, row.metric_name, row.metric_value, row.unit,
    )
}

/// The most memory that the process has had, where the system tells.
fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}
