//! A test that needs a program which is missing is never passed over silently.

use std::process::{Command, Output};

use crate::support;

#[test]
#[ignore = "is started by the test below, with CI set and without"]
fn needs_a_program_that_nobody_has() {
    assert!(support::tool("optiinfra-no-such-program").is_none());
}

fn run_it(ci: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tools::needs_a_program_that_nobody_has", "--ignored"])
        .env("CI", ci)
        .output()
        .unwrap()
}

#[test]
fn a_missing_program_skips_a_test_with_a_word_and_fails_it_in_ci() {
    let skipped = run_it("");
    let said = String::from_utf8_lossy(&skipped.stderr).into_owned();
    assert!(skipped.status.success(), "{skipped:?}");
    assert!(said.contains("skipped: optiinfra-no-such-program is not on PATH"), "{said}");
    let failed = run_it("true");
    assert!(!failed.status.success(), "{failed:?}");
    assert!(String::from_utf8_lossy(&failed.stdout).contains("optiinfra-no-such-program is not on PATH"), "{failed:?}");
}
