//! What is wrong with a partitioned table is found, and said with what would fix it.

use diesel::connection::SimpleConnection;
use optiinfra_db::verify::{self, Finding};

use super::{partitioned, verify as verify_clean};
use crate::support::TestDb;

/// What `schema.contract` and the checks of partitions find, object by object.
fn found(db: &TestDb) -> Vec<Finding> {
    let report = verify::run(&mut db.conn(), &verify::Options::default()).unwrap();
    let is_asked = |id: &str| id == "schema.contract" || id.starts_with("partitions.");
    report.checks.into_iter().filter(|check| is_asked(&check.id)).flat_map(|check| check.findings).collect()
}

#[test]
fn every_planted_fault_is_found_and_its_fix_mends_it() {
    let db = partitioned(TestDb::plain_seeded_now());
    let role = db.role();
    assert_eq!(found(&db), []);
    let grant = format!("GRANT SELECT ON resource_metrics_first TO {}", role.name);
    let granted = format!("granted to {}", role.name);
    let cases: [(&str, &str, &str); 9] = [
        (&grant, "partition resource_metrics.resource_metrics_first", &granted),
        (
            "ALTER TABLE events_default DISABLE ROW LEVEL SECURITY",
            "partition events.events_default",
            "found DEFAULT, no row security",
        ),
        (
            "CREATE POLICY open ON resource_metrics_first USING (true)",
            "partition resource_metrics.resource_metrics_first",
            "policy open",
        ),
        (
            "DROP INDEX idx_event_type;
             CREATE INDEX idx_event_type ON ONLY events (event_type);
             CREATE INDEX only_there ON events_default (event_type);
             ALTER INDEX idx_event_type ATTACH PARTITION only_there",
            "partition events.events_first",
            "without index idx_event_type",
        ),
        ("DROP INDEX idx_event_type", "index events.idx_event_type", "missing"),
        ("DROP POLICY tenant_isolation ON events", "policy events.tenant_isolation", "missing"),
        (
            "ALTER TABLE events_first DISABLE TRIGGER ALL",
            "partition events.events_first",
            "disabled events_agent_id_fkey",
        ),
        (
            "ALTER TABLE events DROP CONSTRAINT events_agent_id_fkey",
            "constraint events.events_agent_id_fkey",
            "missing",
        ),
        ("ALTER TABLE events DISABLE ROW LEVEL SECURITY", "table events", "expected partitioned table"),
    ];
    for (fault, object, problem) in cases {
        db.conn().batch_execute(fault).unwrap();
        let findings = found(&db);
        let finding = findings.iter().find(|finding| finding.object == object && finding.problem.contains(problem));
        let finding = finding.unwrap_or_else(|| panic!("{fault}: {findings:#?}"));
        assert!(finding.fix.is_some(), "{finding:#?}");
        for statement in findings.iter().filter_map(|finding| finding.fix.as_ref()).flat_map(|fix| fix.split("; ")) {
            db.conn().batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        assert_eq!(found(&db), [], "{fault}");
    }
    verify_clean(&db);
}

#[test]
fn a_detached_partition_is_a_gap_and_a_table_too_many() {
    let db = partitioned(TestDb::plain_seeded_now());
    let mut conn = db.conn();
    let names: Vec<String> = optiinfra_db::catalog::read(&mut conn)
        .unwrap()
        .partitions("events")
        .map(|partition| partition.name.clone())
        .filter(|name| name.starts_with("events_2"))
        .collect();
    conn.batch_execute(&format!("ALTER TABLE events DETACH PARTITION {}", names[0])).unwrap();
    let findings = found(&db);
    assert!(
        findings.iter().any(|it| it.object == "table events" && it.problem.contains("have no partition")),
        "{findings:#?}"
    );
    let table = findings.iter().find(|it| it.object == format!("table {}", names[0])).unwrap();
    assert!(table.next_step.as_ref().unwrap().contains("ATTACH PARTITION"), "{table:#?}");
}

#[test]
fn no_partition_for_the_rows_to_come_and_rows_in_the_default_one_are_found() {
    let db = partitioned(TestDb::plain_seeded_now());
    let mut conn = db.conn();
    conn.batch_execute(
        "DO $$ DECLARE partition regclass; BEGIN
            FOR partition IN SELECT inhrelid FROM pg_inherits
                WHERE inhparent = 'events'::regclass AND inhrelid::regclass::text LIKE '%events\\_2%'
            LOOP EXECUTE format('DROP TABLE %s', partition); END LOOP;
        END $$;
        ALTER TABLE events DETACH PARTITION events_first;
        INSERT INTO events (customer_id, event_type, created_at)
        SELECT id, 'late', now() + interval '40 days' FROM customers LIMIT 1",
    )
    .unwrap();
    let problems: Vec<_> = found(&db).into_iter().map(|finding| finding.problem).collect();
    assert!(problems.iter().any(|problem| problem.ends_with("on have no partition")), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.starts_with("1 rows with times from")), "{problems:?}");
}

#[test]
fn an_id_and_a_request_that_are_there_twice_are_found() {
    let db = partitioned(TestDb::plain_seeded_now());
    db.conn()
        .batch_execute(
            "INSERT INTO quality_metrics
             SELECT (jsonb_populate_record(q, jsonb_build_object('timestamp', now() - interval '1 year'))).*
             FROM quality_metrics q LIMIT 1",
        )
        .unwrap();
    let problems: Vec<_> = found(&db).into_iter().map(|finding| finding.problem).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("1 values of id are there more than once: "), "{problems:?}");
    assert!(problems[1].starts_with("1 values of request_id are there more than once: "), "{problems:?}");
}
