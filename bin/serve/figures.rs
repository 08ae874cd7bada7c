//! The figures: one thread asks the database for them, at most once an interval, however many want them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::Utc;
use diesel::pg::PgConnection;
use optiinfra_db::connection::Target;
use optiinfra_db::stats::{self, Options, Report};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::exit::Exit;
use crate::output::printable;
use crate::report::{Verified, html, prometheus, verified};
use crate::target;

/// `verify` reads whole tables, so it is asked less often.
const VERIFY_EVERY: Duration = Duration::from_secs(300);
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
    pub fn of(target: Target, interval: Duration) -> io::Result<Self> {
        let (publish, newest) = watch::channel(None);
        // One place: who finds it taken will get what that asks for.
        let (ask, asked) = mpsc::sync_channel(1);
        let collector =
            Collector { target, interval, conn: None, verified: None, collections: 0, failures: 0, publish };
        thread::Builder::new().name("database".to_owned()).spawn(move || collector.run(&asked))?;
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

/// Asks the database, over one session that is kept.
struct Collector {
    target: Target,
    interval: Duration,
    conn: Option<PgConnection>,
    verified: Option<(Instant, Verified)>,
    collections: u64,
    failures: u64,
    publish: watch::Sender<Option<Arc<Pages>>>,
}

impl Collector {
    fn run(mut self, asked: &Receiver<()>) {
        while asked.recv().is_ok() {
            let is_new = self.publish.borrow().as_ref().is_some_and(|pages| pages.at.elapsed() < self.interval);
            // Who asked during the last collection has had its answer.
            if !is_new {
                let pages = self.collect();
                self.publish.send_replace(Some(Arc::new(pages)));
            }
        }
    }

    fn collect(&mut self) -> Pages {
        let begun = Instant::now();
        self.collections += 1;
        let gathered = self.gather();
        if gathered.is_err() {
            self.failures += 1;
            self.conn = None;
        }
        self.log_change(gathered.as_ref().err());
        let own = prometheus::of_server(self.collections, self.failures, Utc::now());
        let interval = self.interval;
        let pages = gathered.and_then(|report| {
            let verified = self.verified();
            Ok(Pages {
                at: Instant::now(),
                metrics: bytes(&(prometheus::render(&report, verified, begun.elapsed()) + &own)),
                report: bytes(&html::render(&report, verified, Some(interval))?),
                problem: None,
            })
        });
        pages.unwrap_or_else(|error| Pages::without(&error, interval, &own))
    }

    /// The figures. A session that was lost since the last time is replaced at once.
    fn gather(&mut self) -> anyhow::Result<Report> {
        if let Some(conn) = &mut self.conn {
            match stats::run(conn, &Options::default()).map_err(anyhow::Error::from) {
                Err(error) if Exit::of(&error) == Exit::NoConnection => {}
                gathered => return gathered,
            }
        }
        let conn = self.conn.insert(target::read_only(&self.target, "serve")?);
        Ok(stats::run(conn, &Options::default())?)
    }

    /// What `verify` said last, or says now. It is asked again as long as it could not answer.
    fn verified(&mut self) -> &Verified {
        let is_known = |(at, verified): &(Instant, Verified)| verified.is_ok() && at.elapsed() < VERIFY_EVERY;
        let newest = match self.verified.take().filter(is_known) {
            Some(known) => known,
            None => {
                let verified = self.conn.as_mut().map_or_else(|| Err("there is no session".to_owned()), verified);
                (Instant::now(), verified)
            }
        };
        &self.verified.insert(newest).1
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
