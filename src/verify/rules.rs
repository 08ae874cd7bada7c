//! What has to be true of the rows although no constraint holds it.
//!
//! A rule about single rows is written as the CHECK constraint that could hold it: its rows are those of which the
//! condition is false, and the constraint is proposed with the finding. A rule about several rows is a query for the
//! ids of those that break it. One statement a layer, which reads each table once for all conditions on it. Nothing
//! is fixed here: what becomes of a wrong row is for somebody to decide who knows how it came about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};

use super::row_access::{Answer, RowAccess, Unavailable};
use super::{Check, Finding, fix};
use crate::catalog::{Catalog, Column, Object, contract};
use crate::error::{Result, plural};
use crate::layer::Layer;
use crate::raw::{Sql, raw, sql_query};

/// How many ids of wrong rows a check shows.
const SAMPLES: usize = 5;

/// How far a time may be ahead of the server's clock, because the clock of whoever wrote it may be.
const TOLERANCE: &str = "5 minutes";

/// The times that may lie in the future.
const AHEAD_BY_NATURE: [(&str, &str); 1] = [("quality_baselines", "valid_until")];

/// Something that has to be true of the rows.
struct Rule {
    /// Last part of the check's id.
    word: &'static str,
    layer: Layer,
    /// What has to be true.
    title: &'static str,
    /// What is wrong with a row that breaks it.
    problem: &'static str,
    parts: &'static [Part],
}

/// A rule, as far as one table is concerned.
enum Part {
    /// A condition on a single row, which a CHECK constraint could hold. Null is as good as true, as there.
    Each { table: &'static str, holds: &'static str },
    /// Rows that are wrong beside others.
    Among {
        /// The table whose ids the query returns.
        table: &'static str,
        /// The other tables that it reads.
        reads: &'static [&'static str],
        /// Returns the ids of the rows that break the rule, once each.
        sql: &'static str,
        /// Table, name and columns of a UNIQUE constraint that could hold it.
        unique: Option<(&'static str, &'static str, &'static [&'static str])>,
    },
    /// No time of the layer's rows is in the future. No constraint can hold it: it depends on the clock.
    Past,
}

use Part::{Among, Each, Past};

