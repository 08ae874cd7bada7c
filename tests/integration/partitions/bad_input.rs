//! Other sessions in the way, partitions made by hand, odd times and zones, databases of older versions, pg_partman itself.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use optiinfra_db::adopt;
use optiinfra_db::catalog::{self, HotTable};
use optiinfra_db::connection::{self, Target};
use optiinfra_db::migrate::{self, StartupPolicy};
use optiinfra_db::partitions::{self, Error, Event, Goal, LeftAlone, Period};

use super::{WEEKS, all, partitioned, rows, run, run_steps, verify};
use crate::adopt::alembic;
use crate::support::{Dbctl, Scratch, TestDb, figures, fingerprint, number, rounds, text, until, verified};

const fn maintained(days: i64) -> Goal {
    Goal::Maintained { ahead: TimeDelta::days(days) }
}

fn try_to(conn: &mut PgConnection, tables: &[&'static HotTable], goal: Goal, wait: u64) -> Result<usize, Error> {
    let blocked = AtomicUsize::new(0);
    let observer = |event: Event<'_>| {
        if matches!(event, Event::Blocked(_)) {
            blocked.fetch_add(1, Ordering::Relaxed);
        }
    };
    match partitions::run(conn, tables, goal, Duration::from_millis(wait), observer) {
        Ok(_) => Ok(blocked.into_inner()),
        Err(optiinfra_db::Error::Partitions(error)) => Err(error),
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn two_who_enable_or_disable_at_once_do_it_once() {
    let db = TestDb::plain_seeded_now();
    let (before, plain) = (rows(&mut db.conn()), fingerprint(&mut db.conn()));
    for goal in [WEEKS, Goal::Disabled] {
        let barrier = Barrier::new(2);
        let steps: usize = std::thread::scope(|scope| {
            let go = || {
                let mut conn = db.conn();
                barrier.wait();
                let plan = partitions::run(&mut conn, &all(), goal, Duration::from_secs(60), |_| ()).unwrap();
                plan.tables.iter().map(|table| table.steps.len()).sum::<usize>()
            };
            let runs = [scope.spawn(go), scope.spawn(go)];
            runs.into_iter().map(|run| run.join().unwrap()).sum()
        });
        assert!(steps > 20);
        assert_eq!(rows(&mut db.conn()), before);
        verify(&db);
    }
    assert_eq!(fingerprint(&mut db.conn()), plain);
}

#[test]
fn a_long_reader_is_waited_for_and_keeps_nobody_else_waiting() {
    let hot = &all()[..1];
    let db = TestDb::plain_seeded_now();
    let before = rows(&mut db.conn());
    for goal in [WEEKS, Goal::Disabled] {
        let mut reader = db.conn();
        reader.batch_execute("BEGIN; SELECT count(*) FROM resource_metrics").unwrap();
        let gave_up = try_to(&mut db.conn(), hot, goal, 2_000).unwrap_err();
        assert!(matches!(gave_up, Error::Locked { table: "resource_metrics", .. }), "{gave_up:?}");
        // Others are not behind it for longer than its lock_timeout, again and again.
        let (is_blocked, blocked) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let changing = scope.spawn(|| {
                let observer = |event: Event<'_>| {
                    if matches!(event, Event::Blocked(_)) {
                        is_blocked.send(()).unwrap();
                    }
                };
                partitions::run(&mut db.conn(), hot, goal, Duration::from_secs(120), observer).map(drop)
            });
            let mut other = db.conn();
            other.batch_execute("SET statement_timeout = '20s'").unwrap();
            for _ in 0..3 {
                blocked.recv().unwrap();
                other.batch_execute("SELECT count(*) FROM resource_metrics").unwrap();
                other.batch_execute("UPDATE resource_metrics SET unit = unit WHERE instance_id = 'nobody'").unwrap();
            }
            reader.batch_execute("COMMIT").unwrap();
            changing.join().unwrap().unwrap();
        });
        assert_eq!(rows(&mut db.conn()), before);
        verify(&db);
    }
}

