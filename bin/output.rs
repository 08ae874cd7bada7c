//! The only file that prints. stdout is the result, stderr is the talk.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, BufRead, BufWriter, IntoInnerError, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::{
    self,
    fs::{MetadataExt, PermissionsExt},
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice, StripStream};
use anstyle::{AnsiColor, Style};
use anyhow::{Context, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Cell, CellAlignment, LineStyle, TableStyle};
use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as DieselError};
use indicatif::{ProgressBar, ProgressStyle};
use optiinfra_db::layer::Layer;
use serde::Serialize;
use tempfile::NamedTempFile;
use tracing_subscriber::EnvFilter;

use crate::args::{Color, Global};
use crate::exit::Exit;
use crate::hints::{self, Hinted};
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

/// The first cell of a row that tells of something right, wrong, or not looked at.
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const UNSURE: Style = AnsiColor::Yellow.on_default();

/// What is said where a result cannot be printed.
const NO_STDOUT: &str = "cannot write to stdout";

/// Where everything goes that a person or a program is to read.
pub struct Output {
    is_json: bool,
    quiet: bool,
    has_screen: bool,
    stdout: AutoStream<io::Stdout>,
    stderr: AutoStream<io::Stderr>,
}

/// A table with a line above it.
pub struct Table {
    title: String,
    /// Printed as it is, however wide the terminal is.
    text: String,
    headers: Vec<String>,
    /// Headings of the columns that a terminal may be too narrow for, the least important first.
    dispensable: &'static [&'static str],
    rows: Vec<Row>,
}

struct Row {
    /// Of the first cell.
    style: Style,
    cells: Vec<String>,
}

/// How a column of a table is shown.
struct Column {
    at: usize,
    width: usize,
    /// What it takes at least: its longest word, because a name that is broken cannot be read or copied.
    least: usize,
    is_number: bool,
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
    pub fn new(global: &Global, is_json: bool) -> Self {
        let choice = match global.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let stderr = AutoStream::new(io::stderr(), choice);
        log(global, stderr.current_choice() != ColorChoice::Never);
        Self { is_json, quiet: global.quiet, has_screen: false, stdout: AutoStream::new(io::stdout(), choice), stderr }
    }

