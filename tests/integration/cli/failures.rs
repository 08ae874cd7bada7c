//! Exit codes, and what an error says.

use diesel::connection::SimpleConnection;
use optiinfra_db::migrate::EMBEDDED;

use super::{PASSWORD, assert_fails, on};
use crate::support::{Dbctl, TestDb, take_migration_lock};

#[test]
fn without_a_database_the_two_ways_out_are_named() {
    assert_fails(&Dbctl::new().run("migrate"), 2, "no database is named", "DATABASE_URL=");
    assert_fails(&Dbctl::new().run("verify"), 2, "no database is named", "--local");
}

#[test]
fn a_server_that_is_down_is_exit_3() {
    let run = on(&format!("postgresql://u:{PASSWORD}@127.0.0.1:1/d")).run("stats");
    assert_fails(&run, 3, "cannot connect to postgresql://u@127.0.0.1:1/d", "pg_isready");
    assert!(!run.stderr.contains(PASSWORD));
}

#[test]
fn a_missing_database_and_a_missing_role_are_told_apart() {
    let db = TestDb::empty();
    let run = on(&db.url().replace(db.database(), "nowhere")).run("verify");
    assert_fails(&run, 3, "database \"nowhere\" does not exist", "optiinfra-dbctl create");
    let run = on(&db.url_as("nobody_here")).run("verify");
    assert_fails(&run, 3, "role \"nobody_here\" does not exist", "createuser");
}

#[test]
fn somebody_elses_tables_are_exit_5_and_stay() {
    let db = TestDb::empty();
    db.conn().batch_execute("CREATE TABLE customers (mine text)").unwrap();
    assert_fails(&Dbctl::on(&db).run("migrate"), 5, "already has the table customers", "empty database");
}

#[test]
fn a_role_that_may_not_create_is_exit_5_or_2_and_leaves_nothing() {
    let db = TestDb::empty();
    let reader = db.reader();
    let run = on(&db.url_as(&reader.name)).run("migrate");
    assert_fails(&run, 2, "permission denied for schema", "has this right");
    assert_eq!(on(&db.url_as(&reader.name)).run("migrate status").code, Some(0));
}

#[test]
fn a_database_ahead_of_the_binary_is_exit_6() {
    let db = TestDb::migrated();
    db.conn().batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')").unwrap();
    assert_fails(&Dbctl::on(&db).run("migrate"), 6, "20990101000000", "newer optiinfra-dbctl");
    assert_eq!(Dbctl::on(&db).run("migrate status --check").code, Some(1));
}

#[test]
fn a_lock_that_is_held_is_exit_4_and_names_the_holder() {
    let db = TestDb::empty();
    let mut holder = db.conn();
    take_migration_lock(&mut holder);
    let run = Dbctl::on(&db).run("migrate --lock-wait 0.2");
    assert_eq!(run.code, Some(4), "{run:#?}");
    assert!(run.stderr.contains("waiting for another run: test, process "), "{run:#?}");
    assert!(run.stderr.contains("another run holds the migration lock"), "{run:#?}");
}

#[test]
fn what_the_server_says_of_a_refused_customer_shows_no_key() {
    let db = TestDb::migrated();
    let taken = "INSERT INTO customers (name, email, api_key) VALUES ('x', 'x@example.com', 'acme_test_key_123456789')";
    db.conn().batch_execute(taken).unwrap();
    let run = Dbctl::on(&db).run("seed core --yes");
    assert_fails(&run, 2, "customers_api_key_key", "another row holds this value");
    assert!(!run.stderr.contains("acme_test_key"), "{run:#?}");
}

/// The troubleshooting cases of 0.2d part 2: each ends in an error that names the cause and the command to type. (The
/// fourth, a test fixture that is not found, is an unknown name here.)
#[test]
fn the_five_documented_troubles_name_their_cause_and_their_cure() {
    let db = TestDb::plain();
    // 1: the agents and customers that the seed needs are missing.
    assert_fails(&Dbctl::on(&db).run("seed resource"), 2, "seed resource needs Acme Corp (customers)", "seed core");
    // 4: a name that does not exist.
    assert_eq!(Dbctl::on(&db).run("seed resource_schema").code, Some(2));
    assert!(Dbctl::on(&db).run("seed resource_schema").stderr.contains("possible values: core, agent_state"));
    // 5: naive times make time ranges miss their rows.
    db.conn()
        .batch_execute(
            "ALTER TABLE resource_metrics ALTER COLUMN timestamp TYPE timestamp USING timestamp AT TIME ZONE 'UTC'",
        )
        .unwrap();
    let run = Dbctl::on(&db).run("verify");
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("time.zones") && run.stdout.contains("resource_metrics.timestamp"), "{run:#?}");
    // 2 and 3: the schema is not there yet, so a row's foreign key or a column's enum type is not either.
    let empty = TestDb::empty();
    let pending = format!("{} migrations pending", EMBEDDED.len());
    assert_fails(&Dbctl::on(&empty).run("seed --all"), 2, &pending, "run `optiinfra-dbctl migrate`");
    assert_fails(&Dbctl::on(&empty).run("stats"), 2, &pending, "run `optiinfra-dbctl migrate`");
    let run = Dbctl::on(&empty).run("verify");
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("no migration has been applied"), "{run:#?}");
}

/// One line of JSON on stderr, whichever way the command fails.
#[test]
fn an_error_of_a_command_that_prints_json_is_json() {
    let db = TestDb::empty();
    for (arguments, code, error, hint) in [
        ("migrate status --format json", 2, "no database is named", "set DATABASE_URL"),
        ("--format=json verify --probe", 2, "unexpected argument '--probe' found", "did you mean --probes?"),
        ("stats --format json --database-url postgresql://u@127.0.0.1:1/d", 3, "cannot connect", "pg_isready"),
    ] {
        let run = Dbctl::new().run(arguments);
        let said: serde_json::Value =
            serde_json::from_str(run.stderr.trim_end()).unwrap_or_else(|e| panic!("{e}: {run:#?}"));
        assert_eq!((run.code, said["exit_code"].as_i64()), (Some(code), Some(code.into())), "{run:#?}");
        assert!(said["error"].as_str().unwrap().contains(error), "{said}");
        assert!(said["hint"].as_str().unwrap().contains(hint), "{said}");
        assert_eq!((run.stdout.as_str(), run.stderr.lines().count()), ("", 1), "{run:#?}");
    }
    let run = Dbctl::on(&db).run("export events");
    assert!(run.stderr.starts_with("error: "), "{run:#?}");
}
