//! Flags that several commands share.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use optiinfra_db::transfer::Format;

use crate::parse;

#[derive(Debug, Args)]
pub struct Global {
    /// The database: postgresql://USER@HOST:PORT/NAME, or libpq's key=value form.
    ///
    /// Other users of the machine can read it in the process list: better set DATABASE_URL, and keep the password in
    /// PGPASSWORD or ~/.pgpass.
    #[arg(long, global = true, value_name = "URL", help_heading = "Connection", conflicts_with = "local")]
    pub database_url: Option<String>,

    /// Use a private PostgreSQL that this tool creates, starts and keeps on this machine.
    #[arg(long, global = true, help_heading = "Connection")]
    pub local: bool,

    /// Refuse a server that is not on this machine unless its certificate is checked: sslmode=verify-full.
    ///
    /// Where no mode is set, verify-full is used; a weaker one in the URL, a service file or PGSSLMODE is an error.
    /// Without this flag it is a warning. OPTIINFRA_REQUIRE_TLS=1 means the same.
    #[arg(long, global = true, help_heading = "Connection")]
    pub require_tls: bool,

    /// Where no server answers yet, or it starts, try again for so long, such as 30s or 5m [default: 60s].
    #[arg(long, global = true, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = parse::duration, help_heading = "Connection")]
    pub wait: Option<Option<Duration>>,

    /// When to use colours.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, help_heading = "Output")]
    pub color: Color,

    /// Log what is done to stderr; twice for more detail.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,

    /// Say nothing on stderr but errors.
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    Always,
    Never,
}

/// A command of subcommands whose results are tables.
#[derive(Debug, Args)]
pub struct Tables<A: Subcommand> {
    #[command(flatten)]
    pub output: TableOutput,
    #[command(subcommand)]
    pub action: A,
}

/// The format of a command whose result is tables.
#[derive(Debug, Args)]
pub struct TableOutput {
    /// Format of the result.
    #[arg(long, global = true, value_enum, default_value_t = TableFormat::Table, help_heading = "Output")]
    pub format: TableFormat,
}

impl TableOutput {
    /// Whether the result is a JSON document.
    pub fn is_json(&self) -> bool {
        self.format == TableFormat::Json
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// Tables for people.
    Table,
    /// One JSON document with a schema_version.
    Json,
}

/// How a file holds rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// Comma-separated values.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl FileFormat {
    pub const fn of_file(self) -> Format {
        match self {
            Self::Csv => Format::Csv,
            Self::Ndjson => Format::Ndjson,
        }
    }
}

#[derive(Debug, Args)]
pub struct Confirm {
    /// Do not ask. Needed where there is no terminal to ask on.
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct LockWait {
    /// How long to wait while another run migrates the same database, and for tables that others have locked: such as
    /// 30s, 5m or 2h.
    #[arg(long, value_name = "DURATION", default_value = "60s", allow_negative_numbers = true, value_parser = parse::duration)]
    pub lock_wait: Duration,
}
