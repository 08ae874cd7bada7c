//! Bulk writing while the world ends: killed processes, lost connections, a stopped server, a full disk. What is left
//! is whole chunks, and the same input written again makes it complete.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use nix::sys::signal::{Signal, kill};
use optiinfra_db::connection::{self, Pool};
use optiinfra_db::enums::AgentType;
use optiinfra_db::ingest::{BulkWriter, OnConflict};
use optiinfra_db::local::Status;
use optiinfra_db::migrate::{Goal, Migrator};
use optiinfra_db::models::{Agent, Customer, NewResourceMetric};
use optiinfra_db::{Error, ingest};

use crate::support::{
    Scratch, TestDb, agent, at, customer, example, figures, ground, new_resource_metric, number, rounds, until,
};

const CHUNK: usize = 200;
const LIMIT: Duration = Duration::from_secs(20);

fn count(conn: &mut PgConnection, table: &str) -> i64 {
    number(conn, &format!("SELECT count(*) FROM {table}"))
}

fn sample(agent: &Agent, customer: &Customer, minute: usize) -> NewResourceMetric {
    let mut row = new_resource_metric(agent, customer, 50.0, i64::try_from(minute).unwrap());
    row.timestamp = at(0) + chrono::TimeDelta::seconds(i64::try_from(minute).unwrap());
    row.id = Some(ingest::ids::sample_id_of(row.timestamp, &minute.to_be_bytes()));
    row
}

// --- Killed processes ---

