//! `stats` in all its formats.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use diesel::connection::SimpleConnection;
use optiinfra_db::migrate::EMBEDDED;

use super::on;
use crate::support::{Dbctl, TestDb, tool};

#[test]
fn a_section_is_shown_alone_as_a_table_too() {
    let db = TestDb::seeded("2025-10-20T12:00:00Z".parse().unwrap());
    let of = |section: &str| {
        let run = Dbctl::on(&db).run(&format!("stats --section {section}"));
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
        run.stdout
    };
    let titles =
        |text: &str| text.split("\n\n").map(|table| table.lines().next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(titles(&of("quality")), ["quality by model"]);
    assert_eq!(titles(&of("utilization")), ["utilisation over time"]);
    assert_eq!(titles(&of("scaling_timeline")), ["newest scaling events"]);
    assert_eq!(titles(&of("tables"))[1..], ["upkeep"]);
    assert!(of("indexes").contains("idx_event_type"), "which the whole report leaves out");
    assert_eq!(of("invalid_indexes"), "invalid_indexes: nothing to show\n");
    let young = of("unused_indexes");
    assert!(young.starts_with("unused_indexes: skipped: needs 7 days of statistics, has "), "{young}");

    let sections = Dbctl::on(&db).run("stats --section nothing").stderr;
    let sections = sections.split("[possible values: ").nth(1).unwrap().split(']').next().unwrap();
    assert!(sections.split(", ").count() > 30, "{sections}");
    for section in sections.split(", ") {
        assert!(of(section).starts_with(|first: char| first.is_alphanumeric()), "{section}");
    }
    let run = Dbctl::on(&db).run("stats --section tables --format json");
    assert_eq!(run.code, Some(2), "{run:#?}");
    assert!(run.stderr.contains("--section is for tables and csv"), "{run:#?}");

    let mut holder = db.conn();
    holder.batch_execute("BEGIN; LOCK TABLE quality_metrics IN ACCESS EXCLUSIVE MODE").unwrap();
    assert_eq!(of("quality"), "quality: skipped: locked by another session\n");
}

/// The value of a line of Prometheus' text format, by the whole name with its labels.
fn series(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn every_format_of_stats_tells_the_same_figures() {
    let db = TestDb::seeded("2025-10-20T12:00:00Z".parse().unwrap());
    let json = Dbctl::on(&db).run("stats --exact --format json").json();
    let prometheus = Dbctl::on(&db).run("stats --exact --format prometheus");
    assert_eq!(prometheus.code, Some(0), "{prometheus:#?}");
    let csv = Dbctl::on(&db).run("stats --exact --format csv");
    assert_eq!(csv.code, Some(0), "{csv:#?}");
    let table = Dbctl::on(&db).run("stats --exact").stdout;
    assert!(csv.stdout.starts_with("section,row,field,value\n"));

    let labels = |table: &str| {
        format!("datname=\"{}\",schemaname=\"{}\",relname=\"{table}\"", json["database"].as_str().unwrap(), db.schema())
    };
    for (at, entry) in json["tables"].as_array().unwrap().iter().enumerate() {
        let name = entry["table"].as_str().unwrap();
        let rows = entry["rows"].as_i64().unwrap();
        let found = series(&prometheus.stdout, &format!("optiinfra_db_table_rows{{{},kind=\"exact\"}}", labels(name)));
        assert_eq!(found, Some(rows as f64), "{name}");
        assert!(csv.stdout.contains(&format!("\ntables,{},rows,{rows}\n", at + 1)), "{name}");
        assert!(csv.stdout.contains(&format!("\ntables,{},rows_are,exact\n", at + 1)), "{name}");
        let line = table.lines().find(|line| line.split_whitespace().nth(1) == Some(name)).unwrap();
        assert_eq!(line.split_whitespace().nth(2), Some(rows.to_string().as_str()), "{line}");
        for (kind, field) in [("heap", "heap_bytes"), ("index", "index_bytes"), ("toast", "toast_bytes")] {
            let name = format!("optiinfra_db_table_size_bytes{{{},kind=\"{kind}\"}}", labels(name));
            assert_eq!(series(&prometheus.stdout, &name), entry[field].as_f64(), "{name}");
            assert!(csv.stdout.contains(&format!("\ntables,{},{field},{}\n", at + 1, entry[field])));
        }
    }
    for model in json["application"]["quality"].as_array().unwrap() {
        let name = format!("optiinfra_db_quality_score_ratio{{model={}}}", model["model_name"]);
        assert_eq!(series(&prometheus.stdout, &name), model["average_quality"].as_f64());
        assert!(csv.stdout.contains(&format!(",average_quality,{}\n", model["average_quality"])));
    }
    let redundant = json["operations"]["redundant_indexes"]["found"].as_array().unwrap().len();
    assert_eq!(series(&prometheus.stdout, "optiinfra_db_redundant_indexes"), Some(redundant as f64));
    let section = Dbctl::on(&db).run("stats --format csv --section redundant_indexes").stdout;
    assert_eq!(section.lines().count(), redundant + 1);
    assert!(section.starts_with("table,index,by,bytes,how,in_schema\n"), "{section}");
    assert!(Dbctl::on(&db).run("stats --section nothing").stderr.contains("redundant_indexes"));
    for line in Dbctl::on(&db).run("stats --format csv --section utilization").stdout.lines().skip(1) {
        assert_eq!(line.split(',').count(), 4, "{line}");
    }
}

#[test]
fn prometheus_text_keeps_the_rules_of_its_format() {
    let db = TestDb::seeded_now();
    let text = Dbctl::on(&db).run("stats --format prometheus").stdout;
    assert!(text.ends_with('\n') && series(&text, "optiinfra_db_up") == Some(1.0));
    let series_count = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!((500..1500).contains(&series_count), "{series_count}");
    let mut families = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(!families.contains(&name), "{name} twice");
            families.push(name);
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            assert_eq!(families.last(), Some(&name), "families are contiguous");
        }
    }
    for never in ["i-0abc123def456", "agent_id=\"", "instance_id=\""] {
        assert!(!text.contains(never), "{never}");
    }
    // Who has stopped sending.
    let of_customers: Vec<_> = text.lines().filter(|line| line.contains("customer_id=\"")).collect();
    assert_eq!(of_customers.len(), 2, "{of_customers:#?}");
    assert!(of_customers.iter().all(|line| line.starts_with("optiinfra_db_customer_newest_sample_timestamp_seconds{")));
    assert!(series(&text, "optiinfra_db_verify_violations{check=\"schema.tables\"}") == Some(0.0), "{text}");
    assert!(text.contains("optiinfra_db_skipped_info{what=\"unused indexes\"} 1\n"));
    assert_promtool_agrees(&text);
}

