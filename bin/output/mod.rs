//! Everything that is printed: results on stdout, notes, progress and errors on stderr. No other module prints.

mod failure;
mod file;
mod log;
mod pager;
mod progress;
mod table;
mod terminal;
mod text;
mod usage;

use std::io::{self, BufRead, BufWriter, ErrorKind, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice, StripStream};
use anstyle::{AnsiColor, Style};
use anyhow::{Context, bail};
use chrono::Utc;
use serde::Serialize;

pub use self::failure::{catch_panics, interrupted};
pub use self::file::{WholeFile, write_atomically};
pub use self::progress::{Meter, Progress};
pub use self::table::{BAD, GOOD, Table, UNSURE};
pub use self::terminal::Screen;
pub use self::text::{bytes, comment, plural, printable, seconds, sparkline, time};
pub use self::usage::{usage, wants_json};
use crate::args::{Color, Global};
use crate::hints::Hinted;

/// Version of the JSON documents. Fields are only ever added; a change of one raises it.
const SCHEMA_VERSION: u32 = 1;

/// Bytes that are handed to stdout at a time.
const STREAM_BUFFER: usize = 64 * 1024;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// The error where a result cannot be printed.
const NO_STDOUT: &str = "cannot write to stdout";

/// The two streams, and how the user wants them.
pub struct Output {
    is_json: bool,
    quiet: bool,
    has_screen: bool,
    /// The program that shows results a page at a time.
    pager: Option<String>,
    /// Whether the reader of stdout has closed it.
    is_closed: bool,
    /// Where the command writes: `optiinfra on db1:5432 as app`.
    place: String,
    stdout: AutoStream<io::Stdout>,
    stderr: AutoStream<io::Stderr>,
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
            Color::Auto => terminal::colours(),
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let stderr = AutoStream::new(io::stderr(), choice);
        log::start(global, stderr.current_choice() != ColorChoice::Never);
        Self {
            is_json,
            quiet: global.quiet,
            has_screen: false,
            pager: None,
            is_closed: false,
            place: String::new(),
            stdout: AutoStream::new(io::stdout(), choice),
            stderr,
        }
    }

    /// Prints a result: the tables, or the body as a JSON document.
    pub fn result<T: Serialize>(&mut self, body: &T, tables: &[Table]) -> anyhow::Result<()> {
        if self.is_json {
            return self.print_raw(&json(body)?);
        }
        if self.has_screen {
            return self.redraw(tables);
        }
        if let Some(pager) = self.pager.take()
            && pager::show(&pager, &self.drawn(tables)?)
        {
            return Ok(());
        }
        let printed = table::print_all(tables, &mut self.stdout, terminal::width(io::stdout()));
        self.printed(printed)
    }

    /// Whether somebody reads the results on a terminal.
    pub fn is_terminal(&self) -> bool {
        !self.is_json && io::stdout().is_terminal()
    }

    /// Shows the tables that follow a page at a time, where there is somebody to turn the pages.
    pub fn start_pager(&mut self) -> bool {
        self.pager = if self.is_json { None } else { pager::find() };
        self.pager.is_some()
    }

    /// Prints a result that is a text for people: the text, or the body as a JSON document.
    pub fn text<T: Serialize>(&mut self, body: &T, text: &str) -> anyhow::Result<()> {
        if self.is_json { self.result(body, &[]) } else { self.print_raw(text) }
    }

    /// Prints a result that is one line in every format.
    pub fn line(&mut self, text: &str) -> anyhow::Result<()> {
        self.print_raw(&format!("{text}\n"))
    }

    /// Prints a result as it is; on a terminal without control characters.
    pub fn print_raw(&mut self, text: &str) -> anyhow::Result<()> {
        let text = if io::stdout().is_terminal() { printable(text) } else { text.into() };
        let printed = self.stdout.write_all(text.as_bytes());
        self.printed(printed)
    }

    /// Where a result goes that is a file: byte by byte as it is; on a terminal without control characters.
    pub fn stream(&mut self) -> Box<dyn Write> {
        let stdout = BufWriter::with_capacity(STREAM_BUFFER, io::stdout());
        if io::stdout().is_terminal() { Box::new(text::Printable::new(stdout)) } else { Box::new(stdout) }
    }

    /// Whether the reader of the results has closed its end: nobody reads the next one.
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// A reader that has closed stdout is no error, and changes no exit code: a finding stays a finding.
    fn printed(&mut self, result: io::Result<()>) -> anyhow::Result<()> {
        match result.and_then(|()| self.stdout.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.is_closed = true,
            result => result.context(NO_STDOUT)?,
        }
        Ok(())
    }

    /// Takes the whole terminal for results that replace each other; nothing where there is none.
    pub fn take_screen(&mut self) -> io::Result<Screen> {
        self.has_screen = terminal::can_redraw(&io::stdout());
        Screen::take(self.has_screen)
    }

    fn drawn(&self, tables: &[Table]) -> io::Result<Vec<u8>> {
        let mut drawn = AutoStream::new(Vec::new(), self.stdout.current_choice());
        table::print_all(tables, &mut drawn, terminal::width(io::stdout()))?;
        Ok(drawn.into_inner())
    }

    /// Draws over what the screen shows, as much as fits, and says how much does not.
    fn redraw(&mut self, tables: &[Table]) -> anyhow::Result<()> {
        let drawn = String::from_utf8(self.drawn(tables)?)?;
        let (width, height) = terminal::size();
        let lines: Vec<_> = drawn.lines().collect();
        let (shown, below) = lines.split_at(lines.len().min(height - 1));
        let cut: Vec<_> = shown.iter().map(|line| terminal::cut(line, width)).collect();
        let longer = cut.iter().zip(shown).filter(|(cut, line)| cut != *line).count();
        let mut status = format!("{}, Ctrl-C ends", time(Utc::now()));
        for (count, one, many) in
            [(longer, "line is cut", "lines are cut"), (below.len(), "more line below", "more lines below")]
        {
            if count > 0 {
                status = format!("{}, {status}", plural(count as u64, one, many));
            }
        }
        let mut text = "\x1b[H".to_owned();
        cut.iter().for_each(|line| text += &format!("{line}\x1b[K\r\n"));
        text += &format!("{}\x1b[J", terminal::cut(&status, width));
        let printed = io::stdout().write_all(text.as_bytes());
        self.printed(printed)
    }

    /// Prints a line about what happens, on stderr.
    pub fn note(&mut self, text: &str) -> anyhow::Result<()> {
        self.say(format_args!("{}", printable(text)))
    }

    /// Says what to do next.
    pub fn hint(&mut self, text: &str) -> anyhow::Result<()> {
        self.say(format_args!("{HINT}hint:{HINT:#} {}", printable(text)))
    }

    fn say(&mut self, text: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
        if self.quiet {
            return Ok(());
        }
        match writeln!(self.stderr, "{text}") {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Shows on a terminal what is being done.
    pub fn progress(&self) -> Progress {
        Progress::new(self.quiet)
    }

    /// Shows how far the reading of an input of `length` bytes is.
    pub fn meter(&self, length: Option<u64>) -> Meter {
        Meter::new(self.quiet, length)
    }

    /// Says where the command writes. Its questions say so too.
    pub fn writes_to(&mut self, place: String) -> anyhow::Result<()> {
        self.note(&place)?;
        self.place = place;
        Ok(())
    }

    /// Shows what would be lost, and asks whether to do that to the database; an error means no.
    pub fn confirm(&mut self, loss: &[Table], what: &str) -> anyhow::Result<()> {
        self.confirm_with("yes", loss, &format!("{what} ({})", self.place))
    }

    /// The same, with another word to type than yes.
    pub fn confirm_with(&mut self, word: &str, loss: &[Table], what: &str) -> anyhow::Result<()> {
        for table in loss {
            table.print(&mut self.stderr, terminal::width(io::stderr()))?;
        }
        let what = printable(what);
        if !io::stdin().is_terminal() {
            bail!(Hinted::new(format!("refused to {what} without confirmation"), "pass --yes"));
        }
        write!(self.stderr, "Type {word} to {what}: ")?;
        self.stderr.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if answer.trim() != word {
            bail!("nothing was changed: the answer was not {word}");
        }
        Ok(())
    }
}

/// A body as a JSON document with its version.
pub fn json<T: Serialize>(body: &T) -> anyhow::Result<String> {
    let document = Document { schema_version: SCHEMA_VERSION, body };
    Ok(escaped(&serde_json::to_string_pretty(&document)?) + "\n")
}

/// JSON in which no character controls a terminal; serde escapes those below the space only.
fn escaped(json: &str) -> String {
    if !json.contains(|c| matches!(c, '\x7f'..='\u{9f}')) {
        return json.to_owned();
    }
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\x7f'..='\u{9f}' => escaped += &format!("\\u{:04x}", u32::from(character)),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Tables as plain text.
pub fn plain(tables: &[Table]) -> anyhow::Result<String> {
    let mut plain = StripStream::new(Vec::new());
    table::print_all(tables, &mut plain, None)?;
    Ok(String::from_utf8(plain.into_inner())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_controls_no_terminal_and_means_the_same() {
        let text = "\x1b]0;x\x07\u{9b}2J\x7f é";
        let json = json(&serde_json::json!({ "name": text })).unwrap();
        assert!(!json.contains(|c: char| c.is_control() && c != '\n'), "{json:?}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["name"], text);
    }
}
