//! The operator's view: sizes, upkeep, indexes, other sessions. What an administrator looks at first.
//!
//! Harmless by construction: it reads, it waits 50 ms at most for a lock, and what it may not see or cannot get at is
//! [`Probe::Skipped`] with the reason. It never says that something is well which it has not looked at.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text, Timestamptz};
use serde::Serialize;

use super::attempt;
use crate::error::{Doing, Result};
use crate::layer::{self, Layer};
use crate::raw::{Sql, raw, sql, sql_query};

/// Transactions open for longer than this are told, in seconds.
pub const LONG_TRANSACTION_SECONDS: f64 = 60.0;

/// Statistics younger than this, in days, say nothing about an index that was never used.
pub const VERDICT_DAYS: f64 = 7.0;

/// Most sessions that a list names.
const MOST_SESSIONS: usize = 20;

/// A table without statistics is counted when it is smaller than this, in bytes.
const SMALL: i64 = 1024 * 1024;

/// The tables that samples keep coming into, each with the column that holds their time.
const TIME_SERIES: [(&str, &str); 3] =
    [("agent_metrics", "recorded_at"), ("resource_metrics", "timestamp"), ("quality_metrics", "timestamp")];

/// What was found, or why nobody looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Probe<T> {
    /// Looked at.
    Done {
        /// What was there.
        found: T,
    },
    /// Not looked at.
    Skipped {
        /// Why not.
        reason: String,
    },
}

impl<T> Probe<T> {
    /// What was found; `None` when nobody looked.
    pub const fn found(&self) -> Option<&T> {
        match self {
            Self::Done { found } => Some(found),
            Self::Skipped { .. } => None,
        }
    }

    /// Why nobody looked; `None` when somebody did.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Done { .. } => None,
            Self::Skipped { reason } => Some(reason),
        }
    }

    fn map<U>(self, change: impl FnOnce(T) -> U) -> Probe<U> {
        match self {
            Self::Done { found } => Probe::Done { found: change(found) },
            Self::Skipped { reason } => Probe::Skipped { reason },
        }
    }

    fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped { reason: reason.into() }
    }
}

impl<T> From<std::result::Result<T, String>> for Probe<T> {
    fn from(attempt: std::result::Result<T, String>) -> Self {
        match attempt {
            Ok(found) => Self::Done { found },
            Err(reason) => Self::Skipped { reason },
        }
    }
}

/// One table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// Its layer.
    pub layer: Layer,
    /// Its name.
    pub table: &'static str,
    /// Its rows; `None` when nobody knows.
    pub rows: Option<i64>,
    /// Where `rows` comes from.
    pub rows_are: RowsAre,
    /// Bytes on disk in all; `None` when it could not be measured.
    pub total_bytes: Option<i64>,
    /// Bytes of the rows themselves.
    pub heap_bytes: Option<i64>,
    /// Bytes of the indexes.
    pub index_bytes: Option<i64>,
    /// Bytes of what is stored out of line.
    pub toast_bytes: Option<i64>,
    /// Rows that a vacuum would remove, estimated.
    pub dead_rows: i64,
    /// Times that it was read from end to end.
    pub seq_scans: i64,
    /// Times that one of its indexes was read.
    pub index_scans: i64,
    /// Blocks of it that were found in the cache.
    pub blocks_hit: i64,
    /// Blocks of it that had to be read.
    pub blocks_read: i64,
    /// Last vacuum, by hand or automatic, UTC.
    pub last_vacuum: Option<DateTime<Utc>>,
    /// Last analyze, by hand or automatic, UTC.
    pub last_analyze: Option<DateTime<Utc>>,
    /// Why something about it is not known.
    pub skipped: Option<String>,
}

/// Where a number of rows comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowsAre {
    /// The planner's estimate: as many rows a page as at the last vacuum or analyze, in the pages of today.
    Estimated,
    /// A count.
    Exact,
    /// Nowhere: there is no estimate, and nobody counted.
    Unknown,
}

