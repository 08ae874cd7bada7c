//! What the documents say about tables, columns, types, indexes and keys, in terms of the catalog.
//!
//! Every figure is counted in the contract (`catalog.txt`) and none is written down here. Each aspect is looked at
//! layer by layer, then as a whole; `schema.contract` compares everything with everything. Pure functions: the
//! database has been read by then.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fix::{Fix, Fixes};
use super::{Check, Finding};
use crate::catalog::{self, Catalog, DataType, Difference, Entry, Kind, Object, OnDelete, Rule, contract};
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
    facts: fn(&Object) -> Option<Entry>,
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
        facts: |object| of_kind(object, Kind::Table),
        figure: count,
        source: document,
        total: Some(("the tables, all layers together", "0.2e part 2")),
    },
    Aspect {
        word: "columns",
        title: "the columns have their types, defaults and nullability",
        facts: |object| of_kind(object, Kind::Column).or_else(|| of_kind(object, Kind::ColumnOrder)),
        figure: |facts| json!(facts.iter().filter(|fact| fact.kind() == Kind::Column).count()),
        source: document_and_deployed,
        total: None,
    },
    Aspect {
        word: "enums",
        title: "the enum types have their labels, in order",
        facts: |object| of_kind(object, Kind::Enum),
        figure: count,
        source: document,
        total: Some(("the enum types, all layers together", DEPLOYED)),
    },
    Aspect {
        word: "indexes",
        title: "the indexes are there and valid",
        facts: |object| of_kind(object, Kind::Index),
        figure: count,
        source: document_and_deployed,
        total: Some(("the indexes, all layers together", LEAN)),
    },
    Aspect {
        word: "foreign_keys",
        title: "the foreign keys are there and enforced",
        facts: |object| foreign_key(object).map(|key| part(object, key.without_action)),
        figure: count,
        source: document_and_deployed,
        total: Some(("the foreign keys, all layers together", DEPLOYED)),
    },
    Aspect {
        word: "constraints",
        title: "the primary key, unique and check constraints are there",
        facts: |object| of_kind(object, Kind::Constraint).filter(|_| foreign_key(object).is_none()),
        figure: count,
        source: document_and_deployed,
        total: None,
    },
    Aspect {
        word: "cascades",
        title: "deleting a row does to its dependants what is documented",
        facts: |object| foreign_key(object).map(|key| part(object, key.on_delete.as_str().to_owned())),
        figure: by_definition,
        source: document_and_deployed,
        total: None,
    },
];

/// Compares a schema with the contract, aspect by aspect.
pub(super) fn checks(found: &Catalog) -> Vec<Check> {
    let expected = contract().in_shape_of(found);
    let differences = expected.differences(found);
    let schemas = Schemas { expected: &expected, found, fixes: &Fixes::new(&differences, found) };
    let totals = ASPECTS.iter().filter_map(|aspect| schemas.total(aspect));
    let of_layers = Layer::ALL.into_iter().flat_map(|layer| ASPECTS.iter().map(move |a| schemas.of_layer(a, layer)));
    let whole = whole_contract(&schemas, &differences);
    let rules =
        [primary_keys(schemas), time_zones(found), triggers(&schemas), policies(&schemas), storage(found), whole];
    totals.chain(rules).chain(of_layers).collect()
}

/// The live schema, and what would make it the one of the contract.
#[derive(Clone, Copy)]
struct Schemas<'a> {
    expected: &'a Catalog,
    found: &'a Catalog,
    fixes: &'a Fixes,
}

impl Schemas<'_> {
    fn of_layer(&self, aspect: &Aspect, layer: Layer) -> Check {
        let id = format!("{layer}.{}", aspect.word);
        let check = Check::new(id, Some(layer), (aspect.source)(layer), aspect.title.to_owned());
        self.compared(check, aspect.figure, |object| (aspect.facts)(object).filter(|_| layer_of(object) == Some(layer)))
    }

    fn total(&self, aspect: &Aspect) -> Option<Check> {
        let (title, source) = aspect.total?;
        let check = Check::new(format!("schema.{}", aspect.word), None, source, title.to_owned());
        Some(self.compared(check, aspect.figure, aspect.facts))
    }

    /// Completes a check with what the facts of the two schemas say.
    fn compared(&self, check: Check, figure: fn(&[Entry]) -> Value, fact: impl Fn(&Object) -> Option<Entry>) -> Check {
        let facts = |catalog: &Catalog| -> Vec<Entry> { catalog.objects().filter_map(&fact).collect() };
        let (expected, found) = (facts(self.expected), facts(self.found));
        check.figures(figure(&expected), figure(&found)).findings(self.findings(&catalog::diff(&expected, &found)))
    }

    fn findings(&self, differences: &[Difference]) -> Vec<Finding> {
        let finding = |difference: &Difference| {
            let entry = difference.entry();
            let finding = Finding::new(subject(&entry.object), difference.to_string());
            match self.fixes.of(entry) {
                Some(Fix::Sql(sql)) => finding.fix(Some(sql.clone())),
                Some(Fix::ByHand(step)) => finding.next_step(step),
                None => finding,
            }
        };
        differences.iter().map(finding).collect()
    }
}

