//! The least rows that a test can start from, and what the server says when it refuses one.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use optiinfra_db::enums::AgentType;
use optiinfra_db::models::{Agent, Customer, NewAgent, NewCustomer};
use optiinfra_db::schema::{agents, customers};
use uuid::Uuid;

/// A customer with a name, address and key of its own.
pub fn customer(conn: &mut PgConnection) -> Customer {
    let unique = Uuid::new_v4().simple().to_string();
    let new = NewCustomer::builder()
        .name("Fixture Ltd")
        .email(format!("{unique}@example.com"))
        .api_key(format!("key_{unique}"))
        .build();
    diesel::insert_into(customers::table)
        .values(&new)
        .returning(Customer::as_returning())
        .get_result(conn)
        .expect("a customer")
}

/// An agent of a kind with a name of its own.
pub fn agent(conn: &mut PgConnection, kind: AgentType) -> Agent {
    let new = NewAgent::builder().type_(kind).name(format!("{kind}-{}", Uuid::new_v4().simple())).build();
    diesel::insert_into(agents::table).values(&new).returning(Agent::as_returning()).get_result(conn).expect("an agent")
}

/// Asserts that the server refused, and by which constraint (or column, for a missing value).
#[track_caller]
pub fn assert_refused<T: std::fmt::Debug>(result: QueryResult<T>, kind: DatabaseErrorKind, by: &str) {
    match result {
        Err(Error::DatabaseError(found, info)) => {
            assert_eq!(format!("{found:?}"), format!("{kind:?}"), "{}", info.message());
            let named = info.constraint_name().or(info.column_name()).unwrap_or_default();
            assert_eq!(named, by, "{}", info.message());
        }
        other => panic!("expected {kind:?} by {by}, got {other:?}"),
    }
}
