//! Rows from the disk as an input that is written by rows.

use std::collections::BTreeSet;
use std::fs::File;

use super::spill::{Part, Rows};
use super::spill_failed;
use crate::ingest::batch::Batch;
use crate::ingest::pipeline::{Feed, Next, Origins, Progress};
use crate::ingest::search::Refused;
use crate::ingest::table::Table;

/// The rows of some partitions.
pub(super) struct Replay<'a, F> {
    pub(super) feed: &'a mut F,
    pub(super) table: &'static Table,
    pub(super) file: &'a File,
    pub(super) parts: std::slice::Iter<'a, &'a Part>,
    pub(super) rows: Option<Rows<'a>>,
    /// What was done before.
    pub(super) before: Progress,
    /// The numbers of the rows that are refused, where they are only looked for.
    pub(super) wanted: Option<&'a mut BTreeSet<u64>>,
}

/// Where rows come from, and their numbers in their part.
#[derive(Default)]
pub(super) struct Numbered<O> {
    origins: O,
    numbers: Vec<u64>,
}

impl<O: Origins> Origins for Numbered<O> {
    fn put(&self, row: usize, out: &mut Vec<u8>) {
        self.origins.put(row, out);
    }

    fn take(&mut self, row: &[u8]) {
        self.origins.take(row);
    }
}

impl<F: Feed> Feed for Replay<'_, F> {
    type Origins = Numbered<F::Origins>;
    type Error = F::Error;

    fn next(&mut self, batch: &mut Batch, origins: &mut Self::Origins) -> Result<Next, F::Error> {
        loop {
            let Some(rows) = &mut self.rows else {
                let Some(part) = self.parts.next() else { return Ok(Next::End) };
                self.rows = Some(part.read(self.file));
                continue;
            };
            let row = rows.next().map_err(|source| spill_failed(self.table, self.before.written, source))?;
            let Some(row) = row else {
                self.rows = None;
                continue;
            };
            batch.push_encoded(row.row);
            origins.take(row.origin);
            origins.numbers.push(row.number);
            return Ok(Next::Row);
        }
    }

    fn position(&self, origins: &Self::Origins, row: usize) -> Option<u64> {
        self.feed.position(&origins.origins, row)
    }

    fn refused(&mut self, origins: &Self::Origins, refused: &Refused) {
        if let Some((wanted, number)) = self.wanted.as_mut().zip(origins.numbers.get(refused.row)) {
            wanted.insert(*number);
        }
        self.feed.refused(&origins.origins, refused);
    }

    fn settled(&mut self, origins: &mut Self::Origins, progress: Progress) {
        origins.numbers.clear();
        let progress = if self.wanted.is_some() { self.before } else { self.before.with(progress) };
        self.feed.settled(&mut origins.origins, progress);
    }
}
