//! What `stats` and `serve` show. Each part of the library's report is a section, which every format but JSON shows.

mod charts;
pub mod compare;
pub mod csv;
pub mod html;
pub mod prometheus;
mod section;
mod sections;
pub mod table;
mod text;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use optiinfra_db::raw::RunSql;
use optiinfra_db::verify;

pub use self::sections::names;

/// What `verify` said, and when.
pub struct Verified {
    pub at: DateTime<Utc>,
    /// `Err` says why it was not run.
    pub outcome: Result<verify::Report, String>,
}

impl Verified {
    pub fn not(reason: &str) -> Self {
        Self { at: Utc::now(), outcome: Err(reason.to_owned()) }
    }
}

/// Runs `verify` with the time limits of the statistics.
pub fn verified(conn: &mut PgConnection) -> Verified {
    let limits = "SET lock_timeout = '50ms'; SET statement_timeout = '5s'";
    let limited = conn.batch(limits).map_err(|error| error.to_string());
    let verify = |()| {
        verify::run(conn, &verify::Options::default()).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        })
    };
    Verified { at: Utc::now(), outcome: limited.and_then(verify) }
}