const RULES: &[Rule] = &[
    Rule {
        word: "recommendation_order",
        layer: Layer::Core,
        title: "a recommendation is approved before it is executed",
        problem: "executed before it was approved",
        parts: &[Each { table: "recommendations", holds: "executed_at >= approved_at" }],
    },
    Rule {
        word: "optimization_order",
        layer: Layer::Core,
        title: "an optimisation starts before it is completed or rolled back",
        problem: "completed or rolled back before it started",
        parts: &[Each { table: "optimizations", holds: "completed_at >= started_at AND rolled_back_at >= started_at" }],
    },
    Rule {
        word: "optimization_customer",
        layer: Layer::Core,
        title: "an optimisation is for the customer of its recommendation",
        problem: "its recommendation is another customer's",
        parts: &[Among {
            table: "optimizations",
            reads: &["recommendations"],
            sql: "SELECT o.id FROM optimizations o JOIN recommendations r ON r.id = o.recommendation_id
                WHERE r.customer_id <> o.customer_id",
            unique: None,
        }],
    },
    Rule {
        word: "core_future",
        layer: Layer::Core,
        title: "no time of the core layer is more than 5 minutes in the future",
        problem: "has a time more than 5 minutes in the future",
        parts: &[Past],
    },
    Rule {
        word: "agent_state_workflow",
        layer: Layer::AgentState,
        title: "the workflow that an agent has in hand is its own",
        problem: "its current workflow is another agent's",
        parts: &[Among {
            table: "agent_states",
            reads: &["workflow_executions"],
            sql: "SELECT s.id FROM agent_states s JOIN workflow_executions w ON w.id = s.current_workflow_id
                WHERE w.agent_id <> s.agent_id",
            unique: None,
        }],
    },
    Rule {
        word: "agent_metric_value",
        layer: Layer::AgentState,
        title: "the samples of the agents are finite, and counters not negative",
        problem: "is not a number, infinite, or a negative counter",
        parts: &[Each {
            table: "agent_metrics",
            holds: "metric_value > '-Infinity' AND metric_value < 'Infinity'
                AND (metric_type <> 'counter' OR metric_value >= 0)",
        }],
    },
    Rule {
        word: "agent_state_future",
        layer: Layer::AgentState,
        title: "no time of the agent_state layer is more than 5 minutes in the future",
        problem: "has a time more than 5 minutes in the future",
        parts: &[Past],
    },
    Rule {
        word: "workflow_order",
        layer: Layer::WorkflowHistory,
        title: "a workflow and a step start before they are completed",
        problem: "completed before it started",
        parts: &[
            Each { table: "workflow_executions", holds: "completed_at >= started_at" },
            Each { table: "workflow_steps", holds: "completed_at >= started_at" },
        ],
    },
    Rule {
        word: "workflow_open_steps",
        layer: Layer::WorkflowHistory,
        title: "a completed workflow has no step that is still to run",
        problem: "completed with a step that is pending, running or retrying",
        parts: &[Among {
            table: "workflow_executions",
            reads: &["workflow_steps"],
            sql: "SELECT w.id FROM workflow_executions w
                WHERE w.status = 'completed' AND EXISTS (
                    SELECT FROM workflow_steps s
                    WHERE s.workflow_execution_id = w.id AND s.status IN ('pending', 'running', 'retrying'))",
            unique: None,
        }],
    },
    Rule {
        word: "step_numbers",
        layer: Layer::WorkflowHistory,
        title: "the steps of a workflow are numbered from 1 without a gap",
        problem: "the numbers of its steps have a gap or do not begin with 1",
        parts: &[Among {
            table: "workflow_executions",
            reads: &["workflow_steps"],
            sql: "SELECT workflow_execution_id AS id FROM workflow_steps GROUP BY workflow_execution_id
                HAVING min(step_order) <> 1 OR max(step_order) <> count(DISTINCT step_order)",
            unique: None,
        }],
    },
    Rule {
        word: "step_duplicates",
        layer: Layer::WorkflowHistory,
        title: "no two steps of a workflow have the same number",
        problem: "two of its steps have the same number",
        parts: &[Among {
            table: "workflow_executions",
            reads: &["workflow_steps"],
            sql: "SELECT workflow_execution_id AS id FROM workflow_steps GROUP BY workflow_execution_id
                HAVING count(DISTINCT step_order) <> count(*)",
            unique: Some(("workflow_steps", "uq_workflow_step_order", &["workflow_execution_id", "step_order"])),
        }],
    },
    Rule {
        word: "step_retries",
        layer: Layer::WorkflowHistory,
        title: "a step is retried no more often than it may be",
        problem: "retried more often than it may be, or a negative number of times",
        parts: &[Each { table: "workflow_steps", holds: "retry_count BETWEEN 0 AND max_retries" }],
    },
    Rule {
        word: "artifact_step",
        layer: Layer::WorkflowHistory,
        title: "the step that an artifact comes from belongs to the same workflow",
        problem: "its step belongs to another workflow",
        parts: &[Among {
            table: "workflow_artifacts",
            reads: &["workflow_steps"],
            sql: "SELECT f.id FROM workflow_artifacts f JOIN workflow_steps s ON s.id = f.workflow_step_id
                WHERE s.workflow_execution_id <> f.workflow_execution_id",
            unique: None,
        }],
    },
    Rule {
        word: "artifact_size",
        layer: Layer::WorkflowHistory,
        title: "the size of an artifact is not negative",
        problem: "has a negative size",
        parts: &[Each { table: "workflow_artifacts", holds: "artifact_size_bytes >= 0" }],
    },
    Rule {
        word: "workflow_history_future",
        layer: Layer::WorkflowHistory,
        title: "no time of the workflow_history layer is more than 5 minutes in the future",
        problem: "has a time more than 5 minutes in the future",
        parts: &[Past],
    },
    Rule {
        word: "resource_metric_finite",
        layer: Layer::Resource,
        title: "the samples of the resources are finite",
        problem: "is not a number or infinite",
        parts: &[Each { table: "resource_metrics", holds: "metric_value > '-Infinity' AND metric_value < 'Infinity'" }],
    },
    Rule {
        word: "resource_metric_range",
        layer: Layer::Resource,
        title: "a GPU or CPU is used from 0 to 100 percent, and no quantity is negative",
        problem: "is out of the range of its unit",
        parts: &[Each {
            table: "resource_metrics",
            holds: "(unit <> 'percent' OR resource_type NOT IN ('gpu', 'cpu') OR metric_value BETWEEN 0 AND 100)
                AND (unit NOT IN ('GB', 'iops', 'Mbps') OR metric_value >= 0)",
        }],
    },
    Rule {
        word: "scaling_order",
        layer: Layer::Resource,
        title: "a scaling event begins before it is completed",
        problem: "completed before it was executed",
        parts: &[Each { table: "scaling_events", holds: "completed_at >= executed_at" }],
    },
    Rule {
        word: "scaling_customer",
        layer: Layer::Resource,
        title: "the workflow that led to a scaling event is the same customer's",
        problem: "its workflow is another customer's",
        parts: &[Among {
            table: "scaling_events",
            reads: &["workflow_executions"],
            sql: "SELECT e.id FROM scaling_events e JOIN workflow_executions w ON w.id = e.workflow_execution_id
                WHERE w.customer_id <> e.customer_id",
            unique: None,
        }],
    },
    Rule {
        word: "resource_future",
        layer: Layer::Resource,
        title: "no time of the resource layer is more than 5 minutes in the future",
        problem: "has a time more than 5 minutes in the future",
        parts: &[Past],
    },
    Rule {
        word: "quality_scores",
        layer: Layer::Application,
        title: "the scores of the answers and of the baselines are from 0 to 1",
        problem: "has a score that is not from 0 to 1",
        parts: &[
            Each {
                table: "quality_metrics",
                holds: "overall_quality_score BETWEEN 0 AND 1 AND relevance_score BETWEEN 0 AND 1
                    AND coherence_score BETWEEN 0 AND 1 AND factuality_score BETWEEN 0 AND 1
                    AND toxicity_score BETWEEN 0 AND 1",
            },
            Each {
                table: "quality_baselines",
                holds: "avg_overall_score BETWEEN 0 AND 1 AND avg_relevance_score BETWEEN 0 AND 1
                    AND avg_coherence_score BETWEEN 0 AND 1 AND avg_factuality_score BETWEEN 0 AND 1",
            },
        ],
    },
    Rule {
        word: "quality_latency",
        layer: Layer::Application,
        title: "latencies are finite and not negative",
        problem: "has a latency that is negative, not a number or infinite",
        parts: &[
            Each { table: "quality_metrics", holds: "latency_ms >= 0 AND latency_ms < 'Infinity'" },
            Each { table: "quality_baselines", holds: "p95_latency_ms >= 0 AND p95_latency_ms < 'Infinity'" },
        ],
    },
    Rule {
        word: "quality_tokens",
        layer: Layer::Application,
        title: "no number of tokens is negative",
        problem: "has a negative number of tokens",
        parts: &[Each { table: "quality_metrics", holds: "prompt_tokens >= 0 AND completion_tokens >= 0" }],
    },
    Rule {
        word: "sample_size",
        layer: Layer::Application,
        title: "a baseline and a regression rest on at least one answer",
        problem: "rests on no answer",
        parts: &[
            Each { table: "quality_baselines", holds: "sample_size > 0" },
            Each { table: "quality_regressions", holds: "sample_size > 0" },
        ],
    },
    Rule {
        word: "baseline_validity",
        layer: Layer::Application,
        title: "a baseline holds from when it was established",
        problem: "valid only until before it was established",
        parts: &[Each { table: "quality_baselines", holds: "valid_until >= established_at" }],
    },
    Rule {
        word: "regression_order",
        layer: Layer::Application,
        title: "a regression is detected before it is resolved",
        problem: "resolved before it was detected",
        parts: &[Each { table: "quality_regressions", holds: "resolved_at >= detected_at" }],
    },
    Rule {
        word: "regression_values",
        layer: Layer::Application,
        title: "the values of a regression are finite, and nothing falls by more than 100 percent",
        problem: "has a value that is not a number or infinite, or falls by more than 100 percent",
        parts: &[Each {
            table: "quality_regressions",
            holds: "baseline_value > '-Infinity' AND baseline_value < 'Infinity'
                AND current_value > '-Infinity' AND current_value < 'Infinity'
                AND delta_percent >= -100 AND delta_percent < 'Infinity'",
        }],
    },
    Rule {
        word: "regression_baseline",
        layer: Layer::Application,
        title: "the baseline of a regression is the same customer's",
        problem: "its baseline is another customer's",
        parts: &[Among {
            table: "quality_regressions",
            reads: &["quality_baselines"],
            sql: "SELECT r.id FROM quality_regressions r JOIN quality_baselines b ON b.id = r.baseline_id
                WHERE b.customer_id <> r.customer_id",
            unique: None,
        }],
    },
    Rule {
        word: "regression_workflow",
        layer: Layer::Application,
        title: "the workflow of a regression is the same customer's",
        problem: "its workflow is another customer's",
        parts: &[Among {
            table: "quality_regressions",
            reads: &["workflow_executions"],
            sql: "SELECT r.id FROM quality_regressions r JOIN workflow_executions w ON w.id = r.workflow_execution_id
                WHERE w.customer_id <> r.customer_id",
            unique: None,
        }],
    },
    Rule {
        word: "application_future",
        layer: Layer::Application,
        title: "no time of the application layer is more than 5 minutes in the future",
        problem: "has a time more than 5 minutes in the future",
        parts: &[Past],
    },
];

