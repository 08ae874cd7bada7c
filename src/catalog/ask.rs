//! A question to every node of a Citus cluster at once.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use serde::de::DeserializeOwned;

use crate::raw::{Sql, raw, sql_query};

/// Whether Citus keeps hot tables of the current schema: they have a trigger of its then.
#[cfg(feature = "stats")]
pub(crate) const IS_DISTRIBUTED: &str = "EXISTS (
    SELECT 1 FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid = to_regclass('resource_metrics') AND p.proname = 'citus_truncate_trigger')";

/// What a node answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer<T> {
    /// The node as `host:port`.
    pub(crate) node: String,
    /// The rows; the words of the node, or of whoever did not reach it, where there are none.
    pub(crate) found: Result<Vec<T>, String>,
}

/// Asks every node for the rows of a query. A node that does not answer is no error.
///
/// # Errors
///
/// When the coordinator refuses to ask, or the rows are not of this type.
pub(crate) fn ask_nodes<T: DeserializeOwned>(conn: &mut PgConnection, query: &Sql) -> QueryResult<Vec<Answer<T>>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        node: String,
        #[diesel(sql_type = Bool)]
        success: bool,
        #[diesel(sql_type = Text)]
        result: String,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT n.nodename || ':' || n.nodeport AS node, a.success, coalesce(a.result, '') AS result
         FROM run_command_on_all_nodes($1) a JOIN pg_catalog.pg_dist_node n ON n.nodeid = a.nodeid ORDER BY n.nodeid",
    )
    .bind::<Text, _>(raw!("SELECT coalesce(json_agg(r), '[]')::text FROM ({query}) AS r", query).as_str())
    .load(conn)?;
    let answer = |row: Row| {
        let unreadable = |error: serde_json::Error| diesel::result::Error::DeserializationError(error.into());
        let found =
            if row.success { Ok(serde_json::from_str(&row.result).map_err(unreadable)?) } else { Err(row.result) };
        Ok(Answer { node: row.node, found })
    };
    rows.into_iter().map(answer).collect()
}
