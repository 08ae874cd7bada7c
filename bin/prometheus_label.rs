//! A label's value in Prometheus' text format. Nothing else, so that what tries every input can include this file.

/// The value as it stands between the quotes: whatever is in it, it cannot end them or the line.
pub fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
