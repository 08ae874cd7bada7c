//! Asks the documented questions about samples, answers and regressions, and says how long each of them takes.
//!
//! ```text
//! DATABASE_URL=... cargo run --release --example questions -- 100     # how often each is asked
//! ```
//!
//! Prints one JSON object: for each question the median and the 95th percentile in microseconds, and how many rows an
//! answer had. `script/bench` runs it on tables of different sizes. Whose questions they are is drawn from the newest
//! samples; the customer who stopped reporting is the one whose newest sample is the oldest.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::max;
use diesel::prelude::*;
use optiinfra_db::connection::{self, Target};
use optiinfra_db::enums::ResourceType;
use optiinfra_db::id::CustomerId;
use optiinfra_db::models::{QualityMetric, QualityRegression, ResourceMetric};
use optiinfra_db::schema::{customers, quality_metrics, resource_metrics};
use serde_json::{Value, json};
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How many of the newest samples the instances to ask about are drawn from.
const NEWEST: i64 = 5_000;

/// How far back the range of an instance goes.
const RANGE: TimeDelta = TimeDelta::minutes(10);

/// How many hallucinations a page shows.
const PAGE: i64 = 20;

fn main() -> Result<()> {
    let times = std::env::args().nth(1).map_or(Ok(100), |times| times.parse())?;
    let target = Target::parse(&std::env::var("DATABASE_URL")?)?;
    let mut conn = connection::connect(&target, "questions")?;
    Ok(writeln!(std::io::stdout(), "{}", json!(figures(&mut conn, times)?))?)
}

/// Asks every question so many times.
///
/// # Errors
///
/// Fails when there are no samples or no answers to ask about, and when a query does.
pub fn figures(conn: &mut PgConnection, times: usize) -> Result<BTreeMap<&'static str, Value>> {
    let subjects = Subjects::find(conn)?;
    let mut figures = BTreeMap::new();
    for (name, ask) in QUESTIONS {
        figures.insert(*name, measure(conn, &subjects, times, *ask)?);
    }
    Ok(figures)
}

type Ask = fn(&mut PgConnection, &Subjects, usize) -> QueryResult<usize>;

/// The questions: each says how many rows its answer had.
const QUESTIONS: &[(&str, Ask)] = &[
    ("latest sample of a metric", |conn, _, _| {
        Ok(ResourceMetric::latest(conn, None, ResourceType::Gpu, "utilization")?.into_iter().count())
    }),
    ("latest sample of a metric, one customer", |conn, subjects, turn| {
        let customer = subjects.pair(turn).0;
        Ok(ResourceMetric::latest(conn, Some(customer), ResourceType::Gpu, "utilization")?.into_iter().count())
    }),
    ("latest sample of a customer who stopped reporting", |conn, subjects, _| {
        let customer = Some(subjects.stopped);
        Ok(ResourceMetric::latest(conn, customer, ResourceType::Gpu, "utilization")?.into_iter().count())
    }),
    ("a sample by its id", |conn, subjects, turn| {
        Ok(ResourceMetric::by_id(conn, subjects.ids[turn % subjects.ids.len()])?.into_iter().count())
    }),
    ("ten minutes of an instance", |conn, subjects, turn| {
        let (customer, instance) = subjects.pair(turn);
        let until = subjects.newest;
        Ok(ResourceMetric::of_instance(*customer, instance, until - RANGE, until).load(conn)?.len())
    }),
    ("average of a metric of an instance, all its samples", |conn, subjects, turn| {
        let (customer, instance) = subjects.pair(turn);
        let average = ResourceMetric::average(conn, *customer, instance, ResourceType::Gpu, "utilization")?;
        Ok(average.into_iter().count())
    }),
    ("average of a metric of an instance, all history", |conn, subjects, turn| {
        let (customer, instance) = subjects.pair(turn);
        let average = ResourceMetric::average_of_history(conn, *customer, instance, ResourceType::Gpu, "utilization")?;
        Ok(average.into_iter().count())
    }),
    ("latest answer of a model", |conn, subjects, turn| {
        let model = &subjects.models[turn % subjects.models.len()];
        Ok(QualityMetric::latest(conn, None, model)?.into_iter().count())
    }),
    ("latest answer of a model, one customer", |conn, subjects, turn| {
        let model = &subjects.models[turn % subjects.models.len()];
        Ok(QualityMetric::latest(conn, Some(subjects.pair(turn).0), model)?.into_iter().count())
    }),
    ("newest hallucinations of a customer, a page", |conn, subjects, turn| {
        Ok(QualityMetric::hallucinations(subjects.pair(turn).0).limit(PAGE).load(conn)?.len())
    }),
    ("open regressions", |conn, _, _| Ok(QualityRegression::unresolved().load(conn)?.len())),
];

