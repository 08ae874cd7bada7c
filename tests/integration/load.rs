//! Partitions that are loaded whole: the same rows as by rows, the same partitions as `maintain` makes, and nothing in
//! between whatever happens.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use optiinfra_db::connection;
use optiinfra_db::enums::AgentType;
use optiinfra_db::ingest::{self, BulkWriter, Load, Loading};
use optiinfra_db::migrate;
use optiinfra_db::models::NewResourceMetric;
use optiinfra_db::partitions::Period;
use optiinfra_db::transfer::{Table, import};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::partitions::{WEEKS, all, run, verify};
use crate::support::{
    Dbctl, Run, TestDb, agent, customer, figures, ground, new_resource_metric, number, rounds, take_migration_lock,
    text,
};

const HEADER: &str =
    "id,agent_id,customer_id,instance_id,resource_type,metric_name,metric_value,unit,timestamp,metadata,created_at\n";
const ROWS: u32 = 24_000;

/// A database with `resource_metrics` by week, without the partitions of the four weeks that ended before this one.
struct Ground {
    db: TestDb,
    conn: PgConnection,
    /// When the four weeks begin.
    begin: DateTime<Utc>,
    folder: tempfile::TempDir,
    who: String,
}

impl Ground {
    fn new() -> Self {
        let mut ground = Self::enabled();
        // The first partition takes all that is old, until some days from now.
        let end = "SELECT (regexp_match(pg_get_expr(relpartbound, oid), '[0-9]{4}-[0-9]{2}-[0-9]{2}'))[1] FROM pg_class
                   WHERE oid = 'resource_metrics_first'::regclass";
        let end: NaiveDate = text(&mut ground.conn, end).parse().unwrap();
        ground.conn.batch_execute("DROP TABLE resource_metrics_first").unwrap();
        let mut week = ground.begin + TimeDelta::days(28);
        while week.date_naive() < end {
            ground.partition(week);
            week += TimeDelta::days(7);
        }
        ground
    }

    /// As `partitions enable` leaves a table without rows: the first partition takes all that is old.
    fn enabled() -> Self {
        let (db, conn, agent, customer) = ground(AgentType::Resource);
        run(&db, &all(), WEEKS);
        let begin = Period::Week.begin(Utc::now()) - TimeDelta::days(28);
        let who = format!("{},{}", agent.id, customer.id);
        Self { db, conn, begin, folder: tempfile::tempdir().unwrap(), who }
    }

    fn week(&self, number: i32) -> DateTime<Utc> {
        self.begin + TimeDelta::days(7 * i64::from(number))
    }

    /// Makes the partition of a week, as `maintain` does.
    fn partition(&mut self, week: DateTime<Utc>) {
        let (name, to) = (name(week), week + TimeDelta::days(7));
        let make = format!(
            "CREATE TABLE {name} (LIKE resource_metrics INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
             ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;
             ALTER TABLE resource_metrics ATTACH PARTITION {name} FOR VALUES FROM ('{week}') TO ('{to}')"
        );
        self.conn.batch_execute(&make).unwrap();
    }

