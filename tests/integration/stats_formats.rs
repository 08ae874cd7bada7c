//! `stats` in each of its formats: nothing is left out, nothing that is not known is taken for zero, and no text of the
//! database does more than be read.

use std::collections::BTreeMap;

use diesel::connection::SimpleConnection;
use serde_json::Value;

use crate::support::{Dbctl, TestDb};

fn seeded() -> TestDb {
    TestDb::seeded("2025-10-20T12:00:00Z".parse().unwrap())
}

fn of(dbctl: Dbctl, arguments: &str) -> String {
    let run = dbctl.run(&format!("stats {arguments}"));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
    run.stdout
}

/// The text of a table with one space between its cells.
fn squeezed(table: &str) -> String {
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    table.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// How often each pair of a field's name and its value is there.
type Fields = BTreeMap<(String, String), usize>;

/// The plain values of a JSON document, each with the name of its field; a list of texts is one value.
fn fields_of(name: &str, value: &Value, fields: &mut Fields) {
    let text = match value {
        Value::Object(object) => {
            // What was found is the value of the field that it was looked for.
            return object.iter().for_each(|(key, value)| match key.as_str() {
                "found" if object.contains_key("outcome") && !object.contains_key("table") => {
                    fields_of(name, value, fields);
                }
                "outcome" if !object.contains_key("table") => {}
                "reason" if object.contains_key("outcome") && !object.contains_key("table") => {
                    fields_of(&format!("{name}_skipped"), value, fields);
                }
                key => fields_of(key, value, fields),
            });
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            return items.iter().for_each(|item| fields_of(name, item, fields));
        }
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().map_or(item.to_string(), str::to_owned)).collect::<Vec<_>>().join(" ")
        }
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    *fields.entry((name.to_owned(), text)).or_default() += 1;
}

/// What differs from one run to the next.
const VOLATILE: [&str; 20] = [
    "gathered_at",
    "age_seconds",
    "unused_indexes_skipped",
    "seq_scans",
    "index_scans",
    "scans",
    "blocks_hit",
    "blocks_read",
    "hit_ratio",
    "oldest_transaction_seconds",
    "seconds",
    "last_vacuum",
    "last_analyze",
    "schema_version",
    "total",
    "active",
    "idle",
    "idle_in_transaction",
    "transaction_id_age",
    "wal_bytes",
];

/// Fields of the JSON document that the lines of the CSV lack.
fn missing_in_csv(dbctl: impl Fn() -> Dbctl) -> Vec<(String, String)> {
    let json: Value = serde_json::from_str(&of(dbctl(), "--format json")).unwrap();
    let mut expected = Fields::new();
    fields_of("", &json, &mut expected);
    assert!(expected.len() > 300, "{expected:#?}");
    let mut found = Fields::new();
    for record in csv::Reader::from_reader(of(dbctl(), "--format csv").as_bytes()).records() {
        let record = record.unwrap();
        *found.entry((record[2].to_owned(), record[3].to_owned())).or_default() += 1;
    }
    let names: Vec<_> = found.keys().map(|(name, _)| name.clone()).collect();
    let is_missing = |(key, count): &(&(String, String), &usize)| {
        let is_volatile = VOLATILE.contains(&key.0.as_str()) && names.contains(&key.0);
        // An empty list is no row.
        !is_volatile && !key.1.is_empty() && found.get(key).unwrap_or(&0) < count
    };
    expected
        .iter()
        .filter(is_missing)
        .map(|(key, _)| key.clone())
        .filter(|(name, _)| name != "schema_version")
        .collect()
}

#[test]
fn csv_holds_every_value_of_the_json() {
    let db = seeded();
    assert_eq!(missing_in_csv(|| Dbctl::on(&db)), []);
    let fields = of(Dbctl::on(&db), "--format csv");
    for line in [
        "latest_scaling_event,1,trigger_reason,Sudden rise in traffic",
        "unresolved_regressions,1,unresolved_regressions,1",
        "utilization_instances,1,utilization_instances,5",
    ] {
        assert!(fields.lines().any(|found| found == line), "{line}");
    }
    // What was skipped is said too.
    let reader = db.reader();
    db.conn().batch_execute(&format!("REVOKE SELECT ON scaling_events FROM {}", reader.name)).unwrap();
    let as_reader = || Dbctl::new().env("DATABASE_URL", &db.url_as(&reader.name));
    assert_eq!(missing_in_csv(as_reader), []);
    let section = of(as_reader(), "--format csv --section scaling_events");
    assert_eq!(section, "outcome,reason\nskipped,permission denied for table scaling_events\n");
}

