//! Import and export: what is told of bad rows, what is written, and that what goes out comes back as it was.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};
use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::signal::Signal;
use optiinfra_db::enums::AgentType;
use optiinfra_db::ingest::OnConflict;
use optiinfra_db::migrate::{EMBEDDED, Goal, Migrator};
use optiinfra_db::models::{Agent, AgentMetric, Customer, NewEvent, NewQualityMetric, NewResourceMetric};
use optiinfra_db::transfer::import::{self, REJECTS_IN_REPORT};
use optiinfra_db::transfer::read::{self, FromFile, Reader};
use optiinfra_db::transfer::{Format, Kind, Mapping, Names, Presence, Table, export};
use optiinfra_db::verify::{self, Outcome};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Dbctl, Run, TestDb, customer, figures, ground, limit, number, rounds, signal, until};

/// A folder of the test's own, for the files of a run.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// What is in it.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

const METRIC_HEADER: &str = "agent,customer,instance_id,resource_type,metric_name,metric_value,unit,timestamp";

/// A line of a CSV file of samples.
fn metric(agent: &Agent, customer: &Customer, instance: &str, value: &str) -> String {
    format!("{},{},{instance},gpu,utilization,{value},percent,2025-10-20T12:00:00Z", agent.id, customer.id)
}

/// Imports a file; the arguments begin with the table.
fn import(db: &TestDb, arguments: &str, file: &Path) -> Run {
    let (table, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
    Dbctl::on(db).args(&["import", table, file.to_str().unwrap(), "--format", "json"]).run(rest)
}

fn rows(conn: &mut PgConnection, table: &str) -> i64 {
    number(conn, &format!("SELECT count(*) FROM {table}"))
}

fn reasons(report: &Value) -> Vec<(u64, String, String)> {
    let rejects = report["rejects"].as_array().unwrap().iter();
    rejects
        .map(|reject| {
            let column = reject["column"].as_str().unwrap_or("-").to_owned();
            (reject["line"].as_u64().unwrap(), column, reject["reason"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// A file of 1,000 answers, seven of them bad in seven ways, and what is to be said of them.
fn seven_bad(agent: &Agent, customer: &Customer) -> (String, [(u64, &'static str, &'static str); 7]) {
    let mut text = "id,agent_id,customer_id,request_id,model_name,model_version,prompt_tokens,latency_ms,\
        overall_quality_score,timestamp,metadata\n"
        .to_owned();
    for row in 1..=1000 {
        let (mut who, mut request, mut tokens, mut score) = (customer.id.to_string(), row, "12".to_owned(), "0.9");
        let (mut time, mut facts, mut model) = ("2025-10-20T12:00:00Z", "\"{\"\"a\"\": 1}\"", "model-a".to_owned());
        match row {
            100 => score = "1.5",
            200 => tokens = "twelve".to_owned(),
            300 => time = "yesterday",
            400 => who = Uuid::nil().to_string(),
            500 => facts = "\"{\"\"a\"\": \"",
            600 => model = "m".repeat(101),
            // Only the server can know, because of the rows before.
            700 => request = 650,
            _ => {}
        }
        let agent = agent.id;
        writeln!(text, ",{agent},{who},request-{request},{model},1.0,{tokens},,{score},{time},{facts}").unwrap();
    }
    let expected = [
        (101, "overall_quality_score", "1.5 is not from 0 to 1"),
        (201, "prompt_tokens", "'twelve' is not a whole number"),
        (301, "timestamp", "'yesterday' is not a time"),
        (401, "customer_id", "no customer has the name or id '00000000-0000-0000-0000-000000000000'"),
        (501, "metadata", "is not JSON: EOF while parsing"),
        (601, "model_name", "has 101 characters, and 100 fit"),
        (701, "request_id", "is there already, in the table or earlier in the file: Key (request_id)=(request-650)"),
    ];
    (text, expected)
}

#[track_caller]
fn assert_reasons(report: &Value, expected: &[(u64, &str, &str)]) {
    let mut found = reasons(report);
    found.sort();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((line, column, reason), (expected_line, expected_column, words)) in found.iter().zip(expected) {
        assert_eq!((line, column.as_str()), (expected_line, *expected_column), "{reason}");
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn seven_bad_rows_of_a_thousand_are_told_and_nothing_is_written() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let (text, expected) = seven_bad(&agent, &customer);
    let folder = Folder::new();
    let file = folder.write("answers.csv", text);
    let run = import(&db, "quality_metrics", &file);
    assert_eq!(run.code, Some(1), "{run:#?}");
    let report = run.json();
    // The seventh too, which only the server can know.
    assert_reasons(&report, &expected);
    assert_eq!((&report["accepted"], &report["written"], &report["read"]), (&json!(false), &json!(0), &json!(1000)));
    assert_eq!(rows(&mut conn, "quality_metrics"), 0);
}

#[test]
fn with_as_many_rejects_as_there_are_the_other_rows_are_written() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let (text, expected) = seven_bad(&agent, &customer);
    let folder = Folder::new();
    let file = folder.write("answers.csv", &text);
    let rejects = folder.path("rejects.csv");
    let with_rejects = format!("quality_metrics --max-rejects 7 --rejects {}", rejects.display());

    let dry = import(&db, &format!("{with_rejects} --dry-run"), &file);
    assert_reasons(&dry.json(), &expected);
    assert_eq!((dry.code, &dry.json()["written"], rows(&mut conn, "quality_metrics")), (Some(0), &json!(993), 0));

    let one_too_few = import(&db, "quality_metrics --max-rejects 6", &file);
    assert_reasons(&one_too_few.json(), &expected);
    assert_eq!((one_too_few.code, rows(&mut conn, "quality_metrics")), (Some(1), 0));

    let run = import(&db, &with_rejects, &file);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_reasons(&run.json(), &expected);
    assert_eq!((&run.json()["written"], &run.json()["rejected"]), (&json!(993), &json!(7)));
    assert_eq!(rows(&mut conn, "quality_metrics"), 993);

    // Each rejected row is there as it stood in the file, and mended, the same lines can be imported.
    let mut told = csv::Reader::from_path(&rejects).unwrap();
    let records: Vec<_> = told.records().map(Result::unwrap).collect();
    let lines: BTreeSet<u64> = records.iter().map(|record| record[0].parse().unwrap()).collect();
    assert_eq!(lines, expected.iter().map(|(line, _, _)| *line).collect());
    for record in &records {
        let line: usize = record[0].parse().unwrap();
        assert_eq!(&record[3], text.lines().nth(line - 1).unwrap());
    }
    assert_eq!(folder.names(), ["answers.csv", "rejects.csv"]);
}

#[test]
fn every_way_to_be_bad_has_its_own_reason() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let good = metric(&agent, &customer, "i-1", "50");
    let with = |at: usize, value: &str| {
        let mut fields: Vec<_> = good.split(',').collect();
        fields[at] = value;
        fields.join(",")
    };
    let ahead = (Utc::now() + TimeDelta::hours(1)).to_rfc3339();
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (with(0, "nobody").into(), "agent_id", "no agent has the name or id 'nobody'"),
        (with(1, "").into(), "customer_id", "is null, and the column is not"),
        (with(2, &"i".repeat(256)).into(), "instance_id", "has 256 characters, and 255 fit"),
        (with(2, "a\0b").into(), "instance_id", "holds a zero byte"),
        (
            with(3, "tpu").into(),
            "resource_type",
            "'tpu' is not a label of resource_type: expected one of gpu, cpu, memory, disk, network",
        ),
        (with(5, "12,5").into(), "-", "has 9 fields, and 8 are expected"),
        (with(5, "twelve").into(), "metric_value", "'twelve' is not a number"),
        (with(5, "1e400").into(), "metric_value", "'1e400' is too great"),
        (with(5, "101").into(), "metric_value", "101 percent of a gpu is not from 0 to 100"),
        (with(7, "2025-10-20 12:00:00").into(), "timestamp", "has no offset: write Z behind a time in UTC"),
        (with(7, "60000000000000").into(), "timestamp", "is in the future"),
        (with(7, &ahead).into(), "timestamp", "is in the future"),
        (b"a,b".to_vec(), "-", "has 2 fields, and 8 are expected"),
        ([b"\xff".as_slice(), with(0, "").as_bytes()].concat(), "agent_id", "is not UTF-8 from byte 1 on"),
        (format!("\"x\"y{good}").into(), "-", "something stands behind a closing quote"),
        // Two stray quotes, and the row between them.
        (format!("\"{good}\n\"{good}").into(), "-", "(lines 17 to 18)"),
    ];
    let mut text = METRIC_HEADER.as_bytes().to_vec();
    for (line, _, _) in &cases {
        text.push(b'\n');
        text.extend_from_slice(line);
    }
    let run = import(&db, "resource_metrics", &folder.write("bad.csv", text));
    let found = reasons(&run.json());
    assert_eq!(found.len(), cases.len(), "{found:#?}");
    for (at, ((_, column, words), found)) in cases.iter().zip(&found).enumerate() {
        assert_eq!((found.0, found.1.as_str()), (at as u64 + 2, *column), "{found:?}");
        assert!(found.2.contains(words), "{found:?}, not {words}");
    }
    assert_eq!((run.code, rows(&mut conn, "resource_metrics")), (Some(1), 0));
}

#[test]
fn every_way_of_ndjson_to_be_bad_has_its_own_reason() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let good = json!({
        "agent": agent.name, "customer": customer.id, "request_id": "r", "model_name": "m", "model_version": "1",
        "overall_quality_score": 0.5, "timestamp": 1_760_961_600,
    });
    let with = |name: &str, value: Value| {
        let mut row = good.clone();
        row[name] = value;
        row.to_string()
    };
    let mut without = good.clone();
    without.as_object_mut().unwrap().remove("model_name");
    let good_text = good.to_string();
    let cases = [
        (without.to_string(), "model_name", "is missing"),
        (with("model_name", Value::Null), "model_name", "is null, and the column is not"),
        (with("model_name", json!(7)), "model_name", "is a number, and a text is expected"),
        (with("prompt_tokens", json!(1.5)), "prompt_tokens", "'1.5' is not a whole number"),
        (with("prompt_tokens", json!(2_147_483_648_u32)), "prompt_tokens", "is not from -2147483648 to 2147483647"),
        (with("prompt_tokens", json!(-1)), "prompt_tokens", "-1 is negative"),
        (with("latency_ms", json!(-0.5)), "latency_ms", "-0.5 is negative"),
        (
            with("hallucination_detected", json!(1)),
            "hallucination_detected",
            "is a number, and true or false is expected",
        ),
        (with("toxicity_score", json!([1])), "toxicity_score", "is an array or an object, and a number is expected"),
        (with("metadata", json!({"a": "\0"})), "metadata", "holds \\u0000"),
        (with("id", json!("x")), "id", "'x' is not a UUID"),
        (with("colour", json!("red")), "-", "no column takes the field 'colour'"),
        (with("customer_id", json!(customer.id)), "customer_id", "is filled by two fields"),
        (
            good_text.replace("\"request_id\"", "\"request_id\":\"q\",\"request_id\""),
            "-",
            "has two fields 'request_id'",
        ),
        (good_text.replace("0.5", "0.5.5"), "-", "is not a JSON object"),
        ("[]".to_owned(), "-", "expected a JSON object"),
    ];
    let text: Vec<_> = cases.iter().map(|(line, _, _)| line.as_str()).collect();
    let folder = Folder::new();
    let run = import(&db, "quality_metrics", &folder.write("bad.ndjson", text.join("\n")));
    let found = reasons(&run.json());
    assert_eq!(found.len(), cases.len(), "{found:#?}");
    for (at, ((_, column, words), found)) in cases.iter().zip(&found).enumerate() {
        assert_eq!((found.0, found.1.as_str()), (at as u64 + 1, *column), "{found:?}");
        assert!(found.2.contains(words), "{found:?}, not {words}");
    }
    assert_eq!((run.code, rows(&mut conn, "quality_metrics")), (Some(1), 0));
}

#[test]
fn a_file_that_does_not_fit_is_refused_before_its_first_row() {
    let (db, _conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let line = metric(&agent, &customer, "i-1", "50");
    let file = |header: &str| folder.write("file.csv", format!("{header}\n{line}\n"));
    let cases = [
        ("resource_metrics", METRIC_HEADER.replace("unit", "uniit"), "no field 'unit', which the column unit needs"),
        (
            "resource_metrics",
            METRIC_HEADER.replace("unit", "uniit").replace("agent", "agnt"),
            "no field 'agent_id' or 'agent', which the column agent_id needs, no field 'unit', which the column unit needs",
        ),
        ("resource_metrics", METRIC_HEADER.replace("agent", "unit"), "two fields 'unit'"),
        ("resource_metrics", format!("{METRIC_HEADER},colour"), "no column takes the field 'colour'"),
        (
            "resource_metrics",
            format!("{METRIC_HEADER},agent_id"),
            "two fields fill the column agent_id: 'agent' and 'agent_id'",
        ),
        (
            "resource_metrics --map unit=einheit",
            METRIC_HEADER.to_owned(),
            "no field 'einheit', which the column unit needs",
        ),
        ("resource_metrics --map units=x", METRIC_HEADER.to_owned(), "resource_metrics has no column 'units'"),
        ("resource_metrics --map metric_vlaue=x", METRIC_HEADER.to_owned(), "hint: did you mean metric_value? it has"),
        (
            "resource_metrics",
            METRIC_HEADER.replace("unit", "uniit"),
            "hint: did you mean unit by 'uniit'? the file has",
        ),
        ("resource_metrics", format!("{METRIC_HEADER},metdata"), "hint: did you mean metadata? the columns are"),
        ("resource_metrics --map unit=a --map unit=b", METRIC_HEADER.to_owned(), "unit is mapped twice"),
        ("resource_metrics --set unit=a --map unit=b", METRIC_HEADER.to_owned(), "unit is given twice"),
        (
            "resource_metrics --set metric_value=many",
            METRIC_HEADER.to_owned(),
            "the value for metric_value: 'many' is not a number",
        ),
        ("resource_metrics --set resource_type=tpu", METRIC_HEADER.to_owned(), "expected one of gpu, cpu"),
        ("resource_metrics --set customer=Nobody", METRIC_HEADER.to_owned(), "no customer has the name or id 'Nobody'"),
        (
            "resource_metrics --input-format ndjson --no-header --columns a",
            METRIC_HEADER.to_owned(),
            "NDJSON names its fields",
        ),
        (
            "resource_metrics",
            "\"agent".to_owned(),
            "/file.csv: a quote that opens on line 1 is not closed before the end of the file; nothing was committed",
        ),
        ("resource_metrics", "\"agent\"x".to_owned(), "the header cannot be read"),
    ];
    for (arguments, header, words) in cases {
        let run = import(&db, arguments, &file(&header));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains(words) && run.stderr.contains("hint:"), "{words}: {}", run.stderr);
    }
    for (arguments, words) in [
        ("import customers x.csv", "cannot be imported or exported: expected resource_metrics"),
        ("import events x.csv --map severity", "write it as COLUMN="),
        ("import events x.csv --time-format noon", "is not a format of times"),
        ("import events x.csv --time-format %d.%m.%Y@%H:%M@%Z", "write %z for an offset"),
        ("import events x.csv --time-format %d.%m.%Y@%H:%M:%S.%f", "write %.f for a fraction"),
        ("import events x.csv --no-header", "--columns"),
        ("import events x.csv --connections 2", "--on-conflict skip"),
        ("import events /nowhere/x.csv", "cannot open /nowhere/x.csv"),
        ("import events /", "it is a directory"),
        ("import events x.csv --format csv", "import has no format 'csv'"),
        ("export events --since 400000w", "--since reaches back too far"),
        ("export events --format json", "pass --format csv or ndjson"),
        ("export agent_metrics --customer x", "do not say which customer they belong to"),
        ("export events --customer Nobody", "no customer has the name or id 'Nobody'"),
    ] {
        let run = Dbctl::on(&db).run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
}

#[test]
fn fields_are_mapped_set_and_read_in_their_own_formats() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.write(
        "readings.txt",
        "when,host,reading,shift\n20.10.2025 12:00:00.5,i-1,50,early\n20.10.2025 12:01:00.25,NA,51,late\n",
    );
    let name = format!("customer={}", customer.name);
    let agent_name = format!("agent={}", agent.name);
    let run = Dbctl::on(&db)
        .args(&["import", "resource_metrics", file.to_str().unwrap(), "--format", "json"])
        .args(&["--map", "timestamp= when", "--map", "instance_id=host", "--map", "metric_value=reading"])
        .args(&["--set", &name, "--set", &agent_name, "--set", "resource_type=gpu", "--set", "unit=percent"])
        .args(&["--set", "metric_name=utilization", "--set", "metadata={\"source\": \"a b\"}"])
        .args(&["--time-format", "%d.%m.%Y %H:%M:%S%.f", "--null", "NA", "--ignore-unknown", "--max-rejects", "1"])
        .run("");
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(reasons(&run.json()), [(3, "instance_id".to_owned(), "is null, and the column is not".to_owned())]);
    let stored = number(
        &mut conn,
        &format!(
            "SELECT count(*) FROM resource_metrics WHERE customer_id = '{}' AND agent_id = '{}' AND instance_id = 'i-1' \
             AND metric_value = 50 AND timestamp = '2025-10-20 12:00:00.5Z' AND metadata = '{{\"source\": \"a b\"}}' \
             AND created_at > now() - interval '1 minute' AND substr(id::text, 15, 1) = '7'",
            customer.id, agent.id
        ),
    );
    assert_eq!(stored, 1);
}

#[test]
fn a_file_may_come_compressed_from_stdin_and_without_a_header() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let text = format!("{}\n{}\n", metric(&agent, &customer, "i-1", "1"), metric(&agent, &customer, "i-2", "2"));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let compressed = folder.write("metrics.bin", encoder.finish().unwrap());
    let arguments = format!("import resource_metrics - --no-header --columns {METRIC_HEADER}");
    let run = Dbctl::on(&db).stdin(File::open(&compressed).unwrap()).run(&arguments);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert!(run.stdout.starts_with("2 of 2 rows written"), "{run:#?}");

    let line = json!({
        "agent": agent.id, "customer": customer.name, "instance_id": "i-3", "resource_type": "gpu",
        "metric_name": "utilization", "metric_value": "NaN", "unit": "percent", "timestamp": 1_760_961_600_123_u64,
    });
    let file = folder.write("no-name-tells-the-format", format!("{line}\n\n"));
    let run = Dbctl::on(&db).stdin(File::open(file).unwrap()).run("import resource_metrics -");
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(rows(&mut conn, "resource_metrics"), 3);

    let damaged = fs::read(&compressed).unwrap();
    let damaged = folder.write("damaged.csv.gz", &damaged[..damaged.len() - 6]);
    let run = import(&db, &format!("resource_metrics --no-header --columns {METRIC_HEADER}"), &damaged);
    assert_eq!((run.code, rows(&mut conn, "resource_metrics")), (Some(2), 3), "{run:#?}");
    assert!(run.stderr.contains("/damaged.csv.gz: the gzip data ends early; nothing was committed\n"), "{run:#?}");

    for (name, text) in [("empty.csv", ""), ("blank.csv", "\n\n"), ("no-name-tells", "")] {
        let run = import(&db, "resource_metrics", &folder.write(name, text));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains("the file is empty: it has no header"), "{run:#?}");
    }
    let run = import(&db, "resource_metrics", &folder.write("empty.ndjson", ""));
    assert_eq!((run.code, &run.json()["read"]), (Some(0), &json!(0)));
}

#[test]
fn a_name_that_two_customers_have_is_nobodys() {
    let (db, mut conn, agent, first) = ground(AgentType::Resource);
    let second = customer(&mut conn);
    assert_eq!(first.name, second.name);
    let folder = Folder::new();
    let mut twin = first.clone();
    twin.id = second.id;
    let line = metric(&agent, &twin, "i-1", "1");
    let by_name = line.replace(&second.id.to_string(), &first.name);
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{by_name}\n{line}\n"));
    let run = import(&db, "resource_metrics --max-rejects 1", &file);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let words = format!("2 customers are called '{}': name one by its id", first.name);
    assert_eq!(reasons(&run.json()), [(2, "customer_id".to_owned(), words)]);
    let owned = format!("SELECT count(*) FROM resource_metrics WHERE customer_id = '{}'", second.id);
    assert_eq!(number(&mut conn, &owned), 1);
}

/// What the catalogue says of a column.
#[derive(Debug, QueryableByName)]
struct Known {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    type_name: String,
    #[diesel(sql_type = Bool)]
    is_nullable: bool,
    #[diesel(sql_type = Bool)]
    has_default: bool,
    #[diesel(sql_type = Nullable<Text>)]
    refers_to: Option<String>,
}

#[test]
fn the_columns_are_those_of_the_catalogue() {
    let db = TestDb::migrated();
    let mut conn = db.conn();
    for table in Table::ALL {
        let known: Vec<Known> = diesel::sql_query(
            "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type_name, NOT attnotnull AS is_nullable, \
             atthasdef AS has_default, (SELECT confrelid::regclass::text FROM pg_constraint \
             WHERE contype = 'f' AND conrelid = attrelid AND conkey = ARRAY[attnum]) AS refers_to \
             FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        )
        .bind::<Text, _>(table.as_str())
        .load(&mut conn)
        .unwrap();
        let known: Vec<_> = known
            .iter()
            .map(|column| {
                let kind = column.refers_to.clone().unwrap_or_else(|| column.type_name.clone());
                (column.name.clone(), kind, column.is_nullable, column.has_default)
            })
            .collect();
        let listed: Vec<_> = table
            .columns()
            .iter()
            .map(|column| {
                let kind = match column.kind {
                    Kind::Uuid => "uuid".to_owned(),
                    Kind::Customer => "customers".to_owned(),
                    Kind::Agent => "agents".to_owned(),
                    Kind::Text { longest } => format!("character varying({longest})"),
                    Kind::Float => "double precision".to_owned(),
                    Kind::Integer => "integer".to_owned(),
                    Kind::Bool => "boolean".to_owned(),
                    Kind::Time => "timestamp with time zone".to_owned(),
                    Kind::Json => "jsonb".to_owned(),
                    Kind::Label(name) => name.to_owned(),
                };
                let nullable = matches!(column.presence, Presence::Nullable | Presence::NullableDefault);
                let default = matches!(column.presence, Presence::Default | Presence::NullableDefault);
                (column.name.to_owned(), kind, nullable, default)
            })
            .collect();
        assert_eq!(listed, known, "{table}");
        assert!(table.columns().iter().any(|column| column.name == table.time_column()));
    }
}

#[test]
fn what_a_file_leaves_out_takes_the_defaults_of_the_server() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let values = |name: &str| match name {
        "agent_id" => agent.id.to_string(),
        "customer_id" => customer.id.to_string(),
        "resource_type" => "gpu".to_owned(),
        "timestamp" => "2025-10-20T12:00:00Z".to_owned(),
        "metric_value" | "overall_quality_score" => "0.5".to_owned(),
        _ => "x".to_owned(),
    };
    let folder = Folder::new();
    for table in Table::ALL {
        let required: Vec<_> =
            table.columns().iter().filter(|column| column.presence == Presence::Required).map(|c| c.name).collect();
        let row: Vec<_> = required.iter().map(|name| values(name)).collect();
        let file = folder.write("least.csv", format!("{}\n{}\n", required.join(","), row.join(",")));
        let run = import(&db, table.as_str(), &file);
        assert_eq!(run.code, Some(0), "{run:#?}");
        let quoted: Vec<_> = row.iter().map(|value| format!("'{value}'")).collect();
        let unique = |value: String| value.replace("'x'", "'y'");
        conn.batch_execute(&unique(format!(
            "INSERT INTO {table} ({}) VALUES ({})",
            required.join(", "),
            quoted.join(", ")
        )))
        .unwrap();
        // All but what has to differ: ids, the texts of the two rows, and times of now.
        let compared: Vec<_> = table
            .columns()
            .iter()
            .filter(|column| column.name != "id" && !matches!(column.kind, Kind::Text { .. }))
            .map(|column| match (column.kind, column.presence) {
                (Kind::Time, Presence::Default) => format!("now() - {} < interval '1 minute'", column.name),
                _ => column.name.to_owned(),
            })
            .collect();
        let kinds = format!("SELECT count(*) FROM (SELECT DISTINCT {} FROM {table}) s", compared.join(", "));
        assert_eq!((rows(&mut conn, table.as_str()), number(&mut conn, &kinds)), (2, 1), "{table}");
    }
}

/// Random numbers that are the same in every run.
struct Random(fastrand::Rng);

impl Random {
    fn text(&mut self, longest: usize) -> String {
        const NASTY: [&str; 24] = [
            "", " ", "a", "\"", "\"\"", "'", ",", "\n", "\r", "\r\n", "\t", "\\", "\\N", "\\.", "NULL", "null", "é",
            "東京", "🚀", "\u{feff}", "\u{7f}", "{", "0", "\u{1}",
        ];
        let mut text = String::new();
        for _ in 0..self.0.usize(0..6) {
            let piece = NASTY[self.0.usize(0..NASTY.len())];
            if text.chars().count() + piece.chars().count() <= longest {
                text.push_str(piece);
            }
        }
        text
    }

    fn float(&mut self) -> f64 {
        const NASTY: [f64; 16] = [
            0.0,
            -0.0,
            1.0,
            0.1,
            1.0 / 3.0,
            1e22,
            1e-7,
            5e-324,
            2.2250738585072014e-308,
            f64::MAX,
            f64::MIN,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            9_007_199_254_740_993.0,
            123_456_789.123_456_79,
        ];
        if self.0.bool() { NASTY[self.0.usize(0..NASTY.len())] } else { f64::from_bits(self.0.u64(..)) }
    }

    fn time(&mut self) -> DateTime<Utc> {
        const EDGES: [i64; 6] = [0, -1, 1, 999_999, -62_135_596_800_000_000, 946_684_800_000_001];
        let micros = match self.0.u8(0..3) {
            0 => EDGES[self.0.usize(0..EDGES.len())],
            1 => self.0.i64(-1_000_000_000_000_000..1_700_000_000_000_000),
            _ => self.0.i64(-1_000_000..1_000_000) * 1_000_000,
        };
        DateTime::from_timestamp_micros(micros).unwrap()
    }

    fn json(&mut self, depth: usize) -> Value {
        match self.0.u8(0..if depth == 0 { 5 } else { 7 }) {
            0 => Value::Null,
            1 => json!(self.0.bool()),
            2 => json!(self.0.i64(..)),
            3 => json!(self.text(200)),
            // What is not finite is no JSON, and -0 is 0 in PostgreSQL.
            4 => Some(self.float())
                .filter(|number| number.is_finite() && *number != 0.0)
                .map_or(json!(7), |number| json!(number)),
            5 => (0..self.0.usize(0..4)).map(|_| self.json(depth - 1)).collect(),
            _ => (0..self.0.usize(0..4)).map(|_| (self.text(20), self.json(depth - 1))).collect(),
        }
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.0.bool() { Some(make(self)) } else { None }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.0.usize(0..of.len())]
    }
}

