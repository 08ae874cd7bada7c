//! How far a command is, on stderr.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::terminal;
use super::text::{plural, printable};

const METER: &str = "[{bar:30}] {percent} % {msg}, {eta} left";
const METER_WITHOUT_LENGTH: &str = "{spinner} {msg} in {elapsed}";
/// An input of fewer bytes needs no lines about its progress.
const SHORT: u64 = 64 * 1024;

/// What is being done, on a terminal; nothing elsewhere.
pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
}

/// How far the reading of an input is: a bar on a terminal, elsewhere a line for each tenth.
pub struct Meter {
    bar: ProgressBar,
    /// The length, where lines are written instead of a bar.
    length: Option<u64>,
    tenths: u64,
    begun: Instant,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let bar = bar(quiet, None);
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self { bar, quiet }
    }

    /// Says what is being done now.
    pub fn doing(&self, text: &str) {
        self.bar.set_message(printable(text).into_owned());
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }

    /// Writes a line that stays.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| line(text));
        }
    }
}

impl Meter {
    pub(super) fn new(quiet: bool, length: Option<u64>) -> Self {
        let bar = bar(quiet, length);
        let template = if length.is_some() { METER } else { METER_WITHOUT_LENGTH };
        let style = ProgressStyle::with_template(template).map(|style| style.progress_chars("=> "));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let has_lines = !quiet && !terminal::can_redraw(&io::stderr());
        Self { bar, length: length.filter(|length| has_lines && *length >= SHORT), tenths: 0, begun: Instant::now() }
    }

    /// Says that `bytes` bytes and `rows` rows were read, and that there is more.
    pub fn at(&mut self, bytes: u64, rows: u64) {
        // Bytes are read ahead of the rows in them: the last tenth is said when all is done.
        let tenths = self.length.map_or(0, |length| bytes.saturating_mul(10).checked_div(length).unwrap_or(0).min(9));
        let state = self.line(tenths, rows);
        self.bar.set_position(bytes);
        self.bar.set_message(state);
    }

    /// Says that all was read.
    pub fn done(mut self, rows: u64) {
        self.line(10, rows);
    }

    /// Writes a line where a tenth more is done and lines are written; returns what it says.
    fn line(&mut self, tenths: u64, rows: u64) -> String {
        let elapsed = self.begun.elapsed();
        #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
        let rate = rows as f64 / elapsed.as_secs_f64().max(0.001);
        let state = format!("{}, {rate:.0} rows/s", plural(rows, "row", "rows"));
        if self.length.is_some() && tenths > self.tenths {
            self.tenths = tenths;
            line(&format!("{} %: {state}", tenths * 10));
        }
        state
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

fn bar(quiet: bool, length: Option<u64>) -> ProgressBar {
    match length {
        _ if quiet || !terminal::can_redraw(&io::stderr()) => ProgressBar::hidden(),
        Some(length) => ProgressBar::new(length),
        None => ProgressBar::no_length(),
    }
}

fn line(text: &str) {
    // The work goes on where nobody reads about it.
    let _ = writeln!(io::stderr(), "{}", printable(text));
}
