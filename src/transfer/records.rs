//! Takes a file apart into records: CSV or one JSON object a line, each with its line number and its bytes.
//!
//! Nothing here knows a table. One record is in memory at a time, and none that is longer than [`LONGEST`], whatever
//! the input is. A record that cannot be read is an item like the others. An input that fails ends the reading, and so
//! does a record whose end cannot be told: what looks like one bad row may hold thousands of good ones.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The longest record that is read, in bytes, its quotes included.
pub const LONGEST: usize = 16 * 1024 * 1024;
/// The most fields that a record may have.
const MOST_FIELDS: usize = 1024;
const BUFFER: usize = 256 * 1024;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// How a file holds its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Comma-separated values, as RFC 4180 and PostgreSQL's COPY write them.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// A file that is ready to be read: inflated where it was compressed, and without a byte order mark.
pub struct Opened<'a> {
    text: Box<dyn BufRead + 'a>,
    /// What the first byte looks like: an object is NDJSON, everything else CSV.
    pub looks_like: Format,
    /// What it is where it looks like JSON that is not one object a line.
    pub(super) other_json: Option<OtherJson>,
}

/// JSON that is not one object a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherJson {
    /// One array of all rows.
    Array,
    /// Objects, each on several lines.
    Pretty,
}

impl OtherJson {
    /// What a text that begins like this is.
    fn of(beginning: &[u8]) -> Option<Self> {
        match beginning.trim_ascii_start() {
            [b'[', ..] => Some(Self::Array),
            // The end of the line has to be there: who knows what a buffer has cut off.
            [b'{', rest @ ..] => {
                let line = &rest[..rest.iter().position(|byte| *byte == b'\n')?];
                line.trim_ascii().is_empty().then_some(Self::Pretty)
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Opened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("looks_like", &self.looks_like).finish_non_exhaustive()
    }
}

/// Looks at the beginning of an input: gzip is inflated, a byte order mark is taken off.
///
/// # Errors
///
/// Fails when the input does, or when it is damaged gzip.
pub fn open<'a>(mut input: impl Read + 'a) -> io::Result<Opened<'a>> {
    let head = take(&mut input, GZIP.len())?;
    let is_gzip = head == GZIP;
    let input = BufReader::with_capacity(BUFFER, io::Cursor::new(head).chain(input));
    let mut text: Box<dyn BufRead + 'a> = if is_gzip {
        Box::new(BufReader::with_capacity(BUFFER, Inflated(MultiGzDecoder::new(input))))
    } else {
        Box::new(input)
    };
    let head = take(&mut text, BYTE_ORDER_MARK.len())?;
    let head = head.strip_prefix(&BYTE_ORDER_MARK[..]).map(<[u8]>::to_vec).unwrap_or(head);
    let mut text: Box<dyn BufRead + 'a> = Box::new(BufReader::with_capacity(BUFFER, io::Cursor::new(head).chain(text)));
    let beginning = text.fill_buf()?;
    let is_object = beginning.trim_ascii_start().starts_with(b"{");
    let other_json = OtherJson::of(beginning);
    let looks_like = if is_object { Format::Ndjson } else { Format::Csv };
    Ok(Opened { text, looks_like, other_json })
}

/// Gzip whose errors say that it is gzip.
struct Inflated<R>(MultiGzDecoder<R>);

impl<R: BufRead> Read for Inflated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the gzip data ends early"),
            io::ErrorKind::InvalidInput => io::Error::new(error.kind(), format!("the gzip data is damaged: {error}")),
            _ => error,
        })
    }
}

