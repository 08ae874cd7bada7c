//! Reads the text of one field as the value of one column, or says why it is none.
//!
//! A float becomes the nearest double and a time loses what is below a microsecond; everything else is exact or
//! refused.

use std::borrow::Cow;

use chrono::format::{Fixed, Item, Numeric, StrftimeItems};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use serde_json::value::RawValue;
use serde_json::{Number, Value};
use uuid::Uuid;

use super::columns::{Column, Kind};
use super::names::Names;
use super::records::json_problem;

/// Numbers below it are seconds since 1970 (until the year 5138), from it on milliseconds (from March 1973).
pub const FIRST_MILLISECOND: u64 = 100_000_000_000;
/// How deep JSON may be: serde_json's limit, which keeps a file from exhausting the stack.
const DEEPEST: usize = 127;
/// Characters of a wrong value that a reason repeats.
const SHOWN: usize = 60;

/// How the file wrote a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// A field of a CSV file, or a constant: any type may be meant.
    Plain,
    /// A JSON string.
    String,
    /// A JSON number.
    Number,
    /// `true` or `false`.
    Bool,
    /// A JSON array or object.
    Nested,
}

impl Written {
    const fn noun(self) -> &'static str {
        match self {
            Self::Plain | Self::String => "a text",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Nested => "an array or an object",
        }
    }
}

/// What a row has for a column.
#[derive(Debug, Clone)]
pub(super) enum Input<'a> {
    /// Nothing at all.
    Absent,
    /// NULL.
    Null,
    /// JSON's null, where the column is JSON.
    JsonNull,
    /// Something.
    Text {
        /// The value; of a JSON string, what it stands for.
        text: Cow<'a, str>,
        /// The value as it stands in the file, for columns of JSON.
        raw: Option<&'a str>,
        /// How it was written.
        written: Written,
    },
}

impl<'a> Input<'a> {
    /// A member of a JSON object.
    pub fn of_json(value: &'a RawValue) -> Result<Self, String> {
        let raw = value.get();
        let written = match raw.as_bytes().first() {
            Some(b'n') => return Ok(Self::JsonNull),
            Some(b'"') => Written::String,
            Some(b't' | b'f') => Written::Bool,
            Some(b'[' | b'{') => Written::Nested,
            _ => Written::Number,
        };
        let text = match written {
            Written::String => {
                let text: String = serde_json::from_str(raw).map_err(|error| json_problem(&error))?;
                Cow::Owned(text)
            }
            _ => Cow::Borrowed(raw),
        };
        Ok(Self::Text { text, raw: Some(raw), written })
    }

    /// A text that stands for any type.
    pub const fn plain(text: Cow<'a, str>) -> Self {
        Self::Text { text, raw: None, written: Written::Plain }
    }
}

/// What reading a value needs to know beside the value.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub names: &'a Names,
    pub time_format: Option<&'a TimeFormat>,
}

/// A value of a column.
pub(super) trait FromText: Sized {
    /// What a JSON file may write it as.
    const WRITTEN: &'static [Written] = &[Written::String];

    /// What it is, for an error.
    const NOUN: &'static str = "a text";

    fn from_text(text: &str, column: &Column, context: &Context<'_>) -> Result<Self, String>;

    /// Reads a value in the way that it is written.
    fn read(
        text: &str,
        _raw: Option<&str>,
        written: Written,
        column: &Column,
        context: &Context<'_>,
    ) -> Result<Self, String> {
        if written != Written::Plain && !Self::WRITTEN.contains(&written) {
            return Err(format!("is {}, and {} is expected", written.noun(), Self::NOUN));
        }
        Self::from_text(text, column, context)
    }
}

/// A wrong value in quotes, cut where it is long.
pub(super) fn shown(text: &str) -> String {
    let mut cut = crate::text::without_controls(&text.chars().take(SHOWN).collect::<String>());
    if text.chars().nth(SHOWN).is_some() {
        cut.push('…');
    }
    format!("'{cut}'")
}

impl FromText for String {
    fn from_text(text: &str, column: &Column, _: &Context<'_>) -> Result<Self, String> {
        if text.contains('\0') {
            return Err("holds a zero byte, which PostgreSQL cannot store".to_owned());
        }
        if let Kind::Text { longest } = column.kind
            && text.len() > longest
        {
            let length = text.chars().count();
            if length > longest {
                return Err(format!("has {length} characters, and {longest} fit"));
            }
        }
        Ok(text.to_owned())
    }
}

impl FromText for Uuid {
    fn from_text(text: &str, column: &Column, context: &Context<'_>) -> Result<Self, String> {
        match column.kind {
            Kind::Customer => context.names.customer(text),
            Kind::Agent => context.names.agent(text),
            _ => text.parse().map_err(|_| format!("{} is not a UUID", shown(text))),
        }
    }
}

impl FromText for f64 {
    const WRITTEN: &'static [Written] = &[Written::Number, Written::String];
    const NOUN: &'static str = "a number";

