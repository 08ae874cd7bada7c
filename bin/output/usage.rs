//! Errors of the arguments, in the form of all errors: one `error:`, one `hint:`.

use std::ffi::OsString;
use std::io;

use anstream::AutoStream;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use optiinfra_db::text::nearest;

use super::failure::Failure;
use crate::exit::Exit;
use crate::hints;

/// Whether errors are to be JSON. The arguments may be wrong, so they are not parsed.
pub fn wants_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let arguments: Vec<_> = arguments.collect();
    arguments.iter().any(|argument| argument == "--format=json")
        || arguments.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
}

/// Prints help, or what is wrong with the arguments.
pub fn usage(error: &clap::Error, arguments: impl Iterator<Item = OsString>) -> Exit {
    let arguments: Vec<_> = arguments.collect();
    let is_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    // Nothing can be done where the stream is closed.
    let _ = if is_help {
        error.print()
    } else {
        let is_json = wants_json(arguments.iter().cloned());
        let failure = explain(error, &arguments);
        if is_json {
            failure.write_json(&mut io::stderr())
        } else {
            failure.write("", &mut AutoStream::new(io::stderr(), super::terminal::colours()))
        }
    };
    if error.use_stderr() { Exit::Refused } else { Exit::Done }
}

fn explain(error: &clap::Error, arguments: &[OsString]) -> Failure {
    let (message, tips) = parts(&error.to_string());
    let words: Vec<_> = arguments.iter().skip(1).map(|argument| argument.to_string_lossy()).collect();
    // A message that repeats an argument may repeat the password of a URL.
    let is_secret = |word: &str| word.contains("://") || word.contains("password");
    let repeats = |word: &str| message.contains(word.split_once("://").map_or(word, |(_, rest)| rest));
    let (error, hint) = if words.iter().any(|word| is_secret(word) && repeats(word)) {
        ("a database URL stands where none belongs".into(), "give it as --database-url URL or in DATABASE_URL".into())
    } else {
        let neighbour = unknown_word(error).and_then(|word| hints::of_other_tools(word, &words));
        let hint = neighbour.map(ToOwned::to_owned).or_else(|| nearest_value(error)).unwrap_or(tips);
        (message, if hint.is_empty() { "add --help to see what there is".to_owned() } else { hint })
    };
    Failure::of_arguments(error, hint)
}

/// The word that is no subcommand and no argument.
fn unknown_word(error: &clap::Error) -> Option<&str> {
    let kinds = [ContextKind::InvalidSubcommand, ContextKind::InvalidArg];
    if !matches!(error.kind(), ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument) {
        return None;
    }
    kinds.into_iter().find_map(|kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    })
}

/// What a value that is none of the possible ones may mean; clap itself guesses too far.
fn nearest_value(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::Strings(known)) = error.get(ContextKind::ValidValue) else { return None };
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidValue) else { return None };
    let nearest = nearest(word, known.iter().map(String::as_str));
    Some(nearest.map(|value| format!("did you mean {value}?")).unwrap_or_default())
}

/// clap's text in two: what is wrong, with the usage, and its tips as a hint.
fn parts(text: &str) -> (String, String) {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let (mut message, mut tips) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|line| !line.starts_with("For more information")) {
        match line.trim_start().strip_prefix("tip: ") {
            Some(tip) => tips.extend(question(tip)),
            None => message.push(line.trim_end()),
        }
    }
    let mut message = message.join("\n");
    while message.contains("\n\n") {
        message = message.replace("\n\n", "\n");
    }
    (message.trim_end().to_owned(), tips.join("; "))
}

/// A tip of clap as a question. How to pass something that looks like a flag as a value is none.
fn question(tip: &str) -> Option<String> {
    if tip.starts_with("to pass ") {
        return None;
    }
    Some(match tip.split_once(" exist: ").or_else(|| tip.split_once(" exists: ")) {
        Some((_, names)) => format!("did you mean {}?", names.replace('\'', "")),
        None => tip.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_clap_becomes_a_message_and_a_hint() {
        let text = "error: unexpected argument '--probe' found\n\n  tip: a similar argument exists: '--probes'\n  \
                    tip: to pass '--probe' as a value, use '-- --probe'\n\nUsage: optiinfra-dbctl verify [OPTIONS]\n\n\
                    For more information, try '--help'.\n";
        let (message, hint) = parts(text);
        assert_eq!(message, "unexpected argument '--probe' found\nUsage: optiinfra-dbctl verify [OPTIONS]");
        assert_eq!(hint, "did you mean --probes?");
    }

    #[test]
    fn json_is_wanted_in_both_ways_of_writing_it() {
        let wants = |text: &str| wants_json(text.split(' ').map(OsString::from));
        assert!(wants("x verify --format json") && wants("x --format=json verify"));
        assert!(!wants("x verify --format table json") && !wants("x verify"));
    }
}
