//! From partitioned to plain.

use diesel::connection::SimpleConnection;
use optiinfra_db::partitions::{self, Goal};

use super::{WEEKS, all, partitioned, rows, run, verify};
use crate::support::{TestDb, fingerprint};

#[test]
fn a_table_that_was_partitioned_and_plain_again_is_what_it_was() {
    let db = TestDb::plain_seeded_now();
    let (before, shape) = (rows(&mut db.conn()), fingerprint(&mut db.conn()));
    run(&db, &all(), WEEKS);
    run(&db, &all(), Goal::Disabled);
    assert_eq!(rows(&mut db.conn()), before);
    assert_eq!(fingerprint(&mut db.conn()), shape);
    verify(&db);
    assert!(run(&db, &all(), Goal::Disabled).is_empty());
}

#[test]
fn a_disable_that_stops_after_any_step_is_finished_by_the_next_one() {
    let hot = &all()[..1];
    let whole = TestDb::plain_seeded_now();
    let (before, shape) = (rows(&mut whole.conn()), fingerprint(&mut whole.conn()));
    let plan = partitions::plan(&mut partitioned(whole).conn(), hot, Goal::Disabled).unwrap();
    let steps = plan.tables[0].steps.len();
    assert!(steps > 20, "{plan:#?}");
    for stop in (1..steps).step_by(3) {
        let db = TestDb::plain_seeded_now();
        run(&db, hot, WEEKS);
        super::run_steps(&db, hot, Goal::Disabled, stop);
        run(&db, hot, Goal::Disabled);
        assert_eq!(rows(&mut db.conn()), before, "stopped after {stop}");
        assert_eq!(fingerprint(&mut db.conn()), shape, "stopped after {stop}");
    }
}

#[test]
fn a_disable_that_was_begun_is_abandoned_by_enable() {
    let db = partitioned(TestDb::plain_seeded_now());
    let (before, shape) = (rows(&mut db.conn()), fingerprint(&mut db.conn()));
    super::run_steps(&db, &all()[..1], Goal::Disabled, 3);
    run(&db, &all()[..1], WEEKS);
    assert_eq!(rows(&mut db.conn()), before);
    assert_eq!(fingerprint(&mut db.conn()), shape);
    verify(&db);
}

#[test]
fn what_is_written_while_rows_are_copied_is_in_the_plain_table() {
    let db = partitioned(TestDb::plain_seeded_now());
    let mut conn = db.conn();
    super::run_steps(&db, &all()[..1], Goal::Disabled, 2);
    conn.batch_execute(
        "INSERT INTO resource_metrics SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid()))).*
         FROM resource_metrics r LIMIT 10;
         UPDATE resource_metrics SET metric_value = 1 WHERE id IN (SELECT id FROM resource_metrics ORDER BY id LIMIT 10);
         UPDATE resource_metrics SET \"timestamp\" = \"timestamp\" + interval '3 weeks'
         WHERE id IN (SELECT id FROM resource_metrics ORDER BY id DESC LIMIT 10);
         DELETE FROM resource_metrics WHERE id IN (SELECT id FROM resource_metrics ORDER BY md5(id::text) LIMIT 20)",
    )
    .unwrap();
    assert!(conn.batch_execute("TRUNCATE resource_metrics").is_err());
    let written = rows(&mut conn);
    run(&db, &all()[..1], Goal::Disabled);
    assert_eq!(rows(&mut conn), written);
}
