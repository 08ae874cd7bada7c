//! How often the tests repeat what depends on chance, how long they wait, and the figures that they show.

use std::io::Write;
use std::time::{Duration, Instant};

fn is_soak() -> bool {
    std::env::var_os("OPTIINFRA_SOAK").is_some_and(|value| value == "1")
}

/// A number of rounds: small in every run, as the project promises it with `OPTIINFRA_SOAK=1`.
pub fn rounds(small: usize, full: usize) -> usize {
    if is_soak() { full } else { small }
}

/// How long something may take: what the project promises with `OPTIINFRA_SOAK=1`, and much longer in every run, which
/// may share its machine with anything.
pub fn limit(promised: Duration) -> Duration {
    if is_soak() { promised } else { promised * 15 }
}

/// Waits until something is so, and says how long that took.
#[track_caller]
pub fn until(what: &str, promised: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < limit(promised), "not within {:?}: {what}", limit(promised));
        std::thread::sleep(Duration::from_millis(2));
    }
    begin.elapsed()
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
