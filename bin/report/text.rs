//! Values as people read them.

use chrono::{DateTime, Utc};

use super::section::{Unit, Value};
use crate::output;

/// Where a text is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    Terminal,
    Page,
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
        Value::Time(at) if medium == Medium::Page => at.format("%-d %b %Y, %H:%M UTC").to_string(),
        Value::Time(at) => time(*at),
        Value::Word(word) if medium == Medium::Page => word.replace('_', " "),
        Value::Word(word) => (*word).to_owned(),
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

/// The id of a part of the page, by its title.
pub fn anchor(title: &str) -> String {
    title
        .to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}
