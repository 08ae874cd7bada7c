//! What `partitions plan` prints is what a run does, and the other commands work on both shapes.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use optiinfra_db::partitions::Goal;

use super::{WEEKS, all, partitioned, rows, run, verify};
use crate::plan_scripts::psql;
use crate::support::{Dbctl, Run, TestDb, fingerprint, number, until};

#[test]
fn a_plan_in_psql_makes_what_a_run_makes() {
    let (planned, ran) = (TestDb::plain_seeded_now(), TestDb::plain_seeded_now());
    for (arguments, goal) in [
        ("resource_metrics agent_metrics events quality_metrics", WEEKS),
        ("--for disable resource_metrics agent_metrics events quality_metrics", Goal::Disabled),
        ("--by week resource_metrics agent_metrics events quality_metrics", WEEKS),
        ("--for maintain --ahead 24d", Goal::Maintained { ahead: chrono::TimeDelta::days(24) }),
    ] {
        let plan = Dbctl::on(&planned).run(&format!("partitions plan {arguments}"));
        assert_eq!(plan.code, Some(0), "{plan:#?}");
        psql(&planned, &plan.stdout);
        run(&ran, &all(), goal);
        assert_eq!(fingerprint(&mut planned.conn()), fingerprint(&mut ran.conn()), "{arguments}");
        assert_eq!(rows(&mut planned.conn()), rows(&mut ran.conn()), "{arguments}");
        verify(&planned);
        let again = Dbctl::on(&planned).run(&format!("partitions plan {arguments}"));
        assert_eq!(again.stdout, "-- nothing to do\n", "{again:#?}");
    }
}

#[test]
fn the_command_partitions_maintains_shows_and_makes_plain() {
    let db = TestDb::plain_seeded_now();
    let enabled = Dbctl::on(&db).run("partitions enable");
    assert_eq!(enabled.code, Some(0), "{enabled:#?}");
    assert!(enabled.stderr.contains("resource_metrics: the primary key becomes (id, timestamp)"), "{enabled:#?}");
    let status = Dbctl::on(&db).run("partitions status --format json").json();
    let shapes: Vec<_> =
        status["tables"].as_array().unwrap().iter().map(|table| table["partitioned"].as_bool().unwrap()).collect();
    assert_eq!(shapes, [true, true, true, false]);
    assert_eq!(status["tables"][0]["partitions"][0]["name"], "resource_metrics_first");
    assert_eq!(Dbctl::on(&db).run("partitions maintain --ahead 20d").code, Some(0));
    assert_eq!(Dbctl::on(&db).run("partitions maintain --ahead 20d").stdout, "nothing to do\n");
    assert_eq!(Dbctl::on(&db).run("verify").code, Some(0));
    assert_eq!(Dbctl::on(&db).run("partitions disable").code, Some(0));
    assert_eq!(Dbctl::on(&db).run("verify").code, Some(0));
    let unknown = Dbctl::on(&db).run("partitions enable customers");
    assert_eq!(unknown.code, Some(2), "{unknown:#?}");
    assert!(unknown.stderr.contains("resource_metrics, agent_metrics, events"), "{unknown:#?}");
}

#[test]
fn a_second_seed_of_another_time_inserts_nothing() {
    let db = partitioned(TestDb::plain());
    assert_eq!(Dbctl::on(&db).run("seed --all").code, Some(0));
    let before = rows(&mut db.conn());
    let again = Dbctl::on(&db).run("seed --all --at 2026-01-01T00:00:00Z --format json").json();
    let inserted: u64 =
        again["tables"].as_array().unwrap().iter().map(|table| table["inserted"].as_u64().unwrap()).sum();
    assert_eq!(inserted, 0);
    assert_eq!(rows(&mut db.conn()), before);
    verify(&db);
}

#[test]
fn an_import_that_is_repeated_writes_each_row_once_also_without_a_time() {
    let db = partitioned(TestDb::plain_seeded_now());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.csv");
    let rows_of_file = "id,customer,event_type\n\
        11111111-1111-4111-8111-111111111111,TechStart Inc,one\n\
        22222222-2222-4222-8222-222222222222,TechStart Inc,two\n\
        11111111-1111-4111-8111-111111111111,TechStart Inc,again\n";
    std::fs::write(&file, rows_of_file).unwrap();
    let arguments = format!("import events {} --on-conflict skip --format json", file.display());
    let first = Dbctl::on(&db).run(&arguments);
    assert_eq!((first.code, first.json()["written"].as_u64()), (Some(0), Some(2)), "{first:#?}");
    let before = rows(&mut db.conn());
    let second = Dbctl::on(&db).run(&arguments);
    assert_eq!((second.code, second.json()["written"].as_u64()), (Some(0), Some(0)), "{second:#?}");
    assert_eq!(rows(&mut db.conn()), before);
}

