//! How often the tests repeat what depends on chance, and the figures that they show.

use std::io::Write;
use std::time::Duration;

/// A number of rounds: small in every run, as the project promises it with `OPTIINFRA_SOAK=1`.
pub fn rounds(small: usize, full: usize) -> usize {
    if std::env::var_os("OPTIINFRA_SOAK").is_some_and(|value| value == "1") { full } else { small }
}

/// Shows figures, whether the test passes or not: the harness captures what the printing macros write.
pub fn figures(text: &str) {
    writeln!(std::io::stderr(), "figures: {text}").expect("stderr");
}

/// How many, the median and the longest.
pub fn spread(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort();
    let (Some(median), Some(longest)) = (times.get(times.len().saturating_sub(1) / 2), times.last()) else {
        return "none".to_owned();
    };
    format!("{} times, median {median:.1?}, longest {longest:.1?}", times.len())
}
