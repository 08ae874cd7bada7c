//! What the documents say about tables, columns, types, indexes and keys, in terms of the catalogue.
//!
//! Every figure is counted in the contract (`catalog.txt`) and none is written down here. Each aspect is looked at
//! layer by layer, then as a whole; `schema.contract` compares everything with everything. Pure functions: the
//! database has been read by then.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::catalog::{self, Difference, Entry, Kind};
use super::mend::Mends;
use super::{Check, Finding};
use crate::enums;
use crate::layer::Layer;

const DEPLOYED: &str = "deployed schema 005";
/// The same with what later migrations of ours took away and added.
const LEAN: &str = "deployed schema 005, lean_hot_indexes, resource_type_indexes";

/// One way to look at a schema.
struct Aspect {
    /// Second part of the check's id.
    word: &'static str,
    /// What the layers' checks say.
    title: &'static str,
    /// The facts that count, in the form in which they are compared.
    facts: fn(&Entry) -> Option<Entry>,
    /// The figure that the check shows.
    figure: fn(&[Entry]) -> Value,
    /// The document that expects it of a layer.
    source: fn(Layer) -> &'static str,
    /// The check of the whole database, where the documents give a total: its title and the document.
    total: Option<(&'static str, &'static str)>,
}

const ASPECTS: &[Aspect] = &[
    Aspect {
        word: "tables",
        title: "the tables are there",
        facts: |entry| of_kind(entry, Kind::Table),
        figure: count,
        source: document,
        total: Some(("the tables, all layers together", "0.2e part 2")),
    },
    Aspect {
        word: "columns",
        title: "the columns have their types, defaults and nullability",
        facts: |entry| of_kind(entry, Kind::Column).or_else(|| of_kind(entry, Kind::ColumnOrder)),
        figure: |facts| json!(facts.iter().filter(|fact| fact.kind == Kind::Column).count()),
        source: document_and_deployed,
        total: None,
    },
    Aspect {
        word: "enums",
        title: "the enum types have their labels, in order",
        facts: |entry| of_kind(entry, Kind::Enum),
        figure: count,
        source: document,
        total: Some(("the enum types, all layers together", DEPLOYED)),
    },
    Aspect {
        word: "indexes",
        title: "the indexes are there and valid",
        facts: |entry| of_kind(entry, Kind::Index),
        figure: count,
        source: document_and_deployed,
        total: Some(("the indexes, all layers together", LEAN)),
    },
    Aspect {
        word: "foreign_keys",
        title: "the foreign keys are there and enforced",
        facts: |entry| foreign_key(entry).map(|key| redefined(entry, key.without_action)),
        figure: count,
        source: document_and_deployed,
        total: Some(("the foreign keys, all layers together", DEPLOYED)),
    },
    Aspect {
        word: "constraints",
        title: "the primary key, unique and check constraints are there",
        facts: |entry| of_kind(entry, Kind::Constraint).filter(|entry| foreign_key(entry).is_none()),
        figure: count,
        source: document_and_deployed,
        total: None,
    },
    Aspect {
        word: "cascades",
        title: "deleting a row does to its dependants what is documented",
        facts: |entry| foreign_key(entry).map(|key| redefined(entry, key.on_delete)),
        figure: by_definition,
        source: document_and_deployed,
        total: None,
    },
];

/// Compares a schema with the contract, aspect by aspect.
pub(super) fn checks(contract: &[Entry], found: &[Entry]) -> Vec<Check> {
    let differences = catalog::diff(contract, found);
    let schemas = Schemas { contract, found, mends: &Mends::new(&differences, found) };
    let totals = ASPECTS.iter().filter_map(|aspect| schemas.total(aspect));
    let of_layers = Layer::ALL.into_iter().flat_map(|layer| ASPECTS.iter().map(move |a| schemas.of_layer(a, layer)));
    let whole = whole_contract(&schemas, &differences);
    let rules = [primary_keys(contract, found), time_zones(found), triggers(&schemas), policies(&schemas), whole];
    totals.chain(rules).chain(of_layers).collect()
}

