//! Ctrl-C and SIGTERM: ends what the server does for us, says in which state that leaves the database, and ends the
//! process within two seconds, whatever it does at that moment.
//!
//! Diesel cannot cancel a statement, so a second connection asks the server to. Only sessions of this process are
//! touched.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};
use optiinfra_db::connection::{self, Target};
use optiinfra_db::raw::sql_query;
use optiinfra_db::{Error, ingest, migrate};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::Exit;
use crate::{output, unfinished};

/// How long a cancelled statement may take to end before its session is ended.
const CANCEL_WAIT: Duration = Duration::from_secs(1);
/// How long an idle session may take to end by itself.
const IDLE_WAIT: Duration = Duration::from_millis(200);
/// When to stop waiting for the server.
const SERVER_WAIT: Duration = Duration::from_millis(1400);
/// How long the main thread may take to report what happened; it knows more than this one.
const MAIN_WAIT: Duration = Duration::from_millis(200);
/// What to do after work in chunks was cut short.
const CHUNKS_STAY: &str = "the same command again skips what is written and goes on";
const POLL: Duration = Duration::from_millis(20);

/// The session that works for the command.
static WORK: Mutex<Option<Session>> = Mutex::new(None);
/// The signal that came; 0 while none has.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// Wakes who waits for the signal.
static CAUGHT: Condvar = Condvar::new();
static WAIT: Mutex<()> = Mutex::new(());
/// Set by a signal, for work over several sessions, which ends by itself between two transactions.
static CANCELLED: AtomicBool = AtomicBool::new(false);
/// Whether there is such work.
static CANCELLABLE: AtomicBool = AtomicBool::new(false);
/// Whether Ctrl-C is for a program that we have started and wait for.
static LEFT_TO_OTHERS: AtomicBool = AtomicBool::new(false);
/// Set by the thread that reports how the command ended.
static REPORTED: AtomicBool = AtomicBool::new(false);

/// A session on the server.
#[derive(Debug, QueryableByName)]
struct Working {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = Text)]
    application: String,
}

struct Session {
    target: Target,
    working: Working,
}

/// Listens for the signals, in a thread of its own.
pub fn listen() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let listener = thread::Builder::new().name("signals".to_owned());
    listener.spawn(move || {
        let is_ours = |signal: &i32| *signal == SIGTERM || !LEFT_TO_OTHERS.load(Ordering::SeqCst);
        if let Some(signal) = signals.forever().find(is_ours) {
            end(signal);
        }
    })?;
    Ok(())
}

/// Remembers which session a signal has to end.
pub fn watch(conn: &mut PgConnection, target: &Target) -> anyhow::Result<()> {
    // In a transaction, because a pooler may take the two halves of a query to two servers.
    let working: QueryResult<Working> = conn.transaction(|conn| {
        sql_query("SELECT pg_backend_pid() AS pid, current_setting('application_name') AS application").get_result(conn)
    });
    let working = working.map_err(|source| Error::Query { doing: "ask which session this is".to_owned(), source })?;
    *WORK.lock().unwrap_or_else(PoisonError::into_inner) = Some(Session { target: target.clone(), working });
    if caught().is_some() {
        bail!("the session was not used");
    }
    Ok(())
}

/// The flag that a signal sets, for work that looks at it and ends with [`ingest::Error::Cancelled`].
pub fn cancellable() -> &'static AtomicBool {
    CANCELLABLE.store(true, Ordering::SeqCst);
    &CANCELLED
}

/// From now on Ctrl-C is for the program that we have started and wait for.
pub fn leave_ctrl_c_to_others() {
    LEFT_TO_OTHERS.store(true, Ordering::SeqCst);
}

/// How the program ends: as it would have, or with the signal's code where a signal is why it failed.
pub fn finish(result: anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    let Some(exit) = caught() else { return result };
    if !claim() {
        // The other thread reports and ends the process: to end it here might cut that off.
        loop {
            thread::park();
        }
    }
    if let Err(error) = &result {
        output::interrupted(&state_after(error));
        return Ok(exit);
    }
    result
}

/// The signal that came, if one did.
pub fn caught() -> Option<Exit> {
    match SIGNAL.load(Ordering::SeqCst) {
        0 => None,
        SIGTERM => Some(Exit::Terminated),
        _ => Some(Exit::Interrupted),
    }
}

/// Fails when a signal came: a result that leaves out what it cannot get may lack what the signal cancelled.
pub fn refuse_partial() -> anyhow::Result<()> {
    if caught().is_some() {
        bail!("the result was not complete when the signal came");
    }
    Ok(())
}

