//! A table that is written in bulk, as a value.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write};

use diesel::pg::{CopyFormat, CopyTarget, Pg};
use diesel::prelude::*;
use diesel::query_builder::AstPass;
use diesel::sql_types::Binary;

use super::batch;
use crate::raw::{Sql, raw};
use crate::schema::events;

/// A table that is written in bulk.
#[doc(hidden)]
pub struct Table {
    /// Its name.
    pub(crate) name: &'static str,
    /// Every column, the id first.
    pub(crate) columns: &'static [&'static str],
    /// Name of the temporary table through which rows go that may not be copied.
    pub(super) staging: &'static str,
    /// The column by which the rows of two inputs are the same.
    pub(super) key: &'static str,
    pub(super) copy_rows: fn(&mut PgConnection, Destination, &[u8]) -> QueryResult<usize>,
}

/// Where a COPY writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// The table itself.
    Table,
    /// Its staging table, which is temporary.
    Staging,
}

thread_local! {
    /// The target of the COPY that this thread sends: Diesel asks a type for it, and the name is known at run time only.
    static TARGET: RefCell<Sql> = RefCell::new("".into());
}

/// A table whose name is in [`TARGET`].
struct Named;

impl CopyTarget for Named {
    // Any one: nothing is asked of it.
    type Table = events::table;
    type SqlType = Binary;

    fn walk_target(mut pass: AstPass<'_, '_, Pg>) -> QueryResult<()> {
        TARGET.with_borrow(|target| pass.push_sql(target.as_str()));
        Ok(())
    }
}

impl Table {
    /// Sends rows into a table of this name that the transaction has made, as rows that every transaction sees.
    pub(super) fn load(
        &self,
        conn: &mut PgConnection,
        name: &str,
        rows: impl Fn(&mut dyn Write) -> io::Result<()>,
    ) -> QueryResult<usize> {
        let (name, columns) = (Sql::identifier(name), Sql::identifiers(self.columns));
        TARGET.set(raw!("{name} ({columns})", name, columns));
        diesel::copy_from(events::table)
            .from_raw_data(Named, |sink| batch::write(sink, &rows))
            .with_format(CopyFormat::Binary)
            .with_freeze(true)
            .execute(conn)
    }

    /// The place of the column by which the rows of two inputs are the same.
    pub(super) fn key(&self) -> usize {
        self.columns.iter().position(|column| *column == self.key).unwrap_or_default()
    }

    /// Sends rows of a [`super::batch::Batch`].
    pub(super) fn copy(&self, conn: &mut PgConnection, into: Destination, rows: &[u8]) -> QueryResult<usize> {
        (self.copy_rows)(conn, into, rows)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
