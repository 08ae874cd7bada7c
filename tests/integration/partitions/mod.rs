//! Tables that become partitioned, are kept so, and become plain again.

mod bad_input;
mod disable;
mod enable;
mod faults;
mod kills;
mod maintain;
mod migrate;
mod questions;
mod scripts;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use diesel::connection::InstrumentationEvent;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use optiinfra_db::catalog::{HOT_TABLES, HotTable};
use optiinfra_db::partitions::{self, Goal, Period, Plan};
use optiinfra_db::verify::{Options, run as verify_with};

use crate::support::{TestDb, text};

/// Partitions by week for two weeks from now.
pub const WEEKS: Goal = Goal::Enabled { period: Period::Week, ahead: TimeDelta::days(14) };

pub fn all() -> Vec<&'static HotTable> {
    HOT_TABLES.iter().collect()
}

/// Brings tables to a goal.
pub fn run(db: &TestDb, tables: &[&'static HotTable], goal: Goal) -> Plan {
    partitions::run(&mut db.conn(), tables, goal, Duration::from_secs(60), |_| ()).expect("the goal is reached")
}

/// Does the first steps of a plan and no more, as a run that is killed after them.
pub fn run_steps(db: &TestDb, tables: &[&'static HotTable], goal: Goal, count: usize) {
    let mut conn = db.conn();
    let plan = partitions::plan(&mut conn, tables, goal).expect("a plan");
    for step in plan.tables.iter().flat_map(|table| &table.steps).take(count) {
        let run = |conn: &mut PgConnection| {
            step.statements
                .iter()
                .try_for_each(|sql| diesel::connection::SimpleConnection::batch_execute(conn, sql.as_str()))
        };
        let ran = if step.in_transaction { conn.transaction(run) } else { run(&mut conn) };
        ran.unwrap_or_else(|error| panic!("{step:#?}: {error}"));
    }
}

/// A database with every hot table partitioned.
pub fn partitioned(db: TestDb) -> TestDb {
    run(&db, &all(), WEEKS);
    db
}

/// The rows of the hot tables, in all their columns.
pub fn rows(conn: &mut PgConnection) -> Vec<String> {
    let of = |hot: &HotTable| {
        let query =
            format!("SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {} t", hot.name);
        text(conn, &query)
    };
    HOT_TABLES.iter().map(of).collect()
}

/// Makes `resource_metrics` one that pg_partman manages, as far as that is seen from here: its row in pg_extension and its
/// table.
pub fn pretend_partman(conn: &mut PgConnection) {
    let pretend = "CREATE SCHEMA partman;
         CREATE TABLE partman.part_config (parent_table text);
         INSERT INTO partman.part_config VALUES (current_schema() || '.resource_metrics');
         INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
         VALUES (99999, 'pg_partman', 10, 'partman'::regnamespace, false, '5')";
    diesel::connection::SimpleConnection::batch_execute(conn, pretend).expect("what looks like pg_partman");
}

/// How many statements a piece of work sends.
pub fn queries_of(conn: &mut PgConnection, work: impl FnOnce(&mut PgConnection)) -> usize {
    let queries = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&queries);
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if matches!(event, InstrumentationEvent::StartQuery { .. }) {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    });
    work(conn);
    queries.load(Ordering::Relaxed)
}

/// Nothing is wrong with the database, whatever is tried.
#[track_caller]
pub fn verify(db: &TestDb) {
    let report = verify_with(&mut db.conn(), &Options { probes: true, ..Options::default() }).expect("verify runs");
    let failed: Vec<_> = report.checks.iter().filter(|check| !check.findings.is_empty()).collect();
    assert!(report.is_clean(), "{failed:#?}");
}