/// Waits so long, or until a signal comes.
pub fn pause(time: Duration) -> Option<Exit> {
    let wait = WAIT.lock().unwrap_or_else(PoisonError::into_inner);
    drop(CAUGHT.wait_timeout_while(wait, time, |_| caught().is_none()));
    caught()
}

/// Whether it is the caller who has to report how the command ended.
fn claim() -> bool {
    !REPORTED.swap(true, Ordering::SeqCst)
}

/// The state in which a failed command leaves the database.
fn state_after(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Error>() {
        Some(Error::Migrate(migrate::Error::Failed { name, .. })) => {
            format!("migration {name} was rolled back; what was applied before it stays")
        }
        Some(Error::Migrate(stopped @ migrate::Error::Stopped { .. })) => {
            format!("{stopped}; the next run goes on there")
        }
        Some(cancelled @ Error::Ingest(ingest::Error::Cancelled { .. })) => format!("{cancelled}; {CHUNKS_STAY}"),
        _ => "nothing is half done: what was not committed is rolled back".to_owned(),
    }
}

/// Ends the session on the server, and then the process unless it has ended by then.
fn end(signal: i32) {
    {
        let _wait = WAIT.lock().unwrap_or_else(PoisonError::into_inner);
        SIGNAL.store(signal, Ordering::SeqCst);
    }
    CAUGHT.notify_all();
    CANCELLED.store(true, Ordering::SeqCst);
    if CANCELLABLE.load(Ordering::SeqCst) {
        thread::sleep(SERVER_WAIT);
        if claim() {
            output::interrupted(&format!("whole chunks were committed; {CHUNKS_STAY}"));
            exit();
        }
        return;
    }
    let (done, wait) = mpsc::channel();
    if let Some(session) = WORK.lock().unwrap_or_else(PoisonError::into_inner).take() {
        thread::spawn(move || done.send(session.end()));
    } else {
        drop(done);
    }
    let state = match wait.recv_timeout(SERVER_WAIT) {
        Ok(Ok(())) => "nothing is half done: the session was ended and what it had not committed is rolled back",
        Err(RecvTimeoutError::Disconnected) => "no statement was under way",
        Ok(Err(_)) | Err(RecvTimeoutError::Timeout) => {
            "the server could not be reached; it rolls back what was not committed when it sees that the session has ended"
        }
    };
    thread::sleep(MAIN_WAIT);
    if claim() {
        output::interrupted(state);
        exit();
    }
}

#[expect(clippy::exit, reason = "main may be asleep or wait for an answer, and has no statement left that could fail")]
fn exit() {
    if let Some(exit) = caught() {
        unfinished::remove();
        std::process::exit(exit as i32);
    }
}

impl Session {
    /// Cancels the session's statement and waits until the session is gone; where it stays, ends it.
    fn end(&self) -> anyhow::Result<()> {
        let target = self.target.clone().with("connect_timeout", "2");
        let mut conn = connection::connect(&target, "optiinfra-dbctl/interrupt")?;
        // A role that becomes another one at login, as the migrator becomes the owner, may end its sessions only as itself.
        sql_query("SET ROLE NONE").execute(&mut conn)?;
        let begin = Instant::now();
        let mut busy_until = None;
        while let Some(state) = self.state(&mut conn)? {
            let now = Instant::now();
            if state == "active" && begin.elapsed() < CANCEL_WAIT {
                self.request(&mut conn, "SELECT pg_cancel_backend($1)")?;
                busy_until = Some(now);
            } else if busy_until.is_none_or(|busy| now - busy > IDLE_WAIT) {
                self.request(&mut conn, "SELECT pg_terminate_backend($1)")?;
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// What the session does; `None` when it is gone.
    fn state(&self, conn: &mut PgConnection) -> QueryResult<Option<String>> {
        #[derive(QueryableByName)]
        struct State {
            #[diesel(sql_type = Text)]
            state: String,
        }
        // The name too: behind a pooler, somebody else's statement may run in the same server process.
        let query = "SELECT coalesce(state, '') AS state FROM pg_stat_activity \
                     WHERE pid = $1 AND application_name = $2 AND usename = session_user";
        let found: Option<State> = sql_query(query)
            .bind::<Integer, _>(self.working.pid)
            .bind::<Text, _>(&self.working.application)
            .get_result(conn)
            .optional()?;
        Ok(found.map(|found| found.state))
    }

    fn request(&self, conn: &mut PgConnection, request: &'static str) -> QueryResult<()> {
        sql_query(request).bind::<Integer, _>(self.working.pid).execute(conn).map(drop)
    }
}
