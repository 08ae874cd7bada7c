//! The database roles of the platform and what they may do: planned, applied, checked.
//!
//! One list says what should be (`wanted`), one query says what is (`state`), and their difference is everything: `plan`
//! shows it as SQL, `apply` runs that SQL, `check` lists it as findings. Roles are the cluster's, so their names begin
//! with a [`Prefix`]; rights are those of the current schema. No password is set, read or shown here. What belongs to
//! roles that are not ours is reported and left alone.

mod change;
mod error;
mod state;
mod wanted;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text};
use serde::{Serialize, Serializer};

use self::change::Place;
pub use self::error::Error;
use self::state::{Fact, Kind};
use crate::error::{Doing, Result};
use crate::migrate::{self, ON_ALL_NODES};
use crate::raw::{RunSql, Sql, raw, sql_query};
use crate::sqlstate::{DEADLOCK_DETECTED, reporting, sqlstate};
use crate::text::without_controls;

/// How often a run begins anew that met another one in another database of the cluster: roles are made for all.
const ATTEMPTS: usize = 5;

/// What the server says of a role that another run made or changed at the same moment: it is there by now, in the words
/// of a unique index or of CREATE ROLE; its row of the catalog was changed meanwhile (an internal error); a deadlock.
const MET_ANOTHER_RUN: [&str; 4] = ["23505", "42710", "XX000", DEADLOCK_DETECTED];

/// Waits for another run in the same database. Anyone who can connect can hold this lock, so the wait has an end.
const WAIT: &str = "SET LOCAL lock_timeout = '60s'";
const ALONE: &str = "SELECT pg_advisory_xact_lock(hashtextextended('optiinfra roles', 8062025))";

/// How long a table in use is waited for, on every node.
fn lock_timeout() -> Sql {
    raw!("{ON_ALL_NODES}; SET LOCAL lock_timeout = '5s'", ON_ALL_NODES)
}

/// A role of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Owns the tables; nobody logs in as it. Row security does not apply to it.
    Owner,
    /// Runs migrations, as the owner.
    Migrator,
    /// What services log in as: reads and writes rows, those of one customer at a time.
    App,
    /// Reads the rows of all customers, but no API key.
    Readonly,
    /// The same with the server's statistics: enough for `stats` and `verify`.
    Monitor,
    /// Reads and writes the rows of all customers; nobody logs in as it, people are its members.
    Operator,
}

impl Role {
    /// Every role, the owner first.
    pub const ALL: [Self; 6] = [Self::Owner, Self::Migrator, Self::App, Self::Readonly, Self::Monitor, Self::Operator];

    /// The name of the role.
    pub fn name(self, prefix: &Prefix) -> String {
        let word = match self {
            Self::Owner => "owner",
            Self::Migrator => "migrator",
            Self::App => "app",
            Self::Readonly => "readonly",
            Self::Monitor => "monitor",
            Self::Operator => "operator",
        };
        format!("{}_{word}", prefix.0)
    }

    const fn may_log_in(self) -> bool {
        !matches!(self, Self::Owner | Self::Operator)
    }
}

/// What the names of the roles begin with, `optiinfra` unless a cluster holds several databases of the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// A text that no role's name can begin with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a prefix is up to 48 of the characters a to z, 0 to 9 and _, begins with a letter, and not with pg_")]
pub struct InvalidPrefix;

impl Default for Prefix {
    fn default() -> Self {
        Self("optiinfra".to_owned())
    }
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> std::result::Result<Self, InvalidPrefix> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let begins_well = text.starts_with(|c: char| c.is_ascii_lowercase()) && !text.starts_with("pg_");
        if begins_well && text.len() <= 48 && text.chars().all(is_plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidPrefix)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Which roles, and how far to go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// What their names begin with.
    pub prefix: Prefix,
    /// Whether to make the owner the owner of the tables, types and functions.
    pub take_ownership: bool,
}

