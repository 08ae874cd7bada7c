//! `doctor`: what is right and what is not with a server, a role and the way to them.

use diesel::connection::SimpleConnection;
use serde_json::Value;

use crate::support::{Dbctl, Pooler, Run, Scratch, TestDb, text};

fn doctor(url: &str) -> Run {
    Dbctl::new().env("DATABASE_URL", url).run("doctor --format json")
}

/// State and text of a check.
fn check(run: &Run, id: &str) -> (String, String) {
    let report = run.json();
    let found: Vec<_> = report["checks"].as_array().unwrap().iter().filter(|check| check["id"] == id).collect();
    let [check] = found[..] else { panic!("{id}: {run:#?}") };
    assert_eq!(check["state"] == "ok", check["next_step"] == Value::Null, "{check:#}");
    (check["state"].as_str().unwrap().to_owned(), check["found"].as_str().unwrap().to_owned())
}

#[track_caller]
fn assert_check(run: &Run, id: &str, state: &str, words: &str) {
    let (found_state, found) = check(run, id);
    assert!(found_state == state && found.contains(words), "{id}: {found_state}, {found}\n{run:#?}");
}

#[test]
fn a_sound_server_has_no_problem_and_says_what_an_administrator_sees() {
    let scratch = Scratch::new();
    let dbctl = || Dbctl::new().env("OPTIINFRA_LOCAL_DIR", scratch.cluster.dir().to_str().unwrap());
    let new = dbctl().run("--local doctor --format json");
    assert_eq!((new.code, new.json()["problems"].as_u64()), (Some(0), Some(0)), "{new:#?}");
    assert_check(&new, "migrations", "note", "0 applied, ");
    assert_check(&new, "tenants", "ok", "no table is there yet");
    assert_check(&new, "rows", "ok", "no table is there yet");
    assert_check(&new, "time_limits", "ok", "none");
    assert_eq!(dbctl().run("--local migrate").code, Some(0));
    let run = dbctl().run("--local doctor");
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert!(run.stdout.starts_with("0 problems, ") && run.stdout.contains("what to do"), "{run:#?}");
    let run = dbctl().run("--local doctor --format json");
    for (id, state, words) in [
        ("server", "ok", "PostgreSQL "),
        ("tls", "ok", "a Unix socket"),
        ("pooler", "ok", "none"),
        ("clock", "ok", "agree"),
        ("tenants", "note", "optiinfra sees the rows of every customer in 15 tables: it is a superuser"),
        ("rows", "ok", "may read 20 and write 20 of 20 tables"),
        ("schema", "ok", "may create and change tables in schema public"),
        ("migrations", "ok", "0 pending, 0 unknown"),
        ("writing", "ok", "primary"),
        ("durability", "ok", "on the disk"),
        ("encoding", "ok", "UTF8"),
        ("wal", "ok", "nothing keeps it"),
        ("wraparound", "ok", "0 million"),
        ("extensions", "note", "plpgsql"),
    ] {
        assert_check(&run, id, state, words);
    }
}

#[test]
fn any_role_that_can_connect_gets_an_answer() {
    let db = TestDb::migrated();
    let role = db.role();
    let stranger = doctor(&db.url_as(&role.name));
    assert_eq!(stranger.code, Some(1), "{stranger:#?}");
    assert_check(&stranger, "schema", "problem", "the search_path names no schema");
    assert_check(&stranger, "migrations", "note", "not known: ");
    let grants = format!(
        "GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};
         REVOKE SELECT ON customers FROM {role}",
        schema = db.schema(),
        role = role.name
    );
    db.conn().batch_execute(&grants).unwrap();
    let service = doctor(&db.url_as(&role.name));
    assert_check(&service, "tenants", "ok", "sees the rows of one customer at a time");
    assert_check(&service, "rows", "note", "may read 19 and write 0 of 20 tables; not to be read: customers");
    assert_check(&service, "schema", "note", "may not create anything in schema");
    assert_check(&service, "migrations", "ok", "0 pending");
    let reader = db.reader();
    assert_check(&doctor(&db.url_as(&reader.name)), "tenants", "note", "or a policy shows it every row");
}

#[test]
fn settings_that_bite_are_named() {
    let db = TestDb::empty();
    // The suite's cluster does not wait for the disk.
    let run = doctor(&db.url());
    assert_eq!(run.code, Some(1));
    assert_check(&run, "durability", "problem", "fsync, full_page_writes, synchronous_commit off");
    let set = |setting: &str| format!("ALTER DATABASE {} SET {setting};", db.database());
    let settings = ["statement_timeout = '90s'", "default_transaction_read_only = on", "DateStyle = German"];
    db.conn().batch_execute(&settings.map(set).concat()).unwrap();
    let run = doctor(&db.url());
    assert_check(&run, "time_limits", "note", "statement_timeout 90 s");
    assert!(!check(&run, "time_limits").1.contains("lock_timeout"), "that is its own: {run:#?}");
    assert_check(&run, "writing", "note", "default_transaction_read_only is on");
    assert_check(&run, "other_programs", "note", "DateStyle=");
}

#[test]
fn an_encoding_that_is_none_is_a_problem() {
    assert_check(&doctor(&TestDb::in_sql_ascii().url()), "encoding", "problem", "SQL_ASCII");
}

#[test]
fn a_replication_slot_that_nobody_reads_is_noticed() {
    let scratch = Scratch::new();
    scratch.cluster.start().unwrap();
    let mut conn = optiinfra_db::connection::connect(&scratch.cluster.target(), "test").unwrap();
    text(&mut conn, "SELECT slot_name::text FROM pg_create_physical_replication_slot('left', true)");
    assert_check(&doctor(&scratch.cluster.url()), "wal", "note", "for 1 replication slots that nobody reads");
}

#[test]
fn a_pooler_in_transaction_mode_is_noticed() {
    let Some(pooler) = Pooler::start("transaction", 5) else { return };
    let db = TestDb::empty();
    assert_check(&doctor(&pooler.url(db.database())), "pooler", "note", "one in transaction mode");
}

#[test]
fn a_database_ahead_of_the_binary_is_a_problem() {
    let db = TestDb::migrated();
    db.conn().batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')").unwrap();
    assert_check(&doctor(&db.url()), "migrations", "problem", "1 unknown");
}
