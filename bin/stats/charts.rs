//! The charts of the HTML page, as SVG whose colours are the page's own.
//!
//! plotters knows only fixed colours, so each role has a colour that stands for it and becomes a CSS variable
//! afterwards: that is how the charts follow dark mode and print. Each chart is drawn twice, for a wide and for a narrow
//! screen, because text in a picture shrinks with it. Legends are the page's, where they can wrap.

use std::ops::Range;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use optiinfra_db::enums::ScalingEventType;
use optiinfra_db::stats::{Point, QualityOverTime, RegressionMark, Report, ScalingEvent, Table, Utilization};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::sections;
use crate::output::bytes;

/// A picture with what has to be said around it.
#[derive(Default)]
pub struct Chart {
    pub title: &'static str,
    pub subtitle: String,
    /// What to say where there is nothing to draw.
    pub empty: String,
    pub legend: Vec<Entry>,
    pub wide: String,
    pub narrow: String,
}

/// The charts of the page.
pub fn all(report: &Report) -> anyhow::Result<Vec<Chart>> {
    let (resource, application) = (&report.resource, &report.application);
    let drawn = sections::drawn(resource);
    let of_layers = [
        ("resource", utilization(&resource.utilization, drawn.as_deref())?),
        ("resource", scaling(&resource.scaling_timeline)?),
        ("application", quality(&application.quality_over_time, &application.regression_timeline)?),
        ("tables", sizes(&report.tables)?),
    ];
    let with_reason = |(layer, mut chart): (&str, Chart)| {
        if let Some(reason) = sections::skipped(report, layer) {
            chart.empty = format!("skipped: {reason}");
        }
        chart
    };
    Ok(of_layers.map(with_reason).into())
}

