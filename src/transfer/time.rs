//! Times: RFC 3339, as PostgreSQL writes them, counted from 1970, or in a format of the user's; those without an offset
//! in a time zone of the user's. What is below a microsecond is dropped.

use std::borrow::Cow;
use std::str::FromStr;

use chrono::format::{Fixed, Item, Numeric, Parsed, StrftimeItems};
use chrono::{DateTime, Datelike, FixedOffset, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;

use crate::text::shown;

/// Numbers below it are seconds since 1970 (until the year 5138), from it on milliseconds (from March 1973).
pub const FIRST_MILLISECOND: u64 = 100_000_000_000;

/// How the times of a file are written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times<'a> {
    pub format: Option<&'a TimeFormat>,
    pub zone: Option<Zone>,
}

/// Reads a time, in the user's format if there is one.
pub(super) fn parse(text: &str, Times { format, zone }: Times<'_>) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    let time = match format {
        Some(format) => format.parse(text, zone.unwrap_or(Zone::UTC))?,
        None => standard_time(text, zone)?,
    };
    if !(1..=9999).contains(&time.year()) {
        return Err(outside_the_years(text));
    }
    // A leap second of chrono's counts as the first second after it, as PostgreSQL has it.
    DateTime::from_timestamp_micros(time.timestamp_micros()).ok_or_else(|| format!("{} is no time", shown(text)))
}

/// Where times are local that have no offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// So far from UTC.
    Offset(FixedOffset),
    /// A place, whose offset changes with its rules.
    Named(Tz),
}

/// A text that is no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a time zone: write its name, such as Europe/Berlin or UTC, or an offset, such as +02:00")]
pub struct NotATimeZone(pub String);

impl FromStr for Zone {
    type Err = NotATimeZone;

    fn from_str(text: &str) -> Result<Self, NotATimeZone> {
        let named = || text.parse().map(Self::Named).map_err(|_| NotATimeZone(text.to_owned()));
        text.parse().map(Self::Offset).or_else(|_| named())
    }
}

impl Zone {
    const UTC: Self = Self::Named(Tz::UTC);

    /// The time of a local one, which `text` is.
    fn time(self, local: NaiveDateTime, text: &str) -> Result<DateTime<Utc>, String> {
        let (found, zone) = match self {
            Self::Offset(offset) => (in_utc(&offset, local), offset.to_string()),
            Self::Named(zone) => (in_utc(&zone, local), zone.to_string()),
        };
        match found {
            LocalResult::Single(time) => Ok(time),
            LocalResult::Ambiguous(..) => Err(format!("{} is there twice in {zone}: write its offset", shown(text))),
            LocalResult::None => Err(format!("{} is left out by the clocks of {zone}", shown(text))),
        }
    }
}

fn in_utc(zone: &impl TimeZone, local: NaiveDateTime) -> LocalResult<DateTime<Utc>> {
    zone.from_local_datetime(&local).map(|time| time.with_timezone(&Utc))
}

/// A time in the user's own format, as strftime has them.
#[derive(Debug, Clone)]
pub struct TimeFormat {
    text: String,
    items: Vec<Item<'static>>,
}

/// A text that is no format of times, or one by which times would be read wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{format}' {problem}")]
pub struct NotATimeFormat {
    /// The text.
    pub format: String,
    /// What is wrong with it, and what to write.
    pub problem: &'static str,
}

const NO_FORMAT: &str = "is not a format of times: write it as strftime has them, such as '%d.%m.%Y %H:%M:%S%.f'";

/// What would silently be read wrong: chrono passes over the name of a zone, and counts in nanoseconds what Python
/// writes in microseconds.
fn misread(item: &Item<'_>) -> Option<&'static str> {
    match item {
        Item::Fixed(Fixed::TimezoneName) => {
            Some("has %Z, and the name of a zone is no offset: write %z for an offset such as +0200, else leave it out")
        }
        Item::Numeric(Numeric::Nanosecond, _) => Some(
            "has %f, which is microseconds to some and nanoseconds to others: write %.f for a fraction with its dot, or \
             %3f, %6f or %9f for so many digits",
        ),
        _ => None,
    }
}

impl FromStr for TimeFormat {
    type Err = NotATimeFormat;

    fn from_str(text: &str) -> Result<Self, NotATimeFormat> {
        let because = |problem| NotATimeFormat { format: text.to_owned(), problem };
        let wrong = || because(NO_FORMAT);
        let items = StrftimeItems::new(text).parse_to_owned().map_err(|_| wrong())?;
        let is_literal = |item: &Item<'_>| {
            matches!(item, Item::Literal(_) | Item::OwnedLiteral(_) | Item::Space(_) | Item::OwnedSpace(_))
        };
        if items.iter().all(is_literal) {
            return Err(wrong());
        }
        if let Some(problem) = items.iter().find_map(misread) {
            return Err(because(problem));
        }
        Ok(Self { text: text.to_owned(), items })
    }
}

