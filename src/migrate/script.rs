//! What one migration sends to the server, in order. The runner executes this list and a plan prints it, so the two
//! cannot differ.

use std::time::Duration;

use super::error::Error;
use super::header::Header;
use super::record;
use super::set::{Direction, Migration};
use super::sql::{statements, words};
use crate::raw::Sql;

/// One migration in one direction. All commands are one transaction, or each of them is one.
pub(super) struct Script<'a> {
    pub migration: &'a Migration,
    pub direction: Direction,
    pub header: Header,
    pub commands: Vec<Command>,
}

pub(super) enum Command {
    /// A change of the history that has to change exactly one row. It comes first: should two runs get here in spite of
    /// the lock, the second waits for the first at this row and then fails on it.
    Claim(Sql),
    /// Another change of the history.
    Record(Sql),
    /// The migration's own.
    Run(Part),
}

/// A statement of a migration's file, or the whole text where that is one transaction.
pub(super) struct Part {
    /// Which statement it is, counted from 1, and of how many.
    pub number: usize,
    pub of: usize,
    pub sql: &'static str,
    /// How long it may wait for a lock; zero for as long as the run may wait.
    pub lock_timeout: Duration,
}

impl<'a> Script<'a> {
    /// `done` statements of a migration outside a transaction are left out, because an earlier run has executed them.
    pub fn new(migration: &'a Migration, direction: Direction, done: usize) -> Result<Self, Error> {
        let header = Header::of(migration)?;
        let commands = if migration.in_transaction {
            one_transaction(migration, direction, &header)
        } else {
            single_statements(migration, direction, &header, done)
        };
        Ok(Self { migration, direction, header, commands })
    }
}

fn one_transaction(migration: &Migration, direction: Direction, header: &Header) -> Vec<Command> {
    let part = Part { number: 1, of: 1, sql: migration.text(direction), lock_timeout: header.lock_timeout };
    match direction {
        Direction::Apply => vec![
            Command::Claim(record::insert_applied(migration)),
            Command::Record(record::insert_record(migration, header)),
            Command::Run(part),
            Command::Record(record::finish_record(migration)),
        ],
        Direction::Revert => vec![
            Command::Claim(record::delete_applied(migration)),
            Command::Record(record::delete_record(migration)),
            Command::Run(part),
        ],
    }
}

/// Diesel's row says that the whole of a migration is applied: it comes last, and is removed first.
fn single_statements(migration: &Migration, direction: Direction, header: &Header, done: usize) -> Vec<Command> {
    let all = statements(migration.text(direction));
    let of = all.len();
    let (begin, end) = match direction {
        Direction::Apply => (record::begin_apply(migration, header, done), record::finish_apply(migration)),
        Direction::Revert => (record::begin_revert(migration, header), record::delete_record(migration)),
    };
    let mut commands = vec![Command::Record(begin)];
    for (number, sql) in (1..).zip(all).skip(done) {
        // CONCURRENTLY makes nobody wait, so it gets no time limit: to stop it would mean to do it again.
        let lock_timeout = if is_concurrent(sql) { Duration::ZERO } else { header.lock_timeout };
        commands.push(Command::Run(Part { number, of, sql, lock_timeout }));
        commands.push(Command::Record(record::progress(migration, direction, number)));
    }
    commands.push(Command::Record(end));
    commands
}

pub(super) fn is_concurrent(statement: &str) -> bool {
    words(statement).iter().any(|word| word == "CONCURRENTLY")
}
