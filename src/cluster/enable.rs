//! From tables of one server to distributed ones: keys are widened beside everybody, foreign keys become triggers, and the
//! rows move.

use std::collections::BTreeSet;

use super::error::Error;
use super::facts::State;
use super::obstacles;
use super::shape::{self, Steps, TOPOLOGY};
use crate::catalog::{Cascade, Catalog, Constraint, HOT_TABLES, HotTable, cascades, index_on, with_suffix};
use crate::error::Result;
use crate::partitions::{ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE, Step, key_word};
use crate::raw::{Sql, raw};

/// What the name of an index ends in until it holds a key.
const WIDENED: &str = "_widened";
const EXCLUSIVE: &str = "ExclusiveLock";

/// How many shards a table gets unless somebody says otherwise: a few for each worker, so that one that is added later gets
/// some of them, and no more, since a question without a customer asks each shard.
pub(super) fn default_shards(workers: usize) -> u32 {
    u32::try_from((4 * workers).clamp(8, 16).max(workers)).unwrap_or(u32::MAX)
}

/// The steps that are left to do.
pub(super) fn steps(state: &State, target: &Catalog, shards: u32) -> Result<Steps> {
    obstacles::refuse(state, target)?;
    let mut steps = Steps::new();
    if state.topology.is_none() {
        steps.push((TOPOLOGY, record(state, shards)));
    }
    steps.extend(cascades().iter().filter(|it| lacks(state, it)).map(|it| ("customers", cascade(state, it))));
    steps.extend(shape::policies(&state.live, target));
    for hot in &HOT_TABLES {
        let of_table = Table { hot, state, target }.steps(shards)?;
        steps.extend(of_table.into_iter().map(|step| (hot.name, step)));
    }
    if !steps.is_empty() || state.topology.is_some_and(|topology| !topology.is_done) {
        steps.push((TOPOLOGY, finish(state)));
    }
    Ok(steps)
}

/// Records the choice, so that an interrupted run is finished as it began.
fn record(state: &State, shards: u32) -> Step {
    let table = Sql::from(TOPOLOGY);
    let create = raw!(
        "CREATE TABLE {table} (
    is_row boolean PRIMARY KEY DEFAULT true CHECK (is_row),
    shards integer NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz
)",
        table = &table
    );
    let insert = raw!("INSERT INTO {table} (shards) VALUES ({shards})", table = &table, shards);
    Step::transaction("record the choice", &[create, insert, state.of_tables[0].give(&table)])
}

fn finish(state: &State) -> Step {
    let done = raw!("UPDATE {table} SET done_at = now()", table = TOPOLOGY);
    let propagate = shape::propagate(&state.facts, true);
    let statements: Vec<_> = [done].into_iter().chain(propagate).collect();
    Step::transaction(
        "record that it is done; what a new session sets for a transaction reaches the workers",
        &statements,
    )
}

fn lacks(state: &State, cascade: &Cascade) -> bool {
    let catalog = &state.live.catalog;
    let has_function = catalog.functions().any(|it| *it == cascade.function);
    !has_function || !catalog.triggers().any(|it| *it == cascade.trigger)
}

/// Makes a trigger that does what foreign keys do, while they are still there.
fn cascade(state: &State, Cascade { trigger, function }: &Cascade) -> Step {
    let (name, table) = (Sql::of_server(&function.signature), Sql::identifier(&trigger.table));
    let statements = [
        raw!(
            "CREATE OR REPLACE FUNCTION {name} {head} AS {body}",
            name = &name,
            head = Sql::of_server(&function.head()),
            body = Sql::literal(function.body.as_deref().unwrap_or_default())
        ),
        raw!("ALTER FUNCTION {name} OWNER TO {owner}", name, owner = state.of_tables[0].owner()),
        raw!(
            "CREATE OR REPLACE TRIGGER {trigger} {definition}",
            trigger = Sql::identifier(&trigger.name),
            definition = Sql::of_server(&trigger.definition)
        ),
        raw!("ALTER TABLE {table} ENABLE TRIGGER {trigger}", table, trigger = Sql::identifier(&trigger.name)),
    ];
    let does = format!("do by a trigger on {} what foreign keys do to rows of hot tables", trigger.table);
    Step::transaction(does, &statements).locking(&trigger.table, SHARE_ROW_EXCLUSIVE)
}

