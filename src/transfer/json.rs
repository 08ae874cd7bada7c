//! Whether a text is JSON that comes back as it is, from PostgreSQL and from what reads it in Rust.

use serde_json::{Number, Value};

use crate::text::shown;

/// How deep JSON may be: serde_json's limit, which keeps a file from exhausting the stack.
const DEEPEST: usize = 127;

/// Looks whether a text is JSON that can be kept.
pub(super) fn check(text: &str) -> Result<(), String> {
    // What most rows have.
    if text == "{}" {
        return Ok(());
    }
    let value = serde_json::from_str(text).map_err(|error| no_json(&error))?;
    if has_zero(&value) {
        return Err("holds \\u0000, which PostgreSQL's JSON cannot store".to_owned());
    }
    match first_inexact_number(text) {
        Some(number) => Err(format!("holds the number {}, which cannot be kept exactly", shown(number))),
        None => Ok(()),
    }
}

/// What serde_json says, without the line, which would be that of the record and not of the file.
pub(super) fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(problem) if error.line() <= 1 => format!("{problem} at character {}", error.column()),
        _ => text,
    }
}

fn no_json(error: &serde_json::Error) -> String {
    // Its own word for it is no help, and the text is JSON all right.
    if error.to_string().starts_with("recursion limit exceeded") {
        return format!("has arrays or objects more than {DEEPEST} deep inside each other");
    }
    format!("is not JSON: {}", problem(error))
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

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(check(kept).is_ok(), "{kept}: {:?}", check(kept));
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
            assert!(check(lost).unwrap_err().contains(words), "{lost}: {:?}", check(lost));
        }
    }
}
