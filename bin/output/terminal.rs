//! What the terminal can do.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use anstream::ColorChoice;
use anstream::adapter::strip_str;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Terminals narrower than this get lines as long as they are.
const NARROWEST: u16 = 40;

/// How wide a terminal is; `None` for what is none.
pub fn width(stream: impl AsFd) -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(stream)?;
    (width.0 >= NARROWEST).then(|| usize::from(width.0))
}

/// How many columns and lines the terminal has.
pub fn size() -> (usize, usize) {
    let (width, height) =
        terminal_size::terminal_size().map_or((80, 24), |(width, height)| (width.0.into(), height.0.into()));
    (usize::max(width, 1), usize::max(height, 1))
}

/// A line that is no longer than the terminal is wide. Its colours stay, so that what follows has its own.
pub fn cut(line: &str, most: usize) -> String {
    let (mut cut, mut left, mut is_escape) = (String::with_capacity(line.len()), most, false);
    let is_too_long = strip_str(line).to_string().width() > most;
    for character in line.chars() {
        is_escape |= character == '\x1b';
        let width = if is_escape { 0 } else { character.width().unwrap_or_default() };
        if left > 0 && width > 0 && is_too_long && width >= left {
            cut.push('>');
            left = 0;
        }
        if is_escape || left > 0 {
            cut.push(character);
            left = left.saturating_sub(width);
        }
        is_escape &= character != 'm';
    }
    cut
}

/// Whether lines can be drawn over: not in a file, and not on a terminal without a cursor that moves.
pub fn can_redraw(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !is_dumb()
}

fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Colours where the terminal has them. anstream alone would use them on a dumb terminal where `CI` is set.
pub fn colours() -> ColorChoice {
    if is_dumb() { ColorChoice::Never } else { ColorChoice::Auto }
}

/// Whether the terminal can show more than ASCII, according to the locale.
pub fn is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// The whole terminal, taken for results that replace each other and given back on drop.
pub struct Screen {
    is_taken: bool,
}

impl Screen {
    /// Takes the terminal, if `can_be_taken`.
    pub fn take(can_be_taken: bool) -> io::Result<Self> {
        if can_be_taken {
            io::stdout().write_all(b"\x1b[?1049h\x1b[?25l")?;
        }
        Ok(Self { is_taken: can_be_taken })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_taken {
            // Nothing can be done where the terminal is gone.
            let _ = io::stdout().write_all(b"\x1b[?25h\x1b[?1049l");
            let _ = io::stdout().flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_line_is_cut_where_the_terminal_ends_and_keeps_its_colours() {
        for (line, width, shown) in [
            ("", 1, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "ab>"),
            ("abcd", 1, ">"),
            ("\x1b[1mabc\x1b[0m", 3, "\x1b[1mabc\x1b[0m"),
            ("\x1b[1mabcd\x1b[0m", 3, "\x1b[1mab>\x1b[0m"),
            ("a東京", 5, "a東京"),
            ("a東京", 4, "a東>"),
            ("a東京", 3, "a>"),
        ] {
            assert_eq!(cut(line, width), shown, "{line:?} in {width}");
        }
    }
}
