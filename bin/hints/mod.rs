//! What to do about an error: the next command to type, or the setting to change. A file for each module that has errors.

mod cluster;
mod connection;
mod local;
mod migrate;
mod other_tools;
mod partitions;
mod retention;
mod seed;
mod server;
mod transfer;

use std::fmt::{self, Display};

use optiinfra_db::{Error, database, ingest, roles, stats, verify};

pub use self::other_tools::command as of_other_tools;

/// What to do after a write that ended before all rows were in.
const RETRY: &str = "fix the cause and write the same rows again, skipping those that are there: `import` does so with \
                     --on-conflict skip, `seed fleet` always";

/// An error of the binary's own with the next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hinted {
    pub message: String,
    pub hint: String,
}

impl Hinted {
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

/// The next thing to do about an error of a command.
pub fn of(error: &anyhow::Error) -> Option<String> {
    if let Some(hinted) = error.downcast_ref::<Hinted>() {
        return Some(hinted.hint.clone());
    }
    let connection = error.downcast_ref().and_then(connection::hint);
    connection
        .or_else(|| error.downcast_ref().and_then(local::hint))
        .or_else(|| error.downcast_ref().and_then(of_library))
}

fn of_library(error: &Error) -> Option<String> {
    match error {
        Error::Connection(error) => connection::hint(error),
        Error::Local(error) => local::hint(error),
        Error::Database(error) => of_database(error).map(ToOwned::to_owned),
        Error::Migrate(error) => migrate::hint(error),
        Error::Partitions(error) => partitions::hint(error),
        Error::Cluster(error) => cluster::hint(error),
        Error::Retention(error) => retention::hint(error).map(ToOwned::to_owned),
        Error::Seed(error) => seed::of_seed(error),
        Error::Fleet(error) => seed::of_fleet(error),
        Error::Transfer(error) => transfer::hint(error),
        Error::Ingest(error) => of_ingest(error),
        Error::Stats(stats::Error::NoSuchCustomer { found, .. }) => Some(customers(found)),
        Error::Verify(verify::Error::ReadOnlySession) => Some(
            "verify without probes, or connect to the primary as a role without default_transaction_read_only"
                .to_owned(),
        ),
        Error::Query { source, .. } | Error::Diesel(source) | Error::Roles(roles::Error::Refused { source, .. }) => {
            server::statement(source).map(ToOwned::to_owned)
        }
        _ => None,
    }
}

fn of_database(error: &database::Error) -> Option<&'static str> {
    Some(match error {
        database::Error::Maintenance { .. } => "name the database that is meant: postgresql://USER@HOST/NAME",
        database::Error::InUse { .. } => {
            "`SELECT pid, usename, application_name FROM pg_stat_activity` shows them: end them, or drop with --force"
        }
        database::Error::Exists { .. } => "choose another name, or remove that one first",
        _ => return None,
    })
}

fn of_ingest(error: &ingest::Error) -> Option<String> {
    match error {
        ingest::Error::RowRefused { source, .. } => Some(server::row(source).to_owned()),
        ingest::Error::ChunkFailed { source, .. } | ingest::Error::PartitionFailed { source, .. } => {
            of_library(source).or_else(|| Some(RETRY.to_owned()))
        }
        ingest::Error::NoWholePartitions { .. } => Some("pass --load rows".to_owned()),
        ingest::Error::Spill { .. } => {
            Some("name a directory with as much space as the rows take in TMPDIR, or pass --load rows".to_owned())
        }
        ingest::Error::Cancelled { .. } => Some(RETRY.to_owned()),
        _ => None,
    }
}

fn customers(found: &[uuid::Uuid]) -> String {
    if found.is_empty() {
        return "`optiinfra-dbctl stats` lists the customers".to_owned();
    }
    let ids: Vec<_> = found.iter().map(ToString::to_string).collect();
    format!("name one by its id: {}", ids.join(", "))
}

#[cfg(test)]
mod tests {
    use optiinfra_db::layer::Layer;
    use optiinfra_db::seed;

    use super::*;

    #[test]
    fn a_missing_prerequisite_names_the_command_that_provides_it() {
        let error = seed::Error::MissingPrerequisite {
            layer: Layer::Application,
            what: "customers".to_owned(),
            provided_by: vec![Layer::Core, Layer::Resource],
        };
        assert_eq!(
            of_library(&error.into()).unwrap(),
            "run `optiinfra-dbctl seed core resource` first, or `optiinfra-dbctl seed --all`"
        );
    }

    #[test]
    fn the_customers_of_one_name_are_told_apart_by_their_ids() {
        let ids = [uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2)];
        let error = Error::Stats(stats::Error::NoSuchCustomer { wanted: "x".to_owned(), found: ids.to_vec() });
        let hint = of_library(&error).unwrap();
        assert!(ids.iter().all(|id| hint.contains(&id.to_string())), "{hint}");
    }
}
