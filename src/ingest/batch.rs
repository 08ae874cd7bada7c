//! Rows in the server's binary COPY format, each encoded once into a buffer that is used again and again.
//!
//! The buffer remembers where each row begins, so that any run of rows can be sent by itself: that is how the one
//! that the server refuses is found. Nothing here uses a connection.

use std::io::{self, Write};
use std::ops::Range;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error;
use serde_json::Value;
use uuid::Uuid;

use crate::enums::{EventSeverity, MetricType, ResourceType};

/// What precedes the rows: the signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What follows the rows.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// How much is handed to libpq at a time.
const PIECE: usize = 64 * 1024;

/// The server's times count from 2000.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A value is longer than the format can express.
#[derive(Debug, thiserror::Error)]
#[error("a value is longer than 2 GiB")]
pub struct TooLong;

/// A value as the format has it: its length, then its bytes.
pub(crate) trait Encode {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong>;
}

macro_rules! encode_bytes {
    ($($type:ty: $value:ident => $bytes:expr,)+) => {$(
        impl Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
                let $value = self;
                let bytes: &[u8] = $bytes;
                out.extend_from_slice(&length_of(bytes.len())?);
                out.extend_from_slice(bytes);
                Ok(())
            }
        }
    )+};
}

encode_bytes! {
    Uuid: id => id.as_bytes(),
    str: text => text.as_bytes(),
    String: text => text.as_bytes(),
    f64: number => &number.to_be_bytes(),
    i32: number => &number.to_be_bytes(),
    bool: is_true => &[u8::from(*is_true)],
    // Far outside of what the server takes before it could overflow.
    DateTime<Utc>: time => &time.timestamp_micros().saturating_sub(POSTGRES_EPOCH_MICROS).to_be_bytes(),
    ResourceType: label => label.as_str().as_bytes(),
    MetricType: label => label.as_str().as_bytes(),
    EventSeverity: label => label.as_str().as_bytes(),
}

impl Encode for Value {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_json(out, |out| serde_json::to_writer(out, self).map_err(|_| TooLong))
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Some(value) => value.encode(out),
            None => {
                put_null(out);
                Ok(())
            }
        }
    }
}

pub(crate) fn put_null(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1_i32).to_be_bytes());
}

/// Appends JSON whose text is written by `write`.
pub(crate) fn put_json(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), TooLong>,
) -> Result<(), TooLong> {
    let start = out.len();
    // The length, filled in below, and the version of jsonb's format.
    out.extend_from_slice(&[0, 0, 0, 0, 1]);
    write(out)?;
    let length = length_of(out.len() - start - 4)?;
    out[start..start + 4].copy_from_slice(&length);
    Ok(())
}

fn length_of(length: usize) -> Result<[u8; 4], TooLong> {
    i32::try_from(length).map(i32::to_be_bytes).map_err(|_| TooLong)
}

/// Rows in the binary format, the id first in each.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    /// Appends a row; one that the format cannot express leaves the batch as it was.
    pub(crate) fn push(
        &mut self,
        columns: usize,
        put: impl FnOnce(&mut Vec<u8>) -> Result<(), TooLong>,
    ) -> Result<(), TooLong> {
        let start = self.bytes.len();
        let columns = i16::try_from(columns).map_err(|_| TooLong)?;
        self.bytes.extend_from_slice(&columns.to_be_bytes());
        let done = put(&mut self.bytes);
        match &done {
            Ok(()) => self.ends.push(self.bytes.len()),
            Err(_) => self.bytes.truncate(start),
        }
        done
    }

    /// Appends a row that is encoded already.
    pub(super) fn push_encoded(&mut self, row: &[u8]) {
        self.bytes.extend_from_slice(row);
        self.ends.push(self.bytes.len());
    }

    /// The time in a column of a row.
    pub(super) fn time(&self, row: usize, column: usize) -> Option<DateTime<Utc>> {
        let micros = i64::from_be_bytes(value(self.rows(row..row + 1), column).try_into().ok()?);
        DateTime::from_timestamp_micros(micros.checked_add(POSTGRES_EPOCH_MICROS)?)
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many bytes they take.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Removes all rows; the memory stays allocated.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Removes rows, given in their order.
    pub(super) fn remove(&mut self, rows: impl IntoIterator<Item = usize>) {
        let mut left = Self::default();
        let mut next = 0;
        for row in rows.into_iter().chain([self.len()]) {
            let (begin, moved) = (self.start(next), left.bytes.len());
            left.bytes.extend_from_slice(self.rows(next..row));
            left.ends.extend(self.ends[next..row].iter().map(|end| end - begin + moved));
            next = row + 1;
        }
        *self = left;
    }

    /// A run of rows, without header and trailer.
    pub(super) fn rows(&self, run: Range<usize>) -> &[u8] {
        &self.bytes[self.start(run.start)..self.start(run.end)]
    }

    /// All rows, in the order of the bytes of one of their values; those that have the same stay in their order.
    pub(super) fn sorted_by(&self, column: usize) -> Vec<u8> {
        let mut rows: Vec<_> =
            (0..self.len()).map(|row| self.rows(row..row + 1)).map(|row| (value(row, column), row)).collect();
        rows.sort_by_key(|(value, _)| *value);
        let mut sorted = Vec::with_capacity(self.bytes.len());
        rows.iter().for_each(|(_, row)| sorted.extend_from_slice(row));
        sorted
    }

    /// The id of a row, which follows the number of columns and its own length.
    pub(super) fn id(&self, row: usize) -> Uuid {
        let at = self.start(row) + 2 + 4;
        self.bytes.get(at..at + 16).and_then(|bytes| Uuid::from_slice(bytes).ok()).unwrap_or_default()
    }

    fn start(&self, row: usize) -> usize {
        row.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

/// A value of a row: behind the number of values, each has its length before it, which is negative for null.
fn value(row: &[u8], column: usize) -> &[u8] {
    let mut rest = row.get(2..).unwrap_or_default();
    for _ in 0..column {
        rest = split_value(rest).1;
    }
    split_value(rest).0
}

fn split_value(values: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = values.split_first_chunk() else { return (&[], &[]) };
    let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
    rest.split_at_checked(length).unwrap_or_default()
}

/// Sends rows, header and trailer included, in pieces that the server takes in one read.
pub(super) fn write_rows(sink: &mut dyn Write, rows: &[u8]) -> QueryResult<()> {
    write(sink, |sink| rows.chunks(PIECE).try_for_each(|piece| sink.write_all(piece)))
}

/// Sends what `rows` writes between header and trailer.
pub(super) fn write(sink: &mut dyn Write, rows: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> QueryResult<()> {
    let sent = sink.write_all(HEADER).and_then(|()| rows(sink)).and_then(|()| sink.write_all(&TRAILER));
    sent.map_err(|error| Error::SerializationError(Box::new(error)))
}
