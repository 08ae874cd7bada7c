//! Enable and disable that are killed again and again while others write and read.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use nix::sys::signal::Signal;
use optiinfra_db::partitions;

use super::{all, verify};
use crate::support::{Dbctl, Run, TestDb, figures, number, rounds, signal, text};

/// How often a run is killed before one is let go on to its end.
const KILLS_A_CHANGE: usize = 3;
const ROWS: usize = 30_000;

/// Writes that keep a second table, a row for each row of the table with its hash, in the same statement. So whatever
/// becomes of the table, that one says what has to be in it.
const WRITES: [&str; 4] = [
    "WITH row AS (
         INSERT INTO resource_metrics (agent_id, customer_id, instance_id, resource_type, metric_name, metric_value, unit,
                                       \"timestamp\")
         SELECT a.id, c.id, 'i-' || n, 'gpu', 'busy', random() * 100, 'percent', clock_timestamp()
         FROM (SELECT id FROM agents LIMIT 1) a, (SELECT id FROM customers LIMIT 1) c, generate_series(1, 20) n
         RETURNING *)
     INSERT INTO expected SELECT id, hashtextextended(row::text, 0) FROM row",
    "WITH row AS (
         UPDATE resource_metrics SET metric_value = random() * 100 WHERE (id, \"timestamp\") IN (
             SELECT id, \"timestamp\" FROM resource_metrics WHERE metric_name = 'busy'
             ORDER BY \"timestamp\" DESC LIMIT 5 FOR UPDATE SKIP LOCKED)
         RETURNING *)
     UPDATE expected SET hash = hashtextextended(row::text, 0) FROM row WHERE expected.id = row.id",
    "WITH row AS (
         DELETE FROM resource_metrics WHERE (id, \"timestamp\") IN (
             SELECT id, \"timestamp\" FROM resource_metrics WHERE metric_name = 'busy'
             ORDER BY \"timestamp\" LIMIT 5 FOR UPDATE SKIP LOCKED)
         RETURNING *)
     DELETE FROM expected USING row WHERE expected.id = row.id",
    "SELECT * FROM resource_metrics WHERE customer_id = (SELECT id FROM customers LIMIT 1)
     ORDER BY \"timestamp\" DESC LIMIT 10",
];

fn filled() -> TestDb {
    let db = TestDb::plain_seeded_now();
    let fill = format!(
        "INSERT INTO resource_metrics (agent_id, customer_id, instance_id, resource_type, metric_name, metric_value, unit,
                                       \"timestamp\")
         SELECT a.id, c.id, 'i-' || n % 50, 'gpu', 'busy', n % 100, 'percent', now() - n * interval '1 minute'
         FROM (SELECT id FROM agents LIMIT 1) a, (SELECT id FROM customers LIMIT 1) c, generate_series(1, {ROWS}) n;
         CREATE TABLE expected (id uuid PRIMARY KEY, hash bigint NOT NULL);
         INSERT INTO expected SELECT id, hashtextextended(r::text, 0) FROM resource_metrics r;
         ANALYZE"
    );
    db.conn().batch_execute(&fill).unwrap();
    db
}

/// Rows and their hashes, in one snapshot: of the table, and as they have to be.
fn assert_same_rows(conn: &mut PgConnection) {
    let both = text(
        conn,
        "SELECT concat_ws('|',
             (SELECT count(*) || ' ' || sum(hashtextextended(r::text, 0)) FROM resource_metrics r),
             (SELECT count(*) || ' ' || sum(hash) FROM expected))",
    );
    let (found, expected) = both.split_once('|').unwrap();
    assert_eq!(found, expected);
}

/// Kills the run, or on the server its session, after a while; or lets it end, which says that the while was too long.
fn kill(db: &TestDb, verb: &str, after: Duration, on_server: bool) -> Option<Run> {
    let mut child = Dbctl::on(db).spawn(&format!("partitions {verb} resource_metrics"));
    let begin = Instant::now();
    while begin.elapsed() < after {
        if child.try_wait().unwrap().is_some() {
            return Some(Run::of(child));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    if on_server {
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'optiinfra-dbctl%'";
        if number(&mut db.conn(), end) == 0 {
            signal(&child, Signal::SIGKILL);
        }
    } else {
        signal(&child, Signal::SIGKILL);
    }
    let run = Run::of(child);
    (run.code == Some(0)).then_some(run)
}

/// Ends the work beside the changes, also where the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn enable_and_disable_that_are_killed_under_load_are_finished_by_running_them_again() {
    let kills = rounds(6, 60);
    let db = filled();
    let (is_over, statements) = (AtomicBool::new(false), AtomicUsize::new(0));
    let work = |first: usize| {
        let mut conn = db.conn();
        for turn in first.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            conn.batch_execute(WRITES[turn % WRITES.len()]).expect("a statement beside the change");
            statements.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        let workers = [0, 1, 2].map(|first| scope.spawn(move || work(first)));
        let mut random = fastrand::Rng::with_seed(13);
        let (mut killed, mut too_late, mut changes) = (0, 0, 0);
        let mut longest = [Duration::from_secs(2); 2];
        while killed < kills {
            let is_disable = changes % 2;
            let verb = ["enable", "disable"][is_disable];
            for _ in 0..KILLS_A_CHANGE {
                let after = longest[is_disable].mul_f64(random.f64());
                match kill(&db, verb, after, random.bool()) {
                    None => {
                        killed += 1;
                        longest[is_disable] = longest[is_disable].mul_f64(1.1);
                    }
                    Some(ended) => {
                        assert_eq!(ended.code, Some(0), "{ended:#?}");
                        too_late += 1;
                        longest[is_disable] = after;
                        break;
                    }
                }
            }
            let run = Dbctl::on(&db).run(&format!("partitions {verb} resource_metrics"));
            assert_eq!(run.code, Some(0), "{run:#?}");
            assert_same_rows(&mut db.conn());
            let shape = partitions::status(&mut db.conn(), &all()[..1]).unwrap();
            assert_eq!(shape[0].partitioned, is_disable == 0);
            assert!(workers.iter().all(|worker| !worker.is_finished()), "a worker has failed");
            changes += 1;
        }
        drop(over);
        figures(&format!(
            "{killed} kills in {changes} changes of the shape ({too_late} ended before), {} statements beside them",
            statements.load(Ordering::Relaxed)
        ));
        for worker in workers {
            worker.join().expect("no statement beside the changes failed");
        }
    });
    assert_same_rows(&mut db.conn());
    db.conn().batch_execute("DROP TABLE expected").unwrap();
    verify(&db);
}