/// The rows of one table that break one rule.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
struct Broken {
    #[diesel(sql_type = Text)]
    rule: String,
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = BigInt)]
    rows: i64,
    /// Ids of some of them.
    #[diesel(sql_type = Array<Text>)]
    samples: Vec<String>,
    /// The values that break the rule, of the same rows; none where other rows have a part in it.
    #[diesel(sql_type = Array<Text>)]
    details: Vec<String>,
}

/// Makes the checks of every layer, as far as its tables can be read.
///
/// # Errors
///
/// Only when the transaction cannot go on.
pub(super) fn checks(conn: &mut PgConnection, access: &RowAccess, catalog: &Catalog) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    for layer in Layer::ALL {
        let is_readable = |rule: &&Rule| access.obstacle(rule.tables()).is_none();
        let rules = || RULES.iter().filter(move |rule| rule.layer == layer);
        let statement = statement(rules().filter(is_readable));
        let answer = match &statement {
            Some(statement) => access.query(conn, |conn| sql_query(statement).load(conn))?,
            None => Ok(Vec::new()),
        };
        checks.extend(rules().map(|rule| match access.obstacle(rule.tables()) {
            Some(reason) => rule.check().skipped(reason),
            None => judge(rule, &answer, catalog),
        }));
    }
    Ok(checks)
}

