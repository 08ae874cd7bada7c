//! Which field of a file fills which column: by its name, by `map`, or not at all because of a constant.
//!
//! What is wrong with the mapping is reported before the first row is read; a CSV file's header is a part of it.
//! Constants are decoded once.

use std::borrow::Cow;

use chrono::Utc;

#[cfg(feature = "parquet")]
use super::cell::{Cell, Cells};
use super::csv::CsvFields;
use super::error::{Error, Missing, Result};
use super::metrics::{self, Metric};
use super::names::Names;
use super::ranges;
use super::records::{Fields, Object, not_utf8};
use super::sample::Sample;
use super::table::{Column, Kind, Table};
use super::time::{TimeFormat, Times, Zone};
use super::value::{Constant, Context, Input, Problem, Value, Written};
use crate::text::{nearest, shown};

/// How the fields of a file become the columns of a table.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// Columns that are filled from a field of another name: column and field.
    pub map: Vec<(String, String)>,
    /// Columns that have the same value in every row, whatever the file says: column and value.
    pub set: Vec<(String, String)>,
    /// The names of the fields of a CSV file that has no header.
    pub fields: Option<Vec<String>>,
    /// What separates the fields of a CSV file.
    pub delimiter: u8,
    /// Blanks around the fields of a CSV file, and around their quotes, are no part of them. Without it, a text that
    /// begins or ends with a blank and is not in quotes is refused.
    pub trim: bool,
    /// Numbers of a CSV file have a comma where others have a point.
    pub decimal_comma: bool,
    /// How times are written; RFC 3339, or seconds or milliseconds since 1970, where it is not given.
    pub time_format: Option<TimeFormat>,
    /// Where times are local that have no offset. Without it, they are refused, or UTC where `time_format` is given.
    pub time_zone: Option<Zone>,
    /// The unquoted text that stands for null in a CSV file. By default it is empty, as PostgreSQL writes it, and an
    /// empty text is `""`.
    pub null: String,
    /// What metrics of other tools are, by their names there. Others are those of `docs/metrics.md`.
    pub metrics: Vec<(String, Metric)>,
    /// Fields that fill no column are left out instead of refused, and so are samples of metrics that are not known.
    pub ignore_unknown: bool,
    /// Values have to be in the range of their unit, and times not in the future.
    pub check_ranges: bool,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            map: Vec::new(),
            set: Vec::new(),
            fields: None,
            delimiter: b',',
            trim: false,
            decimal_comma: false,
            time_format: None,
            time_zone: None,
            null: String::new(),
            metrics: Vec::new(),
            ignore_unknown: false,
            check_ranges: true,
        }
    }
}

impl Mapping {
    pub(super) const fn times(&self) -> Times<'_> {
        Times { format: self.time_format.as_ref(), zone: self.time_zone }
    }
}

/// A mapping that fits its table.
#[derive(Debug)]
pub(super) struct Plan {
    table: Table,
    mapping: Mapping,
    columns: Vec<Planned>,
    /// How many fields a record of a CSV file has.
    width: usize,
    /// The fields of a CSV file that fill no column.
    left_out: Vec<String>,
}

/// Where a column gets its values.
#[derive(Debug)]
struct Planned {
    column: &'static Column,
    /// The names of the fields that fill it, unless a constant does.
    accepted: Vec<String>,
    /// Whether the names are the user's.
    is_mapped: bool,
    constant: Option<Constant>,
    /// Its field in a CSV file.
    position: Option<usize>,
}

