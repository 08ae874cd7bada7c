//! The command `retention`.

use diesel::connection::SimpleConnection;

use super::{plain, rows_since, weekly};
use crate::support::Dbctl;

#[test]
fn it_asks_before_rows_go_and_without_a_terminal_needs_yes() {
    let db = plain();
    let before = rows_since(&mut db.conn(), "-infinity");
    let keep = "--keep resource_metrics=30d --keep events=400d";
    let plan = Dbctl::on(&db).run(&format!("retention plan {keep}"));
    assert_eq!(plan.code, Some(0), "{plan:#?}");
    assert!(plan.stdout.contains("oldest row that stays") && plan.stdout.contains("row by row"), "{plan:#?}");
    let refused = Dbctl::on(&db).run(&format!("retention apply {keep}"));
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    assert!(refused.stderr.contains("hint: pass --yes"), "{refused:#?}");
    assert_eq!(rows_since(&mut db.conn(), "-infinity"), before);
    let planned = Dbctl::on(&db).run(&format!("retention plan {keep} --format json")).json();
    let applied = Dbctl::on(&db).run(&format!("retention apply {keep} --yes --format json"));
    assert_eq!(applied.code, Some(0), "{applied:#?}");
    assert_eq!(applied.json()["rows"], planned["rows"]);
    assert_eq!(applied.json()["left"], 0);
    let again = Dbctl::on(&db).run(&format!("retention apply {keep}"));
    assert_eq!(again.code, Some(0), "{again:#?}");
    assert!(again.stdout.contains("nothing is past its time"), "{again:#?}");
}

#[test]
fn a_locked_table_ends_it_with_the_code_for_locks() {
    let db = weekly();
    let mut reader = db.conn();
    reader.batch_execute("BEGIN; SELECT count(*) FROM resource_metrics").unwrap();
    let locked = Dbctl::on(&db).run("retention apply --keep resource_metrics=30d --yes --lock-wait 0.6s");
    assert_eq!(locked.code, Some(4), "{locked:#?}");
    assert!(locked.stderr.contains("resource_metrics could not be locked"), "{locked:#?}");
}

#[test]
fn a_slip_in_a_flag_removes_nothing() {
    let db = plain();
    for wrong in [
        "",
        "--keep resource_metrics=30",
        "--keep resource_metrics=1h",
        "--keep customers=30d",
        "--keep resource_metrics",
        "--keep resource_metrics=30d --keep resource_metrics=60d",
    ] {
        let run = Dbctl::on(&db).run(&format!("retention apply {wrong} --yes"));
        assert_eq!(run.code, Some(2), "{wrong}: {run:#?}");
        assert!(run.stderr.contains("error:"), "{run:#?}");
    }
}
