//! A made-up fleet of any size, to fill a database with what real customers would: instances with their load by day
//! and week, the scaling that follows from it, answers of models that get worse for a while, and the agents' own
//! samples.
//!
//! A fleet is a pure function of its [`Fleet`]: the same numbers give the same rows, ids and times included, on every
//! machine. Its customers carry these numbers in their metadata, so a run that was cut short can be taken up again,
//! and a removal takes away exactly the rows that were made. `resources`, `answers` and `agents` make the rows, this
//! file writes them and takes them away. It never touches a row that the fleet did not make.

mod agents;
mod answers;
mod load;
mod resources;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::iter;
use std::num::NonZeroU16;
use std::sync::atomic::AtomicBool;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::exists;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use self::agents::Agents;
use self::answers::Answers;
use self::resources::Resources;
use super::rows::Rows;
use super::{Report, TableReport, ids, lock, removal};
use crate::connection::{self, Pool};
use crate::enums::{CustomerPlan, CustomerStatus};
use crate::error::{Doing, Error, Result};
use crate::ingest::{self, BulkWriter, Ingest, OnConflict};
use crate::layer::{self, Layer};
use crate::models::NewCustomer;
use crate::{schema, tenant};

/// How many rows are looked for or removed by one statement.
const ROWS_PER_STATEMENT: usize = 10_000;

/// The numbers that a fleet follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// Which fleet it is: two with different seeds share no row and live side by side.
    pub rng_seed: u64,
    /// How many customers it has.
    pub customers: u16,
    /// How many instances each customer has, of which not all are in service at a time.
    pub instances: u16,
    /// How many hours it goes back from its last sample.
    pub hours: u16,
    /// Seconds from one sample of an instance to the next.
    pub interval_seconds: NonZeroU16,
    /// The time of the last sample, UTC, to the second.
    pub at: DateTime<Utc>,
}

/// Goes through a fleet's time, and at each tick through everybody who has rows then.
struct Turns<'a> {
    fleet: &'a Fleet,
    /// How many take a turn at each tick.
    of: usize,
    tick: u32,
    turn: usize,
}

impl<'a> Turns<'a> {
    const fn new(fleet: &'a Fleet, of: usize) -> Self {
        Self { fleet, of, tick: 0, turn: 0 }
    }

    /// Whose turn it is, and when; `None` at the end.
    fn next(&mut self) -> Option<(usize, DateTime<Utc>)> {
        if self.turn == self.of {
            self.turn = 0;
            self.tick += 1;
        }
        let time = self.fleet.time(self.tick).filter(|_| self.of > 0)?;
        self.turn += 1;
        Some((self.turn - 1, time))
    }
}

/// One customer of a fleet.
#[derive(Debug, Clone)]
struct Member {
    id: Uuid,
    /// Counted from 0.
    number: u16,
    /// What its names and keys begin with.
    word: String,
}

impl Fleet {
    fn interval(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.interval_seconds.get()))
    }

    /// The time of its first sample.
    fn begin(&self) -> DateTime<Utc> {
        super::ago(self.at, self.interval() * self.ticks().saturating_sub(1).cast_signed())
    }

    /// How many times each instance is sampled.
    fn ticks(&self) -> u32 {
        u32::from(self.hours) * 3600 / u32::from(self.interval_seconds.get())
    }

    /// The time of a tick; `None` after the last one.
    fn time(&self, tick: u32) -> Option<DateTime<Utc>> {
        (tick < self.ticks()).then(|| self.begin() + self.interval() * tick.cast_signed())
    }

    /// Which share of all rows is made when a table has come so far; the tables come in this order.
    fn share(&self, table: &str, ticks: u32) -> f64 {
        // An answer for every other tick of a model, two in three instances in service, and three series each.
        let (customers, instances) = (f64::from(self.customers), f64::from(self.instances));
        let sizes = [
            ("resource_metrics", customers * instances * 2.0),
            ("quality_metrics", customers * 1.5),
            ("agent_metrics", 3.0),
        ];
        let done = f64::from(ticks.min(self.ticks())) / f64::from(self.ticks().max(1));
        let before: f64 = sizes.iter().take_while(|(name, _)| *name != table).map(|(_, size)| size).sum();
        let this: f64 = sizes.iter().filter(|(name, _)| *name == table).map(|(_, size)| size).sum();
        (before + this * done) / sizes.iter().map(|(_, size)| size).sum::<f64>()
    }

    fn member(&self, number: u16) -> Member {
        let word = word(self.rng_seed, number);
        Member { id: ids::of("customers", &word), number, word }
    }

    fn members(&self) -> impl Iterator<Item = Member> {
        (0..self.customers).map(|number| self.member(number))
    }

    fn rows_of_customers(&self) -> Vec<NewCustomer> {
        let plans = CustomerPlan::ALL;
        let customer = |member: Member| {
            NewCustomer::builder()
                .id(member.id)
                .name(format!("Fleet {} customer {:04}", self.rng_seed, member.number))
                .email(format!("ops@{}.example", member.word))
                .api_key(format!("{}_test_key", member.word))
                .plan(plans[usize::from(member.number) % plans.len()])
                .status(CustomerStatus::Active)
                .metadata(json!({"fleet": self}))
                .created_at(self.begin())
                .updated_at(self.begin())
                .build()
        };
        self.members().map(customer).collect()
    }
}