impl Plan {
    /// Looks whether a mapping fits a table.
    pub fn new(table: Table, mapping: Mapping, names: &Names) -> Result<Self> {
        let own_names = |column: &'static Column| Planned {
            column,
            accepted: column.names().map(str::to_owned).collect(),
            is_mapped: false,
            constant: None,
            position: None,
        };
        let mut columns: Vec<_> = table.columns().iter().map(own_names).collect();
        for (name, field) in &mapping.map {
            let planned = named(table, &mut columns, name)?;
            if std::mem::replace(&mut planned.is_mapped, true) {
                return Err(Error::MappedTwice(planned.column.name));
            }
            // As the names in a header are.
            planned.accepted = vec![field.trim().to_owned()];
        }
        for (name, value) in &mapping.set {
            let planned = named(table, &mut columns, name)?;
            if planned.constant.is_some() || planned.is_mapped {
                return Err(Error::GivenTwice(planned.column.name));
            }
            planned.constant = Some(constant(planned.column, value, names, &mapping)?);
        }
        Ok(Self { table, mapping, columns, width: 0, left_out: Vec::new() })
    }

    pub const fn table(&self) -> Table {
        self.table
    }

    pub const fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The fields of a CSV file that fill no column.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The fields of a CSV file that has no header.
    pub fn fields(&self) -> Option<Vec<String>> {
        let fields = self.mapping.fields.as_ref()?;
        Some(fields.iter().map(|field| field.trim().to_owned()).collect())
    }

    /// Reads a CSV file's header.
    pub fn names_in(&self, fields: CsvFields<'_>) -> Result<Vec<String>> {
        let mut header = Vec::with_capacity(fields.len());
        for at in 0..fields.len() {
            let (bytes, _) = fields.get(at).unwrap_or_default();
            let name = std::str::from_utf8(&bytes).map_err(|error| Error::HeaderEncoding(error.valid_up_to() + 1))?;
            header.push(name.trim().to_owned());
        }
        match (&header[..], self.mapping.delimiter) {
            ([only], expected) => match other_delimiter(only, expected) {
                Some(found) => Err(Error::Delimiter { found, expected }),
                None => Ok(header),
            },
            _ => Ok(header),
        }
    }

    /// Finds the columns' fields among those of a CSV file.
    pub fn resolve(&mut self, header: &[String]) -> Result<()> {
        for (at, name) in header.iter().enumerate() {
            if header[..at].contains(name) {
                return Err(Error::FieldTwice(name.clone()));
            }
        }
        let mut is_used = vec![false; header.len()];
        for planned in &mut self.columns {
            let found: Vec<_> = (0..header.len()).filter(|at| planned.accepted.contains(&header[*at])).collect();
            found.iter().for_each(|at| is_used[*at] = true);
            planned.position = match (&planned.constant, &found[..]) {
                (Some(_), _) => None,
                (None, &[one, other, ..]) => {
                    let fields = [one, other].map(|at| header[at].clone());
                    return Err(Error::TwoFields { column: planned.column.name, fields });
                }
                (None, found) => found.first().copied(),
            };
        }
        let unused: Vec<_> = header.iter().zip(is_used).filter(|(_, used)| !used).map(|(name, _)| name).collect();
        self.refuse_missing(header, &unused)?;
        // pandas' index: in CSV a first field without a name.
        let is_index = |field: &str| (field.is_empty() && header[0].is_empty()) || field.starts_with("__index_level_");
        let unknown = unused.iter().find(|field| !is_index(field));
        if let Some(field) = unknown.filter(|_| !self.mapping.ignore_unknown) {
            return Err(Error::UnknownField {
                table: self.table,
                field: (*field).clone(),
                meant: self.meant_by(field),
            });
        }
        self.width = header.len();
        self.left_out = unused.into_iter().cloned().collect();
        Ok(())
    }

    fn refuse_missing(&self, header: &[String], unused: &[&String]) -> Result<()> {
        let unused = || unused.iter().map(|field| field.as_str());
        let lacks_field = |planned: &&Planned| {
            let needs_field = planned.column.is_required() || planned.is_mapped;
            needs_field && planned.constant.is_none() && planned.position.is_none()
        };
        let missing = |planned: &Planned| Missing {
            column: planned.column.name,
            accepted: planned.accepted.clone(),
            meant: planned.accepted.iter().find_map(|name| nearest(name, unused())).map(str::to_owned),
        };
        let missing: Vec<_> = self.columns.iter().filter(lacks_field).map(missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let unused = unused().map(str::to_owned).collect();
        Err(Error::MissingFields { missing, unused, fields: header.to_vec() })
    }

    /// A guess what a field that fills no column should be called.
    fn meant_by(&self, field: &str) -> Option<String> {
        let known = self.columns.iter().flat_map(|planned| &planned.accepted).map(String::as_str);
        nearest(field, known).map(str::to_owned)
    }

    /// What a record has for each column.
    pub fn inputs<'a>(&'a self, fields: &Fields<'a>) -> Result<Vec<Input<'a>>, Problem> {
        match fields {
            Fields::Csv(fields) => self.csv_inputs(*fields),
            Fields::Json(object) => self.json_inputs(object),
            #[cfg(feature = "parquet")]
            Fields::Cells(cells) => self.columns.iter().map(|planned| planned.of_cells(*cells)).collect(),
            Fields::Sample(sample) => Ok(self.columns.iter().map(|planned| planned.of_sample(sample)).collect()),
        }
    }

    /// What a metric of another tool is.
    pub fn meaning(&self, metric: &str) -> Option<Metric> {
        let given = self.mapping.metrics.iter().find(|(name, _)| name == metric).map(|(_, metric)| metric.clone());
        given.or_else(|| metrics::known(metric))
    }

    /// Whether it is known what a sample measures.
    pub fn takes(&self, sample: &Sample) -> bool {
        let says = |planned: &Planned| !matches!(planned.of_sample(sample), Input::Absent);
        self.columns.iter().filter(|planned| matches!(planned.column.name, "resource_type" | "unit")).all(says)
    }

    fn csv_inputs<'a>(&'a self, fields: CsvFields<'a>) -> Result<Vec<Input<'a>>, Problem> {
        if fields.len() != self.width {
            let (found, expected) = (fields.len(), self.width);
            return Err(Problem::of_row(format!("has {found} fields, and {expected} are expected")));
        }
        let input = |planned: &'a Planned| match (&planned.constant, planned.position) {
            (Some(constant), _) => Ok(Input::Constant(constant)),
            (None, None) => Ok(Input::Absent),
            (None, Some(at)) => self.csv_input(planned.column, fields.get(at).unwrap_or_default()),
        };
        self.columns.iter().map(input).collect()
    }

    fn csv_input<'a>(&self, column: &Column, (bytes, is_quoted): (Cow<'a, [u8]>, bool)) -> Result<Input<'a>, Problem> {
        let text = match bytes {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|error| error.utf8_error()),
        };
        let text = text.map_err(|error| Problem::of(column, not_utf8(&error)))?;
        let is_null = !is_quoted && text == self.mapping.null;
        // What is no text cannot be empty: some programs quote whatever they write.
        if is_null || (text.is_empty() && !matches!(column.kind, Kind::Text { .. })) {
            return Ok(Input::Null);
        }
        let written = if is_quoted { Written::Quoted } else { Written::Plain };
        Ok(Input::Text { text, raw: None, written })
    }

    fn json_inputs<'a>(&'a self, object: &Object<'a>) -> Result<Vec<Input<'a>>, Problem> {
        let mut inputs: Vec<_> = self
            .columns
            .iter()
            .map(|planned| planned.constant.as_ref().map_or(Input::Absent, Input::Constant))
            .collect();
        for (at, (name, value)) in object.0.iter().enumerate() {
            if object.0[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(Problem::of_row(format!("has two fields {}", shown(name))));
            }
            let mut is_used = false;
            for (planned, input) in self.columns.iter().zip(&mut inputs) {
                if !planned.accepted.iter().any(|accepted| accepted == name) {
                    continue;
                }
                is_used = true;
                match input {
                    Input::Constant(_) => {}
                    Input::Absent => {
                        *input = Input::of_json(value).map_err(|reason| Problem::of(planned.column, reason))?;
                    }
                    _ => return Err(Problem::of(planned.column, "is filled by two fields")),
                }
            }
            if !is_used && !self.mapping.ignore_unknown {
                let meant = self.meant_by(name).map(|known| format!(": did you mean {known}?")).unwrap_or_default();
                return Err(Problem::of_row(format!("no column takes the field {}{meant}", shown(name))));
            }
        }
        Ok(inputs)
    }
}

