//! Rows into and out of the hot tables and `events`, as CSV or NDJSON: [`import`] and [`export`].
//!
//! What [`export`] writes, [`import`] reads back to the same rows: ids, microseconds, the bits of numbers, NULL, JSON.
//! It refuses what Rust's types do not hold, times that are infinite or before Christ and numbers in JSON outside 64
//! bits, and, as long as [`Mapping::check_ranges`] is on, values out of their range.
//! [`read`] takes a file apart and says of each row what it is or why it is none; it needs no database. Nothing here
//! makes up a row or changes one that is there, and customers and agents are never written.

mod columns;
pub mod export;
pub mod import;
mod mapping;
mod names;
mod ranges;
pub mod read;
mod records;
mod refused;
mod values;

pub use self::columns::{Column, Kind, Presence, Table, UnknownTable};
pub use self::mapping::Mapping;
pub use self::names::Names;
pub use self::records::{Format, LONGEST, Opened, open};
pub use self::values::{FIRST_MILLISECOND, NotATimeFormat, TimeFormat};
