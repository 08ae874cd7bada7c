//! Health: migrations, cache, indexes, other sessions.

use optiinfra_db::stats::{IndexName, NewestSample, Observation, Report};

use super::server::server;
use crate::report::section::{Column, Section, Shown, Top, Unit, Value, observed};
use crate::report::text::{self, Medium};

/// What one line each can say of the sections below.
pub fn health(report: &Report) -> Section {
    let records = [operations(report), cache(report), server(report)];
    let of_record = |section: &Section| {
        let cells = section.columns.iter().zip(section.rows.iter().flatten());
        cells.filter(|(column, _)| !column.heading.is_empty()).map(check).collect::<Vec<_>>()
    };
    let newest = report.operations.newest_samples.iter().map(|newest| {
        let at = text::cell(&observed(&newest.at, |at| *at), Unit::None, "none", Medium::Terminal);
        (format!("newest row of {}", newest.table), at)
    });
    let checks: Vec<(String, String)> = records.iter().flat_map(of_record).chain(newest).collect();
    Section::of("health", &checks)
        .top(Top::All)
        .shown(Shown::InTables)
        .key("check", "check", |(check, _)| check)
        .column("value", "value", Unit::None, |(_, value)| value)
        .done()
}

fn check((column, value): (&Column, &Value)) -> (String, String) {
    (column.heading.to_owned(), text::cell(value, column.unit, column.null, Medium::Terminal))
}

pub fn operations(report: &Report) -> Section {
    let operations = &report.operations;
    let count = |list: &Observation<_>| observed(list, |found: &Vec<_>| found.len());
    let mut section = Section::record("operations", operations)
        .shown(Shown::InData)
        .column("applied", "migrations applied", Unit::None, |all| observed(&all.migrations, |found| found.applied))
        .gauge("migrations_applied", "Migrations that the database has.")
        .column("pending", "migrations pending", Unit::None, |all| {
            observed(&all.migrations, |found| found.pending.clone())
        })
        .gauge("migrations_pending", "Migrations that the database lacks.")
        .column("unknown", "migrations unknown to this program", Unit::None, |all| {
            observed(&all.migrations, |found| found.unknown.clone())
        })
        .gauge("migrations_unknown", "Migrations that this program does not know.")
        .column("since", "statistics kept since", Unit::None, |all| observed(&all.statistics, |found| found.since))
        .gauge("statistics_since_timestamp_seconds", "Since when the server has counted scans and blocks.")
        .column("age_seconds", "statistics kept for", Unit::Seconds, |all| {
            observed(&all.statistics, |found| found.age_seconds)
        })
        .column("index_count", "indexes", Unit::None, |all| observed(&all.indexes, Vec::len))
        .column("redundant_index_count", "redundant indexes", Unit::None, |all| {
            observed(&all.redundant_indexes, Vec::len)
        })
        .gauge("redundant_indexes", "Indexes that another one makes superfluous.")
        .column("redundant_index_bytes", "size of the redundant indexes", Unit::Bytes, |all| {
            observed(&all.redundant_indexes, |found| found.iter().map(|index| index.bytes).sum::<Option<i64>>())
        })
        .null("unknown")
        .column("redundant_indexes_not_in_schema", "redundant indexes that are not in the schema", Unit::None, |all| {
            observed(&all.redundant_indexes, |found| found.iter().filter(|index| !index.in_schema).count())
        })
        .gauge(
            "redundant_indexes_not_in_schema",
            "Redundant indexes that verify does not expect, so that they can be dropped.",
        )
        .column("unused_index_count", "unused indexes", Unit::None, |all| count(&all.unused_indexes))
        .gauge("unused_indexes", "Indexes that nobody has used in at least 7 days.")
        .column("invalid_index_count", "invalid indexes", Unit::None, |all| count(&all.invalid_indexes))
        .gauge("invalid_indexes", "Indexes that queries may not use.")
        .column("unindexed_foreign_key_count", "foreign keys without an index", Unit::None, |all| {
            observed(&all.unindexed_foreign_keys, Vec::len)
        })
        .gauge("unindexed_foreign_keys", "Foreign keys that no index begins with.")
        .column("oldest_transaction_seconds", "oldest transaction", Unit::Seconds, |all| {
            observed(&all.oldest_transaction_seconds, |age| *age)
        })
        .gauge("oldest_transaction_age_seconds", "Age of the oldest transaction of another session, 0 without any.")
        .column("long_transaction_count", "transactions over 60 s", Unit::None, |all| {
            observed(&all.long_transaction_count, |count| *count)
        })
        .gauge_with(
            "long_transactions",
            "Transactions of other sessions that are open for longer than the threshold.",
            "threshold_seconds",
            "60",
        )
        .column("blocked_session_count", "blocked sessions", Unit::None, |all| {
            observed(&all.blocked_session_count, |count| *count)
        })
        .gauge("blocked_sessions", "Sessions that wait for another one's lock.");
    for (name, reason) in reasons(report) {
        section = section.hidden(name, |_| reason.clone());
    }
    section.done()
}

