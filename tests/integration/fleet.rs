//! `seed fleet`: the same rows everywhere, written once, taken up again where they were cut short, and taken away
//! without touching anything else.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::atomic::AtomicBool;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use optiinfra_db::Error;
use optiinfra_db::connection::{self, Pool};
use optiinfra_db::fleet::{self, Error as FleetError, Fleet, Writing};
use optiinfra_db::ingest;
use optiinfra_db::layer::{self, Layer};
use optiinfra_db::seed::Report;
use optiinfra_db::{seed, verify};

use crate::support::{Dbctl, TestDb, example, number};

const TABLES: [&str; 7] = [
    "customers",
    "agent_metrics",
    "resource_metrics",
    "scaling_events",
    "quality_metrics",
    "quality_baselines",
    "quality_regressions",
];

fn small(rng_seed: u64) -> Fleet {
    let interval_seconds = NonZeroU16::new(900).unwrap();
    let at = "2025-10-24T12:00:00Z".parse().unwrap();
    Fleet { rng_seed, customers: 3, instances: 5, hours: 36, interval_seconds, at }
}

/// A database with the core layer, a pool and a connection.
fn ground() -> (TestDb, Pool, PgConnection) {
    let db = TestDb::migrated();
    let mut conn = db.conn();
    seed::run(&mut conn, &[Layer::Core], small(0).at).unwrap();
    let pool = connection::pool(&db.target(), "test").max_size(3).build().unwrap();
    (db, pool, conn)
}

fn write(pool: &Pool, fleet: &Fleet) -> Result<Report, Error> {
    let cancel = AtomicBool::new(false);
    fleet::run(pool, fleet, Writing { connections: 2, cancel: &cancel, progress: &|_| {} })
}

/// What is in every table, created_at and all.
fn contents(conn: &mut PgConnection) -> BTreeMap<&'static str, String> {
    let digest = |(_, table)| {
        let query = format!("(SELECT coalesce(md5(string_agg(t::text, ',' ORDER BY t.id)), '') FROM {table} t)");
        (table, diesel::select(diesel::dsl::sql::<Text>(&query)).get_result(&mut *conn).unwrap())
    };
    layer::tables().map(digest).collect()
}

fn counts(report: &Report) -> BTreeMap<&'static str, (u64, u64, u64)> {
    report.tables.iter().map(|table| (table.table, (table.inserted, table.unchanged, table.removed))).collect()
}

#[test]
fn the_same_numbers_give_the_same_tables_in_two_databases() {
    let (_one, pool, mut conn) = ground();
    let (_two, other_pool, mut other_conn) = ground();
    let report = write(&pool, &small(7)).unwrap();
    assert_eq!(report, write(&other_pool, &small(7)).unwrap());
    assert_eq!(report.tables.iter().map(|table| table.table).collect::<Vec<_>>(), TABLES);
    assert!(report.tables.iter().all(|table| table.inserted > 0 && table.unchanged == 0), "{report:?}");
    let of_fleet = |mut contents: BTreeMap<&'static str, String>| {
        contents.retain(|table, _| TABLES.contains(table) && *table != "customers");
        contents
    };
    assert_eq!(of_fleet(contents(&mut conn)), of_fleet(contents(&mut other_conn)));
}

#[test]
fn the_report_counts_what_is_in_the_tables_and_a_second_run_changes_nothing() {
    let (_db, pool, mut conn) = ground();
    let before: BTreeMap<_, _> = layer::row_counts(&mut conn).unwrap().into_iter().collect();
    let plan = fleet::plan(&mut conn, &small(7)).unwrap();
    let report = write(&pool, &small(7)).unwrap();
    assert_eq!(plan, report);
    for (table, rows) in layer::row_counts(&mut conn).unwrap() {
        let inserted = report.tables.iter().find(|line| line.table == table).map_or(0, |line| line.inserted);
        assert_eq!(rows - before[table], inserted.cast_signed(), "{table}");
    }
    let written = contents(&mut conn);
    let again = write(&pool, &small(7)).unwrap();
    assert_eq!((again.inserted(), again.unchanged()), (0, report.inserted()));
    assert_eq!(fleet::plan(&mut conn, &small(7)).unwrap(), again);
    assert_eq!(contents(&mut conn), written);
}

