//! The only file that prints. stdout is the result, stderr is the talk.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs::Permissions;
use std::io::{self, BufRead, BufWriter, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice, StripStream};
use anstyle::{AnsiColor, Style};
use anyhow::{Context, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, TableStyle};
use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as DieselError};
use indicatif::{ProgressBar, ProgressStyle};
use optiinfra_db::layer::Layer;
use serde::Serialize;
use tempfile::NamedTempFile;
use tracing_subscriber::EnvFilter;

use crate::cli::{Color, Format, Global};
use crate::exit::Exit;
use crate::interrupt;

/// Version of the JSON documents. Fields are only ever added; a change of one raises it.
const SCHEMA_VERSION: u32 = 1;

/// Bytes that are handed to stdout at a time.
const STREAM_BUFFER: usize = 64 * 1024;

/// Terminals narrower than this get lines as long as they are.
const NARROWEST: u16 = 40;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
const TITLE: Style = Style::new().bold();

/// What is said where a result cannot be printed.
const NO_STDOUT: &str = "cannot write to stdout";

/// Where everything goes that a person or a program is to read.
pub struct Output {
    format: Format,
    quiet: bool,
    has_screen: bool,
    stdout: AutoStream<io::Stdout>,
    stderr: AutoStream<io::Stderr>,
}

/// A table with a line above it.
pub struct Table {
    title: String,
    headers: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// What is being done, on a terminal; nothing elsewhere.
pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
}

/// How far the reading of an input is.
pub struct Meter {
    bar: ProgressBar,
    /// The length, where lines are written instead of a bar.
    length: Option<u64>,
    tenths: u64,
    begun: Instant,
}

const METER: &str = "[{bar:30}] {percent} % {msg}, {eta} left";
const METER_WITHOUT_LENGTH: &str = "{spinner} {msg} in {elapsed}";

/// The terminal as a whole, given back when this goes.
pub struct Screen {
    is_taken: bool,
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_taken {
            // Nothing is left to tell when the terminal is gone.
            let _ = io::stdout().write_all(b"\x1b[?25h\x1b[?1049l");
            let _ = io::stdout().flush();
        }
    }
}

#[derive(Serialize)]
struct Document<'a, T> {
    schema_version: u32,
    #[serde(flatten)]
    body: &'a T,
}

impl Output {
    /// Output as the user asked for it. Also sends log lines to stderr.
    pub fn new(global: &Global) -> Self {
        let choice = match global.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let stderr = AutoStream::new(io::stderr(), choice);
        log(global, stderr.current_choice() != ColorChoice::Never);
        Self {
            format: global.format,
            quiet: global.quiet,
            has_screen: false,
            stdout: AutoStream::new(io::stdout(), choice),
            stderr,
        }
    }

    /// Prints a result: the tables, or the body as a JSON document.
    pub fn result<T: Serialize>(&mut self, body: &T, tables: &[Table]) -> anyhow::Result<()> {
        match self.format {
            Format::Json => self.rendered(&json(body)?),
            _ if self.has_screen => self.redraw(tables),
            // Other formats are a command's own: it renders them and calls `rendered`.
            _ => print_all(tables, &mut self.stdout).and_then(|()| self.stdout.flush()).context(NO_STDOUT),
        }
    }

    /// Takes the whole terminal for results that replace each other; nothing where there is none.
    pub fn take_screen(&mut self) -> io::Result<Screen> {
        self.has_screen = io::stdout().is_terminal();
        if self.has_screen {
            // Colours may be off; this is no colour.
            io::stdout().write_all(b"\x1b[?1049h\x1b[?25l")?;
        }
        Ok(Screen { is_taken: self.has_screen })
    }