#[test]
fn a_partition_made_by_hand_is_reported_and_left_alone() {
    let db = partitioned(TestDb::plain_seeded_now());
    let mut conn = db.conn();
    let role = db.role();
    let monday = text(&mut conn, "SELECT (date_trunc('week', now(), 'UTC') + interval '8 weeks')::text");
    let by_hand = format!(
        "CREATE TABLE odd PARTITION OF events
             FOR VALUES FROM ('{monday}'::timestamptz + interval '36 hours') TO ('{monday}'::timestamptz + interval '10 days');
         GRANT SELECT ON odd TO {}",
        role.name
    );
    conn.batch_execute(&by_hand).unwrap();
    let problems = || {
        let checks = verified(&db).checks.into_iter();
        checks.flat_map(|check| check.findings).map(|it| format!("{}: {}", it.object, it.problem)).collect::<Vec<_>>()
    };
    let found = problems();
    let is_found = |words: &str| found.iter().any(|it| it.contains(words));
    assert!(is_found("partition events.odd") && is_found("no row security") && is_found(&role.name), "{found:#?}");
    assert!(is_found("have no partition"), "{found:#?}");
    let odd = |conn: &mut PgConnection| {
        catalog::read(conn).unwrap().partitions("events").find(|it| it.name == "odd").unwrap().clone()
    };
    let before = odd(&mut conn);
    // Partitions are made around it, up to where it begins and from where it ends.
    run(&db, &all(), maintained(80));
    assert_eq!(odd(&mut conn), before);
    let live = catalog::read(&mut conn).unwrap();
    let gaps = live.gaps("events");
    assert!(matches!(gaps[..], [(Some(end), None)] if end > Utc::now() + TimeDelta::days(80)), "{gaps:?}");
    assert_eq!(live.ranges("events").iter().filter(|it| Period::of(&it.bounds).is_none()).count(), 4);
    let found = problems();
    assert!(!found.is_empty() && found.iter().all(|it| it.starts_with("partition events.odd: ")), "{found:#?}");
    let missing = verified(&db).checks.into_iter().flat_map(|check| check.findings).find_map(|it| it.fix).unwrap();
    missing.split("; ").for_each(|fix| conn.batch_execute(fix).unwrap());
    verify(&db);
}

#[test]
fn a_name_that_is_taken_stops_the_run_and_says_so() {
    let db = partitioned(TestDb::plain_seeded_now());
    let mut conn = db.conn();
    let plan = partitions::plan(&mut conn, &all()[2..3], maintained(30)).unwrap();
    let create = plan.tables[0].steps[0].statements[0].to_string();
    let name = create.split(' ').nth(2).unwrap().to_owned();
    conn.batch_execute(&format!("CREATE TABLE {name} (mine int)")).unwrap();
    let refused = Dbctl::on(&db).run("partitions maintain events --ahead 30d");
    assert_ne!(refused.code, Some(0), "{refused:#?}");
    assert!(refused.stderr.contains(name.trim_matches('"')), "{refused:#?}");
    conn.batch_execute(&format!("DROP TABLE {name}")).unwrap();
    run(&db, &all(), maintained(30));
    verify(&db);
}

#[test]
fn ten_years_the_year_one_and_infinity_are_in_partitions_and_come_back() {
    let db = TestDb::plain_seeded_now();
    let mut conn = db.conn();
    conn.batch_execute(
        "INSERT INTO events (customer_id, event_type, created_at)
         SELECT c.id, 'old', now() - n * interval '1 day' FROM (SELECT id FROM customers LIMIT 1) c, generate_series(1, 3650) n;
         INSERT INTO events (customer_id, event_type, created_at)
         SELECT c.id, 'odd', t FROM (SELECT id FROM customers LIMIT 1) c,
             (VALUES ('0001-01-01 00:00+00'::timestamptz), ('4713-01-01 BC'), ('-infinity')) t (t)",
    )
    .unwrap();
    run(&db, &all()[2..3], WEEKS);
    conn.batch_execute(
        "INSERT INTO events (customer_id, event_type, created_at)
         SELECT c.id, 'odd', t FROM (SELECT id FROM customers LIMIT 1) c,
             (VALUES ('infinity'::timestamptz), ('294276-12-31 23:59:59.999999+00'), ('-infinity')) t (t)",
    )
    .unwrap();
    let before = rows(&mut conn);
    assert_eq!(number(&mut conn, "SELECT count(*) FROM events_default"), 2);
    let plan = run(&db, &all()[2..3], maintained(60));
    assert_eq!(plan.tables[0].stay_in_default, 2);
    let check = verified(&db).check("partitions.events.default").unwrap().clone();
    assert!(check.findings[0].problem.ends_with("to infinity"), "{check:#?}");
    run(&db, &all()[2..3], Goal::Disabled);
    assert_eq!(rows(&mut conn), before);
}