/// How a fleet is written.
#[derive(Clone, Copy)]
pub struct Writing<'a> {
    /// How many connections of the pool write at once; one more is taken for the rest.
    pub connections: usize,
    /// Asked between chunks of rows: whether to stop.
    pub cancel: &'a AtomicBool,
    /// Told now and then how far it has got.
    pub progress: &'a dyn Fn(Progress),
}

/// How far the writing has got.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Samples and answers that are written, or were there.
    pub rows: u64,
    /// Share of all of them that this is, 0 to 1, as far as one can tell before they are made.
    pub share: f64,
}

/// Writes the rows of a fleet that are missing.
///
/// The samples go in chunks of their own, so a run that was ended leaves whole chunks, and another one writes the
/// rest: into an untouched database by plain COPY, else leaving out what is there. Two runs of a schema take turns; no
/// transaction is longer than a chunk.
///
/// # Errors
///
/// [`Error::EmptyFleet`] when the numbers make no sample, [`Error::Behind`] or [`Error::Ahead`] when the schema is not
/// the one that the rows are for, [`Error::MissingPrerequisite`] without the agents of the core layer,
/// [`Error::OtherFleet`] when the seed's fleet is there with other numbers, [`Error::FleetOfUnknownNumbers`] when its
/// customers do not say with which, and otherwise when a statement fails.
pub fn run(pool: &Pool, fleet: &Fleet, writing: Writing<'_>) -> Result<Report> {
    refuse_empty(fleet)?;
    let mut conn = connection::take(pool)?;
    let mut conn = lock::hold(&mut conn, writing.cancel)?;
    let answers = Answers::new(fleet);
    let (customers, baselines) = (fleet.rows_of_customers(), answers.baselines());
    let mut tables = super::write(&mut conn, |conn| {
        check(conn, fleet)?;
        Ok(vec![insert(conn, &customers)?, insert(conn, &baselines)?])
    })?;
    let of_customers = if is_untouched(&mut conn, &customers)? { OnConflict::Refuse } else { OnConflict::Skip };
    let mut writer = Writer { pool, fleet, writing, of_customers, rows: 0 };
    tables.extend(writer.resources(&mut conn)?);
    tables.extend(writer.answers(&mut conn, answers)?);
    tables.push(writer.agents()?);
    Ok(report(fleet, &tables))
}

/// Says what [`run`] would do, from a read-only transaction.
///
/// # Errors
///
/// As [`run`], as far as reading tells.
pub fn plan(conn: &mut PgConnection, fleet: &Fleet) -> Result<Report> {
    refuse_empty(fleet)?;
    super::read(conn, |conn| {
        check(conn, fleet)?;
        look(conn, fleet, |table, missing, present| counts(table, missing, present, 0))
    })
}

/// Says what [`remove`] would do, from a read-only transaction. That somebody else's row is in the way it does not see.
///
/// # Errors
///
/// As [`remove`], as far as reading tells.
pub fn plan_removal(conn: &mut PgConnection, fleet: &Fleet) -> Result<Report> {
    super::read(conn, |conn| {
        tenant::refuse_partial_view(conn).doing("look for the fleet's rows")?;
        look(conn, fleet, |table, _, present| counts(table, 0, 0, present))
    })
}