/// Fills the four tables with rows in which everything is that might be spoiled on the way.
fn plant(conn: &mut PgConnection, agent: &Agent, customer: &Customer, count: usize) {
    use optiinfra_db::enums::{EventSeverity, MetricType, ResourceType};
    use optiinfra_db::ingest::copy;
    let mut random = Random(fastrand::Rng::with_seed(8_062_025));
    let r = &mut random;
    let mut resource = Vec::new();
    let mut quality = Vec::new();
    let mut agents = Vec::new();
    let mut events = Vec::new();
    for at in 0..count {
        resource.push(NewResourceMetric {
            id: Some(Uuid::from_u128(r.0.u128(..))),
            agent_id: agent.id,
            customer_id: customer.id,
            instance_id: r.text(255),
            resource_type: r.pick(ResourceType::ALL),
            metric_name: r.text(100),
            metric_value: r.float(),
            unit: r.text(50),
            timestamp: r.time(),
            metadata: Some(r.json(4)),
            created_at: Some(r.time()),
        });
        quality.push(NewQualityMetric {
            id: Some(Uuid::from_u128(r.0.u128(..))),
            agent_id: agent.id,
            customer_id: customer.id,
            request_id: format!("{at}:{}", r.text(100)),
            model_name: r.text(100),
            model_version: r.text(50),
            prompt_tokens: r.maybe(|r| r.pick(&[0, 1, i32::MAX])),
            completion_tokens: r.maybe(|r| r.0.i32(0..)),
            latency_ms: r.maybe(|r| r.float().abs()),
            relevance_score: r.maybe(|r| r.0.f64()),
            coherence_score: r.maybe(|r| r.pick(&[0.0, 1.0, f64::NAN, f64::INFINITY])),
            factuality_score: r.maybe(|r| r.0.f64()),
            hallucination_detected: Some(r.0.bool()),
            toxicity_score: r.maybe(|r| r.0.f64()),
            overall_quality_score: r.0.f64(),
            timestamp: r.time(),
            metadata: Some(r.json(4)),
            created_at: Some(r.time()),
        });
        agents.push(AgentMetric {
            id: Uuid::from_u128(r.0.u128(..)),
            agent_id: agent.id,
            metric_name: r.text(255),
            metric_value: r.float().abs(),
            metric_type: r.pick(MetricType::ALL),
            // NDJSON has one null for two: see the next test.
            tags: r.maybe(|r| r.json(4)).filter(|tags| !tags.is_null()),
            recorded_at: r.time(),
        });
        events.push(NewEvent {
            id: Some(Uuid::from_u128(r.0.u128(..))),
            customer_id: customer.id,
            agent_id: r.maybe(|_| agent.id),
            event_type: r.text(100),
            severity: Some(r.pick(EventSeverity::ALL)),
            data: Some(r.json(4)),
            created_at: Some(r.time()),
        });
    }
    copy(conn, &resource).unwrap();
    copy(conn, &quality).unwrap();
    copy(conn, &agents).unwrap();
    copy(conn, &events).unwrap();
}

