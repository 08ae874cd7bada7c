//! A database for each test of a service, copied from one that is migrated, or seeded as well.
//!
//! ```no_run
//! use diesel::prelude::*;
//! use optiinfra_db::schema::agents;
//! use optiinfra_db::testing::Database;
//!
//! # fn test() -> optiinfra_db::Result<()> {
//! let db = Database::seeded()?;
//! let mut conn = db.connect()?;
//! assert_eq!(agents::table.count().get_result::<i64>(&mut conn)?, 5);
//! # Ok(())
//! # }
//! ```
//!
//! The first test of a process starts a private PostgreSQL from this machine's server binaries (`OPTIINFRA_PG_BIN` names
//! others), which ends with the process, however that ends. Each test writes as it likes, beside all others: its database
//! is its own, and is dropped when the value is.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, OnceLock, PoisonError};

use chrono::Utc;
use diesel::pg::PgConnection;
use uuid::Uuid;

use crate::connection::{self, Pool, Target};
use crate::database;
use crate::error::Result;
use crate::layer::Layer;
use crate::local::Ephemeral;
use crate::migrate::{Goal, Migrator};
use crate::seed;

const APPLICATION: &str = "optiinfra_db::testing";

/// What is in a database when a test gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// Every migration is applied, and there are no rows.
    Migrated,
    /// The rows of [`seed`] as well, as of the time at which the first such database was made.
    Seeded,
}

/// A private PostgreSQL server for tests, which ends with its owner.
///
/// [`Database::migrated`] and [`Database::seeded`] share one for the process. One's own is for a runner of tests that are
/// other processes.
#[derive(Debug)]
pub struct Server {
    // Before the cluster, which has to run when they are dropped.
    templates: Mutex<HashMap<Content, Database>>,
    /// Sessions that make and drop databases.
    maintenance: Pool,
    cluster: Ephemeral,
}

impl Server {
    /// Starts a server.
    ///
    /// # Errors
    ///
    /// [`local::Error`](crate::local::Error) when the server binaries are missing or the server does not start.
    pub fn start() -> Result<Self> {
        let cluster = Ephemeral::start()?;
        let maintenance = connection::pool(&cluster.target().with("dbname", "postgres"), APPLICATION).build()?;
        Ok(Self { templates: Mutex::default(), maintenance, cluster })
    }

    /// The server that the tests of this process share.
    fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Server> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = SHARED.get() {
            return Ok(server);
        }
        let server = Self::start()?;
        Ok(SHARED.get_or_init(|| server))
    }

    /// Makes a database. The first one of a content takes a second, each further one is a copy of files.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or refuses a statement.
    pub fn database(&self, content: Content) -> Result<Database> {
        let mut templates = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
        let template = match templates.entry(content) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(missing) => missing.insert(self.template(content)?),
        };
        let template = template.name.clone();
        drop(templates);
        self.copy(&template)
    }

    fn template(&self, content: Content) -> Result<Database> {
        let making = self.copy("template1")?;
        let mut conn = making.connect()?;
        Migrator::default().run(&mut conn, &Goal::Head)?;
        if content == Content::Seeded {
            seed::run(&mut conn, &Layer::ALL, Utc::now())?;
        }
        drop(conn);
        // A copy that nobody was ever connected to, so that autovacuum does not change it between two tests.
        self.copy(&making.name)
    }

    /// A copy of a database that nobody is connected to.
    fn copy(&self, template: &str) -> Result<Database> {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let maintenance = self.maintenance.clone();
        database::copy_on(&mut *connection::take(&maintenance)?, template.to_owned(), &name)?;
        let (target, url) = (self.cluster.target().with("dbname", &name), self.cluster.url_of(&name));
        Ok(Database { target, name, url, maintenance })
    }
}

/// A database that is dropped with its owner, whoever is still connected to it.
#[derive(Debug)]
pub struct Database {
    target: Target,
    name: String,
    url: String,
    maintenance: Pool,
}

impl Database {
    /// A database with every migration applied, on the server that the tests of this process share.
    ///
    /// # Errors
    ///
    /// As [`Server::start`] and [`Server::database`].
    pub fn migrated() -> Result<Self> {
        Server::shared()?.database(Content::Migrated)
    }

    /// The same with the rows of [`seed`].
    ///
    /// # Errors
    ///
    /// As [`Server::start`] and [`Server::database`].
    pub fn seeded() -> Result<Self> {
        Server::shared()?.database(Content::Seeded)
    }

    /// Where it is, for [`connection::pool`] and the code under test.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The same as a URL, for other programs.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection of the owner of the tables, who sees the rows of all customers.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached.
    pub fn connect(&self) -> Result<PgConnection> {
        Ok(connection::connect(&self.target, APPLICATION)?)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // It goes with the server anyway.
        let maintenance = connection::take(&self.maintenance).map_err(crate::Error::from);
        let dropped = maintenance.and_then(|mut conn| database::drop_on(&mut conn, self.name.clone(), true));
        if let Err(error) = dropped {
            tracing::warn!(%error, database = self.name, "the database of a test stays");
        }
    }
}
