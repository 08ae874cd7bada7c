//! One partition into a table of its own, which takes its place at the end.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as Diesel};

use super::spill::Part;
use super::{FEW, prepare};
use crate::catalog::Bounds;
use crate::error::{Doing as _, Result};
use crate::ingest::loading::{Load, Loaded, Loading};
use crate::ingest::path::take_turns;
use crate::ingest::table::Table;
use crate::migrate::{self, Failure, bounded, limit, share, until_unlocked};
use crate::partitions::{Partitioned, Place, exists};
use crate::raw::{RunSql as _, Sql, raw};
use crate::sqlstate::{DUPLICATE_TABLE, reporting, sqlstate};
use crate::timeouts;

/// How long the short locks at the end are waited for at a time: others queue behind who waits.
const SHORT: Duration = Duration::from_millis(500);

/// Why a partition is not loaded.
pub(super) enum Trouble {
    /// There are rows in its place, or the table does not take partitions any more.
    Taken,
    /// Something about its rows: by rows one finds out what, or can do without.
    Rows,
    Cancelled,
    /// Its COMMIT was not answered where `in_doubt`.
    Failed {
        source: crate::Error,
        in_doubt: bool,
    },
}

impl From<crate::Error> for Trouble {
    fn from(source: crate::Error) -> Self {
        Self::Failed { source, in_doubt: false }
    }
}

impl From<Diesel> for Trouble {
    fn from(error: Diesel) -> Self {
        match sqlstate(&error) {
            Some(state) if state.starts_with("22") || state.starts_with("23") => Self::of_rows(&error),
            Some(DUPLICATE_TABLE) => Self::Taken,
            _ => crate::Error::from(error).into(),
        }
    }
}

impl Trouble {
    fn of_rows(error: &Diesel) -> Self {
        tracing::debug!(%error, "a partition is not taken whole");
        Self::Rows
    }

    /// Of COPY, about which nothing more may be known.
    fn of_copy(error: Diesel) -> Self {
        match error {
            Diesel::DatabaseError(DatabaseErrorKind::Unknown, _) => Self::of_rows(&error),
            error => error.into(),
        }
    }
}

/// A table that waits for its place.
pub(super) struct Filled {
    pub(super) bounds: Bounds,
    place: Place,
    name: String,
    pub(super) loaded: Loaded,
}

impl Filled {
    /// Removes the table.
    pub(super) fn drop(&self) -> Sql {
        raw!("DROP TABLE {name}", name = Sql::identifier(&self.name))
    }
}

/// Loads partitions.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    pub(super) table: &'static Table,
    pub(super) loading: &'a Loading,
    /// Whether no id may be there twice: the key of a partition does not see to that.
    pub(super) skips: bool,
    pub(super) file: &'a File,
    pub(super) stop: &'a AtomicBool,
}

