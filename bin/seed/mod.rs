//! `seed`: insert, plan, reset, remove.

mod fleet;
mod report;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use diesel::pg::PgConnection;
use optiinfra_db::layer::Layer;
use optiinfra_db::seed;

use crate::args::{Confirm, Global, TableOutput};
use crate::exit::Exit;
use crate::hints::Hinted;
use crate::output::{Output, Table};
use crate::{parse, target};

/// Insert the platform's example data, or a made-up fleet of any size.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(flatten)]
    layers: Layers,
    #[command(flatten)]
    pub output: TableOutput,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Args)]
struct Layers {
    /// Layers to seed.
    #[arg(value_name = "LAYER", conflicts_with = "all", value_parser = parse::one_of::<Layer>(&Layer::ALL.map(Layer::as_str)))]
    pub layers: Vec<Layer>,

    /// Seed every layer.
    #[arg(long)]
    pub all: bool,

    /// The time that the seed's times are relative to, as RFC 3339 [default: now].
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub at: Option<DateTime<Utc>>,

    /// Show what would be inserted. Writes nothing.
    #[arg(long, conflicts_with_all = ["reset", "remove"])]
    pub plan: bool,

    /// Remove the rows that the seed owns, then insert them again.
    #[arg(long, conflicts_with = "remove")]
    pub reset: bool,

    /// Remove the rows that the seed owns.
    #[arg(long)]
    pub remove: bool,

    #[command(flatten)]
    pub confirm: Confirm,
}

impl Layers {
    /// The layers that are meant; to name none is an error.
    fn chosen(&self) -> Result<&[Layer], Hinted> {
        match (self.all, self.layers.as_slice()) {
            (true, _) => Ok(&Layer::ALL),
            (false, []) => Err(Hinted::new(
                "no layer is named",
                "name layers, or pass --all; `optiinfra-dbctl help seed` lists them",
            )),
            (false, layers) => Ok(layers),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Fill the database with a made-up fleet: instances, scaling, answers and regressions, as real ones would.
    ///
    /// The same numbers give the same rows on every machine. A run that was cut short is completed by the same command.
    Fleet(fleet::Args),
}

/// Does to the seed data what the arguments say.
pub fn run(args: &Args, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    match &args.action {
        Some(Action::Fleet(args)) => fleet::run(args, global, out),
        None => {
            let layers = args.layers.chosen()?;
            seed_layers(&args.layers, layers, &mut target::connect_to_write(global, out, "seed")?, out)
        }
    }
}

fn seed_layers(args: &Layers, layers: &[Layer], conn: &mut PgConnection, out: &mut Output) -> anyhow::Result<Exit> {
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
        confirm_beside_customers(args, conn, layers, out)?;
        seed::run(conn, layers, at)?
    };
    if args.at.is_some() && !args.plan && report.inserted() == 0 && report.unchanged() > 0 {
        out.note("the rows are there already with their old times: --reset gives them others")?;
    }
    report::print(&report, args.plan, out)?;
    Ok(Exit::Done)
}

/// Asks before rows go, showing how many of which table.
fn confirm(args: &Layers, conn: &mut PgConnection, layers: &[Layer], out: &mut Output) -> anyhow::Result<()> {
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

/// Asks before rows of the seed are written into a database with real customers.
fn confirm_beside_customers(
    args: &Layers,
    conn: &mut PgConnection,
    layers: &[Layer],
    out: &mut Output,
) -> anyhow::Result<()> {
    if args.confirm.yes {
        return Ok(());
    }
    let Some(customers) = report::real_customers(conn)? else { return Ok(()) };
    match seed::plan(conn, layers, Utc::now())?.inserted() {
        0 => Ok(()),
        rows => out.confirm(&[customers], &format!("insert {rows} made-up rows beside these customers")),
    }
}
