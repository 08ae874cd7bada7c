//! Which module may use which, and that no two files lean on each other. `docs/architecture.md` draws the same map.
//!
//! Read from the text: every `crate::`, `super::` and `self::` path of a file. Left out of account are `error.rs` of the
//! crate, which wraps the modules' errors and is returned by all of them, and a folder's own `mod.rs`, which joins its
//! files and holds what they share.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The library's modules, each line may use the lines before it and nothing else.
const LIBRARY: &[&[&str]] = &[
    &["schema", "text", "raw", "id", "deadline", "rollback"],
    &["layer", "timeouts", "sqlstate"],
    &["enums"],
    &["connection"],
    &["database"],
    &["local", "models", "catalog"],
    &["migrate", "tenant"],
    &["roles", "adopt", "stats", "partitions", "doctor"],
    &["ingest", "cluster"],
    &["seed"],
    &["fleet", "verify", "testing"],
    &["transfer"],
    &["retention"],
];

/// What the binary's commands use, in the same way. A command uses any of them, and no other command.
const BINARY: &[&[&str]] = &[
    &["exit", "parse", "unfinished"],
    &["args", "hints"],
    &["dotenv"],
    &["output"],
    &["interrupt"],
    &["target", "junit", "report", "test_server"],
];

/// A file by its module's path.
type Files = BTreeMap<Vec<String>, String>;

fn files(dir: &str) -> Files {
    fn walk(dir: &Path, root: &Path, found: &mut Files) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = path.strip_prefix(root).unwrap().with_extension("");
                let mut module: Vec<_> = module.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                if module.last().is_some_and(|last| last == "mod" || last == "lib" || last == "main") {
                    module.pop();
                }
                found.insert(module, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut found = Files::new();
    walk(&root, &root, &mut found);
    found
}

/// The paths in a text that begin at the crate or at the module itself, with the braces of `use` taken apart.
fn paths(text: &str) -> Vec<Vec<String>> {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code: String = text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect();
    let mut found = Vec::new();
    for begin in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(begin) {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            if !before.is_alphanumeric() && before != '_' && before != ':' {
                tree(&mut code[at..].chars().peekable(), &mut Vec::new(), &mut found);
            }
        }
    }
    found
}

fn tree(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    path: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) {
    let length = path.len();
    loop {
        let mut word = String::new();
        while let Some(character) = characters.next_if(|next| next.is_alphanumeric() || *next == '_') {
            word.push(character);
        }
        path.push(word);
        let mut ahead = characters.clone();
        if (ahead.next(), ahead.next()) != (Some(':'), Some(':')) {
            break;
        }
        characters.next();
        characters.next();
        if characters.next_if_eq(&'{').is_some() {
            loop {
                while characters.next_if(|next| next.is_whitespace() || *next == ',').is_some() {}
                if characters.next_if_eq(&'}').is_some() || characters.peek().is_none() {
                    break;
                }
                tree(characters, path, found);
                // A new name, or a star.
                while characters.next_if(|next| !",}".contains(*next)).is_some() {}
            }
            path.truncate(length);
            return;
        }
    }
    found.push(path.clone());
    path.truncate(length);
}

/// Which file uses which.
fn uses(files: &Files) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let resolve = |from: &[String], path: &[String]| {
        let mut module = from.to_vec();
        let mut rest = path;
        match rest[0].as_str() {
            "crate" => module.clear(),
            "super" => {
                while rest.get(1).is_some_and(|next| next == "super") {
                    module.pop();
                    rest = &rest[1..];
                }
                module.pop();
            }
            _ => {}
        }
        module.extend_from_slice(&rest[1..]);
        while !files.contains_key(&module) {
            module.pop();
        }
        module
    };
    let of_file = |(from, text): (&Vec<String>, &String)| {
        let used = paths(text).iter().map(|path| resolve(from, path)).filter(|used| used != from).collect();
        (from.clone(), used)
    };
    files.iter().map(of_file).collect()
}

/// Uses that go against the order of the modules.
fn against(files: &Files, order: &[&[&str]]) -> Vec<String> {
    let place = |module: &str| order.iter().position(|line| line.contains(&module));
    let mut wrong = BTreeSet::new();
    for (from, used) in uses(files) {
        let Some(module) = from.first().filter(|module| *module != "error") else { continue };
        let Some(own) = place(module) else {
            wrong.insert(format!("{module} has no place in the order"));
            continue;
        };
        for other in used.iter().filter_map(|used| used.first()).filter(|other| *other != module && *other != "error") {
            if place(other).is_none_or(|other| other >= own) {
                wrong.insert(format!("{module} uses {other}"));
            }
        }
    }
    wrong.into_iter().collect()
}

