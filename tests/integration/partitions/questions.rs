//! Which partitions a question reads: those that it needs, however many there are.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use optiinfra_db::enums::{AgentType, ResourceType};
use optiinfra_db::id::CustomerId;
use optiinfra_db::ingest::ids::sample_id;
use optiinfra_db::models::{Event, NewEvent, NewQualityMetric, NewResourceMetric, QualityMetric, ResourceMetric};

use super::partitioned;
use crate::support::{
    Insert as _, TestDb, agent, customer, new_event, new_quality_metric, new_resource_metric, verified,
};

const WEEKS: i64 = 12;

/// Closed partitions of twelve weeks, in place of the first one, which takes all the past. Nothing is in any table.
fn with_history() -> TestDb {
    let db = partitioned(TestDb::plain());
    let split = |table: &str| {
        format!(
            "DO $$ DECLARE monday timestamptz := date_trunc('week', now(), 'UTC'); upto timestamptz; BEGIN
                 SELECT substring(pg_get_expr(relpartbound, oid) FROM $q$TO \\('([^']+)'$q$)::timestamptz INTO upto
                 FROM pg_class WHERE oid = '{table}_first'::regclass;
                 DROP TABLE {table}_first;
                 FOR week IN -{WEEKS}..8 LOOP
                     CONTINUE WHEN monday + week * interval '7 days' >= upto;
                     EXECUTE format('CREATE TABLE {table}_%s PARTITION OF {table} FOR VALUES FROM (%L) TO (%L)',
                         to_char(monday + week * interval '7 days', 'YYYYMMDD'),
                         monday + week * interval '7 days', monday + (week + 1) * interval '7 days');
                     EXECUTE format('ALTER TABLE {table}_%s ENABLE ROW LEVEL SECURITY',
                         to_char(monday + week * interval '7 days', 'YYYYMMDD'));
                 END LOOP;
             END $$"
        )
    };
    for hot in super::all() {
        db.conn().batch_execute(&split(hot.name)).unwrap();
    }
    let report = verified(&db);
    assert!(report.is_clean(), "{report:#?}");
    db
}

/// The partitions of a table that a question reads, whether it finds something in them or not.
fn read<T>(
    conn: &mut PgConnection,
    table: &str,
    ask: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
) -> (T, BTreeSet<String>) {
    #[derive(QueryableByName)]
    struct Scans {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        scans: i64,
    }
    let scans = |conn: &mut PgConnection| -> QueryResult<Vec<Scans>> {
        let query = "SELECT s.relname::text AS name, seq_scan + coalesce(idx_scan, 0) AS scans
            FROM pg_stat_xact_user_tables s JOIN pg_inherits i ON i.inhrelid = s.relid
            WHERE i.inhparent = $1::regclass ORDER BY name";
        diesel::sql_query(query).bind::<diesel::sql_types::Text, _>(table).load(conn)
    };
    conn.transaction(|conn| {
        let before = scans(conn)?;
        let answer = ask(conn)?;
        let after = scans(conn)?.into_iter().zip(before).filter(|(after, before)| after.scans > before.scans);
        QueryResult::Ok((answer, after.map(|(partition, _)| partition.name).collect()))
    })
    .unwrap()
}

fn partitions(conn: &mut PgConnection, table: &str) -> usize {
    optiinfra_db::catalog::read(conn).unwrap().partitions(table).count()
}

/// Noon of the day in the middle of a week, so many weeks ago.
fn in_week(ago: i64) -> DateTime<Utc> {
    let day = Utc::now().date_naive().week(chrono::Weekday::Mon).first_day() + TimeDelta::days(2);
    day.and_hms_opt(12, 0, 0).unwrap().and_utc() - TimeDelta::weeks(ago)
}

