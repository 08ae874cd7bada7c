//! `DATABASE_URL` in `./.env`. Folders above are not searched: a database must not change with the working directory's
//! parents. Other variables are not read, so it does not matter whether their lines can be.

use std::{fs, io};

use anyhow::{Context as _, bail};

use crate::hints::Hinted;

const NAME: &str = "DATABASE_URL";

/// The value; `None` where there is no such file or the file does not set it.
pub fn database_url() -> anyhow::Result<Option<String>> {
    let text = match fs::read(".env") {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("cannot read ./.env"),
    };
    let Some((line, found)) = find(&text) else { return Ok(None) };
    let value = found.map_err(|why| {
        Hinted::new(
            format!("line {line} of ./.env cannot be read: {why}"),
            format!("write {NAME}='postgresql://USER@HOST/NAME'"),
        )
    })?;
    if value.is_empty() {
        bail!(Hinted::new(
            format!("{NAME} is empty in line {line} of ./.env"),
            format!("write {NAME}=postgresql://USER@HOST/NAME, or remove the line")
        ));
    }
    Ok(Some(value))
}

/// The first line that sets the variable, counted from 1, and the value or why it cannot be read.
fn find(text: &str) -> Option<(usize, Result<String, &'static str>)> {
    // The quote that ends a value of several lines.
    let mut open = None;
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(quote) = open {
            open = (!line.contains(quote)).then_some(quote);
            continue;
        }
        let line = line.trim_start().trim_start_matches('\u{feff}');
        let Some((name, assigned)) = line.strip_prefix("export ").unwrap_or(line).split_once('=') else { continue };
        let assigned = assigned.trim();
        if name.trim() == NAME {
            return Some((number, value(assigned)));
        }
        open = assigned.chars().next().filter(|first| {
            let is_quote = matches!(first, '\'' | '"') && !line.starts_with('#');
            is_quote && !assigned[1..].contains(*first)
        });
    }
    None
}

/// A value as a shell reads it, except that nothing is filled in for a variable: a `$` stands for itself.
fn value(assigned: &str) -> Result<String, &'static str> {
    let (value, rest) = match assigned.chars().next() {
        Some(quote @ ('\'' | '"')) => quoted(&assigned[1..], quote)?,
        _ => {
            let end = assigned.find(" #").unwrap_or(assigned.len());
            (assigned[..end].trim_end().to_owned(), "")
        }
    };
    if !rest.trim().is_empty() && !rest.trim().starts_with('#') {
        return Err("something stands behind the closing quote");
    }
    if !assigned.starts_with(['\'', '"']) && value.contains(char::is_whitespace) {
        return Err("a value that holds spaces has to be quoted");
    }
    if !assigned.starts_with('\'') && value.contains("${") {
        return Err("a variable in a value is not filled in");
    }
    if value.contains('\u{fffd}') {
        return Err("it is not UTF-8");
    }
    Ok(value)
}

/// The text up to the closing quote, and what stands behind it. A backslash escapes in double quotes.
fn quoted(text: &str, quote: char) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok((value, &text[at + 1..])),
            '\\' if quote == '"' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            plain => value.push(plain),
        }
    }
    Err("the quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn the_variable_is_found_among_lines_of_others() {
        for (text, found) in [
            ("DATABASE_URL=postgresql://h/d", Some("postgresql://h/d")),
            ("DATABASE_URL=postgresql://h/t2$prod\n", Some("postgresql://h/t2$prod")),
            ("DATABASE_URL=\"postgresql://h/t2$prod\"", Some("postgresql://h/t2$prod")),
            ("DATABASE_URL='postgresql://h/${x}' # why", Some("postgresql://h/${x}")),
            ("export DATABASE_URL = a # why", Some("a")),
            ("\u{feff}DATABASE_URL=a#b", Some("a#b")),
            ("GREETING=hello world\nno assignment\nDATABASE_URL=a\nDATABASE_URL=b", Some("a")),
            ("KEY=\"-----BEGIN\nDATABASE_URL=stolen\n-----END\"\nDATABASE_URL=a", Some("a")),
            ("# KEY='\nDATABASE_URL=\"a\\\"b\\\\c\"\r\n", Some("a\"b\\c")),
            ("#DATABASE_URL=a\nMY_DATABASE_URL=b", None),
            ("", None),
            ("DATABASE_URL=", Some("")),
            ("DATABASE_URL=''", Some("")),
        ] {
            let value = find(text).map(|(_, value)| value.unwrap());
            assert_eq!(value.as_deref(), found, "{text}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_read_is_known_by_its_number() {
        for text in [
            "DATABASE_URL=a b",
            "DATABASE_URL='a",
            "DATABASE_URL=\"a\" b",
            "DATABASE_URL=a${X}",
            "DATABASE_URL=a\u{fffd}",
        ] {
            let (line, value) = find(&format!("\nX=1\n{text}")).unwrap();
            assert_eq!(line, 3);
            assert!(value.is_err(), "{text}");
        }
    }
}
