use std::io;

use super::format::{Format, OtherCompression, OtherJson};
use super::table::Table;
use crate::ingest::committed;

pub(super) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why rows are not brought into a table, or out of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The table has no column of this name.
    #[error("{table} has no column '{name}'")]
    UnknownColumn {
        /// The table.
        table: Table,
        /// The name.
        name: String,
        /// The column that may be meant.
        meant: Option<&'static str>,
    },

    /// A column is to be filled from two fields.
    #[error("the column {0} is mapped twice")]
    MappedTwice(&'static str),

    /// A column has two constants, or a constant and a field.
    #[error("the column {0} is given twice")]
    GivenTwice(&'static str),

    /// A constant is no value of its column.
    #[error("the value for {column}: {reason}")]
    Constant {
        /// The column.
        column: &'static str,
        /// What is wrong with the value.
        reason: String,
        /// The table that the value names a row of, if it does.
        names: Option<&'static str>,
    },

    /// Two fields of a file have one name.
    #[error("the file has two fields '{0}'")]
    FieldTwice(String),

    /// Two fields of a file fill one column.
    #[error("two fields fill the column {column}: '{}' and '{}'", .fields[0], .fields[1])]
    TwoFields {
        /// The column.
        column: &'static str,
        /// The fields.
        fields: [String; 2],
    },

    /// A file has no field for columns that need one.
    #[error("the file has {}", lacks(.missing))]
    MissingFields {
        /// The columns.
        missing: Vec<Missing>,
        /// The fields of the file that no column takes.
        unused: Vec<String>,
        /// All fields of the file.
        fields: Vec<String>,
    },

    /// No column takes a field of a file.
    #[error("no column takes the field '{field}'")]
    UnknownField {
        /// The table.
        table: Table,
        /// The field.
        field: String,
        /// The column that may be meant.
        meant: Option<String>,
    },

    /// Nothing is to be written, by a function that commits each chunk.
    #[error("an import that commits chunk by chunk cannot be tried without writing")]
    DryRunOfChunks,

    /// The header of a CSV file is no record.
    #[error("the header cannot be read: {0}")]
    Header(String),

    /// The header of a CSV file is in another encoding.
    #[error("the header is not UTF-8 from byte {0} on")]
    HeaderEncoding(usize),

    /// The fields of a CSV file are separated by another character.
    #[error("the fields of the file are separated by {}, not by {}", character(*.found), character(*.expected))]
    Delimiter {
        /// The character that the file has.
        found: u8,
        /// The one that was expected.
        expected: u8,
    },

    /// A file is JSON, and not one object a line.
    #[error("the file {}", match .0 {
        OtherJson::Array => "is an array of JSON",
        OtherJson::Pretty => "has JSON objects on several lines each",
    })]
    NotOneObjectALine(OtherJson),

    /// A file is in a format of another tool, which nobody named.
    #[error("the file is in the format {0}")]
    OfTool(Format),

    /// A format that is read, and not written.
    #[error("{0} is not written")]
    NotWritten(Format),

    /// Parquet, in a program that was built without it.
    #[error("this program was built without the feature parquet")]
    NoParquet,

    /// A file has samples, and the table's rows are something else.
    #[error("a file in the format {format} has samples of metrics, and {table} has no column for a metric")]
    NoSamples {
        /// The format of the file.
        format: Format,
        /// The table.
        table: Table,
    },

    /// A file is UTF-16.
    #[error("the file is UTF-16")]
    Utf16,

    /// A CSV file has not even a header.
    #[error("the file is empty: it has no header")]
    Empty,

    /// Names were given for the fields of NDJSON.
    #[error("NDJSON names its fields in every line")]
    NamedFieldsOfNdjson,

    /// A file is compressed in a way that is not read here.
    #[error("the file is compressed with {0}")]
    Compressed(OtherCompression),

    /// A column is to be written twice.
    #[error("the column {0} is named twice")]
    ColumnTwice(&'static str),

    /// The rows of an agent are asked for that is not there.
    #[error("{0}")]
    NoSuchAgent(String),

    /// The rows of one customer are asked for, of a table whose rows belong to agents.
    #[error("the rows of {0} do not say which customer they belong to")]
    NoCustomerColumn(Table),

    /// Rows of customers are to be written, and row security hides every customer.
    #[error("row-level security shows this session no customer, so that no row of {0} would be taken")]
    NoVisibleCustomer(Table),

    /// A file cannot be read, or not to its end.
    #[error("the input cannot be read; {}", committed(*.written, 0))]
    Input {
        /// How many rows were committed all the same.
        written: u64,
        /// What the system said, or in which way the file is broken.
        source: io::Error,
    },

    /// What is exported cannot be written.
    #[error("the output cannot be written")]
    Output {
        /// What the system said.
        source: io::Error,
    },

    /// A rejected row could not be reported.
    #[error("the rejected rows cannot be written; {}", committed(*.written, 0))]
    Rejects {
        /// How many of the others were committed all the same.
        written: u64,
        /// What the system said.
        source: io::Error,
    },
}

/// A column that needs a field and has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The column.
    pub column: &'static str,
    /// What its field may be called.
    pub accepted: Vec<String>,
    /// The field of the file that may be meant.
    pub meant: Option<String>,
}

impl Error {
    /// Nothing is written as far as is known where the file is read.
    pub(super) fn input(source: io::Error) -> Self {
        Self::Input { written: 0, source }
    }

    /// The same error, where so many rows were committed before it.
    pub(super) fn after(self, written: u64) -> Self {
        match self {
            Self::Input { source, .. } => Self::Input { written, source },
            Self::Rejects { source, .. } => Self::Rejects { written, source },
            other => other,
        }
    }
}

fn lacks(missing: &[Missing]) -> String {
    if let [Missing { column, accepted, .. }] = missing {
        let accepted: Vec<_> = accepted.iter().map(|name| format!("'{name}'")).collect();
        return format!("no field {}, which the column {column} needs", accepted.join(" or "));
    }
    let columns: Vec<_> = missing.iter().map(|missing| missing.column).collect();
    format!("no field for {} columns: {}", columns.len(), columns.join(", "))
}

/// A delimiter in words.
fn character(byte: u8) -> String {
    match byte {
        b'\t' => "tabs".to_owned(),
        b',' => "commas".to_owned(),
        b';' => "semicolons".to_owned(),
        byte => format!("'{}'", byte.escape_ascii()),
    }
}
