//! The value of one column: decoded from the text of a field, or refused with a reason, and encoded for the server.
//!
//! A float becomes the nearest double and a time loses what is below a microsecond; everything else is exact or
//! refused.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::json;
use super::names::Names;
use super::table::{Column, DefaultValue, Kind};
use super::time::{self, Times};
use crate::enums;
use crate::ingest::{Encode as _, TooLong, put_json, put_null};
use crate::text::{nearest, shown};

/// The value of a column.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// No value.
    Null,
    /// An id.
    Uuid(Uuid),
    /// A text.
    Text(Cow<'a, str>),
    /// A double precision number.
    Float(f64),
    /// A whole number.
    Integer(i32),
    /// True or false.
    Bool(bool),
    /// A time.
    Time(DateTime<Utc>),
    /// JSON, as it is written in the file.
    Json(Cow<'a, str>),
    /// A label of an enum type.
    Label(&'static str),
}

impl Value<'_> {
    /// Appends the value in the binary format of COPY.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Self::Null => {
                put_null(out);
                Ok(())
            }
            Self::Uuid(id) => id.encode(out),
            Self::Text(text) => text.encode(out),
            Self::Label(label) => label.encode(out),
            Self::Float(number) => number.encode(out),
            Self::Integer(number) => number.encode(out),
            Self::Bool(is_true) => is_true.encode(out),
            Self::Time(time) => time.encode(out),
            Self::Json(text) => put_json(out, |out| {
                out.extend_from_slice(text.as_bytes());
                Ok(())
            }),
        }
    }

    /// The text of a text or of a label.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Label(label) => Some(label),
            _ => None,
        }
    }
}

/// A value that every row has.
#[derive(Debug, Clone)]
pub(super) struct Constant {
    pub value: Value<'static>,
    /// Its text in the key that an id is derived from: the text that was given, of a customer or an agent the id.
    pub text: String,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// The column, where it is one column's fault.
    pub column: Option<&'static str>,
    pub reason: String,
}

impl Problem {
    pub fn of(column: &Column, reason: impl Into<String>) -> Self {
        Self { column: Some(column.name), reason: reason.into() }
    }

    pub fn of_row(reason: impl Into<String>) -> Self {
        Self { column: None, reason: reason.into() }
    }
}

/// How the file writes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// A field of a CSV file without quotes.
    Plain,
    /// A field of a CSV file in quotes, or a constant.
    Quoted,
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
            Self::Plain | Self::Quoted | Self::String => "a text",
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
    /// The same as every row.
    Constant(&'a Constant),
    /// A text to decode.
    Text {
        /// The value; of a JSON string, what it means.
        text: Cow<'a, str>,
        /// The value as the file writes it, for columns of JSON.
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
                let text: String = serde_json::from_str(raw).map_err(|error| json::problem(&error))?;
                Cow::Owned(text)
            }
            _ => Cow::Borrowed(raw),
        };
        Ok(Self::Text { text, raw: Some(raw), written })
    }
}

/// What decoding a value needs besides its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub names: &'a Names,
    pub times: Times<'a>,
    /// Numbers have a comma where others have a point.
    pub decimal_comma: bool,
    /// When the row is read: the default of times.
    pub now: DateTime<Utc>,
}

impl Column {
    /// The value of a row for this column.
    pub(super) fn value<'a>(&self, input: Input<'a>, context: &Context<'_>) -> Result<Value<'a>, String> {
        let is_json_null = matches!(input, Input::JsonNull) && self.kind == Kind::Json && !self.is_nullable;
        match input {
            Input::Constant(constant) => Ok(constant.value.clone()),
            Input::Text { ref text, written: Written::Plain, .. } if self.is_missing(text) => {
                self.value(Input::Null, context)
            }
            Input::Text { text, raw, written } => self.decode(text, raw, written, context),
            // JSON's null is a value of its own where the column is JSON and cannot be null.
            Input::JsonNull if is_json_null && self.default.is_some() => Ok(Value::Json("null".into())),
            Input::Null | Input::JsonNull if self.is_nullable => Ok(Value::Null),
            Input::Absent | Input::Null | Input::JsonNull if self.default.is_some() => Ok(self.default_value(context)),
            Input::Absent if self.is_nullable => Ok(Value::Null),
            Input::Absent => Err("is missing".to_owned()),
            Input::Null | Input::JsonNull => Err("is null, and the column is not".to_owned()),
        }
    }