    /// A row of the file, by its number in the order of times.
    fn row(&self, number: u32) -> String {
        let micros = TimeDelta::days(28).num_microseconds().unwrap() * i64::from(number) / i64::from(ROWS);
        let time = (self.begin + TimeDelta::microseconds(micros)).to_rfc3339();
        let (id, value) =
            (Uuid::from_u128(u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)), number % 100);
        format!(
            "{id},{},i-{},gpu,utilization,{value},percent,{time},\"{{\"\"n\"\":{number}}}\",{time}\n",
            self.who,
            number % 50
        )
    }

    fn file(&self, name: &str, rows: impl Iterator<Item = String>) -> PathBuf {
        let mut text = HEADER.to_owned();
        rows.for_each(|row| text.write_str(&row).unwrap());
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn sorted(&self) -> PathBuf {
        self.file("sorted.csv", (0..ROWS).map(|number| self.row(number)))
    }

    fn import(&self, file: &std::path::Path, more: &str) -> Run {
        let arguments = ["import", "resource_metrics", file.to_str().unwrap(), "--format", "json"];
        Dbctl::on(&self.db).args(&arguments).run(more)
    }

    fn count(&mut self) -> i64 {
        number(&mut self.conn, "SELECT count(*) FROM resource_metrics")
    }

    /// Rows of the partitions of the four weeks; none where there is no partition.
    fn by_week(&mut self) -> Vec<i64> {
        let weeks: Vec<_> = (0..4).map(|week| name(self.week(week))).collect();
        let of = |week: &String| {
            let exists = format!(
                "SELECT count(*) FROM pg_class WHERE relname = '{week}' AND relispartition AND relnamespace = current_schema()::regnamespace"
            );
            if number(&mut self.conn, &exists) == 0 {
                0
            } else {
                number(&mut self.conn, &format!("SELECT count(*) FROM {week}"))
            }
        };
        weeks.iter().map(of).collect()
    }

    /// Tables that look like partitions and are none.
    fn left_over(&mut self) -> i64 {
        number(
            &mut self.conn,
            "SELECT count(*) FROM pg_class WHERE relname LIKE 'resource\\_metrics\\_%' AND relkind = 'r' AND NOT relispartition
             AND relnamespace = current_schema()::regnamespace AND relname <> 'resource_metrics_hourly'",
        )
    }
}

fn name(week: DateTime<Utc>) -> String {
    format!("resource_metrics_{}", week.format("%Y%m%d"))
}

fn loaded(run: &Run) -> Vec<Value> {
    run.json()["partitions"].as_array().unwrap().iter().map(|it| it["rows"].clone()).collect()
}

/// A lock in the test's own database.
const HERE: &str = "database = (SELECT oid FROM pg_database WHERE datname = current_database())";
/// Rows of each week.
const WEEK: i64 = 6_000;

#[test]
fn whole_partitions_hold_what_rows_would_and_are_what_maintain_makes() {
    let mut by_rows = Ground::new();
    let file = by_rows.sorted();
    assert_eq!(by_rows.import(&file, "--load rows").json()["partitions"], json!([]));
    let expected = text(&mut by_rows.conn, HASH);
    // In no order of time, and the first week is there without rows.
    for (order, how) in [(1, ""), (7_919, ""), (1, "--on-conflict skip --connections 3"), (7_919, "--on-conflict skip")]
    {
        let mut ground = Ground { who: by_rows.who.clone(), ..Ground::new() };
        copy_people(&mut by_rows.conn, &mut ground.conn);
        ground.partition(ground.begin);
        let file = ground.file("f.csv", (0..ROWS).map(|number| ground.row(number * order % ROWS)));
        let run = ground.import(&file, &format!("{how} --index-memory 64 --index-workers 1"));
        assert_eq!(run.code, Some(0), "{run:#?}");
        assert_eq!((&run.json()["written"], loaded(&run)), (&json!(ROWS), vec![json!(WEEK); 4]), "{how}");
        assert_eq!(text(&mut ground.conn, HASH), expected, "{order} {how}");
        assert_eq!((ground.by_week(), ground.left_over()), (vec![WEEK; 4], 0));
        verify(&ground.db);
        let after = name(Period::Week.next(Utc::now() + TimeDelta::days(7)));
        let second = name(ground.week(1));
        let of_load = shape(&mut ground.conn, &second);
        assert_eq!(of_load, shape(&mut ground.conn, &after));
    }
}

const HASH: &str = "SELECT count(*) || ' ' || sum(hashtextextended(t::text, 0)) FROM resource_metrics t";

fn copy_people(from: &mut PgConnection, to: &mut PgConnection) {
    for table in ["customers", "agents"] {
        let rows = text(from, &format!("SELECT json_agg(t)::text FROM {table} t"));
        to.batch_execute(&format!(
            "INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, $json${rows}$json$)"
        ))
        .unwrap();
    }
}