/// Reads so many bytes, fewer only at the end of the input.
fn take(input: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(count);
    input.take(count as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// One field of a CSV record: where it is between its quotes.
#[derive(Debug, Clone, Copy)]
struct Field {
    start: usize,
    end: usize,
    is_quoted: bool,
    has_quotes_inside: bool,
}

/// A record of a file, as it stands there.
pub(super) struct Record<'a> {
    /// The line on which it begins, counted from 1.
    pub line: u64,
    /// Its bytes, without the end of its line.
    pub raw: &'a [u8],
    /// Its fields, or why they cannot be told.
    pub fields: Result<Fields<'a>, String>,
}

/// The fields of a record.
pub(super) enum Fields<'a> {
    Csv(CsvFields<'a>),
    Json(Object<'a>),
}

/// The fields of a CSV record, by their position.
#[derive(Clone, Copy)]
pub(super) struct CsvFields<'a> {
    raw: &'a [u8],
    fields: &'a [Field],
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

/// The members of a JSON object in their order, their values as they are written.
pub(super) struct Object<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut members = Vec::with_capacity(18);
        while let Some(Key(key)) = map.next_key()? {
            if members.len() == MOST_FIELDS {
                return Err(serde::de::Error::custom(format_args!("more than {MOST_FIELDS} fields")));
            }
            members.push((key, map.next_value()?));
        }
        Ok(Object(members))
    }
}

/// The records of a file.
pub(super) struct Records<'a> {
    text: Box<dyn BufRead + 'a>,
    format: Format,
    /// The number of the line that comes next.
    next_line: u64,
    raw: Vec<u8>,
    fields: Vec<Field>,
    /// The record before ended with a carriage return: a line feed now belongs to it.
    after_return: bool,
}

/// Where in a CSV record a byte stands.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Before the first byte of a field.
    #[default]
    Start,
    Plain,
    Quoted,
    /// Behind a quote inside quotes: the end of the field, or the first half of a doubled one.
    QuoteInQuotes,
}

impl<'a> Records<'a> {
    pub fn new(opened: Opened<'a>, format: Format) -> Self {
        Self { text: opened.text, format, next_line: 1, raw: Vec::new(), fields: Vec::new(), after_return: false }
    }

    /// The next record that is not an empty line; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        match self.format {
            Format::Csv => self.next_csv(),
            Format::Ndjson => self.next_json(),
        }
    }

    fn next_csv(&mut self) -> io::Result<Option<Record<'_>>> {
        loop {
            let line = self.next_line;
            let Some(problem) = self.read_csv()? else { return Ok(None) };
            if self.raw.is_empty() && problem.is_none() {
                continue;
            }
            let fields = match problem {
                Some(problem) => Err(problem.to_owned()),
                None => Ok(Fields::Csv(CsvFields { raw: &self.raw, fields: &self.fields })),
            };
            return Ok(Some(Record { line, raw: &self.raw, fields }));
        }
    }

    /// Reads one record into `raw` and `fields`; `None` at the end, else what is wrong with it.
    fn read_csv(&mut self) -> io::Result<Option<Option<&'static str>>> {
        self.raw.clear();
        self.fields.clear();
        let mut scan = Scan { line: self.next_line, ..Scan::default() };
        while self.read_csv_on(&mut scan)? {}
        if !scan.is_begun {
            return Ok(None);
        }
        scan.finish(&mut self.fields).map(Some)
    }

    /// Takes what the buffer has of a record; whether the record may go on behind it.
    fn read_csv_on(&mut self, scan: &mut Scan) -> io::Result<bool> {
        let buffer = match self.text.fill_buf() {
            Ok([]) => return Ok(false),
            Ok(buffer) => buffer,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        };
        if std::mem::take(&mut self.after_return) && buffer.starts_with(b"\n") {
            self.text.consume(1);
            return Ok(true);
        }
        scan.is_begun = true;
        let end = buffer.iter().position(|&byte| {
            let is_end = scan.is_end(byte);
            self.next_line += u64::from(is_end || byte == b'\n');
            if !is_end {
                scan.take(byte, self.next_line, &mut self.fields);
            }
            is_end
        });
        scan.refuse_too_long()?;
        self.after_return = end.is_some_and(|at| buffer[at] == b'\r');
        let used = end.unwrap_or(buffer.len());
        self.raw.extend_from_slice(&buffer[..used]);
        self.text.consume(used + usize::from(end.is_some()));
        Ok(end.is_none())
    }

    fn next_json(&mut self) -> io::Result<Option<Record<'_>>> {
        loop {
            let line = self.next_line;
            if !self.read_line()? {
                return Ok(None);
            }
            if !self.raw.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(Record { line, raw: &self.raw, fields: parse_object(&self.raw).map(Fields::Json) }));
            }
        }
    }

    /// Reads one line into `raw`; false at the end.
    fn read_line(&mut self) -> io::Result<bool> {
        self.raw.clear();
        let limit = LONGEST as u64 + 1;
        if (&mut self.text).take(limit).read_until(b'\n', &mut self.raw)? == 0 {
            return Ok(false);
        }
        if self.raw.pop_if(|byte| *byte == b'\n').is_some() {
            self.raw.pop_if(|byte| *byte == b'\r');
        }
        if self.raw.len() > LONGEST {
            return Err(too_long(self.next_line));
        }
        self.next_line += 1;
        Ok(true)
    }
}

