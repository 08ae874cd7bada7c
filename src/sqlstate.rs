//! Which error of the server it is, without its words: they are in the server's language.
//!
//! The server sends a SQLSTATE with every error, and Diesel keeps it to itself unless it has a kind for it. There are two
//! ways to know it all the same:
//!
//! - [`reporting`] wraps SQL in a block that sends the same error again with its state where Diesel shows it, and
//!   [`sqlstate`] reads it. For statements without parameters that may be in a transaction block.
//! - [`is_deadlock`] and [`is_lock_timeout`] go by what else the error holds and by the time that the statement took. For
//!   statements that cannot be wrapped, such as COPY and CREATE INDEX CONCURRENTLY.

use std::time::Duration;

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error};

use crate::raw::{Sql, raw};

/// Two sessions waited for each other, and the server ended this one's statement.
pub const DEADLOCK_DETECTED: &str = "40P01";
/// A lock was not to be had within `lock_timeout`.
pub const LOCK_NOT_AVAILABLE: &str = "55P03";
/// The statement took longer than `statement_timeout`, or somebody cancelled it.
pub const QUERY_CANCELED: &str = "57014";
/// The role lacks a right, or row security refuses a row.
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// A row refers to one that is not there.
pub const FOREIGN_KEY_VIOLATION: &str = "23503";
/// Another row holds the value.
pub const UNIQUE_VIOLATION: &str = "23505";
/// A table, an index or a view has this name already.
pub const DUPLICATE_TABLE: &str = "42P07";
/// A role, a type, a constraint or the like has this name already.
pub const DUPLICATE_OBJECT: &str = "42710";

/// The prefix of the state in the field that a block of [`reporting`] uses for it, which is the one for a column's name.
const MARK: &str = "SQLSTATE ";

/// The SQLSTATE of an error, where it is known: the error came through [`reporting`], or Diesel has a kind for it.
pub fn sqlstate(error: &Error) -> Option<&str> {
    let Error::DatabaseError(kind, information) = error else { return None };
    information.column_name().and_then(|column| column.strip_prefix(MARK)).or(match kind {
        DatabaseErrorKind::UniqueViolation => Some(UNIQUE_VIOLATION),
        DatabaseErrorKind::ForeignKeyViolation => Some(FOREIGN_KEY_VIOLATION),
        DatabaseErrorKind::NotNullViolation => Some("23502"),
        DatabaseErrorKind::CheckViolation => Some("23514"),
        DatabaseErrorKind::RestrictViolation => Some("23001"),
        DatabaseErrorKind::ExclusionViolation => Some("23P01"),
        DatabaseErrorKind::SerializationFailure => Some("40001"),
        DatabaseErrorKind::ReadOnlyTransaction => Some("25006"),
        _ => None,
    })
}

/// The column that an error names, and not the state that [`reporting`] puts in its place.
pub fn column(information: &dyn DatabaseErrorInformation) -> Option<&str> {
    information.column_name().filter(|column| !column.starts_with(MARK))
}

/// A statement or script that does the same and, where it fails, lets [`sqlstate`] know the state. The server's message,
/// detail and hint, table and constraint stay; the state takes the place of a column's name. It has no parameters, reads no
/// rows, and cannot hold what must not run in a transaction block.
pub fn reporting(script: &Sql) -> Sql {
    reporting_each([script.clone()])
}

/// The same for statements that the server gets one by one: a node of a Citus cluster repeats the whole text that a
/// statement came in.
pub fn reporting_each(statements: impl IntoIterator<Item = Sql>) -> Sql {
    let execute = |statement: Sql| raw!("EXECUTE {statement};", statement = Sql::literal(statement.as_str()));
    let block = raw!(
        "DECLARE fields text; message text; detail text; hint text; relation text; broken text;
        BEGIN
            {statements}
        EXCEPTION WHEN OTHERS OR query_canceled OR assert_failure THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
                relation = TABLE_NAME, broken = CONSTRAINT_NAME;
            SELECT string_agg(format('%s = %L', field, value), ', ') INTO fields
            FROM (VALUES ('ERRCODE', SQLSTATE), ('COLUMN', '{MARK}' || SQLSTATE), ('MESSAGE', message), ('DETAIL', detail),
                         ('HINT', hint), ('TABLE', relation), ('CONSTRAINT', broken)) AS field (field, value)
            WHERE value <> '';
            EXECUTE format('DO %L', format('BEGIN RAISE EXCEPTION USING %s; END', fields));
        END",
        statements = Sql::join(statements.into_iter().map(execute), "\n"),
        MARK
    );
    raw!("DO {block}", block = Sql::literal(block.as_str()))
}

