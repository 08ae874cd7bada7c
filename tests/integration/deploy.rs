//! What is in `deploy` works: the alert rules, and every command that a manifest or a unit runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use diesel::connection::SimpleConnection;
use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::Value;

use crate::support::{Dbctl, Server, TestDb, tool};

const ACTION: &str = include_str!("../../deploy/github/action.yml");
const ALERTS: &str = include_str!("../../deploy/monitoring/alerts.yml");
const DASHBOARD: &str = include_str!("../../deploy/monitoring/dashboard.json");
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/monitoring");

/// The names in a text that begin as our metrics do.
fn metrics(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .filter(|word| word.starts_with("optiinfra_db_"))
}

/// Metrics that only a standby has, and only the primary of one.
const OF_STANDBYS: [&str; 2] = ["optiinfra_db_replay_lag_seconds", "optiinfra_db_replica_lag_bytes"];

#[test]
fn every_metric_of_the_alerts_and_of_the_dashboard_is_on_the_page() {
    let db = TestDb::seeded_now();
    let page = || Server::start(Dbctl::on(&db), "").get("/metrics").body;
    // Indexes are called unused after a week, and left out before; a table says when it was vacuumed once it was.
    let young = page();
    let older = "UPDATE __diesel_schema_migrations SET run_on = run_on - interval '8 days'";
    ["VACUUM events", older].iter().for_each(|statement| db.conn().batch_execute(statement).unwrap());
    let page = young + &page();
    let known: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions: String = targets.map(|target| target["expr"].as_str().unwrap().to_owned() + "\n").collect();
    for (what, text, least) in [("alerts", ALERTS, 14), ("dashboard", &expressions, 35)] {
        let named: BTreeSet<_> = metrics(text).collect();
        let missing: Vec<_> =
            named.iter().filter(|name| !known.contains(name) && !OF_STANDBYS.contains(name)).collect();
        assert_eq!(missing, [&""; 0], "{what}");
        assert!(named.len() >= least, "{what}: {}", named.len());
    }
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

#[test]
fn every_yaml_file_can_be_read() {
    for folder in ["github", "kubernetes", "monitoring"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            for document in serde_yaml_ng::Deserializer::from_str(&fs::read_to_string(&path).unwrap()) {
                let read = Value::deserialize(document).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                assert!(read.is_object(), "{}: {read}", path.display());
            }
        }
    }
}

/// Runs the steps of the action as a runner does.
#[test]
fn the_action_installs_the_tarball_and_runs_each_command() {
    let action: Value = serde_yaml_ng::from_str(ACTION).unwrap();
    let inputs = action["inputs"].as_object().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let content = dir.path().join("optiinfra-dbctl-0.1.0");
    fs::create_dir(&content).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_optiinfra-dbctl"), content.join("optiinfra-dbctl")).unwrap();
    let archive = dir.path().join("archive.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(&archive).arg("-C").arg(dir.path()).arg("optiinfra-dbctl-0.1.0");
    assert!(tar.status().unwrap().success());

    let db = TestDb::empty();
    let (archive, url) = (archive.to_str().unwrap(), db.url());
    let run = |step: &Value, given: &[(&str, &str)]| {
        assert_eq!(step["shell"], "bash");
        let on_path = fs::read_to_string(dir.path().join("path")).unwrap_or_default().replace('\n', ":");
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"].as_str().unwrap()]);
        bash.env("RUNNER_TEMP", dir.path()).env("GITHUB_PATH", dir.path().join("path"));
        bash.env("PATH", format!("{on_path}{}", std::env::var("PATH").unwrap())).env_remove("OPTIINFRA_LOCAL");
        for (name, value) in step["env"].as_object().unwrap() {
            let input =
                value.as_str().and_then(|value| value.strip_prefix("${{ inputs.")?.strip_suffix(" }}")).unwrap();
            let default = inputs[input]["default"].as_str().unwrap_or_default();
            bash.env(name, given.iter().find(|(name, _)| *name == input).map_or(default, |(_, value)| value));
        }
        bash.output().unwrap()
    };
    let steps = action["runs"]["steps"].as_array().unwrap();
    let [install, commands] = &steps[..] else { panic!("{steps:#?}") };
    assert!(!run(install, &[("archive", archive), ("sha256", &"0".repeat(64))]).status.success());
    let installed = run(install, &[("archive", archive)]);
    assert!(installed.status.success(), "{installed:?}");
    let done = run(commands, &[("database-url", &url)]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(Dbctl::on(&db).run("migrate status --check").code, Some(0));
    let failed = run(commands, &[("database-url", &url), ("commands", "verify --seed\nmigrate revert --all --yes")]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert_eq!(Dbctl::on(&db).run("migrate status --check").code, Some(0), "nothing runs after the one that failed");
}
