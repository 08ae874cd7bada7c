//! A private database on the suite's cluster, dropped with its test.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use optiinfra_db::connection::{self, Target};
use optiinfra_db::migrate::{Goal, Migrator};
use optiinfra_db::raw::{RunSql, Sql};
use optiinfra_db::sqlstate;
use optiinfra_db::verify::{self, Report};
use uuid::Uuid;

use super::cluster::{self, Shape, Template, cluster};

/// The schema that a test works in: not `public`, so that nothing gets by with a name that it should have looked up.
pub(super) const SCHEMA: &str = "optiinfra_test";

static NOW: LazyLock<DateTime<Utc>> = LazyLock::new(Utc::now);

/// A database that belongs to one test.
pub struct TestDb {
    database: String,
    schema: &'static str,
}

impl TestDb {
    /// An empty schema.
    pub fn empty() -> Self {
        Self::of(Template::Empty)
    }

    /// Every migration applied. What a test of the migrations themselves needs is `empty().migrate()`.
    pub fn migrated() -> Self {
        Self::of(Template::Migrated(Shape::OfTheRun))
    }

    /// The same for a test that is about the plain shape.
    pub fn plain() -> Self {
        Self::of(Template::Migrated(Shape::Plain))
    }

    /// Every migration applied and every layer seeded.
    pub fn seeded(at: DateTime<Utc>) -> Self {
        Self::of(Template::Seeded(Shape::OfTheRun, at))
    }

    /// The same for a test that is about the plain shape.
    pub fn plain_seeded(at: DateTime<Utc>) -> Self {
        Self::of(Template::Seeded(Shape::Plain, at))
    }

    /// Every migration applied and every layer seeded just now, which is the same time for all tests.
    pub fn seeded_now() -> Self {
        Self::seeded(*NOW)
    }

    /// The same for a test that is about the plain shape.
    pub fn plain_seeded_now() -> Self {
        Self::plain_seeded(*NOW)
    }

    fn of(template: Template) -> Self {
        Self { database: template.copy(), schema: SCHEMA }
    }

    /// A database without the schema, and whose URL does not say where to look: for what cannot be told.
    pub fn bare() -> Self {
        Self { database: Template::Empty.copy(), schema: "public" }
    }

    /// An empty schema in a database that takes text for bytes.
    pub fn in_sql_ascii() -> Self {
        Self { database: cluster::make_in_sql_ascii(), schema: SCHEMA }
    }

    /// Applies every migration.
    pub fn migrate(self) -> Self {
        Migrator::default().run(&mut self.conn(), &Goal::Head).expect("every migration applies");
        self
    }

    /// A fresh connection whose `search_path` is the schema. A test may keep its transaction open, whatever
    /// `OPTIINFRA_TEST_SETTINGS` say.
    pub fn conn(&self) -> PgConnection {
        let options = self.target().parameter("options").unwrap_or_default();
        let target = self.target().with("options", &format!("{options} -c idle_in_transaction_session_timeout=0"));
        connection::connect(&target, "test").expect("a connection to the suite's cluster")
    }

    /// Where the schema is.
    pub fn target(&self) -> Target {
        Target::parse(&self.url()).expect("our own URL")
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        let url = cluster().url().replace("/optiinfra?", &format!("/{}?", self.database));
        if self.schema == SCHEMA { format!("{url}&options=-csearch_path%3D{SCHEMA}") } else { url }
    }

    /// The same as a URL, as another role.
    pub fn url_as(&self, role: &str) -> String {
        self.url().replace("user=optiinfra", &format!("user={role}"))
    }

    /// The schema's name.
    pub fn schema(&self) -> &'static str {
        self.schema
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Makes a role that may log in and nothing else; roles are the cluster's, so its name is unique.
    pub fn role(&self) -> Role {
        let name = format!("role_{}", Uuid::new_v4().simple());
        self.conn().batch_execute(&format!("CREATE ROLE {name} LOGIN")).expect("a role for the test");
        Role { name, database: self.database.clone() }
    }

    /// Makes a role that may SELECT every row in the schema and nothing else.
    pub fn reader(&self) -> Role {
        let role = self.role();
        let grants = format!(
            "GRANT USAGE ON SCHEMA {schema} TO {role};
             DO $$ DECLARE readable regclass; BEGIN
                 FOR readable IN SELECT oid FROM pg_class
                     WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
                 LOOP EXECUTE format('GRANT SELECT ON %s TO {role}', readable); END LOOP;
             END $$",
            schema = self.schema,
            role = role.name,
        );
        self.conn().batch_execute(&grants).expect("grants for the role");
        let policies = format!(
            "DO $$ DECLARE secured regclass; BEGIN
                FOR secured IN SELECT oid FROM pg_class
                    WHERE relnamespace = current_schema()::regnamespace AND relrowsecurity AND NOT relispartition
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
        cluster::drop_database(&self.database);
    }
}

/// A role of one test.
pub struct Role {
    /// Name to log in with.
    pub name: String,
    database: String,
}

impl Drop for Role {
    fn drop(&mut self) {
        let exists = format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", self.database);
        // A database that was dropped first has taken along what the role owned.
        let dropped = if number(&mut cluster::connect("postgres"), &exists) == 1 {
            let drop = format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name);
            cluster::connect(&self.database).batch_execute(&drop)
        } else {
            cluster::connect("postgres").batch_execute(&format!("DROP ROLE {}", self.name))
        };
        if let Err(error) = dropped {
            eprintln!("the role of a test stays: {error}");
        }
    }
}

/// What `verify` finds with its default options.
pub fn verified(db: &TestDb) -> Report {
    verify::run(&mut db.conn(), &verify::Options::default()).expect("verify runs")
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

/// What the server says of a script that it refuses, in its own language.
pub fn server_says(conn: &mut PgConnection, script: &str) -> String {
    let refused = conn.batch_execute(script).expect_err(script);
    conn.batch_execute("ROLLBACK").expect("the session goes on");
    refused.to_string()
}

/// The SQLSTATE with which the server refuses a script that can be in a transaction block.
pub fn refused(conn: &mut PgConnection, script: &str) -> String {
    let error = conn.batch(sqlstate::reporting(&Sql::from(&*script.to_owned().leak()))).expect_err(script);
    sqlstate::sqlstate(&error).unwrap_or_else(|| panic!("{script}: {error:?}")).to_owned()
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

/// Runs a query for one text.
pub fn text(conn: &mut PgConnection, query: &str) -> String {
    diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>(&format!("({query})")))
        .get_result(conn)
        .unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// The schema of the connection as PostgreSQL itself writes it: columns, constraints, indexes with their validity, enum
/// types, triggers, policies and comments, a line each. The history's tables are left out.
pub fn fingerprint(conn: &mut PgConnection) -> String {
    text(conn, include_str!("fingerprint.sql"))
}
