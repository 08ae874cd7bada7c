//! How a file may hold its rows, and ways that are not read.

use std::fmt;

/// How a file holds its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Comma-separated values, as RFC 4180 and PostgreSQL's COPY write them.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// A way to compress a file that is not read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// A zip archive, which an Excel file is too.
    Zip,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zip => "zip",
        })
    }
}

/// JSON that is not one object a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtherJson {
    /// One array of all rows.
    Array,
    /// Objects, each on several lines.
    Pretty,
}
