//! The partitions of an input, all in one transaction or each in its own.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::FEW;
use super::partition::{Filled, Loader, Trouble};
use super::replay::Replay;
use super::spill::Part;
use crate::catalog::Bounds;
use crate::connection::{self, Pool};
use crate::error::{Doing as _, Result};
use crate::ingest::Error;
use crate::ingest::loading::{Loaded, Loading};
use crate::ingest::path::OnConflict;
use crate::ingest::pipeline::{Connections, Done, Feed, Pipeline};
use crate::ingest::table::Table;
use crate::partitions::Partitioned;
use crate::raw::RunSql as _;
use crate::rollback::undone;

static NEVER: AtomicBool = AtomicBool::new(false);

/// A partition that is to be loaded.
pub(super) struct Job {
    pub(super) bounds: Bounds,
    pub(super) part: Part,
    /// Rows that the server refuses, once they were looked for.
    pub(super) without: Option<BTreeSet<u64>>,
}

impl Job {
    fn begin(&self) -> DateTime<Utc> {
        self.bounds.range().and_then(|(from, _)| from).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }
}

/// How an input is written, whatever the connections are.
#[derive(Clone, Copy)]
pub(super) struct Writing<'a> {
    pub(super) table: &'static Table,
    pub(super) on_conflict: OnConflict,
    pub(super) rows_per_chunk: usize,
    pub(super) allowance: &'a AtomicU64,
    pub(super) cancel: Option<&'a AtomicBool>,
    pub(super) loading: &'a Loading,
}

impl<'a> Writing<'a> {
    pub(super) fn over(self, connections: Connections<'a>) -> Pipeline<'a> {
        let Self { table, on_conflict, rows_per_chunk, allowance, cancel, loading } = self;
        Pipeline { table, connections, on_conflict, customer: None, rows_per_chunk, allowance, cancel, loading }
    }
}

/// The partitions of an input.
pub(super) struct Loads<'a, F> {
    pub(super) writing: Writing<'a>,
    pub(super) file: &'a File,
    pub(super) feed: &'a mut F,
    /// Whether what is written stays if the rest fails.
    pub(super) commits: bool,
    pub(super) done: Done,
    /// What is to be written by rows.
    pub(super) rows: Vec<Part>,
    /// What is to be written by rows once the partitions are there.
    pub(super) late: Vec<Part>,
}

impl<'a, F: Feed> Loads<'a, F> {
    /// Loads them, in the order of their times.
    pub(super) fn all(
        mut self,
        mut connections: Connections<'_>,
        first: Option<Range<DateTime<Utc>>>,
        mut jobs: Vec<Job>,
    ) -> Result<Done, F::Error> {
        // The first partition is divided from the oldest period on that is worth it; what is older stays in it.
        if let Some(first) = first {
            let is_worth_it = |job: &&Job| job.part.count >= FEW as u64 && first.start <= job.begin();
            let begin = jobs.iter().filter(is_worth_it).map(Job::begin).min().unwrap_or(first.end).min(first.end);
            self.late.extend(jobs.extract_if(.., |job| job.begin() < begin).map(|job| job.part));
        }
        jobs.sort_by_key(|job| Reverse(job.begin()));
        let Some(begin) = jobs.last().map(Job::begin) else {
            self.rows = std::mem::take(&mut self.late);
            self.write_rows(connections)?;
            return Ok(self.done);
        };
        match connections.again() {
            Connections::Transaction(conn) => {
                self.in_one_transaction(conn, jobs)?;
                self.loader(&NEVER).fill_gaps(conn, begin)?;
            }
            Connections::Pool(pool, connections) => {
                self.commits = true;
                self.one_by_one(pool, connections, jobs)?;
                self.loader(&NEVER).fill_gaps(&mut *connection::take(pool).map_err(crate::Error::from)?, begin)?;
            }
        }
        self.rows = std::mem::take(&mut self.late);
        self.write_rows(connections)?;
        Ok(self.done)
    }

    /// All in the caller's transaction: filled one after the other, attached at its end.
    fn in_one_transaction(&mut self, conn: &mut PgConnection, mut jobs: Vec<Job>) -> Result<(), F::Error> {
        let loader = self.loader(self.writing.cancel.unwrap_or(&NEVER));
        let Some(partitioned) = loader.begin(conn)? else {
            self.rows.extend(jobs.into_iter().map(|job| job.part));
            return self.write_rows(Connections::Transaction(conn));
        };
        let mut waiting: Vec<(Filled, Job)> = Vec::new();
        loop {
            while let Some(job) = jobs.pop() {
                let without = job.without.clone().unwrap_or_default();
                let filled = conn.transaction(|conn| loader.fill(conn, &partitioned, &job.bounds, &job.part, &without));
                match filled {
                    Ok(filled) => waiting.push((filled, job)),
                    Err(trouble) => jobs.extend(self.after(conn, job, trouble)?),
                }
            }
            self.write_rows(Connections::Transaction(conn))?;
            let mut at = 0;
            let attached = conn.transaction(|conn| {
                waiting.iter_mut().enumerate().try_for_each(|(next, (filled, _))| {
                    at = next;
                    loader.attach(conn, &partitioned, filled)
                })
            });
            let Err(trouble) = attached else { break };
            let (filled, job) = waiting.remove(at);
            conn.batch(filled.drop()).doing("remove a table that is no partition").map_err(F::Error::from)?;
            jobs.extend(self.after(conn, job, trouble)?);
        }
        waiting.into_iter().for_each(|(filled, _)| self.count(filled.loaded));
        Ok(())
    }

