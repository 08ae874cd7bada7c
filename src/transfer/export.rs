//! Writes the rows of a table as CSV or NDJSON, plain or compressed, a row at a time, in one READ ONLY transaction.
//!
//! Every value is the server's own text of it: numbers to the last bit, times in UTC with their microseconds, JSON as it
//! is stored. The rows come in the order in which the server finds them. Where row security would hide some of them, the
//! export of all is refused.

use std::io::{self, Write};
use std::time::Instant;

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, QueryableByName};
use diesel::pg::{Pg, PgConnection, PgRowByRowLoadingMode};
use diesel::prelude::*;
use diesel::row::{Field as _, NamedRow, Row};
use diesel::sql_types::{Timestamptz, Uuid as SqlUuid};
use flate2::write::GzEncoder;
use serde::Serialize;
use uuid::Uuid;

use super::error::Error;
use super::format::{Compression, Format};
use super::mapping::position;
use super::names::Names;
#[cfg(feature = "parquet")]
use super::parquet_writer::ParquetWriter;
use super::table::{Column, Kind, Table};
use crate::error::{Doing, Result};
use crate::id::CustomerId;
use crate::raw::{RunSql as _, Sql, raw, sql_query};
use crate::stats::find_customer;
use crate::{migrate, tenant, timeouts};

/// Rows that the server gets ready at a time. They are not all in memory here.
const ROWS_AT_A_TIME: usize = 5000;

/// What is written, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The columns, in their order; none is all of them.
    pub columns: Vec<String>,
    /// How it is compressed.
    pub compression: Option<Compression>,
    /// Only the rows of one agent, by id or name.
    pub agent: Option<String>,
    /// Only those of one customer, by id or name; for a table whose rows belong to customers.
    pub customer: Option<String>,
    /// Only those of this time and later.
    pub since: Option<DateTime<Utc>>,
    /// Only those before this time.
    pub until: Option<DateTime<Utc>>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The table.
    pub table: Table,
    /// The format.
    pub format: Format,
    /// Rows written.
    pub rows: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Writes the rows of a table.
///
/// # Errors
///
/// [`Error::NoCustomerColumn`] when rows of one customer are asked for and the table does not say whose they are,
/// [`Error::UnknownColumn`], [`Error::ColumnTwice`] and [`Error::NoSuchAgent`] where the options say what is not there,
/// [`Behind`](crate::migrate::Error::Behind) where the schema is older than this build, [`Error::Output`] when `out` fails, [`Query`](crate::Error::Query) when
/// the server does. A connection that is in a transaction
/// already is refused: the rest of it could not write, and would have this one's settings.
pub fn run(
    conn: &mut PgConnection,
    table: Table,
    format: Format,
    options: &Options,
    out: &mut dyn Write,
) -> Result<Report> {
    if options.customer.is_some() && !table.has_customer() {
        return Err(Error::NoCustomerColumn(table).into());
    }
    match format {
        Format::Csv | Format::Ndjson => {}
        Format::Parquet if cfg!(feature = "parquet") => {}
        Format::Parquet => return Err(Error::NoParquet.into()),
        other => return Err(Error::NotWritten(other).into()),
    }
    if tenant::is_in_transaction(conn)? {
        return Err(diesel::result::Error::AlreadyInTransaction.into());
    }
    migrate::status(conn)?.require_applied()?;
    let begun = Instant::now();
    let customer = options.customer.as_deref().map(|wanted| find_customer(conn, wanted)).transpose()?;
    let agent = options.agent.as_deref().map(|wanted| find_agent(conn, wanted)).transpose()?;
    let rows_of = Selection {
        columns: columns(table, &options.columns)?,
        customer,
        agent,
        since: options.since,
        until: options.until,
        ..Selection::of(table, table.as_str().into())
    };
    let mut write = |conn: &mut PgConnection| match options.compression {
        None => write(conn, &rows_of, format, out),
        Some(Compression::Gzip) => {
            let mut packed = GzEncoder::new(&mut *out, flate2::Compression::default());
            let rows = write(conn, &rows_of, format, &mut packed)?;
            packed.finish().map(|_| rows).map_err(output)
        }
        Some(Compression::Zstd) => {
            let mut packed = zstd::Encoder::new(&mut *out, zstd::DEFAULT_COMPRESSION_LEVEL).map_err(output)?;
            packed.include_checksum(true).map_err(output)?;
            let rows = write(conn, &rows_of, format, &mut packed)?;
            packed.finish().map(|_| rows).map_err(output)
        }
    };
    let rows = match customer {
        // Where row security applies, the session has to say for whom it works; the query filters in either case.
        Some(customer) => tenant::scoped_without_row_security(conn, customer, write)?,
        None => conn.transaction(&mut write)?,
    };
    // What the compression kept to its end.
    out.flush().map_err(output)?;
    Ok(Report { table, format, rows, seconds: begun.elapsed().as_secs_f64() })
}

fn find_agent(conn: &mut PgConnection, wanted: &str) -> Result<Uuid> {
    Ok(Names::load(conn)?.agent(wanted).map_err(Error::NoSuchAgent)?)
}

