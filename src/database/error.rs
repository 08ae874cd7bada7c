//! What can be wrong with a database as a whole.

/// What can be wrong with a database as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database is the server's own.
    #[error("{database} is a database of the server itself")]
    Maintenance {
        /// Its name.
        database: String,
    },

    /// A database has this name.
    #[error("the database {database} exists already")]
    Exists {
        /// Its name.
        database: String,
    },

    /// Sessions are open in it.
    #[error("the database {database} is in use: open sessions: {sessions}")]
    InUse {
        /// Its name.
        database: String,
        /// How many.
        sessions: i64,
        /// What the server said.
        source: diesel::result::Error,
    },
}