    /// Prints a result: the tables, or the body as a JSON document.
    pub fn result<T: Serialize>(&mut self, body: &T, tables: &[Table]) -> anyhow::Result<()> {
        if self.is_json {
            return self.rendered(&json(body)?);
        }
        if self.has_screen {
            return self.redraw(tables);
        }
        let width = width_of(io::stdout());
        print_all(tables, &mut self.stdout, width).and_then(|()| self.stdout.flush()).context(NO_STDOUT)
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
        print_all(tables, &mut drawn, width_of(io::stdout()))?;
        let drawn = String::from_utf8(drawn.into_inner())?;
        let height = terminal_size::terminal_size().map_or(24, |(_, height)| usize::from(height.0));
        let lines: Vec<_> = drawn.lines().collect();
        let more = lines.len().saturating_sub(height.saturating_sub(1));
        let shown = lines[..lines.len() - more].join("\r\n");
        let below = if more > 0 {
            format!(", {} below", plural(more as u64, "more line", "more lines"))
        } else {
            String::new()
        };
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
        if self.is_json {
            return self.result(body, &[]);
        }
        self.rendered(text)
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

    /// Says what to do next.
    pub fn hint(&mut self, text: &str) -> anyhow::Result<()> {
        self.note(&format!("{HINT}hint:{HINT:#} {text}"))
    }

    /// Shows on a terminal what is being done.
    pub fn progress(&self) -> Progress {
        let bar = if self.quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Progress { bar, quiet: self.quiet }
    }

    /// Shows how far the reading of an input of `length` bytes is: on a terminal as a bar, elsewhere a line for each
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
            table.print(&mut self.stderr, width_of(io::stderr()))?;
        }
        if !io::stdin().is_terminal() {
            bail!(Hinted { message: format!("refused to {what} without confirmation"), hint: "pass --yes".to_owned() });
        }
        write!(self.stderr, "Type yes to {what}: ")?;
        self.stderr.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "yes" | "y") {
            bail!("nothing was changed: the answer was not yes");
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
        if let Some(optiinfra_db::Error::Migrate(optiinfra_db::migrate::Error::Edited { diff, .. })) =
            error.downcast_ref()
        {
            write!(self.stderr, "{diff}")?;
        }
        if let Some(hint) = hints::of(error) {
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
    print_all(tables, &mut plain, None)?;
    Ok(String::from_utf8(plain.into_inner())?)
}

fn print_all(tables: &[Table], to: &mut impl Write, width: Option<usize>) -> io::Result<()> {
    for (at, table) in tables.iter().enumerate() {
        if at > 0 {
            writeln!(to)?;
        }
        table.print(to, width)?;
    }
    Ok(())
}

/// Writes a file beside its place and moves it there, so that a reader sees the old one or the new one, whole.
pub fn write_atomically(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = WholeFile::create(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.finish());
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// A file that appears in its place once it is whole, and not at all otherwise. What is there and no regular file, such
/// as a pipe or a device, cannot be replaced: it is written to as the bytes come.
pub struct WholeFile {
    to: BufWriter<Destination>,
}

enum Destination {
    Beside { file: NamedTempFile, path: PathBuf },
    Through(File),
}

impl WholeFile {
    /// Begins a file beside its place.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let to = Destination::open(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { to: BufWriter::new(to) })
    }

    /// Puts on the disk what was flushed, so that nothing but the move is left to fail.
    pub fn sync(&self) -> io::Result<()> {
        match self.to.get_ref() {
            Destination::Beside { file, .. } => file.as_file().sync_all(),
            Destination::Through(_) => Ok(()),
        }
    }

    /// Moves it to its place.
    pub fn finish(self) -> io::Result<()> {
        let Destination::Beside { file, path } = self.to.into_inner().map_err(IntoInnerError::into_error)? else {
            return Ok(());
        };
        file.as_file().sync_all()?;
        let unfinished = file.path().to_owned();
        file.persist(path)?;
        interrupt::end_file(&unfinished);
        Ok(())
    }
}

impl Destination {
    fn open(path: &Path) -> io::Result<Self> {
        let found = match fs::canonicalize(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::beside(path, None),
            Err(error) => return Err(error),
        };
        let metadata = fs::metadata(&found)?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Ok(Self::Through(File::options().write(true).open(found)?));
        }
        Self::beside(&found, Some(&metadata))
    }

    /// A file that will replace the one of this path, and is as open to others as that is.
    fn beside(path: &Path, replaced: Option<&Metadata>) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // Collectors run as another user and read every file of theirs by its ending.
        builder.prefix(".optiinfra-dbctl-").suffix(".tmp").permissions(Permissions::from_mode(0o666));
        let file = builder.tempfile_in(folder)?;
        if let Some(replaced) = replaced {
            // Only root can give a file away; whoever may write here may also replace what belongs to another.
            let _ = unix::fs::fchown(file.as_file(), Some(replaced.uid()), Some(replaced.gid()));
            file.as_file().set_permissions(replaced.permissions())?;
        }
        interrupt::begin_file(file.path());
        Ok(Self::Beside { file, path: path.to_owned() })
    }

    fn file(&mut self) -> &mut File {
        match self {
            Self::Beside { file, .. } => file.as_file_mut(),
            Self::Through(file) => file,
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

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
    /// Says that `bytes` bytes and `rows` rows were read, and that there is more.
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
        let told = format!("{}, {rate:.0} rows/s", plural(rows, "row", "rows"));
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
        Self { title: String::new(), text: String::new(), headers, dispensable: &[], rows: Vec::new() }
    }

    /// A text instead of rows, to be copied.
    pub fn of_text(text: String) -> Self {
        Self { text, ..Self::new(&[]) }
    }

    /// Puts a line above the table.
    #[must_use]
    pub fn titled(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }

    /// Puts another line above the table.
    pub fn set_title(&mut self, title: &str) {
        title.clone_into(&mut self.title);
    }

    /// Names columns that are left out where the terminal is too narrow, the least important first.
    #[must_use]
    pub const fn dispensing_with(mut self, headers: &'static [&'static str]) -> Self {
        self.dispensable = headers;
        self
    }

    /// Adds a row, a cell a heading.
    pub fn row<const N: usize>(&mut self, cells: [impl Into<String>; N]) {
        self.styled_row(Style::new(), cells);
    }

    /// Adds a row whose first cell has a colour.
    pub fn styled_row<const N: usize>(&mut self, style: Style, cells: [impl Into<String>; N]) {
        self.rows.push(Row { style, cells: cells.into_iter().map(Into::into).collect() });
    }

    /// Adds a row of as many cells as there are headings.
    pub fn cells(&mut self, cells: Vec<String>) {
        self.rows.push(Row { style: Style::new(), cells });
    }

    /// Whether it has nothing to show under its title.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.text.is_empty()
    }

    fn print(&self, to: &mut impl Write, limit: Option<usize>) -> io::Result<()> {
        if !self.title.is_empty() {
            writeln!(to, "{TITLE}{}{TITLE:#}", self.title)?;
        }
        write!(to, "{}", self.text)?;
        if self.rows.is_empty() {
            return Ok(());
        }
        let columns = self.columns(limit);
        let wrapped = |cells: &[String]| -> Vec<String> {
            columns.iter().map(|column| wrap(cell(cells, column.at), column.width)).collect()
        };
        let header = wrapped(&self.headers);
        let rows: Vec<_> = self.rows.iter().map(|row| wrapped(&row.cells)).collect();
        let drawn = draw(&columns, &header, &rows, limit.is_some());
        let mut lines = drawn.lines();
        for line in lines.by_ref().take(height(&header) + 1) {
            writeln!(to, "{line}")?;
        }
        for (row, cells) in self.rows.iter().zip(&rows) {
            let mut first =
                cells.iter().flat_map(|cell| cell.lines()).take(cells.first().map_or(0, |c| c.lines().count()));
            for line in lines.by_ref().take(height(cells)) {
                paint(to, row.style, first.next().unwrap_or_default(), line)?;
            }
        }
        Ok(())
    }

    /// The columns that are shown, as wide as fits: texts are wrapped between words, then columns that can be spared
    /// are left out, then lines are longer than the terminal is wide.
    fn columns(&self, limit: Option<usize>) -> Vec<Column> {
        let mut columns: Vec<_> = (0..self.headers.len()).map(|at| self.column(at)).collect();
        let Some(limit) = limit else { return columns };
        for spared in self.dispensable {
            if total(&columns, |column| column.least) > limit {
                columns.retain(|column| self.headers[column.at] != *spared);
            }
        }
        while total(&columns, |column| column.width) > limit {
            let can_shrink = columns.iter_mut().filter(|column| column.width > column.least);
            let Some(widest) = can_shrink.max_by_key(|column| column.width) else { break };
            widest.width -= 1;
        }
        columns
    }

    fn column(&self, at: usize) -> Column {
        let header = cell(&self.headers, at);
        let cells = || self.rows.iter().map(|row| cell(&row.cells, at));
        let is_number = at > 0 && cells().all(is_number);
        let widest = cells().map(width).max().unwrap_or_default();
        // A number stays beside its unit.
        let longest = if is_number { widest } else { cells().map(longest_word).max().unwrap_or_default() };
        Column { at, width: width(header).max(widest), least: longest_word(header).max(longest), is_number }
    }
}

