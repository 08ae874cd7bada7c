//! Figures as a layer's query returns them, which is as JSON.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

/// An average over a span of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When the span begins, UTC.
    pub at: DateTime<Utc>,
    /// The average.
    #[serde(deserialize_with = "float")]
    pub value: f64,
}

/// JSON has no NaN and no infinities; PostgreSQL writes them as texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Float {
    Number(f64),
    Text(String),
}

pub(super) fn float_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    match Option::<Float>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Float::Number(number)) => Ok(Some(number)),
        Some(Float::Text(text)) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

pub(super) fn float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    float_or_null(deserializer)?.ok_or_else(|| serde::de::Error::custom("no number"))
}
