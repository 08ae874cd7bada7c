//! The layers: one query each (the `.sql` file of its name), which returns one JSON object with the fields of its struct.
//!
//! Of the tables that grow without end only the newest rows are read, so that a report takes no longer in a year than
//! today.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::{BigInt, Bytea, Nullable, Timestamptz, Uuid as SqlUuid};
use serde::de::DeserializeOwned;

use super::observation::{Observation, Unavailable, observe};
use super::{Application, Core, Options, Resource, Skipped, Table, WorkflowHistory};
use crate::error::{Doing, Result};
use crate::raw::{bytes_of, raw, sql_query};

/// What the layers hold, and which of them could not be read.
#[derive(Default)]
pub(super) struct Layers {
    pub core: Core,
    pub workflow_history: WorkflowHistory,
    pub resource: Resource,
    pub application: Application,
    pub samples_since: Option<DateTime<Utc>>,
    pub answers_since: Option<DateTime<Utc>>,
    pub skipped: Vec<Skipped>,
}

/// A query for a layer, and the one that finds when the newest rows begin of its table that grows without end.
struct Query {
    part: &'static str,
    summary: &'static str,
    /// What the summary calls `newest`.
    newest_by_customer: Option<OfShapes>,
    newest: Option<OfShapes>,
}

/// Two questions that are the same: the faster one, and the one that a distributed table answers too.
type OfShapes = (&'static str, &'static str);

const fn of_shape((fast, of_parts): OfShapes, is_distributed: bool) -> &'static str {
    if is_distributed { of_parts } else { fast }
}

const CORE: Query = Query { part: "core", summary: include_str!("core.sql"), newest_by_customer: None, newest: None };
const WORKFLOW_HISTORY: Query =
    Query { part: "workflow_history", summary: include_str!("workflow_history.sql"), ..CORE };
const RESOURCE: Query = Query {
    part: "resource",
    summary: include_str!("resource.sql"),
    newest_by_customer: Some((include_str!("newest_by_customer.sql"), include_str!("newest_by_customer_of_parts.sql"))),
    newest: Some((include_str!("newest_samples.sql"), include_str!("newest_samples_of_parts.sql"))),
};
const APPLICATION: Query = Query {
    part: "application",
    summary: include_str!("application.sql"),
    newest_by_customer: None,
    newest: Some((include_str!("newest_answers.sql"), include_str!("newest_answers_of_parts.sql"))),
};

/// Reads all layers, unless the schema is older than their queries.
pub(super) fn read(
    conn: &mut PgConnection,
    options: &Options,
    pending: &[String],
    is_distributed: bool,
) -> Result<Layers> {
    let mut reader = Reader { conn, options, pending, is_distributed, skipped: Vec::new() };
    let (core, _) = reader.read(&CORE)?;
    let (workflow_history, _) = reader.read(&WORKFLOW_HISTORY)?;
    let (resource, samples_since) = reader.read(&RESOURCE)?;
    let (application, answers_since) = reader.read(&APPLICATION)?;
    let skipped = reader.skipped;
    Ok(Layers { core, workflow_history, resource, application, samples_since, answers_since, skipped })
}

struct Reader<'a> {
    conn: &'a mut PgConnection,
    options: &'a Options,
    pending: &'a [String],
    is_distributed: bool,
    skipped: Vec<Skipped>,
}

impl Reader<'_> {
    /// The layer, and when the rows begin that were read of its table that grows without end.
    fn read<T: DeserializeOwned + Default>(&mut self, query: &Query) -> Result<(T, Option<DateTime<Utc>>)> {
        let observation = if self.pending.is_empty() {
            let doing = || format!("summarise the {} layer", query.part);
            observe(self.conn, |conn| summary(conn, self.options, query, self.is_distributed).doing(doing()))?
        } else {
            Observation::Skipped { reason: Unavailable::Behind { pending: self.pending.to_vec() } }
        };
        Ok(match observation {
            Observation::Done { found } => found,
            Observation::Skipped { reason } => {
                self.skipped.push(Skipped { part: query.part, reason });
                (T::default(), self.options.since)
            }
        })
    }
}

fn summary<T: DeserializeOwned>(
    conn: &mut PgConnection,
    options: &Options,
    query: &Query,
    is_distributed: bool,
) -> QueryResult<(T, Option<DateTime<Utc>>)> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bytea)]
        summary: Vec<u8>,
    }
    // Bytes that are no text are replaced below.
    let bytes = raw!(
        "{with} SELECT {bytes} AS summary FROM ({summary}) AS layer",
        with = query.newest_by_customer.map_or("".into(), |newest| {
            raw!("WITH newest AS ({newest})", newest = of_shape(newest, is_distributed))
        }),
        bytes = bytes_of("summary::text"),
        summary = query.summary
    );
    let mut bound = sql_query(bytes)
        .into_boxed()
        .bind::<Nullable<SqlUuid>, _>(options.customer)
        .bind::<Nullable<Timestamptz>, _>(options.since);
    let mut begin = options.since;
    if let Some(newest) = query.newest {
        begin = begin.max(begin_of_newest(conn, options, of_shape(newest, is_distributed))?);
        bound = bound.bind::<Nullable<Timestamptz>, _>(begin);
    }
    let row: Row = bound.get_result(conn)?;
    let text = String::from_utf8_lossy(&row.summary);
    let found = serde_json::from_str(&text).map_err(|error| DieselError::DeserializationError(error.into()))?;
    Ok((found, begin))
}

/// When the newest rows begin; `None` when there are no others.
fn begin_of_newest(
    conn: &mut PgConnection,
    options: &Options,
    query: &'static str,
) -> QueryResult<Option<DateTime<Utc>>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Timestamptz)]
        begin: DateTime<Utc>,
    }
    if options.exact {
        return Ok(None);
    }
    let row: Option<Row> = sql_query(query)
        .bind::<Nullable<SqlUuid>, _>(options.customer)
        .bind::<BigInt, _>(options.newest)
        .get_result(conn)
        .optional()?;
    Ok(row.map(|row| row.begin))
}

impl Layers {
    /// Tells the tables how many of their rows were read here.
    pub(super) fn reconcile(&self, tables: &mut [Table], options: &Options) {
        let is_read = |part| self.skipped.iter().all(|skipped| skipped.part != part);
        let of_all = options.customer.is_none();
        let ever = of_all && options.since.is_none();
        let count = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
        let resource = &self.resource;
        let application = &self.application;
        for (table, part, is_all, seen) in [
            ("customers", CORE.part, of_all, count(self.core.customers.len())),
            ("agents", CORE.part, true, count(self.core.agents.len())),
            (
                "workflow_executions",
                WORKFLOW_HISTORY.part,
                ever,
                self.workflow_history.workflows.iter().map(|workflows| workflows.count).sum(),
            ),
            (
                "resource_metrics",
                RESOURCE.part,
                of_all && self.samples_since.is_none(),
                resource.metrics.iter().map(|metrics| metrics.count).sum(),
            ),
            ("scaling_events", RESOURCE.part, ever, resource.scaling_events.iter().map(|events| events.count).sum()),
            (
                "quality_metrics",
                APPLICATION.part,
                of_all && self.answers_since.is_none(),
                application.quality.iter().map(|quality| quality.answers).sum(),
            ),
            (
                "quality_regressions",
                APPLICATION.part,
                ever,
                application.regressions.iter().map(|found| found.open + found.resolved).sum(),
            ),
        ] {
            if let Some(table) = tables.iter_mut().find(|found| found.table == table).filter(|_| is_read(part)) {
                table.take_seen(seen, is_all);
            }
        }
    }
}
