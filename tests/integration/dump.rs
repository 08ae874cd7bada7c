//! `dump`: the schema as SQL that is stable to commit.

use std::fs;
use std::process::Command;

use diesel::connection::SimpleConnection;

use crate::support::{Dbctl, TestDb, fingerprint};

fn dump(db: &TestDb) -> String {
    let run = Dbctl::on(db).run("dump");
    assert_eq!(run.code, Some(0), "{run:#?}");
    run.stdout
}

#[test]
fn a_dump_is_the_same_in_every_database_and_makes_the_same_schema() {
    let (db, other) = (TestDb::migrated(), TestDb::empty().migrate());
    let sql = dump(&db);
    if std::env::var_os("OPTIINFRA_TEST_PARTITIONED").is_none() {
        assert_eq!(sql, dump(&other));
    }
    for left_out in ["Dumped", "SET default", "\\restrict", "\\unrestrict", "set_config", "OWNER", "GRANT"] {
        assert!(!sql.contains(left_out), "{left_out}: {sql}");
    }
    let copy = TestDb::bare();
    let mut conn = copy.conn();
    conn.batch_execute(&sql).unwrap();
    conn.batch_execute(&format!("SET search_path = {}", db.schema())).unwrap();
    assert_eq!(fingerprint(&mut conn), fingerprint(&mut db.conn()));
    db.conn().batch_execute("DROP INDEX idx_event_type").unwrap();
    assert!(sql.contains("idx_event_type") && !dump(&db).contains("idx_event_type"));
}

#[test]
fn a_file_is_written_whole_and_the_password_is_in_no_argument() {
    let db = TestDb::migrated();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("schema.sql");
    let run = Dbctl::on(&db).run(&format!("dump --output {}", file.display()));
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:#?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), dump(&db));

    // In the place of pg_dump, one that says how it was called.
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'pg_dump (PostgreSQL) 99.1'; exit; }\n\
                  echo \"$PGPASSWORD: $*\" >&2; exit 1\n";
    fs::write(bin.join("pg_dump"), script).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(bin.join("pg_dump")).status().unwrap().success());
    let url = format!("{}&password=S3cr3tly", db.url());
    let run = Dbctl::new().env("DATABASE_URL", &url).env("OPTIINFRA_PG_BIN", bin.to_str().unwrap()).run("dump");
    assert!(run.code == Some(2) && run.stderr.contains("pg_dump failed: ***: --schema-only "), "{run:#?}");
    assert!(!run.stderr.contains("password="), "{run:#?}");
}

#[test]
fn without_a_pg_dump_as_new_as_the_server_it_says_what_to_install() {
    let db = TestDb::empty();
    let run = Dbctl::on(&db).env("OPTIINFRA_PG_BIN", "/nonexistent").run("dump");
    assert!(run.code == Some(2) && run.stderr.contains("no pg_dump of PostgreSQL "), "{run:#?}");
    assert!(run.stderr.contains("postgresql-client"), "{run:#?}");
}
