//! The server: its version, and settings that bite.

use super::Check;
use super::facts::Facts;

const OLDEST: i32 = 140_000;

/// Less than PostgreSQL's own default, in kB.
const LITTLE_MEMORY: i64 = 65_536;

/// Sessions of the whole server, in hundredths of what it takes from ordinary roles.
const MANY_SESSIONS: i64 = 80;

pub(super) const SETTINGS: &[fn(&Facts) -> Check] =
    &[writing, durability, vacuum, time_limits, other_programs, encoding, memory, sessions, extensions];

pub(super) fn version(facts: &Facts) -> Check {
    Check::of("server", format!("PostgreSQL {}", facts.version))
        .problem_if(facts.version_number < OLDEST, "use PostgreSQL 14 or newer")
}

fn writing(facts: &Facts) -> Check {
    let is_read_only = facts.setting("default_transaction_read_only") == "on";
    let found = match (facts.is_standby, is_read_only) {
        (true, _) => "a standby: nothing can be written here",
        (false, true) => "default_transaction_read_only is on: nothing can be written in these sessions",
        (false, false) => "possible: this is the primary",
    };
    Check::of("writing", found)
        .note_if(facts.is_standby, "to write, connect to the primary")
        .note_if(is_read_only, "to write, reset default_transaction_read_only of the role or the database")
}

fn durability(facts: &Facts) -> Check {
    let off: Vec<_> = ["fsync", "full_page_writes", "synchronous_commit"]
        .into_iter()
        .filter(|name| facts.setting(name) == "off")
        .collect();
    let found =
        if off.is_empty() { "what is committed is on the disk".to_owned() } else { format!("{} off", off.join(", ")) };
    Check::of("durability", found)
        .problem_if(
            off.iter().any(|name| *name != "synchronous_commit"),
            "switch them on: a crash of the machine can destroy the database",
        )
        .note_if(!off.is_empty(), "a crash of the server loses the last transactions: set synchronous_commit = on")
}

fn vacuum(facts: &Facts) -> Check {
    let off: Vec<_> = ["autovacuum", "track_counts"].into_iter().filter(|name| facts.setting(name) == "off").collect();
    let found = if off.is_empty() { "autovacuum is on".to_owned() } else { format!("{} off", off.join(", ")) };
    Check::of("vacuum", found)
        .problem_if(!off.is_empty(), "switch them on: tables grow without bound and plans go wrong")
}

/// Those that end a long import or report. Migrations have their own.
fn time_limits(facts: &Facts) -> Check {
    const LIMITS: [&str; 5] = [
        "statement_timeout",
        "transaction_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "lock_timeout",
    ];
    let set: Vec<_> = LIMITS
        .into_iter()
        .filter(|name| facts.number(name) > 0)
        .map(|name| format!("{name} {} s", seconds(facts.number(name))))
        .collect();
    let found = if set.is_empty() { "none".to_owned() } else { set.join(", ") };
    Check::of("time_limits", found)
        .note_if(!set.is_empty(), "where a long statement ends early, raise it for this role: ALTER ROLE ... SET")
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// Our sessions set these themselves; those of other programs do not.
fn other_programs(facts: &Facts) -> Check {
    let replaced = &facts.replaced_settings;
    let found =
        if replaced.is_empty() { "no setting of the role or the database".to_owned() } else { replaced.join(", ") };
    Check::of("other_programs", found).note_if(
        !replaced.is_empty(),
        "programs that do not set them themselves read and write with these: ALTER DATABASE or ALTER ROLE ... RESET \
         where that is not wanted",
    )
}

fn encoding(facts: &Facts) -> Check {
    Check::of("encoding", facts.encoding.as_str())
        .problem_if(
            facts.encoding == "SQL_ASCII",
            "make a database in UTF8 and move the data there: this one takes text that nobody can read again",
        )
        .note_if(facts.encoding != "UTF8", "text with characters that it does not have is refused: UTF8 has all")
}

fn memory(facts: &Facts) -> Check {
    let kilobytes = facts.number("maintenance_work_mem");
    Check::of("memory", format!("maintenance_work_mem is {} MB", kilobytes / 1024)).note_if(
        kilobytes < LITTLE_MEMORY,
        "indexes of large tables are built slowly: set maintenance_work_mem to 64 MB or more",
    )
}

fn sessions(facts: &Facts) -> Check {
    let reserved = facts.number("superuser_reserved_connections") + facts.number("reserved_connections");
    let most = facts.number("max_connections") - reserved;
    let open = facts.sessions;
    const STEP: &str = "end idle sessions, put a pooler before the services, or raise max_connections";
    Check::of("sessions", format!("{open} open of {most}, and {reserved} reserved for administrators"))
        .problem_if(open >= most, STEP)
        .note_if(open * 100 > most * MANY_SESSIONS, STEP)
}

fn extensions(facts: &Facts) -> Check {
    let has = |name: &str| facts.extensions.iter().any(|extension| extension.split(' ').next() == Some(name));
    Check::of("extensions", facts.extensions.join(", "))
        .note_if(has("pg_partman"), "keep pg_partman away from tables that this program partitions")
        .note_if(has("timescaledb"), "tables that it partitions are not what verification expects")
        .note_if(
            has("citus"),
            "let `cluster enable` distribute the hot tables: another shape is not what verification expects",
        )
        .note_if(
            !has("pg_stat_statements"),
            "to see the slowest statements: shared_preload_libraries = 'pg_stat_statements', a restart, and CREATE \
             EXTENSION pg_stat_statements",
        )
}
