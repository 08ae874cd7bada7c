//! Faults on the nodes of a cluster, and what `verify` says of them.

use optiinfra_db::stats;
use optiinfra_db::verify::{self, Options};

use super::{Db, ENABLED, citus, own_citus};

/// The findings of the checks of the cluster.
fn findings(db: &Db) -> Vec<String> {
    let report = verify::run(&mut db.conn(), &Options { limit: std::time::Duration::ZERO, ..Options::default() });
    let checks = report.expect("a report").checks.into_iter();
    checks.flat_map(|check| check.findings.into_iter().map(move |it| format!("{}: {it}", check.id))).collect()
}

/// The part of a table on the first worker.
fn shard(db: &Db, table: &str) -> String {
    let number = format!(
        "(SELECT min(shardid)::text FROM pg_dist_shard JOIN pg_dist_placement USING (shardid)
          JOIN pg_dist_node USING (groupid) WHERE logicalrelid = '{table}'::regclass AND nodeport = {})",
        db.citus.port_of(1)
    );
    format!("{}_{}", table, db.text(&number))
}

#[test]
fn every_fault_of_a_part_is_found_and_nothing_else() {
    let Some(citus) = citus() else { return };
    let db = Db::seeded(citus);
    db.bring(ENABLED);
    assert_eq!(findings(&db), Vec::<String>::new());
    let on_worker = |statement: String| {
        let may = "SET citus.enable_manual_changes_to_shards = on; SET citus.enable_ddl_propagation = off;
                   SET search_path = optiinfra_test";
        citus.execute(1, &db.name, &format!("{may}; {statement}"));
    };
    let part = |table| shard(&db, table);
    let (events, metrics, answers) = (part("events"), part("resource_metrics"), part("quality_metrics"));
    let number = |name: &str| name.rsplit_once('_').unwrap().1.to_owned();
    for (plant, undo, said) in [
        (
            format!("ALTER TABLE {events} DISABLE ROW LEVEL SECURITY"),
            format!("ALTER TABLE {events} ENABLE ROW LEVEL SECURITY"),
            "lacks row security",
        ),
        (
            format!("ALTER POLICY tenant_isolation ON {metrics} RENAME TO another"),
            format!("ALTER POLICY another ON {metrics} RENAME TO tenant_isolation"),
            "lacks policy tenant_isolation",
        ),
        (
            format!("DROP INDEX idx_event_type_{}", number(&events)),
            format!("CREATE INDEX idx_event_type_{} ON {events} (event_type)", number(&events)),
            "lacks index btree (event_type)",
        ),
        (
            format!(
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_event_type_{}'::regclass",
                number(&events)
            ),
            format!(
                "UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'idx_event_type_{}'::regclass",
                number(&events)
            ),
            "has index btree (event_type), invalid",
        ),
        (
            format!("ALTER TABLE {answers} ADD COLUMN extra integer"),
            format!("ALTER TABLE {answers} DROP COLUMN extra"),
            "has column extra integer",
        ),
        (
            format!("ALTER TABLE {events} RENAME TO hidden"),
            format!("ALTER TABLE hidden RENAME TO {events}"),
            "where it should be",
        ),
    ] {
        on_worker(plant.clone());
        let found = findings(&db);
        assert!(found.iter().any(|finding| finding.contains(said)), "{plant}: {found:#?}");
        on_worker(undo);
        assert_eq!(findings(&db), Vec::<String>::new(), "{plant}");
    }
    db.execute("INSERT INTO events (customer_id, event_type) VALUES (gen_random_uuid(), 'orphan')");
    let found = findings(&db);
    assert!(
        matches!(&found[..], [one] if one.starts_with("cluster.orphans.events: table events: 1 rows")),
        "{found:?}"
    );
}

#[test]
fn a_node_that_does_not_answer_is_named() {
    let Some(citus) = own_citus(54_530) else { return };
    let db = Db::migrated(citus);
    db.bring(ENABLED);
    citus.kill(2);
    let found = findings(&db);
    let stats = stats::run(&mut db.conn(), &stats::Options::default()).expect("a report");
    citus.revive(2);
    let port = citus.port_of(2).to_string();
    assert!(found.iter().any(|it| it.starts_with("cluster.nodes: node") && it.contains(&port)), "{found:#?}");
    let parts = stats.operations.shards.found().expect("the parts");
    assert!(parts.iter().any(|part| part.available) && parts.iter().any(|part| !part.available), "{parts:?}");
    let metrics = stats.tables.iter().find(|table| table.table == "resource_metrics").unwrap();
    assert!(metrics.rows.is_none() && metrics.skipped.is_some(), "{metrics:?}");
}
