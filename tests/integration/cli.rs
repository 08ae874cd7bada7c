//! The binary from outside: exit codes, what goes to stdout and what to stderr, and that no password shows.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use diesel::connection::SimpleConnection;
use optiinfra_db::migrate::EMBEDDED;

use crate::support::{Dbctl, Run, TestDb, take_migration_lock};

const PASSWORD: &str = "Tr0ub4dor";

fn on(url: &str) -> Dbctl {
    Dbctl::new().env("DATABASE_URL", url)
}

#[track_caller]
fn assert_fails(run: &Run, code: i32, message: &str, hint: &str) {
    assert_eq!(run.code, Some(code), "{run:#?}");
    assert_eq!(run.stdout, "", "an error leaves stdout to the result");
    assert!(run.stderr.starts_with("error: ") && run.stderr.contains(message), "{run:#?}");
    assert!(run.stderr.contains(hint), "{run:#?}");
    assert!(!run.stderr.contains("panicked"), "{run:#?}");
}

#[test]
fn without_a_database_the_two_ways_out_are_named() {
    assert_fails(&Dbctl::new().run("migrate"), 2, "no database is named", "DATABASE_URL=");
    assert_fails(&Dbctl::new().run("verify"), 2, "no database is named", "--local");
}

#[test]
fn unknown_words_are_usage_errors_that_list_the_known_ones() {
    let run = Dbctl::new().run("seed resources");
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("core, agent_state, workflow_history, resource or application"), "{run:#?}");
    assert_eq!(Dbctl::new().run("seed").code, Some(2));
    assert_eq!(Dbctl::new().run("frobnicate").code, Some(2));
    assert_eq!(Dbctl::new().run("migrate revert").code, Some(2));
    assert_eq!(Dbctl::new().run("seed --all --at yesterday").code, Some(2));
}

#[test]
fn a_format_that_a_command_does_not_take_is_a_usage_error_that_lists_its_own() {
    let of_tables = "[possible values: table, json]";
    for (command, formats, own) in [
        ("migrate status", &["csv", "prometheus", "html", "junit"][..], of_tables),
        ("seed --all", &["csv", "ndjson"], of_tables),
        ("local status", &["csv"], of_tables),
        ("verify", &["csv", "prometheus", "html"], "[possible values: table, json, junit]"),
        ("stats", &["junit"], "[possible values: table, json, csv, prometheus, html]"),
        ("export events", &["table", "json"], "[possible values: csv, ndjson]"),
    ] {
        for format in formats {
            for arguments in [format!("{command} --format {format}"), format!("--format {format} {command}")] {
                let run = Dbctl::new().run(&arguments);
                assert_fails(&run, 2, &format!("invalid value '{format}' for '--format <FORMAT>'"), own);
            }
        }
    }
}

