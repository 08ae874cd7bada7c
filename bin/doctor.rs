//! `doctor`: what is there first, then what to do.

use optiinfra_db::doctor::{self, State};

use crate::args::{Global, TableOutput};
use crate::exit::Exit;
use crate::output::{BAD, GOOD, Output, Table, UNSURE, plural};
use crate::target;

/// Look at the server, the way to it, the role and its rights, and settings that bite; exit with 1 if there is a problem.
///
/// Any role that can connect may run it, and nothing is written. A note is right for some purposes and wrong for others: a role
/// that sees the rows of every customer suits an administrator and no service.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub output: TableOutput,
}

/// Makes every check.
pub fn run(global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    let (mut conn, target) = target::connect_to(global, out, "doctor")?;
    let report = doctor::run(&mut conn, &target)?;
    let mut checks = Table::new(&["", "check", "found"]);
    let mut steps = Table::new(&["check", "what to do"]);
    for check in &report.checks {
        let (style, word) = match check.state {
            State::Ok => (GOOD, "ok"),
            State::Note => (UNSURE, "note"),
            State::Problem => (BAD, "PROBLEM"),
        };
        checks.styled_row(style, [word, check.id, &check.found]);
        if let Some(step) = &check.next_step {
            steps.row([check.id, step]);
        }
    }
    let verdict = format!(
        "{}, {}, of {} checks",
        plural(report.problems as u64, "problem", "problems"),
        plural(report.notes as u64, "note", "notes"),
        report.checks.len()
    );
    let mut tables = vec![checks.titled(&verdict), steps];
    tables.retain(|table| !table.is_empty());
    out.result(&report, &tables)?;
    Ok(if report.problems == 0 { Exit::Done } else { Exit::Findings })
}
