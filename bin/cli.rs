//! Every flag and its help. Nothing here does anything.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use optiinfra_db::layer::Layer;
use optiinfra_db::roles::Prefix;
use optiinfra_db::transfer;

use crate::csv;
use crate::hints::Hinted;

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
    #[command(subcommand)]
    pub command: Command,
}

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
    /// A mode that nobody named becomes verify-full; a lesser one in the URL, a service file or PGSSLMODE is an error.
    /// Without this flag a lesser mode is warned of. OPTIINFRA_REQUIRE_TLS=1 means the same.
    #[arg(long, global = true, help_heading = "Connection")]
    pub require_tls: bool,

    /// Format of the result.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, help_heading = "Output")]
    pub format: Format,

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
pub enum Format {
    /// Tables for people.
    Table,
    /// One JSON document with a schema_version.
    Json,
    /// JUnit's XML, for continuous integration: `verify`.
    Junit,
    /// Comma-separated values: `stats`, `export`.
    Csv,
    /// One JSON object a line: `export`.
    Ndjson,
    /// Prometheus' text format, for the textfile collector: `stats`.
    Prometheus,
    /// One self-contained page: `stats`.
    Html,
}

impl Format {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Apply pending migrations; or show and revert them.
    #[command(args_conflicts_with_subcommands = true)]
    Migrate {
        #[command(flatten)]
        apply: Apply,
        #[command(subcommand)]
        action: Option<MigrateAction>,
    },
    /// Insert the platform's example data, or a made-up fleet of any size.
    #[command(args_conflicts_with_subcommands = true)]
    Seed {
        #[command(flatten)]
        layers: SeedLayers,
        #[command(subcommand)]
        action: Option<SeedAction>,
    },
    /// Check the database against what the code and the platform's documents expect.
    Verify(Verify),
    /// Show what is in the database, and its health.
    Stats(Stats),
    /// Create the platform's database roles, or compare them with what they should be.
    Roles {
        #[command(subcommand)]
        action: RolesAction,
    },
    /// Bring the rows of a CSV or NDJSON file into a table.
    #[command(after_help = IMPORT_HELP)]
    Import(Import),
    /// Write the rows of a table as CSV or NDJSON, which import reads back to the same rows.
    #[command(after_help = EXPORT_HELP)]
    Export(Export),
    /// Control the private PostgreSQL that --local uses.
    Local {
        #[command(subcommand)]
        action: LocalAction,
    },
}

impl Command {
    /// The formats that it takes.
    pub const fn formats(&self) -> &'static [Format] {
        use Format::{Csv, Html, Json, Junit, Ndjson, Prometheus, Table};
        match self {
            Self::Stats(_) => &[Table, Json, Csv, Prometheus, Html],
            Self::Migrate { .. } | Self::Seed { .. } | Self::Import(_) | Self::Roles { .. } | Self::Local { .. } => {
                &[Table, Json]
            }
            Self::Export(_) => &[Csv, Ndjson],
            Self::Verify(_) => &[Table, Json, Junit],
        }
    }

    /// Refuses a format that it does not take.
    pub fn check_format(&self, format: Format) -> Result<(), Hinted> {
        // The default of all commands: a table's file format is CSV.
        let is_default = matches!(self, Self::Export(_)) && format == Format::Table;
        if is_default || self.formats().contains(&format) {
            return Ok(());
        }
        let mut names: Vec<_> = self.formats().iter().map(|format| format.name()).collect();
        let last = names.pop().unwrap_or_default();
        Err(Hinted {
            message: format!("{} has no format '{}'", self.name(), format.name()),
            hint: format!("pass --format {} or {last}", names.join(", ")),
        })
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Migrate { .. } => "migrate",
            Self::Seed { .. } => "seed",
            Self::Verify(_) => "verify",
            Self::Stats(_) => "stats",
            Self::Roles { .. } => "roles",
            Self::Import(_) => "import",
            Self::Export(_) => "export",
            Self::Local { .. } => "local",
        }
    }
}

#[derive(Debug, Args)]
pub struct Apply {
    /// Go to this version, forward or back: its digits or its folder's name [default: the newest].
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    #[command(flatten)]
    pub confirm: Confirm,
    #[command(flatten)]
    pub lock: LockWait,
}

#[derive(Debug, Args)]
pub struct LockWait {
    /// Seconds to wait while another run migrates the same database, and for tables that others have locked.
    #[arg(long, value_name = "SECONDS", default_value = "60", allow_negative_numbers = true, value_parser = seconds)]
    pub lock_wait: Duration,
}

