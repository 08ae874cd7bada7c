//! Without Citus: what is planned and what is refused, where the catalog looks as Citus makes it.

use diesel::connection::SimpleConnection;
use optiinfra_db::cluster::{self, Error, Goal};

use super::ENABLED;
use crate::support::{Dbctl, TestDb};

/// A plain database at the head, in what looks like a cluster.
fn pretending(changes: &str) -> TestDb {
    let db = TestDb::plain();
    let script = format!("{}\n{changes}", include_str!("pretend.sql"));
    db.conn().batch_execute(&script).unwrap_or_else(|error| panic!("{changes}: {error}"));
    db
}

fn refused(db: &TestDb) -> Error {
    match cluster::plan(&mut db.conn(), ENABLED) {
        Err(optiinfra_db::Error::Cluster(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// The script of a plan without what the catalog says word for word.
fn shortened(script: &str) -> String {
    let keep = |line: &&str| !line.starts_with("ALTER POLICY") && !line.starts_with("COMMENT ON");
    script.lines().filter(keep).map(|line| line.to_owned() + "\n").collect()
}

#[test]
fn a_plan_is_this_script() {
    let db = pretending("");
    let plan = cluster::plan(&mut db.conn(), ENABLED).expect("a plan");
    let script = shortened(&plan.script()).replace(db.database(), "DATABASE");
    assert_same(&script, include_str!("plan.sql"));
    assert_eq!(plan.changes.len(), 18);
    let run = Dbctl::on(&db).run("cluster plan --format json");
    assert_eq!((run.json()["shards"].as_u64(), run.json()["workers"].as_u64()), (Some(8), Some(2)));
    assert!(cluster::plan(&mut db.conn(), Goal::Disabled).expect("a plan").is_empty());
}

fn assert_same(found: &str, expected: &str) {
    let differing = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(differing.is_none() && found.lines().count() == expected.lines().count(), "{differing:?}\n{found}");
}

#[test]
fn the_number_of_shards_follows_that_of_the_workers() {
    for (workers, shards) in [(1, 8), (3, 12), (4, 16), (9, 16), (20, 20)] {
        let db = pretending(&format!(
            "DELETE FROM pg_catalog.pg_dist_node WHERE groupid > 0;
             INSERT INTO pg_catalog.pg_dist_node
             SELECT n + 1, n, 'node' || n, 5432, 'primary', true, true, true, true FROM generate_series(1, {workers}) n"
        ));
        assert_eq!(cluster::plan(&mut db.conn(), ENABLED).expect("a plan").shards, shards, "{workers}");
    }
}

#[test]
fn a_cluster_that_is_not_fit_is_refused() {
    for (change, message) in [
        ("UPDATE pg_catalog.pg_dist_local_group SET groupid = 1", "this node is a worker"),
        ("DELETE FROM pg_catalog.pg_dist_node", "the coordinator is not among the nodes of the cluster"),
        (
            "DELETE FROM pg_catalog.pg_dist_node WHERE groupid = 0",
            "the coordinator is not among the nodes of the cluster",
        ),
        ("DELETE FROM pg_catalog.pg_dist_node WHERE groupid > 0", "the cluster has no worker"),
        (
            "UPDATE pg_catalog.pg_dist_node SET isactive = false WHERE groupid = 2",
            "nodes of the cluster are not ready: node2:5432 is not in use",
        ),
        (
            "UPDATE pg_catalog.pretended SET success = false, result = 'connection refused' WHERE nodeid = 3",
            "nodes of the cluster are not ready: node2:5432: connection refused",
        ),
        (
            "INSERT INTO pg_catalog.pretended_pairs VALUES ('node1', 5432, 'node2', 5432, false)",
            "nodes of the cluster are not ready: node1:5432 does not reach node2:5432",
        ),
        (
            "UPDATE pg_catalog.pretended SET result = 'Citus 12.1-1 on PostgreSQL 15' WHERE nodeid = 3",
            "the versions do not fit: node0:5432 has Citus 13.2-1 on PostgreSQL 15; node1:5432 has Citus 13.2-1 on \
             PostgreSQL 15; node2:5432 has Citus 12.1-1 on PostgreSQL 15",
        ),
    ] {
        let db = pretending(change);
        assert_eq!(refused(&db).to_string(), message, "{change}");
        let run = Dbctl::on(&db).run("cluster enable");
        assert!(run.code == Some(2) && run.stderr.contains("hint: "), "{run:?}");
    }
    assert!(matches!(refused(&TestDb::plain()), Error::NoExtension));
}

#[test]
fn what_belongs_to_somebody_else_is_not_cut_off() {
    for (theirs, obstacle) in [
        // What depends is described in the server's language.
        ("CREATE VIEW theirs AS SELECT * FROM events", " depends on events"),
        ("CREATE TABLE theirs (id uuid REFERENCES agent_metrics (id))", " depends on agent_metrics"),
        (
            "CREATE POLICY theirs ON events USING (agent_id IN (SELECT id FROM agents))",
            "policy theirs of events asks another table",
        ),
        ("CREATE UNIQUE INDEX theirs ON events (event_type)", "index theirs of events cannot be unique across nodes"),
        (
            "ALTER TABLE agent_metrics ADD CONSTRAINT theirs UNIQUE (metric_name)",
            "constraint theirs of agent_metrics cannot hold across nodes",
        ),
        (
            "ALTER TABLE quality_metrics ADD CONSTRAINT theirs FOREIGN KEY (agent_id) REFERENCES agents (id)",
            "constraint theirs of quality_metrics would be lost",
        ),
        (
            "CREATE TRIGGER theirs BEFORE UPDATE ON resource_metrics
             FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "trigger theirs of resource_metrics would not run on the workers",
        ),
    ] {
        let db = pretending(theirs);
        let error = refused(&db);
        let Error::Obstacles(obstacles) = &error else { panic!("{error}") };
        assert!(obstacles.len() == 1 && obstacles[0].ends_with(obstacle), "{theirs}: {obstacles:?}");
        assert!(obstacles[0].contains("theirs"), "{obstacles:?}");
    }
}

#[test]
fn a_database_behind_the_head_is_refused() {
    let db = pretending("DELETE FROM __diesel_schema_migrations WHERE version >= '20251025'");
    let refused = cluster::plan(&mut db.conn(), ENABLED).expect_err("refused");
    assert!(matches!(refused, optiinfra_db::Error::Migrate(optiinfra_db::migrate::Error::Behind { .. })), "{refused}");
}

#[test]
fn a_table_that_citus_keeps_in_another_way_is_refused() {
    for (partkey, colocation, found) in [("'id'", 7, "id"), ("NULL", 7, "a copy on each node")] {
        let db =
            pretending(&format!("INSERT INTO pg_catalog.pg_dist_partition VALUES ('events', {partkey}, {colocation})"));
        assert_eq!(refused(&db).to_string(), format!("events is distributed otherwise: {found}"));
    }
}
