//! The bulk write path: what is sent comes back, what is counted is there, and what is refused is named.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use optiinfra_db::Error;
use optiinfra_db::connection::{self, Pool};
use optiinfra_db::enums::{AgentType, EventSeverity, MetricType, ResourceType};
use optiinfra_db::id::CustomerId;
use optiinfra_db::ingest::{self, BulkWriter, Ingest, OnConflict, Through};
use optiinfra_db::migrate::{Goal, Migrator};
use optiinfra_db::models::{
    Agent, AgentMetric, Customer, Event, NewAgentMetric, NewEvent, NewQualityMetric, NewResourceMetric, QualityMetric,
    ResourceMetric,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::{Uuid, Version};

use crate::support::{
    Insert, Stored, TestDb, agent, at, customer, ground, ground_of, new_agent_metric, new_event, new_quality_metric,
    new_resource_metric, number, server_says, thorny_json, to_json,
};

fn pool(db: &TestDb, size: u32) -> Pool {
    connection::pool(&db.target(), "test").max_size(size).build().expect("a pool")
}

/// So many samples, a minute apart, each with the id of its place.
fn samples(agent: &Agent, customer: &Customer, count: usize) -> Vec<NewResourceMetric> {
    let sample = |minute: usize| {
        let minute = i64::try_from(minute).unwrap();
        let mut row = new_resource_metric(agent, customer, 50.0, minute);
        row.id = Some(ingest::ids::sample_id_of(row.timestamp, &minute.to_be_bytes()));
        row
    };
    (0..count).map(sample).collect()
}

fn count(conn: &mut PgConnection, table: &str) -> i64 {
    number(conn, &format!("SELECT count(*) FROM {table}"))
}

fn texts(conn: &mut PgConnection, query: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }
    diesel::sql_query(query).load::<Line>(conn).unwrap().into_iter().map(|found| found.line).collect()
}

// --- What is sent ---

#[test]
fn every_column_of_every_table_is_sent() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    let tables = [
        (NewResourceMetric::TABLE, NewResourceMetric::COLUMNS, ResourceMetric::COLUMNS),
        (NewQualityMetric::TABLE, NewQualityMetric::COLUMNS, QualityMetric::COLUMNS),
        (NewAgentMetric::TABLE, NewAgentMetric::COLUMNS, AgentMetric::COLUMNS),
        (NewEvent::TABLE, NewEvent::COLUMNS, Event::COLUMNS),
    ];
    for (table, columns, whole) in tables {
        let query = format!(
            "SELECT column_name::text AS line FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = '{table}' ORDER BY ordinal_position"
        );
        assert_eq!(texts(conn, &query), columns);
        assert_eq!(columns, whole);
    }
}

/// Writes rows that say no more than they must, by INSERT, which leaves the rest to the server, and by COPY, completed
/// beforehand and not. `given` names the columns in which they differ anyway, and `times` those that are now.
fn assert_defaults_of_the_server<New>(conn: &mut PgConnection, new: impl Fn() -> New, given: &[&str], times: &[&str])
where
    New: Ingest + Insert,
    New::Row: Serialize,
{
    let by_server = to_json(&new().insert(conn));
    let mut completed = new();
    completed.complete(Utc::now());
    let mut left_out = new();
    left_out.set_id(Uuid::new_v4());
    let ids = [completed.id().unwrap(), left_out.id().unwrap()];
    assert_eq!(ingest::copy(conn, &[completed, left_out]).unwrap(), 2);
    let (table, server_id) = (New::TABLE, by_server["id"].as_str().unwrap());
    for (column, id) in New::COLUMNS.iter().skip(1).flat_map(|column| ids.map(|id| (column, id))) {
        if given.contains(column) {
            continue;
        }
        let expected = match times.contains(column) {
            true => format!("{column} BETWEEN now() - interval '1 min' AND now() + interval '1 min'"),
            false => {
                format!("{column} IS NOT DISTINCT FROM (SELECT {column} FROM {table} WHERE id = '{server_id}')")
            }
        };
        let query = format!("SELECT count(*) FROM {table} WHERE id = '{id}' AND {expected}");
        assert_eq!(number(conn, &query), 1, "{table}.{column}: the server has {}", by_server[*column]);
    }
}

