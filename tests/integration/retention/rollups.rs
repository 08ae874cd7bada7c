//! Sums of an hour: equal to the samples, and never to a part of them.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use optiinfra_db::catalog::HotTable;
use optiinfra_db::enums::ResourceType;
use optiinfra_db::id::CustomerId;
use optiinfra_db::models::ResourceMetric;
use optiinfra_db::retention::Options;

use super::{DAY, keep, plain, run, samples, weekly};
use crate::support::{TestDb, number, text};

fn rollup(days: u32) -> Options {
    let mut options = Options { rollup: true, ..keep(days) };
    options.keep.push((HotTable::named("quality_metrics").unwrap(), DAY * days));
    options
}

/// More samples of the hours that are there, so that a sum is of several; and what the sums have to be.
fn prepare(db: &TestDb) -> PgConnection {
    let mut conn = db.conn();
    for _ in 0..3 {
        samples(40).insert(&mut conn);
    }
    conn.batch_execute(
        "UPDATE resource_metrics SET metric_value = 'NaN' WHERE id =
             (SELECT id FROM resource_metrics WHERE instance_id = 'i-old' ORDER BY \"timestamp\" LIMIT 1);
         INSERT INTO quality_metrics (agent_id, customer_id, request_id, model_name, model_version, overall_quality_score,
             \"timestamp\")
         SELECT a.id, c.id, 'request ' || t || n, 'model ' || n, '1', random(), t
         FROM (SELECT id FROM agents LIMIT 1) a, (SELECT id FROM customers LIMIT 1) c, generate_series(1, 2) n,
             generate_series(now() - interval '50 days', now() - interval '1 minute', interval '20 minutes') t;
         -- An hour that ends during the test has no samples, so that no run sums more than another.
         DELETE FROM resource_metrics WHERE \"timestamp\" >= date_trunc('hour', now(), 'UTC');
         DELETE FROM quality_metrics WHERE \"timestamp\" >= date_trunc('hour', now(), 'UTC');
         CREATE TABLE samples AS
             SELECT customer_id, concat_ws('/', instance_id, resource_type, metric_name, unit) AS of, metric_value AS value,
                 \"timestamp\" AS at, id
             FROM resource_metrics
             UNION ALL
             SELECT customer_id, model_name || '/' || model_version, overall_quality_score, \"timestamp\", id
             FROM quality_metrics",
    )
    .unwrap();
    conn
}

/// The sums that are not those of the samples, of hours that are over.
const WRONG: &str = "
    SELECT count(*) FROM (
        SELECT customer_id, of, date_trunc('hour', at, 'UTC') AS hour, count(*) AS samples, min(value) AS min, avg(value) AS avg,
            max(value) AS max, percentile_cont(0.95) WITHIN GROUP (ORDER BY value) AS p95,
            (array_agg(value ORDER BY at DESC, id DESC))[1] AS last, max(at) AS last_at
        FROM samples WHERE at < date_trunc('hour', now(), 'UTC') GROUP BY 1, 2, 3
    ) expected
    FULL JOIN (
        SELECT customer_id, concat_ws('/', instance_id, resource_type, metric_name, unit) AS of, hour, sample_count, min_value,
            avg_value, max_value, p95_value, last_value, resource_metrics_hourly.last_at
        FROM resource_metrics_hourly
        UNION ALL
        SELECT customer_id, model_name || '/' || model_version, hour, sample_count, min_value, avg_value, max_value,
            p95_value, last_value, last_at
        FROM quality_metrics_hourly
    ) found USING (customer_id, of, hour)
    WHERE (samples, min, max, p95, last, expected.last_at) IS DISTINCT FROM
          (sample_count, min_value, max_value, p95_value, last_value, found.last_at)
       OR NOT (avg = avg_value OR abs(avg - avg_value) <= 1e-12 * abs(avg))";

/// Samples of instances that are in no sum, of hours that are over.
const WRONG_OF_RESOURCES: &str = "
    SELECT (SELECT count(*) FROM samples WHERE at < date_trunc('hour', now(), 'UTC') AND of LIKE '%/%/%/%')
         - (SELECT sum(sample_count)::bigint FROM resource_metrics_hourly)";

/// The totals that are not those of all samples until the end of their hour.
const WRONG_TOTALS: &str = "
    SELECT count(*) FROM resource_metrics_hourly h
    JOIN LATERAL (
        SELECT count(*) AS samples, avg(value) AS avg FROM samples s
        WHERE s.customer_id = h.customer_id AND of = concat_ws('/', instance_id, resource_type, metric_name, unit)
          AND at < h.hour + interval '1 hour'
    ) expected ON true
    WHERE (total_count = samples AND (total_avg = avg OR abs(total_avg - avg) <= 1e-12 * abs(avg))) IS NOT TRUE";

/// All sums with what is written about them.
fn sums(conn: &mut PgConnection) -> String {
    text(
        conn,
        "SELECT concat((SELECT sum(hashtextextended(h::text, 0)) FROM resource_metrics_hourly h),
             ' ', (SELECT sum(hashtextextended(h::text, 0)) FROM quality_metrics_hourly h))",
    )
}

#[test]
fn sums_equal_the_samples_that_went_and_a_further_run_changes_none() {
    for make in [weekly as fn() -> TestDb, plain] {
        let db = make();
        let mut conn = prepare(&db);
        let report = run(&db, &rollup(30));
        assert!(report.tables.iter().all(|table| table.sums_written > 1000 && table.rows() > 1000), "{report:#?}");
        assert_eq!((number(&mut conn, WRONG), number(&mut conn, WRONG_TOTALS)), (0, 0));
        let before = sums(&mut conn);
        let report = run(&db, &rollup(30));
        assert!(report.tables.iter().all(|table| table.sums_written == 0), "{report:#?}");
        assert_eq!(sums(&mut conn), before);
        // Without the flag, what is summed stays too.
        run(&db, &keep(20));
        assert_eq!(number(&mut conn, WRONG), 0);
        run(&db, &rollup(10));
        assert_eq!(number(&mut conn, WRONG), 0);
    }
}

#[test]
fn late_samples_count_as_long_as_the_others_are_there_and_never_take_their_place() {
    for make in [weekly as fn() -> TestDb, plain] {
        let db = make();
        let mut conn = prepare(&db);
        run(&db, &rollup(30));
        let late = |days: u32| {
            format!(
                "INSERT INTO resource_metrics SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(),
                     'metric_value', 1234567, 'timestamp', now() - interval '{days} days'))).*
                 FROM (SELECT r FROM resource_metrics r WHERE instance_id = 'i-old' LIMIT 1) r (r), generate_series(1, 9)"
            )
        };
        let add =
            "INSERT INTO samples SELECT customer_id, concat_ws('/', instance_id, resource_type, metric_name, unit),
            metric_value, \"timestamp\", id FROM resource_metrics WHERE metric_value = 1234567";
        conn.batch_execute(&format!("{}; {add}", late(20))).unwrap();
        assert_eq!(number(&mut conn, WRONG), 1);
        assert!(number(&mut conn, WRONG_TOTALS) > 1);
        assert_eq!(run(&db, &rollup(30)).tables[0].sums_written, 1);
        assert_eq!((number(&mut conn, WRONG), number(&mut conn, WRONG_TOTALS)), (0, 0));
        // More than the hour had, whose samples are gone.
        conn.batch_execute(&late(90)).unwrap();
        let before = sums(&mut conn);
        let report = run(&db, &rollup(30));
        assert_eq!((report.tables[0].sums_written, report.tables[0].rows(), report.left), (0, 9, 0));
        assert_eq!(sums(&mut conn), before);
    }
}

