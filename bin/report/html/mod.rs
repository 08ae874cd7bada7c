//! The page: one file that holds all it needs. Health comes first, then what is wrong, then what is there.

mod concerns;
pub mod frame;
mod grid;
mod verdict;

use std::time::Duration;

use askama::Template;
use chrono::{DateTime, Utc};
use optiinfra_db::stats::Report;
use serde_json::Value as Json;

use self::concerns::Concern;
use self::frame::Frame;
use self::grid::Grid;
use self::verdict::Verdict;
use super::charts::{self, Chart, Mark};
use super::text::{self, Medium};
use super::{Verified, compare, sections};
use crate::output::{bytes, seconds};

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    frame: Frame,
    database: String,
    /// Where and as whom it was read, and what of it.
    about: Vec<String>,
    verdict: Verdict,
    concerns: Vec<Concern>,
    skipped: Vec<String>,
    figures: Vec<Figure>,
    changes: Option<Changes>,
    wrong: Vec<Grid>,
    /// Titles of what could be wrong and is not.
    right: Vec<String>,
    charts: Vec<Chart>,
    there: Vec<Grid>,
}

/// What has changed since an earlier report.
struct Changes {
    since: String,
    tables: Vec<Grid>,
}

/// What stands in the page's place where there is no report.
#[derive(Template)]
#[template(path = "unavailable.html")]
struct Unavailable<'a> {
    frame: Frame,
    problem: &'a str,
}

/// A figure of the server's health.
struct Figure {
    value: String,
    name: &'static str,
}

/// The page, which says what has changed since an earlier report and asks for itself again after `refresh`.
pub fn render(
    report: &Report,
    verified: &Verified,
    before: Option<&Json>,
    refresh: Option<Duration>,
) -> anyhow::Result<String> {
    let has_something = |grid: &Grid| !grid.rows.is_empty() || !grid.skipped.is_empty();
    let (wrong, right): (Vec<_>, Vec<_>) = grid::of(report, &grid::WRONG).into_iter().partition(has_something);
    let page = Page {
        frame: Frame::new(refresh),
        database: report.database.clone(),
        about: about(report),
        verdict: verdict::of(verified, report.gathered_at),
        concerns: concerns::of(report),
        skipped: skipped(report),
        figures: figures(report),
        changes: before.map(|before| changes(before, report)).transpose()?,
        wrong,
        right: right.into_iter().map(|grid| grid.title.to_lowercase()).collect(),
        charts: charts::all(report),
        there: grid::of(report, &grid::THERE).into_iter().filter(has_something).collect(),
    };
    Ok(page.render()?)
}

/// The page where there is no report, which asks again after `refresh`.
pub fn unavailable(problem: &str, refresh: Duration) -> anyhow::Result<String> {
    Ok(Unavailable { frame: Frame::new(Some(refresh)), problem }.render()?)
}

fn changes(before: &Json, report: &Report) -> anyhow::Result<Changes> {
    let titles = ["Tables that changed", "Figures that changed", "New and gone"];
    let sections = compare::sections(before, report)?;
    let changed = titles.into_iter().zip(&sections).filter(|(_, section)| !section.rows.is_empty());
    let medium = Medium::Page(report.gathered_at);
    let since = before["gathered_at"].as_str().and_then(|at| at.parse().ok());
    Ok(Changes {
        since: since.map_or_else(|| "unknown time".to_owned(), |at| text::with_age(at, report.gathered_at)),
        tables: changed.map(|(title, section)| Grid::of(title, section, 0, 0, medium)).collect(),
    })
}

/// Where and as whom it was read; whose rows these are, and of which time.
fn about(report: &Report) -> Vec<String> {
    let server = report.server.address.as_deref().unwrap_or("this machine");
    let customer = report.customer.map(|id| {
        let name = report.core.customers.first().map(|customer| customer.name.clone());
        format!("customer {}", name.unwrap_or_else(|| id.to_string()))
    });
    let since = report.since.map(|since| format!("since {}", text::date(since)));
    let newest = |what: &str, begin: Option<DateTime<Utc>>| {
        let begin = begin.filter(|_| begin != report.since);
        begin.map(|begin| format!("{what}: the newest, since {}", text::date(begin)))
    };
    let parts = [
        Some(format!("PostgreSQL {} on {server} as {}", report.server_version, report.server.role)),
        Some(sections::head(report).to_owned()),
        Some(text::date(report.gathered_at)),
        span(report)
            .map(|(first, last)| format!("samples and answers from {} to {}", text::date(first), text::date(last))),
        customer,
        since,
        newest("samples", report.samples_since),
        newest("answers", report.answers_since),
    ];
    parts.into_iter().flatten().collect()
}

/// The first and the last time of what is drawn.
fn span(report: &Report) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let samples = report.resource.utilization_bands.iter().flat_map(|band| &band.points).map(|point| point.at);
    let answers = report.application.quality_over_time.iter().flat_map(|line| &line.points).map(|point| point.at);
    let times = samples.chain(answers);
    Some((times.clone().min()?, times.max()?))
}

/// What the server's health is seen by at a glance, as far as it is known.
fn figures(report: &Report) -> Vec<Figure> {
    let (operations, server) = (&report.operations, &report.server);
    let of = |name, value: Option<String>| Some(Figure { name, value: value? });
    let newest = operations.newest_samples.iter().filter_map(|newest| *newest.at.found()?).max();
    let lag = server.replicas.found().filter(|all| !all.is_empty());
    let lag = lag.and_then(|all| all.iter().filter_map(|replica| replica.lag_bytes).max());
    let figures = [
        of("since the newest row", newest.map(|at| seconds((report.gathered_at - at).as_seconds_f64().max(0.0)))),
        of(
            "connections",
            server.connections.found().map(|found| format!("{} of {}", found.total, server.max_connections)),
        ),
        of("oldest transaction", operations.oldest_transaction_seconds.found().copied().map(seconds)),
        of("found in the cache", operations.cache.hit_ratio.map(|ratio| format!("{:.1} %", ratio * 100.0))),
        of("write-ahead log", server.wal_kept_bytes.found().copied().map(bytes)),
        of("not replayed by a standby", lag.map(bytes)),
        of("behind the primary", server.replay_lag_seconds.found().copied().flatten().map(seconds)),
        of("of all transaction ids used", Some(share_of_ids(server.transaction_id_age))),
        of("server runs for", Some(seconds((report.gathered_at - server.started_at).as_seconds_f64().max(0.0)))),
    ];
    figures.into_iter().flatten().collect()
}

fn share_of_ids(age: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = age as f64 / 2_147_483_648.0;
    format!("{:.1} %", share * 100.0)
}

fn skipped(report: &Report) -> Vec<String> {
    let layers = report.skipped.iter().map(|skipped| format!("layer {}: {}", skipped.part, skipped.reason));
    let tables = report.tables.iter();
    let tables = tables.filter_map(|table| Some(format!("table {}: {}", table.table, table.skipped.as_ref()?)));
    layers.chain(tables).collect()
}
