//! What is there of a table that may be, or is, partitioned.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Nullable, Text, Timestamptz};

use super::error::Error;
use super::period::Period;
use crate::catalog::{self, Catalog, HotTable, Relation};
use crate::error::{Doing, Result};
use crate::raw::{Sql, raw, sql, sql_query};

/// How often a catalog is read at most that changes meanwhile.
const READS: usize = 20;

/// The schema, and the server's clock.
pub(crate) struct Live {
    pub catalog: Catalog,
    pub now: DateTime<Utc>,
    /// The schema of pg_partman, quoted, where that is installed.
    partman: Option<String>,
}

/// The server answers with nulls where somebody else attaches a partition at the moment of reading.
fn read_catalog(conn: &mut PgConnection) -> Result<Catalog> {
    for _ in 1..READS {
        match catalog::read(conn) {
            Err(crate::Error::Query { source: diesel::result::Error::DeserializationError(_), .. }) => {}
            read => return read,
        }
    }
    catalog::read(conn)
}

impl Live {
    pub fn read(conn: &mut PgConnection) -> Result<Self> {
        let partman = "(SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                         WHERE e.extname = 'pg_partman')";
        let (now, partman) = diesel::select((sql::<Timestamptz>("now()"), sql::<Nullable<Text>>(partman)))
            .get_result(conn)
            .doing("ask for the time")?;
        Ok(Self { catalog: read_catalog(conn)?, now, partman })
    }

    /// Whether the table is partitioned by its time. Fails where it is not there, or partitioned otherwise.
    pub fn is_partitioned(&self, hot: &HotTable) -> Result<bool, Error> {
        let table = self.catalog.table(hot.name).ok_or(Error::NoTable(hot.name))?;
        match &table.partitioned_by {
            Some(by) if *by == format!("RANGE ({})", hot.time_in_sql()) => Ok(true),
            Some(by) => Err(Error::OtherShape { table: hot.name, by: by.clone() }),
            None if table.relation == Relation::Table => Ok(false),
            None => Err(Error::NoTable(hot.name)),
        }
    }

    /// How long the partitions are: the newest that is as long as a period.
    pub fn period(&self, hot: &HotTable) -> Option<Period> {
        self.catalog.ranges(hot.name).iter().rev().find_map(|partition| Period::of(&partition.bounds))
    }
}

/// What the catalog does not hold.
#[derive(Debug, QueryableByName)]
pub(crate) struct Facts {
    /// The owner's name, quoted, as all names here.
    #[diesel(sql_type = Text)]
    owner: String,
    #[diesel(sql_type = Text)]
    replica_identity: String,
    #[diesel(sql_type = Nullable<Text>)]
    tablespace: Option<String>,
    /// Statements that grant what is granted.
    #[diesel(sql_type = Array<Text>)]
    grants: Vec<String>,
    /// Who has rights, or would get them on a new table.
    #[diesel(sql_type = Array<Text>)]
    grantees: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    column_settings: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    publications: Vec<String>,
    /// What holds on to the table itself.
    #[diesel(sql_type = Array<Text>)]
    pub dependents: Vec<String>,
}

impl Facts {
    pub fn read(conn: &mut PgConnection, hot: &HotTable) -> Result<Self> {
        sql_query(include_str!("facts.sql"))
            .bind::<Text, _>(hot.name)
            .get_result(conn)
            .doing(format!("read what belongs to {}", hot.name))
    }

    /// Gives a table to the owner.
    pub fn give(&self, table: &Sql) -> Sql {
        raw!("ALTER TABLE {table} OWNER TO {owner}", table, owner = Sql::of_server(&self.owner))
    }

    /// Takes every right on a table from everybody but its owner; nothing where nobody can have any.
    pub fn revoke(&self, table: &Sql) -> Option<Sql> {
        let from = Sql::join(self.grantees.iter().map(|name| Sql::of_server(name)), ", ");
        (!self.grantees.is_empty()).then(|| raw!("REVOKE ALL ON {table} FROM {from}", table, from))
    }

    /// The owner.
    pub fn owner(&self) -> Sql {
        Sql::of_server(&self.owner)
    }

    /// Gives the table of this name the rights that the one before it had.
    pub fn grants(&self) -> impl Iterator<Item = Sql> {
        self.grants.iter().map(|it| Sql::of_server(it))
    }

    pub fn join_publications(&self, table: &Sql) -> impl Iterator<Item = Sql> {
        self.publications
            .iter()
            .map(move |name| raw!("ALTER PUBLICATION {name} ADD TABLE {table}", name = Sql::of_server(name), table))
    }

    pub fn leave_publications(&self, table: &Sql) -> impl Iterator<Item = Sql> {
        self.publications
            .iter()
            .map(move |name| raw!("ALTER PUBLICATION {name} DROP TABLE {table}", name = Sql::of_server(name), table))
    }

    /// Settings of columns, where there are any.
    pub fn set_columns(&self, table: &Sql) -> Option<Sql> {
        let changes = Sql::join(self.column_settings.iter().map(|it| Sql::of_server(it)), ", ");
        (!self.column_settings.is_empty()).then(|| raw!("ALTER TABLE {table} {changes}", table, changes))
    }

    /// Sets what a replica knows a row by, where that is not its primary key.
    pub fn identify(&self, table: &Sql) -> Option<Sql> {
        let by = match self.replica_identity.as_str() {
            "f" => "FULL",
            "n" => "NOTHING",
            _ => return None,
        };
        Some(raw!("ALTER TABLE {table} REPLICA IDENTITY {by}", table, by))
    }

    /// Whether a replica knows a row by an index that will not stay.
    pub fn is_identified_by_index(&self) -> bool {
        self.replica_identity == "i"
    }

    /// `TABLESPACE name`, where it is not the database's.
    pub fn tablespace(&self) -> Sql {
        match &self.tablespace {
            Some(name) => raw!(" TABLESPACE {name}", name = Sql::of_server(name)),
            None => "".into(),
        }
    }
}

/// The tables that pg_partman manages, by their own names.
pub(crate) fn managed_by_partman(conn: &mut PgConnection, live: &Live) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let Some(schema) = &live.partman else { return Ok(Vec::new()) };
    let query = raw!(
        "SELECT c.relname::text AS name FROM {schema}.part_config p JOIN pg_class c ON c.oid = to_regclass(p.parent_table)
         WHERE c.relnamespace = quote_ident(current_schema())::regnamespace",
        schema = Sql::of_server(schema)
    );
    let names: Vec<Name> = sql_query(query).load(conn).doing("ask what pg_partman manages")?;
    Ok(names.into_iter().map(|Name { name }| name).collect())
}