/// The two schemas, and what would make the one into the other.
#[derive(Clone, Copy)]
struct Schemas<'a> {
    contract: &'a [Entry],
    found: &'a [Entry],
    mends: &'a Mends,
}

impl Schemas<'_> {
    fn of_layer(&self, aspect: &Aspect, layer: Layer) -> Check {
        let id = format!("{layer}.{}", aspect.word);
        let check = Check::new(id, Some(layer), (aspect.source)(layer), aspect.title.to_owned());
        self.compared(check, aspect.figure, |entry| (aspect.facts)(entry).filter(|_| layer_of(entry) == Some(layer)))
    }

    fn total(&self, aspect: &Aspect) -> Option<Check> {
        let (title, source) = aspect.total?;
        let check = Check::new(format!("schema.{}", aspect.word), None, source, title.to_owned());
        Some(self.compared(check, aspect.figure, aspect.facts))
    }

    /// Completes a check with what the facts of the two schemas say.
    fn compared(&self, check: Check, figure: fn(&[Entry]) -> Value, fact: impl Fn(&Entry) -> Option<Entry>) -> Check {
        let facts = |entries: &[Entry]| -> Vec<Entry> { entries.iter().filter_map(&fact).collect() };
        let (expected, found) = (facts(self.contract), facts(self.found));
        check.figures(figure(&expected), figure(&found)).findings(self.findings(&catalog::diff(&expected, &found)))
    }

    fn findings(&self, differences: &[Difference]) -> Vec<Finding> {
        let finding = |difference: &Difference| {
            let entry = difference.entry();
            Finding::new(subject(entry), difference.to_string()).mend(self.mends.of(entry))
        };
        differences.iter().map(finding).collect()
    }
}

fn primary_keys(contract: &[Entry], found: &[Entry]) -> Check {
    let has = |table: &str, kind: Kind, is: fn(&Entry) -> bool| {
        found.iter().any(|entry| entry.kind == kind && entry.table() == table && is(entry))
    };
    let is_keyed = |table: &str| {
        has(table, Kind::Constraint, |entry| entry.definition == "PRIMARY KEY (id)")
            && has(table, Kind::Column, |entry| {
                entry.object.ends_with(".id") && entry.definition.starts_with("uuid NOT NULL")
            })
    };
    let tables: Vec<&str> =
        contract.iter().filter(|entry| entry.kind == Kind::Table).map(|entry| entry.object.as_str()).collect();
    let without: Vec<_> = tables.iter().filter(|table| !is_keyed(table)).collect();
    let findings = without
        .iter()
        .map(|table| Finding::new(format!("table {table}"), "has no uuid column id as its primary key"))
        .collect();
    Check::new("schema.primary_keys".to_owned(), None, "0.2a", "every table has a UUID primary key".to_owned())
        .figures(tables.len(), tables.len() - without.len())
        .findings(findings)
}

/// A time without its zone is read as another moment by every other session: samples go missing from their range.
fn time_zones(found: &[Entry]) -> Check {
    let naive: Vec<&Entry> = found
        .iter()
        .filter(|entry| entry.kind == Kind::Column && layer_of(entry).is_some())
        .filter(|entry| entry.definition.starts_with("timestamp") && entry.definition.contains("without time zone"))
        .collect();
    let finding = |entry: &&Entry| Finding::new(subject(entry), "stores times without their zone");
    let title = "every time is stored with its zone, so that samples appear in their time range".to_owned();
    Check::new("time.zones".to_owned(), None, "0.2d part 2, troubleshooting 5", title)
        .figures(json!({"without_time_zone": 0}), json!({"without_time_zone": naive.len()}))
        .findings(naive.iter().map(finding).collect())
}

fn triggers(schemas: &Schemas<'_>) -> Check {
    let is_ours = |entry: &Entry| match entry.kind {
        Kind::Trigger => layer_of(entry).is_some(),
        Kind::Function => schemas.contract.iter().any(|known| known.kind == entry.kind && known.object == entry.object),
        _ => false,
    };
    let title = "the server keeps updated_at, by one enabled trigger a table".to_owned();
    let number = |facts: &[Entry]| json!(facts.iter().filter(|fact| fact.kind == Kind::Trigger).count());
    let check = Check::new("schema.triggers".to_owned(), None, "0.2a", title);
    schemas.compared(check, number, |entry| is_ours(entry).then(|| entry.clone()))
}

