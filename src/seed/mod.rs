//! Seed data: the records that the documents 0.2a to 0.2e describe, written once and recognised ever after.
//!
//! Every row has a fixed id ([`ids`]), so a second run, another process at the same moment, or a run with another
//! anchor finds the rows in place and changes nothing. What a user wrote is never touched: a seed neither overwrites
//! a row nor removes one that it does not own, and says so when it cannot do its work without.
//!
//! The rows are data: a JSON file a layer, read by `records`. Only the samples, which follow from a few numbers, are
//! made by code: `resource`, `application`. This file decides what is written when.
//!
//! ```no_run
//! # fn f(conn: &mut diesel::PgConnection) -> optiinfra_db::Result<()> {
//! use optiinfra_db::{layer::Layer, seed};
//!
//! let report = seed::run(conn, &Layer::ALL, chrono::Utc::now())?;
//! assert_eq!(seed::run(conn, &Layer::ALL, chrono::Utc::now())?.inserted(), 0);
//! # Ok(())
//! # }
//! ```

mod application;
mod error;
pub mod ids;
pub(crate) mod lock;
pub(crate) mod random;
mod records;
pub(crate) mod removal;
mod resource;
mod rows;

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use diesel::prelude::*;
use serde::Serialize;
use uuid::Uuid;

pub(crate) use self::error::list;
pub use self::error::{Dependants, Error};
pub(crate) use self::rows::Rows;
use crate::error::{Doing, Result};
use crate::layer::{self, Layer};

/// What a seed did to the rows of one layer in one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableReport {
    /// The layer that the rows belong to, which need not be the layer of the table.
    pub layer: Layer,
    /// The table that the rows are in.
    pub table: &'static str,
    /// Rows that were not there and now are.
    pub inserted: u64,
    /// Rows that were there and stay as they are.
    pub unchanged: u64,
    /// Rows that were there and were removed.
    pub removed: u64,
}

/// What a seed did: a line for each table that a layer has rows in, in the order of insertion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The time that the records are relative to, UTC, to the microsecond; for a removal the time of the call.
    pub at: DateTime<Utc>,
    /// The tables.
    pub tables: Vec<TableReport>,
}

impl Report {
    /// Rows inserted in all tables.
    pub fn inserted(&self) -> u64 {
        self.tables.iter().map(|table| table.inserted).sum()
    }

    /// Rows found in place in all tables.
    pub fn unchanged(&self) -> u64 {
        self.tables.iter().map(|table| table.unchanged).sum()
    }

    /// Rows removed from all tables.
    pub fn removed(&self) -> u64 {
        self.tables.iter().map(|table| table.removed).sum()
    }
}

/// Inserts the rows of these layers that are missing, in one transaction.
///
/// The layers may come in any order. Times are relative to `at`; rows that are there keep theirs. Two seeders of the
/// same schema take turns.
///
/// # Errors
///
/// [`Behind`](crate::migrate::Error::Behind) or [`Ahead`](crate::migrate::Error::Ahead) when the schema is not the one that the rows are for,
/// [`Error::MissingPrerequisite`] when rows are missing that belong to a layer that is not named, and otherwise when a
/// statement fails, for instance because a user's row holds the e-mail address of a seed row. Whatever the error,
/// nothing has changed. A connection that is in a transaction already is refused: its isolation level might hide what
/// another seeder has written.
pub fn run(conn: &mut PgConnection, layers: &[Layer], at: DateTime<Utc>) -> Result<Report> {
    let at = anchor(at);
    let batches = batches(layers, at);
    write(conn, |conn| {
        check_prerequisites(conn, layers, &batches, at)?;
        let tables = batches.iter().map(|batch| batch.insert(conn)).collect::<Result<_>>()?;
        Ok(Report { at, tables })
    })
}

/// Says what [`run`] would do, from a read-only transaction: the right to select is enough.
///
/// What only the attempt can tell, such as a unique value in a user's row, it does not see.
///
/// # Errors
///
/// As [`run`], as far as reading tells.
pub fn plan(conn: &mut PgConnection, layers: &[Layer], at: DateTime<Utc>) -> Result<Report> {
    let at = anchor(at);
    let batches = batches(layers, at);
    read(conn, |conn| {
        check_prerequisites(conn, layers, &batches, at)?;
        let tables = batches.iter().map(|batch| batch.plan(conn)).collect::<Result<_>>()?;
        Ok(Report { at, tables })
    })
}

/// Removes the rows that the seed owns in these layers, in one transaction, whatever has become of their other
/// columns.
///
/// # Errors
///
/// [`Error::InUse`] when another row refers to one of them, be it the row of a user or of the seed in a layer that
/// is not named: to remove the one would take the other with it or change it. Else as [`run`].
pub fn remove(conn: &mut PgConnection, layers: &[Layer]) -> Result<Report> {
    let at = anchor(Utc::now());
    let batches = batches(layers, at);
    write(conn, |conn| Ok(Report { at, tables: removal::remove(conn, &batches)? }))
}

