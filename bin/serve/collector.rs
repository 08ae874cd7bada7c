//! A thread that asks the database, over one session that it keeps. Diesel waits for an answer for ever, so whoever wants one
//! waits for the thread, and leaves it where the answer does not come.

use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use optiinfra_db::connection::Target;
use optiinfra_db::stats::{self, Options, Report};

use crate::exit::Exit;
use crate::report::{Verified, html, prometheus, verified};
use crate::target;

/// `verify` reads whole tables, so it is asked less often.
const VERIFY_EVERY: Duration = Duration::from_secs(300);

/// The metrics and the page, of one collection.
pub struct Collected {
    pub metrics: String,
    pub report: String,
}

/// The thread. It ends after the answer that it waits for, once nobody wants another.
pub struct Collector {
    ask: SyncSender<()>,
    answers: Receiver<anyhow::Result<Collected>>,
    thread: JoinHandle<()>,
}

impl Collector {
    pub fn start(target: Target, interval: Duration) -> io::Result<Self> {
        let (ask, asked) = mpsc::sync_channel(1);
        let (answer, answers) = mpsc::sync_channel(1);
        let mut session = Session { target, interval, conn: None, verified: None };
        let run = move || while asked.recv().is_ok() && answer.send(session.collect()).is_ok() {};
        Ok(Self { ask, answers, thread: thread::Builder::new().name("database".to_owned()).spawn(run)? })
    }

    /// The figures of now; `None` when they have not come within that time, or the thread has ended.
    pub fn collect(&self, limit: Duration) -> Option<anyhow::Result<Collected>> {
        self.ask.try_send(()).ok()?;
        self.answers.recv_timeout(limit).ok()
    }

    /// The thread that nobody waits for any more.
    pub fn give_up(self) -> JoinHandle<()> {
        self.thread
    }
}

struct Session {
    target: Target,
    interval: Duration,
    conn: Option<PgConnection>,
    verified: Option<(Instant, Verified)>,
}

impl Session {
    fn collect(&mut self) -> anyhow::Result<Collected> {
        let begun = Instant::now();
        let gathered = self.gather();
        if gathered.is_err() {
            self.conn = None;
        }
        let (report, interval) = (gathered?, self.interval);
        let verified = self.verified();
        Ok(Collected {
            metrics: prometheus::render(&report, verified, begun.elapsed()),
            report: html::render(&report, verified, None, Some(interval))?,
        })
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
        let is_known = |(at, verified): &(Instant, Verified)| verified.outcome.is_ok() && at.elapsed() < VERIFY_EVERY;
        let newest = match (self.verified.take().filter(is_known), &mut self.conn) {
            (Some(known), _) => known,
            (None, Some(conn)) => (Instant::now(), verified(conn)),
            (None, None) => (Instant::now(), Verified::not("there is no session")),
        };
        &self.verified.insert(newest).1
    }
}
