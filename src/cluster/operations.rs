//! What Citus does to its nodes, asked for by name: a worker added, shards spread anew, a customer on a shard of its own.

use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use serde::Serialize;
use uuid::Uuid;

use super::error::Error;
use super::facts;
use crate::catalog::HotTable;
use crate::error::{Doing, Result};
use crate::raw::{RunSql, Sql, raw, sql, sql_query};

/// How often a rebalance is asked how far it is.
const POLL: Duration = Duration::from_millis(500);

/// What is done to the nodes; nothing where it has no statements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// What for.
    pub does: String,
    /// What is sent to the coordinator.
    pub statements: Vec<Sql>,
    /// The shards that are moved.
    pub moves: Vec<Move>,
}

/// A shard that goes from one node to another, with those that are co-located.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, QueryableByName)]
pub struct Move {
    /// The table.
    #[diesel(sql_type = Text)]
    pub table: String,
    /// The shard's number.
    #[diesel(sql_type = BigInt)]
    pub shard: i64,
    /// Its size.
    #[diesel(sql_type = BigInt)]
    pub bytes: i64,
    /// The node that has it: `host:port`.
    #[diesel(sql_type = Text)]
    pub from: String,
    /// The node that gets it.
    #[diesel(sql_type = Text)]
    pub to: String,
}

/// How far a rebalance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many moves are done.
    pub done: i64,
    /// How many there are.
    pub of: i64,
}

impl Operation {
    fn new(does: impl Into<String>, statements: Vec<Sql>) -> Self {
        Self { does: does.into(), statements, moves: Vec::new() }
    }

    fn run(&self, conn: &mut PgConnection) -> Result<()> {
        let ran = self.statements.iter().try_for_each(|statement| conn.batch(statement));
        Ok(ran.map_err(|source| Error::Refused { doing: self.does.clone(), source })?)
    }
}

/// Adds a node; nothing where it is one already. Shards come to it with [`rebalance`].
///
/// # Errors
///
/// [`Error::Refused`] when Citus does not take it; those of [`Error`] that say what the cluster lacks.
pub fn add_worker(conn: &mut PgConnection, host: &str, port: u16, is_dry: bool) -> Result<Operation> {
    let is_there =
        facts::nodes(conn)?.iter().any(|node| node.host == host && node.port == i64::from(port) && node.active);
    let add = raw!("SELECT citus_add_node({host}, {port})", host = Sql::literal(host), port = u32::from(port));
    let operation = Operation::new(format!("add the worker {host}:{port}"), if is_there { vec![] } else { vec![add] });
    if !is_dry {
        operation.run(conn)?;
    }
    Ok(operation)
}

/// Spreads the shards over the nodes, beside readers and writers. Citus does it in the background: a run that is
/// interrupted leaves it going, and the next one waits for its end.
///
/// # Errors
///
/// [`Error::Refused`] when Citus does not begin, [`Error::NotRebalanced`] when it does not end well.
pub fn rebalance(conn: &mut PgConnection, is_dry: bool, mut observer: impl FnMut(Progress)) -> Result<Operation> {
    facts::fit_nodes(conn)?;
    let mut operation = Operation::new("move shards until all nodes have as much", Vec::new());
    operation.moves = moves(conn)?;
    if !operation.moves.is_empty() {
        operation.statements.push("SELECT citus_rebalance_start()".into());
    }
    if is_dry {
        return Ok(operation);
    }
    let running = job(conn)?;
    if running.is_none() {
        operation.run(conn)?;
    }
    if let Some(id) = running.map_or_else(|| job(conn), |id| Ok(Some(id)))? {
        wait(conn, id, &mut observer)?;
    }
    Ok(operation)
}

/// The moves that the rebalance would make.
pub(super) fn moves(conn: &mut PgConnection) -> Result<Vec<Move>> {
    sql_query(
        "SELECT table_name::text AS \"table\", shardid AS shard, shard_size::bigint AS bytes,
             sourcename || ':' || sourceport AS \"from\", targetname || ':' || targetport AS \"to\"
         FROM get_rebalance_table_shards_plan()",
    )
    .load(conn)
    .doing("ask which shards would be moved")
}

/// The background job that is under way.
fn job(conn: &mut PgConnection) -> Result<Option<i64>> {
    let under_way = "(SELECT max(job_id) FROM pg_catalog.pg_dist_background_job
                      WHERE job_type = 'rebalance' AND state NOT IN ('finished', 'cancelled', 'failed'))";
    diesel::select(sql::<Nullable<BigInt>>(under_way)).get_result(conn).doing("ask for the rebalance")
}

fn wait(conn: &mut PgConnection, id: i64, observer: &mut dyn FnMut(Progress)) -> Result<()> {
    #[derive(QueryableByName)]
    struct Job {
        #[diesel(sql_type = Text)]
        state: String,
        #[diesel(sql_type = Bool)]
        is_over: bool,
        #[diesel(sql_type = BigInt)]
        done: i64,
        #[diesel(sql_type = BigInt)]
        tasks: i64,
    }
    loop {
        let job: Job = sql_query(
            "SELECT j.state::text AS state, j.state IN ('finished', 'cancelled', 'failed') AS is_over,
                 count(*) FILTER (WHERE t.status = 'done') AS done, count(*) AS tasks
             FROM pg_catalog.pg_dist_background_job j
             LEFT JOIN pg_catalog.pg_dist_background_task t USING (job_id)
             WHERE job_id = $1 GROUP BY j.job_id",
        )
        .bind::<BigInt, _>(id)
        .get_result(conn)
        .doing("ask how far the rebalance is")?;
        observer(Progress { done: job.done, of: job.tasks });
        match (job.is_over, job.state.as_str()) {
            (true, "finished") => return Ok(()),
            (true, state) => return Err(Error::NotRebalanced(state.to_owned()).into()),
            _ => std::thread::sleep(POLL),
        }
    }
}

/// Gives the rows of a customer shards of their own, beside readers and writers; nothing where they have them.
///
/// # Errors
///
/// [`Error::NotDistributed`], [`Error::NoCustomer`], [`Error::Refused`].
pub fn isolate(conn: &mut PgConnection, customer: Uuid, is_dry: bool) -> Result<Operation> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        is_customer: bool,
        #[diesel(sql_type = Nullable<Bool>)]
        is_alone: Option<bool>,
    }
    facts::fit_nodes(conn)?;
    let table = HotTable::EVENTS.name;
    let query = raw!(
        "SELECT EXISTS (SELECT FROM customers WHERE id = {customer}) AS is_customer,
             (SELECT shardminvalue = shardmaxvalue FROM pg_catalog.pg_dist_shard
              WHERE logicalrelid = '{table}'::regclass
                AND worker_hash({customer}::uuid) BETWEEN shardminvalue::int AND shardmaxvalue::int) AS is_alone",
        customer,
        table
    );
    let found: Found = sql_query(query).get_result(conn).doing("see where the customer's rows are")?;
    let is_alone = found.is_alone.ok_or(Error::NotDistributed)?;
    if !found.is_customer {
        return Err(Error::NoCustomer(customer).into());
    }
    let isolate = raw!("SELECT isolate_tenant_to_new_shard('{table}', {customer}, 'CASCADE')", table, customer);
    let does = format!("give customer {customer} shards of its own");
    let operation = Operation::new(does, if is_alone { vec![] } else { vec![isolate] });
    if !is_dry {
        operation.run(conn)?;
    }
    Ok(operation)
}
