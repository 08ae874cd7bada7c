//! What is applied, what is pending, and what is half done, as plain data.

use serde::Serialize;

use super::error::Error;
use super::set::Direction;
use crate::error::Result;

/// A migration that the database holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Applied {
    /// Version in the history.
    pub version: String,
    /// Name of the migration's folder.
    pub name: String,
    /// When it was applied: RFC 3339, UTC where this library applied it, the session's time zone where `diesel_cli` did.
    pub applied_at: String,
    /// How long it took in seconds; `None` where this library did not apply it.
    pub seconds: Option<f64>,
    /// Version of the tool that applied it; `None` where this library did not.
    pub tool_version: Option<String>,
    /// Whether the text that was applied is the text of this build.
    pub text: TextState,
}

/// How the text of an applied migration compares with the text of this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TextState {
    /// It is the same.
    Same,
    /// It differs in comments, white space or line ends only.
    Cosmetic,
    /// It differs in what it does.
    Edited,
    /// Another tool applied it: there is nothing to compare.
    Unrecorded,
}

/// A migration that the database lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// Version in the history.
    pub version: String,
    /// Name of the migration's folder.
    pub name: String,
    /// Statements of `up.sql` that are done, of a migration outside a transaction whose application was interrupted.
    pub statements_done: Option<i32>,
    /// What was interrupted, of a migration outside a transaction that is neither applied nor reverted.
    pub interrupted: Option<Interrupted>,
}

/// How far a migration outside a transaction came before it stopped. What is done stays done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Interrupted {
    /// Whether it was being applied or reverted.
    pub direction: Direction,
    /// How many statements of the file are done.
    pub statements_done: usize,
    /// How many statements the file has.
    pub statements: usize,
}

/// A migration that the database holds and this build does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// Version in the history.
    pub version: String,
    /// Name of the migration's folder, where it is recorded.
    pub name: Option<String>,
    /// Whether it was marked compatible with binaries that do not know it.
    pub compatible: bool,
    /// What was interrupted, where it is neither applied nor reverted.
    pub interrupted: Option<Direction>,
}

impl Unknown {
    /// The name, or the version where the name is not recorded.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.version)
    }
}

/// What the database holds and lacks of a set of migrations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Applied migrations, by version.
    pub applied: Vec<Applied>,
    /// Pending migrations, by version.
    pub pending: Vec<Pending>,
    /// Applied migrations that the set does not hold.
    pub unknown: Vec<Unknown>,
}

impl Status {
    /// Name of the newest applied migration that the set holds.
    pub fn head(&self) -> Option<String> {
        self.applied.last().map(|applied| applied.name.clone())
    }

    /// Whether everything is applied, nothing unknown is there, and no applied text was edited since.
    pub fn is_current(&self) -> bool {
        self.pending.is_empty() && self.unknown.is_empty() && self.with_text(TextState::Edited).is_empty()
    }

    /// Names of the applied migrations whose text compares like this.
    pub fn with_text(&self, state: TextState) -> Vec<&str> {
        self.applied.iter().filter(|applied| applied.text == state).map(|applied| applied.name.as_str()).collect()
    }

    /// Fails unless every migration is applied and none is unknown.
    ///
    /// # Errors
    ///
    /// [`Error::Behind`] with the pending migrations, [`Error::Ahead`] with unknown ones.
    pub fn require_current(&self) -> Result<()> {
        if !self.unknown.is_empty() {
            return Err(self.ahead().into());
        }
        self.require_applied()
    }

    /// Fails when a migration of this build is pending; what a newer build has added does no harm.
    ///
    /// # Errors
    ///
    /// [`Error::Behind`].
    pub fn require_applied(&self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = self.pending.iter().map(|pending| pending.name.clone()).collect();
        Err(Error::Behind { pending }.into())
    }

    /// The error that names the unknown migrations.
    pub(super) fn ahead(&self) -> Error {
        Error::Ahead { unknown: self.unknown.iter().map(|unknown| unknown.label().to_owned()).collect() }
    }
}
