//! Writes the rows of a fleet that are missing, over several connections.

use std::cell::Cell;
use std::iter;
use std::sync::atomic::AtomicBool;

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};

use super::agents::Agents;
use super::answers::Answers;
use super::resources::Resources;
use super::{Error, Fleet, counts, find, report};
use crate::connection::{self, Pool};
use crate::error::{Doing, Result};
use crate::ingest::{self, BulkWriter, Ingest, OnConflict};
use crate::layer::Layer;
use crate::raw::sql_query;
use crate::schema;
use crate::seed::{self, Report, Rows, TableReport, ids};

/// How a fleet is written.
#[derive(Clone, Copy)]
pub struct Writing<'a> {
    /// How many connections of the pool write at once, at least one; one more is taken for the rest.
    pub connections: usize,
    /// Asked between chunks of rows: whether to stop.
    pub cancel: &'a AtomicBool,
    /// Called now and then with how far it has come.
    pub progress: &'a dyn Fn(Progress),
}

/// How far the writing has come.
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
/// [`Error::Empty`] and [`Error::TooLarge`] for numbers that make no sample or too many,
/// [`Behind`](crate::migrate::Error::Behind) or [`Ahead`](crate::migrate::Error::Ahead) when the schema is not the one that the rows are
/// for, [`seed::Error::MissingPrerequisite`] without the agents of the core layer, [`Error::OtherNumbers`] when the
/// seed's fleet is there with other numbers, [`Error::UnknownNumbers`] when its customers do not say with which,
/// [`Error::OneConnection`] where there may be no second one, and otherwise when a statement fails.
pub fn run(pool: &Pool, fleet: &Fleet, writing: Writing<'_>) -> Result<Report> {
    fleet.check()?;
    let mut conn = connection::take(pool)?;
    check_connections(pool, &mut conn)?;
    let mut conn = seed::lock::hold(&mut conn, writing.cancel)?;
    let answers = Answers::new(fleet);
    let (customers, baselines) = (fleet.rows_of_customers(), answers.baselines());
    let mut tables = seed::write(&mut conn, |conn| {
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

/// Refuses a pool, a role or a database that allows no second connection: the writing would wait for it in vain.
fn check_connections(pool: &Pool, conn: &mut PgConnection) -> Result<()> {
    #[derive(QueryableByName)]
    struct Limit {
        #[diesel(sql_type = Text)]
        of: String,
        #[diesel(sql_type = Integer)]
        most: i32,
    }
    if pool.max_size() < 2 {
        return Err(Error::OneConnection("the pool".to_owned()).into());
    }
    let limits: Vec<Limit> =
        sql_query(include_str!("connection_limits.sql")).load(conn).doing("see how many connections there may be")?;
    match limits.into_iter().find(|limit| limit.most < 2) {
        Some(limit) => Err(Error::OneConnection(limit.of).into()),
        None => Ok(()),
    }
}

/// Refuses a fleet whose agents are missing, or whose seed is in use for other numbers.
pub(super) fn check(conn: &mut PgConnection, fleet: &Fleet) -> Result<()> {
    if let Some(found) = find::find(conn, fleet.rng_seed)?.filter(|found| found != fleet) {
        return Err(Error::OtherNumbers { rng_seed: found.rng_seed }.into());
    }
    let agents = [ids::RESOURCE_AGENT, ids::APPLICATION_AGENT];
    let present: i64 = schema::agents::table
        .filter(schema::agents::id.eq_any(agents))
        .count()
        .get_result(conn)
        .doing("look for the agents of a fleet")?;
    if usize::try_from(present) == Ok(agents.len()) {
        return Ok(());
    }
    let what = "the agents that watch a fleet".to_owned();
    Err(seed::Error::MissingPrerequisite { layer: Layer::Resource, what, provided_by: vec![Layer::Core] }.into())
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

impl Writer<'_> {
    /// Samples, and the scaling events that follow from them.
    fn resources(&mut self, conn: &mut PgConnection) -> Result<Vec<TableReport>> {
        let mut resources = Resources::new(self.fleet);
        let samples = self.stream(self.of_customers, || Some((resources.advance()?, resources.turns.tick)))?;
        Ok(vec![samples, seed::write(conn, |conn| insert(conn, &resources.decisions))?])
    }

    /// Answers, and the regressions that they show.
    fn answers(&mut self, conn: &mut PgConnection, mut answers: Answers<'_>) -> Result<Vec<TableReport>> {
        let judged = self.stream(self.of_customers, || Some((answers.advance()?, answers.turns.tick)))?;
        Ok(vec![judged, seed::write(conn, |conn| insert(conn, &answers.regressions))?])
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
        let (fleet, report, before) = (self.fleet, self.writing.progress, self.rows);
        let ticks = Cell::new(0);
        let batches = iter::from_fn(|| {
            let (batch, tick) = advance()?;
            ticks.set(tick + 1);
            Some(batch)
        });
        // What is made runs ahead of what is written.
        let progress = |done: ingest::Progress| {
            let rows = done.written + done.skipped;
            #[expect(clippy::cast_precision_loss, reason = "a share is no exact number")]
            let of_made = rows as f64 / done.received.max(1) as f64;
            let begun = fleet.share(R::TABLE, 0);
            let share = begun + (fleet.share(R::TABLE, ticks.get()) - begun) * of_made;
            report(Progress { rows: before + rows, share });
        };
        // One of the pool's holds the lock.
        let free = usize::try_from(self.pool.max_size()).unwrap_or(usize::MAX).saturating_sub(1);
        let report = BulkWriter::new(self.pool)
            .connections(self.writing.connections.min(free))
            .on_conflict(on_conflict)
            .cancelled_by(self.writing.cancel)
            .progress(progress)
            .write(batches.flatten())?;
        self.rows += report.received;
        Ok(TableReport { inserted: report.written, unchanged: report.skipped, ..counts(R::TABLE, 0, 0, 0) })
    }
}

fn insert(conn: &mut PgConnection, rows: &dyn Rows) -> Result<TableReport> {
    let inserted = rows.insert(conn).doing(format!("insert the fleet's rows of {}", rows.table()))?;
    Ok(counts(rows.table(), inserted, rows.len() - inserted, 0))
}
