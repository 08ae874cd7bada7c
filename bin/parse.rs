//! Values of flags, read and checked.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::builder::TypedValueParser;

/// The first second that PostgreSQL has, as seconds since 1970: the 24th of November 4714 BC.
const FIRST_SECOND: i64 = -210_866_803_200;

/// A point in time, as seen from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    Ago(TimeDelta),
    Time(DateTime<Utc>),
}

impl Since {
    /// The time; `None` when it is before the first that PostgreSQL has.
    pub fn time(self) -> Option<DateTime<Utc>> {
        let time = match self {
            Self::Ago(duration) => Utc::now().checked_sub_signed(duration)?,
            Self::Time(time) => time,
        };
        (time.timestamp() >= FIRST_SECOND).then_some(time)
    }
}

pub fn assignment(text: &str) -> Result<(String, String), String> {
    let (left, right) = text.split_once('=').ok_or("write it as COLUMN=...")?;
    Ok((left.trim().to_owned(), right.to_owned()))
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse::<f64>().ok();
    let duration = number.and_then(|number| Duration::try_from_secs_f64(number).ok());
    duration.ok_or_else(|| "must be a number of seconds, 0 or more".to_owned())
}

/// A parser of whole numbers with both ends of the range.
pub fn whole<T: FromStr + Clone + Send + Sync + 'static>(first: u32, last: u32) -> impl TypedValueParser<Value = T> {
    move |text: &str| {
        let is_within = text.parse::<u32>().is_ok_and(|number| (first..=last).contains(&number));
        let number = text.parse::<T>().ok().filter(|_| is_within);
        number.ok_or_else(|| format!("must be a whole number from {first} to {last}"))
    }
}

pub fn interval(text: &str) -> Result<Duration, String> {
    let interval = seconds(text)?;
    if interval < Duration::from_millis(100) { Err("must be at least 0.1 seconds".to_owned()) } else { Ok(interval) }
}

pub fn since(text: &str) -> Result<Since, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];
    for (unit, seconds) in units {
        if let Some(count) = text.strip_suffix(unit).and_then(|count| count.parse::<u32>().ok()) {
            return Ok(Since::Ago(TimeDelta::seconds(i64::from(count) * seconds)));
        }
    }
    time(text).map(Since::Time).map_err(|error| format!("{error}, nor a duration such as 24h or 7d"))
}

pub fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.with_timezone(&Utc)).map_err(|_| "not a time such as 2025-10-20T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::{Since, since};

    #[test]
    fn since_is_a_duration_or_a_time() {
        assert_eq!(since("24h"), Ok(Since::Ago(TimeDelta::hours(24))));
        assert_eq!(since("2w"), Ok(Since::Ago(TimeDelta::days(14))));
        let time = "2025-10-20T12:00:00Z";
        assert_eq!(since(time), Ok(Since::Time(time.parse().unwrap())));
        for wrong in ["24", "h", "-1h", "yesterday", "24 h", "99999999999s", ""] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
        assert!(Since::Ago(TimeDelta::seconds(i64::from(u32::MAX) * 604_800)).time().is_none());
        assert!(since("400000w").unwrap().time().is_none());
        assert!(since("300000w").unwrap().time().is_some());
    }
}
