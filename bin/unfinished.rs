//! Files that are not whole yet, and are removed when the process ends before they are.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static FILES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn files() -> MutexGuard<'static, Vec<PathBuf>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers a file.
pub fn begin(path: &Path) {
    files().push(path.to_owned());
}

/// Forgets a file that is whole.
pub fn end(path: &Path) {
    files().retain(|unfinished| unfinished != path);
}

/// Removes the files that are not whole, because the process ends.
pub fn remove() {
    for path in files().iter() {
        // The process ends in any case.
        let _ = std::fs::remove_file(path);
    }
}
