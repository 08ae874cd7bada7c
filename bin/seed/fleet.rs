//! `seed fleet`: plan, write, remove.

use std::num::NonZeroU16;

use anyhow::bail;
use chrono::{DateTime, SubsecRound, Utc};
use diesel::pg::PgConnection;
use optiinfra_db::Error;
use optiinfra_db::fleet::{self, Error as FleetError, Writing};
use optiinfra_db::seed::Report;

use super::report;
use crate::args::{Confirm, Global};
use crate::exit::Exit;
use crate::hints::Hinted;
use crate::output::{Output, Table};
use crate::{interrupt, parse, target};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many customers [default: 5].
    #[arg(long, value_name = "C", allow_negative_numbers = true, value_parser = parse::whole::<u16>(1, 65_535))]
    pub customers: Option<u16>,

    /// How many instances each customer has; about three in five are in service, the others are there to scale [default: 20].
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse::whole::<u16>(1, 65_535))]
    pub instances: Option<u16>,

    /// How far it goes back: hours, or a duration such as 48h or 7d [default: 24h].
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = parse::whole_or_duration::<u16>(3600, 65_535))]
    pub hours: Option<u16>,

    /// From one sample of an instance to the next, at most the time that the fleet goes back: seconds, or a duration such as 30s
    /// or 5m [default: 5m].
    #[arg(long, value_name = "DURATION", allow_negative_numbers = true, value_parser = parse::whole_or_duration::<NonZeroU16>(1, 65_535))]
    pub interval: Option<NonZeroU16>,

    /// Which fleet: two with different seeds live side by side.
    #[arg(long, value_name = "X", default_value_t = 1, allow_negative_numbers = true, value_parser = parse::whole::<u64>(0, u64::MAX))]
    pub rng_seed: u64,

    /// The time of the last sample, as RFC 3339 [default: that of the fleet that is there, else now].
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub at: Option<DateTime<Utc>>,

    /// Number of connections that write at once.
    #[arg(long, value_name = "N", default_value_t = 2, allow_negative_numbers = true, value_parser = parse::whole::<u32>(1, 64))]
    pub connections: u32,

    /// Show what would be inserted. Writes nothing.
    #[arg(long, conflicts_with = "remove")]
    pub plan: bool,

    /// Remove the rows of the fleet with this --rng-seed, and no others.
    ///
    /// The options are read from the fleet's customers. If those are gone, repeat the options and --at.
    #[arg(long)]
    pub remove: bool,

    #[command(flatten)]
    pub confirm: Confirm,
}

/// Steps of the bar: a share is shown in thousandths.
const STEPS: u32 = 1000;
/// From one sample to the next, where the arguments do not say it.
const FIVE_MINUTES: NonZeroU16 = match NonZeroU16::new(300) {
    Some(seconds) => seconds,
    None => NonZeroU16::MIN,
};

/// Does to a fleet what the arguments say.
pub fn run(args: &Args, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    let report = if args.remove {
        remove(args, &mut target::connect_to_write(global, out, "seed")?, out)?
    } else if args.plan {
        let mut conn = target::connect_read_only(global, out, "seed")?;
        let fleet = wanted(args, fleet::find(&mut conn, args.rng_seed)?.as_ref());
        fleet::plan(&mut conn, &fleet)?
    } else {
        write(args, global, out)?
    };
    report::print(&report, args.plan, out)?;
    Ok(Exit::Done)
}