/// An entry of a legend.
pub struct Entry {
    /// The inside of a picture of 24 by 12.
    pub mark: String,
    pub name: String,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Painted = Result<(), Box<dyn std::error::Error + Send + Sync>>;

const INK: RGBColor = RGBColor(1, 0, 0);
const SOFT: RGBColor = RGBColor(2, 0, 0);
const GRID: RGBColor = RGBColor(3, 0, 0);
const BAD: RGBColor = RGBColor(4, 0, 0);
const WARN: RGBColor = RGBColor(5, 0, 0);
const GOOD: RGBColor = RGBColor(6, 0, 0);
const PAPER: RGBColor = RGBColor(7, 0, 0);
const ROLES: [(RGBColor, &str); 7] =
    [(INK, "ink"), (SOFT, "soft"), (GRID, "grid"), (BAD, "bad"), (WARN, "warn"), (GOOD, "good"), (PAPER, "paper")];

/// Lines that the page has a colour for; more lines take them in turn, with dashes.
const COLORS: u8 = 8;

const fn series(at: u8) -> RGBColor {
    RGBColor(16 + at, 0, 0)
}

const fn dashed(at: u8) -> RGBColor {
    RGBColor(64 + at, 0, 0)
}

#[derive(Clone, Copy)]
struct Size {
    width: u32,
    height: u32,
    is_narrow: bool,
}

impl Size {
    const fn both(wide: u32, narrow: u32) -> [Self; 2] {
        [Self { width: 920, height: wide, is_narrow: false }, Self { width: 380, height: narrow, is_narrow: true }]
    }
}

fn draw(size: Size, paint: impl Fn(&Area<'_>, Size) -> Painted) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (size.width, size.height)).into_drawing_area();
        paint(&area, size).and_then(|()| Ok(area.present()?)).map_err(anyhow::Error::from_boxed)?;
    }
    Ok(styled(&svg, size))
}

/// Puts the page's colours in the place of those that stood for them, and leaves the size to the page.
fn styled(svg: &str, size: Size) -> String {
    let hex = |color: RGBColor| format!("\"#{:02X}{:02X}{:02X}\"", color.0, color.1, color.2);
    let mut svg = svg.replacen(&format!("width=\"{}\" height=\"{}\" ", size.width, size.height), "", 1);
    for (color, role) in ROLES {
        svg = svg.replace(&hex(color), &format!("\"var(--{role})\""));
    }
    for at in 0..COLORS {
        svg = svg.replace(&hex(series(at)), &format!("\"var(--s{at})\""));
        svg = svg.replace(&hex(dashed(at)), &format!("\"var(--s{at})\" stroke-dasharray=\"5 4\""));
    }
    svg
}

fn line_mark(at: u8, dashes: bool) -> String {
    let dashes = if dashes { " stroke-dasharray=\"5 4\"" } else { "" };
    format!("<path d=\"M0 6H24\" stroke=\"var(--s{at})\" stroke-width=\"3\"{dashes}/>")
}

fn color_of(at: usize) -> u8 {
    u8::try_from(at % usize::from(COLORS)).unwrap_or_default()
}

/// Time along an axis, in seconds since the midnight before the first: a label at each step of a round length.
#[derive(Clone)]
struct Time {
    origin: DateTime<Utc>,
    step: f64,
    begin: f64,
    end: f64,
}

const DAY: f64 = 86_400.0;

impl Time {
    fn over(times: impl Iterator<Item = DateTime<Utc>> + Clone, steps: f64) -> Option<Self> {
        const MINUTE: f64 = 60.0;
        const HOUR: f64 = 3600.0;
        #[rustfmt::skip]
        const ROUND: [f64; 15] = [
            MINUTE, 5.0 * MINUTE, 10.0 * MINUTE, 30.0 * MINUTE,
            HOUR, 2.0 * HOUR, 3.0 * HOUR, 6.0 * HOUR, 12.0 * HOUR,
            DAY, 2.0 * DAY, 7.0 * DAY, 30.0 * DAY, 90.0 * DAY, 365.0 * DAY,
        ];
        let (first, last) = (times.clone().min()?, times.max()?);
        let last = last.max(first + TimeDelta::minutes(1));
        let span = seconds_between(first, last);
        let step = ROUND.into_iter().find(|step| span / step <= steps).unwrap_or(span / steps);
        let origin = first.with_time(NaiveTime::MIN).single().unwrap_or(first);
        Some(Self { origin, step, begin: seconds_between(origin, first), end: seconds_between(origin, last) })
    }

    fn x(&self, at: DateTime<Utc>) -> f64 {
        seconds_between(self.origin, at)
    }

    /// The hour; at midnight the date, which is what changes there.
    fn label(&self, x: f64) -> String {
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds; `as` stops at the greatest")]
        let at = TimeDelta::try_seconds(x.round() as i64).and_then(|passed| self.origin.checked_add_signed(passed));
        let format = |at: DateTime<Utc>| match at.time() {
            NaiveTime::MIN if self.step >= 365.0 * DAY => at.format("%b %Y"),
            NaiveTime::MIN => at.format("%-d %b"),
            // Steps longer than we have a round length for need not be whole days.
            _ if self.step > DAY => at.format("%b %Y"),
            _ => at.format("%H:%M"),
        };
        at.map(|at| format(at).to_string()).unwrap_or_default()
    }
}

impl Ranged for Time {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    /// A little air on both sides, so that no mark is cut off.
    fn range(&self) -> Range<f64> {
        let air = (self.end - self.begin) * 0.02;
        self.begin - air..self.end + air
    }

