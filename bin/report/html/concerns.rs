//! What somebody should look at, from the figures; `verify` judges the schema and the rows.

use chrono::{DateTime, TimeDelta, Utc};
use optiinfra_db::enums::{AgentStatus, RegressionSeverity};
use optiinfra_db::stats::Report;

use crate::output::{bytes, plural, seconds};

/// A time series without a new row for so long has stopped.
const SILENT_AFTER: TimeDelta = TimeDelta::minutes(15);
/// A customer that has sent nothing for so long has stopped, and after a week has left.
const CUSTOMER_SILENT_AFTER: TimeDelta = TimeDelta::minutes(30);
const CUSTOMER_LEFT_AFTER: TimeDelta = TimeDelta::days(7);
/// Of the server's connections.
const MOST_CONNECTIONS: f64 = 0.9;
/// Half of what the server can count.
const MOST_TRANSACTION_IDS: i64 = 1_000_000_000;
const MOST_REPLICA_LAG: i64 = 1 << 30;
const MOST_REPLAY_LAG: f64 = 300.0;

/// Something to look at, and the section of the page that has more of it.
pub struct Concern {
    pub text: String,
    pub section: &'static str,
}

pub fn of(report: &Report) -> Vec<Concern> {
    let mut concerns = Vec::new();
    let mut add = |is_one: bool, section, text: String| {
        if is_one {
            concerns.push(Concern { text, section });
        }
    };
    let count = |count: usize, one: &str, many: &str| (count > 0, plural(count as u64, one, many));
    let operations = &report.operations;
    let found = |list: Option<usize>| list.unwrap_or_default();

    let (is_one, text) = count(
        found(operations.migrations.found().map(|all| all.pending.len())),
        "migration is pending",
        "migrations are pending",
    );
    add(is_one, "figures-of-health", text);
    let regressions = &report.application.open_regressions;
    let severe = regressions.iter().filter(|open| open.severity >= RegressionSeverity::High).count();
    let all = usize::try_from(report.application.unresolved_regressions.unwrap_or_default()).unwrap_or_default();
    let (is_one, text) = count(all, "regression is not resolved", "regressions are not resolved");
    let severity = if severe > 0 { format!(", {severe} of high or critical severity") } else { String::new() };
    add(is_one, "unresolved-regressions", text + &severity);
    let events = &report.resource.scaling_timeline;
    let failed = events.iter().filter(|event| !event.success && event.duration_seconds.is_some()).count();
    add(failed > 0, "failed-scaling-events", format!("{failed} of the newest {} scaling events failed", events.len()));
    for agent in
        report.core.agents.iter().filter(|agent| matches!(agent.status, AgentStatus::Degraded | AgentStatus::Failed))
    {
        add(true, "agents", format!("agent {} is {}", agent.name, agent.status));
    }
    for newest in &operations.newest_samples {
        if let Some(Some(at)) = newest.at.found() {
            let (is_one, age) = silent(report, *at, SILENT_AFTER);
            add(is_one, "figures-of-health", format!("the newest row of {} is {age} old", newest.table));
        }
    }
    let silent_customers = report.resource.newest_by_customer.iter().filter_map(|newest| {
        let (is_silent, age) = silent(report, newest.newest_sample?, CUSTOMER_SILENT_AFTER);
        let is_there = report.gathered_at - newest.newest_sample? < CUSTOMER_LEFT_AFTER;
        (is_silent && is_there).then(|| format!("{} ({age})", newest.customer))
    });
    let silent_customers: Vec<_> = silent_customers.collect();
    add(!silent_customers.is_empty(), "customers", format!("no sample comes from {}", some(&silent_customers)));

    let (is_one, text) =
        count(found(operations.blocked_session_count.found().copied()), "session waits", "sessions wait");
    add(is_one, "blocked-sessions", format!("{text} for another one's lock"));
    let long = found(operations.long_transaction_count.found().copied());
    let oldest = operations.oldest_transaction_seconds.found().copied().unwrap_or_default();
    add(long > 0, "transactions-over-60-s", format!("the oldest transaction is open for {}", seconds(oldest)));
    let (is_one, text) =
        count(found(operations.invalid_indexes.found().map(Vec::len)), "index is invalid", "indexes are invalid");
    add(is_one, "invalid-indexes", text);
    of_server(report, &mut add);
    concerns
}

fn of_server(report: &Report, add: &mut impl FnMut(bool, &'static str, String)) {
    let server = &report.server;
    if let Some(connections) = server.connections.found() {
        let (total, most) = (connections.total, server.max_connections);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let is_one = total as f64 > MOST_CONNECTIONS * most as f64;
        add(is_one, "figures-of-health", format!("{total} of {most} connections are taken"));
    }
    let age = server.transaction_id_age;
    add(
        age > MOST_TRANSACTION_IDS,
        "figures-of-health",
        format!("the oldest transaction id is {age} transactions old"),
    );
    let lag = server.replicas.found().and_then(|all| all.iter().filter_map(|replica| replica.lag_bytes).max());
    let lag = lag.unwrap_or_default();
    add(lag > MOST_REPLICA_LAG, "standbys", format!("a standby has not replayed {}", bytes(lag)));
    let lag = server.replay_lag_seconds.found().copied().flatten().unwrap_or_default();
    add(lag > MOST_REPLAY_LAG, "figures-of-health", format!("this standby is {} behind", seconds(lag)));
}

fn silent(report: &Report, newest: DateTime<Utc>, longest: TimeDelta) -> (bool, String) {
    let age = report.gathered_at - newest;
    (age > longest, seconds(age.as_seconds_f64()))
}

/// The first three of many.
fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(3);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