fn write(args: &Args, global: &Global, out: &mut Output) -> anyhow::Result<Report> {
    // One more, which holds the lock.
    let pool = target::pool(global, out, "seed", args.connections + 1)?;
    let mut conn = pool.get()?;
    let found = fleet::find(&mut conn, args.rng_seed)?;
    let fleet = wanted(args, found.as_ref());
    if !args.confirm.yes
        && found.is_none()
        && let Some(customers) = report::real_customers(&mut conn)?
    {
        let what = format!("insert the made-up rows of fleet {} beside these customers", args.rng_seed);
        out.confirm(&[customers], &what)?;
    }
    drop(conn);
    let meter = std::cell::RefCell::new(out.meter(Some(STEPS.into())));
    let writing = Writing {
        connections: usize::try_from(args.connections)?,
        cancel: interrupt::cancellable(),
        progress: &|done| meter.borrow_mut().at(steps(done.share), done.rows),
    };
    let report = fleet::run(&pool, &fleet, writing)?;
    meter.into_inner().done(report.inserted() + report.unchanged());
    Ok(report)
}

/// The fleet of the arguments. Without a time it is that of the fleet that is there, so that the same command goes on
/// with it.
fn wanted(args: &Args, found: Option<&fleet::Fleet>) -> fleet::Fleet {
    fleet_of(args, &fleet::Fleet { at: found.map_or_else(Utc::now, |found| found.at), ..usual(args) })
}

/// The fleet of the arguments, which has the numbers of another one where they say nothing.
fn fleet_of(args: &Args, other: &fleet::Fleet) -> fleet::Fleet {
    fleet::Fleet {
        rng_seed: args.rng_seed,
        customers: args.customers.unwrap_or(other.customers),
        instances: args.instances.unwrap_or(other.instances),
        hours: args.hours.unwrap_or(other.hours),
        interval_seconds: args.interval.unwrap_or(other.interval_seconds),
        at: args.at.unwrap_or(other.at).trunc_subsecs(0),
    }
}

/// The fleet of a command without numbers.
fn usual(args: &Args) -> fleet::Fleet {
    fleet::Fleet {
        rng_seed: args.rng_seed,
        customers: 5,
        instances: 20,
        hours: 24,
        interval_seconds: FIVE_MINUTES,
        at: Utc::now(),
    }
}

fn remove(args: &Args, conn: &mut PgConnection, out: &mut Output) -> anyhow::Result<Report> {
    let fleet = to_remove(args, conn)?;
    if !args.confirm.yes {
        let mut table = Table::new(&["table", "rows to remove"]);
        for line in fleet::plan_removal(conn, &fleet)?.tables.iter().filter(|line| line.removed > 0) {
            table.row([line.table.to_owned(), line.removed.to_string()]);
        }
        out.confirm(&[table], &format!("remove these rows of fleet {}", args.rng_seed))?;
    }
    Ok(fleet::remove(conn, &fleet)?)
}

/// The fleet as its customers say it, or where none does, of the arguments if these say when it ends.
fn to_remove(args: &Args, conn: &mut PgConnection) -> anyhow::Result<fleet::Fleet> {
    match fleet::find(conn, args.rng_seed) {
        Ok(Some(found)) if fleet_of(args, &found) == found => Ok(found),
        Ok(Some(_)) => Err(Error::from(FleetError::OtherNumbers { rng_seed: args.rng_seed }).into()),
        Ok(None) | Err(Error::Fleet(FleetError::UnknownNumbers { .. })) if args.at.is_some() => {
            Ok(fleet_of(args, &usual(args)))
        }
        Ok(None) => bail!(no_fleet(args.rng_seed, &fleet::seeds(conn)?)),
        Err(error) => Err(error.into()),
    }
}

fn no_fleet(rng_seed: u64, others: &[u64]) -> Hinted {
    let hint = match others {
        [] => "no fleets exist".to_owned(),
        [other] => format!("there is fleet {other}: pass --rng-seed {other}"),
        others => {
            let others: Vec<_> = others.iter().map(u64::to_string).collect();
            format!("there are fleets {}: pass the --rng-seed of one", others.join(", "))
        }
    };
    Hinted::new(format!("there is no fleet {rng_seed}"), hint)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to STEPS")]
fn steps(share: f64) -> u64 {
    (share * f64::from(STEPS)) as u64
}