    /// Whether a text is how pandas writes that a value is missing, where it can mean nothing else.
    fn is_missing(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Integer | Kind::Bool | Kind::Time) && ["NaN", "nan", "NaT", "<NA>"].contains(&text)
    }

    fn default_value(&self, context: &Context<'_>) -> Value<'static> {
        match self.default {
            None => Value::Null,
            // Taken only until the row's own is known.
            Some(DefaultValue::NewId) => Value::Uuid(Uuid::nil()),
            Some(DefaultValue::Now) => Value::Time(context.now),
            Some(DefaultValue::EmptyObject) => Value::Json("{}".into()),
            Some(DefaultValue::False) => Value::Bool(false),
            Some(DefaultValue::Label(label)) => Value::Label(label),
        }
    }

    /// A value from its text.
    pub(super) fn decode<'a>(
        &self,
        text: Cow<'a, str>,
        raw: Option<&'a str>,
        written: Written,
        context: &Context<'_>,
    ) -> Result<Value<'a>, String> {
        let expected = self.kind.written();
        if !matches!(written, Written::Plain | Written::Quoted) && !expected.contains(&written) {
            return Err(format!("is {}, and {} is expected", written.noun(), self.kind.noun()));
        }
        match self.kind {
            Kind::Text { longest } => text_value(text, longest, written),
            Kind::Json => {
                let text = raw.map_or(text, Cow::Borrowed);
                json::check(&text).map(|()| Value::Json(text))
            }
            Kind::Uuid => text.parse().map(Value::Uuid).map_err(|_| format!("{} is not a UUID", shown(&text))),
            Kind::Customer => context.names.customer(&text).map(Value::Uuid),
            Kind::Agent => context.names.agent(&text).map(Value::Uuid),
            Kind::Float => float(&with_point(text, context)?).map(Value::Float),
            Kind::Integer => integer(&with_point(text, context)?).map(Value::Integer),
            Kind::Bool => boolean(&text).map(Value::Bool),
            Kind::Time => time::parse(&text, context.times).map(Value::Time),
            Kind::Label(type_name) => label(&text, type_name).map(Value::Label),
        }
    }
}

impl Kind {
    /// What a JSON file may write it as.
    const fn written(self) -> &'static [Written] {
        match self {
            Self::Uuid | Self::Customer | Self::Agent | Self::Text { .. } | Self::Label(_) => &[Written::String],
            Self::Float | Self::Integer | Self::Time => &[Written::Number, Written::String],
            Self::Bool => &[Written::Bool, Written::String],
            Self::Json => &[Written::String, Written::Number, Written::Bool, Written::Nested],
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Uuid | Self::Customer | Self::Agent | Self::Text { .. } | Self::Label(_) => "a text",
            Self::Float => "a number",
            Self::Integer => "a whole number",
            Self::Bool => "true or false",
            Self::Time => "a time",
            Self::Json => "JSON",
        }
    }
}

fn text_value(text: Cow<'_, str>, longest: usize, written: Written) -> Result<Value<'_>, String> {
    if text.contains('\0') {
        return Err("holds a zero byte, which PostgreSQL cannot store".to_owned());
    }
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if written == Written::Plain && (is_blank(text.as_bytes().first()) || is_blank(text.as_bytes().last())) {
        return Err(format!("{} begins or ends with a blank and is not in quotes", shown(&text)));
    }
    if text.len() > longest {
        let length = text.chars().count();
        if length > longest {
            return Err(format!("has {length} characters, and {longest} fit"));
        }
    }
    Ok(Value::Text(text))
}

/// A number as Rust reads it.
fn with_point<'a>(text: Cow<'a, str>, context: &Context<'_>) -> Result<Cow<'a, str>, String> {
    if !context.decimal_comma {
        return Ok(text);
    }
    if text.contains('.') {
        return Err(format!("{} has a point, and a comma begins the fraction", shown(&text)));
    }
    Ok(text.replacen(',', ".", 1).into())
}

fn float(text: &str) -> Result<f64, String> {
    let trimmed = text.trim();
    let value: f64 = trimmed.parse().map_err(|_| format!("{} is not a number", shown(text)))?;
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

/// Also `12.0`, as pandas writes the whole numbers of a column in which some are missing.
fn integer(text: &str) -> Result<i32, String> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let trimmed = text.trim();
    let whole = match trimmed.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => trimmed,
    };
    whole.parse::<i32>().map_err(|error| match error.kind() {
        PosOverflow | NegOverflow => format!("{} is not from {} to {}", shown(text), i32::MIN, i32::MAX),
        _ => format!("{} is not a whole number", shown(text)),
    })
}