#[test]
fn verify_finds_nothing_wrong_with_a_fleet() {
    let (_db, pool, mut conn) = ground();
    seed::run(&mut conn, &Layer::ALL, small(0).at).unwrap();
    write(&pool, &small(7)).unwrap();
    let report = verify::run(&mut conn, &verify::Options::default()).unwrap();
    let findings: Vec<_> = report.checks.iter().filter(|check| !check.findings.is_empty()).collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn a_removal_takes_exactly_the_rows_of_its_fleet() {
    let (_db, pool, mut conn) = ground();
    seed::run(&mut conn, &Layer::ALL, small(0).at).unwrap();
    write(&pool, &small(8)).unwrap();
    let before = contents(&mut conn);
    let written = write(&pool, &small(7)).unwrap();
    let found = fleet::find(&mut conn, 7).unwrap();
    assert_eq!(found, Some(small(7)));
    let removed = fleet::remove(&mut conn, &small(7)).unwrap();
    assert_eq!((removed.removed(), removed.inserted()), (written.inserted(), 0));
    assert_eq!(contents(&mut conn), before);
    assert_eq!(fleet::find(&mut conn, 7).unwrap(), None);
    assert_eq!(fleet::remove(&mut conn, &small(7)).unwrap().removed(), 0);
}

#[test]
fn a_removal_goes_nowhere_when_somebody_added_a_row() {
    let (_db, pool, mut conn) = ground();
    write(&pool, &small(7)).unwrap();
    conn.batch_execute(
        "INSERT INTO events (customer_id, event_type, severity)
         SELECT id, 'seen', 'info' FROM customers WHERE metadata ? 'fleet' LIMIT 1",
    )
    .unwrap();
    let before = contents(&mut conn);
    let error = fleet::remove(&mut conn, &small(7)).unwrap_err();
    assert!(matches!(&error, Error::Fleet(FleetError::InUse(rows)) if rows[0].table == "events"), "{error}");
    assert_eq!(contents(&mut conn), before);
    conn.batch_execute("DELETE FROM events WHERE event_type = 'seen'").unwrap();
    assert!(fleet::remove(&mut conn, &small(7)).unwrap().removed() > 0);
}

#[test]
fn what_was_cut_short_is_completed() {
    let (_db, pool, mut conn) = ground();
    let whole = write(&pool, &small(7)).unwrap();
    let written = contents(&mut conn);
    conn.batch_execute(
        "DELETE FROM quality_regressions; DELETE FROM scaling_events; DELETE FROM agent_metrics;
         DELETE FROM quality_metrics;
         DELETE FROM resource_metrics WHERE timestamp > '2025-10-24 01:00Z'",
    )
    .unwrap();
    let rest = write(&pool, &small(7)).unwrap();
    let (before, after) = (counts(&whole), counts(&rest));
    assert!(after["resource_metrics"].0 > 0 && after["resource_metrics"].1 > 0, "{after:?}");
    assert_eq!(after["quality_metrics"], before["quality_metrics"]);
    assert_eq!(contents(&mut conn), written);
}

#[test]
fn a_fleet_whose_customers_were_deleted_is_written_anew() {
    let (_db, pool, mut conn) = ground();
    let whole = write(&pool, &small(7)).unwrap();
    let written = contents(&mut conn);
    // Their samples go with them, the agents' own do not.
    conn.batch_execute("DELETE FROM customers WHERE name LIKE 'Fleet%'").unwrap();
    let again = write(&pool, &small(7)).unwrap();
    let (before, after) = (counts(&whole), counts(&again));
    assert_eq!(after["agent_metrics"], (0, before["agent_metrics"].0, 0));
    assert_eq!(after["resource_metrics"], before["resource_metrics"]);
    assert_eq!(contents(&mut conn), written);
}

#[test]
fn a_fleet_without_a_sample_is_refused() {
    let (db, pool, mut conn) = ground();
    let slow = NonZeroU16::new(7200).unwrap();
    let empty = [
        (Fleet { customers: 0, ..small(7) }, "no customers"),
        (Fleet { instances: 0, ..small(7) }, "no instances"),
        (Fleet { hours: 0, ..small(7) }, "shorter than its interval"),
        (Fleet { hours: 1, interval_seconds: slow, ..small(7) }, "shorter than its interval"),
    ];
    for (fleet, words) in empty {
        for error in [write(&pool, &fleet).unwrap_err(), fleet::plan(&mut conn, &fleet).unwrap_err()] {
            assert!(
                matches!(error, Error::Fleet(FleetError::Empty(_))) && error.to_string().contains(words),
                "{error}"
            );
        }
    }
    let run = Dbctl::on(&db).run("seed fleet --hours 1 --interval 7200");
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("shorter interval"), "{run:?}");
    assert_eq!(number(&mut conn, "SELECT count(*) FROM customers WHERE metadata ? 'fleet'"), 0);
    assert!(write(&pool, &Fleet { hours: 2, interval_seconds: slow, ..small(7) }).unwrap().inserted() > 0);
}

