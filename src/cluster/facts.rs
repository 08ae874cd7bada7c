//! What is there: the cluster's nodes and their versions, and what the catalog does not hold of the tables.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text};

use super::error::Error;
use crate::catalog::{self, HOT_TABLES, Node};
use crate::error::{Doing, Result};
use crate::partitions::{self, Live};
use crate::raw::sql_query;

/// Tables of at least so many bytes are moved beside their writers, smaller ones while those wait for a moment.
const LARGE: i64 = 32 << 20;
/// The oldest Citus that this was tried with is 13; those before 12 copy neither roles nor publications.
const OLDEST_CITUS: u32 = 12;

/// What the catalog does not hold.
#[derive(Debug, QueryableByName)]
pub(super) struct Facts {
    /// Indexes that are made for keys of the distributed tables: those that are ready, and those that are not.
    #[diesel(sql_type = Array<Text>)]
    pub built: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    pub broken: Vec<String>,
    /// The tables whose rows are moved beside their writers.
    #[diesel(sql_type = Array<Text>)]
    pub large: Vec<String>,
    #[diesel(sql_type = Text)]
    pub wal_level: String,
    /// The database's name, quoted.
    #[diesel(sql_type = Text)]
    pub database: String,
    #[diesel(sql_type = Bool)]
    pub owns_database: bool,
    /// Whether the settings of a transaction reach the workers, for every new session.
    #[diesel(sql_type = Bool)]
    pub propagates: bool,
    #[diesel(sql_type = Bool)]
    pub has_topology: bool,
}

/// What was chosen when the tables were distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub(super) struct Topology {
    #[diesel(sql_type = Integer)]
    pub shards: i32,
    /// Whether it is done.
    #[diesel(sql_type = Bool)]
    pub is_done: bool,
}

impl Facts {
    pub fn read(conn: &mut PgConnection) -> Result<Self> {
        let names: Vec<_> = HOT_TABLES.iter().map(|hot| hot.name).collect();
        sql_query(include_str!("facts.sql"))
            .bind::<Array<Text>, _>(names)
            .bind::<BigInt, _>(LARGE)
            .get_result(conn)
            .doing("read what belongs to the hot tables")
    }

    pub fn topology(&self, conn: &mut PgConnection) -> Result<Option<Topology>> {
        if !self.has_topology {
            return Ok(None);
        }
        let query = "SELECT shards, done_at IS NOT NULL AS is_done FROM __optiinfra_topology";
        sql_query(query).get_result(conn).optional().doing("read how the tables are distributed")
    }
}

/// The nodes of a cluster that is fit to be changed: every one answers, and has the coordinator's versions.
pub(super) fn fit_nodes(conn: &mut PgConnection) -> Result<Vec<Node>> {
    let nodes = nodes(conn)?;
    let silent: Vec<_> = nodes.iter().filter(|node| !node.active || !node.synced).map(Node::address).collect();
    if !silent.is_empty() {
        return Err(Error::Unhealthy(silent.iter().map(|node| format!("{node} is not in use")).collect()).into());
    }
    versions(conn)?;
    connections(conn)?;
    if !nodes.iter().any(|node| node.takes_shards) {
        return Err(Error::NoWorkers.into());
    }
    Ok(nodes)
}

/// The nodes, as the coordinator of a cluster knows them.
pub(super) fn nodes(conn: &mut PgConnection) -> Result<Vec<Node>> {
    let nodes = catalog::nodes(conn)?;
    if nodes.is_empty() {
        let has_citus = "SELECT count(*) AS count FROM pg_extension WHERE extname = 'citus'";
        let error = if count(conn, has_citus)? == 0 { Error::NoExtension } else { Error::CoordinatorUnknown };
        return Err(error.into());
    }
    if count(conn, "SELECT groupid::bigint AS count FROM pg_catalog.pg_dist_local_group")? != 0 {
        return Err(Error::NotCoordinator.into());
    }
    if !nodes.iter().any(|node| node.coordinator) {
        return Err(Error::CoordinatorUnknown.into());
    }
    Ok(nodes)
}

fn count(conn: &mut PgConnection, query: &'static str) -> Result<i64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    sql_query(query).get_result(conn).map(|Count { count }| count).doing("ask what this node is")
}

/// Every node answers, with the same versions of Citus and PostgreSQL.
fn versions(conn: &mut PgConnection) -> Result<()> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Text)]
        node: String,
        #[diesel(sql_type = Bool)]
        success: bool,
        #[diesel(sql_type = Nullable<Text>)]
        result: Option<String>,
    }
    let answers: Vec<Answer> = sql_query(
        "SELECT n.nodename || ':' || n.nodeport AS node, r.success, r.result
         FROM run_command_on_all_nodes(
             $$SELECT 'Citus ' || extversion || ' on PostgreSQL ' || current_setting('server_version_num')::int / 10000
               FROM pg_extension WHERE extname = 'citus'$$
         ) r JOIN pg_catalog.pg_dist_node n USING (nodeid)
         ORDER BY n.groupid",
    )
    .load(conn)
    .doing("ask the nodes for their versions")?;
    let silent: Vec<_> = answers
        .iter()
        .filter(|answer| !answer.success)
        .map(|answer| format!("{}: {}", answer.node, answer.result.as_deref().unwrap_or("no answer").trim()))
        .collect();
    if !silent.is_empty() {
        return Err(Error::Unhealthy(silent).into());
    }
    let result = |answer: &Answer| answer.result.clone().unwrap_or_default();
    let first = answers.first().map(result).unwrap_or_default();
    let major = first.strip_prefix("Citus ").and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    if answers.iter().any(|answer| result(answer) != first) || major.is_none_or(|major| major < OLDEST_CITUS) {
        return Err(
            Error::Versions(answers.iter().map(|it| format!("{} has {}", it.node, result(it))).collect()).into()
        );
    }
    Ok(())
}

/// Every node reaches every other.
fn connections(conn: &mut PgConnection) -> Result<()> {
    #[derive(QueryableByName)]
    struct Pair {
        #[diesel(sql_type = Text)]
        pair: String,
    }
    let query =
        "SELECT format('%s:%s does not reach %s:%s', from_nodename, from_nodeport, to_nodename, to_nodeport) AS pair
                 FROM citus_check_cluster_node_health() WHERE result IS NOT TRUE";
    let broken: Vec<Pair> = sql_query(query).load(conn).doing("ask the nodes whether they reach each other")?;
    if broken.is_empty() {
        Ok(())
    } else {
        Err(Error::Unhealthy(broken.into_iter().map(|it| it.pair).collect()).into())
    }
}

/// Everything that a plan is made from.
pub(super) struct State {
    pub live: Live,
    /// In the order of the hot tables.
    pub of_tables: Vec<partitions::Facts>,
    pub managed_by_partman: Vec<String>,
    pub facts: Facts,
    pub topology: Option<Topology>,
    pub nodes: Vec<Node>,
}

impl State {
    pub fn read(conn: &mut PgConnection) -> Result<Self> {
        let nodes = fit_nodes(conn)?;
        let (live, facts) = (Live::read(conn)?, Facts::read(conn)?);
        let topology = facts.topology(conn)?;
        let of_tables = HOT_TABLES.iter().map(|hot| partitions::Facts::read(conn, hot)).collect::<Result<_>>()?;
        let managed_by_partman = partitions::managed_by_partman(conn, &live)?;
        Ok(Self { live, of_tables, managed_by_partman, facts, topology, nodes })
    }

    /// How many nodes may have rows.
    pub fn workers(&self) -> usize {
        self.nodes.iter().filter(|node| node.takes_shards).count()
    }
}
