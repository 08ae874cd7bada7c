//! What every test needs: a private database, rows to start from, and the binary.

mod certificates;
mod cluster;
mod command;
mod example;
mod fixtures;
mod pooler;
mod rows;
mod scratch;
mod server;
mod soak;
mod tcp_server;
mod test_db;
mod tools;

pub use certificates::{Authority, Certificate, Validity};
pub use command::{Dbctl, Run, signal};
pub use example::example;
pub use fixtures::*;
pub use pooler::Pooler;
pub use rows::*;
pub use scratch::Scratch;
pub use server::{Answer, Server};
pub use soak::{figures, limit, rounds, spread, until};
pub use tcp_server::TcpServer;
pub use test_db::{
    Role, TestDb, explain, fingerprint, migration_locks, number, refused, server_says, take_migration_lock, text,
    verified,
};
#[cfg(feature = "parquet")]
pub use tools::python;
pub use tools::tool;
