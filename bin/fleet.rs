//! `seed fleet`: plan, write, remove.

use std::num::NonZeroU16;

use anyhow::bail;
use chrono::{SubsecRound, Utc};
use diesel::pg::PgConnection;
use optiinfra_db::Error;
use optiinfra_db::seed::Report;
use optiinfra_db::seed::fleet::{self, Writing};

use crate::cli::{Fleet, Global};
use crate::exit::Exit;
use crate::hints::Hinted;
use crate::output::{Output, Table};
use crate::{interrupt, seed, target};

/// Steps of the bar: a share is told in thousandths.
const STEPS: u32 = 1000;
/// From one sample to the next, where the arguments do not say it.
const FIVE_MINUTES: NonZeroU16 = match NonZeroU16::new(300) {
    Some(seconds) => seconds,
    None => NonZeroU16::MIN,
};

/// Does to a fleet what the arguments say.
pub fn run(args: &Fleet, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    let report = if args.remove {
        remove(args, &mut target::connect(global, out, "seed")?, out)?
    } else if args.plan {
        let mut conn = target::connect_read_only(global, out, "seed")?;
        let fleet = wanted(args, &mut conn)?;
        fleet::plan(&mut conn, &fleet)?
    } else {
        write(args, global, out)?
    };
    seed::print(&report, args.plan, out)?;
    Ok(Exit::Done)
}

fn write(args: &Fleet, global: &Global, out: &mut Output) -> anyhow::Result<Report> {
    // One more, which holds the lock.
    let pool = target::pool(global, out, "seed", args.connections + 1)?;
    let fleet = wanted(args, &mut *pool.get()?)?;
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
fn wanted(args: &Fleet, conn: &mut PgConnection) -> anyhow::Result<fleet::Fleet> {
    let found = fleet::find(conn, args.rng_seed)?;
    Ok(fleet_of(args, &fleet::Fleet { at: found.map_or_else(Utc::now, |found| found.at), ..usual(args) }))
}

/// The fleet of the arguments, which has the numbers of another one where they say nothing.
fn fleet_of(args: &Fleet, other: &fleet::Fleet) -> fleet::Fleet {
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
fn usual(args: &Fleet) -> fleet::Fleet {
    fleet::Fleet {
        rng_seed: args.rng_seed,
        customers: 5,
        instances: 20,
        hours: 24,
        interval_seconds: FIVE_MINUTES,
        at: Utc::now(),
    }
}

fn remove(args: &Fleet, conn: &mut PgConnection, out: &mut Output) -> anyhow::Result<Report> {
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
fn to_remove(args: &Fleet, conn: &mut PgConnection) -> anyhow::Result<fleet::Fleet> {
    match fleet::find(conn, args.rng_seed) {
        Ok(Some(found)) if fleet_of(args, &found) == found => Ok(found),
        Ok(Some(_)) => Err(Error::OtherFleet { rng_seed: args.rng_seed }.into()),
        Ok(None) | Err(Error::FleetOfUnknownNumbers { .. }) if args.at.is_some() => Ok(fleet_of(args, &usual(args))),
        Ok(None) => bail!(no_fleet(args.rng_seed, &fleet::seeds(conn)?)),
        Err(error) => Err(error.into()),
    }
}

fn no_fleet(rng_seed: u64, others: &[u64]) -> Hinted {
    let hint = match others {
        [] => "there is none of another --rng-seed either".to_owned(),
        [other] => format!("there is fleet {other}: pass --rng-seed {other}"),
        others => {
            let others: Vec<_> = others.iter().map(u64::to_string).collect();
            format!("there are fleets {}: pass the --rng-seed of one", others.join(", "))
        }
    };
    Hinted { message: format!("there is no fleet {rng_seed}"), hint }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to STEPS")]
fn steps(share: f64) -> u64 {
    (share * f64::from(STEPS)) as u64
}
