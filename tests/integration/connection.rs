//! Connecting: what the server sees of us, and what the pool does when it cannot.

use diesel::prelude::*;
use diesel::sql_types::Text;
use optiinfra_db::connection::{self, POOL_TIMEOUT, Refusal, Target};

use crate::support::{TestDb, number};

fn setting(conn: &mut PgConnection, name: &str) -> String {
    diesel::select(diesel::dsl::sql::<Text>(&format!("current_setting('{name}')"))).get_result(conn).unwrap()
}

#[test]
fn the_server_sees_the_application_unless_the_target_names_one() {
    let db = TestDb::empty();
    assert_eq!(setting(&mut db.conn(), "application_name"), "test");
    let named = Target::parse(&format!("{}&application_name=mine", db.url())).unwrap();
    assert_eq!(setting(&mut connection::connect(&named, "test").unwrap(), "application_name"), "mine");
}

#[test]
fn values_with_quotes_and_backslashes_arrive_as_they_are() {
    let db = TestDb::empty();
    let odd = r"it's a \ name";
    let target = db.target().with("application_name", odd);
    assert_eq!(setting(&mut connection::connect(&target, "test").unwrap(), "application_name"), odd);
}

#[test]
fn a_pool_hands_out_so_many_connections_and_opens_none_without_need() {
    let db = TestDb::migrated();
    let pool = connection::pool(&db.target(), "pool").max_size(2).build().unwrap();
    assert_eq!(pool.connection_timeout(), POOL_TIMEOUT);
    assert_eq!(pool.max_size(), 2);
    let (mut first, mut second) = (pool.get().unwrap(), pool.get().unwrap());
    assert_eq!(number(&mut first, "SELECT count(*) FROM customers"), 0);
    assert_ne!(
        number(&mut first, "SELECT pg_backend_pid()::bigint"),
        number(&mut second, "SELECT pg_backend_pid()::bigint")
    );
    assert!(pool.try_get().is_none());
    drop(first);
    assert!(pool.try_get().is_some());
}

#[test]
fn a_pool_for_a_server_that_refuses_fails_at_once_and_shows_no_password() {
    let target = Target::parse("postgresql://u:Tr0ub4dor@127.0.0.1:1/d").unwrap();
    let error = connection::pool(&target, "pool").max_size(2).build().unwrap_err();
    assert!(matches!(error, connection::Error::Connect { refusal: Refusal::Unreachable, .. }));
    assert!(!format!("{error:?} {error}").contains("Tr0ub4dor"));
}

#[test]
fn a_pool_that_is_refused_later_shows_no_password() {
    let db = TestDb::empty();
    let role = db.role();
    // The server repeats the name, and it is the password too.
    let target = db.target().with("user", &role.name).with("password", &role.name);
    let pool = connection::pool(&target, "pool").max_size(1).build().unwrap();
    diesel::sql_query(format!("ALTER ROLE {} NOLOGIN", role.name)).execute(&mut db.conn()).unwrap();
    let Err(error) = pool.get() else { panic!("a connection") };
    let shown = format!("{error:?} {error}");
    assert!(shown.contains("is not permitted to log in") && !shown.contains(&role.name), "{shown}");
}
