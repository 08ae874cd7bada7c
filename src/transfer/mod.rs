//! Rows into and out of the hot tables and `events`, as CSV or NDJSON: [`import`] and [`export`]. Samples of other tools'
//! files are rows too.
//!
//! What [`export`] writes, [`import`] reads back to the same rows: ids, microseconds, the bits of numbers, NULL, JSON.
//! It refuses what Rust's types do not hold, times that are infinite or before Christ and numbers in JSON outside 64
//! bits, and, as long as [`Mapping::check_ranges`] is on, values out of their range.
//! [`read`] splits a file into rows, and says of each bad one why it is bad; it needs no database. Nothing here
//! makes up a row or changes one that is there, and customers and agents are never written.

#[cfg(feature = "parquet")]
mod cell;
mod csv;
mod error;
pub mod export;
mod format;
mod formats;
pub mod import;
mod input;
mod json;
mod mapping;
mod metrics;
mod names;
mod origins;
#[cfg(feature = "parquet")]
mod parquet_writer;
mod ranges;
pub mod read;
mod recognize;
mod records;
mod refusal;
mod sample;
mod table;
mod time;
mod value;

pub use self::error::{Error, Missing};
pub use self::format::{Compression, Format, OtherCompression, OtherJson, UnknownFormat};
#[cfg(feature = "parquet")]
pub use self::formats::is_panic_caught;
pub use self::input::LONGEST;
pub use self::mapping::Mapping;
pub use self::metrics::{Metric, NotAMetric};
pub use self::names::Names;
pub use self::table::{Column, DefaultValue, Kind, Table, UnknownTable};
pub use self::time::{FIRST_MILLISECOND, NotATimeFormat, NotATimeZone, TimeFormat, Zone};
pub use self::value::Value;