/// A second database with the same customer and agent and nothing else.
fn twin(agent: &Agent, customer: &Customer) -> (TestDb, PgConnection) {
    let db = TestDb::migrated();
    let mut conn = db.conn();
    conn.batch_execute(&format!(
        "INSERT INTO customers (id, name, email, api_key) VALUES ('{}', 'Twin', 'a@example.com', 'k'); \
         INSERT INTO agents (id, type, name) VALUES ('{}', 'resource', 'twin')",
        customer.id, agent.id
    ))
    .unwrap();
    (db, conn)
}

/// Every row of a table as the server's own text, to the last bit.
fn contents(conn: &mut PgConnection, table: Table) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }
    conn.batch_execute("SET TimeZone = 'UTC'; SET extra_float_digits = 1").unwrap();
    let lines: Vec<Line> =
        diesel::sql_query(format!("SELECT t::text AS line FROM {table} t ORDER BY id")).load(conn).unwrap();
    lines.into_iter().map(|line| line.line).collect()
}

#[test]
fn what_is_exported_is_imported_as_it_was() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    plant(&mut conn, &agent, &customer, rounds(400, 20_000));
    for format in ["csv", "ndjson"] {
        for on_conflict in ["refuse", "skip"] {
            let (other, mut other_conn) = twin(&agent, &customer);
            for table in Table::ALL {
                let mut export = Dbctl::on(&db).spawn(&format!("export {table} --format {format}"));
                let pipe = export.stdout.take().unwrap();
                // The planted values are in the range of no unit; the test of the ranges has those.
                let run = Dbctl::on(&other)
                    .stdin(pipe)
                    .run(&format!("import {table} - --on-conflict {on_conflict} --no-range-checks"));
                assert_eq!(run.code, Some(0), "{table} {format}: {run:#?}");
                assert_eq!(Run::of(export).code, Some(0));
                let (sent, received) = (contents(&mut conn, table), contents(&mut other_conn, table));
                assert_eq!(sent.len(), rounds(400, 20_000));
                for (sent, received) in sent.iter().zip(&received) {
                    assert_eq!(sent, received, "{table} {format}");
                }
                assert_eq!(sent.len(), received.len(), "{table} {format}");
            }
        }
    }
}