/// Counts the rows of a fleet that are missing and that are there.
fn look(
    conn: &mut PgConnection,
    fleet: &Fleet,
    line: impl Fn(&'static str, usize, usize) -> TableReport,
) -> Result<Report> {
    let mut look = |rows: &dyn Rows| {
        let present = rows.present(conn).doing(format!("look for the fleet's rows of {}", rows.table()))?.len();
        Ok(line(rows.table(), rows.len() - present, present))
    };
    let mut tables = each_chunk(fleet, &mut look)?;
    tables.push(look(&Answers::new(fleet).baselines())?);
    tables.push(look(&fleet.rows_of_customers())?);
    Ok(report(fleet, &tables))
}

/// The fleet of this seed, if the database has one: as its customers say it that are left.
///
/// # Errors
///
/// [`Error::FleetOfUnknownNumbers`] when none of its customers says with which numbers it was made, or not all the same;
/// [`Error::Query`] when the query fails, also because row security hides customers.
pub fn find(conn: &mut PgConnection, rng_seed: u64) -> Result<Option<Fleet>> {
    let facts = conn.transaction(|conn| facts_of_customers(conn, rng_seed)).doing("look for the fleet")?;
    let mut said: Vec<Fleet> = facts.iter().flatten().filter_map(numbers_in).collect();
    said.dedup();
    match (&said[..], facts.len()) {
        (_, 0) => Ok(None),
        (&[fleet], _) if fleet.rng_seed == rng_seed => Ok(Some(fleet)),
        (_, customers) => Err(Error::FleetOfUnknownNumbers { rng_seed, customers }),
    }
}

/// What every customer has in its metadata that a fleet of this seed may have, whatever its size.
fn facts_of_customers(conn: &mut PgConnection, rng_seed: u64) -> QueryResult<Vec<Option<Value>>> {
    use schema::customers::dsl::{customers, id, metadata};
    tenant::refuse_partial_view(conn)?;
    let possible = (0..=u16::MAX).map(|number| ids::of("customers", &word(rng_seed, number)));
    customers.filter(id.eq_any(possible.collect::<Vec<_>>())).select(metadata).load(conn)
}

fn numbers_in(facts: &Value) -> Option<Fleet> {
    Fleet::deserialize(facts.get("fleet")?).ok()
}

/// The seeds of the fleets that there are, as far as their customers say it.
///
/// # Errors
///
/// Fails when the query does.
pub fn seeds(conn: &mut PgConnection) -> Result<Vec<u64>> {
    use schema::customers::dsl::{customers, metadata};
    let facts: Vec<Value> = customers
        .filter(metadata.has_key("fleet"))
        .select(metadata.assume_not_null())
        .load(conn)
        .doing("look for fleets")?;
    let seeds: BTreeSet<u64> = facts.iter().filter_map(numbers_in).map(|fleet| fleet.rng_seed).collect();
    Ok(seeds.into_iter().collect())
}

/// Removes exactly the rows that a fleet is made of, in one transaction, whatever has become of their other columns.
///
/// # Errors
///
/// [`Error::FleetInUse`] when a row that the fleet did not make refers to one of its customers or baselines: to remove
/// the one would take the other with it. Else as [`run`].
pub fn remove(conn: &mut PgConnection, fleet: &Fleet) -> Result<Report> {
    let (customers, baselines) = (fleet.rows_of_customers(), Answers::new(fleet).baselines());
    super::write(conn, |conn| {
        keep(conn, &customers)?;
        keep(conn, &baselines)?;
        let mut tables = each_chunk(fleet, |chunk| delete(conn, chunk))?;
        // What still refers to these two is not ours.
        removal::check_only_used_by(conn, &[&customers, &baselines]).map_err(|error| match error {
            Error::SeedInUse(by) => Error::FleetInUse(by),
            error => error,
        })?;
        tables.push(delete(conn, &baselines)?);
        tables.push(delete(conn, &customers)?);
        Ok(report(fleet, &tables))
    })
}

/// Writes the rows that come in a stream.
struct Writer<'a> {
    pool: &'a Pool,
    fleet: &'a Fleet,
    writing: Writing<'a>,
    /// What becomes of samples and answers that are there: none is, if the database has none of these customers.
    of_customers: OnConflict,
    /// Rows of the tables that are done.
    rows: u64,
}

fn word(rng_seed: u64, number: u16) -> String {
    format!("fleet-{rng_seed:x}-{number:04}")
}

fn refuse_empty(fleet: &Fleet) -> Result<()> {
    let lacking = match fleet {
        Fleet { customers: 0, .. } => "it has no customers",
        Fleet { instances: 0, .. } => "its customers have no instances",
        fleet if fleet.ticks() == 0 => "its hours are shorter than its interval",
        _ => return Ok(()),
    };
    Err(Error::EmptyFleet(lacking))
}

