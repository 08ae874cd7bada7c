//! The figures: the database is asked for them at most once an interval, however many want them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::bail;
use bytes::Bytes;
use chrono::Utc;
use optiinfra_db::connection::Target;
use tokio::sync::watch;
use tokio::time::timeout;

use super::collector::{Collected, Collector};
use crate::output::printable;
use crate::report::{html, prometheus};

/// Sessions that were given up and have not ended, before which no further one is begun.
const MOST_HANGING: usize = 3;
/// For how many intervals the last figures are shown while the database is silent, and for how long at least.
const STALE_AFTER: (u32, Duration) = (4, Duration::from_secs(60));

/// What is served of one collection.
pub struct Pages {
    at: Instant,
    pub metrics: Bytes,
    pub report: Bytes,
    /// Why there are no figures.
    pub problem: Option<String>,
}

/// The newest pages, and the thread that makes them.
pub struct Figures {
    interval: Duration,
    ask: SyncSender<()>,
    newest: watch::Receiver<Option<Arc<Pages>>>,
}

impl Figures {
    /// Begins the thread. Nothing is asked before somebody wants to know.
    /// A collection takes at most `limit`.
    pub fn of(target: Target, interval: Duration, limit: Duration) -> io::Result<Self> {
        let (publish, newest) = watch::channel(None);
        // One place: who finds it taken will get what that asks for.
        let (ask, asked) = mpsc::sync_channel(1);
        let (collector, hanging) = (None, Vec::new());
        let supervisor =
            Supervisor { target, interval, limit, collector, hanging, collections: 0, failures: 0, publish };
        thread::Builder::new().name("figures".to_owned()).spawn(move || supervisor.run(&asked))?;
        Ok(Self { interval, ask, newest })
    }

    /// The pages of this interval, for which a caller waits at most so long. Then the last ones, unless they are too old
    /// to pass for the present.
    pub async fn within(&self, limit: Duration) -> Arc<Pages> {
        let asked = Instant::now();
        let is_new = |pages: &Option<Arc<Pages>>| {
            pages.as_ref().is_some_and(|pages| pages.at >= asked || pages.at.elapsed() < self.interval)
        };
        let mut newest = self.newest.clone();
        if !is_new(&newest.borrow()) {
            // Where it is full, somebody has asked already.
            let _ = self.ask.try_send(());
        }
        let last = match timeout(limit, newest.wait_for(is_new)).await {
            Ok(Ok(pages)) => return pages.clone().unwrap_or_else(|| Arc::new(self.silent(limit))),
            _ => self.newest.borrow().clone(),
        };
        let (intervals, least) = STALE_AFTER;
        let oldest = (self.interval * intervals).max(least);
        last.filter(|pages| pages.at.elapsed() < oldest).unwrap_or_else(|| Arc::new(self.silent(limit)))
    }

    fn silent(&self, limit: Duration) -> Pages {
        let error = anyhow::anyhow!("the database has not answered within {} s", limit.as_secs_f64());
        Pages::without(&error, self.interval, "")
    }
}

/// Has the database asked, and gives up a session that hangs.
struct Supervisor {
    target: Target,
    interval: Duration,
    limit: Duration,
    collector: Option<Collector>,
    /// Threads that still wait for a session that was given up.
    hanging: Vec<JoinHandle<()>>,
    collections: u64,
    failures: u64,
    publish: watch::Sender<Option<Arc<Pages>>>,
}

impl Supervisor {
    fn run(mut self, asked: &Receiver<()>) {
        while asked.recv().is_ok() {
            let is_new = self.publish.borrow().as_ref().is_some_and(|pages| pages.at.elapsed() < self.interval);
            // Who asked during the last collection has had its answer.
            if !is_new {
                let pages = self.pages();
                self.publish.send_replace(Some(Arc::new(pages)));
            }
        }
    }

    fn pages(&mut self) -> Pages {
        self.collections += 1;
        let collected = self.collect();
        self.failures += u64::from(collected.is_err());
        self.log_change(collected.as_ref().err());
        let own = prometheus::of_server(self.collections, self.failures, Utc::now());
        match collected {
            Ok(Collected { metrics, report }) => {
                Pages { at: Instant::now(), metrics: bytes(&(metrics + &own)), report: bytes(&report), problem: None }
            }
            Err(error) => Pages::without(&error, self.interval, &own),
        }
    }

    fn collect(&mut self) -> anyhow::Result<Collected> {
        self.hanging.retain(|thread| !thread.is_finished());
        let collector = match self.collector.take() {
            Some(collector) => collector,
            None if self.hanging.len() >= MOST_HANGING => bail!("{MOST_HANGING} sessions hang"),
            None => Collector::start(self.target.clone(), self.interval)?,
        };
        let Some(collected) = collector.collect(self.limit) else {
            self.hanging.push(collector.give_up());
            bail!("the database has not answered within {} s, and the session was given up", self.limit.as_secs_f64());
        };
        self.collector = Some(collector);
        collected
    }

    fn log_change(&self, error: Option<&anyhow::Error>) {
        let had_problem = self.publish.borrow().as_ref().is_some_and(|pages| pages.problem.is_some());
        match error {
            Some(error) if !had_problem => tracing::warn!("no figures: {error:#}"),
            None if had_problem => tracing::warn!("there are figures again"),
            _ => {}
        }
    }
}

impl Pages {
    /// What there is to show when an error kept the figures away.
    fn without(error: &anyhow::Error, interval: Duration, own: &str) -> Self {
        let problem = format!("{error:#}");
        Self {
            at: Instant::now(),
            metrics: bytes(&(prometheus::without_figures(error) + own)),
            report: bytes(&html::unavailable(&problem, interval).unwrap_or_else(|_| problem.clone())),
            problem: Some(problem),
        }
    }
}

fn bytes(text: &str) -> Bytes {
    printable(text).into_owned().into()
}