/// Loads the same rows in every run, for the first customer and agent that are there.
fn load(db: &TestDb, table: &str) -> Child {
    example("bulk_load", &db.url())
        .args(["--table", table, "--rows", "20000", "--connections", "2", "--rows-per-chunk", "200"])
        .args(["--on-conflict", "skip"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn after_many_kills_and_a_run_to_the_end_exactly_the_inputs_rows_are_there() {
    let (db, mut conn, ..) = ground(AgentType::Resource);
    for table in ["resource_metrics", "quality_metrics"] {
        let mut left = Vec::new();
        for round in 0..rounds(5, 20) {
            let before = count(&mut conn, table);
            let mut child = load(&db, table);
            // It has to be at it, and somewhere else in its work each time.
            let chunks = i64::try_from(round % 3).unwrap();
            until("the victim writes", LIMIT, || count(&mut conn, table) > before + chunks * 200);
            assert_eq!(child.try_wait().unwrap(), None, "the victim ended before it was killed");
            child.kill().unwrap();
            child.wait().unwrap();
            until("its sessions end", LIMIT, || {
                let schema = db.schema();
                let sessions = format!(
                    "SELECT count(*) FROM pg_stat_activity a WHERE application_name = 'bulk_load' AND EXISTS (SELECT FROM \
                     pg_locks l WHERE l.pid = a.pid AND l.relation = '{schema}.{table}'::regclass)"
                );
                number(&mut conn, &sessions) == 0
            });
            left.push(count(&mut conn, table));
        }
        assert!(left.is_sorted() && left.iter().all(|rows| rows % 200 == 0), "{left:?}");
        assert!(load(&db, table).wait().unwrap().success());
        let rows = count(&mut conn, table);
        assert_eq!(rows, 20_000);

        // Written at one go into another database, the input is the same rows.
        let (whole_db, mut whole, ..) = ground(AgentType::Resource);
        assert!(load(&whole_db, table).wait().unwrap().success());
        let digest = format!(
            "SELECT hashtextextended(string_agg((id, timestamp, created_at)::text, ',' ORDER BY id), 0)
             FROM {table}"
        );
        assert_eq!(number(&mut conn, &digest), number(&mut whole, &digest));
        figures(&format!("kill -9 in bulk writing: {table}: rows left by {} runs: {left:?}, then {rows}", left.len()));
    }
}

// --- Lost connections and servers ---

/// Writes rows while something happens at one of them; returns the error and how many rows are there after it.
fn write_while(pool: &Pool, connections: usize, rows: impl Iterator<Item = NewResourceMetric>) -> Error {
    let writer = BulkWriter::new(pool).connections(connections).rows_per_chunk(CHUNK);
    writer.on_conflict(OnConflict::Skip).write(rows).unwrap_err()
}

#[track_caller]
fn assert_whole_chunks(error: &Error, there: i64) {
    let Error::Ingest(ingest::Error::ChunkFailed { written, in_doubt, first, last, .. }) = error else {
        panic!("{error:?}")
    };
    let there = u64::try_from(there).unwrap();
    assert_eq!(there % 200, 0, "{error}");
    assert!((*written..=written + in_doubt).contains(&there), "{there} rows, but: {error}");
    assert_eq!((first % 200, last % 200), (1, 0), "{error}");
}

#[test]
fn a_lost_connection_leaves_whole_chunks_and_the_retry_completes() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    for connections in [1, 2] {
        let name = format!("worker_{}", db.schema());
        let pool = connection::pool(&db.target(), &name).max_size(2).build().unwrap();
        conn.batch_execute("TRUNCATE resource_metrics").unwrap();
        let mut other = db.conn();
        let kill_one = format!(
            "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = '{name}' ORDER BY query_start DESC LIMIT 1) t"
        );
        let rows = (0..20_000).map(|minute| {
            if minute == 9_999 {
                assert_eq!(number(&mut other, &kill_one), 1);
            }
            sample(&agent, &customer, minute)
        });
        let error = write_while(&pool, connections, rows);
        until("no other is writing", LIMIT, || {
            number(
                &mut conn,
                &format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}' AND state <> 'idle'"),
            ) == 0
        });
        assert_whole_chunks(&error, count(&mut conn, "resource_metrics"));
        let rows = (0..20_000).map(|minute| sample(&agent, &customer, minute));
        let report = BulkWriter::new(&pool).on_conflict(OnConflict::Skip).write(rows).unwrap();
        assert_eq!((report.received, count(&mut conn, "resource_metrics")), (20_000, 20_000));
    }
}

/// A row by which [`lose_commits`] knows a transaction.
fn lost(agent: &Agent, customer: &Customer, minute: usize) -> NewResourceMetric {
    let mut row = sample(agent, customer, minute);
    row.instance_id = "lost".to_owned();
    row
}

/// Makes the server end a session that commits a [`lost`] row, while it commits: whether it did, nobody says.
fn lose_commits(conn: &mut PgConnection) {
    conn.batch_execute(
        "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM pg_sleep(1), pg_terminate_backend(pg_backend_pid());
             RETURN NULL;
         END $$;
         CREATE CONSTRAINT TRIGGER lose AFTER INSERT ON resource_metrics DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN (NEW.instance_id = 'lost') EXECUTE FUNCTION lose()",
    )
    .unwrap();
}

#[test]
fn rows_in_doubt_are_told_whatever_ended_the_writing() {
    enum End {
        Refused,
        Cancelled,
        OfInput,
    }
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    lose_commits(&mut conn);
    let name = format!("worker_{}", db.schema());
    let pool = connection::pool(&db.target(), &name).max_size(2).build().unwrap();
    let commits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}' AND query = 'COMMIT' AND state = 'active'"
    );
    for end in [End::Refused, End::Cancelled, End::OfInput] {
        let cancel = AtomicBool::new(false);
        let mut other = db.conn();
        // The end comes on the second connection, while the first waits for the answer to its COMMIT.
        let rows = (0..2 * CHUNK).map(|minute| {
            if minute == CHUNK {
                until("the first chunk is committed", LIMIT, || number(&mut other, &commits) == 1);
            }
            match &end {
                _ if minute < CHUNK => Ok(lost(&agent, &customer, minute)),
                End::OfInput => Err(Error::Diesel(diesel::result::Error::NotFound)),
                End::Cancelled => {
                    cancel.store(true, Ordering::Relaxed);
                    Ok(sample(&agent, &customer, minute))
                }
                End::Refused => {
                    let mut row = sample(&agent, &customer, minute);
                    row.customer_id = uuid::Uuid::nil();
                    Ok(row)
                }
            }
        });
        let writer = BulkWriter::new(&pool).connections(2).rows_per_chunk(CHUNK).cancelled_by(&cancel);
        let error = writer.try_write(rows).unwrap_err();
        match (&end, &error) {
            (End::Refused, Error::Ingest(ingest::Error::RowRefused { row: 201, written: 0, in_doubt: 200, .. }))
            | (End::Cancelled, Error::Ingest(ingest::Error::Cancelled { written: 0, in_doubt: 200, .. }))
            | (
                End::OfInput,
                Error::Ingest(ingest::Error::ChunkFailed { first: 1, last: 200, written: 0, in_doubt: 200, .. }),
            ) => {}
            _ => panic!("{error:?}"),
        }
        assert!(error.to_string().contains("whether 200 more are"), "{error}");
    }
}

/// A migrated cluster of the test's own, with an agent and a customer.
fn own_cluster() -> (Scratch, Agent, Customer) {
    let scratch = Scratch::new();
    scratch.cluster.start().unwrap();
    let mut conn = connection::connect(&scratch.cluster.target(), "test").unwrap();
    Migrator::default().run(&mut conn, &Goal::Head).unwrap();
    let (agent, customer) = (agent(&mut conn, AgentType::Resource), customer(&mut conn));
    (scratch, agent, customer)
}

