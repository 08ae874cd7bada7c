//! The commands: the frame of the command line. Each command's flags are in its own file.

use std::ffi::OsString;
use std::sync::LazyLock;

use clap::{CommandFactory, Parser, Subcommand};
use optiinfra_db::migrate::EMBEDDED;

use crate::args::{Global, Tables};
use crate::exit::Exit;
use crate::output::Output;
use crate::{
    cluster, completions, database, doctor, dump, export, import, local, migrate, partitions, retention, roles, schema,
    seed, serve, stats, verify, wait,
};

const AFTER_HELP: &str = "\
Where the database comes from, the first that is set:
  --database-url, --local, OPTIINFRA_LOCAL=1, DATABASE_URL,
  DATABASE_URL in ./.env, the PG* variables.

Exit codes:
  0  done, or clean
  1  checks found problems, or an import too many bad rows
  2  usage, configuration, or a statement that the server refused
  3  cannot connect
  4  the migration lock was not obtained in time
  5  a migration failed and was rolled back
  6  the database is ahead of this binary
  130, 143  ended by Ctrl-C or SIGTERM; what was not committed is rolled back";

/// What `--version` says; `-V` has the first line.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let commit = option_env!("OPTIINFRA_COMMIT").map(|commit| format!("\ncommit: {commit}"));
    let newest = EMBEDDED.last().map(|migration| format!("\nnewest migration: {}", migration.name));
    [env!("CARGO_PKG_VERSION")].into_iter().map(str::to_owned).chain(commit).chain(newest).collect()
});

/// Migrates, seeds, verifies and summarises the OptiInfra database.
#[derive(Debug, Parser)]
#[command(name = "optiinfra-dbctl", version, long_version = LONG_VERSION.as_str(), after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    /// Before the command, where the formats of the command are not known yet.
    #[arg(long = "format", value_name = "FORMAT", hide = true)]
    early_format: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Migrate(migrate::Args),
    Seed(seed::Args),
    Verify(verify::Args),
    Doctor(doctor::Args),
    Create(database::Create),
    Drop(database::Drop),
    Dump(dump::Args),
    Schema(schema::Args),
    Stats(stats::Args),
    Serve(serve::Args),
    /// Create the platform's database roles, or compare them with what they should be.
    Roles(Tables<roles::Action>),
    /// Partition the tables that grow by the minute by time, and keep partitions ready.
    Partitions(Tables<partitions::Action>),
    /// Distribute those tables over the nodes of a Citus cluster, and bring them back.
    Cluster(Tables<cluster::Action>),
    /// Remove rows of those tables that are past their time.
    Retention(Tables<retention::Action>),
    Import(import::Args),
    Export(export::Args),
    /// Control the private PostgreSQL that --local uses.
    Local(Tables<local::Action>),
    Wait(wait::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Man(completions::ManArgs),
}

impl Cli {
    /// Reads the command line.
    pub fn read() -> Result<Self, clap::Error> {
        let cli = Self::try_parse()?;
        if cli.early_format.is_some() { Self::try_parse_from(with_format_last(std::env::args_os())) } else { Ok(cli) }
    }
}

/// The arguments with the first `--format` behind the command, which knows its formats.
fn with_format_last(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.collect();
    let is_format = |argument: &OsString| argument == "--format" || argument.to_string_lossy().starts_with("--format=");
    let Some(at) = arguments.iter().position(is_format) else { return arguments };
    let length = if arguments[at] == "--format" { 2 } else { 1 };
    let format: Vec<_> = arguments.splice(at..at + length, []).collect();
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    arguments.splice(end..end, format);
    arguments
}

impl Command {
    /// Does what the command line says.
    pub fn run(&self, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
        match self {
            Self::Migrate(args) => migrate::run(args, global, out),
            Self::Seed(args) => seed::run(args, global, out),
            Self::Verify(args) => verify::run(args, global, out),
            Self::Doctor(_) => doctor::run(global, out),
            Self::Create(_) => database::create(global, out),
            Self::Drop(args) => database::drop(args, global, out),
            Self::Dump(args) => dump::run(args, global, out),
            Self::Schema(args) => schema::run(args, out),
            Self::Stats(args) => stats::run(args, global, out),
            Self::Serve(args) => serve::run(args, global, out),
            Self::Roles(args) => roles::run(&args.action, global, out),
            Self::Partitions(args) => partitions::run(&args.action, global, out),
            Self::Cluster(args) => cluster::run(&args.action, global, out),
            Self::Retention(args) => retention::run(&args.action, global, out),
            Self::Import(args) => import::run(args, global, out),
            Self::Export(args) => export::run(args, global, out),
            Self::Local(args) => local::run(&args.action, out),
            Self::Wait(wait::Args {}) => wait::run(global, out),
            Self::Completions(args) => completions::run(args, Cli::command(), out),
            Self::Man(args) => completions::man(args, Cli::command()),
        }
    }

    /// Whether the result is a JSON document.
    pub fn is_json(&self) -> bool {
        match self {
            Self::Migrate(args) => args.output.is_json(),
            Self::Seed(args) => args.output.is_json(),
            Self::Verify(args) => args.format == verify::Format::Json,
            Self::Doctor(args) => args.output.is_json(),
            Self::Create(args) => args.output.is_json(),
            Self::Drop(args) => args.output.is_json(),
            Self::Stats(args) => args.format == stats::Format::Json,
            Self::Schema(args) => args.format == schema::Format::Json,
            Self::Roles(args) => args.output.is_json(),
            Self::Partitions(args) => args.output.is_json(),
            Self::Cluster(args) => args.output.is_json(),
            Self::Retention(args) => args.output.is_json(),
            Self::Import(args) => args.output.is_json(),
            Self::Export(_) | Self::Dump(_) | Self::Serve(_) | Self::Completions(_) | Self::Man(_) | Self::Wait(_) => {
                false
            }
            Self::Local(args) => args.output.is_json(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory, Parser};
    use proptest::prelude::*;

    use super::Cli;

    /// Every command with the flags that take a value, as the arguments that name it.
    fn flags(command: &Command, path: &[String]) -> Vec<Vec<String>> {
        let own =
            command.get_opts().filter_map(|flag| flag.get_long()).map(|long| [path, &[format!("--{long}")]].concat());
        let below =
            command.get_subcommands().flat_map(|below| flags(below, &[path, &[below.get_name().to_owned()]].concat()));
        own.chain(below).collect()
    }

    fn parse(flag: &[String], value: &str) {
        let arguments = std::iter::once("x").chain(flag.iter().map(String::as_str));
        // An answer of either kind, and no panic.
        let _ = Cli::try_parse_from(arguments.clone().chain([value]));
        let joined = format!("{}={value}", flag[flag.len() - 1]);
        let _ = Cli::try_parse_from(
            std::iter::once("x").chain(flag[..flag.len() - 1].iter().map(String::as_str)).chain([joined.as_str()]),
        );
    }

    #[test]
    fn no_value_of_any_flag_is_a_panic() {
        let flags = flags(&Cli::command(), &[]);
        assert!(flags.len() > 40, "{flags:?}");
        for flag in &flags {
            for value in
                ["", "0", "-0", "-1", "1e19", "-1e308", "NaN", "inf", "18446744073709551616", "99999999999999d", "½"]
            {
                parse(flag, value);
            }
        }
        let any = (0..flags.len(), "[-+.0-9]{0,24}(e[-+]?[0-9]{1,5})?(ms|[smhdwy])?|.{0,12}");
        proptest!(|((at, value) in any)| parse(&flags[at], &value));
    }

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }
}