#[test]
fn a_result_that_cannot_be_printed_is_exit_2_and_says_where_it_was_to_go() {
    let db = TestDb::migrated();
    for command in ["verify", "stats", "stats --format csv", "migrate status --format json"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut arguments: Vec<_> = command.split(' ').collect();
        let url = db.url();
        arguments.extend(["--database-url", &url]);
        let output = Command::new(env!("CARGO_BIN_EXE_optiinfra-dbctl")).args(arguments).stdout(full).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        assert!(
            said.starts_with("error: cannot write to stdout\n  because No space left on device"),
            "{command}: {said}"
        );
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = Dbctl::new().env("DATABASE_URL", &format!("postgresql://u:{PASSWORD}@h/d")).run("--help");
    assert_eq!(help.code, Some(0));
    assert!(help.stderr.is_empty() && help.stdout.contains("Exit codes:"));
    assert!(!help.stdout.contains(PASSWORD));
    assert!(Dbctl::new().run("--version").stdout.starts_with("optiinfra-dbctl "));
}

#[test]
fn a_malformed_url_is_refused_without_repeating_it() {
    for url in [
        format!("postgresql://u:{PASSWORD}/x@h/d"),
        format!("postgresql://u:{PASSWORD}%zz@h/d"),
        format!("mysql://u:{PASSWORD}@h/d"),
        format!("host=h password={PASSWORD} and more"),
        PASSWORD.to_owned(),
    ] {
        let run = on(&url).run("migrate status");
        assert_fails(&run, 2, "the database URL is not valid", "percent-encoded");
        assert!(!run.stderr.contains(&PASSWORD[..4]), "{run:#?}");
    }
}

#[test]
fn a_server_that_is_down_is_exit_3() {
    let run = on(&format!("postgresql://u:{PASSWORD}@127.0.0.1:1/d")).run("stats");
    assert_fails(&run, 3, "cannot connect to postgresql://u@127.0.0.1:1/d", "pg_isready");
    assert!(!run.stderr.contains(PASSWORD));
}

#[test]
fn a_missing_database_and_a_missing_role_are_told_apart() {
    let db = TestDb::empty();
    let run = on(&db.url().replace(db.database(), "nowhere")).run("verify");
    assert_fails(&run, 3, "database \"nowhere\" does not exist", "createdb");
    let run = on(&db.url_as("nobody_here")).run("verify");
    assert_fails(&run, 3, "role \"nobody_here\" does not exist", "createuser");
}

#[test]
fn migrate_then_status_check_then_revert() {
    let db = TestDb::empty();
    let pending = Dbctl::on(&db).run("migrate status --check --format json");
    assert_eq!(pending.code, Some(1));
    assert_eq!(pending.json()["up_to_date"], false);
    assert_eq!(Dbctl::on(&db).run("migrate status").code, Some(0), "without --check pending is no finding");

    let run = Dbctl::on(&db).run("migrate --format json");
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(run.json()["schema_version"], 1);
    assert_eq!(run.json()["steps"].as_array().unwrap().len(), EMBEDDED.len());
    assert!(Dbctl::on(&db).run("migrate").stdout.starts_with("nothing to do"));
    assert_eq!(Dbctl::on(&db).run("migrate status --check").code, Some(0));

    let asked = Dbctl::on(&db).run("migrate revert --all");
    assert_eq!(asked.code, Some(2), "{asked:#?}");
    assert!(asked.stderr.contains("customers") && asked.stderr.contains("pass --yes") && asked.stdout.is_empty());
    assert_eq!(Dbctl::on(&db).run("migrate status --check").code, Some(0), "nothing was reverted");

    let run = Dbctl::on(&db).run("migrate revert --to 2025-10-19-120000_core_schema --yes --format json");
    assert_eq!(run.json()["head"], "2025-10-19-120000_core_schema");
    assert_fails(
        &Dbctl::on(&db).run("migrate revert --to 1999 --yes"),
        2,
        "no migration is called '1999'",
        "migrate status",
    );
}

#[test]
fn somebody_elses_tables_are_exit_5_and_stay() {
    let db = TestDb::empty();
    db.conn().batch_execute("CREATE TABLE customers (mine text)").unwrap();
    assert_fails(&Dbctl::on(&db).run("migrate"), 5, "already has the table customers", "empty database");
}

#[test]
fn a_role_that_may_not_create_is_exit_5_or_2_and_leaves_nothing() {
    let db = TestDb::empty();
    let reader = db.reader();
    let run = on(&db.url_as(&reader.name)).run("migrate");
    assert_fails(&run, 2, "permission denied for schema", "has this right");
    assert_eq!(on(&db.url_as(&reader.name)).run("migrate status").code, Some(0));
}

#[test]
fn a_database_ahead_of_the_binary_is_exit_6() {
    let db = TestDb::migrated();
    db.conn().batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')").unwrap();
    assert_fails(&Dbctl::on(&db).run("migrate"), 6, "20990101000000", "newer optiinfra-dbctl");
    assert_eq!(Dbctl::on(&db).run("migrate status --check").code, Some(1));
}

#[test]
fn a_lock_that_is_held_is_exit_4_and_names_the_holder() {
    let db = TestDb::empty();
    let mut holder = db.conn();
    take_migration_lock(&mut holder);
    let run = Dbctl::on(&db).run("migrate --lock-wait 0.2");
    assert_eq!(run.code, Some(4), "{run:#?}");
    assert!(run.stderr.contains("waiting for another run: test, process "), "{run:#?}");
    assert!(run.stderr.contains("another run holds the migration lock"), "{run:#?}");
}

#[test]
fn the_url_comes_from_the_flag_then_the_variable_then_the_env_file() {
    let db = TestDb::migrated();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(".env"), format!("OTHER=1\nDATABASE_URL=\"{}\"\n", db.url())).unwrap();
    assert_eq!(Dbctl::new().dir(dir.path()).run("migrate status --check").code, Some(0));

    let nowhere = "postgresql://u@127.0.0.1:1/d";
    assert_eq!(on(nowhere).dir(dir.path()).run("migrate status").code, Some(3), "the variable wins over the file");
    assert_eq!(on(nowhere).run(&format!("migrate status --check --database-url {}", db.url())).code, Some(0));
    assert_eq!(Dbctl::new().env("PGHOST", "127.0.0.1").env("PGPORT", "1").run("migrate status").code, Some(3));

    fs::write(dir.path().join(".env"), format!("DATABASE_URL=\"postgresql://u:{PASSWORD}@h/d\nX Y\n")).unwrap();
    let run = Dbctl::new().dir(dir.path()).run("migrate status");
    assert_eq!(run.code, Some(2));
    assert!(!run.stderr.contains(PASSWORD), "{run:#?}");
}

