//! Reads a file as the rows of a table: each is a [`Row`], or a [`Reject`] with its line, column and reason.
//!
//! Everything that can be found out without the server is found out here. One row is in memory at a time.

use std::collections::BTreeMap;
use std::io;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::csv::Dialect;
use super::error::{Error, Result};
use super::format::Format;
#[cfg(feature = "parquet")]
use super::formats::ParquetRows;
use super::formats::{Cloudwatch, NvidiaSmi, NvidiaSmiXml, PrometheusJson, PrometheusText, SampleRecords, Samples};
use super::input;
use super::mapping::{Mapping, Plan};
use super::names::Names;
use super::ranges;
use super::records::{Fields, Record, Records};
use super::table::{Column, Table};
use super::time::Times;
use super::value::{Context, Input, Problem, Value};
use crate::ingest::{Batch, TooLong, ids};

/// A row that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reject {
    /// The line of the file on which it begins, counted from 1.
    pub line: u64,
    /// The column that it is about; `None` where it is the whole row.
    pub column: Option<String>,
    /// Where in a document it is, such as `data.result[3].values[7]`; `None` where the line says it.
    pub path: Option<String>,
    /// What is wrong with it.
    pub reason: String,
    /// The row as it is in the file.
    #[serde(skip)]
    pub raw: Vec<u8>,
}

/// How a file is read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How the file holds its rows.
    pub format: Option<Format>,
    /// What its name says where `format` is not given; `None` is what it looks like. A format of another tool has to be
    /// given.
    pub named: Option<Format>,
    /// The time of samples of other tools that have none.
    pub at: Option<DateTime<Utc>>,
    /// Which field fills which column.
    pub mapping: Mapping,
    /// Rows without an id get one that is derived from the row and its line, so that the same file gives the same ids;
    /// such a row needs its time. Without it they get a new one each time. Samples of other tools always get one that is
    /// derived, from their metric, their labels and their time.
    pub derive_ids: bool,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<'a> {
    /// The line of the file on which it begins, counted from 1.
    pub line: u64,
    /// The row as it is in the file.
    pub raw: &'a [u8],
    /// Its values, in the order of the table's columns. The first is its id.
    pub values: Vec<Value<'a>>,
}

impl Row<'_> {
    /// The id.
    pub(crate) fn id(&self) -> Uuid {
        match self.values.first() {
            Some(Value::Uuid(id)) => *id,
            _ => Uuid::nil(),
        }
    }

    /// Appends the row to a batch.
    pub(super) fn encode(&self, batch: &mut Batch) -> Result<(), TooLong> {
        batch.push(self.values.len(), |out| self.put(out))
    }

    /// Appends its values as COPY has them.
    pub(crate) fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.values.iter().try_for_each(|value| value.encode(out))
    }
}

/// The records of a file.
enum Source<'a> {
    Rows(Records<'a>),
    Samples(Box<SampleRecords<'a>>),
    #[cfg(feature = "parquet")]
    Parquet(ParquetRows),
}

/// The rows of a file.
pub struct Reader<'a> {
    source: Source<'a>,
    plan: Plan,
    names: Names,
    derive_ids: bool,
    format: Format,
}

