//! What the seed left in the tables, against the figures of the documents.
//!
//! One query for each layer (the `.sql` file of its name) gathers what is there; the expected figures are beside it in
//! Rust, each once, with its document. Rows of the seed are known by their ids and by nothing else: whatever users, a
//! fleet or the platform add is no finding, however alike it is.

mod agent_state;
mod application;
mod core;
mod resource;
mod workflow_history;

use std::fmt;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Nullable, Text, Uuid as SqlUuid};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::row_access::{Answer, RowAccess, Unavailable};
use super::{Check, Finding, SeedExpectation};
use crate::error::Result;
use crate::layer::Layer;
use crate::raw::{Sql, raw, sql_query};
use crate::seed::{self, ids};

/// The seed of one layer.
struct LayerSeed {
    layer: Layer,
    /// The table in which any row of the seed means that the seed of the layer is there.
    marker: &'static str,
    /// Returns what the expectations are about, as rows of [`Found`].
    sql: &'static str,
    /// The tables that the two of them read beside those of the layer.
    also_reads: &'static [&'static str],
    expectations: &'static [Expectation],
}

const LAYERS: [LayerSeed; 5] =
    [self::core::SEED, agent_state::SEED, workflow_history::SEED, resource::SEED, application::SEED];

/// All records of the documents, by layer and together.
const TOTAL: Expectation = Expectation {
    word: "total",
    source: "0.2e part 2",
    title: "all records of the documents are there",
    facts: &[
        ("core", Fact::AtLeast(14)),
        ("agent_state", Fact::AtLeast(22)),
        ("workflow_history", Fact::AtLeast(30)),
        ("resource", Fact::AtLeast(128)),
        ("application", Fact::AtLeast(253)),
        ("all layers", Fact::AtLeast(447)),
    ],
};

/// What [`Expectation::word`] is for the number of rows of each table.
const COUNTS: &str = "counts";

/// What to do about a row that is not as documented.
const NEXT_STEP: &str = "to seed the layer again puts back what is missing; what was changed stays as it is";

/// One documented expectation.
struct Expectation {
    /// Last part of the check's id, and [`Found::check`] of the rows that it is about.
    word: &'static str,
    /// The document.
    source: &'static str,
    title: &'static str,
    /// What is expected of each object.
    facts: &'static [(&'static str, Fact)],
}

/// What is expected of one object.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fact {
    /// This text.
    Is(&'static str),
    /// This number, give or take a millionth.
    About(f64),
    /// This number or more.
    AtLeast(i64),
    /// A number from the first to the second.
    Between(f64, f64),
}

/// What the database has to say of one object.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
struct Found {
    /// [`Expectation::word`]
    #[diesel(sql_type = Text)]
    check: String,
    #[diesel(sql_type = Text)]
    object: String,
    /// What is so, when that is a text.
    #[diesel(sql_type = Nullable<Text>)]
    word: Option<String>,
    /// What is so, when that is a number.
    #[diesel(sql_type = Nullable<Double>)]
    number: Option<f64>,
}

/// Makes the checks of every layer whose seed is there, or of every layer when it has to be.
///
/// # Errors
///
/// Only when the transaction cannot go on.
pub(super) fn checks(conn: &mut PgConnection, access: &RowAccess, expectation: SeedExpectation) -> Result<Vec<Check>> {
    let known = Known::new();
    let mut answers = Vec::new();
    for seed in &LAYERS {
        answers.push(gather(conn, seed, &known, access, expectation)?);
    }
    let total = total(&answers);
    Ok(judge_all(&answers, &total))
}