/// Whether the session is lost. What libpq says of a session by itself ends with a line break, as no message of the server
/// does; Diesel has no kind for it where the loss is noticed between the sending of a statement and its first result.
pub fn is_lost_session(error: &Error) -> bool {
    use DatabaseErrorKind::{ClosedConnection, UnableToSendCommand, Unknown};
    match error {
        Error::BrokenTransactionManager => true,
        Error::DatabaseError(ClosedConnection | UnableToSendCommand, _) => true,
        Error::DatabaseError(Unknown, information) => {
            information.message().ends_with('\n') && is_bare(information.as_ref())
        }
        _ => false,
    }
}

/// What the server refused a statement with, where the session lives on.
pub fn refusal(error: &Error) -> Option<&(dyn DatabaseErrorInformation + Send + Sync)> {
    match error {
        Error::DatabaseError(_, information) if !is_lost_session(error) => Some(information.as_ref()),
        _ => None,
    }
}

/// Whether the server ended a statement because two sessions waited for each other. Its detail lists who waits for whom, a
/// line each with the waiting process first and the blocking one last, and that is a circle.
pub fn is_deadlock(error: &Error) -> bool {
    if let Some(state) = sqlstate(error) {
        return state == DEADLOCK_DETECTED;
    }
    let Error::DatabaseError(DatabaseErrorKind::Unknown, information) = error else { return false };
    information.details().is_some_and(is_circle)
}

/// Whether a statement ended because a lock was not to be had for so long as `limit`, its `lock_timeout`: the server says
/// nothing about such an error but its message, and no error of this kind comes earlier. `elapsed` is what the statement
/// took. An error in a value, found late, can look the same: better is [`reporting`].
pub fn is_lock_timeout(error: &Error, limit: Duration, elapsed: Duration) -> bool {
    if let Some(state) = sqlstate(error) {
        return state == LOCK_NOT_AVAILABLE;
    }
    let Error::DatabaseError(DatabaseErrorKind::Unknown, information) = error else { return false };
    !limit.is_zero() && elapsed >= limit && is_bare(information.as_ref())
}

/// Whether an error says nothing but its message, and perhaps where in the statement the table is named.
fn is_bare(information: &dyn DatabaseErrorInformation) -> bool {
    let fields = [
        information.details(),
        information.hint(),
        information.table_name(),
        information.column_name(),
        information.constraint_name(),
    ];
    fields.iter().all(Option::is_none)
}

fn is_circle(detail: &str) -> bool {
    let waits: Option<Vec<(&str, &str)>> = detail.lines().map(first_and_last_number).collect();
    let Some(waits) = waits.filter(|waits| waits.len() > 1) else { return false };
    let followers = waits.iter().cycle().skip(1);
    waits.iter().zip(followers).all(|((_, blocking), (waiting, _))| blocking == waiting)
}

fn first_and_last_number(line: &str) -> Option<(&str, &str)> {
    let mut numbers = line.split(|character: char| !character.is_ascii_digit()).filter(|number| !number.is_empty());
    let first = numbers.next()?;
    Some((first, numbers.next_back()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libpq_says_of_a_session_is_its_loss_and_what_the_server_says_is_not() {
        let unknown = |message: &str| Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned()));
        assert!(is_lost_session(&unknown(
            "Server beendete die Verbindung unerwartet\n\tDas heißt wahrscheinlich ...\n"
        )));
        assert!(!is_lost_session(&unknown("Syntaxfehler bei »SELEC«")));
        assert!(!is_lost_session(&Error::NotFound));
    }

    #[test]
    fn a_circle_of_processes_is_a_deadlock_in_every_language() {
        for detail in [
            "Process 12 waits for ShareLock on transaction 9; blocked by process 34.\n\
             Process 34 waits for ShareLock on transaction 8; blocked by process 12.",
            "Prozess 12 wartet auf ShareLock-Sperre auf Relation 7 der Datenbank 5; blockiert von Prozess 34.\n\
             Prozess 34 wartet auf ShareLock-Sperre auf Transaktion 8; blockiert von Prozess 56.\n\
             Prozess 56 wartet auf ShareLock-Sperre auf Transaktion 8; blockiert von Prozess 12.",
            "12 프로세스가 ShareLock 상태로 지연되고 있음(해당 작업: 릴레이션 7, 데이터베이스 5); 34 프로세스에 의해 블록킹되었음\n\
             34 프로세스가 ShareLock 상태로 지연되고 있음(해당 작업: 트랜잭션 8); 12 프로세스에 의해 블록킹되었음",
            "进程12等待在数据库5的关系7上的ShareLock; 由进程34阻塞.\n进程34等待在事务 8上的ShareLock; 由进程12阻塞.",
        ] {
            assert!(is_circle(detail), "{detail}");
        }
        for detail in [
            "",
            "Key (id)=(1) already exists.",
            "Process 12 waits for ShareLock on transaction 9; blocked by process 34.\n\
             Process 56 waits for ShareLock on transaction 8; blocked by process 12.",
            "Failing row contains (1, 1).",
            "1\n1",
        ] {
            assert!(!is_circle(detail), "{detail}");
        }
    }
}