/// Why figures and lists of the operations could not be had, by the name of the column.
fn reasons(report: &Report) -> Vec<(&'static str, String)> {
    let all = &report.operations;
    let reasons = [
        ("migrations_skipped", all.migrations.reason()),
        ("statistics_skipped", all.statistics.reason()),
        ("bloat_skipped", all.bloat.reason()),
        ("indexes_skipped", all.indexes.reason()),
        ("redundant_indexes_skipped", all.redundant_indexes.reason()),
        ("unused_indexes_skipped", all.unused_indexes.reason()),
        ("invalid_indexes_skipped", all.invalid_indexes.reason()),
        ("unindexed_foreign_keys_skipped", all.unindexed_foreign_keys.reason()),
        ("oldest_transaction_seconds_skipped", all.oldest_transaction_seconds.reason()),
        ("long_transaction_count_skipped", all.long_transaction_count.reason()),
        ("long_transactions_skipped", all.long_transactions.reason()),
        ("blocked_session_count_skipped", all.blocked_session_count.reason()),
        ("blocked_sessions_skipped", all.blocked_sessions.reason()),
    ];
    reasons.into_iter().filter_map(|(name, reason)| Some((name, reason?.to_string()))).collect()
}

pub fn cache(report: &Report) -> Section {
    Section::record("cache", &report.operations.cache)
        .shown(Shown::InData)
        .column("hit_ratio", "cache hits", Unit::Share, |cache| cache.hit_ratio)
        .null("none")
        .column("blocks_hit", "blocks found in the cache", Unit::None, |cache| cache.blocks_hit)
        .null("unknown")
        .column("blocks_read", "blocks read", Unit::None, |cache| cache.blocks_read)
        .null("unknown")
        .done()
}

pub fn newest_samples(report: &Report) -> Section {
    let outcome = |newest: &NewestSample| if newest.at.found().is_some() { "done" } else { "skipped" };
    Section::of("newest rows", &report.operations.newest_samples)
        .shown(Shown::InData)
        .labels(vec![("datname", report.database.clone()), ("schemaname", report.schema.clone())])
        .key("table", "table", |newest| newest.table.to_owned())
        .label("relname")
        .column("found", "newest row", Unit::None, |newest| observed(&newest.at, |at| *at))
        .null("none")
        .gauge("table_newest_sample_timestamp_seconds", "Time of the newest row of a time series.")
        .hidden("outcome", outcome)
        .hidden("reason", |newest| newest.at.reason().map(ToString::to_string))
        .done()
}

pub fn bloat(report: &Report) -> Section {
    Section::observed(
        "bloat: about so much smaller if written anew, by the planner's statistics",
        &report.operations.bloat,
    )
    .labels(vec![("datname", report.database.clone()), ("schemaname", report.schema.clone())])
    .key("table", "table", |bloat| &bloat.table)
    .label("relname")
    .key("index", "index", |bloat| bloat.index.clone())
    .label("indexrelname")
    .column("bytes", "size", Unit::Bytes, |bloat| bloat.bytes)
    .column("bloat_bytes", "of that, bloat", Unit::Bytes, |bloat| bloat.bloat_bytes)
    .gauge("bloat_bytes", "About so much smaller a table, or its index, would be if it were written anew.")
    .done()
}

pub fn indexes(report: &Report) -> Section {
    Section::observed("indexes", &report.operations.indexes)
        .top(Top::By("bytes"))
        .shown(Shown::InData)
        .labels(vec![("datname", report.database.clone()), ("schemaname", report.schema.clone())])
        .key("table", "table", |index| &index.table)
        .label("relname")
        .key("index", "index", |index| &index.index)
        .label("indexrelname")
        .key("constraint", "", |index| index.constraint)
        .column("bytes", "size", Unit::Bytes, |index| index.bytes)
        .null("unknown")
        .gauge("index_size_bytes", "Bytes on disk.")
        .column("scans", "scans", Unit::None, |index| index.scans)
        .null("unknown")
        .counter("index_scans_total", "Times that the index was read.")
        .hidden("unique", |index| index.unique)
        .column("valid", "valid", Unit::None, |index| index.valid)
        .gauge("index_valid", "Whether queries may use the index.")
        .done()
}