#[test]
fn colours_appear_when_asked_for_and_never_with_no_color() {
    let run = Dbctl::new().run("migrate --color always");
    assert!(run.stderr.contains('\u{1b}'));
    assert!(!Dbctl::new().run("migrate").stderr.contains('\u{1b}'));
    assert!(!Dbctl::new().env("NO_COLOR", "1").env("CLICOLOR_FORCE", "").run("migrate").stderr.contains('\u{1b}'));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let db = TestDb::migrated();
    let mut child = Command::new(env!("CARGO_BIN_EXE_optiinfra-dbctl"))
        .args(["migrate", "status", "--format", "json", "--database-url", &db.url()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn seed_says_what_it_inserted_and_a_second_time_that_nothing_was_missing() {
    let db = TestDb::migrated();
    let plan = Dbctl::on(&db).run("seed --all --plan --format json").json();
    let first = Dbctl::on(&db).run("seed --all --at 2025-10-20T12:00:00Z --format json").json();
    let total = |report: &serde_json::Value, what: &str| -> u64 {
        report["tables"].as_array().unwrap().iter().map(|table| table[what].as_u64().unwrap()).sum()
    };
    assert_eq!(first["at"], "2025-10-20T12:00:00Z");
    assert!(total(&first, "inserted") >= 447);
    assert_eq!(total(&plan, "inserted"), total(&first, "inserted"));
    let second = Dbctl::on(&db).run("seed --all --format json").json();
    assert_eq!((total(&second, "inserted"), total(&second, "unchanged")), (0, total(&first, "inserted")));
    assert!(Dbctl::on(&db).run("seed --all").stdout.starts_with("0 inserted, "));
}

#[test]
fn removing_seed_rows_asks_first_and_shows_how_many() {
    let db = TestDb::migrated();
    assert_eq!(Dbctl::on(&db).run("seed core").code, Some(0));
    for verb in ["--remove", "--reset"] {
        let asked = Dbctl::on(&db).run(&format!("seed core {verb}"));
        assert_eq!(asked.code, Some(2));
        assert!(asked.stderr.contains("agents") && asked.stderr.contains("pass --yes"), "{asked:#?}");
    }
    assert!(Dbctl::on(&db).run("seed core --remove --yes").stdout.starts_with("0 inserted, 0 unchanged, 14 removed"));
}

#[test]
fn verify_is_clean_on_a_seeded_database_and_exit_1_with_findings() {
    let db = TestDb::migrated();
    let unseeded = Dbctl::on(&db).run("verify");
    assert_eq!(unseeded.code, Some(0), "{unseeded:#?}");
    assert_eq!(Dbctl::on(&db).run("verify --seed").code, Some(1));
    assert_eq!(Dbctl::on(&db).run("seed --all").code, Some(0));

    let clean = Dbctl::on(&db).run("verify --seed --format json");
    assert_eq!(clean.code, Some(0), "{clean:#?}");
    let found = |report: &serde_json::Value, id: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["id"] == id).unwrap()["found"].clone()
    };
    let report = clean.json();
    assert_eq!(report["failed"], 0);
    for (id, count) in
        [("schema.tables", 18), ("schema.enums", 22), ("schema.indexes", 137), ("schema.foreign_keys", 31)]
    {
        assert_eq!(found(&report, id), count, "{id}");
    }

    db.conn().batch_execute("DROP INDEX idx_event_type").unwrap();
    let drifted = Dbctl::on(&db).run("verify");
    assert_eq!(drifted.code, Some(1));
    assert!(drifted.stdout.contains("idx_event_type"), "{drifted:#?}");
}

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
    assert_fails(&run, 2, "--section is for tables and csv", "pass --format table or csv");

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
        let found = series(&prometheus.stdout, &format!("optiinfra_db_table_rows{{{}}}", labels(name)));
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
    for never in ["i-0abc123def456", "Acme", "customer_id=\"", "agent_id=\"", "instance_id=\""] {
        assert!(!text.contains(never), "{never}");
    }
    assert!(series(&text, "optiinfra_db_verify_violations{check=\"schema.tables\"}") == Some(0.0), "{text}");
    assert!(text.contains("optiinfra_db_skipped_info{what=\"unused indexes\"} 1\n"));
    assert_promtool_agrees(&text);
}

