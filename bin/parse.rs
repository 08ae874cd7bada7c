//! Values of flags, read and checked.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use optiinfra_db::catalog::{HOT_TABLES, HotTable};
use optiinfra_db::transfer::{Metric, NotAMetric};

/// The first second that PostgreSQL has, as seconds since 1970: the 24th of November 4714 BC.
const FIRST_SECOND: i64 = -210_866_803_200;

/// PostgreSQL counts its time limits in milliseconds of 32 bits, which is some hours more.
const LONGEST: Duration = Duration::from_secs(24 * 86_400);

/// Ten years: more partitions than anybody wants are a slip.
const MOST_AHEAD: Duration = Duration::from_secs(3660 * 86_400);

/// A hundred years.
const LONGEST_KEPT: Duration = Duration::from_secs(36_600 * 86_400);

/// Units of a duration, in seconds.
const UNITS: [(&str, u32); 5] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];

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

/// A parser of words that are known: another one is asked about if it is close to one of them.
pub fn one_of<T>(words: &[&'static str]) -> impl TypedValueParser<Value = T> + use<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| word.parse::<T>())
}

/// A name of words that are joined by underscores.
pub fn snake_case(text: &str) -> Result<String, String> {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_name =
        text.len() <= 60 && text.starts_with(|first: char| first.is_ascii_lowercase()) && text.split('_').all(is_word);
    if is_name {
        Ok(text.to_owned())
    } else {
        Err("must be lower-case words of letters and digits, joined by _, such as add_region_to_customers".to_owned())
    }
}

/// A column and what it gets, which may be empty.
pub fn assignment(text: &str) -> Result<(String, String), String> {
    let (left, right) = text.split_once('=').ok_or("write it as COLUMN=...")?;
    Ok((left.trim().to_owned(), right.to_owned()))
}

/// A metric of another tool, and what it is.
pub fn metric(text: &str) -> Result<(String, Metric), String> {
    let (metric, meaning) = text.split_once('=').ok_or("write it as METRIC=RESOURCE_TYPE/METRIC_NAME/UNIT")?;
    Ok((metric.to_owned(), meaning.parse().map_err(|error: NotAMetric| error.to_string())?))
}

/// Reads the address of a node: its host, or the directory of its socket, and its port.
pub fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let node = parts.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    node.ok_or_else(|| "not an address such as worker3:5432".to_owned())
}

/// A duration that a session or a wait can be limited to: `30s`, `5m`, `2h`, `7d`, or a plain number of seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    up_to(LONGEST, text).ok_or_else(|| {
        "must be a duration from 0 to 24d, such as 30s, 5m, 2h or 7d; a number alone is in seconds".to_owned()
    })
}

/// How far ahead partitions are made.
pub fn days_ahead(text: &str) -> Result<Duration, String> {
    up_to(MOST_AHEAD, text).ok_or_else(|| "must be a duration from 0 to 3660d, such as 14d or 8w".to_owned())
}

fn up_to(longest: Duration, text: &str) -> Option<Duration> {
    let (number, unit) =
        UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds))).unwrap_or((text, 1));
    let seconds = number.parse::<f64>().ok()? * f64::from(unit);
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| *duration <= longest)
}

/// A table and how long it keeps its rows: a day at least, and with a unit, because a slip loses rows.
pub fn keep(text: &str) -> Result<(&'static HotTable, Duration), String> {
    let (table, long) = text.split_once('=').ok_or("write it as TABLE=DURATION, such as events=400d")?;
    let names = || HOT_TABLES.map(|table| table.name).join(", ");
    let table =
        HotTable::named(table).ok_or_else(|| format!("no table to keep rows of is called {table}: {}", names()))?;
    let has_unit = long.ends_with(|last: char| last.is_ascii_alphabetic());
    let long = up_to(LONGEST_KEPT, long).filter(|long| has_unit && *long >= Duration::from_secs(86_400));
    Ok((table, long.ok_or("must be a duration with its unit, from 1d to 36600d, such as 90d or 12w")?))
}

/// The time from one report to the next.
pub fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < Duration::from_millis(100) { Err("must be at least 0.1 seconds".to_owned()) } else { Ok(interval) }
}

