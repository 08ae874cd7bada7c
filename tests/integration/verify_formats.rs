//! The report of `verify` in the forms that other programs read: it is what they expect, and the same in each.

use diesel::connection::SimpleConnection;
use optiinfra_db::migrate::EMBEDDED;
use serde_json::Value;

use crate::support::{Dbctl, TestDb};

/// Reports of a clean database, of one full of findings, and of an empty one; and the arguments that they come from.
fn databases() -> Vec<(TestDb, &'static str)> {
    let broken = TestDb::seeded_now();
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

fn seeded() -> TestDb {
    TestDb::seeded_now()
}

/// The suggested SQL of a report.
fn suggested(stdout: &str) -> &str {
    stdout.split_once("\nsuggested SQL (review before running)\n").unwrap_or_else(|| panic!("{stdout}")).1
}

/// Runs suggested SQL as it was printed. CONCURRENTLY waits for the transactions of all other tests.
fn run_suggested(db: &TestDb, stdout: &str) {
    db.conn().batch_execute(&suggested(stdout).replace(" CONCURRENTLY", "")).unwrap();
}

#[track_caller]
fn assert_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("{part} is missing or too early in\n{text}")).1;
    }
}

#[test]
fn the_headline_counts_what_was_not_looked_at() {
    let db = seeded();
    let clean = Dbctl::on(&db).run("verify --no-skips");
    let all = Dbctl::on(&db).run("verify --format json").json()["passed"].as_u64().unwrap();
    assert_eq!((clean.code, clean.stderr.as_str()), (Some(0), ""));
    assert_eq!(clean.stdout.lines().next(), Some(format!("all {all} checks passed").as_str()));

    let reader = db.reader();
    db.conn().batch_execute(&format!("REVOKE SELECT ON customers FROM {}", reader.name)).unwrap();
    let as_reader = |arguments: &str| Dbctl::new().env("DATABASE_URL", &db.url_as(&reader.name)).run(arguments);
    let report = as_reader("verify --format json").json();
    let skipped = report["skipped"].as_u64().unwrap();
    let part = as_reader("verify");
    assert_eq!(part.code, Some(0), "a skipped check is no finding");
    let headline = format!("{} checks passed, {skipped} were skipped", report["passed"]);
    assert_eq!(part.stdout.lines().next(), Some(headline.as_str()));
    assert_eq!(as_reader("verify --no-skips").code, Some(1));

    db.conn().batch_execute("DROP INDEX idx_event_type").unwrap();
    let failed = as_reader("verify").stdout;
    let headline = format!("3 of {all} checks failed, {skipped} were skipped");
    assert_eq!(failed.lines().next(), Some(headline.as_str()));
}