/// promtool comes with Debian's package prometheus.
fn assert_promtool_agrees(text: &str) {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: promtool is not on PATH");
        return;
    };
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
fn sparklines_are_ascii_where_the_locale_is_not_utf_8() {
    let db = TestDb::seeded_now();
    let of = |locale: &str| {
        let run = Dbctl::on(&db).env("LC_ALL", locale).run("stats");
        run.stdout.lines().find(|line| line.starts_with("i-0abc123def456") && line.contains("gpu")).unwrap().to_owned()
    };
    assert!(of("C.UTF-8").contains("▄"), "{}", of("C.UTF-8"));
    assert!(of("C").is_ascii() && of("C").contains("=="), "{}", of("C"));
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
fn what_the_server_says_of_a_refused_customer_shows_no_key() {
    let db = TestDb::migrated();
    let taken = "INSERT INTO customers (name, email, api_key) VALUES ('x', 'x@example.com', 'acme_test_key_123456789')";
    db.conn().batch_execute(taken).unwrap();
    let run = Dbctl::on(&db).run("seed core --yes");
    assert_fails(&run, 2, "customers_api_key_key", "another row holds this value");
    assert!(!run.stderr.contains("acme_test_key"), "{run:#?}");
}

/// The troubleshooting cases of 0.2d part 2: each ends in an error that names the cause and the command to type. (The
/// fourth, a test fixture that is not found, is an unknown name here.)
#[test]
fn the_five_documented_troubles_name_their_cause_and_their_cure() {
    let db = TestDb::migrated();
    // 1: the agents and customers that the seed needs are missing.
    assert_fails(&Dbctl::on(&db).run("seed resource"), 2, "seed resource needs Acme Corp (customers)", "seed core");
    // 4: a name that does not exist.
    assert_eq!(Dbctl::on(&db).run("seed resource_schema").code, Some(2));
    assert!(Dbctl::on(&db).run("seed resource_schema").stderr.contains("expected core, agent_state"));
    // 5: naive times make time ranges miss their rows.
    db.conn()
        .batch_execute(
            "ALTER TABLE resource_metrics ALTER COLUMN timestamp TYPE timestamp USING timestamp AT TIME ZONE 'UTC'",
        )
        .unwrap();
    let run = Dbctl::on(&db).run("verify");
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("time.zones") && run.stdout.contains("resource_metrics.timestamp"), "{run:#?}");
    // 2 and 3: the schema is not there yet, so a row's foreign key or a column's enum type is not either.
    let empty = TestDb::empty();
    let pending = format!("{} migrations pending", EMBEDDED.len());
    assert_fails(&Dbctl::on(&empty).run("seed --all"), 2, &pending, "run `optiinfra-dbctl migrate`");
    assert_fails(&Dbctl::on(&empty).run("stats"), 2, &pending, "run `optiinfra-dbctl migrate`");
    let run = Dbctl::on(&empty).run("verify");
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("no migration has been applied"), "{run:#?}");
}

#[test]
fn a_plan_prints_a_script_with_its_locks_and_changes_nothing() {
    let db = TestDb::empty();
    let plan = Dbctl::on(&db).run("migrate plan --to 20251019200000");
    assert_eq!(plan.code, Some(0), "{plan:#?}");
    assert!(plan.stdout.contains("\n-- applying 2025-10-19-120000_core_schema\n"), "{plan:#?}");
    assert!(
        plan.stdout.contains("CREATE TABLE __diesel_schema_migrations"),
        "the history's tables come first: {plan:#?}"
    );
    assert!(plan.stdout.contains("CREATE TABLE workflow_executions") && plan.stdout.contains("COMMIT;"));
    assert!(!plan.stdout.contains("CREATE TABLE resource_metrics"), "the way ends at the version");
    let later = Dbctl::on(&db).run("migrate plan --format json").json();
    assert_eq!(later["steps"].as_array().unwrap().len(), EMBEDDED.len());
    let status = Dbctl::on(&db).run("migrate status --format json").json();
    assert_eq!(status["pending"].as_array().unwrap().len(), EMBEDDED.len());

    assert_eq!(Dbctl::on(&db).run("migrate").code, Some(0));
    assert_eq!(Dbctl::on(&db).run("migrate plan").stdout, "-- nothing to do\n");
    let back = Dbctl::on(&db).run("migrate plan --to 20251020180000 --format json").json();
    let sixth = back["steps"].as_array().unwrap().last().unwrap();
    let mut locks = sixth["statements"].as_array().unwrap().iter().flat_map(|s| s["locks"].as_array().unwrap());
    assert!(locks.any(|lock| lock["object"] == "quality_metrics" && lock["mode"] == "ACCESS EXCLUSIVE"));
}

