//! Is this database the one that the code expects? Every expectation of the documents, as a named check.
//!
//! Four questions, in this order: which migrations are applied, what objects are there (`catalog`, `structure`), what
//! rows the seed left (`data`), and whether the rows agree with each other (`rules`). A failing check is a result and
//! never an error: all of them are made before the report says how many failed. Nothing is written and nothing created: one READ ONLY transaction, which a role that
//! may only SELECT can run. The exception has to be asked for: `probes` do what the catalogue promises, and roll back.

mod cluster;
mod data;
mod error;
mod fix;
mod partitions;
mod probes;
mod proposal;
mod row_access;
mod rules;
mod structure;

use std::fmt;
use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Text, Timestamptz};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::Value;

pub use self::error::Error;
pub use self::proposal::{Proposal, propose};
use self::row_access::RowAccess;
use crate::catalog::{self, Catalog};
use crate::error::{Doing, Result, plural};
use crate::layer::{self, Layer};
use crate::migrate::{self, Status};
use crate::raw::sql;
use crate::rollback;

/// What to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether the seed data have to be there.
    pub seed: SeedExpectation,
    /// How long the server may take for one statement; zero means no limit. A question about rows that takes longer
    /// is skipped, a layer at a time. Reading the catalogue takes long only behind an exclusive lock, and is an error.
    pub limit: Duration,
    /// Whether to prove by doing that constraints, defaults and triggers work, in a transaction that is rolled back.
    /// It takes the locks of an INSERT, UPDATE and DELETE on every table for as long as it runs.
    pub probes: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: SeedExpectation::default(), limit: Self::LIMIT, probes: false }
    }
}

impl Options {
    /// The limit where nothing else is said.
    pub const LIMIT: Duration = Duration::from_secs(5);
}

/// Whether the seed data have to be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SeedExpectation {
    /// A layer's seed is checked where it is; its absence is no finding.
    #[default]
    IfPresent,
    /// The seed of every layer has to be there.
    Required,
}

/// What was verified, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Name of the database.
    pub database: String,
    /// Name of the newest applied migration that this code knows; `None` when there is none.
    pub head: Option<String>,
    /// Names of the migrations that are not applied yet.
    pub pending: Vec<String>,
    /// Applied migrations that this code does not know.
    pub unknown: Vec<String>,
    /// The checks: those of the whole database first, then layer by layer.
    pub checks: Vec<Check>,
    /// How many checks passed.
    pub passed: usize,
    /// How many checks failed.
    pub failed: usize,
    /// How many checks could not be made.
    pub skipped: usize,
}

impl Report {
    /// Whether no check failed. One that was skipped is not a failure.
    pub fn is_clean(&self) -> bool {
        self.failed == 0
    }

    /// The check with this id.
    pub fn check(&self, id: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.id == id)
    }

    /// Whether nothing was looked at but the migrations, because these are pending or unknown.
    pub fn is_of_migrations_only(&self) -> bool {
        self.failed == 1 && self.passed == 0 && !(self.pending.is_empty() && self.unknown.is_empty())
    }

    /// What came of it, in a line for people.
    pub fn verdict(&self) -> String {
        let skipped = match self.skipped {
            0 => String::new(),
            1 => ", 1 was skipped".to_owned(),
            skipped => format!(", {skipped} were skipped"),
        };
        if self.is_of_migrations_only() {
            let obstacle = match self.unknown.len() {
                0 => format!("the schema is {} behind", plural(self.pending.len(), "migration")),
                unknown => format!("the schema is {} ahead of this code", plural(unknown, "migration")),
            };
            return format!("{obstacle}; {} checks were skipped", self.skipped);
        }
        match self.failed {
            0 if self.skipped == 0 => format!("all {} checks passed", self.checks.len()),
            0 => format!("{} passed{skipped}", plural(self.passed, "check")),
            failed => format!("{failed} of {} checks failed{skipped}", self.checks.len()),
        }
    }

    fn new(database: String, status: &Status, mut checks: Vec<Check>) -> Self {
        checks.sort_by_key(|check| check.layer);
        let count = |is: fn(&Outcome) -> bool| checks.iter().filter(|check| is(&check.outcome)).count();
        let passed = count(|outcome| *outcome == Outcome::Passed);
        let failed = count(|outcome| *outcome == Outcome::Failed);
        let skipped = count(|outcome| matches!(outcome, Outcome::Skipped { .. }));
        Self {
            database,
            head: status.head(),
            pending: status.pending.iter().map(|pending| pending.name.clone()).collect(),
            unknown: status.unknown.iter().map(|unknown| unknown.label().to_owned()).collect(),
            checks,
            passed,
            failed,
            skipped,
        }
    }
}

