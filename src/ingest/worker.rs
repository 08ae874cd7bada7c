//! A connection's side of bulk writing: takes chunks, writes each, and reports what became of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Mutex, PoisonError};

use diesel::prelude::*;

use super::attempt::Failure;
use super::batch::Batch;
use super::path::{OnConflict, Through, WritePath};
use super::search::Refused;
use super::table::Table;
use super::write_failed;
use crate::connection::{self, Pool};
use crate::id::CustomerId;
use crate::timeouts;

/// Rows on their way to the server.
#[derive(Default)]
pub(super) struct Chunk<O> {
    pub batch: Batch,
    pub origins: O,
    /// Position in the input of the first row, counted from 1.
    pub first: u64,
}

/// What a connection's thread reports.
pub(super) enum News<O> {
    /// A chunk has come back, without the rows that the server refused.
    Done { chunk: Chunk<O>, refused: Vec<Refused>, outcome: Outcome },
    /// There is no connection.
    NoConnection(crate::Error),
}

pub(super) enum Outcome {
    Written(u64, Through),
    Failed(Failure),
    /// Not begun, because another chunk failed.
    Abandoned,
}

/// A connection's side.
pub(super) struct Worker<'w, O> {
    pub table: &'static Table,
    pub on_conflict: OnConflict,
    pub customer: Option<CustomerId>,
    pub allowance: &'w AtomicU64,
    pub stop: &'w AtomicBool,
    pub chunks: &'w Mutex<Receiver<Chunk<O>>>,
}

// Not derived: that would require it of the origins too.
impl<O> Clone for Worker<'_, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O> Copy for Worker<'_, O> {}

impl<O> Worker<'_, O> {
    /// Works with a connection of a pool.
    pub fn work_with(self, pool: &Pool, to_input: &Sender<News<O>>) {
        let mut conn = match connection::take(pool) {
            Ok(conn) => conn,
            Err(error) => return no_connection(error.into(), to_input),
        };
        if let Err(error) = timeouts::lift_in_session(&mut conn) {
            return no_connection(write_failed(self.table.name, error), to_input);
        }
        self.work(&mut conn, to_input);
        if let Err(error) = timeouts::restore_in_session(&mut conn) {
            tracing::debug!(%error, "a connection goes back to the pool broken");
        }
    }

    pub fn work(self, conn: &mut PgConnection, to_input: &Sender<News<O>>) {
        let path = match WritePath::find(conn, self.table, self.on_conflict, self.customer) {
            Ok(path) => path,
            Err(error) => return no_connection(error, to_input),
        };
        loop {
            // No worker panics while it holds this, and a receiver has no state to spoil.
            let next = self.chunks.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(mut chunk) = next else { return };
            let mut refused = Vec::new();
            let outcome = self.write(conn, path, &mut chunk.batch, &mut refused);
            if matches!(outcome, Outcome::Failed(_)) {
                // At once, and not when the calling thread learns of it: the next chunk may be waiting.
                self.stop.store(true, Ordering::Relaxed);
            }
            if to_input.send(News::Done { chunk, refused, outcome }).is_err() {
                return;
            }
        }
    }

    fn write(
        &self,
        conn: &mut PgConnection,
        path: WritePath,
        batch: &mut Batch,
        refused: &mut Vec<Refused>,
    ) -> Outcome {
        if self.stop.load(Ordering::Relaxed) {
            return Outcome::Abandoned;
        }
        match path.write(conn, batch, self.allowance, refused) {
            Ok(written) => Outcome::Written(written, path.through()),
            Err(failure) => Outcome::Failed(failure),
        }
    }
}

fn no_connection<O>(error: crate::Error, to_input: &Sender<News<O>>) {
    // Nobody receives it only where the input has panicked.
    let _ = to_input.send(News::NoConnection(error));
}