#[test]
fn what_no_row_can_hold_is_exported_and_refused_by_import_for_what_it_is() {
    let (db, mut conn, _, customer) = ground(AgentType::Cost);
    let times =
        ["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "10000-01-01 00:00:00+00", "294276-01-01 00:00:00+00"];
    let mut plant = |column: &str, value: &str| {
        let (table, customer) = (format!("events (customer_id, event_type, {column})"), customer.id);
        conn.batch_execute(&format!("INSERT INTO {table} VALUES ('{customer}', 'x', '{value}')")).unwrap();
    };
    times.into_iter().for_each(|time| plant("created_at", time));
    plant("data", &format!("{}{}", "[".repeat(200), "]".repeat(200)));
    let folder = Folder::new();
    for format in ["csv", "ndjson"] {
        let exported = Dbctl::on(&db).run(&format!("export events --format {format}")).stdout;
        let found = reasons(&import(&db, "events --dry-run", &folder.write(&format!("f.{format}"), exported)).json());
        assert_eq!(found.len(), 6, "{found:#?}");
        let of = |column: &str, words: &str| {
            found.iter().filter(|(_, at, reason)| at == column && reason.contains(words)).count()
        };
        assert_eq!(of("created_at", "is not in the years 1 to 9999"), times.len(), "{found:#?}");
        assert_eq!(of("data", "more than 127 deep"), 1, "{found:#?}");
    }
}

#[test]
fn csv_tells_a_null_of_json_from_no_json_and_ndjson_cannot() {
    let (db, mut conn, agent, customer) = ground(AgentType::Cost);
    conn.batch_execute(&format!(
        "INSERT INTO agent_metrics (agent_id, metric_name, metric_value, tags) VALUES \
         ('{agent}', 'none', 1, NULL), ('{agent}', 'json', 1, 'null'), ('{agent}', 'text', 1, '\"null\"')",
        agent = agent.id
    ))
    .unwrap();
    for (format, expected) in [("csv", ["null", "-", "\"null\""]), ("ndjson", ["-", "-", "\"null\""])] {
        let (other, mut other_conn) = twin(&agent, &customer);
        let export = Dbctl::on(&db).run(&format!("export agent_metrics --format {format}"));
        let folder = Folder::new();
        let run = import(&other, "agent_metrics", &folder.write(&format!("f.{format}"), export.stdout));
        assert_eq!(run.code, Some(0), "{run:#?}");
        for (name, expected) in ["json", "none", "text"].into_iter().zip(expected) {
            let same = format!(
                "SELECT count(*) FROM agent_metrics WHERE metric_name = '{name}' AND coalesce(tags::text, '-') = '{expected}'"
            );
            assert_eq!(number(&mut other_conn, &same), 1, "{format} {name}");
        }
    }
}

#[test]
fn an_export_is_what_copy_writes_but_for_the_times() {
    let (_db, mut conn, agent, customer) = ground(AgentType::Resource);
    plant(&mut conn, &agent, &customer, 300);
    conn.batch_execute("SET TimeZone = 'UTC'").unwrap();
    let mut ours = Vec::new();
    export::run(&mut conn, Table::Events, Format::Csv, &export::Options::default(), &mut ours).unwrap();
    let mut theirs = Vec::new();
    diesel::copy_to(optiinfra_db::schema::events::table)
        .with_format(diesel::pg::CopyFormat::Csv)
        .with_header(true)
        .load_raw(&mut conn)
        .unwrap()
        .read_to_end(&mut theirs)
        .unwrap();
    let without_times = |text: Vec<u8>| -> Vec<Vec<u8>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&text[..]);
        let records = reader.byte_records().map(Result::unwrap);
        records.map(|record| record.iter().take(6).flatten().copied().collect()).collect()
    };
    assert_eq!(without_times(ours), without_times(theirs));
}

#[test]
fn an_export_may_be_of_one_customer_and_of_a_span_of_time() {
    let (db, mut conn, agent, first) = ground(AgentType::Resource);
    let second = customer(&mut conn);
    let folder = Folder::new();
    let at = |customer: &Customer, hour: u32| {
        metric(&agent, customer, &format!("i-{hour}"), "1").replace("T12:", &format!("T{hour:02}:"))
    };
    let lines: Vec<_> = (0..4).flat_map(|hour| [at(&first, hour), at(&second, hour)]).collect();
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", lines.join("\n")));
    assert_eq!(import(&db, "resource_metrics", &file).code, Some(0));
    let reader = db.reader();
    let exported = |arguments: &str| {
        let run = Dbctl::new().env("DATABASE_URL", &db.url_as(&reader.name)).run(&format!("export {arguments}"));
        assert_eq!(run.code, Some(0), "{run:#?}");
        run.stdout.lines().count() - 1
    };
    assert_eq!(exported("resource_metrics"), 8);
    assert_eq!(exported(&format!("resource_metrics --customer {}", first.id)), 4);
    let span = "--since 2025-10-20T01:00:00Z --until 2025-10-20T03:00:00Z";
    assert_eq!(exported(&format!("resource_metrics {span}")), 4);
    assert_eq!(exported(&format!("resource_metrics {span} --customer {}", second.id)), 2);
    assert_eq!(exported("resource_metrics --since 2026-01-01T00:00:00Z"), 0);
    for empty in ["--since 1h --until 2h", "--since 2025-10-20T01:00:00Z --until 2025-10-20T01:00:00Z"] {
        let run = Dbctl::on(&db).run(&format!("export resource_metrics {empty}"));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains("--since is not before --until"), "{run:#?}");
    }
    for table in Table::ALL {
        assert_eq!(exported(&format!("{table} {span}")), usize::from(table == Table::ResourceMetrics) * 4);
    }
}

