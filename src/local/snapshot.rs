//! The database of a kept cluster made anew, and copies of it under names.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamptz};
use serde::Serialize;

use super::{APPLICATION, Cluster, Error, NAME};
use crate::connection;
use crate::database;
use crate::error::{Doing, Result};
use crate::raw::sql_query;

/// Begins the name of the database that is a snapshot.
const PREFIX: &str = "snapshot_";
const LONGEST: usize = 50;

/// The name of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotName(String);

/// A text that is no name of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a snapshot's name has letters, digits, - and _, at most {LONGEST} of them")]
pub struct InvalidSnapshotName;

impl FromStr for SnapshotName {
    type Err = InvalidSnapshotName;

    fn from_str(text: &str) -> Result<Self, InvalidSnapshotName> {
        let is_known = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
        let is_name = (1..=LONGEST).contains(&text.len()) && text.chars().all(is_known);
        if is_name { Ok(Self(text.to_owned())) } else { Err(InvalidSnapshotName) }
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SnapshotName {
    fn database(&self) -> String {
        format!("{PREFIX}{}", self.0)
    }
}

/// A copy of the cluster's database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, QueryableByName)]
pub struct Snapshot {
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Its size in bytes.
    #[diesel(sql_type = BigInt)]
    pub bytes: i64,
    /// When it was made.
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
}

/// The cluster has to run.
impl Cluster {
    /// Drops the database with all its data, ends the sessions in it, and makes an empty one.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub fn reset(&self) -> Result<()> {
        database::drop(&self.target(), true)?;
        database::create(&self.target())?;
        Ok(())
    }

    /// Copies the database under a name.
    ///
    /// # Errors
    ///
    /// [`database::Error::InUse`] while sessions are open in it, and [`database::Error::Exists`].
    pub fn snapshot(&self, name: &SnapshotName) -> Result<()> {
        database::copy(&self.target(), &name.database())
    }

    /// Puts a snapshot in the place of the database, ends the sessions in it, and keeps the snapshot.
    ///
    /// # Errors
    ///
    /// [`Error::NoSnapshot`] before anything is dropped.
    pub fn restore(&self, name: &SnapshotName) -> Result<()> {
        self.require_snapshot(name)?;
        database::drop(&self.target(), true)?;
        database::copy(&self.target().with("dbname", &name.database()), NAME)
    }

    /// Removes a snapshot.
    ///
    /// # Errors
    ///
    /// [`Error::NoSnapshot`].
    pub fn remove_snapshot(&self, name: &SnapshotName) -> Result<()> {
        self.require_snapshot(name)?;
        database::drop(&self.target().with("dbname", &name.database()), true)?;
        Ok(())
    }

    /// The snapshots, the newest first.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let mut conn = connection::connect(&self.target().with("dbname", "postgres"), APPLICATION)?;
        // The file is written when the database is made and never again; its time is to the second.
        let query = "SELECT substr(datname, length($1) + 1) AS name, pg_database_size(oid) AS bytes, \
                     (pg_stat_file('base/' || oid || '/PG_VERSION')).modification AS at \
                     FROM pg_database WHERE starts_with(datname, $1) ORDER BY at DESC, oid DESC";
        sql_query(query).bind::<Text, _>(PREFIX).load(&mut conn).doing("list the snapshots")
    }

    /// Fails where there is no such snapshot.
    ///
    /// # Errors
    ///
    /// [`Error::NoSnapshot`].
    pub fn require_snapshot(&self, name: &SnapshotName) -> Result<()> {
        let known: Vec<_> = self.snapshots()?.into_iter().map(|snapshot| snapshot.name).collect();
        if known.contains(&name.0) { Ok(()) } else { Err(Error::NoSnapshot { name: name.0.clone(), known }.into()) }
    }
}
