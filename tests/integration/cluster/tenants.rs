//! Two customers on distributed tables, through `tenant::scoped`: each sees and writes its own rows, and asks one node.

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use optiinfra_db::catalog::{HotTable, tables_of_customers};
use optiinfra_db::connection::{self, Target};
use optiinfra_db::id::CustomerId;
use optiinfra_db::{Result, roles, tenant};
use uuid::Uuid;

use super::{Db, ENABLED, citus};
use crate::support::{Family, number, text};

/// A session of the application's role, whose name begins with this prefix.
fn session(db: &Db, prefix: &str) -> PgConnection {
    let options = roles::Options { prefix: prefix.parse().unwrap(), take_ownership: false };
    roles::apply(&mut db.conn(), &options).expect("the roles are made");
    let url = db.url().replace("user=optiinfra", &format!("user={prefix}_app"));
    connection::connect(&Target::parse(&url).unwrap(), "test").expect("a session of the application")
}

/// The column of a table that says whose row it is, where one does.
fn owner(table: &str) -> Option<&'static str> {
    match table {
        "customers" => Some("id"),
        "approvals" | "workflow_steps" | "workflow_artifacts" => None,
        _ => Some("customer_id"),
    }
}

#[test]
fn no_statement_of_a_customer_reaches_a_row_of_another() {
    let Some(citus) = citus() else { return };
    let db = Db::migrated(citus);
    let (own, foreign) = (Family::new(&mut db.conn()), Family::new(&mut db.conn()));
    db.bring(ENABLED);
    let prefix = format!("tenants{}", Uuid::new_v4().simple());
    let mut conn = session(&db, &prefix);
    let (own, foreign) = (own.customer.id, foreign.customer.id);
    let run = |conn: &mut PgConnection, statement: &str| {
        tenant::scoped(conn, CustomerId::new(own), |conn| -> Result<usize> {
            Ok(diesel::sql_query(statement).execute(conn)?)
        })
    };
    for table in tables_of_customers() {
        let count = format!("SELECT count(*) FROM {table}");
        let all = number(&mut db.conn(), &count);
        let seen = tenant::scoped(&mut conn, CustomerId::new(own), |conn| -> Result<i64> { Ok(number(conn, &count)) });
        assert_eq!((all, seen.unwrap()), (2, 1), "{table}");
        let Some(owner) = owner(table) else { continue };
        assert_eq!(
            run(&mut conn, &format!("SELECT 1 FROM {table} WHERE {owner} = '{foreign}'")).unwrap(),
            0,
            "{table}"
        );
        let update = format!("UPDATE {table} SET created_at = created_at WHERE {owner} = '{foreign}'");
        if !update.contains("scaling_events") && !update.contains("quality_regressions") {
            let has_it = number(
                &mut db.conn(),
                &format!(
                    "SELECT count(*) FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attname = 'created_at'"
                ),
            );
            assert!(has_it == 0 || run(&mut conn, &update).unwrap() == 0, "{table}");
        }
        if HotTable::named(table).is_some() {
            assert_eq!(
                run(&mut conn, &format!("DELETE FROM {table} WHERE {owner} = '{foreign}'")).unwrap(),
                0,
                "{table}"
            );
            let copy = format!(
                "INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, to_jsonb(t) || '{{\"customer_id\": \"{foreign}\"}}')).* \
                 FROM {table} t WHERE customer_id = '{own}' RETURNING true"
            );
            assert!(run(&mut conn, &copy).is_err(), "{table}: a row of another customer was written");
        }
        assert_eq!(number(&mut db.conn(), &count), 2, "{table}");
    }
    // Nothing of the customer stays with the connection.
    assert_eq!(number(&mut conn, "SELECT count(*) FROM resource_metrics"), 0);
}

#[test]
fn a_question_with_its_customer_is_one_of_one_node() {
    let Some(citus) = citus() else { return };
    let db = Db::migrated(citus);
    let family = Family::new(&mut db.conn());
    db.bring(ENABLED);
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
        line: String,
    }
    let tasks = |query: &str| {
        let lines: Vec<Line> = diesel::sql_query(format!("EXPLAIN {query}")).load(&mut db.conn()).unwrap();
        lines.iter().find_map(|it| it.line.trim().strip_prefix("Task Count: ").map(str::to_owned)).unwrap_or_default()
    };
    let customer = family.customer.id;
    for table in ["resource_metrics", "events", "quality_metrics"] {
        assert_eq!(tasks(&format!("SELECT * FROM {table} WHERE customer_id = '{customer}'")), "1", "{table}");
        assert_eq!(tasks(&format!("SELECT * FROM {table}")), "8", "{table}");
    }
    db.conn().batch_execute("SELECT 1").unwrap();
    assert_eq!(text(&mut db.conn(), "current_setting('citus.propagate_set_commands')"), "local");
}
