//! Work that is looked at and does not stay.

#[cfg(feature = "ingest")]
use diesel::connection::Connection;
use diesel::pg::PgConnection;
use diesel::result::Error as Diesel;
#[cfg(feature = "ingest")]
use diesel::result::QueryResult;

/// Does something in a transaction, or savepoint, that is rolled back: nothing of it stays, no lock either.
#[cfg(feature = "ingest")]
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

/// Reads on one state of the database, in a transaction that is rolled back: to commit it fails where a node of a cluster was
/// lost meanwhile, although nothing was written.
#[cfg(any(feature = "stats", feature = "verify"))]
pub(crate) fn read<T, E: From<Diesel>>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    let mut done = None;
    let ended = conn.build_transaction().read_only().repeatable_read().run(|conn| {
        done = Some(work(conn)?);
        Result::<(), E>::Err(Diesel::RollbackTransaction.into())
    });
    match (done, ended) {
        (Some(done), _) => Ok(done),
        (None, Err(failed)) => Err(failed),
        (None, Ok(())) => Err(Diesel::RollbackTransaction.into()),
    }
}