    fn map(&self, x: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(x, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            return Vec::new();
        }
        let range = self.range();
        let first = (range.start / self.step).ceil();
        (0..).map(|at| (first + f64::from(at)) * self.step).take_while(|x| *x <= range.end).collect()
    }
}

impl ValueFormatter<f64> for Time {
    fn format_ext(&self, x: &f64) -> String {
        self.label(*x)
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds on a chart")]
fn seconds_between(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).num_milliseconds() as f64 / 1000.0
}

/// The dates that a chart spans, for the line under its title.
fn dates(times: impl Iterator<Item = DateTime<Utc>> + Clone) -> String {
    let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return String::new() };
    let day = |at: DateTime<Utc>| at.format("%-d %B %Y").to_string();
    let is_same = |part: &str| first.format(part).to_string() == last.format(part).to_string();
    match (is_same("%F"), is_same("%Y %m")) {
        (true, _) => day(last),
        (_, true) => format!("{} to {}", first.format("%-d"), day(last)),
        _ => format!("{} to {}", day(first), day(last)),
    }
}

const fn steps(size: Size) -> f64 {
    if size.is_narrow { 4.0 } else { 9.0 }
}

fn text(color: &RGBColor) -> TextStyle<'_> {
    ("sans-serif", 15).into_font().color(color)
}

/// The lines through the points. A line ends where the next point is much further off than they are on the whole: what
/// was in between nobody has measured.
fn runs(points: &[Point], time: &Time) -> Vec<Vec<(f64, f64)>> {
    const FAR: f64 = 5.0;
    let finite = points.iter().filter(|point| point.value.is_finite());
    let points: Vec<_> = finite.map(|point| (time.x(point.at), point.value)).collect();
    let mut steps: Vec<_> = points.iter().zip(points.iter().skip(1)).map(|(one, next)| next.0 - one.0).collect();
    steps.sort_by(f64::total_cmp);
    let usual = steps.get(steps.len() / 2).copied().unwrap_or_default();
    points.chunk_by(|one, next| next.0 - one.0 <= FAR * usual).map(<[_]>::to_vec).collect()
}

type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Time, RangedCoordf64>>;

fn draw_line(chart: &mut Plot<'_, '_>, points: &[Point], time: &Time, color: RGBColor) -> Painted {
    for run in runs(points, time) {
        // A line through one point cannot be seen.
        if let [alone] = run[..] {
            chart.plotting_area().draw(&Circle::new(alone, 2, color.filled()))?;
        }
        chart.draw_series(LineSeries::new(run, color.stroke_width(2)))?;
    }
    Ok(())
}

/// Utilisation per instance; `drawn` says of which, if not all.
fn utilization(lines: &[Utilization], drawn: Option<&str>) -> anyhow::Result<Chart> {
    let times = lines.iter().flat_map(|line| line.points.iter().map(|point| point.at));
    let mut chart =
        Chart { title: "Utilisation per instance", empty: "No samples of utilisation.".to_owned(), ..Chart::default() };
    if lines.is_empty() {
        return Ok(chart);
    }
    let drawn = drawn.map(|drawn| format!(", {drawn}")).unwrap_or_default();
    chart.subtitle = format!("average in percent{drawn}, {}", dates(times.clone()));
    let is_repeat = |at: usize| at >= usize::from(COLORS);
    chart.legend = lines
        .iter()
        .enumerate()
        .map(|(at, line)| Entry {
            mark: line_mark(color_of(at), is_repeat(at)),
            name: format!("{} ({})", line.instance_id, line.resource_type),
        })
        .collect();
    let paint = |area: &Area<'_>, size: Size| -> Painted {
        let Some(time) = Time::over(times.clone(), steps(size)) else { return Ok(()) };
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(16)
            .x_label_area_size(44)
            .y_label_area_size(48)
            .build_cartesian_2d(time.clone(), 0.0..100.0)?;
        chart
            .configure_mesh()
            .axis_style(SOFT)
            .bold_line_style(GRID)
            .light_line_style(GRID)
            .max_light_lines(1)
            .disable_x_mesh()
            .label_style(text(&SOFT))
            .axis_desc_style(text(&INK))
            .x_desc("time, UTC")
            .y_desc("utilisation, %")
            .y_labels(6)
            .y_label_formatter(&|y| format!("{y:.0}"))
            .draw()?;
        for (at, line) in lines.iter().enumerate() {
            let color = if is_repeat(at) { dashed(color_of(at)) } else { series(color_of(at)) };
            draw_line(&mut chart, &line.points, &time, color)?;
        }
        Ok(())
    };
    [chart.wide, chart.narrow] = both(Size::both(320, 300), paint)?;
    Ok(chart)
}

