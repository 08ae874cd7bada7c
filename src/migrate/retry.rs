//! Tries again what failed because somebody else holds a lock.
//!
//! Diesel does not pass the SQLSTATE on and the server writes its messages in its own language. So a transaction's
//! statements run inside a block that gives a lock timeout and a deadlock the one SQLSTATE of its kind that Diesel knows.
//! What cannot be in such a block is judged by the time that it took.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::deadline::Deadline;
use crate::raw::{Sql, raw};

/// The first pause before something that met a lock is tried again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) enum Failure {
    /// Somebody else holds a lock that it needs.
    Locked(DieselError),
    Other(DieselError),
}

impl Failure {
    /// Of a statement that ran as it is; `waited` says whether it took as long as it may wait for a lock.
    pub fn timed(source: DieselError, waited: bool) -> Self {
        match source {
            DieselError::DatabaseError(DatabaseErrorKind::Unknown, _) if waited => Self::Locked(source),
            _ => Self::Other(source),
        }
    }
}

impl From<DieselError> for Failure {
    /// Of what ran in [`telling_locks`].
    fn from(source: DieselError) -> Self {
        match source {
            DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => Self::Locked(source),
            _ => Self::Other(source),
        }
    }
}

/// Tries until the time is up, with growing pauses of random length.
pub(super) fn until_unlocked(
    wait: Duration,
    mut on_lock: impl FnMut(&DieselError),
    mut run: impl FnMut(Deadline) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let deadline = Deadline::after(wait);
    let mut pause = FIRST_PAUSE;
    loop {
        match run(deadline) {
            Err(Failure::Locked(source)) if pause < deadline.left() => on_lock(&source),
            result => return result,
        }
        std::thread::sleep(pause.mul_f64(0.5 + fastrand::f64()));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The statements in a block that turns a lock timeout and a deadlock into a serialization failure.
pub(super) fn telling_locks(sql: &Sql) -> Sql {
    let block = raw!(
        "DECLARE
    detail text;
BEGIN
    EXECUTE {sql};
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RAISE serialization_failure USING MESSAGE = SQLERRM, DETAIL = detail;
END",
        sql = Sql::literal(sql.as_str())
    );
    raw!("DO {block}", block = Sql::literal(block.as_str()))
}