#[test]
fn what_a_role_without_rights_cannot_know_is_not_zero_in_any_format() {
    let db = seeded();
    let role = db.role();
    db.conn().batch_execute(&format!("GRANT USAGE ON SCHEMA {} TO {}", db.schema(), role.name)).unwrap();
    let stats = |arguments: &str| of(Dbctl::new().env("DATABASE_URL", &db.url_as(&role.name)), arguments);

    let table = stats("");
    let headline = table.lines().next().unwrap();
    assert!(headline.ends_with("migrations unknown: number of rows unknown"), "{headline}");
    assert!(squeezed(&table).contains("\nmigrations applied skipped: permission denied"), "{table}");
    assert!(
        table.lines().any(|line| line.starts_with("core ") && line.contains(" agents ") && line.contains(" unknown "))
    );
    for section in ["customers", "workflows", "scaling_events", "quality", "unresolved_regressions"] {
        let shown = stats(&format!("--section {section}"));
        assert!(shown.starts_with(&format!("{section}: skipped: ")), "{shown}");
        assert!(
            stats(&format!("--section {section} --format csv")).starts_with("outcome,reason\nskipped,"),
            "{section}"
        );
    }
    let json: Value = serde_json::from_str(&stats("--format json")).unwrap();
    for pointer in ["/head", "/tables/0/rows", "/application/unresolved_regressions", "/resource/utilization_instances"]
    {
        assert!(json.pointer(pointer).unwrap().is_null(), "{pointer}");
    }
    let prometheus = stats("--format prometheus");
    for family in ["table_rows", "migrations_applied", "quality_regressions", "workflows", "blocked_sessions"] {
        assert!(!prometheus.contains(&format!("optiinfra_db_{family}")), "{family}");
    }
    let page = stats("--format html");
    for said in ["No samples", "No scaling events", "No judged answers", "no migration", ">None.<"] {
        assert!(!page.contains(said), "{said}");
    }
    assert!(page.contains("migrations unknown") && page.contains("<p>skipped: "));
}

#[test]
fn a_sum_without_the_tables_that_are_not_known_says_so() {
    let db = seeded();
    let reader = db.reader();
    db.conn().batch_execute(&format!("REVOKE SELECT ON events FROM {}", reader.name)).unwrap();
    let table = of(Dbctl::new().env("DATABASE_URL", &db.url_as(&reader.name)), "");
    assert!(table.lines().next().unwrap().ends_with(": at least 521 rows, those of 1 of 20 tables unknown"), "{table}");
}

#[test]
fn a_server_that_does_not_count_has_no_scans_and_no_unused_indexes() {
    let db = seeded();
    let old = "UPDATE __diesel_schema_migrations SET run_on = run_on - interval '8 days'";
    db.conn().batch_execute(old).unwrap();
    let url = format!("{}%20-ctrack_counts%3Doff", db.url());
    let stats = |arguments: &str| of(Dbctl::new().env("DATABASE_URL", &url), arguments);
    let json: Value = serde_json::from_str(&stats("--format json")).unwrap();
    for pointer in [
        "/tables/0/dead_rows",
        "/tables/0/seq_scans",
        "/tables/0/blocks_read",
        "/operations/cache/blocks_hit",
        "/operations/indexes/found/0/scans",
    ] {
        assert!(json.pointer(pointer).unwrap().is_null(), "{pointer}");
    }
    assert_eq!(json["operations"]["unused_indexes"]["reason"], "the server does not count (track_counts = off)");
    let prometheus = stats("--format prometheus");
    assert!(
        !prometheus.contains("scans_total")
            && !prometheus.contains("table_blocks")
            && !prometheus.contains("optiinfra_db_unused_indexes")
    );
    assert!(squeezed(&stats("")).contains("\nunused indexes skipped: the server does not count"));
}

#[test]
fn no_text_of_the_database_reaches_a_terminal_with_its_controls() {
    let db = seeded();
    let hostile = "'Evil' || chr(27) || ']0;pwned' || chr(7) || chr(155) || '2J' || chr(127) || chr(13)";
    db.conn()
        .batch_execute(&format!(
            "UPDATE customers SET name = {hostile} WHERE name = 'Acme Corp';
             UPDATE resource_metrics SET instance_id = {hostile} WHERE instance_id = 'i-0abc123def456';
             UPDATE quality_metrics SET model_name = {hostile} WHERE model_name = 'gpt-4'"
        ))
        .unwrap();
    for format in ["table", "csv", "prometheus", "html"] {
        let text = of(Dbctl::on(&db), &format!("--format {format}"));
        let is_exact = format == "csv";
        // Without a terminal, CSV is the values as they are.
        assert_eq!(text.contains(|c: char| c.is_control() && c != '\n'), is_exact, "{format}");
        assert!(text.contains("Evil"), "{format}");
    }
}
