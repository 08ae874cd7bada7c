//! Queries about rows, which a broken schema, a missing privilege or a huge table may make impossible.
//!
//! That is a result too: it is told apart from an answer, and never loses the transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::catalog::Catalog;
use crate::error::{Doing, Result};
use crate::layer;
use crate::raw::{RunSql, raw, sql_query};
use crate::sqlstate;
use crate::tenant;

/// What a query found, or why it found nothing.
pub(super) type Answer<T> = std::result::Result<T, Unavailable>;

/// Why a query about rows has no result.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Unavailable {
    /// It could not be made, or not waited for.
    Skipped(String),
    /// The server refused it, and said this.
    Refused(String),
}

/// Limits the time of each statement for the rest of the transaction; zero is no limit.
pub(super) fn limit_statements(conn: &mut PgConnection, limit: Duration) -> Result<()> {
    let timeout = raw!("SET LOCAL statement_timeout = {limit}", limit = limit.as_millis());
    conn.batch(timeout).doing("limit the time of a statement")
}

/// Which tables can be read, and how long one query may take.
pub(super) struct RowAccess {
    /// Tables of ours that cannot be read, each with the reason.
    obstacles: BTreeMap<&'static str, String>,
    limit: Duration,
}

impl RowAccess {
    /// Finds out what can be read. `limit` is what [`limit_statements`] has set.
    pub(super) fn new(conn: &mut PgConnection, catalog: &Catalog, limit: Duration) -> Result<Self> {
        Ok(Self { obstacles: obstacles(conn, catalog)?, limit })
    }

    /// Why these tables cannot all be read; `None` when they can.
    pub(super) fn obstacle<'a>(&self, tables: impl IntoIterator<Item = &'a str>) -> Option<&str> {
        tables.into_iter().find_map(|table| self.obstacles.get(table)).map(String::as_str)
    }

    /// Queries in a savepoint, so that the transaction goes on without a result.
    pub(super) fn query<T>(
        &self,
        conn: &mut PgConnection,
        query: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
    ) -> Result<Answer<T>> {
        let begin = Instant::now();
        match conn.transaction(query) {
            Ok(answer) => Ok(Ok(answer)),
            Err(error) => match sqlstate::refusal(&error) {
                Some(refusal) => Ok(Err(self.unavailable(refusal.message(), begin.elapsed()))),
                // Another node of a cluster is lost, and not this session.
                None if conn.batch("SELECT 1").is_ok() => {
                    Ok(Err(self.unavailable(&error.to_string(), begin.elapsed())))
                }
                None => Err(error).doing("query the rows"),
            },
        }
    }

    /// The server's words may be in any language, so the clock tells whether the limit was the cause.
    fn unavailable(&self, message: &str, took: Duration) -> Unavailable {
        if !self.limit.is_zero() && took >= self.limit {
            return Unavailable::Skipped(format!("the answer took longer than {} s", self.limit.as_secs_f64()));
        }
        Unavailable::Refused(message.to_owned())
    }
}

fn obstacles(conn: &mut PgConnection, catalog: &Catalog) -> Result<BTreeMap<&'static str, String>> {
    #[derive(QueryableByName)]
    struct Forbidden {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let query = "SELECT relname::text AS name FROM pg_class
        WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
          AND NOT has_any_column_privilege(oid, 'SELECT')";
    let forbidden: Vec<Forbidden> = sql_query(query).load(conn).doing("read which tables may be read")?;
    let forbidden: BTreeSet<_> = forbidden.into_iter().map(|forbidden| forbidden.name).collect();
    let hidden = tenant::hidden_tables(conn).doing("read which rows this role is shown")?;
    let obstacle = |(_, table)| {
        if catalog.table(table).is_none() {
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
