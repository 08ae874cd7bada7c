//! The report of `verify` as JUnit XML: a suite a layer, a case a check.
//!
//! Renders and does not print. There are no times in it, so that the same database gives the same file.

use std::fmt::Write;

use optiinfra_db::layer::Layer;
use optiinfra_db::verify::{Check, Outcome, Report};

use crate::output::plural;

/// Renders a report.
pub fn render(report: &Report) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let checks: Vec<_> = report.checks.iter().collect();
    let _ = writeln!(xml, "<testsuites name=\"optiinfra-dbctl verify\"{}>", counts(&checks));
    for layer in [None].into_iter().chain(Layer::ALL.map(Some)) {
        suite(&mut xml, report, layer);
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(xml: &mut String, report: &Report, layer: Option<Layer>) {
    let checks: Vec<_> = report.checks.iter().filter(|check| check.layer == layer).collect();
    if checks.is_empty() {
        return;
    }
    let name = layer.map_or("database", Layer::as_str);
    let _ = writeln!(xml, "  <testsuite name=\"{name}\"{}>", counts(&checks));
    if layer.is_none() {
        xml.push_str("    <properties>\n");
        let head = report.head.as_deref().unwrap_or_default();
        for (name, value) in [("database", report.database.as_str()), ("migration", head)] {
            let _ = writeln!(xml, "      <property name=\"{name}\" value=\"{}\"/>", escape(value));
        }
        xml.push_str("    </properties>\n");
    }
    for check in checks {
        case(xml, name, check);
    }
    xml.push_str("  </testsuite>\n");
}

fn case(xml: &mut String, suite: &str, check: &Check) {
    let _ = write!(xml, "    <testcase classname=\"verify.{suite}\" name=\"{}\"", escape(&check.id));
    match &check.outcome {
        Outcome::Passed => xml.push_str("/>\n"),
        Outcome::Skipped { reason } => {
            let _ = writeln!(xml, ">\n      <skipped message=\"{}\"/>\n    </testcase>", escape(reason));
        }
        Outcome::Failed => {
            let number = plural(check.findings.len() as u64, "finding", "findings");
            let _ = writeln!(
                xml,
                ">\n      <failure type=\"finding\" message=\"{}\">{}</failure>\n    </testcase>",
                escape(&format!("{} ({}): {number}", check.title, check.source)),
                escape(&findings(check)),
            );
        }
    }
}

fn findings(check: &Check) -> String {
    let lines = check.findings.iter().map(|finding| match &finding.fix {
        Some(prevention) if finding.prevents => format!("{finding}\n    prevents new ones: {prevention}"),
        Some(fix) => format!("{finding}\n    fix: {fix}"),
        None => match &finding.next_step {
            Some(step) => format!("{finding}\n    next step: {step}"),
            None => finding.to_string(),
        },
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn counts(checks: &[&Check]) -> String {
    let count = |is: fn(&Outcome) -> bool| checks.iter().filter(|check| is(&check.outcome)).count();
    format!(
        " tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\"",
        checks.len(),
        count(|outcome| *outcome == Outcome::Failed),
        count(|outcome| matches!(outcome, Outcome::Skipped { .. })),
    )
}

/// Makes a text fit for an attribute or an element. What XML cannot hold at all becomes U+FFFD; line ends in an
/// attribute are written as references, because a parser would make them spaces.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            '\u{0}'..'\u{20}' | '\u{FFFE}' | '\u{FFFF}' => escaped.push('\u{FFFD}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn what_was_escaped_reads_back_as_it_was() {
        let text = "a < b && c > \"d\" 'e' ]]> \r\n\t東京 🚀";
        let xml = format!("<x y=\"{0}\">{0}</x>", escape(text));
        let document = roxmltree::Document::parse(&xml).unwrap();
        assert_eq!(document.root_element().attribute("y"), Some(text));
        assert_eq!(document.root_element().text(), Some(text));
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        let xml = format!("<x>{}</x>", escape("a\u{0}\u{1b}[1m\u{ffff}b"));
        assert_eq!(
            roxmltree::Document::parse(&xml).unwrap().root_element().text(),
            Some("a\u{fffd}\u{fffd}[1m\u{fffd}b")
        );
    }
}
