//! What Prometheus scrapes: one sample a line, `name{label="value"} 1.5 1760961600000`.

use std::collections::BTreeMap;
use std::io;

use super::super::csv::Dialect;
use super::super::format::Format;
use super::super::input::{Input, invalid};
use super::super::records::{Records, not_utf8};
use super::super::sample::Sample;
use super::Samples;

pub struct PrometheusText<'a> {
    lines: Records<'a>,
    /// The name of the metric that the lines are about, and its type.
    family: (String, Option<&'static str>),
    /// `# EOF` was read.
    is_over: bool,
}

impl<'a> PrometheusText<'a> {
    pub fn new(input: Input<'a>) -> Self {
        let lines = Records::new(input, Format::Ndjson, Dialect::default());
        Self { lines, family: Default::default(), is_over: false }
    }

    fn comment(&mut self) {
        let text = String::from_utf8_lossy(self.lines.line());
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let kind = match kind {
                    "counter" => Some("counter"),
                    "gauge" => Some("gauge"),
                    "histogram" => Some("histogram"),
                    _ => None,
                };
                self.family = (name.to_owned(), kind);
            }
            (Some("#"), Some("EOF"), None, _) => self.is_over = true,
            _ => {}
        }
    }

    fn kind_of(&self, metric: &str) -> Option<&'static str> {
        let part = metric.strip_prefix(self.family.0.as_str())?;
        ["", "_total", "_bucket", "_sum", "_count"].contains(&part).then_some(self.family.1)?
    }
}

impl Samples for PrometheusText<'_> {
    fn next(&mut self, sample: &mut Sample) -> io::Result<Option<Result<(), String>>> {
        loop {
            let Some(number) = self.lines.next_line()? else { return Ok(None) };
            let line = self.lines.line().trim_ascii();
            if line.is_empty() {
                continue;
            }
            if self.is_over {
                return Err(invalid(format!("line {number} is behind # EOF")));
            }
            if line.starts_with(b"#") {
                self.comment();
                continue;
            }
            // A value may be cut off, and still be a number.
            if !self.lines.is_ended() {
                return Err(invalid(format!("the file ends within line {number}: its last line has no end")));
            }
            sample.line = number;
            sample.raw.clear();
            sample.raw.extend_from_slice(line);
            let read = std::str::from_utf8(line).map_err(|error| not_utf8(&error)).and_then(parse);
            return Ok(Some(read.map(|Parsed { metric, labels, value, time }| {
                sample.kind = self.kind_of(&metric);
                sample.begin_series(metric, labels);
                sample.value = value;
                sample.time = time;
            })));
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    metric: String,
    labels: BTreeMap<String, String>,
    value: String,
    time: Option<String>,
}

/// What a line says.
fn parse(line: &str) -> Result<Parsed, String> {
    let begin = line.find(|byte: char| byte == '{' || byte.is_ascii_whitespace()).unwrap_or(line.len());
    let (name, rest) = line.split_at(begin);
    let (mut metric, mut labels) = (name.to_owned(), BTreeMap::new());
    let rest = match rest.trim_start().strip_prefix('{') {
        Some(inside) => parse_labels(inside, &mut metric, &mut labels)?,
        None => rest,
    };
    let is_name = |name: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
        name.bytes().all(is_part) && !name.starts_with(|first: char| first.is_ascii_digit())
    };
    if metric.is_empty() || !is_name(name) {
        return Err("does not begin with the name of a metric".to_owned());
    }
    // What an exemplar says belongs to one event and not to the metric.
    let rest = rest.split(" # ").next().unwrap_or_default();
    let mut words = rest.split_ascii_whitespace().map(str::to_owned);
    let value = words.next().ok_or("has no value")?;
    let time = words.next();
    if words.next().is_some() {
        return Err("has something behind its time".to_owned());
    }
    Ok(Parsed { metric, labels, value, time })
}

/// Reads `label="value", ...}`; the rest of the line. A name in quotes without a value is the metric's.
fn parse_labels<'a>(
    mut rest: &'a str,
    metric: &mut String,
    labels: &mut BTreeMap<String, String>,
) -> Result<&'a str, String> {
    const UNCLOSED: &str = "has labels without an end";
    loop {
        rest = rest.trim_start();
        if let Some(behind) = rest.strip_prefix('}') {
            return Ok(behind);
        }
        let (name, behind) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or(UNCLOSED)?,
            None => {
                let end = rest.find('=').ok_or(UNCLOSED)?;
                (rest[..end].trim_end().to_owned(), &rest[end..])
            }
        };
        let behind = behind.trim_start();
        rest = match behind.strip_prefix('=') {
            Some(value) => {
                let quoted = value.trim_start().strip_prefix('"').ok_or("has a label whose value is not in quotes")?;
                let (value, behind) = unquote(quoted).ok_or(UNCLOSED)?;
                if labels.insert(name, value).is_some() {
                    return Err("has a label twice".to_owned());
                }
                behind
            }
            None if metric.is_empty() => {
                *metric = name;
                behind
            }
            None => return Err("has a label without a value".to_owned()),
        };
        rest = rest.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(behind) => behind,
            None if rest.starts_with('}') => rest,
            None => return Err(UNCLOSED.to_owned()),
        };
    }
}

/// The text up to the closing quote, and what is behind it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut found = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((found, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => found.push('\n'),
                escaped @ ('\\' | '"') => found.push(escaped),
                other => found.extend(['\\', other]),
            },
            _ => found.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_sample() {
        let sample = |metric: &str, labels: &[(&str, &str)], value: &str, time: Option<&str>| {
            let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Ok(Parsed { metric: metric.to_owned(), labels, value: value.to_owned(), time: time.map(str::to_owned) })
        };
        assert_eq!(parse("up 1"), sample("up", &[], "1", None));
        assert_eq!(parse("up{} 1 1760961600000"), sample("up", &[], "1", Some("1760961600000")));
        assert_eq!(
            parse(r#"msdos_file{path="C:\\DIR\\F.TXT",error="no \"file\"\n", } 1.4e9"#),
            sample("msdos_file", &[("error", "no \"file\"\n"), ("path", "C:\\DIR\\F.TXT")], "1.4e9", None)
        );
        assert_eq!(parse("b{ le = \"+Inf\" } 3"), sample("b", &[("le", "+Inf")], "3", None));
        let exemplar = r#"foo_bucket{le="1"} 11 1760961600.5 # {trace_id="a} # b"} 0.6 1760961600"#;
        assert_eq!(parse(exemplar), sample("foo_bucket", &[("le", "1")], "11", Some("1760961600.5")));
        assert_eq!(parse(r#"{"my.metric",a="b,}"} 1"#), sample("my.metric", &[("a", "b,}")], "1", None));
    }

    #[test]
    fn what_is_no_sample_is_told() {
        for (line, words) in [
            ("up", "has no value"),
            ("up{a=\"b\"}", "has no value"),
            ("up{a=\"b\" 1", "labels without an end"),
            ("up{a=\"b 1", "labels without an end"),
            ("up{a=\"b\\", "labels without an end"),
            ("up{a=b} 1", "not in quotes"),
            ("up{a=\"b\",a=\"c\"} 1", "a label twice"),
            ("up{\"a\"} 1", "a label without a value"),
            ("{a=\"b\"} 1", "the name of a metric"),
            ("5xx 1", "the name of a metric"),
            ("my.metric 1", "the name of a metric"),
            ("up 1 2 3", "something behind its time"),
        ] {
            assert!(parse(line).unwrap_err().contains(words), "{line}: {:?}", parse(line));
        }
    }
}
