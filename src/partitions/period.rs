//! How long a partition is, in UTC: days have 24 hours whatever the zone of a session.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};
use serde::{Serialize, Serializer};

use crate::catalog::Bounds;

/// How long a partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    #[default]
    Week,
    /// From the first of a month to the next.
    Month,
}

/// A word that is no period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a period: expected day, week or month")]
pub struct UnknownPeriod(String);

impl Period {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// Its name, which is also the server's.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The beginning of the period that holds a time.
    pub fn begin(self, time: DateTime<Utc>) -> DateTime<Utc> {
        let day = time.date_naive();
        let first = match self {
            Self::Day => Some(day),
            Self::Week => day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday()))),
            Self::Month => day.with_day(1),
        };
        midnight(first.unwrap_or(day))
    }

    /// The beginning of the next period.
    pub fn next(self, time: DateTime<Utc>) -> DateTime<Utc> {
        let day = self.begin(time).date_naive();
        let next = match self {
            Self::Day => day.checked_add_days(Days::new(1)),
            Self::Week => day.checked_add_days(Days::new(7)),
            Self::Month => day.checked_add_months(Months::new(1)),
        };
        midnight(next.unwrap_or(NaiveDate::MAX))
    }

    /// The period that a range is exactly one of.
    pub fn of(bounds: &Bounds) -> Option<Self> {
        let Bounds::Range(Some(from), Some(to)) = bounds else { return None };
        Self::ALL.into_iter().find(|period| period.begin(*from) == *from && period.next(*from) == *to)
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Period {
    type Err = UnknownPeriod;

    fn from_str(word: &str) -> Result<Self, UnknownPeriod> {
        Self::ALL.into_iter().find(|period| period.as_str() == word).ok_or_else(|| UnknownPeriod(word.to_owned()))
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_begin_and_end_at_midnight_utc() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        for (period, time, begin, next) in [
            ("day", "2026-03-29T23:59:59.999999Z", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"),
            ("week", "2026-11-27T08:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            ("week", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            ("week", "2026-01-01T00:00:00Z", "2025-12-29T00:00:00Z", "2026-01-05T00:00:00Z"),
            ("month", "2024-02-29T12:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("month", "2026-12-31T12:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            let period: Period = period.parse().unwrap();
            assert_eq!((period.begin(at(time)), period.next(at(time))), (at(begin), at(next)), "{period} {time}");
            assert_eq!(Period::of(&Bounds::Range(Some(at(begin)), Some(at(next)))), Some(period));
        }
        let odd = Bounds::Range(Some(at("2026-11-24T00:00:00Z")), Some(at("2026-12-01T00:00:00Z")));
        assert_eq!(Period::of(&odd), None);
        assert!("year".parse::<Period>().is_err());
    }
}