/// Says what [`remove`] would do, from a read-only transaction: the right to select is enough.
///
/// # Errors
///
/// As [`remove`], as far as reading tells.
pub fn plan_removal(conn: &mut PgConnection, layers: &[Layer]) -> Result<Report> {
    let at = anchor(Utc::now());
    let batches = batches(layers, at);
    read(conn, |conn| Ok(Report { at, tables: removal::plan(conn, &batches)? }))
}

/// [`remove`] and [`run`] in one transaction: the rows of these layers are as on the first day, or nothing has
/// happened.
///
/// # Errors
///
/// As [`remove`] and [`run`].
pub fn reset(conn: &mut PgConnection, layers: &[Layer], at: DateTime<Utc>) -> Result<Report> {
    let at = anchor(at);
    let batches = batches(layers, at);
    write(conn, |conn| {
        check_prerequisites(conn, layers, &batches, at)?;
        let mut tables = removal::remove(conn, &batches)?;
        for (table, batch) in tables.iter_mut().zip(&batches) {
            *table = TableReport { removed: table.removed, ..batch.insert(conn)? };
        }
        Ok(Report { at, tables })
    })
}

/// The rows of one layer in one table.
struct Batch {
    layer: Layer,
    rows: Box<dyn Rows>,
}

impl Batch {
    fn insert(&self, conn: &mut PgConnection) -> Result<TableReport> {
        let inserted = self.rows.insert(conn).doing(format!("insert the seed rows of {}", self.rows.table()))?;
        Ok(self.inserted(inserted))
    }

    fn plan(&self, conn: &mut PgConnection) -> Result<TableReport> {
        Ok(self.inserted(self.rows.len() - self.present(conn)?.len()))
    }

    fn present(&self, conn: &mut PgConnection) -> Result<Vec<Uuid>> {
        self.rows.present(conn).doing(format!("look for the seed rows of {}", self.rows.table()))
    }

    /// The rows that need not be inserted were there.
    fn inserted(&self, count: usize) -> TableReport {
        let unchanged = self.rows.len() - count;
        TableReport { inserted: count as u64, unchanged: unchanged as u64, ..self.removed(0) }
    }

    fn removed(&self, count: usize) -> TableReport {
        TableReport { layer: self.layer, table: self.rows.table(), inserted: 0, unchanged: 0, removed: count as u64 }
    }
}

/// The rows of these layers, each batch after those that it refers to.
fn batches(layers: &[Layer], at: DateTime<Utc>) -> Vec<Batch> {
    let wanted = Layer::ALL.into_iter().filter(|layer| layers.contains(layer));
    wanted.flat_map(|layer| rows_of(layer, at).into_iter().map(move |rows| Batch { layer, rows })).collect()
}

/// The ids of the rows that the seed owns in a layer, by table.
pub fn row_ids(layer: Layer) -> Vec<(&'static str, Vec<Uuid>)> {
    rows_of(layer, DateTime::UNIX_EPOCH).iter().map(|rows| (rows.table(), rows.ids())).collect()
}

/// The rows of a layer: those of its file and those that are generated, in the order in which tables refer to each other.
fn rows_of(layer: Layer, at: DateTime<Utc>) -> Vec<Box<dyn Rows>> {
    let mut rows = records::of(layer, at);
    match layer {
        Layer::Resource => rows.push(Box::new(resource::metrics(at))),
        Layer::Application => rows.push(Box::new(application::metrics(at))),
        Layer::Core | Layer::AgentState | Layer::WorkflowHistory => {}
    }
    rows.sort_by_key(|rows| layer::tables().position(|(_, table)| table == rows.table()));
    rows
}

/// To the microsecond: what PostgreSQL stores, so that the report names the time that the rows have.
fn anchor(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(6)
}