fn both(sizes: [Size; 2], paint: impl Fn(&Area<'_>, Size) -> Painted) -> anyhow::Result<[String; 2]> {
    let [wide, narrow] = sizes;
    Ok([draw(wide, &paint)?, draw(narrow, &paint)?])
}

/// Scaling events along time, a lane a type.
fn scaling(events: &[ScalingEvent]) -> anyhow::Result<Chart> {
    let times = events.iter().map(|event| event.executed_at);
    let failed = events.iter().filter(|event| !event.success && event.duration_seconds.is_some()).count();
    let mut chart = Chart { title: "Scaling events", empty: "No scaling events.".to_owned(), ..Chart::default() };
    if events.is_empty() {
        return Ok(chart);
    }
    chart.subtitle = format!("{} events, {failed} failed, {}", events.len(), dates(times.clone()));
    let entry = |mark: &str, name: &str| Entry { mark: mark.to_owned(), name: name.to_owned() };
    chart.legend = vec![
        entry("<circle cx=\"12\" cy=\"6\" r=\"5\" fill=\"var(--good)\"/>", "succeeded"),
        entry("<path d=\"M7 1L17 11M17 1L7 11\" stroke=\"var(--bad)\" stroke-width=\"3\"/>", "failed"),
        entry(
            "<circle cx=\"12\" cy=\"6\" r=\"4\" fill=\"none\" stroke=\"var(--warn)\" stroke-width=\"2\"/>",
            "still runs",
        ),
    ];
    // The first lane is at the top.
    let lanes: Vec<ScalingEventType> = ScalingEventType::ALL
        .iter()
        .rev()
        .copied()
        .filter(|lane| events.iter().any(|e| e.event_type == *lane))
        .collect();
    let count = i32::try_from(lanes.len())?;
    let lane = |event: &ScalingEvent| {
        let at = lanes.iter().position(|lane| *lane == event.event_type).unwrap_or_default();
        i32::try_from(at).unwrap_or_default()
    };
    let paint = |area: &Area<'_>, size: Size| -> Painted {
        let Some(time) = Time::over(times.clone(), steps(size) - if size.is_narrow { 0.5 } else { 0.0 }) else {
            return Ok(());
        };
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(20)
            .x_label_area_size(44)
            .y_label_area_size(if size.is_narrow { 142 } else { 150 })
            .build_cartesian_2d(time.clone(), -1..count)?;
        let name = |at: &i32| usize::try_from(*at).ok().and_then(|at| lanes.get(at)).map_or("", |lane| lane.as_str());
        chart
            .configure_mesh()
            .axis_style(SOFT)
            .bold_line_style(GRID)
            .light_line_style(GRID)
            .max_light_lines(1)
            .disable_x_mesh()
            .label_style(text(&SOFT))
            .axis_desc_style(text(&INK))
            .x_desc("time, UTC")
            .y_labels(lanes.len() + 2)
            .y_label_formatter(&|y| name(y).replace('_', " "))
            .draw()?;
        // A failure among successes is what somebody looks for: nothing may cover it.
        let mut events: Vec<_> = events.iter().collect();
        events.sort_by_key(|event| !event.success && event.duration_seconds.is_some());
        for event in events {
            let at = (time.x(event.executed_at), lane(event));
            match (event.success, event.duration_seconds) {
                (true, _) => chart.plotting_area().draw(&Circle::new(at, 5, GOOD.filled()))?,
                (false, Some(_)) => {
                    chart.plotting_area().draw(&Cross::new(at, 6, PAPER.stroke_width(7)))?;
                    chart.plotting_area().draw(&Cross::new(at, 5, BAD.stroke_width(3)))?;
                }
                (false, None) => chart.plotting_area().draw(&Circle::new(at, 5, WARN.stroke_width(2)))?,
            }
        }
        Ok(())
    };
    let height = 100 + 28 * u32::try_from(lanes.len())?;
    [chart.wide, chart.narrow] = both(Size::both(height, height), paint)?;
    Ok(chart)
}