#[test]
fn an_export_leaves_nothing_with_the_connection_and_refuses_a_transaction_of_others() {
    let (_db, mut conn, agent, customer) = ground(AgentType::Resource);
    plant(&mut conn, &agent, &customer, 10);
    let settings = "SELECT current_setting('TimeZone') || current_setting('DateStyle') || current_setting('row_security') \
                    || current_setting('transaction_read_only') || (SELECT count(*) FROM pg_cursors)";
    let state = |conn: &mut PgConnection| -> String {
        diesel::select(diesel::dsl::sql::<Text>(&format!("({settings})"))).get_result(conn).unwrap()
    };
    conn.batch_execute("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'").unwrap();
    let before = state(&mut conn);
    for customer in [None, Some(customer.id.into())] {
        let options = export::Options { customer, ..export::Options::default() };
        let run = |conn: &mut PgConnection| export::run(conn, Table::Events, Format::Csv, &options, &mut Vec::new());
        assert_eq!(run(&mut conn).unwrap().rows, 10);
        assert_eq!(state(&mut conn), before);
        let refused = conn.transaction(|conn| {
            let refused = run(conn).unwrap_err();
            assert_eq!(state(conn), before);
            diesel::QueryResult::Ok(refused)
        });
        let refused = refused.unwrap();
        assert!(matches!(refused, optiinfra_db::Error::Transaction(_)), "{refused:?}");
    }
}

#[test]
fn an_export_is_a_whole_file_or_none() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    plant(&mut conn, &agent, &customer, 10);
    let folder = Folder::new();
    let path = folder.path("events.csv");
    let run = Dbctl::on(&db).run(&format!("export events --output {}", path.display()));
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:#?}");
    assert!(run.stderr.starts_with("10 rows of events in "), "{run:#?}");
    let printed = Dbctl::on(&db).run("export events").stdout;
    assert_eq!(fs::read_to_string(&path).unwrap(), printed);
    assert_eq!(Dbctl::on(&db).dir(folder.0.path()).run("export events --output -").stdout, printed);

    // What is there stays when the new one cannot be made.
    conn.batch_execute("ALTER TABLE events RENAME TO gone").unwrap();
    let run = Dbctl::on(&db).run(&format!("export events --output {}", path.display()));
    assert_eq!(run.code, Some(2), "{run:#?}");
    assert_eq!(fs::read_to_string(&path).unwrap().lines().next().unwrap().split(',').count(), 7);
    assert_eq!(folder.names(), ["events.csv"]);
}

#[test]
fn a_reader_of_an_export_may_go_away() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    conn.batch_execute(&format!(
        "INSERT INTO events (customer_id, agent_id, event_type) SELECT '{}', '{}', repeat('x', 100) FROM generate_series(1, 30000)",
        customer.id, agent.id
    ))
    .unwrap();
    let mut child = Dbctl::on(&db).spawn("export events");
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let run = Run::of(child);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
}

#[test]
fn a_signal_ends_an_export_that_nobody_reads() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    conn.batch_execute(&format!(
        "INSERT INTO events (customer_id, agent_id, event_type) SELECT '{}', '{}', repeat('x', 100) FROM generate_series(1, 30000)",
        customer.id, agent.id
    ))
    .unwrap();
    let mut child = Dbctl::on(&db).spawn("export events --quiet");
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    signal(&child, Signal::SIGINT);
    let begun = Instant::now();
    let run = Run::of(child);
    assert!(begun.elapsed() < limit(Duration::from_secs(2)), "{run:#?}");
    assert_eq!(run.code, Some(130), "{run:#?}");
    assert!(run.stderr.starts_with("interrupted: "), "{run:#?}");
}

#[test]
fn many_rows_that_are_there_are_each_a_bad_row() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    plant(&mut conn, &agent, &customer, 300);
    let folder = Folder::new();
    let exported = Dbctl::on(&db).run("export quality_metrics").stdout;
    let file = folder.write("f.csv", &exported);
    conn.batch_execute("DELETE FROM quality_metrics WHERE hallucination_detected").unwrap();
    let there = rows(&mut conn, "quality_metrics");
    let run = import(&db, "quality_metrics --max-rejects 300 --no-range-checks", &file);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let report = run.json();
    assert_eq!((&report["rejected"], &report["written"]), (&json!(there), &json!(300 - there)));
    assert!(reasons(&report).iter().all(|(_, column, reason)| column == "id" && reason.contains("is there already")));
    assert_eq!(rows(&mut conn, "quality_metrics"), 300);
}

#[test]
fn thousands_of_rows_that_are_there_are_found_at_once_and_in_the_words_of_the_server() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let folder = Folder::new();
    let count = 5000;
    let mut text = "id,agent,customer,request_id,model_name,model_version,overall_quality_score,timestamp\n".to_owned();
    for row in 0..count {
        let id = Uuid::from_u128(row + 1);
        let time = "2025-10-20T12:00:00Z";
        writeln!(text, "{id},{},{},request-{row},m,1,0.5,{time}", agent.id, customer.id).unwrap();
    }
    // Of the rows that are there every third differs in the id, and every third in the request.
    let file = folder.write("f.csv", &text);
    assert_eq!(import(&db, "quality_metrics", &file).code, Some(0));
    conn.batch_execute(
        "UPDATE quality_metrics SET id = gen_random_uuid() WHERE right(request_id, 1) IN ('0', '3', '6');
         UPDATE quality_metrics SET request_id = 'other-' || request_id WHERE right(request_id, 1) IN ('1', '4', '7');
         DELETE FROM quality_metrics WHERE right(request_id, 1) = '9'",
    )
    .unwrap();
    // Once more in the file itself.
    let last = text.lines().last().unwrap().to_owned();
    let file = folder.write("f.csv", format!("{text}{last}\n"));
    let begun = Instant::now();
    let run = import(&db, "quality_metrics --max-rejects 5000 --dry-run", &file);
    assert!(begun.elapsed() < limit(Duration::from_secs(10)), "{:?}", begun.elapsed());
    let report = run.json();
    assert_eq!((&report["written"], &report["rejected"]), (&json!(500), &json!(4501)), "{run:#?}");
    assert_eq!(report["complete"], json!(true));
    let there = "is there already, in the table or earlier in the file: Key";
    for (line, column, reason) in reasons(&report) {
        let row = line - 2;
        let of_request = matches!(row % 10, 0 | 3 | 6);
        let (expected, value) = if of_request {
            ("request_id", format!("request-{row}"))
        } else {
            ("id", Uuid::from_u128(u128::from(row) + 1).to_string())
        };
        assert_eq!((column.as_str(), reason), (expected, format!("{there} ({expected})=({value}) already exists.")));
    }

    let refused = import(&db, "quality_metrics", &file).json();
    assert_eq!((&refused["accepted"], &refused["complete"]), (&json!(false), &json!(false)), "{refused:#?}");
    let told = Dbctl::on(&db).run(&format!("import quality_metrics {}", file.display())).stdout;
    let found = refused["rejected"].as_u64().unwrap();
    assert!(told.starts_with(&format!("nothing written: at least {found} of 5001 rows are bad")), "{told}");
    assert!(told.contains("--rejects FILE takes those that were found"), "{told}");
}

#[test]
fn a_row_that_the_server_refuses_is_a_bad_row_of_a_retryable_import_too() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    conn.batch_execute("ALTER TABLE resource_metrics ADD CONSTRAINT odd CHECK (instance_id !~ '77$')").unwrap();
    let folder = Folder::new();
    let file = folder.path("f.csv");
    let count = 30_000;
    write_metrics(&file, &agent, &customer, count);
    let text = fs::read_to_string(&file).unwrap().replacen("i-9,gpu", "i-9,tpu", 1);
    fs::write(&file, format!("{METRIC_HEADER}\n\n{}", text.split_once('\n').unwrap().1)).unwrap();
    let rejects = folder.path("rejects.csv");
    let arguments = |most: usize, more: &str| {
        format!("resource_metrics --on-conflict skip --max-rejects {most} --rejects {} {more}", rejects.display())
    };

    // With as many as there are: those of the server at their lines, behind the empty one.
    let begun = Instant::now();
    let run = import(&db, &arguments(301, "--connections 2"), &file);
    assert!(begun.elapsed() < limit(Duration::from_secs(30)), "{:?}", begun.elapsed());
    assert_eq!(run.code, Some(0), "{run:#?}");
    let report = run.json();
    assert_eq!(
        (&report["written"], &report["rejected"], &report["complete"]),
        (&json!(29_699), &json!(301), &json!(true))
    );
    assert_eq!(number(&mut conn, "SELECT count(DISTINCT instance_id) FROM resource_metrics"), 29_699);
    let of_server = |reject: &(u64, String, String)| reject.2.contains("violates check constraint");
    let mut found: Vec<_> = reasons(&report).into_iter().filter(of_server).map(|(line, _, _)| line).collect();
    found.sort_unstable();
    let expected: Vec<u64> = (0..300).map(|hundred| hundred * 100 + 77 + 3).collect();
    assert_eq!(found, expected);
    let mut told = csv::Reader::from_path(&rejects).unwrap();
    let records: Vec<_> = told.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 301);
    assert!(records.iter().all(|record| record[3].contains(&format!("i-{},", record[0].parse::<u64>().unwrap() - 3))));

    // One too many: a report, and the rows that are committed.
    conn.batch_execute("DELETE FROM resource_metrics").unwrap();
    for most in [0, 100] {
        let run = import(&db, &arguments(most, ""), &file);
        assert_eq!(run.code, Some(1), "{run:#?}");
        let report = run.json();
        assert_eq!((&report["accepted"], &report["complete"]), (&json!(false), &json!(false)));
        assert!(report["rejected"].as_u64().unwrap() > most as u64, "{report:#?}");
        let there = report["written"].as_i64().unwrap() + report["skipped"].as_i64().unwrap();
        assert_eq!(rows(&mut conn, "resource_metrics"), there, "{most}");
    }
}

