//! Whole partitions: the same encoded rows, kept apart by partition on disk while the input is read, then loaded each
//! into a table of its own, which is indexed at once and takes its place at the end.
//!
//! A partition is loaded in one transaction, so after a crash all of it is there or nothing, and nothing is left over.
//! Where several may be committed one by one, connections load several at once; where all are one transaction, the tables
//! take their places at the end of it. Rows of partitions that have rows already are written by rows, and so are those of
//! which the server takes some and not others: that is how the guilty ones are found.

mod all;
mod partition;
mod replay;
mod slots;
mod spill;

use std::io;
use std::sync::atomic::Ordering;

use diesel::prelude::*;
use diesel::result::Error as Diesel;

use self::all::{Job, Loads, Writing};
use self::slots::{Diverted, Slots};
use super::Error;
use super::loading::{Load, Loading};
use super::pipeline::{BYTES_PER_CHUNK, Connections, Done, End, Feed, Next, Pipeline};
use super::table::Table;
use super::worker::Chunk;
use crate::connection;
use crate::error::{Doing as _, Result};
use crate::partitions::{Occupied, Partitioned};
use crate::raw::RunSql as _;

/// Fewer rows are written by rows, unless somebody says otherwise: to make a partition of them takes longer.
const FEW: usize = 5_000;

impl Pipeline<'_> {
    /// Writes an input to its end, or until something fails; by partitions where that is wanted and can be.
    pub(crate) fn run<F: Feed>(self, feed: &mut F) -> Result<Done, F::Error> {
        if self.loading.load == Load::Rows { self.by_rows(feed, None) } else { run(self, feed) }
    }
}

fn run<F: Feed>(mut pipeline: Pipeline<'_>, feed: &mut F) -> Result<Done, F::Error> {
    let (table, is_auto) = (pipeline.table, pipeline.loading.load == Load::Auto);
    let mut first = Chunk { first: 1, ..Chunk::default() };
    let mut is_last = false;
    while is_auto && !is_last && first.batch.len() < FEW && first.batch.size() < BYTES_PER_CHUNK {
        if pipeline.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(End::Cancelled.error(table.name, 0, 0).into());
        }
        match feed.next(&mut first.batch, &mut first.origins)? {
            Next::Row | Next::None => {}
            Next::End => is_last = true,
            Next::TooLong(id, error) => {
                let (row, source) = (first.batch.len() as u64 + 1, Diesel::SerializationError(Box::new(error)));
                return Err(End::Refused { row, id, source }.error(table.name, 0, 0).into());
            }
        }
    }
    let found = match &mut pipeline.connections {
        _ if is_last => None,
        _ if pipeline.customer.is_some() => refuse(table, is_auto, "it is written for one customer")?,
        Connections::Transaction(conn) => look(conn, table, is_auto)?,
        Connections::Pool(pool, _) => look(&mut *connection::take(pool).map_err(crate::Error::from)?, table, is_auto)?,
    };
    let Some((partitioned, occupied)) = found else { return pipeline.by_rows(feed, Some(first)) };

    let slots = Slots::new(&partitioned, occupied, table);
    let mut diverted = Diverted::new(feed, table, slots, first);
    let Pipeline { mut connections, on_conflict, rows_per_chunk, allowance, cancel, loading, .. } = pipeline;
    let writing = Writing { table, on_conflict, rows_per_chunk, allowance, cancel, loading };
    let through = writing.over(connections.again()).by_rows(&mut diverted, None)?.through;
    let (spill, progress) = (diverted.spill.take(), diverted.progress());
    let done = Done { progress, through, loaded: Vec::new() };
    let Some(spill) = spill else { return Ok(done) };
    let bounds = diverted.slots.bounds();
    let (file, parts) = spill.finish().map_err(|source| spill_failed(table, progress.written, source))?;
    let jobs = bounds.zip(parts).map(|(bounds, part)| Job { bounds, part, without: None }).collect();
    let loads = Loads { writing, file: &file, feed, done, commits: false, rows: Vec::new(), late: Vec::new() };
    loads.all(connections, partitioned.first(), jobs)
}

/// The table, if it takes whole partitions, and where it has rows.
fn look(conn: &mut PgConnection, table: &'static Table, is_auto: bool) -> Result<Option<(Partitioned, Occupied)>> {
    match Partitioned::read(conn, table.name)? {
        Ok(partitioned) => {
            let occupied = partitioned.occupied(conn)?;
            Ok(Some((partitioned, occupied)))
        }
        Err(reason) => refuse(table, is_auto, reason),
    }
}

fn refuse<T>(table: &'static Table, is_auto: bool, reason: &'static str) -> Result<Option<T>> {
    if is_auto { Ok(None) } else { Err(Error::NoWholePartitions { table: table.name, reason }.into()) }
}

/// Makes what a load in one transaction needs, before that begins: it would lock the table to its end.
pub(crate) fn prepare(conn: &mut PgConnection, table: &'static Table, loading: &Loading) -> Result<()> {
    if loading.load != Load::Rows && Partitioned::may_be(conn, table.name)? {
        conn.batch(Partitioned::make_template(table.name))
            .doing(format!("make a temporary table for {}", table.name))?;
    }
    Ok(())
}

fn spill_failed(table: &'static Table, written: u64, source: io::Error) -> crate::Error {
    Error::Spill { table: table.name, directory: std::env::temp_dir(), written, source }.into()
}