    fn from_text(text: &str, _: &Column, _: &Context<'_>) -> Result<Self, String> {
        let trimmed = text.trim();
        let value: Self = trimmed.parse().map_err(|_| format!("{} is not a number", shown(text)))?;
        let is_word = trimmed.bytes().any(|byte| matches!(byte, b'n' | b'N'));
        if value.is_infinite() && !is_word {
            return Err(format!("{} is too great for a double precision number", shown(text)));
        }
        let mantissa = trimmed.split(['e', 'E']).next().unwrap_or_default();
        if value == 0.0 && mantissa.bytes().any(|digit| matches!(digit, b'1'..=b'9')) {
            return Err(format!("{} is too close to 0 for a double precision number", shown(text)));
        }
        Ok(value)
    }
}

impl FromText for i32 {
    const WRITTEN: &'static [Written] = &[Written::Number, Written::String];
    const NOUN: &'static str = "a whole number";

    fn from_text(text: &str, _: &Column, _: &Context<'_>) -> Result<Self, String> {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        text.trim().parse::<Self>().map_err(|error| match error.kind() {
            PosOverflow | NegOverflow => format!("{} is not from {} to {}", shown(text), Self::MIN, Self::MAX),
            _ => format!("{} is not a whole number", shown(text)),
        })
    }
}

impl FromText for bool {
    const WRITTEN: &'static [Written] = &[Written::Bool, Written::String];
    const NOUN: &'static str = "true or false";

    fn from_text(text: &str, _: &Column, _: &Context<'_>) -> Result<Self, String> {
        let is = |words: [&str; 2]| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word));
        match (is(["true", "t"]), is(["false", "f"])) {
            (true, _) => Ok(true),
            (_, true) => Ok(false),
            _ => Err(format!("{} is neither true nor false", shown(text))),
        }
    }
}

impl FromText for DateTime<Utc> {
    const WRITTEN: &'static [Written] = &[Written::String, Written::Number];
    const NOUN: &'static str = "a time";

    fn from_text(text: &str, _: &Column, context: &Context<'_>) -> Result<Self, String> {
        let text = text.trim();
        let time = match context.time_format {
            Some(format) => format.parse(text)?,
            None => standard_time(text)?,
        };
        if !(1..=9999).contains(&time.year()) {
            return Err(outside_the_years(text));
        }
        // A leap second of chrono's counts as the first second after it, as PostgreSQL has it.
        Self::from_timestamp_micros(time.timestamp_micros()).ok_or_else(|| format!("{} is no time", shown(text)))
    }
}

impl FromText for Value {
    const WRITTEN: &'static [Written] = &[Written::String, Written::Number, Written::Bool, Written::Nested];
    const NOUN: &'static str = "JSON";

    fn from_text(text: &str, _: &Column, _: &Context<'_>) -> Result<Self, String> {
        let value = serde_json::from_str(text).map_err(|error| no_json(&error))?;
        if has_zero(&value) {
            return Err("holds \\u0000, which PostgreSQL's JSON cannot store".to_owned());
        }
        if let Some(number) = first_inexact_number(text) {
            return Err(format!("holds the number {}, which cannot be kept exactly", shown(number)));
        }
        Ok(value)
    }

    fn read(text: &str, raw: Option<&str>, _: Written, column: &Column, context: &Context<'_>) -> Result<Self, String> {
        Self::from_text(raw.unwrap_or(text), column, context)
    }
}

fn no_json(error: &serde_json::Error) -> String {
    // Its own word for it is no help, and the text is JSON all right.
    if error.to_string().starts_with("recursion limit exceeded") {
        return format!("has arrays or objects more than {DEEPEST} deep inside each other");
    }
    format!("is not JSON: {}", json_problem(error))
}

