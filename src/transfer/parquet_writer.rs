//! Rows as a Parquet file: each column by its type, row groups of a bounded size.

use std::io::{self, Write};
use std::sync::Arc;

use chrono::DateTime;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int32Type,
    Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use uuid::Uuid;

use super::table::{Column, Kind};

/// A row group ends with so many rows, or so many bytes of text.
const ROWS: usize = 100_000;
const BYTES: usize = 32 * 1024 * 1024;

/// A file that is being written.
pub(super) struct ParquetWriter {
    writer: SerializedFileWriter<Vec<u8>>,
    columns: Vec<Buffer>,
    rows: usize,
    bytes: usize,
}

/// The values of a column for the next row group.
struct Buffer {
    values: Values,
    /// 1 where there is a value, 0 where it is null; not used where it cannot be.
    levels: Vec<i16>,
}

enum Values {
    Id(Vec<FixedLenByteArray>),
    Text(Vec<ByteArray>),
    Float(Vec<f64>),
    Integer(Vec<i32>),
    Bool(Vec<bool>),
    Time(Vec<i64>),
}

impl ParquetWriter {
    pub fn new(columns: &[Column]) -> io::Result<Self> {
        let begin = || -> Result<_, ParquetError> {
            let fields = columns.iter().map(|column| field(column).map(Arc::new)).collect::<Result<_, _>>()?;
            let schema = Type::group_type_builder("rows").with_fields(fields).build()?;
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(Default::default()))
                .set_created_by(concat!("optiinfra-dbctl ", env!("CARGO_PKG_VERSION")).to_owned())
                .build();
            SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))
        };
        let writer = begin().map_err(io::Error::other)?;
        let columns = columns.iter().map(|column| Buffer { values: Values::of(column.kind), levels: Vec::new() });
        Ok(Self { writer, columns: columns.collect(), rows: 0, bytes: 0 })
    }

    /// Adds a row of the server's texts.
    pub fn add<'a>(
        &mut self,
        cells: impl Iterator<Item = (&'a Column, Option<&'a [u8]>)>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        for (buffer, (column, cell)) in self.columns.iter_mut().zip(cells) {
            buffer.levels.push(cell.is_some().into());
            if let Some(cell) = cell {
                self.bytes += cell.len();
                buffer.values.push(cell).ok_or_else(|| {
                    let text = String::from_utf8_lossy(cell);
                    io::Error::other(format!("Parquet has no value for {text} in {}", column.name))
                })?;
            }
        }
        self.rows += 1;
        if self.rows == ROWS || self.bytes >= BYTES { self.end_group(out) } else { Ok(()) }
    }

    /// Writes the last rows and the end of the file.
    pub fn finish(mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows > 0 {
            self.end_group(out)?;
        }
        self.writer.finish()?;
        self.hand_over(out)
    }

    fn end_group(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut group = self.writer.next_row_group()?;
        for buffer in &mut self.columns {
            let mut column = group.next_column()?.ok_or_else(|| io::Error::other("a column is missing"))?;
            buffer.write(&mut column)?;
            column.close()?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        self.hand_over(out)
    }

    /// What the format's own writer holds goes on: it cannot write where only one thread may.
    fn hand_over(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.writer.flush()?;
        out.write_all(&std::mem::take(self.writer.inner_mut()))
    }
}

fn field(column: &Column) -> Result<Type, ParquetError> {
    let (physical, logical) = match column.kind {
        Kind::Uuid | Kind::Customer | Kind::Agent => (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid)),
        Kind::Text { .. } | Kind::Label(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Json => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
        Kind::Float => (Physical::DOUBLE, None),
        Kind::Integer => (Physical::INT32, None),
        Kind::Bool => (Physical::BOOLEAN, None),
        Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
    };
    let length = if physical == Physical::FIXED_LEN_BYTE_ARRAY { 16 } else { -1 };
    let repetition = if column.is_nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    Type::primitive_type_builder(column.name, physical)
        .with_repetition(repetition)
        .with_logical_type(logical)
        .with_length(length)
        .build()
}

impl Values {
    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Uuid | Kind::Customer | Kind::Agent => Self::Id(Vec::new()),
            Kind::Text { .. } | Kind::Label(_) | Kind::Json => Self::Text(Vec::new()),
            Kind::Float => Self::Float(Vec::new()),
            Kind::Integer => Self::Integer(Vec::new()),
            Kind::Bool => Self::Bool(Vec::new()),
            Kind::Time => Self::Time(Vec::new()),
        }
    }

    /// Adds a value from the server's text of it; `None` where there is none like it.
    fn push(&mut self, cell: &[u8]) -> Option<()> {
        let text = str::from_utf8(cell).ok();
        match self {
            Self::Id(ids) => ids.push(Uuid::try_parse_ascii(cell).ok()?.as_bytes().to_vec().into()),
            Self::Text(texts) => texts.push(cell.to_vec().into()),
            Self::Float(numbers) => numbers.push(text?.parse().ok()?),
            Self::Integer(numbers) => numbers.push(text?.parse().ok()?),
            Self::Bool(values) => values.push(text? == "true"),
            Self::Time(times) => {
                let time = DateTime::parse_from_str(text?, "%Y-%m-%d %H:%M:%S%.f%#z").ok()?;
                times.push(time.timestamp_micros());
            }
        }
        Some(())
    }
}

impl Buffer {
    fn write(&mut self, column: &mut SerializedColumnWriter<'_>) -> io::Result<()> {
        let levels = std::mem::take(&mut self.levels);
        match &mut self.values {
            Values::Id(values) => write::<FixedLenByteArrayType>(column, values, &levels),
            Values::Text(values) => write::<ByteArrayType>(column, values, &levels),
            Values::Float(values) => write::<DoubleType>(column, values, &levels),
            Values::Integer(values) => write::<Int32Type>(column, values, &levels),
            Values::Bool(values) => write::<BoolType>(column, values, &levels),
            Values::Time(values) => write::<Int64Type>(column, values, &levels),
        }
    }
}

fn write<T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    values: &mut Vec<T::T>,
    levels: &[i16],
) -> io::Result<()> {
    column.typed::<T>().write_batch(&values[..], Some(levels), None)?;
    values.clear();
    Ok(())
}
