//! Parquet files: columns of single values, some rows of each in memory at a time.

use std::cell;
use std::fs::File;
use std::io::{self, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::{DateTime, NaiveDateTime, TimeDelta};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use uuid::Uuid;

use super::super::cell::{Cell, Cells};
use super::super::error::{Error, Result};
use super::super::input::{Input, invalid};
use super::super::records::{Fields, Record};

/// Rows that are read at a time.
const ROWS: usize = 1024;

pub struct ParquetRows {
    file: SerializedFileReader<File>,
    /// The number of the next row group.
    group: usize,
    /// The columns of the group that is being read; `None` where one holds lists or more columns.
    columns: Vec<Option<ColumnReader>>,
    /// Rows of the group that are still to be read.
    left: usize,
    /// The rows that were read, by column.
    cells: Vec<Vec<Cell>>,
    rows: usize,
    /// The next one of them.
    row: usize,
    /// The number of the row in the file.
    number: u64,
    raw: Vec<u8>,
}

impl ParquetRows {
    /// Opens a file. Its end says what is in it, so that a pipe is first written to a temporary file.
    pub fn new(mut input: Input<'_>) -> Result<Self> {
        let mut open = || -> io::Result<File> {
            let mut file = tempfile::tempfile()?;
            io::copy(&mut input.text, &mut file)?;
            file.rewind()?;
            Ok(file)
        };
        let file = open().map_err(Error::input)?;
        let file = guarded(|| SerializedFileReader::new(file)).map_err(Error::input)?;
        let (columns, cells, raw) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { file, group: 0, columns, left: 0, cells, rows: 0, row: 0, number: 0, raw })
    }

    /// The names of its columns.
    pub fn header(&self) -> Vec<String> {
        let schema = self.file.metadata().file_metadata().schema_descr();
        schema.root_schema().get_fields().iter().map(|field| field.name().to_owned()).collect()
    }

    /// The next row; `None` at the end.
    pub fn next_record(&mut self) -> io::Result<Option<Record<'_>>> {
        while self.row == self.rows {
            if !guarded(|| self.read_rows())? {
                return Ok(None);
            }
        }
        let cells = Cells { columns: &self.cells, row: self.row };
        self.raw.clear();
        for column in 0..self.cells.len() {
            if column > 0 {
                self.raw.push(b',');
            }
            if let Some(Cell::Text(text)) = cells.get(column) {
                serde_json::to_writer(&mut self.raw, text)?;
            }
        }
        self.row += 1;
        self.number += 1;
        Ok(Some(Record { line: self.number, path: "", raw: &self.raw, fields: Ok(Fields::Cells(cells)) }))
    }

    /// Reads the next rows of all columns; false at the end of the file.
    fn read_rows(&mut self) -> Result<bool, ParquetError> {
        if self.left == 0 {
            if self.group == self.file.num_row_groups() {
                return Ok(false);
            }
            self.open_group()?;
        }
        let count = self.left.min(ROWS);
        let schema = self.file.metadata().file_metadata().schema_descr_ptr();
        let mut leaf = 0;
        for ((reader, cells), field) in
            self.columns.iter_mut().zip(&mut self.cells).zip(schema.root_schema().get_fields())
        {
            let descriptor = schema.column(leaf);
            leaf += leaves(field);
            *cells = match reader {
                Some(reader) => read_cells(reader, &descriptor, count)?,
                None => vec![Cell::Wrong("is of a nested type, which is not read".to_owned()); count],
            };
            if cells.len() != count {
                return Err(ParquetError::General(format!("the column {} ends before the others", descriptor.name())));
            }
        }
        (self.rows, self.row, self.left) = (count, 0, self.left - count);
        Ok(true)
    }

    fn open_group(&mut self) -> Result<(), ParquetError> {
        let group = self.file.get_row_group(self.group)?;
        let schema = self.file.metadata().file_metadata().schema_descr_ptr();
        let mut leaf = 0;
        self.columns.clear();
        for field in schema.root_schema().get_fields() {
            let is_plain = field.is_primitive() && schema.column(leaf).max_rep_level() == 0;
            let reader = if is_plain { Some(group.get_column_reader(leaf)?) } else { None };
            self.columns.push(reader);
            leaf += leaves(field);
        }
        self.left = usize::try_from(group.metadata().num_rows()).unwrap_or_default();
        self.cells = vec![Vec::new(); self.columns.len()];
        self.group += 1;
        Ok(())
    }
}

thread_local! {
    static IS_CAUGHT: cell::Cell<bool> = const { cell::Cell::new(false) };
}

/// Whether a panic of this thread is caught and becomes an error: the crate panics where a file is damaged in some ways.
pub fn is_panic_caught() -> bool {
    IS_CAUGHT.get()
}

fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> io::Result<T> {
    IS_CAUGHT.set(true);
    // What was being read is not used again after an error.
    let read = catch_unwind(AssertUnwindSafe(read));
    IS_CAUGHT.set(false);
    match read {
        Ok(read) => read.map_err(|error| invalid(format!("the Parquet data cannot be read: {error}"))),
        Err(_) => Err(invalid("the Parquet data is damaged".to_owned())),
    }
}

