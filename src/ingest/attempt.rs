//! Writes a batch without the rows that the server refuses, and again where another session was in the way.

use std::sync::atomic::{AtomicU64, Ordering};

use diesel::prelude::*;
use diesel::result::Error as Diesel;

use super::batch::Batch;
use super::path::WritePath;
use super::search::{self, Found, Refused};
use crate::raw::RunSql as _;

/// How often a batch is sent at most that another session conflicted with.
const ATTEMPTS: usize = 5;

/// Why a batch is not written.
#[derive(Debug)]
pub(crate) enum Failure {
    /// More rows are refused than may be.
    OneTooMany(Refused),
    /// No row is to blame.
    Failed {
        source: Diesel,
        /// Whether the rows may be committed all the same, because the connection was lost meanwhile.
        in_doubt: bool,
    },
}

impl WritePath {
    /// Writes a batch as a transaction, but for the rows that the server refuses, as long as `allowance` is not 0: each
    /// takes 1 from it and is removed from the batch. Returns how many rows were written.
    pub(crate) fn write(
        self,
        conn: &mut PgConnection,
        batch: &mut Batch,
        allowance: &AtomicU64,
        refused: &mut Vec<Refused>,
    ) -> Result<u64, Failure> {
        let mut attempt = 1;
        loop {
            let mut is_sent = false;
            let sent = conn.transaction(|conn| {
                let written = self.send(conn, &self.rows(batch))?;
                is_sent = true;
                QueryResult::Ok(written)
            });
            let error = match sent {
                Ok(written) => return Ok(written),
                Err(error) => error,
            };
            if conn.batch("SELECT 1").is_err() {
                return Err(Failure::Failed { source: error, in_doubt: is_sent });
            }
            let most = usize::try_from(allowance.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
            match search::refused_rows(self, conn, batch, error, most.saturating_add(1)) {
                Found::Rows(found) => leave_out(found, batch, allowance, refused)?,
                Found::Passing(_) if attempt < ATTEMPTS => attempt += 1,
                Found::Passing(source) | Found::NoRow(source) => {
                    return Err(Failure::Failed { source, in_doubt: false });
                }
            }
        }
    }
}

/// Removes the rows from a batch; fails with the last of them where that is one too many.
fn leave_out(
    mut found: Vec<Refused>,
    batch: &mut Batch,
    allowance: &AtomicU64,
    refused: &mut Vec<Refused>,
) -> Result<(), Failure> {
    let rows: Vec<_> = found.iter().map(|refused| refused.row).collect();
    batch.remove(rows.iter().copied());
    found.iter_mut().for_each(|found| found.row = original_place(refused, found.row));
    let take = |left: u64| left.checked_sub(rows.len() as u64);
    let is_allowed = allowance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
    let one_too_many = if is_allowed { None } else { found.pop() };
    refused.extend(found);
    refused.sort_by_key(|refused| refused.row);
    one_too_many.map_or(Ok(()), |last| Err(Failure::OneTooMany(last)))
}

/// A row's place in the whole batch, given that among the rows that are left of it. `refused` is in the order of the rows.
fn original_place(refused: &[Refused], row: usize) -> usize {
    refused.iter().fold(row, |row, earlier| row + usize::from(earlier.row <= row))
}