#[test]
fn values_that_verify_would_tell_of_are_bad_rows_unless_told_otherwise() {
    let (db, mut conn, agent, customer) = ground(AgentType::Application);
    let sample = |kind: &str, unit: &str, value: &str| {
        format!("{},{},i,{kind},m,{value},{unit},2025-10-20T12:00:00Z", agent.id, customer.id)
    };
    let mut bad = 0;
    let mut text = METRIC_HEADER.to_owned();
    for (kind, unit) in [
        ("gpu", "percent"),
        ("cpu", "percent"),
        ("disk", "percent"),
        ("memory", "GB"),
        ("disk", "iops"),
        ("network", "Mbps"),
        ("gpu", "celsius"),
    ] {
        for value in ["-0.5", "0", "100", "100.5", "-1e300"] {
            text.push('\n');
            text.push_str(&sample(kind, unit, value));
        }
    }
    let folder = Folder::new();
    let file = folder.write("f.csv", &text);
    let wrong_by_import = |table: &str, file: &Path| -> BTreeSet<u64> {
        let run = import(&db, &format!("{table} --max-rejects 1000 --dry-run"), file);
        reasons(&run.json()).into_iter().map(|(line, _, _)| line).collect()
    };
    // One row at a time through verify: a rule tells how many rows break it, not which.
    let mut wrong_by_verify = |table: &str, header: &str, text: &str| -> BTreeSet<u64> {
        let mut wrong = BTreeSet::new();
        for (at, line) in text.lines().enumerate().skip(1) {
            let one = folder.write("one.csv", format!("{header}\n{line}\n"));
            let run = import(&db, &format!("{table} --no-range-checks"), &one);
            assert_eq!(run.code, Some(0), "{run:#?}");
            let report = verify::run(&mut conn, &verify::Options::default()).unwrap();
            let is_broken =
                |check: &verify::Check| check.id.starts_with("rules.") && matches!(check.outcome, Outcome::Failed);
            if report.checks.iter().any(is_broken) {
                wrong.insert(at as u64 + 1);
            }
            conn.batch_execute(&format!("DELETE FROM {table}")).unwrap();
        }
        wrong
    };
    let told = wrong_by_import("resource_metrics", &file);
    assert_eq!(told, wrong_by_verify("resource_metrics", METRIC_HEADER, &text));
    bad += told.len();

    let header = "agent,customer,request_id,model_name,model_version,timestamp,overall_quality_score,prompt_tokens,\
        completion_tokens,latency_ms,relevance_score,coherence_score,factuality_score,toxicity_score";
    let mut text = header.to_owned();
    for at in 6..14 {
        for value in if at == 7 || at == 8 { ["-1", "0", "1"] } else { ["-0.001", "1.001", "1"] } {
            let mut fields = [""; 14].map(str::to_owned);
            (fields[0], fields[1]) = (agent.id.to_string(), customer.id.to_string());
            (fields[2], fields[3], fields[4]) = (format!("r{at}{value}"), "m".to_owned(), "1".to_owned());
            (fields[5], fields[6]) = ("2025-10-20T12:00:00Z".to_owned(), "0.5".to_owned());
            value.clone_into(&mut fields[at]);
            text.push('\n');
            text.push_str(&fields.join(","));
        }
    }
    let file = folder.write("f.csv", &text);
    let told = wrong_by_import("quality_metrics", &file);
    assert_eq!(told, wrong_by_verify("quality_metrics", header, &text));
    bad += told.len();

    let header = "agent,metric_name,metric_type,metric_value,recorded_at";
    let future = (Utc::now() + TimeDelta::hours(1)).to_rfc3339();
    let now = Utc::now().to_rfc3339();
    let mut text = header.to_owned();
    for (kind, value, time) in
        [("counter", "-1", &now), ("counter", "0", &now), ("gauge", "-1", &now), ("gauge", "1", &future)]
    {
        write!(text, "\n{},m,{kind},{value},{time}", agent.id).unwrap();
    }
    let file = folder.write("f.csv", &text);
    let told = wrong_by_import("agent_metrics", &file);
    assert_eq!(told, wrong_by_verify("agent_metrics", header, &text));
    bad += told.len();
    assert!(bad > 20, "{bad}");
}

fn write_metrics(path: &Path, agent: &Agent, customer: &Customer, count: usize) {
    let mut file = std::io::BufWriter::new(File::create(path).unwrap());
    writeln!(file, "{METRIC_HEADER}").unwrap();
    for at in 0..count {
        writeln!(file, "{}", metric(agent, customer, &format!("i-{at}"), "50")).unwrap();
    }
}

#[test]
fn an_import_that_was_killed_is_completed_by_the_same_command() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.path("metrics.csv");
    // Each round is killed with one chunk more written, or in the midst of it.
    let count = rounds(60_000, 240_000);
    write_metrics(&file, &agent, &customer, count);
    let command = format!("import resource_metrics {} --on-conflict skip --connections 2 --quiet", file.display());
    let mut sizes = Vec::new();
    for round in 0..rounds(3, 20) {
        let mut child = Dbctl::on(&db).spawn(&command);
        let before = rows(&mut conn, "resource_metrics");
        // Once a chunk more is there, or none is left to wait for.
        while rows(&mut conn, "resource_metrics") == before && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(round as u64 * 7 % 50));
        child.kill().unwrap();
        child.wait().unwrap();
        sizes.push(rows(&mut conn, "resource_metrics"));
    }
    let last = Dbctl::on(&db).run(&format!("{command} --format json"));
    assert_eq!(last.code, Some(0), "{last:#?}");
    let report = last.json();
    assert_eq!(report["read"], json!(count));
    assert_eq!(report["written"].as_u64().unwrap() + report["skipped"].as_u64().unwrap(), count as u64);
    let expected = i64::try_from(count).unwrap();
    assert_eq!(rows(&mut conn, "resource_metrics"), expected);
    assert_eq!(number(&mut conn, "SELECT count(DISTINCT instance_id) FROM resource_metrics"), expected);
    figures(&format!("import killed with these many rows written: {sizes:?}"));
}

#[test]
fn the_same_file_has_the_same_ids_and_its_equal_rows_are_two() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let line = metric(&agent, &customer, "i-1", "50");
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{line}\n{line}\n"));
    for (written, skipped) in [(2, 0), (0, 2)] {
        let report = import(&db, "resource_metrics --on-conflict skip", &file).json();
        assert_eq!((&report["written"], &report["skipped"]), (&json!(written), &json!(skipped)));
    }
    // Another constant is another row.
    let report = import(&db, "resource_metrics --on-conflict skip --set instance_id=i-2", &file).json();
    assert_eq!(report["written"], json!(2));
    let dry = import(&db, "resource_metrics --on-conflict skip --dry-run", &file).json();
    assert_eq!((&dry["written"], &dry["skipped"]), (&json!(0), &json!(2)));
    assert_eq!(rows(&mut conn, "resource_metrics"), 4);

    let header = "agent,metric_name,metric_value";
    let file = folder.write("a.csv", format!("{header}\n{},m,1\n", agent.id));
    let run = import(&db, "agent_metrics --on-conflict skip", &file);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(reasons(&run.json())[0].2.contains("give an id or recorded_at"), "{run:#?}");
    assert_eq!(import(&db, "agent_metrics", &file).code, Some(0));
}

#[test]
fn equal_events_of_two_days_are_two_and_one_without_a_time_is_not_guessed() {
    let (db, mut conn, _, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let timeless = folder.write("timeless.csv", format!("customer,event_type\n{},restart\n", customer.id));
    let run = import(&db, "events --on-conflict skip", &timeless);
    assert_eq!((run.code, rows(&mut conn, "events")), (Some(1), 0), "{run:#?}");
    assert_eq!(reasons(&run.json())[0].1, "created_at");
    assert!(reasons(&run.json())[0].2.contains("give an id or created_at"), "{run:#?}");

    for (day, file) in [(1, "one.csv"), (2, "two.csv")] {
        let header = "customer,event_type,created_at";
        let file = folder.write(file, format!("{header}\n{},restart,2025-10-2{day}T00:00:00Z\n", customer.id));
        for (written, skipped) in [(1, 0), (0, 1)] {
            let report = import(&db, "events --on-conflict skip", &file).json();
            assert_eq!((&report["written"], &report["skipped"]), (&json!(written), &json!(skipped)));
        }
    }
    // By --set the time is given as well, and another one makes another row.
    let run = import(&db, "events --on-conflict skip --set created_at=2025-10-23T00:00:00Z", &timeless);
    assert_eq!((run.code, rows(&mut conn, "events")), (Some(0), 3), "{run:#?}");
    assert_eq!(import(&db, "events", &timeless).code, Some(0));
}

#[test]
fn the_same_row_on_the_same_line_of_another_file_is_the_same_row() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let [same, other] = ["i-1", "i-2"].map(|instance| metric(&agent, &customer, instance, "50"));
    let one = folder.write("one.csv", format!("{METRIC_HEADER}\n{same}\n"));
    let two = folder.write("two.csv", format!("{METRIC_HEADER}\n{same}\n{other}\n{same}\n"));
    assert_eq!(import(&db, "resource_metrics --on-conflict skip", &one).json()["written"], json!(1));
    let report = import(&db, "resource_metrics --on-conflict skip", &two).json();
    assert_eq!((&report["written"], &report["skipped"]), (&json!(2), &json!(1)));
    assert_eq!(rows(&mut conn, "resource_metrics"), 3);
}

#[test]
fn a_bad_row_too_many_ends_a_retryable_import_and_the_mended_file_completes_it() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.path("f.csv");
    write_metrics(&file, &agent, &customer, 30_000);
    let good = fs::read_to_string(&file).unwrap();
    let bad = good.replacen("i-25000,gpu", "i-25000,tpu", 1);
    fs::write(&file, bad).unwrap();
    let run = import(&db, "resource_metrics --on-conflict skip", &file);
    assert_eq!(run.code, Some(1), "{run:#?}");
    let report = run.json();
    assert_eq!((&report["read"], &report["rejected"]), (&json!(30_000), &json!(1)));
    let written = report["written"].as_i64().unwrap();
    // Row 25,001 is the bad one.
    assert!(written <= 25_000, "{written}");
    assert_eq!(rows(&mut conn, "resource_metrics"), written);
    fs::write(&file, good).unwrap();
    let report = import(&db, "resource_metrics --on-conflict skip", &file).json();
    assert_eq!((&report["skipped"], rows(&mut conn, "resource_metrics")), (&json!(written), 30_000));
}

