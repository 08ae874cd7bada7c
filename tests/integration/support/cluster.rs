//! The suite's PostgreSQL: started by the first test, ended with the process, however that ends.
//!
//! `OPTIINFRA_TEST_SETTINGS` holds server settings that every session begins with, as `name=value` separated by spaces;
//! the items of a list are separated by commas: `lc_messages=de_DE.UTF-8 DateStyle=SQL,DMY bytea_output=escape`. So the
//! tests show that the product depends on none of them; `script/hostile` runs them so. Clusters that a test makes for
//! itself are left as they are. With `OPTIINFRA_TEST_PARTITIONED` every hot table is partitioned where a test begins with a
//! migrated database.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use optiinfra_db::catalog::HOT_TABLES;
use optiinfra_db::connection;
use optiinfra_db::database;
use optiinfra_db::layer::Layer;
use optiinfra_db::local::Ephemeral;
use optiinfra_db::migrate::{Goal, Migrator};
use optiinfra_db::partitions::{self, Period};
use optiinfra_db::seed;
use uuid::Uuid;

use super::test_db::SCHEMA;

pub fn cluster() -> &'static Ephemeral {
    static CLUSTER: OnceLock<Ephemeral> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Ephemeral::start().expect("a cluster from this machine's server binaries");
        let settings = std::env::var("OPTIINFRA_TEST_SETTINGS").unwrap_or_default();
        settings.split_whitespace().for_each(|setting| set(&cluster, setting));
        cluster
    })
}

/// For every role, which ranks above the database and the server.
fn set(cluster: &Ephemeral, setting: &str) {
    let (name, value) = setting.split_once('=').expect("a setting is name=value");
    let items: Vec<_> = value.split(',').map(|item| format!("'{item}'")).collect();
    let to = format!("SET {name} = {}", items.join(", "));
    let for_server = format!("ALTER SYSTEM {to}; SELECT pg_reload_conf()");
    let mut conn = connection::connect(&cluster.target(), "test").expect("a connection to the suite's cluster");
    let statements = match name {
        // What the server says to somebody whom it does not let in is said before the role's settings count.
        "lc_messages" => vec![for_server, format!("ALTER ROLE ALL {to}")],
        // Of a role, `roles check` reports it.
        "row_security" => vec![for_server],
        _ => vec![format!("ALTER ROLE ALL {to}")],
    };
    for statement in statements.iter().flat_map(|statement| statement.split("; ")) {
        conn.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// A fresh connection to one of the cluster's databases.
pub fn connect(database: &str) -> PgConnection {
    let target = cluster().target().with("dbname", database);
    connection::connect(&target, "test").expect("a connection to the suite's cluster")
}

/// The shape of the hot tables that a test begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Plain, whatever is asked of the run: what the test is about is how a plain table looks, or becomes another one.
    Plain,
    /// Partitioned with `OPTIINFRA_TEST_PARTITIONED`, or else plain: the test must not see the difference.
    OfTheRun,
}

impl Shape {
    fn is_partitioned(self) -> bool {
        self == Self::OfTheRun && std::env::var_os("OPTIINFRA_TEST_PARTITIONED").is_some()
    }
}

/// What a database of a test is a copy of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Template {
    /// An empty schema.
    Empty,
    /// Every migration applied.
    Migrated(Shape),
    /// The rows of every layer's seed as well, at an anchor.
    Seeded(Shape, DateTime<Utc>),
}

impl Template {
    /// Makes a database that is a copy.
    pub fn copy(self) -> String {
        copy(&self.database())
    }

    /// The template's own database, which the first test that needs it makes.
    fn database(self) -> String {
        static DATABASES: Mutex<Option<HashMap<Template, String>>> = Mutex::new(None);
        let mut databases = DATABASES.lock().expect("no test failed to make a template");
        databases.get_or_insert_default().entry(self).or_insert_with(|| self.make()).clone()
    }

    fn make(self) -> String {
        let making = copy("template1");
        let mut conn = connect(&making);
        conn.batch_execute(&format!("CREATE SCHEMA {SCHEMA}; SET search_path = {SCHEMA}")).expect("a schema");
        if self != Self::Empty {
            Migrator::default().run(&mut conn, &Goal::Head).expect("every migration applies");
        }
        if let Self::Migrated(shape) | Self::Seeded(shape, _) = self
            && shape.is_partitioned()
        {
            partition(&mut conn);
        }
        if let Self::Seeded(_, at) = self {
            seed::run(&mut conn, &Layer::ALL, at).expect("every layer is seeded");
        }
        drop(conn);
        // A copy of it that nobody was ever connected to, so that autovacuum does not change it between two tests.
        let template = copy(&making);
        drop_database(&making);
        template
    }
}

/// Partitions every table that can be, by week.
fn partition(conn: &mut PgConnection) {
    let goal = partitions::Goal::Enabled { period: Period::Week, ahead: TimeDelta::days(14) };
    let tables: Vec<_> = HOT_TABLES.iter().collect();
    partitions::run(conn, &tables, goal, Duration::from_secs(60), |_| ()).expect("the tables are partitioned");
}

fn copy(template: &str) -> String {
    let name = format!("test_{}", Uuid::new_v4().simple());
    database::copy(&cluster().target().with("dbname", template), &name).expect("a copy of the template");
    name
}

/// Makes a database without an encoding, with an empty schema.
pub fn make_in_sql_ascii() -> String {
    let name = format!("test_{}", Uuid::new_v4().simple());
    let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'");
    connect("postgres").batch_execute(&create).unwrap_or_else(|error| panic!("{create}: {error}"));
    connect(&name).batch_execute(&format!("CREATE SCHEMA {SCHEMA}")).expect("a schema");
    name
}

/// Drops a database of a test, whoever is still connected to it.
pub fn drop_database(name: &str) {
    // It goes with the cluster anyway; a panic here would hide the test's own.
    if let Err(error) = database::drop(&cluster().target().with("dbname", name), true) {
        eprintln!("the database of a test stays: {error}");
    }
}