/// Refuses a fleet whose agents are missing, or whose seed is in use for other numbers.
fn check(conn: &mut PgConnection, fleet: &Fleet) -> Result<()> {
    if let Some(found) = find(conn, fleet.rng_seed)?.filter(|found| found != fleet) {
        return Err(Error::OtherFleet { rng_seed: found.rng_seed });
    }
    let agents = vec![ids::RESOURCE_AGENT, ids::APPLICATION_AGENT];
    let present: i64 = schema::agents::table
        .filter(schema::agents::id.eq_any(&agents))
        .count()
        .get_result(conn)
        .doing("look for the agents of a fleet")?;
    if usize::try_from(present) == Ok(agents.len()) {
        return Ok(());
    }
    let what = "the agents that watch a fleet".to_owned();
    Err(Error::MissingPrerequisite { layer: Layer::Resource, what, provided_by: vec![Layer::Core] })
}

impl Writer<'_> {
    /// Samples, and the scaling events that follow from them.
    fn resources(&mut self, conn: &mut PgConnection) -> Result<Vec<TableReport>> {
        let mut resources = Resources::new(self.fleet);
        let samples = self.stream(self.of_customers, || Some((resources.advance()?, resources.turns.tick)))?;
        Ok(vec![samples, super::write(conn, |conn| insert(conn, &resources.decisions))?])
    }

    /// Answers, and the regressions that they show.
    fn answers(&mut self, conn: &mut PgConnection, mut answers: Answers<'_>) -> Result<Vec<TableReport>> {
        let judged = self.stream(self.of_customers, || Some((answers.advance()?, answers.turns.tick)))?;
        Ok(vec![judged, super::write(conn, |conn| insert(conn, &answers.regressions))?])
    }

    fn agents(&mut self) -> Result<TableReport> {
        let mut agents = Agents::new(self.fleet);
        // They stay when a fleet's customers are deleted, for they are not these customers' rows.
        self.stream(OnConflict::Skip, || Some((agents.advance()?, agents.turns.tick)))
    }

    /// Writes what `advance` gives, batch by batch, each with the number of its tick.
    fn stream<R: Ingest>(
        &mut self,
        on_conflict: OnConflict,
        mut advance: impl FnMut() -> Option<(Vec<R>, u32)>,
    ) -> Result<TableReport> {
        let (fleet, tell, before) = (self.fleet, self.writing.progress, self.rows);
        let ticks = Cell::new(0);
        let batches = iter::from_fn(|| {
            let (batch, tick) = advance()?;
            ticks.set(tick + 1);
            Some(batch)
        });
        // What is made runs ahead of what is written.
        let told = |done: ingest::Progress| {
            let rows = done.written + done.skipped;
            #[expect(clippy::cast_precision_loss, reason = "a share is no exact number")]
            let of_made = rows as f64 / done.received.max(1) as f64;
            let begun = fleet.share(R::TABLE, 0);
            let share = begun + (fleet.share(R::TABLE, ticks.get()) - begun) * of_made;
            tell(Progress { rows: before + rows, share });
        };
        // One of the pool's holds the lock.
        let free = usize::try_from(self.pool.max_size()).unwrap_or(usize::MAX).saturating_sub(1);
        let report = BulkWriter::new(self.pool)
            .connections(self.writing.connections.min(free))
            .on_conflict(on_conflict)
            .cancelled_by(self.writing.cancel)
            .progress(told)
            .write(batches.flatten())?;
        self.rows += report.received;
        Ok(TableReport { inserted: report.written, unchanged: report.skipped, ..counts(R::TABLE, 0, 0, 0) })
    }
}

fn insert(conn: &mut PgConnection, rows: &dyn Rows) -> Result<TableReport> {
    let inserted = rows.insert(conn).doing(format!("insert the fleet's rows of {}", rows.table()))?;
    Ok(counts(rows.table(), inserted, rows.len() - inserted, 0))
}

fn delete(conn: &mut PgConnection, rows: &dyn Rows) -> Result<TableReport> {
    let removed = rows.delete(conn).doing(format!("remove the fleet's rows of {}", rows.table()))?;
    Ok(counts(rows.table(), 0, 0, removed))
}