impl Planned {
    /// What a row of cells has for the column.
    #[cfg(feature = "parquet")]
    fn of_cells<'a>(&'a self, cells: Cells<'a>) -> Result<Input<'a>, Problem> {
        if let Some(constant) = &self.constant {
            return Ok(Input::Constant(constant));
        }
        Ok(match self.position.and_then(|at| cells.get(at)) {
            None => Input::Absent,
            Some(Cell::Null) => Input::Null,
            Some(Cell::Text(text)) => Input::Text { text: text.into(), raw: None, written: Written::Quoted },
            Some(Cell::Wrong(reason)) => return Err(Problem::of(self.column, reason.as_str())),
        })
    }

    /// What a sample has for the column.
    fn of_sample<'a>(&'a self, sample: &'a Sample) -> Input<'a> {
        let text = match &self.constant {
            Some(constant) => return Input::Constant(constant),
            None if self.is_mapped => self.accepted.iter().find_map(|label| sample.label(label)),
            None => sample.of_column(self.column.name),
        };
        let input = |text: &'a str| Input::Text { text: text.into(), raw: None, written: Written::Quoted };
        text.map_or(Input::Absent, input)
    }
}

/// The character that separates the fields of a header which is one field otherwise.
fn other_delimiter(header: &str, expected: u8) -> Option<u8> {
    b";\t|,".iter().copied().find(|other| *other != expected && header.as_bytes().contains(other))
}

/// The column that the user named.
fn named<'p>(table: Table, columns: &'p mut [Planned], name: &str) -> Result<&'p mut Planned> {
    Ok(&mut columns[position(table, name)?])
}

/// The place of a column, by its name or its short one.
pub(super) fn position(table: Table, name: &str) -> Result<usize> {
    let meant = || nearest(name, table.columns().iter().map(|column| column.name));
    let found = table.columns().iter().position(|column| column.names().any(|known| known == name));
    found.ok_or_else(|| Error::UnknownColumn { table, name: name.to_owned(), meant: meant() })
}

/// A constant that its column takes.
fn constant(column: &'static Column, text: &str, names: &Names, mapping: &Mapping) -> Result<Constant> {
    let now = Utc::now();
    let context = Context { names, times: mapping.times(), decimal_comma: false, now };
    let refused = |reason| {
        let names = match column.kind {
            Kind::Customer => Some("customers"),
            Kind::Agent => Some("agents"),
            _ => None,
        };
        Error::Constant { column: column.name, reason, names }
    };
    let value = column.decode(Cow::Owned(text.to_owned()), None, Written::Quoted, &context).map_err(refused)?;
    if mapping.check_ranges
        && let Some(problem) = ranges::problem(std::slice::from_ref(column), std::slice::from_ref(&value), now)
    {
        return Err(refused(problem.reason));
    }
    let text = match (&value, column.kind) {
        (Value::Uuid(id), Kind::Customer | Kind::Agent) => id.to_string(),
        _ => text.to_owned(),
    };
    Ok(Constant { value, text })
}
