//! Questions and results that `seed` and `seed fleet` share.

use diesel::pg::PgConnection;
use optiinfra_db::fleet;
use optiinfra_db::migrate;
use optiinfra_db::seed::Report;

use crate::output::{Output, Table};

/// The customers that no seed and no fleet made, if there are any.
pub fn real_customers(conn: &mut PgConnection) -> anyhow::Result<Option<Table>> {
    migrate::status(conn)?.require_current()?;
    let real = fleet::real_customers(conn)?;
    let mut table = Table::new(&["customer that no seed made"]);
    for name in &real.names {
        table.row([name]);
    }
    let more = real.count.saturating_sub(real.names.len() as u64);
    if more > 0 {
        table.row([format!("and {more} more")]);
    }
    Ok((real.count > 0).then_some(table))
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
