//! Tries again what failed because somebody else holds a lock.

use std::time::Duration;

use diesel::result::Error as DieselError;
use uuid::Uuid;

use crate::deadline::Deadline;
use crate::sqlstate::{DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, is_deadlock, is_lock_timeout, sqlstate};

/// The first pause before something that met a lock is tried again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(crate) enum Failure {
    /// Somebody else holds a lock that it needs.
    Locked(DieselError),
    Other(DieselError),
}

impl Failure {
    /// Of a statement that ran as it is, with this limit on waiting for a lock, for so long.
    pub fn of_statement(source: DieselError, lock_timeout: Duration, took: Duration) -> Self {
        let met_lock = is_deadlock(&source) || is_lock_timeout(&source, lock_timeout, took);
        if met_lock { Self::Locked(source) } else { Self::Other(source) }
    }
}

impl From<DieselError> for Failure {
    /// Of what ran in [`reporting`](crate::sqlstate::reporting).
    fn from(source: DieselError) -> Self {
        match sqlstate(&source) {
            Some(LOCK_NOT_AVAILABLE | DEADLOCK_DETECTED) => Self::Locked(source),
            _ => Self::Other(source),
        }
    }
}

/// From one half to one and a half, so that two runs do not keep step.
fn random_factor() -> f64 {
    0.5 + f64::from(Uuid::new_v4().as_bytes()[0]) / 255.0
}

/// Tries until the time is up, with growing pauses of random length.
pub(crate) fn until_unlocked<T>(
    wait: Duration,
    mut on_lock: impl FnMut(&DieselError),
    mut run: impl FnMut(Deadline) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let deadline = Deadline::after(wait);
    let mut pause = FIRST_PAUSE;
    loop {
        match run(deadline) {
            Err(Failure::Locked(source)) if pause < deadline.left() => on_lock(&source),
            result => return result,
        }
        std::thread::sleep(pause.mul_f64(random_factor()).min(deadline.left()));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
