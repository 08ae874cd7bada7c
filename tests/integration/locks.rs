//! The locks that `migrate plan` shows: measured by running every statement of the embedded migrations up and down.
//!
//! `OPTIINFRA_BLESS=1` writes what was measured into the file that the library reads.

use std::collections::BTreeSet;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use optiinfra_db::migrate::{Direction, EMBEDDED, Goal, Migration, Migrator, PlannedStatement};

use crate::support::{TestDb, number};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/migrate/locks.txt");

/// Tables with the modes in which a session has them locked, readers' modes left out.
type Held = BTreeSet<(String, String)>;

fn held(conn: &mut PgConnection, pid: i64) -> Held {
    #[derive(QueryableByName)]
    struct Taken {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        mode: String,
    }
    let query = format!(
        "SELECT relname::text AS name, mode FROM pg_locks JOIN pg_class ON pg_class.oid = relation
         WHERE pid = {pid} AND granted AND locktype = 'relation' AND relkind IN ('r', 'p')
           AND relnamespace = current_schema()::regnamespace AND mode NOT IN ('AccessShareLock', 'RowShareLock')"
    );
    let taken: Vec<Taken> = diesel::sql_query(query).load(conn).unwrap();
    taken.into_iter().map(|taken| (taken.name, documented(&taken.mode))).collect()
}

/// `ShareRowExclusiveLock` as the documentation writes it: `SHARE ROW EXCLUSIVE`.
fn documented(mode: &str) -> String {
    let mut words = String::new();
    for c in mode.trim_end_matches("Lock").chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_uppercase());
    }
    words
}

/// A lock that another one of the same statement on the same table makes needless is left out.
fn strongest(locks: &Held) -> Held {
    let hides = |table: &str| locks.contains(&(table.to_owned(), "ACCESS EXCLUSIVE".to_owned()));
    locks.iter().filter(|(table, mode)| mode == "ACCESS EXCLUSIVE" || !hides(table)).cloned().collect()
}

fn tables(conn: &mut PgConnection) -> BTreeSet<String> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let query = "SELECT relname::text AS name FROM pg_class
                 WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace";
    diesel::sql_query(query).load::<Name>(conn).unwrap().into_iter().map(|name| name.name).collect()
}

/// Runs a statement in a transaction of its own, which is committed, and returns what it locked.
fn locks_in_transaction(conn: &mut PgConnection, looker: &mut PgConnection, sql: &str) -> Held {
    let pid = number(conn, "SELECT pg_backend_pid()::bigint");
    conn.batch_execute(&format!("BEGIN; {sql}")).unwrap();
    // Names, from inside the transaction; what was dropped has its name for others only.
    let mut locks = held(conn, pid);
    locks.extend(held(looker, pid));
    conn.batch_execute("COMMIT").unwrap();
    locks
}

/// Runs a statement that cannot be in a transaction beside writers for which it has to wait, and returns what it holds
/// meanwhile.
fn locks_beside_writers(db: &TestDb, looker: &mut PgConnection, sql: &str) -> Held {
    let mut writer = db.conn();
    let names: Vec<_> = tables(&mut writer).into_iter().filter(|name| !name.starts_with("__")).collect();
    writer.batch_execute(&format!("BEGIN; LOCK TABLE {} IN ROW EXCLUSIVE MODE", names.join(", "))).unwrap();
    let mut conn = db.conn();
    let pid = number(&mut conn, "SELECT pg_backend_pid()::bigint");
    let sql = sql.to_owned();
    let running = std::thread::spawn(move || conn.batch_execute(&sql));
    let waits = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event_type = 'Lock'");
    while number(looker, &waits) == 0 {
        assert!(!running.is_finished(), "it does not wait");
        std::thread::yield_now();
    }
    let locks = held(looker, pid);
    writer.batch_execute("ROLLBACK").unwrap();
    running.join().unwrap().unwrap();
    locks
}

/// Runs the statements of a migration and writes a line for each lock on a table that was there before.
fn measure(db: &TestDb, migration: &Migration, direction: Direction, statements: &[PlannedStatement]) -> Vec<String> {
    let (mut conn, mut looker) = (db.conn(), db.conn());
    let before = tables(&mut conn);
    let way = if direction == Direction::Apply { "apply" } else { "revert" };
    let mut lines = Vec::new();
    for (number, statement) in (1..).zip(statements) {
        let locks = if migration.in_transaction {
            locks_in_transaction(&mut conn, &mut looker, &statement.sql)
        } else {
            locks_beside_writers(db, &mut looker, &statement.sql)
        };
        let old = strongest(&locks).into_iter().filter(|(table, _)| before.contains(table));
        lines.extend(old.map(|(table, mode)| format!("{} {way} {number} {table} {mode}", migration.name)));
    }
    lines
}

#[test]
fn the_planned_locks_are_those_that_the_server_takes() {
    let db = TestDb::empty();
    let mut conn = db.conn();
    let mut lines = Vec::new();
    let up = EMBEDDED.iter().map(|migration| (migration, Direction::Apply));
    let down = EMBEDDED.iter().rev().map(|migration| (migration, Direction::Revert));
    for (migration, direction) in up.chain(down) {
        let goal = match direction {
            Direction::Apply => Goal::Version(migration.version.to_owned()),
            Direction::Revert => Goal::Back(1),
        };
        let plan = Migrator::default().plan(&mut conn, &goal).unwrap();
        lines.extend(measure(&db, migration, direction, &plan.steps[0].statements));
        // The schema is there; the history follows.
        let version = migration.version;
        let history = match direction {
            Direction::Apply => format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}')"),
            Direction::Revert => format!("DELETE FROM __diesel_schema_migrations WHERE version = '{version}'"),
        };
        if let Some(tables) = plan.history_tables {
            conn.batch_execute(&tables).unwrap();
        }
        conn.batch_execute(&history).unwrap();
    }
    lines.sort();
    let measured = lines.join("\n") + "\n";
    if std::env::var_os("OPTIINFRA_BLESS").is_some() {
        std::fs::write(Path::new(FILE), &measured).unwrap();
        return;
    }
    assert_eq!(std::fs::read_to_string(FILE).unwrap(), measured, "OPTIINFRA_BLESS=1 writes the file anew");
}
