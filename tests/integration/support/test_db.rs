//! A private schema on the suite's cluster, dropped with its test.
//!
//! The cluster is started by the first test and ends with the process, however that ends.

use std::sync::OnceLock;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use optiinfra_db::connection::{self, Target};
use optiinfra_db::local::Ephemeral;
use optiinfra_db::migrate::{Goal, Migrator};
use uuid::Uuid;

/// The suite's cluster.
pub(super) fn cluster() -> &'static Ephemeral {
    static CLUSTER: OnceLock<Ephemeral> = OnceLock::new();
    CLUSTER.get_or_init(|| Ephemeral::start().expect("a cluster from this machine's server binaries"))
}

/// A schema that belongs to one test.
pub struct TestDb {
    schema: String,
    /// Where the schema is, if not among those of the other tests.
    database: Option<OwnDatabase>,
}

impl TestDb {
    /// An empty schema.
    pub fn empty() -> Self {
        Self::of(None)
    }

    /// An empty schema in a database where nothing else is. For a test that looks at sessions, or holds a transaction
    /// open: whoever builds an index CONCURRENTLY waits for every transaction of the database.
    pub fn alone() -> Self {
        Self::of(Some(OwnDatabase::empty()))
    }

    fn of(database: Option<OwnDatabase>) -> Self {
        let db = Self { schema: format!("test_{}", Uuid::new_v4().simple()), database };
        let create = format!("CREATE SCHEMA {}", db.schema);
        db.conn_outside().batch_execute(&create).expect("a schema for the test");
        db
    }

    /// A schema with every migration applied.
    pub fn migrated() -> Self {
        Self::empty().migrate()
    }

    /// Applies every migration.
    pub fn migrate(self) -> Self {
        Migrator::default().run(&mut self.conn(), &Goal::Head).expect("every migration applies");
        self
    }

    /// A fresh connection whose `search_path` is the schema.
    pub fn conn(&self) -> PgConnection {
        connection::connect(&self.target(), "test").expect("a connection to the suite's cluster")
    }

    /// A fresh connection to the schema's database that does not look into the schema.
    pub fn conn_outside(&self) -> PgConnection {
        match &self.database {
            Some(database) => database.conn(),
            None => connection::connect(&cluster().target(), "test").expect("a connection to the suite's cluster"),
        }
    }

    /// Where the schema is.
    pub fn target(&self) -> Target {
        Target::parse(&self.url()).expect("our own URL")
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        let database = self.database.as_ref().map_or_else(|| cluster().url(), OwnDatabase::url);
        format!("{database}&options=-csearch_path%3D{}", self.schema)
    }

    /// The same as a URL, as another role.
    pub fn url_as(&self, role: &str) -> String {
        self.url().replace("user=optiinfra", &format!("user={role}"))
    }

    /// The schema's name.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Makes a role that may log in and nothing else; roles are the cluster's, so its name is unique.
    pub fn role(&self) -> Role {
        let name = format!("role_{}", Uuid::new_v4().simple());
        self.conn().batch_execute(&format!("CREATE ROLE {name} LOGIN")).expect("a role for the test");
        Role { name, db_url: self.url() }
    }

    /// Makes a role that may SELECT every row in the schema and nothing else.
    pub fn reader(&self) -> Role {
        let role = self.role();
        let grants = format!(
            "GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
            schema = self.schema,
            role = role.name,
        );
        self.conn().batch_execute(&grants).expect("grants for the role");
        let policies = format!(
            "DO $$ DECLARE secured regclass; BEGIN
                FOR secured IN SELECT oid FROM pg_class
                    WHERE relnamespace = current_schema()::regnamespace AND relrowsecurity
                LOOP
                    EXECUTE format('CREATE POLICY cross_customer_read ON %s FOR SELECT TO {role} USING (true)', secured);
                END LOOP;
            END $$",
            role = role.name
        );
        self.conn().batch_execute(&policies).expect("policies for the role");
        role
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let dropped = self.conn_outside().batch_execute(&format!("DROP SCHEMA {} CASCADE", self.schema));
        // The schema goes with the cluster anyway; a panic here would hide the test's own.
        if let Err(error) = dropped {
            eprintln!("the schema of a test stays: {error}");
        }
    }
}

/// A role of one test.
pub struct Role {
    /// Name to log in with.
    pub name: String,
    db_url: String,
}

impl Drop for Role {
    fn drop(&mut self) {
        let target = Target::parse(&self.db_url).expect("our own URL");
        let mut conn = connection::connect(&target, "test").expect("a connection to the suite's cluster");
        let dropped = conn.batch_execute(&format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name));
        if let Err(error) = dropped {
            eprintln!("the role of a test stays: {error}");
        }
    }
}

/// A whole database on the suite's cluster, for what cannot be told to look into a schema.
pub struct OwnDatabase {
    name: String,
}

impl OwnDatabase {
    /// An empty database.
    pub fn empty() -> Self {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let mut conn = connection::connect(&cluster().target(), "test").expect("a connection to the suite's cluster");
        conn.batch_execute(&format!("CREATE DATABASE {name}")).expect("a database for the test");
        Self { name }
    }

    /// A URL of it.
    fn url(&self) -> String {
        cluster().url().replace("/optiinfra?", &format!("/{}?", self.name))
    }

    /// A URL of it, as another role.
    pub fn url_as(&self, role: &str) -> String {
        self.url().replace("user=optiinfra", &format!("user={role}"))
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A fresh connection to it.
    pub fn conn(&self) -> PgConnection {
        let target = cluster().target().with("dbname", &self.name);
        connection::connect(&target, "test").expect("a connection to the test's database")
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        let mut conn = connection::connect(&cluster().target(), "test").expect("a connection to the suite's cluster");
        if let Err(error) = conn.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name)) {
            eprintln!("the database of a test stays: {error}");
        }
    }
}

/// Runs a query for one number.
pub fn number(conn: &mut PgConnection, query: &str) -> i64 {
    diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(&format!("({query})")))
        .get_result(conn)
        .unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// The server's plan for a query.
pub fn explain(conn: &mut PgConnection, options: &str, query: &str) -> String {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
        line: String,
    }
    let query = format!("EXPLAIN {options} {query}");
    let lines: Vec<Line> = diesel::sql_query(&query).load(conn).unwrap_or_else(|error| panic!("{query}: {error}"));
    lines.into_iter().map(|line| line.line).collect::<Vec<_>>().join("\n")
}

macro_rules! lock_key {
    () => {
        "hashtextextended(current_database() || '/' || current_schema(), 8062025)"
    };
}

/// Takes the migration lock of the connection's schema, as another run would.
pub fn take_migration_lock(conn: &mut PgConnection) {
    conn.batch_execute(concat!("SELECT pg_advisory_lock(", lock_key!(), ")")).expect("the migration lock");
}

/// How many sessions hold the migration lock of the connection's schema.
pub fn migration_locks(conn: &mut PgConnection) -> i64 {
    let locks = concat!(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted \
         AND (classid::bigint << 32 | objid::bigint) = ",
        lock_key!(),
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    number(conn, locks)
}
