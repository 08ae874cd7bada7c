//! Programs that some tests look at the product with, and that a machine may lack.

use std::path::PathBuf;

use super::figures;

/// Finds a program. Where it is missing, one line says so and the test has to end; with `CI=true` the test fails here.
#[track_caller]
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where Debian puts what only administrators are thought to start.
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = dirs.map(|dir| dir.join(name)).find(|program| program.is_file());
    found.or_else(|| missing(&format!("{name} is not on PATH: `script/setup --tools` installs it on Debian")))
}

/// The Python that has pyarrow and DuckDB, as [`tool`].
#[cfg(feature = "parquet")]
#[track_caller]
pub fn python() -> Option<PathBuf> {
    let python = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/python/bin/python"));
    if python.exists() {
        Some(python)
    } else {
        missing("pyarrow and DuckDB are missing: `script/setup --tools` installs them")
    }
}

#[track_caller]
fn missing(what: &str) -> Option<PathBuf> {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{what}");
    figures(&format!("skipped: {what}"));
    None
}
