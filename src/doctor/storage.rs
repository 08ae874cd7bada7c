//! What fills the disk, as far as SQL can see it.

use super::Check;
use super::facts::Facts;

/// Transactions since rows were last frozen: the server freezes at 200 million by itself, and stops at 2,100 million.
const OLD: i64 = 500_000_000;
const TOO_OLD: i64 = 1_500_000_000;

/// WAL that nobody reads, in bytes.
const MUCH_WAL: i64 = 1 << 30;

pub(super) const CHECKS: &[fn(&Facts) -> Check] = &[size, wal, wraparound];

fn size(facts: &Facts) -> Check {
    let temporary = facts.temporary.as_deref().unwrap_or("unknown");
    Check::of("size", format!("the database has {}; {temporary} went through temporary files", facts.size))
}

fn wal(facts: &Facts) -> Check {
    let found = match (facts.archiving_fails, facts.idle_slots) {
        (true, _) => "the last segment could not be archived".to_owned(),
        (false, 0) => "nothing keeps it".to_owned(),
        (false, slots) => format!("{} kept for {slots} replication slots that nobody reads", facts.kept_wal_size),
    };
    Check::of("wal", found)
        .problem_if(
            facts.archiving_fails,
            "repair archive_command (`SELECT * FROM pg_stat_archiver`): segments stay until the disk is full",
        )
        .problem_if(
            facts.kept_wal > MUCH_WAL,
            "start the standby again, or drop the slot (`SELECT pg_drop_replication_slot(NAME)`): the disk fills",
        )
        .note_if(facts.idle_slots > 0, "drop slots that nobody will read again: `SELECT * FROM pg_replication_slots`")
}

fn wraparound(facts: &Facts) -> Check {
    let age = facts.transaction_age.max(facts.multixact_age);
    Check::of("wraparound", format!("{} million transactions since all rows were frozen", age / 1_000_000))
        .problem_if(age > TOO_OLD, "run VACUUM (FREEZE) now: the server will refuse to write")
        .note_if(age > OLD, "find what keeps vacuum back: old transactions, prepared ones, replication slots")
}