fn boolean(text: &str) -> Result<bool, String> {
    let is = |words: [&str; 2]| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word));
    match (is(["true", "t"]), is(["false", "f"])) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(format!("{} is neither true nor false", shown(text))),
    }
}

fn label(text: &str, type_name: &'static str) -> Result<&'static str, String> {
    let labels = enums::ALL.iter().find(|known| known.name == type_name).map_or(&[][..], |known| known.labels);
    labels.iter().copied().find(|label| *label == text).ok_or_else(|| {
        let meant = nearest(text, labels.iter().copied()).map(|label| format!("did you mean {label}? "));
        let (meant, labels) = (meant.unwrap_or_default(), labels.join(", "));
        format!("{} is not a label of {type_name}: {meant}expected one of {labels}", shown(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_refused() {
        for (text, expected) in
            [("1.5", 1.5), (" -2e3 ", -2000.0), ("Infinity", f64::INFINITY), ("-inf", f64::NEG_INFINITY), ("0e9", 0.0)]
        {
            assert_eq!(float(text), Ok(expected));
        }
        assert!(float("NaN").unwrap().is_nan());
        assert!(float("-0").unwrap().is_sign_negative());
        for wrong in ["", "abc", "1,5", "1_000", "0x10", "1e400", "-1e400", "1e-400"] {
            assert!(float(wrong).is_err(), "{wrong}");
        }
        assert_eq!(integer("-2147483648"), Ok(i32::MIN));
        assert!(integer("2147483648").unwrap_err().contains("is not from -2147483648 to 2147483647"));
    }

    #[test]
    fn a_whole_number_may_have_a_fraction_of_zeros() {
        for (text, expected) in [("12.0", 12), (" -3.000 ", -3), ("0.0", 0), ("2147483647.0", i32::MAX)] {
            assert_eq!(integer(text), Ok(expected), "{text}");
        }
        for wrong in ["12.5", "12.", ".0", "12.0.0", "1e3", "12.0x", "", "nan"] {
            assert!(integer(wrong).unwrap_err().contains("is not a whole number"), "{wrong}");
        }
        assert!(integer("2147483648.0").unwrap_err().contains("'2147483648.0' is not from"));
    }

    fn text(text: &str, written: Written) -> Result<String, String> {
        text_value(text.into(), 5, written).map(|value| value.text().unwrap().to_owned())
    }

    #[test]
    fn texts_are_counted_in_characters_and_hold_no_zero() {
        assert_eq!(text("äöü東京", Written::Plain), Ok("äöü東京".to_owned()));
        assert!(text("äöü東京!", Written::Plain).unwrap_err().contains("has 6 characters, and 5 fit"));
        assert!(text("a\0", Written::Plain).unwrap_err().contains("zero byte"));
    }

    #[test]
    fn blanks_at_an_end_are_meant_only_in_quotes() {
        for blank in [" a", "a ", "\ta", "a\t", " "] {
            assert!(text(blank, Written::Plain).unwrap_err().contains("begins or ends with a blank"), "{blank:?}");
            assert_eq!(text(blank, Written::Quoted), Ok(blank.to_owned()));
            assert_eq!(text(blank, Written::String), Ok(blank.to_owned()));
        }
        assert_eq!(text("a b", Written::Plain), Ok("a b".to_owned()));
    }

    #[test]
    fn a_label_of_other_letters_is_guessed() {
        assert_eq!(label("gpu", "resource_type"), Ok("gpu"));
        let expected =
            "'GPU' is not a label of resource_type: did you mean gpu? expected one of gpu, cpu, memory, disk, network";
        assert_eq!(label("GPU", "resource_type").unwrap_err(), expected);
        assert!(label("tpu", "resource_type").unwrap_err().contains("resource_type: expected one of"));
    }
}
