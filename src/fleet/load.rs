//! How busy a customer is at a time: a day's curve, a week's, and a burst now and then.
//!
//! Sums, products and comparisons only: no function of `libm`, whose last bit differs between machines. A fleet must
//! be the same everywhere.

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};

use crate::seed::random::Random;

/// What is typical of one customer's load.
#[derive(Debug)]
pub(super) struct Load {
    /// Hour of the day, UTC, at which it is busiest.
    peak_hour: f64,
    /// Share of the day's peak that is left at night, 0 to 1.
    night: f64,
    /// Share of a weekday's load that a day of the weekend has.
    weekend: f64,
    /// How much longer a burst lasts, and how much it adds.
    burst: (TimeDelta, f64),
}

impl Load {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            peak_hour: random.between(11.0, 18.0),
            night: random.between(0.15, 0.4),
            weekend: random.between(0.4, 0.9),
            burst: (TimeDelta::zero(), 0.0),
        }
    }

    /// The load at a time, 1 at an ordinary weekday's peak. To be asked in the order of time.
    pub(super) fn at(&mut self, time: DateTime<Utc>, interval: TimeDelta, random: &mut Random) -> f64 {
        let base = self.of_day(time) * self.of_week(time);
        let (left, _) = self.burst;
        let of_day = interval.as_seconds_f64() / 86_400.0;
        if left > TimeDelta::zero() {
            self.burst.0 = left - interval;
        } else if random.chance(1.5 * of_day) {
            let minutes = random.whole(10, 120);
            self.burst = (TimeDelta::minutes(i64::from(minutes)), random.between(0.2, 1.4));
        } else {
            self.burst.1 = 0.0;
        }
        (base * (1.0 + self.burst.1) + random.around_zero(0.02)).max(0.01)
    }

    fn of_day(&self, time: DateTime<Utc>) -> f64 {
        let hour = f64::from(time.num_seconds_from_midnight()) / 3600.0;
        let away = (hour - self.peak_hour).abs();
        let away = away.min(24.0 - away) / 12.0;
        self.night + (1.0 - self.night) * smooth(1.0 - away)
    }

    fn of_week(&self, time: DateTime<Utc>) -> f64 {
        if time.weekday().number_from_monday() > 5 { self.weekend } else { 1.0 }
    }
}

/// From 0 to 1 without a corner at either end.
fn smooth(x: f64) -> f64 {
    x * x * (3.0 - 2.0 * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Load {
        Load { peak_hour: 14.0, night: 0.2, weekend: 0.5, burst: (TimeDelta::zero(), 0.0) }
    }

    #[test]
    fn the_day_peaks_at_its_hour_and_ebbs_half_a_day_away() {
        let monday = |hour: u32| format!("2025-10-20T{hour:02}:00:00Z").parse().unwrap();
        assert_eq!((quiet().of_day(monday(14)), quiet().of_day(monday(2))), (1.0, 0.2));
        assert_eq!(quiet().of_day(monday(8)), quiet().of_day(monday(20)));
        let hours: Vec<f64> = (2..=14).map(|hour| quiet().of_day(monday(hour))).collect();
        assert!(hours.is_sorted());
    }

    #[test]
    fn the_weekend_is_calmer() {
        let [friday, saturday] = ["2025-10-24T12:00:00Z", "2025-10-25T12:00:00Z"].map(|time| time.parse().unwrap());
        assert_eq!((quiet().of_week(friday), quiet().of_week(saturday)), (1.0, 0.5));
    }

    #[test]
    fn the_load_is_never_nothing_and_a_burst_ends() {
        let mut random = Random::stream(1, 1);
        let mut load = Load::new(&mut random);
        let interval = TimeDelta::minutes(5);
        let day: Vec<f64> =
            (0..2880).map(|tick| load.at(DateTime::UNIX_EPOCH + interval * tick, interval, &mut random)).collect();
        assert!(day.iter().all(|load| (0.01..2.5).contains(load)));
        assert!(day.iter().any(|load| *load > 1.1), "no burst in ten days");
        assert!(day.iter().filter(|load| **load > 1.1).count() < day.len() / 4);
    }
}