/// Sees to it that nobody can begin to refer to the rows.
fn keep(conn: &mut PgConnection, rows: &dyn Rows) -> Result<()> {
    rows.lock(conn).doing(format!("lock the fleet's rows of {}", rows.table())).map(drop)
}

/// Whether nobody has begun to write the samples of these customers.
fn is_untouched(conn: &mut PgConnection, customers: &dyn Rows) -> Result<bool> {
    let of_fleet = customers.ids();
    let samples = schema::resource_metrics::table.filter(schema::resource_metrics::customer_id.eq_any(&of_fleet));
    let answers = schema::quality_metrics::table.filter(schema::quality_metrics::customer_id.eq_any(&of_fleet));
    let begun: bool =
        diesel::select(exists(samples).or(exists(answers))).get_result(conn).doing("see whether the fleet is begun")?;
    Ok(!begun)
}

/// Goes in chunks through the rows that hang on a fleet's customers and baselines, and says what is done to each.
fn each_chunk(fleet: &Fleet, mut work: impl FnMut(&dyn Rows) -> Result<TableReport>) -> Result<Vec<TableReport>> {
    let mut tables = Vec::new();
    let mut resources = Resources::new(fleet);
    for chunk in chunks(|| resources.advance()) {
        tables.push(work(&chunk)?);
    }
    tables.push(work(&resources.decisions)?);
    let mut answers = Answers::new(fleet);
    for chunk in chunks(|| answers.advance()) {
        tables.push(work(&chunk)?);
    }
    tables.push(work(&answers.regressions)?);
    let mut agents = Agents::new(fleet);
    for chunk in chunks(|| agents.advance()) {
        tables.push(work(&chunk)?);
    }
    Ok(tables)
}

/// Gathers batches into chunks that are worth a statement.
fn chunks<R>(mut advance: impl FnMut() -> Option<Vec<R>>) -> impl Iterator<Item = Vec<R>> {
    iter::from_fn(move || {
        let mut chunk = Vec::new();
        while chunk.len() < ROWS_PER_STATEMENT {
            let Some(batch) = advance() else { break };
            chunk.extend(batch);
        }
        (!chunk.is_empty()).then_some(chunk)
    })
}

fn counts(table: &'static str, inserted: usize, unchanged: usize, removed: usize) -> TableReport {
    let layer = Layer::of_table(table).unwrap_or(Layer::Core);
    let [inserted, unchanged, removed] = [inserted, unchanged, removed].map(|count| count as u64);
    TableReport { layer, table, inserted, unchanged, removed }
}