#[test]
fn what_a_row_leaves_out_takes_the_default_that_the_server_has() {
    let (_db, mut conn, agent, customer) = ground(AgentType::Resource);
    let conn = &mut conn;
    let resource = || new_resource_metric(&agent, &customer, 1.0, 0);
    assert_defaults_of_the_server(conn, resource, &[], &["created_at"]);
    let quality = || new_quality_metric(&agent, &customer, 0.5, 0);
    assert_defaults_of_the_server(conn, quality, &["request_id"], &["created_at"]);
    assert_defaults_of_the_server(conn, || new_agent_metric(&agent, "cpu", 1.0), &[], &["recorded_at"]);
    assert_defaults_of_the_server(conn, || new_event(&customer), &[], &["created_at"]);
}

/// Writes whole rows, and the same as new rows, and reads them back.
fn assert_come_back<New>(conn: &mut PgConnection, rows: &[New::Row])
where
    New: Ingest + Insert + DeserializeOwned,
    New::Row: Ingest + Stored + Serialize + PartialEq + Clone,
{
    let written = u64::try_from(rows.len()).unwrap();
    assert_eq!(ingest::copy(conn, rows).unwrap(), written);
    for row in rows {
        assert_eq!(row.reload(conn).as_ref(), Some(row));
        row.delete(conn);
    }
    assert_eq!(ingest::insert_missing(conn, rows).unwrap(), written);
    for row in rows {
        assert_eq!(row.reload(conn).as_ref(), Some(row));
        row.delete(conn);
    }
}

fn assert_come_back_as_new<New>(conn: &mut PgConnection, rows: &[New::Row])
where
    New: Ingest + Insert + DeserializeOwned,
    New::Row: Stored + Serialize + PartialEq,
{
    let new: Vec<New> = rows.iter().map(|row| serde_json::from_value(to_json(row)).unwrap()).collect();
    assert_eq!(ingest::copy(conn, &new).unwrap(), u64::try_from(rows.len()).unwrap());
    for row in rows {
        assert_eq!(row.reload(conn).as_ref(), Some(row));
    }
}

const THORNY: &str = "Größe ≥ 5 µm, 東京, 🚀, \"quoted\" \\N \\. 'single' \t\r\n; DROP TABLE customers; -- $1";

fn times() -> [DateTime<Utc>; 4] {
    [
        at(0),
        Utc.with_ymd_and_hms(1969, 12, 31, 23, 59, 59).unwrap() + TimeDelta::microseconds(999_999),
        Utc.with_ymd_and_hms(1999, 12, 31, 23, 59, 59).unwrap() + TimeDelta::microseconds(1),
        Utc.with_ymd_and_hms(9999, 12, 31, 0, 0, 0).unwrap(),
    ]
}

#[test]
fn resource_metrics_come_back_as_they_were_sent() {
    let (_db, mut conn, agent, customer) = ground(AgentType::Resource);
    let values = [0.1, -0.0, f64::MAX, f64::MIN_POSITIVE];
    let rows: Vec<_> = (ResourceType::ALL.iter().zip(values.iter().cycle()).zip(times().into_iter().cycle()))
        .map(|((kind, value), time)| ResourceMetric {
            id: Uuid::new_v4(),
            agent_id: agent.id,
            customer_id: customer.id,
            instance_id: THORNY.to_owned(),
            resource_type: *kind,
            metric_name: "é".repeat(100),
            metric_value: *value,
            unit: String::new(),
            timestamp: time,
            metadata: thorny_json(),
            created_at: time - TimeDelta::days(1),
        })
        .collect();
    assert_come_back::<NewResourceMetric>(&mut conn, &rows);
    assert_come_back_as_new::<NewResourceMetric>(&mut conn, &rows);
}

#[test]
fn quality_metrics_come_back_as_they_were_sent() {
    let (_db, mut conn, agent, customer) = ground(AgentType::Application);
    let full = QualityMetric {
        id: Uuid::new_v4(),
        agent_id: agent.id,
        customer_id: customer.id,
        request_id: THORNY.to_owned(),
        model_name: "模型".to_owned(),
        model_version: "1".to_owned(),
        prompt_tokens: Some(i32::MAX),
        completion_tokens: Some(i32::MIN),
        latency_ms: Some(f64::INFINITY),
        relevance_score: Some(0.25),
        coherence_score: Some(f64::NEG_INFINITY),
        factuality_score: Some(1.0),
        hallucination_detected: true,
        toxicity_score: Some(0.0),
        overall_quality_score: 0.5,
        timestamp: times()[1],
        metadata: json!(null),
        created_at: times()[2],
    };
    let bare = QualityMetric {
        id: Uuid::new_v4(),
        request_id: String::new(),
        prompt_tokens: None,
        completion_tokens: None,
        latency_ms: None,
        relevance_score: None,
        coherence_score: None,
        factuality_score: None,
        hallucination_detected: false,
        toxicity_score: None,
        metadata: thorny_json(),
        ..full.clone()
    };
    assert_come_back::<NewQualityMetric>(&mut conn, &[full, bare.clone()]);
    assert_come_back_as_new::<NewQualityMetric>(&mut conn, &[bare]);
}