/// One expectation and whether it holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// Stable name such as `core.tables`.
    pub id: String,
    /// Layer that it is about; `None` for the whole database.
    pub layer: Option<Layer>,
    /// Document that expects it: `0.2a`, `0.2d part 2`, `deployed schema 005`.
    pub source: &'static str,
    /// What is expected, in words.
    pub title: String,
    /// What is expected, in figures.
    pub expected: Value,
    /// What was found, in the same shape; null when the check was skipped.
    pub found: Value,
    /// Whether it holds.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What differs, object by object; empty unless the check failed.
    pub findings: Vec<Finding>,
}

impl Check {
    /// A check that passes unless something was found.
    fn new(id: String, layer: Option<Layer>, source: &'static str, title: String) -> Self {
        let (expected, found) = (Value::Null, Value::Null);
        Self { id, layer, source, title, expected, found, outcome: Outcome::Passed, findings: Vec::new() }
    }

    fn figures(mut self, expected: impl Into<Value>, found: impl Into<Value>) -> Self {
        (self.expected, self.found) = (expected.into(), found.into());
        self
    }

    fn findings(mut self, findings: Vec<Finding>) -> Self {
        self.outcome = if findings.is_empty() { Outcome::Passed } else { Outcome::Failed };
        self.findings = findings;
        self
    }

    fn skipped(mut self, reason: impl Into<String>) -> Self {
        self.found = Value::Null;
        self.findings.clear();
        self.outcome = Outcome::Skipped { reason: reason.into() };
        self
    }
}

/// Whether an expectation holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not hold; the findings say why.
    Failed,
    /// It could not be looked at.
    Skipped {
        /// Why not.
        reason: String,
    },
}

/// One thing that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about, such as `index customers.idx_customer_email`.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
    /// The SQL that would fix it, where there is one; of a row that breaks a rule, the constraint that would keep
    /// others from it. Statements are separated by a semicolon, each to be run in a transaction of its own. Read it
    /// before you run it: on a large table it may take long.
    pub fix: Option<String>,
    /// Whether the SQL leaves this as it is, and only prevents more of it: the constraint that would hold a rule.
    pub prevents: bool,
    /// What to do where no SQL is certain.
    pub next_step: Option<String>,
}

impl Finding {
    fn new(object: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { object: object.into(), problem: problem.into(), fix: None, prevents: false, next_step: None }
    }

    fn fix(self, fix: Option<String>) -> Self {
        Self { fix, ..self }
    }

    fn next_step(self, step: impl Into<String>) -> Self {
        Self { next_step: Some(step.into()), ..self }
    }

    fn prevent(self, fix: Option<String>) -> Self {
        Self { prevents: fix.is_some(), fix, ..self }
    }
}

impl Serialize for Finding {
    /// `mend` is the older name of `fix`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut finding = serializer.serialize_struct("Finding", 6)?;
        finding.serialize_field("object", &self.object)?;
        finding.serialize_field("problem", &self.problem)?;
        finding.serialize_field("mend", &self.fix)?;
        finding.serialize_field("fix", &self.fix)?;
        finding.serialize_field("prevents", &self.prevents)?;
        finding.serialize_field("next_step", &self.next_step)?;
        finding.end()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.problem)
    }
}

/// Verifies the database: its current schema, the one that unqualified names mean.
///
/// Where migrations are pending or unknown, that is the finding, and what would only follow from it is skipped. A
/// database that holds tables of ours without any record of a migration is compared all the same.
///
/// # Errors
///
/// [`Error::ReadOnlySession`] when probes are asked of a session that may not write.
/// Apart from that only when the database cannot be asked at all; whatever is wrong with it is in the report.
pub fn run(conn: &mut PgConnection, options: &Options) -> Result<Report> {
    let observed = rollback::read(conn, |conn| observe(conn, options))?;
    let Observation { database, status, state, is_distributed, mut checks } = observed;
    if options.probes {
        checks.extend(match state {
            SchemaState::Current => probes::run(conn, options.limit, is_distributed)?,
            _ => probes::skipped(state.reason()),
        });
    }
    Ok(Report::new(database, &status, checks))
}

