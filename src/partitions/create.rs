//! Making partitions: those ahead of now, and the default one.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::facts::{Facts, Live};
use super::objects::referenced;
use super::period::Period;
use super::step::{ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE, Step};
use crate::catalog::{Bound, Bounds, HotTable};
use crate::raw::{Sql, raw};

/// What a partition takes over from its table when it is made, but for indexes and foreign keys, which it gets when it is
/// attached.
pub(super) const LIKE: &str =
    "INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING CONSTRAINTS";

/// The partition of these rows: its name ends in the day on which they begin.
pub(super) fn name(hot: &HotTable, bounds: &Bounds) -> String {
    match bounds {
        Bounds::Range(Some(from), _) => format!("{}_{}", hot.name, from.format("%Y%m%d")),
        Bounds::Range(None, _) => first(hot),
        _ => format!("{}_default", hot.name),
    }
}

/// The name of the partition that was the table.
pub(super) fn first(hot: &HotTable) -> String {
    format!("{}_first", hot.name)
}

/// The periods from the end of the last partition until so long from now, and those between others from now on: what was
/// detached by hand may come back.
pub(super) fn ahead(period: Period, gaps: &[(Bound, Bound)], now: DateTime<Utc>, ahead: TimeDelta) -> Vec<Bounds> {
    let until = now.checked_add_signed(ahead).unwrap_or(now);
    let this = period.begin(now);
    let mut bounds = Vec::new();
    for (from, to) in gaps {
        let mut from = match (from, to) {
            (Some(from), None) => *from,
            (Some(from), Some(_)) => this.max(*from),
            (None, None) => this,
            (None, Some(_)) => continue,
        };
        while from <= until && to.is_none_or(|to| from < to) {
            // After a partition of odd length, the first one ends where a period does.
            let next = to.map_or(period.next(from), |to| period.next(from).min(to));
            bounds.push(Bounds::Range(Some(from), Some(next)));
            from = next;
        }
    }
    bounds
}

/// Makes a partition beside those who use the table: made as a table of its own, then attached.
pub(super) fn step(hot: &HotTable, live: &Live, facts: &Facts, bounds: &Bounds) -> Step {
    let name = name(hot, bounds);
    let mut statements = create(hot.name, facts, settings(live, hot), &name);
    statements.push(attach(hot, &name, bounds));
    let step = Step::transaction(format!("make the partition {}", describe(bounds)), &statements);
    let step = step
        .locking_each(referenced(&live.catalog, hot), SHARE_ROW_EXCLUSIVE)
        .locking(hot.name, SHARE_UPDATE_EXCLUSIVE);
    match live.catalog.default_partition(hot.name) {
        Some(default) if *bounds != Bounds::Default => step.locking(&default.name, ACCESS_EXCLUSIVE),
        _ => step,
    }
}

/// Makes a table that can become a partition.
pub(super) fn create(like: impl Into<Sql>, facts: &Facts, settings: Sql, name: &str) -> Vec<Sql> {
    let name = Sql::identifier(name);
    let create = raw!(
        "CREATE TABLE {name} (LIKE {like} {LIKE}){settings}{tablespace}",
        name = &name,
        like = like.into(),
        LIKE,
        settings,
        tablespace = facts.tablespace()
    );
    [create, facts.give(&name)].into_iter().chain(close(&name, facts)).collect()
}

/// Grants nothing on a partition, and puts it under row security: only the table shows its rows.
pub(super) fn close(name: &Sql, facts: &Facts) -> impl Iterator<Item = Sql> {
    let secure = raw!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY", name);
    facts.revoke(name).into_iter().chain([secure]).chain(facts.set_columns(name)).chain(facts.identify(name))
}

/// Attaches a partition.
pub(super) fn attach(hot: &HotTable, name: &str, bounds: &Bounds) -> Sql {
    raw!(
        "ALTER TABLE {table} ATTACH PARTITION {name} {bounds}",
        table = hot.name,
        name = Sql::identifier(name),
        bounds = Sql::of_server(&bounds.to_string())
    )
}

/// Storage settings for a new partition: those of the table while it is plain, then those of the newest partition.
pub(super) fn settings(live: &Live, hot: &HotTable) -> Sql {
    let of_table = live.catalog.table(hot.name).map(|table| &table.settings);
    let of_newest = live.catalog.ranges(hot.name).last().map(|newest| &newest.settings);
    of_newest.or(of_table).map_or(Sql::from(""), with)
}

fn with(settings: &BTreeMap<String, String>) -> Sql {
    if settings.is_empty() {
        return "".into();
    }
    let settings = settings
        .iter()
        .map(|(name, value)| raw!("{name} = {value}", name = Sql::of_server(name), value = Sql::literal(value)));
    raw!(" WITH ({settings})", settings = Sql::join(settings, ", "))
}

/// The server never analyzes a partitioned table by itself.
pub(super) fn analyze(hot: &HotTable) -> Step {
    let analyze = raw!("ANALYZE {table}", table = hot.name);
    Step::alone("give the planner its statistics", analyze).locking(hot.name, SHARE_UPDATE_EXCLUSIVE)
}

fn describe(bounds: &Bounds) -> String {
    match bounds {
        Bounds::Range(Some(from), Some(to)) => format!("from {} to {}", from.date_naive(), to.date_naive()),
        _ => "for all other rows".to_owned(),
    }
}
