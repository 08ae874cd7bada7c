//! Databases for the tests of a service, in Rust and for other languages.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use optiinfra_db::connection::{self, Target};
use optiinfra_db::schema::agents;
use optiinfra_db::testing::{Content, Database, Server};

use crate::support::{Dbctl, Run, number};

fn count(conn: &mut PgConnection) -> i64 {
    agents::table.count().get_result(conn).unwrap()
}

#[test]
fn each_database_is_its_own_and_goes_with_its_owner() {
    let server = Server::start().unwrap();
    let seeded = server.database(Content::Seeded).unwrap();
    let (one, other) = (server.database(Content::Migrated).unwrap(), server.database(Content::Seeded).unwrap());
    seeded.connect().unwrap().batch_execute("TRUNCATE agents CASCADE").unwrap();
    let of = |database: &Database| count(&mut database.connect().unwrap());
    assert_eq!((of(&seeded), of(&one), of(&other)), (0, 0, 5));
    let (still_open, mut conn) = (seeded.connect().unwrap(), one.connect().unwrap());
    let ours = format!(
        "SELECT count(*) FROM pg_database WHERE datname LIKE 'test%' AND '{}' LIKE '%' || datname || '%'",
        seeded.url()
    );
    assert_eq!(number(&mut conn, &ours), 1);
    drop(seeded);
    assert_eq!(number(&mut conn, &ours), 0);
    drop(still_open);
}

#[test]
fn a_test_server_answers_each_line_and_ends_with_its_input() {
    let mut process = Dbctl::new().stdin(Stdio::piped()).spawn("local test-server");
    let (mut requests, mut answers) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
    let mut ask = |request: &str| {
        writeln!(requests, "{request}").unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    };
    let (migrated, seeded) = (ask("migrated"), ask("seeded"));
    let connect = |url: &str| connection::connect(&Target::parse(url).unwrap(), "test");
    assert_eq!((count(&mut connect(&migrated).unwrap()), count(&mut connect(&seeded).unwrap())), (0, 5));
    assert_eq!(ask(&format!("drop {migrated}")), "dropped");
    assert!(connect(&migrated).is_err());
    drop(requests);
    let run = Run::of(process);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(connect(&seeded).is_err());
}

#[test]
fn a_request_that_a_test_server_does_not_know_is_an_error() {
    let mut process = Dbctl::new().stdin(Stdio::piped()).spawn("local test-server");
    writeln!(process.stdin.take().unwrap(), "drop postgresql:///optiinfra").unwrap();
    let run = Run::of(process);
    assert_eq!(run.code, Some(2));
    let expected = "error: 'drop postgresql:///optiinfra' is not a request that a server for tests answers\n\
        hint: send a line `migrated`, `seeded`, or `drop` with a URL that it answered\n";
    assert_eq!(run.stderr, expected);
}
