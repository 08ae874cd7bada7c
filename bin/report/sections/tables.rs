//! The database, its tables, and what could not be read.

use optiinfra_db::stats::{Report, RowsAre, Table};

use crate::report::section::{Section, Shown, Top, Unit, Value};

const UNKNOWN: &str = "unknown";

pub fn tables(report: &Report) -> Section {
    const SIZE: &str = "table_size_bytes";
    const SIZE_HELP: &str = "Bytes on disk.";
    let never = if report.standby { UNKNOWN } else { "never" };
    Section::of(title(report), &report.tables)
        .top(Top::All)
        .labels(vec![("datname", report.database.clone()), ("schemaname", report.schema.clone())])
        .key("layer", "layer", |table| table.layer.as_str())
        .key("table", "table", |table| table.table.to_owned())
        .label("relname")
        .column("rows", "rows", Unit::None, rows)
        .null(UNKNOWN)
        .gauge_with_kind("table_rows", "Rows, counted or as the planner estimates them.")
        .column("total_bytes", "size", Unit::Bytes, |table| table.total_bytes)
        .null(UNKNOWN)
        .column("heap_bytes", "heap", Unit::Bytes, |table| table.heap_bytes)
        .null(UNKNOWN)
        .gauge_with(SIZE, SIZE_HELP, "kind", "heap")
        .column("index_bytes", "indexes", Unit::Bytes, |table| table.index_bytes)
        .null(UNKNOWN)
        .gauge_with(SIZE, SIZE_HELP, "kind", "index")
        .column("toast_bytes", "toast", Unit::Bytes, |table| table.toast_bytes)
        .null(UNKNOWN)
        .gauge_with(SIZE, SIZE_HELP, "kind", "toast")
        .column("skipped", "skipped", Unit::None, |table| table.skipped.as_ref().map(ToString::to_string))
        .table("upkeep")
        .column("rows_are", "rows are", Unit::None, |table| table.rows_are.as_str())
        .column("dead_rows", "dead rows", Unit::None, |table| table.dead_rows)
        .null(UNKNOWN)
        .gauge("table_dead_rows_estimate", "Rows that a vacuum would remove.")
        .column("last_vacuum", "last vacuum", Unit::None, |table| table.last_vacuum)
        .null(never)
        .gauge("table_last_vacuum_timestamp_seconds", "Last vacuum, by hand or automatic.")
        .column("last_analyze", "last analyze", Unit::None, |table| table.last_analyze)
        .null(never)
        .gauge("table_last_analyze_timestamp_seconds", "Last analyze, by hand or automatic.")
        .column("seq_scans", "full scans", Unit::None, |table| table.seq_scans)
        .null(UNKNOWN)
        .counter("table_seq_scans_total", "Times that the table was read from end to end.")
        .column("index_scans", "index scans", Unit::None, |table| table.index_scans)
        .null(UNKNOWN)
        .hidden("blocks_hit", |table| table.blocks_hit)
        .counter(
            "table_blocks_hit_total",
            "Blocks of the table, its indexes and its toast that were found in the cache.",
        )
        .hidden("blocks_read", |table| table.blocks_read)
        .counter("table_blocks_read_total", "Blocks of the table, its indexes and its toast that had to be read.")
        .column("cache_hit_ratio", "cache hits", Unit::Share, cache_hit_ratio)
        .done()
}

fn rows(table: &Table) -> Value {
    match (table.rows, table.rows_are) {
        (Some(rows), RowsAre::Estimated) => Value::About(rows),
        (rows, _) => rows.into(),
    }
}

fn cache_hit_ratio(table: &Table) -> Option<f64> {
    let (hit, read) = (table.blocks_hit?, table.blocks_read?);
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    (hit + read > 0).then(|| hit as f64 / (hit + read) as f64)
}

/// The headline. What is not known is left out of the sum, and said to be.
fn title(report: &Report) -> String {
    let unknown = report.tables.iter().filter(|table| table.rows.is_none()).count();
    let is_estimate = report.tables.iter().any(|table| table.rows_are == RowsAre::Estimated);
    let sum: i64 = report.tables.iter().filter_map(|table| table.rows).sum();
    let about = if is_estimate { "about " } else { "" };
    let rows = match unknown {
        0 => format!("{about}{sum} rows"),
        _ if unknown == report.tables.len() => "number of rows unknown".to_owned(),
        _ => format!("at least {about}{sum} rows, those of {unknown} of {} tables unknown", report.tables.len()),
    };
    let note = if is_estimate { " (~ is an estimate, --exact counts)" } else { "" };
    format!("{} on PostgreSQL {}, {}: {rows}{note}", report.database, report.server_version, head(report))
}

/// The newest applied migration.
pub fn head(report: &Report) -> &str {
    match (&report.head, report.operations.migrations.found()) {
        (Some(head), _) => head,
        (None, Some(_)) => "no migration",
        (None, None) => "migrations unknown",
    }
}

pub fn skipped(report: &Report) -> Section {
    Section::of("skipped", &report.skipped)
        .column("part", "layer", Unit::None, |skipped| skipped.part)
        .column("reason", "reason", Unit::None, |skipped| skipped.reason.to_string())
        .done()
}

pub fn database(report: &Report) -> Section {
    Section::record("database", report)
        .shown(Shown::InData)
        .key("customer", "customer", |report| report.customer.map(|customer| customer.to_string()))
        .null("all")
        .column("database", "database", Unit::None, |report| &report.database)
        .column("schema", "schema", Unit::None, |report| &report.schema)
        .column("server_version", "PostgreSQL", Unit::None, |report| &report.server_version)
        .column("standby", "standby", Unit::None, |report| report.standby)
        .column("head", "newest migration", Unit::None, |report| report.head.clone())
        .null(UNKNOWN)
        .column("gathered_at", "time of the report", Unit::None, |report| report.gathered_at)
        .column("since", "since", Unit::None, |report| report.since)
        .null("all")
        .column("samples_since", "samples since", Unit::None, |report| report.samples_since)
        .null("all")
        .gauge(
            "resource_samples_since_timestamp_seconds",
            "Time of the oldest sample that was counted; not there when all were.",
        )
        .column("answers_since", "answers since", Unit::None, |report| report.answers_since)
        .null("all")
        .gauge(
            "quality_answers_since_timestamp_seconds",
            "Time of the oldest answer that was counted; not there when all were.",
        )
        .column("skipped", "skipped layers", Unit::None, |report| {
            report.skipped.iter().map(|skipped| skipped.part.to_owned()).collect::<Vec<_>>()
        })
        .done()
}
