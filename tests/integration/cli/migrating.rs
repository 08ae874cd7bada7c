//! `migrate` from outside.

use diesel::connection::SimpleConnection;
use optiinfra_db::migrate::EMBEDDED;

use super::assert_fails;
use crate::support::{Dbctl, TestDb};

#[test]
fn migrate_then_status_check_then_revert() {
    let db = TestDb::empty();
    let pending = Dbctl::on(&db).run("migrate status --check --format json");
    assert_eq!(pending.code, Some(1));
    assert_eq!(pending.json()["up_to_date"], false);
    assert_eq!(Dbctl::on(&db).run("migrate status").code, Some(0), "without --check pending is no finding");

    let run = Dbctl::on(&db).run("migrate --format json");
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(run.json()["schema_version"], 1);
    assert_eq!(run.json()["steps"].as_array().unwrap().len(), EMBEDDED.len());
    assert!(Dbctl::on(&db).run("migrate").stdout.starts_with("nothing to do"));
    assert_eq!(Dbctl::on(&db).run("migrate status --check").code, Some(0));

    let asked = Dbctl::on(&db).run("migrate revert --all");
    assert_eq!(asked.code, Some(2), "{asked:#?}");
    assert!(asked.stderr.contains("customers") && asked.stderr.contains("pass --yes") && asked.stdout.is_empty());
    assert_eq!(Dbctl::on(&db).run("migrate status --check").code, Some(0), "nothing was reverted");

    let run = Dbctl::on(&db).run("migrate revert --to 2025-10-19-120000_core_schema --yes --format json");
    assert_eq!(run.json()["head"], "2025-10-19-120000_core_schema");
    assert_fails(
        &Dbctl::on(&db).run("migrate revert --to 1999 --yes"),
        2,
        "no migration is called '1999'",
        "migrate status",
    );
}

#[test]
fn a_plan_prints_a_script_with_its_locks_and_changes_nothing() {
    let db = TestDb::empty();
    let plan = Dbctl::on(&db).run("migrate plan --to 20251019200000");
    assert_eq!(plan.code, Some(0), "{plan:#?}");
    assert!(plan.stdout.contains("\n-- applying 2025-10-19-120000_core_schema\n"), "{plan:#?}");
    assert!(
        plan.stdout.contains("CREATE TABLE __diesel_schema_migrations"),
        "the history's tables come first: {plan:#?}"
    );
    assert!(plan.stdout.contains("CREATE TABLE workflow_executions") && plan.stdout.contains("COMMIT;"));
    assert!(!plan.stdout.contains("CREATE TABLE resource_metrics"), "the way ends at the version");
    let later = Dbctl::on(&db).run("migrate plan --format json").json();
    assert_eq!(later["steps"].as_array().unwrap().len(), EMBEDDED.len());
    let status = Dbctl::on(&db).run("migrate status --format json").json();
    assert_eq!(status["pending"].as_array().unwrap().len(), EMBEDDED.len());

    assert_eq!(Dbctl::on(&db).run("migrate").code, Some(0));
    assert_eq!(Dbctl::on(&db).run("migrate plan").stdout, "-- nothing to do\n");
    let back = Dbctl::on(&db).run("migrate plan --to 20251020180000 --format json").json();
    let sixth = back["steps"].as_array().unwrap().last().unwrap();
    let mut locks = sixth["statements"].as_array().unwrap().iter().flat_map(|s| s["locks"].as_array().unwrap());
    assert!(locks.any(|lock| lock["object"] == "quality_metrics" && lock["mode"] == "ACCESS EXCLUSIVE"));
}

#[test]
fn going_to_a_version_and_redoing_ask_before_data_goes() {
    let db = TestDb::plain();
    let redo = format!("migrate redo --steps {}", EMBEDDED.len() - 4);
    for command in ["migrate --to 20251019120000", &redo] {
        let asked = Dbctl::on(&db).run(command);
        assert_eq!(asked.code, Some(2), "{asked:#?}");
        assert!(asked.stderr.contains("quality_metrics") && asked.stderr.contains("pass --yes"), "{asked:#?}");
    }
    let redone = Dbctl::on(&db).run(&format!("{redo} --yes --format json")).json();
    assert_eq!(redone["steps"].as_array().unwrap().len(), 2 * (EMBEDDED.len() - 4));
    let back = Dbctl::on(&db).run("migrate --to 20251019120000 --yes --format json").json();
    assert_eq!(back["head"], "2025-10-19-120000_core_schema");
    assert_eq!(
        Dbctl::on(&db).run("migrate --to 20251019160000 --format json").json()["steps"][0]["direction"],
        "apply"
    );
}

#[test]
fn an_edited_migration_is_shown_refused_and_repaired() {
    let db = TestDb::migrated();
    let edit = "UPDATE __optiinfra_migrations SET up_sql = 'SELECT 1;', file_hash = '', content_hash = '' WHERE version = '20251021110000'";
    db.conn().batch_execute(edit).unwrap();
    let status = Dbctl::on(&db).run("migrate status --check");
    assert_eq!(status.code, Some(1));
    assert!(status.stdout.contains("applied, edited since"), "{status:#?}");
    let refused = Dbctl::on(&db).run("migrate");
    assert_fails(&refused, 2, "edited since", "migrate repair --reason");
    assert!(refused.stderr.contains("-SELECT 1;"), "{refused:#?}");
    assert_eq!(Dbctl::on(&db).run("migrate repair").code, Some(2), "a reason is needed");
    let repaired = Dbctl::on(&db).run("migrate repair --reason tested --format json").json();
    assert_eq!(repaired["repaired"][0]["was"], "edited");
    assert_eq!(Dbctl::on(&db).run("migrate status --check").code, Some(0));
}
