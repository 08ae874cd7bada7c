//! Why the tables of a database are not spread over a cluster, or not brought back.

/// Why the tables of a database are not spread over a cluster, or not brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database has no extension `citus`.
    #[error("the database has no Citus")]
    NoExtension,

    /// The server is one of the workers.
    #[error("this node is a worker")]
    NotCoordinator,

    /// The coordinator does not know its own address.
    #[error("the coordinator is not among the nodes of the cluster")]
    CoordinatorUnknown,

    /// No node may hold rows.
    #[error("the cluster has no worker")]
    NoWorkers,

    /// A node cannot be used.
    #[error("nodes of the cluster are not ready: {}", .0.join("; "))]
    Unhealthy(Vec<String>),

    /// A node has other versions than the coordinator, or all are too old.
    #[error("the versions do not fit: {}", .0.join("; "))]
    Versions(Vec<String>),

    /// Something about the tables cannot be carried over.
    #[error("the tables cannot change their shape: {}", .0.join("; "))]
    Obstacles(Vec<String>),

    /// The tables are in as many parts already.
    #[error("the tables are distributed in {found} shards")]
    OtherShards {
        /// How many.
        found: u32,
    },

    /// A table is kept by Citus in a way that is not ours.
    #[error("{table} is distributed otherwise: {found}")]
    OtherShape {
        /// The table.
        table: &'static str,
        /// How.
        found: String,
    },

    /// No table is distributed.
    #[error("no table of the database is distributed")]
    NotDistributed,

    /// No customer has this id.
    #[error("there is no customer {0}")]
    NoCustomer(uuid::Uuid),

    /// Citus refused an operation on its nodes.
    #[error("could not {doing}")]
    Refused {
        /// What it was for, as an infinitive without "to".
        doing: String,
        /// What the server said.
        source: diesel::result::Error,
    },

    /// A rebalance ended and shards are not where they should be.
    #[error("the rebalance ended as {0}")]
    NotRebalanced(String),
}
