//! The binary from outside: exit codes, what goes to stdout and what to stderr, and that no password shows.

mod arguments;
mod completions;
mod contents;
mod failures;
mod migrating;
mod new_migration;
mod printing;
mod schema;
mod stats;
mod waiting;

use crate::support::{Dbctl, Run};

const PASSWORD: &str = "Tr0ub4dor";

fn on(url: &str) -> Dbctl {
    Dbctl::new().env("DATABASE_URL", url)
}

#[track_caller]
fn assert_fails(run: &Run, code: i32, message: &str, hint: &str) {
    assert_eq!(run.code, Some(code), "{run:#?}");
    assert_eq!(run.stdout, "", "an error leaves stdout to the result");
    assert!(run.stderr.starts_with("error: ") && run.stderr.contains(message), "{run:#?}");
    assert!(run.stderr.contains(hint), "{run:#?}");
    assert!(!run.stderr.contains("panicked"), "{run:#?}");
}