    /// Draws as much as fits on the screen.
    fn redraw(&mut self, tables: &[Table]) -> anyhow::Result<()> {
        let mut drawn = AutoStream::new(Vec::new(), self.stdout.current_choice());
        print_all(tables, &mut drawn)?;
        let drawn = String::from_utf8(drawn.into_inner())?;
        let height = terminal_size::terminal_size().map_or(24, |(_, height)| usize::from(height.0));
        let lines: Vec<_> = drawn.lines().collect();
        let more = lines.len().saturating_sub(height.saturating_sub(1));
        let shown = lines[..lines.len() - more].join("\r\n");
        let below = if more > 0 { format!(", {more} more lines below") } else { String::new() };
        let text = format!("\x1b[H\x1b[2J{shown}\r\n{}, Ctrl-C ends{below}", time(Utc::now()));
        io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()).context(NO_STDOUT)
    }

    /// Prints a result that its command has rendered, as it is.
    pub fn rendered(&mut self, text: &str) -> anyhow::Result<()> {
        self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush()).context(NO_STDOUT)
    }

    /// Where a result goes that is a file: byte by byte as it is.
    pub fn stream(&mut self) -> impl Write {
        BufWriter::with_capacity(STREAM_BUFFER, io::stdout().lock())
    }

    /// Prints a result that is a text for people: the text, or the body as a JSON document.
    pub fn text<T: Serialize>(&mut self, body: &T, text: &str) -> anyhow::Result<()> {
        if self.format == Format::Json {
            return self.result(body, &[]);
        }
        self.rendered(text)
    }

    /// The format that the user asked for.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Prints a result that is one line in every format.
    pub fn line(&mut self, text: &str) -> anyhow::Result<()> {
        self.rendered(&format!("{text}\n"))
    }

    /// Says something by the way.
    pub fn note(&mut self, text: &str) -> anyhow::Result<()> {
        if !self.quiet {
            writeln!(self.stderr, "{text}")?;
        }
        Ok(())
    }

    /// Shows on a terminal what is being done.
    pub fn progress(&self) -> Progress {
        let bar = if self.quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Progress { bar, quiet: self.quiet }
    }

    /// Shows how far the reading of an input of so many bytes is: on a terminal as a bar, elsewhere a line for each
    /// tenth. Without a length there is nothing to be far in.
    pub fn meter(&self, length: Option<u64>) -> Meter {
        let bar = match length {
            _ if self.quiet => ProgressBar::hidden(),
            Some(length) => ProgressBar::new(length),
            None => ProgressBar::no_length(),
        };
        let template = if length.is_some() { METER } else { METER_WITHOUT_LENGTH };
        let style = ProgressStyle::with_template(template).map(|style| style.progress_chars("=> "));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let has_lines = !self.quiet && !io::stderr().is_terminal();
        Meter { bar, length: length.filter(|_| has_lines), tenths: 0, begun: Instant::now() }
    }

    /// Shows what would be lost and asks whether to go on; an error means no.
    pub fn confirm(&mut self, loss: &[Table], what: &str) -> anyhow::Result<()> {
        for table in loss {
            table.print(&mut self.stderr)?;
        }
        if !io::stdin().is_terminal() {
            bail!(Hinted { message: format!("refused to {what} without being asked"), hint: "pass --yes".to_owned() });
        }
        write!(self.stderr, "Type yes to {what}: ")?;
        self.stderr.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if answer.trim() != "yes" {
            bail!("nothing was changed, because the answer was not yes");
        }
        Ok(())
    }

    /// Prints an error: what failed, why, what the server adds, and what to do.
    pub fn error(&mut self, error: &anyhow::Error) {
        // Nothing is left to report to when stderr is gone.
        let _ = self.try_error(error);
    }

    fn try_error(&mut self, error: &anyhow::Error) -> io::Result<()> {
        writeln!(self.stderr, "{ERROR}error:{ERROR:#} {error}")?;
        for cause in error.chain().skip(1) {
            writeln!(self.stderr, "  because {cause}")?;
        }
        if let Some(DieselError::DatabaseError(kind, info)) = error.chain().find_map(|cause| cause.downcast_ref()) {
            let parts = [
                ("detail", detail(kind, info.as_ref())),
                ("server hint", info.hint()),
                ("table", info.table_name()),
                ("column", info.column_name()),
                ("constraint", info.constraint_name()),
            ];
            for (name, text) in parts {
                if let Some(text) = text.filter(|text| !text.is_empty()) {
                    writeln!(self.stderr, "  {name}: {text}")?;
                }
            }
        }
        if let Some(optiinfra_db::Error::Edited { diff, .. }) = error.downcast_ref() {
            write!(self.stderr, "{diff}")?;
        }
        let hint = match (error.downcast_ref::<optiinfra_db::Error>(), error.downcast_ref::<Hinted>()) {
            (Some(error), _) => error.hint(),
            (None, Some(hinted)) => Some(hinted.hint.clone()),
            (None, None) => None,
        };
        if let Some(hint) = hint {
            writeln!(self.stderr, "{HINT}hint:{HINT:#} {hint}")?;
        }
        Ok(())
    }
}