/// What the rows of the seed are known by.
struct Known {
    /// The ids of all rows.
    ids: Vec<Uuid>,
    /// The ids of customers and agents, with their documented names.
    names: [(Uuid, &'static str); 9],
}

impl Known {
    fn new() -> Self {
        let ids = Layer::ALL.into_iter().flat_map(seed::row_ids).flat_map(|(_, ids)| ids);
        let names = [
            (ids::ACME, "Acme Corp"),
            (ids::STARTUPCO, "StartupCo"),
            (ids::DEMO, "Demo Customer"),
            (ids::techstart(), "TechStart Inc"),
            (ids::ORCHESTRATOR, "orchestrator-main"),
            (ids::COST_AGENT, "cost-agent-1"),
            (ids::PERFORMANCE_AGENT, "performance-agent-1"),
            (ids::RESOURCE_AGENT, "resource-agent-1"),
            (ids::APPLICATION_AGENT, "application-agent-1"),
        ];
        Self { ids: ids.collect(), names }
    }
}

/// The same checks where none can be made.
pub(super) fn skipped(reason: &str) -> Vec<Check> {
    let answers: Vec<_> = LAYERS.iter().map(|_| Err(Unavailable::Skipped(reason.to_owned()))).collect();
    let total = total(&answers);
    judge_all(&answers, &total)
}

fn judge_all(answers: &[Answer<Vec<Found>>], total: &Answer<Vec<Found>>) -> Vec<Check> {
    let of_layers = LAYERS.iter().zip(answers).flat_map(|(seed, answer)| {
        let id = |expectation: &Expectation| format!("{}.seed.{}", seed.layer, expectation.word);
        seed.expectations.iter().map(move |expectation| judge(id(expectation), Some(seed.layer), expectation, answer))
    });
    of_layers.chain([judge("seed.total".to_owned(), None, &TOTAL, total)]).collect()
}

fn judge(id: String, layer: Option<Layer>, expectation: &Expectation, answer: &Answer<Vec<Found>>) -> Check {
    let facts = expectation.facts;
    let expected: Map<_, _> = facts.iter().map(|(object, fact)| ((*object).to_owned(), fact.to_value())).collect();
    let check = Check::new(id, layer, expectation.source, expectation.title.to_owned()).figures(expected, Value::Null);
    let rows = match answer {
        Ok(rows) => rows,
        Err(Unavailable::Skipped(reason)) => return check.skipped(reason),
        Err(Unavailable::Refused(message)) => return check.findings(vec![Finding::new("query", message)]),
    };
    let mut shown = Map::new();
    let mut findings = Vec::new();
    for (object, fact) in facts {
        let row = rows.iter().find(|row| row.check == expectation.word && row.object == *object);
        if !row.is_some_and(|row| fact.holds(row)) {
            findings.push(Finding::new(*object, fact.problem(row)).next_step(NEXT_STEP));
        }
        shown.insert((*object).to_owned(), row.map_or(Value::Null, Found::to_value));
    }
    let expected = check.expected.clone();
    check.figures(expected, shown).findings(findings)
}

fn gather(
    conn: &mut PgConnection,
    seed: &LayerSeed,
    known: &Known,
    access: &RowAccess,
    expectation: SeedExpectation,
) -> Result<Answer<Vec<Found>>> {
    let reads = seed.layer.tables().iter().chain(seed.also_reads);
    if let Some(reason) = access.obstacle(reads.copied()) {
        return Ok(Err(Unavailable::Skipped(reason.to_owned())));
    }
    if expectation == SeedExpectation::IfPresent {
        match access.query(conn, |conn| count_rows(conn, seed.marker, &known.ids))? {
            Ok(0) => {
                return Ok(Err(Unavailable::Skipped(format!("there is no seed data of layer {}", seed.layer))));
            }
            Ok(_) => {}
            Err(unavailable) => return Ok(Err(unavailable)),
        }
    }
    let query = raw!(
        "SELECT \"check\", {object} AS object, {word} AS word, number
        FROM (({sql}) {counts}) AS found (\"check\", object, word, number)",
        object = readable("object"),
        word = readable("word"),
        sql = seed.sql,
        counts = counts(seed.layer)
    );
    let (ids, names): (Vec<_>, Vec<_>) = known.names.into_iter().unzip();
    access.query(conn, |conn| {
        sql_query(query)
            .bind::<Array<SqlUuid>, _>(&known.ids)
            .bind::<Array<SqlUuid>, _>(ids)
            .bind::<Array<Text>, _>(names)
            .load(conn)
    })
}

/// A database in SQL_ASCII takes bytes of any encoding, which no client can read as UTF-8.
fn readable(column: &'static str) -> Sql {
    raw!(
        "CASE current_setting('server_encoding')
            WHEN 'SQL_ASCII' THEN regexp_replace({column}, E'[\\\\x80-\\\\xff]', '?', 'g')
            ELSE {column}
        END",
        column
    )
}

/// How many of these rows a table holds.
fn count_rows(conn: &mut PgConnection, table: &'static str, ids: &[Uuid]) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    let query = raw!("SELECT count(*) AS rows FROM {table} WHERE id = ANY ($1)", table);
    let count: Count = sql_query(query).bind::<Array<SqlUuid>, _>(ids).get_result(conn)?;
    Ok(count.rows)
}

/// Adds the number of the seed's rows in each table to a layer's query.
fn counts(layer: Layer) -> Sql {
    let select = |table: &&'static str| {
        raw!(
            "UNION ALL SELECT '{COUNTS}', '{table}', NULL, count(*) FROM {table} WHERE id = ANY ($1)",
            COUNTS,
            table = *table
        )
    };
    Sql::join(layer.tables().iter().map(select), " ")
}

/// The number of rows of each layer and of all of them; none unless every layer has an answer.
fn total(answers: &[Answer<Vec<Found>>]) -> Answer<Vec<Found>> {
    let row = |object: &str, number: f64| Found {
        check: TOTAL.word.to_owned(),
        object: object.to_owned(),
        word: None,
        number: Some(number),
    };
    let mut rows = Vec::new();
    let mut sum = 0.0;
    for (seed, answer) in LAYERS.iter().zip(answers) {
        let found = answer.as_ref().map_err(Unavailable::clone)?;
        let number = found.iter().filter(|row| row.check == COUNTS).filter_map(|row| row.number).sum();
        rows.push(row(seed.layer.as_str(), number));
        sum += number;
    }
    rows.push(row("all layers", sum));
    Ok(rows)
}

impl Fact {
    const TOLERANCE: f64 = 1e-6;

    fn holds(self, found: &Found) -> bool {
        match (self, &found.word, found.number) {
            (Self::Is(expected), Some(word), _) => word == expected,
            (Self::About(expected), _, Some(number)) => (number - expected).abs() <= Self::TOLERANCE,
            (Self::AtLeast(least), _, Some(number)) => number >= least as f64,
            (Self::Between(least, most), _, Some(number)) => (least..=most).contains(&number),
            _ => false,
        }
    }

    fn problem(self, found: Option<&Found>) -> String {
        match found {
            None => format!("missing: expected {self}"),
            Some(found) => format!("expected {self}, found {found}"),
        }
    }

    fn to_value(self) -> Value {
        match self {
            Self::About(number) => json!(number),
            other => json!(other.to_string()),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(word) => f.write_str(word),
            Self::About(number) => write!(f, "{number}"),
            Self::AtLeast(number) => write!(f, "at least {number}"),
            Self::Between(least, most) => write!(f, "{least} to {most}"),
        }
    }
}

impl Found {
    /// Rust writes a whole number without a point, which suits a count; NaN becomes null.
    fn to_value(&self) -> Value {
        match (&self.word, self.number) {
            (Some(word), _) => json!(word),
            (None, Some(number)) => serde_json::from_str(&number.to_string()).unwrap_or(Value::Null),
            (None, None) => Value::Null,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.word, self.number) {
            (Some(word), _) => f.write_str(word),
            (None, Some(number)) => write!(f, "{number}"),
            (None, None) => f.write_str("nothing"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn number(object: &str, number: f64) -> Found {
        Found { check: "figures".to_owned(), object: object.to_owned(), word: None, number: Some(number) }
    }

    fn word(object: &str, word: &str) -> Found {
        Found { check: "figures".to_owned(), object: object.to_owned(), word: Some(word.to_owned()), number: None }
    }

    const EXPECTATION: Expectation = Expectation {
        word: "figures",
        source: "0.2a",
        title: "the figures",
        facts: &[("a", Fact::AtLeast(3)), ("b", Fact::About(64.25)), ("c", Fact::Is("red"))],
    };

    fn judged(rows: Vec<Found>) -> Check {
        judge("core.seed.figures".to_owned(), None, &EXPECTATION, &Ok(rows))
    }

    #[test]
    fn a_check_passes_when_every_fact_holds() {
        let check = judged(vec![number("a", 4.0), number("b", 64.25 + 1e-9), word("c", "red")]);
        assert_eq!(check.outcome, super::super::Outcome::Passed);
        assert_eq!(check.expected, json!({"a": "at least 3", "b": 64.25, "c": "red"}));
        assert_eq!(check.found["a"], 4);
    }

    #[test]
    fn every_fact_that_does_not_hold_is_a_finding() {
        let check = judged(vec![number("a", 2.0), word("c", "green"), number("elsewhere", 9.0)]);
        let findings: Vec<_> = check.findings.iter().map(Finding::to_string).collect();
        assert_eq!(
            findings,
            ["a: expected at least 3, found 2", "b: missing: expected 64.25", "c: expected red, found green"]
        );
        assert_eq!(check.found, json!({"a": 2, "b": null, "c": "green"}));
    }

    #[test]
    fn rows_of_another_check_do_not_count() {
        let mut other = number("b", 64.25);
        other.check = "other".to_owned();
        assert_eq!(judged(vec![number("a", 3.0), other, word("c", "red")]).findings.len(), 1);
    }

    #[test]
    fn no_object_is_named_twice_in_one_expectation() {
        for expectation in LAYERS.iter().flat_map(|seed| seed.expectations).chain([&TOTAL]) {
            let objects: BTreeSet<_> = expectation.facts.iter().map(|(object, _)| object).collect();
            assert_eq!(objects.len(), expectation.facts.len(), "{}", expectation.title);
        }
    }

    #[test]
    fn the_documented_totals_of_the_layers_add_up() {
        let number = |fact: &Fact| if let Fact::AtLeast(number) = fact { *number } else { 0 };
        let (all, layers) = TOTAL.facts.split_last().unwrap();
        assert_eq!(layers.iter().map(|(_, fact)| number(fact)).sum::<i64>(), number(&all.1));
        let words: Vec<_> = layers.iter().map(|(word, _)| *word).collect();
        assert_eq!(words, Layer::ALL.map(Layer::as_str));
    }
}
