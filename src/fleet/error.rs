//! Why a fleet is not written or removed.

use crate::seed::Dependants;

/// Why a fleet is not written or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A fleet of the same seed is there, made with other numbers.
    #[error("fleet {rng_seed} exists already, with other options")]
    OtherNumbers {
        /// The seed of its random numbers.
        rng_seed: u64,
    },

    /// A fleet of the seed is there, and with which numbers it was made is not known any more.
    #[error(
        "fleet {rng_seed} exists, and its {} with which options it was made",
        if *.customers == 1 { "customer does not say".to_owned() } else { format!("{customers} customers do not say") }
    )]
    UnknownNumbers {
        /// The seed of its random numbers.
        rng_seed: u64,
        /// How many of its customers are there.
        customers: usize,
    },

    /// Rows that the fleet did not make refer to rows that would be removed with it.
    #[error("rows that the fleet does not own depend on rows that would be removed: {}", crate::seed::list(.0))]
    InUse(Vec<Dependants>),

    /// The numbers of a fleet make no sample.
    #[error("the fleet would be empty: {0}")]
    Empty(&'static str),

    /// The numbers of a fleet make more instances than can be simulated.
    #[error("the fleet would have {instances} instances, more than the {most} that can be simulated")]
    TooLarge {
        /// How many instances all its customers have.
        instances: u64,
        /// How many there may be.
        most: u64,
    },

    /// One connection holds the lock of the seeds while others write, and there may be one only.
    #[error("writing a fleet takes two connections, and {0} may have one")]
    OneConnection(String),
}
