//! The tables that are written in bulk: their columns, once, and what stands in a column that a new row leaves out.
//!
//! The defaults are the columns' own. They have to be said here because COPY gives a default only to a column that no
//! row of the statement has; a test compares each with the server's.

use chrono::{DateTime, Utc};
use diesel::dsl::SqlTypeOf;
use diesel::prelude::*;
use diesel::sql_types::IntoNullable;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::binary::{Batch, Field, TooLong};
use super::{Ingest, Place, ids, sealed};
use crate::enums::{EventSeverity, MetricType};
use crate::models::{
    AgentMetric, Event, NewAgentMetric, NewEvent, NewQualityMetric, NewResourceMetric, QualityMetric, ResourceMetric,
};
use crate::schema;

/// The type of a column.
type Of<Column> = SqlTypeOf<Column>;

/// The type of a column, null allowed.
type NullableOf<Column> = <SqlTypeOf<Column> as IntoNullable>::Nullable;

/// Declares a table: its new and its whole row; the column that the id takes its time from, if it takes one; the
/// temporary table that stands in for it; the columns behind the id, each with the default that a new row may leave it
/// to.
macro_rules! ingested {
    ($($table:ident takes $new:ident, $row:ident $(by $time:ident)?, staged in $staging:ident {
        $($column:ident $(or $default:ident)?,)+
    })+) => {$(
        mod $staging {
            use diesel::pg::CopyFormat;
            use diesel::prelude::*;

            use crate::ingest::{Place, binary};
            use crate::schema::$table;

            // Named as the target of COPY and for nothing else: the server gives the columns their types.
            diesel::table! {
                pg_temp.$staging (id) {
                    id -> diesel::sql_types::Binary,
                    $($column -> diesel::sql_types::Binary,)+
                }
            }

            pub(super) fn copy(conn: &mut PgConnection, into: Place, rows: &[u8]) -> QueryResult<usize> {
                match into {
                    Place::Table => diesel::copy_from($table::table)
                        .from_raw_data(($table::id, $($table::$column),+), |sink| binary::write(sink, rows))
                        .with_format(CopyFormat::Binary)
                        .execute(conn),
                    Place::Staging => diesel::copy_from($staging::table)
                        .from_raw_data(($staging::id, $($staging::$column),+), |sink| binary::write(sink, rows))
                        .with_format(CopyFormat::Binary)
                        .execute(conn),
                }
            }
        }

        ingested!(@row $new, $table, $staging, ($($time)?), $($column)+);
        ingested!(@row $row, $table, $staging, ($($time)?), $($column)+);

        impl sealed::Row for $new {
            fn put(&self, id: Uuid, now: DateTime<Utc>, batch: &mut Batch) -> Result<(), TooLong> {
                batch.push(Self::COLUMNS.len(), |out| {
                    Field::<Of<schema::$table::id>>::put(&id, out)?;
                    $(ingested!(@put self, now, out, schema::$table::$column, $column $(or $default)?);)+
                    Ok(())
                })
            }

            fn fill(&mut self, now: DateTime<Utc>) {
                $($(self.$column.get_or_insert_with(|| $default(now));)?)+
            }

            fn copy(conn: &mut PgConnection, into: Place, rows: &[u8]) -> QueryResult<usize> {
                $staging::copy(conn, into, rows)
            }
        }

        impl sealed::Row for $row {
            fn put(&self, id: Uuid, _now: DateTime<Utc>, batch: &mut Batch) -> Result<(), TooLong> {
                batch.push(Self::COLUMNS.len(), |out| {
                    Field::<Of<schema::$table::id>>::put(&id, out)?;
                    $(Field::<Of<schema::$table::$column>>::put(&self.$column, out)?;)+
                    Ok(())
                })
            }

            fn fill(&mut self, _now: DateTime<Utc>) {}

            fn copy(conn: &mut PgConnection, into: Place, rows: &[u8]) -> QueryResult<usize> {
                $staging::copy(conn, into, rows)
            }
        }
    )+};
    (@row $type:ident, $table:ident, $staging:ident, ($($time:ident)?), $($column:ident)+) => {
        impl Ingest for $type {
            const TABLE: &'static str = stringify!($table);
            const COLUMNS: &'static [&'static str] = &["id", $(stringify!($column)),+];
            const STAGING: &'static str = stringify!($staging);

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
    (@put $self:ident, $now:ident, $out:ident, $type:ty, $column:ident) => {
        Field::<Of<$type>>::put(&$self.$column, $out)?
    };
    (@put $self:ident, $now:ident, $out:ident, $type:ty, $column:ident or $default:ident) => {
        match &$self.$column {
            Some(given) => Field::<NullableOf<$type>>::put(&Some(given), $out)?,
            None => Field::<NullableOf<$type>>::put(&Some($default($now)), $out)?,
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
    resource_metrics takes NewResourceMetric, ResourceMetric by timestamp, staged in ingest_resource_metrics {
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
    quality_metrics takes NewQualityMetric, QualityMetric by timestamp, staged in ingest_quality_metrics {
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
    agent_metrics takes NewAgentMetric, AgentMetric by recorded_at, staged in ingest_agent_metrics {
        agent_id,
        metric_name,
        metric_value,
        metric_type or gauge,
        tags or empty_object,
        recorded_at or at_once,
    }
    events takes NewEvent, Event, staged in ingest_events {
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
