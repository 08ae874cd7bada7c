//! `create` and `drop` of a database.

use diesel::connection::SimpleConnection;
use optiinfra_db::database;
use uuid::Uuid;

use crate::support::{Dbctl, Run, TestDb, text};

/// The URL of a database that is not there, beside that of a test.
fn beside(db: &TestDb) -> (String, String) {
    let name = format!("beside \"{}", Uuid::new_v4().simple());
    (db.url().replace(db.database(), &name.replace(' ', "%20").replace('"', "%22")), name)
}

fn on(url: &str, arguments: &str) -> Run {
    Dbctl::new().env("DATABASE_URL", url).run(arguments)
}

#[test]
fn a_database_is_created_once_and_dropped_once() {
    let db = TestDb::empty();
    let (url, name) = beside(&db);
    let refused = on(&url, "migrate status");
    assert!(refused.code == Some(3) && refused.stderr.contains("`optiinfra-dbctl create`"), "{refused:#?}");
    let created = on(&url, "create --format json");
    assert_eq!((created.code, created.json()["done"].as_str()), (Some(0), Some("created")), "{created:#?}");
    assert_eq!(created.json()["database"], name.as_str());
    let encoding = "SELECT pg_encoding_to_char(encoding)::text FROM pg_database WHERE datname LIKE 'beside%'";
    assert_eq!(text(&mut db.conn(), &format!("{encoding} AND datname = '{name}'")), "UTF8");
    let again = on(&url, "create");
    assert!(again.code == Some(0) && again.stdout.contains("exists already"), "{again:#?}");
    let dropped = on(&url, "drop --yes");
    assert!(dropped.code == Some(0) && dropped.stdout.ends_with(" dropped\n"), "{dropped:#?}");
    for arguments in ["drop", "drop --yes --force"] {
        let nothing = on(&url, arguments);
        assert!(nothing.code == Some(0) && nothing.stdout.contains("did not exist"), "{nothing:#?}");
    }
}

#[test]
fn two_that_create_one_database_both_succeed() {
    let db = TestDb::empty();
    let (url, _) = beside(&db);
    let target = || url.parse().unwrap();
    let made: Vec<_> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..4).map(|_| scope.spawn(|| database::create(&target()).unwrap())).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
    assert!(database::drop(&target(), false).unwrap());
}

#[test]
fn what_a_drop_would_lose_is_shown_and_the_name_asked_for() {
    let db = TestDb::seeded_now();
    let mut conn = db.conn();
    conn.batch_execute("CREATE SCHEMA other; CREATE TABLE other.notes AS SELECT generate_series(1, 20000); ANALYZE")
        .unwrap();
    let asked = on(&db.url(), "drop");
    assert_eq!(asked.code, Some(2));
    for words in ["in 23 tables", "1 other session is open", "customers", "other.notes", "pass --yes"] {
        assert!(asked.stderr.contains(words), "{words}: {asked:#?}");
    }
    for wrong in ["yes", ""] {
        let run = Dbctl::on(&db).run_on_terminal("drop", wrong);
        assert!(run.code == Some(2) && run.stdout.contains("nothing was changed"), "{run:#?}");
    }
    let in_use = on(&db.url(), "drop --yes");
    assert!(in_use.code == Some(2) && in_use.stderr.contains("open sessions: 1"), "{in_use:#?}");
    assert!(in_use.stderr.contains("--force"), "{in_use:#?}");
    assert_eq!(text(&mut conn, "SELECT 'there'::text"), "there");
    let forced = Dbctl::on(&db).run_on_terminal("drop --force", db.database());
    assert!(forced.code == Some(0) && forced.stdout.contains(" dropped"), "{forced:#?}");
    assert!(conn.batch_execute("SELECT 1").is_err(), "its sessions are ended");
    // For the end of the test.
    assert_eq!(on(&db.url(), "create").code, Some(0));
}

#[test]
fn the_server_s_own_databases_are_never_dropped() {
    let db = TestDb::empty();
    for name in ["postgres", "template1", "template0"] {
        let run = on(&db.url().replace(db.database(), name), "drop --yes --force");
        assert!(run.code == Some(2) && run.stderr.contains("of the server itself"), "{run:#?}");
    }
    let none = Dbctl::new().env("PGHOST", "127.0.0.1").run("drop --yes");
    assert!(none.code == Some(2) && none.stderr.contains("no database is named"), "{none:#?}");
}

#[test]
fn a_server_that_is_down_is_exit_3() {
    for arguments in ["create", "drop --yes"] {
        let run = on("postgresql://u@127.0.0.1:1/d", arguments);
        assert!(run.code == Some(3) && run.stderr.contains("cannot connect"), "{run:#?}");
    }
}

#[test]
fn a_role_that_may_make_no_database_gets_the_server_s_refusal() {
    let db = TestDb::empty();
    let role = db.role();
    let (url, _) = beside(&db);
    let run = on(&url.replace("user=optiinfra", &format!("user={}", role.name)), "create");
    assert!(run.code == Some(2) && run.stderr.contains("could not create the database"), "{run:#?}");
}
