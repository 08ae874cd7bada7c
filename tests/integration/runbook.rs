//! Each block of `docs/runbook.md` is run as a script, on a database that is in the state that its section is about.

use std::path::Path;
use std::process::{Command, Stdio};

use diesel::connection::SimpleConnection;
use optiinfra_db::adopt::REVISIONS;
use optiinfra_db::connection::{self, Target};
use optiinfra_db::database;
use optiinfra_db::migrate::{EMBEDDED, Goal, Migrator};
use optiinfra_db::verify;

use crate::support::Scratch;

const PAGE: &str = include_str!("../../docs/runbook.md");

/// Title and script of each section.
fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGE.split("\n## ").skip(1).map(|section| {
        let (title, rest) = section.split_once('\n').unwrap();
        let (_, rest) = rest.split_once("```sh\n").unwrap_or_else(|| panic!("{title} has no script"));
        (title, rest.split_once("```").unwrap().0)
    })
}

/// Brings a database into the state that a section begins with.
fn prepare(title: &str, target: &Target) {
    if title == "First install" {
        return;
    }
    database::create(target).unwrap();
    let mut conn = connection::connect(target, "test").unwrap();
    let mut go = |goal| drop(Migrator::default().run(&mut conn, &goal).unwrap());
    match title {
        "Upgrade" | "A migration failed" => go(Goal::Version(EMBEDDED[EMBEDDED.len() - 2].name.to_owned())),
        "Adoption from Alembic" => {
            let (revision, _) = REVISIONS[REVISIONS.len() - 1];
            EMBEDDED[..REVISIONS.len()].iter().for_each(|migration| conn.batch_execute(migration.up).unwrap());
            let table = "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)";
            conn.batch_execute(&format!("{table}; INSERT INTO alembic_version VALUES ('{revision}')")).unwrap();
        }
        "Restore" | "The disk is full" => go(Goal::Head),
        other => panic!("what does {other} begin with?"),
    }
}

#[test]
fn every_script_of_the_runbook_works() {
    let scratch = Scratch::new();
    scratch.cluster.start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let server = std::fs::read_to_string(scratch.cluster.dir().join("data/postmaster.opts")).unwrap();
    let server = Path::new(server.split(' ').next().unwrap()).parent().unwrap().to_owned();
    let product = Path::new(env!("CARGO_BIN_EXE_optiinfra-dbctl")).parent().unwrap();
    let path = format!("{}:{}:{}", product.display(), server.display(), std::env::var("PATH").unwrap());
    let url = |name: &str| scratch.cluster.url().replace("/optiinfra?", &format!("/{name}?"));
    let mut run = 0;
    for (title, script) in sections() {
        let name = title.to_lowercase().replace(' ', "_");
        let target: Target = url(&name).parse().unwrap();
        prepare(title, &target);
        let done = Command::new("sh")
            .args(["-eux", "-c", script])
            .current_dir(&dir)
            .env_remove("OPTIINFRA_LOCAL")
            .env("PATH", &path)
            .env("DATABASE_URL", url(&name))
            .env("RESTORED", url("restored"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        assert!(done.status.success(), "{title}: {}", said.concat());
        let mut conn = connection::connect(&target, "test").unwrap();
        let report = verify::run(&mut conn, &verify::Options::default()).unwrap();
        assert!(report.is_clean(), "{title}: {}", report.verdict());
        run += 1;
    }
    assert_eq!(run, 6);
}