/// What a partition has, its own name left out.
fn shape(conn: &mut PgConnection, partition: &str) -> String {
    let query = format!(
        "SELECT string_agg(replace(line, '{partition}', 'P'), E'\\n' ORDER BY line) FROM (
             SELECT pg_get_indexdef(indexrelid) || ' ' || (SELECT count(*) FROM pg_inherits WHERE inhrelid = indexrelid) AS line
             FROM pg_index WHERE indrelid = '{partition}'::regclass
             UNION ALL
             SELECT conname || ' ' || pg_get_constraintdef(oid) || ' ' || convalidated || ' ' || coninhcount || conislocal
             FROM pg_constraint WHERE conrelid = '{partition}'::regclass
             UNION ALL
             SELECT attname || ' ' || format_type(atttypid, atttypmod) || attnotnull || attstorage::text || coalesce(pg_get_expr(adbin, adrelid), '')
             FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = '{partition}'::regclass AND attnum > 0
             UNION ALL
             SELECT relrowsecurity || ' ' || relpersistence::text || coalesce(reloptions::text, '') || coalesce(relacl::text, '') || relowner::regrole
             FROM pg_class WHERE oid = '{partition}'::regclass) lines"
    );
    text(conn, &query)
}

#[test]
fn an_empty_first_partition_is_divided_by_periods_and_keeps_what_is_very_old() {
    for how in ["", "--on-conflict skip --connections 2"] {
        let mut ground = Ground::enabled();
        let old = ground.row(0).replace(&ground.begin.to_rfc3339(), "2001-01-01T00:00:00+00:00");
        // The second week has no rows.
        let rows = (1..ROWS).filter(|number| !(6_000..12_000).contains(number)).map(|number| ground.row(number));
        let file = ground.file("f.csv", rows.chain([old]));
        let imported = ground.import(&file, how);
        assert_eq!((imported.code, &imported.json()["written"]), (Some(0), &json!(ROWS - 6_000)), "{imported:#?}");
        assert_eq!((loaded(&imported).len(), ground.by_week()), (3, vec![WEEK - 1, 0, WEEK, WEEK]), "{imported:#?}");
        assert_eq!(number(&mut ground.conn, "SELECT count(*) FROM resource_metrics_first"), 1);
        assert_eq!(number(&mut ground.conn, "SELECT count(*) FROM resource_metrics_default"), 0);
        verify(&ground.db);
        assert!(run(&ground.db, &all(), WEEKS).is_empty());
    }
}

#[test]
fn rows_that_the_server_refuses_are_named_and_the_others_of_the_partition_are_loaded_whole() {
    let mut ground = Ground::new();
    ground
        .conn
        .batch_execute("ALTER TABLE resource_metrics ADD CONSTRAINT not_13_5 CHECK (metric_value <> 13.5)")
        .unwrap();
    let mut rows: Vec<_> = (0..ROWS).map(|number| ground.row(number)).collect();
    // Line 1 is the header: a row at index n is on line n + 2.
    rows[7_000] = rows[7_000].replacen(",gpu,utilization,0,", ",gpu,utilization,13.5,", 1);
    rows[13_000] = rows[12_999].clone();
    let file = ground.file("f.csv", rows.into_iter());
    for how in ["", "--on-conflict skip"] {
        let run = ground.import(&file, how);
        assert_eq!(run.code, Some(1), "{run:#?}");
        let lines: Vec<_> = run.json()["rejects"].as_array().unwrap().iter().map(|it| it["line"].clone()).collect();
        let is_skipping = !how.is_empty();
        // A row that is there twice is skipped where rows are.
        assert_eq!(lines, if is_skipping { vec![json!(7_002)] } else { vec![json!(7_002), json!(13_002)] }, "{run:#?}");
        if is_skipping {
            assert!(ground.by_week().iter().all(|rows| [0, WEEK].contains(rows)), "{:?}", ground.by_week());
        } else {
            assert_eq!((ground.count(), ground.by_week(), ground.left_over()), (0, vec![0; 4], 0));
        }
    }
    let mut ground = Ground { who: ground.who.clone(), folder: ground.folder, ..recreate(&mut ground.conn) };
    ground
        .conn
        .batch_execute("ALTER TABLE resource_metrics ADD CONSTRAINT not_13_5 CHECK (metric_value <> 13.5)")
        .unwrap();
    let rejects = ground.folder.path().join("rejects.csv");
    let run = ground.import(&file, &format!("--max-rejects 2 --rejects {}", rejects.display()));
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(ground.by_week(), [WEEK, WEEK - 1, WEEK - 1, WEEK]);
    assert_eq!(loaded(&run).len(), 4, "{run:#?}");
    let rejects = std::fs::read_to_string(rejects).unwrap();
    assert!(rejects.contains("\n7002,") && rejects.contains("\n13002,") && rejects.contains("13.5"), "{rejects}");
}

