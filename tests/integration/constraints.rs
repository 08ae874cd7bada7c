//! What the server refuses, removes and fills in, over all the tables at once and by what its catalogue says.
//!
//! What is peculiar to one table is tested with its layer.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::result::DatabaseErrorKind::{self, ForeignKeyViolation, NotNullViolation, UniqueViolation};
use diesel::result::Error;
use diesel::sql_types::{Array, Integer, Jsonb, Text, Uuid as SqlUuid};
use optiinfra_db::layer::{self, Layer};
use serde_json::Value;
use uuid::Uuid;

use crate::support::{Family, TestDb, assert_refused, assert_refused_saying, number, parse_new};

/// Table, column, table that it refers to, and what becomes of the row when that one is deleted.
const FOREIGN_KEYS: [(&str, &str, &str, &str); 33] = [
    ("events", "customer_id", "customers", "CASCADE"),
    ("events", "agent_id", "agents", "SET NULL"),
    ("recommendations", "customer_id", "customers", "CASCADE"),
    ("recommendations", "agent_id", "agents", "CASCADE"),
    ("approvals", "recommendation_id", "recommendations", "CASCADE"),
    ("optimizations", "recommendation_id", "recommendations", "CASCADE"),
    ("optimizations", "customer_id", "customers", "CASCADE"),
    ("optimizations", "agent_id", "agents", "CASCADE"),
    ("agent_configs", "agent_id", "agents", "CASCADE"),
    ("agent_states", "agent_id", "agents", "CASCADE"),
    ("agent_states", "current_workflow_id", "workflow_executions", "SET NULL"),
    ("agent_capabilities", "agent_id", "agents", "CASCADE"),
    ("agent_metrics", "agent_id", "agents", "CASCADE"),
    ("workflow_executions", "agent_id", "agents", "CASCADE"),
    ("workflow_executions", "customer_id", "customers", "CASCADE"),
    ("workflow_steps", "workflow_execution_id", "workflow_executions", "CASCADE"),
    ("workflow_artifacts", "workflow_execution_id", "workflow_executions", "CASCADE"),
    ("workflow_artifacts", "workflow_step_id", "workflow_steps", "CASCADE"),
    ("resource_metrics", "agent_id", "agents", "CASCADE"),
    ("resource_metrics", "customer_id", "customers", "CASCADE"),
    ("resource_metrics_hourly", "customer_id", "customers", "CASCADE"),
    ("scaling_events", "agent_id", "agents", "CASCADE"),
    ("scaling_events", "customer_id", "customers", "CASCADE"),
    ("scaling_events", "workflow_execution_id", "workflow_executions", "SET NULL"),
    ("quality_metrics", "agent_id", "agents", "CASCADE"),
    ("quality_metrics", "customer_id", "customers", "CASCADE"),
    ("quality_metrics_hourly", "customer_id", "customers", "CASCADE"),
    ("quality_baselines", "agent_id", "agents", "CASCADE"),
    ("quality_baselines", "customer_id", "customers", "CASCADE"),
    ("quality_regressions", "agent_id", "agents", "CASCADE"),
    ("quality_regressions", "customer_id", "customers", "CASCADE"),
    ("quality_regressions", "baseline_id", "quality_baselines", "CASCADE"),
    ("quality_regressions", "workflow_execution_id", "workflow_executions", "SET NULL"),
];

/// Table and columns of which no two rows have the same values, primary keys aside.
const UNIQUE: [(&str, &str); 9] = [
    ("customers", "email"),
    ("customers", "api_key"),
    ("agents", "type, name"),
    ("agent_configs", "agent_id, config_key"),
    ("agent_states", "agent_id"),
    ("agent_capabilities", "agent_id, capability_name"),
    ("resource_metrics_hourly", "customer_id, instance_id, resource_type, metric_name, unit, hour"),
    ("quality_metrics", "request_id"),
    ("quality_metrics_hourly", "customer_id, model_name, model_version, hour"),
];

/// How many foreign keys the tables of a layer have.
pub fn foreign_keys_of(layer: Layer) -> usize {
    FOREIGN_KEYS.iter().filter(|(table, ..)| layer.tables().contains(table)).count()
}

/// The id of a row of each table.
type Ids = BTreeMap<&'static str, Uuid>;

