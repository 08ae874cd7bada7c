//! What a run reports while it works, and of each migration afterwards.

use serde::Serialize;

use super::set::{Direction, Migration};

/// What happens during a run, for progress messages.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Another run holds the lock; this one waits. Sent once.
    Waiting {
        /// Who holds the lock, as far as the server tells.
        holder: Option<&'a str>,
    },
    /// A migration begins.
    Begin(Direction, &'a Migration),
    /// A table that a migration needs is locked; it is tried again after a pause.
    Blocked(&'a Migration),
    /// A migration is committed.
    Done(&'a Step),
}

/// One migration that was run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Version in the history.
    pub version: String,
    /// Name of the migration's folder.
    pub name: String,
    /// Which way it was run.
    pub direction: Direction,
    /// How long it took in seconds, commit and waiting for locks included.
    pub seconds: f64,
}