#[test]
fn going_to_a_version_and_redoing_ask_before_data_goes() {
    let db = TestDb::migrated();
    let redo = format!("migrate redo --steps {}", EMBEDDED.len() - 4);
    for command in ["migrate --to 20251019120000", &redo] {
        let asked = Dbctl::on(&db).run(command);
        assert_eq!(asked.code, Some(2), "{asked:#?}");
        assert!(asked.stderr.contains("quality_metrics") && asked.stderr.contains("pass --yes"), "{asked:#?}");
    }
    let redone = Dbctl::on(&db).run(&format!("{redo} --yes --format json")).json();
    assert_eq!(redone["steps"].as_array().unwrap().len(), 2 * (EMBEDDED.len() - 4));
    let back = Dbctl::on(&db).run("migrate --to 20251019120000 --yes --format json").json();
    assert_eq!(back["head"], "2025-10-19-120000_core_schema");
    assert_eq!(
        Dbctl::on(&db).run("migrate --to 20251019160000 --format json").json()["steps"][0]["direction"],
        "apply"
    );
}

#[test]
fn an_edited_migration_is_shown_refused_and_repaired() {
    let db = TestDb::migrated();
    let edit = "UPDATE __optiinfra_migrations SET up_sql = 'SELECT 1;', file_hash = '', content_hash = '' WHERE version = '20251021110000'";
    db.conn().batch_execute(edit).unwrap();
    let status = Dbctl::on(&db).run("migrate status --check");
    assert_eq!(status.code, Some(1));
    assert!(status.stdout.contains("applied, edited since"), "{status:#?}");
    let refused = Dbctl::on(&db).run("migrate");
    assert_fails(&refused, 2, "edited since", "migrate repair --reason");
    assert!(refused.stderr.contains("-SELECT 1;"), "{refused:#?}");
    assert_eq!(Dbctl::on(&db).run("migrate repair").code, Some(2), "a reason is needed");
    let repaired = Dbctl::on(&db).run("migrate repair --reason tested --format json").json();
    assert_eq!(repaired["repaired"][0]["was"], "edited");
    assert_eq!(Dbctl::on(&db).run("migrate status --check").code, Some(0));
}

#[test]
fn a_url_with_a_password_is_not_repeated_wherever_it_stands() {
    let db = TestDb::migrated();
    let url = format!("postgresql://u:{PASSWORD}@h/d");
    let keywords = format!("host=h password={PASSWORD}");
    let customer = format!("customer={url}");
    let arguments: [&[&str]; 8] = [
        &["import", "events", &url],
        &["import", "events", &keywords],
        &["import", "events", "-", "--set", &customer],
        &["import", "events", "-", "--rejects", &url],
        &["export", "events", "--output", &url],
        &["export", "events", "--customer", &keywords],
        &["stats", "--output", &url],
        &["migrate", "--to", &url],
    ];
    for arguments in arguments {
        let run = Dbctl::on(&db).run_with(arguments);
        assert_fails(&run, 2, "an argument looks like a database URL", "--database-url");
        assert!(!run.stderr.contains(&PASSWORD[..4]), "{run:#?}");
    }
    let spoken_of = Dbctl::on(&db).run_with(&["migrate", "repair", "--reason", "see https://example.com/password"]);
    assert_eq!(spoken_of.code, Some(0), "{spoken_of:#?}");
    assert!(spoken_of.stdout.starts_with("nothing to repair"), "{spoken_of:#?}");
}

