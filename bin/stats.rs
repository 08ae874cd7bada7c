//! `stats`: what is in the database.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::ValueEnum;
use diesel::pg::PgConnection;
use optiinfra_db::stats::{self, Options, Report};

use crate::args::Global;
use crate::exit::Exit;
use crate::hints::Hinted;
use crate::output::{Output, Table, json, plain, printable, write_atomically};
use crate::parse::Since;
use crate::report::{self, compare, csv, html, prometheus, table, verified};
use crate::{interrupt, parse, target};

/// How many rows of a long list a terminal shows.
const TOP: usize = 12;

/// Show what is in the database, and its health.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only the rows of this customer. Tables, indexes and agents are everybody's all the same.
    #[arg(long, value_name = "ID|NAME")]
    pub customer: Option<String>,

    /// Only what happened since: a duration such as 90s, 30m, 24h, 7d, 2w, or a time as RFC 3339.
    #[arg(long, value_name = "DURATION|TIME", value_parser = parse::since)]
    pub since: Option<Since>,

    /// Count the rows of every table instead of showing the planner's estimate, and sum up all samples and answers
    /// instead of the newest 250,000 of each.
    #[arg(long)]
    pub exact: bool,

    /// Only this part of the report: its table, or in csv a column a field.
    #[arg(long, value_name = "NAME", value_parser = parse::one_of::<String>(&report::names()))]
    pub section: Option<String>,

    /// Of a long list this many rows, those that matter most [default: 12 on a terminal, elsewhere all].
    #[arg(long, value_name = "N", value_parser = parse::whole::<usize>(1, 1_000_000))]
    pub top: Option<usize>,

    /// First show what has changed since this report, which --format json has written; on the page too.
    #[arg(long, value_name = "REPORT.json", conflicts_with = "section")]
    pub compare: Option<PathBuf>,

    /// Show it again at this interval, such as 5s or 1m, until Ctrl-C, with what changes most at the top. A terminal is drawn
    /// over; elsewhere the reports follow one another [default: 2s].
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "2s", allow_negative_numbers = true, value_parser = parse::interval)]
    pub watch: Option<Duration>,

    /// Write to this file instead of stdout: whole or not at all.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Format of the result.
    #[arg(long, value_enum, default_value_t = Format::Table, help_heading = "Output")]
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people.
    Table,
    /// One JSON document with a schema_version.
    Json,
    /// Comma-separated values.
    Csv,
    /// Prometheus' text format, for the textfile collector.
    Prometheus,
    /// One self-contained page.
    Html,
}

/// Shows the statistics.
pub fn run(args: &Args, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    if args.section.is_some() && !matches!(args.format, Format::Csv | Format::Table) {
        bail!(Hinted::new("--section is for tables and csv", "pass --format table or csv"));
    }
    if args.compare.is_some() && !matches!(args.format, Format::Table | Format::Html) {
        bail!(Hinted::new("--compare is for tables and the page", "pass --format table or html"));
    }
    if args.watch.is_some() && args.format == Format::Html && args.output.is_none() {
        bail!(Hinted::new("--watch would print one page after the other", "pass --output FILE"));
    }
    let shown = target::connect(global, out, "stats").and_then(|mut conn| match args.watch {
        Some(interval) => watch(args, interval, &mut conn, out),
        None => {
            let shown = show(args, &mut conn, out)?;
            // Nobody holds a session while somebody reads.
            drop(conn);
            if out.start_pager() {
                interrupt::leave_ctrl_c_to_others();
            }
            print(args, shown, out).map(|()| Exit::Done)
        }
    });
    // Old figures would look as if all were well.
    if let Err(error) = &shown
        && args.format == Format::Prometheus
    {
        deliver(args, &prometheus::without_figures(error), out)?;
    }
    shown
}

/// Shows the statistics again and again.
fn watch(args: &Args, interval: Duration, conn: &mut PgConnection, out: &mut Output) -> anyhow::Result<Exit> {
    let _screen = (args.format == Format::Table && args.output.is_none()).then(|| out.take_screen()).transpose()?;
    loop {
        let shown = show(args, conn, out).and_then(|shown| print(args, shown, out));
        // Ctrl-C reaches everybody in a pipeline: a reader that has gone because of it is no news.
        if let Some(exit) = interrupt::caught() {
            return Ok(exit);
        }
        shown?;
        if out.is_closed() {
            return Ok(Exit::Done);
        }
        if let Some(exit) = interrupt::pause(interval) {
            return Ok(exit);
        }
    }
}

/// What there is to print.
enum Shown {
    Tables(Box<Report>, Vec<Table>),
    Text(String),
}

/// Asks the database, and makes of its answer what is to be printed.
fn show(args: &Args, conn: &mut PgConnection, out: &Output) -> anyhow::Result<Shown> {
    let begun = Instant::now();
    let before = args.compare.as_deref().map(compare::read).transpose()?;
    let options = options(args, conn)?;
    let report = stats::run(conn, &options)?;
    // A figure that a signal cancelled looks like one that is not available.
    interrupt::refuse_partial()?;
    let is_for_people = args.output.is_none() && out.is_terminal();
    let most = args.top.unwrap_or(if is_for_people { TOP } else { usize::MAX });
    let tables = || -> anyhow::Result<Vec<Table>> {
        if let Some(section) = &args.section {
            return Ok(table::one(&report, section, most));
        }
        let changes = before.as_ref().map(|before| compare::sections(before, &report)).transpose()?;
        Ok(table::all(&report, changes.unwrap_or_default(), args.watch.is_some(), most))
    };
    Ok(match args.format {
        Format::Csv => Shown::Text(csv::render(&report, args.section.as_deref())?),
        Format::Prometheus => Shown::Text(prometheus::render(&report, &verified(conn), begun.elapsed())),
        Format::Html => Shown::Text(html::render(&report, &verified(conn), before.as_ref(), None)?),
        Format::Json if args.output.is_some() => Shown::Text(json(&report)?),
        _ if args.output.is_some() => Shown::Text(plain(&tables()?)?),
        _ => {
            let tables = tables()?;
            Shown::Tables(Box::new(report), tables)
        }
    })
}

fn print(args: &Args, shown: Shown, out: &mut Output) -> anyhow::Result<()> {
    match shown {
        Shown::Tables(report, tables) => out.result(&report, &tables),
        Shown::Text(text) => deliver(args, &text, out),
    }
}

/// Prints a text, or puts it where `--output` says. CSV has the values as they are; a page and a metric have no use for a
/// control character.
fn deliver(args: &Args, text: &str, out: &mut Output) -> anyhow::Result<()> {
    let text = if args.format == Format::Csv { text.into() } else { printable(text) };
    match &args.output {
        Some(path) => write_atomically(path, &text),
        None => out.print_raw(&text),
    }
}

fn options(args: &Args, conn: &mut PgConnection) -> anyhow::Result<Options> {
    let customer = args.customer.as_ref().map(|wanted| stats::find_customer(conn, wanted)).transpose()?;
    let since = args.since.map(|since| {
        since.time().ok_or_else(|| Hinted::new("--since reaches back too far", "leave it out to see everything"))
    });
    Ok(Options { customer, since: since.transpose()?, exact: args.exact, ..Options::default() })
}
