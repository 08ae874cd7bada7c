//! Walks through all rows of a fleet: to say what is there, and to remove exactly these.

use std::iter;

use diesel::pg::PgConnection;

use super::agents::Agents;
use super::answers::Answers;
use super::resources::Resources;
use super::{Error, Fleet, counts, report, write};
use crate::error::{Doing, Result};
use crate::seed::{self, Report, Rows, TableReport};
use crate::tenant;

/// How many rows are looked for or removed by one statement.
const ROWS_PER_STATEMENT: usize = 10_000;

/// Says what [`run`](super::run) would do, from a read-only transaction.
///
/// # Errors
///
/// As [`run`](super::run), as far as reading tells.
pub fn plan(conn: &mut PgConnection, fleet: &Fleet) -> Result<Report> {
    fleet.check()?;
    seed::read(conn, |conn| {
        write::check(conn, fleet)?;
        look(conn, fleet, |table, missing, present| counts(table, missing, present, 0))
    })
}

/// Says what [`remove`] would do, from a read-only transaction. That somebody else's row is in the way it does not see.
///
/// # Errors
///
/// As [`remove`], as far as reading tells.
pub fn plan_removal(conn: &mut PgConnection, fleet: &Fleet) -> Result<Report> {
    fleet.check()?;
    seed::read(conn, |conn| {
        tenant::refuse_partial_view(conn).doing("look for the fleet's rows")?;
        look(conn, fleet, |table, _, present| counts(table, 0, 0, present))
    })
}

/// Removes exactly the rows that a fleet is made of, in one transaction, whatever has become of their other columns.
///
/// # Errors
///
/// [`Error::InUse`] when a row that the fleet did not make refers to one of its customers or baselines: to remove the
/// one would take the other with it. Else as [`run`](super::run).
pub fn remove(conn: &mut PgConnection, fleet: &Fleet) -> Result<Report> {
    fleet.check()?;
    let (customers, baselines) = (fleet.rows_of_customers(), Answers::new(fleet).baselines());
    seed::write(conn, |conn| {
        lock(conn, &customers)?;
        lock(conn, &baselines)?;
        let mut tables = each_chunk(fleet, |chunk| delete(conn, chunk))?;
        // What still refers to these two is not ours.
        let dependants = seed::removal::dependants_of(conn, &[&customers, &baselines])?;
        if !dependants.is_empty() {
            return Err(Error::InUse(dependants).into());
        }
        tables.push(delete(conn, &baselines)?);
        tables.push(delete(conn, &customers)?);
        Ok(report(fleet, &tables))
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

fn delete(conn: &mut PgConnection, rows: &dyn Rows) -> Result<TableReport> {
    let removed = rows.delete(conn).doing(format!("remove the fleet's rows of {}", rows.table()))?;
    Ok(counts(rows.table(), 0, 0, removed))
}

/// Locks the rows, so that nobody can begin to refer to them.
fn lock(conn: &mut PgConnection, rows: &dyn Rows) -> Result<()> {
    rows.lock(conn).doing(format!("lock the fleet's rows of {}", rows.table())).map(drop)
}

/// Goes in chunks through the rows that hang on a fleet's customers and baselines, and says what is done to each.
pub(super) fn each_chunk(
    fleet: &Fleet,
    mut work: impl FnMut(&dyn Rows) -> Result<TableReport>,
) -> Result<Vec<TableReport>> {
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