#[derive(Debug, Subcommand)]
pub enum MigrateAction {
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
        #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = whole::<u32>(1, 1000))]
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

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct RevertTo {
    /// Number of migrations to undo.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>(1, 1000))]
    pub steps: Option<u32>,
    /// Undo everything newer than this version: its digits or its folder's name.
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// Undo everything.
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Args)]
pub struct Confirm {
    /// Do not ask. Needed where there is no terminal to ask on.
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct SeedLayers {
    /// Layers to seed: core, agent_state, workflow_history, resource, application.
    #[arg(value_name = "LAYER", conflicts_with = "all")]
    pub layers: Vec<Layer>,

    /// Seed every layer.
    #[arg(long)]
    pub all: bool,

    /// The time that the seed's times are relative to, as RFC 3339 [default: now].
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<DateTime<Utc>>,

    /// Show what would be inserted. Writes nothing.
    #[arg(long, conflicts_with_all = ["reset", "remove"])]
    pub plan: bool,

    /// Remove the rows that the seed owns, then insert them anew.
    #[arg(long, conflicts_with = "remove")]
    pub reset: bool,

    /// Remove the rows that the seed owns.
    #[arg(long)]
    pub remove: bool,

    #[command(flatten)]
    pub confirm: Confirm,
}

impl SeedLayers {
    /// The layers that are meant; to name none is an error.
    pub fn chosen(&self) -> Result<&[Layer], Hinted> {
        match (self.all, self.layers.as_slice()) {
            (true, _) => Ok(&Layer::ALL),
            (false, []) => Err(Hinted {
                message: "no layer is named".to_owned(),
                hint: "name layers, or pass --all; `optiinfra-dbctl help seed` lists them".to_owned(),
            }),
            (false, layers) => Ok(layers),
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum SeedAction {
    /// Fill the database with a made-up fleet: instances, scaling, answers and regressions, as real ones would.
    ///
    /// The same numbers give the same rows on every machine. A run that was cut short is completed by the same command.
    Fleet(Fleet),
}

#[derive(Debug, Args)]
pub struct Fleet {
    /// How many customers [default: 5].
    #[arg(long, value_name = "C", allow_negative_numbers = true, value_parser = whole::<u16>(1, 65_535))]
    pub customers: Option<u16>,

    /// How many instances each customer has; about three in five are in service, the others are there to scale [default: 20].
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u16>(1, 65_535))]
    pub instances: Option<u16>,

    /// How many hours it goes back [default: 24].
    #[arg(long, value_name = "H", allow_negative_numbers = true, value_parser = whole::<u16>(1, 65_535))]
    pub hours: Option<u16>,

    /// Seconds from one sample of an instance to the next, at most the hours that the fleet goes back [default: 300].
    #[arg(long, value_name = "S", allow_negative_numbers = true, value_parser = whole::<NonZeroU16>(1, 65_535))]
    pub interval: Option<NonZeroU16>,

    /// Which fleet: two with different seeds live side by side.
    #[arg(long, value_name = "X", default_value_t = 1)]
    pub rng_seed: u64,

    /// The time of the last sample, as RFC 3339 [default: that of the fleet that is there, else now].
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<DateTime<Utc>>,

    /// Number of connections that write at once.
    #[arg(long, value_name = "N", default_value_t = 2, allow_negative_numbers = true, value_parser = whole::<u32>(1, 64))]
    pub connections: u32,

    /// Show what would be inserted. Writes nothing.
    #[arg(long, conflicts_with = "remove")]
    pub plan: bool,

    /// Remove the rows of the fleet with this --rng-seed, and no others.
    ///
    /// Its customers say with which numbers it was made. Where none is left that does, give them and --at.
    #[arg(long)]
    pub remove: bool,

    #[command(flatten)]
    pub confirm: Confirm,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Also fail when a layer has no seed data at all. Partly missing seed data always fails.
    ///
    /// A layer counts as seeded when the row is there that most of its others need, such as the first customer.
    #[arg(long)]
    pub seed: bool,

    /// Also prove by doing that constraints, defaults and triggers work: writes rows and rolls them back.
    #[arg(long)]
    pub probes: bool,

    /// Time limit for one statement, in seconds; checks that take longer are skipped. 0 is no limit.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub limit: Duration,

    /// A skipped check counts as a finding: exit 1.
    #[arg(long)]
    pub no_skips: bool,

    /// Show each check that passed, not only their number; so does -v.
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Args)]
pub struct Stats {
    /// Only the rows of this customer. Tables, indexes and agents are everybody's all the same.
    #[arg(long, value_name = "ID|NAME")]
    pub customer: Option<String>,

    /// Only what happened since: a duration such as 90s, 30m, 24h, 7d, 2w, or a time as RFC 3339.
    #[arg(long, value_name = "DURATION|TIME", value_parser = since)]
    pub since: Option<Since>,

    /// Count the rows of every table instead of showing the planner's estimate, and sum up all samples and answers
    /// instead of the newest 250,000 of each.
    #[arg(long)]
    pub exact: bool,

