//! The commands: the frame of the command line. Each command's flags are in its own file.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::args::Global;
use crate::exit::Exit;
use crate::output::Output;
use crate::{export, import, local, migrate, roles, seed, stats, verify};

const AFTER_HELP: &str = "\
Where the database comes from, the first that is set:
  --database-url, --local, OPTIINFRA_LOCAL=1, DATABASE_URL, DATABASE_URL in ./.env, the PG* variables.

Exit codes:
  0  done, or clean
  1  checks found problems, or an import too many bad rows
  2  usage, configuration, or a statement that the server refused
  3  cannot connect
  4  the migration lock was not obtained in time
  5  a migration failed and was rolled back
  6  the database is ahead of this binary
  130, 143  ended by Ctrl-C or SIGTERM; what was not committed is rolled back";

/// Migrates, seeds, verifies and summarises the OptiInfra database.
#[derive(Debug, Parser)]
#[command(name = "optiinfra-dbctl", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    /// In front of the command, where it belongs to none yet.
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
    Stats(stats::Args),
    Roles(roles::Args),
    Import(import::Args),
    Export(export::Args),
    Local(local::Args),
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
            Self::Stats(args) => stats::run(args, global, out),
            Self::Roles(args) => roles::run(args, global, out),
            Self::Import(args) => import::run(args, global, out),
            Self::Export(args) => export::run(args, global, out),
            Self::Local(args) => local::run(args, out),
        }
    }

    /// Whether the result is a JSON document.
    pub fn is_json(&self) -> bool {
        match self {
            Self::Migrate(args) => args.output.is_json(),
            Self::Seed(args) => args.output.is_json(),
            Self::Verify(args) => args.format == verify::Format::Json,
            Self::Stats(args) => args.format == stats::Format::Json,
            Self::Roles(args) => args.output.is_json(),
            Self::Import(args) => args.output.is_json(),
            Self::Export(_) => false,
            Self::Local(args) => args.output.is_json(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