/// A line for each table, in the order of the layers.
fn report(fleet: &Fleet, parts: &[TableReport]) -> Report {
    let mut tables: Vec<TableReport> = layer::tables().map(|(_, table)| counts(table, 0, 0, 0)).collect();
    for part in parts {
        for sum in tables.iter_mut().filter(|sum| sum.table == part.table) {
            sum.inserted += part.inserted;
            sum.unchanged += part.unchanged;
            sum.removed += part.removed;
        }
    }
    tables.retain(|sum| parts.iter().any(|part| part.table == sum.table));
    Report { at: fleet.at, tables }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::enums::{RegressionType, ScalingEventType};

    fn fleet(rng_seed: u64) -> Fleet {
        let at = "2025-10-24T12:00:00Z".parse().unwrap();
        let interval_seconds = NonZeroU16::new(300).unwrap();
        Fleet { rng_seed, customers: 4, instances: 12, hours: 72, interval_seconds, at }
    }

    fn text_of(fleet: &Fleet) -> Vec<String> {
        let mut rows = Vec::new();
        each_chunk(fleet, |chunk| {
            rows.push(format!("{chunk:?}"));
            Ok(counts(chunk.table(), 0, 0, 0))
        })
        .unwrap();
        rows
    }

    fn resources(fleet: &Fleet) -> (Vec<crate::models::NewResourceMetric>, Vec<crate::models::NewScalingEvent>) {
        let mut resources = Resources::new(fleet);
        let samples = iter::from_fn(|| resources.advance()).flatten().collect();
        (samples, resources.decisions)
    }

    fn answers(fleet: &Fleet) -> (Vec<crate::models::NewQualityMetric>, Vec<crate::models::NewQualityRegression>) {
        let mut answers = Answers::new(fleet);
        let judged = iter::from_fn(|| answers.advance()).flatten().collect();
        (judged, answers.regressions)
    }

    #[test]
    fn the_same_numbers_give_the_same_rows_and_another_seed_others() {
        assert_eq!(text_of(&fleet(1)), text_of(&fleet(1)));
        let ids = |fleet: &Fleet| {
            let mut ids = Vec::new();
            each_chunk(fleet, |chunk| {
                ids.extend(chunk.ids());
                Ok(counts(chunk.table(), 0, 0, 0))
            })
            .unwrap();
            ids
        };
        let (one, two) = (ids(&fleet(1)), ids(&fleet(2)));
        let distinct: HashSet<_> = one.iter().chain(&two).collect();
        assert_eq!(distinct.len(), one.len() + two.len());
    }

    #[test]
    fn the_times_end_at_the_anchor_an_interval_apart() {
        let fleet = fleet(1);
        assert_eq!(fleet.ticks(), 72 * 12);
        assert_eq!((fleet.time(fleet.ticks() - 1), fleet.time(fleet.ticks())), (Some(fleet.at), None));
        let (samples, _) = resources(&fleet);
        assert!(samples.is_sorted_by_key(|sample| sample.timestamp));
        assert_eq!((samples[0].timestamp, samples[samples.len() - 1].timestamp), (fleet.begin(), fleet.at));
    }

    #[test]
    fn busy_hours_saturate_and_lead_to_scaling() {
        let (samples, decisions) = resources(&fleet(1));
        let used = |from: f64, to: f64| {
            let percents = samples.iter().filter(|sample| sample.metric_name == "utilization");
            percents.filter(|sample| (from..=to).contains(&sample.metric_value)).count()
        };
        assert!(used(0.0, 6.0) > 500 && used(20.0, 60.0) > 3000 && used(85.0, 100.0) > 300);
        assert_eq!(used(0.0, 100.0), used(f64::MIN, f64::MAX));
        assert!(decisions.iter().any(|decision| decision.trigger_reason.contains("idle")));
        assert!(decisions.iter().all(|decision| decision.completed_at >= Some(decision.executed_at)));
    }

    #[test]
    fn every_kind_of_decision_is_taken_by_some_fleet() {
        let decisions: Vec<_> = (1..=4).flat_map(|seed| resources(&fleet(seed)).1).collect();
        let kinds: HashSet<_> = decisions.iter().map(|decision| decision.event_type.as_str()).collect();
        assert!(ScalingEventType::ALL.iter().all(|kind| kinds.contains(kind.as_str())), "{kinds:?}");
        assert!(decisions.iter().any(|decision| decision.success == Some(false)));
    }

    #[test]
    fn a_scaling_event_shows_in_the_samples() {
        let fleet = fleet(1);
        let (samples, decisions) = resources(&fleet);
        let up = decisions.iter().find(|decision| decision.event_type == ScalingEventType::ScaleUp).unwrap();
        let instances_at = |time| {
            let of_customer = samples.iter().filter(|sample| sample.customer_id == up.customer_id);
            let then = of_customer.filter(|sample| sample.timestamp == time);
            then.map(|sample| sample.instance_id.as_str()).collect::<HashSet<_>>().len()
        };
        let count = |state: &serde_json::Value| usize::try_from(state["instance_count"].as_u64().unwrap()).unwrap();
        assert_eq!(instances_at(up.executed_at), count(&up.before_state));
        assert_eq!(instances_at(up.executed_at + fleet.interval()), count(&up.after_state));
    }

    #[test]
    fn regressions_are_measured_on_the_answers() {
        let (mut aspects, mut open, mut resolved) = (HashSet::new(), 0, 0);
        for seed in 0..8 {
            let (_, regressions) = answers(&fleet(seed));
            for regression in regressions {
                aspects.insert(regression.regression_type.as_str());
                assert!(regression.resolved_at.is_none_or(|end| end >= regression.detected_at));
                if regression.resolved_at.is_some() { resolved += 1 } else { open += 1 }
            }
        }
        assert!(RegressionType::ALL.iter().all(|aspect| aspects.contains(aspect.as_str())), "{aspects:?}");
        assert!(open > 0 && resolved > open, "{open} open, {resolved} resolved");
    }

    #[test]
    fn the_numbers_come_back_from_the_metadata() {
        let fleet = fleet(u64::MAX);
        let facts = fleet.rows_of_customers()[0].metadata.clone().unwrap();
        assert_eq!(serde_json::from_value::<Fleet>(facts["fleet"].clone()).unwrap(), fleet);
    }
}