    /// Only this part of the report: its table, or in csv a column a field.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(csv::section_names()))]
    pub section: Option<String>,

    /// Show it again every SECONDS seconds, what changes first, until Ctrl-C: anew on a terminal, one after the other
    /// elsewhere [default: 2].
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = interval)]
    pub watch: Option<Duration>,

    /// Write to this file instead of stdout: whole or not at all.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Import {
    /// The table: resource_metrics, quality_metrics, agent_metrics or events.
    #[arg(value_name = "TABLE")]
    pub table: transfer::Table,

    /// The file, which may be compressed with gzip; - is standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// How the file holds its rows [default: by its name, else by what it begins with].
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub input_format: Option<InputFormat>,

    /// The CSV file has no header; --columns names its fields.
    #[arg(long, requires = "columns")]
    pub no_header: bool,

    /// The names of the fields of a CSV file without a header, in their order.
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',', requires = "no_header")]
    pub columns: Option<Vec<String>>,

    /// Fill this column from the field of another name. Repeatable.
    #[arg(long, value_name = "COLUMN=FIELD", value_parser = assignment)]
    pub map: Vec<(String, String)>,

    /// Give this column the same value in every row, whatever the file says. Repeatable.
    ///
    /// customer and agent take a name or an id.
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,

    /// How times are written, as strftime has it, such as '%d.%m.%Y %H:%M:%S%.f'; UTC unless it has an offset (%z).
    #[arg(long, value_name = "FORMAT")]
    pub time_format: Option<transfer::TimeFormat>,

    /// The unquoted text that stands for NULL in CSV [default: an empty field; an empty text is written ""].
    #[arg(long, value_name = "TEXT")]
    pub null: Option<String>,

    /// Leave out fields that no column takes, instead of refusing them.
    #[arg(long)]
    pub ignore_unknown: bool,

    /// Take finite values that are out of the range of their unit, and times in the future: `verify` tells of them.
    #[arg(long)]
    pub no_range_checks: bool,

    /// Leave out up to N bad rows. With more, the import fails: nothing is written, or, with --on-conflict skip, nothing
    /// more.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_rejects: u64,

    /// Write bad rows to this file, as CSV of line, column, reason and row: whole or not at all.
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,

    /// Try everything, then roll it back. Writes nothing that stays.
    #[arg(long)]
    pub dry_run: bool,

    /// What to do with rows whose id or request_id already exists.
    #[arg(long, value_enum, default_value_t = OnConflict::Refuse)]
    pub on_conflict: OnConflict,

    /// Number of connections that write at once. For --on-conflict skip.
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = whole::<u32>(1, 64))]
    pub connections: u32,
}

const IMPORT_HELP: &str = "\
A field fills the column of its name; --map and --set say otherwise. Customers and agents may be named by id or by
name, in the fields customer_id, customer, agent_id and agent. Without an id, a row gets one.

Times: RFC 3339, or a number since 1970: below 100000000000 it is seconds, from there on milliseconds. They are of the
years 1 to 9999, which infinity is not. JSON is at most 127 levels deep, and its numbers fit into 64 bits.

All rows are checked before they are sent, and bad ones are reported with line, column and reason. By default everything is
one transaction: all rows, or none. With --on-conflict skip, chunks are committed one by one and rows that are there are
skipped, so an import that was cut short can be started again. Rows without an id get one that is derived from the row
and its line, and need their time for it: recorded_at or created_at, by the file or by --set. The same row, time included, on
the same line of another file is taken for the same row. One bad row too many ends the writing, and what was committed
stays.

Exit codes: 0 when no more than --max-rejects rows were bad, 1 when more were, 2 when the file does not fit the table or
cannot be read to its end, as with a quote that is not closed or a row of more than 16 MiB.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// Comma-separated values.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnConflict {
    /// Treat them as bad rows.
    Refuse,
    /// Skip them.
    Skip,
}

#[derive(Debug, Args)]
pub struct Export {
    /// The table: resource_metrics, quality_metrics, agent_metrics or events.
    #[arg(value_name = "TABLE")]
    pub table: transfer::Table,

    /// Only the rows of this customer.
    #[arg(long, value_name = "ID|NAME")]
    pub customer: Option<String>,

    /// Only rows of this time and later: a duration such as 90s, 30m, 24h, 7d, 2w, or a time as RFC 3339.
    #[arg(long, value_name = "DURATION|TIME", value_parser = since)]
    pub since: Option<Since>,

    /// Only rows before this time, given as for --since, which must be earlier.
    #[arg(long, value_name = "DURATION|TIME", value_parser = since)]
    pub until: Option<Since>,

