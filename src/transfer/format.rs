//! How a file may hold its rows, and ways that are not read.

use std::fmt;
use std::str::FromStr;

/// How a file holds its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Comma-separated values, as RFC 4180 and PostgreSQL's COPY write them.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// Answers of Prometheus to a query, of an instant or a range.
    PrometheusJson,
    /// Apache Parquet.
    Parquet,
    /// What Prometheus scrapes: its text format, or OpenMetrics.
    PrometheusText,
    /// `nvidia-smi --query-gpu=... --format=csv`, with units or without, and `nvidia-smi -q -x`.
    NvidiaSmi,
    /// Answers of `aws cloudwatch get-metric-data` and `get-metric-statistics`.
    Cloudwatch,
}

/// A word that is no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a format of files")]
pub struct UnknownFormat(pub String);

impl Format {
    /// Every one of them.
    pub const ALL: [Self; 7] = [
        Self::Csv,
        Self::Ndjson,
        Self::Parquet,
        Self::PrometheusJson,
        Self::PrometheusText,
        Self::NvidiaSmi,
        Self::Cloudwatch,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
            Self::PrometheusJson => "prometheus-json",
            Self::PrometheusText => "prometheus-text",
            Self::NvidiaSmi => "nvidia-smi",
            Self::Cloudwatch => "cloudwatch",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.as_str() == word).ok_or_else(|| UnknownFormat(word.to_owned()))
    }
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// A way to compress a file that is not read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtherCompression {
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// A zip archive, which an Excel file is too.
    Zip,
}

impl fmt::Display for OtherCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
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
