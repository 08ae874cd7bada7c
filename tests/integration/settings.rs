//! Settings that change how SQL is read or how the catalog and values are written, set for the database or the role by
//! somebody else: every command says and does the same as without them, with faults in the database and without.

use std::fmt::Write as _;

use diesel::connection::SimpleConnection;
use optiinfra_db::adopt::REVISIONS;
use optiinfra_db::connection::{self, Target};
use optiinfra_db::migrate::EMBEDDED;
use serde_json::Value;

use crate::support::{Dbctl, Pooler, TestDb, number};

/// Each alone makes a command of before go wrong, or could.
const HOSTILE: [&str; 21] = [
    "standard_conforming_strings = off",
    "quote_all_identifiers = on",
    "backslash_quote = off",
    "array_nulls = off",
    "transform_null_equals = on",
    "xmloption = document",
    "xmlbinary = hex",
    "DateStyle = 'German, DMY'",
    "IntervalStyle = sql_standard",
    "TimeZone = 'Asia/Kathmandu'",
    "client_encoding = LATIN1",
    "bytea_output = escape",
    "extra_float_digits = -15",
    "lc_numeric = 'C.UTF-8'",
    "lc_time = 'C.UTF-8'",
    "lc_monetary = 'C.UTF-8'",
    "default_transaction_isolation = serializable",
    "default_transaction_deferrable = on",
    "row_security = off",
    "exit_on_error = on",
    "check_function_bodies = off",
];

/// What is planted: a lost default, index, column, table and constraint, and a row that breaks an expectation.
const FAULTS: &str = "ALTER TABLE events ALTER severity DROP NOT NULL; DROP INDEX idx_event_severity;
    ALTER TABLE agents DROP COLUMN endpoint CASCADE; DROP TABLE quality_regressions;
    ALTER TABLE customers ALTER created_at DROP DEFAULT; DELETE FROM agent_metrics";

/// All that the commands say on a database with these settings, where it does not depend on the clock.
fn everything(settings: &[&str]) -> String {
    let mut said = String::new();
    let db = TestDb::bare();
    set(&db, settings);
    let url = db.url_as("optiinfra");
    let run = |arguments: &str| Dbctl::new().env("DATABASE_URL", &url).run(arguments);
    for (command, code) in [("migrate", 0), ("seed --all --at 2026-01-01T00:00:00Z", 0), ("seed --all", 0)] {
        let run = run(command);
        assert_eq!(run.code, Some(code), "{settings:?} {command}: {run:#?}");
    }
    said += &run("migrate status").stdout.replace(" ms", "").lines().map(first_words).collect::<String>();
    said += &run("verify --format json").stdout;
    said += &rows_of(&run("stats --format json").json());

    let exported = run("export quality_metrics --format csv").stdout;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &exported).unwrap();
    db.conn().batch_execute("DELETE FROM quality_metrics").unwrap();
    let imported = run(&format!("import quality_metrics {} --input-format csv", file.path().display()));
    assert_eq!(imported.code, Some(0), "{settings:?} {imported:#?}");
    assert_eq!(run("export quality_metrics --format csv").stdout, exported, "{settings:?}");
    // All but created_at.
    said.extend(exported.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned() + "\n"));

    db.conn().batch_execute(FAULTS).unwrap();
    let faulty = run("verify --format json");
    assert_eq!(faulty.code, Some(1), "{settings:?} {faulty:#?}");
    said += &faulty.stdout;
    said.replace(db.database(), "DB") + &adoption(settings)
}

/// What adoption says of a database that lacks something, and of one that lacks nothing.
fn adoption(settings: &[&str]) -> String {
    let mut said = String::new();
    for (faults, code) in [("DROP TABLE quality_regressions; ALTER TABLE agents DROP COLUMN endpoint", 2), ("", 0)] {
        let db = TestDb::bare();
        for migration in &EMBEDDED[..REVISIONS.len()] {
            db.conn().batch_execute(migration.up).unwrap();
        }
        let revision = REVISIONS[REVISIONS.len() - 1].0;
        let history = format!(
            "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); \
             INSERT INTO alembic_version VALUES ('{revision}');"
        );
        db.conn().batch_execute(&(history + faults)).unwrap();
        set(&db, settings);
        let adopted = Dbctl::new().env("DATABASE_URL", &db.url_as("optiinfra")).run("migrate adopt");
        assert!(adopted.code == Some(code) || code != 0 && adopted.code != Some(0), "{settings:?} {adopted:#?}");
        writeln!(said, "{:?} {} {}", adopted.code, adopted.stdout, adopted.stderr).unwrap();
        said = said.replace(db.database(), "DB");
    }
    said
}