fn cell(cells: &[String], at: usize) -> &str {
    cells.get(at).map_or("", String::as_str)
}

/// How many lines a row takes.
fn height(cells: &[String]) -> usize {
    cells.iter().map(|cell| cell.lines().count()).max().unwrap_or_default().max(1)
}

/// What columns take of a line: each has two spaces and a line of one between it and the next.
fn total(columns: &[Column], of: fn(&Column) -> usize) -> usize {
    columns.iter().map(|column| of(column) + 3).sum::<usize>().saturating_sub(3)
}

fn draw(columns: &[Column], header: &[String], rows: &[Vec<String>], is_limited: bool) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('-').junction(' ')));
    table.set_header(header);
    for row in rows {
        table.add_row(row.iter().map(Cell::new));
    }
    for (drawn, column) in table.column_iter_mut().zip(columns) {
        // On a terminal, the dashes below the last heading are not to go beyond its edge.
        let is_last = columns.last().is_some_and(|last| last.at == column.at);
        drawn.set_padding((0, if is_last && is_limited { 0 } else { 2 }));
        if column.is_number {
            drawn.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Prints a line that begins with a cell, the cell in its colour.
fn paint(to: &mut impl Write, style: Style, cell: &str, line: &str) -> io::Result<()> {
    match line.strip_prefix(cell) {
        Some(rest) if !cell.is_empty() => writeln!(to, "{style}{cell}{style:#}{rest}"),
        _ => writeln!(to, "{line}"),
    }
}

/// Breaks lines between words, where they are too long.
fn wrap(text: &str, most: usize) -> String {
    let mut wrapped = Vec::new();
    for line in text.lines() {
        if width(line) <= most {
            wrapped.push(line.to_owned());
            continue;
        }
        let mut words = line.split(' ');
        let mut begun = words.next().unwrap_or_default().to_owned();
        for word in words {
            if width(&begun) + 1 + width(word) > most {
                wrapped.push(std::mem::take(&mut begun));
            } else {
                begun.push(' ');
            }
            begun.push_str(word);
        }
        wrapped.push(begun);
    }
    wrapped.join("\n")
}

fn longest_word(text: &str) -> usize {
    text.split_whitespace().map(width).max().unwrap_or_default()
}

/// How many columns of a terminal a text takes; of several lines, the longest.
fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.lines().map(str::len).max().unwrap_or_default();
    }
    let mut measure = comfy_table::Table::new();
    measure.add_row([text]);
    measure.column_max_content_widths().first().copied().map_or(0, usize::from)
}

