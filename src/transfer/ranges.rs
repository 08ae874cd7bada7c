//! What is true of a value beyond its type: quantities within the range of their unit, known units by their own name, no
//! time in the future.
//!
//! The bounds are those of `verify`, whose conditions are SQL; a test checks both against the same rows. NaN and
//! Infinity pass: they cannot be mistyped, and what was stored has to come back. `verify` reports them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::table::{Column, Range};
use super::value::{Problem, Value};
use crate::text::shown;

/// How far a time may be ahead of our clock, because the clock of whoever wrote it may be.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

/// Other spellings of the units that have a range, or that reports look for.
const SPELLINGS: [(&str, &[&str]); 5] = [
    ("percent", &["%", "pct", "Pct", "PCT", "Percent", "PERCENT", "percentage", "Percentage", "per cent"]),
    ("celsius", &["°C", "C", "Celsius", "CELSIUS", "degC"]),
    // Not Gb and MBps, which are gigabits and megabytes.
    ("GB", &["gb", "gigabyte", "gigabytes", "Gigabytes"]),
    ("iops", &["IOPS", "Iops", "IOps"]),
    ("Mbps", &["mbps", "MBPS", "Mbit/s", "mbit/s"]),
];

/// The first value of a row that is out of its range.
pub(super) fn problem(columns: &[Column], row: &[Value<'_>], now: DateTime<Utc>) -> Option<Problem> {
    columns.iter().zip(row).find_map(|(column, value)| {
        let reason = column.range?.reason(
            value,
            &|name| columns.iter().position(|column| column.name == name).and_then(|at| row.get(at)),
            now,
        )?;
        Some(Problem::of(column, reason))
    })
}

/// What no sample of another tool is, although a file of rows may hold it: a value that is no number, a time before all
/// of these tools.
pub(super) fn sample_problem(columns: &[Column], row: &[Value<'_>]) -> Option<Problem> {
    columns.iter().zip(row).find_map(|(column, value)| match value {
        Value::Float(number) if !number.is_finite() => {
            Some(Problem::of(column, format!("{number} is no measured value")))
        }
        Value::Time(time) if *time < DateTime::UNIX_EPOCH => {
            Some(Problem::of(column, format!("{} is before 1970", time.to_rfc3339_opts(SecondsFormat::AutoSi, true))))
        }
        _ => None,
    })
}

impl Range {
    /// Why a value is out of range; `other` finds another value of its row.
    fn reason<'r>(
        self,
        value: &Value<'_>,
        other: &dyn Fn(&str) -> Option<&'r Value<'r>>,
        now: DateTime<Utc>,
    ) -> Option<String> {
        match (self, value) {
            (Self::Share, Value::Float(share)) if is_outside(*share, 0.0, 1.0) => {
                Some(format!("{share} is not from 0 to 1"))
            }
            (Self::NotNegative, Value::Float(number)) if is_negative(*number) => Some(format!("{number} is negative")),
            (Self::NotNegative, Value::Integer(count)) if *count < 0 => Some(format!("{count} is negative")),
            (Self::OfUnit, Value::Float(number)) => {
                let unit = other("unit")?.text()?;
                let kind = other("resource_type")?.text()?;
                of_unit(*number, unit, kind)
            }
            (Self::OfCounter, Value::Float(number)) if is_negative(*number) => {
                let is_counter = other("metric_type")?.text()? == "counter";
                is_counter.then(|| format!("{number} is negative, and the metric is a counter"))
            }
            (Self::Unit, Value::Text(unit)) => spelling(unit),
            (Self::Past, Value::Time(time)) if *time > now + AHEAD => {
                Some(format!("{} is in the future", time.to_rfc3339_opts(SecondsFormat::AutoSi, true)))
            }
            _ => None,
        }
    }
}

fn of_unit(number: f64, unit: &str, resource_type: &str) -> Option<String> {
    match unit {
        "percent" if matches!(resource_type, "gpu" | "cpu") && is_outside(number, 0.0, 100.0) => {
            Some(format!("{number} percent of a {resource_type} is not from 0 to 100"))
        }
        "GB" | "iops" | "Mbps" if is_negative(number) => Some(format!("{number} {unit} is negative")),
        _ => None,
    }
}

/// What is wrong with a unit that is another spelling of a known one: its values would pass every check, and no report
/// would find them.
fn spelling(unit: &str) -> Option<String> {
    let (name, _) = SPELLINGS.iter().find(|(_, spellings)| spellings.contains(&unit.trim()))?;
    Some(format!("{} is another spelling of {name}: write {name}", shown(unit)))
}

/// Whether a finite value is outside; what is no number, or no finite one, has no range.
fn is_outside(value: f64, least: f64, greatest: f64) -> bool {
    value.is_finite() && !(least..=greatest).contains(&value)
}

fn is_negative(value: f64) -> bool {
    is_outside(value, 0.0, f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_unit_has_one_name_and_any_other_is_taken_as_it_is() {
        for (unit, name) in [
            ("%", "percent"),
            ("Percent", "percent"),
            ("PCT", "percent"),
            ("gb", "GB"),
            ("IOPS", "iops"),
            ("mbps", "Mbps"),
            ("°C", "celsius"),
        ] {
            assert_eq!(spelling(unit), Some(format!("'{unit}' is another spelling of {name}: write {name}")));
        }
        for unit in ["percent", "GB", "iops", "Mbps", "celsius", "", "tokens", "MB", "kB/s", "MBps", "Gb", "percentile"]
        {
            assert_eq!(spelling(unit), None, "{unit}");
        }
    }
}
