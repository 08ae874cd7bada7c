//! Why there is no working for one customer.

use crate::id::CustomerId;

/// Why the work for one customer was not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection is in a transaction that is not this customer's. The rest of it would go on for the customer.
    #[error("cannot work for customer {0} inside a transaction that does not")]
    ForeignTransaction(CustomerId),

    /// Row security does not keep the role of the connection to one customer's rows.
    #[error("row security does not keep role {role} to one customer's rows of {}", .tables.join(", "))]
    RowSecurityNotInForce {
        /// The role: a superuser, the owner of the tables or a member of it, one with BYPASSRLS, or one that a policy
        /// shows the rows of every customer.
        role: String,
        /// The tables of customers of which it sees the rows of all.
        tables: Vec<String>,
    },
}
