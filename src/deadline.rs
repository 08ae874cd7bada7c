//! The end of the time to wait, for any time to wait: one that no clock can express never ends.

use std::time::{Duration, Instant};

/// When to give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// So long from now.
    pub fn after(wait: Duration) -> Self {
        Self(Instant::now().checked_add(wait))
    }

    /// The time that is left; [`Duration::MAX`] where it never ends.
    pub fn left(self) -> Duration {
        self.0.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()))
    }

    /// Whether the time is up.
    pub fn has_passed(self) -> bool {
        self.left().is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_has_a_deadline() {
        assert!(Deadline::after(Duration::ZERO).has_passed());
        let minute = Duration::from_secs(60);
        assert!(Deadline::after(minute).left() <= minute);
        for wait in [minute, Duration::from_secs_f64(1e19), Duration::MAX] {
            assert!(Deadline::after(wait).left() > minute / 2, "{wait:?}");
        }
    }
}
