//! From plain to partitioned.

use chrono::{TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use optiinfra_db::partitions::{self, Error, Goal, Period};

use super::{WEEKS, all, rows, run, run_steps, verify};
use crate::support::{TestDb, fingerprint, number, text};

#[test]
fn rows_and_objects_stay_and_verify_is_content() {
    let db = TestDb::plain_seeded_now();
    let before = rows(&mut db.conn());
    let plan = run(&db, &all(), WEEKS);
    assert!(!plan.is_empty());
    assert_eq!(rows(&mut db.conn()), before);
    verify(&db);
    assert!(run(&db, &all(), WEEKS).is_empty());
}

#[test]
fn an_enable_that_stops_after_any_step_is_finished_by_the_next_one() {
    let hot = &all()[3..];
    let done = TestDb::plain_seeded_now();
    let steps = run(&done, hot, WEEKS).tables[0].steps.len();
    let (after, shape) = (rows(&mut done.conn()), fingerprint(&mut done.conn()));
    assert!(steps > 6);
    for stop in 1..steps {
        let db = TestDb::plain_seeded_now();
        run_steps(&db, hot, WEEKS, stop);
        run(&db, hot, WEEKS);
        assert_eq!(rows(&mut db.conn()), after, "stopped after {stop}");
        assert_eq!(fingerprint(&mut db.conn()), shape, "stopped after {stop}");
    }
}

#[test]
fn an_index_that_an_interrupted_build_left_is_built_again() {
    let db = TestDb::plain_seeded_now();
    let mut conn = db.conn();
    conn.batch_execute(
        "CREATE UNIQUE INDEX events_pkey_first ON events (id, created_at);
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'events_pkey_first'::regclass",
    )
    .unwrap();
    run(&db, &all()[2..3], WEEKS);
    verify(&db);
}

#[test]
fn the_limit_of_an_old_interrupted_run_is_replaced() {
    let db = TestDb::plain_seeded_now();
    db.conn()
        .batch_execute(
            "ALTER TABLE events ADD CONSTRAINT events_until_20200106 CHECK (created_at < '2020-01-06') NOT VALID",
        )
        .unwrap();
    run(&db, &all()[2..3], WEEKS);
    verify(&db);
}

#[test]
fn what_belongs_to_a_table_goes_with_its_name() {
    let db = TestDb::plain_seeded_now();
    let (owner, reader) = (db.role(), db.role());
    let mut conn = db.conn();
    let setup = format!(
        "GRANT USAGE, CREATE ON SCHEMA {schema} TO {owner};
         ALTER TABLE resource_metrics OWNER TO {owner};
         GRANT SELECT ON resource_metrics TO {reader} WITH GRANT OPTION;
         GRANT UPDATE (unit, metadata) ON resource_metrics TO {reader};
         ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {reader};
         ALTER TABLE resource_metrics SET (autovacuum_vacuum_scale_factor = 0.01, toast.autovacuum_enabled = true);
         ALTER TABLE resource_metrics ALTER COLUMN instance_id SET STATISTICS 500;
         ALTER TABLE resource_metrics REPLICA IDENTITY FULL;
         CREATE INDEX \"odd Index\" ON resource_metrics (lower(instance_id)) WHERE unit <> 'x';
         ALTER TABLE resource_metrics ADD CONSTRAINT \"odd check\" CHECK (metric_value > -1e300) NOT VALID;
         CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER \"odd trigger\" BEFORE INSERT ON resource_metrics FOR EACH ROW EXECUTE FUNCTION quiet();
         ALTER TABLE resource_metrics DISABLE TRIGGER \"odd trigger\";
         CREATE PUBLICATION odd FOR TABLE resource_metrics",
        schema = db.schema(),
        owner = owner.name,
        reader = reader.name
    );
    conn.batch_execute(&setup).unwrap();
    let shape = fingerprint(&mut conn);
    let belongings = |conn: &mut diesel::PgConnection| {
        text(
            conn,
            "SELECT concat_ws(E'\\n', relowner::regrole, relacl, relreplident,
                 (SELECT string_agg(attname || attacl::text, ' ' ORDER BY attname) FROM pg_attribute
                  WHERE attrelid = c.oid AND attacl IS NOT NULL),
                 (SELECT string_agg(attname || attstattarget, ' ' ORDER BY attname) FROM pg_attribute
                  WHERE attrelid = c.oid AND attnum > 0),
                 (SELECT count(*) FROM pg_publication_rel WHERE prrelid = c.oid))
             FROM pg_class c WHERE oid = 'resource_metrics'::regclass",
        )
    };
    let before = belongings(&mut conn);
    let hot = &all()[..1];
    run(&db, hot, WEEKS);
    assert_eq!(belongings(&mut conn), before);
    let partitions = "SELECT count(*) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
        WHERE inhparent = 'resource_metrics'::regclass AND relowner = (SELECT relowner FROM pg_class WHERE oid = inhparent)
          AND relrowsecurity AND (relacl IS NULL OR cardinality(relacl) = 1) AND relreplident = 'f'
          AND reloptions = '{autovacuum_vacuum_scale_factor=0.01}'
          AND EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgname = 'odd trigger' AND tgenabled = 'D')
          AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attstattarget = 500)";
    assert_eq!(
        number(&mut conn, partitions),
        number(&mut conn, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'resource_metrics'::regclass")
    );
    run(&db, hot, Goal::Disabled);
    assert_eq!(belongings(&mut conn), before);
    assert_eq!(fingerprint(&mut conn), shape);
    conn.batch_execute("DROP PUBLICATION odd").unwrap();
}

