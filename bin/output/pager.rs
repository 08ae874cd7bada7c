//! Long results, a page at a time.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};

use super::terminal;

/// The pager: `PAGER`, or less. None where nobody reads, in continuous integration, and where `PAGER` is empty.
pub fn find() -> Option<String> {
    let is_read = io::stdin().is_terminal() && terminal::can_redraw(&io::stdout()) && env::var_os("CI").is_none();
    let wanted = env::var("PAGER").unwrap_or_else(|_| "less -FRX".to_owned());
    (is_read && !wanted.trim().is_empty()).then_some(wanted)
}

/// Shows a text with a pager; `false` where that could not be started.
pub fn show(pager: &str, text: &[u8]) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", pager]).stdin(Stdio::piped());
    // What is not longer than the screen stays there, and colours are colours.
    if env::var_os("LESS").is_none() {
        command.env("LESS", "FRX");
    }
    let Ok(mut child) = command.spawn() else { return false };
    if let Some(mut stdin) = child.stdin.take() {
        // A reader who has seen enough leaves before the end.
        let _ = stdin.write_all(text);
    }
    // The shell says so where it finds no such program: then nothing was shown.
    child.wait().is_ok_and(|status| status.code() != Some(127))
}