/// How wide a terminal is; `None` for what is none.
fn width_of(stream: impl AsFd) -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(stream)?;
    (width.0 >= NARROWEST).then(|| usize::from(width.0))
}

/// A line of a script that does nothing. A name in it may be a stranger's: a line end would end the comment, and the rest
/// be run.
pub fn comment(text: &str) -> String {
    let line: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    format!("-- {line}\n")
}

/// A number of things.
pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
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

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "agent_state.seed.counts";

    fn table() -> Table {
        let mut table = Table::new(&["outcome", "check", "found", "size", "document"]).dispensing_with(&["document"]);
        let prose = "no row of the documents is there, nor any of another customer";
        table.styled_row(BAD, ["FAILED", NAME, prose, "112 KiB", "deployed schema 005"]);
        table.row(["passed", "core.tables", "six", "9 KiB", "0.2a"]);
        table
    }

    fn printed(table: &Table, width: Option<usize>) -> String {
        let mut plain = StripStream::new(Vec::new());
        table.print(&mut plain, width).unwrap();
        String::from_utf8(plain.into_inner()).unwrap()
    }

    #[test]
    fn no_width_splits_a_name_or_parts_a_number_from_its_unit() {
        for (limit, has_document) in [(60, false), (80, true), (120, true)] {
            let text = printed(&table(), Some(limit));
            assert!(text.lines().all(|line| width(line) <= limit), "{limit}:\n{text}");
            assert!(text.contains(NAME) && text.contains("112 KiB") && text.contains("  9 KiB"), "{limit}:\n{text}");
            assert_eq!(text.contains("deployed"), has_document, "{limit}:\n{text}");
            let words: Vec<_> = text.split_whitespace().collect();
            for word in table().rows[0].cells[2].split(' ') {
                assert!(words.contains(&word), "{limit}: {word} in\n{text}");
            }
        }
    }

    #[test]
    fn a_file_has_a_row_a_line() {
        let text = printed(&table(), None);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.contains("nor any of another customer") && text.contains("deployed schema 005"), "{text}");
    }

    #[test]
    fn a_line_is_too_long_before_a_name_is_broken() {
        let text = printed(&table(), Some(40));
        assert!(text.contains(NAME) && text.lines().any(|line| width(line) > 40), "{text}");
    }

    #[test]
    fn a_row_of_several_lines_is_coloured_in_its_first_cell_only() {
        let mut coloured = Vec::new();
        table().print(&mut coloured, Some(60)).unwrap();
        let coloured = String::from_utf8(coloured).unwrap();
        assert_eq!(coloured.matches('\u{1b}').count(), 3, "bold, red, and back: {coloured:?}");
        assert!(coloured.contains(&format!("\n{BAD}FAILED{BAD:#} ")), "{coloured:?}");
        let mut plain = StripStream::new(Vec::new());
        plain.write_all(coloured.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(plain.into_inner()).unwrap(), printed(&table(), Some(60)));
    }

    #[test]
    fn what_is_twice_as_wide_counts_twice() {
        assert_eq!((width("東京"), width("a\nabc"), width("")), (4, 3, 0));
        assert_eq!(wrap("東京 東京 x", 6), "東京\n東京 x");
        assert_eq!(wrap("short\nand two lines", 8), "short\nand two\nlines");
    }

    #[test]
    fn one_thing_is_no_things() {
        assert_eq!(plural(1, "entry", "entries"), "1 entry");
        assert_eq!(plural(0, "entry", "entries"), "0 entries");
    }
}
