//! To a cluster and back, in both shapes.

use optiinfra_db::catalog::{self, HOT_TABLES, contract};
use optiinfra_db::cluster::{self, Goal};
use optiinfra_db::partitions;
use std::time::Duration;

use super::{Db, ENABLED, citus};
use crate::partitions::WEEKS;

/// What the live catalog differs in from the contract in its own shape.
fn differences(db: &Db) -> Vec<String> {
    let live = catalog::read(&mut db.conn()).expect("the catalog");
    let differences = contract().in_shape_of(&live).differences(&live);
    differences.iter().map(|it| format!("{} {it}", it.entry().name())).collect()
}

fn round_trip(db: &Db) {
    let (rows, nothing) = (db.rows(), Vec::<String>::new());
    assert_eq!(differences(db), nothing);
    db.bring(ENABLED);
    assert_eq!((db.rows(), differences(db)), (rows.clone(), nothing.clone()));
    let live = catalog::read(&mut db.conn()).expect("the catalog");
    let by: Vec<_> = HOT_TABLES.iter().map(|hot| live.distribution(hot.name).unwrap().clone()).collect();
    assert!(by.iter().all(|it| it.shards == 8), "{by:?}");
    // Rows of one customer are on one node, whatever the table.
    assert!(by[0].colocation == by[2].colocation && by[2].colocation == by[3].colocation, "{by:?}");
    assert!(db.bring(ENABLED).is_empty());
    let status = cluster::status(&mut db.conn()).expect("the status");
    assert!(status.done && status.nodes.iter().all(|node| node.active), "{status:?}");
    assert!(status.tables.iter().all(|table| table.skew_percent.is_some_and(|skew| skew >= 100)), "{status:?}");
    // Nothing is left on the coordinator.
    let hidden = HOT_TABLES.map(|hot| db.text(&format!("pg_relation_size('{}')::text", hot.name)));
    assert_eq!(hidden, ["0", "0", "0", "0"]);
    db.bring(Goal::Disabled);
    assert_eq!((db.rows(), differences(db)), (rows, nothing));
    assert!(db.bring(Goal::Disabled).is_empty());
    assert_eq!(db.text("coalesce(to_regclass('__optiinfra_topology')::text, 'gone')"), "gone");
}

#[test]
fn plain_tables_go_to_a_cluster_and_come_back_with_the_same_rows() {
    let Some(citus) = citus() else { return };
    round_trip(&Db::seeded(citus));
}

#[test]
fn partitioned_tables_go_to_a_cluster_and_come_back_with_the_same_rows() {
    let Some(citus) = citus() else { return };
    let db = Db::seeded(citus);
    let tables: Vec<_> = HOT_TABLES.iter().collect();
    partitions::run(&mut db.conn(), &tables, WEEKS, Duration::from_secs(60), |_| ())
        .expect("the tables are partitioned");
    round_trip(&db);
}

#[test]
fn the_script_of_a_plan_does_what_a_run_does() {
    let Some(citus) = citus() else { return };
    let db = Db::seeded(citus);
    let rows = db.rows();
    for goal in [ENABLED, Goal::Disabled] {
        let script = cluster::plan(&mut db.conn(), goal).expect("a plan").script();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &script).unwrap();
        let psql = std::process::Command::new("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f"])
            .arg(file.path())
            .arg(db.url())
            .output()
            .expect("psql");
        assert!(psql.status.success(), "{}", String::from_utf8_lossy(&psql.stderr));
        assert!(cluster::plan(&mut db.conn(), goal).unwrap().is_empty());
        assert_eq!(db.rows(), rows);
    }
}

#[test]
fn rows_move_beside_writers_where_the_table_is_large() {
    let Some(citus) = citus() else { return };
    let db = Db::seeded(citus);
    // One row of a large size takes as much as many, and less time.
    db.execute(
        "ALTER TABLE events ALTER COLUMN data SET STORAGE EXTERNAL;
         INSERT INTO events (customer_id, event_type, data)
         SELECT c.id, 'large', jsonb_build_object('text', repeat('x', 5000000)) FROM customers c, generate_series(1, 3)",
    );
    let rows = db.rows();
    let plan = db.bring(ENABLED);
    let steps = plan.steps.tables.iter().flat_map(|table| &table.steps);
    let moved: Vec<_> = steps.filter(|step| step.does.starts_with("move the rows")).collect();
    let concurrently = moved.iter().filter(|step| step.statements[0].as_str().contains("concurrently"));
    assert_eq!((moved.len(), concurrently.count()), (4, 1));
    assert_eq!((db.rows(), differences(&db)), (rows, vec![]));
}