/// Quality per model against its baseline, with the regressions.
fn quality(lines: &[QualityOverTime], regressions: &[RegressionMark]) -> anyhow::Result<Chart> {
    let times = lines.iter().flat_map(|line| line.points.iter().map(|point| point.at));
    let mut chart = Chart { title: "Quality per model", empty: "No judged answers.".to_owned(), ..Chart::default() };
    if lines.is_empty() {
        return Ok(chart);
    }
    chart.subtitle = format!("average overall score from 0 to 1, {}", dates(times.clone()));
    for (at, line) in lines.iter().enumerate() {
        chart.legend.push(Entry { mark: line_mark(color_of(at), false), name: line.model_name.clone() });
    }
    let entry = |mark: &str, name: &str| Entry { mark: mark.to_owned(), name: name.to_owned() };
    let triangle = |role: &str| format!("<path d=\"M12 1L18 11H6Z\" fill=\"var(--{role})\"/>");
    chart.legend.extend([
        entry("<path d=\"M0 6H24\" stroke=\"var(--soft)\" stroke-width=\"2\" stroke-dasharray=\"5 4\"/>", "baseline"),
        entry(&triangle("bad"), "open regression"),
        entry(&triangle("warn"), "resolved regression"),
    ]);
    let values = || {
        let points = lines.iter().flat_map(|line| line.points.iter().map(|point| point.value).chain(line.baseline));
        points.filter(|value| value.is_finite())
    };
    let low = (values().fold(1.0, f64::min) * 20.0 - 0.5).floor() / 20.0;
    let high = (values().fold(0.0, f64::max) * 20.0 + 0.5).ceil() / 20.0;
    let range = if low < high { low.max(0.0)..high.max(low + 0.05) } else { 0.0..1.0 };
    let paint = |area: &Area<'_>, size: Size| -> Painted {
        let Some(time) = Time::over(times.clone(), steps(size)) else { return Ok(()) };
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(16)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d(time.clone(), range.clone())?;
        chart
            .configure_mesh()
            .axis_style(SOFT)
            .bold_line_style(GRID)
            .light_line_style(GRID)
            .max_light_lines(1)
            .disable_x_mesh()
            .label_style(text(&SOFT))
            .axis_desc_style(text(&INK))
            .x_desc("time, UTC")
            .y_desc("overall score, 0 to 1")
            .y_labels(6)
            .y_label_formatter(&|y| format!("{y:.2}"))
            .draw()?;
        for (at, line) in lines.iter().enumerate() {
            let at = color_of(at);
            if let Some(baseline) = line.baseline.filter(|baseline| baseline.is_finite()) {
                let whole = [(time.begin, baseline), (time.end, baseline)];
                chart.draw_series(LineSeries::new(whole, dashed(at).stroke_width(1)))?;
            }
            draw_line(&mut chart, &line.points, &time, series(at))?;
        }
        let mut regressions: Vec<_> = regressions.iter().collect();
        regressions.sort_by_key(|mark| mark.resolved_at.is_none());
        for mark in regressions {
            let Some(value) = value_at(lines, mark) else { continue };
            let color = if mark.resolved_at.is_some() { WARN } else { BAD };
            let at = (time.x(mark.detected_at), value);
            if (time.begin..=time.end).contains(&at.0) {
                chart.plotting_area().draw(&TriangleMarker::new(at, 8, color.filled()))?;
            }
        }
        Ok(())
    };
    [chart.wide, chart.narrow] = both(Size::both(340, 300), paint)?;
    Ok(chart)
}

