//! Reads a file as the rows of a table: each is a row, or a [`Reject`] with its line, column and reason.
//!
//! Everything that can be told without the server is told here. One row is in memory at a time.

use std::io;
use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::columns::{FromFields, Problem, Table, Values};
use super::mapping::{Mapping, Plan};
use super::names::Names;
use super::records::{self, Fields, Format, Opened, OtherJson, Records};
use super::values::Input;
use crate::error::{Error, Result};
use crate::models::{AgentMetric, NewEvent, NewQualityMetric, NewResourceMetric};

/// A row that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reject {
    /// The line of the file on which it begins, counted from 1.
    pub line: u64,
    /// The column that it is about; `None` where it is the whole row.
    pub column: Option<String>,
    /// What is wrong with it.
    pub reason: String,
    /// The row as it stands in the file.
    #[serde(skip)]
    pub raw: Vec<u8>,
}

/// How a file is read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// CSV or NDJSON; `None` is what it looks like.
    pub format: Option<Format>,
    /// Which field fills which column.
    pub mapping: Mapping,
    /// Rows without an id get one that is derived from the row and its line, so that the same file gives the same ids;
    /// such a row needs its time. Without it they get a new one each time.
    pub derive_ids: bool,
}

/// A row of one of the tables.
pub trait FromFile: sealed::FromFile {}

impl<R: sealed::FromFile> FromFile for R {}

pub(super) mod sealed {
    /// What [`super::FromFile`] needs, which nobody outside can name.
    #[expect(private_bounds, reason = "nobody outside can implement it")]
    pub trait FromFile: super::FromFields {
        const OF: super::Table;

        /// What no two rows share beside the id: column and value.
        fn key(&self) -> Option<(&'static str, &str)>;
    }
}

macro_rules! from_file {
    ($($row:ident is of $table:ident $(, one for each $key:ident)?;)+) => {$(
        impl sealed::FromFile for $row {
            const OF: Table = Table::$table;

            fn key(&self) -> Option<(&'static str, &str)> {
                from_file!(@key self, $($key)?)
            }
        }
    )+};
    (@key $row:ident, $key:ident) => { Some((stringify!($key), &$row.$key)) };
    (@key $row:ident,) => { None };
}

from_file! {
    NewResourceMetric is of ResourceMetrics;
    NewQualityMetric is of QualityMetrics, one for each request_id;
    AgentMetric is of AgentMetrics;
    NewEvent is of Events;
}

/// The rows of a file.
pub struct Reader<'a, R> {
    records: Records<'a>,
    plan: Plan,
    names: &'a Names,
    derive_ids: bool,
    format: Format,
    is_over: bool,
    rows: PhantomData<fn() -> R>,
}

/// A row and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<R> {
    /// The row, with an id.
    pub row: R,
    /// The line of the file on which it begins, counted from 1.
    pub line: u64,
    /// The row as it stands in the file.
    pub raw: Vec<u8>,
}

impl<'a, R: FromFile> Reader<'a, R> {
    /// Opens a file, and reads the header if it is CSV.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`] when the mapping, or the header, does not fit the table; [`Error::Input`] when the input
    /// fails.
    pub fn new(input: impl io::Read + 'a, options: &Options, names: &'a Names) -> Result<Self> {
        let opened = records::open(input).map_err(input_error)?;
        Self::of_opened(opened, options, names)
    }

    fn of_opened(opened: Opened<'a>, options: &Options, names: &'a Names) -> Result<Self> {
        let mut plan = Plan::new(R::OF, options.mapping.clone(), names)?;
        if let Some(other) = opened.other_json.filter(|_| options.format != Some(Format::Csv)) {
            return Err(not_one_a_line(other));
        }
        let format = options.format.unwrap_or(opened.looks_like);
        let mut records = Records::new(opened, format);
        match (format, plan.fields()) {
            (Format::Ndjson, None) => {}
            (Format::Ndjson, Some(_)) => return Err(no_header_in_ndjson()),
            (Format::Csv, Some(fields)) => plan.resolve(fields)?,
            (Format::Csv, None) => match records.next().map_err(input_error)? {
                None => return Err(empty()),
                Some(header) => {
                    let header = match header.fields {
                        Ok(Fields::Csv(fields)) => plan.names_in(fields)?,
                        Ok(Fields::Json(_)) => Vec::new(),
                        Err(problem) => return Err(bad_header(&problem)),
                    };
                    plan.resolve(header)?;
                }
            },
        }
        Ok(Self { records, plan, names, derive_ids: options.derive_ids, format, is_over: false, rows: PhantomData })
    }

