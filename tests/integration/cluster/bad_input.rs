//! What a cluster may be in the way of, and who else may be there.

use std::time::Duration;

use optiinfra_db::cluster::{self, Goal};

use super::{Db, ENABLED, citus, own_citus};

#[test]
fn a_worker_that_is_down_is_named_before_anything_happens() {
    let Some(citus) = own_citus(54_510) else { return };
    let db = Db::seeded(citus);
    let rows = db.rows();
    citus.kill(2);
    let failed = db.dbctl().run("cluster enable");
    citus.revive(2);
    assert_eq!(failed.code, Some(2), "{failed:?}");
    assert!(failed.stderr.contains(&citus.port_of(2).to_string()), "{}", failed.stderr);
    assert_eq!(db.text("coalesce(to_regclass('__optiinfra_topology')::text, 'nothing')"), "nothing");
    db.bring(ENABLED);
    citus.kill(1);
    let failed = db.dbctl().run("cluster disable");
    citus.revive(1);
    assert_eq!(failed.code, Some(2), "{failed:?}");
    db.bring(Goal::Disabled);
    assert_eq!(db.rows(), rows);
}

#[test]
fn two_that_enable_at_once_do_it_once() {
    let Some(citus) = citus() else { return };
    let db = Db::seeded(citus);
    let rows = db.rows();
    let done: Vec<_> = std::thread::scope(|scope| {
        let runs = [0, 1].map(|_| scope.spawn(|| db.bring(ENABLED)));
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(done.iter().filter(|plan| plan.is_empty()).count(), 1);
    assert_eq!(db.rows(), rows);
}

#[test]
fn a_role_that_only_the_coordinator_has_keeps_its_rights() {
    let Some(citus) = citus() else { return };
    let db = Db::seeded(citus);
    let role = format!("only_here_{}", uuid::Uuid::new_v4().simple());
    db.execute(&format!(
        "SET citus.enable_create_role_propagation = off;
         CREATE ROLE {role};
         GRANT SELECT ON events, agent_metrics TO {role};"
    ));
    let may = format!("has_table_privilege('{role}', 'events', 'SELECT')::text");
    for goal in [ENABLED, Goal::Disabled] {
        db.bring(goal);
        assert_eq!(db.text(&may), "true", "{goal:?}");
    }
    db.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn a_table_that_was_distributed_by_hand_in_another_way_is_refused() {
    let Some(citus) = citus() else { return };
    let db = Db::migrated(citus);
    db.execute(
        "ALTER TABLE events DROP CONSTRAINT events_customer_id_fkey, DROP CONSTRAINT events_agent_id_fkey,
             DROP CONSTRAINT events_pkey;
         DROP POLICY tenant_isolation ON events;
         SELECT create_distributed_table('events', 'id')",
    );
    let refused = cluster::plan(&mut db.conn(), ENABLED).expect_err("refused");
    assert!(
        matches!(refused, optiinfra_db::Error::Cluster(cluster::Error::OtherShape { table: "events", .. })),
        "{refused}"
    );
    let rows = db.dbctl().run("cluster enable");
    assert!(rows.stderr.contains("SELECT undistribute_table('events')"), "{}", rows.stderr);
}

#[test]
fn a_reference_that_comes_by_hand_is_lost_by_name_and_put_back() {
    let Some(citus) = citus() else { return };
    let db = Db::seeded(citus);
    db.bring(ENABLED);
    // Changed by hand: a comment, a trigger, a policy.
    db.execute(
        "COMMENT ON TABLE events IS NULL;
         DROP TRIGGER hot_rows_of_customers ON customers;
         ALTER TABLE agents DISABLE TRIGGER hot_rows_of_agents",
    );
    let plan = db.bring(ENABLED);
    let steps: Vec<_> =
        plan.steps.tables.iter().flat_map(|table| &table.steps).map(|step| step.does.as_str()).collect();
    assert_eq!(steps.len(), 4, "{steps:?}");
    assert!(cluster::plan(&mut db.conn(), ENABLED).unwrap().is_empty());
}

#[test]
fn workers_are_added_shards_moved_and_a_customer_gets_its_own() {
    let Some(citus) = citus() else { return };
    let db = Db::seeded(citus);
    let mut conn = db.conn();
    db.execute(&format!("SELECT citus_remove_node('{}', {})", citus.host(), citus.port_of(2)));
    cluster::run(&mut conn, Goal::Enabled { shards: Some(4) }, Duration::from_secs(60), |_| ()).expect("enabled");
    let rows = db.rows();
    let (host, port) = (citus.host(), citus.port_of(2));
    let would = cluster::add_worker(&mut conn, &host, port, true).expect("a dry run");
    assert_eq!(would.statements.len(), 1);
    cluster::add_worker(&mut conn, &host, port, false).expect("the worker is added");
    assert!(cluster::add_worker(&mut conn, &host, port, false).unwrap().statements.is_empty());
    let would = cluster::rebalance(&mut conn, true, |_| ()).expect("a dry run");
    assert!(!would.moves.is_empty());
    let mut last = None;
    cluster::rebalance(&mut conn, false, |at| last = Some(at)).expect("the shards move");
    assert!(last.is_some_and(|at| at.done == at.of && at.of > 0), "{last:?}");
    assert!(cluster::rebalance(&mut conn, true, |_| ()).unwrap().moves.is_empty());
    let customer: uuid::Uuid = db.text("SELECT customer_id::text FROM events LIMIT 1").parse().unwrap();
    assert_eq!(cluster::isolate(&mut conn, customer, false).expect("isolated").statements.len(), 1);
    assert!(cluster::isolate(&mut conn, customer, false).unwrap().statements.is_empty());
    assert!(matches!(
        cluster::isolate(&mut conn, uuid::Uuid::nil(), false),
        Err(optiinfra_db::Error::Cluster(cluster::Error::NoCustomer(_)))
    ));
    let wrong = db.dbctl().run("cluster enable --shards 12");
    assert!(wrong.stderr.contains("pass --shards 4"), "{}", wrong.stderr);
    assert_eq!(db.rows(), rows);
    db.bring(Goal::Disabled);
    assert_eq!(db.rows(), rows);
}
