//! Time along the axis of a chart.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

use super::axis::{Tick, percent};

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 86_400.0;

/// Lengths of a step from one label to the next.
#[rustfmt::skip]
const ROUND: [f64; 15] = [
    MINUTE, 5.0 * MINUTE, 10.0 * MINUTE, 30.0 * MINUTE,
    HOUR, 2.0 * HOUR, 3.0 * HOUR, 6.0 * HOUR, 12.0 * HOUR,
    DAY, 2.0 * DAY, 7.0 * DAY, 30.0 * DAY, 90.0 * DAY, 365.0 * DAY,
];
/// Maximum of steps of an axis. A narrow screen shows every other label.
const STEPS: f64 = 8.0;
/// What is left free on both sides, as a share of the time between the first and the last, so that no mark is cut off.
const MARGIN: f64 = 0.02;

/// The time that a chart spans, in seconds since the midnight before the first.
pub struct Time {
    origin: DateTime<Utc>,
    begin: f64,
    end: f64,
    step: f64,
}

impl Time {
    /// The time from the first to the last; `None` without any.
    pub fn over(times: impl Iterator<Item = DateTime<Utc>> + Clone) -> Option<Self> {
        let (first, last) = (times.clone().min()?, times.max()?);
        let last = last.max(first + TimeDelta::minutes(1));
        let span = seconds_between(first, last);
        let step = ROUND.into_iter().find(|step| span / step <= STEPS).unwrap_or(span / STEPS);
        let origin = first.with_time(NaiveTime::MIN).single().unwrap_or(first);
        let margin = span * MARGIN;
        let begin = seconds_between(origin, first) - margin;
        Some(Self { origin, begin, end: begin + span + 2.0 * margin, step })
    }

    /// Where a time is, in percent of the width.
    pub fn x(&self, at: DateTime<Utc>) -> f64 {
        self.place(seconds_between(self.origin, at))
    }

    /// Whether a time is between the first and the last.
    pub fn spans(&self, at: DateTime<Utc>) -> bool {
        let margin = percent(MARGIN, 1.0 + 2.0 * MARGIN);
        (margin..=100.0 - margin).contains(&self.x(at))
    }

    fn place(&self, seconds: f64) -> f64 {
        percent(seconds - self.begin, self.end - self.begin)
    }

    /// A label at each step.
    pub fn ticks(&self) -> Vec<Tick> {
        let first = (self.begin / self.step).ceil();
        let steps = (0..).map(|step| (first + f64::from(step)) * self.step).take_while(|second| *second <= self.end);
        let labels: Vec<_> = steps.map(|second| (self.place(second), self.label(second))).collect();
        // A date is shown on every screen.
        let date = labels.iter().position(|(_, label)| label.contains(' ')).unwrap_or_default();
        let tick = |(number, (at, label))| Tick { at, label, is_minor: number % 2 != date % 2 };
        labels.into_iter().enumerate().map(tick).collect()
    }

    /// The hour; at midnight the date, which is what changes there.
    fn label(&self, second: f64) -> String {
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds; `as` stops at the greatest")]
        let at =
            TimeDelta::try_seconds(second.round() as i64).and_then(|passed| self.origin.checked_add_signed(passed));
        let format = |at: DateTime<Utc>| match at.time() {
            NaiveTime::MIN if self.step >= 365.0 * DAY => at.format("%b %Y"),
            NaiveTime::MIN => at.format("%-d %b"),
            // Steps longer than the longest round one need not be whole days.
            _ if self.step > DAY => at.format("%b %Y"),
            _ => at.format("%H:%M"),
        };
        at.map(|at| format(at).to_string()).unwrap_or_default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds on a chart")]
fn seconds_between(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).num_milliseconds() as f64 / 1000.0
}

/// The dates that a chart spans, for the line under its title.
pub fn dates(times: impl Iterator<Item = DateTime<Utc>> + Clone) -> String {
    let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return String::new() };
    let day = |at: DateTime<Utc>| at.format("%-d %B %Y").to_string();
    let is_same = |part: &str| first.format(part).to_string() == last.format(part).to_string();
    match (is_same("%F"), is_same("%Y %m")) {
        (true, _) => day(last),
        (_, true) => format!("{} to {}", first.format("%-d"), day(last)),
        _ => format!("{} to {}", day(first), day(last)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(first: &str, last: &str) -> Vec<String> {
        let times = [first, last].map(|at| at.parse::<DateTime<Utc>>().unwrap());
        Time::over(times.into_iter()).unwrap().ticks().into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn labels_of_one_day_tell_the_hour_and_midnight_the_date() {
        let day = labels("2025-11-25T18:30:00Z", "2025-11-26T13:00:00Z");
        assert_eq!(day, ["21:00", "26 Nov", "03:00", "06:00", "09:00", "12:00"]);
        assert_eq!(labels("2025-11-25T03:00:00Z", "2025-11-28T12:00:00Z")[..3], ["12:00", "26 Nov", "12:00"]);
        let times = ["2025-11-25T18:30:00Z", "2025-11-26T13:00:00Z"].map(|at| at.parse::<DateTime<Utc>>().unwrap());
        let ticks = Time::over(times.into_iter()).unwrap().ticks();
        let always: Vec<_> = ticks.iter().filter(|tick| !tick.is_minor).map(|tick| tick.label.as_str()).collect();
        assert_eq!(always, ["26 Nov", "06:00", "12:00"], "on a narrow screen too");
        assert_eq!(labels("2025-11-25T23:59:30Z", "2025-11-25T23:59:30Z"), ["26 Nov"]);
        assert_eq!(labels("2019-03-01T00:00:00Z", "2025-11-25T00:00:00Z").len(), 7);
        assert!(labels("0001-03-01T00:00:00Z", "9999-11-25T00:00:00Z").len() <= 9);
    }

    #[test]
    fn dates_of_a_month_name_it_once() {
        let of = |last: &str| dates(["2025-11-25T18:30:00Z", last].into_iter().map(|at| at.parse().unwrap()));
        assert_eq!(of("2025-11-25T19:00:00Z"), "25 November 2025");
        assert_eq!(of("2025-11-26T01:00:00Z"), "25 to 26 November 2025");
        assert_eq!(of("2026-11-26T01:00:00Z"), "25 November 2025 to 26 November 2026");
    }
}