fn assert_promtool_agrees(text: &str) {
    let Some(promtool) = tool("promtool") else { return };
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn a_database_that_is_down_is_a_metric_too() {
    let down = || on("postgresql://u@127.0.0.1:1/d");
    let run = down().run("stats --format prometheus");
    assert_eq!(run.code, Some(3));
    assert!(series(&run.stdout, "optiinfra_db_up") == Some(0.0) && run.stderr.contains("cannot connect"), "{run:#?}");
    assert_promtool_agrees(&run.stdout);

    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("db.prom"), "old").unwrap();
    let run = down().dir(dir.path()).run("stats --format prometheus --output db.prom");
    assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""));
    assert_eq!(series(&fs::read_to_string(dir.path().join("db.prom")).unwrap(), "optiinfra_db_up"), Some(0.0));
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["db.prom"], "nothing half written stays");
    let run = down().dir(dir.path()).run("stats --format prometheus --output no/such/folder.prom");
    assert!(run.stderr.contains("cannot write no/such/folder.prom"), "{run:#?}");
}

#[test]
fn whatever_keeps_the_figures_away_no_file_says_that_all_is_well() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("s.prom");
    let left_by = |dbctl: Dbctl, arguments: &str| {
        fs::write(&file, "optiinfra_db_up 1\n").unwrap();
        let run = dbctl.run(&format!("stats --format prometheus --output {} {arguments}", file.display()));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        fs::read_to_string(&file).unwrap()
    };
    let up = |text: &str| series(text, "optiinfra_db_up");

    let db = TestDb::empty();
    let without_schema = left_by(Dbctl::on(&db), "");
    assert_promtool_agrees(&without_schema);
    assert_eq!(up(&without_schema), Some(1.0), "it was reached");
    assert_eq!(series(&without_schema, "optiinfra_db_migrations_applied"), Some(0.0));
    assert_eq!(series(&without_schema, "optiinfra_db_migrations_pending"), Some(EMBEDDED.len() as f64));

    let db = db.migrate();
    assert_eq!(up(&left_by(Dbctl::on(&db), "--customer nobody")), Some(0.0));
    assert_eq!(up(&left_by(Dbctl::new(), "")), Some(0.0), "no database is named");
}

