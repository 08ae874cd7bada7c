//! `roles`: plan, apply, check.

use clap::Subcommand;
use optiinfra_db::raw::Sql;
use optiinfra_db::roles::{self, Direction, Finding, Options, Prefix, Report, Role};
use serde::Serialize;

use crate::args::Global;
use crate::exit::Exit;
use crate::output::{Output, Table, comment, plural};
use crate::target;

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show the SQL that `apply` would run. Writes nothing.
    Plan(Wanted),
    /// Create the roles and grant or revoke rights until they match the list, in one transaction.
    ///
    /// A second time it changes nothing. No password is set: do that with \password in psql. Run it again after migrations
    /// that add columns or tables.
    Apply(Wanted),
    /// List every role, right, membership, policy and owner that is missing or extra; exit with 1 if there is any.
    Check(RolePrefix),
}

#[derive(Debug, clap::Args)]
pub struct Wanted {
    #[command(flatten)]
    pub prefix: RolePrefix,

    /// Make the owner role the owner of the tables, types and functions. Whoever owns them now loses them.
    #[arg(long)]
    pub take_ownership: bool,
}

#[derive(Debug, clap::Args)]
pub struct RolePrefix {
    /// Prefix of the role names. Roles belong to the whole cluster, which may hold several databases of the platform.
    #[arg(long, value_name = "PREFIX", default_value_t = Prefix::default())]
    pub prefix: Prefix,
}

/// Runs a subcommand.
pub fn run(action: &Action, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    match action {
        Action::Plan(args) => {
            let report = roles::plan(&mut target::connect_read_only(global, out, "roles")?, &options(args))?;
            out.text(&report, &script(&report))?;
            Ok(Exit::Done)
        }
        Action::Apply(args) => {
            let report = roles::apply(&mut target::connect_directly(global, out, "roles")?, &options(args))?;
            applied(&report, out)?;
            Ok(Exit::Done)
        }
        Action::Check(args) => {
            let report = roles::check(&mut target::connect_read_only(global, out, "roles")?, &args.prefix)?;
            check(&report, out)
        }
    }
}

fn options(args: &Wanted) -> Options {
    Options { prefix: args.prefix.prefix.clone(), take_ownership: args.take_ownership }
}

/// The plan as a script that can be read, and run as it is.
fn script(report: &Report) -> String {
    let mut script = String::new();
    for finding in &report.left_alone {
        script += &comment(&format!("left alone: {} {}", finding.object, finding.problem));
    }
    script += &match report.statements.as_slice() {
        [] => "-- nothing to do\n".to_owned(),
        statements => format!("BEGIN;\n{};\nCOMMIT;\n", statements.join(";\n")),
    };
    for line in advice(report) {
        script += &comment(&line);
    }
    script
}

fn applied(report: &Report, out: &mut Output) -> anyhow::Result<()> {
    let mut statements = Table::new(&["statement"]);
    for statement in &report.statements {
        statements.row([statement]);
    }
    let summary = match report.statements.len() {
        0 => "nothing to do: the roles are as they should be".to_owned(),
        count => format!("{} run", plural(count as u64, "statement", "statements")),
    };
    let mut tables = vec![statements.titled(&summary)];
    if !report.left_alone.is_empty() {
        tables.push(table(&report.left_alone).titled("left alone: of another owner, or not asked for"));
    }
    // First, for readers who see only the beginning of the result.
    for line in advice(report) {
        out.note(&line)?;
    }
    out.result(report, &tables)
}

/// What a person has to do.
fn advice(report: &Report) -> Vec<String> {
    let password = |role: &String| format!("{role} has no password: set one in psql with \\password {role}");
    let owner = Role::Owner.name(&report.prefix);
    let member = |role: &String| {
        let quoted = Sql::identifier(role);
        format!("{role} can no longer see the tables: GRANT {owner} TO {quoted} lets it work as before")
    };
    let is_owned_by_others = report.left_alone.iter().any(|finding| finding.difference == Direction::Missing);
    let ownership = is_owned_by_others.then(|| format!("--take-ownership makes {owner} the owner"));
    let passwords = report.without_password.iter().map(password);
    passwords.chain(report.former_owners.iter().map(member)).chain(ownership).collect()
}

fn check(report: &Report, out: &mut Output) -> anyhow::Result<Exit> {
    #[derive(Serialize)]
    struct Shown<'a> {
        findings: &'a [Finding],
    }
    let findings = report.findings.as_slice();
    out.result(&Shown { findings }, &[table(findings).titled(&verdict(report))])?;
    Ok(if findings.is_empty() { Exit::Done } else { Exit::Findings })
}

fn verdict(report: &Report) -> String {
    let count = match report.findings.len() {
        0 => return "the roles are as they should be".to_owned(),
        count => plural(count as u64, "finding", "findings"),
    };
    if report.statements.is_empty() {
        return format!("{count}, left alone by `roles apply`: of another owner, or not asked for");
    }
    format!("{count}; `roles plan` with the same options shows the SQL that `roles apply` would run")
}

fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new(&["difference", "object", "problem"]);
    for finding in findings {
        let difference = match finding.difference {
            Direction::Missing => "missing",
            Direction::Extra => "extra",
        };
        table.row([difference, &finding.object, &finding.problem]);
    }
    table
}
