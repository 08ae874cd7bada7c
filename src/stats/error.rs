//! What can go wrong here and nowhere else.

use uuid::Uuid;

/// Why the statistics of one customer cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No customer, or more than one, has the name or id.
    #[error("{} '{wanted}'", if .found.is_empty() { "no customer has the name or id" } else { "more than one customer is called" })]
    NoSuchCustomer {
        /// The name or id.
        wanted: String,
        /// Those that have it.
        found: Vec<Uuid>,
    },
}
