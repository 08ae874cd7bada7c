//! Rows of files that have their values by column.

/// What a file has in a column of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Text(String),
    /// What is wrong with it.
    Wrong(String),
}

/// A row.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a> {
    pub columns: &'a [Vec<Cell>],
    pub row: usize,
}

impl<'a> Cells<'a> {
    pub fn get(self, column: usize) -> Option<&'a Cell> {
        self.columns.get(column)?.get(self.row)
    }
}
