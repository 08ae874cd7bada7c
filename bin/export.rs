//! `export`: the rows of a table as a file.

use std::path::Path;

use anyhow::Context as _;
use diesel::pg::PgConnection;
use optiinfra_db::migrate;
use optiinfra_db::stats::find_customer;
use optiinfra_db::transfer::Format as FileFormat;
use optiinfra_db::transfer::export::{self, Options, Report};
use uuid::Uuid;

use crate::cli::{Export, Format, Global, Since};
use crate::exit::Exit;
use crate::hints::Hinted;
use crate::output::{Output, WholeFile};
use crate::target;

/// Writes the rows to stdout or to a file.
pub fn run(args: &Export, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    if args.customer.is_some() && !export::has_customer(args.table) {
        return Err(optiinfra_db::Error::NoCustomerColumn { table: args.table.as_str() }.into());
    }
    let (since, until) = (time(args.since, "--since")?, time(args.until, "--until")?);
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        return Err(Hinted {
            message: "no row is of that span: --since is not before --until".to_owned(),
            hint: "a duration goes back from now, as in --since 2h --until 1h".to_owned(),
        }
        .into());
    }
    let format = if global.format == Format::Ndjson { FileFormat::Ndjson } else { FileFormat::Csv };
    let mut conn = target::connect_read_only(global, out, "export")?;
    let customer = args.customer.as_ref().map(|wanted| find(&mut conn, wanted)).transpose()?;
    let options = Options { customer: customer.map(Into::into), since, until };
    let report = match args.output.as_deref().filter(|path| *path != Path::new("-")) {
        None => export::run(&mut conn, args.table, format, &options, &mut out.stream())?,
        Some(path) => {
            let mut file = WholeFile::create(path)?;
            let report = export::run(&mut conn, args.table, format, &options, &mut file)?;
            file.finish().with_context(|| format!("cannot write {}", path.display()))?;
            report
        }
    };
    out.note(&verdict(&report))?;
    Ok(Exit::Done)
}

/// Finds a customer, in a database that has the table.
fn find(conn: &mut PgConnection, wanted: &str) -> optiinfra_db::Result<Uuid> {
    migrate::status(conn)?.require_applied()?;
    find_customer(conn, wanted)
}

fn time(since: Option<Since>, flag: &str) -> anyhow::Result<Option<chrono::DateTime<chrono::Utc>>> {
    let Some(since) = since else { return Ok(None) };
    let hinted = || Hinted {
        message: format!("{flag} reaches back too far"),
        hint: "leave it out for rows of any time".to_owned(),
    };
    Ok(Some(since.time().ok_or_else(hinted)?))
}

fn verdict(report: &Report) -> String {
    format!("{} rows of {} in {:.2} s", report.rows, report.table, report.seconds)
}
