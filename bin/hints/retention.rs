//! What to do about rows that are past their time.

use optiinfra_db::retention::Error;

use super::server;

pub fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::TableTwice(_) => Some("give each table one --keep"),
        Error::ClocksDiffer { .. } => Some("set both clocks by the same time server; nothing was removed"),
        Error::ClockUnconfirmed { .. } => Some(
            "see that the server's clock is right: `SELECT now()`; where it is, and the table got no rows for days, pass \
             --trust-clock",
        ),
        Error::Locked { .. } => Some(
            "end the transaction that holds the table (`optiinfra-dbctl stats --section long_transactions` shows it) and run \
             it again",
        ),
        Error::Refused { source, .. } => server::statement(source),
        _ => None,
    }
}
