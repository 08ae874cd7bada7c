//! `import`: the rows of a file into a table.

mod report;

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use clap::ValueEnum;
use optiinfra_db::transfer::import::{self, Options, Report, Watch};
use optiinfra_db::transfer::read::{self, Reject};
use optiinfra_db::transfer::{self, Format, Mapping};
use optiinfra_db::{Error, ingest};

use crate::args::{Global, TableOutput};
use crate::exit::Exit;
use crate::hints::Hinted;
use crate::output::{Meter, Output, WholeFile};
use crate::{hints, interrupt, parse, target};

/// Bring the rows of a file into a table: CSV, NDJSON, or samples as other tools write them.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The table.
    #[arg(value_name = "TABLE", value_parser = parse::one_of::<transfer::Table>(&transfer::Table::ALL.map(transfer::Table::as_str)))]
    pub table: transfer::Table,

    /// The file, which may be compressed with gzip or zstd; - is standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// How the file holds its rows [default: csv or ndjson, by its name, else by what it begins with].
    #[arg(long, value_name = "FORMAT", value_parser = parse::one_of::<Format>(&Format::ALL.map(Format::as_str)))]
    pub input_format: Option<Format>,

    /// What a metric of another tool is, as RESOURCE_TYPE/METRIC_NAME/UNIT, such as my_load=cpu/load/processes. Repeatable.
    #[arg(long, value_name = "METRIC=MEANING", value_parser = parse::metric)]
    pub metric: Vec<(String, transfer::Metric)>,

    /// The time of samples of another tool that have none [default: when the file was changed, of standard input now].
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub at: Option<DateTime<Utc>>,

    /// The CSV file has no header; --columns names its fields.
    #[arg(long, requires = "columns")]
    pub no_header: bool,

    /// The names of the fields of a CSV file without a header, in their order.
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',', requires = "no_header")]
    pub columns: Option<Vec<String>>,

    /// Fill this column from the field, or the label, of another name. Repeatable.
    #[arg(long, value_name = "COLUMN=FIELD", value_parser = parse::assignment)]
    pub map: Vec<(String, String)>,

    /// Give this column the same value in every row, whatever the file says. Repeatable.
    ///
    /// customer and agent take a name or an id.
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = parse::assignment)]
    pub set: Vec<(String, String)>,

    /// How times are written, as strftime has it, such as '%d.%m.%Y %H:%M:%S%.f'; UTC unless it has an offset (%z) or
    /// --time-zone is given.
    #[arg(long, value_name = "FORMAT")]
    pub time_format: Option<transfer::TimeFormat>,

    /// Where times are local that have no offset: a name such as Europe/Berlin or UTC, or an offset such as +02:00.
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub time_zone: Option<transfer::Zone>,

    /// The unquoted text that means NULL in CSV [default: an empty field; an empty text is written ""].
    #[arg(long, value_name = "TEXT")]
    pub null: Option<String>,

    /// What separates the fields of a CSV file: one ASCII character, or tab.
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    pub delimiter: u8,

    /// What begins the fraction of a number in CSV: a point, or a comma as in 12,5.
    #[arg(long, value_name = "CHARACTER", default_value = ".", value_parser = [".", ","])]
    pub decimal: String,

    /// Remove blanks around the fields of a CSV file. Without it, a text that begins or ends with one and is not in quotes
    /// makes a bad row.
    #[arg(long)]
    pub trim: bool,

    /// Leave out fields that no column takes, and metrics that are not known, instead of refusing them.
    #[arg(long)]
    pub ignore_unknown: bool,

    /// Take finite values that are out of the range of their unit, and times in the future, which `verify` reports.
    #[arg(long)]
    pub no_range_checks: bool,

    /// Leave out up to N bad rows. With more, the import fails: nothing is written, or, with --on-conflict skip, nothing
    /// more.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, value_parser = parse::whole::<u64>(0, u64::MAX))]
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
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = parse::whole::<u32>(1, 64))]
    pub connections: u32,

    /// How rows get into a table that is partitioned.
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Load::Auto)]
    pub load: Load,

    /// Memory in MiB with which the server builds an index of a whole partition [default: its maintenance_work_mem].
    #[arg(long, value_name = "MIB", value_parser = parse::whole::<u32>(1, 2_097_151))]
    pub index_memory: Option<u32>,

    /// Processes that help the server to build an index of a whole partition [default: its
    /// max_parallel_maintenance_workers].
    #[arg(long, value_name = "N", value_parser = parse::whole::<u32>(0, 1024))]
    pub index_workers: Option<u32>,

    #[command(flatten)]
    pub output: TableOutput,
}

const HELP: &str = "\
A field fills the column of its name; --map and --set say otherwise. Customers and agents may be named by id or by \
name, in the fields customer_id, customer, agent_id and agent. Without an id, a row gets one.

