//! Rows in the server's binary COPY format, each encoded once into a buffer that is used again and again.
//!
//! The buffer remembers where each row begins, so that any run of rows can be sent by itself: that is how the one
//! that the server refuses is found. Nothing here uses a connection.

use std::io::Write;
use std::ops::Range;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz};
use serde_json::Value;
use uuid::Uuid;

use crate::enums::{EventSeverity, MetricType, ResourceType};
use crate::schema::sql_types;

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

/// A Rust type in the form of the SQL type `S`.
pub(crate) trait Field<S> {
    /// Appends the length and the bytes.
    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong>;
}

impl<S, T: Field<S>> Field<Nullable<S>> for Option<T> {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Some(value) => value.put(out),
            None => {
                put_null(out);
                Ok(())
            }
        }
    }
}

impl<S, T: Field<S>> Field<S> for &T {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        (*self).put(out)
    }
}

impl Field<diesel::sql_types::Uuid> for Uuid {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_bytes(self.as_bytes(), out)
    }
}

impl Field<Text> for String {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_bytes(self.as_bytes(), out)
    }
}

impl Field<Double> for f64 {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_bytes(&self.to_be_bytes(), out)
    }
}

impl Field<Integer> for i32 {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_bytes(&self.to_be_bytes(), out)
    }
}

impl Field<Bool> for bool {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_bytes(&[u8::from(*self)], out)
    }
}

impl Field<Timestamptz> for DateTime<Utc> {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_time(*self, out)
    }
}

impl Field<Jsonb> for Value {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_json(|out| serde_json::to_writer(out, self).map_err(|_| TooLong), out)
    }
}

macro_rules! enum_fields {
    ($($label:ty as $sql_type:ident),+) => {$(
        impl Field<sql_types::$sql_type> for $label {
            fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
                put_bytes(self.as_str().as_bytes(), out)
            }
        }
    )+};
}

enum_fields!(ResourceType as ResourceType, MetricType as Metrictype, EventSeverity as Eventseverity);

pub(crate) fn put_time(time: DateTime<Utc>, out: &mut Vec<u8>) -> Result<(), TooLong> {
    // Far outside of what the server takes before it could overflow.
    let micros = time.timestamp_micros().saturating_sub(POSTGRES_EPOCH_MICROS);
    put_bytes(&micros.to_be_bytes(), out)
}

pub(crate) fn put_null(out: &mut Vec<u8>) {
    out.extend((-1_i32).to_be_bytes());
}

/// Appends JSON whose text is written by `write`.
pub(crate) fn put_json(
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), TooLong>,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    let start = out.len();
    // The length, filled in below, and the version of the format.
    out.extend([0, 0, 0, 0, 1]);
    write(out)?;
    let length = length_of(out.len() - start - 4)?;
    out[start..start + 4].copy_from_slice(&length);
    Ok(())
}

pub(crate) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), TooLong> {
    out.extend(length_of(bytes.len())?);
    out.extend(bytes);
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
        self.bytes.extend(columns.to_be_bytes());
        let done = put(&mut self.bytes);
        match &done {
            Ok(()) => self.ends.push(self.bytes.len()),
            Err(_) => self.bytes.truncate(start),
        }
        done
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

    /// The id of a row, which follows the number of columns and its own length.
    pub(super) fn id(&self, row: usize) -> Uuid {
        let at = self.start(row) + 2 + 4;
        self.bytes.get(at..at + 16).and_then(|bytes| Uuid::from_slice(bytes).ok()).unwrap_or_default()
    }

    fn start(&self, row: usize) -> usize {
        row.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

/// Sends rows, header and trailer included, in pieces that the server takes in one read.
pub(super) fn write(sink: &mut dyn Write, rows: &[u8]) -> QueryResult<()> {
    let pieces = std::iter::once(HEADER).chain(rows.chunks(PIECE)).chain([&TRAILER[..]]);
    for piece in pieces {
        sink.write_all(piece).map_err(|error| Error::SerializationError(Box::new(error)))?;
    }
    Ok(())
}
