//! Distributed tables: whether each part is where it belongs and is made as the table is, and what no foreign key holds.
//!
//! There are no such checks where the hot tables are on one server.

use std::collections::{BTreeMap, BTreeSet};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use serde::Deserialize;
use serde_json::{Value, json};

use super::row_access::{Answer, RowAccess, Unavailable};
use super::{Check, Finding};
use crate::catalog::{self, Catalog, HOT_TABLES, HotTable, Node, ask_nodes, contract, read_nodes};
use crate::error::Result;
use crate::layer::Layer;
use crate::raw::{Sql, raw, sql, sql_query};

/// How many rows a check shows.
const SAMPLES: usize = 5;

const NODES: (&str, &str) = ("nodes", "every node of the cluster is in use, knows the tables, and answers");
const PLACEMENTS: (&str, &str) = ("placements", "every part of a distributed table is on its node");
const COLOCATION: (&str, &str) =
    ("colocation", "the parts of the hot tables that have a customer's rows are on one node");
const SHARDS: (&str, &str) =
    ("shards", "every part has the columns, keys, valid indexes, row security and policies of its table");
const BALANCE: (&str, &str) = ("balance", "every node that may have parts has some");

/// Makes the checks, if the hot tables are distributed.
///
/// # Errors
///
/// Only when the transaction cannot go on.
pub(super) fn checks(conn: &mut PgConnection, access: &RowAccess, found: &Catalog) -> Result<Vec<Check>> {
    if !found.is_distributed() {
        return Ok(Vec::new());
    }
    let cluster = match access.query(conn, Cluster::read)? {
        Ok(cluster) => cluster,
        Err(unavailable) => return Ok(skipped(found, &reason(unavailable)).collect()),
    };
    let mut checks =
        vec![cluster.nodes(), cluster.placements(), cluster.colocation(found), cluster.shards(), cluster.balance()];
    for hot in &HOT_TABLES {
        checks.push(orphans(conn, access, hot)?);
    }
    Ok(checks)
}

/// The same checks where they cannot be made.
pub(super) fn skipped(found: &Catalog, reason: &str) -> impl Iterator<Item = Check> {
    let of_cluster = [NODES, PLACEMENTS, COLOCATION, SHARDS, BALANCE].map(check);
    let all = of_cluster.into_iter().chain(HOT_TABLES.iter().map(orphan_check));
    all.filter(|_| found.is_distributed()).map(move |check| check.skipped(reason))
}

fn check((word, title): (&str, &str)) -> Check {
    Check::new(format!("cluster.{word}"), None, "docs/scale.md", title.to_owned())
}

fn reason(unavailable: Unavailable) -> String {
    match unavailable {
        Unavailable::Skipped(reason) => reason,
        Unavailable::Refused(message) => format!("the server refused the question: {message}"),
    }
}

/// Where a part of a table is.
#[derive(QueryableByName)]
struct Placement {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = BigInt)]
    shard: i64,
    /// The least hash of its rows.
    #[diesel(sql_type = Nullable<Text>)]
    begins: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    node: Option<String>,
}

/// What a table, or a part of one, is made of.
#[derive(Deserialize)]
struct Made {
    table: String,
    shard: Option<i64>,
    lines: Vec<String>,
}

struct Cluster {
    nodes: Vec<Node>,
    placements: Vec<Placement>,
    /// As the coordinator has the tables.
    tables: Vec<Made>,
    answers: Vec<catalog::Answer<Made>>,
}