/// The way through one CSV record, byte by byte.
#[derive(Default)]
struct Scan {
    /// There is something of the record.
    is_begun: bool,
    /// The line on which it begins.
    line: u64,
    /// The line of the last quote that opened a field.
    quote_line: u64,
    state: State,
    /// Where the field began, behind its quote if it has one.
    start: usize,
    has_quotes_inside: bool,
    /// How many bytes were taken.
    length: usize,
    problem: Option<&'static str>,
}

impl Scan {
    fn is_end(&self, byte: u8) -> bool {
        self.state != State::Quoted && (byte == b'\n' || byte == b'\r')
    }

    fn refuse_too_long(&self) -> io::Result<()> {
        match self.state {
            _ if self.length <= LONGEST => Ok(()),
            State::Quoted => Err(unclosed(self.quote_line, &format!("within {} MiB", LONGEST >> 20))),
            _ => Err(too_long(self.line)),
        }
    }

    /// Takes a byte, which is on this line.
    fn take(&mut self, byte: u8, line: u64, fields: &mut Vec<Field>) {
        let at = self.length;
        self.length += 1;
        self.state = match (self.state, byte) {
            (State::Start, b'"') => {
                (self.start, self.quote_line) = (at + 1, line);
                State::Quoted
            }
            (State::Quoted, b'"') => State::QuoteInQuotes,
            (State::QuoteInQuotes, b'"') => {
                self.has_quotes_inside = true;
                State::Quoted
            }
            (State::Quoted, _) => State::Quoted,
            (_, b',') => {
                self.end_field(at, fields);
                self.start = at + 1;
                State::Start
            }
            (State::QuoteInQuotes, _) => {
                self.problem = Some("something stands behind a closing quote: double the quotes inside a field");
                State::Plain
            }
            (State::Start | State::Plain, _) => State::Plain,
        };
    }

    fn end_field(&mut self, at: usize, fields: &mut Vec<Field>) {
        let is_quoted = self.state == State::QuoteInQuotes;
        let field = Field {
            start: self.start,
            end: at - usize::from(is_quoted),
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
    fn finish(mut self, fields: &mut Vec<Field>) -> io::Result<Option<&'static str>> {
        if self.state == State::Quoted {
            return Err(unclosed(self.quote_line, "before the end of the file"));
        }
        self.end_field(self.length, fields);
        Ok(self.problem)
    }
}

fn unclosed(line: u64, until: &str) -> io::Error {
    invalid(format!("a quote that opens on line {line} is not closed {until}"))
}

fn too_long(line: u64) -> io::Error {
    invalid(format!("the row on line {line} is longer than {} MiB", LONGEST >> 20))
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

fn parse_object(line: &[u8]) -> Result<Object<'_>, String> {
    let text = std::str::from_utf8(line).map_err(|error| not_utf8(&error))?;
    serde_json::from_str(text).map_err(|error| format!("is not a JSON object: {}", json_problem(&error)))
}

/// What serde_json says, without the line, which would be that of the record and not of the file.
pub(super) fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(problem) if error.line() <= 1 => format!("{problem} at character {}", error.column()),
        _ => text,
    }
}

