//! The customers and agents of a database, to find out whom a row means: by id, or by name where only one has it.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Binary;
use uuid::Uuid;

use crate::error::{Doing, Result};
use crate::raw::{bytes_of, sql};
use crate::schema::{agents, customers};
use crate::text::{nearest, shown};

/// For so many different wrong names, a right one is looked for.
const GUESSES: usize = 100;

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
    /// What was said of wrong names, which often come again.
    unknown: RefCell<HashMap<String, String>>,
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
        // A row whose name is no UTF-8 is found by its id.
        let name = || sql::<Binary>(bytes_of("name"));
        let customers = customers::table.select((customers::id, name())).load(conn).doing("read the customers")?;
        let agents = agents::table.select((agents::id, name())).load(conn).doing("read the agents")?;
        Ok(Self { customers: Directory::of_bytes(customers), agents: Directory::of_bytes(agents) })
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

    fn of_bytes(entries: Vec<(Uuid, Vec<u8>)>) -> Self {
        let mut directory = Self::default();
        for (id, name) in entries {
            directory.ids.insert(id);
            if let Ok(name) = String::from_utf8(name) {
                directory.by_name.entry(name).or_default().push(id);
            }
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
            None => Err(self.unknown(what, text)),
        }
    }

    fn unknown(&self, what: &str, text: &str) -> String {
        let mut unknown = self.unknown.borrow_mut();
        if let Some(reason) = unknown.get(text) {
            return reason.clone();
        }
        let reason = format!("no {what} has the name or id {}", shown(text));
        if unknown.len() >= GUESSES {
            return reason;
        }
        let meant = nearest(text, self.by_name.keys().map(String::as_str));
        let reason = meant.map_or(reason.clone(), |name| format!("{reason}: did you mean {}?", shown(name)));
        unknown.insert(text.to_owned(), reason.clone());
        reason
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
        let meant = "no customer has the name or id 'Acmee': did you mean 'Acme'?";
        assert_eq!([names.customer("Acmee"), names.customer("Acmee")], [Err(meant.to_owned()), Err(meant.to_owned())]);
        assert!(names.agent(&a.to_string()).unwrap_err().contains("no agent"));
    }
}