#[test]
fn a_variable_that_is_neither_a_yes_nor_a_no_decides_nothing() {
    for value in ["2", "postgresql://u@h/d", "maybe"] {
        for name in ["OPTIINFRA_LOCAL", "OPTIINFRA_REQUIRE_TLS"] {
            let run = on("postgresql://u@127.0.0.1:1/d").env(name, value).run("stats");
            assert_fails(&run, 2, &format!("{name} is neither 1 nor 0"), &format!("set {name}=1"));
        }
    }
    for no in ["0", "no", "False", "off", ""] {
        assert_fails(&Dbctl::new().env("OPTIINFRA_LOCAL", no).run("stats"), 2, "no database is named", "--local");
    }
}

#[test]
fn what_is_wrong_with_a_number_or_a_time_is_said_in_words() {
    for (arguments, said) in [
        ("migrate revert --steps 0", "must be a whole number from 1 to 1000"),
        ("migrate redo --steps -1", "must be a whole number from 1 to 1000"),
        ("migrate --lock-wait -1", "must be a number of seconds, 0 or more"),
        ("migrate --lock-wait soon", "must be a number of seconds, 0 or more"),
        ("seed fleet --hours 65536", "must be a whole number from 1 to 65535"),
        ("seed fleet --interval 0", "must be a whole number from 1 to 65535"),
        ("import events - --connections 65", "must be a whole number from 1 to 64"),
        ("seed --all --at 2025-10-20", "not a time such as 2025-10-20T12:00:00Z"),
        ("stats --since yesterday", "not a time such as 2025-10-20T12:00:00Z, nor a duration such as 24h or 7d"),
    ] {
        let run = Dbctl::new().run(arguments);
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert!(run.stderr.contains(said), "{arguments}: {run:#?}");
    }
}

#[test]
fn what_would_happen_is_named_where_nobody_confirms_it() {
    let db = TestDb::migrated();
    let refused = |arguments: &str, what: &str| {
        let run = Dbctl::on(&db).run(arguments);
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert!(run.stderr.contains(&format!("refused to {what} without confirmation")), "{run:#?}");
        assert!(run.stderr.contains("hint: pass --yes"), "{run:#?}");
    };
    refused("migrate redo", "revert and re-apply 1 migration, which loses no data");
    refused("migrate revert --steps 2", "revert 2 migrations, which loses no data");
    assert_eq!(Dbctl::on(&db).run("seed --all").code, Some(0));
    refused("migrate revert --all", &format!("revert {} migrations and lose this data", EMBEDDED.len()));
    refused("seed --remove core agent_state workflow_history resource application", "remove 524 rows of the seed");
    let late = Dbctl::on(&db).run("seed --all --at 2025-10-20T12:00:00Z");
    assert!(late.stderr.contains("--reset gives them others"), "{late:#?}");
}

#[test]
fn a_layer_has_to_be_named() {
    for arguments in ["seed", "seed --plan", "seed --remove --yes"] {
        assert_fails(&on("postgresql://u@127.0.0.1:1/d").run(arguments), 2, "no layer is named", "--all");
    }
    assert!(Dbctl::new().run("help seed").stdout.contains("agent_state"));
}

#[test]
fn a_log_of_what_is_done_names_the_database() {
    let db = TestDb::migrated();
    let run = Dbctl::on(&db).run("-v migrate status");
    assert_eq!(run.code, Some(0));
    assert!(run.stderr.contains("connected database=postgresql://"), "{run:#?}");
    assert_eq!(Dbctl::on(&db).run("migrate status").stderr, "");
}

#[test]
fn an_output_that_is_no_regular_file_is_written_to_and_not_replaced() {
    let db = TestDb::migrated();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let to = |name: &str| format!("export events --output {}", at(name).display());

    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let writing = Dbctl::on(&db).spawn(&to("pipe"));
    assert!(fs::read_to_string(at("pipe")).unwrap().starts_with("id,"));
    assert_eq!(Run::of(writing).code, Some(0));

    fs::write(at("private"), "old").unwrap();
    fs::set_permissions(at("private"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink(at("private"), at("link")).unwrap();
    assert_eq!(Dbctl::on(&db).run(&to("link")).code, Some(0));
    assert!(at("link").is_symlink() && fs::read_to_string(at("private")).unwrap().starts_with("id,"));
    assert_eq!(fs::metadata(at("private")).unwrap().permissions().mode() & 0o777, 0o600);

    fs::create_dir(at("folder")).unwrap();
    let refused = Dbctl::on(&db).run(&to("folder"));
    assert_fails(&refused, 2, &format!("cannot write {}", at("folder").display()), "is a directory");
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["folder", "link", "pipe", "private"], "nothing is left behind");
}