pub fn redundant_indexes(report: &Report) -> Section {
    let title = "redundant indexes (verify expects those in the schema: only drop the others)";
    Section::observed(title, &report.operations.redundant_indexes)
        .top(Top::By("bytes"))
        .key("table", "table", |index| &index.table)
        .key("index", "index", |index| &index.index)
        .column("in_schema", "in the schema", Unit::None, |index| index.in_schema)
        .column("bytes", "size", Unit::Bytes, |index| index.bytes)
        .null("unknown")
        .column("how", "is a", Unit::None, |index| index.how.as_str())
        .column("by", "of", Unit::None, |index| &index.by)
        .done()
}

pub fn unused_indexes(report: &Report) -> Section {
    index_names("unused indexes", &report.operations.unused_indexes)
}

pub fn invalid_indexes(report: &Report) -> Section {
    index_names("invalid indexes", &report.operations.invalid_indexes)
}

fn index_names(title: &'static str, indexes: &Observation<Vec<IndexName>>) -> Section {
    Section::observed(title, indexes)
        .top(Top::By("bytes"))
        .key("table", "table", |index| &index.table)
        .key("index", "index", |index| &index.index)
        .column("bytes", "size", Unit::Bytes, |index| index.bytes)
        .null("unknown")
        .done()
}

pub fn unindexed_foreign_keys(report: &Report) -> Section {
    Section::observed("foreign keys without an index", &report.operations.unindexed_foreign_keys)
        .key("table", "table", |key| &key.table)
        .key("constraint", "foreign key", |key| &key.constraint)
        .column("columns", "columns", Unit::None, |key| key.columns.clone())
        .done()
}

pub fn long_transactions(report: &Report) -> Section {
    Section::observed("transactions over 60 s", &report.operations.long_transactions)
        .key("pid", "process", |long| long.pid)
        .column("role", "role", Unit::None, |long| &long.role)
        .column("application", "application", Unit::None, |long| &long.application)
        .column("state", "state", Unit::None, |long| &long.state)
        .column("seconds", "open for", Unit::Seconds, |long| long.seconds)
        .done()
}

pub fn partitions(report: &Report) -> Section {
    Section::observed("partitions", &report.operations.partitions)
        .shown(Shown::InData)
        .key("table", "table", |partition| &partition.table)
        .key("name", "partition", |partition| &partition.name)
        .column("from", "from", Unit::None, |partition| partition.from)
        .column("to", "to", Unit::None, |partition| partition.to)
        .hidden("default", |partition| partition.default)
        .column("rows", "rows, estimated", Unit::None, |partition| partition.rows)
        .null("unknown")
        .column("bytes", "size", Unit::Bytes, |partition| partition.bytes)
        .done()
}

pub fn shards(report: &Report) -> Section {
    Section::observed("parts of distributed tables", &report.operations.shards)
        .labels(vec![("datname", report.database.clone()), ("schemaname", report.schema.clone())])
        .key("table", "table", |shard| &shard.table)
        .label("relname")
        .key("shard", "part", |shard| shard.shard)
        .label("shard")
        .key("node", "node", |shard| &shard.node)
        .label("node")
        .column("available", "available", Unit::None, |shard| shard.available)
        .gauge("shard_available", "Whether the node answers and has the part.")
        .column("rows", "rows, estimated", Unit::None, |shard| shard.rows)
        .null("unknown")
        .gauge("shard_rows", "Rows of a part of a distributed table, estimated.")
        .column("bytes", "size", Unit::Bytes, |shard| shard.bytes)
        .null("unknown")
        .gauge("shard_size_bytes", "Bytes on disk of a part of a distributed table.")
        .column("share", "of the table", Unit::Share, |shard| shard.share)
        .null("unknown")
        .done()
}

pub fn blocked_sessions(report: &Report) -> Section {
    let blockers = |pids: &[i32]| pids.iter().map(ToString::to_string).collect::<Vec<_>>();
    Section::observed("blocked sessions", &report.operations.blocked_sessions)
        .key("pid", "process", |blocked| blocked.pid)
        .column("role", "role", Unit::None, |blocked| &blocked.role)
        .column("application", "application", Unit::None, |blocked| &blocked.application)
        .column("blocked_by", "waits for", Unit::None, |blocked| blockers(&blocked.blocked_by))
        .column("seconds", "since", Unit::Seconds, |blocked| blocked.seconds)
        .done()
}