/// What was found without writing.
struct Observation {
    database: String,
    status: Status,
    state: SchemaState,
    is_distributed: bool,
    checks: Vec<Check>,
}

fn observe(conn: &mut PgConnection, options: &Options) -> Result<Observation> {
    if options.probes {
        probes::refuse_read_only(conn)?;
    }
    row_access::limit_statements(conn, options.limit)?;
    let database = diesel::select(sql::<Text>("current_database()::text"))
        .get_result::<String>(conn)
        .doing("ask for the name of the database")?;
    let status = migrate::status(conn)?;
    let catalog = catalog::read(conn)?;
    let mut found = catalog.clone();
    found.retain(|object| !rules::is_proposed(object));
    let state = SchemaState::of(&status, &found);

    let mut checks = vec![head(&status, state)];
    let structure = structure::checks(&found);
    match state {
        SchemaState::Current | SchemaState::Unrecorded => checks.extend(structure),
        _ => checks.extend(structure.into_iter().map(|check| check.skipped(state.reason()))),
    }
    match state {
        SchemaState::Current => {
            let access = RowAccess::new(conn, &found, options.limit)?;
            checks.extend(data::checks(conn, &access, options.seed)?);
            checks.extend(rules::checks(conn, &access, &catalog)?);
            let now = diesel::select(sql::<Timestamptz>("now()")).get_result(conn).doing("ask for the time")?;
            checks.extend(partitions::checks(conn, &access, &found, now)?);
            checks.extend(cluster::checks(conn, &access, &found)?);
        }
        _ => {
            checks.extend(data::skipped(state.reason()));
            checks.extend(rules::skipped(state.reason()));
            checks.extend(partitions::skipped(&found, state.reason()));
            checks.extend(cluster::skipped(&found, state.reason()));
        }
    }
    Ok(Observation { database, status, state, is_distributed: found.is_distributed(), checks })
}

/// How the database stands to the migrations of this code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SchemaState {
    /// Every migration is applied, and no other.
    Current,
    /// Nothing of ours is there.
    Empty,
    /// Tables of ours, and no record of a migration.
    Unrecorded,
    /// Migrations are pending.
    Behind,
    /// It holds migrations that this code does not know.
    Ahead,
}

impl SchemaState {
    fn of(status: &Status, found: &Catalog) -> Self {
        if !status.unknown.is_empty() {
            return Self::Ahead;
        }
        if status.pending.is_empty() {
            return Self::Current;
        }
        if !status.applied.is_empty() {
            return Self::Behind;
        }
        let is_there = |(_, table): (_, &str)| found.table(table).is_some();
        if layer::tables().any(is_there) { Self::Unrecorded } else { Self::Empty }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::Current => "",
            Self::Empty | Self::Unrecorded | Self::Behind => "migrations pending",
            Self::Ahead => "the database is ahead of this code",
        }
    }
}

/// `alembic current` of the documents.
fn head(status: &Status, state: SchemaState) -> Check {
    let mut findings = Vec::new();
    match state {
        SchemaState::Empty => findings.push(Finding::new("database", "empty: no migration has been applied")),
        SchemaState::Unrecorded => {
            findings.push(Finding::new("database", "it has tables of ours, but no record of a migration"));
        }
        SchemaState::Current | SchemaState::Behind | SchemaState::Ahead => {}
    }
    let finding = |name: &str, problem: &str| Finding::new(format!("migration {name}"), problem);
    findings.extend(status.pending.iter().map(|pending| finding(&pending.name, "pending")));
    findings.extend(status.unknown.iter().map(|unknown| finding(unknown.label(), "not known to this code")));
    let expected = migrate::EMBEDDED.last().map(|migration| migration.name);
    let title = "every migration is applied, and no other".to_owned();
    Check::new("migrations.head".to_owned(), None, "0.2d part 1, 0.2d part 2, 0.2e part 2", title)
        .figures(expected, status.head())
        .findings(findings)
}