/// The same checks where none can be made.
pub(super) fn skipped(reason: &str) -> Vec<Check> {
    RULES.iter().map(|rule| rule.check().skipped(reason)).collect()
}

/// Whether this is a constraint that a rule proposes, or its index: whoever took the advice has no finding for it.
pub(super) fn is_proposed(object: &Object) -> bool {
    static PROPOSED: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let proposals = RULES.iter().flat_map(Rule::proposals);
        proposals.map(|proposal| format!("{}.{}", proposal.table, proposal.name)).collect()
    });
    matches!(object, Object::Constraint(_) | Object::Index(_)) && PROPOSED.contains(&object.name())
}

fn judge(rule: &Rule, answer: &Answer<Vec<Broken>>, catalog: &Catalog) -> Check {
    let check = rule.check();
    let broken = match answer {
        Ok(broken) => broken.iter().filter(|broken| broken.rule == rule.word),
        Err(Unavailable::Skipped(reason)) => return check.skipped(reason),
        // The schema's own check has the cause.
        Err(Unavailable::Refused(message)) => {
            return check.skipped(format!("the server refused the question: {message}"));
        }
    };
    let rows: i64 = broken.clone().map(|broken| broken.rows).sum();
    check.figures(0, rows).findings(broken.flat_map(|broken| findings(rule, broken, catalog)).collect())
}

fn findings(rule: &Rule, broken: &Broken, catalog: &Catalog) -> Vec<Finding> {
    let problem = |at: usize| match broken.details.get(at) {
        Some(values) => format!("{}: {values}", rule.problem),
        None => rule.problem.to_owned(),
    };
    let shown = broken.samples.iter().enumerate();
    let shown = shown.map(|(at, id)| Finding::new(format!("{} {id}", broken.table_name), problem(at)));
    let more = usize::try_from(broken.rows).unwrap_or_default().saturating_sub(broken.samples.len());
    let more =
        (more > 0).then(|| Finding::new(&broken.table_name, format!("{} more: {}", plural(more, "row"), rule.problem)));
    let proposal = rule.proposals().find(|proposal| proposal.concerns == broken.table_name);
    shown
        .chain(more)
        .map(|finding| match &proposal {
            Some(proposal) if proposal.is_there(catalog) => finding.next_step(proposal.to_step()),
            Some(proposal) => finding.prevent(Some(proposal.to_statement())),
            None => finding,
        })
        .collect()
}

