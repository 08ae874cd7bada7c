//! The workflows by status. (0.2c)

use serde::{Deserialize, Serialize};

use crate::enums::WorkflowStatus;

/// Statistics of the workflow history layer. (0.2c)
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowHistory {
    /// How many workflows stand where.
    pub workflows: Vec<Workflows>,
}

/// The workflows of one status. (0.2c)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workflows {
    /// Where they stand.
    pub status: WorkflowStatus,
    /// How many there are.
    pub count: i64,
}