fn set(db: &TestDb, settings: &[&str]) {
    for setting in settings {
        db.conn().batch_execute(&format!("ALTER DATABASE {} SET {setting}", db.database())).unwrap();
    }
}

/// A migration and its state, without its duration.
fn first_words(line: &str) -> String {
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ") + "\n"
}

/// The tables with their rows, and what the layers say of the seeded rows that does not depend on the time of day.
fn rows_of(stats: &Value) -> String {
    let mut said = String::new();
    for table in stats["tables"].as_array().unwrap() {
        writeln!(said, "{} {} {}", table["table"], table["rows"], table["skipped"]).unwrap();
    }
    for section in ["core", "workflow_history", "skipped"] {
        writeln!(said, "{}", stats[section]).unwrap();
    }
    writeln!(said, "{}", stats["application"]["quality"]).unwrap();
    said
}

#[test]
fn every_command_says_the_same_under_each_hostile_setting() {
    let friendly = everything(&[]);
    assert!(friendly.contains("quality_baselines") && friendly.contains("endpoint"), "{friendly}");
    // Several at once, because a round takes seconds; each is in exactly one of them.
    for settings in HOSTILE.chunks(4) {
        assert_eq!(everything(settings), friendly, "{settings:?}");
    }
}

#[test]
fn a_role_s_settings_and_those_of_a_connection_string_change_nothing() {
    let db = TestDb::bare();
    let role = format!("role_{}", db.database());
    let begin = format!(
        "CREATE ROLE {role} LOGIN; ALTER DATABASE {} OWNER TO {role}; ALTER SCHEMA public OWNER TO {role};
         ALTER ROLE {role} SET standard_conforming_strings = off; ALTER ROLE {role} SET quote_all_identifiers = on",
        db.database()
    );
    db.conn().batch_execute(&begin).unwrap();
    let url = format!("{}&options=-cDateStyle%3DGerman%20-cextra_float_digits%3D-15", db.url_as(&role));
    let run = |arguments: &str| Dbctl::new().env("DATABASE_URL", &url).run(arguments);
    for command in ["migrate", "seed --all", "verify"] {
        let run = run(command);
        assert_eq!(run.code, Some(0), "{command}: {run:#?}");
    }
    let mut conn = db.conn();
    let end = format!("REASSIGN OWNED BY {role} TO optiinfra; DROP OWNED BY {role}; DROP ROLE {role}");
    conn.batch_execute(&end).unwrap();
}

/// A session, and one of a pool, whether the way to the server passes start-up options on or not.
#[test]
fn a_pooler_that_passes_no_options_on_changes_nothing() {
    let Some(pooler) = Pooler::start("session", 5) else { return };
    let db = TestDb::bare();
    set(&db, &HOSTILE[..20]);
    let target = Target::parse(&pooler.url(db.database())).unwrap();
    let differing = "SELECT count(*) FROM pg_settings WHERE (name, setting) IN
        (('standard_conforming_strings', 'off'), ('quote_all_identifiers', 'on'), ('row_security', 'off'),
         ('DateStyle', 'German, DMY'), ('default_transaction_isolation', 'serializable'))";
    assert_eq!(number(&mut connection::connect(&target, "test").unwrap(), differing), 0);
    let pool = connection::pool(&target, "test").max_size(1).build().unwrap();
    assert_eq!(number(&mut pool.get().unwrap(), differing), 0);
}

#[test]
fn what_the_role_may_decide_stays_as_it_is() {
    let db = TestDb::bare();
    let own = ["search_path = pg_catalog", "statement_timeout = '7s'", "default_transaction_read_only = on"];
    set(&db, &own);
    let mut conn = connection::connect(&Target::parse(&db.url_as("optiinfra")).unwrap(), "test").unwrap();
    let kept = "SELECT count(*) FROM pg_settings WHERE (name, setting) IN
        (('default_transaction_read_only', 'on'), ('search_path', 'pg_catalog'), ('statement_timeout', '7000'))";
    assert_eq!(number(&mut conn, kept), 3);
}

#[test]
fn a_search_path_without_a_schema_that_exists_is_named() {
    let db = TestDb::bare();
    let url = format!("{}&options=-csearch_path%3Dtypo", db.url_as("optiinfra"));
    for command in ["migrate", "migrate status", "stats", "verify", "seed --all", "roles check"] {
        let run = Dbctl::new().env("DATABASE_URL", &url).run(command);
        assert_eq!(run.code, Some(2), "{command}: {run:#?}");
        assert!(run.stderr.contains("the search_path names no schema that exists: typo"), "{command}: {run:#?}");
        assert!(run.stderr.contains("CREATE SCHEMA"), "{command}: {run:#?}");
    }
}
