//! What goes and what stays.

use diesel::connection::SimpleConnection;
use optiinfra_db::retention::{self, Options};

use super::{DAY, keep, plain, rows_since, run, weekly};
use crate::support::number;

#[test]
fn a_plain_table_keeps_what_is_newer_than_the_cutoff_and_nothing_else() {
    let db = plain();
    let mut conn = db.conn();
    let plan = retention::plan(&mut conn, &keep(30)).unwrap();
    let planned = &plan.tables[0];
    let (cutoff, parts) = (planned.cutoff, &planned.parts);
    assert!(planned.oldest.unwrap() >= cutoff && planned.oldest.unwrap() < cutoff + chrono::TimeDelta::hours(1));
    let old = format!("SELECT count(*) FROM resource_metrics WHERE \"timestamp\" < '{cutoff}'");
    assert_eq!((parts.len(), parts[0].whole, parts[0].rows), (1, false, number(&mut conn, &old)));
    assert!(parts[0].rows > 1600 && parts[0].bytes > 100_000, "{parts:?}");
    let stays = rows_since(&mut conn, &cutoff.to_string());
    let report = run(&db, &keep(30));
    assert_eq!((report.left, report.tables[0].rows()), (0, parts[0].rows));
    assert_eq!(number(&mut conn, &old), 0);
    assert_eq!(rows_since(&mut conn, &cutoff.to_string()), stays);
    assert_eq!(report.tables[0].oldest, planned.oldest);
    assert!(run(&db, &keep(30)).tables[0].parts.is_empty());
    let vacuumed = "SELECT count(*) FROM pg_class WHERE oid = 'resource_metrics'::regclass AND relallvisible > 0";
    assert_eq!(number(&mut conn, vacuumed), 1);
}

#[test]
fn partitions_go_once_all_of_their_rows_are_past_their_time() {
    let db = weekly();
    let mut conn = db.conn();
    let plan = retention::plan(&mut conn, &keep(30)).unwrap();
    let planned = &plan.tables[0];
    assert!(planned.parts.len() > 8 && planned.parts.iter().all(|part| part.whole), "{planned:?}");
    // The partition that holds the cutoff stays with all of its rows.
    let oldest = planned.oldest.unwrap();
    assert!(oldest < planned.cutoff && oldest > planned.cutoff - chrono::TimeDelta::days(7), "{planned:?}");
    let stays = rows_since(&mut conn, &oldest.to_string());
    let all = number(&mut conn, "SELECT count(*) FROM resource_metrics");
    let report = run(&db, &keep(30));
    assert_eq!(rows_since(&mut conn, "-infinity"), stays);
    assert_eq!(report.tables[0].rows(), all - number(&mut conn, "SELECT count(*) FROM resource_metrics"));
    assert_eq!(report.tables[0].parts.len(), planned.parts.len());
    for part in &planned.parts {
        let there = format!("SELECT count(*) FROM pg_class WHERE relname = '{}'", part.name);
        assert_eq!(number(&mut conn, &there), 0);
    }
    crate::partitions::verify(&db);
}

#[test]
fn rows_of_the_first_and_of_the_default_partition_go_one_by_one() {
    let db = plain();
    let hot = optiinfra_db::catalog::HotTable::named("resource_metrics").unwrap();
    crate::partitions::run(&db, &[hot], crate::partitions::WEEKS);
    let mut conn = db.conn();
    let report = run(&db, &keep(30));
    let parts: Vec<_> = report.tables[0].parts.iter().map(|part| (part.name.as_str(), part.whole)).collect();
    assert_eq!(parts, [("resource_metrics_first", false)]);
    // Late rows come into the default partition once the first one is gone.
    conn.batch_execute(
        "ALTER TABLE resource_metrics DETACH PARTITION resource_metrics_first;
         INSERT INTO resource_metrics SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid()))).*
         FROM resource_metrics_first r;
         DROP TABLE resource_metrics_first;
         UPDATE resource_metrics SET \"timestamp\" = '-infinity' WHERE id = (SELECT id FROM resource_metrics_default LIMIT 1);
         UPDATE resource_metrics SET \"timestamp\" = 'infinity' WHERE id =
             (SELECT id FROM resource_metrics_default WHERE isfinite(\"timestamp\") LIMIT 1);
         UPDATE resource_metrics SET \"timestamp\" = '0001-01-01' WHERE id =
             (SELECT id FROM resource_metrics_default WHERE isfinite(\"timestamp\") LIMIT 1)",
    )
    .unwrap();
    let report = run(&db, &keep(10));
    assert_eq!(report.tables[0].parts[0].name, "resource_metrics_default");
    assert!(report.tables[0].oldest.unwrap() >= report.tables[0].cutoff);
    assert_eq!(
        number(
            &mut conn,
            "SELECT count(*) FROM resource_metrics WHERE \"timestamp\" < date_trunc('hour', now() - interval '10 days')"
        ),
        0
    );
    assert_eq!(number(&mut conn, "SELECT count(*) FROM resource_metrics WHERE \"timestamp\" = 'infinity'"), 1);
}

#[test]
fn a_run_that_has_no_time_removes_nothing_and_the_next_one_goes_on() {
    for db in [plain(), weekly()] {
        let before = rows_since(&mut db.conn(), "-infinity");
        let report = run(&db, &Options { max_duration: std::time::Duration::ZERO, ..keep(30) });
        assert_eq!(rows_since(&mut db.conn(), "-infinity"), before);
        assert_eq!(report.tables[0].rows(), 0);
        assert!(report.left > 1000);
        assert_eq!(run(&db, &keep(30)).left, 0);
    }
}

#[test]
fn each_table_keeps_its_rows_for_its_own_time() {
    let db = plain();
    let mut options = keep(30);
    options.keep.push((optiinfra_db::catalog::HotTable::named("events").unwrap(), DAY * 400));
    let mut conn = db.conn();
    let events = number(&mut conn, "SELECT count(*) FROM events");
    conn.batch_execute(
        "INSERT INTO events (customer_id, event_type, created_at)
         SELECT c.id, 'old', t FROM (SELECT id FROM customers LIMIT 1) c,
             (VALUES (now() - interval '401 days'), (now() - interval '30 hours')) times (t)",
    )
    .unwrap();
    let report = run(&db, &options);
    assert_eq!((report.tables[1].table, report.tables[1].rows()), ("events", 1));
    assert_eq!(number(&mut conn, "SELECT count(*) FROM events"), events + 1);
    options.keep.push(options.keep[0]);
    let refused = retention::plan(&mut conn, &options).unwrap_err();
    assert!(matches!(refused, optiinfra_db::Error::Retention(retention::Error::TableTwice("resource_metrics"))));
}
