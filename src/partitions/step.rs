//! A plan: what is run and what is printed, which are the same.

use serde::{Serialize, Serializer};

use super::Period;
use crate::migrate::Lock;
use crate::raw::{Sql, raw};

/// What would be done to the tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The tables, each with its steps.
    pub tables: Vec<TablePlan>,
}

/// What would be done to one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TablePlan {
    /// The table.
    pub table: &'static str,
    /// How long its partitions are; `None` where it is to have none.
    pub period: Option<Period>,
    /// Why the table is skipped.
    pub left_alone: Option<LeftAlone>,
    /// Rows that stay in the default partition, because no partition is made for their time.
    pub stay_in_default: i64,
    /// The steps; none where nothing is to do.
    pub steps: Vec<Step>,
}

/// Why a table is not maintained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftAlone {
    /// It is plain.
    Plain,
    /// None of its partitions says how long they are.
    NoPeriod,
    /// Another program makes its partitions.
    Partman,
}

impl TablePlan {
    /// Of what is no change of partitions.
    #[cfg(feature = "cluster")]
    pub(crate) const fn of(table: &'static str, steps: Vec<Step>) -> Self {
        Self { table, period: None, left_alone: None, stay_in_default: 0, steps }
    }
}

impl LeftAlone {
    /// The reason in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "it is not partitioned",
            Self::NoPeriod => "no partition of it is a day, a week or a month",
            Self::Partman => "pg_partman manages it",
        }
    }
}

impl Serialize for LeftAlone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One step, which can be done again after it was interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it does, in words.
    pub does: String,
    /// The locks on tables that others may use, the strictest last.
    pub locks: Vec<Lock>,
    /// Whether its statements are one transaction; where not, each is one of its own.
    pub in_transaction: bool,
    /// The statements, in order.
    pub statements: Vec<Sql>,
}

/// How long a step that others may have to wait for waits for its locks, in milliseconds, before it is tried again. Less
/// than the `deadlock_timeout` of a server, so that a deadlock never ends a statement of somebody else.
pub(super) const LOCK_TIMEOUT: u32 = 500;

/// How long it waits before that for locks that no reader and no writer waits for, in milliseconds: longer than the
/// `deadlock_timeout`, after which the server ends an automatic vacuum that is in the way.
pub(super) const QUIET_LOCK_TIMEOUT: u32 = 5_000;

pub(crate) const SHARE_UPDATE_EXCLUSIVE: &str = "ShareUpdateExclusiveLock";
pub(crate) const SHARE_ROW_EXCLUSIVE: &str = "ShareRowExclusiveLock";
pub(crate) const ACCESS_EXCLUSIVE: &str = "AccessExclusiveLock";

impl Step {
    /// A transaction.
    pub(crate) fn transaction(does: impl Into<String>, statements: &[Sql]) -> Self {
        Self::new(does, true, statements)
    }

    /// A statement that is a transaction of its own, and does not make other sessions wait while it waits.
    pub(crate) fn alone(does: impl Into<String>, statement: Sql) -> Self {
        Self::each_alone(does, &[statement])
    }

    /// Statements of which each is a transaction of its own, or more than one.
    pub(crate) fn each_alone(does: impl Into<String>, statements: &[Sql]) -> Self {
        Self::new(does, false, statements)
    }

    fn new(does: impl Into<String>, in_transaction: bool, statements: &[Sql]) -> Self {
        Self { does: does.into(), locks: Vec::new(), in_transaction, statements: statements.to_vec() }
    }

    /// Names a lock.
    #[must_use]
    pub(crate) fn locking(mut self, object: &str, mode: &'static str) -> Self {
        self.locks.push(Lock { object: object.to_owned(), mode });
        self
    }

    /// Names a lock on each of several tables.
    #[must_use]
    pub(crate) fn locking_each<'a>(self, objects: impl IntoIterator<Item = &'a str>, mode: &'static str) -> Self {
        objects.into_iter().fold(self, |step, object| step.locking(object, mode))
    }
}

impl Step {
    /// Takes a lock on the same tables that only vacuum, analyze and changes of the schema wait for.
    pub(super) fn quiet_lock(&self) -> Option<Sql> {
        let tables = self.locks.iter().map(|Lock { object, mode }| {
            // What attaches a partition leaves the others alone.
            let only = if *mode == SHARE_UPDATE_EXCLUSIVE { "ONLY " } else { "" };
            raw!("{only}{table}", only, table = Sql::identifier(object))
        });
        let tables = Sql::join(tables, ", ");
        let is_needed = self.in_transaction && !self.locks.is_empty();
        is_needed.then(|| raw!("LOCK TABLE {tables} IN SHARE UPDATE EXCLUSIVE MODE", tables))
    }
}

impl Plan {
    /// Whether nothing is to do.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(|table| table.steps.is_empty())
    }

    /// The plan as a script for `psql -v ON_ERROR_STOP=1`, with its locks in comments. Unlike a run it does not try again
    /// what met a lock.
    pub fn script(&self) -> String {
        if self.is_empty() {
            return "-- nothing to do\n".to_owned();
        }
        let mut script =
            "-- for `psql -v ON_ERROR_STOP=1`, while no migration and no other change of partitions is under \
                          way\nSET TimeZone = 'UTC';\n"
                .to_owned();
        for table in &self.tables {
            for (number, step) in (1..).zip(&table.steps) {
                script += &format!("\n-- {} {number} of {}: {}\n", table.table, table.steps.len(), step.does);
                for Lock { object, mode } in &step.locks {
                    script += &format!("-- locks {object}: {mode}\n");
                }
                script += &step.script();
            }
        }
        script
    }
}

impl Step {
    fn script(&self) -> String {
        let statements: String = self.statements.iter().map(|sql| format!("{sql};\n")).collect();
        if !self.in_transaction {
            return statements;
        }
        let quietly = self
            .quiet_lock()
            .map(|lock| format!("SET LOCAL lock_timeout = {QUIET_LOCK_TIMEOUT};\n{lock};\n"))
            .unwrap_or_default();
        format!("BEGIN;\n{quietly}SET LOCAL lock_timeout = {LOCK_TIMEOUT};\n{statements}COMMIT;\n")
    }
}