/// Of a table, only whether it is under row security.
fn policies(schemas: &Schemas<'_>) -> Check {
    let title = "a customer's rows are shown to that customer alone, by a policy a table".to_owned();
    let secured = |facts: &[Entry]| json!(facts.iter().filter(|fact| fact.kind == Kind::Table).count());
    let check = Check::new("schema.policies".to_owned(), None, "docs/security.md", title);
    schemas.compared(check, secured, |entry| match entry.kind {
        Kind::Policy => Some(entry.clone()),
        Kind::Table if entry.definition.contains("row security") => {
            let security = entry.definition.split(", ").filter(|word| word.starts_with("row security"));
            Some(redefined(entry, security.collect::<Vec<_>>().join(", ")))
        }
        _ => None,
    })
}

fn whole_contract(schemas: &Schemas<'_>, differences: &[Difference]) -> Check {
    let title = "the whole catalogue is that of a freshly migrated database".to_owned();
    Check::new("schema.contract".to_owned(), None, DEPLOYED, title)
        .figures(schemas.contract.len(), schemas.found.len())
        .findings(schemas.findings(differences))
}

fn subject(entry: &Entry) -> String {
    format!("{} {}", entry.kind, entry.object)
}

fn layer_of(entry: &Entry) -> Option<Layer> {
    match entry.kind {
        Kind::Enum => enums::ALL.iter().find(|known| known.name == entry.object).map(|known| known.layer),
        _ => Layer::of_table(entry.table()),
    }
}

fn of_kind(entry: &Entry, kind: Kind) -> Option<Entry> {
    (entry.kind == kind).then(|| entry.clone())
}

fn redefined(entry: &Entry, definition: String) -> Entry {
    Entry { definition, ..entry.clone() }
}

/// A foreign key in two parts, so that a wrong action is no wrong key.
struct ForeignKey {
    without_action: String,
    on_delete: String,
}

/// `None` for everything but a foreign key.
fn foreign_key(entry: &Entry) -> Option<ForeignKey> {
    const ACTIONS: [&str; 4] = ["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT"];
    let definition = &entry.definition;
    if entry.kind != Kind::Constraint || !definition.starts_with("FOREIGN KEY") {
        return None;
    }
    let clause = |action: &str| format!(" ON DELETE {action}");
    let found = ACTIONS.into_iter().find(|action| definition.contains(&clause(action)));
    let without_action = found.map_or_else(|| definition.clone(), |action| definition.replace(&clause(action), ""));
    Some(ForeignKey { without_action, on_delete: found.unwrap_or("NO ACTION").to_owned() })
}

fn count(facts: &[Entry]) -> Value {
    json!(facts.len())
}

fn by_definition(facts: &[Entry]) -> Value {
    let mut counts = BTreeMap::<String, usize>::new();
    for fact in facts {
        *counts.entry(fact.definition.to_lowercase().replace(' ', "_")).or_default() += 1;
    }
    json!(counts)
}

/// The document that describes the layer.
const fn document(layer: Layer) -> &'static str {
    match layer {
        Layer::Core => "0.2a",
        Layer::AgentState => "0.2b",
        Layer::WorkflowHistory => "0.2c",
        Layer::Resource => "0.2d part 1",
        Layer::Application => "0.2e part 2",
    }
}

/// The same where the document leaves details to the deployed schema.
const fn document_and_deployed(layer: Layer) -> &'static str {
    match layer {
        Layer::Core => "0.2a, deployed schema 005",
        Layer::AgentState => "0.2b, deployed schema 005",
        Layer::WorkflowHistory => "0.2c, deployed schema 005",
        Layer::Resource => "0.2d part 1, deployed schema 005",
        Layer::Application => "0.2e part 2, deployed schema 005",
    }
}