#[test]
fn another_instance_of_an_hour_that_is_final_is_summed_too() {
    let db = plain();
    let mut conn = prepare(&db);
    run(&db, &rollup(30));
    conn.batch_execute(
        "INSERT INTO resource_metrics SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(),
             'instance_id', 'i-backfill', 'timestamp', now() - interval '60 days'))).*
         FROM (SELECT r FROM resource_metrics r WHERE instance_id = 'i-old' LIMIT 1) r (r), generate_series(1, 2);
         INSERT INTO samples SELECT customer_id, concat_ws('/', instance_id, resource_type, metric_name, unit), metric_value,
             \"timestamp\", id FROM resource_metrics WHERE instance_id = 'i-backfill'",
    )
    .unwrap();
    assert_eq!(run(&db, &rollup(30)).tables[0].sums_written, 1);
    assert_eq!(number(&mut conn, WRONG), 0);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM resource_metrics WHERE instance_id = 'i-backfill'"), 0);
}

#[test]
fn nothing_goes_before_it_is_summed_and_a_run_that_ends_early_is_finished_by_further_ones() {
    let db = plain();
    let mut conn = prepare(&db);
    let all = number(&mut conn, "SELECT count(*) FROM resource_metrics");
    let mut ended_early = 0;
    for milliseconds in (1..).map(|n: u64| 100 * n) {
        let report = run(&db, &Options { max_duration: Duration::from_millis(milliseconds), ..rollup(30) });
        if number(&mut conn, "SELECT count(*) FROM resource_metrics") < all {
            assert_eq!(number(&mut conn, WRONG_OF_RESOURCES), 0);
        }
        if report.left == 0 {
            break;
        }
        ended_early += 1;
    }
    assert!(ended_early > 0);
    assert_eq!((number(&mut conn, WRONG), number(&mut conn, WRONG_TOTALS)), (0, 0));
}