/// A time before the anchor. Where the calendar ends it stays at the end, and PostgreSQL refuses the value.
pub(crate) fn ago(at: DateTime<Utc>, time: TimeDelta) -> DateTime<Utc> {
    at.checked_sub_signed(time).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// Two decimals are what a meter shows.
pub(crate) fn two_decimals(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Runs the work in a transaction of its own and under the lock of the seeders.
///
/// READ COMMITTED whatever the role's default: a seeder that waited for another must see that one's rows.
pub(crate) fn write<T>(conn: &mut PgConnection, work: impl FnOnce(&mut PgConnection) -> Result<T>) -> Result<T> {
    check_migrated(conn)?;
    conn.build_transaction().read_committed().run(|conn| {
        lock::take(conn)?;
        work(conn)
    })
}

/// Runs the work in a transaction that cannot write, on one state of the database.
pub(crate) fn read<T>(conn: &mut PgConnection, work: impl FnOnce(&mut PgConnection) -> Result<T>) -> Result<T> {
    check_migrated(conn)?;
    conn.build_transaction().repeatable_read().read_only().run(work)
}

fn check_migrated(conn: &mut PgConnection) -> Result<()> {
    crate::migrate::status(conn)?.require_current()
}

/// A row of another layer that rows of this call refer to.
struct Need {
    needed_by: Layer,
    provider: Layer,
    table: &'static str,
    name: String,
}

/// Looks for the rows that the batches refer to and that no batch brings along.
fn check_prerequisites(conn: &mut PgConnection, layers: &[Layer], batches: &[Batch], at: DateTime<Utc>) -> Result<()> {
    let outside = references_outside(batches);
    if outside.is_empty() {
        return Ok(());
    }
    let mut missing = Vec::new();
    let others: Vec<Layer> = Layer::ALL.into_iter().filter(|layer| !layers.contains(layer)).collect();
    for batch in self::batches(&others, at) {
        let table = batch.rows.table();
        let mut needed = batch.rows.ids();
        needed.retain(|id| outside.contains_key(&(table, *id)));
        if needed.is_empty() {
            continue;
        }
        let present = batch.present(conn)?;
        needed.retain(|id| !present.contains(id));
        missing.extend(needed.into_iter().filter_map(|id| {
            let needed_by = *outside.get(&(table, id))?;
            Some(Need { needed_by, provider: batch.layer, table, name: batch.rows.name_of(id) })
        }));
    }
    missing_prerequisite(missing)
}

/// The rows outside the batches that the batches refer to, each with the first layer that does.
fn references_outside(batches: &[Batch]) -> BTreeMap<(&'static str, Uuid), Layer> {
    let brought: HashSet<_> =
        batches.iter().flat_map(|batch| batch.rows.ids().into_iter().map(|id| (batch.rows.table(), id))).collect();
    let mut outside = BTreeMap::new();
    for batch in batches {
        for reference in batch.rows.references().into_iter().filter(|reference| !brought.contains(reference)) {
            outside.entry(reference).or_insert(batch.layer);
        }
    }
    outside
}

/// The error for the first layer that lacks something, with all that it lacks.
fn missing_prerequisite(missing: Vec<Need>) -> Result<()> {
    let Some(layer) = missing.iter().map(|need| need.needed_by).min() else { return Ok(()) };
    let mut provided_by = Vec::new();
    let mut tables: Vec<(&str, Vec<String>)> = Vec::new();
    for need in missing.into_iter().filter(|need| need.needed_by == layer) {
        if !provided_by.contains(&need.provider) {
            provided_by.push(need.provider);
        }
        match tables.iter_mut().find(|(table, _)| *table == need.table) {
            Some((_, names)) => names.push(need.name),
            None => tables.push((need.table, vec![need.name])),
        }
    }
    let what: Vec<_> = tables.iter().map(|(table, names)| format!("{} ({table})", names.join(", "))).collect();
    Err(Error::MissingPrerequisite { layer, what: what.join(" and "), provided_by }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_760_961_600, 0).unwrap()
    }

    /// The rows of everything as text.
    fn everything(at: DateTime<Utc>) -> Vec<String> {
        batches(&Layer::ALL, at).iter().map(|batch| format!("{:?}", batch.rows)).collect()
    }

    #[test]
    fn every_row_has_an_id_of_its_own() {
        let batches = batches(&Layer::ALL, noon());
        let ids: Vec<Uuid> = batches.iter().flat_map(|batch| batch.rows.ids()).collect();
        let rows: usize = batches.iter().map(|batch| batch.rows.len()).sum();
        assert_eq!(ids.len(), rows);
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), rows);
    }

    #[test]
    fn the_same_anchor_gives_the_same_rows_and_another_the_same_ids() {
        assert_eq!(everything(noon()), everything(noon()));
        let later = noon() + TimeDelta::days(400);
        assert_ne!(everything(noon()), everything(later));
        let ids = |at| batches(&Layer::ALL, at).iter().map(|batch| batch.rows.ids()).collect::<Vec<_>>();
        assert_eq!(ids(noon()), ids(later));
    }

    #[test]
    fn the_end_of_the_calendar_is_no_panic() {
        assert_eq!(ago(DateTime::<Utc>::MIN_UTC, TimeDelta::days(1)), DateTime::<Utc>::MIN_UTC);
        assert_eq!(everything(anchor(DateTime::<Utc>::MIN_UTC)).len(), everything(noon()).len());
        assert_eq!(everything(anchor(DateTime::<Utc>::MAX_UTC)).len(), everything(noon()).len());
    }
}
