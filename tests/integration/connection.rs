//! Connecting: what the server sees of us, and what the pool does when it cannot.

use diesel::prelude::*;
use diesel::sql_types::Text;
use optiinfra_db::connection::{self, POOL_TIMEOUT, Refusal, Target};

use crate::support::{Dbctl, TestDb, number};

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

#[test]
fn a_database_is_named_or_nothing_is_done_and_a_writer_says_where() {
    let db = TestDb::migrated();
    let url = db.url();
    let (before, _) = url.split_once(db.database()).unwrap();
    let options = url.split_once('?').unwrap().1;
    for unnamed in [format!("{before}?{options}"), format!("host=127.0.0.1 port=1 user={}", db.database())] {
        let run = Dbctl::new().env("DATABASE_URL", &unnamed).run("migrate");
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert!(run.stderr.contains("no database is named for postgresql://"), "{run:#?}");
        assert!(run.stderr.contains("PGDATABASE=NAME"), "{run:#?}");
    }
    let variables = Dbctl::new().env("PGHOST", "127.0.0.1").env("PGPORT", "1").env("PGUSER", "postgres").run("migrate");
    assert!(variables.code == Some(2) && variables.stderr.contains("no database is named"), "{variables:#?}");
    for (command, says) in [("migrate", true), ("seed core", true), ("verify", false), ("stats", false)] {
        let run = Dbctl::on(&db).run(command);
        let place = run.place.clone().unwrap_or_default();
        assert_eq!(place.starts_with(&format!("{} on /", db.database())), says, "{command}: {run:#?}");
        assert_eq!(place.contains(" as optiinfra"), says, "{command}: {run:#?}");
    }
}

/// What each way to be refused is called, and that no hint asks whether a server runs that has answered.
#[test]
fn a_server_that_answered_is_told_from_one_that_is_not_there() {
    let db = TestDb::migrated();
    let role = db.role();
    let change = |sql: &str| diesel::sql_query(sql).execute(&mut db.conn()).unwrap();
    let refused = |url: &str, hint: &str| {
        let run = Dbctl::new().env("DATABASE_URL", url).run("stats");
        assert_eq!(run.code, Some(3), "{run:#?}");
        assert!(run.stderr.contains(hint) && !run.stderr.contains("pg_isready"), "{hint}: {run:#?}");
    };
    let as_role = db.url_as(&role.name);
    change(&format!("ALTER ROLE {} CONNECTION LIMIT 0", role.name));
    refused(&as_role, "CONNECTION LIMIT N");
    change(&format!("ALTER ROLE {} CONNECTION LIMIT -1 NOLOGIN", role.name));
    refused(&as_role, "LOGIN");
    change(&format!("ALTER ROLE {} LOGIN", role.name));
    refused(&db.url().replace(db.database(), "no_such_database"), "optiinfra-dbctl create");
    change(&format!("REVOKE CONNECT ON DATABASE {} FROM PUBLIC", db.database()));
    refused(&as_role, "GRANT CONNECT ON DATABASE");
    change(&format!("ALTER DATABASE {} CONNECTION LIMIT 0", db.database()));
    change(&format!("GRANT CONNECT ON DATABASE {} TO {}", db.database(), role.name));
    refused(&as_role, "CONNECTION LIMIT N");
    change(&format!("ALTER DATABASE {} CONNECTION LIMIT -1", db.database()));
    change(&format!("REVOKE CONNECT ON DATABASE {} FROM {}", db.database(), role.name));
}

#[test]
fn each_slip_in_a_connection_string_has_a_sentence_of_its_own() {
    for (url, said, hint) in [
        ("", "DATABASE_URL is set and empty", "unset DATABASE_URL"),
        ("'postgresql://u@h/d'", "it is in quotes", "without the quotes"),
        ("jdbc:postgresql://h/d", "it is a JDBC URL", "without jdbc:"),
        (
            "postgresql://u@127.0.0.1:1/d?sslmode=verify",
            "sslmode=verify, from the connection string",
            "sslmode=verify-full",
        ),
        ("mysql+pymysql://u@h/d", "neither postgresql:// nor postgres://", "postgresql://USER"),
    ] {
        let run = Dbctl::new().env("DATABASE_URL", url).run("stats");
        assert_eq!(run.code, Some(2), "{url}: {run:#?}");
        assert!(run.stderr.contains(said) && run.stderr.contains(hint), "{url}: {run:#?}");
    }
    let db = TestDb::migrated();
    for driver in ["psycopg2", "asyncpg", "psycopg"] {
        let url = db.url().replace("postgresql://", &format!("postgresql+{driver}://"));
        assert_eq!(Dbctl::new().env("DATABASE_URL", &url).run("migrate status --check").code, Some(0), "{driver}");
    }
}

#[test]
fn question_mark_on_a_query_or_a_pool_says_what_it_is() {
    fn service(conn: &mut PgConnection) -> optiinfra_db::Result<i32> {
        Ok(diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("1 / 0")).get_result(conn)?)
    }
    fn pooled(pool: &connection::Pool) -> optiinfra_db::Result<()> {
        let _conn = pool.get()?;
        Ok(())
    }
    let db = TestDb::empty();
    assert_eq!(service(&mut db.conn()).unwrap_err().to_string(), "division by zero");
    let pool = connection::pool(&db.target(), "test").max_size(1).timeout(std::time::Duration::from_millis(50)).build();
    let pool = pool.unwrap();
    let _taken = pool.get().unwrap();
    assert_eq!(pooled(&pool).unwrap_err().to_string(), "no connection from the pool");
}