#[test]
fn the_average_of_all_history_is_that_of_the_samples_whether_they_are_there_or_not() {
    let db = plain();
    let mut conn = prepare(&db);
    conn.batch_execute(
        "UPDATE resource_metrics SET metric_value = 1 WHERE metric_value = 'NaN';
         UPDATE samples SET value = 1 WHERE value = 'NaN'",
    )
    .unwrap();
    let customer: uuid::Uuid =
        text(&mut conn, "SELECT customer_id::text FROM samples WHERE of LIKE 'i-old%' LIMIT 1").parse().unwrap();
    let expected = |conn: &mut PgConnection| -> f64 {
        text(conn, "SELECT avg(value)::text FROM samples WHERE of = 'i-old/gpu/utilization/percent'").parse().unwrap()
    };
    let check = |conn: &mut PgConnection| {
        let expected = expected(conn);
        let found = ResourceMetric::average_of_history(
            conn,
            CustomerId::new(customer),
            "i-old",
            ResourceType::Gpu,
            "utilization",
        );
        let found = found.unwrap().unwrap();
        assert!((found - expected).abs() <= 1e-12 * expected, "{found} {expected}");
    };
    check(&mut conn);
    run(&db, &rollup(90));
    check(&mut conn);
    run(&db, &rollup(10));
    check(&mut conn);
    let newer =
        "INSERT INTO resource_metrics SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(),
             'metric_value', 7654321, 'timestamp', now()))).*
         FROM (SELECT r FROM resource_metrics r WHERE instance_id = 'i-old' LIMIT 1) r (r), generate_series(1, 50);
         INSERT INTO samples SELECT customer_id, 'i-old/gpu/utilization/percent', metric_value, \"timestamp\", id
         FROM resource_metrics WHERE metric_value = 7654321";
    conn.batch_execute(newer).unwrap();
    check(&mut conn);
    let none =
        ResourceMetric::average_of_history(&mut conn, CustomerId::new(customer), "i-none", ResourceType::Gpu, "x");
    assert_eq!(none, Ok(None));
}

#[test]
fn a_schema_without_the_tables_is_named_and_a_run_without_sums_works_on_it() {
    let db = plain();
    let reverted = crate::support::Dbctl::on(&db).run("migrate revert --steps 1 --yes");
    assert_eq!(reverted.code, Some(0), "{reverted:#?}");
    let refused = optiinfra_db::retention::run(&mut db.conn(), &rollup(30), |_| ()).unwrap_err();
    assert!(
        matches!(refused, optiinfra_db::Error::Migrate(optiinfra_db::migrate::Error::Behind { .. })),
        "{refused:?}"
    );
    assert_eq!(run(&db, &keep(30)).left, 0);
}
