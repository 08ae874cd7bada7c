//! Working for one customer: [`scoped`].
//!
//! The tables of customers are under row security: a session sees and writes the rows of the customer that the setting
//! `app.customer_id` names, and none where it names nobody. [`catalog::tables_of_customers`] lists them.
//! Nothing here decides who may work for which customer.

mod error;

use diesel::connection::{AnsiTransactionManager, TransactionManager, TransactionManagerStatus};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Nullable, Text};
use uuid::Uuid;

pub use self::error::Error;
use crate::catalog;
use crate::error::{Doing, Result};
use crate::id::CustomerId;
use crate::raw::{RunSql, raw, sql, sql_query};

/// Works for one customer: in one transaction, which sees and writes that customer's rows only. It commits when `work`
/// returns `Ok`.
///
/// Whatever happens in `work`, nothing of the customer stays with the connection: not after an error, a panic, a
/// statement that failed, nor after `work` itself set another customer. Inside a transaction of the same customer it is
/// a savepoint; inside any other it is refused. So is a role that row security does not keep to one customer, such as the
/// owner of the tables: services connect as `optiinfra_app` or a role like it.
///
/// ```no_run
/// # use diesel::prelude::*;
/// # use optiinfra_db::{Result, id::CustomerId, models::Event, tenant};
/// # fn f(conn: &mut PgConnection, customer: CustomerId) -> Result<()> {
/// let events = tenant::scoped(conn, customer, |conn| -> Result<Vec<Event>> { Ok(Event::query().load(conn)?) })?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// What `work` returns; [`Error::RowSecurityNotInForce`] for a role that would see the rows of other customers;
/// [`Error::ForeignTransaction`] inside a transaction that is not the customer's;
/// [`Query`](crate::Error::Query) when the transaction cannot be begun or committed, also because a statement failed in
/// it that `work` passed over.
pub fn scoped<T, E: From<crate::Error>>(
    conn: &mut PgConnection,
    customer: CustomerId,
    work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    begin(conn, customer)?.in_force()?.run(work)
}

/// As [`scoped`], for any role: where row security does not apply to it, as for the owner of the tables, `work` sees the
/// rows of every customer and has to filter them itself.
///
/// # Errors
///
/// As [`scoped`], without [`Error::RowSecurityNotInForce`].
pub fn scoped_without_row_security<T, E: From<crate::Error>>(
    conn: &mut PgConnection,
    customer: CustomerId,
    work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    begin(conn, customer)?.run(work)
}

fn begin(conn: &mut PgConnection, customer: CustomerId) -> Result<Scope<'_>> {
    if is_in_transaction(conn).doing(DOING)? {
        if !works_for(conn, customer).doing(DOING)? {
            return Err(Error::ForeignTransaction(customer).into());
        }
        return Scope::begin(conn, None).doing(DOING);
    }
    Scope::begin(conn, Some(customer)).doing(DOING)
}

const DOING: &str = "work for one customer";

/// Names the customer until the end of the transaction, however that ends. The first setting takes the second to the other
/// nodes of a Citus cluster, which repeat the statements as they were sent: so nothing else is sent with them. On any other
/// server it is a name that nobody asks for.
pub(crate) fn set_customer(conn: &mut PgConnection, customer: CustomerId) -> QueryResult<()> {
    conn.batch(raw!(
        "SET LOCAL citus.propagate_set_commands = 'local'; SET LOCAL app.customer_id = {customer}",
        customer = Uuid::from(customer)
    ))
}

/// Bound to the session: no trace is left of what `work` may have set, only what the connection string says. It fails in a
/// transaction in which a statement failed, so that a COMMIT which the server turns into a ROLLBACK is an error.
const FORGET_CUSTOMER: &str = "RESET app.customer_id";

/// A transaction, or a savepoint in one, that is rolled back unless it is committed. A panic rolls it back too: the
/// connection may live on when somebody catches it.
struct Scope<'a> {
    conn: &'a mut PgConnection,
    is_outermost: bool,
    is_open: bool,
}

