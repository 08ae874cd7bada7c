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

use diesel::pg::PgConnection;
use optiinfra_db::raw::RunSql;
use optiinfra_db::verify;

pub use self::sections::names;

/// What `verify` says; `Err` says why it was not run.
pub type Verified = Result<verify::Report, String>;

/// Runs `verify` with the time limits of the statistics.
pub fn verified(conn: &mut PgConnection) -> Verified {
    let limits = "SET lock_timeout = '50ms'; SET statement_timeout = '5s'";
    conn.batch(limits).map_err(|error| error.to_string())?;
    verify::run(conn, &verify::Options::default()).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    })
}