    /// How the file holds its rows.
    pub const fn format(&self) -> Format {
        self.format
    }

    fn read(&mut self) -> io::Result<Option<std::result::Result<Row<R>, Reject>>> {
        let Some(record) = self.records.next()? else { return Ok(None) };
        let (line, raw) = (record.line, record.raw.to_vec());
        let read = match &record.fields {
            Err(reason) => Err(Problem { column: None, reason: reason.clone() }),
            Ok(fields) => make(&self.plan, self.names, self.derive_ids, line, fields),
        };
        Ok(Some(match read {
            Ok(row) => Ok(Row { row, line, raw }),
            Err(problem) => {
                let reason = problem.reason + &lines(line, &raw);
                Err(Reject { line, column: problem.column.map(str::to_owned), reason, raw })
            }
        }))
    }
}

impl<R: FromFile> Iterator for Reader<'_, R> {
    /// A row, or why it is none; or why the input cannot be read any further, which is the last item.
    type Item = io::Result<std::result::Result<Row<R>, Reject>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let item = self.read().transpose();
        self.is_over = !matches!(item, Some(Ok(_)));
        item
    }
}

/// Where a row goes on: two stray quotes make one bad row of all the rows between them.
fn lines(first: u64, raw: &[u8]) -> String {
    match raw.iter().filter(|byte| **byte == b'\n').count() {
        0 => String::new(),
        more => format!(" (lines {first} to {})", first + more as u64),
    }
}

/// Makes a row of a record's fields.
fn make<R: FromFile>(
    plan: &Plan,
    names: &Names,
    derive_ids: bool,
    line: u64,
    fields: &Fields<'_>,
) -> std::result::Result<R, Problem> {
    let inputs = plan.inputs(fields)?;
    let context = plan.context(names);
    let now = Utc::now();
    let values = Values { inputs: &inputs, context: &context, columns: plan.columns(), now };
    let mut row = R::read(&values)?;
    if plan.checks_ranges()
        && let Some(problem) = row.out_of_range(now)
    {
        return Err(problem);
    }
    if !matches!(inputs.first(), Some(Input::Text { .. })) {
        let id = if derive_ids { derived_id(&row, line, &inputs, now)? } else { row.new_id(now) };
        row.set_id(id);
    }
    Ok(row)
}

/// The id of a row that is told by what the row says and where it stands.
fn derived_id<R: FromFile>(
    row: &R,
    line: u64,
    inputs: &[Input<'_>],
    now: DateTime<Utc>,
) -> std::result::Result<uuid::Uuid, Problem> {
    let column = R::OF.time_column();
    let time = R::OF.position(column).and_then(|at| inputs.get(at));
    // Without it, the same row on the same line of the next day's file would pass for this one.
    if !matches!(time, Some(Input::Text { .. })) {
        let reason = format!("is missing, and a row without an id is told from others by it: give an id or {column}");
        return Err(Problem { column: Some(column), reason });
    }
    let mut key = line.to_be_bytes().to_vec();
    for input in inputs {
        let (mark, text) = match input {
            Input::Absent => (0, ""),
            Input::Null | Input::JsonNull => (1, ""),
            Input::Text { text, .. } => (2, text.as_ref()),
        };
        key.push(mark);
        key.extend_from_slice(&(text.len() as u64).to_be_bytes());
        key.extend_from_slice(text.as_bytes());
    }
    Ok(row.id_of(&key, now))
}

/// Nothing is written as far as this room knows.
pub(super) fn input_error(source: io::Error) -> Error {
    Error::Input { written: 0, source }
}

fn bad_header(problem: &str) -> Error {
    Error::Mapping {
        message: format!("the header cannot be read: {problem}"),
        hint: "name the fields with --no-header --columns A,B,... if the file has no header".to_owned(),
    }
}

fn not_one_a_line(json: OtherJson) -> Error {
    let (what, filter) = match json {
        OtherJson::Array => ("the file is an array of JSON", "'.[]'"),
        OtherJson::Pretty => ("the file has JSON objects on several lines each", "."),
    };
    Error::Mapping {
        message: what.to_owned(),
        hint: format!("write one object a line, for example with `jq -c {filter}`"),
    }
}

fn empty() -> Error {
    Error::Mapping {
        message: "the file is empty: it has no header".to_owned(),
        hint: "an empty file of NDJSON has no rows and is fine: pass --input-format ndjson".to_owned(),
    }
}

fn no_header_in_ndjson() -> Error {
    Error::Mapping {
        message: "NDJSON names its fields in every line".to_owned(),
        hint: "leave --no-header and --columns out, or pass --input-format csv".to_owned(),
    }
}