/// A database with two families, which have nothing to do with each other, and the ids of their rows.
fn two_families(db: TestDb) -> (TestDb, PgConnection, Ids, Ids) {
    let mut conn = db.conn();
    Family::new(&mut conn);
    let first = ids_but(&mut conn, &Ids::new());
    Family::new(&mut conn);
    let second = ids_but(&mut conn, &first);
    (db, conn, first, second)
}

/// The id of the one row in each table that is not among the known ones.
fn ids_but(conn: &mut PgConnection, known: &Ids) -> Ids {
    let mut id_of = |table: &str, but: Uuid| {
        diesel::select(diesel::dsl::sql::<SqlUuid>(&format!("(SELECT id FROM {table} WHERE id <> '{but}')")))
            .get_result(conn)
            .unwrap()
    };
    layer::tables().map(|(_, table)| (table, id_of(table, known.get(table).copied().unwrap_or_default()))).collect()
}

fn run(conn: &mut PgConnection, statement: &str) -> QueryResult<usize> {
    diesel::sql_query(statement).execute(conn)
}

/// A column as the catalogue has it.
#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    column: String,
    /// Greatest number of characters; 0 where there is no limit.
    #[diesel(sql_type = Integer)]
    limit: i32,
}

/// The columns of our tables for which a condition holds, in order.
fn columns(conn: &mut PgConnection, condition: &str) -> Vec<Column> {
    let tables: Vec<&str> = layer::tables().map(|(_, table)| table).collect();
    diesel::sql_query(format!(
        r#"SELECT attrelid::regclass::text AS "table", attname::text AS "column",
                  CASE WHEN atttypid = 'varchar'::regtype THEN atttypmod - 4 ELSE 0 END AS "limit"
           FROM pg_attribute
           WHERE attrelid = ANY ($1::regclass[]) AND attnum > 0 AND NOT attisdropped AND {condition}
           ORDER BY attrelid, attnum"#
    ))
    .bind::<Array<Text>, _>(tables)
    .load(conn)
    .unwrap()
}

/// The columns that a row has to bring along.
fn required(conn: &mut PgConnection) -> Vec<Column> {
    columns(conn, "attnotnull AND NOT atthasdef")
}

#[test]
fn the_foreign_keys_are_those_of_the_list_and_no_others() {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Array<Text>)]
        key: Vec<String>,
    }
    let db = TestDb::migrated();
    let found: Vec<Found> = diesel::sql_query(
        "SELECT ARRAY[conrelid::regclass::text, attname::text, confrelid::regclass::text,
                      CASE confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' ELSE confdeltype::text END]
                AS key
         FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
         WHERE contype = 'f' AND connamespace = current_schema()::regnamespace AND cardinality(conkey) = 1
           AND conparentid = 0",
    )
    .load(&mut db.conn())
    .unwrap();
    let found: BTreeSet<_> = found.into_iter().map(|row| row.key).collect();
    let listed: BTreeSet<_> = FOREIGN_KEYS
        .iter()
        .map(|(table, column, parent, action)| [*table, *column, *parent, *action].map(String::from).to_vec())
        .collect();
    assert_eq!(found, listed);
}

#[test]
fn deleting_a_row_does_to_what_refers_to_it_as_the_foreign_key_says() {
    let (_db, mut conn, first, second) = two_families(TestDb::migrated());
    for (table, column, parent, action) in FOREIGN_KEYS {
        conn.test_transaction::<_, Error, _>(|conn| {
            // The row refers to its own family in all but this column, so only this key can reach it.
            let (row, of_row, of_parent) = (first[table], second[table], second[parent]);
            run(conn, &format!("DELETE FROM {table} WHERE id = '{of_row}'"))?;
            assert_eq!(run(conn, &format!("UPDATE {table} SET {column} = '{of_parent}' WHERE id = '{row}'"))?, 1);
            assert_eq!(run(conn, &format!("DELETE FROM {parent} WHERE id = '{of_parent}'"))?, 1);
            let rows = number(conn, &format!("SELECT count(*) FROM {table} WHERE id = '{row}'"));
            let references = number(conn, &format!("SELECT count({column}) FROM {table} WHERE id = '{row}'"));
            let expected = if action == "CASCADE" { (0, 0) } else { (1, 0) };
            assert_eq!((rows, references), expected, "{table}.{column}");
            Ok(())
        });
    }
}

