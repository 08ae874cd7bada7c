//! Finds the rows that the server does not take: when it refuses a batch it does not say which row it means.
//!
//! Everything is tried in transactions that are rolled back. A row is to blame only where the server can have meant
//! nothing else, or refuses it by itself too, with a SQLSTATE of rows.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as Diesel};
use diesel::sql_types::Text;
use uuid::Uuid;

use super::batch::Batch;
use super::path::{Through, WritePath};
use crate::raw::{RunSql as _, raw, sql_query};
use crate::rollback::undone;
use crate::sqlstate::{reporting, sqlstate};

/// A row that the server does not take.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Its index in the batch.
    pub(crate) row: usize,
    pub(crate) id: Uuid,
    /// What the server says of it.
    pub(crate) source: Diesel,
}

/// Which rows of a refused batch are to blame.
pub(super) enum Found {
    /// These, in their order.
    Rows(Vec<Refused>),
    /// None: another session conflicted, and the same rows may be taken now.
    Passing(Diesel),
    /// None, and it would be the same again.
    NoRow(Diesel),
}

/// Finds the first rows that the server does not take, at most so many, given what it said of the whole batch.
pub(super) fn refused_rows(
    path: WritePath,
    conn: &mut PgConnection,
    batch: &Batch,
    refusal: Diesel,
    most: usize,
) -> Found {
    if !may_mean_a_row(&refusal) {
        return without_a_row(refusal);
    }
    let mut found = Vec::new();
    let search = undone(conn, |conn| {
        // A node of a cluster that refuses a row of a COPY does not say why.
        let path = if path.is_distributed { path.by_staging(conn)? } else { path };
        // Without a row, the server takes none either when it is the table that it objects to.
        path.send(conn, batch.rows(0..0))?;
        found = search(path, conn, batch, most)?;
        Ok(())
    });
    match search {
        Ok(()) => {}
        Err(Diesel::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => return Found::Passing(refusal),
        _ => return Found::NoRow(refusal),
    }
    let (mut rows, mut has_other_cause) = (Vec::new(), false);
    for refused in found {
        if is_certain(&refused.source) {
            rows.push(refused);
            continue;
        }
        match alone(path, conn, batch, refused.row) {
            Alone::Refused => rows.push(refused),
            Alone::Taken => {}
            Alone::OtherCause => has_other_cause = true,
        }
    }
    match rows.is_empty() {
        false => Found::Rows(rows),
        true if has_other_cause => Found::NoRow(refusal),
        true => Found::Passing(refusal),
    }
}

fn without_a_row(refusal: Diesel) -> Found {
    match refusal {
        Diesel::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => Found::Passing(refusal),
        _ => Found::NoRow(refusal),
    }
}

/// Adds rows for as long as the server takes them, and halves what it does not take. Every row is written about
/// once, and each only on top of all before it, so a row that contradicts an earlier one is found too.
fn search(path: WritePath, conn: &mut PgConnection, batch: &Batch, most: usize) -> QueryResult<Vec<Refused>> {
    let staged = if path.through == Through::Staging { staged(path, conn, batch) } else { None };
    let mut found = Vec::new();
    // One of the rows from `next` up to `refused` is not taken; of those after them nothing is known.
    let (mut next, mut refused, mut step) = (0, batch.len(), batch.len());
    while next < batch.len() && found.len() < most {
        let until = match refused.checked_sub(next) {
            Some(1) => refused,
            Some(left @ 2..) => next + left / 2,
            _ => batch.len().min(next + step),
        };
        let added = conn.transaction(|conn| match &staged {
            Some(places) => add(path, conn, &places[next..until]),
            None => path.send(conn, batch.rows(next..until)).map(drop),
        });
        match added {
            Ok(()) => (next, step) = (until, batch.len().min(2 * step)),
            Err(error) if !may_mean_a_row(&error) => return Err(error),
            Err(source) if until - next == 1 => {
                found.push(Refused { row: next, id: batch.id(next), source });
                // The next one is often the very next row.
                (next, refused, step) = (until, until, 1);
            }
            Err(_) => refused = until,
        }
    }
    Ok(found)
}

/// Where the rows are in the temporary table, if it takes them all: they need not be sent again and again then. To
/// empty it, or to look through it, takes the longer the more often that was done in the same transaction.
fn staged(path: WritePath, conn: &mut PgConnection, batch: &Batch) -> Option<Vec<String>> {
    #[derive(QueryableByName)]
    struct Staged {
        #[diesel(sql_type = Text)]
        place: String,
    }
    let staged = conn.transaction(|conn| {
        path.stage(conn, batch.rows(0..batch.len()))?;
        let query =
            raw!("SELECT ctid::text AS place FROM pg_temp.{staging} ORDER BY ctid", staging = path.table.staging);
        sql_query(query).load::<Staged>(conn)
    });
    // Where it does not take them, sending them in parts shows which it does not take.
    Some(staged.ok()?.into_iter().map(|staged| staged.place).collect())
}

/// Moves the rows in these places of the temporary table.
fn add(path: WritePath, conn: &mut PgConnection, places: &[String]) -> QueryResult<()> {
    let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(()) };
    path.wait_for_others(conn)?;
    sql_query(path.insert(" WHERE ctid BETWEEN $1::tid AND $2::tid"))
        .bind::<Text, _>(first)
        .bind::<Text, _>(last)
        .execute(conn)
        .map(drop)
}

/// What the server says of a row by itself.
enum Alone {
    Taken,
    Refused,
    /// It fails, for a reason that is no row's.
    OtherCause,
}

/// Sends a row by itself: a conflict with another session is over then, and a full disk is not.
fn alone(path: WritePath, conn: &mut PgConnection, batch: &Batch, row: usize) -> Alone {
    let rows = batch.rows(row..row + 1);
    let refusal = undone(conn, |conn| {
        let path = path.by_staging(conn)?;
        // Also says for whom the session works.
        path.send(conn, &[])?;
        path.stage(conn, rows)?;
        conn.batch(reporting(&path.insert("")))
    });
    let Err(refusal) = refusal else { return Alone::Taken };
    match sqlstate(&refusal) {
        Some(state) if OTHER_CAUSES.contains(&state.get(..2).unwrap_or_default()) => Alone::OtherCause,
        Some(_) => Alone::Refused,
        // Refused by the temporary table already, or there may be none.
        None if undone(conn, |conn| path.send(conn, rows)).is_ok() => Alone::Taken,
        None => Alone::Refused,
    }
}

/// Classes of SQLSTATE that no row is the cause of: connection, transaction state, transaction rollback (of which
/// a deadlock is one), resources, limits, state of an object, an operator's intervention, the system, the server itself.
const OTHER_CAUSES: [&str; 9] = ["08", "25", "40", "53", "54", "55", "57", "58", "XX"];

/// Whether the server can only have meant a row.
fn is_certain(error: &Diesel) -> bool {
    use DatabaseErrorKind::{
        CheckViolation, ExclusionViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation,
    };
    matches!(
        error,
        Diesel::DatabaseError(
            UniqueViolation | ForeignKeyViolation | NotNullViolation | CheckViolation | ExclusionViolation,
            _
        )
    )
}

/// Whether the server may have meant a row.
fn may_mean_a_row(error: &Diesel) -> bool {
    matches!(error, Diesel::DatabaseError(DatabaseErrorKind::Unknown, _)) || is_certain(error)
}