#[test]
fn what_failed_comes_first_and_what_passed_is_counted_by_group() {
    let db = TestDb::migrated();
    db.conn().batch_execute("DROP INDEX idx_event_type").unwrap();
    let short = Dbctl::on(&db).run("verify").stdout;
    let parts = ["FAILED    core.indexes", "skipped   core.seed.customers", "passed    schema"];
    assert_in_order(&short, &parts);
    assert!(!short.contains("core.tables"), "{short}");
    for arguments in ["verify --all", "verify -v"] {
        let long = Dbctl::on(&db).run(arguments).stdout;
        assert_in_order(&long, &[parts[0], parts[1], "passed    core.tables"]);
    }
    let passed = |run: &str| run.lines().filter(|line| line.starts_with("passed ")).count();
    let report = Dbctl::on(&db).run("verify --format json").json();
    assert_eq!(passed(&Dbctl::on(&db).run("verify --all").stdout) as u64, report["passed"].as_u64().unwrap());
    let counted = short.lines().filter(|line| line.starts_with("passed "));
    let sum: u64 = counted.map(|line| line.split_whitespace().last().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(sum, report["passed"].as_u64().unwrap());
}

#[test]
fn outcomes_are_coloured_where_colours_are_on() {
    let db = TestDb::migrated();
    db.conn().batch_execute("DROP INDEX idx_event_type").unwrap();
    let coloured = Dbctl::on(&db).run("verify --color always").stdout;
    for outcome in ["\u{1b}[31mFAILED\u{1b}[0m", "\u{1b}[33mskipped\u{1b}[0m", "\u{1b}[32mpassed\u{1b}[0m"] {
        assert!(coloured.contains(outcome), "{coloured:?}");
    }
    for plain in ["verify", "verify --color never"] {
        assert!(!Dbctl::on(&db).env("NO_COLOR", "").run(plain).stdout.contains('\u{1b}'), "this is no terminal");
    }
}

#[test]
fn pending_migrations_are_said_once_with_what_to_do() {
    let empty = TestDb::empty();
    let count = EMBEDDED.len();
    let run = Dbctl::on(&empty).run("verify");
    let report = Dbctl::on(&empty).run("verify --format json").json();
    let headline = format!("the schema is {count} migrations behind; {} checks were skipped", report["skipped"]);
    assert_eq!(run.code, Some(1));
    assert_eq!(run.stdout.lines().next(), Some(headline.as_str()));
    assert!(!run.stdout.contains("migrations pending"), "{run:#?}");
    assert_eq!(run.stderr, "hint: run `optiinfra-dbctl migrate`\n");
    assert_eq!(Dbctl::on(&empty).run("verify -q").stderr, "");
    assert!(Dbctl::on(&empty).run("verify --all").stdout.matches("migrations pending").count() > 100);
    assert_eq!(report["checks"].as_array().unwrap().len() as u64, report["skipped"].as_u64().unwrap() + 1);
    assert_eq!(report["pending"].as_array().unwrap().len(), count);

    let ahead = TestDb::migrated();
    ahead.conn().batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')").unwrap();
    let run = Dbctl::on(&ahead).run("verify");
    assert!(run.stdout.starts_with("the schema is 1 migration ahead of this code; "), "{run:#?}");
    assert_eq!(run.stderr, "hint: run a newer optiinfra-dbctl\n");
    assert_eq!(Dbctl::on(&ahead).run("verify --format json").json()["unknown"], serde_json::json!(["20990101000000"]));
}

#[test]
fn a_fault_that_three_checks_find_is_told_once_with_the_statement_to_copy() {
    let db = TestDb::plain();
    db.conn().batch_execute("DROP INDEX idx_event_type").unwrap();
    let run = Dbctl::on(&db).run("verify");
    assert_eq!(run.code, Some(1));
    assert_eq!(run.stdout.matches("missing: btree (event_type)").count(), 1, "{}", run.stdout);
    assert!(run.stdout.contains("schema.indexes, schema.contract, core.indexes"), "{}", run.stdout);
    let statement = "CREATE INDEX CONCURRENTLY idx_event_type ON events USING btree (event_type)";
    assert_eq!(suggested(&run.stdout), format!("-- index events.idx_event_type\n{statement};\n"));
    run_suggested(&db, &run.stdout);
    assert_eq!(Dbctl::on(&db).run("verify").code, Some(0));
}

#[test]
fn a_strangers_name_cannot_leave_the_comment_above_its_statement() {
    let db = TestDb::migrated();
    db.conn().batch_execute("CREATE INDEX \"x\nDROP TABLE events; --\" ON events (id)").unwrap();
    let run = Dbctl::on(&db).run("verify");
    run_suggested(&db, &run.stdout);
    assert_eq!(Dbctl::on(&db).run("verify").code, Some(0), "the index went, the table stayed: {}", run.stdout);
}

#[test]
fn the_constraint_of_a_rule_is_said_to_prevent_and_not_to_mend() {
    let db = seeded();
    db.conn().batch_execute("UPDATE scaling_events SET completed_at = executed_at - interval '1 hour'").unwrap();
    let run = Dbctl::on(&db).run("verify");
    let label = "-- rules.scaling_order: prevents new ones, and does not fix those that are there\nALTER TABLE";
    assert!(suggested(&run.stdout).contains(label), "{}", run.stdout);
    let report = Dbctl::on(&db).run("verify --format json").json();
    let checks = report["checks"].as_array().unwrap();
    let rule = checks.iter().find(|check| check["id"] == "rules.scaling_order").unwrap();
    assert_eq!((&rule["outcome"], &rule["findings"][0]["prevents"]), (&"failed".into(), &true.into()));
    assert!(Dbctl::on(&db).run("verify --format junit").stdout.contains("prevents new ones: ALTER TABLE"));
    run_suggested(&db, &run.stdout);
}

#[test]
fn figures_of_the_seed_are_those_that_differ() {
    let db = seeded();
    db.conn().batch_execute("DELETE FROM events WHERE event_type = 'performance_degradation'").unwrap();
    let run = Dbctl::on(&db).run("verify");
    let row = run.stdout.lines().find(|line| line.contains("core.seed.counts")).unwrap();
    assert!(row.contains("events: at least 3   events: 2 "), "{}", run.stdout);
    assert!(run.stdout.contains("expected at least 3, found 2"), "{}", run.stdout);
    let junit = Dbctl::on(&db).run("verify --format junit").stdout;
    assert!(junit.contains(": 1 finding\""), "{junit}");
}
