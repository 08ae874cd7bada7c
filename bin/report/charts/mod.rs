//! The charts of the HTML page.

mod axis;
mod plot;
mod time;

use chrono::{DateTime, Utc};
use optiinfra_db::enums::{ResourceType, ScalingEventType};
use optiinfra_db::stats::{Band, Point, QualityOverTime, RegressionMark, Report, ScalingEvent, Spread, Table};

use self::axis::{Scale, Tick, percent};
pub use self::plot::Mark;
use self::plot::{Bar, Placed, Plot, line_mark};
use self::time::{Time, dates};
use super::{sections, text};
use crate::output::{bytes, plural};

/// A drawing with what has to be said around it.
#[derive(Default)]
pub struct Chart {
    pub title: &'static str,
    pub subtitle: String,
    /// What to say where there is nothing to draw.
    pub empty: String,
    pub legend: Vec<Entry>,
    pub plot: Option<Plot>,
}

/// An entry of a legend.
pub struct Entry {
    pub mark: Mark,
    pub name: String,
}

impl Entry {
    fn new(mark: Mark, name: impl Into<String>) -> Self {
        Self { mark, name: name.into() }
    }
}

impl Chart {
    pub fn id(&self) -> String {
        text::anchor(self.title)
    }

    fn empty(title: &'static str, empty: &str) -> Self {
        Self { title, empty: empty.to_owned(), ..Self::default() }
    }
}

/// The charts of the page.
pub fn all(report: &Report) -> Vec<Chart> {
    let (resource, application) = (&report.resource, &report.application);
    let of_layers = [
        ("resource", utilization(&resource.utilization_bands, resource.utilization_instances.unwrap_or_default())),
        ("resource", scaling(&resource.scaling_timeline)),
        ("application", quality(&application.quality_over_time, &application.regression_timeline)),
        ("tables", sizes(&report.tables)),
    ];
    let with_reason = |(layer, mut chart): (&str, Chart)| {
        if let Some(reason) = sections::skipped(report, layer) {
            chart.empty = format!("skipped: {reason}");
        }
        chart
    };
    of_layers.map(with_reason).into()
}

/// Utilisation of all instances together, a band a resource.
fn utilization(bands: &[Band], instances: i64) -> Chart {
    let mut chart = Chart::empty("Utilisation", "No samples of utilisation.");
    let points = || bands.iter().flat_map(|band| band.points.iter().map(move |point| (band.resource_type, point)));
    let times = points().map(|(_, point)| point.at);
    let Some(time) = Time::over(times.clone()) else { return chart };
    let instances = plural(instances.unsigned_abs(), "instance", "instances");
    chart.subtitle = format!("samples of {instances} in percent, {}", dates(times));
    let scale = Scale { low: 0.0, high: 100.0 };
    let mut plot = Plot::over_time(&time, scale, "utilisation, %", |value| format!("{value:.0}"));
    for (color, band) in bands.iter().enumerate() {
        plot.band(&band.points, &time, scale, color);
        chart.legend.push(Entry::new(line_mark(color), format!("{}, median", band.resource_type)));
        chart.legend.push(Entry::new(Mark::Band { color }, "5th to 95th percentile"));
    }
    let text = |(resource, point): (ResourceType, &Spread)| {
        let Spread { at, low, median, high, samples } = point;
        (*at, format!("{resource}: median {median:.0} %, {low:.0} to {high:.0} % ({samples} samples)"))
    };
    plot.hover(&time, points().map(text));
    chart.plot = Some(plot);
    chart
}

fn times(points: &[Point]) -> impl Iterator<Item = DateTime<Utc>> + Clone {
    points.iter().map(|point| point.at)
}

