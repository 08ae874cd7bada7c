//! Which field of a file fills which column: by its name, by `map`, or not at all because of a constant.
//!
//! What is wrong with the mapping is told before the first row is read, as one [`Error::Mapping`]; a CSV file's header
//! is a part of it.

use std::borrow::Cow;

use super::columns::{Column, Kind, Presence, Problem, Table};
use super::names::Names;
use super::records::{CsvFields, Fields, Object, not_utf8};
use super::values::{Context, Input, TimeFormat, shown};
use crate::error::{Error, Result};
use crate::text::nearest;

/// How the fields of a file become the columns of a table.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// Columns that are filled from a field of another name: column and field.
    pub map: Vec<(String, String)>,
    /// Columns that have the same value in every row, whatever the file says: column and value.
    pub set: Vec<(String, String)>,
    /// The names of the fields of a CSV file that has no header.
    pub fields: Option<Vec<String>>,
    /// How times are written; RFC 3339, or seconds or milliseconds since 1970, where it is not said.
    pub time_format: Option<TimeFormat>,
    /// The unquoted text that stands for null in a CSV file. By default it is empty, as PostgreSQL writes it, and an
    /// empty text is `""`.
    pub null: String,
    /// Fields that fill no column are left out instead of refused.
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
            time_format: None,
            null: String::new(),
            ignore_unknown: false,
            check_ranges: true,
        }
    }
}

/// A mapping that fits its table.
#[derive(Debug)]
pub(super) struct Plan {
    table: Table,
    mapping: Mapping,
    /// For each column, the fields that fill it, unless a constant does.
    accepted: Vec<Vec<String>>,
    /// For each column, its constant.
    constants: Vec<Option<String>>,
    /// For each column, its field in a CSV file.
    positions: Vec<Option<usize>>,
    /// The names of the fields of a CSV file.
    header: Vec<String>,
}

impl Plan {
    /// Looks whether a mapping fits a table.
    pub fn new(table: Table, mapping: Mapping, names: &Names) -> Result<Self> {
        let columns = table.columns();
        let mut accepted: Vec<Vec<String>> = columns.iter().map(own_names).collect();
        let mut is_mapped = vec![false; columns.len()];
        for (column, field) in &mapping.map {
            let at = position(table, column)?;
            if std::mem::replace(&mut is_mapped[at], true) {
                return Err(bad(format!("the column {} is mapped twice", columns[at].name), "name one field for it"));
            }
            // As the names in a header are.
            accepted[at] = vec![field.trim().to_owned()];
        }
        let mut constants = vec![None; columns.len()];
        for (column, value) in &mapping.set {
            let at = position(table, column)?;
            if constants[at].is_some() || is_mapped[at] {
                let message = format!("the column {} is given twice", columns[at].name);
                return Err(bad(message, "give it one value, or one field"));
            }
            constants[at] = Some(constant(&columns[at], value, names, &mapping)?);
        }
        Ok(Self { table, mapping, accepted, constants, positions: Vec::new(), header: Vec::new() })
    }

