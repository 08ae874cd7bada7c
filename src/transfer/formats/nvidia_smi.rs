//! `nvidia-smi --query-gpu=... --format=csv`: a line for each GPU with all its metrics, the units in the header and, but for
//! `nounits`, behind the values.

use std::collections::BTreeMap;
use std::io;

use super::super::csv::Dialect;
use super::super::error::{Error, Result};
use super::super::format::Format;
use super::super::input::{Input, invalid};
use super::super::metrics;
use super::super::records::{Fields, Records, not_utf8};
use super::super::sample::Sample;
use super::Samples;

/// What stands for no value where the GPU does not measure it.
const ABSENT: [&str; 4] = ["[N/A]", "N/A", "[Not Supported]", "Requested functionality has been deprecated"];

/// Whether a value says that there is none.
pub(super) fn is_absent(value: &str) -> bool {
    ABSENT.contains(&value)
}

pub struct NvidiaSmi<'a> {
    records: Records<'a>,
    columns: Vec<Column>,
    values: Vec<String>,
    /// The column of the next sample.
    next: usize,
}

struct Column {
    header: String,
    name: String,
    unit: Option<String>,
    is_metric: bool,
}

impl Column {
    /// A column by its header, such as `power.draw [W]`.
    fn new(header: &str) -> Self {
        let (name, unit) = match header.strip_suffix(']').and_then(|header| header.split_once(" [")) {
            Some((name, unit)) => (name, Some(unit.to_owned())),
            None => (header, None),
        };
        let is_metric = unit.is_some() || metrics::is_known(name);
        Self { header: header.to_owned(), name: name.to_owned(), unit, is_metric }
    }
}

impl<'a> NvidiaSmi<'a> {
    /// Reads the header, unless the names of the fields are given.
    pub fn new(input: Input<'a>, fields: Option<Vec<String>>) -> Result<Self> {
        let mut records = Records::new(input, Format::Csv, Dialect { delimiter: b',', trim: true });
        let header = match fields {
            Some(fields) => fields,
            None => {
                let record = records.next_record().map_err(Error::input)?.ok_or(Error::Empty)?;
                texts(&record.fields.map_err(Error::Header)?).map_err(Error::Header)?
            }
        };
        let columns: Vec<_> = header.iter().map(|header| Column::new(header)).collect();
        if !columns.iter().any(|column| column.is_metric) {
            return Err(Error::Header("no field of it is a metric of nvidia-smi".to_owned()));
        }
        let next = columns.len();
        Ok(Self { records, columns, values: Vec::new(), next })
    }

    /// Reads the next line; what is wrong with it.
    fn read_line(&mut self, sample: &mut Sample) -> io::Result<Option<Result<(), String>>> {
        let Some(record) = self.records.next_record()? else { return Ok(None) };
        sample.line = record.line;
        sample.raw.clear();
        sample.raw.extend_from_slice(record.raw);
        let values = record.fields.and_then(|fields| texts(&fields));
        if !self.records.is_ended() {
            return Err(invalid(format!("the file ends within line {}: its last line has no end", sample.line)));
        }
        Ok(Some(values.and_then(|values| self.take(values, sample))))
    }

    fn take(&mut self, values: Vec<String>, sample: &mut Sample) -> Result<(), String> {
        // Files of several runs may be one behind the other.
        if values.iter().eq(self.columns.iter().map(|column| &column.header)) {
            return Ok(());
        }
        if values.len() != self.columns.len() {
            return Err(format!("has {} fields, and {} are expected", values.len(), self.columns.len()));
        }
        let named = || self.columns.iter().zip(&values);
        // Its times are like RFC 3339 but for the slashes, and local.
        sample.time = named().find(|(column, _)| column.name == "timestamp").map(|(_, time)| time.replace('/', "-"));
        (self.values, self.next) = (values, 0);
        Ok(())
    }

    /// What a line says besides its metrics.
    fn labels(&self) -> BTreeMap<String, String> {
        let named = self.columns.iter().zip(&self.values);
        let is_label =
            |(column, value): &(&Column, &String)| !column.is_metric && column.name != "timestamp" && !is_absent(value);
        named.filter(is_label).map(|(column, value)| (column.name.clone(), value.clone())).collect()
    }
}

impl Samples for NvidiaSmi<'_> {
    fn next(&mut self, sample: &mut Sample) -> io::Result<Option<Result<(), String>>> {
        sample.needs_line = true;
        loop {
            let Some(column) = self.columns.get(self.next) else {
                match self.read_line(sample)? {
                    Some(Ok(())) => continue,
                    ended => return Ok(ended),
                }
            };
            let value = &self.values[self.next];
            self.next += 1;
            if !column.is_metric || is_absent(value) {
                continue;
            }
            let unit = column.unit.as_deref();
            let number = unit.and_then(|unit| value.strip_suffix(unit)).unwrap_or(value).trim_end();
            number.clone_into(&mut sample.value);
            sample.unit = unit.map(|unit| metrics::unit(unit).to_owned());
            sample.begin_series(column.name.clone(), self.labels());
            return Ok(Some(Ok(())));
        }
    }
}

/// The fields of a record as texts.
fn texts(fields: &Fields<'_>) -> Result<Vec<String>, String> {
    let Fields::Csv(fields) = fields else { return Ok(Vec::new()) };
    let text = |at| {
        let (bytes, _) = fields.get(at).unwrap_or_default();
        std::str::from_utf8(&bytes).map(|text| text.trim().to_owned()).map_err(|error| not_utf8(&error))
    };
    (0..fields.len()).map(text).collect()
}
