//! Splits CSV into records and fields, byte by byte.

use std::borrow::Cow;
use std::io;

use memchr::{memchr2, memchr3};

use super::input::{LONGEST, MOST_FIELDS, invalid, too_long};

/// How a CSV file is written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Dialect {
    pub delimiter: u8,
    /// Blanks around a field are no part of it.
    pub trim: bool,
}

/// One field of a CSV record: where it is between its quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    start: usize,
    end: usize,
    is_quoted: bool,
    has_quotes_inside: bool,
}

/// The fields of a CSV record, by their position.
#[derive(Clone, Copy)]
pub(super) struct CsvFields<'a> {
    pub raw: &'a [u8],
    pub fields: &'a [Field],
}

impl<'a> CsvFields<'a> {
    pub fn len(self) -> usize {
        self.fields.len()
    }

    /// The bytes of a field without its quotes, and whether it had some; `None` where there is no such field.
    pub fn get(self, at: usize) -> Option<(Cow<'a, [u8]>, bool)> {
        let field = self.fields.get(at)?;
        let bytes = self.raw.get(field.start..field.end)?;
        let bytes = if field.has_quotes_inside { Cow::Owned(without_doubled_quotes(bytes)) } else { bytes.into() };
        Some((bytes, field.is_quoted))
    }
}

fn without_doubled_quotes(bytes: &[u8]) -> Vec<u8> {
    let mut single = Vec::with_capacity(bytes.len());
    let mut is_first = false;
    for &byte in bytes {
        is_first = byte == b'"' && !is_first;
        if byte != b'"' || is_first {
            single.push(byte);
        }
    }
    single
}

/// Where in a field of a CSV record a byte is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first byte of a field.
    Start,
    Plain,
    Quoted,
    /// After a quote inside quotes: the end of the field, or the first half of a doubled one.
    QuoteInQuotes,
    /// In the blanks after a quoted field.
    Closed,
}

/// A state machine over the bytes of one CSV record.
pub(super) struct Scan {
    dialect: Dialect,
    /// There is something of the record.
    pub is_begun: bool,
    /// The line on which it begins.
    line: u64,
    /// The line of the last quote that opened a field.
    quote_line: u64,
    state: State,
    /// Where the field began, after its quote if it has one.
    start: usize,
    /// Where the content of the field ends, if not where the field does.
    content_end: usize,
    has_quotes_inside: bool,
    /// How many bytes were taken.
    length: usize,
    problem: Option<&'static str>,
}

impl Scan {
    pub fn new(dialect: Dialect, line: u64) -> Self {
        Self {
            dialect,
            is_begun: false,
            line,
            quote_line: line,
            state: State::Start,
            start: 0,
            content_end: 0,
            has_quotes_inside: false,
            length: 0,
            problem: None,
        }
    }

    pub fn is_end(&self, byte: u8) -> bool {
        self.state != State::Quoted && (byte == b'\n' || byte == b'\r')
    }

    pub fn refuse_too_long(&self) -> io::Result<()> {
        match self.state {
            _ if self.length <= LONGEST => Ok(()),
            State::Quoted => Err(unclosed(self.quote_line, &format!("within {} MiB", LONGEST >> 20))),
            _ => Err(too_long(self.line)),
        }
    }

    /// Takes the bytes at the beginning in which nothing changes but the length of a field, and says how many these are.
    pub fn take_plain(&mut self, bytes: &[u8]) -> usize {
        let end = match self.state {
            State::Plain => memchr3(self.dialect.delimiter, b'\n', b'\r', bytes),
            State::Quoted => memchr2(b'"', b'\n', bytes),
            State::Start | State::QuoteInQuotes | State::Closed => Some(0),
        };
        let length = end.unwrap_or(bytes.len());
        if let Some(last) =
            bytes[..length].iter().rposition(|&byte| !is_blank(byte)).filter(|_| self.state == State::Plain)
        {
            self.content_end = self.length + last + 1;
        }
        self.length += length;
        length
    }

    /// Takes a byte, which is on this line.
    pub fn take(&mut self, byte: u8, line: u64, fields: &mut Vec<Field>) {
        let at = self.length;
        self.length += 1;
        self.state = match (self.state, byte) {
            (State::Start, b'"') => {
                (self.start, self.quote_line) = (at + 1, line);
                State::Quoted
            }
            (State::Quoted, b'"') => {
                self.content_end = at;
                State::QuoteInQuotes
            }
            (State::QuoteInQuotes, b'"') => {
                self.has_quotes_inside = true;
                State::Quoted
            }
            (State::Quoted, _) => State::Quoted,
            (_, byte) if byte == self.dialect.delimiter => {
                self.end_field(at, fields);
                self.start = at + 1;
                State::Start
            }
            (State::Start, b' ' | b'\t') if self.dialect.trim => {
                self.start = at + 1;
                State::Start
            }
            (State::QuoteInQuotes | State::Closed, b' ' | b'\t') if self.dialect.trim => State::Closed,
            (State::QuoteInQuotes | State::Closed, _) => {
                self.problem = Some("there is text after a closing quote: double the quotes inside a field");
                State::Plain
            }
            (State::Start | State::Plain, _) => {
                if !is_blank(byte) {
                    self.content_end = at + 1;
                }
                State::Plain
            }
        };
    }

    fn end_field(&mut self, at: usize, fields: &mut Vec<Field>) {
        let is_quoted = matches!(self.state, State::QuoteInQuotes | State::Closed);
        let field = Field {
            start: self.start,
            end: if is_quoted || self.dialect.trim { self.content_end.max(self.start) } else { at },
            is_quoted,
            has_quotes_inside: std::mem::take(&mut self.has_quotes_inside),
        };
        if fields.len() == MOST_FIELDS {
            self.problem = Some("it has more than 1024 fields");
            return;
        }
        fields.push(field);
    }

    /// Ends the last field; says what is wrong with the record.
    pub fn finish(mut self, fields: &mut Vec<Field>) -> io::Result<Option<&'static str>> {
        if self.state == State::Quoted {
            return Err(unclosed(self.quote_line, "before the end of the file"));
        }
        self.end_field(self.length, fields);
        Ok(self.problem)
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn unclosed(line: u64, until: &str) -> io::Error {
    invalid(format!("a quote that opens on line {line} is not closed {until}"))
}
