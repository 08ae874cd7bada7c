//! Rows of the 20 tables: what is read (`Customer`), what is inserted (`NewCustomer`), what is changed
//! (`CustomerChanges`), the relations between them and the questions that one table answers.
//!
//! A file per layer, fields in column order, and column types as `schema.rs` has them. Nothing here decides when
//! to read or write: that is the caller's. Functions return Diesel's own result, so that they compose inside a
//! transaction; every time is UTC.
//!
//! What `NewX` leaves out takes the default of its column, so it cannot put null where there is a default:
//! `XChanges` can. Changes that name nothing are an error of Diesel's query builder, not a silent success.
//!
//! # Relations
//!
//! Each of the 33 foreign keys can be walked from both ends. From the child, a method named like the parent loads
//! it. From the parent, a method named like the child's table gives a query, to be narrowed before it is loaded:
//!
//! ```no_run
//! # use diesel::prelude::*;
//! # use optiinfra_db::models::{Agent, ResourceMetric};
//! # use optiinfra_db::schema::resource_metrics;
//! # fn f(conn: &mut PgConnection, agent: Agent) -> QueryResult<()> {
//! let samples = agent.resource_metrics().order(resource_metrics::timestamp.desc()).limit(10).load(conn)?;
//! for sample in &samples {
//!     assert_eq!(sample.agent(conn)?.id, agent.id);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `belonging_to` and `grouped_by` of Diesel work too.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::{AsSelect, IntoBoxed, Select};
use diesel::pg::Pg;
use diesel::prelude::*;
use uuid::Uuid;

use crate::id::{AgentId, CustomerId, time_in};
use crate::schema::{agent_metrics, events, quality_metrics, resource_metrics};

/// A query for the rows of one table, to be narrowed, ordered and loaded.
///
/// One that is ordered already cannot be counted: PostgreSQL wants no order beside an aggregate.
pub type Rows<Table, Row> = IntoBoxed<'static, Select<Table, AsSelect<Row, Pg>>, Pg>;

/// Declares foreign keys, so that each can be walked from both ends. `nullable` marks a column that may be null.
macro_rules! relations {
    ($($child:ident . $column:ident of $table:ident => $parent:ident as $one:ident $(, $nullable:ident)?;)+) => {
        $(
            impl $child {
                relations!(@one $parent, $column, $one $($nullable)?);
            }

            impl $parent {
                #[doc = concat!(
                    "The rows of `", stringify!($table), "` whose `", stringify!($column), "` is this row."
                )]
                pub fn $table(&self) -> $crate::models::Rows<$table::table, $child> {
                    $child::query().filter($table::$column.eq(self.id)).into_boxed()
                }
            }
        )+
    };
    (@one $parent:ident, $column:ident, $one:ident) => {
        #[doc = concat!("Loads the [`", stringify!($parent), "`] that `", stringify!($column), "` refers to.")]
        ///
        /// # Errors
        ///
        /// Fails when the query does, and with `NotFound` when the row is gone by now.
        pub fn $one(&self, conn: &mut PgConnection) -> QueryResult<$parent> {
            $parent::query().find(self.$column).first(conn)
        }
    };
    (@one $parent:ident, $column:ident, $one:ident nullable) => {
        #[doc = concat!(
            "Loads the [`", stringify!($parent), "`] that `", stringify!($column), "` refers to, if it refers to one."
        )]
        ///
        /// # Errors
        ///
        /// Fails when the query does.
        pub fn $one(&self, conn: &mut PgConnection) -> QueryResult<Option<$parent>> {
            let Some(id) = self.$column else { return Ok(None) };
            $parent::query().find(id).first(conn).optional()
        }
    };
}

mod agent_state;
mod application;
mod core;
mod history;
mod resource;
mod workflow_history;

pub use self::agent_state::{
    AgentCapability, AgentCapabilityChanges, AgentConfig, AgentConfigChanges, AgentMetric, AgentState,
    AgentStateChanges, NewAgentCapability, NewAgentConfig, NewAgentMetric, NewAgentState,
};
pub use self::application::{
    NewQualityBaseline, NewQualityMetric, NewQualityMetricHour, NewQualityRegression, QualityBaseline,
    QualityBaselineChanges, QualityMetric, QualityMetricHour, QualityRegression, QualityRegressionChanges,
};
pub use self::core::{
    Agent, AgentChanges, ApiKey, Approval, ApprovalChanges, Customer, CustomerChanges, Event, NewAgent, NewApproval,
    NewCustomer, NewEvent, NewOptimization, NewRecommendation, Optimization, OptimizationChanges, Recommendation,
    RecommendationChanges,
};
pub use self::resource::{
    NewResourceMetric, NewResourceMetricHour, NewScalingEvent, ResourceMetric, ResourceMetricHour, ScalingEvent,
    ScalingEventChanges,
};
pub use self::workflow_history::{
    NewWorkflowArtifact, NewWorkflowExecution, NewWorkflowStep, WorkflowArtifact, WorkflowArtifactChanges,
    WorkflowExecution, WorkflowExecutionChanges, WorkflowStep, WorkflowStepChanges,
};

/// Where the newest row is looked for first, so that of a table in partitions only the last ones are read.
const RECENT: TimeDelta = TimeDelta::days(7);

/// Asks for the newest row: among those of the last days, and where there is none among all.
fn newest<Row>(mut ask: impl FnMut(Option<DateTime<Utc>>) -> QueryResult<Option<Row>>) -> QueryResult<Option<Row>> {
    match ask(Utc::now().checked_sub_signed(RECENT))? {
        None => ask(None),
        found => Ok(found),
    }
}

/// Declares tables that may be in partitions by a time.
macro_rules! by_id {
    ($($row:ident of $table:ident by $time:ident;)+) => {$(
        impl $row {
            /// The row with this id; `None` without one.
            ///
            /// An id of version 7 is looked for at its own time first: where the table is in partitions, one of them is
            /// read. For an id of another version, or that is not of the time of its row, all of them are.
            ///
            /// # Errors
            ///
            /// Fails when a query does.
            pub fn by_id(conn: &mut PgConnection, id: Uuid) -> QueryResult<Option<Self>> {
                let row = || Self::query().filter($table::id.eq(id));
                if let Some(from) = time_in(id) {
                    let until = from + TimeDelta::milliseconds(1);
                    let at_its_time = row().filter($table::$time.ge(from)).filter($table::$time.lt(until));
                    let found = at_its_time.first(conn).optional()?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
                row().first(conn).optional()
            }
        }
    )+};
}

by_id! {
    ResourceMetric of resource_metrics by timestamp;
    AgentMetric of agent_metrics by recorded_at;
    Event of events by created_at;
    QualityMetric of quality_metrics by timestamp;
}

/// Seconds from one time to another, to the microsecond that PostgreSQL stores.
fn seconds_between(start: DateTime<Utc>, end: DateTime<Utc>) -> f64 {
    (end - start).as_seconds_f64()
}

impl From<&Customer> for CustomerId {
    fn from(customer: &Customer) -> Self {
        Self::new(customer.id)
    }
}

impl From<&Agent> for AgentId {
    fn from(agent: &Agent) -> Self {
        Self::new(agent.id)
    }
}