fn primary_keys(schemas: Schemas<'_>) -> Check {
    let found = schemas.found;
    // In a partitioned or a distributed table it holds together with other columns.
    let key = |catalog: &Catalog, table: &str| {
        catalog.constraints().find_map(|it| match &it.rule {
            Rule::PrimaryKey(columns) if it.table == table => Some(columns.clone()),
            _ => None,
        })
    };
    let is_keyed = |table: &str| {
        let found_key = key(found, table);
        found_key.is_some()
            && found_key == key(schemas.expected, table)
            && found.column(table, "id").is_some_and(|id| id.data_type == DataType::Uuid && id.not_null)
    };
    let tables: Vec<&str> = contract().tables().map(|table| table.name.as_str()).collect();
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
fn time_zones(found: &Catalog) -> Check {
    let is_naive = |object: &&Object| match object {
        Object::Column(column) => column.data_type == DataType::TimestampWithoutZone && layer_of(object).is_some(),
        _ => false,
    };
    let naive: Vec<&Object> = found.objects().filter(is_naive).collect();
    let finding = |object: &&Object| Finding::new(subject(object), "stores times without their zone");
    let title = "every time is stored with its zone, so that samples appear in their time range".to_owned();
    Check::new("time.zones".to_owned(), None, "0.2d part 2, troubleshooting 5", title)
        .figures(json!({"without_time_zone": 0}), json!({"without_time_zone": naive.len()}))
        .findings(naive.iter().map(finding).collect())
}

fn triggers(schemas: &Schemas<'_>) -> Check {
    let is_ours = |object: &Object| match object {
        Object::Trigger(_) => layer_of(object).is_some(),
        Object::Function(function) => contract().functions().any(|known| known.signature == function.signature),
        _ => false,
    };
    let title = "the server keeps updated_at, by one enabled trigger a table".to_owned();
    let number = |facts: &[Entry]| json!(facts.iter().filter(|fact| fact.kind() == Kind::Trigger).count());
    let check = Check::new("schema.triggers".to_owned(), None, "0.2a", title);
    schemas.compared(check, number, |object| is_ours(object).then(|| Entry::of(object)))
}

/// Of a table, only whether it is under row security.
fn policies(schemas: &Schemas<'_>) -> Check {
    let title = "a customer's rows are shown to that customer alone, by a policy a table".to_owned();
    let secured = |facts: &[Entry]| json!(facts.iter().filter(|fact| fact.kind() == Kind::Table).count());
    let check = Check::new("schema.policies".to_owned(), None, "docs/security.md", title);
    schemas.compared(check, secured, |object| match object {
        Object::Policy(policy) if !policy.is_of_roles() => Some(Entry::of(object)),
        Object::Table(table) if !table.security().is_empty() => Some(part(object, table.security())),
        _ => None,
    })
}

/// A table that autovacuum leaves alone grows, and in the end the server stops to protect itself from wraparound.
fn storage(found: &Catalog) -> Check {
    const HARMFUL: [&str; 3] = ["autovacuum_enabled", "toast.autovacuum_enabled", "vacuum_index_cleanup"];
    let mut findings = Vec::new();
    for table in found.tables().filter(|table| Layer::of_table(&table.name).is_some()) {
        for (name, value) in table.settings.iter().filter(|(name, value)| HARMFUL.contains(&&***name) && is_off(value))
        {
            let finding = Finding::new(format!("table {}", table.name), format!("is stored with {name} = {value}"));
            findings.push(finding.fix(Some(format!("ALTER TABLE {} RESET ({name})", table.name))));
        }
    }
    let title = "no storage setting keeps vacuum away from a table".to_owned();
    Check::new("schema.storage".to_owned(), None, "integrity", title)
        .figures(json!(0), json!(findings.len()))
        .findings(findings)
}

/// Whether a storage setting is false, in any spelling that PostgreSQL takes.
fn is_off(value: &str) -> bool {
    let value = value.to_lowercase();
    value == "0"
        || (value.len() > 1 && "off".starts_with(&value))
        || ["false", "no"].iter().any(|no| no.starts_with(&value))
}

fn whole_contract(schemas: &Schemas<'_>, differences: &[Difference]) -> Check {
    let title = "the whole catalogue is that of a freshly migrated database".to_owned();
    Check::new("schema.contract".to_owned(), None, DEPLOYED, title)
        .figures(schemas.expected.entries().len(), schemas.found.entries().len())
        .findings(schemas.findings(differences))
}

fn subject(object: &Object) -> String {
    format!("{} {}", object.kind(), object.name())
}

fn layer_of(object: &Object) -> Option<Layer> {
    match object {
        Object::Enum(found) => enums::ALL.iter().find(|known| known.name == found.name).map(|known| known.layer),
        _ => Layer::of_table(object.table()?),
    }
}

fn of_kind(object: &Object, kind: Kind) -> Option<Entry> {
    (object.kind() == kind).then(|| Entry::of(object))
}

/// An object of which only a part is compared.
fn part(object: &Object, definition: String) -> Entry {
    Entry { object: object.clone(), definition }
}

/// A foreign key in two parts, so that a wrong action is no wrong key.
struct KeyAndAction {
    without_action: String,
    on_delete: OnDelete,
}

/// `None` for everything but a foreign key.
fn foreign_key(object: &Object) -> Option<KeyAndAction> {
    let Object::Constraint(constraint) = object else { return None };
    let on_delete = constraint.foreign_key()?.on_delete;
    let without_action = constraint.to_string().replace(&format!(" ON DELETE {}", on_delete.as_str()), "");
    Some(KeyAndAction { without_action, on_delete })
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
