//! What belongs to a table and goes with its name from one shape to the other.

use std::collections::BTreeSet;

use super::error::Error;
use super::facts::{Facts, Live};
use super::step::{SHARE_UPDATE_EXCLUSIVE, Step};
use crate::catalog::{Catalog, Constraint, DataType, Enabled, HotTable, Index, Policy, Rule, Trigger};
use crate::raw::{Sql, raw};

/// What a table takes over in its columns from the one that it replaces. Keys and indexes are made by name.
pub(super) const LIKE: &str = "INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING \
                               COMMENTS INCLUDING STATISTICS";

/// What the names of the indexes of the partition that was the table end in.
pub(super) const FIRST: &str = "_first";

/// What the name of the constraint begins with that limits the rows of a table while its shape changes.
pub(super) fn until(table: &str) -> String {
    format!("{table}_until_")
}

/// Every constraint of a table but the one that is there while its shape changes.
pub(super) fn constraints<'a>(catalog: &'a Catalog, table: &'a str) -> impl Iterator<Item = &'a Constraint> {
    let is_of_table = move |it: &&Constraint| it.table == table && !it.name.starts_with(&until(table));
    catalog.constraints().filter(is_of_table)
}

/// The indexes of a table that belong to no constraint, but for those that are there while its shape changes.
pub(super) fn indexes<'a>(catalog: &'a Catalog, table: &'a str) -> impl Iterator<Item = &'a Index> {
    let is_key = move |index: &Index| constraints(catalog, table).any(|constraint| constraint.name == index.name);
    let is_own = move |index: &&Index| index.table == table && !index.name.ends_with(FIRST) && !is_key(index);
    catalog.indexes().filter(is_own)
}

/// The policies of a table.
pub(super) fn policies<'a>(catalog: &'a Catalog, table: &'a str) -> impl Iterator<Item = &'a Policy> {
    catalog.policies().filter(move |policy| policy.table == table)
}

/// The triggers of a table, but for those that keep a second table equal.
pub(super) fn triggers<'a>(catalog: &'a Catalog, table: &'a str) -> impl Iterator<Item = &'a Trigger> {
    catalog.triggers().filter(move |it| it.table == table && !it.name.starts_with(&format!("{table}_mirror")))
}

/// The words that make a key; `None` for another constraint.
pub(crate) const fn key_word(constraint: &Constraint) -> Option<&'static str> {
    match constraint.rule {
        Rule::PrimaryKey(_) => Some("PRIMARY KEY"),
        Rule::Unique(_) => Some("UNIQUE"),
        _ => None,
    }
}

/// The tables that a table refers to.
pub(super) fn referenced<'a>(catalog: &'a Catalog, hot: &HotTable) -> BTreeSet<&'a str> {
    let of_table = catalog.foreign_keys().filter(|(constraint, _)| constraint.table == hot.name);
    of_table.map(|(_, key)| key.references.as_str()).collect()
}

/// The first statements of an exchange: its locks, those of the tables that the table refers to before its own.
pub(super) fn lock(catalog: &Catalog, hot: &HotTable) -> Vec<Sql> {
    let referenced = referenced(catalog, hot);
    let tables = Sql::identifiers(&referenced);
    let others = (!referenced.is_empty()).then(|| raw!("LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE", tables));
    let own = raw!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE", table = hot.name);
    others.into_iter().chain([own]).collect()
}

/// The steps that build an index concurrently, without what an interrupted run left of it; none where it is there.
pub(super) fn build(
    catalog: &Catalog,
    table: &str,
    name: &str,
    does: String,
    create: impl FnOnce(&Sql) -> Sql,
) -> Vec<Step> {
    let found = catalog.indexes().find(|index| index.table == table && index.name == name);
    if found.is_some_and(|found| found.valid) {
        return Vec::new();
    }
    let index = Sql::identifier(name);
    let drop = found.map(|_| {
        let drop = raw!("DROP INDEX CONCURRENTLY {index}", index = &index);
        Step::alone("remove the index that an interrupted run left", drop)
    });
    let steps = drop.into_iter().chain([Step::alone(does, create(&index))]);
    steps.map(|step| step.locking(table, SHARE_UPDATE_EXCLUSIVE)).collect()
}