fn recreate(people: &mut PgConnection) -> Ground {
    let mut ground = Ground::new();
    copy_people(people, &mut ground.conn);
    ground
}

#[test]
fn a_partition_with_rows_is_written_by_rows_and_a_plain_table_has_no_other_way() {
    let mut ground = Ground::new();
    ground.partition(ground.week(2));
    let file = ground.sorted();
    let one = ground.file("one.csv", std::iter::once(ground.row(13_000)));
    // One row does not make a partition.
    assert_eq!(loaded(&ground.import(&one, "")), [0; 0]);
    let run = ground.import(&file, "--on-conflict skip");
    assert_eq!((run.code, &run.json()["skipped"]), (Some(0), &json!(1)), "{run:#?}");
    assert_eq!((loaded(&run), ground.by_week()), (vec![json!(WEEK); 3], vec![WEEK; 4]));
    let again = ground.import(&file, "--on-conflict skip").json();
    assert_eq!((&again["skipped"], &again["partitions"]), (&json!(ROWS), &json!([])));
    verify(&ground.db);

    run_plain(&mut ground, &file);
}

fn run_plain(ground: &mut Ground, file: &std::path::Path) {
    ground.conn.batch_execute("TRUNCATE resource_metrics").unwrap();
    run(&ground.db, &all(), optiinfra_db::partitions::Goal::Disabled);
    let run = ground.import(file, "--load partitions");
    assert_eq!((run.code, ground.count()), (Some(2), 0), "{run:#?}");
    assert!(run.failure().contains("resource_metrics takes no whole partitions: it is not partitioned"), "{run:#?}");
    let run = ground.import(file, "");
    assert_eq!((run.code, loaded(&run)), (Some(0), Vec::new()), "{run:#?}");
}

#[test]
fn an_id_of_another_partition_is_skipped_as_by_rows() {
    let mut ground = Ground::new();
    ground.partition(ground.week(0));
    let rows: Vec<_> = (0..ROWS).map(|number| ground.row(number)).collect();
    let id = |row: usize| rows[row].split_once(',').unwrap().0.to_owned();
    // The id of a row of the second week, in a row of the first that is there; and twice within the last week.
    let there = ground.file("there.csv", std::iter::once(rows[5].replace(&id(5), &id(8_000))));
    assert_eq!(ground.import(&there, "").code, Some(0));
    let twice = rows[20_000].replace(&id(20_000), &id(19_999));
    let file = ground
        .file("f.csv", rows.iter().enumerate().map(|(at, row)| if at == 20_000 { twice.clone() } else { row.clone() }));
    let run = ground.import(&file, "--on-conflict skip --connections 2");
    assert_eq!((run.code, &run.json()["skipped"]), (Some(0), &json!(2)), "{run:#?}");
    assert_eq!((ground.by_week(), loaded(&run).len()), (vec![WEEK + 1, WEEK - 1, WEEK, WEEK - 1], 1));
    verify(&ground.db);
}

