//! `--watch`: the same again and again, until a signal ends it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::exit::Exit;

/// How long a signal may wait for us.
const NAP: Duration = Duration::from_millis(50);

/// The signals that end a watch, instead of the process.
pub struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        let received = Arc::new(AtomicUsize::new(0));
        for (signal, exit) in [(SIGINT, Exit::Interrupted), (SIGTERM, Exit::Terminated)] {
            signal_hook::flag::register_usize(signal, Arc::clone(&received), exit as usize)?;
        }
        Ok(Self(received))
    }

    /// How to end, if a signal says so.
    pub fn received(&self) -> Option<Exit> {
        [Exit::Interrupted, Exit::Terminated].into_iter().find(|exit| *exit as usize == self.0.load(Ordering::Relaxed))
    }

    /// Waits; ends early with how to end when a signal comes.
    pub fn wait(&self, time: Duration) -> Option<Exit> {
        let begun = Instant::now();
        loop {
            if let Some(exit) = self.received() {
                return Some(exit);
            }
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return None;
            }
            thread::sleep(left.min(NAP));
        }
    }
}
