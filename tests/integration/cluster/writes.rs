//! The platform's way of writing, on distributed tables.

use diesel::prelude::*;
use optiinfra_db::enums::AgentType;
use optiinfra_db::schema::*;

use super::{Db, ENABLED, citus};
use crate::support::*;

fn enabled() -> Option<Db> {
    let db = Db::migrated(citus()?);
    db.bring(ENABLED);
    Some(db)
}

#[test]
fn rows_are_inserted_changed_and_deleted_as_an_orm_does_it() {
    let Some(db) = enabled() else { return };
    let mut conn = db.conn();
    let (agent, customer) = (agent(&mut conn, AgentType::Resource), customer(&mut conn));
    // INSERT ... RETURNING, and the defaults of the server.
    let metric = new_resource_metric(&agent, &customer, 50.0, 1).insert(&mut conn);
    let event = new_event(&customer).insert(&mut conn);
    let sample = new_agent_metric(&agent, "queue", 3.0).insert(&mut conn);
    let answer = new_quality_metric(&agent, &customer, 0.9, 1).insert(&mut conn);
    // UPDATE and SELECT by the id alone.
    let changed = diesel::update(resource_metrics::table.find(metric.id))
        .set(resource_metrics::metric_value.eq(60.0))
        .returning(resource_metrics::metric_value)
        .get_result::<f64>(&mut conn);
    assert_eq!(changed, Ok(60.0));
    assert!(event.exists(&mut conn) && sample.exists(&mut conn) && answer.exists(&mut conn));
    // An answer of the same request is refused, for the same customer.
    let mut again = new_quality_metric(&agent, &customer, 0.9, 1);
    again.request_id = answer.request_id.clone();
    assert_refused(again.try_insert(&mut conn), diesel::result::DatabaseErrorKind::UniqueViolation, "");
    event.delete(&mut conn);
    assert!(!event.exists(&mut conn));
}

#[test]
fn a_transaction_over_several_tables_is_whole_or_not_at_all() {
    let Some(db) = enabled() else { return };
    let mut conn = db.conn();
    let (agent, customer) = (agent(&mut conn, AgentType::Resource), customer(&mut conn));
    let write = |conn: &mut PgConnection, fails: bool| {
        conn.transaction(|conn| {
            new_event(&customer).try_insert(conn)?;
            new_agent_metric(&agent, "queue", 1.0).try_insert(conn)?;
            new_resource_metric(&agent, &customer, 1.0, 1).try_insert(conn)?;
            diesel::update(agents::table.find(agent.id)).set(agents::version.eq("2")).execute(conn)?;
            if fails { Err(diesel::result::Error::RollbackTransaction) } else { Ok(()) }
        })
    };
    let counts = "(SELECT count(*) FROM events) || ' ' || (SELECT count(*) FROM agent_metrics) || ' '
        || (SELECT count(*) FROM resource_metrics) || ' ' || (SELECT count(*) FROM agents WHERE version = '2')";
    write(&mut conn, true).expect_err("rolled back");
    assert_eq!(text(&mut conn, counts), "0 0 0 0");
    write(&mut conn, false).expect("committed");
    assert_eq!(text(&mut conn, counts), "1 1 1 1");
}

#[test]
fn a_deleted_customer_and_a_deleted_agent_take_their_rows_along() {
    let Some(db) = enabled() else { return };
    let mut conn = db.conn();
    let (first, second) = (customer(&mut conn), customer(&mut conn));
    let (one, other) = (agent(&mut conn, AgentType::Resource), agent(&mut conn, AgentType::Resource));
    for (customer, agent) in [(&first, &one), (&first, &other), (&second, &one), (&second, &other)] {
        new_resource_metric(agent, customer, 1.0, 1).insert(&mut conn);
        new_quality_metric(agent, customer, 1.0, 1).insert(&mut conn);
        let mut event = new_event(customer);
        event.agent_id = Some(agent.id);
        event.insert(&mut conn);
    }
    new_agent_metric(&one, "queue", 1.0).insert(&mut conn);
    new_agent_metric(&other, "queue", 1.0).insert(&mut conn);
    let counts = "concat_ws(' ', (SELECT count(*) FROM resource_metrics), (SELECT count(*) FROM quality_metrics),
        (SELECT count(*) FROM events), (SELECT count(*) FROM events WHERE agent_id IS NULL),
        (SELECT count(*) FROM agent_metrics))";
    assert_eq!(text(&mut conn, counts), "4 4 4 0 2");
    first.delete(&mut conn);
    assert_eq!(text(&mut conn, counts), "2 2 2 0 2");
    one.delete(&mut conn);
    // An event outlives its agent.
    assert_eq!(text(&mut conn, counts), "1 1 2 1 1");
}

#[test]
fn a_customer_that_goes_while_rows_come_leaves_rows_that_can_be_found() {
    let Some(db) = enabled() else { return };
    let mut conn = db.conn();
    let (agent, gone) = (agent(&mut conn, AgentType::Resource), customer(&mut conn));
    let mut writer = db.conn();
    // The foreign key would have made the delete wait, and the insert fail.
    writer
        .transaction(|writer| {
            new_resource_metric(&agent, &gone, 1.0, 1).try_insert(writer)?;
            gone.delete(&mut conn);
            QueryResult::Ok(())
        })
        .expect("both are done");
    let orphans = "SELECT count(*) FROM resource_metrics WHERE customer_id NOT IN (SELECT id FROM customers)";
    assert_eq!(number(&mut conn, orphans), 1);
    // They keep the tables from coming back as they were.
    let refused = optiinfra_db::cluster::plan(&mut conn, optiinfra_db::cluster::Goal::Disabled).expect_err("refused");
    assert!(refused.to_string().contains("1 rows or ids of resource_metrics break"), "{refused}");
}

#[test]
fn a_question_with_a_customer_asks_one_shard() {
    let Some(db) = enabled() else { return };
    let mut conn = db.conn();
    let id = customer(&mut conn).id;
    for (table, time) in [("resource_metrics", "timestamp"), ("quality_metrics", "timestamp"), ("events", "created_at")]
    {
        let query = format!("SELECT * FROM {table} WHERE customer_id = '{id}' ORDER BY {time} DESC LIMIT 10");
        let plan = explain(&mut conn, "", &query);
        assert!(plan.contains("Task Count: 1\n"), "{plan}");
    }
}
