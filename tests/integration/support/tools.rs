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
    if found.is_none() {
        let missing = format!("{name} is not on PATH: `script/setup --tools` installs it on Debian");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        figures(&format!("skipped: {missing}"));
    }
    found
}
