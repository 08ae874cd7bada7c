//! Rows into and out of the hot tables and `events`, as CSV or NDJSON: [`import`] and [`export`].
//!
//! What [`export`] writes, [`import`] reads back to the same rows: ids, microseconds, the bits of numbers, NULL, JSON.
//! It refuses what Rust's types do not hold, times that are infinite or before Christ and numbers in JSON outside 64
//! bits, and, as long as [`Mapping::check_ranges`] is on, values out of their range.
//! [`read`] splits a file into rows, and says of each bad one why it is bad; it needs no database. Nothing here
//! makes up a row or changes one that is there, and customers and agents are never written.

mod csv;
mod error;
pub mod export;
mod format;
pub mod import;
mod input;
mod json;
mod mapping;
mod names;
mod origins;
mod ranges;
pub mod read;
mod records;
mod refusal;
mod table;
mod time;
mod value;

pub use self::error::{Error, Missing};
pub use self::format::{Compression, Format, OtherJson};
pub use self::input::LONGEST;
pub use self::mapping::Mapping;
pub use self::names::Names;
pub use self::table::{Column, DefaultValue, Kind, Table, UnknownTable};
pub use self::time::{FIRST_MILLISECOND, NotATimeFormat, TimeFormat};
pub use self::value::Value;
