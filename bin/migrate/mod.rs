//! `migrate`: apply, go to a version, status, plan, redo, revert, repair, new.

mod new;

use std::time::Duration;

use clap::Subcommand;
use diesel::pg::PgConnection;
use optiinfra_db::adopt;
use optiinfra_db::migrate::{self, Direction, Event, Goal, Interrupted, Loss, Migrator, Report, Status, TextState};
use serde::Serialize;

use crate::args::{Confirm, Global, LockWait, TableOutput};
use crate::exit::Exit;
use crate::output::{Output, Table, plural};
use crate::{parse, target};

/// Apply pending migrations; or show and revert them.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(flatten)]
    apply: Apply,
    #[command(flatten)]
    pub output: TableOutput,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Args)]
struct Apply {
    /// Go to this version, forward or back: its digits or its folder's name [default: the newest].
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    #[command(flatten)]
    pub confirm: Confirm,
    #[command(flatten)]
    pub lock: LockWait,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show which migrations are applied, pending and unknown. Writes nothing.
    Status {
        /// Exit with 1 unless every migration is applied, none is unknown and none was edited since.
        #[arg(long)]
        check: bool,
    },
    /// Show the SQL that would run, the locks that it takes and the change of the history. Writes nothing.
    Plan {
        /// Plan the way to this version [default: the newest].
        #[arg(long, value_name = "VERSION")]
        to: Option<String>,
    },
    /// Undo the newest migrations and apply them again.
    Redo {
        /// Number of migrations.
        #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = parse::whole::<u32>(1, 1000))]
        steps: u32,
        #[command(flatten)]
        confirm: Confirm,
        #[command(flatten)]
        lock: LockWait,
    },
    /// Take over a database that Alembic made, after proving that it is what its revision stands for.
    Adopt {
        /// Prove, and write nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Accept this build's text of migrations that were edited after they were applied.
    Repair {
        /// Why the edit is right. Kept in the history.
        #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        reason: String,
        #[command(flatten)]
        lock: LockWait,
    },
    /// Make the folder of a new migration in ./migrations, with up.sql and down.sql. Without --diff it needs no database.
    New(new::Args),
    /// Undo applied migrations, the newest first.
    Revert {
        #[command(flatten)]
        to: RevertTo,
        #[command(flatten)]
        confirm: Confirm,
        #[command(flatten)]
        lock: LockWait,
    },
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct RevertTo {
    /// Number of migrations to undo.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse::whole::<u32>(1, 1000))]
    pub steps: Option<u32>,
    /// Undo everything newer than this version: its digits or its folder's name.
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// Undo everything.
    #[arg(long)]
    pub all: bool,
}

/// Applies what is pending, or runs a subcommand.
pub fn run(args: &Args, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    match &args.action {
        None => {
            let apply = &args.apply;
            let goal = apply.to.clone().map_or(Goal::Head, Goal::Version);
            go(&goal, &apply.confirm, apply.lock.lock_wait, global, out)
        }
        Some(Action::Status { check }) => status(*check, &mut target::connect_read_only(global, out, "migrate")?, out),
        Some(Action::Plan { to }) => {
            let goal = to.clone().map_or(Goal::Head, Goal::Version);
            plan(&goal, &mut target::connect_read_only(global, out, "migrate")?, out)
        }
        Some(Action::Revert { to, confirm, lock }) => go(&revert_goal(to), confirm, lock.lock_wait, global, out),
        Some(Action::Redo { steps, confirm, lock }) => {
            go(&Goal::Redo(*steps as usize), confirm, lock.lock_wait, global, out)
        }
        Some(Action::Adopt { dry_run }) => adopt(*dry_run, global, out),
        Some(Action::New(args)) => new::run(args, global, out),
        Some(Action::Repair { reason, lock }) => repair(reason, lock.lock_wait, global, out),
    }
}

fn revert_goal(args: &RevertTo) -> Goal {
    match (&args.steps, &args.to) {
        (Some(steps), _) => Goal::Back(*steps as usize),
        (None, Some(version)) => Goal::Version(version.clone()),
        (None, None) => Goal::Nothing,
    }
}

fn go(goal: &Goal, confirm: &Confirm, wait: Duration, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    let mut conn = target::connect_directly(global, out, "migrate")?;
    if *goal != Goal::Head && !confirm.yes {
        let loss = Migrator::default().loss(&mut conn, goal)?;
        if !loss.migrations.is_empty() {
            out.confirm(&loss_tables(&loss), &what_happens(goal, &loss))?;
        }
    }
    let report = with_progress(wait, out, |migrator| migrator.run(&mut conn, goal))?;
    print_report(&report, out)?;
    Ok(Exit::Done)
}

/// What is asked about, in words.
fn what_happens(goal: &Goal, loss: &Loss) -> String {
    let migrations = plural(loss.migrations.len() as u64, "migration", "migrations");
    let verb = if matches!(goal, Goal::Redo(_)) { "revert and re-apply" } else { "revert" };
    let is_harmless = loss.tables.iter().chain(&loss.columns).all(|(_, rows)| *rows == 0);
    let and_lose = if is_harmless { ", which loses no data" } else { " and lose this data" };
    format!("{verb} {migrations}{and_lose}")
}

fn with_progress<T>(
    lock_wait: Duration,
    out: &mut Output,
    run: impl FnOnce(&mut Migrator<'_>) -> optiinfra_db::Result<T>,
) -> optiinfra_db::Result<T> {
    let progress = out.progress();
    let mut migrator = Migrator::default().lock_wait(lock_wait).observer(|event| match event {
        Event::Waiting { holder } => {
            progress.note(&format!("waiting for another run: {}", holder.unwrap_or("it has just ended")));
        }
        Event::Begin(direction, migration) => progress.doing(&format!("{} {migration}", doing(direction))),
        Event::Blocked(migration) => progress.note(&format!("{migration} waits for a lock and will be tried again")),
        _ => {}
    });
    run(&mut migrator)
}

fn doing(direction: Direction) -> &'static str {
    match direction {
        Direction::Apply => "applying",
        Direction::Revert => "reverting",
    }
}

fn done(direction: Direction) -> &'static str {
    match direction {
        Direction::Apply => "applied",
        Direction::Revert => "reverted",
    }
}

fn print_report(report: &Report, out: &mut Output) -> anyhow::Result<()> {
    for name in &report.cosmetic_edits {
        out.note(&format!("comments or white space of {name} have changed since it was applied"))?;
    }
    for name in &report.tolerated {
        out.note(&format!("{name} is newer than this binary and marked compatible with it"))?;
    }
    let mut table = Table::new(&["migration", "done", "took"]);
    for step in &report.steps {
        table.row([step.name.as_str(), done(step.direction), &took(step.seconds)]);
    }
    let head = report.head.as_deref().unwrap_or("none");
    let count = |direction| report.steps.iter().filter(|step| step.direction == direction).count();
    let summary = match (count(Direction::Apply), count(Direction::Revert)) {
        (0, 0) if report.head.is_none() => "nothing to do: no migration is applied".to_owned(),
        (0, 0) => format!("nothing to do: the newest migration is {head}"),
        (applied, 0) => format!("{applied} applied; the newest migration is {head}"),
        (0, reverted) => format!("{reverted} reverted; the newest migration is {head}"),
        (applied, reverted) => format!("{reverted} reverted, {applied} applied; the newest migration is {head}"),
    };
    out.result(report, &[table.titled(&summary)])
}

fn status(check: bool, conn: &mut PgConnection, out: &mut Output) -> anyhow::Result<Exit> {
    #[derive(Serialize)]
    struct Shown<'a> {
        up_to_date: bool,
        head: Option<String>,
        #[serde(flatten)]
        status: &'a Status,
    }
    let status = migrate::status(conn)?;
    let up_to_date = status.is_current();
    let mut table = Table::new(&["migration", "state", "applied at", "took", "by"]);
    for applied in &status.applied {
        let state = match applied.text {
            TextState::Same | TextState::Unrecorded => "applied",
            TextState::Cosmetic => "applied, comments edited since",
            TextState::Edited => "applied, edited since",
        };
        let took = applied.seconds.map(took).unwrap_or_default();
        table.row([
            &applied.name,
            state,
            &applied.applied_at,
            &took,
            applied.tool_version.as_deref().unwrap_or("another tool"),
        ]);
    }
    for pending in &status.pending {
        let state = pending.interrupted.map_or("pending".to_owned(), half_done);
        table.row([pending.name.as_str(), &state, "", "", ""]);
    }
    for unknown in &status.unknown {
        let state = match (unknown.interrupted, unknown.compatible) {
            (Some(direction), _) => format!("unknown, half {}", done(direction)),
            (None, true) => "unknown, compatible".to_owned(),
            (None, false) => "unknown".to_owned(),
        };
        table.row([unknown.label(), &state, "", "", ""]);
    }
    let edited = status.with_text(TextState::Edited).len();
    let summary = format!(
        "{} applied{}, {} pending, {} unknown to this binary",
        status.applied.len(),
        if edited == 0 { String::new() } else { format!(" ({edited} edited since)") },
        status.pending.len(),
        status.unknown.len()
    );
    out.result(&Shown { up_to_date, head: status.head(), status: &status }, &[table.titled(&summary)])?;
    Ok(if check && !up_to_date { Exit::Findings } else { Exit::Done })
}

