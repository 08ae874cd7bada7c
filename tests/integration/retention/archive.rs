//! Rows that are archived before they go: nothing is lost, and an import brings them back.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use optiinfra_db::Error;
use optiinfra_db::retention::{self, Archive, Options};
use optiinfra_db::transfer::Format;
use tempfile::TempDir;

use super::{keep, plain, rows_since, run, weekly};
use crate::support::{Dbctl, Run, TestDb, number};

fn archive(dir: &TempDir, format: Format) -> Options {
    Options { archive: Some(Archive { dir: dir.path().to_owned(), format }), ..keep(30) }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Reads every file of a folder back. A row that is in two of them is written once.
fn import(db: &TestDb, dir: &Path) {
    for file in files(dir) {
        let file = file.display();
        let run = Dbctl::on(db)
            .run(&format!("import resource_metrics {file} --on-conflict skip --no-range-checks --format json"));
        assert_eq!((run.code, &run.json()["rejected"]), (Some(0), &0.into()), "{run:#?}");
    }
}

/// Makes some of the old rows ones that are easily spoilt.
fn plant_odd_rows(db: &TestDb) {
    db.conn()
        .batch_execute(
            "UPDATE resource_metrics r SET metric_value = odd.number, unit = odd.unit, metadata = odd.json::jsonb,
                 instance_id = odd.instance, \"timestamp\" = \"timestamp\" - interval '1 microsecond'
             FROM (SELECT id, row_number() OVER (ORDER BY \"timestamp\") AS n FROM resource_metrics WHERE instance_id = 'i-old'
                   ORDER BY \"timestamp\" LIMIT 6) old
             JOIN (VALUES
                 (1, 'NaN'::float8, 'percent', '{}', 'i \"quoted\", x'),
                 (2, '-Infinity', 'percent', '[1, 2.50, \"\\u00e9\", null]', E'line\\nend'),
                 (3, 4.9e-324, '', '{\"a\": {\"b\": [true, \"\\n\"]}}', ''),
                 (4, 1.7976931348623157e308, ' x ', '\"text\"', E'\\ttab'),
                 (5, '-0', 'percent', '9007199254740993', 'NULL'),
                 (6, 120, 'percent', 'null', '東京 🚀')
             ) odd (n, number, unit, json, instance) USING (n)
             WHERE r.id = old.id",
        )
        .unwrap();
}

#[test]
fn what_was_archived_comes_back_as_it_was() {
    for (make, format) in [
        (weekly as fn() -> TestDb, Format::Ndjson),
        (weekly, Format::Csv),
        (plain, Format::Ndjson),
        (plain, Format::Csv),
    ] {
        let (db, dir) = (make(), tempfile::tempdir().unwrap());
        plant_odd_rows(&db);
        let mut conn = db.conn();
        let before = rows_since(&mut conn, "-infinity");
        let planned = retention::plan(&mut conn, &archive(&dir, format)).unwrap();
        let report = run(&db, &archive(&dir, format));
        assert_eq!((report.tables[0].rows(), report.left), (planned.tables[0].rows(), 0));
        assert!(report.tables[0].rows() > 1500);
        let old = format!("SELECT count(*) FROM resource_metrics WHERE \"timestamp\" < '{}'", report.tables[0].cutoff);
        assert_eq!(number(&mut conn, &old), 0);
        let mut reported: Vec<_> = report.tables[0].parts.iter().flat_map(|part| part.archives.clone()).collect();
        reported.sort();
        assert_eq!(reported, files(dir.path()));
        assert!(reported.len() > 9, "{reported:?}");
        import(&db, dir.path());
        assert_eq!(rows_since(&mut conn, "-infinity"), before);
    }
}

/// A run of the binary that may write no file of more than 4 KiB.
fn run_on_small_disk(db: &TestDb, dir: &Path, is_killed: bool) -> Run {
    let ignore = if is_killed { "" } else { "trap '' XFSZ; " };
    let command = format!(
        "{ignore}ulimit -f 8; exec {} retention apply --keep resource_metrics=30d --yes --archive {}",
        env!("CARGO_BIN_EXE_optiinfra-dbctl"),
        dir.display()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).env("DATABASE_URL", db.url()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Run::of(shell.spawn().unwrap())
}

#[test]
fn a_full_disk_and_a_kill_while_a_file_is_written_lose_nothing() {
    for make in [weekly as fn() -> TestDb, plain] {
        let (db, dir) = (make(), tempfile::tempdir().unwrap());
        let mut conn = db.conn();
        let before = rows_since(&mut conn, "-infinity");
        let full = run_on_small_disk(&db, dir.path(), false);
        assert_eq!(full.code, Some(2), "{full:#?}");
        assert!(full.stderr.contains("the archive") && full.stderr.contains("has space"), "{full:#?}");
        assert!(files(dir.path()).is_empty());
        let killed = run_on_small_disk(&db, dir.path(), true);
        assert_eq!(killed.code, None, "{killed:#?}");
        let left = files(dir.path());
        assert!(left.len() == 1 && left[0].extension().unwrap() == "part", "{left:?}");
        assert_eq!(run(&db, &archive(&dir, Format::Ndjson)).left, 0);
        assert!(files(dir.path()).iter().all(|file| file.extension().unwrap() == "gz"));
        import(&db, dir.path());
        assert_eq!(rows_since(&mut conn, "-infinity"), before);
    }
}

#[test]
fn a_partition_that_a_killed_run_took_out_is_archived_by_the_next_one_only() {
    let (db, dir) = (weekly(), tempfile::tempdir().unwrap());
    let mut conn = db.conn();
    let before = rows_since(&mut conn, "-infinity");
    run_on_small_disk(&db, dir.path(), true);
    let detached = "SELECT count(*) FROM pg_class WHERE relname ~ '^resource_metrics_[0-9]{8}$' AND NOT relispartition";
    assert_eq!(number(&mut conn, detached), 1);
    let refused = retention::run(&mut conn, &keep(30), |_| ()).unwrap_err();
    assert!(
        matches!(&refused, Error::Retention(retention::Error::NotArchived { table: "resource_metrics", .. })),
        "{refused:?}"
    );
    let findings = crate::support::verified(&db);
    let steps: Vec<_> = findings
        .checks
        .iter()
        .flat_map(|check| &check.findings)
        .filter_map(|finding| finding.next_step.as_deref())
        .filter(|step| step.contains("`retention apply` goes on"))
        .collect();
    assert!(!steps.is_empty());
    let report = run(&db, &archive(&dir, Format::Csv));
    assert!(report.tables[0].parts[0].detached);
    assert_eq!((report.left, number(&mut conn, detached)), (0, 0));
    import(&db, dir.path());
    assert_eq!(rows_since(&mut conn, "-infinity"), before);
}

/// What a run leaves that is killed after the file has its name and before, or while, the rows go.
#[test]
fn a_file_that_is_there_already_is_used_and_not_written_again() {
    for make in [weekly as fn() -> TestDb, plain] {
        let (db, dir) = (make(), tempfile::tempdir().unwrap());
        let mut conn = db.conn();
        let before = rows_since(&mut conn, "-infinity");
        conn.batch_execute("CREATE TABLE saved AS SELECT * FROM resource_metrics").unwrap();
        let is_partitioned =
            number(&mut conn, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'resource_metrics'::regclass") > 0;
        run(&db, &archive(&dir, Format::Ndjson));
        let written = files(dir.path());
        if is_partitioned {
            let undo = "DO $$ DECLARE name text; BEGIN
                FOR name IN SELECT DISTINCT 'resource_metrics_' || to_char(date_trunc('week', \"timestamp\"), 'YYYYMMDD')
                    FROM saved WHERE NOT EXISTS (SELECT FROM resource_metrics r WHERE r.id = saved.id) LOOP
                    EXECUTE format('CREATE TABLE %I PARTITION OF resource_metrics FOR VALUES FROM (%L) TO (%L)', name,
                        right(name, 8)::timestamptz, right(name, 8)::timestamptz + interval '7 days');
                END LOOP;
            END $$";
            conn.batch_execute(undo).unwrap();
        }
        conn.batch_execute(
            "INSERT INTO resource_metrics SELECT * FROM saved WHERE id NOT IN (SELECT id FROM resource_metrics)",
        )
        .unwrap();
        assert_eq!(rows_since(&mut conn, "-infinity"), before);
        let report = run(&db, &archive(&dir, Format::Ndjson));
        assert!(report.left == 0 && report.tables[0].rows() > 1500);
        assert_eq!(files(dir.path()), written);
        import(&db, dir.path());
        assert_eq!(rows_since(&mut conn, "-infinity"), before);
    }
}

#[test]
fn a_row_that_changed_or_came_since_the_file_was_written_is_in_another_one() {
    let (db, dir) = (plain(), tempfile::tempdir().unwrap());
    let mut conn = db.conn();
    conn.batch_execute("CREATE TABLE saved AS SELECT * FROM resource_metrics").unwrap();
    run(&db, &archive(&dir, Format::Ndjson));
    let written = files(dir.path()).len();
    conn.batch_execute(
        "INSERT INTO resource_metrics SELECT * FROM saved WHERE id NOT IN (SELECT id FROM resource_metrics);
         UPDATE resource_metrics SET metadata = '{\"changed\": true}'
         WHERE id = (SELECT id FROM resource_metrics WHERE instance_id = 'i-old' ORDER BY \"timestamp\" LIMIT 1);
         INSERT INTO resource_metrics SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(),
             'instance_id', 'i-late'))).*
         FROM resource_metrics r WHERE instance_id = 'i-old' AND \"timestamp\" < now() - interval '60 days' LIMIT 1",
    )
    .unwrap();
    let before = rows_since(&mut conn, "-infinity");
    assert_eq!(run(&db, &archive(&dir, Format::Ndjson)).left, 0);
    // Both rows are of one week, or of two.
    let more = files(dir.path()).len() - written;
    assert!((1..=2).contains(&more), "{more} files more");
    // Files in the order in which they were written: the newest says what a row was last.
    let mut newest = files(dir.path());
    newest.sort_by_key(|file| fs::metadata(file).unwrap().modified().unwrap());
    for file in newest.iter().rev() {
        let run = Dbctl::on(&db).run(&format!("import resource_metrics {} --on-conflict skip", file.display()));
        assert_eq!(run.code, Some(0), "{run:#?}");
    }
    assert_eq!(rows_since(&mut conn, "-infinity"), before);
}

#[test]
fn a_row_that_an_import_would_refuse_keeps_its_week_or_partition() {
    for make in [weekly as fn() -> TestDb, plain] {
        let (db, dir) = (make(), tempfile::tempdir().unwrap());
        let mut conn = db.conn();
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        conn.batch_execute(&format!(
            "UPDATE resource_metrics SET metadata = '{deep}' WHERE id =
                 (SELECT id FROM resource_metrics WHERE instance_id = 'i-old' ORDER BY \"timestamp\" LIMIT 1)"
        ))
        .unwrap();
        let all = number(&mut conn, "SELECT count(*) FROM resource_metrics");
        let refused = retention::run(&mut conn, &archive(&dir, Format::Ndjson), |_| ()).unwrap_err();
        assert!(
            matches!(&refused, Error::Retention(retention::Error::ArchiveUnreadable { reason, .. }) if reason.contains("127")),
            "{refused:?}"
        );
        let oldest = "SELECT count(*) FROM (SELECT FROM resource_metrics WHERE instance_id = 'i-old') r";
        let detached =
            "SELECT coalesce(sum(c.reltuples), 0)::bigint FROM pg_class c WHERE relname ~ '^resource_metrics_[0-9]{8}$'
            AND NOT relispartition";
        assert!(number(&mut conn, oldest) > 0 && all >= number(&mut conn, "SELECT count(*) FROM resource_metrics"));
        conn.batch_execute(
            "DO $$ DECLARE name text; BEGIN
                 FOR name IN SELECT relname FROM pg_class
                     WHERE relname ~ '^resource_metrics(_[0-9]{8})?$' AND NOT relispartition AND relkind IN ('r', 'p') LOOP
                     EXECUTE format('UPDATE %I SET metadata = ''{}'' WHERE jsonb_typeof(metadata) = ''array''', name);
                 END LOOP;
             END $$",
        )
        .unwrap();
        for file in files(dir.path()) {
            fs::remove_file(file).unwrap();
        }
        let report = run(&db, &archive(&dir, Format::Ndjson));
        assert_eq!(report.tables[0].rows(), all - number(&mut conn, "SELECT count(*) FROM resource_metrics"));
        assert_eq!((report.left, number(&mut conn, detached)), (0, 0));
    }
}

#[test]
fn a_time_that_no_file_holds_stays_and_is_counted() {
    let (db, dir) = (plain(), tempfile::tempdir().unwrap());
    db.conn()
        .batch_execute(
            "UPDATE resource_metrics SET \"timestamp\" = '-infinity' WHERE id =
                 (SELECT id FROM resource_metrics WHERE instance_id = 'i-old' LIMIT 1)",
        )
        .unwrap();
    assert_eq!(run(&db, &archive(&dir, Format::Csv)).left, 1);
    assert_eq!(run(&db, &keep(30)).left, 0);
}

#[test]
fn a_folder_that_is_missing_or_in_use_is_named_and_nothing_goes() {
    let (db, dir) = (plain(), tempfile::tempdir().unwrap());
    let mut conn = db.conn();
    let before = rows_since(&mut conn, "-infinity");
    let in_use = File::open(dir.path()).unwrap();
    in_use.lock().unwrap();
    let refused = retention::run(&mut conn, &archive(&dir, Format::Csv), |_| ()).unwrap_err();
    assert!(matches!(refused, Error::Retention(retention::Error::ArchiveInUse(_))), "{refused:?}");
    drop(in_use);
    let missing = Archive { dir: dir.path().join("missing"), format: Format::Csv };
    let refused = retention::run(&mut conn, &Options { archive: Some(missing), ..keep(30) }, |_| ()).unwrap_err();
    assert!(matches!(refused, Error::Retention(retention::Error::Archive { .. })), "{refused:?}");
    assert_eq!(rows_since(&mut conn, "-infinity"), before);
}

#[test]
fn runs_that_end_early_are_finished_by_further_ones() {
    for make in [weekly as fn() -> TestDb, plain] {
        let (db, dir) = (make(), tempfile::tempdir().unwrap());
        let mut conn = db.conn();
        let before = rows_since(&mut conn, "-infinity");
        let mut runs = 0;
        for milliseconds in (1..).map(|n: u64| 20 * n) {
            runs += 1;
            let short = Options { max_duration: Duration::from_millis(milliseconds), ..archive(&dir, Format::Ndjson) };
            if run(&db, &short).left == 0 {
                break;
            }
        }
        assert!(runs > 1);
        import(&db, dir.path());
        assert_eq!(rows_since(&mut conn, "-infinity"), before);
    }
}
