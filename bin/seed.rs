//! `seed`: insert, plan, reset, remove.

use chrono::Utc;
use diesel::pg::PgConnection;
use optiinfra_db::layer::Layer;
use optiinfra_db::seed::{self, Report};

use crate::cli::SeedLayers;
use crate::exit::Exit;
use crate::output::{Output, Table};

/// Does to the seed data what the arguments say.
pub fn run(args: &SeedLayers, layers: &[Layer], conn: &mut PgConnection, out: &mut Output) -> anyhow::Result<Exit> {
    let at = args.at.unwrap_or_else(Utc::now);
    let report = if args.plan {
        seed::plan(conn, layers, at)?
    } else if args.remove {
        confirm(args, conn, layers, out)?;
        seed::remove(conn, layers)?
    } else if args.reset {
        confirm(args, conn, layers, out)?;
        seed::reset(conn, layers, at)?
    } else {
        seed::run(conn, layers, at)?
    };
    if args.at.is_some() && !args.plan && report.inserted() == 0 && report.unchanged() > 0 {
        out.note("the rows are there already, with the times that they got then: --reset gives them others")?;
    }
    print(&report, args.plan, out)?;
    Ok(Exit::Done)
}

/// Asks before rows go, showing how many of which table.
fn confirm(args: &SeedLayers, conn: &mut PgConnection, layers: &[Layer], out: &mut Output) -> anyhow::Result<()> {
    if args.confirm.yes {
        return Ok(());
    }
    let mut table = Table::new(&["layer", "table", "rows to remove"]);
    let removal = seed::plan_removal(conn, layers)?;
    for report in removal.tables.iter().filter(|report| report.removed > 0) {
        table.row([report.layer.to_string(), report.table.to_owned(), report.removed.to_string()]);
    }
    out.confirm(&[table], &format!("remove {} rows of the seed", removal.removed()))
}

/// Prints what was done to the rows of each table.
pub fn print(report: &Report, plan: bool, out: &mut Output) -> anyhow::Result<()> {
    let mut table = Table::new(&["layer", "table", "inserted", "unchanged", "removed"]);
    for row in &report.tables {
        table.row([
            row.layer.to_string(),
            row.table.to_owned(),
            row.inserted.to_string(),
            row.unchanged.to_string(),
            row.removed.to_string(),
        ]);
    }
    let (inserted, unchanged, removed) = (report.inserted(), report.unchanged(), report.removed());
    let summary = if plan {
        format!("would insert {inserted} rows, {unchanged} are there")
    } else {
        format!("{inserted} inserted, {unchanged} unchanged, {removed} removed")
    };
    out.result(report, &[table.titled(&summary)])
}