/// Whom and what to ask about.
struct Subjects {
    /// Customers with an instance each.
    pairs: Vec<(CustomerId, String)>,
    ids: Vec<Uuid>,
    stopped: CustomerId,
    models: Vec<String>,
    newest: DateTime<Utc>,
}

impl Subjects {
    fn find(conn: &mut PgConnection) -> Result<Self> {
        let newest: Vec<(CustomerId, String, DateTime<Utc>)> = resource_metrics::table
            .select((resource_metrics::customer_id, resource_metrics::instance_id, resource_metrics::timestamp))
            .order(resource_metrics::timestamp.desc())
            .limit(NEWEST)
            .load(conn)?;
        let last = newest.first().ok_or("there are no samples")?.2;
        let mut pairs: Vec<_> = newest.into_iter().map(|(customer, instance, _)| (customer, instance)).collect();
        pairs.sort();
        pairs.dedup();
        // Neighbours in this order have most in common; a fixed shuffle mixes them.
        fastrand::Rng::with_seed(7).shuffle(&mut pairs);
        let ids = resource_metrics::table
            .select(resource_metrics::id)
            .order(resource_metrics::timestamp.desc())
            .limit(100)
            .load(conn)?;
        let models = quality_metrics::table
            .select(quality_metrics::model_name)
            .order(quality_metrics::timestamp.desc())
            .limit(100)
            .load::<String>(conn)?;
        if models.is_empty() {
            return Err("there are no answers".into());
        }
        Ok(Self { pairs, ids, stopped: stopped(conn)?, models, newest: last })
    }

    fn pair(&self, turn: usize) -> &(CustomerId, String) {
        &self.pairs[turn % self.pairs.len()]
    }
}

/// The customer whose newest sample is the oldest.
fn stopped(conn: &mut PgConnection) -> Result<CustomerId> {
    let mut last = Vec::new();
    for customer in customers::table.select(customers::id).load::<CustomerId>(conn)? {
        let newest: Option<DateTime<Utc>> = resource_metrics::table
            .filter(resource_metrics::customer_id.eq(customer))
            .filter(resource_metrics::resource_type.eq(ResourceType::Gpu))
            .select(max(resource_metrics::timestamp))
            .first(conn)?;
        last.extend(newest.map(|newest| (newest, customer)));
    }
    Ok(last.into_iter().min().ok_or("no customer has samples")?.1)
}

/// Asks once to warm up, and then so many times.
fn measure(conn: &mut PgConnection, subjects: &Subjects, times: usize, ask: Ask) -> Result<Value> {
    let rows = ask(conn, subjects, 0)?;
    let mut taken = Vec::with_capacity(times);
    for turn in 0..times {
        let begin = Instant::now();
        ask(conn, subjects, turn)?;
        taken.push(begin.elapsed().as_micros());
    }
    taken.sort_unstable();
    let at = |percent: usize| taken.get(taken.len().saturating_sub(1) * percent / 100);
    Ok(json!({ "median_us": at(50), "p95_us": at(95), "rows": rows }))
}