Times: RFC 3339, or a number since 1970: below 100000000000 it is seconds, from there on milliseconds. They are of the \
years 1 to 9999, which infinity is not. JSON is at most 127 levels deep, and its numbers fit into 64 bits.

All rows are checked before they are sent, and bad ones are reported with line, column and reason. By default everything is \
one transaction: all rows, or none. With --on-conflict skip, chunks are committed one by one and rows that are there are \
skipped, so an import that was cut short can be started again. Rows without an id get one that is derived from the row \
and its line, and need their time for it: recorded_at or created_at, by the file or by --set. An identical row, \
time included, on the same line of another file counts as a duplicate. The import stops when there are more bad rows than \
--max-rejects; what was committed stays.

Exit codes: 0 when no more than --max-rejects rows were bad, 1 when more were, 2 when the file does not fit the table or \
cannot be read to its end, as with a quote that is not closed or a row of more than 16 MiB.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnConflict {
    /// Treat them as bad rows.
    Refuse,
    /// Skip them.
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Load {
    /// As partitions, where the file has at least 5,000 rows and the table takes whole partitions.
    Auto,
    /// Into the table.
    Rows,
    /// Rows of partitions that are empty or not there go into tables of their own, which are indexed at once and attached.
    Partitions,
}

impl From<Load> for ingest::Load {
    fn from(load: Load) -> Self {
        match load {
            Load::Auto => Self::Auto,
            Load::Rows => Self::Rows,
            Load::Partitions => Self::Partitions,
        }
    }
}

/// Imports the file; more bad rows than there may be are exit code 1.
pub fn run(args: &Args, global: &Global, out: &mut Output) -> anyhow::Result<Exit> {
    if args.connections > 1 && (args.on_conflict == OnConflict::Refuse || args.dry_run) {
        bail!(Hinted::new(
            "one transaction is one connection",
            "--connections is for --on-conflict skip without --dry-run"
        ));
    }
    let source = Source::open(&args.file)?;
    refuse_overwriting(&source, args)?;
    let rejects = args.rejects.as_deref().map(Rejects::create).transpose()?;
    let mut reporter = Reporter { meter: out.meter(source.length), bytes: Arc::clone(&source.bytes), rejects };
    let time_of_file = source.changed.filter(|_| args.at.is_none());
    let report = import(args, source, global, out, &mut reporter).map_err(|error| by_name(error, &args.file))?;
    let Reporter { rejects, meter, .. } = reporter;
    meter.done(report.read);
    // The report is printed even where the rejected rows cannot be written.
    let written = rejects.map_or(Ok(()), Rejects::finish);
    report::notes(&report, args.ignore_unknown, time_of_file, out)?;
    let kept = kept(if report.dry_run { 0 } else { report.written });
    out.result(&report, &report::tables(&report, args.rejects.as_deref()))
        .with_context(|| format!("{kept}, and the report of it is not"))?;
    written.with_context(|| format!("{kept}, and the rejected rows are not"))?;
    Ok(if report.accepted { Exit::Done } else { Exit::Findings })
}

fn import(
    args: &Args,
    source: Source,
    global: &Global,
    out: &mut Output,
    reporter: &mut Reporter,
) -> anyhow::Result<Report> {
    let skips = args.on_conflict == OnConflict::Skip;
    let options = options(args, &source, skips);
    if skips && !args.dry_run {
        let pool = target::pool(global, out, "import", args.connections)?;
        let connections = usize::try_from(args.connections)?;
        let cancelled = interrupt::cancellable();
        return Ok(import::retryable(&pool, args.table, source, &options, connections, cancelled, reporter)?);
    }
    let on_conflict = if skips { ingest::OnConflict::Skip } else { ingest::OnConflict::Refuse };
    let mut conn = target::connect_to_write(global, out, "import")?;
    Ok(import::all_or_nothing(&mut conn, args.table, source, &options, on_conflict, reporter)?)
}

fn options(args: &Args, source: &Source, derive_ids: bool) -> Options {
    let mapping = Mapping {
        map: args.map.clone(),
        set: args.set.clone(),
        fields: args.columns.clone(),
        delimiter: args.delimiter,
        trim: args.trim,
        decimal_comma: args.decimal == ",",
        time_format: args.time_format.clone(),
        time_zone: args.time_zone,
        null: args.null.clone().unwrap_or_default(),
        metrics: args.metric.clone(),
        ignore_unknown: args.ignore_unknown,
        check_ranges: !args.no_range_checks,
    };
    let format = args.input_format.or(args.no_header.then_some(Format::Csv));
    let read =
        read::Options { format, named: format_of(&args.file), at: args.at.or(source.changed), mapping, derive_ids };
    let loading = ingest::Loading {
        load: args.load.into(),
        index_memory: args.index_memory,
        index_workers: args.index_workers,
        ..ingest::Loading::default()
    };
    Options { read, max_rejects: args.max_rejects, dry_run: args.dry_run, loading }
}

/// Names the input in the message of an error that is about it.
fn by_name(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let Some(Error::Transfer(of_file)) = error.downcast_ref() else { return error };
    let message = match of_file {
        transfer::Error::Input { written, source } => format!("{}: {source}; {}", name_of(path), kept(*written)),
        transfer::Error::Compressed(_) => format!("{}: {of_file}", name_of(path)),
        _ => return error,
    };
    Hinted::new(message, hints::of(&error).unwrap_or_default()).into()
}

/// What an error calls the input.
fn name_of(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("write one ASCII character that is no quote, or tab".to_owned()),
    }
}