/// How many columns of values a field has.
fn leaves(field: &parquet::schema::types::Type) -> usize {
    if field.is_primitive() { 1 } else { field.get_fields().iter().map(|field| leaves(field)).sum() }
}

fn read_cells(reader: &mut ColumnReader, of: &ColumnDescriptor, rows: usize) -> Result<Vec<Cell>, ParquetError> {
    match reader {
        ColumnReader::BoolColumnReader(reader) => read_values(reader, of, rows, |value| Ok(value.to_string())),
        ColumnReader::Int32ColumnReader(reader) => read_values(reader, of, rows, |value| int32(of, value)),
        ColumnReader::Int64ColumnReader(reader) => read_values(reader, of, rows, |value| int64(of, value)),
        ColumnReader::Int96ColumnReader(reader) => read_values(reader, of, rows, |value| {
            time(DateTime::from_timestamp_nanos(value.to_nanos()).naive_utc(), false)
        }),
        ColumnReader::FloatColumnReader(reader) => read_values(reader, of, rows, |value| Ok(value.to_string())),
        ColumnReader::DoubleColumnReader(reader) => read_values(reader, of, rows, |value| Ok(value.to_string())),
        ColumnReader::ByteArrayColumnReader(reader) => read_values(reader, of, rows, |value| bytes(of, value.data())),
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            read_values(reader, of, rows, |value| bytes(of, value.data()))
        }
    }
}

fn read_values<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    of: &ColumnDescriptor,
    rows: usize,
    text: impl Fn(T::T) -> Result<String, String>,
) -> Result<Vec<Cell>, ParquetError> {
    let (mut levels, mut values, mut read) = (Vec::new(), Vec::new(), 0);
    while read < rows {
        let (records, ..) = reader.read_records(rows - read, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            break;
        }
        read += records;
    }
    let mut values = values.into_iter().map(|value| text(value).map_or_else(Cell::Wrong, Cell::Text));
    if of.max_def_level() == 0 {
        return Ok(values.collect());
    }
    let cell = |level| if level == of.max_def_level() { values.next().unwrap_or(Cell::Null) } else { Cell::Null };
    Ok(levels.into_iter().map(cell).collect())
}

fn int32(of: &ColumnDescriptor, value: i32) -> Result<String, String> {
    match of.converted_type() {
        ConvertedType::DATE => {
            let date = DateTime::UNIX_EPOCH.date_naive().checked_add_signed(TimeDelta::days(value.into()));
            Ok(date.ok_or("is a date that is out of range")?.to_string())
        }
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 => {
            Ok(value.cast_unsigned().to_string())
        }
        ConvertedType::DECIMAL => Ok(decimal(value.into(), of.type_scale())),
        _ => Ok(value.to_string()),
    }
}

fn int64(of: &ColumnDescriptor, value: i64) -> Result<String, String> {
    let (unit, is_utc) = match (of.logical_type_ref(), of.converted_type()) {
        (Some(LogicalType::Timestamp(of)), _) => (of.unit, of.is_adjusted_to_u_t_c),
        (_, ConvertedType::TIMESTAMP_MILLIS) => (TimeUnit::MILLIS, true),
        (_, ConvertedType::TIMESTAMP_MICROS) => (TimeUnit::MICROS, true),
        (_, ConvertedType::UINT_64) => return Ok(value.cast_unsigned().to_string()),
        (_, ConvertedType::DECIMAL) => return Ok(decimal(value.into(), of.type_scale())),
        _ => return Ok(value.to_string()),
    };
    let at = match unit {
        TimeUnit::MILLIS => DateTime::from_timestamp_millis(value),
        TimeUnit::MICROS => DateTime::from_timestamp_micros(value),
        TimeUnit::NANOS => Some(DateTime::from_timestamp_nanos(value)),
    };
    time(at.ok_or("is a time that is out of range")?.naive_utc(), is_utc)
}

/// A time that is in UTC, or has no offset.
#[expect(clippy::unnecessary_wraps, reason = "the readers of the other types can fail")]
fn time(at: NaiveDateTime, is_utc: bool) -> Result<String, String> {
    Ok(format!("{}{}", at.format("%Y-%m-%dT%H:%M:%S%.f"), if is_utc { "Z" } else { "" }))
}

fn bytes(of: &ColumnDescriptor, value: &[u8]) -> Result<String, String> {
    if of.converted_type() == ConvertedType::DECIMAL {
        let first = if value.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [first; 16];
        let start = wide.len().checked_sub(value.len()).ok_or("is a number of more than 128 bits")?;
        wide[start..].copy_from_slice(value);
        return Ok(decimal(i128::from_be_bytes(wide), of.type_scale()));
    }
    if of.logical_type_ref() == Some(&LogicalType::Uuid) {
        return Uuid::from_slice(value).map(|id| id.to_string()).map_err(|_| "is a UUID of another length".to_owned());
    }
    std::str::from_utf8(value).map(str::to_owned).map_err(|_| "is neither text nor a UUID".to_owned())
}

fn decimal(digits: i128, scale: i32) -> String {
    bigdecimal::BigDecimal::new(digits.into(), scale.into()).to_plain_string()
}
