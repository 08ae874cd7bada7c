//! One customer's rows: which of them a session is shown.
//!
//! The tables of customers are under row security: a session sees and writes the rows of the customer that the setting
//! `app.customer_id` names, and none where it names nobody. Nothing here decides who may work for which customer.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::raw::{Batch, sql_query};

/// The tables whose rows are a customer's, each after the tables that it refers to: `customers` itself, those with a
/// `customer_id`, and those that belong to one of these. The others are the platform's.
pub const TABLES: [&str; 13] = [
    "customers",
    "events",
    "recommendations",
    "approvals",
    "optimizations",
    "workflow_executions",
    "workflow_steps",
    "workflow_artifacts",
    "resource_metrics",
    "scaling_events",
    "quality_metrics",
    "quality_baselines",
    "quality_regressions",
];

/// Tables of the current schema of which row security hides rows from this role. Where a policy shows it every row,
/// as `roles apply` makes them, none is hidden.
pub(crate) fn hidden_tables(conn: &mut PgConnection) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Hidden {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let hidden: Vec<Hidden> = sql_query(include_str!("tenant/hidden.sql")).load(conn)?;
    Ok(hidden.into_iter().map(|hidden| hidden.name).collect())
}

/// Makes a query fail that would be shown a part of the rows and take it for all, for the rest of the transaction.
pub(crate) fn refuse_partial_view(conn: &mut PgConnection) -> QueryResult<()> {
    if hidden_tables(conn)?.is_empty() {
        return Ok(());
    }
    conn.batch("SET LOCAL row_security = off")
}