    /// The columns of the table.
    pub const fn columns(&self) -> &'static [Column] {
        self.table.columns()
    }

    /// What reading a value needs to know.
    pub fn context<'a>(&'a self, names: &'a Names) -> Context<'a> {
        Context { names, time_format: self.mapping.time_format.as_ref() }
    }

    /// Whether values have to be in range.
    pub const fn checks_ranges(&self) -> bool {
        self.mapping.check_ranges
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
            let name = std::str::from_utf8(&bytes).map_err(|error| {
                bad(format!("the header {}", not_utf8(&error)), "write the file in UTF-8, for instance with iconv")
            })?;
            header.push(name.trim().to_owned());
        }
        Ok(header)
    }

    /// Finds the columns' fields among those of a CSV file.
    pub fn resolve(&mut self, header: Vec<String>) -> Result<()> {
        for (at, name) in header.iter().enumerate() {
            if header[..at].contains(name) {
                return Err(bad(format!("the file has two fields {}", shown(name)), "rename one of them"));
            }
        }
        let mut is_used = vec![false; header.len()];
        let (mut positions, mut missing) = (Vec::new(), Vec::new());
        for (at, column) in self.columns().iter().enumerate() {
            let found: Vec<usize> =
                (0..header.len()).filter(|field| self.accepted[at].contains(&header[*field])).collect();
            for field in &found {
                is_used[*field] = true;
            }
            positions.push(match (&self.constants[at], &found[..]) {
                (Some(_), _) => None,
                (None, &[one, other, ..]) => {
                    let (one, other) = (shown(&header[one]), shown(&header[other]));
                    let message = format!("two fields fill the column {}: {one} and {other}", column.name);
                    return Err(bad(message, &format!("choose one: --map {}=FIELD", column.name)));
                }
                (None, &[one]) => Some(one),
                (None, []) => {
                    missing.extend(self.needs_field(column).then_some(at));
                    None
                }
            });
        }
        if !missing.is_empty() {
            let unused = header.iter().zip(&is_used).filter(|(_, is_used)| !**is_used);
            let unused: Vec<_> = unused.map(|(field, _)| field.as_str()).collect();
            return Err(self.missing(&missing, &header, &unused));
        }
        let unused = is_used.iter().position(|is_used| !is_used).map(|at| &header[at]);
        if let Some(unused) = unused.filter(|_| !self.mapping.ignore_unknown) {
            return Err(bad(unknown(unused), &(self.meant_by(unused) + &self.hint_for_unknown())));
        }
        self.positions = positions;
        self.header = header;
        Ok(())
    }

    /// Whether a CSV file has to have a field for a column that no constant fills.
    fn needs_field(&self, column: &Column) -> bool {
        column.presence == Presence::Required || self.mapping.map.iter().any(|(name, _)| is_called(column, name))
    }

    /// What to say of a CSV file that lacks the fields of these columns.
    fn missing(&self, columns: &[usize], header: &[String], unused: &[&str]) -> Error {
        let lacks = columns.iter().map(|&at| {
            let wanted: Vec<_> = self.accepted[at].iter().map(|name| shown(name)).collect();
            format!("no field {}, which the column {} needs", wanted.join(" or "), self.columns()[at].name)
        });
        let message = format!("the file has {}", lacks.collect::<Vec<_>>().join(", "));
        let fields: Vec<_> = header.iter().map(|name| shown(name)).collect();
        let name = if let &[only] = columns { self.columns()[only].name } else { "COLUMN" };
        let misspelt = columns.iter().flat_map(|&at| &self.accepted[at]).filter_map(|wanted| {
            let field = nearest(wanted, unused.iter().copied())?;
            Some(format!("did you mean {wanted} by {}? ", shown(field)))
        });
        let hint = format!(
            "{}the file has {}: pass --map {name}=FIELD, or --set {name}=VALUE for the same in every row",
            misspelt.collect::<String>(),
            fields.join(", ")
        );
        bad(message, &hint)
    }

    /// A guess what a field that fills no column should be called; empty without one.
    fn meant_by(&self, field: &str) -> String {
        let known = self.accepted.iter().flatten().map(String::as_str);
        nearest(field, known).map(|known| format!("did you mean {known}? ")).unwrap_or_default()
    }

    fn hint_for_unknown(&self) -> String {
        let columns: Vec<_> = self.columns().iter().map(|column| column.name).collect();
        format!(
            "the columns are {}: pass --map COLUMN=FIELD, or --ignore-unknown to leave such fields out",
            columns.join(", ")
        )
    }

    /// What a record has for each column.
    pub fn inputs<'a>(&'a self, fields: &'a Fields<'a>) -> std::result::Result<Vec<Input<'a>>, Problem> {
        match fields {
            Fields::Csv(fields) => self.csv_inputs(*fields),
            Fields::Json(object) => self.json_inputs(object),
        }
    }

    fn csv_inputs<'a>(&'a self, fields: CsvFields<'a>) -> std::result::Result<Vec<Input<'a>>, Problem> {
        if fields.len() != self.header.len() {
            let (found, expected) = (fields.len(), self.header.len());
            return Err(whole(format!("has {found} fields, and {expected} are expected")));
        }
        let columns = self.columns().iter().zip(&self.positions).zip(&self.constants);
        columns
            .map(|((column, position), constant)| match (constant, position) {
                (Some(constant), _) => Ok(Input::plain(Cow::Borrowed(constant.as_str()))),
                (None, None) => Ok(Input::Absent),
                (None, Some(at)) => self.csv_input(column, fields.get(*at).unwrap_or_default()),
            })
            .collect()
    }

    fn csv_input<'a>(
        &self,
        column: &Column,
        (bytes, is_quoted): (Cow<'a, [u8]>, bool),
    ) -> std::result::Result<Input<'a>, Problem> {
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
        Ok(Input::plain(text))
    }

    fn json_inputs<'a>(&'a self, object: &'a Object<'a>) -> std::result::Result<Vec<Input<'a>>, Problem> {
        let mut inputs: Vec<Input<'a>> = self
            .constants
            .iter()
            .map(|constant| constant.as_deref().map_or(Input::Absent, |text| Input::plain(text.into())))
            .collect();
        for (at, (name, value)) in object.0.iter().enumerate() {
            if object.0[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(whole(format!("has two fields {}", shown(name))));
            }
            let mut is_used = false;
            for (at, column) in self.columns().iter().enumerate() {
                if !self.accepted[at].iter().any(|accepted| accepted == name) {
                    continue;
                }
                is_used = true;
                if self.constants[at].is_some() {
                    continue;
                }
                if !matches!(inputs[at], Input::Absent) {
                    return Err(Problem::of(column, "is filled by two fields"));
                }
                inputs[at] = Input::of_json(value).map_err(|reason| Problem::of(column, reason))?;
            }
            if !is_used && !self.mapping.ignore_unknown {
                return Err(whole(format!("{} {}", unknown(name), self.meant_by(name)).trim_end().to_owned()));
            }
        }
        Ok(inputs)
    }
}