#[test]
fn what_cannot_be_carried_over_is_named_and_nothing_is_changed() {
    let db = TestDb::plain_seeded_now();
    let mut conn = db.conn();
    let shape = fingerprint(&mut conn);
    for (planted, undone, named) in [
        ("CREATE VIEW newest AS SELECT max(created_at) FROM events", "DROP VIEW newest", "newest"),
        (
            "CREATE TABLE child (event uuid CONSTRAINT to_events REFERENCES events (id))",
            "DROP TABLE child",
            "to_events",
        ),
        (
            "CREATE UNIQUE INDEX odd ON events (event_type, id)",
            "DROP INDEX odd",
            "index odd would be unique within each partition only",
        ),
        (
            "ALTER TABLE events DROP CONSTRAINT events_agent_id_fkey;
             ALTER TABLE events ADD CONSTRAINT events_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES agents (id)
                 ON DELETE SET NULL NOT VALID",
            "ALTER TABLE events VALIDATE CONSTRAINT events_agent_id_fkey",
            "constraint events_agent_id_fkey is not validated",
        ),
    ] {
        conn.batch_execute(planted).unwrap();
        let refused = partitions::plan(&mut conn, &all()[2..3], WEEKS).unwrap_err();
        let optiinfra_db::Error::Partitions(Error::Obstacles { table: "events", obstacles }) = &refused else {
            panic!("{refused:?}")
        };
        assert!(obstacles.iter().any(|obstacle| obstacle.contains(named)), "{obstacles:?}");
        conn.batch_execute(undone).unwrap();
    }
    assert_eq!(fingerprint(&mut conn), shape);
}

#[test]
fn rows_from_the_far_future_are_named_and_years_of_the_past_are_taken() {
    let db = TestDb::plain_seeded_now();
    let mut conn = db.conn();
    conn.batch_execute(
        "UPDATE events SET created_at = 'infinity' WHERE id = (SELECT max(id::text)::uuid FROM events);
         UPDATE events SET created_at = '0001-01-01 00:00+00' WHERE id = (SELECT min(id::text)::uuid FROM events)",
    )
    .unwrap();
    let refused = partitions::plan(&mut conn, &all()[2..3], WEEKS).unwrap_err();
    assert!(
        matches!(&refused, optiinfra_db::Error::Partitions(Error::FutureRows { rows: 1, newest, .. }) if newest == "infinity"),
        "{refused:?}"
    );
    conn.batch_execute("UPDATE events SET created_at = now() + interval '20 days' WHERE created_at = 'infinity'")
        .unwrap();
    let before = rows(&mut conn);
    run(&db, &all()[2..3], WEEKS);
    assert_eq!(rows(&mut conn), before);
    let default = "SELECT count(*) FROM events_default";
    assert_eq!(number(&mut conn, default), 0);
    conn.batch_execute("UPDATE events SET created_at = 'infinity' WHERE created_at > now() + interval '10 days'")
        .unwrap();
    assert_eq!(number(&mut conn, default), 1);
}

#[test]
fn days_and_months_are_ready_in_utc_whatever_the_session_s_zone() {
    for (period, ahead) in [(Period::Day, 3), (Period::Month, 40)] {
        let db = TestDb::plain_seeded_now();
        let mut conn = db.conn();
        conn.batch_execute("SET TimeZone = 'America/New_York'").unwrap();
        let goal = Goal::Enabled { period, ahead: TimeDelta::days(ahead) };
        partitions::run(&mut conn, &all()[2..3], goal, std::time::Duration::from_secs(60), |_| ()).unwrap();
        let status = partitions::status(&mut db.conn(), &all()[2..3]).unwrap();
        assert_eq!(status[0].period, Some(period));
        let ready = status[0].ready_until.unwrap();
        assert!(ready > Utc::now() + TimeDelta::days(ahead) && ready.time() == chrono::NaiveTime::MIN, "{ready}");
        let other = Goal::Enabled { period: Period::Week, ahead: TimeDelta::days(1) };
        assert!(matches!(
            partitions::plan(&mut db.conn(), &all()[2..3], other),
            Err(optiinfra_db::Error::Partitions(Error::OtherPeriod { .. }))
        ));
    }
}