#[test]
fn agent_metrics_and_events_come_back_as_they_were_sent() {
    let (_db, mut conn, agent, customer) = ground(AgentType::Cost);
    let metrics: Vec<_> = MetricType::ALL
        .iter()
        .zip([Some(thorny_json()), None, Some(json!(null))])
        .map(|(kind, tags)| AgentMetric {
            id: Uuid::new_v4(),
            agent_id: agent.id,
            metric_name: THORNY.to_owned(),
            metric_value: -1.5,
            metric_type: *kind,
            tags,
            recorded_at: times()[3],
        })
        .collect();
    assert_come_back::<NewAgentMetric>(&mut conn, &metrics);
    let events: Vec<_> = EventSeverity::ALL
        .iter()
        .zip([Some(agent.id), None].into_iter().cycle())
        .map(|(severity, agent_id)| Event {
            id: Uuid::new_v4(),
            customer_id: customer.id,
            agent_id,
            event_type: THORNY.to_owned(),
            severity: *severity,
            data: thorny_json(),
            created_at: times()[2],
        })
        .collect();
    assert_come_back::<NewEvent>(&mut conn, &events);
    assert_come_back_as_new::<NewEvent>(&mut conn, &events);
}

#[test]
fn not_a_number_comes_back_as_itself() {
    let (_db, mut conn, agent, customer) = ground(AgentType::Resource);
    let row = new_resource_metric(&agent, &customer, f64::NAN, 0);
    assert_eq!(ingest::copy(&mut conn, &[row]).unwrap(), 1);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM resource_metrics WHERE metric_value = 'NaN'"), 1);
}

// --- Ids ---

#[test]
fn rows_without_an_id_get_one_that_fits_their_table() {
    let (_db, mut conn, agent, customer) = ground(AgentType::Resource);
    let conn = &mut conn;
    ingest::copy(conn, &[new_resource_metric(&agent, &customer, 1.0, 0)]).unwrap();
    ingest::copy(conn, &[new_quality_metric(&agent, &customer, 1.0, 0)]).unwrap();
    ingest::insert_missing(conn, &[new_agent_metric(&agent, "cpu", 1.0)]).unwrap();
    ingest::insert_missing(conn, &[new_event(&customer)]).unwrap();
    let version = |conn: &mut PgConnection, table: &str| {
        let id = texts(conn, &format!("SELECT id::text AS line FROM {table}"));
        id[0].parse::<Uuid>().unwrap().get_version()
    };
    for table in ["resource_metrics", "quality_metrics", "agent_metrics"] {
        assert_eq!(version(conn, table), Some(Version::SortRand), "{table}");
    }
    assert_eq!(version(conn, "events"), Some(Version::Random));
    let in_time = "SELECT count(*) FROM resource_metrics WHERE ('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint \
                   = floor(extract(epoch FROM timestamp) * 1000)";
    assert_eq!(number(conn, in_time), 1);
}

// --- Counts ---

#[test]
fn a_writer_counts_what_it_writes() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    for (connections, rows) in [(1, 0), (1, 1), (1, 1_000), (3, 1_001), (2, 99)] {
        conn.batch_execute("TRUNCATE resource_metrics").unwrap();
        let pool = pool(&db, 3);
        let mut told = Vec::new();
        let report = BulkWriter::new(&pool)
            .connections(connections)
            .rows_per_chunk(100)
            .progress(|progress| told.push((progress.received, progress.written, progress.chunks)))
            .write(samples(&agent, &customer, rows))
            .unwrap();
        let (rows, chunks) = (u64::try_from(rows).unwrap(), u64::try_from(rows.div_ceil(100)).unwrap());
        assert_eq!((report.table, report.received, report.written), ("resource_metrics", rows, rows));
        assert_eq!((report.skipped, report.chunks, report.on_conflict), (0, chunks, OnConflict::Refuse));
        assert_eq!(report.through, (rows > 0).then_some(Through::Copy));
        assert_eq!(count(&mut conn, "resource_metrics"), i64::try_from(rows).unwrap());
        assert_eq!(told.len(), usize::try_from(chunks).unwrap());
        assert!(told.is_sorted_by_key(|(_, written, _)| *written));
        assert!(told.iter().all(|(received, written, _)| received >= written));
        assert_eq!(told.last().map_or(0, |(_, written, _)| *written), rows);
    }
}

