//! The report of `verify` in the forms that other programs read: it is what they expect, and the same in each.

use diesel::connection::SimpleConnection;
use serde_json::Value;

use crate::support::{Dbctl, TestDb};

/// Reports of a clean database, of one full of findings, and of an empty one; and the arguments that they come from.
fn databases() -> Vec<(TestDb, &'static str)> {
    let broken = TestDb::migrated();
    assert_eq!(Dbctl::on(&broken).run("seed --all").code, Some(0));
    broken
        .conn()
        .batch_execute(
            "UPDATE scaling_events SET completed_at = executed_at - interval '1 hour';
             DROP INDEX idx_event_type;
             COMMENT ON TABLE events IS 'a < b && \"c\" ]]>';
             ALTER TABLE agents DISABLE TRIGGER set_updated_at",
        )
        .unwrap();
    vec![
        (TestDb::migrated(), "verify"),
        (TestDb::migrated(), "verify --seed --probes"),
        (broken, "verify --seed --probes"),
        (TestDb::empty(), "verify --probes"),
    ]
}

#[test]
fn the_json_fits_its_committed_schema_and_nothing_else_does() {
    let schema: Value = serde_json::from_str(include_str!("../../docs/schema/verify.json")).unwrap();
    let schema = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let is_valid = |report: &Value| schema.validate(report).map_err(|error| error.to_string());
    for (db, arguments) in databases() {
        let report = Dbctl::on(&db).run(&format!("{arguments} --format json")).json();
        is_valid(&report).unwrap();
        for spoil in [
            |report: &mut Value| report["schema_version"] = 2.into(),
            |report: &mut Value| report["checks"][0]["outcome"] = "skipped".into(),
            |report: &mut Value| report["checks"][0]["layer"] = "cost".into(),
            |report: &mut Value| drop(report["checks"][0].as_object_mut().unwrap().remove("findings")),
            |report: &mut Value| report["failed"] = (-1).into(),
        ] {
            let mut spoilt = report.clone();
            spoil(&mut spoilt);
            assert!(is_valid(&spoilt).is_err(), "{}", spoilt["checks"][0]);
        }
    }
}

#[test]
fn junit_is_xml_and_says_the_same_as_json() {
    for (db, arguments) in databases() {
        let json = Dbctl::on(&db).run(&format!("{arguments} --format json"));
        let junit = Dbctl::on(&db).run(&format!("{arguments} --format junit"));
        assert_eq!((junit.code, junit.stderr.as_str()), (json.code, ""));
        let report = json.json();
        let document = roxmltree::Document::parse(&junit.stdout).unwrap();
        let root = document.root_element();
        let attribute = |node: &roxmltree::Node<'_, '_>, name: &str| node.attribute(name).unwrap().to_owned();
        let suites: Vec<_> = root.children().filter(|node| node.has_tag_name("testsuite")).collect();
        let names: Vec<_> = suites.iter().map(|suite| attribute(suite, "name")).collect();
        assert_eq!(names, ["database", "core", "agent_state", "workflow_history", "resource", "application"]);
        for (count, field) in [("failures", "failed"), ("skipped", "skipped")] {
            assert_eq!(attribute(&root, count), report[field].to_string());
            let sum: u64 = suites.iter().map(|suite| attribute(suite, count).parse::<u64>().unwrap()).sum();
            assert_eq!(sum.to_string(), report[field].to_string());
        }
        let cases: Vec<_> = root.descendants().filter(|node| node.has_tag_name("testcase")).collect();
        let checks = report["checks"].as_array().unwrap();
        assert_eq!(attribute(&root, "tests"), checks.len().to_string());
        assert_eq!(cases.len(), checks.len());
        for (case, check) in cases.iter().zip(checks) {
            assert_eq!(case.attribute("name"), check["id"].as_str());
            let child = |name: &str| case.children().find(|node| node.has_tag_name(name));
            assert_eq!(child("failure").is_some(), check["outcome"] == "failed", "{check}");
            assert_eq!(child("skipped").and_then(|node| node.attribute("message")), check["reason"].as_str());
            for finding in check["findings"].as_array().unwrap() {
                let text = child("failure").unwrap().text().unwrap().to_owned();
                assert!(text.contains(finding["problem"].as_str().unwrap()), "{text}");
                assert!(text.contains(finding["mend"].as_str().unwrap_or_default()), "{text}");
            }
        }
    }
}

#[test]
fn the_table_shows_each_statement_once() {
    let db = TestDb::migrated();
    db.conn().batch_execute("DROP INDEX idx_event_type").unwrap();
    let run = Dbctl::on(&db).run("verify");
    assert_eq!(run.code, Some(1));
    let statement = "CREATE INDEX CONCURRENTLY idx_event_type ON events USING btree (event_type)";
    assert_eq!(run.stdout.matches(statement).count(), 1, "{}", run.stdout);
    db.conn().batch_execute(&statement.replace("CONCURRENTLY ", "")).unwrap();
    assert_eq!(Dbctl::on(&db).run("verify").code, Some(0));
}
