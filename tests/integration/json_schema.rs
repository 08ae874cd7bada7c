//! The committed JSON Schemas against what the binary prints.

use diesel::connection::SimpleConnection;
use optiinfra_db::migrate::{EMBEDDED, Goal, Migrator};
use serde_json::{Value, json};

use crate::support::{Dbctl, TestDb};

/// The schema, and a stricter one that knows every field: what is added to the output is added to the schema.
fn validators(text: &str) -> [jsonschema::Validator; 2] {
    let schema: Value = serde_json::from_str(text).unwrap();
    let mut strict = schema.clone();
    close(&mut strict);
    [schema, strict].map(|schema| jsonschema::options().should_validate_formats(true).build(&schema).unwrap())
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.contains_key("properties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

const STATS: &str = include_str!("../../docs/schema/stats.json");
const IMPORT: &str = include_str!("../../docs/schema/import.json");

#[track_caller]
fn assert_valid(schema: &str, document: &Value) {
    for validator in validators(schema) {
        let errors: Vec<_> =
            validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(errors, [""; 0]);
    }
}

#[test]
fn stats_prints_what_its_schema_says() {
    let db = TestDb::migrated();
    assert_valid(STATS, &Dbctl::on(&db).run("stats --format json").json());
    assert_eq!(Dbctl::on(&db).run("seed --all").code, Some(0));
    db.conn().batch_execute("UPDATE __diesel_schema_migrations SET run_on = run_on - interval '8 days'").unwrap();
    db.conn()
        .batch_execute("UPDATE resource_metrics SET metric_value = 'NaN' WHERE instance_id = 'i-0abc123def456'")
        .unwrap();
    let whole = Dbctl::on(&db).run("stats --format json").json();
    assert_valid(STATS, &whole);
    assert_eq!(whole["operations"]["unused_indexes"]["outcome"], "done");
    assert_valid(STATS, &Dbctl::on(&db).run("stats --format json --exact --since 1h").json());

    // What is skipped is in the schema too.
    let reader = db.reader();
    let mut holder = db.conn();
    holder
        .batch_execute("BEGIN; LOCK TABLE quality_metrics, __diesel_schema_migrations IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let part = Dbctl::new().env("DATABASE_URL", &db.url_as(&reader.name)).run("stats --format json").json();
    assert_eq!(part["operations"]["blocked_sessions"]["outcome"], "skipped");
    assert_eq!(part["skipped"][0]["part"], "application");
    assert_valid(STATS, &part);

    let older = TestDb::empty();
    Migrator::default().set(&EMBEDDED[..5]).run(&mut older.conn(), &Goal::Head).unwrap();
    assert_valid(STATS, &Dbctl::on(&older).run("stats --format json").json());
}

#[test]
fn the_schema_of_stats_refuses_what_is_not_so() {
    let db = TestDb::migrated();
    let document = Dbctl::on(&db).run("stats --format json").json();
    let [validator, _] = validators(STATS);
    for (pointer, wrong) in [
        ("/schema_version", json!(2)),
        ("/gathered_at", json!("yesterday")),
        ("/tables/0/rows", json!("4")),
        ("/tables/0/rows_are", json!("about")),
        ("/operations/indexes/outcome", json!("skipped")),
        ("/operations/cache/hit_ratio", json!(98.5)),
        ("/resource/metrics", Value::Null),
    ] {
        let mut document = document.clone();
        *document.pointer_mut(pointer).unwrap() = wrong;
        assert!(!validator.is_valid(&document), "{pointer}");
    }
}

#[test]
fn import_prints_what_its_schema_says() {
    let db = TestDb::migrated();
    assert_eq!(Dbctl::on(&db).run("seed core").code, Some(0));
    let exported = Dbctl::on(&db).run("export events").stdout;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.csv");
    std::fs::write(&file, exported).unwrap();
    let file = file.to_str().unwrap();
    let import =
        |arguments: &str| Dbctl::on(&db).args(&["import", "events", file, "--format", "json"]).run(arguments).json();
    let refused = import("");
    assert_eq!((&refused["accepted"], &refused["rejected"]), (&json!(false), &json!(3)));
    let skipped = import("--on-conflict skip");
    assert_eq!((&skipped["accepted"], &skipped["skipped"]), (&json!(true), &json!(3)));
    let tolerated = import("--max-rejects 3 --dry-run");
    assert_eq!((&tolerated["dry_run"], &tolerated["rejected"]), (&json!(true), &json!(3)));
    for document in [refused, skipped, tolerated] {
        assert_valid(IMPORT, &document);
        for (pointer, wrong) in [("/table", json!("customers")), ("/read", json!(-1)), ("/accepted", Value::Null)] {
            let mut document = document.clone();
            *document.pointer_mut(pointer).unwrap() = wrong;
            assert!(!validators(IMPORT)[0].is_valid(&document), "{pointer}");
        }
    }
}
