//! What to do about an error of the server.

use diesel::result::{DatabaseErrorKind, Error};
use optiinfra_db::layer;
use optiinfra_db::sqlstate::{
    FOREIGN_KEY_VIOLATION, INSUFFICIENT_PRIVILEGE, LOCK_NOT_AVAILABLE, QUERY_CANCELED, UNIQUE_VIOLATION, sqlstate,
};

/// Of a table that could not be locked in time.
pub const TABLE_IS_HELD: &str = "end the transaction that holds the table (`optiinfra-dbctl stats --section \
                                 long_transactions` shows it) and run it again";

pub fn row(source: &Error) -> &'static str {
    match sqlstate(source) {
        Some(FOREIGN_KEY_VIOLATION) => {
            "the row names a customer or an agent that is not there: add that first, or fix the row"
        }
        Some(UNIQUE_VIOLATION) => {
            "the row, or one with its key, is there already: leave it out, or skip rows that are there"
        }
        _ => "fix the row; a session that works for one customer may write that customer's rows only",
    }
}

/// By the SQLSTATE where it is known. Else by what no language changes: an error in the text of a statement has a place
/// in it, because a table or column is not there, and one about a right or row security names the table.
pub fn statement(source: &Error) -> Option<&'static str> {
    let Error::DatabaseError(kind, information) = source else { return None };
    let names_table = || layer::tables().any(|(_, table)| information.message().contains(table));
    Some(match sqlstate(source) {
        Some(FOREIGN_KEY_VIOLATION) => {
            "`optiinfra-dbctl migrate status` shows the schema's version; `optiinfra-dbctl seed --all` provides the rows"
        }
        Some(UNIQUE_VIOLATION) => "another row holds this value: change or remove that one",
        Some(INSUFFICIENT_PRIVILEGE) => {
            "connect as a role that has this right, such as the owner of the object or a superuser"
        }
        None if *kind != DatabaseErrorKind::Unknown => return None,
        None if information.statement_position().is_some() => {
            "run `optiinfra-dbctl migrate`, then `optiinfra-dbctl verify`"
        }
        None if names_table() => {
            "connect as a role that has this right on all rows, such as the owner or a member of optiinfra_operator; \
             where row security shows this role the rows of one customer, `export --customer NAME` takes those"
        }
        None | Some(QUERY_CANCELED | LOCK_NOT_AVAILABLE) => {
            "where it waited for another session, `SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity` shows \
             who waits for whom"
        }
        _ => return None,
    })
}
