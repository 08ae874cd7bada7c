//! The customers and agents of a database, to tell whom a row speaks of: by id, or by name where that is one's alone.

use std::collections::{HashMap, HashSet};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use uuid::Uuid;

use super::values::shown;
use crate::error::{Doing, Result};
use crate::schema::{agents, customers};

/// Who is there, read once.
#[derive(Debug, Default, Clone)]
pub struct Names {
    customers: Directory,
    agents: Directory,
}

#[derive(Debug, Default, Clone)]
struct Directory {
    ids: HashSet<Uuid>,
    by_name: HashMap<String, Vec<Uuid>>,
}

impl Names {
    /// Those of a list.
    pub fn new(
        customers: impl IntoIterator<Item = (Uuid, String)>,
        agents: impl IntoIterator<Item = (Uuid, String)>,
    ) -> Self {
        Self { customers: Directory::new(customers), agents: Directory::new(agents) }
    }

    /// Those of a database.
    ///
    /// # Errors
    ///
    /// [`Error::Query`](crate::Error::Query) when a table may not be read.
    pub fn load(conn: &mut PgConnection) -> Result<Self> {
        let customers: Vec<_> =
            customers::table.select((customers::id, customers::name)).load(conn).doing("read the customers")?;
        let agents: Vec<_> = agents::table.select((agents::id, agents::name)).load(conn).doing("read the agents")?;
        Ok(Self::new(customers, agents))
    }

    /// Whether there is any customer.
    pub(super) fn has_customers(&self) -> bool {
        !self.customers.ids.is_empty()
    }

    pub(super) fn customer(&self, text: &str) -> Result<Uuid, String> {
        self.customers.find("customer", text)
    }

    pub(super) fn agent(&self, text: &str) -> Result<Uuid, String> {
        self.agents.find("agent", text)
    }
}

impl Directory {
    fn new(entries: impl IntoIterator<Item = (Uuid, String)>) -> Self {
        let mut directory = Self::default();
        for (id, name) in entries {
            directory.ids.insert(id);
            directory.by_name.entry(name).or_default().push(id);
        }
        directory
    }

    fn find(&self, what: &str, text: &str) -> Result<Uuid, String> {
        if let Ok(id) = text.parse::<Uuid>()
            && self.ids.contains(&id)
        {
            return Ok(id);
        }
        match self.by_name.get(text).map(Vec::as_slice) {
            Some([id]) => Ok(*id),
            Some(several) => Err(format!("{} {what}s are called {}: name one by its id", several.len(), shown(text))),
            None => Err(format!("no {what} has the name or id {}", shown(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_or_a_name_that_is_nobody_elses_finds_one() {
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        let names = Names::new([(a, "Acme".to_owned()), (b, "Twin".to_owned()), (c, "Twin".to_owned())], []);
        assert_eq!(names.customer("Acme"), Ok(a));
        assert_eq!(names.customer(&b.to_string()), Ok(b));
        assert!(names.customer("Twin").unwrap_err().contains("2 customers are called 'Twin'"));
        assert!(names.customer("acme").unwrap_err().contains("no customer has the name or id 'acme'"));
        assert!(names.agent(&a.to_string()).unwrap_err().contains("no agent"));
    }
}