impl RowsAre {
    /// Its name in every format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Estimated => "estimated",
            Self::Exact => "exact",
            Self::Unknown => "unknown",
        }
    }
}

/// How the database is doing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operations {
    /// The migrations.
    pub migrations: Probe<Migrations>,
    /// Since when the server has counted.
    pub statistics: Probe<Statistics>,
    /// The cache, over all tables of ours.
    pub cache: Cache,
    /// Every index.
    pub indexes: Probe<Vec<Index>>,
    /// Indexes that another one makes superfluous.
    pub redundant_indexes: Probe<Vec<Redundant>>,
    /// Indexes that nobody has used, unique ones and those of constraints aside. Skipped while the statistics are
    /// younger than [`VERDICT_DAYS`].
    pub unused_indexes: Probe<Vec<IndexName>>,
    /// Indexes that a failed or unfinished build left behind.
    pub invalid_indexes: Probe<Vec<IndexName>>,
    /// Foreign keys that no index begins with.
    pub unindexed_foreign_keys: Probe<Vec<ForeignKey>>,
    /// Age in seconds of the oldest transaction of another session; 0 without any.
    pub oldest_transaction_seconds: Probe<f64>,
    /// How many transactions are open for longer than [`LONG_TRANSACTION_SECONDS`].
    pub long_transaction_count: Probe<usize>,
    /// The oldest twenty of them.
    pub long_transactions: Probe<Vec<LongTransaction>>,
    /// How many sessions wait for another one's lock.
    pub blocked_session_count: Probe<usize>,
    /// Twenty of them.
    pub blocked_sessions: Probe<Vec<BlockedSession>>,
    /// The newest sample of each table that samples keep coming into; `None` without any.
    pub newest_samples: Vec<NewestSample>,
}

/// How the migrations stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Migrations {
    /// How many are applied.
    pub applied: usize,
    /// Names of those that are not.
    pub pending: Vec<String>,
    /// Versions that this code does not know.
    pub unknown: Vec<String>,
}

/// Since when the server has counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistics {
    /// Last reset of the statistics; where there was none, the first migration.
    pub since: DateTime<Utc>,
    /// How long ago, in seconds.
    pub age_seconds: f64,
}

/// How often a block was found in the cache.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cache {
    /// Blocks that were there.
    pub blocks_hit: i64,
    /// Blocks that had to be read.
    pub blocks_read: i64,
    /// The share that was there, from 0 to 1; `None` when nothing was asked for.
    pub hit_ratio: Option<f64>,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Index {
    /// Its table.
    pub table: String,
    /// Its name.
    pub index: String,
    /// Bytes on disk; `None` when somebody holds it.
    pub bytes: Option<i64>,
    /// How often it was read.
    pub scans: i64,
    /// Whether it allows a value once.
    pub unique: bool,
    /// Whether it belongs to a constraint.
    pub constraint: bool,
    /// Whether queries may use it.
    pub valid: bool,
}

/// An index by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexName {
    /// Its table.
    pub table: String,
    /// Its name.
    pub index: String,
    /// Bytes on disk; `None` when somebody holds it.
    pub bytes: Option<i64>,
}

/// An index that another one makes superfluous.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redundant {
    /// Its table.
    pub table: String,
    /// Its name.
    pub index: String,
    /// How the other one covers it.
    pub how: Redundancy,
    /// The other one.
    pub by: String,
    /// Bytes that would be free without it; `None` when somebody holds it.
    pub bytes: Option<i64>,
}

/// How one index covers another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Redundancy {
    /// It has the same columns.
    Duplicate,
    /// It begins with the same columns.
    Prefix,
}

impl Redundancy {
    /// Its name in every format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Prefix => "prefix",
        }
    }
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, QueryableByName)]
pub struct ForeignKey {
    /// The table that refers.
    #[diesel(sql_type = Text)]
    pub table: String,
    /// Its name.
    #[diesel(sql_type = Text)]
    #[diesel(column_name = "constraint_name")]
    pub constraint: String,
    /// The columns that refer.
    #[diesel(sql_type = Array<Text>)]
    pub columns: Vec<String>,
}

