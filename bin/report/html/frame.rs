//! What every page is set in: its style and script, and the policy by which a browser runs these and nothing else.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("../../templates/report.css");
const SCRIPT: &str = include_str!("../../templates/report.js");

pub struct Frame {
    pub style: &'static str,
    pub script: &'static str,
    pub policy: String,
    /// Seconds after which the page asks for itself again.
    pub refresh: Option<f64>,
}

impl Frame {
    pub fn new(refresh: Option<Duration>) -> Self {
        let policy = policy(refresh.is_some());
        Self { style: STYLE, script: SCRIPT, policy, refresh: refresh.map(|time| time.as_secs_f64()) }
    }
}

/// The Content-Security-Policy of a page. Only a page that refreshes itself may ask for anything, and only where it is from.
pub fn policy(is_live: bool) -> String {
    let connect = if is_live { "'self'" } else { "'none'" };
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; connect-src {connect}; img-src data:; base-uri 'none'; \
         form-action 'none'",
        source(STYLE),
        source(SCRIPT)
    )
}

/// A text that is written into a page, as a source of a policy.
fn source(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text)))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let quartet = |chunk: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | chunk.get(at).map_or(0, |byte| usize::from(*byte)));
        let digit = |at: usize| if at <= chunk.len() { char::from(DIGITS[bits >> (18 - 6 * at) & 63]) } else { '=' };
        (0..4).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(quartet).collect()
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn bytes_are_written_as_rfc_4648_says() {
        let of = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(of, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }
}
