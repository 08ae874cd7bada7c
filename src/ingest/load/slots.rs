//! Which partition a row belongs to, and its way apart from the others while the input is read.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::spill::Spill;
use super::spill_failed;
use crate::catalog::Bounds;
use crate::ingest::batch::Batch;
use crate::ingest::pipeline::{Feed, Next, Origins, Progress};
use crate::ingest::search::Refused;
use crate::ingest::table::Table;
use crate::ingest::worker::Chunk;
use crate::partitions::{Occupied, Partitioned};

/// The partitions that rows belong to.
pub(super) struct Slots<'a> {
    partitioned: &'a Partitioned,
    occupied: Occupied,
    /// The place of the time in a row.
    time: usize,
    slots: Vec<Slot>,
    /// The slots by the begin of their bounds.
    by_begin: BTreeMap<Option<DateTime<Utc>>, usize>,
    last: usize,
    parts: usize,
}

struct Slot {
    bounds: Bounds,
    /// The number of its rows' part on disk, if it is to be loaded whole.
    part: Option<usize>,
}

impl<'a> Slots<'a> {
    pub(super) fn new(partitioned: &'a Partitioned, occupied: Occupied, table: &Table) -> Self {
        let time = table.columns.iter().position(|column| *column == partitioned.time()).unwrap_or_default();
        let (slots, by_begin) = (Vec::new(), BTreeMap::new());
        Self { partitioned, occupied, time, slots, by_begin, last: 0, parts: 0 }
    }

    /// The part of a row, if its partition is to be loaded whole.
    fn part_of(&mut self, batch: &Batch, row: usize) -> Option<usize> {
        let time = batch.time(row, self.time)?;
        let takes = |slot: usize| self.slots.get(slot).is_some_and(|slot| slot.bounds.take(time));
        if !takes(self.last) {
            let before = self.by_begin.range(..=Some(time)).next_back().map(|(_, slot)| *slot);
            self.last = match before.filter(|slot| takes(*slot)) {
                Some(slot) => slot,
                None => self.add(self.partitioned.bounds_of(time, &self.occupied)?),
            };
        }
        self.slots[self.last].part
    }

    fn add(&mut self, bounds: Bounds) -> usize {
        let is_free = self.partitioned.is_free(&bounds, &self.occupied);
        self.by_begin.insert(bounds.range().and_then(|(from, _)| from), self.slots.len());
        self.slots.push(Slot { bounds, part: is_free.then_some(self.parts) });
        self.parts += usize::from(is_free);
        self.slots.len() - 1
    }

    /// The bounds of each part.
    pub(super) fn bounds(self) -> impl Iterator<Item = Bounds> {
        self.slots.into_iter().filter(|slot| slot.part.is_some()).map(|slot| slot.bounds)
    }
}

/// An input without the rows of partitions that are to be loaded whole: these go to the disk.
pub(super) struct Diverted<'a, F: Feed> {
    feed: &'a mut F,
    table: &'static Table,
    pub(super) slots: Slots<'a>,
    pub(super) spill: Option<Spill>,
    /// Rows that were read and are not yet sorted out, and the next of them.
    read: Chunk<F::Origins>,
    next: usize,
    origin: Vec<u8>,
    progress: Progress,
}

impl<'a, F: Feed> Diverted<'a, F> {
    pub(super) fn new(feed: &'a mut F, table: &'static Table, slots: Slots<'a>, first: Chunk<F::Origins>) -> Self {
        let progress = Progress { received: first.batch.len() as u64, ..Progress::default() };
        Self { feed, table, slots, spill: None, read: first, next: 0, origin: Vec::new(), progress }
    }

    /// What became of the input so far.
    pub(super) const fn progress(&self) -> Progress {
        self.progress
    }
}

impl<F: Feed> Feed for Diverted<'_, F> {
    type Origins = F::Origins;
    type Error = F::Error;

    fn next(&mut self, batch: &mut Batch, origins: &mut F::Origins) -> Result<Next, F::Error> {
        if self.next == self.read.batch.len() {
            self.next = 0;
            self.read.batch.clear();
            self.feed.settled(&mut self.read.origins, self.progress);
            match self.feed.next(&mut self.read.batch, &mut self.read.origins)? {
                Next::Row => self.progress.received += 1,
                other => return Ok(other),
            }
        }
        let row = self.next;
        self.next += 1;
        let encoded = self.read.batch.rows(row..row + 1);
        let Some(part) = self.slots.part_of(&self.read.batch, row) else {
            self.origin.clear();
            self.read.origins.put(row, &mut self.origin);
            batch.push_encoded(encoded);
            origins.take(&self.origin);
            return Ok(Next::Row);
        };
        let failed = |source| spill_failed(self.table, self.progress.written, source);
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill::create().map_err(failed)?),
        };
        spill.push(part, encoded, |out| self.read.origins.put(row, out)).map_err(failed)?;
        Ok(Next::None)
    }

    fn position(&self, origins: &F::Origins, row: usize) -> Option<u64> {
        self.feed.position(origins, row)
    }

    fn refused(&mut self, origins: &F::Origins, refused: &Refused) {
        self.feed.refused(origins, refused);
    }

    fn settled(&mut self, origins: &mut F::Origins, progress: Progress) {
        self.progress = Progress { received: self.progress.received, ..progress };
        self.feed.settled(origins, self.progress);
    }
}
