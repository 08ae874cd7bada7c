//! The five layers and the tables of each: the one hand-written list of tables.
//!
//! Everything that walks the tables (seed, verify, stats, tests) walks this list; a test compares it with the
//! database in both directions. It must not know what is in a table.

use std::fmt;
use std::str::FromStr;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use serde::{Deserialize, Serialize};

use crate::error::{Doing, Result};
use crate::raw::{raw, sql};

/// A layer of the schema. Its word names a migration, a models file, a seed file and a test file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Customers, agents and what happens between them.
    Core,
    /// Settings, state, capabilities and metrics of the agents.
    AgentState,
    /// Workflow runs, their steps and artifacts.
    WorkflowHistory,
    /// Use of resources and scaling decisions.
    Resource,
    /// Quality of LLM answers.
    Application,
}

/// A word that names no layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a layer: expected core, agent_state, workflow_history, resource or application")]
pub struct UnknownLayer(pub String);

impl Layer {
    /// Every layer, each after the layers that it builds on.
    pub const ALL: [Self; 5] = [Self::Core, Self::AgentState, Self::WorkflowHistory, Self::Resource, Self::Application];

    /// The layer word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::AgentState => "agent_state",
            Self::WorkflowHistory => "workflow_history",
            Self::Resource => "resource",
            Self::Application => "application",
        }
    }

    /// The tables of the layer, each after the tables that it refers to.
    ///
    /// The one exception is `agent_states.current_workflow_id`, which refers to a later layer.
    pub const fn tables(self) -> &'static [&'static str] {
        match self {
            Self::Core => &["customers", "agents", "events", "recommendations", "approvals", "optimizations"],
            Self::AgentState => &["agent_configs", "agent_states", "agent_capabilities", "agent_metrics"],
            Self::WorkflowHistory => &["workflow_executions", "workflow_steps", "workflow_artifacts"],
            Self::Resource => &["resource_metrics", "resource_metrics_hourly", "scaling_events"],
            Self::Application => {
                &["quality_metrics", "quality_metrics_hourly", "quality_baselines", "quality_regressions"]
            }
        }
    }

    /// The layer that a table belongs to; `None` for a table that is not ours.
    pub fn of_table(table: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.tables().contains(&table))
    }
}

/// Every table with its layer, each after the tables that it refers to.
pub fn tables() -> impl Iterator<Item = (Layer, &'static str)> {
    Layer::ALL.into_iter().flat_map(|layer| layer.tables().iter().map(move |table| (layer, *table)))
}

/// Whether the current schema has a table of this name. One further down the search path is another database's.
pub(crate) fn is_there(conn: &mut PgConnection, table: &'static str) -> QueryResult<bool> {
    let found = raw!("to_regclass(quote_ident(current_schema()) || '.{table}') IS NOT NULL", table);
    diesel::select(sql::<Bool>(found)).get_result(conn)
}

/// Counts the rows of every table of ours that exists, exactly.
///
/// # Errors
///
/// [`Error::Query`](crate::Error::Query) when a table may not be read.
pub fn row_counts(conn: &mut PgConnection) -> Result<Vec<(&'static str, i64)>> {
    let mut counts = Vec::new();
    for (_, table) in tables() {
        if !is_there(conn, table).doing(format!("look for {table}"))? {
            continue;
        }
        let rows = sql::<BigInt>(raw!("(SELECT count(*) FROM {table})", table));
        counts.push((table, diesel::select(rows).get_result(conn).doing(format!("count the rows of {table}"))?));
    }
    Ok(counts)
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Layer {
    type Err = UnknownLayer;

    fn from_str(word: &str) -> std::result::Result<Self, UnknownLayer> {
        Self::ALL.into_iter().find(|layer| layer.as_str() == word).ok_or_else(|| UnknownLayer(word.to_owned()))
    }
}
