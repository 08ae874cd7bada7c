//! What is in `deploy` works: the alert rules, and every command that a manifest or a unit runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::{Dbctl, Server, TestDb, tool};

const ALERTS: &str = include_str!("../../deploy/monitoring/alerts.yml");
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/monitoring");

/// The names in a text that begin as our metrics do.
fn metrics(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .filter(|word| word.starts_with("optiinfra_db_"))
}

#[test]
fn every_metric_of_the_alerts_is_on_the_page() {
    let page = Dbctl::on(&TestDb::seeded_now()).run("stats --format prometheus").stdout;
    let known: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let missing: Vec<_> = metrics(ALERTS).filter(|name| !known.contains(name)).collect();
    assert_eq!(missing, [""; 0]);
    assert!(metrics(ALERTS).count() >= 9, "the rules are read");
}

#[test]
fn promtool_accepts_the_alerts_and_their_tests() {
    let Some(promtool) = tool("promtool") else { return };
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let run = Command::new(&promtool).args(arguments).current_dir(FOLDER).output().unwrap();
        assert!(run.status.success(), "{arguments:?}: {run:?}");
    }
}

/// The lines of all files of a folder that begin so, without the beginning.
fn lines(folder: &str, begin: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let of_file = |text: String| {
        text.lines().filter_map(|line| line.trim_start().strip_prefix(begin)).map(str::to_owned).collect::<Vec<_>>()
    };
    files.flat_map(of_file).collect()
}

#[test]
fn every_command_of_a_manifest_or_a_unit_works() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let manifests = lines("kubernetes", "args: ").into_iter().map(|list| serde_json::from_str(&list).unwrap());
    let words = |command: String| {
        let command = command.replace("$RETENTION", "--keep resource_metrics=90d");
        command
            .split(' ')
            .map(|word| word.replace("/var/lib/prometheus/node-exporter", folder))
            .collect::<Vec<String>>()
    };
    let units = lines("systemd", "ExecStart=/usr/bin/optiinfra-dbctl ").into_iter().map(words);
    let commands: Vec<Vec<String>> = manifests.chain(units).collect();
    assert!(commands.len() >= 8, "{commands:?}");
    let db = TestDb::seeded_now();
    for command in commands {
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        let (run, code) = match command[..] {
            // One that runs until it is told to end.
            ["serve", "--listen", _, ref more @ ..] => {
                let server = Server::start(Dbctl::on(&db), &more.join(" "));
                assert_eq!(server.get("/readyz").status, 200);
                (server.end(Signal::SIGTERM), 143)
            }
            _ => (Dbctl::on(&db).run_with(&command), 0),
        };
        assert_eq!(run.code, Some(code), "{command:?}: {run:?}");
    }
}
