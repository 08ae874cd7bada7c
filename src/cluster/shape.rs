//! The tables as they are, and as they are to be: what both directions share.

use super::facts::Facts;
use crate::catalog::{Catalog, Constraint, HotTable, Policy, contract};
use crate::partitions::{ACCESS_EXCLUSIVE, Live, Step};
use crate::raw::{Sql, raw};

/// The name of the table that records the choice.
pub(super) const TOPOLOGY: &str = "__optiinfra_topology";

/// The schema as it is to be, with the partitions that are there.
pub(super) fn target(live: &Live, is_distributed: bool) -> Catalog {
    let shape = live.catalog.clone().without_distribution();
    if is_distributed { contract().distributed().in_shape_of(&shape) } else { contract().in_shape_of(&shape) }
}

/// The keys of a table that are to have other columns.
pub(super) fn keys<'a>(hot: &'a HotTable, live: &'a Live, target: &'a Catalog) -> impl Iterator<Item = &'a Constraint> {
    let of_table = target.constraints().filter(|it| it.table == hot.name && it.key_columns().is_some());
    of_table.filter(|key| found(live, key).is_none_or(|found| found.key_columns() != key.key_columns()))
}

/// The constraint of the same name that is there.
pub(super) fn found<'a>(live: &'a Live, constraint: &Constraint) -> Option<&'a Constraint> {
    live.catalog.constraints().find(|it| it.table == constraint.table && it.name == constraint.name)
}

/// Steps, each with the table that it is about.
pub(super) type Steps = Vec<(&'static str, Step)>;

/// Adds a constraint as it is to be.
pub(super) fn add(constraint: &Constraint) -> Sql {
    raw!(
        "ALTER TABLE {table} ADD CONSTRAINT {name} {definition}",
        table = Sql::identifier(&constraint.table),
        name = Sql::identifier(&constraint.name),
        definition = Sql::of_server(&constraint.definition)
    )
}

/// The policies of the contract that are to be other than they are, each in a transaction.
pub(super) fn policies(live: &Live, target: &Catalog) -> Steps {
    let differing = contract().policies().filter_map(|known| {
        let of_same_name = |it: &&Policy| it.table == known.table && it.name == known.name;
        let (is, to_be) = (live.catalog.policies().find(of_same_name)?, target.policies().find(of_same_name)?);
        // One that somebody changed is theirs, and `verify` shows it.
        let is_ours = is.clone().with_direct_setting() == to_be.clone().with_direct_setting();
        (is_ours && is != to_be).then_some((known.table.as_str(), to_be))
    });
    let step = |(table, policy): (&'static str, &Policy)| {
        let step = Step::transaction("give the policy its form", &[alter_policy(policy)]);
        (table, step.locking(table, ACCESS_EXCLUSIVE))
    };
    differing.map(step).collect()
}

fn alter_policy(policy: &Policy) -> Sql {
    let condition = |word: &'static str, condition: &Option<String>| match condition {
        Some(condition) => raw!(" {word} ({condition})", word, condition = Sql::of_server(condition)),
        None => "".into(),
    };
    raw!(
        "ALTER POLICY {name} ON {table}{using}{check}",
        name = Sql::identifier(&policy.name),
        table = Sql::identifier(&policy.table),
        using = condition("USING", &policy.using),
        check = condition("WITH CHECK", &policy.with_check)
    )
}

/// Citus leaves the comments of a table behind when it makes another one: those that are there, and those of the contract.
pub(super) fn comments(hot: &HotTable, of: &Catalog) -> Vec<Sql> {
    let table = of.comment(hot.name, None).or(contract().comment(hot.name, None));
    let table =
        table.map(|text| raw!("COMMENT ON TABLE {table} IS {text}", table = hot.name, text = Sql::literal(text)));
    let column = |name: &str| {
        let text = of.comment(hot.name, Some(name)).or(contract().comment(hot.name, Some(name)))?;
        Some(raw!(
            "COMMENT ON COLUMN {table}.{column} IS {text}",
            table = hot.name,
            column = Sql::identifier(name),
            text = Sql::literal(text)
        ))
    };
    table.into_iter().chain(of.columns_of(hot.name).filter_map(|it| column(&it.name))).collect()
}

/// Whether a comment of the contract is missing.
pub(super) fn lacks_comments(hot: &HotTable, live: &Live) -> bool {
    let is_missing = |column: Option<&str>| {
        contract().comment(hot.name, column).is_some() && live.catalog.comment(hot.name, column).is_none()
    };
    is_missing(None) || contract().columns_of(hot.name).any(|column| is_missing(Some(&column.name)))
}

/// A setting of the database: what a transaction sets reaches the workers.
pub(super) fn propagate(facts: &Facts, is_wanted: bool) -> Option<Sql> {
    let database = Sql::of_server(&facts.database);
    (facts.owns_database && facts.propagates != is_wanted).then(|| match is_wanted {
        true => raw!("ALTER DATABASE {database} SET citus.propagate_set_commands = 'local'", database),
        false => raw!("ALTER DATABASE {database} RESET citus.propagate_set_commands", database),
    })
}