/// Scaling events along time, a lane a type.
fn scaling(events: &[ScalingEvent]) -> Chart {
    let mut chart = Chart::empty("Scaling events", "No scaling events.");
    let times = events.iter().map(|event| event.executed_at);
    let Some(time) = Time::over(times.clone()) else { return chart };
    let failed = events.iter().filter(|event| mark(event) == Mark::Failed).count();
    chart.subtitle = format!("{} events, {failed} failed, {}", events.len(), dates(times));
    let names = [(Mark::Succeeded, "succeeded"), (Mark::Failed, "failed"), (Mark::StillRuns, "still runs")];
    chart.legend = names.map(|(mark, name)| Entry::new(mark, name)).into();

    let is_there = |lane: &ScalingEventType| events.iter().any(|event| event.event_type == *lane);
    let lanes: Vec<_> = ScalingEventType::ALL.iter().copied().filter(is_there).collect();
    let mut marks: Vec<_> = events
        .iter()
        .filter_map(|event| {
            let lane = lanes.iter().position(|lane| *lane == event.event_type)?;
            let (x, y) = (time.x(event.executed_at), middle(lane, lanes.len()));
            Some(Placed { x, y, mark: mark(event), hover: event_text(event) })
        })
        .collect();
    // A failure among successes is what somebody looks for: nothing may cover it.
    marks.sort_by_key(|placed| placed.mark == Mark::Failed);
    let names = lanes.iter().map(|lane| lane.as_str().replace('_', " "));
    chart.plot = Some(Plot {
        height: 28 * lanes.len(),
        shape: "lanes",
        x_title: "time, UTC".to_owned(),
        x: time.ticks(),
        y: self::lanes(names),
        marks,
        ..Plot::default()
    });
    chart
}

fn event_text(event: &ScalingEvent) -> String {
    let outcome = match (mark(event), &event.error) {
        (Mark::Failed, Some(error)) => format!("failed: {error}"),
        (Mark::Failed, None) => "failed".to_owned(),
        (Mark::StillRuns, _) => "still runs".to_owned(),
        _ => "succeeded".to_owned(),
    };
    let instances = event.instances.as_ref().map(|instances| format!(", {instances}")).unwrap_or_default();
    format!(
        "{}\n{}, {outcome}\n{}{instances}\n{}",
        text::date(event.executed_at),
        event.event_type.as_str().replace('_', " "),
        event.customer,
        event.trigger_reason,
    )
}

const fn mark(event: &ScalingEvent) -> Mark {
    match (event.success, event.duration_seconds) {
        (true, _) => Mark::Succeeded,
        (false, Some(_)) => Mark::Failed,
        (false, None) => Mark::StillRuns,
    }
}

/// The middle of a lane, from the top.
#[expect(clippy::cast_precision_loss, reason = "a few lanes")]
fn middle(lane: usize, of: usize) -> f64 {
    percent(lane as f64 + 0.5, of as f64)
}

fn lanes(names: impl ExactSizeIterator<Item = String>) -> Vec<Tick> {
    let count = names.len();
    names.enumerate().map(|(lane, label)| Tick { at: middle(lane, count), label, is_minor: false }).collect()
}

/// Quality per model against its baseline, with the regressions.
fn quality(lines: &[QualityOverTime], regressions: &[RegressionMark]) -> Chart {
    let mut chart = Chart::empty("Quality per model", "No judged answers.");
    let times = lines.iter().flat_map(|line| times(&line.points));
    let Some(time) = Time::over(times.clone()) else { return chart };
    chart.subtitle = format!("average overall score from 0 to 1, {}", dates(times));
    let scale = scores(lines);
    let mut plot = Plot::over_time(&time, scale, "overall score, 0 to 1", |value| format!("{value:.2}"));
    for (at, line) in lines.iter().enumerate() {
        let Mark::Line { color, .. } = line_mark(at) else { continue };
        let mark = Mark::Line { color, has_dashes: false };
        if let Some(baseline) = line.baseline.filter(|baseline| baseline.is_finite()) {
            let y = 100.0 - scale.place(baseline);
            plot.line([(0.0, y), (100.0, y)].into_iter(), color, true, 1);
        }
        plot.series(&line.points, &time, scale, mark);
        chart.legend.push(Entry::new(mark, &line.model_name));
    }
    let names =
        [(Mark::Baseline, "baseline"), (Mark::Open, "open regression"), (Mark::Resolved, "resolved regression")];
    chart.legend.extend(names.map(|(mark, name)| Entry::new(mark, name)));
    let mut marks: Vec<_> =
        regressions.iter().filter_map(|regression| place(regression, lines, &time, scale)).collect();
    marks.sort_by_key(|placed| placed.mark == Mark::Open);
    plot.marks.extend(marks);
    let points = lines.iter().flat_map(|line| line.points.iter().map(move |point| (line, point)));
    plot.hover(&time, points.map(|(line, point)| (point.at, format!("{}: {:.3}", line.model_name, point.value))));
    chart.plot = Some(plot);
    chart
}

