//! `stats`: what is in the database, a table a question.

use diesel::pg::PgConnection;
use optiinfra_db::stats::{self, Options, Report};

use crate::exit::Exit;
use crate::output::{Output, Table, bytes, time};

/// Shows the statistics.
pub fn run(conn: &mut PgConnection, out: &mut Output) -> anyhow::Result<Exit> {
    let report = stats::run(conn, &Options::default())?;
    let tables: Vec<Table> = [
        tables(&report),
        customers(&report),
        agents(&report),
        workflows(&report),
        metrics(&report),
        instances(&report),
        scaling(&report),
        outcomes(&report),
        latest(&report),
        quality(&report),
        regressions(&report),
        open_regressions(&report),
    ]
    .into_iter()
    .filter(|table| !table.is_empty())
    .collect();
    out.result(&report, &tables)?;
    Ok(Exit::Done)
}

fn tables(report: &Report) -> Table {
    let mut table = Table::new(&["layer", "table", "rows", "size"]);
    for size in &report.tables {
        table.row([size.layer.as_str(), size.table, &size.rows.to_string(), &bytes(size.total_bytes)]);
    }
    let rows: i64 = report.tables.iter().map(|size| size.rows).sum();
    let head = report.head.as_deref().unwrap_or("no migration");
    let title = format!("{} on PostgreSQL {}, {head}: {rows} rows", report.database, report.server_version);
    table.titled(&title)
}

fn customers(report: &Report) -> Table {
    let mut table = Table::new(&["customer", "email", "plan"]);
    for customer in &report.core.customers {
        table.row([customer.name.as_str(), &customer.email, customer.plan.as_str()]);
    }
    table.titled("customers")
}

fn agents(report: &Report) -> Table {
    let mut table = Table::new(&["type", "agent", "status"]);
    for agent in &report.core.agents {
        table.row([agent.type_.as_str(), &agent.name, agent.status.as_str()]);
    }
    table.titled("agents")
}

fn workflows(report: &Report) -> Table {
    let mut table = Table::new(&["status", "workflows"]);
    for workflows in &report.workflow_history.workflows {
        table.row([workflows.status.as_str(), &workflows.count.to_string()]);
    }
    table.titled("workflows by status")
}

fn metrics(report: &Report) -> Table {
    let mut table = Table::new(&["resource type", "samples"]);
    for metrics in &report.resource.metrics {
        table.row([metrics.resource_type.as_str(), &metrics.count.to_string()]);
    }
    table.titled("resource metrics by type")
}

fn instances(report: &Report) -> Table {
    let mut table = Table::new(&["instance", "samples", "average GPU utilisation"]);
    for instance in &report.resource.instances {
        let average = instance.average_gpu_utilization.map(|percent| format!("{percent:.2} %"));
        table.row([instance.instance_id.as_str(), &instance.metrics.to_string(), &average.unwrap_or_default()]);
    }
    table.titled("resource metrics by instance")
}

fn scaling(report: &Report) -> Table {
    let mut table = Table::new(&["event type", "events", "successful"]);
    for events in &report.resource.scaling_events {
        table.row([events.event_type.as_str(), &events.count.to_string(), &events.succeeded.to_string()]);
    }
    table.titled("scaling events by type")
}

fn outcomes(report: &Report) -> Table {
    let mut table = Table::new(&["event type", "success", "events", "average duration"]);
    for outcome in &report.resource.scaling_outcomes {
        let average = format!("{:.1} min", outcome.average_minutes);
        let success = if outcome.success { "yes" } else { "no" };
        table.row([outcome.event_type.as_str(), success, &outcome.count.to_string(), &average]);
    }
    table.titled("scaling outcomes")
}

fn latest(report: &Report) -> Table {
    let mut table = Table::new(&["most recent", "what", "when"]);
    if let Some(sample) = &report.resource.latest_gpu_utilization {
        let what = format!("{} at {:.1} %", sample.instance_id, sample.utilization);
        table.row(["GPU utilisation", &what, &time(sample.timestamp)]);
    }
    if let Some(event) = &report.resource.latest_scaling_event {
        let outcome = if event.success { "succeeded" } else { "failed" };
        let duration = event.duration_seconds.map_or("still runs".to_owned(), |s| format!("{:.1} min", s / 60.0));
        let what = format!("{} {outcome}, {duration}: {}", event.event_type, event.trigger_reason);
        table.row(["scaling event", &what, &time(event.executed_at)]);
    }
    table.titled("most recent")
}

fn quality(report: &Report) -> Table {
    let mut table = Table::new(&["model", "answers", "average quality", "average latency", "hallucinations"]);
    for quality in &report.application.quality {
        let latency = quality.average_latency_ms.map(|ms| format!("{ms:.0} ms")).unwrap_or_default();
        table.row([
            quality.model_name.as_str(),
            &quality.answers.to_string(),
            &format!("{:.3}", quality.average_quality),
            &latency,
            &quality.hallucinations.to_string(),
        ]);
    }
    table.titled("quality by model")
}

fn regressions(report: &Report) -> Table {
    let mut table = Table::new(&["severity", "open", "resolved"]);
    for regressions in &report.application.regressions {
        table.row([regressions.severity.as_str(), &regressions.open.to_string(), &regressions.resolved.to_string()]);
    }
    table.titled("quality regressions by severity")
}

fn open_regressions(report: &Report) -> Table {
    let mut table = Table::new(&["customer", "model", "regression", "severity", "metric", "change", "detected"]);
    for open in &report.application.open_regressions {
        table.row([
            open.customer.as_str(),
            &open.model_name,
            open.regression_type.as_str(),
            open.severity.as_str(),
            &open.metric_name,
            &format!("{:+.1} %", open.delta_percent),
            &time(open.detected_at),
        ]);
    }
    table.titled(&format!("unresolved regressions: {}", report.application.unresolved_regressions))
}
