//! The rows that the seed has for a table, with the type of the row out of the way, so that layers of any make go
//! through the same few functions.
//!
//! Ids and references are read from the rows themselves: nothing is written down a second time.

use std::collections::HashSet;
use std::fmt::Debug;

use diesel::prelude::*;
use uuid::Uuid;

use crate::models::{
    NewAgent, NewAgentCapability, NewAgentConfig, NewAgentMetric, NewAgentState, NewCustomer, NewEvent,
    NewQualityBaseline, NewQualityMetric, NewQualityRegression, NewRecommendation, NewResourceMetric, NewScalingEvent,
    NewWorkflowArtifact, NewWorkflowExecution, NewWorkflowStep,
};
use crate::schema;

/// A statement takes at most 65,535 values, and a row has at most 32 columns (Diesel's `32-column-tables`).
const ROWS_PER_INSERT: usize = 65_535 / 32;

/// The seed's rows of one table.
pub(crate) trait Rows: Debug {
    /// Name of the table.
    fn table(&self) -> &'static str;

    /// How many rows there are.
    fn len(&self) -> usize;

    /// The ids of the rows, in the order of the rows.
    fn ids(&self) -> Vec<Uuid>;

    /// What a person calls a row.
    fn name_of(&self, id: Uuid) -> String;

    /// The rows that these rows refer to: table and id.
    fn references(&self) -> Vec<(&'static str, Uuid)>;

    /// Inserts the rows whose id is not there yet and returns how many these were.
    fn insert(&self, conn: &mut PgConnection) -> QueryResult<usize>;

    /// The ids of the rows that are there.
    fn present(&self, conn: &mut PgConnection) -> QueryResult<Vec<Uuid>>;

    /// Locks the rows that are there, so that nobody can begin to refer to them.
    fn lock(&self, conn: &mut PgConnection) -> QueryResult<Vec<Uuid>>;

    /// Deletes the rows that are there and returns how many these were.
    fn delete(&self, conn: &mut PgConnection) -> QueryResult<usize>;
}

macro_rules! seeded {
    ($($row:ident in $table:ident $(called $name:ident)? $(refers by $($column:ident to $parent:ident),+)?;)+) => {$(
        impl Rows for Vec<$row> {
            fn table(&self) -> &'static str {
                stringify!($table)
            }

            fn len(&self) -> usize {
                self.as_slice().len()
            }

            fn ids(&self) -> Vec<Uuid> {
                self.iter().filter_map(|row| row.id).collect()
            }

            fn name_of(&self, id: Uuid) -> String {
                $(if let Some(row) = self.iter().find(|row| row.id == Some(id)) {
                    return row.$name.clone();
                })?
                id.to_string()
            }

            fn references(&self) -> Vec<(&'static str, Uuid)> {
                let references = std::iter::empty();
                $($(
                    let ids = self.iter().filter_map(|row| Option::<Uuid>::from(row.$column));
                    let references = references.chain(ids.map(|id| (stringify!($parent), id)));
                )+)?
                references.collect()
            }

            fn insert(&self, conn: &mut PgConnection) -> QueryResult<usize> {
                // By the id alone: in a partitioned table it is unique only together with the time, which moves.
                let present: HashSet<Uuid> = self.present(conn)?.into_iter().collect();
                let is_missing = |row: &&$row| row.id.is_none_or(|id| !present.contains(&id));
                let missing: Vec<&$row> = self.iter().filter(is_missing).collect();
                let mut inserted = 0;
                for rows in missing.chunks(ROWS_PER_INSERT) {
                    inserted += diesel::insert_into(schema::$table::table).values(rows.to_vec()).execute(conn)?;
                }
                Ok(inserted)
            }

            fn present(&self, conn: &mut PgConnection) -> QueryResult<Vec<Uuid>> {
                use schema::$table::{id, table};
                table.filter(id.eq_any(self.ids())).select(id).load(conn)
            }

            fn lock(&self, conn: &mut PgConnection) -> QueryResult<Vec<Uuid>> {
                use schema::$table::{id, table};
                table.filter(id.eq_any(self.ids())).select(id).for_update().load(conn)
            }

            fn delete(&self, conn: &mut PgConnection) -> QueryResult<usize> {
                use schema::$table::{id, table};
                diesel::delete(table.filter(id.eq_any(self.ids()))).execute(conn)
            }
        }
    )+};
}

seeded! {
    NewCustomer in customers called name;
    NewAgent in agents called name;
    NewEvent in events refers by customer_id to customers, agent_id to agents;
    NewRecommendation in recommendations refers by customer_id to customers, agent_id to agents;
    NewAgentConfig in agent_configs refers by agent_id to agents;
    NewAgentState in agent_states refers by agent_id to agents, current_workflow_id to workflow_executions;
    NewAgentCapability in agent_capabilities refers by agent_id to agents;
    NewAgentMetric in agent_metrics refers by agent_id to agents;
    NewWorkflowExecution in workflow_executions refers by agent_id to agents, customer_id to customers;
    NewWorkflowStep in workflow_steps refers by workflow_execution_id to workflow_executions;
    NewWorkflowArtifact in workflow_artifacts
        refers by workflow_execution_id to workflow_executions, workflow_step_id to workflow_steps;
    NewResourceMetric in resource_metrics refers by agent_id to agents, customer_id to customers;
    NewScalingEvent in scaling_events
        refers by agent_id to agents, customer_id to customers, workflow_execution_id to workflow_executions;
    NewQualityMetric in quality_metrics refers by agent_id to agents, customer_id to customers;
    NewQualityBaseline in quality_baselines refers by agent_id to agents, customer_id to customers;
    NewQualityRegression in quality_regressions
        refers by agent_id to agents, customer_id to customers, baseline_id to quality_baselines,
            workflow_execution_id to workflow_executions;
}
