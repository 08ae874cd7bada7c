//! What can go wrong with roles.

/// Why roles are not made what they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused a statement, and nothing was changed.
    #[error("could not run {statement}")]
    Refused {
        /// The statement.
        statement: String,
        /// What the server said.
        source: diesel::result::Error,
    },
}