/// From below the least score to above the greatest, in steps of 0.05.
fn scores(lines: &[QualityOverTime]) -> Scale {
    let values = lines.iter().flat_map(|line| line.points.iter().map(|point| point.value).chain(line.baseline));
    let values = values.filter(|value| value.is_finite());
    let low = (values.clone().fold(1.0, f64::min) * 20.0 - 0.5).floor() / 20.0;
    let high = (values.fold(0.0, f64::max) * 20.0 + 0.5).ceil() / 20.0;
    if low < high { Scale { low: low.max(0.0), high: high.max(low + 0.05) } } else { Scale { low: 0.0, high: 1.0 } }
}

/// A regression at the time when it was noticed, as good as its model was then.
fn place(regression: &RegressionMark, lines: &[QualityOverTime], time: &Time, scale: Scale) -> Option<Placed> {
    let line = lines.iter().find(|line| line.model_name == regression.model_name)?;
    let near = line.points.iter().filter(|point| point.value.is_finite());
    let nearest = near.min_by_key(|point| (point.at - regression.detected_at).abs())?;
    let mark = if regression.resolved_at.is_some() { Mark::Resolved } else { Mark::Open };
    let (x, y) = (time.x(regression.detected_at), 100.0 - scale.place(nearest.value));
    let hover = format!(
        "{}\n{} of {}, {}, {}",
        text::date(regression.detected_at),
        regression.regression_type.as_str().replace('_', " "),
        regression.model_name,
        regression.severity,
        if mark == Mark::Open { "open" } else { "resolved" },
    );
    time.spans(regression.detected_at).then_some(Placed { x, y, mark, hover })
}

/// Bytes of each table, a bar a table.
fn sizes(tables: &[Table]) -> Chart {
    let mut chart = Chart::empty("Size of the tables", "No table could be measured.");
    let mut measured: Vec<_> = tables.iter().filter_map(|table| Some((table, table.total_bytes?))).collect();
    measured.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let Some((_, greatest)) = measured.first().copied().filter(|(_, bytes)| *bytes > 0) else { return chart };
    let total = measured.iter().map(|(_, bytes)| bytes).sum();
    chart.subtitle = format!("{} on disk in {} tables", bytes(total), measured.len());
    let names = ["rows", "indexes", "out of line (toast)"];
    chart.legend = names.into_iter().enumerate().map(|(color, name)| Entry::new(Mark::Bar { color }, name)).collect();

    let (unit, name) = unit(greatest);
    #[expect(clippy::cast_precision_loss, reason = "bytes on a chart")]
    let scaled = |bytes: i64| bytes as f64 / unit;
    let scale = Scale { low: 0.0, high: scaled(greatest) };
    let bar = |(lane, (table, total)): (usize, &(&Table, i64))| {
        let parts = [table.heap_bytes, table.index_bytes, table.toast_bytes].map(Option::unwrap_or_default);
        let mut end = 0.0;
        let parts = parts.map(|part| {
            let begin = end;
            end += scale.place(scaled(part));
            (begin, end - begin)
        });
        let of_parts = names.iter().zip([table.heap_bytes, table.index_bytes, table.toast_bytes]);
        let of_parts = of_parts.map(|(name, part)| format!("{name} {}", bytes(part.unwrap_or_default())));
        let hover = format!("{}: {}", table.table, of_parts.collect::<Vec<_>>().join(", "));
        Bar { y: middle(lane, measured.len()), parts: parts.into(), end, label: bytes(*total), hover }
    };
    chart.plot = Some(Plot {
        height: 22 * measured.len(),
        shape: "bars",
        x_title: format!("size on disk, {name}"),
        x: scale.ticks(8.0, |value| value.to_string()),
        y: lanes(measured.iter().map(|(table, _)| table.table.to_owned())),
        is_upright: true,
        bars: measured.iter().enumerate().map(bar).collect(),
        ..Plot::default()
    });
    chart
}

fn unit(greatest: i64) -> (f64, &'static str) {
    let units = [(1_i64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    #[expect(clippy::cast_precision_loss, reason = "a power of two")]
    units.into_iter().find(|(size, _)| greatest >= 2 * size).map_or((1.0, "bytes"), |(size, name)| (size as f64, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_covers_a_failure() {
        let event = |success: bool| ScalingEvent {
            event_type: ScalingEventType::ScaleUp,
            success,
            trigger_reason: String::new(),
            executed_at: DateTime::default(),
            duration_seconds: Some(1.0),
            customer: String::new(),
            instances: None,
            error: None,
        };
        let plot = scaling(&[event(false), event(true)]).plot.unwrap();
        let marks: Vec<_> = plot.marks.iter().map(|placed| placed.mark).collect();
        assert_eq!(marks, [Mark::Succeeded, Mark::Failed]);
    }
}
