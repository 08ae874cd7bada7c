//! A JSON document, read from its beginning to its end with one value of it in memory.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use serde::de::DeserializeOwned;
use struson::reader::json_path::JsonPathPiece;
use struson::reader::{
    JsonReader, JsonReaderPosition, JsonStreamReader, ReaderError, ReaderSettings, SyntaxErrorKind, ValueType,
};
use struson::serde::DeserializerError;

use super::super::input::{Input, LONGEST, invalid};
use crate::text::shown;

/// Documents, one after the other.
pub(super) struct Document<'a> {
    json: JsonStreamReader<Limited<'a>>,
    /// How many bytes may be read before the next call of [`Document::renew`].
    left: Rc<Cell<usize>>,
    is_begun: bool,
}

/// An input that ends with an error where one value takes too much of it.
struct Limited<'a> {
    text: Box<dyn BufRead + 'a>,
    left: Rc<Cell<usize>>,
}

impl Read for Limited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.left.get());
        if most == 0 {
            return Err(invalid(format!("a value is longer than {} MiB", LONGEST >> 20)));
        }
        let count = self.text.read(&mut buffer[..most])?;
        self.left.set(self.left.get() - count);
        Ok(count)
    }
}

impl<'a> Document<'a> {
    pub fn new(input: Input<'a>) -> Self {
        let left = Rc::new(Cell::new(LONGEST));
        let text = Limited { text: input.text, left: Rc::clone(&left) };
        let settings = ReaderSettings { allow_multiple_top_level: true, ..ReaderSettings::default() };
        Self { json: JsonStreamReader::new_custom(text, settings), left, is_begun: false }
    }

    /// Goes to the next document; false where there is none.
    pub fn next(&mut self) -> io::Result<bool> {
        self.renew();
        if std::mem::replace(&mut self.is_begun, true) { self.has_next() } else { Ok(true) }
    }

    /// The next value may take as much as one may.
    pub fn renew(&self) {
        self.left.set(LONGEST);
    }

    /// The line that is being read.
    pub fn line(&self) -> u64 {
        self.json.current_position(false).line_pos.map_or(1, |at| at.line + 1)
    }

    /// An error about what is being read.
    pub fn wrong(&self, problem: &str) -> io::Error {
        invalid(format!("{problem} at {}", place(&self.json.current_position(true))))
    }

    pub fn has_next(&mut self) -> io::Result<bool> {
        self.json.has_next().map_err(broken)
    }

    pub fn begin_object(&mut self) -> io::Result<()> {
        self.json.begin_object().map_err(broken)
    }

    pub fn end_object(&mut self) -> io::Result<()> {
        self.json.end_object().map_err(broken)
    }

    pub fn begin_array(&mut self) -> io::Result<()> {
        self.json.begin_array().map_err(broken)
    }

    pub fn end_array(&mut self) -> io::Result<()> {
        self.json.end_array().map_err(broken)
    }

    pub fn name(&mut self) -> io::Result<String> {
        self.json.next_name_owned().map_err(broken)
    }

    pub fn text(&mut self) -> io::Result<String> {
        self.json.next_string().map_err(broken)
    }

    pub fn number(&mut self) -> io::Result<String> {
        self.json.next_number_as_string().map_err(broken)
    }

    pub fn skip(&mut self) -> io::Result<()> {
        self.json.skip_value().map_err(broken)
    }

    pub fn is_null(&mut self) -> io::Result<bool> {
        Ok(self.json.peek().map_err(broken)? == ValueType::Null)
    }

    /// An object of texts.
    pub fn texts(&mut self) -> io::Result<BTreeMap<String, String>> {
        let mut texts = BTreeMap::new();
        self.begin_object()?;
        while self.has_next()? {
            let name = self.name()?;
            let text = self.text()?;
            texts.insert(name, text);
        }
        self.end_object()?;
        Ok(texts)
    }

    /// A value that is taken whole.
    pub fn value<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        self.json.deserialize_next().map_err(|error| match error {
            DeserializerError::ReaderError(error) => broken(error),
            error => self.wrong(&error.to_string()),
        })
    }

    /// Skips the rest of an object, and ends it.
    pub fn end_rest_of_object(&mut self) -> io::Result<()> {
        while self.has_next()? {
            self.name()?;
            self.skip()?;
        }
        self.end_object()
    }
}

/// What is wrong with a document, and where.
fn broken(error: ReaderError) -> io::Error {
    let (problem, at) = match error {
        ReaderError::IoError { error, .. } if error.raw_os_error().is_some() => return error,
        ReaderError::IoError { error, location } => (error.to_string(), location),
        ReaderError::SyntaxError(error) if error.kind == SyntaxErrorKind::IncompleteDocument => {
            ("the document ends early".to_owned(), error.location)
        }
        ReaderError::SyntaxError(error) => (format!("it is not JSON ({})", error.kind), error.location),
        ReaderError::UnexpectedValueType { expected, actual, location } => {
            (format!("{expected} is expected, not {actual},").to_lowercase(), location)
        }
        ReaderError::MaxNestingDepthExceeded { location, .. } => ("it is nested too deeply".to_owned(), location),
        ReaderError::UnsupportedNumberValue { number, location } => {
            (format!("the number {} is too great", shown(&number)), location)
        }
        error => return invalid(error.to_string()),
    };
    invalid(format!("{problem} at {}", place(&at)))
}

/// `data.result[3].metric, line 1`.
fn place(at: &JsonReaderPosition) -> String {
    let mut place = String::new();
    for piece in at.path.iter().flatten() {
        // Nothing can go wrong with a String.
        let _ = match piece {
            JsonPathPiece::ArrayItem(index) => write!(place, "[{index}]"),
            JsonPathPiece::ObjectMember(name) => write!(place, ".{}", shown(name).trim_matches('\'')),
        };
    }
    let line = at.line_pos.as_ref().map_or(1, |at| at.line + 1);
    match place.trim_start_matches('.') {
        "" => format!("line {line}"),
        place => format!("{place}, line {line}"),
    }
}