#[test]
fn a_large_row_ends_its_chunk() {
    let (db, mut conn, _, customer) = ground(AgentType::Resource);
    let large = NewEvent { data: Some(json!({"text": "x".repeat(4 << 20)})), ..new_event(&customer) };
    let report = BulkWriter::new(&pool(&db, 1)).write(vec![large; 5]).unwrap();
    assert_eq!((report.written, report.chunks), (5, 3));
    assert_eq!(number(&mut conn, "SELECT min(length(data ->> 'text'))::bigint FROM events"), 4 << 20);
}

// --- Rows that are there already ---

#[test]
fn rows_that_are_there_are_skipped_and_the_rest_is_written() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let pool = pool(&db, 2);
    let write = |rows: Vec<NewResourceMetric>| {
        let writer = BulkWriter::new(&pool).connections(2).rows_per_chunk(64).on_conflict(OnConflict::Skip);
        let report = writer.write(rows).unwrap();
        assert_eq!(report.through, Some(Through::Staging));
        (report.received, report.written, report.skipped)
    };
    let rows = samples(&agent, &customer, 1_000);
    assert_eq!(write(rows[..300].to_vec()), (300, 300, 0));
    assert_eq!(write(rows.clone()), (1_000, 700, 300));
    assert_eq!(write(rows.clone()), (1_000, 0, 1_000));
    assert_eq!(count(&mut conn, "resource_metrics"), 1_000);
    assert_eq!(ingest::insert_missing(&mut conn, &rows).unwrap(), 0);
}

#[test]
fn rows_that_stand_twice_in_the_input_are_written_once() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let rows = samples(&agent, &customer, 500);
    // Each row next to itself, and all of them again at the end, in other chunks and on another connection.
    let twice: Vec<_> = rows.iter().flat_map(|row| [row.clone(), row.clone()]).chain(rows.clone()).collect();
    let pool = pool(&db, 2);
    let writer = BulkWriter::new(&pool).connections(2).rows_per_chunk(50).on_conflict(OnConflict::Skip);
    let report = writer.write(twice).unwrap();
    assert_eq!((report.received, report.written, report.skipped), (1_500, 500, 1_000));
    assert_eq!(count(&mut conn, "resource_metrics"), 500);
}

