//! Splits a file into records: CSV or one JSON object a line, each with its line number and its bytes.
//!
//! Nothing here knows a table. One record is in memory at a time, and none that is longer than [`LONGEST`], whatever
//! the input is. A record that cannot be read is an item like the others. An input that fails ends the reading, and so
//! does a record whose end is not known: what looks like one bad row may hold thousands of good ones.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Read};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

#[cfg(feature = "parquet")]
use super::cell::Cells;
use super::csv::{CsvFields, Dialect, Field, Scan};
use super::format::Format;
use super::input::{Input, LONGEST, MOST_FIELDS, too_long};
use super::json;
use super::sample::Sample;

/// A record of a file, as it is written there.
pub(super) struct Record<'a> {
    /// The line on which it begins, counted from 1.
    pub line: u64,
    /// Where in a document it is; empty where the line says it.
    pub path: &'a str,
    /// Its bytes, without the end of its line.
    pub raw: &'a [u8],
    /// Its fields, or why they cannot be read.
    pub fields: Result<Fields<'a>, String>,
}

/// The fields of a record.
pub(super) enum Fields<'a> {
    Csv(CsvFields<'a>),
    Json(Object<'a>),
    Sample(&'a Sample),
    #[cfg(feature = "parquet")]
    Cells(Cells<'a>),
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
    dialect: Dialect,
    /// The number of the line that comes next.
    next_line: u64,
    raw: Vec<u8>,
    fields: Vec<Field>,
    /// The record before ended with a carriage return: a line feed now belongs to it.
    after_return: bool,
    /// The record before ended with the end of a line, and not with the file.
    is_ended: bool,
}

impl<'a> Records<'a> {
    pub fn new(input: Input<'a>, format: Format, dialect: Dialect) -> Self {
        let (raw, fields) = (Vec::new(), Vec::new());
        Self { text: input.text, format, dialect, next_line: 1, raw, fields, after_return: false, is_ended: false }
    }

    /// Whether the last record ended with the end of a line, and not with the file.
    pub const fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// The next record that is not an empty line; `None` at the end.
    pub fn next_record(&mut self) -> io::Result<Option<Record<'_>>> {
        match self.format {
            Format::Csv => self.next_csv(),
            _ => self.next_json(),
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
            return Ok(Some(Record { line, path: "", raw: &self.raw, fields }));
        }
    }

    /// Reads one record into `raw` and `fields`; `None` at the end, else what is wrong with it.
    fn read_csv(&mut self) -> io::Result<Option<Option<&'static str>>> {
        self.raw.clear();
        self.fields.clear();
        let mut scan = Scan::new(self.dialect, self.next_line);
        while self.read_csv_on(&mut scan)? {}
        if !scan.is_begun {
            return Ok(None);
        }
        scan.finish(&mut self.fields).map(Some)
    }

    /// Takes what the buffer has of a record; whether the record may go on after it.
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
        let (mut at, mut end) = (0, None);
        while let Some(&byte) = buffer.get(at) {
            let is_end = scan.is_end(byte);
            self.next_line += u64::from(is_end || byte == b'\n');
            if is_end {
                end = Some(at);
                break;
            }
            scan.take(byte, self.next_line, &mut self.fields);
            at += 1;
            at += scan.take_plain(&buffer[at..]);
        }
        scan.refuse_too_long()?;
        self.is_ended = end.is_some();
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
                let fields = parse_object(&self.raw).map(Fields::Json);
                return Ok(Some(Record { line, path: "", raw: &self.raw, fields }));
            }
        }
    }

    /// Reads one line, whatever it holds: its number; `None` at the end.
    pub fn next_line(&mut self) -> io::Result<Option<u64>> {
        let line = self.next_line;
        Ok(self.read_line()?.then_some(line))
    }

    /// The line that was read.
    pub fn line(&self) -> &[u8] {
        &self.raw
    }

    /// Reads one line into `raw`; false at the end.
    fn read_line(&mut self) -> io::Result<bool> {
        self.raw.clear();
        let limit = LONGEST as u64 + 1;
        if (&mut self.text).take(limit).read_until(b'\n', &mut self.raw)? == 0 {
            return Ok(false);
        }
        self.is_ended = self.raw.pop_if(|byte| *byte == b'\n').is_some();
        if self.is_ended {
            self.raw.pop_if(|byte| *byte == b'\r');
        }
        if self.raw.len() > LONGEST {
            return Err(too_long(self.next_line));
        }
        self.next_line += 1;
        Ok(true)
    }
}

