//! Errors, on stderr: what failed, why, what the server adds, and what to do.

use std::io::{self, Write};
use std::panic;

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as DieselError};
use optiinfra_db::layer::Layer;
use optiinfra_db::sqlstate;
use serde::Serialize;

use super::text::printable;
use super::{Document, ERROR, HINT, Output, SCHEMA_VERSION, escaped, terminal};
use crate::exit::Exit;
use crate::{hints, unfinished};

/// An error as JSON, on one line.
#[derive(Serialize)]
pub(super) struct Failure {
    pub error: String,
    pub hint: Option<String>,
    pub exit_code: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What the server adds, by its name.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub server: serde_json::Map<String, serde_json::Value>,
}

impl Output {
    /// Prints an error.
    pub fn error(&mut self, error: &anyhow::Error, exit: Exit) {
        let failure = Failure::of(error, exit);
        let diff = match error.downcast_ref() {
            Some(optiinfra_db::Error::Migrate(optiinfra_db::migrate::Error::Edited { diff, .. })) => diff.as_str(),
            _ => "",
        };
        // Nothing can be done where stderr is closed.
        let _ = if self.is_json { failure.write_json(&mut self.stderr) } else { failure.write(diff, &mut self.stderr) };
    }
}

impl Failure {
    fn of(error: &anyhow::Error, exit: Exit) -> Self {
        let mut server = serde_json::Map::new();
        if let Some(DieselError::DatabaseError(kind, info)) = error.chain().find_map(|cause| cause.downcast_ref()) {
            let parts = [
                ("detail", detail(kind, info.as_ref())),
                ("hint", info.hint()),
                ("table", info.table_name()),
                ("column", sqlstate::column(info.as_ref())),
                ("constraint", info.constraint_name()),
            ];
            let parts =
                parts.into_iter().filter_map(|(name, text)| Some((name, text.filter(|text| !text.is_empty())?)));
            server.extend(parts.map(|(name, text)| (name.to_owned(), text.into())));
        }
        Self {
            error: error.to_string(),
            hint: hints::of(error),
            exit_code: exit as u8,
            causes: error.chain().skip(1).map(ToString::to_string).collect(),
            server,
        }
    }

    /// An error of the arguments.
    pub fn of_arguments(error: String, hint: String) -> Self {
        let server = serde_json::Map::new();
        Self { error, hint: Some(hint), exit_code: Exit::Refused as u8, causes: Vec::new(), server }
    }

    pub fn write_json(&self, to: &mut impl Write) -> io::Result<()> {
        let json = serde_json::to_string(&Document { schema_version: SCHEMA_VERSION, body: self })?;
        writeln!(to, "{}", escaped(&json))
    }

    pub fn write(&self, diff: &str, to: &mut impl Write) -> io::Result<()> {
        writeln!(to, "{ERROR}error:{ERROR:#} {}", printable(&self.error))?;
        for cause in &self.causes {
            writeln!(to, "  because {}", printable(cause))?;
        }
        for (name, text) in &self.server {
            let name = if name == "hint" { "server hint" } else { name };
            writeln!(to, "  {name}: {}", printable(text.as_str().unwrap_or_default()))?;
        }
        write!(to, "{}", printable(diff))?;
        if let Some(hint) = &self.hint {
            writeln!(to, "{HINT}hint:{HINT:#} {}", printable(hint))?;
        }
        Ok(())
    }
}

/// What the server adds to an error, unless it may hold a secret: the detail of a refused row is the row, and that of
/// a key that is there twice is the key. The column and the constraint say which it is without the values.
fn detail<'a>(kind: &DatabaseErrorKind, info: &'a dyn DatabaseErrorInformation) -> Option<&'a str> {
    let detail = info.details()?;
    let may_hold_secret = match (kind, info.table_name()) {
        (DatabaseErrorKind::NotNullViolation | DatabaseErrorKind::CheckViolation, _) => true,
        (_, Some(table)) => table == "customers" || Layer::of_table(table).is_none(),
        // A view that refuses a row names no table.
        (_, None) => detail.contains('('),
    };
    Some(if may_hold_secret { "withheld, because it may show a secret" } else { detail })
}

/// Makes a panic end the program with one line and an exit code, in whichever thread it is.
#[expect(clippy::exit, reason = "a program that is in no known state does nothing more")]
pub fn catch_panics(is_json: bool) {
    panic::set_hook(Box::new(move |panic| {
        #[cfg(feature = "parquet")]
        if optiinfra_db::transfer::is_panic_caught() {
            return;
        }
        let payload = panic.payload();
        let text =
            payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
        let message = text.unwrap_or("no message").replace('\n', " ");
        let place = panic.location().map_or(String::new(), |place| format!(" ({}:{})", place.file(), place.line()));
        let failure =
            Failure { hint: None, ..Failure::of_arguments(format!("internal error: {message}{place}"), String::new()) };
        let mut stderr = io::stderr();
        // Nothing can be done where stderr is closed.
        let _ = if is_json {
            failure.write_json(&mut stderr)
        } else {
            failure.write("", &mut anstream::AutoStream::new(stderr, super::terminal::colours()))
        };
        unfinished::remove();
        std::process::exit(Exit::Refused as i32);
    }));
}

/// Says that a signal ended the command, and what that leaves. Not a method, because it may come from another thread.
pub fn interrupted(state: &str) {
    let mut stderr = io::stderr();
    // A progress line may stand where the cursor is.
    let clear = if terminal::can_redraw(&stderr) { "\r\x1b[2K" } else { "" };
    // Nothing can be done where stderr is closed.
    let _ = writeln!(stderr, "{clear}interrupted: {}", printable(state));
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::{env, thread};

    #[test]
    #[ignore = "is started by the test below"]
    fn panics() {
        super::catch_panics(env::var("PANIC_AS").is_ok_and(|format| format == "json"));
        thread::spawn(|| panic!("two\nlines")).join().unwrap_err();
    }

    #[test]
    fn a_panic_of_any_thread_ends_in_one_line_and_its_exit_code() {
        for (format, begin) in [("text", "error: internal error: two lines (bin/output/failure.rs:"), ("json", "{")] {
            let mut run = Command::new(env::current_exe().unwrap());
            run.args(["--exact", "output::failure::tests::panics", "--ignored", "--nocapture"]);
            let output = run.env("PANIC_AS", format).env("RUST_BACKTRACE", "1").output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
            assert!(stderr.starts_with(begin) && stderr.contains("internal error: two lines"), "{stderr}");
        }
    }
}
