//! Row security policies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The policy for roles that read across customers; `roles` makes it.
pub const CROSS_CUSTOMER_READ: &str = "cross_customer_read";
/// The names of the policies for roles that work across customers: reading and writing, and reading alone.
pub const CROSS_CUSTOMER_POLICIES: [&str; 2] = ["cross_customer", CROSS_CUSTOMER_READ];

/// A row security policy of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Policy {
    /// The table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Whether it shows rows; one that is not takes some away again.
    pub permissive: bool,
    /// `ALL`, or the one command that it is about.
    pub command: String,
    /// Whom it is about, quoted as SQL needs it.
    pub roles: Vec<String>,
    /// Which rows are seen.
    pub using: Option<String>,
    /// Which rows may be written.
    pub with_check: Option<String>,
}

const EVERYBODY: &str = "PUBLIC";

impl Policy {
    /// Whether it is one for roles that work across customers, and not open to everybody.
    pub fn is_of_roles(&self) -> bool {
        CROSS_CUSTOMER_POLICIES.contains(&self.name.as_str()) && !self.roles.iter().any(|role| role == EVERYBODY)
    }

    /// The same policy without its sub-select on the customer's setting. The sub-select reads the setting once a query
    /// and not once a row; a distributed table cannot have it, nor one that is joined with such a table.
    #[must_use]
    pub fn with_direct_setting(mut self) -> Self {
        const DIRECT: &str = "(NULLIF(current_setting('app.customer_id'::text, true), ''::text))::uuid";
        let in_sub_select = format!("( SELECT {DIRECT} AS \"nullif\")");
        for condition in [&mut self.using, &mut self.with_check].into_iter().flatten() {
            *condition = condition.replace(&in_sub_select, DIRECT);
        }
        self
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let permissive = if self.permissive { "PERMISSIVE" } else { "RESTRICTIVE" };
        write!(f, "AS {permissive} FOR {} TO {}", self.command, self.roles.join(", "))?;
        if let Some(using) = &self.using {
            write!(f, " USING ({using})")?;
        }
        match &self.with_check {
            Some(with_check) => write!(f, " WITH CHECK ({with_check})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;

    #[test]
    fn no_policy_of_a_hot_table_keeps_a_sub_select() {
        for policy in contract().policies() {
            let direct = policy.clone().with_direct_setting();
            let text = direct.to_string();
            assert!(!text.contains("SELECT (NULLIF"), "{text}");
            let is_simple = contract().column(&policy.table, "customer_id").is_some() || policy.table == "customers";
            assert_eq!(direct != *policy, is_simple, "{text}");
            assert!(super::super::HotTable::named(&policy.table).is_none() || !text.contains("SELECT"), "{text}");
        }
    }
}