fn parse_object(line: &[u8]) -> Result<Object<'_>, String> {
    let text = std::str::from_utf8(line).map_err(|error| not_utf8(&error))?;
    serde_json::from_str(text).map_err(|error| format!("is not a JSON object: {}", json::problem(&error)))
}

pub(super) fn not_utf8(error: &std::str::Utf8Error) -> String {
    format!("is not UTF-8 from byte {} on", error.valid_up_to() + 1)
}

#[cfg(test)]
mod tests {
    use super::super::error::Error;
    use super::super::input::open;
    use super::*;

    const PLAIN: Dialect = Dialect { delimiter: b',', trim: false };

    /// Every record of a CSV text: its line, and its fields or the problem; a quoted field in brackets.
    fn csv(text: &[u8]) -> Vec<(u64, Result<Vec<String>, String>)> {
        csv_as(text, PLAIN)
    }

    fn csv_as(text: &[u8], dialect: Dialect) -> Vec<(u64, Result<Vec<String>, String>)> {
        let mut records = Records::new(open(text).unwrap(), Format::Csv, dialect);
        let mut found = Vec::new();
        while let Some(record) = records.next_record().unwrap() {
            let fields = record.fields.map(|fields| match fields {
                Fields::Csv(fields) => (0..fields.len()).map(|at| shown(fields.get(at).unwrap())).collect(),
                _ => panic!("CSV was read as something else"),
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
    fn blanks_around_a_field_are_trimmed_where_that_is_wanted() {
        let text = b"a, b ,\t\"c, d\" , , e f\n\"a\" b,\" c \"\n";
        let trimmed = csv_as(text, Dialect { trim: true, ..PLAIN });
        assert_eq!(trimmed[0], (1, fields(&["a", "b", "[c, d]", "", "e f"])));
        assert!(trimmed[1].1.as_ref().unwrap_err().contains("after a closing quote"));
        assert_eq!(csv_as(b"\" c \",\n", Dialect { trim: true, ..PLAIN }), [(1, fields(&["[ c ]", ""]))]);
        assert_eq!(csv(text)[0], (1, fields(&["a", " b ", "\t\"c", " d\" ", " ", " e f"])));
    }

    #[test]
    fn fields_may_be_separated_by_another_character() {
        let semicolons = Dialect { delimiter: b';', ..PLAIN };
        assert_eq!(csv_as(b"a,b;\"c;d\";\n", semicolons), [(1, fields(&["a,b", "[c;d]", ""]))]);
        let tabs = Dialect { delimiter: b'\t', trim: true };
        assert_eq!(csv_as(b"a\t b \t\"c\"\n", tabs), [(1, fields(&["a", "b", "[c]"]))]);
    }

    #[test]
    fn a_stray_quote_spoils_its_own_record_only() {
        let found = csv(b"\"a\"b,c\nd,e\n");
        assert!(found[0].1.as_ref().unwrap_err().contains("after a closing quote"));
        assert_eq!(found[1], (2, fields(&["d", "e"])));
    }

    /// How the reading of an input ends.
    fn end(text: &[u8], format: Format) -> String {
        let input = match open(text) {
            Ok(input) => input,
            Err(Error::Input { source, .. }) => return source.to_string(),
            Err(other) => panic!("{other}"),
        };
        let mut records = Records::new(input, format, PLAIN);
        loop {
            match records.next_record() {
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
        let mut records = Records::new(open(&longest[..]).unwrap(), Format::Ndjson, PLAIN);
        assert_eq!(records.next_record().unwrap().unwrap().raw.len(), LONGEST);
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
    fn a_line_that_is_no_object_is_told_with_its_place() {
        let text = b"{\"a\":1}\n\n[1]\r\n{\"a\":\n{\"a\":\"\xff\"}\n{} {}";
        let mut records = Records::new(open(&text[..]).unwrap(), Format::Ndjson, PLAIN);
        let mut found = Vec::new();
        while let Some(record) = records.next_record().unwrap() {
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
        let mut records = Records::new(open(Drip(text)).unwrap(), Format::Csv, PLAIN);
        let mut lines = Vec::new();
        while let Some(record) = records.next_record().unwrap() {
            lines.push((record.line, record.raw.to_vec()));
        }
        assert_eq!(lines, [(1, b"a,\"b\"\"c\"".to_vec()), (2, b"\"d\r\n\",e".to_vec()), (4, b"f,g".to_vec())]);
    }
}