#[test]
fn a_killed_load_leaves_whole_partitions_and_the_next_one_the_rest() {
    let mut ground = Ground::new();
    let file = ground.sorted();
    let mut seen = std::collections::BTreeMap::new();
    for round in 0..rounds(6, 60) {
        let how = if round % 2 == 0 { "--on-conflict skip --connections 2" } else { "" };
        let arguments = format!("import resource_metrics {} --quiet {how}", file.display());
        let mut child = Dbctl::on(&ground.db).stdout(Stdio::null()).spawn(&arguments);
        // Somewhere else in its work each time: it holds the lock while it loads, and where partitions are committed one by
        // one, another number of them is there.
        let wanted = if how.is_empty() { 0 } else { round / 2 % 4 };
        let mut is_at_it = || {
            let locks =
                format!("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND {HERE}");
            number(&mut ground.conn, &locks) > 0 && ground.by_week().iter().filter(|rows| **rows > 0).count() >= wanted
        };
        while child.try_wait().unwrap().is_none() && !is_at_it() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(round as u64 * 37 % 200));
        let _ = child.kill();
        child.wait().unwrap();
        let gone = |conn: &mut PgConnection| {
            number(
                conn,
                &format!("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND {HERE}"),
            ) == 0
        };
        crate::support::until("the server notices", Duration::from_secs(10), || gone(&mut ground.conn));
        let weeks = ground.by_week();
        assert!(weeks.iter().all(|rows| [0, WEEK].contains(rows)), "{weeks:?}");
        assert_eq!(ground.left_over(), 0);
        let whole = weeks.iter().filter(|rows| **rows > 0).count();
        *seen.entry(whole).or_insert(0) += 1;
        // Else each further run would be killed in the last partition.
        if whole >= 3 {
            ground.conn.batch_execute("TRUNCATE resource_metrics").unwrap();
        }
    }
    let run = ground.import(&file, "--on-conflict skip --connections 2");
    assert_eq!((run.code, ground.by_week()), (Some(0), vec![WEEK; 4]), "{run:#?}");
    verify(&ground.db);
    figures(&format!("kills by the partitions that were there: {seen:?}"));
}

#[test]
fn two_loads_of_the_same_rows_at_once_write_each_row_once() {
    let mut ground = Ground::new();
    let file = ground.sorted();
    for how in ["--on-conflict skip --connections 2", ""] {
        let arguments = format!("import resource_metrics {} --format json {how}", file.display());
        let children = [(); 2].map(|()| Dbctl::on(&ground.db).stdout(Stdio::piped()).spawn(&arguments));
        let ends = children.map(Run::of);
        assert_eq!((ground.by_week(), ground.left_over()), (vec![WEEK; 4], 0), "{ends:#?}");
        let written: u64 = ends.iter().map(|run| run.json()["written"].as_u64().unwrap()).sum();
        assert_eq!(written, u64::from(ROWS), "{ends:#?}");
        ground.conn.batch_execute("TRUNCATE resource_metrics").unwrap();
    }
}

#[test]
fn while_a_migration_runs_partitions_wait_and_rows_do_not() {
    let mut ground = Ground::new();
    let text = std::fs::read(ground.sorted()).unwrap();
    take_migration_lock(&mut ground.conn);
    let pool = connection::pool(&ground.db.target(), "load").max_size(2).build().unwrap();
    let import = |load| {
        let loading = Loading { load, lock_wait: Duration::from_millis(200), ..Loading::default() };
        let options = import::Options { loading, ..import::Options::default() };
        import::retryable(&pool, Table::ResourceMetrics, &text[..], &options, 2, &AtomicBool::new(false), &mut ())
    };
    let error = import(Load::Partitions).unwrap_err();
    assert!(matches!(error, optiinfra_db::Error::Migrate(migrate::Error::Locked { .. })), "{error:#?}");
    assert_eq!(ground.count(), 0);
    let report = import(Load::Auto).unwrap();
    assert_eq!((report.written, report.partitions.len()), (u64::from(ROWS), 0));
}

