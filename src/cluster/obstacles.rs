//! What keeps a table from being distributed: refused before anything happens.

use super::error::Error;
use super::facts::State;
use crate::catalog::{Catalog, HOT_TABLES, HotTable, Rule, contract};
use crate::partitions;

/// Fails where something about a table that is yet to be distributed cannot be carried over.
pub(super) fn refuse(state: &State, target: &Catalog) -> Result<(), Error> {
    let left = HOT_TABLES.iter().zip(&state.of_tables);
    let left = left.filter(|(hot, _)| state.live.catalog.distribution(hot.name).is_none_or(|it| it.by.is_none()));
    let mut obstacles: Vec<_> = left.flat_map(|(hot, facts)| of_table(hot, state, facts, target)).collect();
    if !state.facts.large.is_empty() && state.facts.wal_level != "logical" {
        let large = state.facts.large.join(", ");
        obstacles.push(format!(
            "wal_level is {}, and {large} can be moved beside writers with logical only",
            state.facts.wal_level
        ));
    }
    if obstacles.is_empty() { Ok(()) } else { Err(Error::Obstacles(obstacles)) }
}

fn of_table(hot: &HotTable, state: &State, facts: &partitions::Facts, target: &Catalog) -> Vec<String> {
    let (catalog, table) = (&state.live.catalog, hot.name);
    let mut obstacles: Vec<_> = facts.dependents.iter().map(|it| format!("{it} depends on {table}")).collect();
    if state.managed_by_partman.iter().any(|name| name == table) {
        obstacles.push(format!("pg_partman manages {table}"));
    }
    if catalog.table(&format!("{table}_whole")).is_some() {
        obstacles.push(format!("{table} is half way to or from partitions"));
    }
    let triggers = catalog.triggers().filter(|it| it.table == table);
    obstacles.extend(triggers.map(|it| format!("trigger {} of {table} would not run on the workers", it.name)));
    let policies = catalog.policies().filter(|it| it.table == table);
    let asks = policies.filter(|it| (*it).clone().with_direct_setting().to_string().contains("SELECT"));
    obstacles.extend(asks.map(|it| format!("policy {} of {table} asks another table", it.name)));
    let is_known = |name: &str| contract().constraints().any(|it| it.table == table && it.name == name);
    for it in catalog.constraints().filter(|it| it.table == table && !is_known(&it.name)) {
        let reason = match &it.rule {
            Rule::ForeignKey(_) => "would be lost",
            Rule::PrimaryKey(columns) | Rule::Unique(columns) if !has_column(columns, hot) => {
                "cannot hold across nodes"
            }
            Rule::Other => "cannot hold across nodes",
            Rule::Check if it.name.starts_with(&format!("{table}_until_")) => "is of a change that was interrupted",
            _ => continue,
        };
        obstacles.push(format!("constraint {} of {table} {reason}", it.name));
    }
    let is_key =
        |name: &str| catalog.constraints().chain(target.constraints()).any(|it| it.table == table && it.name == name);
    for it in catalog.indexes().filter(|it| it.table == table && !is_key(&it.name) && !it.name.ends_with("_widened")) {
        if it.unique && !it.definition.contains(hot.distributed_by()) {
            obstacles.push(format!("index {} of {table} cannot be unique across nodes", it.name));
        } else if !it.valid {
            obstacles.push(format!("index {} of {table} is invalid", it.name));
        }
    }
    obstacles
}

fn has_column(columns: &[String], hot: &HotTable) -> bool {
    columns.iter().any(|column| column == hot.distributed_by())
}