#[test]
fn no_foreign_key_accepts_an_id_that_no_row_has() {
    let (_db, mut conn, first, _) = two_families(TestDb::migrated());
    for (table, column, _, _) in FOREIGN_KEYS {
        let dangling = format!("UPDATE {table} SET {column} = gen_random_uuid() WHERE id = '{}'", first[table]);
        let constraint = match (table, column) {
            ("agent_states", "current_workflow_id") => "fk_agent_states_current_workflow".to_owned(),
            _ => format!("{table}_{column}_fkey"),
        };
        assert_refused(run(&mut conn, &dangling), ForeignKeyViolation, &constraint);
    }
}

#[test]
fn no_two_rows_have_the_same_unique_values() {
    let (_db, mut conn, first, second) = two_families(TestDb::plain());
    let keys = UNIQUE.into_iter().chain(layer::tables().map(|(_, table)| (table, "id")));
    for (table, columns) in keys {
        let (taken, row) = (first[table], second[table]);
        let same = format!(
            "UPDATE {table} SET ({columns}) = (SELECT {columns} FROM {table} WHERE id = '{taken}') WHERE id = '{row}'"
        );
        match run(&mut conn, &same) {
            Err(Error::DatabaseError(UniqueViolation, info)) => assert_eq!(info.table_name(), Some(table)),
            other => panic!("{table} ({columns}): {other:?}"),
        }
    }
}

#[test]
fn the_unique_and_check_constraints_are_those_that_are_tested_and_no_others() {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        table: String,
        #[diesel(sql_type = Text)]
        what: String,
    }
    let db = TestDb::plain();
    let load = |query: &str| -> BTreeSet<(String, String)> {
        let found: Vec<Found> = diesel::sql_query(query).load(&mut db.conn()).unwrap();
        found.into_iter().map(|row| (row.table, row.what)).collect()
    };
    let unique = load(
        r#"SELECT indrelid::regclass::text AS "table",
                  (SELECT string_agg(attname, ', ' ORDER BY place)
                   FROM unnest(indkey) WITH ORDINALITY AS key (attnum, place)
                   JOIN pg_attribute USING (attnum) WHERE attrelid = indrelid) AS what
           FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
           WHERE relnamespace = current_schema()::regnamespace AND indisunique AND NOT indisprimary
             AND relname <> '__diesel_schema_migrations'"#,
    );
    assert_eq!(unique, UNIQUE.map(|(table, columns)| (table.into(), columns.into())).into());
    let checks = load(
        r#"SELECT conrelid::regclass::text AS "table", conname::text AS what FROM pg_constraint
           WHERE contype = 'c' AND connamespace = current_schema()::regnamespace"#,
    );
    let tested = [("recommendations", "check_confidence_range"), ("optimizations", "check_progress_range")];
    assert_eq!(checks, tested.map(|(table, name)| (table.into(), name.into())).into());
}

#[test]
fn every_required_column_is_required() {
    let (_db, mut conn, first, _) = two_families(TestDb::migrated());
    let conn = &mut conn;
    let all = columns(conn, "true");
    for Column { table, column, .. } in required(conn) {
        let others: Vec<_> = all
            .iter()
            .filter(|other| other.table == table && other.column != column)
            .map(|other| format!("\"{}\"", other.column))
            .collect();
        let (others, row) = (others.join(", "), first[table.as_str()]);
        let without = format!("INSERT INTO {table} ({others}) SELECT {others} FROM {table} WHERE id = '{row}'");
        assert_refused(run(conn, &without), NotNullViolation, &column);
    }
}

#[test]
fn a_column_that_must_not_be_null_cannot_be_set_to_null() {
    let (_db, mut conn, first, _) = two_families(TestDb::migrated());
    let conn = &mut conn;
    for Column { table, column, .. } in columns(conn, "attnotnull") {
        let to_null = format!("UPDATE {table} SET \"{column}\" = NULL WHERE id = '{}'", first[table.as_str()]);
        assert_refused(run(conn, &to_null), NotNullViolation, &column);
    }
    for Column { table, column, .. } in columns(conn, "NOT attnotnull") {
        let to_null = format!("UPDATE {table} SET \"{column}\" = NULL WHERE id = '{}'", first[table.as_str()]);
        assert_eq!(run(conn, &to_null), Ok(1), "{table}.{column}");
    }
}

