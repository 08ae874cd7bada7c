//! The tables that are written in bulk: their columns, once, and what a column holds that a new row leaves out.
//!
//! The defaults are the columns' own. They are repeated here because COPY gives a default only to a column that no
//! row of the statement has; a test compares each with the server's.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::batch::{Batch, Encode as _, TooLong};
use super::table::Table;
use super::{Ingest, ids, sealed};
use crate::enums::{EventSeverity, MetricType};
use crate::models::{
    AgentMetric, Event, NewAgentMetric, NewEvent, NewQualityMetric, NewResourceMetric, QualityMetric, ResourceMetric,
};

/// Declares a table: its new and its whole row; the column that the id takes its time from, if it takes one; the column
/// by which two rows are the same; its staging table; the columns after the id, each with the
/// default that a new row may leave it to.
macro_rules! ingested {
    ($($constant:ident = $table:ident takes $new:ident, $row:ident $(by $time:ident)?, keyed by $key:ident, staged in $staging:ident {
        $($column:ident $(or $default:ident)?,)+
    })+) => {$(
        pub(crate) static $constant: Table = Table {
            name: stringify!($table),
            columns: &["id", $(stringify!($column)),+],
            staging: stringify!($staging),
            key: stringify!($key),
            copy_rows: $staging::copy,
        };

        mod $staging {
            use diesel::pg::CopyFormat;
            use diesel::prelude::*;

            use crate::ingest::batch;
            use crate::ingest::table::Destination;
            use crate::schema::$table;

            // Named as the target of COPY and for nothing else: the server gives the columns their types.
            diesel::table! {
                pg_temp.$staging (id) {
                    id -> diesel::sql_types::Binary,
                    $($column -> diesel::sql_types::Binary,)+
                }
            }

            pub(super) fn copy(conn: &mut PgConnection, into: Destination, rows: &[u8]) -> QueryResult<usize> {
                match into {
                    Destination::Table => diesel::copy_from($table::table)
                        .from_raw_data(($table::id, $($table::$column),+), |sink| batch::write_rows(sink, rows))
                        .with_format(CopyFormat::Binary)
                        .execute(conn),
                    Destination::Staging => diesel::copy_from($staging::table)
                        .from_raw_data(($staging::id, $($staging::$column),+), |sink| batch::write_rows(sink, rows))
                        .with_format(CopyFormat::Binary)
                        .execute(conn),
                }
            }
        }

        ingested!(@row $new, $constant, $table, ($($time)?), $($column)+);
        ingested!(@row $row, $constant, $table, ($($time)?), $($column)+);

        impl sealed::Row for $new {
            fn table() -> &'static Table {
                &$constant
            }

            fn put(&self, id: Uuid, now: DateTime<Utc>, batch: &mut Batch) -> Result<(), TooLong> {
                batch.push(Self::COLUMNS.len(), |out| {
                    id.encode(out)?;
                    $(ingested!(@put self, now, out, $column $(or $default)?);)+
                    Ok(())
                })
            }

            fn fill(&mut self, now: DateTime<Utc>) {
                $($(self.$column.get_or_insert_with(|| $default(now));)?)+
            }
        }

        impl sealed::Row for $row {
            fn table() -> &'static Table {
                &$constant
            }

            fn put(&self, id: Uuid, _now: DateTime<Utc>, batch: &mut Batch) -> Result<(), TooLong> {
                batch.push(Self::COLUMNS.len(), |out| {
                    id.encode(out)?;
                    $(self.$column.encode(out)?;)+
                    Ok(())
                })
            }

            fn fill(&mut self, _now: DateTime<Utc>) {}
        }
    )+};
    (@row $type:ident, $constant:ident, $table:ident, ($($time:ident)?), $($column:ident)+) => {
        impl Ingest for $type {
            const TABLE: &'static str = stringify!($table);
            const COLUMNS: &'static [&'static str] = &["id", $(stringify!($column)),+];

            fn new_id(&self, now: DateTime<Utc>) -> Uuid {
                ingested!(@id self, now, sample_id(), row_id(), $($time)?)
            }

            fn id_of(&self, key: &[u8], now: DateTime<Utc>) -> Uuid {
                ingested!(@id self, now, sample_id_of(key), row_id_of(key), $($time)?)
            }

            fn id(&self) -> Option<Uuid> {
                Option::from(self.id)
            }

            fn set_id(&mut self, id: Uuid) {
                self.id = From::from(id);
            }
        }
    };
    (@put $self:ident, $now:ident, $out:ident, $column:ident) => { $self.$column.encode($out)? };
    (@put $self:ident, $now:ident, $out:ident, $column:ident or $default:ident) => {
        match &$self.$column {
            Some(given) => given.encode($out)?,
            None => $default($now).encode($out)?,
        }
    };
    (@id $self:ident, $now:ident, $timed:ident($($key:ident)?), $untimed:ident($($same:ident)?), $time:ident) => {
        ids::$timed(Option::from($self.$time).unwrap_or($now) $(, $key)?)
    };
    (@id $self:ident, $now:ident, $timed:ident($($key:ident)?), $untimed:ident($($same:ident)?),) => {{
        let _ = $now;
        ids::$untimed($($same)?)
    }};
}

ingested! {
    RESOURCE_METRICS = resource_metrics takes NewResourceMetric, ResourceMetric by timestamp, keyed by id, staged in ingest_resource_metrics {
        agent_id,
        customer_id,
        instance_id,
        resource_type,
        metric_name,
        metric_value,
        unit,
        timestamp,
        metadata or empty_object,
        created_at or at_once,
    }
    QUALITY_METRICS = quality_metrics takes NewQualityMetric, QualityMetric by timestamp, keyed by request_id, staged in ingest_quality_metrics {
        agent_id,
        customer_id,
        request_id,
        model_name,
        model_version,
        prompt_tokens,
        completion_tokens,
        latency_ms,
        relevance_score,
        coherence_score,
        factuality_score,
        hallucination_detected or not,
        toxicity_score,
        overall_quality_score,
        timestamp,
        metadata or empty_object,
        created_at or at_once,
    }
    AGENT_METRICS = agent_metrics takes NewAgentMetric, AgentMetric by recorded_at, keyed by id, staged in ingest_agent_metrics {
        agent_id,
        metric_name,
        metric_value,
        metric_type or gauge,
        tags or empty_object,
        recorded_at or at_once,
    }
    EVENTS = events takes NewEvent, Event, keyed by id, staged in ingest_events {
        customer_id,
        agent_id,
        event_type,
        severity or info,
        data or empty_object,
        created_at or at_once,
    }
}

pub(crate) fn at_once(now: DateTime<Utc>) -> DateTime<Utc> {
    now
}

pub(crate) fn empty_object(_: DateTime<Utc>) -> Value {
    Value::Object(Map::new())
}

fn not(_: DateTime<Utc>) -> bool {
    false
}

pub(crate) fn gauge(_: DateTime<Utc>) -> MetricType {
    MetricType::Gauge
}

fn info(_: DateTime<Utc>) -> EventSeverity {
    EventSeverity::Info
}
