//! Where results, colours, progress and files go.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use anstream::adapter::strip_str;
use nix::sys::signal::Signal;

use optiinfra_db::migrate::EMBEDDED;

use diesel::connection::SimpleConnection;

use super::assert_fails;
use crate::support::{Dbctl, Run, TestDb, signal, tool};

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
            said.contains("cannot write to stdout") && said.contains("No space left on device"),
            "{command}: {said}"
        );
    }
}

#[test]
fn colours_appear_when_asked_for_and_never_with_no_color() {
    let run = Dbctl::new().run("migrate --color always");
    assert!(run.stderr.contains('\u{1b}'));
    assert!(!Dbctl::new().run("migrate").stderr.contains('\u{1b}'));
    assert!(!Dbctl::new().env("NO_COLOR", "1").env("CLICOLOR_FORCE", "").run("migrate").stderr.contains('\u{1b}'));
}

/// What a command prints on a terminal of this kind.
fn on_terminal(script: &Path, term: &str, db: &TestDb, arguments: &str) -> String {
    let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_optiinfra-dbctl"));
    let mut run = Command::new(script);
    run.args(["-qec", &command, "/dev/null"]).env("TERM", term).env("DATABASE_URL", db.url());
    let output = run.env_remove("NO_COLOR").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_dumb_terminal_gets_no_escapes() {
    let Some(script) = tool("script") else { return };
    let db = TestDb::seeded_now();
    let file = tempfile::NamedTempFile::new().unwrap();
    let export = format!("export quality_metrics --format csv --output {}", file.path().display());
    for arguments in ["stats", "verify", "migrate status", "migrate revert --steps 2 --yes", "migrate", &export] {
        let dumb = on_terminal(&script, "dumb", &db, arguments);
        assert!(!dumb.contains('\u{1b}'), "{arguments}: {dumb:?}");
    }
    // Where they may be, they are.
    assert!(on_terminal(&script, "xterm", &db, "verify").contains('\u{1b}'));
}

#[test]
fn watching_on_a_dumb_terminal_appends_without_escapes() {
    let Some(script) = tool("script") else { return };
    let db = TestDb::migrated();
    let command = format!("{} stats --watch 0.2 --section tables", env!("CARGO_BIN_EXE_optiinfra-dbctl"));
    let mut run = Command::new(script);
    run.args(["-qefc", &command, "/dev/null"]).env("TERM", "dumb").env("DATABASE_URL", db.url());
    let mut child =
        run.env_remove("NO_COLOR").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut shown = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        shown += &(line.unwrap() + "\n");
        if shown.matches("quality_regressions").count() == 2 {
            break;
        }
    }
    signal(&child, Signal::SIGTERM);
    child.wait().unwrap();
    assert!(shown.matches("quality_regressions").count() == 2 && !shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn watching_in_a_small_window_shows_what_fits_and_says_what_does_not() {
    let Some(script) = tool("script") else { return };
    let db = TestDb::migrated();
    let (width, height) = (50, 10);
    let binary = env!("CARGO_BIN_EXE_optiinfra-dbctl");
    let command = format!("stty rows {height} cols {width}; exec {binary} stats --watch 0.2 --section tables");
    let mut run = Command::new(script);
    run.args(["-qefc", &command, "/dev/null"]).env("TERM", "xterm").env("DATABASE_URL", db.url());
    let mut child =
        run.env_remove("NO_COLOR").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut shown = Vec::new();
    for byte in BufReader::new(child.stdout.take().unwrap()).bytes() {
        shown.push(byte.unwrap());
        if shown.ends_with(b"\x1b[J") && shown.windows(3).filter(|bytes| bytes == b"\x1b[J").count() == 2 {
            break;
        }
    }
    signal(&child, Signal::SIGTERM);
    child.wait().unwrap();
    let shown = String::from_utf8(shown).unwrap();
    let screens: Vec<_> = shown.split("\x1b[H").skip(1).collect();
    assert_eq!(screens.len(), 2, "{shown:?}");
    for screen in screens {
        let screen = strip_str(screen).to_string();
        let lines: Vec<_> = screen.split('\n').map(|line| line.trim_end_matches('\r')).collect();
        assert_eq!(lines.len(), height, "{screen}");
        assert!(lines.iter().all(|line| line.chars().count() <= width), "{screen}");
        let cut = lines[..height - 1].iter().filter(|line| line.ends_with('>')).count();
        assert!(cut > 0 && lines[0].starts_with(db.database()), "{screen}");
        let (more, rest) = lines[height - 1].split_once(' ').unwrap();
        assert!(more.parse::<usize>().unwrap() > 20, "{screen}");
        assert!(rest.starts_with(&format!("more lines below, {cut} lines are cut, 2")), "{screen}");
    }
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
fn what_would_happen_and_where_is_named_where_nobody_confirms_it() {
    let db = TestDb::plain();
    let refused = |arguments: &str, what: &str| {
        let run = Dbctl::on(&db).run(arguments);
        assert_eq!(run.code, Some(2), "{run:#?}");
        let place = run.place.as_deref().unwrap_or_else(|| panic!("{run:#?}"));
        assert!(run.stderr.contains(&format!("refused to {what} ({place}) without confirmation")), "{run:#?}");
        assert!(run.stderr.contains("hint: pass --yes"), "{run:#?}");
    };
    refused("migrate redo", "revert and re-apply 1 migration, which loses no data");
    refused("migrate revert --steps 2", "revert 2 migrations, which loses no data");
    assert_eq!(Dbctl::on(&db).run("seed --all").code, Some(0));
    refused("migrate revert --all", &format!("revert {} migrations and lose this data", EMBEDDED.len()));
    refused("migrate --to 20251019120000", &format!("revert {} migrations and lose this data", EMBEDDED.len() - 1));
    refused("seed --remove core agent_state workflow_history resource application", "remove 524 rows of the seed");
    refused("seed --reset --all", "remove 524 rows of the seed");
    let late = Dbctl::on(&db).run("seed --all --at 2025-10-20T12:00:00Z");
    assert!(late.stderr.contains("--reset gives them others"), "{late:#?}");
    assert_eq!(Dbctl::on(&db).run("seed fleet --customers 1 --instances 2 --hours 1 --interval 600").code, Some(0));
    refused("seed fleet --remove", "remove these rows of fleet 1");
    db.conn().batch_execute("INSERT INTO customers (name, email, api_key) VALUES ('Real', 'r@r.com', 'r')").unwrap();
    assert_eq!(Dbctl::on(&db).run("seed application --remove --yes").code, Some(0));
    refused("seed application", "insert 322 made-up rows beside these customers");
    refused("seed fleet --rng-seed 2", "insert the made-up rows of fleet 2 beside these customers");
}

#[test]
fn a_question_on_a_terminal_names_the_place_and_takes_yes_only() {
    let db = TestDb::plain();
    let said = |answer: &str| Dbctl::on(&db).run_on_terminal("migrate revert --all", answer);
    let run = said("no");
    assert_eq!(run.code, Some(2), "{run:#?}");
    let asked = format!("Type yes to revert {} migrations, which loses no data ({} on ", EMBEDDED.len(), db.database());
    assert!(run.stdout.contains(&asked) && run.stdout.contains("the answer was not yes"), "{run:#?}");
    assert_eq!(said("yes").code, Some(0));
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

/// Case 01: what the shell makes of `>(...)` and what `/dev/stdout` is.
#[test]
fn a_link_to_a_pipe_is_written_through_and_stays() {
    let db = TestDb::seeded_now();
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    for target in ["/proc/self/fd/1", "/dev/stdout", "/dev/fd/1"] {
        symlink(target, &link).unwrap();
        for command in ["export events --output", "stats --format csv --output"] {
            let run = Dbctl::on(&db).run(&format!("{command} {}", link.display()));
            assert_eq!(run.code, Some(0), "{run:#?}");
            assert!(run.stdout.lines().count() > 3, "{target}: {run:#?}");
            assert_eq!(fs::read_link(&link).unwrap().to_str(), Some(target));
        }
        let rows = dir.path().join("rows.csv");
        fs::write(&rows, "event_type,severity\nseen,odd\n").unwrap();
        let files = format!("{} --rejects {}", rows.display(), link.display());
        let run = Dbctl::on(&db).run(&format!("import events {files} --set customer=StartupCo --max-rejects 9"));
        assert!(run.stdout.contains("line,column,reason,row"), "{run:#?}");
        assert!(link.is_symlink());
        fs::remove_file(&link).unwrap();
    }
    symlink(dir.path().join("new.csv"), &link).unwrap();
    assert_eq!(Dbctl::on(&db).run(&format!("export events --output {}", link.display())).code, Some(0));
    assert!(link.is_symlink() && dir.path().join("new.csv").is_file());
}

#[test]
fn a_missing_folder_of_an_output_is_named_with_the_command_that_makes_it() {
    let db = TestDb::migrated();
    for command in ["export events", "stats --format html"] {
        let run = Dbctl::on(&db).run(&format!("{command} --output /no/such/file"));
        assert_fails(&run, 2, "there is no folder /no/such", "hint: create it: `mkdir -p /no/such`");
    }
}

/// Case 09.
#[test]
fn findings_stay_findings_where_nobody_reads_them() {
    let (clean, empty) = (TestDb::seeded_now(), TestDb::empty());
    for command in ["verify", "verify --format json", "verify --format junit", "migrate status --check", "roles check"]
    {
        for (db, expected) in [(&empty, Some(1)), (&clean, Some(0))] {
            if command == "roles check" && expected == Some(0) {
                continue;
            }
            let alone = Dbctl::on(db).run(command);
            assert_eq!(
                alone.code,
                if command == "roles check" { alone.code } else { expected },
                "{command}: {alone:#?}"
            );
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let unread = Dbctl::on(db).stdout(writer).run(command);
            assert_eq!(unread.code, alone.code, "{command}: {unread:#?}");
        }
    }
}

/// Case 14: a terminal is controlled by no name, message or metadata of the database.
#[test]
fn names_from_the_database_control_no_terminal() {
    let db = TestDb::seeded_now();
    let evil = "E'\\x1b]0;pwned\\x07' || chr(155) || '2J' || chr(127)";
    let mut conn = db.conn();
    conn.batch_execute(&format!("UPDATE customers SET name = 'Evil' || {evil} WHERE name = 'Acme Corp'")).unwrap();
    conn.batch_execute(&format!("UPDATE agents SET name = name || {evil}")).unwrap();
    conn.batch_execute(&format!(
        "DO $$ BEGIN EXECUTE format('CREATE INDEX %I ON events (severity)', 'x' || {evil}); END $$"
    ))
    .unwrap();
    for command in [
        "stats",
        "stats --format json",
        "stats --format html",
        "stats --format prometheus",
        "verify",
        "verify --all",
        "verify --format json",
        "verify --format junit",
        "stats --customer nobody\u{9b}2J\u{7}",
    ] {
        let run = Dbctl::on(&db).run(&format!("--color always {command}"));
        let mut plain = run.stdout.clone() + &run.stderr;
        // Our own colours.
        for part in ["\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m"] {
            plain = plain.replace(part, "");
        }
        let control = plain.find(|c: char| c.is_control() && c != '\n' && c != '\t');
        assert_eq!(control.map(|at| &plain[at.saturating_sub(40)..(at + 20).min(plain.len())]), None, "{command}");
    }
}
