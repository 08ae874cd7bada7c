//! `seed fleet`: plan, write, remove.

use anyhow::bail;
use chrono::{SubsecRound, Utc};
use diesel::pg::PgConnection;
use optiinfra_db::seed::Report;
use optiinfra_db::seed::fleet::{self, Writing};

use crate::cli::{Fleet, Global};
use crate::exit::Exit;
use crate::output::{Hinted, Output, Table};
use crate::{interrupt, seed, target};

/// Steps of the bar: a share is told in thousandths.
const STEPS: u32 = 1000;

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
    let at = match args.at {
        Some(at) => at,
        None => fleet::find(conn, args.rng_seed)?.map_or_else(Utc::now, |found| found.at),
    };
    Ok(fleet::Fleet {
        rng_seed: args.rng_seed,
        customers: args.customers,
        instances: args.instances,
        hours: args.hours,
        interval_seconds: args.interval,
        at: at.trunc_subsecs(0),
    })
}

fn remove(args: &Fleet, conn: &mut PgConnection, out: &mut Output) -> anyhow::Result<Report> {
    let Some(fleet) = fleet::find(conn, args.rng_seed)? else {
        bail!(Hinted {
            message: format!("there is no fleet {}", args.rng_seed),
            hint: "`optiinfra-dbctl stats` lists the customers: a fleet's carry its --rng-seed in their names"
                .to_owned(),
        });
    };
    if !args.confirm.yes {
        let mut table = Table::new(&["table", "rows to remove"]);
        for line in fleet::plan(conn, &fleet)?.tables.iter().filter(|line| line.unchanged > 0) {
            table.row([line.table.to_owned(), line.unchanged.to_string()]);
        }
        out.confirm(&[table], &format!("remove these rows of fleet {}", args.rng_seed))?;
    }
    Ok(fleet::remove(conn, &fleet)?)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to STEPS")]
fn steps(share: f64) -> u64 {
    (share * f64::from(STEPS)) as u64
}