#[test]
fn another_fleet_of_the_same_seed_is_refused() {
    let (_db, pool, mut conn) = ground();
    write(&pool, &small(7)).unwrap();
    let before = contents(&mut conn);
    let error = write(&pool, &Fleet { customers: 4, ..small(7) }).unwrap_err();
    assert!(matches!(error, Error::Fleet(FleetError::OtherNumbers { rng_seed: 7 })), "{error}");
    assert_eq!(contents(&mut conn), before);
}

#[test]
fn a_fleet_needs_its_agents() {
    let db = TestDb::migrated();
    let pool = connection::pool(&db.target(), "test").max_size(2).build().unwrap();
    let error = write(&pool, &small(7)).unwrap_err();
    assert!(matches!(&error, Error::Seed(seed::Error::MissingPrerequisite { .. })), "{error}");
    assert_eq!(number(&mut db.conn(), "SELECT count(*) FROM customers"), 0);
}

#[test]
fn two_runs_at_once_write_every_row_once() {
    let (_db, pool, mut conn) = ground();
    let plan = fleet::plan(&mut conn, &small(7)).unwrap();
    let other_pool = connection::pool(&_db.target(), "test").max_size(3).build().unwrap();
    let reports = std::thread::scope(|scope| {
        let runs = [&pool, &other_pool].map(|pool| scope.spawn(|| write(pool, &small(7)).unwrap()));
        runs.map(|run| run.join().unwrap())
    });
    assert_eq!(reports[0].inserted() + reports[1].inserted(), plan.inserted());
    assert_eq!(reports[0].unchanged() + reports[1].unchanged(), plan.inserted());
}

#[test]
fn a_long_run_leaves_no_session_idle_in_a_transaction() {
    let db = TestDb::migrated();
    let mut conn = db.conn();
    seed::run(&mut conn, &[Layer::Core], small(0).at).unwrap();
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = \
                 (SELECT oid FROM pg_database WHERE datname = current_database())";
    // Shorter than a table takes here.
    let target = db.target().with(
        "options",
        &format!(
            "-c search_path={} -c idle_in_transaction_session_timeout=1000 -c idle_session_timeout=1000",
            db.schema()
        ),
    );
    let pool = connection::pool(&target, "test").max_size(3).build().unwrap();
    let cancel = AtomicBool::new(false);
    let slow = |_| std::thread::sleep(std::time::Duration::from_millis(1500));
    let report = fleet::run(&pool, &small(7), Writing { connections: 2, cancel: &cancel, progress: &slow }).unwrap();
    assert!(report.inserted() > 0);
    assert_eq!(number(&mut conn, locks), 0);

    // Nor is the lock kept when a run fails.
    let other = Fleet { customers: 4, ..small(7) };
    fleet::run(&pool, &other, Writing { connections: 2, cancel: &cancel, progress: &slow }).unwrap_err();
    assert_eq!(number(&mut conn, locks), 0);
}

#[test]
fn a_run_that_waits_for_another_can_be_cancelled() {
    let (_db, pool, mut conn) = ground();
    conn.batch_execute(concat!("SELECT pg_advisory_lock(", include_str!("../../src/seed/lock_key.sql"), ")")).unwrap();
    let cancel = AtomicBool::new(true);
    let writing = Writing { connections: 2, cancel: &cancel, progress: &|_| {} };
    let error = fleet::run(&pool, &small(7), writing).unwrap_err();
    assert!(matches!(error, Error::Ingest(ingest::Error::Cancelled { written: 0, .. })), "{error}");
}