/// How the roles and rights differ from what they should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What the names of the roles begin with.
    pub prefix: Prefix,
    /// The schema whose tables it is about.
    pub schema: String,
    /// What was missing, wrong or extra.
    pub findings: Vec<Finding>,
    /// The statements that fix it, in order; of `apply`, those that it ran.
    pub statements: Vec<String>,
    /// What no statement fixes: extra where it is about somebody else's role, missing where the owner was not to become
    /// the owner.
    pub left_alone: Vec<Finding>,
    /// Roles that log in and that these statements make. They have no password yet.
    pub without_password: Vec<String>,
    /// Roles, but no superusers, that these statements take tables from. They see no table any more, unless they become
    /// members of the owner. The names are raw: a statement has to quote them.
    pub former_owners: Vec<String>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Which way it differs.
    pub difference: Direction,
    /// What it is about, such as `table events`.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Finding {
    /// A finding is for people: the names in it come from the catalogue and may hold anything.
    fn new(difference: Direction, object: &str, problem: &str) -> Self {
        Self { difference, object: without_controls(object), problem: without_controls(problem) }
    }
}

/// Which way something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Something is missing.
    Missing,
    /// Something is there that should not be.
    Extra,
}

/// Says what `apply` would do. Writes nothing, and works for any role that may read the history of migrations.
///
/// # Errors
///
/// [`crate::migrate::Error::Behind`] when no migration has been applied: there are no tables to speak of. [`crate::Error::Query`] when the
/// catalogue cannot be read.
pub fn plan(conn: &mut PgConnection, options: &Options) -> Result<Report> {
    conn.build_transaction().read_only().repeatable_read().run(|conn| look(conn, options))
}

/// Finds everything that is missing or extra, ownership included. Writes nothing, and works for the same roles as
/// [`plan`].
///
/// # Errors
///
/// As [`plan`].
pub fn check(conn: &mut PgConnection, prefix: &Prefix) -> Result<Report> {
    plan(conn, &Options { prefix: prefix.clone(), take_ownership: false })
}

/// Makes the roles and rights what they should be, in one transaction. A second time it changes nothing.
///
/// # Errors
///
/// As [`plan`]; [`Error::Refused`] for a statement that the server refused, and then nothing was changed.
pub fn apply(conn: &mut PgConnection, options: &Options) -> Result<Report> {
    let mut attempt = 1;
    loop {
        match conn.transaction(|conn| apply_once(conn, options)) {
            Err(error) if attempt < ATTEMPTS && met_another_run(&error) => attempt += 1,
            done => return done,
        }
    }
}

fn apply_once(conn: &mut PgConnection, options: &Options) -> Result<Report> {
    // Not in one batch: the nodes of a cluster repeat it.
    [WAIT, ALONE]
        .into_iter()
        .try_for_each(|statement| conn.batch(statement))
        .doing("wait for another run of `roles apply`")?;
    conn.batch(lock_timeout()).doing("limit the wait for a table")?;
    let place = place(conn, &options.prefix)?;
    let (mut report, statements) = difference(conn, options, &place)?;
    for statement in statements {
        let refused = |source| Error::Refused { statement: statement.to_string(), source };
        conn.batch(reporting(&statement)).map_err(refused)?;
    }
    let (rest, unfixed) = difference(conn, options, &place)?;
    report.left_alone = rest.left_alone;
    if !unfixed.is_empty() {
        // Such as a right that another role than the owner has granted.
        report.left_alone.extend(rest.findings);
        report.left_alone.sort();
        report.left_alone.dedup();
    }
    tracing::info!(statements = report.statements.len(), "the roles were applied");
    Ok(report)
}

fn met_another_run(error: &crate::Error) -> bool {
    let crate::Error::Roles(Error::Refused { source, .. }) = error else { return false };
    sqlstate(source).is_some_and(|state| MET_ANOTHER_RUN.contains(&state))
}

fn look(conn: &mut PgConnection, options: &Options) -> Result<Report> {
    conn.batch(lock_timeout()).doing("limit the wait for a table")?;
    let place = place(conn, &options.prefix)?;
    Ok(difference(conn, options, &place)?.0)
}