#[test]
fn imports_of_the_same_rows_without_a_time_at_once_write_each_row_once() {
    let db = partitioned(TestDb::plain_seeded_now());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.csv");
    let ids: Vec<_> = (0..2_000).map(|_| uuid::Uuid::new_v4()).collect();
    let lines: String = ids.iter().map(|id| format!("{id},TechStart Inc,one\n")).collect();
    std::fs::write(&file, format!("id,customer,event_type\n{lines}")).unwrap();
    let arguments = format!("import events {} --on-conflict skip --format json", file.display());
    let before = number(&mut db.conn(), "SELECT count(*) FROM events");
    // All of them are past looking for what is there when the first of them may write.
    let mut holder = db.conn();
    holder.batch_execute("BEGIN; LOCK TABLE events_default IN ACCESS EXCLUSIVE MODE").unwrap();
    let runs: Vec<_> = (0..4).map(|_| Dbctl::on(&db).spawn(&arguments)).collect();
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("four imports wait", Duration::from_secs(10), || number(&mut db.conn(), waiting) == 4);
    holder.batch_execute("COMMIT").unwrap();
    let written: u64 = runs.into_iter().map(|run| Run::of(run).json()["written"].as_u64().unwrap()).sum();
    assert_eq!(written, 2_000);
    assert_eq!(number(&mut db.conn(), "SELECT count(*) FROM events"), before + 2_000);
    verify(&db);
}

#[test]
fn sizes_are_summed_over_the_partitions() {
    let plain = TestDb::plain_seeded_now();
    let db = partitioned(TestDb::plain_seeded_now());
    let rows_of = |db: &TestDb| {
        let stats = Dbctl::on(db).run("stats --exact --format json").json();
        let tables = stats["tables"]["tables"].as_array().or_else(|| stats["tables"].as_array()).unwrap().clone();
        let of = |table: &serde_json::Value| (table["table"].clone(), table["rows"].clone());
        assert!(tables.iter().all(|table| table["total_bytes"].as_i64().unwrap() > 0), "{tables:#?}");
        tables.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(rows_of(&plain), rows_of(&db));
}

#[test]
fn partitions_are_a_section_of_the_statistics_in_every_format() {
    let db = partitioned(TestDb::plain_seeded_now());
    let stats = |arguments: &str| {
        let run = Dbctl::on(&db).run(&format!("stats {arguments}"));
        assert_eq!(run.code, Some(0), "{run:#?}");
        run
    };
    let listed = optiinfra_db::catalog::partition_sizes(&mut db.conn()).unwrap();
    assert_eq!(listed.len(), 4 * 4);
    let json = stats("--format json").json();
    assert_eq!(json["operations"]["partitions"]["found"], serde_json::to_value(&listed).unwrap());
    let (table, csv) = (stats("--section partitions").stdout, stats("--format csv --section partitions").stdout);
    for partition in listed {
        assert!(table.contains(&partition.name) && csv.contains(&partition.name), "{table}\n{csv}");
    }
    let plain = TestDb::plain_seeded_now();
    assert_eq!(Dbctl::on(&plain).run("stats --section partitions").stdout.trim(), "partitions: nothing to show");
}

#[test]
fn the_roles_are_applied_to_both_shapes_and_a_grant_on_a_partition_is_taken_back() {
    let db = TestDb::plain_seeded_now();
    let prefix = format!("p{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    let roles = |arguments: &str| Dbctl::on(&db).run(&format!("roles {arguments} --prefix {prefix}"));
    assert_eq!(roles("apply").code, Some(0));
    run(&db, &all(), WEEKS);
    let checked = roles("check --format json");
    let on_tables: Vec<_> = checked.json()["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| {
            let object = finding["object"].as_str().unwrap();
            finding["difference"] == "extra" || object.contains("_metrics_") || object.contains("events_")
        })
        .cloned()
        .collect();
    assert!(on_tables.iter().all(|it| it["problem"].as_str().unwrap().contains("belongs to")), "{on_tables:#?}");
    db.conn().batch_execute(&format!("GRANT SELECT ON resource_metrics_first TO {prefix}_app")).unwrap();
    assert!(roles("check").stdout.contains("resource_metrics_first"));
    assert_eq!(roles("apply --take-ownership").code, Some(0));
    let after = roles("check");
    assert_eq!(after.code, Some(0), "{after:#?}");
    verify(&db);
    run(&db, &all(), Goal::Disabled);
    assert_eq!(roles("check").code, Some(0), "{:#?}", roles("check"));
    for role in ["app", "readonly", "monitor", "operator", "migrator", "owner"].map(|word| format!("{prefix}_{word}")) {
        let drop = format!("REASSIGN OWNED BY {role} TO optiinfra; DROP OWNED BY {role}; DROP ROLE {role}");
        db.conn().batch_execute(&drop).unwrap();
    }
}
