//! `migrate new`: the folder of a new migration, in a checkout.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use chrono::Utc;
use optiinfra_db::verify::{self, Proposal};
use serde::Serialize;

use crate::args::Global;
use crate::exit::Exit;
use crate::hints::Hinted;
use crate::output::{Output, Table, write_atomically};
use crate::{parse, target};

const FOLDER: &str = "migrations";

/// As migrations/README.md wants it.
const UP: &str = "\
-- What it changes, and why.
--
-- Which locks it takes, on which tables, and for how long.
SET LOCAL lock_timeout = '5s';

";
const DOWN: &str = "\
-- Restores the catalog exactly as it was.
SET LOCAL lock_timeout = '5s';

";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What it does, in snake case, such as add_region_to_customers.
    #[arg(value_parser = parse::snake_case)]
    name: String,

    /// Propose the SQL, from the differences between the database and what the migrations make of one.
    ///
    /// It is to be read: what locks a large table for long, such as a new index, belongs in a migration of its own.
    #[arg(long)]
    diff: bool,
}

/// What was made.
#[derive(Serialize)]
struct Made {
    files: [PathBuf; 2],
}

/// Makes the folder.
pub fn run(args: &Args, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    let name = &args.name;
    let known = migrations()?;
    if let Some(same) =
        known.iter().find(|folder| folder.split_once('_').is_some_and(|(_, known)| known == name.as_str()))
    {
        bail!(Hinted::new(format!("there is a migration of this name: {same}"), "choose another name"));
    }
    let folder = format!("{}_{name}", Utc::now().format("%Y-%m-%d-%H%M%S"));
    if let Some(newer) = known.last().filter(|newest| **newest > folder) {
        bail!(Hinted::new(
            format!("{newer} is of a later time than now, and migrations run in the order of their names"),
            "set this machine's clock, or rename that folder where it is not released yet"
        ));
    }
    let proposal = if args.diff { proposal(global, out)? } else { Proposal::default() };
    let folder = Path::new(FOLDER).join(folder);
    fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let files = [("up.sql", UP.to_owned() + &proposal.up), ("down.sql", DOWN.to_owned() + &proposal.down)];
    let files = files.map(|(file, text)| (folder.join(file), text));
    for (path, text) in &files {
        write_atomically(path, text)?;
    }
    let made = Made { files: files.map(|(path, _)| path) };
    let mut table = Table::new(&["created"]);
    for path in &made.files {
        table.row([path.display().to_string()]);
    }
    out.result(&made, &[table])?;
    out.hint("write the SQL, then do what migrations/README.md says under \"After adding one\"")?;
    Ok(Exit::Done)
}

fn proposal(global: &Global, out: &mut Output) -> anyhow::Result<Proposal> {
    let proposal = verify::propose(&mut target::connect_read_only(global, out, "migrate")?)?;
    if proposal.up.is_empty() {
        bail!(Hinted::new(
            "the database is what the migrations make of it",
            "change it first, for example in `optiinfra-dbctl local psql`, or leave out --diff"
        ));
    }
    Ok(proposal)
}

/// The folders that are there, in the order in which they run.
fn migrations() -> anyhow::Result<Vec<String>> {
    let is_migration = |name: &String| name.starts_with(|first: char| first.is_ascii_digit());
    let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let mut known: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(is_migration).collect();
    if known.is_empty() {
        bail!(Hinted::new(
            "there is no folder migrations with migrations here",
            "change to a checkout of the platform's repository: the migrations are compiled into this program"
        ));
    }
    known.sort();
    Ok(known)
}