/// A transaction that has been open for long.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LongTransaction {
    /// The session's process on the server.
    pub pid: i32,
    /// Who.
    pub role: String,
    /// With which program.
    pub application: String,
    /// What the session does: `active`, `idle in transaction`.
    pub state: String,
    /// For how long, in seconds.
    pub seconds: f64,
}

/// A session that waits for another one's lock.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BlockedSession {
    /// Its process on the server.
    pub pid: i32,
    /// Who.
    pub role: String,
    /// With which program.
    pub application: String,
    /// The processes that it waits for.
    pub blocked_by: Vec<i32>,
    /// For how long its statement has run, in seconds.
    pub seconds: f64,
}

/// The newest sample of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewestSample {
    /// The table.
    pub table: &'static str,
    /// When it was taken, UTC; `None` when the table is empty.
    #[serde(flatten)]
    pub at: Probe<Option<DateTime<Utc>>>,
}

fn names() -> Vec<&'static str> {
    layer::tables().map(|(_, table)| table).collect()
}

/// Measures every table.
pub(super) fn tables(conn: &mut PgConnection, exact: bool) -> Result<Vec<Table>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = BigInt)]
        dead_rows: i64,
        #[diesel(sql_type = BigInt)]
        seq_scans: i64,
        #[diesel(sql_type = BigInt)]
        index_scans: i64,
        #[diesel(sql_type = BigInt)]
        blocks_hit: i64,
        #[diesel(sql_type = BigInt)]
        blocks_read: i64,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        last_vacuum: Option<DateTime<Utc>>,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        last_analyze: Option<DateTime<Utc>>,
    }
    let rows: Vec<Row> = sql_query(include_str!("tables.sql"))
        .bind::<Array<Text>, _>(names())
        .load(conn)
        .doing("read the statistics of the tables")?;
    let table = |(layer, table): (Layer, &'static str)| {
        let row = rows.iter().find(|row| row.name == table)?;
        Some(Table {
            layer,
            table,
            rows: None,
            rows_are: RowsAre::Unknown,
            total_bytes: None,
            heap_bytes: None,
            index_bytes: None,
            toast_bytes: None,
            dead_rows: row.dead_rows,
            seq_scans: row.seq_scans,
            index_scans: row.index_scans,
            blocks_hit: row.blocks_hit,
            blocks_read: row.blocks_read,
            last_vacuum: row.last_vacuum,
            last_analyze: row.last_analyze,
            skipped: None,
        })
    };
    let mut tables: Vec<Table> = layer::tables().filter_map(table).collect();
    measure(conn, &mut tables)?;
    count(conn, &mut tables, exact)?;
    Ok(tables)
}

#[derive(QueryableByName)]
struct Size {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = BigInt)]
    indexes: i64,
    #[diesel(sql_type = BigInt)]
    toast: i64,
    #[diesel(sql_type = Nullable<Double>)]
    estimate: Option<f64>,
}

/// All tables in one query; one by one where somebody holds one of them.
fn measure(conn: &mut PgConnection, tables: &mut [Table]) -> Result<()> {
    let all: Vec<_> = tables.iter().map(|table| table.table).collect();
    if let Ok(found) = attempt(conn, |conn| sizes(conn, all))? {
        for table in tables {
            table.take_size(&found);
        }
        return Ok(());
    }
    for table in tables {
        match attempt(conn, |conn| sizes(conn, vec![table.table]))? {
            Ok(found) => table.take_size(&found),
            Err(reason) => table.skipped = Some(reason),
        }
    }
    Ok(())
}

fn sizes(conn: &mut PgConnection, names: Vec<&str>) -> Result<Vec<Size>> {
    sql_query(include_str!("sizes.sql")).bind::<Array<Text>, _>(names).load(conn).doing("measure the tables")
}

