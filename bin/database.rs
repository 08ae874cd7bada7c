//! `create` and `drop`: the database as a whole.

use clap::Args;
use optiinfra_db::connection::Target;
use optiinfra_db::database::{self, Contents};
use serde::Serialize;

use crate::args::{Confirm, Global, TableOutput};
use crate::exit::Exit;
use crate::output::{Output, Table, bytes, plural};
use crate::target;

/// Create the database, in UTF-8; it is no error that it exists.
///
/// The role needs CREATEDB, and a way into the database postgres or template1 of the same server.
#[derive(Debug, Args)]
pub struct Create {
    #[command(flatten)]
    pub output: TableOutput,
}

/// Drop the database, after showing what would be lost and asking for its name.
#[derive(Debug, Args)]
pub struct Drop {
    /// End the sessions that are open in it; without this, they keep it from being dropped.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    pub output: TableOutput,
}

/// What was done.
#[derive(Serialize)]
struct Done<'a> {
    database: &'a str,
    done: &'static str,
}

/// Creates the database.
pub fn create(global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    let target = target::find(global, out)?;
    let done = if database::create(&target)? { "created" } else { "exists already" };
    say(&target, done, out)
}

/// Drops the database.
pub fn drop(args: &Drop, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    let target = target::find(global, out)?;
    if !args.confirm.yes
        && let Some(contents) = database::contents(&target)?
    {
        let what = format!("drop the database {target} and lose this data");
        out.confirm_with(&contents.database, &loss(&contents), &what)?;
    }
    let done = if database::drop(&target, args.force)? { "dropped" } else { "did not exist" };
    say(&target, done, out)
}

fn say(target: &Target, done: &'static str, out: &mut Output) -> anyhow::Result<Exit> {
    let database = target.parameter("dbname").unwrap_or_default();
    let line = Table::new(&[]).titled(&format!("{target} {done}"));
    out.result(&Done { database: &database, done }, &[line])?;
    Ok(Exit::Done)
}

/// What is lost with a database.
pub fn loss(contents: &Contents) -> Vec<Table> {
    const SHOWN: usize = 30;
    let mut tables = Table::new(&["table", "rows, about", "size"]);
    for table in contents.tables.iter().take(SHOWN) {
        tables.row([&table.name, &table.rows.to_string(), &bytes(table.bytes)]);
    }
    let more = contents.tables.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!(", of which {more} are not shown") };
    let title = format!(
        "{}: {} in {}{more}, {}",
        contents.database,
        bytes(contents.bytes),
        plural(contents.tables.len() as u64, "table", "tables"),
        plural(
            u64::try_from(contents.sessions).unwrap_or_default(),
            "other session is open",
            "other sessions are open"
        )
    );
    vec![tables.titled(&title)]
}
