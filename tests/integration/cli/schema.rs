//! `schema`: complete in each format, and the page of the project is the current one.

use optiinfra_db::catalog::contract;

use crate::support::Dbctl;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema.md");

fn schema(format: &str) -> String {
    let run = Dbctl::new().run(&format!("schema --format {format}"));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    run.stdout
}

#[test]
fn the_page_of_the_project_is_what_the_command_prints() {
    let printed = schema("md");
    if std::env::var_os("OPTIINFRA_BLESS").is_some() {
        std::fs::write(PAGE, &printed).unwrap();
    }
    let page = std::fs::read_to_string(PAGE).unwrap();
    assert!(page == printed, "docs/schema.md is out of date: optiinfra-dbctl schema --output docs/schema.md");
}

#[test]
fn each_format_has_every_column_and_the_diagram_every_relation() {
    let json: serde_json::Value = serde_json::from_str(&schema("json")).unwrap();
    let columns = |table: &serde_json::Value| table["columns"].as_array().unwrap().len();
    let tables = |layer: &serde_json::Value| layer["tables"].as_array().unwrap().iter().map(columns).sum::<usize>();
    let all: usize = json["layers"].as_array().unwrap().iter().map(tables).sum();
    assert_eq!(all, contract().columns().count());
    assert_eq!(schema("html").matches("<tr><td><code>").count(), all + contract().enums().count());
    let relations = schema("mermaid").lines().filter(|line| line.contains("--o{ ")).count();
    assert_eq!(relations, contract().foreign_keys().count());
}
