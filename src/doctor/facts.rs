//! What the checks look at, read in one transaction.

use std::collections::BTreeMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text};
use serde::Deserialize;

use crate::connection;
use crate::error::{Doing, Result};
use crate::layer;
use crate::raw::{RunSql, raw, readable, sql_query};
use crate::tenant;

const QUERY: &str = include_str!("facts.sql");

/// What a role may know of its server, its database and itself.
#[derive(Deserialize)]
pub(super) struct Facts {
    pub version: String,
    pub version_number: i32,
    pub is_standby: bool,
    pub encoding: String,
    /// Protocol and cipher; `None` where the session is not encrypted.
    pub tls: Option<String>,
    pub is_socket: bool,
    pub role: String,
    pub is_superuser: bool,
    pub bypasses_row_security: bool,
    /// `None` where the search path names none that the role may use.
    pub schema: Option<String>,
    pub may_create: bool,
    /// The tables of ours that are there.
    pub tables: Vec<String>,
    pub owned_by_others: Vec<String>,
    pub unreadable: Vec<String>,
    pub unwritable: Vec<String>,
    /// Tables of which row security may hide rows.
    #[serde(skip)]
    pub hidden: Vec<String>,
    /// What the database or the role sets and each session of ours sets otherwise, as `name=value`.
    pub replaced_settings: Vec<String>,
    /// Each with its version.
    pub extensions: Vec<String>,
    pub size: String,
    /// Size of the temporary files since the statistics began.
    pub temporary: Option<String>,
    pub transaction_age: i64,
    pub multixact_age: i64,
    pub sessions: i64,
    /// Replication slots that nobody reads.
    pub idle_slots: i64,
    /// Bytes of WAL that they keep.
    pub kept_wal: i64,
    pub kept_wal_size: String,
    pub archiving_fails: bool,
    /// The server's settings that are no text, in its own units.
    pub settings: BTreeMap<String, String>,
}

impl Facts {
    pub fn read(conn: &mut PgConnection) -> Result<Self> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            facts: String,
        }
        conn.build_transaction().read_only().run(|conn| {
            conn.batch("SET LOCAL lock_timeout = '2s'")?;
            let query = raw!(
                "SELECT {facts} AS facts FROM (SELECT row_to_json(found)::text AS facts FROM ({QUERY}) AS found) AS row",
                facts = readable("facts"),
                QUERY
            );
            let Row { facts } = sql_query(query)
                .bind::<Array<Text>, _>(layer::tables().map(|(_, table)| table).collect::<Vec<_>>())
                .bind::<Array<Text>, _>(connection::settings().map(str::to_lowercase).collect::<Vec<_>>())
                .get_result(conn)
                .doing(DOING)?;
            let unreadable = |error: serde_json::Error| diesel::result::Error::DeserializationError(error.into());
            let facts: Self = serde_json::from_str(&facts).map_err(unreadable).doing(DOING)?;
            Ok(Self { hidden: tenant::hidden_tables(conn).doing(DOING)?, ..facts })
        })
    }

    /// A setting; empty where the server's version does not know it.
    pub fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", String::as_str)
    }

    /// A setting that is a number; 0 where the server's version does not know it.
    pub fn number(&self, name: &str) -> i64 {
        self.setting(name).parse().unwrap_or_default()
    }
}

const DOING: &str = "ask the server about itself";
