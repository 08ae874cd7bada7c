//! The server: its connections, write-ahead log, standbys and slowest statements.

use optiinfra_db::stats::{Connections, Report};

use crate::report::section::{Section, Shown, Unit, Value, observed};

pub fn server(report: &Report) -> Section {
    const NAME: &str = "connections";
    const HELP: &str = "Connections of clients to the server by state.";
    let server = &report.server;
    let connections = |figure: fn(&Connections) -> i64| observed(&server.connections, figure);
    let lag = observed(&server.replicas, |all| all.iter().filter_map(|replica| replica.lag_bytes).max());
    let mut section = Section::record("server", server)
        .shown(Shown::InData)
        .column("address", "server", Unit::None, |server| server.address.clone())
        .null("on this machine")
        .column("role", "role", Unit::None, |server| &server.role)
        .column("started_at", "server runs since", Unit::None, |server| server.started_at)
        .gauge("server_started_timestamp_seconds", "When the server was started.")
        .column("total", "connections", Unit::None, |_| connections(|found| found.total))
        .column("max_connections", "connections at most", Unit::None, |server| server.max_connections)
        .gauge("max_connections", "Connections that the server takes.")
        .column("active", "connections that run a statement", Unit::None, |_| connections(|found| found.active))
        .gauge_with(NAME, HELP, "state", "active")
        .hidden("idle", |_| connections(|found| found.idle))
        .gauge_with(NAME, HELP, "state", "idle")
        .column("idle_in_transaction", "connections idle in a transaction", Unit::None, |_| {
            connections(|found| found.idle_in_transaction)
        })
        .gauge_with(NAME, HELP, "state", "idle in transaction")
        .column("transaction_id_age", "age of the oldest transaction id", Unit::None, |server| {
            server.transaction_id_age
        })
        .gauge(
            "transaction_id_age",
            "Age of the oldest transaction id that is not frozen; the server stops at 2147483648.",
        )
        .hidden("freeze_max_age", |server| server.freeze_max_age)
        .gauge("transaction_id_freeze_max_age", "Age from which on the server vacuums whatever the settings say.")
        .hidden("wal_bytes", |server| observed(&server.wal_bytes, |bytes| *bytes))
        .counter("wal_bytes_total", "Bytes of write-ahead log that were written.")
        .column("wal_kept_bytes", "write-ahead log", Unit::Bytes, |server| {
            observed(&server.wal_kept_bytes, |bytes| *bytes)
        })
        .gauge("wal_kept_bytes", "Bytes of write-ahead log that the server keeps.")
        .column("replica_count", "standbys", Unit::None, |server| observed(&server.replicas, Vec::len))
        .gauge("replicas", "Standbys that are connected.")
        .hidden("replica_lag_bytes", |_| lag.clone())
        .gauge("replica_lag_bytes", "Bytes that the standby that is furthest behind has not replayed.")
        .column("replay_lag_seconds", "behind its primary", Unit::Seconds, |server| {
            observed(&server.replay_lag_seconds, |lag| *lag)
        })
        .null("is a primary")
        .gauge("replay_lag_seconds", "How far this standby is behind.");
    for (name, reason) in [
        ("connections_skipped", server.connections.reason()),
        ("wal_bytes_skipped", server.wal_bytes.reason()),
        ("wal_kept_bytes_skipped", server.wal_kept_bytes.reason()),
        ("replicas_skipped", server.replicas.reason()),
        ("replay_lag_seconds_skipped", server.replay_lag_seconds.reason()),
        ("slowest_statements_skipped", server.slowest_statements.reason()),
    ] {
        if let Some(reason) = reason {
            section = section.hidden(name, |_| Value::Text(reason.to_string()));
        }
    }
    section.done()
}

pub fn replicas(report: &Report) -> Section {
    Section::observed("standbys", &report.server.replicas)
        .key("name", "standby", |replica| &replica.name)
        .column("state", "state", Unit::None, |replica| &replica.state)
        .column("lag_bytes", "not replayed", Unit::Bytes, |replica| replica.lag_bytes)
        .null("unknown")
        .column("lag_seconds", "behind", Unit::Seconds, |replica| replica.lag_seconds)
        .null("caught up")
        .done()
}

pub fn slowest_statements(report: &Report) -> Section {
    Section::observed("slowest statements", &report.server.slowest_statements)
        .key("statement", "statement", |statement| &statement.statement)
        .column("calls", "calls", Unit::None, |statement| statement.calls)
        .column("total_seconds", "in all", Unit::Seconds, |statement| statement.total_seconds)
        .column("mean_milliseconds", "on average", Unit::Milliseconds, |statement| statement.mean_milliseconds)
        .column("rows", "rows", Unit::None, |statement| statement.rows)
        .done()
}
