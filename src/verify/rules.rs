//! What has to be true of the rows although no constraint holds it.
//!
//! A rule about single rows is written as the CHECK constraint that could hold it: its rows are those of which the
//! condition is false, and the constraint is proposed with the finding. A rule about several rows is a query for the
//! ids of those that break it. One statement a layer, which reads each table once for all conditions on it. Nothing
//! is fixed here: what becomes of a wrong row is for somebody to decide who knows how it came about.

mod list;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};

use self::list::RULES;
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
    /// A row has the same value in a column as the row that it refers to.
    Same {
        table: &'static str,
        /// The column that refers.
        reference: &'static str,
        /// The column of both tables.
        column: &'static str,
    },
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

use Part::{Among, Each, Past, Same};

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
            Same { table, reference, .. } => vec![*table, referenced(table, reference)],
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
            Same { .. } | Among { .. } | Past => None,
        })
    }

    /// The conditions on single rows.
    fn conditions(&self) -> Vec<Condition> {
        let of_part = |part: &Part| match part {
            Each { table, holds } => {
                vec![Condition { word: self.word, table, holds: (*holds).into(), details: values(table, holds) }]
            }
            Same { .. } | Among { .. } => vec![],
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
            Same { table, reference, column } => Some(among(rule.word, table, differing(table, reference, column))),
            Among { table, sql, .. } => Some(among(rule.word, table, (*sql).into())),
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
    let of_each = |value: fn(&Condition) -> Sql| Sql::join(conditions.iter().map(value), ", ");
    raw!(
        "SELECT v.rule, '{table}' AS table_name, count(*) AS rows,
            (array_agg(t.id::text ORDER BY t.id))[1:{SAMPLES}] AS samples,
            (array_agg(v.details ORDER BY t.id))[1:{SAMPLES}] AS details
        FROM {table} t, unnest(ARRAY[{words}], ARRAY[{holds}], ARRAY[{details}]) AS v (rule, holds, details)
        WHERE ({all}) IS FALSE AND NOT v.holds
        GROUP BY v.rule",
        table,
        SAMPLES,
        words = of_each(|condition| raw!("'{word}'", word = condition.word)),
        holds = of_each(|condition| raw!("({holds})", holds = &condition.holds)),
        details = of_each(|condition| raw!("concat_ws(', ', {details})", details = &condition.details)),
        all = Sql::join(all, " AND "),
    )
}

/// The table that a column refers to.
fn referenced(table: &str, column: &str) -> &'static str {
    contract().reference(table, column).map_or("", |key| &key.references)
}

/// Finds the rows with another value than that of the row that they refer to.
fn differing(table: &'static str, reference: &'static str, column: &'static str) -> Sql {
    raw!(
        "SELECT t.id FROM {table} t JOIN {parent} p ON p.id = t.{reference} WHERE p.{column} <> t.{column}",
        table,
        parent = referenced(table, reference),
        reference,
        column
    )
}

fn among(word: &'static str, table: &'static str, sql: Sql) -> Sql {
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
