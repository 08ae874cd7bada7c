//! Who is there: customers and agents. (0.2a)

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::enums::{AgentStatus, AgentType, CustomerPlan};

/// Statistics of the core layer. (0.2a)
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Core {
    /// By name.
    pub customers: Vec<Customer>,
    /// By type and name.
    pub agents: Vec<Agent>,
}

/// A customer, without the key. (0.2a)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Primary key.
    pub id: Uuid,
    /// What to call them.
    pub name: String,
    /// Their address.
    pub email: String,
    /// What they pay for.
    pub plan: CustomerPlan,
}

/// An agent. (0.2a)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// What it looks after.
    #[serde(rename = "type")]
    pub type_: AgentType,
    /// Its name.
    pub name: String,
    /// How it is.
    pub status: AgentStatus,
}