#[test]
fn the_command_plans_writes_and_removes() {
    let (db, _pool, mut conn) = ground();
    let command = "seed fleet --customers 2 --instances 4 --hours 6 --interval 600 --rng-seed 3";
    let run = |arguments: &str| Dbctl::on(&db).run(&format!("{arguments} --format json"));
    let planned = run(&format!("{command} --plan"));
    assert_eq!(planned.code, Some(0), "{planned:?}");
    assert_eq!(number(&mut conn, "SELECT count(*) FROM customers WHERE metadata ? 'fleet'"), 0);
    let written = run(command);
    assert_eq!(written.code, Some(0), "{written:?}");
    assert_eq!(number(&mut conn, "SELECT count(*) FROM customers WHERE metadata ? 'fleet'"), 2);
    // Without --at, the time of the fleet that is there.
    let again = run(command);
    assert!(again.json()["tables"].as_array().unwrap().iter().all(|table| table["inserted"] == 0), "{again:?}");
    let unasked = run("seed fleet --rng-seed 3 --remove");
    assert_eq!(unasked.code, Some(2), "{unasked:?}");
    let removed = run("seed fleet --rng-seed 3 --remove --yes");
    assert_eq!(removed.code, Some(0), "{removed:?}");
    assert_eq!(number(&mut conn, "SELECT count(*) FROM resource_metrics"), 0);
    let none = run("seed fleet --rng-seed 3 --remove --yes");
    assert_eq!(none.code, Some(2), "{none:?}");
    assert!(none.failure().contains("there is no fleet 3"), "{none:?}");
    assert!(none.failure().contains("hint: no fleets exist"), "{none:?}");
}

#[test]
fn the_documented_questions_have_answers_and_their_lack_is_told() {
    let (db, pool, mut conn) = ground();
    let ask = || example("questions", &db.url()).arg("1").output().unwrap();
    assert_eq!(String::from_utf8(ask().stderr).unwrap(), "Error: \"there are no samples\"\n");
    write(&pool, &small(7)).unwrap();
    let figures: serde_json::Value = serde_json::from_slice(&ask().stdout).unwrap();
    assert!(figures.as_object().unwrap().len() >= 9, "{figures}");
    conn.batch_execute("DELETE FROM quality_metrics").unwrap();
    assert_eq!(String::from_utf8(ask().stderr).unwrap(), "Error: \"there are no answers\"\n");
}

#[test]
fn a_fleet_is_known_by_any_of_its_customers() {
    let (_db, pool, mut conn) = ground();
    let whole = write(&pool, &small(7)).unwrap();
    conn.batch_execute(
        "DELETE FROM customers WHERE name = 'Fleet 7 customer 0000';
         UPDATE customers SET metadata = '{\"note\": \"mine\"}' WHERE name = 'Fleet 7 customer 0001'",
    )
    .unwrap();
    assert_eq!(fleet::find(&mut conn, 7).unwrap(), Some(small(7)));
    let error = write(&pool, &Fleet { instances: 6, ..small(7) }).unwrap_err();
    assert!(matches!(error, Error::Fleet(FleetError::OtherNumbers { rng_seed: 7 })), "{error}");
    let again = write(&pool, &small(7)).unwrap();
    assert!(again.inserted() > 0 && again.inserted() + again.unchanged() == whole.inserted(), "{again:?}");
}

#[test]
fn a_fleet_of_which_nobody_knows_the_numbers_is_left_alone_until_they_are_given() {
    let (db, pool, mut conn) = ground();
    let before = contents(&mut conn);
    let whole = write(&pool, &small(7)).unwrap();
    for metadata in
        ["NULL", "'{}'", "jsonb_set(metadata, '{fleet,hours}', to_jsonb(length(name) + right(name, 1)::int))"]
    {
        conn.batch_execute(&format!("UPDATE customers SET metadata = {metadata} WHERE name LIKE 'Fleet 7 %'")).unwrap();
        let error = write(&pool, &small(7)).unwrap_err();
        assert!(matches!(error, Error::Fleet(FleetError::UnknownNumbers { rng_seed: 7, customers: 3 })), "{error}");
        assert!(fleet::plan(&mut conn, &small(7)).is_err());
        // For the next round, in which every customer says something else.
        let numbers = serde_json::json!({ "fleet": small(7) });
        conn.batch_execute(&format!("UPDATE customers SET metadata = '{numbers}' WHERE name LIKE 'Fleet 7 %'"))
            .unwrap();
    }
    conn.batch_execute("UPDATE customers SET metadata = NULL WHERE name LIKE 'Fleet 7 %'").unwrap();
    let remove =
        |numbers: &str| Dbctl::on(&db).run(&format!("seed fleet --rng-seed 7 --remove --yes --format json {numbers}"));
    let unknown = remove("");
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("its 3 customers do not say with which options it was made"), "{unknown:?}");
    assert!(unknown.stderr.contains("--customers, --instances, --hours, --interval, --at"), "{unknown:?}");
    // Rows of the fleet itself are in the way of wrong numbers.
    let numbers = "--customers 3 --hours 36 --interval 900 --at 2025-10-24T12:00:00Z --instances";
    assert_eq!(remove(&format!("{numbers} 1")).code, Some(2));
    let removed = remove(&format!("{numbers} 5"));
    assert_eq!(removed.code, Some(0), "{removed:?}");
    let tables = removed.json()["tables"].as_array().unwrap().clone();
    let rows: u64 = tables.iter().map(|table| table["removed"].as_u64().unwrap()).sum();
    assert_eq!((rows, contents(&mut conn)), (whole.inserted(), before));
}