#[test]
fn a_signal_leaves_nothing_of_an_import_and_whole_chunks_of_a_retryable_one() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let rejects = folder.path("rejects.csv");
    for (arguments, state) in [("", "nothing is half done"), ("--on-conflict skip", "the same command again")] {
        for with in [Signal::SIGINT, Signal::SIGTERM] {
            let mut child = Dbctl::on(&db)
                .stdin(Stdio::piped())
                .spawn(&format!("import resource_metrics - --rejects {} --quiet {arguments}", rejects.display()));
            let mut stdin = child.stdin.take().unwrap();
            writeln!(stdin, "{METRIC_HEADER}").unwrap();
            for at in 0..25_000 {
                writeln!(stdin, "{}", metric(&agent, &customer, &format!("i-{at}"), "50")).unwrap();
            }
            stdin.flush().unwrap();
            // It waits for more, and the first rows are on the server.
            let application = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND application_name = 'optiinfra-dbctl/import' AND backend_xmin IS NULL AND state LIKE 'idle%'";
            until("the import waits", Duration::from_secs(20), || number(&mut conn, application) > 0);
            signal(&child, with);
            let begun = Instant::now();
            let run = Run::of(child);
            drop(stdin);
            assert!(begun.elapsed() < limit(Duration::from_secs(2)), "{run:#?}");
            assert_eq!(run.code, Some(if with == Signal::SIGINT { 130 } else { 143 }), "{run:#?}");
            assert!(run.stderr.contains(state) && run.stdout.is_empty(), "{run:#?}");
            let left = rows(&mut conn, "resource_metrics");
            assert!(if arguments.is_empty() { left == 0 } else { left <= 25_000 && left % 1000 == 0 }, "{left}");
            assert_eq!(folder.names(), [""; 0], "no file is left behind");
        }
    }
}

#[test]
fn a_rejects_file_is_whole_or_none() {
    let (db, _conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let rejects = folder.write("rejects.csv", "an old one");
    let arguments = format!("resource_metrics --rejects {}", rejects.display());
    let bad = folder.write("bad.csv", "agent\nx\n");
    assert_eq!(import(&db, &arguments, &bad).code, Some(2));
    assert_eq!(fs::read_to_string(&rejects).unwrap(), "an old one");
    let good = folder.write("good.csv", format!("{METRIC_HEADER}\n{}\n", metric(&agent, &customer, "i", "1")));
    assert_eq!(import(&db, &arguments, &good).code, Some(0));
    assert_eq!(fs::read_to_string(&rejects).unwrap(), "line,column,reason,row\n");
    assert_eq!(folder.names(), ["bad.csv", "good.csv", "rejects.csv"]);
    let mode = fs::metadata(&rejects).unwrap().permissions().mode();
    assert_eq!(mode & 0o400, 0o400);
    let nowhere = import(&db, "resource_metrics --rejects /nowhere/r.csv", &good);
    assert_eq!(nowhere.code, Some(2), "{nowhere:#?}");
}

#[test]
fn a_quote_that_is_not_closed_is_no_bad_row_that_may_be_left_out() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.path("f.csv");
    write_metrics(&file, &agent, &customer, 60_000);
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replacen(",i-50000,", ",\"i-50000,", 1)).unwrap();
    let words =
        format!("{}: a quote that opens on line 50002 is not closed before the end of the file", file.display());
    let run = import(&db, "resource_metrics --max-rejects 10", &file);
    assert_eq!((run.code, run.stdout.as_str(), rows(&mut conn, "resource_metrics")), (Some(2), "", 0), "{run:#?}");
    assert!(run.stderr.contains(&format!("{words}; nothing was committed\n")), "{run:#?}");

    let run = import(&db, "resource_metrics --max-rejects 10 --on-conflict skip", &file);
    let written = rows(&mut conn, "resource_metrics");
    assert!(run.code == Some(2) && (1..=50_000).contains(&written), "{written}: {run:#?}");
    assert!(run.stderr.contains(&format!("{words}; {written} rows were committed\n")), "{run:#?}");
    assert!(run.stderr.contains("--on-conflict skip"), "{run:#?}");
    fs::write(&file, good).unwrap();
    assert_eq!(import(&db, "resource_metrics --on-conflict skip", &file).json()["skipped"], json!(written));
}

#[test]
fn an_import_whose_report_cannot_be_written_says_that_the_rows_are_in() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", metric(&agent, &customer, "i", "1")));
    for (arguments, words) in [("--dry-run", "nothing was committed"), ("", "1 row was committed")] {
        let command = format!("import resource_metrics {} {arguments}", file.display());
        let run = Dbctl::on(&db).stdout(File::options().write(true).open("/dev/full").unwrap()).run(&command);
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert!(run.stderr.contains(&format!("error: {words}, and the report of it is not")), "{run:#?}");
        assert!(run.stderr.contains("stdout"), "{run:#?}");
    }
    assert_eq!(rows(&mut conn, "resource_metrics"), 1);
}

#[test]
fn json_that_is_not_one_object_a_line_is_refused_with_what_makes_it_so() {
    let (db, mut conn, _, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let rows_of = json!([{ "customer": customer.id, "event_type": "x" }]);
    let array = rows_of.to_string();
    let pretty = serde_json::to_string_pretty(&rows_of[0]).unwrap();
    for name in ["f.json", "f.ndjson"] {
        for (text, words) in [(&array, "`jq -c '.[]'`"), (&pretty, "`jq -c .`")] {
            let run = import(&db, "events", &folder.write(name, text));
            assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
            assert!(run.stderr.contains("hint: write one object a line") && run.stderr.contains(words), "{run:#?}");
        }
    }
    assert_eq!(import(&db, "events", &folder.write("f.json", rows_of[0].to_string())).code, Some(0));
    assert_eq!(rows(&mut conn, "events"), 1);
}

#[test]
fn rows_that_are_bad_in_the_same_way_are_one_line_of_the_table() {
    let (db, _conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let good = metric(&agent, &customer, "i", "50");
    let mut text = METRIC_HEADER.to_owned();
    for row in 0..50 {
        let line =
            if row % 2 == 0 { good.replace(&customer.id.to_string(), "Acme") } else { good.replace(",50,", ",120,") };
        write!(text, "\n{}", if row == 10 { line.replace("gpu", "tpu") } else { line }).unwrap();
    }
    let file = folder.write("f.csv", text);
    let table = Dbctl::on(&db).run(&format!("import resource_metrics {}", file.display())).stdout;
    let lines: Vec<_> = table.lines().skip_while(|line| !line.starts_with("rejected rows")).collect();
    assert_eq!(lines[0], "rejected rows");
    let shown = lines[3..].iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let expected = [
        "2, 4, 6, ... customer_id 25 rows: no customer has the name or id 'Acme'",
        "3, 5, 7, ... metric_value 25 rows: 120 percent of a gpu is not from 0 to 100",
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected, "{table}");
}

#[test]
fn a_rejects_file_that_cannot_be_written_leaves_nothing_written() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let lines = ["50", "120"].map(|value| metric(&agent, &customer, "i", value));
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", lines.join("\n")));
    let directory = folder.0.path().to_str().unwrap();
    for (place, words) in [(directory, "s a directory"), ("/dev/full", "the rejected rows cannot be written")] {
        let run = import(&db, &format!("resource_metrics --max-rejects 1 --rejects {place}"), &file);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains(words), "{run:#?}");
        assert_eq!(rows(&mut conn, "resource_metrics"), 0);
    }
}

#[test]
fn a_rejects_file_never_takes_the_place_of_the_input() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let text = format!("{METRIC_HEADER}\n{}\n", metric(&agent, &customer, "i", "120"));
    let file = folder.write("f.csv", &text);
    let (linked, also) = (folder.path("symbolic.csv"), folder.path("hard.csv"));
    std::os::unix::fs::symlink(&file, &linked).unwrap();
    fs::hard_link(&file, &also).unwrap();
    for (input, rejects) in [(&file, &file), (&file, &linked), (&linked, &file), (&file, &also)] {
        for dry in ["", " --dry-run"] {
            let run = import(&db, &format!("resource_metrics --rejects {}{dry}", rejects.display()), input);
            assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
            assert!(run.stderr.contains("--rejects would overwrite the input"), "{run:#?}");
        }
    }
    let through_stdin = format!("import resource_metrics - --rejects {}", file.display());
    let run = Dbctl::on(&db).stdin(File::open(&file).unwrap()).run(&through_stdin);
    assert_eq!(run.code, Some(2), "{run:#?}");
    assert_eq!((fs::read_to_string(&file).unwrap(), folder.names().len()), (text, 3));
    assert_eq!(rows(&mut conn, "resource_metrics"), 0);
}