fn has_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_zero),
        Value::Object(members) => members.iter().any(|(key, value)| key.contains('\0') || has_zero(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The first number of a JSON text that would come out as another one. `jsonb` has decimals of any length, and what
/// reads them here has 64 bits.
fn first_inexact_number(json: &str) -> Option<&str> {
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte == b'"' {
            while let Some(&inside) = bytes.get(at) {
                at += if inside == b'\\' { 2 } else { 1 };
                if inside == b'"' {
                    break;
                }
            }
        } else if byte == b'-' || byte.is_ascii_digit() {
            let start = at - 1;
            let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
            while bytes.get(at).is_some_and(is_part) {
                at += 1;
            }
            let number = json.get(start..at)?;
            if !is_exact(number) {
                return Some(number);
            }
        }
    }
    None
}

fn is_exact(number: &str) -> bool {
    // Up to 15 digits every decimal comes back from a double, unless it leaves the range, which is an error before.
    if number.len() <= 15 && !number.contains(['e', 'E']) {
        return true;
    }
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    // What is sent is serde_json's text of the double, which is not the one that Rust itself would write.
    let sent = number.parse().ok().and_then(Number::from_f64).map(|sent| sent.to_string());
    sent.is_some_and(|sent| decimal(number) == decimal(&sent))
}

/// A decimal number as its sign, its digits without zeros at either end, and the power of ten of the last one.
fn decimal(number: &str) -> Option<(bool, String, i64)> {
    let (number, is_negative) = number.strip_prefix('-').map_or((number, false), |rest| (rest, true));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: i64 = exponent.trim_start_matches('+').parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(dropped)?;
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        // JSON's -0 is 0 in PostgreSQL.
        return Some((false, String::new(), 0));
    }
    Some((is_negative, significant.to_owned(), exponent))
}

/// A time in the user's own format, as strftime has them. Without an offset in it, it is UTC.
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

/// What would be read wrong without a word: chrono passes over the name of a zone, and counts in nanoseconds what Python
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

impl std::str::FromStr for TimeFormat {
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
    fn parse(&self, text: &str) -> Result<DateTime<Utc>, String> {
        use chrono::format::{Parsed, parse};
        let mut parsed = Parsed::new();
        let wrong = || format!("{} is not a time as '{}'", shown(text), self.text);
        parse(&mut parsed, text, self.items.iter()).map_err(|_| wrong())?;
        let is_epoch = self.items.iter().any(|item| matches!(item, Item::Numeric(Numeric::Timestamp, _)));
        if parsed.offset().is_some() {
            return parsed.to_datetime().map(|time| time.with_timezone(&Utc)).map_err(|_| wrong());
        }
        if is_epoch || parsed.hour_div_12().is_some() || parsed.hour_mod_12().is_some() {
            let time: NaiveDateTime = parsed.to_naive_datetime_with_offset(0).map_err(|_| wrong())?;
            return Ok(time.and_utc());
        }
        let date: NaiveDate = parsed.to_naive_date().map_err(|_| wrong())?;
        date.and_hms_opt(0, 0, 0).map(|time| time.and_utc()).ok_or_else(wrong)
    }
}