#[test]
fn a_request_that_was_judged_is_not_judged_again() {
    let (_db, mut conn, agent, customer) = ground(AgentType::Application);
    let judged = new_quality_metric(&agent, &customer, 0.5, 0);
    let again = NewQualityMetric { overall_quality_score: 0.9, ..judged.clone() };
    assert_eq!(ingest::insert_missing(&mut conn, std::slice::from_ref(&judged)).unwrap(), 1);
    assert_eq!(ingest::insert_missing(&mut conn, std::slice::from_ref(&again)).unwrap(), 0);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM quality_metrics WHERE overall_quality_score = 0.5"), 1);
    match ingest::copy(&mut conn, &[again]).unwrap_err() {
        Error::Ingest(ingest::Error::RowRefused { row: 1, source, .. }) => {
            assert!(source.to_string().contains("request_id"), "{source}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_retry_key_gives_rows_without_ids_the_same_ids_again() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let pool = pool(&db, 1);
    let rows: Vec<_> = (0..200).map(|minute| new_resource_metric(&agent, &customer, 1.0, minute)).collect();
    let write = |key: &str| {
        let writer = BulkWriter::new(&pool).on_conflict(OnConflict::Skip).retry_key(key).rows_per_chunk(30);
        writer.write(rows.clone()).unwrap().written
    };
    assert_eq!(write("usage.csv"), 200);
    assert_eq!(write("usage.csv"), 0);
    assert_eq!(write("other.csv"), 200);
    assert_eq!(count(&mut conn, "resource_metrics"), 400);
}

#[test]
fn many_calls_in_one_transaction_do_not_see_one_anothers_rows() {
    let (_db, mut conn, agent, customer) = ground(AgentType::Resource);
    let rows = samples(&agent, &customer, 30);
    let written: optiinfra_db::Result<_> = conn.transaction(|conn| {
        let mut written = Vec::new();
        for part in [&rows[..10], &rows[5..20], &rows[20..]] {
            written.push(ingest::insert_missing(conn, part)?);
        }
        written.push(ingest::copy(conn, &samples(&agent, &customer, 40)[30..])?);
        Ok(written)
    });
    assert_eq!(written.unwrap(), [10, 10, 10, 10]);
    assert_eq!(count(&mut conn, "resource_metrics"), 40);
}

#[test]
fn what_the_caller_rolls_back_is_gone_with_its_temporary_table() {
    let (_db, mut conn, agent, customer) = ground(AgentType::Resource);
    let rows = samples(&agent, &customer, 3);
    for _ in 0..2 {
        let undone = conn.transaction(|conn| {
            assert_eq!(ingest::insert_missing(conn, &rows)?, 3);
            Err::<(), _>(Error::Diesel(diesel::result::Error::RollbackTransaction))
        });
        assert!(undone.is_err());
        assert_eq!(count(&mut conn, "resource_metrics"), 0);
    }
    assert_eq!(ingest::insert_missing(&mut conn, &rows).unwrap(), 3);
}

#[test]
fn one_connection_writes_into_two_schemas() {
    let (one, mut conn, one_agent, one_customer) = ground(AgentType::Resource);
    conn.batch_execute("CREATE SCHEMA other").unwrap();
    let other = &mut connection::connect(&one.target().with("options", "-csearch_path=other"), "test").unwrap();
    Migrator::default().run(other, &Goal::Head).unwrap();
    let (other_agent, other_customer) = (agent(other, AgentType::Resource), customer(other));
    for (round, written) in [(0, [5, 6]), (1, [0, 0])] {
        let sides = [(one.schema(), &one_agent, &one_customer, 5), ("other", &other_agent, &other_customer, 6)];
        for ((schema, agent, customer, rows), expected) in sides.into_iter().zip(written) {
            conn.batch_execute(&format!("SET search_path = {schema}")).unwrap();
            let found = ingest::insert_missing(&mut conn, &samples(agent, customer, rows)).unwrap();
            assert_eq!(found, expected, "round {round}");
        }
    }
    assert_eq!(count(&mut one.conn(), "resource_metrics"), 5);
    assert_eq!(count(other, "resource_metrics"), 6);
}

// --- Rows that are refused ---

#[track_caller]
fn assert_row_refused(error: &Error, row: usize, id: Option<Uuid>, words: &str) -> u64 {
    match error {
        Error::Ingest(ingest::Error::RowRefused { row: found, id: of, written, source, .. }) => {
            assert_eq!(*found, u64::try_from(row).unwrap() + 1, "{error}: {source}");
            assert!(id.is_none_or(|id| id == *of), "{error}");
            assert!(source.to_string().contains(words), "{source}");
            *written
        }
        other => panic!("{other:?}"),
    }
}

/// Spoils a row in one of the ways that only the server sees, and returns what it says of it.
fn spoil(conn: &mut PgConnection, row: &mut NewResourceMetric, first_id: Uuid, way: usize) -> String {
    match way {
        0 => row.customer_id = Uuid::new_v4(),
        1 => {
            row.id = Some(first_id);
            return "resource_metrics_pkey".to_owned();
        }
        2 => row.metric_name = "x".repeat(101),
        3 => row.unit = "\0".to_owned(),
        4 => row.metadata = Some(json!({"text": "\u{0}"})),
        _ => row.timestamp = DateTime::<Utc>::MIN_UTC,
    }
    row.try_insert(conn).unwrap_err().to_string()
}

#[test]
fn the_row_that_the_server_refuses_is_named_wherever_it_stands() {
    let (db, mut conn, agent, customer) = ground_of(TestDb::plain(), AgentType::Resource);
    let pool = pool(&db, 2);
    // Both ends of chunks, their middle, the end of the input; the first row of all cannot repeat itself.
    for (at, way) in [1, 99, 100, 150, 199, 200, 449].into_iter().zip((0..6).cycle()) {
        for (connections, on_conflict) in [(1, OnConflict::Refuse), (2, OnConflict::Refuse), (1, OnConflict::Skip)] {
            conn.batch_execute("TRUNCATE resource_metrics").unwrap();
            let way = if on_conflict == OnConflict::Skip && way == 1 { 0 } else { way };
            let mut rows = samples(&agent, &customer, 450);
            let first_id = rows[0].id.unwrap();
            let words = spoil(&mut conn, &mut rows[at], first_id, way);
            let id = rows[at].id;
            let writer = BulkWriter::new(&pool).connections(connections).rows_per_chunk(100);
            let error = writer.on_conflict(on_conflict).write(rows).unwrap_err();
            let written = assert_row_refused(&error, at, id, &words);
            assert_eq!(count(&mut conn, "resource_metrics"), i64::try_from(written).unwrap(), "{error}");
            if connections == 1 {
                assert_eq!(written, u64::try_from(at / 100 * 100).unwrap(), "{error}");
            }
            // Whole chunks, but for the last, which has 50 rows.
            assert_eq!(written % 50, 0, "{error}");
        }
    }
}

#[test]
fn the_first_row_of_all_is_named_too() {
    let (_db, mut conn, agent, customer) = ground(AgentType::Resource);
    for way in [0, 2, 3, 4, 5] {
        for rows in [1, 20] {
            let mut rows = samples(&agent, &customer, rows);
            let words = spoil(&mut conn, &mut rows[0], Uuid::nil(), way);
            let id = rows[0].id;
            assert_row_refused(&ingest::copy(&mut conn, &rows).unwrap_err(), 0, id, &words);
            assert_row_refused(&ingest::insert_missing(&mut conn, &rows).unwrap_err(), 0, id, &words);
        }
    }
    assert_eq!(count(&mut conn, "resource_metrics"), 0);
}

#[test]
fn of_two_rows_with_one_id_the_second_is_refused() {
    let (_db, mut conn, agent, customer) = ground_of(TestDb::plain(), AgentType::Resource);
    let mut rows = samples(&agent, &customer, 1_000);
    rows[777].id = rows[333].id;
    let error = ingest::copy(&mut conn, &rows).unwrap_err();
    assert_row_refused(&error, 777, rows[333].id, "resource_metrics_pkey");
    assert!(error.to_string().contains("row 778"), "{error}");
    let mut judged: Vec<_> = (0..50).map(|_| new_quality_metric(&agent, &customer, 0.5, 0)).collect();
    judged[49].request_id = judged[0].request_id.clone();
    assert_row_refused(&ingest::copy(&mut conn, &judged).unwrap_err(), 49, None, "request_id");
}

#[test]
fn a_refusal_leaves_the_callers_transaction_as_it_was() {
    let (_db, mut conn, agent, customer) = ground(AgentType::Resource);
    let mut rows = samples(&agent, &customer, 10);
    conn.transaction(|conn| {
        ingest::copy(conn, &rows[..2])?;
        rows[5].customer_id = Uuid::new_v4();
        assert_row_refused(&ingest::copy(conn, &rows[2..]).unwrap_err(), 3, None, "customer_id");
        assert_row_refused(&ingest::insert_missing(conn, &rows).unwrap_err(), 5, None, "customer_id");
        ingest::copy(conn, &rows[8..])
    })
    .unwrap();
    assert_eq!(count(&mut conn, "resource_metrics"), 4);
}

#[test]
fn where_the_table_is_at_fault_no_row_is_blamed() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let rows = samples(&agent, &customer, 10);
    let reader = db.reader();
    let target = connection::Target::parse(&db.url_as(&reader.name)).unwrap();
    let pool = connection::pool(&target, "test").max_size(1).build().unwrap();
    match BulkWriter::new(&pool).write(rows.clone()).unwrap_err() {
        Error::Ingest(ingest::Error::ChunkFailed { first: 1, last: 10, written: 0, in_doubt: 0, source, .. }) => {
            let denied = server_says(&mut pool.get().unwrap(), "INSERT INTO resource_metrics DEFAULT VALUES");
            assert!(format!("{source:?}").contains(&denied), "{source:?}");
        }
        other => panic!("{other:?}"),
    }
    conn.batch_execute("ALTER TABLE resource_metrics RENAME TO elsewhere").unwrap();
    let error = ingest::copy(&mut conn, &rows).unwrap_err();
    let missing = server_says(&mut conn, "INSERT INTO resource_metrics DEFAULT VALUES");
    assert!(matches!(&error, Error::Query { source, .. } if source.to_string() == missing), "{error:?}");
}

// --- The pool ---

#[test]
fn a_busy_pool_slows_a_write_down_and_fails_it_only_where_no_connection_is_left() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let wait = std::time::Duration::from_millis(300);
    let pool = connection::pool(&db.target(), "test").max_size(2).timeout(wait).build().unwrap();
    let busy = pool.get().unwrap();
    let writer = BulkWriter::new(&pool).connections(2).rows_per_chunk(10);
    assert_eq!(writer.write(samples(&agent, &customer, 200)).unwrap().written, 200);
    assert_eq!(count(&mut conn, "resource_metrics"), 200);

    let busy = (busy, pool.get().unwrap());
    let error = BulkWriter::new(&pool).connections(2).write(samples(&agent, &customer, 200)).unwrap_err();
    let Error::Ingest(ingest::Error::ChunkFailed { first: 1, last: 200, written: 0, in_doubt: 0, source, .. }) = &error
    else {
        panic!("{error:?}")
    };
    assert!(matches!(**source, Error::Connection(connection::Error::Pool { .. })), "{error:?}");
    // Without a row no connection is needed.
    assert_eq!(BulkWriter::<NewResourceMetric>::new(&pool).write([]).unwrap().received, 0);
    drop(busy);
}

// --- The input ---

#[test]
fn an_error_of_the_input_ends_the_writing_and_comes_back() {
    #[derive(Debug)]
    enum Trouble {
        Input(usize),
        Database(#[expect(dead_code, reason = "for Debug")] Error),
    }
    impl From<Error> for Trouble {
        fn from(error: Error) -> Self {
            Self::Database(error)
        }
    }
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let rows = samples(&agent, &customer, 300).into_iter().enumerate();
    let input = rows.map(|(at, row)| if at == 250 { Err(Trouble::Input(at)) } else { Ok(row) });
    let mut written = 0;
    let pool = pool(&db, 1);
    let writer = BulkWriter::new(&pool).rows_per_chunk(100).progress(|progress| written = progress.written);
    assert!(matches!(writer.try_write(input), Err(Trouble::Input(250))));
    assert_eq!(count(&mut conn, "resource_metrics"), i64::try_from(written).unwrap());
    assert_eq!(written % 100, 0);
}

#[test]
fn a_panic_of_the_input_goes_on_and_nothing_hangs() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let pool = pool(&db, 2);
    for at in [0, 5, 150, 950] {
        let input = samples(&agent, &customer, 1_000).into_iter().enumerate();
        let input = input.map(|(place, row)| if place == at { panic!("the input") } else { row });
        let writer = BulkWriter::new(&pool).connections(2).rows_per_chunk(10).on_conflict(OnConflict::Skip);
        let caught = catch_unwind(AssertUnwindSafe(|| writer.write(input)));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"the input"));
        assert_eq!(count(&mut conn, "resource_metrics") % 10, 0);
    }
}