impl<'a> Reader<'a> {
    /// Opens a file, and reads the header if it is CSV.
    ///
    /// # Errors
    ///
    /// What does not fit between the mapping, or the header, and the table; [`Error::Input`] when the input fails.
    pub fn new(input: impl io::Read + 'a, table: Table, options: &Options, names: Names) -> Result<Self> {
        let mut plan = Plan::new(table, options.mapping.clone(), &names)?;
        let input = input::open(input)?;
        let other = input.other_format.filter(|_| options.format.is_none());
        let is_parquet = other.filter(|other| *other == Format::Parquet);
        if let (Some(format), None) = (other, is_parquet) {
            return Err(Error::OfTool(format));
        }
        let given = options.format.or(is_parquet).or(options.named);
        if let Some(other) = input.other_json.filter(|_| matches!(given, None | Some(Format::Ndjson))) {
            return Err(Error::NotOneObjectALine(other));
        }
        let format = given.unwrap_or(input.looks_like);
        let samples =
            |samples: Box<dyn Samples + 'a>| Source::Samples(Box::new(SampleRecords::new(samples, options.at)));
        let source = match format {
            Format::Csv | Format::Ndjson => Source::Rows(rows(input, format, &mut plan)?),
            #[cfg(feature = "parquet")]
            Format::Parquet => {
                let rows = ParquetRows::new(input)?;
                plan.resolve(&rows.header())?;
                Source::Parquet(rows)
            }
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => return Err(Error::NoParquet),
            _ if table.position("metric_name").is_none() => return Err(Error::NoSamples { format, table }),
            Format::PrometheusJson => samples(Box::new(PrometheusJson::new(input))),
            Format::PrometheusText => samples(Box::new(PrometheusText::new(input))),
            Format::NvidiaSmi if input.is_xml => samples(Box::new(NvidiaSmiXml::new(input))),
            Format::NvidiaSmi => samples(Box::new(NvidiaSmi::new(input, plan.fields())?)),
            Format::Cloudwatch => samples(Box::new(Cloudwatch::new(input))),
        };
        let derive_ids = options.derive_ids || matches!(source, Source::Samples(_));
        Ok(Self { source, plan, names, derive_ids, format })
    }

    /// How the file holds its rows.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The fields of a CSV file that no column takes.
    pub fn left_out(&self) -> &[String] {
        self.plan.left_out()
    }

    /// Metrics of another tool that are not known here, and how many samples each has; not more than 1000 of them.
    pub fn unknown_metrics(&self) -> BTreeMap<String, u64> {
        match &self.source {
            Source::Samples(samples) => samples.unknown().clone(),
            _ => BTreeMap::new(),
        }
    }

    /// How many samples of another tool have no time of their own, and so that of the options.
    pub fn undated(&self) -> u64 {
        if let Source::Samples(samples) = &self.source { samples.undated() } else { 0 }
    }

    /// The next row, or why it is none; `None` at the end.
    ///
    /// # Errors
    ///
    /// When the input cannot be read any further.
    pub fn next_row(&mut self) -> io::Result<Option<Result<Row<'_>, Reject>>> {
        let record = match &mut self.source {
            Source::Rows(records) => records.next_record()?,
            Source::Samples(samples) => samples.next_record(&self.plan)?,
            #[cfg(feature = "parquet")]
            Source::Parquet(rows) => rows.next_record()?,
        };
        let Some(Record { line, path, raw, fields }) = record else { return Ok(None) };
        let values = match fields {
            Err(reason) => Err(Problem::of_row(reason)),
            Ok(fields) => decode(&self.plan, &self.names, self.derive_ids, line, &fields),
        };
        Ok(Some(match values {
            Ok(values) => Ok(Row { line, raw, values }),
            Err(problem) => {
                let reason = problem.reason + &lines(line, raw);
                let path = Some(path.to_owned()).filter(|path| !path.is_empty());
                Err(Reject { line, path, column: problem.column.map(str::to_owned), reason, raw: raw.to_vec() })
            }
        }))
    }
}

/// Opens a file of rows, and finds the columns of its fields.
fn rows<'a>(input: input::Input<'a>, format: Format, plan: &mut Plan) -> Result<Records<'a>> {
    let dialect = Dialect { delimiter: plan.mapping().delimiter, trim: plan.mapping().trim };
    let mut records = Records::new(input, format, dialect);
    match (format, plan.fields()) {
        (Format::Csv, Some(fields)) => plan.resolve(&fields)?,
        (Format::Csv, None) => {
            let header = records.next_record().map_err(Error::input)?.ok_or(Error::Empty)?;
            let header = match header.fields {
                Ok(Fields::Csv(fields)) => plan.names_in(fields)?,
                Ok(_) => Vec::new(),
                Err(problem) => return Err(Error::Header(problem)),
            };
            plan.resolve(&header)?;
        }
        (_, Some(_)) => return Err(Error::NamedFieldsOfNdjson),
        (_, None) => {}
    }
    Ok(records)
}

