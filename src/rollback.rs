//! Work that is looked at and does not stay.

use diesel::connection::Connection;
use diesel::pg::PgConnection;
use diesel::result::{Error as Diesel, QueryResult};

/// Does something in a transaction, or savepoint, that is rolled back: nothing of it stays, no lock either.
pub(crate) fn undone<T>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
) -> QueryResult<T> {
    let mut done = Err(Diesel::RollbackTransaction);
    let ended = conn.transaction(|conn| {
        done = Ok(work(conn)?);
        QueryResult::<()>::Err(Diesel::RollbackTransaction)
    });
    match ended {
        Ok(()) | Err(Diesel::RollbackTransaction) => done,
        Err(failed) => Err(failed),
    }
}