#[test]
fn a_row_is_found_by_its_id_in_one_partition_where_the_id_has_its_time() {
    let db = with_history();
    let conn = &mut db.conn();
    let (agent, customer) = (agent(conn, AgentType::Cost), customer(conn));
    let all = partitions(conn, "resource_metrics");
    assert!(all > 12);
    let mut samples = Vec::new();
    for week in 1..WEEKS {
        let time = in_week(week);
        let new = NewResourceMetric {
            id: Some(sample_id(time)),
            timestamp: time,
            ..new_resource_metric(&agent, &customer, 50.0, 0)
        };
        samples.push(new.insert(conn));
    }
    for sample in &samples {
        let (found, touched) = read(conn, "resource_metrics", |conn| ResourceMetric::by_id(conn, sample.id));
        assert_eq!(found.as_ref(), Some(sample));
        assert_eq!(touched.len(), 1, "{touched:?}");
    }
    // An id that says nothing of the time, and one that is not of the time of its row.
    let untimed = new_resource_metric(&agent, &customer, 50.0, 0);
    let untimed = NewResourceMetric { timestamp: in_week(3), ..untimed }.insert(conn);
    let (found, touched) = read(conn, "resource_metrics", |conn| ResourceMetric::by_id(conn, untimed.id));
    // It ends at the partition where the row is.
    assert_eq!(found.as_ref(), Some(&untimed));
    assert!(touched.len() > 1, "{touched:?}");
    let event = NewEvent { id: Some(sample_id(in_week(2))), ..new_event(&customer) }.insert(conn);
    assert_eq!(Event::by_id(conn, event.id).unwrap(), Some(event));
    assert_eq!(ResourceMetric::by_id(conn, sample_id(in_week(2))).unwrap(), None);
}

#[test]
fn the_newest_rows_and_those_of_a_range_are_read_in_the_partitions_of_their_time() {
    let db = with_history();
    let conn = &mut db.conn();
    let (agent, reporting, stopped) = (agent(conn, AgentType::Cost), customer(conn), customer(conn));
    for week in 0..WEEKS {
        for customer in [&reporting, &stopped] {
            if customer.id == stopped.id && week < 5 {
                continue;
            }
            let timestamp = in_week(week).min(Utc::now());
            NewResourceMetric { timestamp, ..new_resource_metric(&agent, customer, 50.0, 0) }.insert(conn);
            let answer = new_quality_metric(&agent, customer, 0.9, 0);
            NewQualityMetric { timestamp, ..answer }.insert(conn);
        }
    }
    conn.batch_execute("ANALYZE").unwrap();
    let [reporting, stopped] = [&reporting, &stopped].map(CustomerId::from);
    let latest_sample = |of| {
        move |conn: &mut PgConnection| {
            let latest = ResourceMetric::latest(conn, of, ResourceType::Gpu, "utilization")?;
            Ok(latest.map(|it| it.timestamp))
        }
    };
    let latest_answer =
        |of| move |conn: &mut PgConnection| Ok(QualityMetric::latest(conn, of, "model-a")?.map(|it| it.timestamp));
    // Those of seven days, of the time to come, and the default one.
    let oldest = format!("{}", (Utc::now() - TimeDelta::days(14)).format("%Y%m%d"));
    let is_recent = |name: &String| name.rsplit('_').next().unwrap() > oldest.as_str() || name.ends_with("_default");
    for of in [None, Some(reporting)] {
        for (table, (found, touched)) in [
            ("resource_metrics", read(conn, "resource_metrics", latest_sample(of))),
            ("quality_metrics", read(conn, "quality_metrics", latest_answer(of))),
        ] {
            assert!(found.unwrap() > Utc::now() - TimeDelta::days(7));
            assert!(!touched.is_empty() && touched.iter().all(is_recent), "{table}: {touched:?}");
        }
    }
    let (found, touched) = read(conn, "resource_metrics", latest_sample(Some(stopped)));
    assert_eq!(found, Some(in_week(5)));
    assert_eq!(touched.len(), partitions(conn, "resource_metrics"));
    assert_eq!(read(conn, "quality_metrics", latest_answer(Some(stopped))).0, Some(in_week(5)));

    let from = in_week(4);
    let ranges =
        [(from - TimeDelta::minutes(10), 1), (from + TimeDelta::minutes(10), 1), (from + TimeDelta::days(7), 2)];
    for (until, count) in ranges {
        let (from, until) = (from.min(until), from.max(until));
        let (_, touched) = read(conn, "resource_metrics", |conn| {
            ResourceMetric::of_instance(reporting, "i-test", from, until).load(conn)
        });
        assert_eq!(touched.len(), count, "{from} to {until}: {touched:?}");
    }
    let (page, touched) = read(conn, "quality_metrics", |conn| {
        let since = optiinfra_db::schema::quality_metrics::timestamp.ge(in_week(1));
        QualityMetric::hallucinations(reporting).filter(since).load(conn)
    });
    assert!(page.is_empty() && touched.len() < partitions(conn, "quality_metrics") / 2, "{touched:?}");
}
