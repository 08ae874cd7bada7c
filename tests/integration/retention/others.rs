//! Others who use the tables meanwhile, and what they made of them.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use optiinfra_db::Error;
use optiinfra_db::partitions;
use optiinfra_db::retention::{self, Options};

use super::{keep, plain, rows_since, run, weekly};
use crate::support::{TestDb, number};

#[test]
fn rows_that_others_have_locked_stay_and_are_counted() {
    let db = plain();
    let (mut conn, mut other) = (db.conn(), db.conn());
    other.batch_execute("BEGIN; SELECT FROM resource_metrics ORDER BY \"timestamp\" LIMIT 5 FOR UPDATE").unwrap();
    let report = run(&db, &keep(30));
    assert_eq!(report.left, 5);
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(run(&db, &keep(30)).tables[0].rows(), 5);
    assert_eq!(
        number(
            &mut conn,
            "SELECT count(*) FROM resource_metrics WHERE \"timestamp\" < date_trunc('hour', now() - interval '30 days')"
        ),
        0
    );
}

#[test]
fn a_long_reader_of_a_partitioned_table_is_waited_for_and_then_named() {
    let db = weekly();
    let mut reader = db.conn();
    let before = rows_since(&mut reader, "-infinity");
    reader.batch_execute("BEGIN; SELECT count(*) FROM resource_metrics").unwrap();
    let options = Options { lock_wait: Duration::from_millis(700), ..keep(30) };
    let refused = retention::run(&mut db.conn(), &options, |_| ()).unwrap_err();
    assert!(
        matches!(refused, Error::Partitions(partitions::Error::Locked { table: "resource_metrics", .. })),
        "{refused:?}"
    );
    assert_eq!(rows_since(&mut reader, "-infinity"), before);
    reader.batch_execute("COMMIT").unwrap();
    assert_eq!(run(&db, &options).left, 0);
}

#[test]
fn an_import_that_runs_meanwhile_loses_nothing() {
    let db = plain();
    let (mut conn, mut import) = (db.conn(), db.conn());
    import
        .batch_execute(
            "BEGIN; CREATE TEMP TABLE imported AS SELECT * FROM resource_metrics WHERE instance_id = 'i-old';
             UPDATE imported SET id = gen_random_uuid(), instance_id = 'i-import';
             INSERT INTO resource_metrics SELECT * FROM imported",
        )
        .unwrap();
    assert_eq!(run(&db, &keep(30)).left, 0);
    import.batch_execute("COMMIT").unwrap();
    let imported = "SELECT count(*) FROM resource_metrics WHERE instance_id = 'i-import'";
    assert_eq!(number(&mut conn, imported), number(&mut import, "SELECT count(*) FROM imported"));
    run(&db, &keep(30));
    let newer = "SELECT count(*) FROM imported WHERE \"timestamp\" >= date_trunc('hour', now() - interval '30 days')";
    assert_eq!(number(&mut conn, imported), number(&mut import, newer));
}

#[test]
fn two_runs_at_once_remove_what_one_does() {
    for db in [plain(), weekly()] {
        let all = number(&mut db.conn(), "SELECT count(*) FROM resource_metrics");
        let removed: i64 = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| run(&db, &keep(30)).tables[0].rows())).collect();
            runs.into_iter().map(|run| run.join().unwrap()).sum()
        });
        assert_eq!(removed, all - number(&mut db.conn(), "SELECT count(*) FROM resource_metrics"));
        assert_eq!(run(&db, &keep(30)).left, 0);
    }
}

#[test]
fn partitions_of_another_shape_and_those_that_something_depends_on_stay() {
    let db = weekly();
    let mut conn = db.conn();
    conn.batch_execute(
        "CREATE TABLE by_hand PARTITION OF resource_metrics FOR VALUES FROM ('2001-01-01') TO ('2002-01-01')
             PARTITION BY RANGE (\"timestamp\");
         CREATE TABLE below PARTITION OF by_hand DEFAULT;
         CREATE TABLE year PARTITION OF resource_metrics FOR VALUES FROM ('2000-01-01') TO ('2001-01-01');
         INSERT INTO resource_metrics SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(),
             'timestamp', y))).*
         FROM (SELECT r FROM resource_metrics r LIMIT 1) r (r), (VALUES ('2000-06-01'), ('2001-06-01')) years (y);
         CREATE VIEW last_year AS SELECT * FROM year",
    )
    .unwrap();
    let before = rows_since(&mut conn, "-infinity");
    let refused = retention::run(&mut conn, &keep(30), |_| ()).unwrap_err();
    assert!(matches!(refused, Error::Partitions(partitions::Error::Stopped { .. })), "{refused:?}");
    assert_eq!(rows_since(&mut conn, "-infinity"), before);
    conn.batch_execute("DROP VIEW last_year").unwrap();
    let report = run(&db, &keep(30));
    assert_eq!(report.tables[0].unknown, ["by_hand"]);
    assert_eq!(report.tables[0].parts[0].name, "year");
    assert_eq!(number(&mut conn, "SELECT count(*) FROM by_hand"), 1);
}

#[test]
fn a_table_of_pg_partman_is_left_alone() {
    let db = weekly();
    let mut conn = db.conn();
    crate::partitions::pretend_partman(&mut conn);
    let before = rows_since(&mut conn, "-infinity");
    let report = run(&db, &keep(30));
    assert_eq!(report.tables[0].left_alone.map(partitions::LeftAlone::as_str), Some("pg_partman manages it"));
    assert_eq!(rows_since(&mut conn, "-infinity"), before);
}

#[test]
fn a_role_from_which_rows_are_hidden_is_refused() {
    let db = plain();
    let role = db.role();
    let mut conn = db.conn();
    conn.batch_execute(&format!(
        "GRANT USAGE, CREATE ON SCHEMA {schema} TO {role};
         GRANT SELECT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
        schema = db.schema(),
        role = role.name
    ))
    .unwrap();
    let before = rows_since(&mut conn, "-infinity");
    let target = optiinfra_db::connection::Target::parse(&db.url_as(&role.name)).unwrap();
    let mut hidden = optiinfra_db::connection::connect(&target, "test").unwrap();
    let refused = retention::run(&mut hidden, &keep(30), |_| ()).unwrap_err();
    assert!(matches!(refused, Error::Query { .. }), "{refused:?}");
    assert_eq!(rows_since(&mut conn, "-infinity"), before);
}

#[test]
fn a_table_that_is_not_there_is_named() {
    let refused = retention::plan(&mut TestDb::empty().conn(), &keep(30)).unwrap_err();
    assert!(matches!(refused, Error::Partitions(partitions::Error::NoTable("resource_metrics"))), "{refused:?}");
}