    /// Write to this file instead of stdout: whole or not at all. - is stdout.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

const EXPORT_HELP: &str = "\
The format is csv unless --format ndjson is given. All columns are there; the rows have no order. Times are UTC. In CSV,
NULL is an empty field and an empty text is \"\", as PostgreSQL's COPY has it. In NDJSON, NaN and Infinity are strings.

import refuses of it times outside the years 1 to 9999, such as infinity, and in JSON more than 127 levels and numbers
outside 64 bits; values out of their range need its --no-range-checks.";

/// The first second that PostgreSQL has, as seconds since 1970: the 24th of November 4714 BC.
const FIRST_SECOND: i64 = -210_866_803_200;

/// A point in time, as seen from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    Ago(TimeDelta),
    Time(DateTime<Utc>),
}

impl Since {
    /// The time; `None` when it is before the first that PostgreSQL has.
    pub fn time(self) -> Option<DateTime<Utc>> {
        let time = match self {
            Self::Ago(duration) => Utc::now().checked_sub_signed(duration)?,
            Self::Time(time) => time,
        };
        (time.timestamp() >= FIRST_SECOND).then_some(time)
    }
}

#[derive(Debug, Subcommand)]
pub enum RolesAction {
    /// Show the SQL that `apply` would run. Writes nothing.
    Plan(RolesApply),
    /// Create the roles and grant or revoke rights until they match the list, in one transaction.
    ///
    /// A second time it changes nothing. No password is set: do that with \password in psql. Run it again after migrations
    /// that add columns or tables.
    Apply(RolesApply),
    /// List every role, right, membership, policy and owner that is missing or extra; exit with 1 if there is any.
    Check(RolesPrefix),
}

#[derive(Debug, Args)]
pub struct RolesApply {
    #[command(flatten)]
    pub prefix: RolesPrefix,

    /// Make the owner role the owner of the tables, types and functions. Whoever owns them now loses them.
    #[arg(long)]
    pub take_ownership: bool,
}

#[derive(Debug, Args)]
pub struct RolesPrefix {
    /// Prefix of the role names. Roles belong to the whole cluster, which may hold several databases of the platform.
    #[arg(long, value_name = "PREFIX", default_value_t = Prefix::default())]
    pub prefix: Prefix,
}

#[derive(Debug, Subcommand)]
pub enum LocalAction {
    /// Create it where it is missing and start it where it is down.
    Start,
    /// Stop its server. The data stays.
    Stop,
    /// Show what it is doing. Starts nothing.
    Status,
    /// Print its URL, for other programs. Starts nothing.
    Url,
    /// Stop its server and remove all its data.
    Destroy {
        #[command(flatten)]
        confirm: Confirm,
    },
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (left, right) = text.split_once('=').ok_or("write it as COLUMN=...")?;
    Ok((left.trim().to_owned(), right.to_owned()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse::<f64>().ok();
    let duration = number.and_then(|number| Duration::try_from_secs_f64(number).ok());
    duration.ok_or_else(|| "must be a number of seconds, 0 or more".to_owned())
}

/// A parser of whole numbers with both ends of the range.
fn whole<T: FromStr + Clone + Send + Sync + 'static>(first: u32, last: u32) -> impl TypedValueParser<Value = T> {
    move |text: &str| {
        let is_within = text.parse::<u32>().is_ok_and(|number| (first..=last).contains(&number));
        let number = text.parse::<T>().ok().filter(|_| is_within);
        number.ok_or_else(|| format!("must be a whole number from {first} to {last}"))
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = seconds(text)?;
    if interval < Duration::from_millis(100) { Err("must be at least 0.1 seconds".to_owned()) } else { Ok(interval) }
}

fn since(text: &str) -> Result<Since, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];
    for (unit, seconds) in units {
        if let Some(count) = text.strip_suffix(unit).and_then(|count| count.parse::<u32>().ok()) {
            return Ok(Since::Ago(TimeDelta::seconds(i64::from(count) * seconds)));
        }
    }
    time(text).map(Since::Time).map_err(|error| format!("{error}, nor a duration such as 24h or 7d"))
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.with_timezone(&Utc)).map_err(|_| "not a time such as 2025-10-20T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use clap::CommandFactory;

    use super::{Since, since};

    #[test]
    fn the_flags_are_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn since_is_a_duration_or_a_time() {
        assert_eq!(since("24h"), Ok(Since::Ago(TimeDelta::hours(24))));
        assert_eq!(since("2w"), Ok(Since::Ago(TimeDelta::days(14))));
        let time = "2025-10-20T12:00:00Z";
        assert_eq!(since(time), Ok(Since::Time(time.parse().unwrap())));
        for wrong in ["24", "h", "-1h", "yesterday", "24 h", "99999999999s", ""] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
        assert!(Since::Ago(TimeDelta::seconds(i64::from(u32::MAX) * 604_800)).time().is_none());
        assert!(since("400000w").unwrap().time().is_none());
        assert!(since("300000w").unwrap().time().is_some());
    }
}