#[test]
fn the_command_names_the_fleets_that_there_are_by_their_seed() {
    let (db, pool, mut conn) = ground();
    for rng_seed in [16, 3] {
        write(&pool, &Fleet { hours: 1, ..small(rng_seed) }).unwrap();
    }
    assert_eq!(number(&mut conn, "SELECT count(*) FROM customers WHERE name LIKE 'Fleet 16 customer 000_'"), 3);
    let none = Dbctl::on(&db).run("seed fleet --rng-seed 7 --remove --yes");
    assert_eq!(none.code, Some(2), "{none:?}");
    assert!(none.stderr.contains("there are fleets 3, 16: pass the --rng-seed of one"), "{none:?}");
    let other = Dbctl::on(&db).run("seed fleet --rng-seed 3 --customers 9 --remove --yes");
    assert!(other.code == Some(2) && other.stderr.contains("with other options"), "{other:?}");
}

#[test]
fn real_customers_are_those_that_no_seed_and_no_fleet_made() {
    let (db, pool, mut conn) = ground();
    seed::run(&mut conn, &Layer::ALL, small(0).at).unwrap();
    write(&pool, &small(7)).unwrap();
    let real = |conn: &mut PgConnection| {
        let real = fleet::real_customers(conn).unwrap();
        (real.count, real.names)
    };
    assert_eq!(real(&mut conn), (0, vec![]));
    // Known by the id, whatever became of the other columns: of each one only one tells which id to compare with.
    conn.batch_execute(
        "UPDATE customers SET name = 'Renamed', metadata = NULL WHERE name = 'Fleet 7 customer 0000';
         UPDATE customers SET email = 'x@y.example', metadata = NULL WHERE name = 'Fleet 7 customer 0001';
         UPDATE customers SET email = 'y@y.example', name = 'Other' WHERE name = 'Fleet 7 customer 0002';
         UPDATE customers SET name = 'Ours now', email = 'a@b.example', metadata = NULL WHERE name = 'Acme Corp'",
    )
    .unwrap();
    assert_eq!(real(&mut conn), (0, vec![]));
    // And not by likeness.
    conn.batch_execute(
        "INSERT INTO customers (name, email, api_key, metadata, created_at) VALUES
            ('Fleet 7 customer 0003', 'ops@fleet-7-0003.example', 'a', '{\"fleet\": {\"rng_seed\": 7}}', '2020-01-01Z'),
            ('Acme Corp', 'admin@acme.com', 'b', NULL, '2021-01-01Z'), ('B', 'b@b.example', 'c', NULL, now()),
            ('C', 'c@c.example', 'd', NULL, now() + '1 hour'), ('D', 'd@d.example', 'e', NULL, now() + '2 hours')",
    )
    .unwrap();
    assert_eq!(real(&mut conn), (5, ["Fleet 7 customer 0003", "Acme Corp", "B"].map(String::from).to_vec()));

    // The commands ask beside them, unless they have nothing to insert or are told not to.
    let run = |arguments: &str| Dbctl::on(&db).run(arguments);
    assert_eq!(run("seed --all").code, Some(0));
    conn.batch_execute("DELETE FROM events").unwrap();
    let before = contents(&mut conn);
    for (command, what) in [
        ("seed --all", "insert 3 made-up rows beside these customers"),
        ("seed core", "insert 3 made-up rows beside these customers"),
        ("seed fleet --rng-seed 9 --customers 1", "insert the made-up rows of fleet 9 beside these customers"),
    ] {
        let refused = run(command);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{command}: {refused:?}");
        for words in [what, "pass --yes", "Acme Corp", "and 2 more"] {
            assert!(refused.stderr.contains(words), "{command}: {refused:?}");
        }
        assert_eq!(contents(&mut conn), before, "{command}");
        assert_eq!(run(&format!("{command} --plan")).code, Some(0));
    }
    assert_eq!(run("seed core --yes").code, Some(0));
    assert_eq!(run("seed fleet --rng-seed 9 --customers 1 --hours 1 --yes").code, Some(0));
    // The same fleet again is completed without another question.
    conn.batch_execute("DELETE FROM agent_metrics").unwrap();
    assert_eq!(run("seed fleet --rng-seed 9 --customers 1 --hours 1").code, Some(0));
}