/// A time as RFC 3339, as PostgreSQL writes it, or as seconds or milliseconds since 1970.
fn standard_time(text: &str) -> Result<DateTime<Utc>, String> {
    let is_number = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-')) && !is_date(text);
    if is_number && !text.is_empty() {
        return epoch(text).ok_or_else(|| {
            format!("{} is not a number of seconds or milliseconds since 1970 in the years 1 to 9999", shown(text))
        });
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.with_timezone(&Utc));
    }
    // PostgreSQL writes +00 for +00:00.
    let with_minutes = format!("{text}:00");
    if let Ok(time) = DateTime::parse_from_rfc3339(&with_minutes) {
        return Ok(time.with_timezone(&Utc));
    }
    if is_of_other_years(text) {
        return Err(outside_the_years(text));
    }
    if DateTime::parse_from_rfc3339(&format!("{text}Z")).is_ok() {
        return Err(format!("{} has no offset: write Z behind a time in UTC, or pass --time-format", shown(text)));
    }
    Err(format!("{} is not a time: write it as 2025-10-20T12:00:00Z, or pass --time-format", shown(text)))
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
    use crate::transfer::columns::Presence;

    fn read<T: FromText>(text: &str, format: Option<&str>) -> Result<T, String> {
        let format: Option<TimeFormat> = format.map(|text| text.parse().unwrap());
        let column = Column { name: "c", kind: Kind::Text { longest: 5 }, presence: Presence::Required };
        let names = Names::default();
        T::from_text(text, &column, &Context { names: &names, time_format: format.as_ref() })
    }

    fn time(text: &str) -> Result<String, String> {
        read::<DateTime<Utc>>(text, None).map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
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
        let read = |text: &str, format: &str| read::<DateTime<Utc>>(text, Some(format)).map(|time| time.to_rfc3339());
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
        let read = |text: &str, format: &str| read::<DateTime<Utc>>(text, Some(format)).map(|time| time.to_rfc3339());
        for (text, format) in [
            ("2025-10-20 12:00:00.000042", "%Y-%m-%d %H:%M:%S%.f"),
            ("2025-10-20 12:00:00,000042", "%Y-%m-%d %H:%M:%S,%6f"),
            ("2025-10-20 14:00:00.000042 +0200", "%Y-%m-%d %H:%M:%S%.6f %z"),
        ] {
            assert_eq!(read(text, format), Ok("2025-10-20T12:00:00.000042+00:00".to_owned()));
        }
    }

    #[test]
    fn numbers_are_exact_or_refused() {
        for (text, expected) in
            [("1.5", 1.5), (" -2e3 ", -2000.0), ("Infinity", f64::INFINITY), ("-inf", f64::NEG_INFINITY), ("0e9", 0.0)]
        {
            assert_eq!(read::<f64>(text, None), Ok(expected));
        }
        assert!(read::<f64>("NaN", None).unwrap().is_nan());
        assert!(read::<f64>("-0", None).unwrap().is_sign_negative());
        for wrong in ["", "abc", "1,5", "1_000", "0x10", "1e400", "-1e400", "1e-400"] {
            assert!(read::<f64>(wrong, None).is_err(), "{wrong}");
        }
        assert_eq!(read::<i32>("-2147483648", None), Ok(i32::MIN));
        assert!(read::<i32>("2147483648", None).unwrap_err().contains("is not from -2147483648 to 2147483647"));
        assert!(read::<i32>("1.0", None).unwrap_err().contains("not a whole number"));
    }

    #[test]
    fn texts_are_counted_in_characters_and_hold_no_zero() {
        assert_eq!(read::<String>("äöü東京", None), Ok("äöü東京".to_owned()));
        assert!(read::<String>("äöü東京!", None).unwrap_err().contains("has 6 characters, and 5 fit"));
        assert!(read::<String>("a\0", None).unwrap_err().contains("zero byte"));
    }

    #[test]
    fn json_is_taken_whole_or_refused() {
        for kept in [
            "{}",
            "null",
            "[1,2.50,-0.0,1e3]",
            "18446744073709551615",
            "0.1",
            "1.7976931348623157e308",
            "0.30000000000000004",
            "-13459064658885.062",
            r#"{"a\"1e999":"123456789012345678901234567890"}"#,
            "5e-324",
            "1E+2",
            &format!("{}{}", "[".repeat(127), "]".repeat(127)),
        ] {
            assert!(read::<Value>(kept, None).is_ok(), "{kept}: {:?}", read::<Value>(kept, None));
        }
        for (lost, words) in [
            ("{", "is not JSON"),
            ("", "is not JSON"),
            (r#"{"a":"\u0000"}"#, "\\u0000"),
            (r#"{"\u0000":1}"#, "\\u0000"),
            ("[123456789012345678901234567890]", "cannot be kept exactly"),
            ("0.12345678901234567890", "cannot be kept exactly"),
            ("123456789.123456789", "cannot be kept exactly"),
            ("1e999", "is not JSON: number out of range"),
            ("1e-999", "cannot be kept exactly"),
            (&"[".repeat(200), "has arrays or objects more than 127 deep"),
        ] {
            assert!(read::<Value>(lost, None).unwrap_err().contains(words), "{lost}: {:?}", read::<Value>(lost, None));
        }
    }

    #[test]
    fn a_wrong_value_is_shown_short_and_without_control_characters() {
        assert_eq!(shown("a\x1b[2J"), "'a\u{fffd}[2J'");
        assert_eq!(shown(&"x".repeat(100)).chars().count(), 63);
    }
}
