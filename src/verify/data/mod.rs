//! What the seed left in the tables, against the figures of the documents.
//!
//! One query for each layer (the `.sql` file of its name) gathers what is there; the expected figures are beside it in
//! a `.json` file, each once, with its document. Rows of the seed are known by their ids and by nothing else: whatever
//! users, a fleet or the platform add is no finding, however alike it is.

use std::fmt;
use std::sync::LazyLock;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Nullable, Text, Uuid as SqlUuid};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::row_access::{Answer, RowAccess, Unavailable};
use super::{Check, Finding, SeedExpectation};
use crate::error::Result;
use crate::layer::Layer;
use crate::raw::{Sql, raw, readable, sql_query};
use crate::seed::{self, ids};

/// The documented seed of one layer: its file.
#[derive(Deserialize)]
struct Documented {
    /// The table in which any row of the seed means that the seed of the layer is there.
    marker: &'static str,
    /// The tables that the query reads beside those of the layer.
    also_reads: Vec<&'static str>,
    expectations: Vec<Expectation>,
}

/// One documented expectation.
#[derive(Deserialize)]
struct Expectation {
    /// Last part of the check's id, and [`Found::check`] of the rows that it is about.
    word: &'static str,
    /// The document.
    source: &'static str,
    title: &'static str,
    /// What is expected of each object.
    facts: Vec<(&'static str, Fact)>,
}

/// What is expected of one object.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged)]
enum Fact {
    /// This text.
    Is(&'static str),
    /// This number, give or take a millionth.
    About(f64),
    /// This number or more.
    AtLeast { at_least: i64 },
    /// A number from the first to the second.
    Between { between: (f64, f64) },
}

/// The seed of one layer.
struct LayerSeed {
    layer: Layer,
    documented: Documented,
    /// Returns what the expectations are about, as rows of [`Found`].
    sql: &'static str,
}

static LAYERS: LazyLock<[LayerSeed; 5]> = LazyLock::new(|| {
    let seed = |layer, file, sql| LayerSeed { layer, documented: read(file), sql };
    [
        seed(Layer::Core, include_str!("core.json"), include_str!("core.sql")),
        seed(Layer::AgentState, include_str!("agent_state.json"), include_str!("agent_state.sql")),
        seed(Layer::WorkflowHistory, include_str!("workflow_history.json"), include_str!("workflow_history.sql")),
        seed(Layer::Resource, include_str!("resource.json"), include_str!("resource.sql")),
        seed(Layer::Application, include_str!("application.json"), include_str!("application.sql")),
    ]
});

/// All records of the documents, by layer and together.
static TOTAL: LazyLock<Expectation> = LazyLock::new(|| read(include_str!("total.json")));

#[expect(clippy::panic, reason = "the file is a part of this program, and a test reads all of them")]
fn read<T: Deserialize<'static>>(file: &'static str) -> T {
    serde_json::from_str(file).unwrap_or_else(|error| panic!("an expectation of the seed cannot be read: {error}"))
}

/// What [`Expectation::word`] is for the number of rows of each table.
const COUNTS: &str = "counts";

/// What to do about a row that is not as documented.
const NEXT_STEP: &str = "to seed the layer again puts back what is missing; what was changed stays as it is";

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
    let answers: Result<Vec<_>> = LAYERS.iter().map(|seed| gather(conn, seed, &known, access, expectation)).collect();
    Ok(judge_all(&answers?))
}

/// The same checks where none can be made.
pub(super) fn skipped(reason: &str) -> Vec<Check> {
    judge_all(&LAYERS.each_ref().map(|_| Err(Unavailable::Skipped(reason.to_owned()))))
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

fn judge_all(answers: &[Answer<Vec<Found>>]) -> Vec<Check> {
    let of_layers = LAYERS.iter().zip(answers).flat_map(|(seed, answer)| {
        let id = |expectation: &Expectation| format!("{}.seed.{}", seed.layer, expectation.word);
        let expectations = seed.documented.expectations.iter();
        expectations.map(move |expectation| judge(id(expectation), Some(seed.layer), expectation, answer))
    });
    of_layers.chain([judge("seed.total".to_owned(), None, &TOTAL, &total(answers))]).collect()
}

fn judge(id: String, layer: Option<Layer>, expectation: &Expectation, answer: &Answer<Vec<Found>>) -> Check {
    let facts = &expectation.facts;
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
    let reads = seed.layer.tables().iter().chain(&seed.documented.also_reads);
    if let Some(reason) = access.obstacle(reads.copied()) {
        return Ok(Err(Unavailable::Skipped(reason.to_owned())));
    }
    if expectation == SeedExpectation::IfPresent {
        match access.query(conn, |conn| count_rows(conn, seed.documented.marker, &known.ids))? {
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
            "UNION ALL SELECT '{COUNTS}', '{table}', NULL::text, count(*)::float8 FROM {table} WHERE id = ANY ($1)",
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
            (Self::AtLeast { at_least }, _, Some(number)) => number >= at_least as f64,
            (Self::Between { between: (least, most) }, _, Some(number)) => (least..=most).contains(&number),
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
            Self::AtLeast { at_least } => write!(f, "at least {at_least}"),
            Self::Between { between: (least, most) } => write!(f, "{least} to {most}"),
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

    #[test]
    fn no_object_is_named_twice_in_one_expectation() {
        for expectation in LAYERS.iter().flat_map(|seed| &seed.documented.expectations).chain([&*TOTAL]) {
            let objects: BTreeSet<_> = expectation.facts.iter().map(|(object, _)| object).collect();
            assert_eq!(objects.len(), expectation.facts.len(), "{}", expectation.title);
        }
    }

    #[test]
    fn the_documented_totals_of_the_layers_add_up() {
        let number = |fact: &Fact| if let Fact::AtLeast { at_least } = fact { *at_least } else { 0 };
        let (all, layers) = TOTAL.facts.split_last().unwrap();
        assert_eq!(layers.iter().map(|(_, fact)| number(fact)).sum::<i64>(), number(&all.1));
        let words: Vec<_> = layers.iter().map(|(word, _)| *word).collect();
        assert_eq!(words, Layer::ALL.map(Layer::as_str));
    }
}