/// Where a row ends that has several lines: two stray quotes make one bad row of all the rows between them.
fn lines(first: u64, raw: &[u8]) -> String {
    match raw.iter().filter(|byte| **byte == b'\n').count() {
        0 => String::new(),
        more => format!(" (lines {first} to {})", first + more as u64),
    }
}

/// The values of a record, checked, the id among them.
fn decode<'a>(
    plan: &'a Plan,
    names: &Names,
    derive_ids: bool,
    line: u64,
    fields: &Fields<'a>,
) -> Result<Vec<Value<'a>>, Problem> {
    let (table, columns) = (plan.table(), plan.table().columns());
    let mapping = plan.mapping();
    // JSON has a point.
    let decimal_comma = mapping.decimal_comma && matches!(fields, Fields::Csv(_));
    // The others' formats say how times are written.
    let of_format = Times { format: None, ..mapping.times() };
    let (times, line) = match fields {
        Fields::Csv(_) | Fields::Json(_) => (mapping.times(), Some(line)),
        #[cfg(feature = "parquet")]
        Fields::Cells(_) => (of_format, Some(line)),
        Fields::Sample(sample) => (of_format, Some(line).filter(|_| sample.needs_line)),
    };
    let context = Context { names, times, decimal_comma, now: Utc::now() };
    let inputs = plan.inputs(fields)?;
    let has_id = matches!(inputs.first(), Some(Input::Text { .. } | Input::Constant(_)));
    let key = if has_id || !derive_ids { None } else { Some(key(table, line, &inputs)?) };
    let mut values = Vec::with_capacity(columns.len());
    for (column, input) in columns.iter().zip(inputs) {
        values.push(column.value(input, &context).map_err(|reason| Problem::of(column, reason))?);
    }
    if mapping.check_ranges
        && let Some(problem) = ranges::problem(columns, &values, context.now)
    {
        return Err(problem);
    }
    if mapping.check_ranges
        && matches!(fields, Fields::Sample(_))
        && let Some(problem) = ranges::sample_problem(columns, &values)
    {
        return Err(problem);
    }
    if !has_id {
        let time = table.position(table.time_column()).and_then(|at| values.get(at));
        let time = if let Some(Value::Time(time)) = time { *time } else { context.now };
        values[0] = Value::Uuid(new_id(table, time, key.as_deref()));
    }
    Ok(values)
}

/// The id of a row without one: of the time of the sample where the table is ordered by it.
fn new_id(table: Table, time: DateTime<Utc>, key: Option<&[u8]>) -> Uuid {
    match (table.has_timed_ids(), key) {
        (true, Some(key)) => ids::sample_id_of(time, key),
        (true, None) => ids::sample_id(time),
        (false, Some(key)) => ids::row_id_of(key),
        (false, None) => ids::row_id(),
    }
}

/// What identifies a row without an id: what it says and its place in the file; or, of a sample whose series has one value
/// at a time, all that it says but the value.
fn key(table: Table, line: Option<u64>, inputs: &[Input<'_>]) -> Result<Vec<u8>, Problem> {
    let column = table.time_column();
    let time = table.position(column).and_then(|at| inputs.get(at));
    // Without it, the same row on the same line of the next day's file would pass for this one.
    if !matches!(time, Some(Input::Text { .. } | Input::Constant(_))) {
        let reason = format!("is missing, and the id of a row without one is derived from it: give an id or {column}");
        return Err(Problem { column: Some(column), reason });
    }
    let mut key = line.map(|line| line.to_be_bytes().to_vec()).unwrap_or_default();
    let is_part = |column: &Column| line.is_some() || column.name != "metric_value";
    for (_, input) in table.columns().iter().zip(inputs).filter(|(column, _)| is_part(column)) {
        let (mark, text) = match input {
            Input::Absent => (0, ""),
            Input::Null | Input::JsonNull => (1, ""),
            Input::Constant(constant) => (2, constant.text.as_str()),
            Input::Text { text, .. } => (2, text.as_ref()),
        };
        key.push(mark);
        key.extend_from_slice(&(text.len() as u64).to_be_bytes());
        key.extend_from_slice(text.as_bytes());
    }
    Ok(key)
}
