//! `export`: the rows of a table as a file.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use optiinfra_db::transfer::export::{self, Options, Report};
use optiinfra_db::transfer::{self, Compression, Format};

use crate::args::Global;
use crate::exit::Exit;
use crate::hints::Hinted;
use crate::output::{Output, WholeFile};
use crate::parse::Since;
use crate::{parse, target};

/// Write the rows of a table as CSV, NDJSON or Parquet, which import reads back to the same rows.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The table.
    #[arg(value_name = "TABLE", value_parser = parse::one_of::<transfer::Table>(&transfer::Table::ALL.map(transfer::Table::as_str)))]
    pub table: transfer::Table,

    /// Only these columns, in this order [default: all].
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    pub columns: Vec<String>,

    /// Only the rows of this agent.
    #[arg(long, value_name = "ID|NAME")]
    pub agent: Option<String>,

    /// Only the rows of this customer.
    #[arg(long, value_name = "ID|NAME")]
    pub customer: Option<String>,

    /// Only rows of this time and later: a duration such as 90s, 30m, 24h, 7d, 2w, or a time as RFC 3339.
    #[arg(long, value_name = "DURATION|TIME", value_parser = parse::since)]
    pub since: Option<Since>,

    /// Only rows before this time, given as for --since, which must be earlier.
    #[arg(long, value_name = "DURATION|TIME", value_parser = parse::since)]
    pub until: Option<Since>,

    /// Write to this file instead of stdout: whole or not at all. - is stdout.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// How the rows are compressed [default: gzip where the name of the file ends in .gz, zstd where it ends in .zst].
    #[arg(long, value_enum, help_heading = "Output")]
    pub compress: Option<Compress>,

    /// Format of the rows.
    #[arg(long, value_name = "FORMAT", default_value_t = Format::Csv, value_parser = parse::one_of::<Format>(&["csv", "ndjson", "parquet"]), help_heading = "Output")]
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compress {
    Gzip,
    Zstd,
}

const HELP: &str = "\
The rows have no order. Times are UTC and have six decimals. In CSV, \
NULL is an empty field and an empty text is \"\", as PostgreSQL's COPY has it. In NDJSON, NaN and Infinity are strings.

import refuses times outside the years 1 to 9999, such as infinity, JSON with more than 127 levels, and numbers outside \
64 bits; values out of range need its --no-range-checks.";

/// Writes the rows to stdout or to a file.
pub fn run(args: &Args, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    let (since, until) = (time(args.since, "--since")?, time(args.until, "--until")?);
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        bail!(Hinted::new(
            "the span is empty: --since is not before --until",
            "a duration goes back from now, as in --since 2h --until 1h"
        ));
    }
    let mut conn = target::connect_read_only(global, out, "export")?;
    let path = args.output.as_deref().filter(|path| *path != Path::new("-"));
    let options = Options {
        columns: args.columns.clone(),
        compression: compression(args.compress, path),
        agent: args.agent.clone(),
        customer: args.customer.clone(),
        since,
        until,
    };
    let report = match path {
        None => export::run(&mut conn, args.table, args.format, &options, &mut out.stream())?,
        Some(path) => {
            let mut file = WholeFile::create(path)?;
            let report = export::run(&mut conn, args.table, args.format, &options, &mut file)?;
            file.finish().with_context(|| format!("cannot write {}", path.display()))?;
            report
        }
    };
    out.note(&verdict(&report))?;
    Ok(Exit::Done)
}

fn compression(wanted: Option<Compress>, path: Option<&Path>) -> Option<Compression> {
    let extension = path.and_then(Path::extension).and_then(OsStr::to_str);
    match (wanted, extension) {
        (Some(Compress::Gzip), _) | (None, Some("gz")) => Some(Compression::Gzip),
        (Some(Compress::Zstd), _) | (None, Some("zst")) => Some(Compression::Zstd),
        _ => None,
    }
}

fn time(since: Option<Since>, flag: &str) -> anyhow::Result<Option<chrono::DateTime<chrono::Utc>>> {
    let Some(since) = since else { return Ok(None) };
    let hinted = || Hinted::new(format!("{flag} reaches back too far"), "leave it out for rows of any time");
    Ok(Some(since.time().ok_or_else(hinted)?))
}

fn verdict(report: &Report) -> String {
    format!("{} rows of {} in {:.2} s", report.rows, report.table, report.seconds)
}