#[test]
fn no_format_of_stats_holds_an_escape_or_minds_a_reader_that_goes_away() {
    let db = TestDb::seeded_now();
    for format in ["table", "json", "csv", "prometheus", "html"] {
        let run = Dbctl::on(&db).run(&format!("stats --format {format}"));
        assert!(run.code == Some(0) && !run.stdout.contains('\u{1b}'), "{format}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_optiinfra-dbctl"))
            .args(["stats", "--format", format, "--database-url", &db.url()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""), "{format}");
    }
}

#[test]
fn watching_appends_to_a_pipe_until_a_signal_ends_it() {
    use nix::sys::signal::{Signal, kill};

    let db = TestDb::migrated();
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_optiinfra-dbctl"))
            .args(["stats", "--watch", "0.1", "--format", "csv", "--database-url", &db.url()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heads = 0;
        while heads < 3 {
            let line = lines.next().unwrap().unwrap();
            assert!(!line.contains('\u{1b}'), "a pipe is no terminal");
            heads += usize::from(line == "section,row,field,value");
        }
        kill(nix::unistd::Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        assert!(lines.all(|line| line.is_ok()), "what was begun is written whole");
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(code), ""));
    }
    let hasty = Dbctl::on(&db).run("stats --watch 0");
    assert!(hasty.code == Some(2) && hasty.stderr.contains("must be at least 0.1 seconds"), "{hasty:#?}");
    let mut child = Dbctl::on(&db).spawn("stats --watch");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "health", "what changes is shown first");
    kill(nix::unistd::Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(Dbctl::on(&db).run("stats --watch --format html").stderr.contains("pass --output FILE"));
}

#[test]
fn stats_shows_the_database_and_never_a_key() {
    let db = TestDb::seeded_now();
    let table = Dbctl::on(&db).run("stats");
    assert_eq!(table.code, Some(0), "{table:#?}");
    assert!(table.stdout.contains("i-0abc123def456") && table.stdout.contains("64.25 %"), "{table:#?}");
    let json = Dbctl::on(&db).run("stats --format json");
    assert_eq!(json.json()["schema_version"], 1);
    assert!(!table.stdout.contains("test_key") && !json.stdout.contains("test_key"));
}

#[test]
fn a_long_list_shows_its_top_where_that_is_asked_for_and_on_a_terminal() {
    let db = TestDb::seeded_now();
    let indexes = |arguments: &str| {
        let run = Dbctl::on(&db).run(&format!("stats --section indexes {arguments}"));
        assert_eq!(run.code, Some(0), "{run:?}");
        run.stdout
    };
    let all = indexes("");
    let top = indexes("--top 3");
    assert!(all.starts_with("indexes\n") && all.lines().count() > 100, "a pipe gets all of it");
    assert!(top.starts_with("indexes, 3 of ") && top.contains(" (--top N shows more)\n"), "{top}");
    assert_eq!(top.lines().count(), 6);
    let on_terminal = |section: &str| {
        Dbctl::on(&db).env("PAGER", "").run_on_terminal(&format!("stats --section {section}"), "").stdout
    };
    assert!(on_terminal("indexes").contains("indexes, 12 of "));
    let whole = on_terminal("tables");
    assert!(whole.contains("rollup") && !whole.contains("--top N"), "there are never more tables: {whole}");
    assert_eq!(Dbctl::on(&db).run("stats --top 0").code, Some(2));
}

