//! What is drawn in a chart, and where; `chart.html` makes SVG of it. Places are in percent of the width and height, so that
//! one drawing fits every screen while its texts keep their size.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use optiinfra_db::stats::{Point, Spread};

use super::axis::{Scale, Tick};
use super::time::Time;
use crate::report::text;

/// Lines that the page has a colour for; more lines take them in turn, with dashes.
const COLORS: usize = 8;
/// A gap between two points, in usual steps from point to point, that is so long that nobody measured in between.
const GAP: f64 = 5.0;

/// A drawing with its axes.
#[derive(Default)]
pub struct Plot {
    /// Height of the drawing without its labels, in pixels.
    pub height: usize,
    /// Its class in the style sheet, which leaves space for its labels.
    pub shape: &'static str,
    pub x_title: String,
    pub y_title: &'static str,
    pub x: Vec<Tick>,
    pub y: Vec<Tick>,
    /// Whether the lines of the grid are those of the labels below.
    pub is_upright: bool,
    pub areas: Vec<Area>,
    pub lines: Vec<Line>,
    pub strips: Vec<Strip>,
    pub bars: Vec<Bar>,
    pub marks: Vec<Placed>,
}

pub struct Area {
    /// In tenths of percent.
    pub points: String,
    pub color: usize,
}

/// A part of the width that shows a text while the pointer is over it.
pub struct Strip {
    pub x: f64,
    pub width: f64,
    pub hover: String,
}

pub struct Line {
    /// In tenths of percent.
    pub points: String,
    pub color: usize,
    pub has_dashes: bool,
    pub width: u8,
}

/// A bar of parts, and what stands behind it.
pub struct Bar {
    pub y: f64,
    pub parts: Vec<(f64, f64)>,
    pub end: f64,
    pub label: String,
    pub hover: String,
}

pub struct Placed {
    pub x: f64,
    pub y: f64,
    pub mark: Mark,
    pub hover: String,
}

/// A mark of a chart or its legend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    Line { color: usize, has_dashes: bool },
    Baseline,
    Band { color: usize },
    Bar { color: usize },
    Dot { color: usize },
    Succeeded,
    Failed,
    StillRuns,
    Open,
    Resolved,
}

impl Plot {
    /// A drawing of values over time.
    pub fn over_time(time: &Time, scale: Scale, y_title: &'static str, label: impl Fn(f64) -> String) -> Self {
        let from_top = |tick: Tick| Tick { at: 100.0 - tick.at, ..tick };
        let y = scale.ticks(5.0, label).into_iter().map(from_top).collect();
        Self {
            height: 260,
            shape: "time",
            x_title: "time, UTC".to_owned(),
            y_title,
            x: time.ticks(),
            y,
            ..Self::default()
        }
    }

    /// Draws a series. Its line ends where nobody measured for long.
    pub fn series(&mut self, points: &[Point], time: &Time, scale: Scale, mark: Mark) {
        let Mark::Line { color, has_dashes } = mark else { return };
        for run in runs(points) {
            let place = |point: &&Point| (time.x(point.at), 100.0 - scale.place(point.value));
            // A line through one point cannot be seen.
            if let [alone] = run[..] {
                let (x, y) = place(&alone);
                self.marks.push(Placed { x, y, mark: Mark::Dot { color }, hover: String::new() });
            }
            self.line(run.iter().map(place), color, has_dashes, 2);
        }
    }

    pub fn line(&mut self, points: impl Iterator<Item = (f64, f64)>, color: usize, has_dashes: bool, width: u8) {
        self.lines.push(Line { points: in_tenths(points), color, has_dashes, width });
    }

    /// Draws what lies between two values, and the middle of them as a line.
    pub fn band(&mut self, points: &[Spread], time: &Time, scale: Scale, color: usize) {
        let middle: Vec<_> = points.iter().map(|point| Point { at: point.at, value: point.median }).collect();
        for run in runs(&middle) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let of_run = || points.iter().filter(|point| (first.at..=last.at).contains(&point.at));
            let place = |at, value: f64| (time.x(at), 100.0 - scale.place(value));
            let high = of_run().map(|point| place(point.at, point.high));
            let low = of_run().rev().map(|point| place(point.at, point.low));
            let outline = high.chain(low).filter(|(_, y)| y.is_finite());
            self.areas.push(Area { points: in_tenths(outline), color });
        }
        self.series(&middle, time, scale, Mark::Line { color, has_dashes: false });
    }

    /// Makes the texts of each time appear where the pointer is nearest to it.
    pub fn hover(&mut self, time: &Time, texts: impl Iterator<Item = (DateTime<Utc>, String)>) {
        let mut at_once = BTreeMap::<DateTime<Utc>, Vec<String>>::new();
        texts.for_each(|(at, text)| at_once.entry(at).or_default().push(text));
        let places: Vec<_> = at_once.keys().map(|at| time.x(*at)).collect();
        let between = |at: usize| match (at.checked_sub(1).and_then(|before| places.get(before)), places.get(at)) {
            (Some(one), Some(next)) => f64::midpoint(*one, *next),
            (None, _) => 0.0,
            (_, None) => 100.0,
        };
        self.strips = at_once
            .iter()
            .enumerate()
            .map(|(number, (at, texts))| Strip {
                x: rounded(between(number)),
                width: rounded(between(number + 1) - between(number)),
                hover: format!("{}\n{}", text::date(*at), texts.join("\n")),
            })
            .collect();
    }
}

fn in_tenths(points: impl Iterator<Item = (f64, f64)>) -> String {
    points.map(|(x, y)| format!("{:.1},{:.1}", x * 10.0, y * 10.0)).collect::<Vec<_>>().join(" ")
}

fn rounded(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}

/// How the line of a series is drawn.
pub const fn line_mark(at: usize) -> Mark {
    Mark::Line { color: at % COLORS, has_dashes: at >= COLORS }
}

/// The points that a line goes through without a gap.
fn runs(points: &[Point]) -> Vec<Vec<&Point>> {
    let points: Vec<_> = points.iter().filter(|point| point.value.is_finite()).collect();
    let step = |one: &Point, next: &Point| (next.at - one.at).as_seconds_f64();
    let mut steps: Vec<_> = points.windows(2).map(|pair| step(pair[0], pair[1])).collect();
    steps.sort_by(f64::total_cmp);
    let usual = steps.get(steps.len() / 2).copied().unwrap_or_default();
    points.chunk_by(|one, next| step(one, next) <= GAP * usual).map(<[_]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn a_line_does_not_cross_what_nobody_measured() {
        let point = |minute: i64| Point { at: DateTime::default() + TimeDelta::minutes(minute), value: 1.0 };
        let runs_of = |minutes: &[i64]| {
            let points: Vec<_> = minutes.iter().map(|minute| point(*minute)).collect();
            runs(&points).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(runs_of(&[0, 10, 20, 60, 70]), [5], "a sample or two left out");
        assert_eq!(runs_of(&[0, 10, 20, 30, 200, 210, 600]), [4, 2, 1]);
        assert_eq!(runs_of(&[0, 600]), [2], "seldom is not a gap");
        assert_eq!(runs_of(&[0]), [1]);
    }
}
