//! Every direct dependency has its reason in `docs/dependencies.md`, and comes from where all of them come from.

use std::collections::BTreeMap;

const MANIFEST: &str = include_str!("../../Cargo.toml");
const PAGE: &str = include_str!("../../docs/dependencies.md");

/// Name and definition of each dependency, by the room that it belongs to.
fn of_manifest() -> BTreeMap<&'static str, (&'static str, &'static str)> {
    let mut section = "";
    let mut found = BTreeMap::new();
    for line in MANIFEST.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let Some((name, definition)) = line.split_once(" = ") else { continue };
        let room = match section {
            "[dependencies]"
                if definition.contains("optional = true") && MANIFEST.contains(&format!("\n    \"dep:{name}\",")) =>
            {
                "The binary"
            }
            "[dependencies]" => "The library",
            "[dev-dependencies]" => "The tests",
            other => {
                assert!(!other.contains("dependencies"), "a section that this test does not know: {other}");
                continue;
            }
        };
        found.insert(name, (room, definition));
    }
    found
}

/// Name and reason of each dependency, by the heading that it stands under.
fn of_page() -> BTreeMap<&'static str, (&'static str, &'static str)> {
    let mut heading = "";
    let mut found = BTreeMap::new();
    for line in PAGE.lines() {
        heading = line.strip_prefix("## ").unwrap_or(heading);
        let row =
            line.strip_prefix("| `").and_then(|row| row.strip_suffix(" |")).and_then(|row| row.split_once("` | "));
        if let Some((name, reason)) = row {
            assert!(found.insert(name, (heading, reason)).is_none(), "{name} stands there twice");
        }
    }
    found
}

#[test]
fn every_direct_dependency_has_its_reason_and_nothing_else_has() {
    let (manifest, page) = (of_manifest(), of_page());
    assert!(manifest.len() > 30, "{manifest:#?}");
    let rooms = |found: &BTreeMap<&'static str, (&'static str, &'static str)>| -> Vec<(&str, &str)> {
        found.iter().map(|(name, (room, _))| (*name, *room)).collect()
    };
    assert_eq!(rooms(&manifest), rooms(&page));
    assert!(page.values().all(|(_, reason)| reason.len() > 8), "{page:#?}");
}

#[test]
fn every_dependency_has_a_version_and_comes_from_the_registry() {
    for (name, (_, definition)) in of_manifest() {
        assert!(!definition.contains("git") && !definition.contains("path") && !definition.contains('*'), "{name}");
        assert!(definition.contains(|character: char| character.is_ascii_digit()), "{name}");
    }
}
