//! SQL that a distributed hot table refuses is not in this program. Without a cluster: by reading the source.

use std::fs;
use std::path::{Path, PathBuf};

use optiinfra_db::catalog::HOT_TABLES;

/// Statements about hot tables that never meet a distributed one, each with the reason.
const EXCEPTIONS: [(&str, &str); 1] =
    [("src/stats/newest_answers.sql", "stats has another question for a distributed table")];

fn sources(under: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "sql") {
            found.push(path);
        }
    }
}

/// Each piece of SQL of a file on one line: the file where it is SQL, else its string literals.
fn statements(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let is_sql = path.extension().is_some_and(|extension| extension == "sql");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with(if is_sql { "--" } else { "//" }));
    let code = lines.collect::<Vec<_>>().join(" ");
    let pieces: Vec<&str> = if is_sql { vec![&code] } else { code.split('"').skip(1).step_by(2).collect() };
    pieces.iter().map(|piece| piece.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// What is wrong with a statement, if it may be about a hot table.
fn refused(sql: &str) -> Option<&'static str> {
    let is_hot =
        HOT_TABLES.iter().any(|hot| sql.split(|c: char| !c.is_alphanumeric() && c != '_').any(|it| it == hot.name));
    let reads_nothing_of = |table: &str| {
        let table = table.trim_start_matches('(');
        table.starts_with('{') || HOT_TABLES.iter().any(|hot| table.starts_with(hot.name))
    };
    if sql.split("SELECT FROM ").skip(1).any(reads_nothing_of) {
        return Some("an empty select list");
    }
    let mut values = sql.split("(VALUES").skip(1);
    if values.any(|values| values.split(") AS ").next().is_some_and(|values| values.contains("now()"))) {
        return Some("a clock in a list of VALUES");
    }
    match sql {
        _ if !is_hot => None,
        _ if sql.contains("WITH RECURSIVE") => Some("a recursive query"),
        _ if sql.contains("ON CONFLICT (id)") => Some("a key that is none"),
        _ if sql.contains(" FOR UPDATE") => Some("a lock on rows of several parts"),
        _ => None,
    }
}

#[test]
fn no_statement_about_a_hot_table_is_one_that_a_distributed_table_refuses() {
    let mut paths = Vec::new();
    sources(Path::new("src"), &mut paths);
    sources(Path::new("bin"), &mut paths);
    let mut found = Vec::new();
    let mut excepted = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        for sql in statements(&path) {
            let Some(problem) = refused(&sql) else { continue };
            match EXCEPTIONS.iter().find(|(file, _)| *file == name) {
                Some((file, _)) => excepted.push(*file),
                None => found.push(format!("{name}: {problem}: {sql}")),
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
    assert!(EXCEPTIONS.iter().all(|(file, _)| excepted.contains(file)), "an exception that none is needed for");
}

#[test]
fn the_refused_forms_are_recognized() {
    for sql in [
        "SELECT EXISTS (SELECT FROM events)",
        "SELECT FROM {table} WHERE id = 1",
        "SELECT * FROM agents, (VALUES (now(), 1)) AS v",
        "WITH RECURSIVE a AS (SELECT 1) SELECT * FROM a, resource_metrics",
        "INSERT INTO events VALUES (1) ON CONFLICT (id) DO NOTHING",
    ] {
        assert!(refused(sql).is_some(), "{sql}");
    }
    for sql in
        ["SELECT EXISTS (SELECT FROM pg_class)", "SELECT FROM agents", "SELECT now(), VALUES FROM events_of_mine"]
    {
        assert!(refused(sql).is_none(), "{sql}");
    }
}
