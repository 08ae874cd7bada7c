//! Migrations of tables that are partitioned.

use diesel::connection::SimpleConnection;
use optiinfra_db::catalog::{self, Catalog};
use optiinfra_db::migrate::{self, EMBEDDED, Goal, Migrator};

use super::{WEEKS, all, rows, run, verify};
use crate::plan_scripts::psql;
use crate::support::{Dbctl, TestDb, number};

fn go(db: &TestDb, goal: &Goal) {
    Migrator::default().run(&mut db.conn(), goal).unwrap();
}

/// The names of the partitions' own indexes are left out: they do not matter.
fn shape_of(db: &TestDb) -> Catalog {
    catalog::read(&mut db.conn()).unwrap()
}

#[test]
fn indexes_come_and_go_partition_by_partition_as_a_run_and_as_a_script() {
    let db = TestDb::plain_seeded_now();
    run(&db, &all()[..3], WEEKS);
    let (before, shape) = (rows(&mut db.conn()), shape_of(&db));
    go(&db, &Goal::Redo(4));
    assert_eq!(shape_of(&db), shape);
    go(&db, &Goal::Back(4));
    let plan = Dbctl::on(&db).run("migrate plan").stdout;
    assert!(plan.contains("ON ONLY resource_metrics") && plan.contains("ATTACH PARTITION"), "{plan}");
    psql(&db, &plan);
    assert_eq!(shape_of(&db), shape);
    assert_eq!(rows(&mut db.conn()), before);
    verify(&db);
}

#[test]
fn a_build_that_was_interrupted_on_a_partition_is_finished() {
    let db = TestDb::plain_seeded_now();
    run(&db, &all()[..1], WEEKS);
    let shape = shape_of(&db);
    go(&db, &Goal::Back(2));
    db.conn()
        .batch_execute(
            "CREATE INDEX ix_resource_metrics_customer_gpu_timestamp ON ONLY resource_metrics (customer_id, \"timestamp\")
                 WHERE resource_type = 'gpu';
             CREATE INDEX ix_resource_metrics_customer_gpu_timestamp_first ON resource_metrics_first
                 (customer_id, \"timestamp\") WHERE resource_type = 'gpu';
             CREATE INDEX ix_resource_metrics_customer_gpu_timestamp_default ON resource_metrics_default
                 (customer_id, \"timestamp\") WHERE resource_type = 'gpu';
             UPDATE pg_index SET indisvalid = false
             WHERE indexrelid = 'ix_resource_metrics_customer_gpu_timestamp_default'::regclass",
        )
        .unwrap();
    go(&db, &Goal::Head);
    assert_eq!(shape_of(&db), shape);
    verify(&db);
}

#[test]
fn everything_can_be_reverted_and_a_partitioned_database_is_current() {
    let db = TestDb::plain_seeded_now();
    run(&db, &all()[..3], WEEKS);
    assert!(migrate::status(&mut db.conn()).unwrap().is_current());
    go(&db, &Goal::Nothing);
    assert_eq!(
        number(
            &mut db.conn(),
            "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relispartition"
        ),
        0
    );
    go(&db, &Goal::Version(EMBEDDED[EMBEDDED.len() - 1].version.to_owned()));
    verify(&db);
}