    /// What to do with a partition that was not taken: again without the rows that are refused, or by rows.
    fn after(&mut self, conn: &mut PgConnection, job: Job, trouble: Trouble) -> Result<Option<Job>, F::Error> {
        match trouble {
            Trouble::Rows if job.without.is_none() => {
                let refused = self.refused(conn, &job.part)?;
                if !refused.is_empty() {
                    return Ok(Some(Job { without: Some(refused), ..job }));
                }
            }
            Trouble::Rows | Trouble::Taken => {}
            Trouble::Cancelled | Trouble::Failed { .. } => return Err(self.error(&job, trouble).into()),
        }
        self.rows.push(job.part);
        Ok(None)
    }

    /// The rows that the server refuses, found by writing all and rolling that back.
    fn refused(&mut self, conn: &mut PgConnection, part: &Part) -> Result<BTreeSet<u64>, F::Error> {
        let mut refused = BTreeSet::new();
        let mut of_input = Ok(());
        let rolled_back = undone(conn, |conn| {
            of_input = self.replay(Connections::Transaction(conn), &[part], Some(&mut refused));
            Ok(())
        });
        of_input?;
        rolled_back.map_err(crate::Error::from)?;
        Ok(refused)
    }

    /// Each partition in a transaction of its own, several at once.
    fn one_by_one(&mut self, pool: &Pool, connections: usize, jobs: Vec<Job>) -> Result<(), F::Error> {
        let stop = AtomicBool::new(false);
        let loader = self.loader(&stop);
        let workers = connections.min(jobs.len());
        let jobs = Mutex::new(jobs);
        let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (to_main, news) = mpsc::channel();
        let mut to_make = Vec::new();
        let failed = std::thread::scope(|scope| {
            for _ in 0..workers {
                let (to_main, next) = (to_main.clone(), &next);
                scope.spawn(move || {
                    let mut conn = match connection::take(pool) {
                        Ok(conn) => conn,
                        Err(error) => return drop(to_main.send(Err(error.into()))),
                    };
                    while let Some(job) = next() {
                        let outcome = loader.load(&mut conn, &job.bounds, &job.part);
                        // Nobody receives it only where the input has panicked.
                        if to_main.send(Ok((job, outcome))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(to_main);
            let mut failed = None;
            loop {
                match news.recv_timeout(crate::ingest::pipeline::PATIENCE) {
                    Ok(Ok((_, Ok(loaded)))) => self.count(loaded),
                    Ok(Ok((job, Err(Trouble::Rows | Trouble::Taken)))) => {
                        to_make.push(job.bounds);
                        self.rows.push(job.part);
                    }
                    Ok(Ok((job, Err(trouble)))) => drop(failed.get_or_insert(self.error(&job, trouble))),
                    Ok(Err(error)) => drop(failed.get_or_insert(error)),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => return failed,
                }
                let is_cancelled = self.writing.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed));
                if failed.is_some() || is_cancelled {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        for bounds in to_make {
            loader.make(&mut *connection::take(pool).map_err(crate::Error::from)?, &bounds)?;
        }
        self.write_rows(Connections::Pool(pool, connections))
    }

    fn loader<'b>(&self, stop: &'b AtomicBool) -> Loader<'b>
    where
        'a: 'b,
    {
        let Writing { table, loading, on_conflict, .. } = self.writing;
        Loader { table, loading, skips: on_conflict == OnConflict::Skip, file: self.file, stop }
    }

    fn count(&mut self, loaded: Loaded) {
        let progress = &mut self.done.progress;
        progress.written += loaded.rows;
        progress.chunks += 1;
        tracing::info!(partition = loaded.partition, rows = loaded.rows, "a partition is loaded");
        self.done.loaded.push(loaded);
        self.feed.settled(&mut F::Origins::default(), *progress);
    }

    /// Writes by rows what is not loaded whole.
    fn write_rows(&mut self, connections: Connections<'_>) -> Result<(), F::Error> {
        let parts = std::mem::take(&mut self.rows);
        if parts.is_empty() {
            return Ok(());
        }
        tracing::info!(
            table = self.writing.table.name,
            parts = parts.len(),
            "rows of partitions in use are written by rows"
        );
        self.replay(connections, &parts.iter().collect::<Vec<_>>(), None)
    }

    fn replay(
        &mut self,
        connections: Connections<'_>,
        parts: &[&Part],
        wanted: Option<&mut BTreeSet<u64>>,
    ) -> Result<(), F::Error> {
        let (before, is_search) = (self.done.progress, wanted.is_some());
        let (table, file) = (self.writing.table, self.file);
        let mut replay = Replay { feed: &mut *self.feed, table, file, parts: parts.iter(), rows: None, before, wanted };
        let done = self.writing.over(connections).by_rows(&mut replay, None)?;
        if !is_search {
            self.done.progress = before.with(done.progress);
            self.done.through = done.through;
        }
        Ok(())
    }

    fn error(&self, job: &Job, trouble: Trouble) -> crate::Error {
        let table = self.writing.table.name;
        let written = if self.commits { self.done.progress.written } else { 0 };
        match trouble {
            Trouble::Failed { source: crate::Error::Migrate(error), .. } if written == 0 => error.into(),
            Trouble::Failed { source, in_doubt } => {
                let in_doubt = if in_doubt { job.part.count } else { 0 };
                let partition = Partitioned::name(table, &job.bounds);
                Error::PartitionFailed { table, partition, written, in_doubt, source: Box::new(source) }.into()
            }
            _ => Error::Cancelled { table, written, in_doubt: 0 }.into(),
        }
    }
}
