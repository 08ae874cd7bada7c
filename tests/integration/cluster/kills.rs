//! Runs that end anywhere are finished by the next one, and rows that are written meanwhile are all there.

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use nix::sys::signal::Signal;
use optiinfra_db::cluster::{self, Goal};

use super::{Db, ENABLED, citus, own_citus};
use crate::support::{Run, figures, rounds, signal};

/// Does the first steps of a plan and no more, as a run that is killed after them.
fn run_steps(db: &Db, goal: Goal, count: usize) {
    let mut conn = db.conn();
    let plan = cluster::plan(&mut conn, goal).expect("a plan");
    for step in plan.steps.tables.iter().flat_map(|table| &table.steps).take(count) {
        let run = |conn: &mut PgConnection| step.statements.iter().try_for_each(|sql| conn.batch_execute(sql.as_str()));
        let ran = if step.in_transaction { conn.transaction(run) } else { run(&mut conn) };
        ran.unwrap_or_else(|error| panic!("{step:#?}: {error}"));
    }
}

#[test]
fn a_run_that_ended_after_any_step_is_finished_or_undone_by_the_next() {
    let Some(citus) = citus() else { return };
    let db = Db::seeded(citus);
    let rows = db.rows();
    let steps = |goal| {
        let plan = cluster::plan(&mut db.conn(), goal).expect("a plan");
        plan.steps.tables.iter().map(|table| table.steps.len()).sum::<usize>()
    };
    let enable = steps(ENABLED);
    // Each step once, by turns finished and undone.
    for count in (1..enable).step_by(rounds(4, 1)) {
        run_steps(&db, ENABLED, count);
        if count % 3 == 0 {
            db.bring(ENABLED);
            assert_eq!(db.rows(), rows, "enabled after {count}");
            let disable = steps(Goal::Disabled);
            run_steps(&db, Goal::Disabled, count % disable);
        }
        db.bring(Goal::Disabled);
        assert_eq!(db.rows(), rows, "disabled after {count}");
        assert_eq!(steps(ENABLED), enable, "something is left after {count}");
    }
}

#[test]
fn an_index_that_was_not_finished_is_made_again() {
    let Some(citus) = citus() else { return };
    let db = Db::seeded(citus);
    run_steps(&db, ENABLED, 1);
    db.execute(
        "SET allow_system_table_mods = on;
         CREATE UNIQUE INDEX events_pkey_widened ON events (id, customer_id);
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'events_pkey_widened'::regclass",
    );
    db.bring(ENABLED);
    assert!(cluster::plan(&mut db.conn(), ENABLED).unwrap().is_empty());
}

#[test]
fn the_binary_killed_at_any_moment_leaves_what_the_next_one_finishes() {
    let Some(citus) = citus() else { return };
    let db = Db::seeded(citus);
    let rows = db.rows();
    let mut killed = 0;
    for (round, verb) in (0..rounds(8, 40)).zip(["enable", "enable", "disable", "disable"].into_iter().cycle()) {
        let child = db.dbctl().spawn(&format!("cluster {verb}"));
        std::thread::sleep(std::time::Duration::from_millis(150 + 337 * round as u64 % 2_500));
        signal(&child, Signal::SIGKILL);
        killed += usize::from(Run::of(child).code.is_none());
    }
    figures(&format!("{killed} kills of cluster enable and disable"));
    db.bring(ENABLED);
    assert_eq!(db.rows(), rows);
    db.bring(Goal::Disabled);
    assert_eq!(db.rows(), rows);
}

#[test]
fn nodes_that_die_during_a_change_leave_what_the_next_run_finishes() {
    let Some(citus) = own_citus(54_530) else { return };
    let db = Db::seeded(citus);
    let rows = db.rows();
    let mut failed = 0;
    for (round, (node, verb)) in
        [(0, "enable"), (1, "enable"), (2, "enable"), (0, "disable"), (1, "disable")].iter().enumerate()
    {
        let child = db.dbctl().spawn(&format!("cluster {verb}"));
        std::thread::sleep(std::time::Duration::from_millis(400 + 200 * round as u64));
        citus.kill(*node);
        let run = Run::of(child);
        citus.revive(*node);
        failed += usize::from(run.code != Some(0));
    }
    figures(&format!("{failed} of 5 changes failed because a node died"));
    db.bring(ENABLED);
    assert_eq!(db.rows(), rows);
    db.bring(Goal::Disabled);
    assert_eq!(db.rows(), rows);
}

#[test]
fn a_worker_that_dies_again_and_again_loses_no_row_of_an_import_and_doubles_none() {
    let Some(citus) = own_citus(54_520) else { return };
    let db = Db::seeded(citus);
    db.bring(ENABLED);
    let before: i64 = db.text("(SELECT count(*) FROM resource_metrics)::text").parse().unwrap();
    let agent = db.text("SELECT id::text FROM agents LIMIT 1");
    let customers: Vec<_> =
        (0..3).map(|n| db.text(&format!("SELECT id::text FROM customers ORDER BY id OFFSET {n} LIMIT 1"))).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut rows =
        String::from("id,agent_id,customer_id,instance_id,resource_type,metric_name,metric_value,unit,timestamp\n");
    const ROWS: usize = 60_000;
    for n in 0..ROWS {
        let (id, customer) = (uuid::Uuid::from_u128(n as u128 + 1), &customers[n % 3]);
        rows += &format!(
            "{id},{agent},{customer},i-{},gpu,utilization,{}.5,percent,2026-01-01T00:00:00Z\n",
            n % 50,
            n % 100
        );
    }
    std::fs::write(file.path(), rows).unwrap();
    let command = format!("import resource_metrics {} --on-conflict skip", file.path().display());
    let (kills, mut runs) = (rounds(4, 20), 0);
    for (kill, node) in (0..kills).zip([1, 2].into_iter().cycle()) {
        let child = db.dbctl().spawn(&command);
        std::thread::sleep(std::time::Duration::from_millis(100 + 97 * kill as u64 % 700));
        citus.kill(node);
        let run = Run::of(child);
        citus.revive(node);
        runs += usize::from(run.code == Some(0));
    }
    let last = db.dbctl().run(&command);
    assert_eq!(last.code, Some(0), "{last:?}");
    figures(&format!("{kills} times a worker died during an import, {runs} of these imports had ended"));
    let after: i64 = db.text("(SELECT count(*) FROM resource_metrics)::text").parse().unwrap();
    let ids = "(SELECT count(DISTINCT id) FROM resource_metrics WHERE \"timestamp\" = '2026-01-01T00:00:00Z')::text";
    assert_eq!(((after - before).to_string(), db.text(ids)), (ROWS.to_string(), ROWS.to_string()));
}
