//! Completion scripts and manual pages know every command.

use std::fs;
use std::io::Write;
use std::process::Command;

use crate::support::Dbctl;

#[test]
fn a_completion_script_is_for_its_shell_and_knows_flags_and_values() {
    for shell in ["bash", "zsh", "fish"] {
        let run = Dbctl::new().run(&format!("completions {shell}"));
        assert_eq!(run.code, Some(0), "{run:#?}");
        for word in ["migrate", "adopt", "lock-wait", "unresolved_regressions"] {
            assert!(run.stdout.contains(word), "{shell}: {word}");
        }
    }
    let script = Dbctl::new().run("completions bash").stdout;
    // Longer than an argument may be.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(script.as_bytes()).unwrap();
    let checked = Command::new("bash").arg("-n").arg(file.path()).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn each_command_has_a_manual_page() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man");
    let run = Dbctl::new().run(&format!("man {}", pages.display()));
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:#?}");
    for (page, content) in [
        ("optiinfra-dbctl.1", "EXIT"),
        ("optiinfra-dbctl-migrate-status.1", "check"),
        ("optiinfra-dbctl-seed-fleet.1", "instances"),
    ] {
        assert!(
            fs::read_to_string(pages.join(page)).unwrap().to_uppercase().contains(&content.to_uppercase()),
            "{page}"
        );
    }
    fs::write(dir.path().join("file"), "").unwrap();
    let run = Dbctl::new().run(&format!("man {}/file", dir.path().display()));
    assert!(run.code == Some(2) && run.stderr.contains("cannot write manual pages into"), "{run:#?}");
}
