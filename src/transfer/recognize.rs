//! Which other format than those of tables of text a file is in, by how it begins.

use super::format::Format;
use super::metrics;

/// The format, where the beginning can be nothing else.
pub(super) fn format_of(beginning: &[u8]) -> Option<Format> {
    if beginning.starts_with(b"PAR1") {
        return Some(Format::Parquet);
    }
    let text = String::from_utf8_lossy(beginning);
    let text = text.trim_start();
    if text.starts_with('{') {
        return of_json(&text.split_ascii_whitespace().collect::<String>());
    }
    if text.starts_with('<') {
        return text.contains("<nvidia_smi_log>").then_some(Format::NvidiaSmi);
    }
    let line = text.lines().next().unwrap_or_default();
    if ["# HELP ", "# TYPE ", "# UNIT "].iter().any(|begin| line.starts_with(begin)) || is_sample(line) {
        return Some(Format::PrometheusText);
    }
    let is_of_nvidia_smi = |field: &str| {
        let name = field.split(" [").next().unwrap_or_default().trim();
        name.contains('.') && metrics::is_known(name)
    };
    line.split(',').any(is_of_nvidia_smi).then_some(Format::NvidiaSmi)
}

/// JSON without its blanks.
fn of_json(text: &str) -> Option<Format> {
    let begins = |beginnings: &[&str]| beginnings.iter().any(|begin| text.starts_with(begin));
    if begins(&["{\"status\":\"success\",", "{\"status\":\"error\",", "{\"data\":{\"result"]) {
        return Some(Format::PrometheusJson);
    }
    let is_statistics = begins(&["{\"Label\":", "{\"Datapoints\":["]) && text.contains("\"Datapoints\":[");
    let is_data = begins(&["{\"MetricDataResults\":[", "{\"Messages\":["]);
    (is_statistics || is_data).then_some(Format::Cloudwatch)
}

/// Whether a line is `name{label="value"} 1`.
fn is_sample(line: &str) -> bool {
    let Some((name, rest)) = line.split_once('{') else { return false };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    let Some((labels, value)) = rest.rsplit_once('}') else { return false };
    let is_number = |word: &str| word.parse::<f64>().is_ok();
    !name.is_empty()
        && name.bytes().all(is_name)
        && labels.contains("=\"")
        && value.split_ascii_whitespace().next().is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_of_another_tool_is_told_by_its_beginning() {
        for (text, format) in [
            ("{\"status\":\"success\",\"data\":{", Some(Format::PrometheusJson)),
            ("{\n  \"status\": \"error\",\n", Some(Format::PrometheusJson)),
            ("{ \"data\": { \"result\": [", Some(Format::PrometheusJson)),
            ("{\"MetricDataResults\": [", Some(Format::Cloudwatch)),
            ("{\n    \"Label\": \"CPUUtilization\",\n    \"Datapoints\": [", Some(Format::Cloudwatch)),
            ("# HELP up The target is up.\n", Some(Format::PrometheusText)),
            ("DCGM_FI_DEV_GPU_UTIL{gpu=\"0\"} 45\n", Some(Format::PrometheusText)),
            ("timestamp, index, utilization.gpu [%]\n", Some(Format::NvidiaSmi)),
            ("memory.used [MiB]\r\n", Some(Format::NvidiaSmi)),
            ("<?xml version=\"1.0\" ?>\n<nvidia_smi_log>\n", Some(Format::NvidiaSmi)),
            ("<html>\n", None),
            ("{\"status\":\"active\",\"metric_value\":1}\n", None),
            ("{\"Label\":\"a\"}\n", None),
            ("PAR1\u{15}\u{4}", Some(Format::Parquet)),
            ("# a comment\n", None),
            ("instance_id,metric_value\n", None),
            ("", None),
        ] {
            assert_eq!(format_of(text.as_bytes()), format, "{text}");
        }
    }
}
