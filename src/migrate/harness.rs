//! The migrations for Diesel's own harness.

use diesel::connection::BoxableConnection;
use diesel::migration::{self, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion};
use diesel::pg::Pg;

use super::set::Migration;
use super::sql;
use crate::raw::RunSql;

/// A set of migrations for Diesel's own harness.
#[derive(Debug, Clone, Copy)]
pub struct Set(pub &'static [Migration]);

impl MigrationSource<Pg> for Set {
    fn migrations(&self) -> migration::Result<Vec<Box<dyn migration::Migration<Pg>>>> {
        Ok(self.0.iter().map(|migration| Box::new(*migration) as Box<dyn migration::Migration<Pg>>).collect())
    }
}

impl migration::Migration<Pg> for Migration {
    fn run(&self, conn: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        send(conn, self.in_transaction, self.up)
    }

    fn revert(&self, conn: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        send(conn, self.in_transaction, self.down)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

/// The server takes what is sent as one text for one transaction, whatever Diesel thinks of it.
fn send(conn: &mut dyn BoxableConnection<Pg>, in_transaction: bool, sql: &'static str) -> migration::Result<()> {
    if in_transaction {
        return Ok(conn.batch(sql)?);
    }
    for statement in sql::statements(sql) {
        conn.batch(statement)?;
    }
    Ok(())
}

impl MigrationMetadata for Migration {
    fn run_in_transaction(&self) -> bool {
        self.in_transaction
    }
}

impl MigrationName for Migration {
    fn version(&self) -> MigrationVersion<'_> {
        MigrationVersion::from(self.version)
    }
}
