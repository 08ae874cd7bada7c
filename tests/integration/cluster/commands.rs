//! Every other command on distributed tables.

use super::{Db, ENABLED, citus};
use crate::support::Dbctl;

const HOT: [&str; 4] = ["resource_metrics", "agent_metrics", "events", "quality_metrics"];

#[test]
fn every_command_works_in_the_third_shape_or_says_why_not() {
    let Some(citus) = citus() else { return };
    let db = Db::migrated(citus);
    db.bring(ENABLED);
    let run = |arguments: &str| {
        let run = db.dbctl().run(arguments);
        assert_eq!(run.code, Some(0), "{arguments}: {run:#?}");
        run
    };
    assert_eq!(
        run("migrate").stdout.lines().next(),
        Some("nothing to do: the newest migration is 2025-10-25-090000_hourly_rollups")
    );
    let figure = |arguments: &str, name: &str| {
        run(arguments).json()["tables"]
            .as_array()
            .unwrap()
            .iter()
            .map(|table| table[name].as_i64().unwrap())
            .sum::<i64>()
    };
    assert!(figure("seed --all --format json", "inserted") > 500);
    assert_eq!(figure("seed --all --format json", "inserted"), 0);
    let fleet = "seed fleet --customers 2 --instances 2 --hours 2 --format json";
    let written = figure(fleet, "inserted");
    assert_eq!(figure(fleet, "unchanged"), written);
    assert_eq!(figure(&format!("{fleet} --remove --yes"), "removed"), written);
    run("verify");

    // What export writes, import has; and reads back to the same rows.
    let rows = db.rows();
    let directory = tempfile::tempdir().unwrap();
    for table in HOT {
        let file = directory.path().join(format!("{table}.csv"));
        std::fs::write(&file, run(&format!("export {table}")).stdout).unwrap();
        let import = format!("import {table} {} --on-conflict skip --format json", file.display());
        assert_eq!(run(&import).json()["written"], 0, "{table}");
        db.execute(&format!("DELETE FROM {table}"));
        assert_ne!(run(&import).json()["written"], 0, "{table}");
    }
    assert_eq!(db.rows(), rows);

    let stats = run("stats --format json").json();
    assert_eq!(stats["skipped"].as_array().map(Vec::len), Some(0), "{stats:#}");
    let parts = stats["operations"]["shards"]["found"].as_array().unwrap();
    assert_eq!(parts.len(), 32);
    assert!(parts.iter().all(|part| part["available"] == true));
    let of_table =
        |name: &str| stats["tables"].as_array().unwrap().iter().find(|it| it["table"] == name).unwrap().clone();
    assert_eq!(of_table("resource_metrics")["rows"], 126);
    assert!(of_table("resource_metrics")["total_bytes"].as_i64().unwrap() > 8 * 100_000);
    let indexes = stats["operations"]["indexes"]["found"].as_array().unwrap();
    let scans: i64 = indexes
        .iter()
        .filter(|it| it["index"] == "resource_metrics_pkey")
        .map(|it| it["scans"].as_i64().unwrap())
        .sum();
    assert!(scans > 0, "the parts were looked at by id");

    run("partitions maintain");
    run("retention apply --yes --keep resource_metrics=30d --rollup 1h");
    run("verify");
    for (refused, why) in
        [("partitions enable --by week", "distributed"), ("migrate revert --steps 3 --yes", "distributed")]
    {
        let run = db.dbctl().run(refused);
        assert!(run.code != Some(0) && run.stderr.contains(why), "{refused}: {run:#?}");
    }
    let worker = Dbctl::new()
        .env(
            "DATABASE_URL",
            &db.url().replace(&format!("port={}", citus.port_of(0)), &format!("port={}", citus.port_of(1))),
        )
        .run("migrate status");
    assert!(worker.stderr.contains("a worker of a cluster"), "{worker:#?}");

    run("cluster disable");
    run("verify");
    assert_eq!(db.rows(), rows);
}

#[test]
fn roles_are_applied_once_and_then_as_they_should_be() {
    let Some(citus) = citus() else { return };
    let db = Db::migrated(citus);
    db.bring(ENABLED);
    let prefix = format!("cluster{}", uuid::Uuid::new_v4().simple());
    let run = |arguments: &str| db.dbctl().run(&format!("roles {arguments} --prefix {prefix}"));
    let applied = run("apply --take-ownership");
    assert_eq!(applied.code, Some(0), "{applied:#?}");
    let checked = run("check");
    assert_eq!(checked.code, Some(0), "{checked:#?}");
}

#[test]
fn rows_that_partitions_of_a_cluster_have_are_left_out() {
    let Some(citus) = citus() else { return };
    let db = Db::seeded(citus);
    let tables: Vec<_> = optiinfra_db::catalog::HOT_TABLES.iter().collect();
    let wait = std::time::Duration::from_secs(60);
    optiinfra_db::partitions::run(&mut db.conn(), &tables, crate::partitions::WEEKS, wait, |_| ()).expect("partitions");
    db.bring(ENABLED);
    let rows = db.rows();
    let directory = tempfile::tempdir().unwrap();
    for table in HOT {
        let file = directory.path().join(format!("{table}.csv"));
        std::fs::write(&file, db.dbctl().run(&format!("export {table}")).stdout).unwrap();
        let import = db.dbctl().run(&format!("import {table} {} --on-conflict skip --format json", file.display()));
        assert_eq!(import.json()["written"], 0, "{import:#?}");
    }
    assert_eq!(db.rows(), rows);
}

#[test]
fn rows_that_are_past_their_time_go_from_every_node_and_into_no_archive() {
    let Some(citus) = citus() else { return };
    let db = Db::migrated(citus);
    db.bring(ENABLED);
    assert_eq!(db.dbctl().run("seed core").code, Some(0));
    let fleet = db.dbctl().run("seed fleet --customers 2 --instances 2 --hours 72");
    assert_eq!(fleet.code, Some(0), "{fleet:#?}");
    let rows = |condition: &str| -> i64 {
        db.text(&format!("(SELECT count(*) FROM resource_metrics WHERE {condition})::text")).parse().unwrap()
    };
    let before = rows("true");
    let retention = "retention apply --yes --keep resource_metrics=1d --rollup 1h --format json";
    let directory = tempfile::tempdir().unwrap();
    let archived = db.dbctl().run(&format!("{retention} --archive {}", directory.path().display()));
    assert!(archived.code == Some(2) && archived.stderr.contains("is distributed"), "{archived:#?}");
    assert_eq!(rows("true"), before);

    let run = db.dbctl().run(retention);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let table = run.json()["tables"][0].clone();
    let removed = table["parts"][0]["rows"].as_i64().unwrap();
    assert!(removed > 0 && rows("true") == before - removed, "{table:#}");
    assert_eq!(rows(&format!("\"timestamp\" < '{}'", table["cutoff"].as_str().unwrap())), 0);
    let verified = db.dbctl().run("verify");
    assert_eq!(verified.code, Some(0), "{verified:#?}");
}