/// What the server adds to an error, unless it may show a secret: the detail of a refused row is the row, and that of
/// a key that is there twice is the key. The column and the constraint say which it is without the values.
fn detail<'a>(kind: &DatabaseErrorKind, info: &'a dyn DatabaseErrorInformation) -> Option<&'a str> {
    let detail = info.details()?;
    let may_show = match (kind, info.table_name()) {
        (DatabaseErrorKind::NotNullViolation | DatabaseErrorKind::CheckViolation, _) => true,
        (_, Some(table)) => table == "customers" || Layer::of_table(table).is_none(),
        // A view that refuses a row names no table.
        (_, None) => detail.contains('('),
    };
    Some(if may_show { "withheld, because it may show a secret" } else { detail })
}

/// Prints help, or what is wrong with the arguments; that would repeat an argument, and a URL may hold a password.
pub fn usage(error: &clap::Error, arguments: impl Iterator<Item = OsString>) -> Exit {
    let text = error.to_string();
    let is_secret = |argument: &str| argument.contains("://") || argument.contains("password");
    let repeats = |argument: &str| text.contains(argument.split_once("://").map_or(argument, |(_, rest)| rest));
    // Nothing is left to report to when the stream is gone.
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    let _ = if error.use_stderr() && arguments.any(|argument| is_secret(&argument) && repeats(&argument)) {
        let mut stderr = AutoStream::auto(io::stderr());
        writeln!(stderr, "{ERROR}error:{ERROR:#} a database URL stands where none belongs")
            .and_then(|()| writeln!(stderr, "{HINT}hint:{HINT:#} give it as --database-url URL or in DATABASE_URL"))
    } else {
        error.print()
    };
    if error.use_stderr() { Exit::Refused } else { Exit::Done }
}

/// Says that a signal ended the command, and what that leaves. Not a method, because it may come from another thread.
pub fn interrupted(state: &str) {
    let mut stderr = io::stderr();
    // A progress line may stand where the cursor is.
    let clear = if stderr.is_terminal() { "\r\x1b[2K" } else { "" };
    // Nothing is left to report to when stderr is gone.
    let _ = writeln!(stderr, "{clear}interrupted: {state}");
}

/// A body as a JSON document with its version.
pub fn json<T: Serialize>(body: &T) -> anyhow::Result<String> {
    let document = Document { schema_version: SCHEMA_VERSION, body };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Tables as plain text.
pub fn plain(tables: &[Table]) -> anyhow::Result<String> {
    let mut plain = StripStream::new(Vec::new());
    print_all(tables, &mut plain)?;
    Ok(String::from_utf8(plain.into_inner())?)
}

fn print_all(tables: &[Table], to: &mut impl Write) -> io::Result<()> {
    for (at, table) in tables.iter().enumerate() {
        if at > 0 {
            writeln!(to)?;
        }
        table.print(to)?;
    }
    Ok(())
}

/// Writes a file beside its place and moves it there, so that a reader sees the old one or the new one, whole.
pub fn write_atomically(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = WholeFile::create(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.finish());
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// A file that appears in its place once it is whole, and not at all otherwise.
pub struct WholeFile {
    file: BufWriter<NamedTempFile>,
    unfinished: PathBuf,
    path: PathBuf,
}

impl WholeFile {
    /// Begins a file beside its place.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // Collectors run as another user and read every file of theirs by its ending.
        builder.prefix(".optiinfra-dbctl-").suffix(".tmp").permissions(Permissions::from_mode(0o666));
        let file = builder.tempfile_in(folder).with_context(|| format!("cannot write {}", path.display()))?;
        let unfinished = file.path().to_owned();
        interrupt::begin_file(&unfinished);
        Ok(Self { file: BufWriter::new(file), unfinished, path: path.to_owned() })
    }

    /// Moves it to its place.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().as_file().sync_all()?;
        interrupt::end_file(&self.unfinished);
        let (file, _) = self.file.into_parts();
        file.persist(&self.path)?;
        Ok(())
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// An error of the binary's own with the next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hinted {
    pub message: String,
    pub hint: String,
}

impl Display for Hinted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

impl Progress {
    /// Says what is being done now.
    pub fn doing(&self, text: &str) {
        self.bar.set_message(text.to_owned());
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }

    /// Says something that stays.
    #[expect(clippy::print_stderr, reason = "this file prints, and the bar has to step aside for the line")]
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| eprintln!("{text}"));
        }
    }
}