pub(super) fn not_utf8(error: &std::str::Utf8Error) -> String {
    format!("is not UTF-8 from byte {} on", error.valid_up_to() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every record of a CSV text: its line, and its fields or the problem; a quoted field in brackets.
    fn csv(text: &[u8]) -> Vec<(u64, Result<Vec<String>, String>)> {
        let mut records = Records::new(open(text).unwrap(), Format::Csv);
        let mut found = Vec::new();
        while let Some(record) = records.next().unwrap() {
            let fields = record.fields.map(|fields| match fields {
                Fields::Csv(fields) => (0..fields.len()).map(|at| shown(fields.get(at).unwrap())).collect(),
                Fields::Json(_) => panic!("CSV was read as JSON"),
            });
            found.push((record.line, fields));
        }
        found
    }

    fn shown((bytes, is_quoted): (Cow<'_, [u8]>, bool)) -> String {
        let text = String::from_utf8_lossy(&bytes);
        if is_quoted { format!("[{text}]") } else { text.into_owned() }
    }

    fn fields(list: &[&str]) -> Result<Vec<String>, String> {
        Ok(list.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn quoted_and_unquoted_fields_are_told_apart() {
        assert_eq!(csv(b"a,,\"\",\"b\"\n"), [(1, fields(&["a", "", "[]", "[b]"]))]);
    }

    #[test]
    fn quotes_commas_and_lines_inside_quotes_belong_to_the_field() {
        let found = csv(b"\"say \"\"hi\"\"\",\"a,b\",\"one\ntwo\r\n\"\nx,y,z\n");
        assert_eq!(found, [(1, fields(&["[say \"hi\"]", "[a,b]", "[one\ntwo\r\n]"])), (4, fields(&["x", "y", "z"]))]);
    }

    #[test]
    fn every_kind_of_line_end_ends_a_record_and_empty_lines_are_none() {
        for text in ["a,b\nc,d\n", "a,b\r\nc,d\r\n", "a,b\rc,d\r", "a,b\nc,d"] {
            assert_eq!(csv(text.as_bytes()), [(1, fields(&["a", "b"])), (2, fields(&["c", "d"]))], "{text:?}");
        }
        assert_eq!(csv(b"\n\r\n\na\n\n"), [(4, fields(&["a"]))]);
        assert_eq!(csv(b""), []);
    }

    #[test]
    fn a_quote_in_the_middle_of_a_plain_field_is_a_character() {
        assert_eq!(csv(b"5\" disk,x\n"), [(1, fields(&["5\" disk", "x"]))]);
    }

    #[test]
    fn a_stray_quote_spoils_its_own_record_only() {
        let found = csv(b"\"a\"b,c\nd,e\n");
        assert!(found[0].1.as_ref().unwrap_err().contains("behind a closing quote"));
        assert_eq!(found[1], (2, fields(&["d", "e"])));
    }

    /// How the reading of an input ends.
    fn end(text: &[u8], format: Format) -> String {
        let mut records = Records::new(open(text).unwrap(), format);
        loop {
            match records.next() {
                Ok(record) => assert!(record.is_some(), "read to its end"),
                Err(error) => return error.to_string(),
            }
        }
    }

    #[test]
    fn a_record_without_an_end_ends_the_reading() {
        let unclosed = end(b"a,b\n\"c\nd\",\"e\nf,g\nh,i\n", Format::Csv);
        assert_eq!(unclosed, "a quote that opens on line 3 is not closed before the end of the file");
        let long = |begin: &str| [begin.as_bytes(), &vec![b'x'; LONGEST], b"\nc,d\n"].concat();
        let unclosed = end(&long("a,b\r\nc,\"d\n"), Format::Csv);
        assert_eq!(unclosed, "a quote that opens on line 2 is not closed within 16 MiB");
        assert_eq!(end(&long("a,b\nc"), Format::Csv), "the row on line 2 is longer than 16 MiB");
        assert_eq!(end(&long("{}\n{"), Format::Ndjson), "the row on line 2 is longer than 16 MiB");
        // To the byte: the longest record is read.
        let longest = long("");
        assert_eq!(csv(&longest)[1], (2, fields(&["c", "d"])));
        let mut records = Records::new(open(&longest[..]).unwrap(), Format::Ndjson);
        assert_eq!(records.next().unwrap().unwrap().raw.len(), LONGEST);
    }

    #[test]
    fn a_byte_order_mark_and_gzip_are_taken_off() {
        use flate2::write::GzEncoder;
        use std::io::Write;
        assert_eq!(csv(b"\xef\xbb\xbfa,b\n"), [(1, fields(&["a", "b"]))]);
        let mut twice = Vec::new();
        for part in ["a,b\nc", ",d\n"] {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(part.as_bytes()).unwrap();
            twice.extend(encoder.finish().unwrap());
        }
        assert_eq!(csv(&twice), [(1, fields(&["a", "b"])), (2, fields(&["c", "d"]))]);
        assert_eq!(end(&twice[..twice.len() - 3], Format::Csv), "the gzip data ends early");
        let at = twice.len() - 6;
        twice[at] ^= 1;
        assert!(end(&twice, Format::Csv).starts_with("the gzip data is damaged: "));
    }

    #[test]
    fn an_input_is_taken_for_what_it_begins_with() {
        for (text, format) in [("  {\"a\":1}", Format::Ndjson), ("a,b", Format::Csv), ("", Format::Csv)] {
            assert_eq!(open(text.as_bytes()).unwrap().looks_like, format);
        }
    }

    #[test]
    fn json_that_is_not_one_object_a_line_is_told_by_its_beginning() {
        for (text, is) in [
            ("[\n{}]", Some(OtherJson::Array)),
            ("\n [{\"a\":1}]", Some(OtherJson::Array)),
            ("{\n  \"a\": 1\n}\n", Some(OtherJson::Pretty)),
            ("\u{feff}{\r\n", Some(OtherJson::Pretty)),
            ("{\"a\":1}\n[]", None),
            ("{   \"a\": 1}\n", None),
            ("{}", None),
            ("a,b\n", None),
            ("", None),
        ] {
            assert_eq!(open(text.as_bytes()).unwrap().other_json, is, "{text:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_object_is_told_with_its_place() {
        let text = b"{\"a\":1}\n\n[1]\r\n{\"a\":\n{\"a\":\"\xff\"}\n{} {}";
        let mut records = Records::new(open(&text[..]).unwrap(), Format::Ndjson);
        let mut found = Vec::new();
        while let Some(record) = records.next().unwrap() {
            found.push((record.line, record.fields.err().unwrap_or_default()));
        }
        let lines: Vec<_> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 3, 4, 5, 6]);
        for (at, words) in [(1, "expected a JSON object"), (2, "EOF"), (3, "not UTF-8 from byte 7"), (4, "trailing")] {
            assert!(found[at].1.contains(words), "{found:?}");
        }
    }

    /// A reader that gives one byte at a time: every state meets the end of a buffer.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn buffers_end_anywhere() {
        let text = b"a,\"b\"\"c\"\r\n\"d\r\n\",e\rf,g";
        let mut records = Records::new(open(Drip(text)).unwrap(), Format::Csv);
        let mut lines = Vec::new();
        while let Some(record) = records.next().unwrap() {
            lines.push((record.line, record.raw.to_vec()));
        }
        assert_eq!(lines, [(1, b"a,\"b\"\"c\"".to_vec()), (2, b"\"d\r\n\",e".to_vec()), (4, b"f,g".to_vec())]);
    }
}