#[test]
fn rows_at_the_bounds_are_in_the_partition_of_their_day_in_utc_in_every_zone() {
    let zones = ["America/New_York", "Pacific/Chatham", "Europe/Berlin", "Asia/Kolkata"];
    for zone in &zones[..rounds(2, zones.len())] {
        let db = TestDb::plain_seeded_now();
        let mut conn = db.conn();
        conn.batch_execute(&format!("SET TimeZone = '{zone}'")).unwrap();
        let goal = Goal::Enabled { period: Period::Day, ahead: TimeDelta::days(3) };
        partitions::run(&mut conn, &all()[2..3], goal, Duration::from_secs(60), |_| ()).unwrap();
        // A year of days, each with its first and last microsecond: through every change of the clock.
        conn.batch_execute(
            "INSERT INTO events (customer_id, event_type, created_at)
             SELECT c.id, 'edge', date_trunc('day', now(), 'UTC') + make_interval(hours => 24 * n) + edge.after
             FROM (SELECT id FROM customers LIMIT 1) c, generate_series(10, 375) n,
                 (VALUES (interval '0'), (interval '23:59:59.999999')) edge (after)",
        )
        .unwrap();
        partitions::run(&mut conn, &all()[2..3], maintained(380), Duration::from_secs(60), |_| ()).unwrap();
        assert_eq!(number(&mut conn, "SELECT count(*) FROM events_default"), 0, "{zone}");
        let days = "SELECT count(*) FROM (
                SELECT tableoid FROM events WHERE event_type = 'edge'
                GROUP BY tableoid HAVING count(*) = 2 AND count(DISTINCT (created_at AT TIME ZONE 'UTC')::date) = 1
                    AND tableoid::regclass::text LIKE '%events_' || to_char(min(created_at) AT TIME ZONE 'UTC', 'YYYYMMDD')
            ) day";
        assert_eq!(number(&mut conn, days), 366, "{zone}");
        assert!(partitions::plan(&mut conn, &all()[2..3], maintained(380)).unwrap().is_empty(), "{zone}");
        let status = partitions::status(&mut conn, &all()[2..3]).unwrap();
        assert_eq!(status[0].period, Some(Period::Day));
    }
}

#[test]
fn checks_of_partitions_are_skipped_where_the_schema_is_behind() {
    let db = partitioned(TestDb::plain_seeded_now());
    migrate::Migrator::default().run(&mut db.conn(), &migrate::Goal::Back(1)).unwrap();
    let report = verified(&db);
    let of_partitions: Vec<_> = report.checks.iter().filter(|check| check.id.starts_with("partitions.")).collect();
    assert_eq!(of_partitions.len(), 12);
    assert!(of_partitions.iter().all(|check| matches!(&check.outcome, optiinfra_db::verify::Outcome::Skipped { .. })));
}

#[test]
fn each_alembic_revision_is_adopted_partitioned_and_migrated_on() {
    for revision in 1..=adopt::REVISIONS.len() {
        let db = alembic(revision);
        let mut conn = db.conn();
        assert!(adopt::run(&mut conn, false).unwrap().adopted);
        let there = catalog::read(&mut conn).unwrap();
        let tables: Vec<_> = all().into_iter().filter(|hot| there.table(hot.name).is_some()).collect();
        let (later, now): (Vec<&HotTable>, Vec<&HotTable>) = tables.into_iter().partition(|hot| hot.only_by_name);
        for hot in &later {
            // The times of the application layer get their zone later.
            let refused = try_to(&mut conn, &[hot], WEEKS, 60_000).unwrap_err();
            assert!(
                matches!(&refused, Error::Obstacles { obstacles, .. } if obstacles[0].contains("no time zone")),
                "{refused:?}"
            );
        }
        run(&db, &now, WEEKS);
        migrate::ensure_current(&mut conn, &StartupPolicy::default()).unwrap();
        verify(&db);
        run(&db, &all(), WEEKS);
        verify(&db);
        run(&db, &all(), Goal::Disabled);
        assert_eq!(catalog::read(&mut conn).unwrap(), *catalog::contract(), "from revision {revision}");
    }
}

#[test]
fn a_service_that_starts_makes_partitions_and_starts_where_it_cannot() {
    let db = TestDb::plain_seeded_now();
    let policy = StartupPolicy { upkeep: Some(partitions::keep_ready), ..StartupPolicy::default() };
    migrate::ensure_current(&mut db.conn(), &policy).unwrap();
    assert!(partitions::status(&mut db.conn(), &all()).unwrap().iter().all(|table| !table.partitioned));
    run(&db, &all(), Goal::Enabled { period: Period::Day, ahead: TimeDelta::days(1) });
    let ready = |db: &TestDb| {
        let status = partitions::status(&mut db.conn(), &all()).unwrap();
        status.iter().all(|table| table.ready_until.unwrap() > Utc::now() + TimeDelta::days(14))
    };
    // A role that may only read cannot, and starts all the same.
    let reader = db.reader();
    let target = Target::parse(&db.url_as(&reader.name)).unwrap();
    let current = &mut connection::connect(&target, "test").unwrap();
    assert!(migrate::ensure_current(current, &policy).unwrap().steps.is_empty());
    assert!(!ready(&db));
    migrate::ensure_current(&mut db.conn(), &policy).unwrap();
    assert!(ready(&db));
    // With nothing to do it asks five times: two for the migrations, three for the partitions.
    assert_eq!(super::queries_of(current, |conn| drop(migrate::ensure_current(conn, &policy).unwrap())), 5);
}

