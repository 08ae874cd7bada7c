//! `migrate new`: the folder of a new migration.

use std::fs;

use super::assert_fails;
use crate::support::Dbctl;

#[test]
fn a_new_migration_has_both_files_and_the_newest_name() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &str| Dbctl::new().dir(dir.path()).run(arguments);
    assert_fails(&run("migrate new add_region"), 2, "there is no folder migrations", "checkout");
    let oldest = dir.path().join("migrations/2025-10-19-120000_core_schema");
    fs::create_dir_all(&oldest).unwrap();
    let made = run("migrate new add_region --format json").json();
    let [up, down] = [0, 1].map(|at| made["files"][at].as_str().unwrap().to_owned());
    let folder = up.strip_suffix("/up.sql").unwrap();
    assert_eq!(down, format!("{folder}/down.sql"));
    // The form of the name that the build asks for.
    let (version, name) = folder.strip_prefix("migrations/").unwrap().split_once('_').unwrap();
    let digits = version.replace('-', "");
    assert!(name == "add_region" && digits.len() == 14 && digits.chars().all(|c| c.is_ascii_digit()), "{folder}");
    for file in [up, down] {
        let sql = fs::read_to_string(dir.path().join(file)).unwrap();
        assert!(sql.starts_with("-- ") && sql.contains("\nSET LOCAL lock_timeout = '5s';\n"), "{sql}");
        assert!(!sql.contains("optiinfra:"), "a wrong header keeps a migration from running: {sql}");
    }
    assert_fails(&run("migrate new add_region"), 2, "there is a migration of this name", "choose another name");
    for wrong in ["AddRegion", "add-region", "add__region", "1st", "add_region_", "../x", ""] {
        let run = Dbctl::new().dir(dir.path()).run_with(&["migrate", "new", wrong]);
        assert_eq!(run.code, Some(2), "{wrong}: {run:#?}");
    }
    assert_eq!(fs::read_dir(dir.path().join("migrations")).unwrap().count(), 2);
}

#[test]
fn a_migration_never_comes_before_one_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("migrations/2999-01-01-000000_later")).unwrap();
    let run = Dbctl::new().dir(dir.path()).run("migrate new add_region");
    assert_fails(&run, 2, "2999-01-01-000000_later is of a later time than now", "rename that folder");
}