#[test]
fn a_stopped_server_leaves_whole_chunks_and_the_retry_completes() {
    let (scratch, agent, customer) = own_cluster();
    let mut there = 0;
    for round in 1..=rounds(2, 20) {
        let pool = connection::pool(&scratch.cluster.target(), "test").max_size(2).build().unwrap();
        let stop_at = there + 1_000 + 77 * round;
        let rows = (0..).map(|minute| {
            if minute == stop_at {
                // What `pg_ctl stop -m immediate` sends.
                kill(scratch.pid(), Signal::SIGQUIT).unwrap();
            }
            sample(&agent, &customer, minute)
        });
        let error = write_while(&pool, 2, rows);
        until("the server is gone", LIMIT, || !matches!(scratch.cluster.status().unwrap(), Status::Running { .. }));
        scratch.cluster.start().unwrap();
        let mut conn = connection::connect(&scratch.cluster.target(), "test").unwrap();
        let before = i64::try_from(there).unwrap();
        there = usize::try_from(count(&mut conn, "resource_metrics")).unwrap();
        assert_whole_chunks(&error, i64::try_from(there).unwrap() - before);
    }
    let pool = connection::pool(&scratch.cluster.target(), "test").max_size(2).build().unwrap();
    let rows = (0..there + 1_000).map(|minute| sample(&agent, &customer, minute));
    let report = BulkWriter::new(&pool).connections(2).on_conflict(OnConflict::Skip).write(rows).unwrap();
    assert_eq!(report.skipped, u64::try_from(there).unwrap());
    assert_eq!(report.written, 1_000);
}

/// A file system in memory, of a size that can be filled, until dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount one.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let disk = Self(at.to_owned());
        disk.run("mount", &["-t", "tmpfs", "-o", "size=6m,mode=0777", "tmpfs"]).then_some(disk)
    }

    fn grow(&self) {
        assert!(self.run("mount", &["-o", "remount,size=200m"]));
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let run = Command::new(program).args(arguments).arg(&self.0).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if !self.run("umount", &["-l"]) {
            figures(&format!("a test's file system stays mounted: {}", self.0.display()));
        }
    }
}

#[test]
fn a_full_disk_leaves_whole_chunks_and_the_retry_completes() {
    let (scratch, agent, customer) = own_cluster();
    let path = scratch.cluster.dir().with_file_name("disk");
    let Some(disk) = SmallDisk::mount(&path) else {
        figures("skipped: a full disk, because this user may not mount a file system");
        return;
    };
    // The server's user has to own it, and is whoever owns the cluster.
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(scratch.cluster.dir()).unwrap());
    std::os::unix::fs::chown(&path, Some(owner), None).unwrap();
    let mut conn = connection::connect(&scratch.cluster.target(), "test").unwrap();
    conn.batch_execute(&format!("CREATE TABLESPACE small LOCATION '{}'", path.display())).unwrap();
    conn.batch_execute("ALTER TABLE resource_metrics SET TABLESPACE small").unwrap();

    for (connections, on_conflict) in [(1, OnConflict::Refuse), (2, OnConflict::Skip)] {
        let pool = connection::pool(&scratch.cluster.target(), "test").max_size(2).build().unwrap();
        let before = count(&mut conn, "resource_metrics");
        let rows = (0..1_000_000).map(|minute| sample(&agent, &customer, minute));
        let writer = BulkWriter::new(&pool).connections(connections).rows_per_chunk(CHUNK);
        let error = writer.on_conflict(on_conflict).write(rows).unwrap_err();
        assert_whole_chunks(&error, count(&mut conn, "resource_metrics") - before);
        let Error::Ingest(ingest::Error::ChunkFailed { source, .. }) = &error else { unreachable!() };
        let cause = std::error::Error::source(source).unwrap().to_string();
        assert!(cause.contains("No space left on device"), "{cause}");
    }
    disk.grow();
    let there = count(&mut conn, "resource_metrics");
    let all = usize::try_from(there).unwrap() + 5_000;
    let pool = connection::pool(&scratch.cluster.target(), "test").max_size(2).build().unwrap();
    let rows = (0..all).map(|minute| sample(&agent, &customer, minute));
    let report = BulkWriter::new(&pool).connections(2).on_conflict(OnConflict::Skip).write(rows).unwrap();
    assert_eq!((report.skipped, report.written), (u64::try_from(there).unwrap(), 5_000));
    drop(conn);
    scratch.cluster.stop().unwrap();
}
