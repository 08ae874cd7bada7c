//! Customers, agents and workflows.

use optiinfra_db::stats::Report;

use super::skipped;
use crate::report::section::{Section, Unit};

pub fn customers(report: &Report) -> Section {
    Section::of("customers", &report.core.customers)
        .skipped(skipped(report, "core"))
        .key("name", "customer", |customer| &customer.name)
        .column("email", "email", Unit::None, |customer| &customer.email)
        .hidden("id", |customer| customer.id.to_string())
        .column("plan", "plan", Unit::None, |customer| customer.plan.as_str())
        .done()
}

pub fn agents(report: &Report) -> Section {
    Section::of("agents", &report.core.agents)
        .skipped(skipped(report, "core"))
        .key("name", "agent", |agent| &agent.name)
        .key("type", "type", |agent| agent.type_.as_str())
        .key("status", "status", |agent| agent.status.as_str())
        .done()
}

pub fn workflows(report: &Report) -> Section {
    Section::of("workflows by status", &report.workflow_history.workflows)
        .skipped(skipped(report, "workflow_history"))
        .key("status", "status", |workflows| workflows.status.as_str())
        .label("status")
        .column("count", "workflows", Unit::None, |workflows| workflows.count)
        .gauge("workflows", "Workflows by status.")
        .done()
}