#[test]
fn what_pg_partman_manages_is_left_to_it() {
    let db = TestDb::plain_seeded_now();
    let mut conn = db.conn();
    if number(&mut conn, "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_partman'") == 0 {
        let missing = "pg_partman is not among the server's extensions: `script/setup --tools` installs it on Debian";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        figures(&format!("skipped: {missing}"));
        return;
    }
    run(&db, &all(), WEEKS);
    let parent = format!("{}.events", db.schema());
    conn.batch_execute(
        "CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman; DROP TABLE events_first, events_default CASCADE",
    )
    .unwrap();
    let columns =
        "SELECT count(*) FROM information_schema.parameters p JOIN information_schema.routines r USING (specific_name)
        WHERE r.routine_name = 'create_parent' AND p.parameter_name = 'p_type' AND p.parameter_default LIKE '%range%'";
    let (kind, week) = if number(&mut conn, columns) == 1 { ("range", "1 week") } else { ("native", "weekly") };
    conn.batch_execute(&format!(
        "DO $$ DECLARE partition regclass; BEGIN
             FOR partition IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'events'::regclass
             LOOP EXECUTE format('DROP TABLE %s', partition); END LOOP;
         END $$;
         SELECT partman.create_parent('{parent}', 'created_at', p_type => '{kind}', p_interval => '{week}')"
    ))
    .unwrap();
    let before = fingerprint(&mut conn);
    let plan = run(&db, &all(), maintained(90));
    let events = plan.tables.iter().find(|table| table.table == "events").unwrap();
    assert_eq!((events.left_alone, events.steps.len()), (Some(LeftAlone::Partman), 0));
    assert!(plan.tables.iter().filter(|table| table.table != "events").all(|table| !table.steps.is_empty()));
    let of_events = |fingerprint: &str| -> Vec<String> {
        fingerprint.lines().filter(|line| line.contains("events")).map(str::to_owned).collect()
    };
    assert_eq!(of_events(&fingerprint(&mut conn)), of_events(&before));
    for refused in [WEEKS, Goal::Disabled] {
        assert!(matches!(try_to(&mut conn, &all()[2..3], refused, 60_000), Err(Error::Partman("events"))));
    }
    let status = Dbctl::on(&db).run("partitions status");
    assert!(status.stdout.contains("managed by pg_partman"), "{status:#?}");
}

#[test]
fn a_second_table_of_an_interrupted_disable_is_reported() {
    let db = partitioned(TestDb::plain_seeded_now());
    run_steps(&db, &all()[2..3], Goal::Disabled, 1);
    let report = verified(&db);
    let found: Vec<_> = report.checks.iter().flat_map(|check| &check.findings).map(|it| it.object.as_str()).collect();
    assert!(found.contains(&"table events_whole"), "{found:?}");
    run(&db, &all()[2..3], WEEKS);
    verify(&db);
}

#[test]
fn an_automatic_vacuum_gives_way() {
    let scratch = Scratch::new();
    scratch.cluster.start().unwrap();
    let mut conn = connection::connect(&scratch.cluster.target(), "test").unwrap();
    migrate::ensure_current(&mut conn, &StartupPolicy::default()).unwrap();
    // It begins at once, and would take hours.
    for setting in
        ["autovacuum_naptime = '1s'", "autovacuum_vacuum_cost_delay = '100ms'", "autovacuum_vacuum_cost_limit = 1"]
    {
        conn.batch_execute(&format!("ALTER SYSTEM SET {setting}")).unwrap();
    }
    conn.batch_execute("SELECT pg_reload_conf()").unwrap();
    conn.batch_execute(
        "INSERT INTO customers (name, email, api_key) VALUES ('c', 'c@example.com', 'key');
         INSERT INTO events (customer_id, event_type)
         SELECT id, 'e' || n FROM customers, generate_series(1, 50000) n;
         DELETE FROM events WHERE event_type LIKE '%1'",
    )
    .unwrap();
    let vacuumed = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'autovacuum: VACUUM%.events'";
    until("an automatic vacuum of events", Duration::from_secs(10), || number(&mut conn, vacuumed) > 0);
    try_to(&mut conn, &all()[2..3], WEEKS, 60_000).unwrap();
    assert!(partitions::status(&mut conn, &all()[2..3]).unwrap()[0].partitioned);
    until("an automatic vacuum of a partition", Duration::from_secs(10), || {
        let vacuumed = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'autovacuum: VACUUM%.events_first'";
        number(&mut conn, vacuumed) > 0
    });
    try_to(&mut conn, &all()[2..3], Goal::Disabled, 60_000).unwrap();
}
