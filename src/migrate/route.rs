//! Which migrations to run in which direction to come from what is applied to where somebody wants to be.

use super::error::Error;
use super::set::{self, Direction, Migration};
use super::status::Status;

/// Where to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// Everything applied.
    Head,
    /// This version, as digits or folder name, the newest that is applied: forward or back.
    Version(String),
    /// So many migrations back.
    Back(usize),
    /// None applied.
    Nothing,
    /// So many migrations back and forward again.
    Redo(usize),
}

/// The migrations to run, in that order.
pub(super) type Route<'a> = Vec<(Direction, &'a Migration)>;

/// The route to the goal. A migration that is half done counts as pending for a goal above it, and as applied for one
/// below it: both are ways to finish it.
pub(super) fn to<'a>(goal: &Goal, set: &'a [Migration], status: &Status) -> Result<Route<'a>, Error> {
    let is_pending = |migration: &Migration| status.pending.iter().any(|pending| pending.version == migration.version);
    let is_half_done = |migration: &Migration| {
        let is_it = |version: &str| version == migration.version;
        status.pending.iter().any(|pending| is_it(&pending.version) && pending.interrupted.is_some())
    };
    let pending = set.iter().filter(|migration| is_pending(migration));
    let newest_first = set.iter().rev().filter(|migration| !is_pending(migration) || is_half_done(migration));
    Ok(match goal {
        Goal::Head => apply(pending),
        Goal::Nothing => revert(newest_first),
        Goal::Back(steps) => revert(newest(newest_first, *steps)?),
        Goal::Redo(steps) => {
            let again = newest(newest_first, *steps)?;
            let mut route = revert(again.iter().copied());
            route.extend(apply(again.into_iter().rev()));
            route
        }
        Goal::Version(text) => {
            let goal = set::find(set, text).ok_or_else(|| Error::UnknownVersion(text.clone()))?;
            let mut route = revert(newest_first.filter(|migration| migration.version > goal.version));
            route.extend(apply(pending.filter(|migration| migration.version <= goal.version)));
            route
        }
    })
}

/// So many of them, or an error where there are fewer.
fn newest<'a>(newest_first: impl Iterator<Item = &'a Migration>, steps: usize) -> Result<Vec<&'a Migration>, Error> {
    let newest_first: Vec<_> = newest_first.collect();
    match newest_first.get(..steps) {
        Some(newest) => Ok(newest.to_vec()),
        None => Err(Error::TooFewApplied { steps, applied: newest_first.len() }),
    }
}

fn apply<'a>(migrations: impl IntoIterator<Item = &'a Migration>) -> Route<'a> {
    migrations.into_iter().map(|migration| (Direction::Apply, migration)).collect()
}

fn revert<'a>(migrations: impl IntoIterator<Item = &'a Migration>) -> Route<'a> {
    migrations.into_iter().map(|migration| (Direction::Revert, migration)).collect()
}
