//! `seed` and `verify` from outside.

use diesel::connection::SimpleConnection;

use crate::support::{Dbctl, TestDb};

#[test]
fn seed_says_what_it_inserted_and_a_second_time_that_nothing_was_missing() {
    let db = TestDb::migrated();
    let plan = Dbctl::on(&db).run("seed --all --plan --format json").json();
    let first = Dbctl::on(&db).run("seed --all --at 2025-10-20T12:00:00Z --format json").json();
    let total = |report: &serde_json::Value, what: &str| -> u64 {
        report["tables"].as_array().unwrap().iter().map(|table| table[what].as_u64().unwrap()).sum()
    };
    assert_eq!(first["at"], "2025-10-20T12:00:00Z");
    assert!(total(&first, "inserted") >= 447);
    assert_eq!(total(&plan, "inserted"), total(&first, "inserted"));
    let second = Dbctl::on(&db).run("seed --all --format json").json();
    assert_eq!((total(&second, "inserted"), total(&second, "unchanged")), (0, total(&first, "inserted")));
    assert!(Dbctl::on(&db).run("seed --all").stdout.starts_with("0 inserted, "));
}

#[test]
fn removing_seed_rows_asks_first_and_shows_how_many() {
    let db = TestDb::migrated();
    assert_eq!(Dbctl::on(&db).run("seed core").code, Some(0));
    for verb in ["--remove", "--reset"] {
        let asked = Dbctl::on(&db).run(&format!("seed core {verb}"));
        assert_eq!(asked.code, Some(2));
        assert!(asked.stderr.contains("agents") && asked.stderr.contains("pass --yes"), "{asked:#?}");
    }
    assert!(Dbctl::on(&db).run("seed core --remove --yes").stdout.starts_with("0 inserted, 0 unchanged, 14 removed"));
}

#[test]
fn verify_is_clean_on_a_seeded_database_and_exit_1_with_findings() {
    let db = TestDb::migrated();
    let unseeded = Dbctl::on(&db).run("verify");
    assert_eq!(unseeded.code, Some(0), "{unseeded:#?}");
    assert_eq!(Dbctl::on(&db).run("verify --seed").code, Some(1));
    assert_eq!(Dbctl::on(&db).run("seed --all").code, Some(0));

    let clean = Dbctl::on(&db).run("verify --seed --format json");
    assert_eq!(clean.code, Some(0), "{clean:#?}");
    let found = |report: &serde_json::Value, id: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["id"] == id).unwrap()["found"].clone()
    };
    let report = clean.json();
    assert_eq!(report["failed"], 0);
    for (id, count) in
        [("schema.tables", 20), ("schema.enums", 22), ("schema.indexes", 145), ("schema.foreign_keys", 33)]
    {
        assert_eq!(found(&report, id), count, "{id}");
    }

    db.conn().batch_execute("DROP INDEX idx_event_type").unwrap();
    let drifted = Dbctl::on(&db).run("verify");
    assert_eq!(drifted.code, Some(1));
    assert!(drifted.stdout.contains("idx_event_type"), "{drifted:#?}");
}
