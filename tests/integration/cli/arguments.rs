//! What is read of the command line and the environment, and what is wrong with it.

use std::fs;

use optiinfra_db::migrate::EMBEDDED;

use super::{PASSWORD, assert_fails, on};
use crate::support::{Dbctl, TestDb};

#[test]
fn unknown_words_are_usage_errors_that_list_the_known_ones() {
    let run = Dbctl::new().run("seed resources");
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("core, agent_state, workflow_history, resource, application]"), "{run:#?}");
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
        ("export events", &["table"], "[possible values: csv, ndjson, parquet]"),
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
fn help_and_version_go_to_stdout() {
    let help = Dbctl::new().env("DATABASE_URL", &format!("postgresql://u:{PASSWORD}@h/d")).run("--help");
    assert_eq!(help.code, Some(0));
    assert!(help.stderr.is_empty() && help.stdout.contains("Exit codes:"));
    assert!(!help.stdout.contains(PASSWORD));
    let short = format!("optiinfra-dbctl {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(Dbctl::new().run("-V").stdout, short);
    let long = Dbctl::new().run("--version").stdout;
    let newest = format!("newest migration: {}\n", EMBEDDED.last().unwrap().name);
    assert!(long.starts_with(&short) && long.ends_with(&newest), "{long}");
}

#[test]
fn a_malformed_url_is_refused_without_repeating_it() {
    for (url, hint) in [
        (format!("postgresql://u:{PASSWORD}/x@h/d"), "write %40 for @ and %2F for /"),
        (format!("postgresql://u:{PASSWORD}%zz@h/d"), "write %25 for a % itself"),
        (format!("mysql://u:{PASSWORD}@h/d"), "percent-encoded"),
        (format!("host=h password={PASSWORD} and more"), "put a value that holds spaces in single quotes"),
        (PASSWORD.to_owned(), "percent-encoded"),
    ] {
        let run = on(&url).run("migrate status");
        assert_fails(&run, 2, "the database URL is not valid", hint);
        assert!(!run.stderr.contains(&PASSWORD[..4]), "{run:#?}");
    }
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
    assert_eq!(
        Dbctl::new().env("PGHOST", "127.0.0.1").env("PGPORT", "1").env("PGDATABASE", "d").run("migrate status").code,
        Some(3)
    );

    fs::write(dir.path().join(".env"), format!("DATABASE_URL=\"postgresql://u:{PASSWORD}@h/d\nX Y\n")).unwrap();
    let run = Dbctl::new().dir(dir.path()).run("migrate status");
    assert_eq!(run.code, Some(2));
    assert!(!run.stderr.contains(PASSWORD), "{run:#?}");
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
    for name in ["OPTIINFRA_LOCAL", "OPTIINFRA_REQUIRE_TLS"] {
        let run = on("postgresql://u@127.0.0.1:1/d").env(name, "").run("stats");
        assert_fails(&run, 2, &format!("{name} is set and empty"), &format!("unset {name}"));
    }
    for no in ["0", "no", "False", "off"] {
        assert_fails(&Dbctl::new().env("OPTIINFRA_LOCAL", no).run("stats"), 2, "no database is named", "--local");
    }
}

#[test]
fn what_is_wrong_with_a_number_or_a_time_is_said_in_words() {
    for (arguments, said) in [
        ("migrate revert --steps 0", "must be a whole number from 1 to 1000"),
        ("migrate redo --steps -1", "must be a whole number from 1 to 1000"),
        ("migrate --lock-wait -1", "must be a duration from 0 to 24d, such as 30s, 5m, 2h or 7d"),
        ("migrate --lock-wait 1e19", "must be a duration from 0 to 24d"),
        ("verify --limit NaN", "must be a duration from 0 to 24d"),
        ("stats --watch 0", "must be at least 0.1 seconds"),
        ("import events - --max-rejects -1", "must be a whole number from 0 to"),
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
fn a_layer_has_to_be_named() {
    for arguments in ["seed", "seed --plan", "seed --remove --yes"] {
        assert_fails(&on("postgresql://u@127.0.0.1:1/d").run(arguments), 2, "no layer is named", "--all");
    }
    assert!(Dbctl::new().run("help seed").stdout.contains("agent_state"));
}

/// Issue 11, 1: every number and duration, as far as a database is needed to see what becomes of it.
#[test]
fn a_number_at_the_end_of_its_range_is_no_panic() {
    let db = TestDb::migrated();
    for command in [
        "migrate --lock-wait",
        "migrate redo --yes --lock-wait",
        "migrate repair --reason x --lock-wait",
        "verify --limit",
        "verify --probes --limit",
        "stats --since",
        "export events --since",
        "export events --until",
        "seed fleet --plan --customers",
        "seed fleet --plan --instances",
        "seed fleet --plan --hours",
        "seed fleet --plan --interval",
        "seed fleet --plan --rng-seed",
    ] {
        for value in ["0", "1e-9", "24d", "4294967295w", "65535", "18446744073709551615", "1e19", "inf", "NaN", "-1"] {
            let run = Dbctl::on(&db).run(&format!("{command} {value}"));
            assert!(matches!(run.code, Some(0..=6)), "{command} {value}: {run:#?}");
            let is_panic = run.stderr.contains("internal error") || run.stderr.contains("panicked");
            assert!(!is_panic, "{command} {value}: {run:#?}");
        }
    }
}

#[test]
fn the_words_of_other_tools_name_our_command() {
    for (arguments, hint) in [
        ("migrate up", "`optiinfra-dbctl migrate` applies"),
        ("upgrade head", "`optiinfra-dbctl migrate` applies"),
        ("migration run", "`optiinfra-dbctl migrate` applies"),
        ("migrate down", "migrate revert --steps 1"),
        ("migrate rollback", "migrate revert --steps 1"),
        ("downgrade -1", "migrate revert --steps 1"),
        ("current", "migrate status"),
        ("history --verbose", "migrate status"),
        ("status", "`optiinfra-dbctl migrate status` shows the migrations"),
        ("stamp head", "migrate adopt"),
        ("migrate --dry-run", "migrate plan"),
        ("revision --autogenerate", "migrate new NAME"),
        ("migrate create", "migrate new NAME"),
        ("migrate info", "migrate status"),
        ("check", "verify"),
        ("psql", "`optiinfra-dbctl local psql`"),
        ("shell", "`optiinfra-dbctl local psql`"),
    ] {
        let run = Dbctl::new().run(arguments);
        assert_fails(&run, 2, "", "hint: `optiinfra-dbctl");
        assert!(run.stderr.contains(hint), "{run:#?}");
    }
}

#[test]
fn a_word_that_is_a_letter_away_is_asked_about_in_the_hint() {
    for (arguments, hint) in [
        ("verfy", "hint: did you mean verify?"),
        ("verify --probe", "hint: did you mean --probes?"),
        ("stats --section tabels", "hint: did you mean tables?"),
        ("seed resorce", "hint: did you mean resource?"),
        ("seed core aplication --reset", "hint: did you mean application?"),
        ("import resource_metric -", "hint: did you mean resource_metrics?"),
        ("export evnets", "hint: did you mean events?"),
        ("verify --format jsn", "hint: did you mean json?"),
    ] {
        let run = Dbctl::new().run(arguments);
        assert_fails(&run, 2, "", hint);
        assert!(!run.stderr.contains("tip:") && !run.stderr.contains("For more information"), "{run:#?}");
    }
    // Where there is nothing near, the hint says where all there is can be seen.
    assert_fails(&Dbctl::new().run("frobnicate"), 2, "unrecognized subcommand", "hint: add --help");
}

/// The text of a help, wrapped once: no line ends where the first word of the next had space.
#[test]
fn help_is_wrapped_once_at_any_width() {
    for command in ["--help", "import --help", "export --help", "migrate --help", "verify --help", "stats --help"] {
        for width in [60, 80, 100, 120, 160] {
            let help = Dbctl::new().env("COLUMNS", &width.to_string()).run(command).stdout;
            let lines: Vec<_> = help.lines().collect();
            for pair in lines.windows(2) {
                // Of paragraphs of prose: lists are lines by themselves.
                let is_prose = |line: &str| line.starts_with(|c: char| c.is_alphabetic()) && line.len() > width / 3;
                let word = pair[1].split(' ').next().unwrap_or_default();
                let had_space = pair[0].chars().count() + 1 + word.chars().count() <= width;
                let ends = pair[0].ends_with(['.', ':']) && pair[1].starts_with(char::is_uppercase);
                let both = is_prose(pair[0]) && !pair[1].is_empty() && pair[1].starts_with(char::is_alphabetic);
                assert!(!(both && had_space && !ends), "{command} at {width}: {:?} and {:?}", pair[0], pair[1]);
            }
        }
    }
}