#[test]
fn where_one_connection_is_allowed_a_fleet_says_that_it_needs_two() {
    let (db, pool, mut conn) = ground();
    let role = db.role();
    let grants = format!(
        "GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {name};
         ALTER ROLE {name} BYPASSRLS",
        schema = db.schema(),
        name = role.name
    );
    conn.batch_execute(&grants).unwrap();
    let limit = |conn: &mut PgConnection, most: i32| {
        conn.batch_execute(&format!("ALTER ROLE {} CONNECTION LIMIT {most}", role.name)).unwrap();
    };
    let run = || {
        let url = db.url_as(&role.name);
        Dbctl::new().env("DATABASE_URL", &url).run("seed fleet --customers 1 --hours 1 --connections 4")
    };
    limit(&mut conn, 1);
    let refused = run();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let message = format!("writing a fleet takes two connections, and role {} may have one", role.name);
    assert!(refused.stderr.contains(&message) && refused.stderr.contains("CONNECTION LIMIT"), "{refused:?}");
    assert_eq!(number(&mut conn, "SELECT count(*) FROM customers WHERE metadata ? 'fleet'"), 0);
    limit(&mut conn, 2);
    assert_eq!(run().code, Some(0));

    let narrow = connection::pool(&db.target(), "test").max_size(1).build().unwrap();
    let error = write(&narrow, &small(7)).unwrap_err();
    assert!(matches!(&error, Error::Fleet(FleetError::OneConnection(of)) if of == "the pool"), "{error}");
    // None is one.
    let cancel = AtomicBool::new(false);
    for connections in [0, usize::MAX] {
        let writing = Writing { connections, cancel: &cancel, progress: &|_| {} };
        fleet::run(&pool, &small(7), writing).unwrap();
    }
}

#[test]
fn numbers_beyond_what_can_be_simulated_are_refused() {
    let (db, pool, mut conn) = ground();
    let most = Fleet { customers: u16::MAX, instances: u16::MAX, hours: u16::MAX, ..small(7) };
    for error in [
        write(&pool, &most).unwrap_err(),
        fleet::plan(&mut conn, &most).unwrap_err(),
        fleet::plan_removal(&mut conn, &most).unwrap_err(),
        fleet::remove(&mut conn, &most).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Fleet(FleetError::TooLarge { instances: 4_294_836_225, .. })), "{error}");
    }
    let run = Dbctl::on(&db).run("seed fleet --customers 65535 --instances 65535 --plan");
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("fewer --customers or --instances"), "{run:?}");
    // At either end of the calendar the server refuses the times, and nothing overflows.
    for at in ["-262143-01-01T00:00:00Z", "+262142-12-31T23:59:59Z"] {
        let at = at.parse().unwrap_or_else(|error| panic!("{at}: {error}"));
        let fleet = Fleet { at, hours: 1, ..small(7) };
        drop(write(&pool, &fleet));
        fleet::plan(&mut conn, &fleet).ok();
    }
}

#[test]
fn a_role_that_row_security_keeps_from_rows_is_not_told_that_there_are_none() {
    let (db, pool, mut conn) = ground();
    write(&pool, &small(7)).unwrap();
    let role = db.role();
    let (schema, name) = (db.schema(), &role.name);
    let grants =
        format!("GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}");
    conn.batch_execute(&grants).unwrap();
    for command in ["--plan", "--remove --yes", ""] {
        let run = Dbctl::new().env("DATABASE_URL", &db.url_as(name)).run(&format!("seed fleet --rng-seed 7 {command}"));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:?}");
        assert!(run.stderr.contains("row-level security") && run.stderr.contains("hint:"), "{run:?}");
    }
}
