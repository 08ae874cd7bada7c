//! What can go wrong apart from failing queries: a failed check is a result.

/// Why a database cannot be verified as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The probes have to write, and the session may not.
    #[error("the session is read-only, and probes write rows before they roll them back")]
    ReadOnlySession,
}