fn unknown(field: &str) -> String {
    format!("no column takes the field {}", shown(field))
}

fn whole(reason: String) -> Problem {
    Problem { column: None, reason }
}

fn bad(message: String, hint: &str) -> Error {
    Error::Mapping { message, hint: hint.to_owned() }
}

/// What a field for the column may be called, where nothing else is said.
fn own_names(column: &Column) -> Vec<String> {
    std::iter::once(column.name).chain(short_name(column)).map(str::to_owned).collect()
}

/// Customers and agents may stand there by name, so the column need not be called an id.
const fn short_name(column: &Column) -> Option<&'static str> {
    match column.kind {
        Kind::Customer => Some("customer"),
        Kind::Agent => Some("agent"),
        _ => None,
    }
}

fn is_called(column: &Column, name: &str) -> bool {
    column.name == name || short_name(column) == Some(name)
}

/// The place of a column that the user named.
fn position(table: Table, name: &str) -> Result<usize> {
    table.columns().iter().position(|column| is_called(column, name)).ok_or_else(|| {
        let columns: Vec<_> = table.columns().iter().map(|column| column.name).collect();
        let meant = nearest(name, columns.iter().copied()).map(|column| format!("did you mean {column}? "));
        let hint = format!("{}it has {}", meant.unwrap_or_default(), columns.join(", "));
        bad(format!("{table} has no column {}", shown(name)), &hint)
    })
}

/// A constant that its column takes; of a customer or agent, the id.
fn constant(column: &Column, value: &str, names: &Names, mapping: &Mapping) -> Result<String> {
    let context = Context { names, time_format: mapping.time_format.as_ref() };
    let refused = |reason: String| {
        let hint = match column.kind {
            Kind::Customer => "`optiinfra-dbctl stats` lists the customers",
            Kind::Agent => "`optiinfra-dbctl stats` lists the agents",
            _ => "it would be the same in every row",
        };
        bad(format!("the value for {}: {reason}", column.name), hint)
    };
    match column.kind {
        Kind::Customer => names.customer(value).map(|id| id.to_string()).map_err(refused),
        Kind::Agent => names.agent(value).map(|id| id.to_string()).map_err(refused),
        _ => column.check(value, &context).map(|()| value.to_owned()).map_err(refused),
    }
}
