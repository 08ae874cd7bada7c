//! Rules that hold for all tables, and lists in the code against the database, in both directions.

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use optiinfra_db::catalog::{self, Catalog, DataType, Difference, Entry, Kind, Rule};
use optiinfra_db::enums;
use optiinfra_db::layer::{self, Layer};
use optiinfra_db::migrate::{EMBEDDED, Goal, Migration, Migrator};
use optiinfra_db::seed;
use serde_json::Value;

use crate::support::{TestDb, number};

/// The tables that will be partitioned and distributed.
const HOT: [&str; 3] = ["agent_metrics", "quality_metrics", "resource_metrics"];

/// The first column, a text named `name`, of a query's rows.
fn names(conn: &mut PgConnection, query: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let rows: Vec<Row> = diesel::sql_query(query).load(conn).unwrap_or_else(|error| panic!("{query}: {error}"));
    rows.into_iter().map(|row| row.name).collect()
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[test]
fn the_layers_list_every_table_and_no_other() {
    let db = TestDb::empty().migrate();
    let mut conn = db.conn();
    let listed = sorted(layer::tables().map(|(_, table)| table.to_owned()).collect());
    let found = names(
        &mut conn,
        "SELECT tablename::text AS name FROM pg_tables
         WHERE schemaname = current_schema() AND tablename NOT LIKE '\\_\\_%' ORDER BY tablename COLLATE \"C\"",
    );
    assert_eq!(listed, found);
    assert_eq!(found.len(), 20);
}

#[test]
fn the_enums_list_every_type_with_its_labels_in_order_and_no_other() {
    let db = TestDb::empty().migrate();
    let mut conn = db.conn();
    let listed =
        sorted(enums::ALL.iter().map(|known| format!("{}: {}", known.name, known.labels.join(", "))).collect());
    let found = names(
        &mut conn,
        "SELECT t.typname || ': ' || string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) AS name
         FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
         WHERE t.typnamespace = current_schema()::regnamespace
         GROUP BY t.typname",
    );
    assert_eq!(listed, sorted(found));
    assert_eq!(listed.len(), 22);
}

#[test]
fn every_foreign_key_has_an_index_that_begins_with_its_columns() {
    let db = TestDb::empty().migrate();
    let mut conn = db.conn();
    let total = number(
        &mut conn,
        "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace",
    );
    assert_eq!(total, 33);
    let without = names(
        &mut conn,
        "SELECT conname::text AS name FROM pg_constraint c
         WHERE c.contype = 'f' AND c.connamespace = current_schema()::regnamespace AND NOT EXISTS (
             SELECT FROM pg_index i
             WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL
               AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)",
    );
    assert_eq!(without, [""; 0]);
}

#[test]
fn every_table_has_a_uuid_primary_key_called_id_with_a_default() {
    let catalog = catalog::read(&mut TestDb::empty().migrate().conn()).unwrap();
    for (_, table) in layer::tables() {
        let id = catalog.column(table, "id").unwrap();
        assert_eq!(id.to_string(), "uuid NOT NULL DEFAULT gen_random_uuid()", "{table}");
        let of_table = catalog.constraints().filter(|constraint| constraint.table == table);
        let keys: Vec<_> = of_table.filter(|key| matches!(key.rule, Rule::PrimaryKey(_))).collect();
        assert_eq!(keys.len(), 1, "{table}");
        assert_eq!(keys[0].rule, Rule::PrimaryKey(vec!["id".to_owned()]), "{table}");
    }
}

#[test]
fn every_time_is_stored_with_its_zone() {
    let catalog = catalog::read(&mut TestDb::empty().migrate().conn()).unwrap();
    let times = |catalog: &Catalog, of: DataType| catalog.columns().filter(|column| column.data_type == of).count();
    assert_eq!(times(&catalog, DataType::TimestampWithoutZone), 0);
    // Every timestamp of the deployed schema, naive or not, and three of each table of sums.
    let deployed = deployed_schema().iter().filter(|line| line.contains("\ttimestamp ")).count();
    assert_eq!(times(&catalog, DataType::TimestampWithZone), deployed + 2 * 3);
}

#[test]
fn no_foreign_key_points_at_a_hot_table() {
    let catalog = catalog::read(&mut TestDb::empty().migrate().conn()).unwrap();
    for (constraint, key) in catalog.foreign_keys() {
        assert!(!HOT.contains(&key.references.as_str()), "{}", constraint.name);
    }
    assert!(HOT.iter().all(|table| layer::Layer::of_table(table).is_some()));
}

#[test]
fn every_table_column_and_enum_type_is_described() {
    let catalog = catalog::read(&mut TestDb::empty().migrate().conn()).unwrap();
    let tables = catalog.tables().map(|table| (table.name.as_str(), None));
    let columns = catalog.columns().map(|column| (column.table.as_str(), Some(column.name.as_str())));
    let types = catalog.enums().map(|known| (known.name.as_str(), None));
    let undescribed = tables.chain(columns).chain(types).filter(|(of, column)| catalog.comment(of, *column).is_none());
    assert_eq!(undescribed.collect::<Vec<_>>(), []);
}

#[test]
fn every_table_with_updated_at_has_the_trigger_that_keeps_it_and_no_other_table_has() {
    let catalog = catalog::read(&mut TestDb::empty().migrate().conn()).unwrap();
    let with_column: Vec<_> =
        catalog.columns().filter(|column| column.name == "updated_at").map(|column| &column.table).collect();
    let with_trigger: Vec<_> = catalog.triggers().map(|trigger| &trigger.table).collect();
    assert_eq!(with_column, with_trigger);
    assert_eq!(with_trigger.len(), 12);
    assert!(catalog.triggers().all(|trigger| trigger.name == "set_updated_at"));
}

/// `catalog-005.json`, what the platform's databases hold at Alembic revision 005.
fn deployed_schema() -> Vec<String> {
    let json: Value = serde_json::from_str(include_str!("../data/catalog-005.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut lines = Vec::new();
    let mut add =
        |kind: Kind, object: String, definition: String| lines.push(format!("{kind}\t{object}\t{definition}"));
    for (name, labels) in json["enums"].as_object().unwrap() {
        let labels: Vec<_> = labels.as_array().unwrap().iter().map(text).collect();
        add(Kind::Enum, name.clone(), labels.join(", "));
    }
    for (table, facts) in json["tables"].as_object().unwrap() {
        add(Kind::Table, table.clone(), "table".to_owned());
        let columns = facts["columns"].as_array().unwrap();
        let order: Vec<_> = columns.iter().map(|column| text(&column["name"])).collect();
        add(Kind::ColumnOrder, table.clone(), order.join(", "));
        for column in columns {
            let nullability = if column["nullable"].as_bool().unwrap() { "" } else { " NOT NULL" };
            let default = column["default"].as_str().map(|text| format!(" DEFAULT {text}")).unwrap_or_default();
            let definition = format!("{}{nullability}{default}", text(&column["type"]));
            add(Kind::Column, format!("{table}.{}", text(&column["name"])), definition);
        }
        for (name, definition) in facts["constraints"].as_object().unwrap() {
            add(Kind::Constraint, format!("{table}.{name}"), text(definition));
        }
        for (name, definition) in facts["indexes"].as_object().unwrap() {
            add(Kind::Index, format!("{table}.{name}"), text(definition).replace(&format!("{table} USING "), ""));
        }
    }
    lines.sort();
    lines
}

#[test]
fn after_the_fifth_migration_the_catalogue_is_the_deployed_one() {
    let db = TestDb::empty();
    Migrator::default().set(&EMBEDDED[..5]).run(&mut db.conn(), &Goal::Head).unwrap();
    let (expected, found) = (deployed_schema(), catalog::read(&mut db.conn()).unwrap());
    let mut lines: Vec<_> = found.entries().iter().map(Entry::to_line).collect();
    lines.sort();
    assert_eq!(expected, lines);
    assert_eq!((found.tables().count(), found.enums().count(), found.indexes().count()), (18, 22, 143));
    assert_eq!(found.foreign_keys().count(), 31);
}

/// Applies the last migration of a set, reverts it and applies it again; what the way back did not restore.
fn not_restored(conn: &mut PgConnection, set: &[Migration]) -> Vec<Difference> {
    let name = set.last().unwrap().name;
    let before = catalog::read(conn).unwrap();
    Migrator::default().set(set).run(conn, &Goal::Head).unwrap();
    let after = catalog::read(conn).unwrap();
    assert_ne!(before, after, "{name} does nothing that the catalogue shows");

    Migrator::default().set(set).run(conn, &Goal::Back(1)).unwrap();
    let differences = before.differences(&catalog::read(conn).unwrap());
    if differences.is_empty() {
        Migrator::default().set(set).run(conn, &Goal::Head).unwrap();
        assert_eq!(catalog::read(conn).unwrap(), after, "up.sql of {name} a second time");
    }
    differences
}

#[test]
fn each_migration_up_down_and_up_again_leaves_the_catalogue_as_it_was() {
    let db = TestDb::empty();
    for upto in 1..=EMBEDDED.len() {
        assert_eq!(not_restored(&mut db.conn(), &EMBEDDED[..upto]), [], "down.sql of {}", EMBEDDED[upto - 1].name);
    }
}

#[test]
fn a_down_that_forgets_an_index_is_caught_by_name() {
    let db = TestDb::empty();
    let table = Migration {
        version: "00000000000001",
        name: "1_table",
        in_transaction: true,
        up: "CREATE TABLE t (a int)",
        down: "DROP TABLE t",
    };
    let forgetful = Migration {
        version: "00000000000002",
        name: "2_forgetful",
        up: "ALTER TABLE t ADD COLUMN b int; CREATE INDEX t_a ON t (a)",
        down: "ALTER TABLE t DROP COLUMN b",
        ..table
    };
    Migrator::default().set(&[table]).run(&mut db.conn(), &Goal::Head).unwrap();
    let differences = not_restored(&mut db.conn(), &[table, forgetful]);
    let names: Vec<_> = differences.iter().map(|difference| difference.entry().name()).collect();
    assert_eq!(names, ["t.t_a"]);
}

/// A fingerprint of the rows of every table of ours that is there.
fn fingerprints(conn: &mut PgConnection) -> Vec<(&'static str, i64)> {
    let there = catalog::read(conn).unwrap();
    let tables: Vec<_> = layer::tables().map(|(_, table)| table).filter(|table| there.table(table).is_some()).collect();
    let hash = "SELECT coalesce(sum(hashtextextended(t::text, 0)::numeric % 1000000007), 0)::bigint FROM";
    tables.into_iter().map(|table| (table, number(conn, &format!("{hash} {table} t")))).collect()
}

#[test]
fn no_row_changes_when_a_migration_goes_and_comes_back() {
    let db = TestDb::empty().migrate();
    let mut conn = db.conn();
    // Times without a zone are shown as they are, and those with one in the session's.
    conn.batch_execute("SET TimeZone = 'UTC'").unwrap();
    seed::run(&mut conn, &Layer::ALL, chrono::Utc::now()).unwrap();
    let at_head = fingerprints(&mut conn);
    for upto in (0..EMBEDDED.len()).rev() {
        Migrator::default().run(&mut conn, &Goal::Back(1)).unwrap();
        let below = fingerprints(&mut conn);
        Migrator::default().set(&EMBEDDED[..=upto]).run(&mut conn, &Goal::Head).unwrap();
        if upto >= 5 {
            let found = fingerprints(&mut conn);
            let expected = at_head.iter().filter(|(table, _)| found.iter().any(|(there, _)| there == table));
            assert!(found.iter().eq(expected), "{} up again: {found:?}", EMBEDDED[upto].name);
        }
        Migrator::default().set(&EMBEDDED[..=upto]).run(&mut conn, &Goal::Back(1)).unwrap();
        assert_eq!(fingerprints(&mut conn), below, "{} down again", EMBEDDED[upto].name);
    }
}

#[test]
fn reverting_everything_leaves_nothing_of_ours() {
    let db = TestDb::empty().migrate();
    let mut conn = db.conn();
    Migrator::default().run(&mut conn, &Goal::Nothing).unwrap();
    assert_eq!(catalog::read(&mut conn).unwrap(), Catalog::default());
    conn.batch_execute("DROP TABLE __diesel_schema_migrations, __optiinfra_migrations").unwrap();
    for (catalogue, namespace) in [
        ("pg_class", "relnamespace"),
        ("pg_type", "typnamespace"),
        ("pg_proc", "pronamespace"),
        ("pg_constraint", "connamespace"),
    ] {
        let left = format!("SELECT count(*) FROM {catalogue} WHERE {namespace} = current_schema()::regnamespace");
        assert_eq!(number(&mut conn, &left), 0, "{catalogue}");
    }
}