impl Cluster {
    fn read(conn: &mut PgConnection) -> QueryResult<Self> {
        let schema: String = diesel::select(sql::<Text>("quote_ident(current_schema())")).get_result(conn)?;
        let schema = Sql::literal(&schema);
        let nodes = read_nodes(conn)?;
        let placements = sql_query(
            "SELECT l.relname::text AS \"table\", s.shardid AS shard, s.shardminvalue AS begins,
                 n.nodename || ':' || n.nodeport AS node
             FROM pg_catalog.pg_dist_shard s
             JOIN pg_class l ON l.oid = s.logicalrelid
             LEFT JOIN pg_catalog.pg_dist_placement p ON p.shardid = s.shardid
             LEFT JOIN pg_catalog.pg_dist_node n ON n.groupid = p.groupid AND n.noderole = 'primary'
             WHERE l.relnamespace = quote_ident(current_schema())::regnamespace
             ORDER BY s.shardid",
        )
        .load(conn)?;
        let made = |relations: Sql| {
            raw!("WITH relation AS ({relations}) {MADE}", relations, MADE = include_str!("shards.sql"))
        };
        let tables = made(raw!(
            "SELECT l.relname::text AS \"table\", NULL::bigint AS shard, l.oid, {schema} AS schema
             FROM pg_catalog.pg_dist_partition d JOIN pg_class l ON l.oid = d.logicalrelid
             WHERE l.relnamespace = {schema}::regnamespace AND d.partmethod = 'h'",
            schema = &schema
        ));
        let shards = made(raw!(
            "SELECT l.relname::text AS \"table\", s.shardid AS shard, c.oid, {schema} AS schema
             FROM pg_catalog.pg_dist_shard s
             JOIN pg_class l ON l.oid = s.logicalrelid
             JOIN pg_class c ON c.oid = to_regclass(shard_name(s.logicalrelid, s.shardid))
             WHERE l.relnamespace = {schema}::regnamespace",
            schema = &schema
        ));
        #[derive(QueryableByName)]
        struct Rows {
            #[diesel(sql_type = Text)]
            rows: String,
        }
        let query = raw!("SELECT coalesce(json_agg(r), '[]')::text AS rows FROM ({tables}) AS r", tables);
        let tables: Rows = sql_query(query).get_result(conn)?;
        let unreadable = |error: serde_json::Error| diesel::result::Error::DeserializationError(error.into());
        let tables = serde_json::from_str(&tables.rows).map_err(unreadable)?;
        Ok(Self { nodes, placements, tables, answers: ask_nodes(conn, &shards)? })
    }

    fn nodes(&self) -> Check {
        let mut findings = Vec::new();
        for node in &self.nodes {
            let mut problem = |problem: &str| findings.push(Finding::new(format!("node {}", node.address()), problem));
            if !node.active {
                problem("is not in use");
            }
            if !node.synced {
                problem("does not know the tables");
            }
        }
        for answer in &self.answers {
            if let Err(words) = &answer.found {
                findings.push(Finding::new(format!("node {}", answer.node), format!("does not answer: {words}")));
            }
        }
        let answered = self.answers.iter().filter(|answer| answer.found.is_ok()).count();
        check(NODES).figures(self.nodes.len(), answered).findings(findings)
    }

    /// What a node says of the parts that it has; `None` where it does not answer.
    fn made_on(&self, node: &str) -> Option<&[Made]> {
        self.answers.iter().find(|answer| answer.node == node)?.found.as_deref().ok()
    }

    fn placements(&self) -> Check {
        let is_there = |shard: i64| move |made: &Made| made.shard == Some(shard);
        let problem = |Placement { shard, node, .. }: &Placement| match node {
            None => Some("is on no node".to_owned()),
            Some(node) if self.made_on(node).is_some_and(|made| !made.iter().any(is_there(*shard))) => {
                Some(format!("is not on {node}, where it should be"))
            }
            Some(_) => None,
        };
        let finding = |it: &Placement| Some(Finding::new(format!("shard {}_{}", it.table, it.shard), problem(it)?));
        let findings: Vec<_> = self.placements.iter().filter_map(finding).collect();
        let there = self.placements.len() - findings.len();
        check(PLACEMENTS).figures(self.placements.len(), there).findings(findings)
    }

    /// A question that joins two tables by customer is answered by one node only then.
    fn colocation(&self, found: &Catalog) -> Check {
        let mut findings = Vec::new();
        let of_customers = |hot: &&HotTable| hot.distributed_by() == "customer_id";
        let groups: BTreeSet<_> = HOT_TABLES
            .iter()
            .filter(of_customers)
            .filter_map(|hot| Some(found.distribution(hot.name)?.colocation))
            .collect();
        if groups.len() > 1 {
            findings.push(Finding::new("tables", format!("are in {} groups, and not in one", groups.len())));
        }
        let mut nodes_by_begin = BTreeMap::<_, BTreeSet<_>>::new();
        let of_hot = |placement: &&Placement| HotTable::named(&placement.table).as_ref().is_some_and(of_customers);
        for Placement { begins, node, .. } in self.placements.iter().filter(of_hot) {
            nodes_by_begin.entry(begins).or_default().extend(node);
        }
        for (begins, nodes) in nodes_by_begin.into_iter().filter(|(_, nodes)| nodes.len() > 1) {
            let nodes = nodes.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let begins = begins.as_deref().unwrap_or_default();
            findings.push(Finding::new("shards", format!("of the hash {begins} are on different nodes: {nodes}")));
        }
        check(COLOCATION).figures(1, groups.len()).findings(findings)
    }

