//! What the terminal can do.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use anstream::ColorChoice;

/// Terminals narrower than this get lines as long as they are.
const NARROWEST: u16 = 40;

/// How wide a terminal is; `None` for what is none.
pub fn width(stream: impl AsFd) -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(stream)?;
    (width.0 >= NARROWEST).then(|| usize::from(width.0))
}

/// How many lines the terminal has.
pub fn height() -> usize {
    terminal_size::terminal_size().map_or(24, |(_, height)| usize::from(height.0))
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