impl Table {
    fn take_size(&mut self, sizes: &[Size]) {
        let Some(size) = sizes.iter().find(|size| size.name == self.table) else { return };
        self.total_bytes = Some(size.total);
        self.heap_bytes = Some(size.total - size.indexes - size.toast);
        self.index_bytes = Some(size.indexes);
        self.toast_bytes = Some(size.toast);
        if let Some(estimate) = size.estimate {
            #[expect(clippy::cast_possible_truncation, reason = "a number of rows; `as` stops at the greatest")]
            let rows = estimate as i64;
            (self.rows, self.rows_are) = (Some(rows), RowsAre::Estimated);
        }
    }

    /// A table that somebody holds is not waited for a second time.
    fn is_to_count(&self, exact: bool) -> bool {
        let is_small = self.rows_are == RowsAre::Unknown && self.heap_bytes.is_some_and(|bytes| bytes < SMALL);
        self.skipped.is_none() && (exact || is_small)
    }

    fn take_count(&mut self, rows: i64) {
        (self.rows, self.rows_are) = (Some(rows), RowsAre::Exact);
    }
}

/// Counts what is to be counted, in one query; one by one where one of the tables cannot be read.
fn count(conn: &mut PgConnection, tables: &mut [Table], exact: bool) -> Result<()> {
    let names: Vec<_> = tables.iter().filter(|table| table.is_to_count(exact)).map(|table| table.table).collect();
    if names.is_empty() {
        return Ok(());
    }
    if let Ok(found) = attempt(conn, |conn| counts(conn, &names))? {
        for table in tables {
            if let Some(counted) = found.iter().find(|counted| counted.name == table.table) {
                table.take_count(counted.rows);
            }
        }
        return Ok(());
    }
    for table in tables.iter_mut().filter(|table| names.contains(&table.table)) {
        match attempt(conn, |conn| counts(conn, &[table.table]))? {
            Ok(found) => found.iter().for_each(|counted| table.take_count(counted.rows)),
            Err(reason) => table.skipped = Some(reason),
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

fn counts(conn: &mut PgConnection, tables: &[&'static str]) -> Result<Vec<Counted>> {
    let select = |table: &&'static str| raw!("SELECT '{table}' AS name, count(*) AS rows FROM {table}", table = *table);
    let query = Sql::join(tables.iter().map(select), " UNION ALL ");
    sql_query(query).load(conn).doing("count the rows")
}

/// Looks at everything but the tables themselves.
pub(super) fn look(conn: &mut PgConnection, tables: &[Table], migrations: Probe<Migrations>) -> Result<Operations> {
    let statistics = Probe::from(attempt(conn, statistics)?);
    let indexes = indexes(conn)?;
    let activity = activity(conn)?;
    let long = |session: &&Session| session.seconds > LONG_TRANSACTION_SECONDS;
    let blocked = |session: &&Session| !session.blocked_by.is_empty();
    Ok(Operations {
        migrations,
        cache: Cache::of(tables),
        redundant_indexes: indexes.clone().map(|indexes| redundant(&indexes)),
        unused_indexes: unused(&indexes, &statistics),
        invalid_indexes: indexes.clone().map(|indexes| named(&indexes, |index| !index.is_valid)),
        indexes: indexes.map(|indexes| indexes.into_iter().map(IndexRow::into_index).collect()),
        statistics,
        unindexed_foreign_keys: attempt(conn, unindexed)?.into(),
        oldest_transaction_seconds: activity
            .clone()
            .map(|sessions| sessions.iter().map(|session| session.seconds).fold(0.0, f64::max)),
        long_transaction_count: activity.clone().map(|sessions| sessions.iter().filter(long).count()),
        long_transactions: activity
            .clone()
            .map(|sessions| sessions.iter().filter(long).take(MOST_SESSIONS).map(Session::as_long).collect()),
        blocked_session_count: activity.clone().map(|sessions| sessions.iter().filter(blocked).count()),
        blocked_sessions: activity
            .map(|sessions| sessions.iter().filter(blocked).take(MOST_SESSIONS).map(Session::as_blocked).collect()),
        newest_samples: newest_samples(conn)?,
    })
}

impl Cache {
    fn of(tables: &[Table]) -> Self {
        let blocks_hit = tables.iter().map(|table| table.blocks_hit).sum();
        let blocks_read = tables.iter().map(|table| table.blocks_read).sum();
        let asked: i64 = blocks_hit + blocks_read;
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let hit_ratio = (asked > 0).then(|| blocks_hit as f64 / asked as f64);
        Self { blocks_hit, blocks_read, hit_ratio }
    }
}

/// The server does not say when it began to count before the first reset: then it is not later than our first table.
fn statistics(conn: &mut PgConnection) -> Result<Statistics> {
    let since = "coalesce(
        (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()),
        (SELECT min(run_on) AT TIME ZONE 'UTC' FROM __diesel_schema_migrations),
        pg_postmaster_start_time())";
    let (since, age_seconds) = diesel::select((
        sql::<Timestamptz>(since),
        sql::<Double>(raw!("extract(epoch FROM clock_timestamp() - {since})::float8", since)),
    ))
    .get_result(conn)
    .doing("ask since when the statistics are kept")?;
    Ok(Statistics { since, age_seconds })
}

#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
struct IndexRow {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    bytes: Option<i64>,
    #[diesel(sql_type = BigInt)]
    scans: i64,
    #[diesel(sql_type = Bool)]
    is_unique: bool,
    #[diesel(sql_type = Bool)]
    is_valid: bool,
    #[diesel(sql_type = Bool)]
    is_constraint: bool,
    #[diesel(sql_type = Bool)]
    is_needed: bool,
    /// Access method and condition: only indexes of one kind can stand in for each other.
    #[diesel(sql_type = Text)]
    kind: String,
    /// Column or expression, operator class, collation and order of each key.
    #[diesel(sql_type = Array<Text>)]
    keys: Vec<String>,
}

impl IndexRow {
    fn into_index(self) -> Index {
        Index {
            table: self.table,
            index: self.name,
            bytes: self.bytes,
            scans: self.scans,
            unique: self.is_unique,
            constraint: self.is_constraint,
            valid: self.is_valid,
        }
    }

    /// Whether queries, and the rules that this index upholds, would not miss it for the other one.
    fn is_covered_by(&self, other: &Self) -> bool {
        let may_cover = other.name != self.name && other.table == self.table && other.kind == self.kind;
        if self.is_constraint || self.is_needed || !may_cover || !other.is_valid {
            return false;
        }
        if other.keys == self.keys {
            // Of two that are the same one stays: a constraint's, a unique one, the first by name.
            return other.worth() > self.worth() || (other.worth() == self.worth() && other.name < self.name);
        }
        !self.is_unique && self.kind.starts_with("btree ") && other.keys.starts_with(&self.keys)
    }

    const fn worth(&self) -> (bool, bool) {
        (self.is_constraint, self.is_unique)
    }
}

fn indexes(conn: &mut PgConnection) -> Result<Probe<Vec<IndexRow>>> {
    let load = |conn: &mut PgConnection, sizes: bool| {
        sql_query(include_str!("indexes.sql"))
            .bind::<Array<Text>, _>(names())
            .bind::<Bool, _>(sizes)
            .load(conn)
            .doing("look at the indexes")
    };
    if let Ok(found) = attempt(conn, |conn| load(conn, true))? {
        return Ok(Probe::Done { found });
    }
    Ok(attempt(conn, |conn| load(conn, false))?.into())
}

fn redundant(indexes: &[IndexRow]) -> Vec<Redundant> {
    let redundant = |index: &IndexRow| {
        // The best reason first: the same columns, a rule, few columns.
        let by = indexes
            .iter()
            .filter(|other| index.is_covered_by(other))
            .min_by_key(|other| (other.keys.len(), !other.is_constraint, !other.is_unique, other.name.clone()))?;
        let how = if by.keys == index.keys { Redundancy::Duplicate } else { Redundancy::Prefix };
        Some(Redundant {
            table: index.table.clone(),
            index: index.name.clone(),
            how,
            by: by.name.clone(),
            bytes: index.bytes,
        })
    };
    indexes.iter().filter_map(redundant).collect()
}

fn unused(indexes: &Probe<Vec<IndexRow>>, statistics: &Probe<Statistics>) -> Probe<Vec<IndexName>> {
    let statistics = match statistics {
        Probe::Done { found } => found,
        Probe::Skipped { reason } => return Probe::skipped(reason),
    };
    let days = statistics.age_seconds / 86_400.0;
    if days < VERDICT_DAYS {
        return Probe::skipped(format!("the statistics are {days:.1} days old: no verdict before {VERDICT_DAYS}"));
    }
    let is_unused = |index: &IndexRow| index.scans == 0 && index.is_valid && !index.is_unique && !index.is_constraint;
    indexes.clone().map(|indexes| named(&indexes, is_unused))
}

fn named(indexes: &[IndexRow], is: impl Fn(&IndexRow) -> bool) -> Vec<IndexName> {
    let name =
        |index: &IndexRow| IndexName { table: index.table.clone(), index: index.name.clone(), bytes: index.bytes };
    indexes.iter().filter(|index| is(index)).map(name).collect()
}

fn unindexed(conn: &mut PgConnection) -> Result<Vec<ForeignKey>> {
    sql_query(include_str!("foreign_keys.sql"))
        .bind::<Array<Text>, _>(names())
        .load(conn)
        .doing("look at the foreign keys")
}

#[derive(Debug, Clone, PartialEq, QueryableByName)]
struct Session {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Text)]
    application: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Double)]
    seconds: f64,
    #[diesel(sql_type = Array<Integer>)]
    blocked_by: Vec<i32>,
    #[diesel(sql_type = Nullable<Double>)]
    blocked_seconds: Option<f64>,
}

