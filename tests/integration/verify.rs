//! `verify`: nothing to say of a right database, and exactly the planted fault of a wrong one.

use std::path::Path;

use optiinfra_db::verify::catalog::{self, Entry};

use crate::support::TestDb;

const HOW_TO_WRITE: &str = "OPTIINFRA_BLESS=1 cargo test --test integration catalog";

#[test]
fn catalog_txt_is_what_a_fresh_database_looks_like() {
    let found = catalog::read(&mut TestDb::migrated().conn()).unwrap();
    if std::env::var_os("OPTIINFRA_BLESS").is_some() {
        let head = format!(
            "# @generated: the schema at head, one object a line. After a new migration run\n# {HOW_TO_WRITE}\n"
        );
        let lines: String = found.iter().map(|entry| entry.to_line() + "\n").collect();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/verify/catalog.txt");
        return std::fs::write(file, head + &lines).unwrap();
    }
    let differences = catalog::diff(catalog::contract(), &found);
    assert!(differences.is_empty(), "{differences:#?}\nif this is meant, run\n  {HOW_TO_WRITE}");
    assert_eq!(catalog::contract(), found, "if this is meant, run\n  {HOW_TO_WRITE}");
}