fn place(conn: &mut PgConnection, prefix: &Prefix) -> Result<Place> {
    let status = migrate::status(conn)?;
    if status.applied.is_empty() {
        let pending = status.pending.into_iter().map(|pending| pending.name).collect();
        return Err(migrate::Error::Behind { pending }.into());
    }
    sql_query(include_str!("place.sql"))
        .bind::<Text, _>(Role::Owner.name(prefix))
        .get_result(conn)
        .doing("ask where this is")
}

/// Everything that differs, and the statements that would fix it.
fn difference(conn: &mut PgConnection, options: &Options, place: &Place) -> Result<(Report, Vec<Sql>)> {
    let prefix = &options.prefix;
    let mut found = state::read(conn, prefix)?;
    let wanted = wanted::facts(options, &found);
    let is_extra = |fact: &&Fact| fact.kind.is_compared() && !wanted.contains(fact);
    let extra: BTreeSet<Fact> = found.iter().filter(is_extra).cloned().collect();
    let findings = change::findings(&wanted, &found, &extra);

    let is_ours = |name: &str| name == "PUBLIC" || Role::ALL.iter().any(|role| role.name(prefix) == name);
    let is_left = |fact: &Fact| match fact.kind {
        kind if kind.is_only_reported() => true,
        kind if kind.is_grant() || kind == Kind::Membership => !is_ours(&fact.subject),
        kind => kind.is_ownership() && !options.take_ownership,
    };
    let (left, extra): (BTreeSet<_>, BTreeSet<_>) = extra.into_iter().partition(is_left);
    // To revoke a right on a table takes away the same right on its columns.
    found.retain(|fact| !change::is_revoked_with(fact, &extra));
    let missing: BTreeSet<Fact> = wanted.difference(&found).filter(|fact| !is_left(fact)).cloned().collect();
    let mut left_alone = change::findings(&BTreeSet::new(), &found, &left);
    if !options.take_ownership {
        left_alone.extend(change::owned_by_others(&wanted, &found));
    }

    let statements = change::statements(place, prefix, &missing, &extra);
    let made = missing.iter().filter(|fact| fact.kind == Kind::Role).map(|fact| fact.subject.clone());
    let logs_in = |name: &String| Role::ALL.iter().any(|role| role.may_log_in() && role.name(prefix) == *name);
    let lost = missing.iter().filter(|fact| fact.kind.is_ownership());
    let former: BTreeSet<String> = lost.filter_map(|fact| change::owner_of(fact, &found)).collect();
    // One of ours gets the rights that it should have instead.
    let former = former.into_iter().filter(|name| !is_ours(name)).collect();
    let former_owners = without_superusers(conn, former)?;
    let report = Report {
        prefix: prefix.clone(),
        schema: place.schema.clone(),
        findings,
        statements: statements.iter().map(ToString::to_string).collect(),
        left_alone,
        without_password: made.filter(logs_in).collect(),
        former_owners,
    };
    Ok((report, statements))
}

/// Those of these roles who see no more than they own.
fn without_superusers(conn: &mut PgConnection, names: BTreeSet<String>) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let query = "SELECT rolname::text AS name FROM pg_roles WHERE rolname = ANY ($1) AND NOT rolsuper ORDER BY rolname";
    let names: Vec<Name> = sql_query(query)
        .bind::<Array<Text>, _>(names.into_iter().collect::<Vec<_>>())
        .load(conn)
        .doing("ask who owned the tables")?;
    Ok(names.into_iter().map(|name| name.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_plain_word() {
        for good in ["optiinfra", "a", "eu_west_1"] {
            assert_eq!(good.parse(), Ok(Prefix(good.to_owned())));
        }
        let long = "a".repeat(49);
        for wrong in ["", "1a", "_a", "pg_x", "A", "a-b", "a\"b", "a b", "ä", &long] {
            assert_eq!(wrong.parse::<Prefix>(), Err(InvalidPrefix), "{wrong}");
        }
        assert_eq!(Role::App.name(&Prefix::default()), "optiinfra_app");
        assert!(Role::ALL.iter().all(|role| role.name(&Prefix("a".repeat(48))).len() <= 63));
    }
}