/// The format by the file's name.
fn format_of(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "csv" => Some(Format::Csv),
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        _ => None,
    }
}

/// Refuses to overwrite the input with the rejected rows, also through a link.
fn refuse_overwriting(source: &Source, args: &Args) -> anyhow::Result<()> {
    let Some(rejects) = &args.rejects else { return Ok(()) };
    let is_same = |there: Metadata| (there.dev(), there.ino()) == source.identity;
    if std::fs::metadata(rejects).is_ok_and(is_same) {
        bail!(Hinted::new(
            format!("--rejects would overwrite the input: {} is the file to import", rejects.display()),
            "name another file"
        ));
    }
    Ok(())
}

/// The file, or standard input, whose bytes are counted.
struct Source {
    input: Box<dyn Read>,
    /// Which file it is: its device and inode.
    identity: (u64, u64),
    length: Option<u64>,
    /// When it was changed; of a pipe, now.
    changed: Option<DateTime<Utc>>,
    bytes: Arc<AtomicU64>,
}

impl Source {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let bytes = Arc::new(AtomicU64::new(0));
        let is_stdin = path == Path::new("-");
        let opened = || -> io::Result<(File, Metadata)> {
            let file = if is_stdin { io::stdin().as_fd().try_clone_to_owned()?.into() } else { File::open(path)? };
            let metadata = file.metadata()?;
            Ok((file, metadata))
        };
        let (file, metadata) = opened().with_context(|| format!("cannot open {}", name_of(path)))?;
        if metadata.is_dir() {
            bail!("cannot open {}: it is a directory", name_of(path));
        }
        // A pipe has a name and no length; of standard input, somebody may have read a part.
        let is_file = metadata.is_file() && !is_stdin;
        let length = is_file.then_some(metadata.len());
        let changed = if is_file { metadata.modified().ok().map(DateTime::from) } else { Some(Utc::now()) };
        Ok(Self { input: Box::new(file), identity: (metadata.dev(), metadata.ino()), length, changed, bytes })
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Shows how far it is, and writes the rejected rows down.
struct Reporter {
    meter: Meter,
    bytes: Arc<AtomicU64>,
    rejects: Option<Rejects>,
}

impl Watch for Reporter {
    fn rejected(&mut self, reject: &Reject) -> io::Result<()> {
        self.rejects.as_mut().map_or(Ok(()), |rejects| rejects.add(reject))
    }

    fn committing(&mut self) -> io::Result<()> {
        self.rejects.as_mut().map_or(Ok(()), Rejects::sync)
    }

    fn read(&mut self, rows: u64) {
        self.meter.at(self.bytes.load(Ordering::Relaxed), rows);
    }
}

/// The file of `--rejects`.
struct Rejects {
    writer: csv::Writer<WholeFile>,
}

impl Rejects {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let mut writer = csv::Writer::from_writer(WholeFile::create(path)?);
        writer.write_record(["line", "column", "reason", "row"])?;
        Ok(Self { writer })
    }

    fn add(&mut self, reject: &Reject) -> io::Result<()> {
        let (line, column) = (reject.line.to_string(), reject.column.as_deref().unwrap_or_default());
        let path = reject.path.as_ref().map(|path| format!("{path}: ")).unwrap_or_default();
        let reason = path + &reject.reason;
        self.writer.write_record([line.as_bytes(), column.as_bytes(), reason.as_bytes(), &reject.raw])?;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().sync()
    }

    fn finish(self) -> anyhow::Result<()> {
        let file = self.writer.into_inner().map_err(csv::IntoInnerError::into_error);
        file.and_then(WholeFile::finish).context("cannot write the rejected rows")
    }
}

/// What stays of an import that ends with an error.
fn kept(written: u64) -> String {
    match written {
        0 => "nothing was committed".to_owned(),
        1 => "1 row was committed".to_owned(),
        many => format!("{many} rows were committed"),
    }
}