/// How good the model was when the regression was noticed.
fn value_at(lines: &[QualityOverTime], mark: &RegressionMark) -> Option<f64> {
    let line = lines.iter().find(|line| line.model_name == mark.model_name)?;
    let near = line.points.iter().filter(|point| point.value.is_finite());
    near.min_by_key(|point| (point.at - mark.detected_at).abs()).map(|point| point.value)
}

/// Bytes of each table, a bar a table.
fn sizes(tables: &[Table]) -> anyhow::Result<Chart> {
    let mut measured: Vec<&Table> = tables.iter().filter(|table| table.total_bytes.is_some()).collect();
    measured.sort_by_key(|table| table.total_bytes);
    let total = measured.iter().filter_map(|table| table.total_bytes).sum();
    let mut chart =
        Chart { title: "Size of the tables", empty: "No table could be measured.".to_owned(), ..Chart::default() };
    let Some(greatest) = measured.last().and_then(|table| table.total_bytes).filter(|bytes| *bytes > 0) else {
        return Ok(chart);
    };
    chart.subtitle = format!("{} on disk in {} tables", bytes(total), measured.len());
    let swatch = |at: u8| format!("<rect width=\"24\" height=\"12\" fill=\"var(--s{at})\"/>");
    let names = [(0, "rows"), (1, "indexes"), (2, "out of line (toast)")];
    chart.legend = names.map(|(at, name)| Entry { mark: swatch(at), name: name.to_owned() }).into();
    let (unit, name) = unit(greatest);
    #[expect(clippy::cast_precision_loss, reason = "bytes on a chart")]
    let scaled = |bytes: i64| bytes as f64 / unit;
    let count = i32::try_from(measured.len())?;
    let paint = |area: &Area<'_>, size: Size| -> Painted {
        // For the figure behind the longest bar.
        let room = if size.is_narrow { 1.4 } else { 1.12 };
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(if size.is_narrow { 142 } else { 160 })
            .build_cartesian_2d(0.0..scaled(greatest) * room, (0..count - 1).into_segmented())?;
        let table = |at: &SegmentValue<i32>| match at {
            SegmentValue::CenterOf(at) | SegmentValue::Exact(at) => {
                usize::try_from(*at).ok().and_then(|at| measured.get(at)).map_or("", |table| table.table)
            }
            SegmentValue::Last => "",
        };
        chart
            .configure_mesh()
            .axis_style(SOFT)
            .bold_line_style(GRID)
            .light_line_style(GRID)
            .max_light_lines(1)
            .disable_y_mesh()
            .label_style(text(&SOFT))
            .axis_desc_style(text(&INK))
            .x_desc(format!("size on disk, {name}"))
            .x_labels(if size.is_narrow { 4 } else { 9 })
            .y_labels(measured.len() + 1)
            .x_label_formatter(&|x| x.to_string())
            .y_label_formatter(&|y| table(y).to_owned())
            .draw()?;
        for (lane, table) in (0..).zip(&measured) {
            let mut begin = 0.0;
            for (at, part) in [(0, table.heap_bytes), (1, table.index_bytes), (2, table.toast_bytes)] {
                let end = begin + scaled(part.unwrap_or_default());
                let corners = [(begin, SegmentValue::Exact(lane)), (end, SegmentValue::Exact(lane + 1))];
                let mut bar = Rectangle::new(corners, series(at).filled());
                bar.set_margin(3, 3, 0, 0);
                chart.plotting_area().draw(&bar)?;
                begin = end;
            }
            let size = bytes(table.total_bytes.unwrap_or_default());
            let behind = EmptyElement::at((begin, SegmentValue::CenterOf(lane)));
            chart.plotting_area().draw(&(behind + Text::new(size, (5, 0), text(&INK).pos(left_middle()))))?;
        }
        Ok(())
    };
    let height = 70 + 22 * u32::try_from(measured.len())?;
    [chart.wide, chart.narrow] = both(Size::both(height, height), paint)?;
    Ok(chart)
}

fn left_middle() -> Pos {
    Pos::new(HPos::Left, VPos::Center)
}

