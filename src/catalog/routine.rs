//! Triggers and functions.

use std::fmt;

use serde::Deserialize;

/// A trigger of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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

impl Trigger {
    /// Reads a trigger of the contract, where all are enabled.
    pub(super) fn parse((table, name): (&str, &str), definition: &str) -> Option<Self> {
        definition.ends_with("()").then(|| Self {
            table: table.to_owned(),
            name: name.to_owned(),
            definition: definition.to_owned(),
            enabled: Enabled::Yes,
        })
    }
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
    /// Reads a function of the contract, which has no settings of its own.
    pub(super) fn parse(signature: &str, definition: &str) -> Option<Self> {
        let (head, body) = definition.split_once(" AS ")?;
        let (returns, head) = head.strip_prefix("RETURNS ")?.split_once(" LANGUAGE ")?;
        let mut function = Self {
            signature: signature.to_owned(),
            returns: Some(returns.to_owned()),
            language: String::new(),
            volatility: None,
            strict: false,
            security_definer: false,
            settings: None,
            body: Some(body.to_owned()),
        };
        let head = head.replace("SECURITY DEFINER", "DEFINER");
        let mut words = head.split(' ');
        words.next()?.clone_into(&mut function.language);
        for word in words {
            match word {
                "IMMUTABLE" | "STABLE" => function.volatility = Some(word.to_owned()),
                "STRICT" => function.strict = true,
                "DEFINER" => function.security_definer = true,
                _ => return None,
            }
        }
        Some(function)
    }

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
