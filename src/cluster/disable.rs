//! From distributed tables back to those of one server, each in one transaction: its rows return, and so do its keys and
//! foreign keys.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::error::Error;
use super::facts::State;
use super::shape::{self, Steps, TOPOLOGY};
use crate::catalog::{Catalog, HOT_TABLES, HotTable, cascades};
use crate::error::{Doing, Result};
use crate::partitions::{ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE, Step};
use crate::raw::{Sql, raw, sql_query};

/// The steps that are left to do.
pub(super) fn steps(conn: &mut PgConnection, state: &State, target: &Catalog) -> Result<Steps> {
    refuse_broken_rows(conn, state, target)?;
    let facts = &state.facts;
    let mut steps = Steps::new();
    for hot in &HOT_TABLES {
        if let Some(step) = restore(hot, state, target) {
            steps.push((hot.name, step));
            let analyze = Step::alone("give the planner its statistics", raw!("ANALYZE {table}", table = hot.name));
            steps.push((hot.name, analyze.locking(hot.name, SHARE_UPDATE_EXCLUSIVE)));
        }
    }
    let left = facts.built.iter().chain(&facts.broken);
    steps.extend(left.map(|name| {
        let drop = raw!("DROP INDEX CONCURRENTLY {name}", name = Sql::identifier(name));
        (TOPOLOGY, Step::alone("remove the index that an interrupted run left", drop))
    }));
    steps.extend(shape::policies(&state.live, target));
    steps.extend(cascades().iter().filter_map(|it| {
        let (name, table) = (Sql::of_server(&it.function.signature), Sql::identifier(&it.trigger.table));
        let is_there = state.live.catalog.functions().any(|found| found.signature == it.function.signature);
        let statements = [
            raw!("DROP TRIGGER IF EXISTS {trigger} ON {table}", trigger = Sql::identifier(&it.trigger.name), table),
            raw!("DROP FUNCTION {name}", name),
        ];
        let does = format!("remove the trigger on {}", it.trigger.table);
        let step = Step::transaction(does, &statements).locking(&it.trigger.table, ACCESS_EXCLUSIVE);
        is_there.then_some(("customers", step))
    }));
    if facts.has_topology || facts.propagates {
        let drop = raw!("DROP TABLE IF EXISTS {table}", table = TOPOLOGY);
        let statements: Vec<_> = [drop].into_iter().chain(shape::propagate(facts, false)).collect();
        steps.push((TOPOLOGY, Step::transaction("remove the record of the choice", &statements)));
    }
    Ok(steps)
}

/// Brings a table back; `None` where it is as it is to be.
fn restore(hot: &'static HotTable, state: &State, target: &Catalog) -> Option<Step> {
    let (live, table) = (&state.live, Sql::identifier(hot.name));
    let is_distributed = live.catalog.distribution(hot.name).is_some();
    let keys: Vec<_> = shape::keys(hot, live, target).collect();
    let references: Vec<_> =
        target.foreign_keys().filter(|(it, _)| it.table == hot.name && shape::found(live, it).is_none()).collect();
    if !is_distributed && keys.is_empty() && references.is_empty() {
        return None;
    }
    let referenced = references.iter().map(|(_, key)| key.references.as_str());
    let referenced: std::collections::BTreeSet<_> = referenced.collect();
    let mut statements = Vec::new();
    if !referenced.is_empty() {
        let all = Sql::identifiers(&referenced);
        statements.push(raw!("LOCK TABLE {all} IN SHARE ROW EXCLUSIVE MODE", all));
    }
    if is_distributed {
        statements.push(raw!("SELECT undistribute_table('{table}')", table = hot.name));
    }
    for key in keys {
        let name = Sql::identifier(&key.name);
        statements.push(raw!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}", table = &table, name));
        statements.push(shape::add(key));
    }
    statements.extend(references.iter().map(|(it, _)| shape::add(it)));
    if is_distributed {
        statements.extend(shape::comments(hot, &live.catalog));
    }
    let does = match is_distributed {
        true => "bring the rows back, with keys and foreign keys, while readers and writers wait",
        false => "put keys and foreign keys back, while readers and writers wait",
    };
    let step = Step::transaction(does, &statements).locking_each(referenced, SHARE_ROW_EXCLUSIVE);
    Some(step.locking(hot.name, ACCESS_EXCLUSIVE))
}

/// Fails where rows would not keep the keys and foreign keys of the other shape.
fn refuse_broken_rows(conn: &mut PgConnection, state: &State, target: &Catalog) -> Result<()> {
    #[derive(QueryableByName)]
    struct Broken {
        #[diesel(sql_type = Text)]
        what: String,
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    let mut obstacles = Vec::new();
    for hot in &HOT_TABLES {
        let table = Sql::identifier(hot.name);
        let twice = shape::keys(hot, &state.live, target).map(|key| {
            let columns = Sql::identifiers(key.key_columns().unwrap_or_default());
            raw!(
                "SELECT '{constraint}' AS what, count(*) AS rows
                 FROM (SELECT {columns} FROM {table} GROUP BY {columns} HAVING count(*) > 1) twice",
                constraint = Sql::of_server(&key.name),
                columns,
                table = &table
            )
        });
        let lost =
            target.foreign_keys().filter(|(it, _)| it.table == hot.name && shape::found(&state.live, it).is_none());
        let lost = lost.map(|(it, key)| {
            raw!(
                "SELECT '{constraint}' AS what, coalesce(sum(rows), 0)::bigint AS rows
                 FROM (SELECT {column} AS id, count(*) AS rows FROM {table} WHERE {column} IS NOT NULL GROUP BY 1) owner
                 WHERE id NOT IN (SELECT id FROM {references})",
                constraint = Sql::of_server(&it.name),
                column = Sql::identifier(&key.columns[0]),
                table = &table,
                references = Sql::identifier(&key.references)
            )
        });
        for query in twice.chain(lost).collect::<Vec<_>>() {
            let Broken { what, rows } = sql_query(query).get_result(conn).doing("look for rows that break a key")?;
            if rows > 0 {
                obstacles.push(format!("{rows} rows or ids of {} break {what}", hot.name));
            }
        }
    }
    if obstacles.is_empty() { Ok(()) } else { Err(Error::Obstacles(obstacles).into()) }
}