fn unit(greatest: i64) -> (f64, &'static str) {
    let units = [(1_i64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    #[expect(clippy::cast_precision_loss, reason = "a power of two")]
    units.into_iter().find(|(size, _)| greatest >= 2 * size).map_or((1.0, "bytes"), |(size, name)| (size as f64, name))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use optiinfra_db::enums::ScalingEventType;
    use optiinfra_db::stats::{Point, ScalingEvent};
    use plotters::coord::ranged1d::{BoldPoints, Ranged};

    use super::{Time, dates, runs, scaling};

    fn labels(first: &str, last: &str, steps: f64) -> Vec<String> {
        let times = [first, last].map(|at| at.parse::<DateTime<Utc>>().unwrap_or_default());
        let time = Time::over(times.into_iter(), steps);
        time.map(|time| time.key_points(BoldPoints(9)).iter().map(|x| time.label(*x)).collect()).unwrap_or_default()
    }

    #[test]
    fn labels_of_one_day_tell_the_hour_and_midnight_the_date() {
        let day = labels("2025-11-25T18:30:00Z", "2025-11-26T13:00:00Z", 4.0);
        assert_eq!(day, ["26 Nov", "06:00", "12:00"]);
        assert_eq!(labels("2025-11-25T06:00:00Z", "2025-11-26T18:00:00Z", 3.0), ["12:00", "26 Nov", "12:00"]);
        assert_eq!(labels("2025-11-25T03:00:00Z", "2025-11-27T12:00:00Z", 3.0), ["26 Nov", "27 Nov"]);
        assert_eq!(labels("2025-11-25T23:59:30Z", "2025-11-25T23:59:30Z", 4.0), ["26 Nov"]);
        assert_eq!(labels("2019-03-01T00:00:00Z", "2025-11-25T00:00:00Z", 9.0).len(), 7);
        assert!(labels("0001-03-01T00:00:00Z", "9999-11-25T00:00:00Z", 9.0).len() <= 10);
    }

    #[test]
    fn dates_of_a_month_name_it_once() {
        let of =
            |last: &str| dates(["2025-11-25T18:30:00Z", last].into_iter().map(|at| at.parse().unwrap_or_default()));
        assert_eq!(of("2025-11-25T19:00:00Z"), "25 November 2025");
        assert_eq!(of("2025-11-26T01:00:00Z"), "25 to 26 November 2025");
        assert_eq!(of("2026-11-26T01:00:00Z"), "25 November 2025 to 26 November 2026");
    }

    #[test]
    fn a_line_does_not_cross_what_nobody_measured() {
        let point = |minute: i64| Point { at: DateTime::default() + TimeDelta::minutes(minute), value: 1.0 };
        let runs_of = |minutes: &[i64]| {
            let points: Vec<_> = minutes.iter().map(|minute| point(*minute)).collect();
            let time = Time::over(points.iter().map(|point| point.at), 9.0);
            time.map(|time| runs(&points, &time).iter().map(Vec::len).collect::<Vec<_>>()).unwrap_or_default()
        };
        assert_eq!(runs_of(&[0, 10, 20, 60, 70]), [5], "a sample or two left out");
        assert_eq!(runs_of(&[0, 10, 20, 30, 200, 210, 600]), [4, 2, 1]);
        assert_eq!(runs_of(&[0, 600]), [2], "seldom is not a gap");
        assert_eq!(runs_of(&[0]), [1]);
    }

    #[test]
    fn nothing_covers_a_failure() {
        let event = |success: bool| ScalingEvent {
            event_type: ScalingEventType::ScaleUp,
            success,
            trigger_reason: String::new(),
            executed_at: DateTime::default(),
            duration_seconds: Some(1.0),
        };
        let chart = scaling(&[event(false), event(true)]).unwrap_or_default();
        let [cross, dot] = ["var(--bad)", "var(--good)"].map(|color| chart.narrow.rfind(color));
        assert!(dot.is_some() && cross > dot, "{}", chart.narrow);
    }
}
