//! Triggers and functions.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A trigger of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Trigger {
    /// The table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// What follows the name in its definition: when it fires and what it calls.
    pub definition: String,
    /// Whether it fires.
    pub enabled: Enabled,
}

/// Whether a trigger fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Enabled {
    /// In every session but one that applies what another server did.
    Yes,
    /// Never.
    Disabled,
    /// Only in a session that applies what another server did.
    #[serde(rename = "only on a replica")]
    OnReplica,
    /// In every session.
    Always,
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let enabled = match self.enabled {
            Enabled::Yes => "",
            Enabled::Disabled => " (disabled)",
            Enabled::OnReplica => " (only on a replica)",
            Enabled::Always => " (always)",
        };
        write!(f, "{}{enabled}", self.definition)
    }
}

/// A function or procedure.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Function {
    /// Its name with the types of its arguments, quoted as SQL needs it.
    pub signature: String,
    /// What it returns; `None` for a procedure.
    pub returns: Option<String>,
    /// The language of its body.
    pub language: String,
    /// `IMMUTABLE` or `STABLE`.
    pub volatility: Option<String>,
    /// Whether it returns null for a null argument.
    pub strict: bool,
    /// Whether it runs with the rights of its owner.
    pub security_definer: bool,
    /// The settings that it runs with.
    pub settings: Option<String>,
    /// Its body.
    pub body: Option<String>,
}

impl Function {
    /// All but the body, as CREATE FUNCTION takes it.
    pub fn head(&self) -> String {
        let returns = self.returns.as_ref().map(|returns| format!("RETURNS {returns}"));
        let words = [
            returns,
            Some(format!("LANGUAGE {}", self.language)),
            self.volatility.clone(),
            self.strict.then(|| "STRICT".to_owned()),
            self.security_definer.then(|| "SECURITY DEFINER".to_owned()),
            self.settings.as_ref().map(|settings| format!("SET {settings}")),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head())?;
        match &self.body {
            Some(body) => write!(f, " AS {body}"),
            None => Ok(()),
        }
    }
}