impl TimeFormat {
    fn parse(&self, text: &str, zone: Zone) -> Result<DateTime<Utc>, String> {
        let mut parsed = Parsed::new();
        let wrong = || format!("{} is not a time as '{}'", shown(text), self.text);
        chrono::format::parse(&mut parsed, text, self.items.iter()).map_err(|_| wrong())?;
        let is_epoch = self.items.iter().any(|item| matches!(item, Item::Numeric(Numeric::Timestamp, _)));
        if parsed.offset().is_some() {
            return parsed.to_datetime().map(|time| time.with_timezone(&Utc)).map_err(|_| wrong());
        }
        if is_epoch || parsed.hour_div_12().is_some() || parsed.hour_mod_12().is_some() {
            let time: NaiveDateTime = parsed.to_naive_datetime_with_offset(0).map_err(|_| wrong())?;
            return if is_epoch { Ok(time.and_utc()) } else { zone.time(time, text) };
        }
        let date: NaiveDate = parsed.to_naive_date().map_err(|_| wrong())?;
        zone.time(date.and_time(NaiveTime::MIN), text)
    }
}

/// A time as RFC 3339, as PostgreSQL writes it, or as seconds or milliseconds since 1970.
fn standard_time(text: &str, zone: Option<Zone>) -> Result<DateTime<Utc>, String> {
    let is_number = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-')) && !is_date(text);
    if is_number && !text.is_empty() {
        return epoch(text).ok_or_else(|| {
            format!("{} is not a number of seconds or milliseconds since 1970 in the years 1 to 9999", shown(text))
        });
    }
    // PostgreSQL writes +00 for +00:00.
    let lacks_minutes = matches!(text.as_bytes(), [.., b'+' | b'-', _, _]);
    let whole = if lacks_minutes { Cow::Owned(format!("{text}:00")) } else { Cow::Borrowed(text) };
    if let Ok(time) = DateTime::parse_from_rfc3339(&whole) {
        return Ok(time.with_timezone(&Utc));
    }
    if is_of_other_years(text) {
        return Err(outside_the_years(text));
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(&format!("{text}Z")) {
        let no_offset = || format!("{} has no offset: write Z after a time in UTC, or name the time zone", shown(text));
        return zone.ok_or_else(no_offset)?.time(time.naive_utc(), text);
    }
    Err(format!("{} is not a time: write it as 2025-10-20T12:00:00Z, or name the time format", shown(text)))
}

/// Whether it is a time as PostgreSQL writes those that RFC 3339 cannot: infinite, before Christ or after 9999.
fn is_of_other_years(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let year = parts.next().unwrap_or_default();
    let is_long = matches!(year.len(), 5 | 6) && year.bytes().all(|byte| byte.is_ascii_digit());
    matches!(text, "infinity" | "-infinity") || text.ends_with(" BC") || (is_long && parts.count() == 2)
}

fn outside_the_years(text: &str) -> String {
    format!("{} is not in the years 1 to 9999", shown(text))
}

/// Whether a text of digits, dashes and dots is more of a date than a number.
fn is_date(text: &str) -> bool {
    text.bytes().skip(1).any(|byte| byte == b'-')
}

fn epoch(text: &str) -> Option<DateTime<Utc>> {
    let (digits, is_negative) = text.strip_prefix('-').map_or((text, false), |rest| (rest, true));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let number: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let (unit, places) = if number < FIRST_MILLISECOND { (1_000_000, 6) } else { (1000, 3) };
    let kept: String = fraction.chars().chain("000000".chars()).take(places).collect();
    let micros = i64::try_from(number).ok()?.checked_mul(unit)?.checked_add(kept.parse().ok()?)?;
    let time = DateTime::from_timestamp_micros(if is_negative { -micros } else { micros })?;
    (1..=9999).contains(&time.year()).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Result<String, String> {
        parse(text, Times::default()).map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }

    fn read(text: &str, format: &str) -> Result<String, String> {
        let format = format.parse().unwrap();
        parse(text, Times { format: Some(&format), zone: None }).map(|time| time.to_rfc3339())
    }

    #[test]
    fn a_time_without_an_offset_is_of_the_zone_that_is_given() {
        let read = |text, zone: &str, format: Option<&TimeFormat>| {
            parse(text, Times { format, zone: Some(zone.parse().unwrap()) }).map(|time| time.to_rfc3339())
        };
        let noon = Ok("2025-10-20T12:00:00+00:00".to_owned());
        for (text, zone) in [
            ("2025-10-20 14:00:00", "Europe/Berlin"),
            ("2025-10-20T17:30:00", "+05:30"),
            ("2025-10-20 12:00:00", "UTC"),
            ("2025-10-20T14:00:00+02:00", "Asia/Tokyo"),
            ("1760961600", "Asia/Tokyo"),
        ] {
            assert_eq!(read(text, zone, None), noon, "{text} {zone}");
        }
        let format = "%d.%m.%Y %H:%M".parse().unwrap();
        assert_eq!(read("20.10.2025 14:00", "Europe/Berlin", Some(&format)), noon);
        let day = "%d.%m.%Y".parse().unwrap();
        assert_eq!(read("20.10.2025", "+12:00", Some(&day)), Ok("2025-10-19T12:00:00+00:00".to_owned()));
        for (text, words) in [
            ("2025-10-26 02:30:00", "is there twice in Europe/Berlin"),
            ("2025-03-30 02:30:00", "is left out by the clocks of Europe/Berlin"),
        ] {
            assert!(read(text, "Europe/Berlin", None).unwrap_err().contains(words));
        }
        for wrong in ["Berlin", "", "+25:00", "CEST"] {
            assert!(wrong.parse::<Zone>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_rfc_3339_or_counted_from_1970() {
        for (text, expected) in [
            ("2025-10-20T12:00:00Z", "2025-10-20T12:00:00Z"),
            ("2025-10-20t14:00:00.123456+02:00", "2025-10-20T12:00:00.123456Z"),
            ("2025-10-20 12:00:00+00", "2025-10-20T12:00:00Z"),
            ("2025-10-20 12:00:00.5-03", "2025-10-20T15:00:00.500Z"),
            (" 0 ", "1970-01-01T00:00:00Z"),
            ("1760961600", "2025-10-20T12:00:00Z"),
            ("1760961600.123456789", "2025-10-20T12:00:00.123456Z"),
            ("1760961600123", "2025-10-20T12:00:00.123Z"),
            ("1760961600123.456", "2025-10-20T12:00:00.123456Z"),
            ("-1.5", "1969-12-31T23:59:58.500Z"),
            ("99999999999", "5138-11-16T09:46:39Z"),
            ("100000000000", "1973-03-03T09:46:40Z"),
            ("2025-10-20T12:00:00.123456999Z", "2025-10-20T12:00:00.123456Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ] {
            assert_eq!(time(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_told() {
        for (text, words) in [
            ("yesterday", "is not a time"),
            ("2025-10-20", "is not a time"),
            ("2025-10-20T12:00:00", "has no offset"),
            ("2025-10-20 12:00:00.25", "has no offset"),
            ("2025-13-20T12:00:00Z", "is not a time"),
            ("", "is not a time"),
            ("-", "since 1970"),
            ("1.2.3", "since 1970"),
            ("99999999999999999999", "since 1970"),
            ("1760961600123456", "since 1970"),
            ("20251020-120000-1", "is not a time"),
            ("infinity", "is not in the years 1 to 9999"),
            ("-infinity", "is not in the years 1 to 9999"),
            ("0044-03-15T12:00:00+00 BC", "is not in the years 1 to 9999"),
            ("10000-01-01T00:00:00Z", "is not in the years 1 to 9999"),
        ] {
            assert!(time(text).unwrap_err().contains(words), "{text}: {:?}", time(text));
        }
    }

    #[test]
    fn a_format_of_the_user_is_utc_unless_it_has_an_offset() {
        let noon = Ok("2025-10-20T12:00:00+00:00".to_owned());
        assert_eq!(read("20.10.2025 12:00:00", "%d.%m.%Y %H:%M:%S"), noon);
        assert_eq!(read("20.10.2025 14:00 +0200", "%d.%m.%Y %H:%M %z"), noon);
        assert_eq!(read("10/20/25 12:00:00 PM", "%D %I:%M:%S %p"), noon);
        assert_eq!(read("1760961600", "%s"), noon);
        assert_eq!(read("20251020", "%Y%m%d"), Ok("2025-10-20T00:00:00+00:00".to_owned()));
        assert!(read("2025-10-20", "%d.%m.%Y").unwrap_err().contains("as '%d.%m.%Y'"));
        assert!(read("12:00", "%H:%M").is_err());
        for wrong in ["", "noon", "%", "%Q", "%Y-%"] {
            assert!(wrong.parse::<TimeFormat>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_format_that_would_be_misread_is_refused_with_what_to_write() {
        for (format, words) in
            [("%d.%m.%Y %H:%M %Z", "write %z"), ("%Y-%m-%d %H:%M:%S.%f", "write %.f"), ("%s.%f", "%3f, %6f or %9f")]
        {
            let error = format.parse::<TimeFormat>().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        for (text, format) in [
            ("2025-10-20 12:00:00.000042", "%Y-%m-%d %H:%M:%S%.f"),
            ("2025-10-20 12:00:00,000042", "%Y-%m-%d %H:%M:%S,%6f"),
            ("2025-10-20 14:00:00.000042 +0200", "%Y-%m-%d %H:%M:%S%.6f %z"),
        ] {
            assert_eq!(read(text, format), Ok("2025-10-20T12:00:00.000042+00:00".to_owned()));
        }
    }
}