#[test]
fn a_new_row_demands_exactly_what_the_server_cannot_fill_in() {
    let (_db, mut conn, first, _) = two_families(TestDb::migrated());
    let conn = &mut conn;
    let required = required(conn);
    for (_, table) in layer::tables() {
        let columns: Vec<_> = required.iter().filter(|column| column.table == table).collect();
        let query = format!("(SELECT to_jsonb({table}) FROM {table} WHERE id = '{}')", first[table]);
        let row: Value = diesel::select(diesel::dsl::sql::<Jsonb>(&query)).get_result(conn).unwrap();
        let least: Value = columns.iter().map(|column| (column.column.clone(), row[&column.column].clone())).collect();
        parse_new(table, least.clone()).unwrap_or_else(|error| panic!("{table}: {error}"));
        for Column { column, .. } in columns {
            let mut too_little = least.clone();
            too_little.as_object_mut().unwrap().remove(column);
            let error = parse_new(table, too_little).expect_err(column).to_string();
            assert_eq!(error, format!("missing field `{column}`"), "{table}");
        }
    }
}

#[test]
fn text_is_taken_up_to_its_limit_in_characters_and_not_beyond() {
    let (_db, mut conn, first, _) = two_families(TestDb::migrated());
    let conn = &mut conn;
    let limited = columns(conn, "atttypid = 'varchar'::regtype");
    assert_eq!(limited.len(), 32);
    for Column { table, column, limit } in limited {
        let row = first[table.as_str()];
        // Two bytes each: the limit counts characters.
        let set = |length| format!("UPDATE {table} SET \"{column}\" = repeat('é', {length}) WHERE id = '{row}'");
        assert_eq!(run(conn, &set(limit)), Ok(1), "{table}.{column}");
        assert_refused_saying(
            run(conn, &set(limit + 1)),
            &format!("value too long for type character varying({limit})"),
        );
    }
}

#[test]
fn updated_at_follows_every_change_and_only_changes() {
    let (_db, mut conn, first, _) = two_families(TestDb::migrated());
    let conn = &mut conn;
    let touched = columns(conn, "attname = 'updated_at'");
    assert_eq!(touched.len(), 12);
    for Column { table, .. } in touched {
        let row = first[table.as_str()];
        let mut set = |assignment: &str, is: &str| {
            let changed = run(conn, &format!("UPDATE {table} SET {assignment} WHERE id = '{row}'"));
            assert_eq!(changed, Ok(1), "{table}: {assignment}");
            let query = format!("SELECT count(*) FROM {table} WHERE id = '{row}' AND updated_at {is}");
            assert_eq!(number(conn, &query), 1, "{table}: after {assignment}, updated_at {is}");
        };
        set("updated_at = '2020-02-02 00:00Z'", "= '2020-02-02 00:00Z'");
        set("created_at = created_at", "= '2020-02-02 00:00Z'");
        set("created_at = '2020-01-01 00:00Z'", "BETWEEN now() - interval '1 minute' AND now()");
        set("created_at = '2019-01-01 00:00Z', updated_at = '2021-01-01 00:00Z'", "= '2021-01-01 00:00Z'");
    }
}

#[test]
fn every_row_has_an_id_of_its_own_from_the_server() {
    let (_db, _conn, first, second) = two_families(TestDb::migrated());
    let ids: BTreeSet<Uuid> = first.values().chain(second.values()).copied().collect();
    assert_eq!(ids.len(), 2 * layer::tables().count());
    assert!(ids.iter().all(|id| id.get_version_num() == 4));
}

/// A failure of one statement says so and leaves the ones before it in place until the transaction ends.
#[test]
fn a_refused_row_undoes_its_whole_transaction() {
    let (_db, mut conn, first, _) = two_families(TestDb::migrated());
    let customer = first["customers"];
    let result = conn.transaction(|conn| {
        run(conn, &format!("UPDATE customers SET name = 'Renamed' WHERE id = '{customer}'"))?;
        run(conn, &format!("UPDATE customers SET email = NULL WHERE id = '{customer}'"))
    });
    assert_refused(result, DatabaseErrorKind::NotNullViolation, "email");
    assert_eq!(number(&mut conn, "SELECT count(*) FROM customers WHERE name = 'Renamed'"), 0);
}