/// A hot table on its way.
struct Table<'a> {
    hot: &'static HotTable,
    state: &'a State,
    target: &'a Catalog,
}

impl Table<'_> {
    fn steps(&self, shards: u32) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        let live = &self.state.live;
        match live.catalog.distribution(self.hot.name) {
            Some(found) if found.by.as_deref() == Some(self.hot.distributed_by()) => {
                if shape::lacks_comments(self.hot, live) {
                    steps.push(self.comments());
                }
            }
            // A move that was interrupted leaves the table to Citus, and its rows on the coordinator.
            Some(found) if found.by.is_some() || found.colocation != 0 => {
                let found = found.by.clone().unwrap_or_else(|| "a copy on each node".to_owned());
                return Err(Error::OtherShape { table: self.hot.name, found });
            }
            found => {
                steps.extend(self.build());
                steps.extend(self.exchange());
                let beside_writers = found.is_some() || self.state.facts.large.iter().any(|it| it == self.hot.name);
                steps.push(self.distribute(shards, beside_writers));
                if beside_writers {
                    steps.push(self.comments());
                }
                let analyze = raw!("ANALYZE {table}", table = self.hot.name);
                let step = Step::alone("give the planner its statistics", analyze);
                steps.push(step.locking(self.hot.name, SHARE_UPDATE_EXCLUSIVE));
            }
        }
        Ok(steps)
    }

    /// The tables that have an index for a key: the table, or its partitions.
    fn parts(&self) -> Vec<&str> {
        let catalog = &self.state.live.catalog;
        match catalog.is_partitioned(self.hot.name) {
            true => catalog.partitions(self.hot.name).map(|partition| partition.name.as_str()).collect(),
            false => vec![self.hot.name],
        }
    }

    /// The name of the index for a key of a table, until the key has its place.
    fn index(&self, key: &Constraint, part: &str) -> String {
        let name = if part == self.hot.name { key.name.clone() } else { index_on(&key.name, self.hot.name, part) };
        with_suffix(&name, WIDENED)
    }

    fn keys(&self) -> impl Iterator<Item = &Constraint> {
        shape::keys(self.hot, &self.state.live, self.target)
    }

    /// Builds the indexes of the keys beside everybody.
    fn build(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (key, part) in self.keys().flat_map(|key| self.parts().into_iter().map(move |part| (key, part))) {
            let name = self.index(key, part);
            let index = Sql::identifier(&name);
            if self.state.facts.built.contains(&name) {
                continue;
            }
            if self.state.facts.broken.contains(&name) {
                let drop = raw!("DROP INDEX CONCURRENTLY {index}", index = &index);
                steps.push(Step::alone("remove the index that an interrupted run left", drop));
            }
            let columns = key.key_columns().unwrap_or_default();
            let create = raw!(
                "CREATE UNIQUE INDEX CONCURRENTLY {index} ON {part} ({columns})",
                index,
                part = Sql::identifier(part),
                columns = Sql::identifiers(columns)
            );
            let does = format!("build the unique index ({}) of {part} while others write", columns.join(", "));
            steps.push(Step::alone(does, create).locking(part, SHARE_UPDATE_EXCLUSIVE));
        }
        steps
    }

    /// Puts the wider keys in their places, without the foreign keys.
    fn exchange(&self) -> Option<Step> {
        let table = Sql::identifier(self.hot.name);
        let live = &self.state.live.catalog;
        let references: Vec<_> = live.foreign_keys().filter(|(it, _)| it.table == self.hot.name).collect();
        let referenced: BTreeSet<_> = references.iter().map(|(_, key)| key.references.as_str()).collect();
        let keys: Vec<_> = self.keys().collect();
        if keys.is_empty() && references.is_empty() {
            return None;
        }
        // In one order, whatever the server would take first.
        let locked = referenced.iter().copied().chain([self.hot.name]);
        let mut statements = vec![raw!("LOCK TABLE {all} IN ACCESS EXCLUSIVE MODE", all = Sql::identifiers(locked))];
        let dropped = references.iter().map(|(it, _)| *it).chain(keys.iter().copied());
        statements.extend(dropped.map(|it| {
            raw!("ALTER TABLE {table} DROP CONSTRAINT {name}", table = &table, name = Sql::identifier(&it.name))
        }));
        statements.extend(keys.iter().flat_map(|key| self.add(key)));
        let step = Step::transaction("exchange the keys for wider ones, and drop the foreign keys", &statements);
        Some(step.locking_each(referenced, ACCESS_EXCLUSIVE).locking(self.hot.name, ACCESS_EXCLUSIVE))
    }

    /// Adds a key by the indexes that are there.
    fn add(&self, key: &Constraint) -> Vec<Sql> {
        let word = key_word(key).unwrap_or_default();
        let parts = self.parts().into_iter();
        let mut statements: Vec<_> = parts
            .map(|part| {
                let index = self.index(key, part);
                let name = if part == self.hot.name { &key.name } else { &index };
                raw!(
                    "ALTER TABLE {part} ADD CONSTRAINT {name} {word} USING INDEX {index}",
                    part = Sql::identifier(part),
                    name = Sql::identifier(name),
                    word,
                    index = Sql::identifier(&index)
                )
            })
            .collect();
        if self.state.live.catalog.is_partitioned(self.hot.name) {
            statements.push(shape::add(key));
        }
        statements
    }

    /// The table that this one has its rows beside: one that is distributed, or will be before.
    fn colocated_with(&self) -> Option<&'static str> {
        let is_there =
            |other: &&HotTable| self.state.live.catalog.distribution(other.name).is_some_and(|it| it.by.is_some());
        let is_before = |other: &&HotTable| HOT_TABLES.iter().take_while(|it| *it != self.hot).any(|it| it == *other);
        let mates = || HOT_TABLES.iter().filter(|it| it.distributed_by() == self.hot.distributed_by());
        mates().find(is_there).or_else(|| mates().find(is_before)).map(|table| table.name)
    }

    /// Moves the rows: at once, or beside readers and writers, which is slower and loses comments.
    fn distribute(&self, shards: u32, beside_writers: bool) -> Step {
        let table = self.hot.name;
        let place = match self.colocated_with() {
            Some(other) => raw!("colocate_with => '{other}'", other),
            None => raw!("colocate_with => 'none', shard_count => {shards}", shards),
        };
        let arguments = raw!("'{table}', '{column}', {place}", table, column = self.hot.distributed_by(), place);
        if beside_writers {
            let statements = [
                raw!("SELECT create_distributed_table_concurrently({arguments})", arguments),
                "CALL citus_cleanup_orphaned_resources()".into(),
            ];
            let step = Step::each_alone("move the rows to the workers, beside readers and writers", &statements);
            return step.locking(table, SHARE_UPDATE_EXCLUSIVE).locking(table, EXCLUSIVE);
        }
        let statements = [
            raw!("SELECT create_distributed_table({arguments})", arguments),
            raw!("SELECT truncate_local_data_after_distributing_table('{table}')", table),
        ];
        Step::transaction("move the rows to the workers, while writers wait", &statements)
            .locking(table, ACCESS_EXCLUSIVE)
    }

    fn comments(&self) -> Step {
        let statements = shape::comments(self.hot, &self.state.live.catalog);
        Step::transaction("put the comments back", &statements).locking(self.hot.name, SHARE_UPDATE_EXCLUSIVE)
    }
}
