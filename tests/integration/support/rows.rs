//! What can be done with a row of any table, and the checks that every table has to pass.
//!
//! Nothing here knows what is in a table.

use std::fmt::Debug;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use optiinfra_db::models::*;
use optiinfra_db::schema::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::TestDb;

/// A new row, of whatever table.
pub trait Insert {
    type Row: Debug;

    fn try_insert(&self, conn: &mut PgConnection) -> QueryResult<Self::Row>;

    /// Inserts the row and returns it as the server stored it.
    #[track_caller]
    fn insert(&self, conn: &mut PgConnection) -> Self::Row {
        self.try_insert(conn).expect("the server takes the row")
    }
}

/// A row that has been stored, of whatever table.
pub trait Stored: Sized {
    /// The row as it stands by now; `None` when it is gone.
    fn reload(&self, conn: &mut PgConnection) -> Option<Self>;

    fn delete(&self, conn: &mut PgConnection);

    fn exists(&self, conn: &mut PgConnection) -> bool {
        self.reload(conn).is_some()
    }
}

/// A row of a table whose rows are changed.
pub trait Change: Sized {
    type Changes;

    fn change(&self, conn: &mut PgConnection, changes: &Self::Changes) -> QueryResult<Self>;
}

/// Says once which types belong to which table.
macro_rules! tables {
    ($($table:ident: $new:ident => $row:ident $(, $changes:ident)?;)+) => {
        $(
            impl Insert for $new {
                type Row = $row;

                fn try_insert(&self, conn: &mut PgConnection) -> QueryResult<$row> {
                    diesel::insert_into($table::table).values(self).returning($row::as_returning()).get_result(conn)
                }
            }

            impl Stored for $row {
                fn reload(&self, conn: &mut PgConnection) -> Option<Self> {
                    $row::query().find(self.id).first(conn).optional().expect("the query for a row")
                }

                fn delete(&self, conn: &mut PgConnection) {
                    let deleted = diesel::delete(self).execute(conn).expect("the row can be deleted");
                    assert_eq!(deleted, 1);
                }
            }

            $(impl Change for $row {
                type Changes = $changes;

                fn change(&self, conn: &mut PgConnection, changes: &$changes) -> QueryResult<Self> {
                    diesel::update(self).set(changes).returning($row::as_returning()).get_result(conn)
                }
            })?
        )+

        /// What reading a new row of a table from JSON comes to.
        pub fn parse_new(table: &str, value: Value) -> Result<(), serde_json::Error> {
            match table {
                $(stringify!($table) => serde_json::from_value::<$new>(value).map(drop),)+
                _ => panic!("{table} is not ours"),
            }
        }
    };
}

tables! {
    customers: NewCustomer => Customer, CustomerChanges;
    agents: NewAgent => Agent, AgentChanges;
    events: NewEvent => Event;
    recommendations: NewRecommendation => Recommendation, RecommendationChanges;
    approvals: NewApproval => Approval, ApprovalChanges;
    optimizations: NewOptimization => Optimization, OptimizationChanges;
    agent_configs: NewAgentConfig => AgentConfig, AgentConfigChanges;
    agent_states: NewAgentState => AgentState, AgentStateChanges;
    agent_capabilities: NewAgentCapability => AgentCapability, AgentCapabilityChanges;
    agent_metrics: NewAgentMetric => AgentMetric;
    workflow_executions: NewWorkflowExecution => WorkflowExecution, WorkflowExecutionChanges;
    workflow_steps: NewWorkflowStep => WorkflowStep, WorkflowStepChanges;
    workflow_artifacts: NewWorkflowArtifact => WorkflowArtifact, WorkflowArtifactChanges;
    resource_metrics: NewResourceMetric => ResourceMetric;
    resource_metrics_hourly: NewResourceMetricHour => ResourceMetricHour;
    scaling_events: NewScalingEvent => ScalingEvent, ScalingEventChanges;
    quality_metrics: NewQualityMetric => QualityMetric;
    quality_metrics_hourly: NewQualityMetricHour => QualityMetricHour;
    quality_baselines: NewQualityBaseline => QualityBaseline, QualityBaselineChanges;
    quality_regressions: NewQualityRegression => QualityRegression, QualityRegressionChanges;
}

/// Does something in a transaction; returns the result and the transaction's time, which is the server's `now()`.
pub fn at_now<T>(conn: &mut PgConnection, act: impl FnOnce(&mut PgConnection) -> QueryResult<T>) -> (T, DateTime<Utc>) {
    conn.transaction(|conn| {
        let now = diesel::select(diesel::dsl::now.into_sql::<diesel::sql_types::Timestamptz>()).get_result(conn)?;
        QueryResult::Ok((act(conn)?, now))
    })
    .expect("the transaction commits")
}

