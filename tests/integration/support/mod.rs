//! What every test needs: a private database, rows to start from, and the binary.

mod command;
mod fixtures;
mod rows;
mod test_db;

pub use command::{Dbctl, Run};
pub use fixtures::*;
pub use rows::*;
pub use test_db::{TestDb, number, take_migration_lock};
