//! Questions about rows, which a broken schema, a missing privilege or a huge table may leave without an answer.
//!
//! No answer is a result too: it is told apart from a right one, and never loses the transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::Text;

use super::catalog::{Entry, Kind};
use crate::error::{Doing, Result};
use crate::layer;
use crate::raw::{RunSql, raw, sql_query};
use crate::tenant;

/// An answer, or why there is none.
pub(super) type Answer<T> = std::result::Result<T, NoAnswer>;

/// Why a question about the rows has no answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NoAnswer {
    /// It could not be asked, or not waited for.
    NotAsked(String),
    /// The server refused it, and said this.
    Refused(String),
}

/// Limits the time of each statement for the rest of the transaction; zero is no limit.
pub(super) fn limit_statements(conn: &mut PgConnection, limit: Duration) -> Result<()> {
    let timeout = raw!("SET LOCAL statement_timeout = {limit}", limit = limit.as_millis());
    conn.batch(timeout).doing("limit the time of a statement")
}

/// What may be asked, and how long the server may take for one answer.
pub(super) struct Asker {
    /// Tables of ours that cannot be read, each with the reason.
    obstacles: BTreeMap<&'static str, String>,
    limit: Duration,
}

impl Asker {
    /// Finds out what can be read. `limit` is what [`limit_statements`] has set.
    pub(super) fn new(conn: &mut PgConnection, catalog: &[Entry], limit: Duration) -> Result<Self> {
        Ok(Self { obstacles: obstacles(conn, catalog)?, limit })
    }

    /// Why these tables cannot all be read; `None` when they can.
    pub(super) fn obstacle<'a>(&self, tables: impl IntoIterator<Item = &'a str>) -> Option<&str> {
        tables.into_iter().find_map(|table| self.obstacles.get(table)).map(String::as_str)
    }

    /// Asks in a savepoint, so that the transaction goes on without an answer.
    pub(super) fn ask<T>(
        &self,
        conn: &mut PgConnection,
        question: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
    ) -> Result<Answer<T>> {
        let begin = Instant::now();
        match conn.transaction(question) {
            Ok(answer) => Ok(Ok(answer)),
            Err(DieselError::DatabaseError(kind, info)) if !matches!(kind, DatabaseErrorKind::ClosedConnection) => {
                Ok(Err(self.no_answer(info.message(), begin.elapsed())))
            }
            Err(error) => Err(error).doing("ask about the rows"),
        }
    }

    /// The server's words may be in any language, so the clock tells whether the limit was the cause.
    fn no_answer(&self, message: &str, took: Duration) -> NoAnswer {
        if !self.limit.is_zero() && took >= self.limit {
            return NoAnswer::NotAsked(format!("the answer took longer than {} s", self.limit.as_secs_f64()));
        }
        NoAnswer::Refused(message.to_owned())
    }
}

fn obstacles(conn: &mut PgConnection, catalog: &[Entry]) -> Result<BTreeMap<&'static str, String>> {
    #[derive(QueryableByName)]
    struct Forbidden {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let query = "SELECT relname::text AS name FROM pg_class
        WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
          AND NOT has_any_column_privilege(oid, 'SELECT')";
    let forbidden: Vec<Forbidden> = sql_query(query).load(conn).doing("ask which tables may be read")?;
    let forbidden: BTreeSet<_> = forbidden.into_iter().map(|forbidden| forbidden.name).collect();
    let hidden = tenant::hidden_tables(conn).doing("ask which rows this role is shown")?;
    let is_there = |table: &str| catalog.iter().any(|entry| entry.kind == Kind::Table && entry.object == table);
    let obstacle = |(_, table)| {
        if !is_there(table) {
            return Some((table, format!("there is no table {table}")));
        }
        if forbidden.contains(table) {
            return Some((table, format!("this role may not SELECT from {table}")));
        }
        hidden
            .iter()
            .any(|name| name == table)
            .then(|| (table, format!("row security hides rows of {table} from this role")))
    };
    Ok(layer::tables().filter_map(obstacle).collect())
}