/// Inserts a row; returns it and the time that its defaults must have taken.
pub fn insert_at_now<New: Insert>(conn: &mut PgConnection, new: &New) -> (New::Row, DateTime<Utc>) {
    at_now(conn, |conn| new.try_insert(conn))
}

/// Asserts that a row of which every column is given comes back from another connection as it went in.
///
/// The new row is made from the row by way of JSON, so that no column can be forgotten: the row's type demands all.
#[track_caller]
pub fn assert_stored_whole<New>(db: &TestDb, row: New::Row)
where
    New: Insert + DeserializeOwned,
    New::Row: Stored + Serialize + PartialEq,
{
    let new: New = serde_json::from_value(to_json(&row)).expect("a row's JSON reads as a new row");
    assert_eq!(new.insert(&mut db.conn()), row);
    assert_eq!(row.reload(&mut db.conn()), Some(row));
}

/// The row as JSON.
pub fn to_json(row: &impl Serialize) -> Value {
    serde_json::to_value(row).expect("a row is JSON")
}

/// A document with everything that a careless way through the database might spoil.
pub fn thorny_json() -> Value {
    json!({
        "nested": {"list": [1, [2, [3, {"deep": []}]], {}], "": "an empty key"},
        "null inside": {"a": null, "b": [null]},
        "text": "Größe ≥ 5 µm, 東京, 🚀, \"quoted\" \\ 'single' \t\n; DROP TABLE customers; -- ${x} $1 ?",
        "greatest": u64::MAX,
        "least": i64::MIN,
        "beyond double's integers": 9_007_199_254_740_993_i64,
        "fractions": [0.1, -273.15, 1e-7, 1.5],
        "flags": [true, false],
    })
}

/// Asserts that changes set each column that they name, leave every other one, and set what may be null to null.
///
/// The second row says what to change to. All columns of the changes stand in the call, or it does not compile.
macro_rules! assert_changes {
    (
        $conn:expr, $before:expr => $to:expr, $row:ident, $changes:ident { $($column:ident),* $(,)? },
        nullable { $($nullable:ident),* $(,)? } $(, touches $updated_at:ident)?
    ) => {{
        use $crate::support::{Change as _, Stored as _};
        let (before, to) = (&$before, $to);
        let changes = $changes {
            $($column: Some(to.$column.clone()),)*
            $($nullable: Some(Some(to.$nullable.clone().expect("a value to change to"))),)*
        };
        let changed = before.change($conn, &changes).expect("the server takes the changes");
        $(assert_ne!(changed.$column, before.$column);)*
        $(assert_ne!(changed.$nullable, before.$nullable);)*
        $(assert!(changed.$updated_at > before.$updated_at);)?
        let expected = $row {
            $($column: to.$column,)*
            $($nullable: to.$nullable,)*
            $($updated_at: changed.$updated_at,)?
            ..before.clone()
        };
        assert_eq!(changed, expected);
        let nulls = $changes { $($nullable: Some(None),)* ..Default::default() };
        let nulled = changed.change($conn, &nulls).expect("the server takes the nulls");
        let expected = $row {
            $($nullable: None,)*
            $($updated_at: nulled.$updated_at,)?
            ..changed
        };
        assert_eq!(nulled, expected);
        assert_eq!(expected.reload($conn), Some(nulled));
    }};
}

/// Asserts that each foreign key of a layer's tables can be walked from both ends, in the presence of rows that have
/// nothing to do with each other.
macro_rules! assert_walkable {
    ($layer:expr; $($child:ident.$one:ident => $parent:ident.$many:ident;)+) => {{
        let db = $crate::support::TestDb::migrated();
        let conn = &mut db.conn();
        let families = [$crate::support::Family::new(conn), $crate::support::Family::new(conn)];
        let mut walked = 0;
        $(
            for family in &families {
                let (child, parent) = (&family.$child, &family.$parent);
                assert_eq!(Option::from(child.$one(conn).unwrap()).as_ref(), Some(parent));
                assert_eq!(&parent.$many().load(conn).unwrap(), std::slice::from_ref(child));
            }
            walked += 1;
        )+
        assert_eq!(walked, $crate::constraints::foreign_keys_of($layer));
    }};
}

pub(crate) use {assert_changes, assert_walkable};
