//! What to do about rows that are past their time.

use optiinfra_db::retention::Error;

use super::server;

pub fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::TableTwice(_) => Some("give each table one --keep"),
        Error::ArchiveOfDistributed(_) => {
            Some("`optiinfra-dbctl export --until TIME` writes them to a file; then run it without --archive")
        }
        Error::ClocksDiffer { .. } => Some("set both clocks by the same time server; nothing was removed"),
        Error::ClockUnconfirmed { .. } => Some(
            "see that the server's clock is right: `SELECT now()`; where it is, and the table got no rows for days, pass \
             --trust-clock",
        ),
        Error::Archive { .. } => Some(
            "see that the folder is there, writable and has space, and run it again; no row went that is in no file",
        ),
        Error::ArchiveInUse(_) => Some("wait for the other run, or give each database a folder of its own"),
        Error::ArchiveUnreadable { .. } => {
            Some("correct or delete that row in the table, delete the file, and run it again; no row of the file went")
        }
        Error::ArchiveDiffers(_) => Some("find out who writes to it, and run it again: it is archived anew"),
        Error::NotArchived { .. } => {
            Some("pass --archive as that run did; or attach the partition again, or drop it with its rows")
        }
        Error::Locked { .. } => Some(server::TABLE_IS_HELD),
        Error::Refused { source, .. } => server::statement(source),
        _ => None,
    }
}
