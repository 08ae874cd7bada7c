//! The alert rules of `deploy/monitoring` are right, and each metric that they name is there.

use std::process::Command;

use crate::support::{Dbctl, TestDb, tool};

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