impl Meter {
    /// Says that so many bytes and rows were read, and that there is more.
    pub fn at(&mut self, bytes: u64, rows: u64) {
        // Bytes are read ahead of the rows in them: the last tenth is told when all is done.
        let tenths = self.length.map_or(0, |length| bytes.saturating_mul(10).checked_div(length).unwrap_or(0).min(9));
        let told = self.line(tenths, rows);
        self.bar.set_position(bytes);
        self.bar.set_message(told);
    }

    /// Says that all was read.
    pub fn done(mut self, rows: u64) {
        self.line(10, rows);
    }

    /// Writes a line where a tenth more is done and lines are written; returns what it says.
    #[expect(clippy::print_stderr, reason = "this file prints, and there is no bar where a line is written")]
    fn line(&mut self, tenths: u64, rows: u64) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
        let rate = rows as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        let told = format!("{rows} rows, {rate:.0} rows/s");
        if self.length.is_some() && tenths > self.tenths {
            self.tenths = tenths;
            eprintln!("{} %: {told}", tenths * 10);
        }
        told
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Table {
    /// A table with its headings.
    pub fn new(headers: &[&str]) -> Self {
        let headers = headers.iter().map(|header| (*header).to_owned()).collect();
        Self { title: String::new(), headers, rows: Vec::new() }
    }

    /// Puts a line above the table.
    #[must_use]
    pub fn titled(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }

    /// Adds a row, a cell a heading.
    pub fn row<const N: usize>(&mut self, cells: [impl Into<String>; N]) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn print(&self, to: &mut impl Write) -> io::Result<()> {
        if !self.title.is_empty() {
            writeln!(to, "{TITLE}{}{TITLE:#}", self.title)?;
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut table = comfy_table::Table::new();
        table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('-').junction(' ')));
        // A terminal that does not know its width would have every cell wrapped to one character.
        if table.width().is_some_and(|width| width >= NARROWEST) {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        table.set_header(&self.headers);
        for row in &self.rows {
            table.add_row(row.iter().map(Cell::new));
        }
        for (at, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            let is_number = |row: &Vec<String>| row.get(at).is_some_and(|cell| is_number(cell));
            if at > 0 && self.rows.iter().all(is_number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(to, "{}", table.trim_fmt())
    }
}

/// Whether a cell holds a number, with or without a unit behind it, or nothing.
fn is_number(cell: &str) -> bool {
    cell.trim_start_matches('~').split_whitespace().next().is_none_or(|first| first.parse::<f64>().is_ok())
}

/// A time for people, to the second.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A number of bytes for people, in steps of 1024.
pub fn bytes(count: i64) -> String {
    let (mut scaled, mut unit) = (count, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if scaled < 10 * 1024 {
            break;
        }
        (scaled, unit) = (scaled / 1024, larger);
    }
    format!("{scaled} {unit}")
}

/// A duration for people, in its largest unit.
pub fn seconds(count: f64) -> String {
    let units = [(86_400.0, "d"), (3600.0, "h"), (60.0, "min")];
    let unit = units.into_iter().find(|(size, _)| count >= 2.0 * size);
    unit.map_or_else(|| format!("{count:.0} s"), |(size, name)| format!("{:.1} {name}", count / size))
}

/// A line of at most 24 values drawn with characters between `low` and `high`; a gap where a value is not a number.
pub fn sparkline(values: &[f64], low: f64, high: f64) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: [char; 8] = ['.', ':', '-', '=', '+', '*', '#', '@'];
    let glyphs = if is_utf8() { BLOCKS } else { ASCII };
    let glyph = |group: &[f64]| {
        #[expect(clippy::cast_precision_loss, reason = "an average of few values")]
        let share = (group.iter().sum::<f64>() / group.len() as f64 - low) / (high - low);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 7")]
        let step = (share * 8.0).clamp(0.0, 7.0) as usize;
        if share.is_nan() { ' ' } else { glyphs[step] }
    };
    values.chunks(values.len().div_ceil(24).max(1)).map(glyph).collect()
}

/// Whether the terminal can show more than ASCII, as far as the locale tells.
fn is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// Sends log lines to stderr: warnings, more with -v, or what `RUST_LOG` says.
fn log(global: &Global, color: bool) {
    let default = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(color)
        .with_target(false)
        .init();
}