impl Session {
    fn as_long(&self) -> LongTransaction {
        LongTransaction {
            pid: self.pid,
            role: self.role.clone(),
            application: self.application.clone(),
            state: self.state.clone(),
            seconds: self.seconds,
        }
    }

    fn as_blocked(&self) -> BlockedSession {
        BlockedSession {
            pid: self.pid,
            role: self.role.clone(),
            application: self.application.clone(),
            blocked_by: self.blocked_by.clone(),
            seconds: self.blocked_seconds.unwrap_or_default(),
        }
    }
}

/// Without the right the server shows other roles' sessions as if they did nothing, which must not pass for calm.
fn activity(conn: &mut PgConnection) -> Result<Probe<Vec<Session>>> {
    let may: bool = diesel::select(sql::<Bool>("pg_has_role('pg_read_all_stats', 'USAGE')"))
        .get_result(conn)
        .doing("ask for the rights of the role")?;
    if !may {
        return Ok(Probe::skipped("needs the role pg_monitor or pg_read_all_stats"));
    }
    let load = |conn: &mut PgConnection| {
        sql_query(include_str!("activity.sql")).load(conn).doing("look at the other sessions")
    };
    Ok(attempt(conn, load)?.into())
}

fn newest_samples(conn: &mut PgConnection) -> Result<Vec<NewestSample>> {
    let newest = |(table, column): (&'static str, &'static str)| {
        let query = raw!("(SELECT max(\"{column}\")::timestamptz FROM {table})", column, table);
        let at = attempt(conn, |conn| {
            diesel::select(sql::<Nullable<Timestamptz>>(&query))
                .get_result(conn)
                .doing(format!("look for the newest row of {table}"))
        })?;
        Ok(NewestSample { table, at: at.into() })
    };
    TIME_SERIES.into_iter().map(newest).collect()
}
