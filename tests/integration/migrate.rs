//! Applying, reverting and looking: at the level of the library.

use optiinfra_db::migrate::{self, EMBEDDED};

use crate::support::TestDb;

#[test]
fn an_empty_schema_has_everything_pending_and_looking_creates_nothing() {
    let db = TestDb::empty();
    let status = migrate::status(&mut db.conn()).unwrap();
    assert_eq!(status.pending.len(), EMBEDDED.len());
    assert!(status.applied.is_empty() && status.unknown.is_empty());
    let relations = crate::support::number(
        &mut db.conn(),
        "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace",
    );
    assert_eq!(relations, 0);
}

#[test]
fn a_run_applies_everything_in_order_and_a_second_one_does_nothing() {
    let db = TestDb::empty();
    let first = migrate::ensure_current(&mut db.conn()).unwrap();
    let names: Vec<_> = first.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, EMBEDDED.iter().map(|migration| migration.name).collect::<Vec<_>>());
    assert_eq!(first.head.as_deref(), EMBEDDED.last().map(|migration| migration.name));
    let second = migrate::ensure_current(&mut db.conn()).unwrap();
    assert!(second.steps.is_empty());
    assert_eq!(second.head, first.head);
}