/// The state of a migration that an interrupted run left.
fn half_done(interrupted: Interrupted) -> String {
    let Interrupted { direction, statements_done, statements } = interrupted;
    format!("half {}: {statements_done} of {statements} statements", done(direction))
}

fn plan(goal: &Goal, conn: &mut PgConnection, out: &mut Output) -> anyhow::Result<Exit> {
    let plan = Migrator::default().plan(conn, goal)?;
    out.text(&plan, &plan.script())?;
    Ok(Exit::Done)
}

fn adopt(dry_run: bool, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    let report = adopt::run(&mut target::connect_directly(global, out, "migrate")?, dry_run)?;
    let mut table = Table::new(&["kind", "object", "difference"]);
    for difference in &report.differences {
        let entry = difference.entry();
        table.row([entry.kind().as_str(), &entry.name(), &difference.to_string()]);
    }
    let revision = &report.revision;
    let verdict = match (report.differences.len(), report.adopted) {
        (0, true) => format!("adopted at {revision}; {} migrations pending", report.pending.len()),
        (0, false) => format!("equal to {revision}: can be adopted, nothing was written"),
        (count, _) => format!("not adopted: {count} objects differ from {revision}, nothing was written"),
    };
    out.result(&report, &[table.titled(&verdict)])?;
    Ok(if report.differences.is_empty() { Exit::Done } else { Exit::Findings })
}

