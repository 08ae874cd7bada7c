//! Values as people read them.

use chrono::{DateTime, Utc};

use super::section::{Unit, Value};
use crate::output;

/// Where a text is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    Terminal,
    /// A page of this time, which says how long ago other times are.
    Page(DateTime<Utc>),
}

/// A value of a column, with the text for its nulls.
pub fn cell(value: &Value, unit: Unit, null: &str, medium: Medium) -> String {
    match value {
        Value::Null => null.to_owned(),
        Value::Unknown(reason) => format!("skipped: {reason}"),
        Value::Whole(number) if unit == Unit::Bytes => output::bytes(*number),
        Value::Whole(number) => number.to_string(),
        Value::About(number) => format!("~{number}"),
        Value::Real(number) => real(*number, unit),
        Value::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::Time(at) => match medium {
            Medium::Terminal => time(*at),
            Medium::Page(now) => with_age(*at, now),
        },
        Value::Word(word) if medium == Medium::Terminal => (*word).to_owned(),
        Value::Word(word) => word.replace('_', " "),
        Value::Text(text) => text.clone(),
        Value::List(texts) if texts.is_empty() => "none".to_owned(),
        Value::List(texts) => texts.join(", "),
    }
}

fn real(number: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds => output::seconds(number),
        Unit::Minutes => format!("{number:.1} min"),
        Unit::Milliseconds => format!("{number:.0} ms"),
        Unit::Percent => format!("{number:.2} %"),
        Unit::Change => format!("{number:+.1} %"),
        Unit::Score => format!("{number:.3}"),
        Unit::Share => format!("{:.1} %", number * 100.0),
        Unit::None | Unit::Bytes => number.to_string(),
    }
}

/// A time on a terminal.
pub fn time(at: DateTime<Utc>) -> String {
    output::time(at)
}

/// A time on a page.
pub fn date(at: DateTime<Utc>) -> String {
    at.format("%-d %b %Y, %H:%M UTC").to_string()
}

/// A time, with how long before `now` that was.
pub fn with_age(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let age = (now - at).as_seconds_f64();
    // A line ends before the age and not within it.
    let ago = || format!("({} ago)", output::seconds(age)).replace(' ', "\u{a0}");
    if age < 0.0 { date(at) } else { format!("{} {}", date(at), ago()) }
}

/// A text as the beginning of a sentence.
pub fn capitalised(text: &str) -> String {
    let (first, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
    first.to_uppercase() + rest
}

/// The id of a part of the page, by its title.
pub fn anchor(title: &str) -> String {
    let title = title.to_lowercase();
    let words = title.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}
