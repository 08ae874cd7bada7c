//! `migrate new --diff`: the SQL of a migration, from a database that somebody has changed.

use std::fs;

use diesel::connection::SimpleConnection;
use optiinfra_db::catalog::{self, Catalog};
use optiinfra_db::verify;

use crate::support::{Dbctl, TestDb};

/// As developers change a database.
const CHANGES: &str = "
    CREATE TYPE \"odd Type\" AS ENUM ('it''s', 'b');
    COMMENT ON TYPE \"odd Type\" IS 'A new one.';
    CREATE TABLE regions (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        customer_id uuid NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
        parent uuid,
        \"order\" integer NOT NULL CHECK (\"order\" > 0),
        kind \"odd Type\" NOT NULL DEFAULT 'b',
        UNIQUE (customer_id, \"order\")
    );
    ALTER TABLE regions ADD FOREIGN KEY (parent) REFERENCES regions (id);
    ALTER TABLE regions ENABLE ROW LEVEL SECURITY;
    CREATE POLICY tenant_isolation ON regions USING (customer_id = current_setting('app.customer_id')::uuid);
    CREATE INDEX regions_of_kind ON regions (kind) WHERE parent IS NOT NULL;
    COMMENT ON TABLE regions IS 'Where it''s at.';
    COMMENT ON COLUMN regions.\"order\" IS 'A back\\slash.';
    ALTER TABLE customers ADD COLUMN zone text, ADD COLUMN area varchar(20) NOT NULL DEFAULT 'x';
    ALTER TABLE customers ALTER COLUMN name TYPE varchar(300), ALTER COLUMN name SET DEFAULT 'nobody';
    ALTER TABLE events ALTER COLUMN event_type DROP NOT NULL;
    ALTER TABLE customers ADD CONSTRAINT customers_zone CHECK (zone <> '') NOT VALID;
    DROP INDEX idx_event_type;
    CREATE UNIQUE INDEX customers_area ON customers (area);
    ALTER TABLE events DISABLE ROW LEVEL SECURITY;
    CREATE FUNCTION next_order(of uuid) RETURNS integer LANGUAGE sql STABLE AS 'SELECT 1';
    CREATE OR REPLACE TRIGGER regions_order BEFORE UPDATE ON regions FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
    COMMENT ON COLUMN customers.name IS 'Another text.'";

fn read(db: &TestDb) -> Catalog {
    catalog::read(&mut db.conn()).unwrap()
}

#[track_caller]
fn assert_same(expected: &Catalog, found: &Catalog, sql: &str) {
    let differences: Vec<_> =
        expected.differences(found).iter().map(|it| format!("{}: {it}", it.entry().name())).collect();
    assert_eq!(differences, [""; 0], "{sql}");
}

#[test]
fn what_is_proposed_makes_the_changed_schema_and_takes_it_back() {
    let (changed, other) = (TestDb::plain(), TestDb::plain());
    let before = read(&other);
    changed.conn().batch_execute(CHANGES).unwrap();
    let proposal = verify::propose(&mut changed.conn()).unwrap();
    assert!(!proposal.up.contains("by hand") && !proposal.down.contains("by hand"), "{proposal:#?}");
    other
        .conn()
        .batch_execute(&format!("BEGIN; {} COMMIT", proposal.up))
        .unwrap_or_else(|error| panic!("{error}\n{}", proposal.up));
    assert_same(&read(&changed), &read(&other), &proposal.up);
    other
        .conn()
        .batch_execute(&format!("BEGIN; {} COMMIT", proposal.down))
        .unwrap_or_else(|error| panic!("{error}\n{}", proposal.down));
    assert_same(&before, &read(&other), &proposal.down);
    // The same from a database of which nothing is to be proposed.
    assert_eq!(verify::propose(&mut other.conn()).unwrap(), verify::Proposal::default());
}

#[test]
fn what_no_statement_does_is_said() {
    let db = TestDb::plain();
    db.conn()
        .batch_execute("ALTER TYPE agenttype ADD VALUE 'new' BEFORE 'cost'; CREATE VIEW seen AS SELECT 1 AS one")
        .unwrap();
    let proposal = verify::propose(&mut db.conn()).unwrap();
    assert!(proposal.up.contains("ALTER TYPE agenttype ADD VALUE 'new'"), "{proposal:#?}");
    assert!(
        proposal.up.contains("-- by hand: table seen") && proposal.down.contains("-- by hand: enum agenttype"),
        "{proposal:#?}"
    );
}

#[test]
fn a_new_migration_holds_what_was_changed_and_is_refused_where_nothing_was() {
    let db = TestDb::migrated();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("migrations/2025-10-19-120000_core_schema")).unwrap();
    let run = |arguments: &str| Dbctl::on(&db).dir(dir.path()).run(arguments);
    let nothing = run("migrate new add_zone --diff");
    assert!(nothing.code == Some(2) && nothing.stderr.contains("is what the migrations make of it"), "{nothing:#?}");
    db.conn().batch_execute("ALTER TABLE customers ADD COLUMN zone text").unwrap();
    let made = run("migrate new add_zone --diff --format json").json();
    for (at, sql) in
        [(0, "ALTER TABLE customers ADD COLUMN \"zone\" text;\n"), (1, "ALTER TABLE customers DROP COLUMN \"zone\";\n")]
    {
        let file = fs::read_to_string(dir.path().join(made["files"][at].as_str().unwrap())).unwrap();
        assert!(file.ends_with(&format!("SET LOCAL lock_timeout = '5s';\n\n{sql}")), "{file}");
    }
    let behind = Dbctl::on(&TestDb::empty()).dir(dir.path()).run("migrate new other --diff");
    assert!(behind.code == Some(2) && behind.stderr.contains("run `optiinfra-dbctl migrate`"), "{behind:#?}");
    assert_eq!(fs::read_dir(dir.path().join("migrations")).unwrap().count(), 2);
}