/// A parser of whole numbers with both ends of the range.
pub fn whole<T: FromStr + Clone + Send + Sync + 'static>(first: u64, last: u64) -> impl TypedValueParser<Value = T> {
    move |text: &str| {
        let is_within = text.parse::<u64>().is_ok_and(|number| (first..=last).contains(&number));
        let number = text.parse::<T>().ok().filter(|_| is_within);
        number.ok_or_else(|| format!("must be a whole number from {first} to {last}"))
    }
}

/// A parser of a whole number of units of so many seconds, at most `last`: alone, or as a duration.
pub fn whole_or_duration<T: FromStr + Clone + Send + Sync + 'static>(
    unit: u32,
    last: u32,
) -> impl TypedValueParser<Value = T> {
    let longest = Duration::from_secs(u64::from(unit) * u64::from(last));
    move |text: &str| {
        let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
        let duration =
            up_to(longest, text).filter(|_| has_unit).map(|duration| duration.as_secs_f64() / f64::from(unit));
        let count = duration.map_or_else(|| text.to_owned(), |count| count.to_string());
        let is_within = count.parse::<u32>().is_ok_and(|count| (1..=last).contains(&count));
        let count = count.parse::<T>().ok().filter(|_| is_within);
        count.ok_or_else(|| format!("must be a whole number from 1 to {last}, or a duration such as 30s, 5m, 2h or 7d"))
    }
}

/// A duration back from now, with its unit, or a time.
pub fn since(text: &str) -> Result<Since, String> {
    for (unit, seconds) in UNITS {
        if let Some(count) = text.strip_suffix(unit).and_then(|count| count.parse::<u32>().ok()) {
            return Ok(Since::Ago(TimeDelta::seconds(i64::from(count) * i64::from(seconds))));
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
    use super::*;

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

    #[test]
    fn partitions_may_be_made_further_ahead_than_a_time_limit_reaches() {
        assert_eq!(days_ahead("60d"), Ok(Duration::from_secs(60 * 86_400)));
        assert!(days_ahead("3661d").is_err() && days_ahead("-1d").is_err() && duration("60d").is_err());
    }

    #[test]
    fn rows_are_kept_for_a_day_at_least_and_with_a_unit() {
        let (table, long) = keep("events=400d").unwrap();
        assert_eq!((table.name, long), ("events", Duration::from_secs(400 * 86_400)));
        for wrong in
            ["events", "events=", "events=400", "events=23h", "events=0d", "events=-1d", "events=36601d", "agents=1d"]
        {
            assert!(keep(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_duration_has_a_unit_or_is_in_seconds() {
        for (text, seconds) in [("30", 30.0), ("0", 0.0), ("-0", 0.0), ("0.2", 0.2), ("30s", 30.0), ("5m", 300.0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        assert_eq!((duration("2h"), duration("7d")), (Ok(Duration::from_secs(7200)), Ok(Duration::from_secs(604_800))));
        assert_eq!(duration("24d"), Ok(LONGEST));
        for wrong in ["", "s", "-1", "1e19", "NaN", "inf", "-inf", "infd", "25d", "1y", "5 m", "1h30m", "1e308d", "½"]
        {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_of_hours_or_seconds_may_be_a_duration() {
        let parse = |unit: u32, text: &str| {
            let command =
                clap::Command::new("x").arg(clap::Arg::new("n").value_parser(whole_or_duration::<u16>(unit, 65_535)));
            command.try_get_matches_from(["x", text]).ok().and_then(|found| found.get_one::<u16>("n").copied())
        };
        for (unit, text, count) in
            [(1, "300", 300), (1, "300s", 300), (1, "5m", 300), (3600, "24", 24), (3600, "7d", 168), (3600, "60m", 1)]
        {
            assert_eq!(parse(unit, text), Some(count), "{text}");
        }
        for (unit, wrong) in
            [(1, "0"), (1, "0s"), (1, "0.5s"), (1, "65536"), (1, "19h"), (3600, "90m"), (3600, "-1h"), (1, "s")]
        {
            assert_eq!(parse(unit, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn whole_numbers_have_two_ends() {
        let parse = |text: &str| {
            let command = clap::Command::new("x").arg(clap::Arg::new("n").value_parser(whole::<u32>(1, 64)));
            command.try_get_matches_from(["x", text]).ok().and_then(|found| found.get_one::<u32>("n").copied())
        };
        assert_eq!([parse("1"), parse("64"), parse("+2")], [Some(1), Some(64), Some(2)]);
        for wrong in ["0", "65", "1.5", "1e1", "18446744073709551616", "-1", "NaN", ""] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