    fn shards(&self) -> Check {
        let mut findings = Vec::new();
        let mut equal = 0;
        for (node, made) in
            self.answers.iter().flat_map(|answer| answer.found.iter().flatten().map(|it| (&answer.node, it)))
        {
            let Some(table) = self.tables.iter().find(|table| table.table == made.table) else { continue };
            let name = format!("shard {}_{} on {node}", made.table, made.shard.unwrap_or_default());
            let lacks = left_over(&table.lines, &made.lines).map(|line| format!("lacks {line}"));
            let has = left_over(&made.lines, &table.lines).map(|line| format!("has {line}, which the table has not"));
            let before = findings.len();
            findings.extend(lacks.chain(has).map(|problem| Finding::new(&name, problem)));
            equal += usize::from(findings.len() == before);
        }
        let all: usize = self.answers.iter().filter_map(|answer| Some(answer.found.as_ref().ok()?.len())).sum();
        check(SHARDS).figures(all, equal).findings(findings)
    }

    fn balance(&self) -> Check {
        let takes_shards = || self.nodes.iter().filter(|node| node.takes_shards && node.active);
        let has_some =
            |node: &&Node| self.placements.iter().any(|placement| placement.node.as_ref() == Some(&node.address()));
        let empty = |node: &Node| {
            Finding::new(format!("node {}", node.address()), "has no part of any table")
                .next_step("spread the parts over the nodes again")
        };
        check(BALANCE)
            .figures(takes_shards().count(), takes_shards().filter(has_some).count())
            .findings(takes_shards().filter(|node| !has_some(node)).map(empty).collect())
    }
}

/// The lines that the other list does not have, each as often as it lacks it.
fn left_over<'a>(lines: &'a [String], other: &'a [String]) -> impl Iterator<Item = &'a String> {
    let mut other: Vec<_> = other.iter().collect();
    lines.iter().filter(move |line| match other.iter().position(|it| it == line) {
        Some(at) => {
            other.swap_remove(at);
            false
        }
        None => true,
    })
}

fn orphan_check(hot: &HotTable) -> Check {
    let title = format!("{}: every row is of a customer and an agent that are there", hot.name);
    Check::new(format!("cluster.orphans.{}", hot.name), Layer::of_table(hot.name), "docs/scale.md", title)
}

#[derive(QueryableByName)]
struct Orphans {
    #[diesel(sql_type = BigInt)]
    rows: i64,
    #[diesel(sql_type = Array<Text>)]
    samples: Vec<String>,
}

/// The rows that the plain table's foreign keys do not allow.
fn orphans(conn: &mut PgConnection, access: &RowAccess, hot: &HotTable) -> Result<Check> {
    let check = orphan_check(hot);
    let mut findings = Vec::new();
    let mut rows = 0;
    for (_, key) in contract().foreign_keys().filter(|(constraint, _)| constraint.table == hot.name) {
        let (column, parent) = (key.columns.first().map_or("", String::as_str), key.references.as_str());
        if let Some(reason) = access.obstacle([hot.name, parent]) {
            return Ok(check.skipped(reason));
        }
        let query = raw!(
            "SELECT count(*) AS rows, coalesce((array_agg(t.id::text))[1:{SAMPLES}], '{{}}') AS samples
             FROM {table} t LEFT JOIN {parent} p ON p.id = t.{column} WHERE t.{column} IS NOT NULL AND p.id IS NULL",
            SAMPLES,
            table = hot.name,
            parent,
            column
        );
        let answer: Answer<Orphans> = access.query(conn, |conn| sql_query(query).get_result(conn))?;
        let found = match answer {
            Ok(found) => found,
            Err(unavailable) => return Ok(check.skipped(reason(unavailable))),
        };
        rows += found.rows;
        if found.rows > 0 {
            let problem =
                format!("{} rows have a {column} that is not in {parent}: {}", found.rows, found.samples.join(", "));
            findings.push(
                Finding::new(format!("table {}", hot.name), problem)
                    .next_step(format!("delete them, or put the row of {parent} back")),
            );
        }
    }
    Ok(check.figures(Value::from(0), json!(rows)).findings(findings))
}