impl Loader<'_> {
    /// Loads a partition in a transaction of its own, whatever became of the table since its rows were read.
    pub(super) fn load(&self, conn: &mut PgConnection, bounds: &Bounds, part: &Part) -> Result<Loaded, Trouble> {
        let mut is_sent = false;
        prepare(conn, self.table, self.loading)?;
        let loaded = conn.transaction(|conn| {
            timeouts::lift_in_transaction(conn)?;
            let partitioned = self.begin(conn)?.ok_or(Trouble::Taken)?;
            let mut filled = self.fill(conn, &partitioned, bounds, part, &BTreeSet::new())?;
            self.attach(conn, &partitioned, &mut filled)?;
            is_sent = true;
            Ok(filled.loaded)
        });
        loaded.map_err(|trouble| match trouble {
            Trouble::Failed { source, .. } => Trouble::Failed { source, in_doubt: is_sent },
            trouble => trouble,
        })
    }

    /// Keeps migrations and changes of partitions away until the transaction ends, and reads the table; `None` where it
    /// takes no partitions any more, or one of these does not end.
    pub(super) fn begin(&self, conn: &mut PgConnection) -> Result<Option<Partitioned>> {
        match share(conn, self.loading.lock_wait) {
            Err(crate::Error::Migrate(migrate::Error::Locked { .. })) if self.loading.load == Load::Auto => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(Partitioned::read(conn, self.table.name)?.ok()),
        }
    }

    /// Makes the partition, without rows, if there is none.
    pub(super) fn make(&self, conn: &mut PgConnection, bounds: &Bounds) -> Result<()> {
        conn.transaction(|conn| match self.begin(conn)? {
            Some(partitioned) if partitioned.place(conn, bounds)? == Place::Free => {
                partitioned.make(conn, bounds, self.loading.lock_wait)
            }
            _ => Ok(()),
        })
    }

    /// Makes the partitions that are missing behind the oldest one that was loaded: an empty first partition was divided.
    pub(super) fn fill_gaps(&self, conn: &mut PgConnection, from: DateTime<Utc>) -> Result<()> {
        let missing = match Partitioned::read(conn, self.table.name)? {
            Ok(partitioned) => partitioned.gaps(from),
            Err(_) => Vec::new(),
        };
        missing.iter().try_for_each(|bounds| self.make(conn, bounds))
    }

    /// Makes the table, fills it, builds its indexes and keys. In a transaction or savepoint of its own.
    pub(super) fn fill(
        &self,
        conn: &mut PgConnection,
        partitioned: &Partitioned,
        bounds: &Bounds,
        part: &Part,
        without: &BTreeSet<u64>,
    ) -> Result<Filled, Trouble> {
        let place = partitioned.place(conn, bounds)?;
        if place == Place::Taken || (place == Place::Empty && part.count < FEW as u64) {
            return Err(Trouble::Taken);
        }
        let name = partitioned.name_while_filled(bounds, &place);
        let mut loaded = Loaded { partition: Partitioned::name(self.table.name, bounds), ..Loaded::default() };
        self.loading.settings().iter().try_for_each(|setting| conn.batch(setting))?;
        conn.batch(reporting(&partitioned.create(bounds, &name)))?;
        self.go_on()?;
        let begun = Instant::now();
        let copied = self.table.load(conn, &name, |sink| part.write(self.file, without, sink));
        let copied = copied.map_err(Trouble::of_copy)?;
        loaded.rows = copied as u64;
        loaded.copy_seconds = begun.elapsed().as_secs_f64();
        loaded.index_seconds = self.each(conn, &partitioned.indexes(&name))?;
        loaded.keys_seconds = self.each(conn, &partitioned.keys(&name))?;
        let has_twice = |key| {
            let of = Sql::identifier(&name);
            raw!("SELECT 1 FROM {of} GROUP BY {key} HAVING count(*) > 1", of, key)
        };
        if self.skips && self.any(conn, has_twice)? {
            return Err(Trouble::Rows);
        }
        Ok(Filled { bounds: bounds.clone(), place, name, loaded })
    }

    fn each(&self, conn: &mut PgConnection, statements: &[Sql]) -> Result<f64, Trouble> {
        let begun = Instant::now();
        for statement in statements {
            self.go_on()?;
            conn.batch(reporting(statement))?;
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Whether a query about one of the columns by which rows are the same finds a row.
    fn any(&self, conn: &mut PgConnection, query: impl Fn(&'static str) -> Sql) -> Result<bool> {
        let keys = BTreeSet::from(["id", self.table.key]);
        keys.into_iter().try_fold(false, |found, key| Ok(found || exists(conn, query(key))?))
    }

    fn go_on(&self) -> Result<(), Trouble> {
        if self.stop.load(Ordering::Relaxed) { Err(Trouble::Cancelled) } else { Ok(()) }
    }

    /// Adds the foreign keys and puts the table into its place, all in some tenths of a second of locks.
    pub(super) fn attach(
        &self,
        conn: &mut PgConnection,
        partitioned: &Partitioned,
        filled: &mut Filled,
    ) -> Result<(), Trouble> {
        self.go_on()?;
        let begun = Instant::now();
        let Filled { bounds, place, name, loaded } = filled;
        let queue = raw!("LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE", table = self.table.name);
        conn.batch(queue).doing(format!("wait for other changes of the partitions of {}", self.table.name))?;
        if self.skips {
            take_turns(conn, self.table)?;
            if self.any(conn, |key| self.is_elsewhere(name, key))? {
                return Err(Trouble::Rows);
            }
        }
        let mut is_taken = false;
        let attached = until_unlocked(
            self.loading.lock_wait,
            |_| (),
            |deadline| {
                conn.transaction(|conn| {
                    conn.batch(limit("LOCAL", bounded(SHORT, deadline.left()), Duration::ZERO))?;
                    conn.batch(reporting(&partitioned.foreign_keys(name)))?;
                    is_taken = !partitioned.attach(conn, bounds, place, name)?;
                    if is_taken { Err(Diesel::RollbackTransaction.into()) } else { Ok(()) }
                })
            },
        );
        loaded.keys_seconds += begun.elapsed().as_secs_f64();
        match attached {
            Ok(()) => Ok(()),
            Err(_) if is_taken => Err(Trouble::Taken),
            Err(Failure::Other(source)) => Err(source.into()),
            Err(Failure::Locked(source)) => {
                Err(crate::Error::Query { doing: format!("lock {} to attach {name}", self.table.name), source }.into())
            }
        }
    }

    /// Whether the table has a row of this key already. An index finds the first and the last one, and ids of other times
    /// are not looked at.
    fn is_elsewhere(&self, name: &str, key: &'static str) -> Sql {
        let (table, of) = (self.table.name, Sql::identifier(name));
        let end =
            |order: &'static str| raw!("(SELECT {key} FROM {of} ORDER BY {key} {order} LIMIT 1)", key, of = &of, order);
        raw!(
            "SELECT 1 FROM {table} there WHERE there.{key} BETWEEN {first} AND {last}
             AND EXISTS (SELECT 1 FROM {of} WHERE {of}.{key} = there.{key})",
            table,
            key,
            first = end("ASC"),
            last = end("DESC"),
            of = &of
        )
    }
}