#[test]
fn a_cancelled_run_leaves_whole_chunks_and_says_how_many() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let pool = pool(&db, 2);
    let cancel = AtomicBool::new(false);
    let endless = (0..).map(|minute| new_resource_metric(&agent, &customer, 1.0, minute));
    let error = BulkWriter::new(&pool)
        .connections(2)
        .rows_per_chunk(50)
        .cancelled_by(&cancel)
        .progress(|progress| cancel.store(progress.chunks >= 5, Ordering::Relaxed))
        .write(endless)
        .unwrap_err();
    let Error::Ingest(ingest::Error::Cancelled { table: "resource_metrics", written, in_doubt: 0 }) = error else {
        panic!("{error:?}")
    };
    assert!((250..2_000).contains(&written), "{written}");
    assert_eq!(written % 50, 0);
    assert_eq!(count(&mut conn, "resource_metrics"), i64::try_from(written).unwrap());
    // The flag is still set: nothing is begun.
    let error = BulkWriter::new(&pool).cancelled_by(&cancel).write(samples(&agent, &customer, 10)).unwrap_err();
    assert!(matches!(error, Error::Ingest(ingest::Error::Cancelled { written: 0, .. })), "{error:?}");
}

// --- Other sessions ---

#[test]
fn a_chunk_that_loses_a_deadlock_is_written_again() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let rows = samples(&agent, &customer, 2);
    let pool = pool(&db, 1);
    let mut rival = db.conn();
    // The writer's patience ends first, so that it is the one to lose.
    rival.batch_execute("SET deadlock_timeout = '60s'; BEGIN").unwrap();
    diesel::insert_into(optiinfra_db::schema::resource_metrics::table).values(&rows[1]).execute(&mut rival).unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| BulkWriter::new(&pool).on_conflict(OnConflict::Skip).write(rows.clone()));
        let waits = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted \
                     AND a.application_name = 'test' AND l.locktype = 'transactionid' AND a.query LIKE 'INSERT%' \
                     AND pg_blocking_pids(a.pid) @> ARRAY[(SELECT pid FROM pg_stat_activity WHERE pid = {})]";
        let waits = waits.replace("{}", &number(&mut rival, "SELECT pg_backend_pid()::bigint").to_string());
        while number(&mut conn, &waits) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let first = diesel::insert_into(optiinfra_db::schema::resource_metrics::table).values(&rows[0]);
        assert_eq!(first.execute(&mut rival).unwrap(), 1);
        rival.batch_execute("COMMIT").unwrap();
        let report = writing.join().unwrap().unwrap();
        assert_eq!((report.written, report.skipped), (0, 2));
    });
    assert_eq!(count(&mut conn, "resource_metrics"), 2);
}

