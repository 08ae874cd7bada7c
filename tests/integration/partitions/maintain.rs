//! Partitions that are kept ready.

use std::sync::Barrier;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use optiinfra_db::partitions::{self, Goal, LeftAlone};

use super::{WEEKS, all, partitioned, pretend_partman, queries_of, rows, run, verify};
use crate::support::{TestDb, number};

const fn ahead(days: i64) -> Goal {
    Goal::Maintained { ahead: TimeDelta::days(days) }
}

#[test]
fn partitions_are_made_ahead_once_and_nothing_to_do_is_three_queries() {
    let db = partitioned(TestDb::plain_seeded_now());
    let plan = run(&db, &all(), ahead(60));
    assert!(plan.tables.iter().all(|table| table.steps.len() > 5), "{plan:#?}");
    let status = partitions::status(&mut db.conn(), &all()).unwrap();
    assert!(status.iter().all(|table| table.ready_until.unwrap() > Utc::now() + TimeDelta::days(60)));
    verify(&db);
    let mut conn = db.conn();
    let queries = queries_of(&mut conn, |conn| {
        let plan = partitions::run(conn, &all(), ahead(60), Duration::from_secs(60), |_| ()).unwrap();
        assert!(plan.is_empty());
    });
    assert_eq!(queries, 3);
}

#[test]
fn rows_are_moved_out_of_the_default_partition_and_those_of_no_period_stay() {
    let db = partitioned(TestDb::plain_seeded_now());
    let mut conn = db.conn();
    conn.batch_execute(
        "INSERT INTO events (customer_id, event_type, created_at)
         SELECT c.id, 'late', t FROM (SELECT id FROM customers LIMIT 1) c,
             (VALUES (now() + interval '40 days'), (now() + interval '47 days'), (now() + interval '49 days'),
                     (now() + interval '49 days 1 second'), ('infinity')) late (t)",
    )
    .unwrap();
    let before = rows(&mut conn);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM events_default"), 5);
    let plan = run(&db, &all(), ahead(50));
    assert_eq!(plan.tables[2].stay_in_default, 1, "{plan:#?}");
    assert_eq!(number(&mut conn, "SELECT count(*) FROM events_default"), 1);
    assert_eq!(rows(&mut conn), before);
    assert!(run(&db, &all(), ahead(50)).is_empty());
    conn.batch_execute("DELETE FROM events WHERE created_at = 'infinity'").unwrap();
    verify_but_future(&db);
}

/// Rows from the future break a rule about rows.
fn verify_but_future(db: &TestDb) {
    let report = crate::support::verified(db);
    let failed: Vec<_> = report.checks.iter().filter(|it| !it.findings.is_empty()).map(|it| it.id.as_str()).collect();
    assert_eq!(failed, ["rules.core_future"]);
}

#[test]
fn many_replicas_at_once_make_each_partition_once() {
    let db = partitioned(TestDb::plain_seeded_now());
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut conn = db.conn();
                    barrier.wait();
                    partitions::run(&mut conn, &all(), ahead(40), Duration::from_secs(60), |_| ()).unwrap()
                })
            })
            .collect();
        let made: Vec<_> = runs.into_iter().map(|run| run.join().unwrap()).filter(|plan| !plan.is_empty()).collect();
        assert!(!made.is_empty());
    });
    verify(&db);
}

#[test]
fn a_plain_table_and_one_of_pg_partman_are_left_alone() {
    let db = TestDb::plain_seeded_now();
    let plan = run(&db, &all(), ahead(14));
    assert!(plan.is_empty() && plan.tables.iter().all(|table| table.left_alone.is_some()));
    run(&db, &all()[..1], WEEKS);
    pretend_partman(&mut db.conn());
    let plan = run(&db, &all()[..1], ahead(90));
    assert_eq!(plan.tables[0].left_alone, Some(LeftAlone::Partman));
    let refused = partitions::plan(&mut db.conn(), &all()[..1], Goal::Disabled);
    assert!(matches!(refused, Err(optiinfra_db::Error::Partitions(partitions::Error::Partman("resource_metrics")))));
    assert!(partitions::status(&mut db.conn(), &all()[..1]).unwrap()[0].managed_by_partman);
}
