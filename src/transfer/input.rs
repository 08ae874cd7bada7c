//! Opens a file: what it is, by how it begins. gzip and zstd are unpacked, a byte order mark is taken off, other
//! compressions are named.
//!
//! Nothing here knows a table or a record.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use super::error::{Error, Result};
use super::format::{Compression, Format, OtherCompression, OtherJson};
use super::recognize;

/// The longest record that is read, in bytes, its quotes included.
pub const LONGEST: usize = 16 * 1024 * 1024;
/// The most fields that a record may have.
pub(super) const MOST_FIELDS: usize = 1024;
const BUFFER: usize = 256 * 1024;
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
/// So many bytes tell the encoding and the format.
const BEGINNING: usize = 4096;

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const LONGEST_MAGIC: usize = 6;
const OTHERS: [(&[u8], OtherCompression); 3] =
    [(b"BZh", OtherCompression::Bzip2), (b"\xfd7zXZ\0", OtherCompression::Xz), (b"PK\x03\x04", OtherCompression::Zip)];

/// What a text that begins like this is, where it is JSON that is not one object a line.
fn other_json(beginning: &[u8]) -> Option<OtherJson> {
    match beginning.trim_ascii_start() {
        [b'[', ..] => Some(OtherJson::Array),
        // The end of the line has to be there: the buffer may have cut something off.
        [b'{', rest @ ..] => {
            let line = &rest[..rest.iter().position(|byte| *byte == b'\n')?];
            line.trim_ascii().is_empty().then_some(OtherJson::Pretty)
        }
        _ => None,
    }
}

/// A file that is ready to be read: unpacked where it was compressed, and without a byte order mark.
pub(super) struct Input<'a> {
    pub text: Box<dyn BufRead + 'a>,
    /// What the first byte looks like: an object is NDJSON, everything else CSV.
    pub looks_like: Format,
    /// What it is where it looks like JSON that is not one object a line.
    pub other_json: Option<OtherJson>,
    /// Whether it looks like XML.
    pub is_xml: bool,
    /// The other format that it is in, where it looks like one.
    pub other_format: Option<Format>,
}

/// Looks at the beginning of an input.
pub(super) fn open<'a>(mut input: impl Read + 'a) -> Result<Input<'a>> {
    let head = take(&mut input, LONGEST_MAGIC).map_err(Error::input)?;
    if let Some((_, compression)) = OTHERS.into_iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(Error::Compressed(compression));
    }
    let (is_gzip, is_zstd) = (head.starts_with(GZIP), head.starts_with(ZSTD));
    let input = BufReader::with_capacity(BUFFER, io::Cursor::new(head).chain(input));
    let unpacked = |of, data: Box<dyn Read + 'a>| BufReader::with_capacity(BUFFER, Unpacked { of, data });
    let mut text: Box<dyn BufRead + 'a> = if is_gzip {
        Box::new(unpacked(Compression::Gzip, Box::new(Members { member: Some(GzDecoder::new(input)) })))
    } else if is_zstd {
        let frames = zstd::Decoder::with_buffer(input).map_err(Error::input)?;
        Box::new(unpacked(Compression::Zstd, Box::new(frames)))
    } else {
        Box::new(input)
    };
    let head = take(&mut text, BEGINNING).map_err(Error::input)?;
    // Letters of UTF-16 have a zero beside them, and no text has one.
    if matches!(head[..], [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, 0, _, ..] | [_, 0, _, 0, ..]) {
        return Err(Error::Utf16);
    }
    let head = head.strip_prefix(&BYTE_ORDER_MARK[..]).map(<[u8]>::to_vec).unwrap_or(head);
    let (other_json, other_format) = (other_json(&head), recognize::format_of(&head));
    let is_xml = head.trim_ascii_start().starts_with(b"<");
    let looks_like = if head.trim_ascii_start().starts_with(b"{") { Format::Ndjson } else { Format::Csv };
    let text = Box::new(BufReader::with_capacity(BUFFER, io::Cursor::new(head).chain(text)));
    Ok(Input { text, looks_like, other_json, is_xml, other_format })
}