/// Fails where something of a table cannot be carried over.
pub(super) fn refuse_obstacles(hot: &HotTable, live: &Live, facts: &Facts) -> Result<(), Error> {
    let obstacles = obstacles(hot, live, facts);
    if obstacles.is_empty() { Ok(()) } else { Err(Error::Obstacles { table: hot.name, obstacles }) }
}

/// What of a table cannot be carried over.
fn obstacles(hot: &HotTable, live: &Live, facts: &Facts) -> Vec<String> {
    let catalog = &live.catalog;
    let mut obstacles: Vec<String> =
        facts.dependents.iter().map(|it| format!("{it} depends on the table itself")).collect();
    if facts.is_identified_by_index() {
        obstacles.push("its replica identity is an index".to_owned());
    }
    if catalog.table(hot.name).is_some_and(|found| found.unlogged) {
        obstacles.push("it is unlogged".to_owned());
    }
    if catalog.column(hot.name, hot.time).is_some_and(|time| time.data_type != DataType::TimestampWithZone) {
        obstacles.push(format!("column {} has no time zone yet", hot.time));
    }
    for constraint in constraints(catalog, hot.name) {
        let reason = match &constraint.rule {
            Rule::ForeignKey(_) if !constraint.validated => "is not validated",
            Rule::ForeignKey(_) if !constraint.enforced => "is not enforced",
            Rule::Other => "cannot hold across partitions",
            _ => continue,
        };
        obstacles.push(format!("constraint {} {reason}", constraint.name));
    }
    for index in indexes(catalog, hot.name) {
        if index.unique && !index.definition.contains(hot.time) {
            obstacles.push(format!("index {} would be unique within each partition only", index.name));
        } else if !index.valid {
            obstacles.push(format!("index {} is invalid", index.name));
        }
    }
    let identities = catalog.columns_of(hot.name).filter(|column| column.identity.is_some());
    obstacles.extend(identities.map(|column| format!("column {} is an identity column", column.name)));
    let of_constraints = triggers(catalog, hot.name).filter(|trigger| trigger.definition.starts_with("CONSTRAINT"));
    obstacles.extend(of_constraints.map(|trigger| format!("trigger {} is a constraint trigger", trigger.name)));
    obstacles
}

/// Gives the table of this name, which has replaced another, what that one had beside its columns, keys and indexes:
/// policies and row security, triggers, its comment.
pub(super) fn dress(hot: &HotTable, live: &Live) -> Vec<Sql> {
    let (catalog, table) = (&live.catalog, hot.name);
    let mut statements = Vec::new();
    for it in policies(catalog, table) {
        let (name, definition) = (Sql::identifier(&it.name), Sql::of_server(&it.to_string()));
        statements.push(raw!("CREATE POLICY {name} ON {table} {definition}", name, table, definition));
    }
    let found = catalog.table(table);
    if found.is_some_and(|found| found.row_security) {
        statements.push(raw!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY", table));
    }
    if found.is_some_and(|found| found.row_security_for_owner) {
        statements.push(raw!("ALTER TABLE {table} FORCE ROW LEVEL SECURITY", table));
    }
    for it in triggers(catalog, table) {
        let (name, definition) = (Sql::identifier(&it.name), Sql::of_server(&it.definition));
        statements.push(raw!("CREATE TRIGGER {name} {definition}", name = &name, definition));
        let enable = match it.enabled {
            Enabled::Yes => continue,
            Enabled::Disabled => "DISABLE",
            Enabled::OnReplica => "ENABLE REPLICA",
            Enabled::Always => "ENABLE ALWAYS",
        };
        statements.push(raw!("ALTER TABLE {table} {enable} TRIGGER {name}", table, enable, name));
    }
    if let Some(comment) = catalog.comment(table, None) {
        statements.push(raw!("COMMENT ON TABLE {table} IS {text}", table, text = Sql::literal(comment)));
    }
    statements
}