fn repair(reason: &str, wait: Duration, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    #[derive(Serialize)]
    struct Shown<'a> {
        repaired: &'a [migrate::Repaired],
    }
    let mut conn = target::connect_directly(global, out, "migrate")?;
    let repaired = with_progress(wait, out, |migrator| migrator.repair(&mut conn, reason))?;
    let mut table = Table::new(&["migration", "was"]);
    for migration in &repaired {
        let was = match migration.was {
            TextState::Edited => "edited",
            TextState::Cosmetic => "edited in comments or white space",
            TextState::Unrecorded | TextState::Same => "not recorded",
        };
        table.row([migration.name.as_str(), was]);
    }
    let summary = match repaired.len() {
        0 => "nothing to repair".to_owned(),
        count => format!("{} repaired", plural(count as u64, "migration", "migrations")),
    };
    out.result(&Shown { repaired: &repaired }, &[table.titled(&summary)])?;
    Ok(Exit::Done)
}

fn loss_tables(loss: &Loss) -> Vec<Table> {
    let mut migrations = Table::new(&["migration to revert"]);
    for name in &loss.migrations {
        migrations.row([name.as_str()]);
    }
    let mut objects = Table::new(&["lost with it", "rows or values"]);
    for (table, rows) in &loss.tables {
        objects.row([table.clone(), rows.to_string()]);
    }
    for (column, values) in &loss.columns {
        objects.row([column.clone(), values.to_string()]);
    }
    vec![migrations, objects]
}

fn took(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1000.0)
}
