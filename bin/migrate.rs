//! `migrate`: apply, status, revert.

use std::time::Duration;

use diesel::pg::PgConnection;
use optiinfra_db::migrate::{self, Direction, Event, Loss, Migrator, Report, Status};
use serde::Serialize;

use crate::cli::{Apply, MigrateAction, RevertTo};
use crate::exit::Exit;
use crate::output::{Output, Table};

/// Applies what is pending.
pub fn apply(args: &Apply, conn: &mut PgConnection, out: &mut Output) -> anyhow::Result<Exit> {
    let report = with_progress(args.lock.lock_wait, out, |migrator| migrator.run(conn))?;
    print_report(&report, "applied", out)?;
    Ok(Exit::Done)
}

/// Runs a subcommand.
pub fn act(action: &MigrateAction, conn: &mut PgConnection, out: &mut Output) -> anyhow::Result<Exit> {
    match action {
        MigrateAction::Status { check } => status(*check, conn, out),
        MigrateAction::Revert { to, confirm, lock } => {
            let to = revert_to(to);
            if !confirm.yes {
                let loss = Migrator::default().revert_loss(conn, &to)?;
                out.confirm(&loss_table(&loss), "revert these migrations and lose this data")?;
            }
            let report = with_progress(lock.lock_wait, out, |migrator| migrator.revert(conn, &to))?;
            print_report(&report, "reverted", out)?;
            Ok(Exit::Done)
        }
    }
}

fn revert_to(args: &RevertTo) -> migrate::RevertTo {
    match (&args.steps, &args.to) {
        (Some(steps), _) => migrate::RevertTo::Steps(*steps as usize),
        (None, Some(version)) => migrate::RevertTo::Version(version.clone()),
        (None, None) => migrate::RevertTo::Nothing,
    }
}

fn with_progress(
    lock_wait: Duration,
    out: &mut Output,
    run: impl FnOnce(&mut Migrator<'_>) -> optiinfra_db::Result<Report>,
) -> optiinfra_db::Result<Report> {
    let progress = out.progress();
    let mut migrator = Migrator::default().lock_wait(lock_wait).observer(|event| match event {
        Event::Waiting { holder } => {
            progress.note(&format!("waiting for another run: {}", holder.unwrap_or("it has just ended")));
        }
        Event::Begin(Direction::Apply, migration) => progress.doing(&format!("applying {migration}")),
        Event::Begin(Direction::Revert, migration) => progress.doing(&format!("reverting {migration}")),
        _ => {}
    });
    run(&mut migrator)
}

fn print_report(report: &Report, done: &str, out: &mut Output) -> anyhow::Result<()> {
    let mut table = Table::new(&["migration", done]);
    for step in &report.steps {
        table.row([step.name.clone(), milliseconds(step.seconds)]);
    }
    let head = report.head.as_deref().unwrap_or("none");
    let summary = match report.steps.len() {
        0 => format!("nothing to do: the newest migration is {head}"),
        count => format!("{count} {done}; the newest migration is {head}"),
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
    let up_to_date = status.pending.is_empty() && status.unknown.is_empty();
    let mut table = Table::new(&["migration", "state", "applied at"]);
    for applied in &status.applied {
        table.row([applied.name.as_str(), "applied", &applied.applied_at]);
    }
    for pending in &status.pending {
        table.row([pending.name.as_str(), "pending", ""]);
    }
    for unknown in &status.unknown {
        table.row([unknown.as_str(), "unknown", ""]);
    }
    let summary = format!(
        "{} applied, {} pending, {} unknown to this binary",
        status.applied.len(),
        status.pending.len(),
        status.unknown.len()
    );
    out.result(&Shown { up_to_date, head: status.head(), status: &status }, &[table.titled(&summary)])?;
    Ok(if check && !up_to_date { Exit::Findings } else { Exit::Done })
}

fn loss_table(loss: &Loss) -> Vec<Table> {
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

fn milliseconds(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1000.0)
}