#[test]
fn a_chunk_that_is_refused_once_and_not_again_is_written() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    // A sequence is not rolled back, so the first try fails and no other.
    conn.batch_execute(
        "CREATE SEQUENCE tries; \
         CREATE FUNCTION refuse_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('tries') = 1 THEN RAISE EXCEPTION 'not now'; END IF; RETURN NULL; END $$; \
         CREATE TRIGGER refuse_once BEFORE INSERT ON resource_metrics EXECUTE FUNCTION refuse_once()",
    )
    .unwrap();
    let report = BulkWriter::new(&pool(&db, 1)).rows_per_chunk(100).write(samples(&agent, &customer, 200)).unwrap();
    assert_eq!((report.written, report.chunks), (200, 2));
    assert_eq!(count(&mut conn, "resource_metrics"), 200);
}

#[test]
fn rows_go_through_a_temporary_table_where_row_security_applies() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let other = crate::support::customer(&mut conn);
    let role = db.role();
    conn.batch_execute(&format!(
        "GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {schema} TO {role}",
        schema = db.schema(),
        role = role.name,
    ))
    .unwrap();
    let target = connection::Target::parse(&db.url_as(&role.name)).unwrap();
    let secured = connection::pool(&target, "test").max_size(2).build().unwrap();
    let rows = samples(&agent, &customer, 300);
    let write = |pool: &Pool, on_conflict, rows: &[NewResourceMetric]| {
        let writer = BulkWriter::new(pool).connections(2).rows_per_chunk(100).on_conflict(on_conflict);
        writer.for_customer(CustomerId::new(customer.id)).write(rows.to_vec())
    };

    let report = write(&secured, OnConflict::Refuse, &rows[..200]).unwrap();
    assert_eq!((report.written, report.through), (200, Some(Through::Staging)));
    let report = write(&secured, OnConflict::Skip, &rows).unwrap();
    assert_eq!((report.written, report.skipped), (100, 200));
    // Nothing is skipped that was not to be.
    let error = write(&secured, OnConflict::Refuse, &rows[250..]).unwrap_err();
    assert_row_refused(&error, 0, rows[250].id, "resource_metrics_pkey");
    // Nor does anything get past the policy.
    let mut foreign = samples(&agent, &customer, 400).split_off(300);
    foreign[42].customer_id = other.id;
    let denied = foreign[42].try_insert(&mut secured.get().unwrap()).unwrap_err().to_string();
    for on_conflict in [OnConflict::Refuse, OnConflict::Skip] {
        let error = write(&secured, on_conflict, &foreign).unwrap_err();
        assert_row_refused(&error, 42, foreign[42].id, &denied);
    }
    // A session that works for nobody writes nothing.
    let error = BulkWriter::new(&secured).write(foreign.clone()).unwrap_err();
    assert_row_refused(&error, 0, foreign[0].id, &denied);
    // The owner is not subject to it.
    let report = write(&pool(&db, 2), OnConflict::Refuse, &foreign).unwrap();
    assert_eq!((report.written, report.through), (100, Some(Through::Copy)));
}

#[test]
fn a_session_may_change_its_role_between_two_writes() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let roles = [db.role(), db.role()];
    for role in &roles {
        let grants = format!(
            "GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {schema} TO {role}",
            schema = db.schema(),
            role = role.name,
        );
        conn.batch_execute(&grants).unwrap();
    }
    let rows = samples(&agent, &customer, 30);
    for (role, part) in roles.iter().zip(rows.chunks(15)) {
        conn.batch_execute(&format!("SET ROLE {}; SET app.customer_id = '{}'", role.name, customer.id)).unwrap();
        assert_eq!(ingest::insert_missing(&mut conn, part).unwrap(), 15);
        // Twice in one transaction, so that the table has to be emptied.
        let again = conn.transaction(|conn| {
            assert_eq!(ingest::insert_missing(conn, part)?, 0);
            ingest::insert_missing(conn, part)
        });
        assert_eq!(again.unwrap(), 0);
    }
    conn.batch_execute("RESET ROLE; DISCARD TEMP").unwrap();
    assert_eq!(count(&mut conn, "resource_metrics"), 30);
}