/// Files that reach themselves by way of others.
fn circles(files: &Files) -> Vec<String> {
    let mut uses = uses(files);
    let joins = |one: &[String], other: &[String]| other.len() > one.len() && other.starts_with(one);
    for (from, used) in &mut uses {
        used.retain(|to| !joins(from, to) && !joins(to, from) && *to != ["error"]);
    }
    uses.remove(&vec!["error".to_owned()]);
    let reaches = |from: &Vec<String>| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<_> = uses.get(from).into_iter().flatten().collect();
        while let Some(module) = next.pop() {
            if seen.insert(module) {
                next.extend(uses.get(module).into_iter().flatten());
            }
        }
        seen.contains(from)
    };
    uses.keys().filter(|module| reaches(module)).map(|module| module.join("/")).collect()
}

fn planted(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, text)| (path.split('/').map(str::to_owned).collect(), (*text).to_owned())).collect()
}

/// The modules that `cli` dispatches to: those that it uses and that are nobody else's.
fn commands(files: &Files) -> Vec<String> {
    let used = uses(files).remove(&vec!["cli".to_owned()]).unwrap_or_default();
    let used = used.into_iter().filter_map(|mut path| (!path.is_empty()).then(|| path.swap_remove(0)));
    used.filter(|module| !BINARY.iter().any(|line| line.contains(&module.as_str()))).collect()
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let binary = files("bin");
    let commands = commands(&binary);
    assert!(commands.len() >= 10, "{commands:?}");
    let commands: Vec<_> = commands.iter().map(String::as_str).collect();
    let above_all: &[&[&str]] = &[&commands, &["cli"]];
    for (files, order) in [(files("src"), LIBRARY), (binary.clone(), &[BINARY, above_all].concat())] {
        assert_eq!(against(&files, order), [""; 0]);
        let is_stale = |name: &&&str| !files.keys().any(|file| file.first().is_some_and(|first| first == **name));
        let stale: Vec<_> = order.iter().flat_map(|line| line.iter()).filter(is_stale).collect();
        assert_eq!(stale, [&""; 0], "no module has these names of the order");
    }
}

#[test]
fn no_files_lean_on_each_other() {
    let of = |dir| circles(&files(dir)).into_iter().map(move |file| format!("{dir}/{file}"));
    assert_eq!(of("bin").chain(of("src")).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn no_file_is_longer_than_450_lines() {
    let of = |dir| {
        files(dir).into_iter().map(move |(file, text)| (format!("{dir}/{}", file.join("/")), text.lines().count()))
    };
    let long = of("src").chain(of("bin")).filter(|(file, lines)| *lines > 450 && file != "src/schema");
    assert_eq!(long.collect::<Vec<_>>(), []);
}

#[test]
fn no_test_takes_a_file_from_elsewhere() {
    let taken = files("tests").into_iter().filter(|(_, text)| text.lines().any(|line| line.starts_with("#[path")));
    assert_eq!(taken.map(|(file, _)| file.join("/")).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_use_against_the_order_and_a_circle_are_found() {
    let upward = planted(&[
        ("raw", "use crate::{\n    layer,\n    transfer::read::{self, Reader as R},\n};"),
        ("layer", "// crate::verify\nfn f() { super::raw::g() }"),
        ("transfer/read", "use super::super::raw;"),
        ("transfer", "pub mod read;"),
    ]);
    assert_eq!(against(&upward, LIBRARY), ["raw uses layer", "raw uses transfer"]);
    assert_eq!(against(&planted(&[("attic", "")]), LIBRARY), ["attic has no place in the order"]);
    assert_eq!(circles(&upward), ["layer", "raw", "transfer/read"]);
    let siblings = planted(&[
        ("m", "use self::a::A;"),
        ("m/a", "use super::b::B;"),
        ("m/b", "fn f() -> crate::m::a::A {}"),
        ("m/c", "use super::{a, M};"),
    ]);
    assert_eq!(circles(&siblings), ["m/a", "m/b"]);
}