/// The columns of these names, or all.
fn columns(table: Table, wanted: &[String]) -> Result<Vec<Column>, Error> {
    let mut columns: Vec<Column> = Vec::new();
    for name in wanted {
        let column = table.columns()[position(table, name)?];
        if columns.contains(&column) {
            return Err(Error::ColumnTwice(column.name));
        }
        columns.push(column);
    }
    Ok(if wanted.is_empty() { table.columns().to_vec() } else { columns })
}

/// Writes the rows of a table of another name that has the same columns: all, or those from a time on and before another.
#[cfg(feature = "retention")]
pub(crate) fn rows_of(
    conn: &mut PgConnection,
    (table, from): (Table, &str),
    format: Format,
    span: Option<(DateTime<Utc>, DateTime<Utc>)>,
    out: &mut dyn Write,
) -> Result<u64> {
    let (since, until) = span.unzip();
    let rows_of = Selection { since, until, ..Selection::of(table, Sql::identifier(from)) };
    conn.transaction(|conn| write(conn, &rows_of, format, out))
}

/// Which rows are read.
struct Selection {
    /// Whose columns they have.
    table: Table,
    from: Sql,
    columns: Vec<Column>,
    customer: Option<CustomerId>,
    agent: Option<Uuid>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

impl Selection {
    /// Everything.
    fn of(table: Table, from: Sql) -> Self {
        let columns = table.columns().to_vec();
        Self { table, from, columns, customer: None, agent: None, since: None, until: None }
    }
}

fn write(conn: &mut PgConnection, rows_of: &Selection, format: Format, out: &mut dyn Write) -> Result<u64> {
    let doing = || format!("read {}", rows_of.table);
    timeouts::lift_in_transaction(conn).doing(doing())?;
    conn.batch(SETTINGS).doing(doing())?;
    if rows_of.customer.is_none() {
        tenant::refuse_partial_view(conn).doing(doing())?;
    }
    declare(conn, rows_of).doing(doing())?;
    let columns = &rows_of.columns;
    let mut text = Vec::new();
    if format == Format::Csv {
        put_header(columns, &mut text);
    }
    #[cfg(feature = "parquet")]
    let mut parquet = match format {
        Format::Parquet => Some(ParquetWriter::new(columns).map_err(output)?),
        _ => None,
    };
    let mut rows = 0;
    loop {
        let before = rows;
        let fetch = sql_query(raw!("FETCH {count} FROM export", count = ROWS_AT_A_TIME));
        for cells in fetch.load_iter::<Cells, PgRowByRowLoadingMode>(conn).doing(doing())? {
            let cells = cells.doing(doing())?;
            match format {
                Format::Csv => put_csv(columns, &cells, &mut text),
                #[cfg(feature = "parquet")]
                Format::Parquet => {
                    let added = parquet.as_mut().map(|parquet| parquet.add(cells.with(columns), out));
                    added.transpose().map_err(output)?;
                }
                _ => put_json(columns, &cells, &mut text).map_err(output)?,
            }
            out.write_all(&text).map_err(output)?;
            text.clear();
            rows += 1;
        }
        if rows == before {
            out.write_all(&text).map_err(output)?;
            #[cfg(feature = "parquet")]
            if let Some(parquet) = parquet {
                parquet.finish(out).map_err(output)?;
            }
            out.flush().map_err(output)?;
            return Ok(rows);
        }
    }
}

fn output(source: io::Error) -> crate::Error {
    Error::Output { source }.into()
}

/// Nothing is written; the server's texts are exact, whatever the role's own settings are; one plan for all rows.
const SETTINGS: &str = "
    SET TRANSACTION READ ONLY;
    SET LOCAL TimeZone = 'UTC';
    SET LOCAL DateStyle = 'ISO';
    SET LOCAL extra_float_digits = 1;
    SET LOCAL cursor_tuple_fraction = 1";

/// Opens the cursor `export`.
fn declare(conn: &mut PgConnection, rows_of: &Selection) -> QueryResult<()> {
    let columns = Sql::join(rows_of.columns.iter().map(expression), ", ");
    let mut conditions = Vec::new();
    if rows_of.customer.is_some() {
        conditions.push(("customer_id", "="));
    }
    if rows_of.agent.is_some() {
        conditions.push(("agent_id", "="));
    }
    if rows_of.since.is_some() {
        conditions.push((rows_of.table.time_column(), ">="));
    }
    if rows_of.until.is_some() {
        conditions.push((rows_of.table.time_column(), "<"));
    }
    let conditions = conditions.into_iter().zip(1_u32..).map(|((column, operator), bind)| {
        let word = if bind == 1 { "WHERE" } else { "AND" };
        raw!(" {word} {column} {operator} ${bind}", word, column = Sql::identifier(column), operator, bind)
    });
    let conditions = Sql::join(conditions, "");
    let (cursor, from) = ("DECLARE export NO SCROLL CURSOR FOR", &rows_of.from);
    let mut query =
        sql_query(raw!("{cursor} SELECT {columns} FROM {from}{conditions}", cursor, columns, from, conditions))
            .into_boxed::<Pg>();
    if let Some(customer) = rows_of.customer {
        query = query.bind::<SqlUuid, _>(customer);
    }
    if let Some(agent) = rows_of.agent {
        query = query.bind::<SqlUuid, _>(agent);
    }
    for time in [rows_of.since, rows_of.until].into_iter().flatten() {
        query = query.bind::<Timestamptz, _>(time);
    }
    query.execute(conn).map(drop)
}

/// A column as the server's text of it.
fn expression(column: &Column) -> Sql {
    raw!("{name}::text", name = Sql::identifier(column.name))
}

/// The texts of one row.
struct Cells {
    bytes: Vec<u8>,
    /// Where each cell ends; `None` where it is null.
    ends: Vec<Option<usize>>,
}

/// A time in UTC from the server's form to that of RFC 3339, with six decimals, so that equal lengths sort by time. What is
/// none, such as infinity, stays as it is.
fn put_time(text: &[u8], out: &mut Vec<u8>) {
    let Some(time) = text.strip_suffix(b"+00") else {
        out.extend_from_slice(text);
        return;
    };
    out.extend(time.iter().map(|byte| if *byte == b' ' { b'T' } else { *byte }));
    let decimals = time.iter().rev().position(|byte| *byte == b'.');
    if decimals.is_none() {
        out.push(b'.');
    }
    out.extend_from_slice(&b"000000"[decimals.unwrap_or(0).min(6)..]);
    out.push(b'Z');
}

impl QueryableByName<Pg> for Cells {
    fn build<'a>(row: &impl NamedRow<'a, Pg>) -> deserialize::Result<Self> {
        let mut cells = Self { bytes: Vec::with_capacity(256), ends: Vec::with_capacity(row.field_count()) };
        for at in 0..row.field_count() {
            let field = Row::get(row, at).ok_or("a row has fewer fields than it says")?;
            cells.ends.push(field.value().map(|value| {
                cells.bytes.extend_from_slice(value.as_bytes());
                cells.bytes.len()
            }));
        }
        Ok(cells)
    }
}