#[test]
fn a_load_that_the_table_cannot_take_says_why() {
    let mut ground = Ground::new();
    let file = ground.sorted();
    let role = ground.db.role();
    let operator = role.name.as_str();
    let why = |ground: &Ground, words: &str| {
        let run = ground.import(&file, "--load partitions");
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert!(run.failure().contains(words), "{run:#?}");
    };
    ground
        .conn
        .batch_execute(
            "CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER quiet BEFORE INSERT ON resource_metrics FOR EACH ROW EXECUTE FUNCTION quiet()",
        )
        .unwrap();
    why(&ground, "it has triggers");
    ground
        .conn
        .batch_execute("DROP TRIGGER quiet ON resource_metrics; CREATE PUBLICATION of_load FOR TABLE resource_metrics")
        .unwrap();
    why(&ground, "it is published");
    ground.conn.batch_execute("DROP PUBLICATION of_load").unwrap();
    let grant = format!(
        "GRANT USAGE ON SCHEMA {schema} TO {operator}; GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {operator}",
        schema = ground.db.schema()
    );
    ground.conn.batch_execute(&grant).unwrap();
    let run = Dbctl::new()
        .env("DATABASE_URL", &ground.db.url_as(operator))
        .run(&format!("import resource_metrics {} --load partitions --format json", file.display()));
    assert_eq!(run.code, Some(2), "{run:#?}");
}

#[test]
fn rows_that_cannot_be_kept_on_disk_are_an_error_that_says_where() {
    let mut ground = Ground::new();
    let file = ground.sorted();
    let arguments = ["import", "resource_metrics", file.to_str().unwrap(), "--format", "json"];
    let nowhere = ground.folder.path().join("nowhere");
    let run = Dbctl::on(&ground.db).env("TMPDIR", nowhere.to_str().unwrap()).args(&arguments).run("");
    assert_eq!((run.code, ground.count()), (Some(2), 0), "{run:#?}");
    assert!(run.failure().contains(nowhere.to_str().unwrap()), "{run:#?}");
}

#[test]
fn a_writer_of_typed_rows_loads_partitions_too_and_names_the_row_that_is_refused() {
    let ground = Ground::new();
    let mut conn = ground.db.conn();
    let (agent, customer) = (agent(&mut conn, AgentType::Resource), customer(&mut conn));
    let pool = connection::pool(&ground.db.target(), "load").max_size(2).build().unwrap();
    let sample = |number: u32| NewResourceMetric {
        id: Some(Uuid::from_u128(u128::from(number))),
        timestamp: ground.begin + TimeDelta::minutes(i64::from(number % 4) * 7 * 24 * 60 + i64::from(number % 7_000)),
        ..new_resource_metric(&agent, &customer, 50.0, 0)
    };
    let write = |rows: Vec<NewResourceMetric>| {
        let loading = Loading { load: Load::Partitions, ..Loading::default() };
        BulkWriter::new(&pool).connections(2).loading(loading).write(rows)
    };
    let mut rows: Vec<_> = (1..=ROWS).map(sample).collect();
    rows[20_000].customer_id = Uuid::from_u128(1);
    match write(rows.clone()).unwrap_err() {
        optiinfra_db::Error::Ingest(ingest::Error::RowRefused { row, .. }) => assert_eq!(row, 20_001),
        other => panic!("{other:#?}"),
    }
    // Partitions before it, and chunks of its own one, are there.
    conn.batch_execute("TRUNCATE resource_metrics").unwrap();
    rows[20_000].customer_id = customer.id;
    let report = write(rows).unwrap();
    assert_eq!((report.written, report.loaded.len(), report.through), (u64::from(ROWS), 4, None));
}