impl<'a> Scope<'a> {
    fn begin(conn: &'a mut PgConnection, customer: Option<CustomerId>) -> QueryResult<Self> {
        AnsiTransactionManager::begin_transaction(conn)?;
        let scope = Self { conn, is_outermost: customer.is_some(), is_open: true };
        if let Some(customer) = customer {
            set_customer(scope.conn, customer)?;
        }
        Ok(scope)
    }

    /// Refuses a role that sees the rows of other customers.
    fn in_force(self) -> Result<Self> {
        let exposed: Exposed = sql_query(raw!(
            "SELECT current_user::text AS role, ARRAY(SELECT unnest($1::text[]) EXCEPT ({HIDDEN})) AS tables",
            HIDDEN
        ))
        .bind::<Array<Text>, _>(catalog::tables_of_customers().collect::<Vec<_>>())
        .get_result(self.conn)
        .doing("see whether row security is in force")?;
        let Exposed { role, mut tables } = exposed;
        if tables.is_empty() {
            return Ok(self);
        }
        tables.sort();
        Err(Error::RowSecurityNotInForce { role, tables }.into())
    }

    fn run<T, E: From<crate::Error>>(mut self, work: impl FnOnce(&mut PgConnection) -> Result<T, E>) -> Result<T, E> {
        let done = work(self.conn)?;
        self.commit().doing("commit the work for one customer")?;
        Ok(done)
    }

    fn commit(&mut self) -> QueryResult<()> {
        if self.is_outermost {
            self.conn.batch(FORGET_CUSTOMER)?;
        }
        AnsiTransactionManager::commit_transaction(self.conn)?;
        self.is_open = false;
        Ok(())
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        // A connection on which not even that works is broken: Diesel knows, and no pool hands it out again.
        if let Err(error) = AnsiTransactionManager::rollback_transaction(self.conn) {
            tracing::warn!(%error, "the work for one customer could not be rolled back");
        }
    }
}

/// Whether a transaction of Diesel's is open.
pub(crate) fn is_in_transaction(conn: &mut PgConnection) -> QueryResult<bool> {
    match AnsiTransactionManager::transaction_manager_status_mut(conn) {
        TransactionManagerStatus::Valid(status) => Ok(status.transaction_depth().is_some()),
        TransactionManagerStatus::InError => Err(diesel::result::Error::BrokenTransactionManager),
    }
}

fn works_for(conn: &mut PgConnection, customer: CustomerId) -> QueryResult<bool> {
    let current = diesel::select(sql::<Nullable<Text>>("current_setting('app.customer_id', true)"));
    let current: Option<String> = current.get_result(conn)?;
    Ok(current.is_some_and(|current| current.parse() == Ok(customer)))
}

const HIDDEN: &str = include_str!("tenant/hidden.sql");

/// The tables of customers whose rows row security shows all to the role.
#[derive(QueryableByName)]
struct Exposed {
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Array<Text>)]
    tables: Vec<String>,
}

/// Tables of the current schema of which row security hides rows from this role. Where a policy shows it every row,
/// as `roles apply` makes them, none is hidden.
#[cfg(any(feature = "doctor", feature = "seed", feature = "stats"))]
pub(crate) fn hidden_tables(conn: &mut PgConnection) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Hidden {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let hidden: Vec<Hidden> = sql_query(HIDDEN).load(conn)?;
    Ok(hidden.into_iter().map(|hidden| hidden.name).collect())
}

/// Makes queries fail from which row security would hide rows, for the rest of the transaction.
#[cfg(any(feature = "seed", feature = "stats"))]
pub(crate) fn refuse_partial_view(conn: &mut PgConnection) -> QueryResult<()> {
    if hidden_tables(conn)?.is_empty() {
        return Ok(());
    }
    conn.batch("SET LOCAL row_security = off")
}