impl Cells {
    /// The texts with their columns; `None` is null.
    fn with<'a>(&'a self, columns: &'a [Column]) -> impl Iterator<Item = (&'a Column, Option<&'a [u8]>)> {
        let mut start = 0;
        columns.iter().zip(&self.ends).map(move |(column, end)| {
            let cell = end.and_then(|end| self.bytes.get(start..end));
            start = end.unwrap_or(start);
            (column, cell)
        })
    }
}

fn put_header(columns: &[Column], out: &mut Vec<u8>) {
    let names: Vec<_> = columns.iter().map(|column| column.name).collect();
    out.extend_from_slice(names.join(",").as_bytes());
    out.push(b'\n');
}

/// A row as PostgreSQL's COPY writes it: nothing is null, and an empty text is a pair of quotes.
fn put_csv(columns: &[Column], cells: &Cells, out: &mut Vec<u8>) {
    for (at, (column, cell)) in cells.with(columns).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let Some(cell) = cell else { continue };
        if column.kind == Kind::Time {
            put_time(cell, out);
            continue;
        }
        // A text that begins or ends with a blank would be refused when it is read back.
        let needs_no_quotes = |byte: &u8| !matches!(byte, b',' | b'"' | b'\n' | b'\r');
        let is_plain = !cell.is_empty() && cell.iter().all(needs_no_quotes) && cell.trim_ascii() == cell;
        if is_plain {
            out.extend_from_slice(cell);
            continue;
        }
        out.push(b'"');
        for &byte in cell {
            if byte == b'"' {
                out.push(b'"');
            }
            out.push(byte);
        }
        out.push(b'"');
    }
    out.push(b'\n');
}

fn put_json(columns: &[Column], cells: &Cells, out: &mut Vec<u8>) -> io::Result<()> {
    let mut before = b'{';
    for (column, cell) in cells.with(columns) {
        out.push(before);
        before = b',';
        serde_json::to_writer(&mut *out, column.name)?;
        out.push(b':');
        let Some(cell) = cell else {
            out.extend_from_slice(b"null");
            continue;
        };
        match column.kind {
            Kind::Integer | Kind::Bool | Kind::Json => out.extend_from_slice(cell),
            // JSON has no word for NaN and Infinity.
            Kind::Float if !cell.ends_with(b"N") && !cell.ends_with(b"y") => out.extend_from_slice(cell),
            Kind::Time => {
                out.push(b'"');
                put_time(cell, out);
                out.push(b'"');
            }
            Kind::Float | Kind::Uuid | Kind::Customer | Kind::Agent | Kind::Text { .. } | Kind::Label(_) => {
                serde_json::to_writer(&mut *out, &String::from_utf8_lossy(cell))?;
            }
        }
    }
    out.extend_from_slice(b"}\n");
    Ok(())
}