/// Reads so many bytes, fewer only at the end of the input.
fn take(input: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(count);
    input.take(count as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Unpacked data, with errors that name the compression.
struct Unpacked<'a> {
    of: Compression,
    data: Box<dyn Read + 'a>,
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.data.read(buffer).map_err(|error| match error.kind() {
            // What the system says of the file itself.
            kind if error.raw_os_error().is_some() || kind == io::ErrorKind::Interrupted => error,
            kind @ io::ErrorKind::UnexpectedEof => io::Error::new(kind, format!("the {} data ends early", self.of)),
            kind => io::Error::new(kind, format!("the {} data is damaged: {error}", self.of)),
        })
    }
}

/// Members of gzip one after the other, and the zeros after the last one with which tapes and block devices pad.
struct Members<R> {
    /// `None` once the last one has ended.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = self.member.as_mut() {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let mut rest = match self.member.take() {
                Some(member) => member.into_inner(),
                None => break,
            };
            if !is_padding(&mut rest)? {
                self.member = Some(GzDecoder::new(rest));
            }
        }
        Ok(0)
    }
}

/// Skips zeros; whether nothing else is left.
fn is_padding(input: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let buffer = input.fill_buf()?;
        let zeros = buffer.iter().take_while(|byte| **byte == 0).count();
        let is_over = zeros < buffer.len() || buffer.is_empty();
        input.consume(zeros);
        if is_over {
            return Ok(input.fill_buf()?.is_empty());
        }
    }
}

pub(super) fn too_long(line: u64) -> io::Error {
    invalid(format!("the row on line {line} is longer than {} MiB", LONGEST >> 20))
}

pub(super) fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

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

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn text(file: &[u8]) -> Result<String, String> {
        let mut text = String::new();
        let read = match open(file) {
            Ok(mut input) => input.text.read_to_string(&mut text),
            Err(Error::Input { source, .. }) => Err(source),
            Err(other) => panic!("{other}"),
        };
        read.map(|_| text).map_err(|error| error.to_string())
    }

    #[test]
    fn zeros_behind_gzip_are_padding() {
        let two = [gzip("a,b\n"), gzip("c,d\n")].concat();
        for padding in [0, 1, 511, 3 * BUFFER] {
            assert_eq!(text(&[two.clone(), vec![0; padding]].concat()).as_deref(), Ok("a,b\nc,d\n"));
        }
        // What is not only zeros is no padding.
        for rest in [&b"\0\0x"[..], b"x", b"\0\x1f\x8b"] {
            assert!(text(&[&two, rest].concat()).is_err(), "{rest:?}");
        }
        assert_eq!(text(&[gzip("a"), vec![0; 9], gzip("b")].concat()).as_deref(), Ok("ab"));
    }

    #[test]
    fn zstd_is_read_to_its_end_or_told() {
        let packed = |text: &str| {
            let mut encoder = zstd::Encoder::new(Vec::new(), 0).unwrap();
            // As the program zstd does.
            encoder.include_checksum(true).unwrap();
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let two = [packed("a,b\n"), packed("c,d\n")].concat();
        assert_eq!(text(&two).as_deref(), Ok("a,b\nc,d\n"));
        assert_eq!(text(&two[..two.len() - 3]).unwrap_err(), "the zstd data ends early");
        let mut damaged = two;
        *damaged.last_mut().unwrap() ^= 1;
        assert!(text(&damaged).unwrap_err().starts_with("the zstd data is damaged: "), "{:?}", text(&damaged));
    }

    #[test]
    fn another_compression_is_named() {
        for (beginning, compression) in [
            (&b"BZh91AY&SY"[..], OtherCompression::Bzip2),
            (b"\xfd7zXZ\0\0\x04", OtherCompression::Xz),
            (b"PK\x03\x04\x14\0", OtherCompression::Zip),
        ] {
            assert!(matches!(open(beginning), Err(Error::Compressed(found)) if found == compression));
        }
        for plain in [&b"BZ,h\n"[..], b"PK,a\n", b""] {
            assert!(open(plain).is_ok());
        }
    }
}