#[test]
fn a_pager_shows_a_result_on_a_terminal_and_nowhere_else() {
    const SHOWN: &str = "resource metrics by type";
    let db = TestDb::seeded_now();
    let dir = tempfile::tempdir().unwrap();
    let paged = dir.path().join("paged");
    let with = |pager: &str| Dbctl::on(&db).env("PAGER", pager).without("CI");
    let pager = format!("cat > {}", paged.display());
    let shown = with(&pager).run_on_terminal("stats", "").stdout;
    assert!(!shown.contains(SHOWN) && fs::read_to_string(&paged).unwrap().contains(SHOWN), "{shown}");
    fs::remove_file(&paged).unwrap();
    assert!(with(&pager).env("CI", "true").run_on_terminal("stats", "").stdout.contains(SHOWN));
    assert!(with(&pager).run("stats").stdout.contains(SHOWN), "in a pipe");
    assert!(!paged.exists());
    for none in ["", "no-such-pager"] {
        assert!(with(none).run_on_terminal("stats", "").stdout.contains(SHOWN), "{none}");
    }
}

#[test]
fn a_report_is_compared_with_an_earlier_one() {
    let db = TestDb::plain_seeded_now();
    let dir = tempfile::tempdir().unwrap();
    let before = dir.path().join("before.json");
    let compare = || Dbctl::on(&db).run(&format!("stats --exact --compare {}", before.display()));
    assert_eq!(Dbctl::on(&db).run(&format!("stats --exact --format json --output {}", before.display())).code, Some(0));
    db.conn()
        .batch_execute(
            "DELETE FROM events WHERE id = (SELECT min(id::text)::uuid FROM events);
             INSERT INTO customers (name, email, api_key) VALUES ('Newcomer', 'n@example.com', 'k');
             CREATE INDEX ours ON events (customer_id);
             UPDATE quality_regressions SET resolved_at = now() WHERE resolved_at IS NULL",
        )
        .unwrap();
    let table = compare().stdout;
    let squeezed: Vec<_> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(table.starts_with("tables that changed since 20"), "{table}");
    for line in [
        "new redundant index ours",
        "new index ours",
        "new customer Newcomer",
        "gone unresolved regression Acme Corp, claude-3-opus, toxicity_score, medium",
        "unresolved regressions 1 0",
    ] {
        assert!(squeezed.iter().any(|found| found == line), "{line} in {table}");
    }
    assert!(squeezed.iter().any(|line| line.starts_with("events 3 2 -1 ")), "{table}");
    assert!(!squeezed.iter().any(|line| line.starts_with("new agent") || line.starts_with("gone agent")), "{table}");

    let page = |before: &Path| {
        let run = Dbctl::on(&db).run(&format!("stats --exact --format html --compare {}", before.display()));
        assert_eq!(run.code, Some(0), "{run:?}");
        run.stdout.split_once("<h2 id=\"changed\">").unwrap().1.split_once("<h2 id=\"wrong\">").unwrap().0.to_owned()
    };
    let changed = page(&before);
    for part in [
        "since 2",
        "<section id=\"tables-that-changed\">",
        "<td class=\"w\">events</td><td class=\"n\" data-v=\"3\">3</td><td class=\"n\" data-v=\"2\">2</td><td class=\"n\" data-v=\"-1\">-1</td>",
        "<td>unresolved regressions</td><td class=\"w\">1</td><td class=\"w\">0</td>",
        "<td class=\"w\">new</td><td class=\"w\">customer</td><td class=\"w\">Newcomer</td>",
    ] {
        assert!(changed.contains(part), "{part} in {changed}");
    }
    let now = dir.path().join("now.json");
    assert_eq!(Dbctl::on(&db).run(&format!("stats --exact --format json --output {}", now.display())).code, Some(0));
    assert!(!page(&now).contains("customer"), "{}", page(&now));

    fs::write(&before, "{\"schema_version\": 1}").unwrap();
    let run = compare();
    assert!(
        run.code == Some(2) && run.stderr.contains("is no report") && run.stderr.contains("--format json"),
        "{run:?}"
    );
    fs::remove_file(&before).unwrap();
    assert!(compare().stderr.contains("cannot read"));
    assert_eq!(Dbctl::on(&db).run("stats --compare x --format json").code, Some(2));
}