#[test]
fn progress_is_a_line_a_tenth_where_no_terminal_is_and_none_when_quiet() {
    let (db, _conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.path("f.csv");
    write_metrics(&file, &agent, &customer, 30_000);
    let run = import(&db, "resource_metrics", &file);
    let lines: Vec<_> = run.stderr.lines().collect();
    assert!((2..=10).contains(&lines.len()), "{run:#?}");
    assert!(lines.last().unwrap().starts_with("100 %: 30000 rows, "), "{run:#?}");
    assert!(lines.iter().all(|line| line.ends_with(" rows/s")), "{run:#?}");
    assert_eq!(import(&db, "resource_metrics --quiet", &file).stderr, "");
    let run = Dbctl::on(&db).stdin(File::open(&file).unwrap()).run("import resource_metrics -");
    assert_eq!(run.stderr, "", "a pipe has no length to be far in");
}

#[test]
fn the_verdict_says_how_many_rows_are_bad_and_how_many_may_be() {
    let (db, _conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let [good, bad] = ["50", "120"].map(|value| metric(&agent, &customer, "i", value));
    let verdict = |lines: &[&String], arguments: &str| {
        let lines: Vec<_> = lines.iter().map(|line| line.as_str()).collect();
        let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", lines.join("\n")));
        let run = Dbctl::on(&db).run(&format!("import resource_metrics {} {arguments}", file.display()));
        run.stdout.lines().next().unwrap().to_owned()
    };
    assert_eq!(verdict(&[&good, &bad, &good, &bad], ""), "nothing written: 2 of 4 rows are bad (--max-rejects 0)");
    assert_eq!(verdict(&[&bad], ""), "nothing written: 1 of 1 row is bad (--max-rejects 0)");
    assert_eq!(
        verdict(&[&good, &bad, &bad], "--on-conflict skip --max-rejects 1"),
        "0 of 3 rows written, then stopped: at least 2 are bad (--max-rejects 1)"
    );
    assert_eq!(verdict(&[&good, &bad], "--max-rejects 1 --dry-run"), "1 of 2 rows would be written");
    assert_eq!(verdict(&[&good], ""), "1 of 1 row written");
}

#[test]
fn a_report_holds_a_bounded_number_of_reasons_and_counts_them_all() {
    let (_db, mut conn, agent, _) = ground(AgentType::Resource);
    let mut text = "agent,metric_name,metric_value\n".to_owned();
    for _ in 0..REJECTS_IN_REPORT + 500 {
        writeln!(text, "{},m,none", agent.id).unwrap();
    }
    let options = import::Options::default();
    let report =
        import::all_or_nothing(&mut conn, Table::AgentMetrics, text.as_bytes(), &options, OnConflict::Refuse, &mut ())
            .unwrap();
    assert_eq!(report.rejects.len(), REJECTS_IN_REPORT);
    assert_eq!((report.rejected, report.accepted), (REJECTS_IN_REPORT as u64 + 500, false));
    assert!(report.rejects.iter().all(|reject| reject.raw.is_empty()));
}

/// Reads whatever it is to the end, and counts rows and rejects.
fn read_all<R: FromFile>(bytes: &[u8], format: Format, names: &Names) -> (usize, usize) {
    let mapping = Mapping { ignore_unknown: true, ..Mapping::default() };
    let options = read::Options { format: Some(format), mapping, derive_ids: true };
    let Ok(reader) = Reader::<R>::new(bytes, &options, names) else { return (0, 0) };
    let (mut rows, mut rejects) = (0, 0);
    for item in reader {
        match item {
            Ok(Ok(_)) => rows += 1,
            Ok(Err(reject)) => {
                assert!(reject.line > 0 && !reject.reason.is_empty());
                rejects += 1;
            }
            Err(_) => {}
        }
    }
    (rows, rejects)
}

#[test]
fn spoiled_files_are_read_to_their_end_and_never_to_a_panic() {
    let id = Uuid::from_u128(1);
    let names = Names::new([(id, "c".to_owned())], [(id, "a".to_owned())]);
    let csv = format!(
        "agent,customer,event_type,severity,data,created_at\n{}",
        "a,c,\"x\"\"y\",info,\"{\"\"a\"\": [1, 2.5e3]}\",2025-10-20T12:00:00Z\n".repeat(20)
    );
    let line = json!({"agent": "a", "customer": "c", "event_type": "x\u{e9}", "data": {"a": [1, 2.5e3, "\u{1f680}"]}, "created_at": 1_760_961_600});
    let ndjson = format!("{line}\n").repeat(20);
    assert_eq!(read_all::<NewEvent>(csv.as_bytes(), Format::Csv, &names), (20, 0));
    assert_eq!(read_all::<NewEvent>(ndjson.as_bytes(), Format::Ndjson, &names), (20, 0));
    let mut random = fastrand::Rng::with_seed(5);
    let (mut rows, mut rejects) = (0, 0);
    for _ in 0..rounds(3000, 300_000) {
        for (text, format) in [(&csv, Format::Csv), (&ndjson, Format::Ndjson)] {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..random.usize(1..8) {
                let at = random.usize(0..bytes.len().max(1));
                if bytes.is_empty() {
                    break;
                }
                match random.u8(0..4) {
                    0 => bytes[at] = random.u8(..),
                    1 => bytes[at] = b"\",\n\r\\{}[]-+.eE0\0"[random.usize(0..16)],
                    2 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at + 1),
                }
            }
            let (taken, refused) = read_all::<NewEvent>(&bytes, format, &names);
            rows += taken;
            rejects += refused;
        }
    }
    assert!(rows > 1000 && rejects > 1000, "{rows} {rejects}");
}

#[test]
fn where_rows_are_hidden_an_export_of_all_is_refused_and_one_of_a_customer_is_whole() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let lines = [metric(&agent, &customer, "i-1", "1"), metric(&agent, &customer, "i-2", "2")];
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", lines.join("\n")));
    assert_eq!(import(&db, "resource_metrics", &file).code, Some(0));
    let role = db.role();
    let (schema, name) = (db.schema(), &role.name);
    let grants =
        format!("GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}");
    conn.batch_execute(&grants).unwrap();
    let export = |arguments: &str| {
        let url = format!("{}%20-capp.customer_id%3D{}", db.url_as(name), customer.id);
        Dbctl::new().env("DATABASE_URL", &url).run(&format!("export {arguments}"))
    };
    let all = export("resource_metrics");
    assert_eq!((all.code, all.stdout.lines().count()), (Some(2), 0), "{all:#?}");
    assert!(all.stderr.contains("row-level security"), "{all:#?}");
    let own = export(&format!("resource_metrics --customer {}", customer.id));
    assert_eq!((own.code, own.stdout.lines().count()), (Some(0), 3), "{own:#?}");
    let elses = export(&format!("resource_metrics --customer {}", Uuid::nil()));
    assert_eq!(elses.code, Some(2), "{elses:#?}");
}

#[test]
fn a_session_that_sees_no_customer_is_told_so_and_not_of_every_row() {
    let (db, mut conn, agent, own) = ground(AgentType::Resource);
    let folder = Folder::new();
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", metric(&agent, &own, "i-1", "1")));
    let role = db.role();
    let (schema, name) = (db.schema(), &role.name);
    conn.batch_execute(&format!(
        "GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {schema} TO {name}"
    ))
    .unwrap();
    let run = |table: &str, file: &Path, arguments: &str| {
        let run = Dbctl::new().env("DATABASE_URL", &db.url_as(name));
        run.args(&["import", table, file.to_str().unwrap()]).run(arguments)
    };
    for arguments in ["", "--on-conflict skip", "--max-rejects 10"] {
        let run = run("resource_metrics", &file, arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains("row-level security shows this session no customer"), "{run:#?}");
        assert!(run.stderr.contains("hint: name the customer"), "{run:#?}");
    }
    // The rows of agents are nobody's.
    let file = folder.write("a.csv", format!("agent,metric_name,metric_value\n{},m,1\n", agent.id));
    assert_eq!(run("agent_metrics", &file, "").code, Some(0));
}

#[test]
fn a_database_that_is_behind_is_reported_before_the_file_is_read() {
    let db = TestDb::empty();
    Migrator::default().set(&EMBEDDED[..3]).run(&mut db.conn(), &Goal::Head).unwrap();
    let folder = Folder::new();
    let file = folder.write("f.csv", METRIC_HEADER);
    let import = format!("import resource_metrics {}", file.display());
    for command in [&import, &format!("{import} --on-conflict skip"), "export events", "export events --customer x"] {
        let run = Dbctl::on(&db).run(command);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains("the database is behind this binary"), "{run:#?}");
        assert!(run.stderr.contains("hint: run `optiinfra-dbctl migrate`"), "{run:#?}");
    }
}

#[test]
fn a_session_of_one_customer_imports_its_own_rows_and_no_other_customers() {
    let (db, mut conn, agent, own) = ground(AgentType::Resource);
    let other = customer(&mut conn);
    let folder = Folder::new();
    let lines = [metric(&agent, &own, "i-1", "1"), metric(&agent, &other, "i-2", "2")];
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", lines.join("\n")));
    let role = db.role();
    let (schema, name) = (db.schema(), &role.name);
    conn.batch_execute(&format!(
        "GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}; \
         GRANT INSERT ON resource_metrics TO {name}"
    ))
    .unwrap();
    let url = format!("{}%20-capp.customer_id%3D{}", db.url_as(name), own.id);
    for (arguments, expected) in [("--on-conflict refuse", 1), ("--on-conflict skip", 2), ("--on-conflict skip", 2)] {
        let run = Dbctl::new()
            .env("DATABASE_URL", &url)
            .args(&["import", "resource_metrics", file.to_str().unwrap(), "--format", "json", "--max-rejects", "1"])
            .run(arguments);
        assert_eq!(run.code, Some(0), "{run:#?}");
        let words = format!("no customer has the name or id '{}'", other.id);
        assert_eq!(reasons(&run.json()), [(3, "customer_id".to_owned(), words)]);
        assert_eq!(rows(&mut conn, "resource_metrics"), expected, "{arguments}");
    }
    let owned = format!("SELECT count(*) FROM resource_metrics WHERE customer_id = '{}'", own.id);
    assert_eq!(number(&mut conn, &owned), 2);
}
