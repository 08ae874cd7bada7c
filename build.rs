//! Embeds the migrations with their SQL, so that the binary needs no file at run time.
//!
//! `embed_migrations!` does the same but keeps the SQL to itself, and does not notice a new folder.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-env-changed={COMMIT}");
    let package = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    if env::var("PROFILE")? == "release" && env::var_os(COMMIT).is_none() {
        name_commit(&package);
    }
    let root = package.join("migrations");
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&root)? {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();

    let mut code = String::from("&[\n");
    for folder in &folders {
        write_migration(&mut code, folder)?;
    }
    code.push(']');
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("migrations.rs"), code)?;
    Ok(())
}

/// Of which commit the build is: set by whoever packages a copy without its history, else asked of git. A build for development
/// has none, because it would be compiled anew after every commit.
const COMMIT: &str = "OPTIINFRA_COMMIT";

fn name_commit(package: &Path) {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(package).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    // Not that of a repository which merely holds the package.
    if git(&["rev-parse", "--show-prefix"]).as_deref() != Some("") {
        return;
    }
    if let Some(history) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={}", package.join(history).display());
    }
    if let Some(commit) = git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]) {
        println!("cargo::rustc-env={COMMIT}={commit}");
    }
}

fn write_migration(code: &mut String, folder: &Path) -> Result<()> {
    let name = folder.file_name().and_then(|name| name.to_str()).ok_or("a folder's name is not UTF-8")?;
    let digits = name.split('_').next().unwrap_or_default().replace('-', "");
    if digits.len() != 14 || !digits.chars().all(|c| c.is_ascii_digit()) {
        // Diesel orders versions as text, which is right only while all have the same length.
        return Err(format!("{name}: a migration's folder is called YYYY-MM-DD-HHMMSS_name").into());
    }
    writeln!(
        code,
        "    Migration {{ version: {digits:?}, name: {name:?}, in_transaction: {in_transaction}, \
         up: include_str!({up:?}), down: include_str!({down:?}) }},",
        in_transaction = runs_in_transaction(folder)?,
        up = folder.join("up.sql"),
        down = folder.join("down.sql"),
    )?;
    Ok(())
}

/// Diesel takes a `metadata.toml` without the key for `false`, and one that it cannot read for `true`: here the file
/// says one of the two in so many words, or the build fails.
fn runs_in_transaction(folder: &Path) -> Result<bool> {
    let path = folder.join("metadata.toml");
    if !path.exists() {
        return Ok(true);
    }
    let text = fs::read_to_string(&path)?;
    let values: Vec<_> = text
        .lines()
        .filter_map(|line| line.split('#').next().unwrap_or_default().split_once('='))
        .filter(|(key, _)| key.trim() == "run_in_transaction")
        .map(|(_, value)| value.trim())
        .collect();
    match values.as_slice() {
        ["true"] => Ok(true),
        ["false"] => Ok(false),
        _ => Err(format!("{}: write run_in_transaction = true or = false, once", path.display()).into()),
    }
}
