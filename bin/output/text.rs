//! Values as text for people, and text from outside made harmless.

use std::borrow::Cow;
use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat, Utc};

/// A text from outside, such as a name in the database, fit for a terminal: characters that control one, or that turn
/// the direction of the text around, are replaced. Line ends and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unprintable) {
        text.chars().map(|c| if is_unprintable(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
    } else {
        text.into()
    }
}

fn is_unprintable(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        other => other.is_control(),
    }
}

/// Makes a stream of lines [`printable`].
pub struct Printable<W: Write> {
    inner: W,
    /// The line that has not ended: a character may be in two writes.
    line: Vec<u8>,
}

impl<W: Write> Printable<W> {
    pub const fn new(inner: W) -> Self {
        Self { inner, line: Vec::new() }
    }

    fn pass_on(&mut self, length: usize) -> io::Result<()> {
        let lines: Vec<u8> = self.line.drain(..length).collect();
        self.inner.write_all(printable(&String::from_utf8_lossy(&lines)).as_bytes())
    }
}

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') {
            self.pass_on(self.line.len() - bytes.len() + end + 1)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on(self.line.len())?;
        self.inner.flush()
    }
}

/// A comment line of an SQL script. A name in it may come from outside: a line end would end the comment, and the rest
/// be run.
pub fn comment(text: &str) -> String {
    let line: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    format!("-- {line}\n")
}

/// A number of things.
pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
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
    let glyphs = if super::terminal::is_utf8() { BLOCKS } else { ASCII };
    let glyph = |group: &[f64]| {
        #[expect(clippy::cast_precision_loss, reason = "an average of few values")]
        let share = (group.iter().sum::<f64>() / group.len() as f64 - low) / (high - low);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 7")]
        let step = (share * 8.0).clamp(0.0, 7.0) as usize;
        if share.is_nan() { ' ' } else { glyphs[step] }
    };
    values.chunks(values.len().div_ceil(24).max(1)).map(glyph).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_or_turns_the_text_around_is_replaced() {
        let harmless = "a name, 東京 – é\tand\na line";
        assert!(matches!(printable(harmless), Cow::Borrowed(text) if text == harmless));
        assert_eq!(
            printable("\x1b]0;x\x07\u{9b}2J\r\x7f\u{202e}\u{2066}"),
            "\u{fffd}]0;x\u{fffd}\u{fffd}2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn a_character_in_two_writes_is_replaced_too() {
        let mut stream = Printable::new(Vec::new());
        for byte in "a\u{9b}é\nb\x1b".as_bytes() {
            stream.write_all(&[*byte]).unwrap();
        }
        stream.flush().unwrap();
        assert_eq!(stream.inner, "a\u{fffd}é\nb\u{fffd}".as_bytes());
    }

    #[test]
    fn one_thing_is_no_things() {
        assert_eq!(plural(1, "entry", "entries"), "1 entry");
        assert_eq!(plural(0, "entry", "entries"), "0 entries");
    }
}