/// A constraint that would hold a rule.
struct Proposal {
    /// The table whose rows break the rule.
    concerns: &'static str,
    /// The table that the constraint would be on.
    table: &'static str,
    name: String,
    demands: Demands,
}

/// What a proposed constraint demands.
enum Demands {
    /// This condition.
    Check(String),
    /// That no two rows have the same values in these columns.
    Unique(&'static [&'static str]),
}

impl Proposal {
    fn to_statement(&self) -> String {
        let (table, name) = (self.table, &self.name);
        match &self.demands {
            Demands::Check(condition) => {
                format!("ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID")
            }
            Demands::Unique(columns) => {
                let columns: Vec<_> = columns.iter().map(|column| (*column).to_owned()).collect();
                fix::sql::add_key(table, name, "UNIQUE", &columns, None)
            }
        }
    }

    /// Whether the database has it already. Rows that broke the rule before are still there.
    fn is_there(&self, catalog: &Catalog) -> bool {
        catalog.constraints().any(|constraint| constraint.table == self.table && constraint.name == self.name)
    }

    fn to_step(&self) -> String {
        let (table, name) = (self.table, &self.name);
        format!("{name} refuses new ones; correct this one, then ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    }
}

impl Rule {
    fn check(&self) -> Check {
        Check::new(format!("rules.{}", self.word), Some(self.layer), "integrity", self.title.to_owned())
    }

    /// The tables that it is about or reads.
    fn tables(&self) -> Vec<&'static str> {
        let of_part = |part: &Part| match part {
            Each { table, .. } => vec![*table],
            Among { table, reads, .. } => reads.iter().chain([table]).copied().collect(),
            Past => self.layer.tables().to_vec(),
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    /// The constraints that would hold it from now on. The rows that break it already are left as they are.
    fn proposals(&self) -> impl Iterator<Item = Proposal> {
        self.parts.iter().filter_map(|part| match part {
            Each { table, holds } => Some(Proposal {
                concerns: table,
                table,
                name: format!("check_{}", self.word),
                demands: Demands::Check(on_one_line(holds)),
            }),
            Among { table: concerns, unique: Some((table, name, columns)), .. } => {
                Some(Proposal { concerns, table, name: (*name).to_owned(), demands: Demands::Unique(columns) })
            }
            Among { .. } | Past => None,
        })
    }

    /// The conditions on single rows.
    fn conditions(&self) -> Vec<Condition> {
        let of_part = |part: &Part| match part {
            Each { table, holds } => {
                vec![Condition { word: self.word, table, holds: (*holds).into(), details: values(table, holds) }]
            }
            Among { .. } => vec![],
            Past => self.layer.tables().iter().filter_map(|table| in_the_past(self.word, table)).collect(),
        };
        self.parts.iter().flat_map(of_part).collect()
    }
}

/// What a rule demands of each row of a table.
struct Condition {
    word: &'static str,
    table: &'static str,
    holds: Sql,
    /// The values that matter, in words.
    details: Sql,
}

/// The columns that a condition names, with their values.
fn values(table: &'static str, condition: &'static str) -> Sql {
    let mut words = condition.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect::<Vec<_>>();
    words.dedup();
    let is_named = |column: &&Column| words.contains(&column.name.as_str());
    let value = |column: &'static Column| raw!("'{name} ' || t.\"{name}\"", name = column.name.as_str());
    Sql::join(contract().columns_of(table).filter(is_named).map(value), ", ")
}

/// The condition that no time of a row is in the future; `None` for a table without times.
fn in_the_past(word: &'static str, table: &'static str) -> Option<Condition> {
    let times = || {
        let of_table = contract().columns_of(table).filter(|column| column.data_type.is_time());
        of_table.map(|column| column.name.as_str()).filter(|name| !AHEAD_BY_NATURE.contains(&(table, name)))
    };
    times().next()?;
    // A subquery, so that it is computed once and not for every row.
    let horizon = raw!("(SELECT now() + interval '{TOLERANCE}')", TOLERANCE);
    let ahead = times().map(|name| {
        raw!("CASE WHEN t.\"{name}\" > {horizon} THEN '{name} ' || t.\"{name}\" END", name, horizon = &horizon)
    });
    Some(Condition {
        word,
        table,
        details: Sql::join(ahead, ", "),
        holds: raw!("greatest({times}) <= {horizon}", times = Sql::join(times().map(Sql::identifier), ", "), horizon),
    })
}

/// One statement that returns [`Broken`] of all rules; `None` when there is no rule.
fn statement<'a>(rules: impl Iterator<Item = &'a Rule>) -> Option<Sql> {
    let mut conditions = BTreeMap::<&'static str, Vec<Condition>>::new();
    let mut queries = Vec::new();
    for rule in rules {
        for condition in rule.conditions() {
            conditions.entry(condition.table).or_default().push(condition);
        }
        queries.extend(rule.parts.iter().filter_map(|part| match part {
            Among { table, sql, .. } => Some(among(rule.word, table, sql)),
            Each { .. } | Past => None,
        }));
    }
    queries.extend(conditions.iter().map(|(table, conditions)| each(table, conditions)));
    (!queries.is_empty()).then(|| Sql::join(queries, "\nUNION ALL\n"))
}

/// Finds the rows of a table of which any condition is false. The filter comes first, so that the conditions are taken
/// apart for the wrong rows only.
fn each(table: &'static str, conditions: &[Condition]) -> Sql {
    let all = conditions.iter().map(|condition| raw!("({holds})", holds = &condition.holds));
    let named = conditions.iter().map(|Condition { word, holds, details, .. }| {
        raw!("('{word}', ({holds}), concat_ws(', ', {details}))", word = *word, holds, details)
    });
    raw!(
        "SELECT v.rule, '{table}' AS table_name, count(*) AS rows,
            (array_agg(t.id::text ORDER BY t.id))[1:{SAMPLES}] AS samples,
            (array_agg(v.details ORDER BY t.id))[1:{SAMPLES}] AS details
        FROM {table} t CROSS JOIN LATERAL (VALUES {named}) AS v (rule, holds, details)
        WHERE ({all}) IS FALSE AND NOT v.holds
        GROUP BY v.rule",
        table,
        SAMPLES,
        named = Sql::join(named, ", "),
        all = Sql::join(all, " AND "),
    )
}

fn among(word: &'static str, table: &'static str, sql: &'static str) -> Sql {
    raw!(
        "SELECT '{word}' AS rule, '{table}' AS table_name, count(*) AS rows,
            (array_agg(b.id::text ORDER BY b.id))[1:{SAMPLES}] AS samples, '{{}}'::text[] AS details
        FROM ({sql}) AS b
        HAVING count(*) > 0",
        word,
        table,
        SAMPLES,
        sql
    )
}

fn on_one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_word_of_its_own_and_its_tables_in_its_layer() {
        let words: BTreeSet<_> = RULES.iter().map(|rule| rule.word).collect();
        assert_eq!(words.len(), RULES.len());
        for rule in RULES {
            for table in rule.conditions().iter().map(|condition| condition.table) {
                assert_eq!(Layer::of_table(table), Some(rule.layer), "{}", rule.word);
            }
            assert!(rule.tables().iter().all(|table| Layer::of_table(table).is_some()), "{}", rule.word);
            assert!(rule.proposals().all(|proposal| proposal.name.len() < 64), "{}", rule.word);
        }
    }

    #[test]
    fn every_layer_looks_for_times_in_the_future_and_says_how_far() {
        for layer in Layer::ALL {
            let rule = RULES.iter().find(|rule| rule.layer == layer && matches!(rule.parts, [Past])).unwrap();
            assert_eq!(rule.word, format!("{layer}_future"));
            assert!(rule.title.contains(layer.as_str()) && rule.title.contains(TOLERANCE), "{}", rule.title);
            assert_eq!(rule.conditions().len(), layer.tables().len(), "every table has a time");
        }
        let baselines = in_the_past("application_future", "quality_baselines").unwrap();
        assert_eq!(
            baselines.holds.as_str(),
            "greatest(\"established_at\", \"created_at\") <= (SELECT now() + interval '5 minutes')"
        );
    }
}
