//! A table that is written in bulk, as a value.

use std::fmt;

use diesel::prelude::*;

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

impl Table {
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
